"""Arrays as one quantity each: what rules about values look at.

Takes a model with arrays; gives one of scalars in which every array is a single
state, parameter or observable that stands for all its elements, an index is a
parameter between the ends of its range, and a sum is its term times the number
of terms.  What holds of the range of each quantity there holds of every
element, however many there are.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..language.ast import (
    Binary,
    Expr,
    IfElse,
    Index,
    Name,
    Num,
    Reduce,
    children,
    fold,
    names,
    rebuild,
    scalar_part,
)
from ..language.names import TIME
from ..model.arrays import loops_of
from ..model.dependencies import free_names, order
from ..model.expanded import Expanded, scalar_definitions
from ..model.spec import Array, Block, Definition, Event, Function, ModelSpec, Parameter
from ..model.subscripts import Loops


class Collapsed:
    """`spec` is the model of scalars; `indices` are the parameters that stand for loop indices and arrays of constants,
    `numbers` the array parameters whose elements have defaults of both signs."""

    def __init__(self, spec: ModelSpec) -> None:
        self.constants = {c.name: c.value for c in spec.constants}
        self.bounds: dict[str, tuple[float, float]] = {}
        self.numbers: set[str] = set()
        self.original = spec
        self.spec = self._collapse(spec) if spec.loops else spec
        self.indices = frozenset(self.bounds)

    def _collapse(self, spec: ModelSpec) -> ModelSpec:
        plain = self.plain
        tables = [a for a in spec.arrays if a.kind == "constant"]
        for array in tables:  # the numbers of an array of constants are a range, as those of an index
            values = [c.value for c in spec.constants[array.elements]]
            self.bounds[array.name] = (min(values), max(values))
        elements = {k for array in tables for k in range(array.start, array.start + array.size)}
        derivatives = [plain(expr) for expr in _given(spec.derivatives) if expr is not None]
        initial = [None if expr is None else plain(expr) for expr in _given(spec.initial)]
        states = self._names(spec.states, "state")
        for array in (a for a in spec.arrays if a.kind == "state"):
            said = self._said(array, "derivative")
            assert said is not None
            states.append(array.name)
            derivatives.append(said)
            initial.append(self._said(array, "initial"))
        definitions = [Definition(d.name, plain(d.expr)) for d in scalar_definitions(spec)]
        for array in (a for a in spec.arrays if a.kind == "observable"):
            said = self._said(array, "definition")
            assert said is not None
            definitions.append(Definition(array.name, said))
        if spec.recursive:
            definitions = _without_recurrences(definitions, {f.name: (f.args, f.body) for f in spec.functions})
        functions = tuple(Function(f.name, f.args, plain(f.body)) for f in spec.functions)
        events = tuple(self._event(event) for event in spec.events)
        places = {a.start: a for a in spec.arrays if a.kind == "parameter"}
        parameters: list[Parameter] = []
        position = 0
        while position < len(spec.parameters):
            array_here = places.get(position)
            if array_here is None:
                parameters.append(spec.parameters[position])
                position += 1
            else:
                parameters.append(self._parameter(array_here, spec.parameters[array_here.elements]))
                position += array_here.size
        indices = [Parameter(name, None, float(low), float(high)) for name, (low, high) in self.bounds.items()]
        return replace(
            spec,
            states=tuple(states),
            derivatives=tuple(derivatives),
            initial=tuple(initial),
            parameters=(*parameters, *indices),
            constants=tuple(c for k, c in enumerate(spec.constants) if k not in elements),
            definitions=tuple(definitions),
            functions=functions,
            events=events,
            algebraic=tuple(dict.fromkeys(name.partition("[")[0] for name in spec.algebraic)),
            arrays=(),
            blocks=(),
            loops=False,
        )

    def _names(self, names: tuple[str, ...], kind: str) -> list[str]:
        taken = {k for a in self.original.arrays if a.kind == kind for k in range(a.start, a.start + a.size)}
        return [name for k, name in enumerate(names) if k not in taken] if taken else list(names)

    def _said(self, array: Array, kind: str) -> Expr | None:
        """What the blocks say of an array, as one of several cases."""
        blocks = [b for b in self.original.blocks if b.array == array.name and b.kind == kind]
        if not blocks:
            return None
        found = self._block(blocks[-1])
        for block in reversed(blocks[:-1]):
            found = IfElse(Binary("<", Name(TIME), Num(0.0)), self._block(block), found)
        return found

    def _block(self, block: Block) -> Expr:
        return self.plain(block.expr, loops_of(block.ranges, self.constants))

    def plain(self, expr: Expr, loops: Loops | None = None) -> Expr:
        """`expr` with elements as their arrays, and reductions as multiples of their terms."""
        around = loops or loops_of((), self.constants)
        for bound, (low, high) in zip(around.ranges, around.widths(), strict=True):
            known = self.bounds.get(bound.name, (low, high))
            self.bounds[bound.name] = (min(low, known[0]), max(high, known[1]))
        values: list[Expr] = []
        for node in scalar_part(expr):
            if isinstance(node, Index):
                values.append(Name(node.name, node.span))
            elif isinstance(node, Reduce):
                values.append(self._reduction(node, around.inside(node.ranges), len(around.ranges)))
            else:
                count = len(children(node))
                parts = values[len(values) - count :]
                del values[len(values) - count :]
                values.append(rebuild(node, parts) if parts else node)
        return values[0]

    def _reduction(self, node: Reduce, loops: Loops, outer: int) -> Expr:
        body = self.plain(node.body, loops)
        count = math.prod(max(1, high - low + 1) for low, high in loops.widths()[outer:])
        if node.op in ("min", "max"):
            return body
        return Binary("*" if node.op == "sum" else "^", body, Num(float(count)), node.span)

    def _event(self, event: Event) -> Event:
        def maybe(expr: Expr | None) -> Expr | None:
            return None if expr is None else self.plain(expr)

        return replace(
            event,
            condition=maybe(event.condition),
            time=maybe(event.time),
            period=maybe(event.period),
            start=maybe(event.start),
            stop=maybe(event.stop),
            assignments=(
                *((name, self.plain(expr)) for name, expr in event.assignments),
                *((block.array, self._block(block)) for block in event.blocks),
            ),
            blocks=(),
        )

    def _parameter(self, array: Array, items: tuple[Parameter, ...]) -> Parameter:
        lower, upper = min(p.lower for p in items), max(p.upper for p in items)
        given = [p.default for p in items if p.default is not None]
        default = given[0] if len(given) == len(items) else None
        if given and min(given) < 0.0 < max(given):
            self.numbers.add(array.name)
            default = None
        return Parameter(array.name, default, lower, upper, all(p.log for p in items))


def _without_recurrences(
    definitions: list[Definition], bodies: dict[str, tuple[tuple[str, ...], Expr]]
) -> list[Definition]:
    """Definitions in which an array that is made of its own elements may have any value."""
    said = {d.name: d.expr for d in definitions}
    needs = {name: sorted(free_names(expr, bodies) & said.keys()) for name, expr in said.items()}
    anything = Binary("-", Name(TIME), Name(TIME))  # a difference of two times has any value
    while (cycle := order(needs)[1]) is not None:
        name, other = cycle[0], cycle[1]
        called = other not in names(said[name])  # only through a function
        said[name] = anything if called else _exchanged(said[name], other, anything)
        needs[name] = [] if called else sorted(free_names(said[name], bodies) & said.keys())
    return [Definition(name, expr) for name, expr in said.items()]


def _exchanged(expr: Expr, name: str, new: Expr) -> Expr:
    def combine(node: Expr, parts: list[Expr]) -> Expr:
        return new if isinstance(node, Name) and node.name == name else rebuild(node, parts)

    return fold(expr, combine)


def _given(sequence: object) -> list[Expr | None]:
    """The items of scalars."""
    if isinstance(sequence, Expanded):
        return list(sequence.given.values())
    assert isinstance(sequence, tuple)
    return list(sequence)
