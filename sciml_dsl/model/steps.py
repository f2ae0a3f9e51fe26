"""Ranges with a step, `for i in 1..2..N`, as ranges without one.

Takes statements and the constants; `i` in first..step..last becomes
`step*i + (first - step)` with i from 1 on, in the statement, its subscripts and the
ranges inside.  Nothing later knows of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import ModelError
from ..language import syntax
from ..language.ast import (
    Binary,
    Bound,
    Expr,
    Name,
    Num,
    Reduce,
    Unary,
    children,
    fold,
    names,
    postorder,
    rebuild,
)
from ..language.complaint import Complaint
from .constants import evaluate as number
from .dependencies import order
from .notation import mapped
from .problems import NOWHERE
from .subscripts import affine, check_integer, evaluate


def has_steps(source: str | None, statements: Iterable[syntax.Statement]) -> bool:
    """Does any range of a text have a step?"""
    if source is None or source.count("..") < 2:  # texts without arrays: their statements are not looked at
        return False
    return any(bound.step is not None for statement in statements for bound in _bounds(statement))


def plain_constants(statements: Iterable[syntax.Statement]) -> tuple[dict[str, float], set[str]]:
    """The values of the constants that have one, and the names of those about which there is a complaint."""
    given = {
        s.name.name: s.value
        for s in statements
        if isinstance(s, syntax.Constant) and not isinstance(s.value, syntax.Values) and not s.subscripts
    }
    sequence, _ = order({name: sorted(names(value) & given.keys()) for name, value in given.items()})
    known: dict[str, float] = {}
    wrong: set[str] = set()
    for name in sequence:
        try:
            known[name] = number(given[name], known, name, {})
        except Complaint:
            wrong.add(name)  # told where constants are read
    return known, wrong


class Steps:
    """Rewrites statements; `constants` by name, `kinds` what other names are in words."""

    def __init__(self, constants: Mapping[str, float], kinds: Mapping[str, str]) -> None:
        self.constants = constants
        self.kinds = kinds

    def plain(self, statement: Any) -> Any:
        """A statement, or a part of one, without steps."""
        if isinstance(statement, syntax.Event):
            done = mapped(statement, self.reductions)
            return replace(done, assignments=tuple(self.plain(a) for a in statement.assignments))
        ranges = getattr(statement, "ranges", ())
        if not any(bound.step is not None for bound in ranges):
            return mapped(statement, self.reductions)
        new, values = self.ranges(ranges, {})
        for bound in new:
            if bound.last == Num(0.0):
                place = bound.span or NOWHERE
                raise Complaint(f"the range of `{bound.name}` is empty", place, "write first..step..last", ModelError)
        done = mapped(statement, lambda expr: self.reductions(expr, values))
        if isinstance(statement, syntax.Algebraic):
            return replace(done, ranges=new)
        subscripts = tuple(s if isinstance(s, Bound) else _put(s, values) for s in statement.subscripts)
        return replace(done, subscripts=subscripts, ranges=new)

    def reductions(self, expr: Expr, values: Mapping[str, Expr] | None = None) -> Expr:
        """An expression with `values` for the indices around it, and its own reductions without steps."""
        put = dict(values or {})
        if not put and not any(isinstance(n, Reduce) and _stepped(n.ranges) for n in postorder(expr)):
            return expr

        def combine(node: Expr, parts: list[Expr]) -> Expr:
            if isinstance(node, Name):
                return put.get(node.name, node)
            if not isinstance(node, Reduce):
                same = all(a is b for a, b in zip(parts, children(node), strict=True))
                return node if same else rebuild(node, parts)
            changed = rebuild(node, parts)
            assert isinstance(changed, Reduce)
            if not _stepped(changed.ranges):
                return changed
            new, inner = self.ranges(changed.ranges, {})
            return Reduce(changed.op, _put(changed.body, inner), new, changed.span)

        return fold(expr, combine)

    def ranges(self, ranges: tuple[Bound, ...], values: dict[str, Expr]) -> tuple[tuple[Bound, ...], dict[str, Expr]]:
        """The ranges without steps, and what stands for their indices."""
        found: list[Bound] = []
        for bound in ranges:
            first, last = (_put(end, values) for end in (bound.first, bound.last))
            if bound.step is None:
                found.append(Bound(bound.name, first, last, bound.span))
                continue
            outer = [other.name for other in found] + sorted(
                {n for end in (first, last) for n in names(end)} - self.constants.keys() - self.kinds.keys()
            )
            step = self._step(bound)
            for end in (first, last):
                check_integer(end, self.constants, outer, self.kinds.get, left=False)
            found.append(Bound(bound.name, Num(1.0), self._count(bound, first, last, step, outer), bound.span))
            values[bound.name] = _shifted(bound.name, step, first, self.constants, outer)
        return tuple(found), values

    def _step(self, bound: Bound) -> int:
        assert bound.step is not None
        check_integer(bound.step, self.constants, (), self.kinds.get, left=False)
        step = evaluate(bound.step, self.constants, {})
        if step == 0:
            raise Complaint("the step of a range is not 0", bound.step.span or NOWHERE, "write 1..2..N", ModelError)
        return step

    def _count(self, bound: Bound, first: Expr, last: Expr, step: int, outer: list[str]) -> Expr:
        """How many turns: (last - first)/step + 1, rounded down."""
        form = affine(Binary("-", last, first), self.constants, outer)
        known = form is not None and affine(first, self.constants, outer) is not None
        if form is None or not known or any(factor % step for name, factor in form.items() if name):
            raise Complaint(
                "with a step, the ends of a range are constants, or move by whole steps with the indices around it",
                bound.span or NOWHERE,
                f"write the index as a multiple, for instance u[{abs(step)}*{bound.name}] for {bound.name} in 1..N",
                ModelError,
            )
        count = form.pop("") // step + 1
        return _linear({name: factor // step for name, factor in form.items()}, count if form else max(count, 0))


def _shifted(name: str, step: int, first: Expr, constants: Mapping[str, float], outer: list[str]) -> Expr:
    """`step*name + first - step`"""
    form = affine(first, constants, outer)
    assert form is not None
    offset = form.pop("") - step
    return _linear({name: step, **form}, offset)


def _linear(factors: Mapping[str, int], constant: int) -> Expr:
    """`2*i - j + 3`, as it is written by hand."""
    terms: list[tuple[int, Expr]] = [
        (factor, Name(name) if abs(factor) == 1 else Binary("*", Num(float(abs(factor))), Name(name)))
        for name, factor in factors.items()
    ]
    terms += [(constant, Num(float(abs(constant))))] if constant or not terms else []
    terms.sort(key=lambda term: term[0] < 0)
    sign, total = terms[0]
    total = Unary("-", total) if sign < 0 else total
    for sign, term in terms[1:]:
        total = Binary("-" if sign < 0 else "+", total, term)
    return total


def _stepped(ranges: Iterable[Bound]) -> bool:
    return any(bound.step is not None for bound in ranges)


def _put(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    if not values or not names(expr) & values.keys():
        return expr

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, Name):
            return values.get(node.name, node)
        return rebuild(node, parts)

    return fold(expr, combine)


def _bounds(statement: Any) -> list[Bound]:
    """Every range of a statement, those of its reductions too."""
    found = list(getattr(statement, "ranges", ()))
    for assignment in getattr(statement, "assignments", ()):
        found += _bounds(assignment)

    def look(expr: Expr) -> Expr:
        for node in postorder(expr):
            if isinstance(node, Reduce):
                found.extend(node.ranges)
        return expr

    mapped(statement, look)
    return found
