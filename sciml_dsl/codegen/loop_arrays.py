"""Loops -> statements of a target that computes whole arrays (numpy, torch).

The counterpart of `loop_blocks`: the turns of nested loops are the last axes of
every value, behind the batch axes.  Elements whose position runs evenly are
slices, others are read and written by arrays of positions.  Loops whose ends
depend on outer indices are laid out flat, one place for each turn, so that
nothing is ever computed for turns that do not happen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ..graph import integers
from ..graph.graph import Graph
from ..graph.integers import Affine, LoopIndex
from ..graph.ops import LEAVES
from .arrays import ArrayPrinter, write
from .blocks import Names
from .loop_blocks import ARRAYS, LoopBody, flat, whole_text
from .loop_program import Loop, LoopRoutine, Store
from .printer import Text


class ArraySyntax:
    """How numpy says it; torch replaces what differs."""

    CLAMP = "np.clip({0}, {1}, {2})"
    REDUCE: ClassVar[dict[str, str]] = {
        "sum": "np.sum({0}, axis=-1)",
        "prod": "np.prod({0}, axis=-1)",
        "min": "np.min({0}, axis=-1)",
        "max": "np.max({0}, axis=-1)",
        "argmin": "np.argmin({0}, axis=-1)",
        "argmax": "np.argmax({0}, axis=-1)",
    }
    BACKWARD = True  # slices may run backwards

    def range(self, first: int, last: int) -> str:
        return f"np.arange({first}, {last + 1})"

    def number(self, code: str) -> str:
        """Whole numbers as floating-point numbers."""
        return f"({code}).astype(float)" if " " in code or "[" not in code else f"{code}.astype(float)"

    def read(self, vector: str, code: str) -> str:
        return f"{ARRAYS[vector]}[..., {code}]"

    def spread(self, value: str, count: int) -> str:
        """`value` with `count` equal numbers on its last axis, which has one."""
        return f"np.broadcast_to({value}, {value}.shape[:-1] + ({count},))"


@dataclass(frozen=True)
class _Axes:
    """The loops whose turns are the last axes: a grid, or all laid out on one axis (`flat`).

    `names` are vectors with the value of each index: along its own axis of a grid, or at each
    place of the flat axis.
    """

    loops: tuple[LoopIndex, ...] = ()
    names: tuple[str, ...] = ()
    flat: bool = False

    @property
    def rank(self) -> int:
        return 1 if self.flat else len(self.loops)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of a grid."""
        return tuple(loop.last.constant - loop.first.constant + 1 for loop in self.loops)

    def aligned(self) -> dict[LoopIndex, str]:
        """Each index as it broadcasts over the axes."""
        if self.flat or self.rank == 1:
            return dict(zip(self.loops, self.names, strict=True))
        found = {}
        for k, (loop, name) in enumerate(zip(self.loops, self.names, strict=True)):
            seats = ["None"] * self.rank
            seats[k] = ":"
            found[loop] = f"{name}[{', '.join(seats)}]"
        return found


def write_array_loops(
    graph: Graph, routine: LoopRoutine, printer: ArrayPrinter, syntax: ArraySyntax, names: Names
) -> LoopBody:
    """The statements of all loops of a routine; `out` is flat, matrices row by row."""
    writer = _Writer(graph, routine, printer, syntax, names)
    for loop in routine.loops:
        writer.loop(loop)
    return LoopBody(
        _without_idle(writer.lines, set(writer.ranges.values())), sorted(writer.leaves), writer.networks, writer.inputs
    )


def _without_idle(lines: list[str], ranges: set[str]) -> list[str]:
    """`lines` without the ranges that slices made unnecessary."""
    words = [set(re.findall(r"\w+", line)) for line in lines]
    used = Counter(word for found in words for word in found)
    return [line for line in lines if (name := line.partition(" = ")[0]) not in ranges or used[name] > 1]


@dataclass
class _Writer:
    graph: Graph
    routine: LoopRoutine
    printer: ArrayPrinter
    syntax: ArraySyntax
    names: Names
    lines: list[str] = field(default_factory=list)
    closed: dict[int, Text] = field(default_factory=dict)  # what no loop changes, without axes of loops
    known: dict[int, Text] = field(default_factory=dict)  # what is known on the axes at hand
    ranges: dict[LoopIndex, str] = field(default_factory=dict)
    leaves: set[tuple[str, int]] = field(default_factory=set)
    networks: bool = False
    inputs: bool = False

    def put(self, *lines: str) -> None:
        self.lines += lines

    # ------------------------------------------------------------ loops

    def loop(self, loop: Loop) -> None:
        axes = _Axes()
        for index in loop.loops:
            axes, _ = self.open(axes, index)
        self.known = {}
        if self.routine.positions:
            texts = [Text(self.position_text(self.integer(s.node), axes)) for s in loop.stores]
        else:
            texts = self.values([s.node for s in loop.stores], axes)
        for k, (store, text) in enumerate(zip(loop.stores, texts, strict=True)):
            self.store(store, text.code, axes, loop, k)

    def integer(self, node: int) -> Affine:
        if self.graph.op[node] == "index":
            return self.graph.whole_of(node)
        return Affine(int(self.graph.data[node]))  # type: ignore[arg-type]

    def open(self, axes: _Axes, index: LoopIndex) -> tuple[_Axes, str]:
        """The axes with one more loop; where they become flat, also the old place of each new one."""
        fixed = index.first.is_constant and index.last.is_constant
        if fixed and not axes.flat:
            if index not in self.ranges:
                name = self.names.free.fresh("i")
                self.put(f"{name} = {self.syntax.range(index.first.constant, index.last.constant)}")
                self.ranges[index] = name
            return _Axes((*axes.loops, index), (*axes.names, self.ranges[index])), ""
        low, high = integers.interval(index.first)[0], integers.interval(index.last)[1]
        turns, at = self.names.free.fresh("i"), self.names.free.fresh("at")
        self.put(f"{turns} = {self.syntax.range(low, high)}")
        aligned = axes.aligned()
        ends = [whole_text(a, aligned, self.table()) for a in (index.first, index.last)]
        ends = [f"({e})[..., None]" if a.terms else e for e, a in zip(ends, (index.first, index.last), strict=True)]
        shape = f"{axes.names[0]}.shape" if axes.flat else str(axes.shape)
        self.put(f"{at} = _turns(({turns} >= {ends[0]}) & ({turns} <= {ends[1]}), {shape})")
        names = []
        for k, name in enumerate(axes.names):
            new = self.names.free.fresh("i")
            self.put(f"{new} = {name}[{at}[{0 if axes.flat else k}]]")
            names.append(new)
        last = self.names.free.fresh("i")
        self.put(f"{last} = {turns}[{at}[-1]]")
        return _Axes((*axes.loops, index), (*names, last), flat=True), at

    def table(self) -> dict[str, str]:
        return {"mod": "({0}) % ({1})", "div": "({0}) // ({1})", "mul": "({0})*({1})", "clamp": self.syntax.CLAMP}

    # ------------------------------------------------------------ storing

    def store(self, store: Store, value: str, axes: _Axes, loop: Loop, k: int) -> None:
        target = ARRAYS[store.vector]
        if store.at is None:  # one turn after the other
            first, count = loop.start + k, len(loop.stores)
            self.put(f"{target}[..., {first}:{first} + {count}*len({axes.names[0]}):{count}] = {value}")
            return
        shape = self.routine.shape if store.vector == "out" and len(store.at) > 1 else (1,)
        place = flat(store.at, shape)
        piece = self.slice(place, axes)
        if piece is not None:
            self.put(f"{target}[..., {piece}] {'+=' if store.add else '='} {value}")
            return
        code = self.position_text(place, axes)
        if store.add:
            reach = f"{axes.names[0]}.shape" if axes.flat else str(axes.shape)
            self.put(f"_added({target}, {code}, {reach}, {value})")
        else:
            self.put(f"{target}[..., {code}] = {value}")

    def slice(self, place: Affine, axes: _Axes) -> str | None:
        """A single place, or a slice along the only axis."""
        if not axes.loops:
            return str(place.constant)
        found = integers.single(place)
        if axes.flat or found is None or found[0] not in axes.loops or len(axes.loops) > 1:
            return None
        return self.run(place, *found)

    def run(self, place: Affine, loop: LoopIndex, factor: int) -> str | None:
        first = place.constant + factor * loop.first.constant
        last = place.constant + factor * loop.last.constant
        if factor > 0:
            return f"{first}:{last + 1}" + (f":{factor}" if factor > 1 else "")
        if not self.syntax.BACKWARD:
            return None
        return f"{first}:{last - 1 if last else ''}:{factor}"

    def position_text(self, place: Affine, axes: _Axes) -> str:
        return whole_text(place, axes.aligned(), self.table())

    # ------------------------------------------------------------ values

    def values(self, roots: Sequence[int], axes: _Axes) -> list[Text]:
        """The values of `roots` on all axes."""
        if axes.loops:
            self.compute_closed(roots)
        for node in self.reductions(roots):
            self.known[node] = self.reduction(node, axes)
        small, places = self.copy(roots, axes)
        inner = Names({}, {}, self.names.networks, self.names.free)
        self.printer.weights = "w" if not axes.rank else f"w[..., {'None, ' * axes.rank}:]"
        body = write(small, places, self.printer, inner)
        self.networks |= body.networks
        self.inputs |= body.inputs
        self.put(*body.lines)
        return body.values

    def compute_closed(self, roots: Iterable[int]) -> None:
        """Give names to the largest expressions that no loop changes."""
        graph = self.graph
        found: list[int] = []
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in seen or node in self.closed or node in self.known or graph.op[node] in LEAVES:
                continue
            seen.add(node)
            if graph.op[node] not in ("netcall",) and not graph.free(node):
                found.append(node)
            else:
                stack.extend(graph.args[node])
        found.sort()
        kept, self.known = self.known, {}
        for node, text in zip(found, self.values(found, _Axes()), strict=True):
            self.closed[node] = self.named_text(text, "c")
        self.known = kept

    def named_text(self, text: Text, stem: str) -> Text:
        if text.depth == 0 and not text.code.endswith("]"):
            return text
        name = self.names.free.fresh(stem)
        self.put(f"{name} = {text.code}")
        return Text(name)

    def reductions(self, roots: Iterable[int]) -> list[int]:
        graph = self.graph
        found: list[int] = []
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in seen or node in self.known or node in self.closed:
                continue
            seen.add(node)
            if graph.op[node] == "reduce":
                found.append(node)
            else:
                stack.extend(graph.args[node])
        return sorted(found)

    def reduction(self, node: int, axes: _Axes) -> Text:
        """A reduction as a value on the axes around it."""
        graph, syntax = self.graph, self.syntax
        op, loop = graph.reduction(node)
        body = graph.args[node][0]
        if loop in axes.loops and not axes.flat:  # over the turns of a loop inside that very loop
            return self.squeezed(node, axes, [k for k, other in enumerate(axes.loops) if other != loop])
        # sums inside that this loop does not change are made outside
        for inner in self.inside(body, loop):
            if inner not in self.known and inner not in self.closed:
                self.known[inner] = self.reduction(inner, axes)
        new, at = self.open(axes, loop)
        kept = self.known
        self.known = {n: self.carried(text, axes, at) for n, text in kept.items() if loop not in graph.free(n)}
        (text,) = self.values([body], new)
        self.known = kept
        value = self.named_text(text, "v").code if not text.code.isidentifier() else text.code
        if at:
            shape = f"{axes.names[0]}.shape" if axes.flat else str(axes.shape)
            seats = f"_seats({at}[:-1], {shape})"
            if op.startswith("arg"):
                code = f"_first('{op[3:]}', {value}, {new.names[-1]}, {seats}, {shape})"
            else:
                code = f"_gathered('{op}', {value}, {seats}, {shape})"
            return self.named_text(Text(code, depth=1), "s")
        count = loop.last.constant - loop.first.constant + 1
        if loop not in graph.free(body):
            if not isinstance(text.value, float):
                value = syntax.spread(value, count)
            else:
                constant = {"sum": text.value * count, "prod": text.value**count}.get(op, text.value)
                return self.printer.number(constant)
        code = syntax.REDUCE[op].format(value)
        if op.startswith("arg"):
            code = syntax.number(f"{code} + {loop.first.constant}")
        return self.named_text(Text(code, depth=1), "s")

    def squeezed(self, node: int, axes: _Axes, keep: Sequence[int]) -> Text:
        """A reduction that does not depend on one of the axes, made without it."""
        outer = _Axes(tuple(axes.loops[k] for k in keep), tuple(axes.names[k] for k in keep))
        kept, self.known = self.known, {}
        text = self.reduction(node, outer)
        self.known = kept
        seats = [":" if k in keep else "None" for k in range(axes.rank)]
        return Text(f"{text.code}[..., {', '.join(seats)}]") if axes.rank else text

    def inside(self, root: int, loop: LoopIndex) -> list[int]:
        """The outermost reductions below `root` that do not depend on `loop` but on other indices."""
        graph = self.graph
        found: list[int] = []
        seen: set[int] = set()
        stack = [root]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            free = graph.free(node)
            if graph.op[node] == "reduce" and free and loop not in free and not self._bound_inside(root, free, loop):
                found.append(node)
            else:
                stack.extend(graph.args[node])
        return sorted(found)

    def _bound_inside(self, root: int, free: frozenset[LoopIndex], loop: LoopIndex) -> bool:
        """Do the indices `free` belong to loops further inside?"""
        return not free <= (self.graph.free(root) - {loop})

    def carried(self, text: Text, axes: _Axes, at: str) -> Text:
        """A value on the axes of the loops around, on the new ones."""
        if not at:
            return Text(f"{text.code}[..., None]") if axes.rank else text
        shape = f"{axes.names[0]}.shape" if axes.flat else str(axes.shape)
        return Text(f"_carried({text.code}, _seats({at}[:-1], {shape}), {shape})", depth=1)

    def copy(self, roots: Sequence[int], axes: _Axes) -> tuple[Graph, list[int]]:
        """What `roots` compute as a graph of its own, in which all that is known has names."""
        graph = self.graph
        small = Graph()
        new: dict[int, int] = {}
        order: list[int] = []
        stack = [(node, False) for node in reversed(roots)]
        seen: set[int] = set()
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                if node not in self.known and node not in self.closed:
                    stack.extend((a, False) for a in reversed(graph.args[node]))
        for node in sorted(order):
            op, args, data = graph.op[node], graph.args[node], graph.data[node]
            text = self.known.get(node) or self.wide(self.closed.get(node), axes)
            if text is None and op in LEAVES and op != "const":
                text = self.leaf(node, axes)
            if text is not None:
                new[node] = small._intern(("local", text), "local", (), text)  # type: ignore[arg-type]
            elif op == "const":
                new[node] = small.const(data)  # type: ignore[arg-type]
            else:
                changed = tuple(new[a] for a in args)
                new[node] = small._intern((op, changed, data), op, changed, data)
        return small, [new[root] for root in roots]

    def wide(self, text: Text | None, axes: _Axes) -> Text | None:
        """A value without axes of loops, with them."""
        if text is None or not axes.rank or text.value is not None:
            return text
        return Text(f"{text.code}[..., {', '.join(['None'] * axes.rank)}]")

    def leaf(self, leaf: int, axes: _Axes) -> Text | None:
        graph, syntax = self.graph, self.syntax
        op, data = graph.op[leaf], graph.data[leaf]
        if op == "t":
            return self.wide(Text("t"), axes)
        if op == "index":
            return Text(syntax.number(self.position_text(graph.whole_of(leaf), axes)), depth=1)
        if op != "element":
            assert isinstance(data, int)
            if (op, data) in self.names.leaves:
                self.leaves.add((op, data))
                return self.wide(Text(self.names.leaves[op, data]), axes)
            return Text(syntax.read(op, ", ".join([str(data)] + ["None"] * axes.rank)))
        vector, at = graph.position(leaf)
        found = integers.single(at)
        if not at.terms:
            return Text(syntax.read(vector, ", ".join([str(at.constant)] + ["None"] * axes.rank)))
        if not axes.flat and found is not None:
            piece = self.run(at, *found)
            if piece is not None:
                seats = ["None"] * axes.rank
                seats[axes.loops.index(found[0])] = piece
                return Text(syntax.read(vector, ", ".join(seats)))
        return Text(syntax.read(vector, self.position_text(at, axes)))


NUMPY_HELPERS = '''
def _turns(mask, shape):
    """The places of all turns: an array of indices for each axis of `shape`, and one for the last axis of mask."""
    return np.nonzero(np.broadcast_to(mask, shape + mask.shape[-1:]))


def _seats(at, shape):
    """The number of each place of a grid, row by row."""
    return np.ravel_multi_index(at, shape)


def _carried(value, seats, shape):
    """The values at some places of a grid."""
    value = np.broadcast_to(value, value.shape[:value.ndim - len(shape)] + shape)
    return value.reshape(value.shape[:value.ndim - len(shape)] + (-1,))[..., seats]


def _gathered(op, value, seats, shape):
    """The sum, prod, min or max of the values of each place of a grid."""
    ufunc, start = {
        "sum": (np.add, 0.0), "prod": (np.multiply, 1.0), "min": (np.minimum, np.inf), "max": (np.maximum, -np.inf),
    }[op]
    value = np.broadcast_to(value, np.shape(value)[:-1] + seats.shape)
    out = np.full(value.shape[:-1] + (math.prod(shape),), start, value.dtype)
    ufunc.at(out, (..., seats), value)
    return out.reshape(value.shape[:-1] + shape)


def _first(op, value, turns, seats, shape):
    """The first turn at which the value is the min or max of its place."""
    best = _carried(_gathered(op, value, seats, shape), seats, shape)
    return _gathered("min", np.where(value == best, turns, np.inf), seats, shape)


def _added(out, places, shape, value):
    """Adds the values of a grid into out[..., places], where places may repeat."""
    places = np.broadcast_to(places, shape).reshape(-1)
    value = np.broadcast_to(value, out.shape[:-1] + shape).reshape(out.shape[:-1] + (-1,))
    np.add.at(out, (..., places), value)
'''
"""What numpy files of models with arrays contain."""
