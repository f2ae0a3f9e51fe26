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


def rebuilt(graph: Graph, node: int, args: tuple[int, ...]) -> int:
    """The operation of `node` with other arguments, calls of networks included."""
    op, data = graph.op[node], graph.data[node]
    if args == graph.args[node]:
        return node
    if op == "netcall":
        assert isinstance(data, int)
        return graph.netcall(data, args)
    if op == "net":
        return graph.net(args[0], data[0])  # type: ignore[index]
    if op == INPUT:
        k, order = data  # type: ignore[misc]
        return graph.input(k, args[0], order)
    return graph.call(op, *args)


def never_below_zero(graph: Graph, outputs: Sequence[int], leaves: Sequence[int]) -> list[int]:
    """`outputs` with max(0, leaf) in place of each of `leaves`.

    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> never_below_zero(g, [g.call("sqrt", x)], [x]) == [g.call("sqrt", g.call("max", x, g.const(0.0)))]
    True
    """
    new = {leaf: graph.call("max", leaf, graph.const(0.0)) for leaf in leaves}
    for node in graph.reachable(outputs):
        if node not in new:
            new[node] = rebuilt(graph, node, tuple(new[a] for a in graph.args[node]))
    return [new[o] for o in outputs]
