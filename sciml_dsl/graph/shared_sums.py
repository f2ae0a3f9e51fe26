"""Right-hand sides that contain other right-hand sides are written with these.

Takes the nodes of all equations, gives nodes of the same values.  Where a sum contains every term of
another equation, all with the same or all with the opposite sign, that equation's value stands in
their place: b' = k1 a - k3 b c - k2 b^2 becomes -a' - k2 b^2 where a' = k3 b c - k1 a.  That is what
conserved quantities leave in kinetics, and it is one operation less a term.  What matters more: terms that
nearly cancel are subtracted first, where the difference is exact (P. H. Sterbenz, Floating-Point
Computation, 1974, 4.3), and its rounding is the same in both equations, so it does not touch
their sum.  A step of 1e10 on reactions of 1e-9 makes the difference between eight digits and twelve.
"""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Graph

POPULAR = 16
"""A term in more equations than this says nothing of which of them belong together."""

Terms = dict[int, int]
"""Nodes and how often each is added."""


def terms(graph: Graph, node: int) -> Terms:
    """The terms of a sum, in the order in which they stand."""
    found: Terms = {}
    stack = [(node, 1)]
    while stack:
        top, sign = stack.pop()
        op, args = graph.op[top], graph.args[top]
        if op == "neg":
            stack.append((args[0], -sign))
        elif op in ("add", "sub"):
            stack += [(args[1], sign if op == "add" else -sign), (args[0], sign)]
        else:
            found[top] = found.get(top, 0) + sign
    return {term: count for term, count in found.items() if count}


def share(graph: Graph, equations: Sequence[int]) -> tuple[int, ...]:
    """The same equations, the larger ones through smaller ones that they contain.

    Example
    -------
    >>> g = Graph()
    >>> a, b, c = (g.leaf("state", i) for i in range(3))
    >>> first, second = share(g, (g.sub(a, b), g.sub(g.sub(b, c), a)))
    >>> g.op[second], g.args[second] == (g.neg(first), c)
    ('sub', True)
    """
    sums = [terms(graph, node) for node in equations]
    users: dict[int, list[int]] = {}
    for i, found in enumerate(sums):
        for term in found:
            users.setdefault(term, []).append(i)
    made = list(equations)
    for i in sorted(range(len(sums)), key=lambda k: len(sums[k])):
        rest = dict(sums[i])
        if len(rest) < 3:
            continue
        common: dict[int, int] = {}
        for term in rest:
            if len(users[term]) <= POPULAR:
                for j in users[term]:
                    common[j] = common.get(j, 0) + 1
        inside = [j for j, count in common.items() if 2 <= len(sums[j]) == count and count < len(sums[i])]
        parts: list[tuple[int, int]] = []
        for j in sorted(inside, key=lambda k: (-len(sums[k]), k)):
            for sign in (1, -1):
                if all(rest.get(term) == sign * count for term, count in sums[j].items()):
                    parts.append((sign, made[j]))
                    for term in sums[j]:
                        del rest[term]
                    break
        if parts:
            made[i] = _sum(graph, parts, rest)
    return tuple(made)


def _sum(graph: Graph, parts: Sequence[tuple[int, int]], rest: Terms) -> int:
    total: int | None = None
    for count, node in (*parts, *((count, node) for node, count in rest.items())):
        value = node if abs(count) == 1 else graph.mul(graph.const(float(abs(count))), node)
        if total is None:
            total = value if count > 0 else graph.neg(value)
        else:
            total = graph.add(total, value) if count > 0 else graph.sub(total, value)
    assert total is not None
    return total
