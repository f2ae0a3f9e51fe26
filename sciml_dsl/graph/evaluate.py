"""The value of nodes at a point, in plain Python: for what is asked once and has no compiled function.

Networks have no value here, and a node that depends on one is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .graph import Graph
from .ops import EVALUATE, evaluate


def operation(op: str, args: Sequence[float]) -> float:
    """The number of an operation of `EVALUATE` at numbers; NaN where one is NaN or there is no finite value."""
    if op == "select":
        return args[1] if args[0] != 0.0 else args[2]
    value = None if any(math.isnan(a) for a in args) else evaluate(op, *args)
    return math.nan if value is None else value


def values(graph: Graph, nodes: Sequence[int], t: float, u: Sequence[float], p: Sequence[float]) -> list[float]:
    """The numbers `nodes` have at (t, u, p); NaN where a number is missing or there is no finite value.

    >>> g = Graph()
    >>> values(g, [g.add(g.leaf("state", 0), g.leaf("t"))], 1.0, [2.0], [])
    [3.0]
    """
    found: dict[int, float] = {}
    leaves = {"state": u, "param": p}
    for node in graph.reachable(nodes):
        op, data = graph.op[node], graph.data[node]
        if op == "const":
            found[node] = float(data)  # type: ignore[arg-type]
        elif op == "t":
            found[node] = t
        elif op in leaves:
            given = leaves[op]
            assert isinstance(data, int)
            found[node] = float(given[data]) if data < len(given) else math.nan
        elif op in EVALUATE:
            found[node] = operation(op, [found[a] for a in graph.args[node]])
        else:
            found[node] = math.nan
    return [found[node] for node in nodes]
