"""Loops -> statements of a target with control flow (plain Python, numba, C, CUDA, Julia).

The straight-line part of every level of a loop goes through `blocks`, with what
is known there (elements of vectors, values from outer levels, finished sums) as
names.  What a loop does not change is computed before it.  A target says how it
writes loops, positions and sums by a `LoopSyntax`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

from ..graph.graph import Graph
from ..graph.integers import Affine, LoopIndex, Operation, whole
from ..graph.ops import LEAVES
from .blocks import Names, write
from .loop_program import Loop, LoopRoutine, Store
from .printer import ATOM, Printer, Text

ARRAYS = {"state": "u", "param": "p", "seed": "v", "const": "CONSTANTS", "temp": "temp", "out": "out"}
NEUTRAL = {"sum": 0.0, "prod": 1.0, "min": float("inf"), "max": float("-inf")}


class LoopSyntax:
    """How plain Python writes loops; other targets replace what differs."""

    END: str | None = None
    BASE = 0  # the first element's position
    FLAT = False  # matrices are one vector, row by row
    LAZY = True  # an unneeded sum may raise, so it becomes a function that is called where it is needed
    WHOLE: ClassVar[dict[str, str]] = {
        "mod": "({0}) % ({1})",
        "div": "({0}) // ({1})",
        "mul": "({0})*({1})",
        "clamp": "min(max({0}, {1}), {2})",
    }

    def __init__(self, printer: Printer) -> None:
        self.printer = printer

    def loop(self, name: str, first: str, last: Affine, last_text: Callable[[Affine], str]) -> str:
        """The line that opens a loop from `first` to `last`, both included."""
        return f"for {name} in range({first}, {last_text(last + 1)}):"

    def number(self, code: str) -> str:
        """A whole number as a floating-point number."""
        return f"float({code})"

    def element(self, vector: str, code: str) -> str:
        """An element of a vector at a position that counts from BASE."""
        return f"{ARRAYS[vector]}[{code}]"

    def place(self, codes: Sequence[str]) -> str:
        """An element of the output."""
        return "out" + "".join(f"[{code}]" for code in codes)

    def variable(self, name: str, code: str) -> str:
        """A variable that changes."""
        return f"{name} = {code}"

    def counter(self, name: str, start: int) -> str:
        return f"{name} = {start}"

    def change(self, name: str, code: str) -> str:
        return f"{name} = {code}"

    def add(self, target: str, code: str) -> str:
        return f"{target} += {code}"

    def better(self, op: str, value: str, best: str) -> str:
        """The condition under which a turn is the new minimum or maximum; a NaN is."""
        sign = "<" if op == "min" else ">"
        return f"{value} {sign} {best} or {value} != {value}"

    def when(self, cond: str, lines: Sequence[str]) -> list[str]:
        return [f"if {cond}:", *(f"    {line}" for line in lines)]

    def function(self, name: str, lines: Sequence[str], value: str) -> list[str]:
        """A function without arguments inside a function."""
        return [f"def {name}():", *(f"    {line}" for line in lines), f"    return {value}"]


@dataclass
class LoopBody:
    """The statements of a routine, the scalars it reads by name, and whether it calls networks or looks up inputs."""

    lines: list[str]
    leaves: list[tuple[str, int]]
    networks: bool
    inputs: bool = False


def write_loops(graph: Graph, routine: LoopRoutine, printer: Printer, syntax: LoopSyntax, names: Names) -> LoopBody:
    """The statements of all loops of a routine."""
    writer = _Writer(graph, routine, printer, syntax, names)
    for loop in routine.loops:
        writer.loop(loop)
    return LoopBody(writer.lines, sorted(writer.leaves), writer.networks, writer.inputs)


@dataclass
class _Writer:
    graph: Graph
    routine: LoopRoutine
    printer: Printer
    syntax: LoopSyntax
    names: Names
    lines: list[str] = field(default_factory=list)
    known: dict[int, Text] = field(default_factory=dict)
    active: dict[LoopIndex, list[str]] = field(default_factory=dict)
    indices: dict[str, str] = field(default_factory=dict)
    leaves: set[tuple[str, int]] = field(default_factory=set)
    networks: bool = False
    inputs: bool = False
    indent: int = 0

    # ------------------------------------------------------------ statements

    def put(self, *lines: str) -> None:
        self.lines += ["    " * self.indent + line for line in lines]

    def loop(self, loop: Loop) -> None:
        roots = [s.node for s in loop.stores]
        counter = ""
        if any(s.at is None for s in loop.stores):
            counter = self.names.free.fresh("k")
            self.put(self.syntax.counter(counter, loop.start + self.syntax.BASE))
        self.nest(loop, 0, roots, counter)

    def nest(self, loop: Loop, depth: int, roots: list[int], counter: str) -> None:
        chain = frozenset(loop.loops[:depth])
        if depth < len(loop.loops):
            self.compute(self.hoisted(roots, chain), chain)
            index = loop.loops[depth]
            kept = dict(self.known)
            self.open(index)
            self.nest(loop, depth + 1, roots, counter)
            self.close(index)
            self.known = kept
            return
        if self.routine.positions:
            for store in loop.stores:
                self.store(store, self.position(self.integer(store.node)), counter)
            return
        for store, value in zip(loop.stores, self.values(roots, chain), strict=True):
            self.store(store, value.code, counter)

    def integer(self, node: int) -> Affine:
        """The whole number that a node is."""
        if self.graph.op[node] == "index":
            return self.graph.whole_of(node)
        return whole(int(cast(float, self.graph.data[node])))

    def store(self, store: Store, value: str, counter: str) -> None:
        syntax = self.syntax
        if store.at is None:
            target = syntax.place([counter])
        elif store.vector == "temp":
            target = syntax.element("temp", self.position(store.at[0]))
        else:
            places = [flat(store.at, self.routine.shape)] if syntax.FLAT else store.at
            target = syntax.place([self.position(a) for a in places])
        self.put(syntax.add(target, value) if store.add else self.printer.put(target, value))
        if store.at is None:
            self.put(syntax.change(counter, f"{counter} + 1"))

    def open(self, index: LoopIndex, first: Affine | None = None) -> None:
        if index in self.active:  # a sum over the turns of a loop inside that very loop
            self.known = {n: text for n, text in self.known.items() if index not in self.graph.free(n)}
        base = self.indices.get(index.name)
        if base is None:
            base = self.indices[index.name] = self.names.free.claim(index.name)
        taken = {name for names in self.active.values() for name in names}
        name = base if base not in taken else self.names.free.fresh(base)
        start = self.whole(index.first)
        self.put(self.syntax.loop(name, start, index.last, self.whole))
        self.active.setdefault(index, []).append(name)
        self.indent += 1

    def close(self, index: LoopIndex) -> None:
        self.active[index].pop()
        if not self.active[index]:
            del self.active[index]
        self.indent -= 1
        if self.syntax.END is not None:
            self.put(self.syntax.END)

    # ------------------------------------------------------------ what is computed where

    def hoisted(self, roots: Iterable[int], chain: frozenset[LoopIndex]) -> list[int]:
        """What further loops need and do not change: the largest such expressions."""
        graph = self.graph
        found: dict[int, None] = {}
        seen: set[int] = set()
        certain = self.certain(roots)
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in seen or node in self.known or graph.op[node] in LEAVES:
                continue
            seen.add(node)
            if graph.op[node] not in ("netcall", "net_vjp") and graph.free(node) <= chain and node in certain:
                found[node] = None
            else:
                stack.extend(graph.args[node])
        return sorted(found)

    def certain(self, roots: Iterable[int]) -> set[int]:
        """What is needed whatever branches are taken (everything, where nothing can raise)."""
        graph = self.graph
        lazy = self.syntax.LAZY
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                args = graph.args[node]
                stack.extend(args[:1] if lazy and graph.op[node] in ("select", "and", "or") else args)
        return seen

    def compute(self, nodes: Sequence[int], chain: frozenset[LoopIndex]) -> None:
        """Give every node a name."""
        for node, text in zip(nodes, self.values(nodes, chain), strict=True):
            if node in self.known:
                continue
            if text.depth == 0:
                self.known[node] = text
                continue
            name = self.names.nodes.get(node) or self.names.free.fresh("c")
            self.put(self.printer.assign(name, text.code))
            self.known[node] = Text(name)

    def values(self, roots: Sequence[int], chain: frozenset[LoopIndex]) -> list[Text]:
        """The values of `roots` after the statements that they need at this level."""
        certain = self.certain(roots)
        for node in self.reductions(roots):
            self.reduction(node, chain, node in certain)
        small, places = self.copy(roots)
        names = Names({}, {}, self.names.networks, self.names.free)
        body = write(small, places, self.printer, names)
        self.networks |= body.networks
        self.inputs |= body.inputs
        self.put(*body.lines)
        return body.values

    def reductions(self, roots: Iterable[int]) -> list[int]:
        """The unfinished reductions that `roots` need at this level."""
        graph = self.graph
        found: list[int] = []
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in seen or node in self.known:
                continue
            seen.add(node)
            if graph.op[node] == "reduce":
                found.append(node)
            else:
                stack.extend(graph.args[node])
        return sorted(found)

    def reduction(self, node: int, chain: frozenset[LoopIndex], certain: bool) -> None:
        graph, syntax = self.graph, self.syntax
        op, loop = graph.reduction(node)
        body = graph.args[node][0]
        if not certain:  # it may turn out not to be needed, and may then be undefined
            outer, self.lines = self.lines, []
            indent, self.indent = self.indent, 0
            kept = dict(self.known)
            self.known[node] = Text("")
            value = self.accumulate(op, loop, body, chain)
            lines, self.lines = self.lines, outer
            self.indent, self.known = indent, kept
            name = self.names.free.fresh("f")
            self.put(*syntax.function(name, lines, value))
            self.known[node] = Text(f"{name}()", ATOM, 1, raises=True)
            return
        self.compute(self.hoisted([body], chain), chain)
        self.known[node] = Text(self.accumulate(op, loop, body, chain))

    def accumulate(self, op: str, loop: LoopIndex, body: int, chain: frozenset[LoopIndex]) -> str:
        """The statements of one reduction; the variable that holds it."""
        syntax, printer = self.syntax, self.printer
        kind = op.removeprefix("arg")
        best = self.names.free.fresh("s")
        self.put(syntax.variable(best, printer.number(NEUTRAL[kind]).code))
        at = ""
        if op != kind:
            at = self.names.free.fresh("s")
            self.put(syntax.variable(at, self.as_number(loop.first)))
        kept = dict(self.known)
        self.open(loop)
        (text,) = self.values([body], chain | {loop})
        if kind == "sum":
            self.put(syntax.add(best, text.code))
        elif kind == "prod":
            self.put(syntax.change(best, printer.apply("mul", [Text(best), text]).code))
        else:
            value = self.names.free.fresh("v")
            self.put(printer.assign(value, text.code))
            changes = [syntax.change(best, value)]
            if at:
                changes.append(syntax.change(at, syntax.number(self.active[loop][-1])))
            self.put(*syntax.when(syntax.better(kind, value, best), changes))
        self.close(loop)
        self.known = kept
        return at or best

    def copy(self, roots: Sequence[int]) -> tuple[Graph, list[int]]:
        """What `roots` compute at this level as a graph of its own, in which all else has names."""
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
                if node not in self.known:
                    stack.extend((a, False) for a in reversed(graph.args[node]))
        for node in sorted(order):
            op, args, data = graph.op[node], graph.args[node], graph.data[node]
            if node in self.known or (op in LEAVES and op not in ("const", "t")):
                text = self.known.get(node) or self.named(node)
                new[node] = small._intern(("local", text), "local", (), text)  # type: ignore[arg-type]
            elif op == "const":
                new[node] = small.const(data)  # type: ignore[arg-type]
            else:
                changed = tuple(new[a] for a in args)
                new[node] = small._intern((op, changed, data), op, changed, data)
        return small, [new[root] for root in roots]

    def named(self, leaf: int) -> Text:
        """A leaf where it is used."""
        op, data = self.graph.op[leaf], self.graph.data[leaf]
        if op == "index":
            return Text(self.as_number(self.graph.whole_of(leaf)), depth=1)
        if op == "element":
            vector, at = self.graph.position(leaf)
            return Text(self.syntax.element(vector, self.position(at)))
        assert isinstance(data, int)
        if (op, data) in self.names.leaves:
            self.leaves.add((op, data))
            return Text(self.names.leaves[op, data])
        return Text(self.syntax.element(op, self.position(whole(data))))

    # ------------------------------------------------------------ whole numbers

    def as_number(self, a: Affine) -> str:
        """A whole number as a floating-point number."""
        if a.is_constant:
            return self.printer.number(float(a.constant)).code
        return self.syntax.number(self.whole(a))

    def position(self, a: Affine) -> str:
        return self.whole(a + self.syntax.BASE)

    def whole(self, a: Affine) -> str:
        """A whole-number expression."""
        return whole_text(a, {loop: names[-1] for loop, names in self.active.items()}, self.syntax.WHOLE)


def flat(at: Sequence[Affine], shape: Sequence[int]) -> Affine:
    """The position in a row-major array."""
    place = whole(0)
    for position, count in zip(at, shape, strict=True):
        place = place.scaled(count) + position
    return place


def whole_text(a: Affine, names: dict[LoopIndex, str], table: dict[str, str]) -> str:
    """A whole-number expression; `table` says how remainders and their like are written."""
    parts = []
    for atom, factor in a.terms:
        if isinstance(atom, LoopIndex):
            code = names[atom]
        else:
            code = _operation(atom, names, table)
        sign = "-" if factor < 0 else "+"
        size = abs(factor)
        parts.append((sign, code if size == 1 else f"{size}*{code}"))
    if a.constant or not parts:
        parts.append(("-" if a.constant < 0 else "+", str(abs(a.constant))))
    first_sign, first = parts[0]
    text = first if first_sign == "+" else f"-{first}"
    return text + "".join(f" {sign} {code}" for sign, code in parts[1:])


def _operation(atom: Operation, names: dict[LoopIndex, str], table: dict[str, str]) -> str:
    args = [whole_text(x, names, table) for x in atom.args]
    return "(" + table[atom.op].format(*args) + ")"
