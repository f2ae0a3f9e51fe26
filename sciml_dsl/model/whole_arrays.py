"""Sums over whole arrays: `sum(u)`, `max(u^2 - v)` as reductions over all elements.

Takes an expression and the arrays of the model; gives the expression with ranges, or
says why the arrays in it do not go together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..errors import NameModelError
from ..language.ast import (
    REDUCTIONS,
    Bound,
    Call,
    Expr,
    Index,
    Name,
    Num,
    Reduce,
    Span,
    Unary,
    children,
    fold,
    names,
    rebuild,
)
from ..language.complaint import Complaint
from .arrays import Bounds
from .subscripts import box


def with_ranges(expr: Expr, arrays: Mapping[str, Bounds], taken: Collection[str]) -> Expr:
    """`expr` with every `sum(...)` of whole arrays as a reduction; `taken`, the names no index may have."""
    if not names(expr) & arrays.keys():
        return expr

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        same = all(a is b for a, b in zip(parts, children(node), strict=True))
        node = node if same else rebuild(node, parts)
        if isinstance(node, Call) and node.func in REDUCTIONS and len(node.args) == 1 and node.index is None:
            return _reduction(node, arrays, taken)
        return node

    return fold(expr, combine)


def _reduction(node: Call, arrays: Mapping[str, Bounds], taken: Collection[str]) -> Expr:
    """`sum(body)` where the body names whole arrays; anything else stays and is checked as a call."""
    found = _whole(node.args[0], arrays)
    if not found:
        return node
    first, *rest = found
    for other in rest:
        if arrays[other] != arrays[first]:
            raise Complaint(
                f"`{first}` and `{other}` have different elements: {box(first, arrays[first])} and "
                f"{box(other, arrays[other])}",
                node.span or Span(0, 0),
                f"say which go together: {node.func}({first}[i]*{other}[i] for i in 1..N)",
                NameModelError,
            )
    inside = names(node.args[0])
    free = [*"ijklmnpq", *(f"i{k}" for k in range(1, 1 + len(arrays[first]) + len(taken) + len(inside)))]
    letters = [name for name in free if name not in taken and name not in inside][: len(arrays[first])]
    place = tuple(Name(letter) for letter in letters)

    def combine(part: Expr, parts: list[Expr]) -> Expr:
        if isinstance(part, Name) and part.name in arrays:
            return Index(part.name, place, part.span)
        same = all(a is b for a, b in zip(parts, children(part), strict=True))
        return part if same else rebuild(part, parts)

    ranges = tuple(
        Bound(letter, _number(low), _number(high), node.span)
        for letter, (low, high) in zip(letters, arrays[first], strict=True)
    )
    return Reduce(node.func, fold(node.args[0], combine), ranges, node.span)


def _whole(expr: Expr, arrays: Mapping[str, Bounds]) -> list[str]:
    """The arrays that stand in an expression without subscripts, in order."""
    found: dict[str, None] = {}

    def combine(node: Expr, parts: list[None]) -> None:
        if isinstance(node, Name) and node.name in arrays:
            found[node.name] = None

    fold(expr, combine)
    return list(found)


def _number(value: int) -> Expr:
    return Num(float(value)) if value >= 0 else Unary("-", Num(float(-value)))
