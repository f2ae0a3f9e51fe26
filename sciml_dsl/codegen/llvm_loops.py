"""Loops of a `LoopRoutine` -> LLVM IR text, in the native calling convention.

What a turn of a loop does not change is computed before it; the innermost
bodies are straight-line, so that LLVM turns a stencil into vector code.
Temporary arrays live on the stack when small, else on the heap for the time of
the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..graph import integers
from ..graph.integers import Affine, LoopIndex, Operation
from ..graph.ops import LEAVES
from .llvm import Module, _Straight
from .llvm_network import number
from .loop_blocks import NEUTRAL, flat
from .loop_program import Loop, LoopRoutine, Store

ON_STACK = 4096
"""Temporary numbers a function keeps on the stack."""

VECTORS = {"state": "%u", "param": "%p", "seed": "%v", "const": "@numbers", "temp": "%temp", "out": "%out"}


def add_routine(
    module: Module,
    routine: LoopRoutine,
    *,
    name: str | None = None,
    weights_at: int = 0,
    size: int | None = None,
) -> None:
    """Append the function of a routine to `module`.

    `weights_at`: where the cotangents of network weights begin in `out`; `size`: numbers in
    `out`, where that is more than the routine's.
    """
    body = _LoopBody(module, routine, weights_at)
    arguments = "double %t, ptr noalias readonly %u, ptr noalias readonly %p, "
    arguments += ("ptr noalias readonly %v, " if routine.along else "") + "ptr noalias %out"
    lines = body.function(routine.size if size is None else size)
    head = f"define void @{name or routine.name}({arguments}) {{\nentry:\n"
    module.functions.append(head + "\n".join(lines) + "\n}\n")


class _LoopBody(_Straight):
    """The inside of one function."""

    def __init__(self, module: Module, routine: LoopRoutine, weights_at: int) -> None:
        graph = module.system.graph
        self.order = graph.reachable(routine.nodes)
        buffers = module._buffers(self.order)
        super().__init__(module, buffers, weights_at, {})
        self.routine = routine
        self.registers: dict[LoopIndex, str] = {}
        self.block = "entry"
        self.done: set[int] = set()
        self.entry: list[str] = []
        self._labels = 0

    def function(self, size: int) -> list[str]:
        routine = self.routine
        scratch = sum(count for _, count in self.buffers.values())
        if scratch:
            self.entry.append(f"  %scratch = alloca [{scratch} x double], align 32")
        on_heap = routine.n_temps > ON_STACK
        if routine.n_temps:
            if on_heap:
                self.module.allocates = True
                self.entry.append(f"  %temp = call noalias ptr @malloc(i64 {8 * routine.n_temps})")
            else:
                self.entry.append(f"  %temp = alloca [{routine.n_temps} x double], align 32")
        if routine.zeroed is not None and routine.n_temps:
            count = routine.n_temps - routine.zeroed
            self._clear(self._at("%temp", routine.zeroed), count)
        if routine.fill is not None:
            self._fill("%out", size, routine.fill)
        for loop in routine.loops:
            self.nest(loop)
        if on_heap:
            self.lines.append("  call void @free(ptr %temp)")
        return [*self.entry, *self.lines, "  ret void"]

    def _clear(self, pointer: str, count: int) -> None:
        self.lines.append(f"  call void @llvm.memset.p0.i64(ptr align 8 {pointer}, i8 0, i64 {8 * count}, i1 false)")

    def _fill(self, pointer: str, count: int, value: float) -> None:
        if value == 0.0:
            if count:
                self._clear(pointer, count)
            return
        if count:
            with self.turns("0", str(count - 1)) as i:
                at = self.emit(f"getelementptr inbounds double, ptr {pointer}, i64 {i}")
                self.lines.append(f"  store double {number(value)}, ptr {at}, align 8")

    def emit(self, text: str) -> str:
        name = f"%x{self._count}"
        self._count += 1
        self.lines.append(f"  {name} = {text}")
        return name

    # ------------------------------------------------------------ loops

    def nest(self, loop: Loop) -> None:
        order = self.graph.reachable([*(s.node for s in loop.stores), *loop.sweeps])
        counter = self._counter() if any(s.table is not None for s in loop.stores) else ""
        self._nest(loop, 0, order, counter)

    def _counter(self) -> str:
        name = f"%counter{self._labels}"
        self._labels += 1
        self.entry.append(f"  {name} = alloca i64, align 8")
        self.lines.append(f"  store i64 0, ptr {name}, align 8")
        return name

    def _nest(self, loop: Loop, depth: int, order: Sequence[int], counter: str) -> None:
        self.level(order, set(loop.loops[:depth]))
        if depth < len(loop.loops):
            index = loop.loops[depth]
            first, last = index.first, index.last
            if loop.spans is not None:
                first, last = (Affine(end) for end in loop.spans[depth])
            with self.scope(index, first, last):
                self._nest(loop, depth + 1, order, counter)
            return
        for store in loop.stores:
            self._put(store, counter)
        if counter:
            now = self.emit(f"load i64, ptr {counter}, align 8")
            then = self.emit(f"add nuw nsw i64 {now}, 1")
            self.lines.append(f"  store i64 {then}, ptr {counter}, align 8")

    def _put(self, store: Store, counter: str) -> None:
        value = self.value(store.node)
        if store.table is not None:
            now = self.emit(f"load i64, ptr {counter}, align 8")
            table = self.emit(f"load ptr, ptr {store.table}, align 8")
            seat = self.emit(f"getelementptr inbounds i64, ptr {table}, i64 {now}")
            at = self.emit(f"load i64, ptr {seat}, align 8")
        else:
            assert store.at is not None
            shape = self.routine.shape if store.vector == "out" and len(store.at) > 1 else (1,)
            at = self.integer(flat(store.at, shape))
        pointer = self.emit(f"getelementptr inbounds double, ptr {VECTORS[store.vector]}, i64 {at}")
        if store.add:
            old = self.emit(f"load double, ptr {pointer}, align 8")
            value = self.emit(f"fadd double {old}, {value}")
        self.lines.append(f"  store double {value}, ptr {pointer}, align 8")

    def level(self, order: Sequence[int], chain: set[LoopIndex]) -> None:
        """Compute everything of `order` that the loops of `chain` make known, and is not yet."""
        graph = self.graph
        for node in order:
            if graph.op[node] in LEAVES or node in self.done or not graph.free(node) <= chain:
                continue
            self.done.add(node)
            if graph.op[node] == "reduce":
                self._reduce(node, chain)
            else:
                self.node(node)

    def _reduce(self, node: int, chain: set[LoopIndex]) -> None:
        op, loop = self.graph.reduction(node)
        body = self.graph.args[node][0]
        kind = op.removeprefix("arg")
        best = self._variable(number(NEUTRAL[kind]))
        at = self._variable(number(0.0)) if op.startswith("arg") else ""
        with self.scope(loop, loop.first, loop.last):
            self.level(self.graph.reachable([body]), chain | {loop})
            value = self.value(body)
            old = self.emit(f"load double, ptr {best}, align 8")
            if kind in ("sum", "prod"):
                new = self.emit(f"{'fadd' if kind == 'sum' else 'fmul'} reassoc contract double {old}, {value}")
            else:
                better = self.emit(f"fcmp {'olt' if kind == 'min' else 'ogt'} double {value}, {old}")
                broken = self.emit(f"fcmp uno double {value}, {value}")
                take = self.emit(f"or i1 {better}, {broken}")
                held = self.emit(f"fcmp uno double {old}, {old}")  # a NaN stays
                pick = self.emit(f"select i1 {held}, double {old}, double {value}")
                new = self.emit(f"select i1 {take}, double {pick}, double {old}")
                if at:
                    turn = self.emit(f"sitofp i64 {self.registers[loop]} to double")
                    before = self.emit(f"load double, ptr {at}, align 8")
                    first = self.emit(f"icmp eq i64 {self.registers[loop]}, {self.integer(loop.first)}")
                    taken = self.emit(f"or i1 {take}, {first}")
                    after = self.emit(f"select i1 {taken}, double {turn}, double {before}")
                    self.lines.append(f"  store double {after}, ptr {at}, align 8")
            self.lines.append(f"  store double {new}, ptr {best}, align 8")
        self._known[node] = self.emit(f"load double, ptr {at or best}, align 8")

    def _variable(self, start: str) -> str:
        name = f"%var{self._labels}"
        self._labels += 1
        self.entry.append(f"  {name} = alloca double, align 8")
        self.lines.append(f"  store double {start}, ptr {name}, align 8")
        return name

    @contextmanager
    def scope(self, loop: LoopIndex, first: Affine, last: Affine) -> Iterator[None]:
        """The inside of a loop: what is computed there is forgotten behind it."""
        kept = dict(self._known), dict(self._truth), set(self.done)
        outer = self.registers.get(loop)
        if outer is not None:  # a sum over the turns of a loop inside that very loop
            free = self.graph.free
            self._known = {n: text for n, text in self._known.items() if loop not in free(n)}
            self._truth = {n: text for n, text in self._truth.items() if loop not in free(n)}
            self.done = {n for n in self.done if loop not in free(n)}
        certain = first.is_constant and last.is_constant and first.constant <= last.constant
        with self.turns(self.integer(first), self.integer(last), certain) as register:
            self.registers[loop] = register
            yield
            if outer is None:
                del self.registers[loop]
            else:
                self.registers[loop] = outer
        self._known, self._truth, self.done = kept

    @contextmanager
    def turns(self, first: str, last: str, certain: bool = True) -> Iterator[str]:
        """A counted loop, both ends included; `certain`: it turns at least once."""
        self._labels += 1
        k = self._labels
        head, end, out = f"loop{k}", f"next{k}", f"done{k}"
        if certain:
            self.lines.append(f"  br label %{head}")
        else:
            some = self.emit(f"icmp sle i64 {first}, {last}")
            self.lines.append(f"  br i1 {some}, label %{head}, label %{out}")
        self.lines += [f"{head}:", f"  %i{k} = phi i64 [{first}, %{self.block}], [%j{k}, %{end}]"]
        self.block = head
        yield f"%i{k}"
        self.lines += [f"  br label %{end}", f"{end}:", f"  %j{k} = add nsw i64 %i{k}, 1"]
        self.lines += [f"  %more{k} = icmp slt i64 %i{k}, {last}"]
        self.lines += [f"  br i1 %more{k}, label %{head}, label %{out}", f"{out}:"]
        self.block = out

    # ------------------------------------------------------------ values

    def value(self, node: int) -> str:
        op = self.graph.op[node]
        if op not in ("element", "index") or node in self._known:
            return super().value(node)
        vector = ""
        if op == "index":
            text = self.emit(f"sitofp i64 {self.integer(self.graph.whole_of(node))} to double")
        else:
            vector, at = self.graph.position(node)
            pointer = self.emit(f"getelementptr inbounds double, ptr {VECTORS[vector]}, i64 {self.integer(at)}")
            text = self.emit(f"load double, ptr {pointer}, align 8")
        if vector != "temp":
            self._known[node] = text
        return text

    def integer(self, a: Affine) -> str:
        """The register or number that holds a whole-number expression."""
        total = ""
        for atom, factor in a.terms:
            part = self._atom(atom)
            if factor != 1:
                part = self.emit(f"mul nsw i64 {part}, {factor}")
            total = part if not total else self.emit(f"add nsw i64 {total}, {part}")
        if not total:
            return str(a.constant)
        return self.emit(f"add nsw i64 {total}, {a.constant}") if a.constant else total

    def _atom(self, atom: LoopIndex | Operation) -> str:
        if isinstance(atom, LoopIndex):
            return self.registers[atom]
        parts = [self.integer(a) for a in atom.args]
        if atom.op == "mul":
            return self.emit(f"mul nsw i64 {parts[0]}, {parts[1]}")
        if atom.op == "clamp":
            low = self.emit(f"icmp sgt i64 {parts[0]}, {parts[1]}")
            above = self.emit(f"select i1 {low}, i64 {parts[0]}, i64 {parts[1]}")
            high = self.emit(f"icmp slt i64 {above}, {parts[2]}")
            return self.emit(f"select i1 {high}, i64 {above}, i64 {parts[2]}")
        rest = self.emit(f"srem i64 {parts[0]}, {parts[1]}")
        low_end, _ = integers.interval(atom.args[0])
        if low_end >= 0 and integers.interval(atom.args[1])[0] > 0:
            return rest if atom.op == "mod" else self.emit(f"sdiv i64 {parts[0]}, {parts[1]}")
        uneven = self.emit(f"icmp ne i64 {rest}, 0")
        signs = self.emit(f"xor i64 {rest}, {parts[1]}")
        differ = self.emit(f"icmp slt i64 {signs}, 0")
        fix = self.emit(f"and i1 {uneven}, {differ}")
        if atom.op == "mod":
            moved = self.emit(f"add i64 {rest}, {parts[1]}")
            return self.emit(f"select i1 {fix}, i64 {moved}, i64 {rest}")
        ratio = self.emit(f"sdiv i64 {parts[0]}, {parts[1]}")
        lower = self.emit(f"sub i64 {ratio}, 1")
        return self.emit(f"select i1 {fix}, i64 {lower}, i64 {ratio}")
