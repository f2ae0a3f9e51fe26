"""Statements about elements -> nests of loops: what `loops.lower_loops` is made by.

Takes a spec with arrays; names become elements of vectors at linear places, and
definitions become temporary arrays or are written out where they are used.  Ranges
are cut where a subscript wraps around (`mod`) or a definition changes from one
statement to the next, so that nearly all subscripts become linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UnsupportedError
from ..language import ast
from ..model.spec import Array, Block, Event, ModelSpec
from . import integers
from .build import Builder
from .graph import Graph
from .integers import Affine, LoopIndex, whole
from .loops import LoopEvent, LoopSystem, Nest
from .removable import Removable

MOST_PIECES = 64
"""A statement is cut into no more loops than this; then remainders and choices stay in the body."""

OF_DEFINITIONS = 1000
"""Levels of loops set apart for each scalar definition."""

KINDS = {"state": "state", "parameter": "param"}


class _Split(Exception):
    """The loop over `loop` must be cut before `at`."""

    def __init__(self, loop: LoopIndex, at: int) -> None:
        self.loop, self.at = loop, at


@dataclass(frozen=True)
class _Box:
    """The elements a definition statement covers: its loops, their place by subscript, its target."""

    block: Block
    loops: tuple[LoopIndex, ...]
    target: tuple[Affine, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


class LoopBuilder(Builder):
    """One model: its statements become nests, its definitions temporaries or expressions."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.graph = g = Graph()
        self.removable = Removable(g)
        self.repaired = {}
        self.names = {"t": g.leaf("t"), "e": g.const(math.e)}
        for alias in ("pi", "π"):
            self.names[alias] = g.const(math.pi)
        self.whole: dict[str, int] = {}
        for k in self._scalars("constant", len(spec.constants)):
            constant = spec.constants[k]
            self.names[constant.name] = g.const(constant.value)
            if float(constant.value).is_integer():
                self.whole[constant.name] = int(constant.value)
        self.tables: dict[str, tuple[int, tuple[float, ...]]] = {}  # array of constants -> where it begins, its values
        start = 0
        for array in (a for a in spec.arrays if a.kind == "constant"):
            self.tables[array.name] = start, tuple(c.value for c in spec.constants[array.elements])
            start += array.size
        self.arrays = {array.name: array for array in spec.arrays}
        self.state_at: dict[str, int] = {}
        for i in self._scalars("state", len(spec.states)):
            self.state_at[spec.states[i]] = i
            self.names[spec.states[i]] = g.leaf("state", i)
        for i in self._scalars("parameter", len(spec.parameters)):
            self.names[spec.parameters[i].name] = g.leaf("param", i)
        self.scalar_definitions = {
            spec.definitions[k].name: k for k in self._scalars("observable", len(spec.definitions))
        }
        for k, given in enumerate(spec.inputs):
            self.names[given.name] = g.input(k, g.leaf("t"))
        self.functions = {f.name: f for f in spec.functions}
        self.networks = {net.name: k for k, net in enumerate(spec.networks)}
        self.blocks: dict[tuple[str, str], list[Block]] = {}
        for block in spec.blocks:
            self.blocks.setdefault((block.array, block.kind), []).append(block)
        self._boxes: dict[str, list[_Box]] = {}
        self._heavy: dict[str, bool] = {}
        self._temps: dict[str, tuple[int, int]] = {}  # array -> (start, stage)
        self._open: list[object] = []
        self._nests: list[Nest] = []
        self._n_temps = 0
        self._sources: dict[int, tuple[Array, tuple[Affine, ...]]] = {}
        self._pieces = 0
        self._level = 0

    def _scalars(self, kind: str, count: int) -> Iterator[int]:
        """Positions that belong to no array."""
        at = 0
        for array in sorted((a for a in self.spec.arrays if a.kind == kind), key=lambda a: a.start):
            yield from range(at, array.start)
            at = array.start + array.size
        yield from range(at, count)

    def loops(self) -> LoopSystem:
        spec = self.spec
        rhs = [Nest((), whole(i), self.lower(spec.derivatives[i])) for i in self._scalars("state", len(spec.states))]
        rhs += self._all("derivative", "state")
        observables = [Nest((), whole(k), self.definition(name)) for name, k in self.scalar_definitions.items()]
        observables += self._all("definition", "observable")
        initial = [
            Nest((), whole(i), self.lower(expr))
            for i in self._scalars("state", len(spec.states))
            if (expr := spec.initial[i]) is not None
        ]
        initial += self._all("initial", "state")
        return LoopSystem(
            name=spec.name,
            graph=self.graph,
            n=len(spec.states),
            n_params=len(spec.parameters),
            n_observables=len(spec.definitions),
            networks=spec.networks,
            arrays=spec.arrays,
            rhs=tuple(rhs),
            observables=tuple(observables),
            initial=tuple(initial),
            events=tuple(event for k, e in enumerate(spec.events) for event in self._loop_events(k, e)),
            inputs=tuple(given.name for given in spec.inputs),
            temporaries=tuple(self._nests),
            n_temps=self._n_temps,
            constants=tuple(value for _, values in self.tables.values() for value in values),
            builder=self,
        )

    def _all(self, block_kind: str, array_kind: str) -> list[Nest]:
        return [
            nest
            for array in self.spec.arrays
            if array.kind == array_kind
            for block in self.blocks.get((array.name, block_kind), ())
            for nest in self.statement(block, array.start)
        ]

    # ------------------------------------------------------------ statements

    def statement(self, block: Block, start: int) -> list[Nest]:
        """The nests of one statement, cut where subscripts ask for it."""
        array = self.arrays[block.array]
        before, self._pieces = self._pieces, 0
        ranges = [(r.name, r.first, r.last) for r in block.ranges]
        nests = list(self._cut(block, array, start, ranges))
        self._pieces = before
        return nests

    def _cut(self, block: Block, array: Array, start: int, ranges: list[tuple[str, int, int]]) -> Iterator[Nest]:
        loops = [LoopIndex(name, whole(a), whole(b), k) for k, (name, a, b) in enumerate(ranges)]
        values = {loop.name: integers.index(loop) for loop in loops}
        outer, self._level = self._level, len(loops)
        try:
            subscripts = tuple(self.integer(s, values) for s in block.subscripts)
            node = self.lower(block.expr, None, values)
        except _Split as split:
            self._pieces += 1
            k = loops.index(split.loop)
            name, first, last = ranges[k]
            self._level = outer
            yield from self._cut(block, array, start, [*ranges[:k], (name, first, split.at - 1), *ranges[k + 1 :]])
            yield from self._cut(block, array, start, [*ranges[:k], (name, split.at, last), *ranges[k + 1 :]])
            return
        finally:
            self._level = outer
        kept = tuple(loop for loop in loops if loop.first != loop.last)
        yield Nest(kept, _position(array, subscripts) + start, node)

    def split(self, a: Affine, bound: int) -> None:
        """Cut the loop along which `a` crosses `bound`, if there is one and it may still be cut."""
        if self._pieces >= MOST_PIECES:
            return
        found = integers.first_at_least(a, bound)
        if found is not None:
            loop, at = found
            if loop.first.constant < at <= loop.last.constant:
                raise _Split(loop, at)

    # ------------------------------------------------------------ expressions

    def lower(
        self,
        expr: ast.Expr,
        local: Mapping[str, int] | None = None,
        whole_names: Mapping[str, Affine] | None = None,
    ) -> int:
        """The node of `expr`; `local` holds the arguments of an inlined function, `whole_names`
        loop indices and what else is a whole number."""
        local = local or {}
        known = whole_names or {}

        def combine(node: ast.Expr, parts: list[int]) -> int:
            if isinstance(node, ast.Name):
                if node.name in local:
                    return local[node.name]
                return self.graph.whole(known[node.name]) if node.name in known else self.name(node.name)
            if isinstance(node, ast.Index):
                return self.element(node, known)
            if isinstance(node, ast.Reduce):
                return self._reduction(node, node.ranges, local, known)
            if isinstance(node, ast.Call):
                return self._inlined_call(node, parts, known)
            return self._operation(node, parts)

        return _fold(expr, combine)

    def _inlined_call(self, node: ast.Call, parts: list[int], known: Mapping[str, Affine]) -> int:
        """A call; arguments that are whole numbers may be subscripts in the body of a function."""
        if node.func not in self.functions:
            return self._call(node, parts)
        function = self.functions[node.func]
        arguments: dict[str, Affine] = {}
        for name, expr in zip(function.args, node.args, strict=True):
            value = self._maybe_integer(expr, known)
            if value is not None:
                arguments[name] = value
        return self.lower(function.body, dict(zip(function.args, parts, strict=True)), arguments)

    def name(self, name: str) -> int:
        """A scalar: state, parameter, constant or definition."""
        if name not in self.names and name in self.scalar_definitions:
            return self.definition(name)
        if name not in self.names:  # a single element by its name, `u[3]`
            return self.names.setdefault(name, self._element_named(name))
        return self.names[name]

    def _element_named(self, name: str) -> int:
        head, _, rest = name.partition("[")
        array = self.arrays[head]
        return self._element_at(array, tuple(whole(int(k)) for k in rest.rstrip("]").split(",")), None)

    def definition(self, name: str) -> int:
        """The node of a scalar definition, lowered once."""
        if name not in self.names:
            outer = self._level, self._pieces
            # an index of a definition must not be that of a loop in which it is used
            self._level, self._pieces = OF_DEFINITIONS * (1 + self.scalar_definitions[name]), 0
            self.names[name] = self.lower(self.spec.definitions[self.scalar_definitions[name]].expr)
            self._level, self._pieces = outer
        return self.names[name]

    def _maybe_integer(self, expr: ast.Expr, known: Mapping[str, Affine]) -> Affine | None:
        for node in ast.postorder(expr):
            if isinstance(node, ast.Num):
                fits = node.value.is_integer()
            elif isinstance(node, ast.Name):
                fits = node.name in known or node.name in self.whole
            elif isinstance(node, ast.Binary):
                fits = node.op in ("+", "-", "*")
            else:
                fits = (isinstance(node, ast.Unary) and node.op == "-") or (
                    isinstance(node, ast.Call) and node.func == "mod"
                )
            if not fits:
                return None
        return self.integer(expr, known)

    def integer(self, expr: ast.Expr, known: Mapping[str, Affine]) -> Affine:
        """A subscript or the end of a range."""

        def combine(node: ast.Expr, parts: list[Affine]) -> Affine:
            if isinstance(node, ast.Num) and node.value.is_integer():
                return whole(int(node.value))
            if isinstance(node, ast.Name) and node.name in known:
                return known[node.name]
            if isinstance(node, ast.Name) and node.name in self.whole:
                return whole(self.whole[node.name])
            if isinstance(node, ast.Unary) and node.op == "-":
                return -parts[0]
            if isinstance(node, ast.Binary) and node.op in ("+", "-", "*"):
                a, b = parts
                return a + b if node.op == "+" else a - b if node.op == "-" else integers.times(a, b)
            if isinstance(node, ast.Call) and node.func == "mod":
                return self._remainder(*parts)
            raise self._unsupported("a subscript must be made of whole numbers and indices with + - * and mod", node)

        return ast.fold(expr, combine)

    def _remainder(self, a: Affine, b: Affine) -> Affine:
        result = integers.remainder(a, b)
        if b.is_constant and b.constant > 0 and any(not isinstance(atom, LoopIndex) for atom, _ in result.terms):
            low, high = integers.interval(a)
            if high // b.constant - low // b.constant <= 4:  # turns of the wheel worth a loop each
                self.split(a, b.constant * (low // b.constant + 1))
        return result

    def _reduction(
        self,
        node: ast.Reduce,
        ranges: Sequence[ast.Bound],
        local: Mapping[str, int],
        known: Mapping[str, Affine],
    ) -> int:
        if not ranges:
            return self.lower(node.body, local, known)
        bound, rest = ranges[0], ranges[1:]
        first, last = self.integer(bound.first, known), self.integer(bound.last, known)

        def body(value: Affine) -> int:
            return self._reduction(node, rest, local, {**known, bound.name: value})

        return self._accumulate(node.op, bound.name, first, last, body)

    def _accumulate(self, op: str, name: str, first: Affine, last: Affine, body: Callable[[Affine], int]) -> int:
        g = self.graph
        if first.is_constant and last.is_constant and last.constant < first.constant:
            return g.const({"sum": 0.0, "prod": 1.0, "min": math.inf, "max": -math.inf}[op])
        loop = LoopIndex(name, first, last, self._level)
        self._level += 1
        try:
            made = body(integers.index(loop))
        except _Split as split:
            if split.loop != loop:
                raise
            self._pieces += 1
            self._level -= 1
            left = self._accumulate(op, name, first, whole(split.at - 1), body)
            right = self._accumulate(op, name, whole(split.at), last, body)
            self._level += 1
            return g.call({"sum": "add", "prod": "mul"}.get(op, op), left, right)
        finally:
            self._level -= 1
        return g.reduce(op, loop, made)

    # ------------------------------------------------------------ elements

    def element(self, node: ast.Index, known: Mapping[str, Affine]) -> int:
        """An element of an array."""
        subscripts = tuple(self.integer(s, known) for s in node.subscripts)
        return self._element_at(self.arrays[node.name], subscripts, node)

    def _element_at(self, array: Array, subscripts: tuple[Affine, ...], node: ast.Index | None) -> int:
        if array.kind == "observable":
            return self._defined(array, subscripts, node)
        if array.kind == "constant":
            return self._tabulated(array, subscripts)
        return self.graph.element(KINDS[array.kind], self._inside(array, subscripts, array.start))

    def _tabulated(self, array: Array, subscripts: tuple[Affine, ...]) -> int:
        """An element of an array of constants: a number where it is always the same one."""
        start, values = self.tables[array.name]
        at = self._inside(array, subscripts, 0)
        low, high = integers.interval(at)
        if len(set(values[low : high + 1])) == 1:
            return self.graph.const(values[low])
        return self.graph.element("const", at + start)

    def _inside(self, array: Array, subscripts: tuple[Affine, ...], start: int) -> Affine:
        """The position of an element; held inside the array where that is not plain to see."""
        at = _position(array, subscripts) + start
        return integers.clamp(at, start, start + array.size - 1)

    def _defined(self, array: Array, subscripts: tuple[Affine, ...], node: ast.Index | None) -> int:
        boxes = self._candidates(array, subscripts)
        if len(boxes) > 1:
            for d, subscript in enumerate(subscripts):
                low, high = integers.interval(subscript)
                for edge in sorted({e for box in boxes for e in (box.low[d], box.high[d] + 1)}):
                    if low < edge <= high:
                        self.split(subscript, edge)
        if self.is_heavy(array) and ("temp", array.name) not in self._open:
            start, _ = self._temp(array)
            leaf = self.graph.element("temp", self._inside(array, subscripts, start))
            self._sources[leaf] = (array, subscripts)
            return leaf
        return self._write_out(array, boxes, subscripts, node)

    def _write_out(
        self, array: Array, boxes: list[_Box], subscripts: tuple[Affine, ...], node: ast.Index | None
    ) -> int:
        g = self.graph
        value = self._body(array, boxes[-1], subscripts, node, len(boxes) > 1)
        for box in reversed(boxes[:-1]):
            inside = self._is_inside(box, subscripts)
            value = g.select(inside, self._body(array, box, subscripts, node, True), value)
        return value

    def _candidates(self, array: Array, subscripts: tuple[Affine, ...]) -> list[_Box]:
        """The statements that may define the element."""
        if array.name not in self._boxes:
            self._boxes[array.name] = [self._box(b) for b in self.blocks[array.name, "definition"]]
        reach = [integers.interval(s) for s in subscripts]
        found = []
        for box in self._boxes[array.name]:
            apart = any(b < low or a > high for (a, b), low, high in zip(reach, box.low, box.high, strict=True))
            if not apart and not self.graph.is_const(self._is_inside(box, subscripts), 0.0):
                found.append(box)
        return found or self._boxes[array.name][-1:]

    def _box(self, block: Block) -> _Box:
        loops = tuple(LoopIndex(r.name, whole(r.first), whole(r.last), -1 - k) for k, r in enumerate(block.ranges))
        values = {loop.name: integers.index(loop) for loop in loops}
        outer, self._pieces = self._pieces, MOST_PIECES
        target = tuple(self.integer(s, values) for s in block.subscripts)
        self._pieces = outer
        ends = [integers.interval(a) for a in target]
        return _Box(block, loops, target, tuple(a for a, _ in ends), tuple(b for _, b in ends))

    def _is_inside(self, box: _Box, subscripts: tuple[Affine, ...]) -> int:
        """Whether the statement of `box` defines the element, as a node."""
        g = self.graph
        cond = g.const(1.0)

        def require(op: str, a: Affine, b: int) -> None:
            nonlocal cond
            low, high = integers.interval(a)
            if op == "ge":
                if low >= b:
                    return
                if high < b:
                    cond = g.const(0.0)
                    return
            elif high <= b:
                return
            cond = g.call("and", cond, g.call(op, g.whole(a), g.const(float(b))))

        for s, target, low, high in zip(subscripts, box.target, box.low, box.high, strict=True):
            require("ge", s, low)
            if not g.is_const(cond, 0.0):
                require("le", s, high)
            found = integers.single(target)
            if found is not None and abs(found[1]) > 1:
                rest = integers.remainder(s - target.constant, whole(abs(found[1])))
                cond = g.call("and", cond, g.call("eq", g.whole(rest), g.const(0.0)))
        return cond

    def _body(self, array: Array, box: _Box, subscripts: tuple[Affine, ...], node: ast.Index | None, held: bool) -> int:
        """The expression of the statement at the element; `held`: at the nearest element it defines."""
        mark = (array.name, box.block)
        if mark in self._open:
            raise self._unsupported(
                f"the elements of `{array.name}` are defined by each other; an observable with subscripts "
                "must be made of states, parameters and other observables",
                node,
                hint="write the recurrence as a sum, e.g. c[i] = sum(u[j] for j in 1..i) for i in 1..N",
            )
        values: dict[str, Affine] = {}
        for loop in box.loops:
            values[loop.name] = integers.index(loop)
            for target, subscript in zip(box.target, subscripts, strict=True):
                found = integers.single(target)
                if found is not None and found[0] == loop:
                    gap = subscript - target.constant
                    value = gap.scaled(found[1]) if abs(found[1]) == 1 else integers.quotient(gap, whole(found[1]))
                    if held:
                        value = integers.clamp(value, loop.first.constant, loop.last.constant)
                    values[loop.name] = value
                    break
            else:
                if loop.first != loop.last:
                    raise self._unsupported(
                        f"`{array.name}` is used in equations, so each of its subscripts must be one index "
                        "with a constant added or a constant multiple of it",
                        node,
                    )
        self._open.append(mark)
        try:
            return self.lower(box.block.expr, None, values)
        finally:
            self._open.pop()

    # ------------------------------------------------------------ temporaries

    def is_heavy(self, array: Array) -> bool:
        """Is a definition worth an array of its own?  Where it holds a sum or a network."""
        if array.name not in self._heavy:
            self._heavy[array.name] = any(
                self._is_costly(block.expr) for block in self.blocks[array.name, "definition"]
            )
        return self._heavy[array.name]

    def _is_costly(self, expr: ast.Expr) -> bool:
        for node in ast.postorder(expr):
            if isinstance(node, ast.Reduce):
                return True
            if isinstance(node, ast.Call) and node.func in self.networks:
                return True
            called = isinstance(node, ast.Call) and node.func in self.functions
            if called and self._is_costly(self.functions[node.func].body):  # type: ignore[union-attr]
                return True
        return False

    def _temp(self, array: Array) -> tuple[int, int]:
        """(where the temporary array begins, its stage); filled before whatever asks for it now."""
        if array.name not in self._temps:
            mark = ("temp", array.name)
            outer, self._level = self._level, 0
            self._open.append(mark)
            nests = [n for block in self.blocks[array.name, "definition"] for n in self.statement(block, 0)]
            self._open.pop()
            self._level = outer
            start = self._n_temps
            self._n_temps += array.size
            self._nests += [Nest(n.loops, n.at + start, n.node) for n in nests]
            self._temps[array.name] = (start, len(self.graph))
        return self._temps[array.name]

    def stage(self, at: Affine) -> int:
        low, _ = integers.interval(at)
        return next(
            stage for name, (start, stage) in self._temps.items() if start <= low < start + self.arrays[name].size
        )

    def written_out(self, leaf: int, loops: Sequence[LoopIndex]) -> int:
        """The expression behind an element of a temporary array (further temporaries stay what they are)."""
        array, subscripts = self._sources[leaf]
        outer = self._pieces, self._level
        self._pieces = MOST_PIECES
        self._level = 1 + max((loop.level for loop in loops), default=-1)
        value = self._write_out(array, self._candidates(array, subscripts), subscripts, None)
        self._pieces, self._level = outer
        return value

    # ------------------------------------------------------------ events

    def _loop_events(self, k: int, event: Event) -> list[LoopEvent]:
        changes = [
            Nest((), whole(self.state_at[name]), self.lower(expr))
            if name in self.state_at
            else Nest((), self._named_position(name), self.lower(expr))
            for name, expr in event.assignments
        ]
        for block in event.blocks:
            changes += self.statement(block, self.arrays[block.array].start)
        return [
            LoopEvent(e.kind, e.root, e.first, e.period, e.last, tuple(changes), e.terminate, k, e.holds, e.twin)
            for e in self._event(k, event)
        ]

    def _affect(self, event: Event) -> tuple[int, ...]:
        return ()  # what changes stands in `LoopEvent.changes`

    def _named_position(self, name: str) -> Affine:
        head, _, rest = name.partition("[")
        array = self.arrays[head]
        return _position(array, tuple(whole(int(s)) for s in rest.rstrip("]").split(","))) + array.start

    def _unsupported(self, message: str, node: ast.Expr | None, hint: str | None = None) -> UnsupportedError:
        span = None if node is None else node.span
        return UnsupportedError(
            message,
            hint=hint,
            source=self.spec.source,
            start=span.start if span else None,
            end=span.end if span else None,
            filename=self.spec.filename,
        )


def _position(array: Array, subscripts: Sequence[Affine]) -> Affine:
    """Where in its array an element stands, row by row."""
    at = whole(0)
    for subscript, (first, last) in zip(subscripts, array.bounds, strict=True):
        at = at.scaled(last - first + 1) + subscript - first
    return at


def _fold(root: ast.Expr, combine: Callable[[ast.Expr, list[int]], int]) -> int:
    """As `ast.fold`, but elements and reductions are not looked into: their parts are whole
    numbers, or expressions with further indices."""
    values: list[int] = []
    stack: list[tuple[ast.Expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        below = () if isinstance(node, (ast.Index, ast.Reduce)) else ast.children(node)
        if below and not ready:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(below))
            continue
        parts = values[len(values) - len(below) :]
        del values[len(values) - len(below) :]
        values.append(combine(node, parts))
    return values[0]
