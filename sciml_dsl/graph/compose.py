"""Expressions at other arguments: composition of functions inside one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .graph import Graph
from .ops import INPUT, LEAVES, NETWORK_OPS


def at(graph: Graph, outputs: Sequence[int], values: Mapping[int, int]) -> list[int]:
    """`outputs` with leaves replaced by the nodes `values` (leaf -> node).

    Shared parts stay shared, and what does not depend on a replaced leaf is the same
    node as before.  Raises ValueError for networks, which are calls, not expressions.

    Example
    -------
    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> at(g, [g.mul(x, x)], {x: g.const(3.0)}) == [g.const(9.0)]
    True
    """
    new: dict[int, int] = dict(values)
    for node in graph.reachable(outputs):
        if node in new:
            continue
        op, args = graph.op[node], graph.args[node]
        if op in NETWORK_OPS:
            raise ValueError("networks cannot be composed")
        changed = tuple(new[a] for a in args)
        if op in LEAVES or changed == args:
            new[node] = node
        elif op == INPUT:
            k, order = graph.data[node]  # type: ignore[misc]
            new[node] = graph.input(k, changed[0], order)
        else:
            new[node] = graph.call(op, *changed)
    return [new[o] for o in outputs]
