"""Steps of an explicit method for several trajectories at once, one in each lane of vector registers.

Takes a system and a tableau; gives LLVM IR of one function that makes steps in all lanes,
with the error norm, the step size controller and the detection of stiffness inside, until a
lane needs something else: its output, its end, a failure (`solve.lane_slots` names what is
where).  Every lane has its own time, step size, state and parameters; accepting or rejecting
is a choice of values, not a branch.  What is done is written as nodes of the graph, as
`fused` does for one trajectory, and lowered with vectors in place of numbers.  All operations
act on each lane alone, so a trajectory's numbers do not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from ..graph.compose import at
from ..graph.ops import CONDITIONS, LEAVES
from ..solve import lane_slots as slot
from ..solve.lane_slots import LaneStep, Layout
from ..solve.methods.abi import BETA1, BETA2, BETA3, EXPONENT, GROW, LOG_SAFETY, STIFF_AT
from . import fused, vector_math
from .batches import is_product
from .jit import MachineCode, has_fma, vector_lanes
from .llvm import ARITHMETIC, COMPARE, DIGAMMA, INTRINSICS, LIBM, LOGIC
from .llvm_network import number

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.system import System
    from ..solve.methods.tableau import Tableau

LARGEST_STATES, LARGEST = 20, 6000
"""States, and operations of a whole step: compiling these takes half a second, once."""
STIFF_STEPS, CALM_STEPS = 8.0, 6.0  # as in solve.stiffness
SHRINK, SAFETY, LOG_SMALLEST = 0.2, 0.9, -9.210340371976182  # as in solve.control
LARGEST_DOUBLE = 1.7976931348623157e308
EPS = 2.220446049250313e-16
_ROW = 1 << 20  # seeds from here on are rows of the block
_NATIVE = {"sqrt", "abs", "floor", "ceil"}  # instructions of the processor


def fits(system: System, tableau: Tableau) -> bool:
    """Can this model be stepped in lanes: a small one of ordinary equations, by a method that estimates its error?"""
    if system.networks or system.algebraic or system.events or system.turns or system.inputs:
        return False
    if system.watch is not None or not has_fma() or not any(tableau.e):
        return False
    return 0 < system.n <= LARGEST_STATES and _size(system, tableau) <= LARGEST


def _size(system: System, tableau: Tableau) -> int:
    graph = system.graph
    operations = sum(graph.op[n] not in LEAVES for n in graph.reachable(system.rhs))
    entries = sum(weight != 0.0 for row in tableau.rows for weight in row)
    return tableau.total * operations + 2 * entries * system.n


def lane_step(system: System, tableau: Tableau) -> LaneStep:
    """The compiled step; `fits` must hold."""
    lanes = vector_lanes()
    code = MachineCode(step_text(system, tableau, lanes), thorough=True)
    return LaneStep(code.address("step"), code.address("output"), lanes, layout(system, tableau), code)


def layout(system: System, tableau: Tableau) -> Layout:
    """Of the memory of a lane step."""
    return Layout(system.n, system.n_params, tableau.degree)


class _Attempt:
    """The nodes of one attempted step in every lane, and what follows from it."""

    def __init__(self, system: System, tableau: Tableau) -> None:
        graph, n = system.graph, system.n
        self.graph, self.places = graph, layout(system, tableau)
        row, const, call = self.row, graph.const, graph.call
        sign, time = row(slot.SIGN), system.time_leaf

        # The step, cut or slightly stretched to end at the end; as in solve.loop.
        active = call("ne", row(slot.ACTIVE), const(0.0))
        free = self._smaller(row(slot.STEP_SIZE), row(slot.LONGEST))
        left = graph.sub(row(slot.END), time)
        remaining = graph.mul(sign, left)
        hit = call("ge", self._smaller(graph.mul(const(1.01), free), row(slot.LONGEST)), remaining)
        h = graph.select(hit, left, graph.mul(sign, free))
        there = graph.add(time, h)
        new_time = graph.select(hit, row(slot.END), there)
        resolution = self._larger(graph.mul(const(16.0 * EPS), call("abs", time)), row(slot.SHORTEST))
        small = self._any(call("lt", free, resolution), call("le", free, row(slot.FLOOR)), call("eq", there, time))
        small = call("and", call("not", hit), small)
        attempts = graph.add(row(slot.ACCEPTED), row(slot.REJECTED))
        exhausted = call("and", active, call("ge", attempts, row(slot.MAX_STEPS)))
        too_small = call("and", active, call("and", call("not", exhausted), small))
        going = call("and", active, call("not", call("or", exhausted, small)))

        # Try it.  Squares of norms are enough, roots and quotients cost most.
        slopes = [row(self.places.slope + i) for i in range(n)] if tableau.fsal else list(system.rhs)
        arguments, stages = self._stages(system, tableau, h, slopes)
        new = self._combination(system, tableau.b, stages, h)
        scales = []  # h over the tolerance of each state: one quotient serves all norms
        for i, (u, v) in enumerate(zip(system.state_leaves, new, strict=True)):
            larger = self._larger(call("abs", u), call("abs", v))
            tolerance = graph.add(row(self.places.atol + i), graph.mul(row(self.places.rtol + i), larger))
            scales.append(graph.div(h, tolerance))
        square = self._error(tableau.e, stages, scales)
        if tableau.e2:  # as in DOP853: e**2 / sqrt(e**2 + 0.01 e2**2)
            both = graph.add(square, graph.mul(const(0.01), self._error(tableau.e2, stages, scales)))
            nothing = call("eq", both, const(0.0))
            square = graph.select(nothing, const(0.0), graph.div(graph.mul(square, square), both))
        finite = self._all(*(call("le", call("abs", node), const(LARGEST_DOUBLE)) for node in new))
        small_error = call("le", square, const(1.0))
        good = call("and", small_error, finite)
        accepted = call("and", going, good)
        rejected = call("and", going, call("not", good))
        broken = call("or", call("not", call("le", square, const(LARGEST_DOUBLE))),
                      call("and", small_error, call("not", finite)))  # fmt: skip

        # The next step size, as in solve.control.
        usable = call("and", going, call("not", broken))
        kept_away = graph.select(usable, self._larger(square, const(1e-300)), const(1.0))  # from 0 and from NaN
        logarithm = call("log", kept_away)
        log_error = graph.mul(const(0.5), logarithm)
        safety, previous, before = (self.control(LOG_SAFETY), row(slot.LOG_PREVIOUS), row(slot.LOG_BEFORE))
        history = graph.add(graph.mul(self.control(BETA2), previous), graph.mul(self.control(BETA3), before))
        up = graph.sub(graph.sub(safety, graph.mul(self.control(BETA1), log_error)), history)
        down = graph.sub(safety, graph.mul(self.control(EXPONENT), log_error))
        exponent = self._larger(graph.select(good, up, down), const(-700.0))
        change = call("exp", self._smaller(exponent, const(700.0)))
        self.in_range = {logarithm, change}
        growth = self._smaller(self.control(GROW), self._larger(const(SHRINK), change))
        reduction = self._larger(const(SHRINK), self._smaller(const(SAFETY), change))
        reduction = graph.select(broken, const(SHRINK), reduction)
        again = call("ne", row(slot.AGAIN), const(0.0))
        length = call("abs", h)
        longer = graph.mul(length, graph.select(again, self._smaller(growth, const(1.0)), growth))
        longer = graph.select(call("and", hit, call("not", again)), self._larger(longer, free), longer)
        size = graph.select(rejected, graph.mul(length, reduction), row(slot.STEP_SIZE))

        # Stiffness, as in solve.loop for "auto"; the limit is infinite for others.
        count, calm = row(slot.STIFF_COUNT), row(slot.CALM_COUNT)
        one, nothing = const(1.0), const(0.0)
        is_stiff = self._stiff(tableau, arguments, stages, scales, h)
        more_calm = graph.select(call("gt", count, nothing), graph.add(calm, one), calm)
        cleared = graph.select(call("ge", more_calm, const(CALM_STEPS)), nothing, count)
        new_count = graph.select(is_stiff, graph.add(count, one), cleared)
        switch = self._all(accepted, is_stiff, call("ge", new_count, const(STIFF_STEPS)))

        following = row(slot.NEXT_OUTPUT)
        beyond = graph.mul(sign, graph.sub(following, new_time))
        near = graph.mul(const(2e-15), self._larger(call("abs", following), call("abs", new_time)))
        self.inside = call("and", accepted, call("lt", beyond, nothing))
        further = graph.mul(sign, graph.sub(row(slot.OUTPUT_AFTER), new_time))
        self.several = call("and", accepted, call("lt", further, nothing))
        self.reasons = (
            call("and", accepted, hit), call("and", accepted, call("le", beyond, near)), switch, too_small, exhausted,
        )  # fmt: skip

        def kept(seat: int, node: int) -> None:
            self.rows[seat] = graph.select(accepted, node, row(seat))

        self.rows: dict[int, int] = {
            slot.STEP_SIZE: graph.select(accepted, longer, size),
            slot.ACCEPTED: graph.add(row(slot.ACCEPTED), graph.select(accepted, one, nothing)),
            slot.REJECTED: graph.add(row(slot.REJECTED), graph.select(rejected, one, nothing)),
            slot.AGAIN: graph.select(
                going,
                graph.select(good, nothing, graph.select(broken, const(slot.NOT_FINITE), one)),
                row(slot.AGAIN),
            ),
            slot.TIME: graph.select(accepted, new_time, time),
        }
        kept(slot.LOG_BEFORE, previous)
        kept(slot.LOG_PREVIOUS, self._larger(log_error, const(LOG_SMALLEST)))
        kept(slot.STIFF_COUNT, new_count)
        kept(slot.CALM_COUNT, graph.select(is_stiff, nothing, more_calm))
        for i, leaf in enumerate(system.state_leaves):
            self.rows[self.places.state + i] = graph.select(accepted, new[i], leaf)
            if tableau.fsal:
                kept(self.places.slope + i, stages[tableau.last][i])

        # The interpolant, whose seeds are the step's and its results in the order of methods/tableau.py.
        tolerances = [row(self.places.rtol + i) for i in range(2 * n)]
        flat = [node for stage in stages for node in stage]
        self.seeds = dict(enumerate([h, *tolerances, *slopes, nothing, nothing, *new, *flat]))
        coefficients, _ = fused.whole_interpolant(system, tableau)
        self.polynomial = {self.places.polynomial + q: node for q, node in enumerate(coefficients)}
        self.polynomial |= {slot.TIME_BEFORE: time, slot.STEP_TAKEN: h}
        self.step = [*new, *flat]
        theta = graph.div(graph.sub(following, time), h)
        self.first_output = self._output(theta, coefficients)
        kept_rows = [row(self.places.polynomial + q) for q in range(len(coefficients))]
        theta = graph.div(graph.sub(following, row(slot.TIME_BEFORE)), row(slot.STEP_TAKEN))
        self.output = self._output(theta, kept_rows)

    def _output(self, theta: int, coefficients: Sequence[int]) -> dict[int, int]:
        """The interpolant (degree + 1, n) at theta, and the rows it goes to."""
        graph, n, found = self.graph, self.places.n, {}
        for i in range(n):
            value = coefficients[self.places.degree * n + i]
            for q in range(self.places.degree - 1, -1, -1):
                value = graph.add(coefficients[q * n + i], graph.mul(value, theta))
            found[self.places.output + i] = value
        return found

    def _combination(
        self, system: System, weights: Sequence[float], stages: Sequence[Sequence[int]], h: int
    ) -> list[int]:  # fmt: skip
        """u + h * sum_j weights[j] * stages[j], for every state."""
        graph = self.graph
        return [
            graph.add(u, graph.mul(h, self._sum(weights, [stage[i] for stage in stages])))
            for i, u in enumerate(system.state_leaves)
        ]

    def _sum(self, weights: Sequence[float], nodes: Sequence[int]) -> int:
        graph = self.graph
        total = graph.const(0.0)
        for weight, node in zip(weights, nodes, strict=False):
            if weight != 0.0:
                total = graph.add(total, graph.mul(graph.const(weight), node))
        return total

    def _stages(
        self, system: System, tableau: Tableau, h: int, slopes: list[int]
    ) -> tuple[list[list[int]], list[list[int]]]:
        """(argument, slope) of every stage of a step."""
        graph = self.graph
        arguments, stages = [list(system.state_leaves)], [slopes]
        for c, weights in zip(tableau.c[1:], tableau.a, strict=True):
            arguments.append(self._combination(system, weights, stages, h))
            places = dict(zip(system.state_leaves, arguments[-1], strict=True))
            places[system.time_leaf] = graph.add(system.time_leaf, graph.mul(graph.const(c), h))
            stages.append(at(graph, system.rhs, places))
        return arguments, stages

    def _error(self, weights: Sequence[float], stages: Sequence[Sequence[int]], scales: Sequence[int]) -> int:
        """Mean square of an estimated error over its tolerance."""
        graph = self.graph
        total = graph.const(0.0)
        for i, scale in enumerate(scales):
            part = graph.mul(self._sum(weights, [stage[i] for stage in stages]), scale)
            total = graph.add(total, graph.mul(part, part))
        return graph.mul(graph.const(1.0 / len(scales)), total)

    def _stiff(
        self, tableau: Tableau, arguments: Sequence[Sequence[int]], stages: Sequence[Sequence[int]],
        scales: Sequence[int], h: int,
    ) -> int:  # fmt: skip
        """Is |h lambda|, from two stages at one time, above the method's limit?"""
        graph = self.graph
        above = below = graph.const(0.0)
        if tableau.pair is None:
            return graph.call("gt", above, self.control(STIFF_AT))
        first, other = tableau.pair
        for i, scale in enumerate(scales):
            slope = graph.mul(scale, graph.sub(stages[first][i], stages[other][i]))
            distance = graph.mul(scale, graph.sub(arguments[first][i], arguments[other][i]))
            above = graph.add(above, graph.mul(slope, slope))
            below = graph.add(below, graph.mul(distance, distance))
        limit = self.control(STIFF_AT)
        return graph.call("gt", graph.mul(graph.mul(h, h), above), graph.mul(graph.mul(limit, limit), below))

    def _larger(self, a: int, b: int) -> int:
        """The larger of two; `b` where one is NaN.  What the processor does, which "max" of the graph is not."""
        return self.graph.select(self.graph.call("gt", a, b), a, b)

    def _smaller(self, a: int, b: int) -> int:
        """The smaller of two; `b` where one is NaN."""
        return self.graph.select(self.graph.call("lt", a, b), a, b)

    def row(self, seat: int) -> int:
        """The leaf that stands for a row of the block."""
        return self.graph.leaf("seed", _ROW + seat)

    def control(self, number: int) -> int:
        """A constant of the controller."""
        return self.row(slot.CONTROL + number)

    def _all(self, first: int, *more: int) -> int:
        for node in more:
            first = self.graph.call("and", first, node)
        return first

    def _any(self, first: int, *more: int) -> int:
        for node in more:
            first = self.graph.call("or", first, node)
        return first


def step_text(system: System, tableau: Tableau, lanes: int) -> str:
    """LLVM IR of the step of `lanes` trajectories."""
    attempt = _Attempt(system, tableau)
    text = _Vectors(system.graph, attempt.places, attempt.seeds, lanes, attempt.in_range)
    text.compute(attempt.step)
    text.compute([*attempt.rows.values(), *attempt.reasons, attempt.inside, attempt.several])
    masks = [text.mask(node) for node in attempt.reasons]
    some, several = (text.emit(f"icmp ne i{lanes} {text.mask(m)}, 0") for m in (attempt.inside, attempt.several))
    for node in attempt.rows.values():  # what the interpolant may read is read before it is overwritten
        text.value(node)
    text.lines += [f"br i1 {some}, label %interpolant, label %write", "interpolant:"]
    text.compute([*attempt.polynomial.values(), *attempt.first_output.values()])
    text.store(attempt.first_output)
    text.lines += [f"br i1 {several}, label %keep, label %write", "keep:"]
    text.store(attempt.polynomial)
    text.lines += ["br label %write", "write:"]
    text.store(attempt.rows)
    attention = masks[0]
    for k, mask in enumerate(masks):
        wide = text.emit(f"zext i{lanes} {mask} to i64")
        text.lines.append(f"store i64 {wide}, ptr {text.place('%reasons', k)}")
        attention = mask if k == 0 else text.emit(f"or i{lanes} {attention}, {mask}")
    halt = text.emit("load volatile i64, ptr %stop")
    asked = text.emit(f"icmp ne i64 {halt}, 0")
    needed = text.emit(f"icmp ne i{lanes} {attention}, 0")
    out = text.emit(f"or i1 {asked}, {needed}")
    text.lines.append(f"br i1 {out}, label %done, label %step")
    body = "\n  ".join(text.lines)
    numbers = ", ".join(f"double {number(value)}" for value in text.constants)
    step = (
        "define internal void @steps(ptr noalias %block, ptr noalias %reasons, ptr %stop, ptr %table) "
        "noinline nounwind {\n"
        f"entry:\n  br label %step\nstep:\n  {body}\ndone:\n  ret void\n}}\n"
        f"@table = internal global [{len(text.constants)} x double] [{numbers}], align 64\n"
        "define void @step(ptr %block, ptr %reasons, ptr %stop) nounwind {\n"
        "  call void @steps(ptr %block, ptr %reasons, ptr %stop, ptr @table)\n  ret void\n}\n"
    )
    output = _Vectors(system.graph, attempt.places, attempt.seeds, lanes)
    output.compute(list(attempt.output.values()))
    output.store(attempt.output)
    body = "\n  ".join(output.lines)
    return text.module(f"{step}\ndefine void @output(ptr noalias %block) nounwind {{\n  {body}\n  ret void\n}}\n")


class _Vectors:
    """Straight-line code with a vector for every node.

    `seeds`: the nodes (or rows) that the seeds of the step stand for; `in_range`: calls of exp and
    log that need not look whether their arguments are.
    """

    def __init__(
        self, graph: Graph, places: Layout, seeds: Mapping[int, int], lanes: int, in_range: Set[int] = frozenset()
    ) -> None:  # fmt: skip
        self.graph, self.places, self.seeds, self.lanes, self.in_range = graph, places, seeds, lanes, in_range
        self.kind, self.truths = f"<{lanes} x double>", f"<{lanes} x i1>"
        self.lines: list[str] = []
        self._known: dict[int, str] = {}
        self._truth: dict[int, str] = {}
        self._native: set[str] = set()
        self._vector: set[str] = set()
        self._scalar: dict[str, str] = {}
        self.constants: dict[float, int] = {}
        self._count = 0

    def emit(self, text: str) -> str:
        """A new value."""
        self._count += 1
        self.lines.append(f"%v{self._count} = {text}")
        return f"%v{self._count}"

    def compute(self, nodes: Sequence[int]) -> None:
        """Everything `nodes` depend on, and them."""
        for node in self.graph.reachable(nodes):
            if self.graph.op[node] in LEAVES:
                continue
            if node not in self._known and node not in self._truth:
                self._node(node)

    def place(self, pointer: str, index: int) -> str:
        """Address of the double or word number `index`."""
        return self.emit(f"getelementptr inbounds i64, ptr {pointer}, i64 {index}")

    def store(self, rows: Mapping[int, int]) -> None:
        """Write rows of the block."""
        for seat, node in rows.items():
            value = self.value(node)
            self.lines.append(f"store {self.kind} {value}, ptr {self.place('%block', seat * self.lanes)}, align 8")

    def mask(self, node: int) -> str:
        """A condition as an integer with a bit for each lane."""
        return self.emit(f"bitcast {self.truths} {self.truth(node)} to i{self.lanes}")

    def splat(self, value: float) -> str:
        """A constant in all lanes.

        It is read where it is used: constants known to the compiler it would hold in registers
        that are needed for other things, or load all of them at the beginning of every call.
        """
        if value == 0.0:
            zero = "zeroinitializer"
            return zero if math.copysign(1.0, value) > 0.0 else self.emit(f"fneg {self.kind} {zero}")
        seat = self.constants.setdefault(value, len(self.constants))
        one = self.emit(f"load double, ptr {self.place('%table', seat)}, align 8")
        first = self.emit(f"insertelement {self.kind} poison, double {one}, i32 0")
        return self.emit(f"shufflevector {self.kind} {first}, {self.kind} poison, <{self.lanes} x i32> zeroinitializer")

    def _row(self, seat: int) -> str:
        return self.emit(f"load {self.kind}, ptr {self.place('%block', seat * self.lanes)}, align 8")

    def value(self, node: int) -> str:
        """The vector that holds `node`."""
        found = self._known.get(node)
        if found is not None:
            return found
        op, data = self.graph.op[node], self.graph.data[node]
        if op == "const":
            return self.splat(data)  # type: ignore[arg-type]
        index: int = data  # type: ignore[assignment]
        if op == "seed" and index < _ROW:
            text = self.value(self.seeds[index])
        elif op in ("t", "state", "param", "seed"):
            first = {"t": slot.TIME, "state": self.places.state, "param": self.places.parameters, "seed": -_ROW}[op]
            text = self._row(first + index)
        else:
            text = self.emit(f"uitofp {self.truths} {self._truth[node]} to {self.kind}")
        self._known[node] = text
        return text

    def truth(self, node: int) -> str:
        """The vector of bits that says where `node` is not zero."""
        if node not in self._truth:
            self._truth[node] = self.emit(f"fcmp une {self.kind} {self.value(node)}, {self.splat(0.0)}")
        return self._truth[node]

    def _two(self, op: str, a: str, b: str) -> str:
        return self.emit(f"{op} {self.kind} {a}, {b}")

    def _pick(self, condition: str, a: str, b: str) -> str:
        return self.emit(f"select {self.truths} {condition}, {self.kind} {a}, {self.kind} {b}")

    def _node(self, node: int) -> None:
        graph = self.graph
        op, args = graph.op[node], graph.args[node]
        if op in CONDITIONS:
            self._truth[node] = self._condition(op, args)
            return
        if op == "select":
            values = [self.value(a) for a in args[1:]]
            self._known[node] = self._pick(self.truth(args[0]), *values)
            return
        x = [self.value(a) for a in args]
        if op in ARITHMETIC:
            text = self._two(f"{ARITHMETIC[op]} contract", *x)
        elif op == "neg":
            text = self.emit(f"fneg {self.kind} {x[0]}")
        elif op in _NATIVE:
            text = self._instruction(INTRINSICS[op].split(".")[1], x[0])
        elif node in self.in_range:
            lines, text = vector_math.inline(op, self.lanes, f"{op}{node}_", self.splat, *x)
            self.lines += lines
        elif op in vector_math.UNARY:
            text = self._call(op, x)
            self._vector.add(op)
        elif op == "pow":
            text = self._power(node, *x)
        elif op in ("min", "max"):
            first = self._two(f"fcmp {'ole' if op == 'min' else 'oge'}", *x)
            broken = self._two("fcmp uno", x[0], x[0])
            text = self._pick(self.emit(f"or {self.truths} {first}, {broken}"), *x)
        elif op == "sign":
            low = self._pick(self._two("fcmp olt", x[0], self.splat(0.0)), self.splat(-1.0), x[0])
            text = self._pick(self._two("fcmp ogt", x[0], self.splat(0.0)), self.splat(1.0), low)
        elif op == "mod":
            whole = self._instruction("floor", self._two("fdiv", *x))
            text = self._two("fsub contract", x[0], self._two("fmul contract", x[1], whole))
        elif op in INTRINSICS or op in LIBM or op in ("digamma", "atan2"):
            self._scalar[op] = INTRINSICS.get(op) or LIBM.get(op) or op
            text = self._call(op, x)
        else:
            raise AssertionError(f"operation {op!r} has no form in lanes")
        self._known[node] = text

    def _condition(self, op: str, args: tuple[int, ...]) -> str:
        if op in COMPARE:
            return self._two(f"fcmp {COMPARE[op]}", self.value(args[0]), self.value(args[1]))
        if op == "not":
            ones = "<" + ", ".join(["i1 true"] * self.lanes) + ">"
            return self.emit(f"xor {self.truths} {self.truth(args[0])}, {ones}")
        return self.emit(f"{LOGIC[op]} {self.truths} {self.truth(args[0])}, {self.truth(args[1])}")

    def _instruction(self, name: str, x: str) -> str:
        self._native.add(name)
        return self.emit(f"call {self.kind} @llvm.{name}.v{self.lanes}f64({self.kind} {x})")

    def _call(self, op: str, x: Sequence[str]) -> str:
        arguments = ", ".join(f"{self.kind} {a}" for a in x)
        return self.emit(f"call {self.kind} @lanes_{op}({arguments})")

    def _power(self, node: int, x: str, y: str) -> str:
        if not is_product(self.graph, node):
            self._vector.add("pow")
            return self._call("pow", (x, y))
        value = self.graph.data[self.graph.args[node][1]]
        assert isinstance(value, float)
        power, square, bits = "", x, int(abs(value))
        while bits:
            if bits & 1:
                power = self._two("fmul contract", power, square) if power else square
            bits >>= 1
            if bits:
                square = self._two("fmul contract", square, square)
        if abs(value) != int(abs(value)):
            root = self._instruction("sqrt", x)
            power = self._two("fmul contract", power, root) if power else root
        return power if value > 0 else self._two("fdiv", self.splat(1.0), power)

    def module(self, function: str) -> str:
        """The whole module: `function` and what it calls."""
        kind, lanes = self.kind, self.lanes
        single = {"exp", "log", "sin", "cos", "tanh", *self._scalar.values()} - {"digamma", "atan2"}
        if "digamma" in self._scalar:
            single |= {"tan", "llvm.log.f64"}
        parts = ['source_filename = "sciml_dsl_lanes"\n']
        parts += [f"declare double @{name}(double) nounwind willreturn memory(none)" for name in sorted(single)]
        parts += [
            f"declare double @{name}(double, double) nounwind willreturn memory(none)" for name in ("pow", "atan2")
        ]
        native = {*self._native, "fabs"}
        parts += [f"declare {kind} @llvm.{name}.v{lanes}f64({kind})" for name in sorted(native)]
        parts.append(f"declare {kind} @llvm.fma.v{lanes}f64({kind}, {kind}, {kind})")
        if "digamma" in self._scalar:
            parts.append(DIGAMMA)
        parts += [vector_math.in_lanes(name, lanes) for name in sorted(self._vector)]
        parts += [self._one_by_one(op, name) for op, name in sorted(self._scalar.items())]
        return "\n".join([*parts, function])

    def _one_by_one(self, op: str, name: str) -> str:
        """A function that calls a scalar one in every lane."""
        kind, count = self.kind, 2 if op == "atan2" else 1
        lines = []
        for k in range(count):
            lines.append(f"  %e{k} = extractelement {kind} %x{k}, i32 %j")
        arguments = ", ".join(f"double %e{k}" for k in range(count))
        given = ", ".join(f"{kind} %x{k}" for k in range(count))
        return "\n".join(
            [
                f"define internal {kind} @lanes_{op}({given}) nounwind {{",
                "entry:",
                "  br label %loop",
                "loop:",
                "  %j = phi i32 [0, %entry], [%next, %loop]",
                f"  %r = phi {kind} [zeroinitializer, %entry], [%put, %loop]",
                *lines,
                f"  %one = call double @{name}({arguments})",
                f"  %put = insertelement {kind} %r, double %one, i32 %j",
                "  %next = add i32 %j, 1",
                f"  %last = icmp eq i32 %next, {self.lanes}",
                "  br i1 %last, label %done, label %loop",
                "done:",
                f"  ret {kind} %put",
                "}",
                "",
            ]
        )
