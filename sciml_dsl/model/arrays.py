"""Statements about elements -> arrays and blocks.

Collects what a text says of the elements of each array, `u[i]' = ... for i in
2..N-1`, evaluates the ranges, finds the box the elements fill, and refuses
elements without an equation or with two.  The work grows with the number of
statements; where it must look at elements it does so by stretches.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import ModelError, NameModelError
from ..language.ast import Bound, Expr, Name, Num, Span
from ..language.complaint import Complaint
from ..language.names import MATH_CONSTANTS, TIME
from .spec import Block, Range
from .subscripts import NOWHERE, Interval, Loops, affine, box, check_integer, evaluate

MAX_ELEMENTS = 2_000_000
MAX_COMPUTED = 100_000  # elements on the left looked at one by one
MAX_DIMENSIONS = 8

Bounds = tuple[Interval, ...]


@dataclass
class Said:
    """One statement about elements: `subscripts` and `ranges` as written, and what it says of them."""

    subscripts: tuple[Expr, ...]
    ranges: tuple[Bound, ...]
    expr: Expr
    span: Span
    evaluated: tuple[Range, ...] = ()

    def bounds(self) -> tuple[Bound, ...]:
        """The evaluated ranges as bounds of numbers."""
        return tuple(Bound(r.name, Num(float(r.first)), Num(float(r.last))) for r in self.evaluated)

    def block(self, array: str, kind: str, expr: Expr) -> Block:
        return Block(array, self.subscripts, self.evaluated, expr, kind)


@dataclass
class Gathered:
    """All statements that make an array."""

    name: str
    kind: str
    said: list[Said] = field(default_factory=list)
    order: int = 1
    bounds: Bounds = ()

    @property
    def size(self) -> int:
        return math.prod(last - first + 1 for first, last in self.bounds)


class Ranges:
    """Evaluates the ranges of statements: numbers and constants become whole numbers.

    `kinds` are the names of the model, which no index may take; `describe` says
    in words what a name is.
    """

    def __init__(self, constants: Mapping[str, float], kinds: Mapping[str, str], describe: Callable[[str], str | None]):
        self.constants = constants
        self.kinds = kinds
        self.describe = describe

    def check_index(self, bound: Bound, outer: Sequence[str], local: Sequence[str] = ()) -> None:
        """Refuse an index that has another meaning already."""
        name, span = bound.name, bound.span or NOWHERE
        if name in outer:
            message, hint = f"`{name}` is the index of two ranges, one inside the other", "choose another letter"
        elif name in self.kinds or name in local:
            what = f"{self.describe(name)} of the model" if name in self.kinds else "an argument of the function"
            message, hint = f"the index `{name}` is {what} already", "choose another letter"
        elif name == TIME or name in MATH_CONSTANTS:
            message, hint = f"`{name}` cannot be an index", "choose another letter: i, j, k"
        else:
            return
        raise Complaint(message, span, hint, NameModelError)

    def ends(self, bound: Bound, outer: Sequence[str]) -> None:
        """Check that both ends are whole-number expressions."""
        for end in (bound.first, bound.last):
            check_integer(end, self.constants, outer, self.describe, left=False)

    def evaluate(self, said: Said) -> tuple[Range, ...]:
        """The ranges of a statement, each of fixed length."""
        found: list[Range] = []
        for bound in said.ranges:
            self.check_index(bound, [r.name for r in found])
            self.ends(bound, ())
            first, last = (evaluate(end, self.constants, {}) for end in (bound.first, bound.last))
            span = Span((bound.first.span or NOWHERE).start, (bound.last.span or NOWHERE).end)
            if last < first:
                raise Complaint(
                    f"the range {first}..{last} of `{bound.name}` is empty",
                    span,
                    "the smaller end comes first",
                    ModelError,
                )
            check_count(last - first + 1, span)
            found.append(Range(bound.name, first, last))
        check_count(math.prod(len(r) for r in found), said.ranges[0].span or NOWHERE if said.ranges else NOWHERE)
        return tuple(found)

    def check_subscript(self, subscript: Expr, indices: Sequence[str]) -> None:
        """Refuse what is no whole-number expression of indices and constants."""
        check_integer(subscript, self.constants, indices, self.describe)

    def subscripts(self, said: Said) -> None:
        """Check the subscripts on the left, and that every range appears in them."""
        names = [r.name for r in said.evaluated]
        for subscript in said.subscripts:
            check_integer(subscript, self.constants, names, self.describe)
        used = {node for s in said.subscripts for node in affine_names(s)}
        for bound in said.ranges:
            if bound.name not in used:
                raise Complaint(
                    f"`{bound.name}` does not appear in the subscripts on the left",
                    bound.span or NOWHERE,
                    "each range belongs to a subscript; a sum over it is written sum(... for i in 1..N)",
                    ModelError,
                )


def affine_names(expr: Expr) -> set[str]:
    """Names in a subscript."""
    from ..language.ast import names

    return names(expr)


def check_count(count: int, span: Span) -> None:
    """Refuse arrays beyond any use."""
    if count > MAX_ELEMENTS:
        raise Complaint(
            f"{count:,} elements are more than the {MAX_ELEMENTS:,} a model may have",
            span,
            "use a smaller N",
            ModelError,
        )


def loops_of(ranges: Sequence[Range], constants: Mapping[str, float]) -> Loops:
    """Evaluated ranges as loops."""
    return Loops(tuple(Bound(r.name, Num(float(r.first)), Num(float(r.last))) for r in ranges), constants)


def enclose(array: Gathered, constants: Mapping[str, float]) -> Bounds:
    """The smallest box that holds every element the statements speak of."""
    bounds: list[Interval] = []
    dimensions = len(array.said[0].subscripts)
    if dimensions > MAX_DIMENSIONS:
        raise Complaint(
            f"`{array.name}` has {dimensions} subscripts; {MAX_DIMENSIONS} is the most",
            array.said[0].span,
            None,
            ModelError,
        )
    for said in array.said:
        if len(said.subscripts) != dimensions:
            raise Complaint(
                f"`{array.name}` has {plural(dimensions, 'subscript')} elsewhere and {len(said.subscripts)} here",
                said.span,
                "all elements of an array have the same number of subscripts",
                ModelError,
            )
    for k in range(dimensions):
        reaches = [loops_of(said.evaluated, constants).reach(said.subscripts[k]) for said in array.said]
        bounds.append((min(low for low, _ in reaches), max(high for _, high in reaches)))
    size = math.prod(last - first + 1 for first, last in bounds)
    if size > MAX_ELEMENTS:
        check_count(size, array.said[0].span)
    return tuple(bounds)


class Cover:
    """Which elements of a box have been given, stretch by stretch."""

    def __init__(self, name: str, bounds: Bounds, constants: Mapping[str, float]) -> None:
        self.name = name
        self.bounds = bounds
        self.constants = constants
        self.marks = bytearray(math.prod(last - first + 1 for first, last in bounds))

    def add(self, said: Said) -> int | None:
        """Mark the elements of a statement; the position of one that was given before, or None."""
        for start, stop, step in self.stretches(said):
            taken = self.marks.find(1, start, stop) if step == 1 else self.marks[start:stop:step].find(1) * step + start
            if taken >= start:
                return taken
            self.marks[start:stop:step] = b"\x01" * len(range(start, stop, step))
        return None

    def missing(self) -> int | None:
        """The first element that was not given."""
        position = self.marks.find(0)
        return None if position < 0 else position

    def element(self, position: int) -> str:
        """The name of the element at a position of the box."""
        subscripts: list[int] = []
        for first, last in reversed(self.bounds):
            position, offset = divmod(position, last - first + 1)
            subscripts.append(first + offset)
        return element_name(self.name, reversed(subscripts))

    def stretches(self, said: Said) -> Iterator[tuple[int, int, int]]:
        """The positions of a statement's elements as `range(start, stop, step)`, in increasing steps."""
        steps = self._progressions(said)
        if steps is None:
            for point in loops_of(said.evaluated, self.constants).points(limit=MAX_COMPUTED):
                if point is None:
                    raise Complaint(
                        f"more than {MAX_COMPUTED:,} elements with subscripts that are not plain indices",
                        said.span,
                        f"write {self.name}[i] on the left, and compute subscripts on the right",
                        ModelError,
                    )
                position = self._position([evaluate(s, self.constants, point) for s in said.subscripts])
                yield position, position + 1, 1
            return
        strides = _strides(self.bounds)
        *outer, inner = [
            [(value - first) * stride for value in values]
            if k < len(steps) - 1
            else range(values.start - first, values.stop - first, values.step)
            for k, (values, (first, _), stride) in enumerate(zip(steps, self.bounds, strides, strict=True))
        ]
        assert isinstance(inner, range)
        for offsets in itertools.product(*outer):
            base = sum(offsets)
            yield base + inner.start, base + inner[-1] + 1, inner.step

    def _progressions(self, said: Said) -> list[range] | None:
        """Each subscript as an arithmetic progression of its own index, or None where they are mixed."""
        found: list[range] = []
        left = {r.name: r for r in said.evaluated}
        for subscript in said.subscripts:
            form = affine(subscript, self.constants, [r.name for r in said.evaluated])
            if form is None or len(form) > 2:
                return None
            names = [name for name in form if name]
            if not names:
                found.append(range(form[""], form[""] + 1))
                continue
            own = left.pop(names[0], None)
            if own is None:
                return None
            factor = form[names[0]]
            ends = sorted((factor * own.first + form[""], factor * own.last + form[""]))
            found.append(range(ends[0], ends[1] + 1, abs(factor)))
        return found

    def _position(self, subscripts: list[int]) -> int:
        strides = _strides(self.bounds)
        return sum((s - first) * stride for s, (first, _), stride in zip(subscripts, self.bounds, strides, strict=True))


def _strides(bounds: Bounds) -> list[int]:
    strides = [1]
    for first, last in reversed(bounds[1:]):
        strides.append(strides[-1] * (last - first + 1))
    return strides[::-1]


def element_name(array: str, subscripts: Iterator[int] | Sequence[int]) -> str:
    """`u[1]`, `w[2,3]`."""
    return f"{array}[{','.join(map(str, subscripts))}]"


def element_names(array: str, bounds: Bounds) -> list[str]:
    """The names of all elements, the last subscript fastest."""
    *outer, (first, last) = bounds
    ends = [f"{k}]" for k in range(first, last + 1)]
    heads = [array + "["]
    for low, high in outer:
        heads = [f"{head}{k}," for head in heads for k in range(low, high + 1)]
    return [head + end for head in heads for end in ends]


def complete(
    array: Gathered, constants: Mapping[str, float], what: str, twice: Callable[[str, Said], Complaint]
) -> None:
    """Refuse an element given twice (`twice` makes the complaint) or not at all."""
    cover = Cover(array.name, array.bounds, constants)
    for said in array.said:
        taken = cover.add(said)
        if taken is not None:
            raise twice(cover.element(taken), said)
    missing = cover.missing()
    if missing is not None:
        element = cover.element(missing)
        raise Complaint(
            f"`{element}` has no {what}, and the array `{array.name}` reaches over {box(array.name, array.bounds)}",
            array.said[0].span,
            f"write {element}{chr(39) * array.order if array.kind == 'state' else ''} = ..., "
            "or change the ranges so that the elements fill a box",
            ModelError,
        )


def spread(said: Said, bounds: Bounds, taken: Sequence[str]) -> Said:
    """`u(0) = a` and `u[i](0) = f(i)` without a range hold for all elements: the same with its ranges."""
    free = iter(name for name in "ijklmnpqrsabcdfgh" if name not in taken)
    subscripts = list(said.subscripts or (None,) * len(bounds))
    ranges = list(said.evaluated)
    known = {r.name for r in ranges}
    for k, (subscript, (first, last)) in enumerate(zip(subscripts, bounds, strict=True)):
        if subscript is None:
            name = next((name for name in free if name not in known), f"i{k}")
        elif isinstance(subscript, Name) and subscript.name not in taken and subscript.name not in known:
            name = subscript.name
        else:
            continue
        subscripts[k] = Name(name)
        known.add(name)
        ranges.append(Range(name, first, last))
    checked = tuple(s for s in subscripts if s is not None)
    return Said(checked, said.ranges, said.expr, said.span, tuple(ranges))


def plural(count: int, word: str) -> str:
    """`1 subscript`, `2 subscripts`."""
    return f"{count} {word}{'' if count == 1 else 's'}"
