"""Graph -> LLVM IR text, in the native calling convention.

`function(system, name, outputs, ...)` lowers a list of (output slot, node) to one
function `void name(double t, ptr u, ptr p[, ptr v], ptr out)`.  Text is written
directly (LLVM parses it in C++), straight-line, one value a node.  Bodies above
`CHUNK` operations are split into functions that hand shared values on through a
scratch array, so that LLVM's cost stays linear in the size of the model.
Calls of exp, log, sin, cos, tanh and pow that do not wait for each other are made
together where there are enough of them (`batches`, `vector_math`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..collector import uncollected
from ..graph.graph import Graph
from ..graph.loops import LoopSystem
from ..graph.ops import CONDITIONS, INPUT
from ..graph.system import System
from .batches import FEWEST, is_product, plan
from .jit import has_fma
from .llvm_network import MATH, definitions, number
from .vector_math import LANES

Item = tuple[str, int, int]
"""One thing a function does: ("node", n, 0) computes a node, ("out" or "seat", n, place) stores it in
`out` or in the scratch array, ("pad", 0, place) fills a seat that nobody needs, and (operation, start,
count) replaces a part of the scratch array by its values."""

CHUNK = 400
"""Operations in one function; instruction selection and scheduling grow faster than linearly."""

FORGET = 100
"""Items after which what was loaded is loaded again.  The fast instruction selector keeps every value from its
first use to its last, and a leaf that is read at both ends of a long function lies in memory all the way; loaded
again it is part of the instruction that needs it.  Measured: a network of 100 states takes 0.73 of the time."""

ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_CONTRACTED = {op: f"{name} contract double " for op, name in ARITHMETIC.items()}
INTRINSICS = {
    "exp": "llvm.exp.f64",
    "log": "llvm.log.f64",
    "log2": "llvm.log2.f64",
    "log10": "llvm.log10.f64",
    "sqrt": "llvm.sqrt.f64",
    "sin": "llvm.sin.f64",
    "cos": "llvm.cos.f64",
    "abs": "llvm.fabs.f64",
    "floor": "llvm.floor.f64",
    "ceil": "llvm.ceil.f64",
}
LIBM = {
    name: name
    for name in ("expm1 log1p cbrt tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc lgamma".split())
} | {"gamma": "tgamma"}
COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
LOGIC = {"and": "and", "or": "or"}

DIGAMMA = f"""define internal double @digamma(double %x0) {{
entry:
  %low = fcmp olt double %x0, {number(0.5)}
  %mirror = fsub double {number(1.0)}, %x0
  %start = select i1 %low, double %mirror, double %x0
  br label %shift
shift:
  %x = phi double [%start, %entry], [%x1, %shift]
  %acc = phi double [{number(0.0)}, %entry], [%acc1, %shift]
  %inv0 = fdiv double {number(1.0)}, %x
  %big = fcmp uge double %x, {number(8.0)}
  %acc2 = fsub double %acc, %inv0
  %acc1 = select i1 %big, double %acc, double %acc2
  %xp = fadd double %x, {number(1.0)}
  %x1 = select i1 %big, double %x, double %xp
  br i1 %big, label %tail, label %shift
tail:
  %inv = fdiv double {number(1.0)}, %x1
  %y = fmul double %inv, %inv
  %s7 = fmul double %y, {number(1 / 12)}
  %s6 = fsub double {number(691 / 32760)}, %s7
  %m6 = fmul double %s6, %y
  %s5 = fsub double {number(1 / 132)}, %m6
  %m5 = fmul double %s5, %y
  %s4 = fsub double {number(1 / 240)}, %m5
  %m4 = fmul double %s4, %y
  %s3 = fsub double {number(1 / 252)}, %m4
  %m3 = fmul double %s3, %y
  %s2 = fsub double {number(1 / 120)}, %m3
  %m2 = fmul double %s2, %y
  %s1 = fsub double {number(1 / 12)}, %m2
  %series = fmul double %s1, %y
  %log = call double @llvm.log.f64(double %x1)
  %half = fmul double %inv, {number(0.5)}
  %v1 = fadd double %acc1, %log
  %v2 = fsub double %v1, %half
  %right = fsub double %v2, %series
  br i1 %low, label %reflect, label %plain
reflect:
  %angle = fmul double %x0, {number(3.141592653589793)}
  %tan = call double @tan(double %angle)
  %cot = fdiv double {number(3.141592653589793)}, %tan
  %left = fsub double %right, %cot
  ret double %left
plain:
  ret double %right
}}
"""


INPUT_VALUE = f"""define internal double @input_value(ptr readonly %z, i64 %k, double %t, i32 %order) nounwind {{
entry:
  %seat = getelementptr double, ptr %z, i64 %k
  %start = load double, ptr %seat, align 8
  %at = fptosi double %start to i64
  %table = getelementptr double, ptr %z, i64 %at
  %size = load double, ptr %table, align 8
  %m = fptosi double %size to i64
  %p1 = getelementptr double, ptr %table, i64 1
  %first = load double, ptr %p1, align 8
  %p2 = getelementptr double, ptr %table, i64 2
  %last = load double, ptr %p2, align 8
  %after = fcmp oge double %t, %first
  %before = fcmp ole double %t, %last
  %inside = and i1 %after, %before
  %knots = getelementptr double, ptr %table, i64 3
  br i1 %inside, label %search, label %outside
outside:
  ret double {number(float("nan"))}
search:
  %low = phi i64 [0, %entry], [%low1, %halve]
  %high = phi i64 [%m, %entry], [%high1, %halve]
  %gap = sub i64 %high, %low
  %more = icmp sgt i64 %gap, 1
  br i1 %more, label %halve, label %found
halve:
  %sum = add i64 %low, %high
  %middle = ashr i64 %sum, 1
  %pm = getelementptr double, ptr %knots, i64 %middle
  %knot = load double, ptr %pm, align 8
  %left = fcmp ole double %knot, %t
  %low1 = select i1 %left, i64 %middle, i64 %low
  %high1 = select i1 %left, i64 %high, i64 %middle
  br label %search
found:
  %pk = getelementptr double, ptr %knots, i64 %low
  %origin = load double, ptr %pk, align 8
  %s = fsub double %t, %origin
  %pieces = getelementptr double, ptr %knots, i64 %m
  %four = shl i64 %low, 2
  %pc = getelementptr double, ptr %pieces, i64 %four
  %c0 = load double, ptr %pc, align 8
  %pc1 = getelementptr double, ptr %pc, i64 1
  %c1 = load double, ptr %pc1, align 8
  %pc2 = getelementptr double, ptr %pc, i64 2
  %c2 = load double, ptr %pc2, align 8
  %pc3 = getelementptr double, ptr %pc, i64 3
  %c3 = load double, ptr %pc3, align 8
  switch i32 %order, label %value [i32 1, label %slope
                                   i32 2, label %bend
                                   i32 3, label %twist]
value:
  %a3 = fmul double %s, %c3
  %a2 = fadd double %c2, %a3
  %b2 = fmul double %s, %a2
  %a1 = fadd double %c1, %b2
  %b1 = fmul double %s, %a1
  %y = fadd double %c0, %b1
  ret double %y
slope:
  %two = fmul double %c2, {number(2.0)}
  %sc = fmul double %s, {number(3.0)}
  %d3 = fmul double %sc, %c3
  %d2 = fadd double %two, %d3
  %e2 = fmul double %s, %d2
  %dy = fadd double %c1, %e2
  ret double %dy
bend:
  %twice = fmul double %c2, {number(2.0)}
  %six = fmul double %c3, {number(6.0)}
  %f3 = fmul double %six, %s
  %ddy = fadd double %twice, %f3
  ret double %ddy
twist:
  %dddy = fmul double %c3, {number(6.0)}
  ret double %dddy
}}
"""


@dataclass
class Module:
    """IR text under construction: functions, and what they need declared."""

    system: System | LoopSystem
    functions: list[str] = field(default_factory=list)
    unary: set[str] = field(default_factory=set)
    binary: set[str] = field(default_factory=set)
    networks: dict[int, set[str]] = field(default_factory=dict)
    inputs: bool = False
    calls: set[str] = field(default_factory=set)
    allocates: bool = False
    constants: list[str] = field(default_factory=list)
    vectors: bool = field(default_factory=has_fma)
    whole: int = 3 * CHUNK
    """Items up to which a function is not split."""

    def _numbers(self) -> list[str]:
        """The arrays of constants, where a function reads them."""
        values = getattr(self.system, "constants", ())
        if not values or not any("@numbers" in function for function in self.functions):
            return []
        items = ", ".join(f"double {number(value)}" for value in values)
        return [f"@numbers = private unnamed_addr constant [{len(values)} x double] [{items}], align 32"]

    def text(self) -> str:
        """The whole module."""
        unary, binary = set(self.unary), set(self.binary)
        parts = ['source_filename = "sciml_dsl"\n']
        if self.networks:
            unary |= {"llvm.fabs.f64", "llvm.sin.f64", "llvm.cos.f64", "log1p", "erf"}
            binary |= {"llvm.copysign.f64"}
            parts.append(MATH)
        if "digamma" in unary:
            unary |= {"tan", "llvm.log.f64"}
            parts.append(DIGAMMA)
        if self.inputs:
            parts.append(INPUT_VALUE)
        parts += [
            f"declare double @{name}(double) nounwind willreturn memory(none)" for name in sorted(unary - {"digamma"})
        ]
        parts += [f"declare double @{name}(double, double) nounwind willreturn memory(none)" for name in sorted(binary)]
        for name in sorted(self.calls):
            arrays = "ptr, ptr" if name == "pow" else "ptr"
            parts.append(f"declare void @sciml_{name}({arrays}, i64) nounwind willreturn memory(argmem: readwrite)")
        if self.allocates:
            parts += ["declare noalias ptr @malloc(i64)", "declare void @free(ptr)"]
        parts.append("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        parts += self.constants
        parts += self._numbers()
        parts += [definitions(self.system.networks[k], k, needed) for k, needed in sorted(self.networks.items())]
        return "\n".join(parts + self.functions) + "\n"

    # ------------------------------------------------------------ one function

    @uncollected
    def add_function(
        self,
        name: str,
        outputs: Iterable[tuple[int, int]],
        size: int,
        *,
        seeds: bool = False,
        sweeps: Sequence[int] = (),
        weights_at: int = 0,
    ) -> None:
        """Lower `outputs` (slot, node) into `out` of `size` doubles; slots not named become 0.

        `seeds`: the function takes `v`.  `sweeps`: `net_vjp` nodes to run, which add the
        cotangents of the weights at `out[weights_at:]`.
        """
        pairs = list(outputs)
        graph = self.system.graph
        work = graph.needed([n for _, n in pairs] + list(sweeps))
        arguments = "double %t, ptr noalias readonly %u, ptr noalias readonly %p, "
        arguments += ("ptr noalias readonly %v, " if seeds else "") + "ptr noalias %out"
        names = "double %t, ptr %u, ptr %p, " + ("ptr %v, " if seeds else "") + "ptr %out"
        head = []
        if len({slot for slot, _ in pairs}) < size:
            head.append(f"  call void @llvm.memset.p0.i64(ptr align 8 %out, i8 0, i64 {8 * size}, i1 false)")
        buffers = self._buffers(work)
        items, seats, scratch = self._items(work, pairs, sum(size for _, size in buffers.values()))
        if len(items) <= self.whole:
            body = _Straight(self, buffers, weights_at, seats)
            body.run(items)
            lines = body.lines
        else:
            first = _Straight(self, buffers, weights_at, seats)
            lines, scratch = self._chunked(name, arguments, names, items, first, scratch)
        if scratch:
            head.append(f"  %scratch = alloca [{scratch} x double], align 64")
        text = "\n".join([*head, *lines])
        self.functions.append(f"define void @{name}({arguments}) {{\n{text}\n  ret void\n}}\n")

    def add_scatter(self, name: str, source: str, places: Sequence[int], size: int) -> None:
        """A function that fills `out` of `size` doubles with zeros and what `source` gives, at `places`."""
        count = max(len(places), 1)
        table = ", ".join(f"i64 {place}" for place in places) or "i64 0"
        arguments = "double %t, ptr noalias readonly %u, ptr noalias readonly %p, ptr noalias %out"
        self.functions.append(
            f"""@{name}_places = internal constant [{count} x i64] [{table}]
define void @{name}({arguments}) {{
entry:
  %values = call ptr @malloc(i64 {8 * count})
  call void @{source}(double %t, ptr %u, ptr %p, ptr %values)
  call void @llvm.memset.p0.i64(ptr align 8 %out, i8 0, i64 {8 * size}, i1 false)
  br label %loop
loop:
  %k = phi i64 [0, %entry], [%next, %body]
  %more = icmp slt i64 %k, {len(places)}
  br i1 %more, label %body, label %done
body:
  %from = getelementptr inbounds double, ptr %values, i64 %k
  %value = load double, ptr %from, align 8
  %seat = getelementptr inbounds i64, ptr @{name}_places, i64 %k
  %place = load i64, ptr %seat, align 8
  %to = getelementptr inbounds double, ptr %out, i64 %place
  store double %value, ptr %to, align 8
  %next = add i64 %k, 1
  br label %loop
done:
  call void @free(ptr %values)
  ret void
}}
"""
        )
        self.allocates = True

    def _items(
        self, work: list[int], pairs: list[tuple[int, int]], scratch: int
    ) -> tuple[list[Item], dict[int, int], int]:
        """(what the function does, where the results of calls made together lie, numbers of scratch in all).

        An output is stored right behind its value, an argument of a group right behind its own, so
        that they need not travel between chunks.
        """
        graph = self.system.graph
        todo = plan(graph, work, FEWEST if self.vectors else {})
        out: dict[int, list[int]] = {}
        for place, node in pairs:
            out.setdefault(node, []).append(place)
        made = set(work)
        into: dict[int, list[int]] = {}
        seats: dict[int, int] = {}
        starts: dict[tuple[int, str], int] = {}
        for stage, (_, groups) in enumerate(todo.order):
            for op, members in groups:
                starts[stage, op] = scratch
                room = _rounded(len(members))
                for i, node in enumerate(members):
                    seats[node] = scratch + i
                    for k, a in enumerate(graph.args[node]):
                        into.setdefault(a, []).append(scratch + k * room + i)
                scratch += room * (2 if op == "pow" else 1)
        items: list[Item] = []
        for stage, (nodes, groups) in enumerate(todo.order):
            for node in nodes:
                items.append(("node", node, 0))
                if node in out:
                    items += [("out", node, place) for place in out[node]]
                if node in into:
                    items += [("seat", node, place) for place in into[node]]
            for op, members in groups:
                start, room = starts[stage, op], _rounded(len(members))
                for k in range(2 if op == "pow" else 1):
                    for i, node in enumerate(members):
                        a = graph.args[node][k]
                        if a not in made or a in seats:  # a leaf, or a result of an earlier group
                            items.append(("seat", a, start + k * room + i))
                    items += [("pad", 0, start + k * room + i) for i in range(len(members), room)]
                items.append((op, start, room))
                items += [("out", node, place) for node in members for place in out.get(node, ())]
        items += [("out", node, place) for place, node in pairs if node not in made]
        return items, seats, scratch

    def _buffers(self, order: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Scratch (offset, size) of every network call and sweep: its arguments, then its results."""
        graph, system = self.system.graph, self.system
        level: dict[int, int] = {}
        self._level, self._used_calls = level, set[int]()
        if not system.networks:
            return {}
        for n in order:
            if graph.op[n] in ("net_jac", "net_hess"):
                call = graph.args[n][0]
                level[call] = max(level.get(call, 0), 1 if graph.op[n] == "net_jac" else 2)
        self._used_calls = {graph.args[n][0] for n in order if graph.op[n] in ("net", "net_jac", "net_hess")}
        at, buffers = 0, {}
        for n in order:
            if graph.op[n] == "netcall":
                net = system.networks[int(graph.data[n])]  # type: ignore[arg-type]
                size = net.n_in + net.n_out * (1, 1 + net.n_in, 1 + net.n_in + net.n_in**2)[level.get(n, 0)]
            elif graph.op[n] == "net_vjp":
                net = system.networks[int(graph.data[graph.args[n][0]])]  # type: ignore[arg-type]
                size = net.n_out + net.n_in
            else:
                continue
            buffers[n] = (at, size)
            at += size
        return buffers

    def _chunked(
        self, name: str, arguments: str, names: str, items: list[Item], first: _Straight, scratch: int
    ) -> tuple[list[str], int]:
        """Functions of `CHUNK` items each; (the calls of them, numbers of scratch in all)."""
        graph = self.system.graph
        chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
        made_in: dict[int, int] = {}
        travels: dict[int, int] = {}
        for c, chunk in enumerate(chunks):
            for kind, node, _ in chunk:
                if kind == "node":
                    used = graph.args[node]
                    made_in[node] = c
                elif kind == "out" or kind == "seat":
                    used = (node,)
                else:
                    continue
                for a in used:
                    # leaves and what calls made together gave are made in no chunk
                    if made_in.get(a, c) != c and a not in travels and graph.op[a] not in ("netcall", "net_vjp"):
                        travels[a] = scratch
                        scratch += 1
        calls = []
        imported = {**first.imported, **travels}
        for c, chunk in enumerate(chunks):
            # what this chunk makes itself is known before it is looked up among what travels
            body = _Straight(self, first.buffers, first.weights_at, imported)
            body.run(chunk, travels)
            self.functions.append(
                f"define internal void @{name}_{c}({arguments}, ptr noalias %scratch) noinline {{\n"
                + "\n".join(body.lines)
                + "\n  ret void\n}\n"
            )
            calls.append(f"  call void @{name}_{c}({names}, ptr %scratch)")
        return calls, max(scratch, 1)


def _rounded(count: int) -> int:
    """The least multiple of `LANES` that is not below `count`."""
    return -(-count // LANES) * LANES


_NOWHERE: Mapping[int, int] = {}
_POINTERS = {"state": "%u", "param": "%p", "seed": "%v"}


class _Straight:
    """Straight-line text of a list of items; `imported` says where in the scratch array other values lie."""

    def __init__(
        self, module: Module, buffers: Mapping[int, tuple[int, int]], weights_at: int, imported: Mapping[int, int]
    ) -> None:
        self.module = module
        self.graph: Graph = module.system.graph
        self.buffers = buffers
        self.weights_at = weights_at
        self.lines: list[str] = []
        self.imported = imported
        self._known: dict[int, str] = {}
        self._loaded: list[int] = []  # of what is known, what can be had again
        self._truth: dict[int, str] = {}
        self._count = 0  # LLVM gives number 0 to the function's only block

    def run(self, items: Sequence[Item], travels: Mapping[int, int] = _NOWHERE) -> None:
        """The items in their order; nodes in `travels` are put into the scratch array as they are made."""
        ops, args, known, loaded = self.graph.op, self.graph.args, self._known, self._loaded
        write, value, store = self.lines.append, self.value, self.store
        for start in range(0, len(items), FORGET):
            for kind, node, place in items[start : start + FORGET]:
                if kind == "node":
                    operation = _CONTRACTED.get(ops[node])
                    if operation is not None:  # most nodes, so without detours
                        left, right = args[node]
                        x = known.get(left) or value(left)
                        y = known.get(right) or value(right)
                        self._count += 1
                        known[node] = name = f"%{self._count}"
                        write(f"{name} = {operation}{x}, {y}")
                    else:
                        self.node(node)
                    if node in travels:
                        store(node, "%scratch", travels[node])
                elif kind == "out":
                    store(node, "%out", place)
                elif kind == "seat":
                    store(node, "%scratch", place)
                elif kind == "pad":
                    write(f"store double {number(1.0)}, ptr {self._at('%scratch', place)}, align 8")
                else:
                    self.module.calls.add(kind)
                    arrays = [f"ptr {self._at('%scratch', node + k * place)}" for k in range(2 if kind == "pow" else 1)]
                    write(f"call void @sciml_{kind}({', '.join(arrays)}, i64 {place})")
            for node in loaded:
                del known[node]
            loaded.clear()

    def emit(self, text: str) -> str:
        self._count += 1
        name = f"%{self._count}"
        self.lines.append(f"{name} = {text}")
        return name

    def _load(self, pointer: str, index: int) -> str:
        self._count = count = self._count + (2 if index else 1)
        name = f"%{count}"
        if index:
            at = f"%{count - 1}"
            self.lines.append(f"{at} = getelementptr double, ptr {pointer}, i64 {index}")
            self.lines.append(f"{name} = load double, ptr {at}")
        else:
            self.lines.append(f"{name} = load double, ptr {pointer}")
        return name

    def _at(self, pointer: str, index: int) -> str:
        return self.emit(f"getelementptr double, ptr {pointer}, i64 {index}") if index else pointer

    def store(self, node: int, pointer: str, index: int) -> None:
        value = self._known.get(node) or self.value(node)
        if index:
            self._count += 1
            at = f"%{self._count}"
            self.lines.append(f"{at} = getelementptr double, ptr {pointer}, i64 {index}")
            self.lines.append(f"store double {value}, ptr {at}")
        else:
            self.lines.append(f"store double {value}, ptr {pointer}")

    def value(self, node: int) -> str:
        """The double that holds `node`."""
        if node in self._known:
            return self._known[node]
        op, data = self.graph.op[node], self.graph.data[node]
        if op == "const":
            return number(data)  # type: ignore[arg-type]
        if op == "t":
            return "%t"
        if op in ("state", "param", "seed"):
            text = self._load(_POINTERS[op], data)  # type: ignore[arg-type]
            self._loaded.append(node)
        elif node in self._truth:  # before what travels: a condition made here is not in its seat yet
            text = self.emit(f"uitofp i1 {self._truth[node]} to double")
        elif node in self.imported:
            text = self._load("%scratch", self.imported[node])
            self._loaded.append(node)
        else:
            raise AssertionError(f"node {node} ({op}) used before it was made")
        self._known[node] = text
        return text

    def truth(self, node: int) -> str:
        """The i1 that says whether `node` is not zero."""
        if node not in self._truth:
            self._truth[node] = self.emit(f"fcmp une double {self.value(node)}, {number(0.0)}")
        return self._truth[node]

    def node(self, node: int) -> None:
        """Compute one node."""
        op, args = self.graph.op[node], self.graph.args[node]
        if op in ARITHMETIC:  # of loops, which do not come here by `run`
            text = f"{_CONTRACTED[op]}{self.value(args[0])}, {self.value(args[1])}"
        elif op == "neg":
            text = f"fneg double {self.value(args[0])}"
        elif op in INTRINSICS or op in LIBM or op == "digamma":
            name = INTRINSICS.get(op) or LIBM.get(op) or op
            self.module.unary.add(name)
            text = f"call double @{name}(double {self.value(args[0])})"
        elif op == "pow":
            self._known[node] = self._power(node, *args)
            return
        elif op == "atan2":
            self.module.binary.add("atan2")
            text = f"call double @atan2(double {self.value(args[0])}, double {self.value(args[1])})"
        elif op in CONDITIONS:
            self._truth[node] = self._condition(op, args)
            return
        elif op == "select":
            a, b = self.value(args[1]), self.value(args[2])
            text = f"select i1 {self.truth(args[0])}, double {a}, double {b}"
        elif op in ("min", "max"):
            a, b = self.value(args[0]), self.value(args[1])
            # a NaN on either side must come out: `unordered` picks the first, then the second is checked
            first = self.emit(f"fcmp {'ole' if op == 'min' else 'oge'} double {a}, {b}")
            broken = self.emit(f"fcmp uno double {a}, {a}")
            pick = self.emit(f"or i1 {first}, {broken}")
            text = f"select i1 {pick}, double {a}, double {b}"
        elif op == "sign":
            x = self.value(args[0])
            up = self.emit(f"fcmp ogt double {x}, {number(0.0)}")
            down = self.emit(f"fcmp olt double {x}, {number(0.0)}")
            low = self.emit(f"select i1 {down}, double {number(-1.0)}, double {x}")
            text = f"select i1 {up}, double {number(1.0)}, double {low}"
        elif op == "mod":
            a, b = self.value(args[0]), self.value(args[1])
            self.module.unary.add("llvm.floor.f64")
            ratio = self.emit(f"fdiv double {a}, {b}")
            whole = self.emit(f"call double @llvm.floor.f64(double {ratio})")
            text = f"fsub contract double {a}, {self.emit(f'fmul contract double {b}, {whole}')}"
        elif op == INPUT:
            k, order = self.graph.data[node]  # type: ignore[misc]
            self.module.inputs = True
            tables = self._at("%p", self.module.system.tables_at)
            text = f"call double @input_value(ptr {tables}, i64 {k}, double {self.value(args[0])}, i32 {order})"
        else:
            self._network(node, op, args)
            return
        self._known[node] = self.emit(text)

    def _condition(self, op: str, args: tuple[int, ...]) -> str:
        if op in COMPARE:
            return self.emit(f"fcmp {COMPARE[op]} double {self.value(args[0])}, {self.value(args[1])}")
        if op == "not":
            return self.emit(f"xor i1 {self.truth(args[0])}, true")
        return self.emit(f"{LOGIC[op]} i1 {self.truth(args[0])}, {self.truth(args[1])}")

    def _power(self, node: int, base: int, exponent: int) -> str:
        x = self.value(base)
        if is_product(self.graph, node):
            value = self.graph.data[exponent]
            assert isinstance(value, float)
            whole = int(abs(value))
            power, square, bits = "", x, whole
            while bits:
                if bits & 1:
                    power = square if not power else self.emit(f"fmul contract double {power}, {square}")
                bits >>= 1
                if bits:
                    square = self.emit(f"fmul contract double {square}, {square}")
            if abs(value) != whole:
                self.module.unary.add("llvm.sqrt.f64")
                root = self.emit(f"call double @llvm.sqrt.f64(double {x})")
                power = root if not power else self.emit(f"fmul contract double {power}, {root}")
            return power if value > 0 else self.emit(f"fdiv double {number(1.0)}, {power}")
        self.module.binary.add("llvm.pow.f64")
        return self.emit(f"call double @llvm.pow.f64(double {x}, double {self.value(exponent)})")

    # ------------------------------------------------------------ networks

    def _network(self, node: int, op: str, args: tuple[int, ...]) -> None:
        graph, system = self.graph, self.module.system
        if op == "netcall":
            k = int(graph.data[node])  # type: ignore[arg-type]
            at, _ = self.buffers[node]
            for j, a in enumerate(args):
                self.store(a, "%scratch", at + j)
            if node in self.module._used_calls:
                level = str(self.module._level.get(node, 0))
                self.module.networks.setdefault(k, set()).add(level)
                x, w = self._at("%scratch", at), self._at("%p", system.weight_offsets[k])
                out = self._at("%scratch", at + len(args))
                self.lines.append(f"  call void @net{k}_{level}(ptr {x}, ptr {w}, ptr {out})")
        elif op == "net_vjp":
            call = args[0]
            k = int(graph.data[call])  # type: ignore[arg-type]
            net = system.networks[k]
            at, _ = self.buffers[node]
            for i in range(net.n_out):
                self.store(args[1 + i] if i + 1 < len(args) else graph.const(0.0), "%scratch", at + i)
            self.module.networks.setdefault(k, set()).add("vjp")
            x, w = self._at("%scratch", self.buffers[call][0]), self._at("%p", system.weight_offsets[k])
            c, dx = self._at("%scratch", at), self._at("%scratch", at + net.n_out)
            dw = self._at("%out", self.weights_at + system.weight_offsets[k] - system.n_params)
            self.lines.append(f"  call void @net{k}_vjp(ptr {x}, ptr {w}, ptr {c}, ptr {dx}, ptr {dw})")
        elif op in ("net", "net_jac", "net_hess", "net_vjp_in"):
            self._known[node] = self._load("%scratch", self._projection(node, op))
        else:
            raise AssertionError(f"operation {op!r} has no LLVM form")

    def _projection(self, node: int, op: str) -> int:
        graph, system = self.graph, self.module.system
        source = graph.args[node][0]
        indices = graph.data[node]
        assert isinstance(indices, tuple)
        at, _ = self.buffers[source]
        if op == "net_vjp_in":
            net = system.networks[int(graph.data[graph.args[source][0]])]  # type: ignore[arg-type]
            return at + net.n_out + indices[0]
        net = system.networks[int(graph.data[source])]  # type: ignore[arg-type]
        at += net.n_in
        if op == "net":
            return at + indices[0]
        if op == "net_jac":
            return at + net.n_out + indices[0] * net.n_in + indices[1]
        i, j, l = indices
        return at + net.n_out * (1 + net.n_in) + (i * net.n_in + j) * net.n_in + l
