"""An ensemble in the lanes of vector registers: several trajectories side by side, each with its own steps.

Takes an `Integrator` with its options, initial values (B, n) and parameters (B, ...); fills a
`Batch`, as `batch.py` does.  The model's step in lanes is generated code (`codegen.lanes`);
the loop here is compiled once.  It puts a trajectory into every lane, writes outputs, and gives a
lane whose trajectory ends the next one, so that none waits for the slowest.  What a lane
cannot go on with, because "auto" found it stiff, is integrated again by the kernel.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit, types, void
from numba.extending import intrinsic
from numpy.typing import NDArray

from . import lane_slots as slot
from .batch import N_COUNTS, Batch, integrate_into
from .call import call
from .choice import of_high_order
from .compiled import inner, source_digest
from .control import LOG_SMALLEST, first_step
from .events import same_time
from .integrate import AT_TIMES, AT_U0, Integrator
from .lane_slots import DONE, EXHAUSTED, N_REASONS, PASSED, STIFF, TOO_SMALL, LaneStep
from .loop import failure
from .methods.abi import GROW, N_CONTROL, START_EXPONENT, STIFF_AT, F
from .methods.registry import TSIT5, Method
from .methods.tableau import Tableau
from .slots import ACCEPTED, BY_TSIT5, FIRST_METHOD, MAX_STEPS, N_F, N_TIMES, REJECTED
from .status import Status

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

AGAIN = -2  # in place of a status: to be integrated by the kernel
_SUCCESS, _NONFINITE, _EXHAUSTED, _INTERRUPTED = (
    int(status) for status in (Status.SUCCESS, Status.NONFINITE, Status.MAX_STEPS, Status.INTERRUPTED)
)
_OPTIONS = {"method", "rtol", "atol", "by_tolerance", "max_steps", "dt0", "dtmax", "dtmin", "dt", "controller"}
"""Options that lanes know; with any other the trajectories go one by one."""


@cache
def _tsit5() -> Tableau:
    """Tsit5, which the kernel has in its loop, as a tableau like those of other methods."""
    from .methods.tsit5 import INTERPOLANT
    from .methods.tsit5_tableau import A2, A3, A4, A5, A6, B, C, E

    rows = tuple(tuple(float(weight) for weight in row) for row in INTERPOLANT)
    return Tableau(C, (A2, A3, A4, A5, A6, B), (*B, 0.0), E, rows, fsal=True, pair=(6, 5))


def tableau_of(method: Method) -> Tableau | None:
    """The tableau of a method that lanes can step with; None for others."""
    if method is TSIT5:
        return _tsit5()
    if method.kind != "explicit" or method.tableau is None:
        return None
    return method.tableau()


@intrinsic  # type: ignore[untyped-decorator]
def _call_step(typingctx: Any, address: Any, block: Any, at: Any, reasons: Any, stop: Any) -> Any:
    """`step(&block[at], reasons, stop)` for the function at `address`."""
    arrays = (block, reasons, stop)
    if not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    signature = types.void(types.int64, block, types.int64, reasons, stop)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def data(k: int) -> Any:
            return context.make_array(sig.args[k])(context, builder, args[k]).data

        pointers = [builder.gep(data(1), [args[2]]), data(3), data(4)]
        kind = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), pointers)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def _call_output(typingctx: Any, address: Any, block: Any, at: Any) -> Any:
    """`output(&block[at])` for the function at `address`."""
    signature = types.void(types.int64, block, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.gep(context.make_array(sig.args[1])(context, builder, args[1]).data, [args[2]])
        kind = ir.FunctionType(ir.VoidType(), [pointer.type])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [pointer])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def _lowest(typingctx: Any, bits: Any) -> Any:
    """Number of the lowest bit that is set; `bits` is not 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@inner(inline=True)
def _fill(block: Any, at: int, lanes: int, row: int, lane: int, value: float) -> None:
    block[at + row * lanes + lane] = value


@inner(inline=True)
def _output_time(times: Any, row: int, sign: float) -> float:
    """Time of an output, or one that is never reached."""
    return float(times[row]) if row < times.size else sign * slot.NO_OUTPUT


def _build(version: int) -> Any:
    vector, matrix, integers = float64[::1], float64[:, ::1], int64[::1]

    @njit(  # type: ignore[untyped-decorator]
        [
            void(
                int64, int64, int64, int64, integers, vector, vector, vector, matrix, matrix, vector,
                float64[:, :, ::1], integers, vector, matrix, int64[:, ::1], integers,
            )
        ],
        error_model="numpy",
        nogil=True,
        cache=True,
    )  # fmt: skip
    def run(
        step: int, output: int, f: int, lanes: int, places: Any, numbers: Any, rtol: Any, atol: Any,
        u0: Any, p: Any, times: Any, u: Any, status: Any, t_end: Any, u_end: Any, counts: Any, stop: Any,
    ) -> None:  # fmt: skip
        size, n, n_save = u0.shape[0], u0.shape[1], times.size
        at_state, at_slope, at_rtol, at_atol, at_output, at_p, n_rows, n_params, per_step, extra, tsit5 = places
        t0, t1, dt0, dtmax, dtmin, max_steps = (
            numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
        )  # fmt: skip
        control = numbers[6:]
        rows_out = u.reshape(-1)
        sign = 1.0 if t1 >= t0 else -1.0
        block = np.zeros(n_rows * lanes + 8 + version - version)
        at = (-block.ctypes.data % 64) // 8
        reasons = np.zeros(N_REASONS, np.int64)
        owner, next_save, n_dense = np.full(lanes, -1), np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
        largest0 = np.zeros(lanes)
        g, k = np.empty(n), np.empty((2, n))
        for lane in range(lanes):
            for row, value in (
                (slot.END, t1), (slot.SIGN, sign), (slot.LONGEST, dtmax), (slot.SHORTEST, dtmin),
                (slot.FLOOR, 1e-30 * abs(t1 - t0)), (slot.MAX_STEPS, max_steps), (slot.TIME, t1),
                (slot.NEXT_OUTPUT, sign * slot.NO_OUTPUT), (slot.OUTPUT_AFTER, sign * slot.NO_OUTPUT),
            ):  # fmt: skip
                _fill(block, at, lanes, row, lane, value)
            for j in range(control.size):
                _fill(block, at, lanes, slot.CONTROL + j, lane, control[j])
            for j in range(n):
                _fill(block, at, lanes, at_rtol + j, lane, rtol[j])
                _fill(block, at, lanes, at_atol + j, lane, atol[j])
        upcoming, busy = 0, 0
        while True:
            # A trajectory for every lane that has none, as kernel._begin and loop.advance begin one.
            lane = 0
            while upcoming < size and lane < lanes:
                if owner[lane] >= 0:
                    lane += 1
                    continue
                i = upcoming
                upcoming += 1
                call(f, t0, u0[i], p[i], k, 0)
                finite = True
                largest0[lane] = 0.0
                for j in range(n):
                    finite = finite and np.isfinite(k[0, j]) and np.isfinite(u0[i, j])
                    largest0[lane] = max(largest0[lane], abs(u0[i, j]))
                counts[i, N_F] = 1
                if not finite:
                    status[i], t_end[i] = _NONFINITE, t0
                    for j in range(n):
                        u_end[i, j] = u0[i, j]
                    continue
                row = 0
                while row < n_save and same_time(times[row], t0):
                    for j in range(n):
                        u[i, row, j] = u0[i, j]
                    row += 1
                for j in range(n):
                    _fill(block, at, lanes, at_state + j, lane, u0[i, j])
                    _fill(block, at, lanes, at_slope + j, lane, k[0, j])
                for j in range(n_params):
                    _fill(block, at, lanes, at_p + j, lane, p[i, j])
                size0 = dt0
                if dt0 == 0.0:
                    longest = min(dtmax, abs(t1 - t0))
                    size0 = first_step(f, t0, u0[i], p[i], sign, longest, rtol, atol, g, k, control[START_EXPONENT])
                    counts[i, N_F] += 1
                for place in range(slot.ACTIVE):
                    _fill(block, at, lanes, place, lane, 0.0)
                _fill(block, at, lanes, slot.TIME, lane, t0)
                _fill(block, at, lanes, slot.STEP_SIZE, lane, max(size0, dtmin))
                _fill(block, at, lanes, slot.LOG_PREVIOUS, lane, LOG_SMALLEST)
                _fill(block, at, lanes, slot.LOG_BEFORE, lane, LOG_SMALLEST)
                _fill(block, at, lanes, slot.ACTIVE, lane, 1.0)
                _fill(block, at, lanes, slot.NEXT_OUTPUT, lane, _output_time(times, row, sign))
                _fill(block, at, lanes, slot.OUTPUT_AFTER, lane, _output_time(times, row + 1, sign))
                owner[lane], next_save[lane], n_dense[lane] = i, row, 0
                busy += 1
            if busy == 0 or stop[0] != 0:
                return
            _call_step(step, block, at, reasons, stop)
            stopped = stop[0] != 0
            passed = reasons[PASSED]
            pending = passed | reasons[DONE] | reasons[STIFF] | reasons[TOO_SMALL] | reasons[EXHAUSTED]
            if stopped:
                for lane in range(lanes):
                    pending |= int(owner[lane] >= 0) << lane
            first = True
            while pending != 0:
                if not first:  # further outputs inside the step, of all lanes at once
                    _call_output(output, block, at)
                rest, pending = pending, 0
                while rest != 0:
                    lane = _lowest(rest)
                    rest &= rest - 1
                    own = at + lane
                    i, t = owner[lane], block[own + slot.TIME * lanes]
                    if (passed >> lane) & 1 != 0:
                        row = next_save[lane]
                        following = _output_time(times, row, sign)
                        if sign * (following - t) < 0.0 and not same_time(following, t):
                            place = (i * n_save + row) * n
                            for j in range(n):
                                rows_out[place + j] = block[own + (at_output + j) * lanes]
                            row += 1
                            n_dense[lane] += int(first)
                            following = _output_time(times, row, sign)
                            if sign * (following - t) < 0.0 and not same_time(following, t):
                                pending |= 1 << lane
                        if (pending >> lane) & 1 == 0:
                            while sign * (following - t) <= 0.0 or same_time(following, t):
                                place = (i * n_save + row) * n
                                for j in range(n):
                                    rows_out[place + j] = block[own + (at_state + j) * lanes]
                                row += 1
                                following = _output_time(times, row, sign)
                        next_save[lane] = row
                        block[own + slot.NEXT_OUTPUT * lanes] = following
                        block[own + slot.OUTPUT_AFTER * lanes] = _output_time(times, row + 1, sign)
                        if (pending >> lane) & 1 != 0:
                            continue
                    if (reasons[DONE] >> lane) & 1 != 0:
                        how = _SUCCESS
                    elif (reasons[EXHAUSTED] >> lane) & 1 != 0:
                        how = _EXHAUSTED
                    elif (reasons[STIFF] >> lane) & 1 != 0:
                        how = AGAIN
                    elif (reasons[TOO_SMALL] >> lane) & 1 != 0:
                        for j in range(n):
                            g[j] = block[own + (at_state + j) * lanes]
                        how = failure(g, largest0[lane], block[own + slot.AGAIN * lanes] == slot.NOT_FINITE)
                    elif stopped:
                        how = _INTERRUPTED
                    else:
                        continue
                    status[i], t_end[i] = how, t
                    for j in range(n):
                        u_end[i, j] = block[own + (at_state + j) * lanes]
                    taken = np.int64(block[own + slot.ACCEPTED * lanes])
                    repeated = np.int64(block[own + slot.REJECTED * lanes])
                    counts[i, ACCEPTED], counts[i, REJECTED] = taken, repeated
                    counts[i, BY_TSIT5] = taken * tsit5
                    counts[i, N_F] += (taken + repeated) * per_step + n_dense[lane] * extra
                    block[own + slot.ACTIVE * lanes] = 0.0
                    owner[lane] = -1
                    busy -= 1
                first = False
            if stopped:
                return

    return run


@cache
def _run() -> Any:
    own = hashlib.sha256((Path(__file__).parent / "lane_slots.py").read_bytes()).digest()
    return _build(source_digest(loop=True) ^ int.from_bytes(own[:6], "little"))


class Lanes:
    """Integration of trajectories in lanes, for one model and one set of options; made by `lanes`."""

    def __init__(
        self, integrator: Integrator, step: LaneStep, arguments: tuple[Any, ...], options: dict[str, Any],
        method: Method, tableau: Tableau, switches: bool,
    ) -> None:  # fmt: skip
        places, functions = step.layout, integrator.functions
        self._integrator, self._step, self._options = integrator, step, options
        self._f = int(arguments[0][F])
        self._loop = _run()  # here, not in several threads at once
        chosen, times = arguments[AT_TIMES - 1], arguments[AT_TIMES]
        control = _control(arguments).copy()
        if not switches:
            control[STIFF_AT] = np.inf
        self._span = float(times[0]), float(times[1])
        self._numbers = np.concatenate((times[:5], [float(chosen[MAX_STEPS])], control))
        tolerances = arguments[AT_U0 + 2 : AT_U0 + 4]
        self._tolerances = [np.array(np.broadcast_to(values, functions.n)) for values in tolerances]
        self._places = np.array(
            (
                places.state, places.slope, places.rtol, places.atol, places.output, places.parameters, places.rows,
                places.n_params, tableau.stages - tableau.fsal, len(tableau.extra_c), method is TSIT5,
            ),
            np.int64,
        )  # fmt: skip

    def integrate_into(self, batch: Batch, u0: Floats, p: Floats, times: Floats, stop: Indices) -> None:
        """Integrate every row of `u0` (B, n) and `p` (B, ...) and fill `batch`.

        Arguments: `times` (T,) of output; `stop` (1,), set from another thread to something
        other than 0 to leave the rest undone.
        """
        if not len(u0):
            return
        self._loop(
            self._step.step, self._step.output, self._f, self._step.lanes, self._places, self._numbers,
            *self._tolerances, np.ascontiguousarray(u0), np.ascontiguousarray(p), times, *batch, stop,
        )  # fmt: skip
        again = np.flatnonzero(batch.status == AGAIN)
        if not len(again):
            return
        batch.status[again] = -1
        if stop[0]:
            return
        kernel = Batch.empty(len(again), len(times), u0.shape[1])
        integrate_into(kernel, self._integrator, u0[again], p[again], *self._span, times, stop, **self._options)
        for mine, theirs in zip(batch, kernel, strict=True):
            mine[again] = theirs


def _control(arguments: tuple[Any, ...]) -> Floats:
    """The constants of the step size controller among the arguments of the kernel."""
    at = N_TIMES + int(arguments[AT_TIMES - 1][FIRST_METHOD]) * N_CONTROL
    found: Floats = arguments[AT_TIMES][at : at + N_CONTROL]
    return found


def lanes(integrator: Integrator, u0: Floats, p: Floats, t0: float, t1: float, options: dict[str, Any]) -> Lanes | None:
    """What integrates an ensemble in lanes, or None where it is to go one trajectory after the other.

    Arguments: `u0` (n,), `p` of any trajectory; options as of `Integrator.arguments`, all of
    them checked there.  In lanes go explicit methods with an error estimate, on models small
    enough for a step of their own and without events, inputs, networks, algebraic
    equations or times at which they switch.
    """
    make = integrator.functions.lanes
    if make is None or t0 == t1 or not set(options) <= _OPTIONS:
        return None
    arguments = integrator.arguments(u0, p, t0, t1, **options)
    name, tolerance = (
        options.get("method", "auto"),
        Integrator.aim(options.get("rtol", 1e-6), options.get("atol", 1e-9)),
    )
    choice = integrator.choice(name, tolerance, by_tolerance=options.get("by_tolerance", False))
    method, partner = choice.method, choice.partner
    if name.lower() == "auto" and tableau_of(method) is None:  # a power series: one trajectory is quickest by it
        method = of_high_order(tolerance)
        arguments = integrator.arguments(u0, p, t0, t1, **(options | {"method": method.name}))
    tableau = tableau_of(method)
    if tableau is None or _control(arguments)[GROW] <= 1.0:
        return None
    step = make(tableau)
    return None if step is None else Lanes(integrator, step, arguments, options, method, tableau, partner is not None)


assert N_COUNTS > BY_TSIT5
