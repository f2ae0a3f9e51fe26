"""Arrays written out element by element.

Takes a `ModelSpec` with arrays; gives sequences of its equations, initial values
and definitions in which `u[3]` is a plain name, made when they are looked at,
and `written_out(spec)`: the same model with scalars only, for all that works on
scalars.  The expressions grow with the number of elements, so both are for
models of moderate size.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

from ..errors import UnsupportedError
from ..language.ast import (
    Binary,
    Call,
    Expr,
    Index,
    Name,
    Num,
    Reduce,
    Unary,
    children,
    rebuild,
    scalar_part,
)
from .array_values import MAX_BLOCKS, initial_blocks, number
from .arrays import element_name, element_names, loops_of
from .spec import Array, Block, Constant, Definition, Event, Function, ModelSpec
from .subscripts import Loops, evaluate

MAX_WRITTEN = 5_000  # elements of states and observables
MAX_NODES = 4_000_000

T = TypeVar("T")


class Expanded(Sequence[T], Generic[T]):
    """One item for each state or definition; those of array elements are made from blocks when looked at.

    Arguments: `length`; `given`, position -> item of a scalar; `arrays` in the
    order of their positions; `blocks`, those of the kind wanted; `constants`, for
    subscripts.  Where no block gives an element the item is None.
    """

    __slots__ = ("_owners", "arrays", "blocks", "constants", "given", "length")

    def __init__(
        self,
        length: int,
        given: Mapping[int, T],
        arrays: Sequence[Array],
        blocks: Sequence[Block],
        constants: Sequence[Constant],
    ) -> None:
        self.length = length
        self.given = dict(given)
        self.arrays = tuple(arrays)
        self.blocks = tuple(blocks)
        self.constants = tuple(constants)
        self._owners: dict[str, dict[int, tuple[Block, dict[str, int]]]] = {}

    def changed(self, scalars: Sequence[T], blocks: Sequence[Block]) -> Expanded[T]:
        """The same places with other items of scalars, in their order, and other blocks."""
        given = dict(zip(self.given, scalars, strict=True))
        return type(self)(self.length, given, self.arrays, blocks, self.constants)

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, position: int) -> T: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[T, ...]: ...
    def __getitem__(self, position: int | slice) -> T | tuple[T, ...]:
        if isinstance(position, slice):
            return tuple(self[k] for k in range(*position.indices(self.length)))
        if position < 0:
            position += self.length
        if not 0 <= position < self.length:
            raise IndexError(position)
        array = self._array(position)
        if array is None:
            return self.given[position]
        owner = self._owner(array).get(position - array.start)
        expr = None
        if owner is not None:
            block, point = owner
            expr = written(block.expr, point, {c.name: c.value for c in self.constants})
        return self._item(array, position, expr)

    def _item(self, array: Array, position: int, expr: Expr | None) -> T:
        return expr  # type: ignore[return-value]

    def _array(self, position: int) -> Array | None:
        at = bisect.bisect_right([a.start for a in self.arrays], position) - 1
        array = self.arrays[at] if at >= 0 else None
        return array if array is not None and position < array.elements.stop else None

    def _owner(self, array: Array) -> dict[int, tuple[Block, dict[str, int]]]:
        """The block and the indices that give each element of an array."""
        found = self._owners.get(array.name)
        if found is None:
            found = self._owners[array.name] = {}
            known = {c.name: c.value for c in self.constants}
            for block in self.blocks:
                if block.array != array.name:
                    continue
                for point in loops_of(block.ranges, known).points(limit=10 * array.size + 10):
                    assert point is not None
                    at = 0
                    for subscript, (first, last) in zip(block.subscripts, array.bounds, strict=True):
                        at = at * (last - first + 1) + evaluate(subscript, known, point) - first
                    found[at] = (block, point)
        return found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expanded):
            return self._key() == other._key()
        if isinstance(other, tuple):
            return len(other) == self.length and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.length, tuple(sorted(self.given)), self.blocks))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.length, self.given, self.arrays, self.blocks, self.constants)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.length} items, {len(self.given)} of scalars>"


class Definitions(Expanded[Definition]):
    """`Expanded` for observables: items are `Definition`s."""

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all definitions, without their expressions."""
        found: list[str] = []
        starts = {array.start: array for array in self.arrays}
        while len(found) < self.length:
            array = starts.get(len(found))
            if array is None:
                found.append(self.given[len(found)].name)
            else:
                found += element_names(array.name, array.bounds)
        return tuple(found)

    def _item(self, array: Array, position: int, expr: Expr | None) -> Definition:
        assert expr is not None
        return Definition(_element(array, position - array.start), expr)


def _element(array: Array, position: int) -> str:
    subscripts: list[int] = []
    for first, last in reversed(array.bounds):
        position, offset = divmod(position, last - first + 1)
        subscripts.append(first + offset)
    return element_name(array.name, subscripts[::-1])


# ---------------------------------------------------------------- expressions


def written(expr: Expr, point: Mapping[str, int], constants: Mapping[str, float]) -> Expr:
    """`expr` with indices as numbers, elements as plain names, and reductions as their terms.

    Arguments: `point`, the values of the loops around `expr`.
    """
    values: list[Expr] = []
    for node in scalar_part(expr):
        if isinstance(node, Index):
            subscripts = [evaluate(s, constants, point) for s in node.subscripts]
            values.append(Name(element_name(node.name, subscripts), node.span))
        elif isinstance(node, Reduce):
            values.append(_reduction(node, point, constants))
        elif isinstance(node, Name):
            values.append(_whole(point[node.name]) if node.name in point else node)
        else:
            below = children(node)
            parts = values[len(values) - len(below) :]
            del values[len(values) - len(below) :]
            same = all(a is b for a, b in zip(parts, below, strict=True))
            values.append(node if same else rebuild(node, parts))
    return values[0]


def _whole(value: int) -> Expr:
    return Num(float(value)) if value >= 0 else Unary("-", Num(float(-value)))


def _reduction(node: Reduce, point: Mapping[str, int], constants: Mapping[str, float]) -> Expr:
    """The terms from first to last, added (multiplied) in that order."""
    terms: list[Expr] = []
    points = [dict(point)]
    for bound in node.ranges:
        points = [
            {**outer, bound.name: value}
            for outer in points
            for value in range(evaluate(bound.first, constants, outer), evaluate(bound.last, constants, outer) + 1)
        ]
    terms = [written(node.body, inner, constants) for inner in points]
    if not terms:
        return Num(1.0 if node.op == "prod" else 0.0, node.span)
    if len(terms) == 1:
        return terms[0]
    if node.op in ("min", "max"):
        return Call(node.op, tuple(terms), None, node.span)
    total = terms[0]
    for term in terms[1:]:
        total = Binary("+" if node.op == "sum" else "*", total, term, node.span)
    return total


# ---------------------------------------------------------------- models


def written_out(spec: ModelSpec, what: str = "this") -> ModelSpec:
    """The model with scalars only: elements are states, parameters and observables of their own.

    Arguments: `what` needs it, for the message.  Raises `UnsupportedError` for
    models of more than 5,000 elements, or whose sums have too many terms.
    """
    if not spec.loops:
        return spec
    size = sum(array.size for array in spec.arrays if array.kind not in ("parameter", "constant"))
    if size > MAX_WRITTEN:
        largest = max(spec.arrays, key=lambda array: array.size)
        raise UnsupportedError(
            f"{what} is not available for arrays of {size:,} elements yet: it works on models written out element by "
            f"element, up to {MAX_WRITTEN:,}",
            hint=f"`{largest.name}` has {largest.size:,} elements; a coarser grid gives the same model in small",
        )
    constants = {c.name: c.value for c in spec.constants}
    budget = MAX_NODES
    for block in spec.blocks:
        budget -= _cost(block.expr, loops_of(block.ranges, constants))
    for expr in scalar_expressions(spec):
        budget -= _cost(expr, loops_of((), constants))
    if budget < 0:
        raise UnsupportedError(
            f"{what} is not available for this model: its sums have more than {MAX_NODES:,} terms written out",
            hint="use a smaller N",
        )

    def plain(expr: Expr) -> Expr:
        return written(expr, {}, constants)

    def maybe(expr: Expr | None) -> Expr | None:
        return None if expr is None else plain(expr)

    return replace(
        spec,
        derivatives=tuple(plain(expr) for expr in spec.derivatives),
        initial=tuple(maybe(expr) for expr in spec.initial),
        definitions=tuple(Definition(d.name, plain(d.expr)) for d in spec.definitions),
        functions=tuple(Function(f.name, f.args, plain(f.body)) for f in spec.functions),
        events=tuple(_event(event, plain, constants) for event in spec.events),
        arrays=(),
        blocks=(),
        loops=False,
    )


def with_initial(spec: ModelSpec, given: Mapping[str, float]) -> ModelSpec:
    """`spec` with other initial values: numbers by the names of states and elements."""
    old = spec.initial
    assert isinstance(old, Expanded)
    scalars: dict[int, Expr | None] = {
        at: number(given[spec.states[at]]) if spec.states[at] in given else expr for at, expr in old.given.items()
    }
    blocks: list[Block] = []
    for array in (a for a in spec.arrays if a.kind == "state"):
        labels = element_names(array.name, array.bounds)
        values = [given[label] for label in labels if label in given]
        if not values:
            blocks += [block for block in old.blocks if block.array == array.name]
        elif len(values) == array.size:
            blocks += initial_blocks(array, values)
        else:
            blocks += _mixed(array, labels, old, given)
    changed = Expanded(old.length, scalars, old.arrays, blocks, old.constants)
    others = [block for block in spec.blocks if block.kind != "initial"]
    first = next((k for k, block in enumerate(others) if block.kind == "definition"), len(others))
    return replace(spec, initial=changed, blocks=(*others[:first], *blocks, *others[first:]))


def _mixed(
    array: Array, labels: list[str], old: Expanded[Expr | None], given: Mapping[str, float]
) -> Iterator[Block]:
    """Some elements changed: every element has a block of its own."""
    if array.size > MAX_BLOCKS:
        raise UnsupportedError(
            f"single initial values of `{array.name}` cannot be changed: it has {array.size:,} elements",
            hint=f'give all of them, {{"{array.name}": values}}, or give u0 when solving',
        )
    for k, label in enumerate(labels):
        expr = number(given[label]) if label in given else old[array.start + k]
        if expr is None:
            continue
        subscripts = tuple(number(float(s)) for s in map(int, label[len(array.name) + 1 : -1].split(",")))
        yield Block(array.name, subscripts, (), expr, "initial")


def initial_expressions(spec: ModelSpec) -> list[Expr]:
    """What the text says of initial values: of scalars, and of arrays as in their blocks."""
    initial = spec.initial
    scalars = initial.given.values() if isinstance(initial, Expanded) else initial
    blocks = [block.expr for block in spec.blocks if block.kind == "initial"]
    return [expr for expr in scalars if expr is not None] + blocks


def scalar_expressions(spec: ModelSpec) -> list[Expr]:
    """Every expression of a model that is not in a block: of scalars, functions and events."""
    found: list[Expr | None] = []
    for sequence in (spec.derivatives, spec.initial):
        found += sequence.given.values() if isinstance(sequence, Expanded) else sequence
    found += [d.expr for d in scalar_definitions(spec)]
    found += [f.body for f in spec.functions]
    for event in spec.events:
        found += [event.condition, event.time, event.period, event.start, event.stop]
        found += [expr for _, expr in event.assignments]
    return [expr for expr in found if expr is not None]


def scalar_definitions(spec: ModelSpec) -> list[Definition]:
    """The observables that are not elements of arrays."""
    definitions = spec.definitions
    return list(definitions.given.values() if isinstance(definitions, Expanded) else definitions)


def _cost(expr: Expr, loops: Loops) -> int:
    """Number of operations of `expr` over all points of the loops around it, from above."""
    points = math.prod(max(0, last - first + 1) for first, last in loops.widths())
    total = 0
    for node in scalar_part(expr):
        total += points
        if isinstance(node, Reduce):
            total += _cost(node.body, loops.inside(node.ranges))
    return total


def _event(event: Event, plain: Any, constants: Mapping[str, float]) -> Event:
    assignments = [(name, plain(expr)) for name, expr in event.assignments]
    for block in event.blocks:
        for point in loops_of(block.ranges, constants).points(limit=MAX_NODES):
            assert point is not None
            subscripts = [evaluate(s, constants, point) for s in block.subscripts]
            assignments.append((element_name(block.array, subscripts), written(block.expr, point, constants)))
    return replace(
        event,
        condition=None if event.condition is None else plain(event.condition),
        time=None if event.time is None else plain(event.time),
        period=None if event.period is None else plain(event.period),
        start=None if event.start is None else plain(event.start),
        stop=None if event.stop is None else plain(event.stop),
        assignments=tuple(assignments),
        blocks=(),
    )
