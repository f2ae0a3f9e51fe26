"""Whole-number expressions: subscripts of arrays and the ends of ranges.

Takes expressions of constants and loop indices joined by `+`, `-`, `*` and
`mod`; gives their values, the reach of a subscript over its loops, and a
complaint where it leaves the array.  Subscripts that are affine in the indices,
which is nearly all of them, are decided from the corners of the loops, however
many elements these have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import ModelError, NameModelError
from ..language.ast import Binary, Bound, Call, Expr, Index, Name, Num, Reduce, Span, Unary, fold, postorder
from ..language.complaint import Complaint

NOWHERE = Span(0, 0)
LARGEST = 2**53
MAX_TERMS = 1_000_000_000  # of a reduction, over all elements of its equation
MAX_TRIED = 50_000  # points of a loop looked at one by one where corners do not decide

Affine = dict[str, int]  # index -> factor; "" -> the constant part
Interval = tuple[int, int]
_Constants = Mapping[str, float]


def check_integer(
    expr: Expr,
    constants: _Constants,
    indices: Sequence[str],
    describe: Callable[[str], str | None],
    left: bool = True,
) -> None:
    """Refuse what is no whole-number expression of `indices` and constants.

    `describe` says what another name is, None where it is nothing; `left` is
    False for the ends of ranges.
    """
    for node in postorder(expr):
        span = node.span or expr.span or NOWHERE
        if isinstance(node, Num):
            _whole(node.value, f"{node.value:g}", span)
        elif isinstance(node, Name):
            if node.name in indices:
                continue
            if node.name not in constants:
                what = describe(node.name)
                if what is None:
                    loop = f"write `for {node.name} in 1..N` behind the statement, or " if left else "write "
                    raise Complaint(
                        f"`{node.name}` is not defined, and a {'subscript' if left else 'range'} needs its value",
                        span,
                        f"{loop}const {node.name} = 10",
                        NameModelError,
                    )
                known = ", ".join(f"`{name}`" for name in indices)
                raise Complaint(
                    f"a subscript or range is made of whole numbers, and `{node.name}` is {what}",
                    span,
                    "use numbers, names declared with `const`" + (f", and {known}" if known else ""),
                    NameModelError,
                )
            _whole(constants[node.name], f"`{node.name}` = {constants[node.name]:g}", span)
        elif not _plain(node):
            raise Complaint(
                "subscripts and ranges are whole numbers made with +, -, * and mod",
                span,
                "name a number elsewhere: const M = N/2",
                ModelError,
            )


def _plain(node: Expr) -> bool:
    if isinstance(node, Call):
        return node.func == "mod" and len(node.args) == 2 and node.index is None
    return isinstance(node, (Binary, Unary)) and node.op in ("+", "-", "*")


def _whole(value: float, shown: str, span: Span) -> None:
    if value != int(value) or abs(value) > LARGEST:
        raise Complaint(f"{shown} is not a whole number", span, "subscripts and ranges are whole numbers", ModelError)


def evaluate(expr: Expr, constants: _Constants, indices: Mapping[str, int]) -> int:
    """The value of a checked expression; Python's integers, so nothing overflows."""

    def combine(node: Expr, parts: list[int]) -> int:
        if isinstance(node, Num):
            return int(node.value)
        if isinstance(node, Name):
            found = indices.get(node.name)
            return int(constants[node.name]) if found is None else found
        if isinstance(node, Unary):
            return -parts[0]
        if isinstance(node, Call):
            if parts[1] == 0:
                raise Complaint("mod by zero in a subscript", node.span or NOWHERE, None, ModelError)
            return parts[0] % parts[1]
        assert isinstance(node, Binary)
        a, b = parts
        value = a + b if node.op == "+" else a - b if node.op == "-" else a * b
        if abs(value) > LARGEST:
            raise Complaint("this subscript or range is too large", node.span or NOWHERE, None, ModelError)
        return value

    if isinstance(expr, Name) and expr.name in indices:
        return indices[expr.name]
    return fold(expr, combine)


def affine(expr: Expr, constants: _Constants, indices: Sequence[str]) -> Affine | None:
    """`expr` as factors of the indices and a constant part, or None where it is not affine."""
    return fold(expr, lambda node, parts: _affine(node, parts, constants, indices))


def _affine(node: Expr, parts: list[Affine | None], constants: _Constants, indices: Sequence[str]) -> Affine | None:
    if isinstance(node, Num):
        return {"": int(node.value)}
    if isinstance(node, Name):
        return {"": 0, node.name: 1} if node.name in indices else {"": int(constants[node.name])}
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if isinstance(node, Unary):
        return _times(known[0], -1)
    a, b = known
    if isinstance(node, Call):
        return {"": a[""] % b[""]} if len(a) == len(b) == 1 and b[""] else None
    assert isinstance(node, Binary)
    if node.op != "*":
        return _plus(a, b, 1 if node.op == "+" else -1)
    if len(a) > 1 and len(b) > 1:
        return None
    return _times(a, b[""]) if len(b) == 1 else _times(b, a[""])


def _plus(a: Affine, b: Affine, factor: int) -> Affine:
    total = dict(a)
    for name, value in b.items():
        total[name] = total.get(name, 0) + factor * value
        if name and not total[name]:
            del total[name]
    return total


def _times(a: Affine, factor: int) -> Affine:
    return {name: factor * value for name, value in a.items() if not name or factor * value}


@dataclass
class Loops:
    """Ranges around an expression, outermost first; later ones may use the indices of earlier ones."""

    ranges: tuple[Bound, ...]
    constants: _Constants
    _affine: dict[str, tuple[Affine | None, Affine | None]] = field(default_factory=dict)
    _tight: dict[str, Interval] = field(default_factory=dict)
    empty: bool = False  # no point at all

    def __post_init__(self) -> None:
        names: list[str] = []
        for bound in self.ranges:
            ends = (affine(bound.first, self.constants, names), affine(bound.last, self.constants, names))
            self._affine[bound.name] = ends
            low, _ = self.reach(bound.first, len(names))
            _, high = self.reach(bound.last, len(names))
            self._tight[bound.name] = (low, high)
            self.empty = self.empty or low > high
            self._tighten(*ends)
            names.append(bound.name)

    def widths(self) -> list[Interval]:
        """The least first and the largest last value of each range."""
        return [self._tight[bound.name] for bound in self.ranges]

    @property
    def names(self) -> list[str]:
        return [bound.name for bound in self.ranges]

    def inside(self, more: tuple[Bound, ...]) -> Loops:
        """These loops with further ones inside."""
        return Loops(self.ranges + more, self.constants) if more else self

    def _tighten(self, first: Affine | None, last: Affine | None) -> None:
        """An inner range that is empty for some outer indices leaves these out of its body."""
        if first is None or last is None:
            return
        gap = _plus(last, first, -1)
        outer = [name for name in gap if name]
        if len(outer) != 1:
            return
        (name,) = outer
        factor, rest = gap[name], gap[""]
        low, high = self._tight[name]
        if factor > 0:
            low = max(low, -(rest // factor))
        else:
            high = min(high, rest // -factor)
        self._tight[name] = (low, high)
        self.empty = self.empty or low > high

    def reach(self, expr: Expr, depth: int | None = None) -> Interval:
        """Least and largest value over the first `depth` loops; exact where `expr` and the ranges are affine."""
        names = [bound.name for bound in self.ranges[:depth]]

        def combine(node: Expr, parts: list[tuple[Affine | None, Interval]]) -> tuple[Affine | None, Interval]:
            form = _affine(node, [part[0] for part in parts], self.constants, names)
            if form is not None:
                return form, (self._end(form, names, -1), self._end(form, names, 1))
            return None, _interval(node, [part[1] for part in parts])

        return fold(expr, combine)[1]

    def _end(self, form: Affine, names: list[str], side: int) -> int:
        """The least (-1) or largest (1) value of an affine expression."""
        for name in reversed(names):
            factor = form.get(name, 0)
            if not factor:
                continue
            rest = {key: value for key, value in form.items() if key != name}
            up = factor * side > 0
            low, high = self._tight[name]
            end = self._affine[name][1 if up else 0]
            if end is None or len(end) == 1:
                end = {"": high if up else low}
            form = _plus(rest, end, factor)
        return form[""]

    def points(self, limit: int = MAX_TRIED) -> Iterator[dict[str, int] | None]:
        """Every combination of indices, the last fastest; None once, and the end, after `limit` of them."""
        if not self.ranges:
            yield {}
            return
        tried = 0
        values: dict[str, int] = {}
        stack = [iter(self._values(0, values))]
        while stack:
            value = next(stack[-1], None)
            tried += 1
            if tried > limit:
                yield None
                return
            if value is None:
                stack.pop()
                continue
            values[self.ranges[len(stack) - 1].name] = value
            if len(stack) == len(self.ranges):
                yield dict(values)
            else:
                stack.append(iter(self._values(len(stack), values)))

    def corners(self) -> Iterator[dict[str, int]]:
        """The points at the ends of all ranges, where affine expressions are largest and least."""
        for ends in itertools.product((0, -1), repeat=len(self.ranges)):
            values: dict[str, int] = {}
            for depth, end in enumerate(ends):
                found = self._values(depth, values)
                if not found:
                    break
                values[self.ranges[depth].name] = found[end]
            else:
                yield values

    def _values(self, depth: int, values: dict[str, int]) -> range:
        bound = self.ranges[depth]
        first, last = (evaluate(end, self.constants, values) for end in (bound.first, bound.last))
        return range(first, last + 1)


def _interval(node: Expr, parts: list[Interval]) -> Interval:
    """Interval arithmetic for what is not affine."""
    if isinstance(node, Unary):
        low, high = parts[0]
        return -high, -low
    (a, b), (c, d) = parts
    if isinstance(node, Call):
        if c <= 0 <= d:
            raise Complaint(
                "the divisor of mod in a subscript may be zero", node.span or NOWHERE, "use a constant", ModelError
            )
        if c > 0:
            return (a, b) if a >= 0 and b < c else (0, d - 1)
        return (c + 1, 0)
    assert isinstance(node, Binary)
    if node.op == "+":
        return a + c, b + d
    if node.op == "-":
        return a - d, b - c
    corners = (a * c, a * d, b * c, b * d)
    return min(corners), max(corners)


def check_inside(node: Index, bounds: tuple[Interval, ...], loops: Loops) -> None:
    """Refuse an element that lies outside its array for some values of the loops, and say for which."""
    if loops.empty:
        return
    reaches = [loops.reach(subscript) for subscript in node.subscripts]
    outside = [k for k, ((low, high), (first, last)) in enumerate(zip(reaches, bounds, strict=True))
               if low < first or high > last]  # fmt: skip
    if not outside:
        return
    written = f"{node.name}[{', '.join(map(text, node.subscripts))}]"
    written = written if len(written) <= 60 else written[:57] + "..."
    shown = f"`{node.name}` has the elements {box(node.name, bounds)}"
    for point in itertools.chain(loops.corners(), loops.points()):
        if point is None:
            break
        values = [evaluate(subscript, loops.constants, point) for subscript in node.subscripts]
        if all(first <= value <= last for value, (first, last) in zip(values, bounds, strict=True)):
            continue
        where = ", ".join(f"{name} = {value}" for name, value in point.items())
        element = f"{node.name}[{','.join(map(str, values))}]"
        raise Complaint(
            f"`{written}` is outside the array" + (f" for {where}: `{element}`" if where else ""),
            node.span or NOWHERE,
            f"{shown}; shorten the range, or give the rows at the boundary equations of their own" if where else shown,
            NameModelError,
        )
    else:
        return
    low, high = reaches[outside[0]]
    raise Complaint(
        f"`{written}` is outside the array: its subscripts reach from {low} to {high}",
        node.span or NOWHERE,
        f"{shown}; shorten the range, or give the rows at the boundary equations of their own",
        NameModelError,
    )


def check_reduction(node: Reduce, outer: tuple[Bound, ...], constants: _Constants) -> None:
    """Refuse a reduction of too many terms, and a least or largest of none."""
    span = node.span or NOWHERE
    ranges = outer + node.ranges
    for k in range(len(outer), len(ranges)):
        bound, around = ranges[k], Loops(ranges[:k], constants)
        if around.empty:
            return
        shortest, _ = around.reach(Binary("-", bound.last, bound.first))
        if shortest < 0 and node.op in ("min", "max"):
            raise Complaint(
                f"the {node.op} over `{bound.name}` may have no terms",
                bound.span or span,
                f"make the range longer, or write if ... then {node.op}(...) else ...",
                ModelError,
            )
    count = math.prod(max(0, high - low + 1) for low, high in Loops(ranges, constants).widths())
    if count > MAX_TERMS:
        raise Complaint(
            f"this {node.op} has {count:,} terms over all elements; {MAX_TERMS:,} is the most that is computed",
            span,
            "use a smaller N, or sum over neighbours only",
            ModelError,
        )


def text(expr: Expr) -> str:
    """A checked expression as it is written."""

    def combine(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
        if isinstance(node, Num):
            return f"{node.value:.0f}", 3 if node.value >= 0.0 else 1
        if isinstance(node, Name):
            return node.name, 3
        if isinstance(node, Call):
            return f"mod({parts[0][0]}, {parts[1][0]})", 3
        if isinstance(node, Unary):
            return f"-{_in(parts[0], 3)}", 1
        assert isinstance(node, Binary)
        level = 2 if node.op == "*" else 1
        return f"{_in(parts[0], level)}{node.op}{_in(parts[1], level + 1)}", level

    return fold(expr, combine)[0]


def _in(part: tuple[str, int], level: int) -> str:
    return part[0] if part[1] >= level else f"({part[0]})"


def box(name: str, bounds: tuple[Interval, ...]) -> str:
    """The elements of an array in words: `u[1..100]`."""
    return f"{name}[{', '.join(f'{first}..{last}' for first, last in bounds)}]"
