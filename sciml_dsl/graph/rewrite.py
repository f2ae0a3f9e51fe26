"""Local rewrites applied while a node is built.

`RULES[op](graph, args)` returns an existing or smaller node, or None to
build the node as it is.  Each rule looks at one operation and its direct
arguments, so construction stays linear; rules hold for every finite value of
the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Graph

Rule = Callable[["Graph", tuple[int, ...]], "int | None"]


SEEN = {
    "add": frozenset({"const", "neg"}),
    "sub": frozenset({"const", "neg"}),
    "mul": frozenset({"const", "neg", "div"}),
    "div": frozenset({"const", "neg"}),
}
"""Operations of arguments that the rule of an operation looks for: most arguments are none of them, and that is
asked first.  (A difference of a node from itself is the one case besides.)"""

SEEN_BY_NEG = frozenset({"const", "neg", "sub"})


def _add(g: Graph, a: tuple[int, ...]) -> int | None:
    x, y = a
    if g.is_const(x, 0.0):
        return y
    if g.is_const(y, 0.0):
        return x
    if g.op[y] == "neg":
        return g.sub(x, g.args[y][0])
    if g.op[x] == "neg":
        return g.sub(y, g.args[x][0])
    return None


def _sub(g: Graph, a: tuple[int, ...]) -> int | None:
    x, y = a
    if x == y:
        return g.const(0.0)
    if g.is_const(y, 0.0):
        return x
    if g.is_const(x, 0.0):
        return g.neg(y)
    if g.op[y] == "neg":
        return g.add(x, g.args[y][0])
    return None


def _mul(g: Graph, a: tuple[int, ...]) -> int | None:
    for x, y in (a, (a[1], a[0])):
        if g.is_const(x):
            value = g.data[x]
            if value == 0.0:
                return g.const(0.0)
            if value == 1.0:
                return y
            if value == -1.0:
                return g.neg(y)
            if g.op[y] == "neg":
                return g.mul(g.const(-value), g.args[y][0])  # type: ignore[operator]
    x, y = a
    if g.op[x] == "neg" and g.op[y] == "neg":
        return g.mul(g.args[x][0], g.args[y][0])
    if g.op[x] == "neg":
        return g.neg(g.mul(g.args[x][0], y))
    if g.op[y] == "neg":
        return g.neg(g.mul(x, g.args[y][0]))
    # x * (1/y) arises in every derivative of a quotient
    if g.op[y] == "div" and g.is_const(g.args[y][0], 1.0):
        return g.div(x, g.args[y][1])
    if g.op[x] == "div" and g.is_const(g.args[x][0], 1.0):
        return g.div(y, g.args[x][1])
    return None


def _div(g: Graph, a: tuple[int, ...]) -> int | None:
    x, y = a
    if g.is_const(y, 1.0):
        return x
    if g.is_const(y, -1.0):
        return g.neg(x)
    if g.is_const(x, 0.0) and not g.is_const(y, 0.0):
        return g.const(0.0)
    if g.op[x] == "neg":
        return g.neg(g.div(g.args[x][0], y))
    if g.op[y] == "neg":
        return g.neg(g.div(x, g.args[y][0]))
    return None


def _pow(g: Graph, a: tuple[int, ...]) -> int | None:
    x, y = a
    if g.is_const(y, 1.0):
        return x
    if g.is_const(y, 0.0) or g.is_const(x, 1.0):
        return g.const(1.0)
    if g.is_const(y, 0.5):
        return g.call("sqrt", x)
    return None


def _neg(g: Graph, a: tuple[int, ...]) -> int | None:
    (x,) = a
    if g.op[x] == "neg":
        return g.args[x][0]
    if g.op[x] == "sub":
        return g.sub(g.args[x][1], g.args[x][0])
    return None


def _select(g: Graph, a: tuple[int, ...]) -> int | None:
    cond, x, y = a
    if g.is_const(cond):
        return x if g.data[cond] != 0.0 else y
    if x == y:
        return x
    return None


def _same(g: Graph, a: tuple[int, ...]) -> int | None:
    return a[0] if a[0] == a[1] else None


def _and(g: Graph, a: tuple[int, ...]) -> int | None:
    for x, y in (a, (a[1], a[0])):
        if g.is_const(x):
            return g.const(0.0) if g.data[x] == 0.0 else g.call("ne", y, g.const(0.0)) if not _truth(g, y) else y
    return None


def _or(g: Graph, a: tuple[int, ...]) -> int | None:
    for x, y in (a, (a[1], a[0])):
        if g.is_const(x):
            return g.const(1.0) if g.data[x] != 0.0 else g.call("ne", y, g.const(0.0)) if not _truth(g, y) else y
    return None


def _truth(g: Graph, node: int) -> bool:
    return g.op[node] in {"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"}


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "neg": _neg,
    "select": _select,
    "min": _same,
    "max": _same,
    "and": _and,
    "or": _or,
}
