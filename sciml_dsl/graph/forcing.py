"""How fast a model's own clockwork turns: sines and cosines of time alone.

Takes a graph; gives the angular frequencies with which time acts in it.  A step longer
than the period of a forcing may see it at the same phase again and again, and what
happens in between, such as the charging pulse of a rectifier, not at all: no error
estimate knows of what no stage has seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from .derivatives import jvp
from .graph import Graph

_TURNING = frozenset({"sin", "cos", "tan"})


def frequencies(graph: Graph, outputs: Sequence[int], time: int) -> tuple[int, ...]:
    """Nodes of d(argument)/dt for each sine, cosine and tangent of time and parameters in `outputs`.

    >>> g = Graph()
    >>> t = g.leaf("t")
    >>> [g.data[node] for node in frequencies(g, [g.call("sin", g.mul(g.const(3.0), t))], t)]
    [3.0]
    """
    one = graph.const(1.0)
    timed: dict[int, bool | None] = {}  # does it hold time: None where it holds anything but time and parameters
    found: dict[int, None] = {}
    for node in graph.reachable(outputs):
        args = [timed[a] for a in graph.args[node]]
        if node == time:
            timed[node] = True
        elif graph.op[node] in ("const", "param"):
            timed[node] = False
        elif not args or None in args:
            timed[node] = None
        else:
            timed[node] = True in args
            if timed[node] and graph.op[node] in _TURNING:
                (rate,) = jvp(graph, [graph.args[node][0]], {time: one})
                found[rate] = None
    return tuple(found)
