"""From native functions to trajectories, without names: what `solve`, fits and layers build on.

`Integrator` packs the addresses of one model once; each `run` takes plain arrays
and gives a `Trajectory` of plain arrays.  Wrong sizes are refused here, because
behind it native code reads memory as it is told to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..collector import uncollected
from ..errors import InputError, SolveInterrupted, UnknownNameError, suggest
from ..model.interpolate import breaks, later, untail
from . import turning
from .choice import Choice, choose, control_row
from .methods.abi import N_CONTROL
from .methods.registry import CONTROLLERS, RODAS5P, TSIT5, Controller, is_taylor
from .problem import EventInfo, NativeFunctions
from .slots import (
    DEGREE,
    FIRST_METHOD,
    KEEP_DENSE,
    KIND_AT,
    KIND_EVERY,
    KIND_SWITCH,
    KIND_WHEN,
    LOGGED,
    MAX_STEPS,
    N_COUNTS,
    N_LU,
    N_POSITIVE,
    N_TIMES,
    OTHER_METHOD,
    PROGRESS,
    RECORD,
    ROWS,
    RULE_BITS,
    RULE_DOWN,
    RULE_SIGN,
    RULE_TRUTH,
    RULE_UP,
    SAVE_STEPS,
    STORED,
)
from .status import Status
from .watching import Stop, Watcher, raise_caught

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_INTERRUPTED = int(Status.INTERRUPTED)
_KINDS = {"when": KIND_WHEN, "at": KIND_AT, "every": KIND_EVERY, "switch": KIND_SWITCH}
_RULES = {"truth": RULE_TRUTH, "sign": RULE_SIGN, "up": RULE_UP, "down": RULE_DOWN}
HOT_STEPS = 1000
"""Factorisations after which a small stiff model gets a step of its own: compiling that costs about as much."""
EMPTY: Floats = np.empty(0)
AT_OPTIONS, AT_TIMES, AT_U0, AT_SAVEAT, AT_COLUMNS, AT_RESULTS = 2, 3, 4, 8, 11, 15
"""Places among the kernel's arguments; p follows u0."""
_REPEATED = ("save_steps", "dense", "method", "rtol", "atol", "max_steps", "linear_solver")
NO_COLUMNS: Indices = np.empty(0, np.int64)


class Trajectory(NamedTuple):
    """What an integration left; arrays of what was not asked for are empty.

    `counts`: accepted, rejected, f, jac, LU, switches, accepted by Tsit5, by Rodas5P, events,
    accepted by the method by address, by its partner, linear solves, failures of Newton's
    iteration; the rest is internal.  T rows of output, N steps.
    """

    status: int
    t_end: float  # time reached
    counts: Indices
    t: Floats  # (T,)
    u: Floats  # (T, n)
    s: Floats  # (T, n m), row i: the (n, m) matrix of sensitivities at t[i]
    starts: Floats  # (N,) with dense or record
    lengths: Floats  # (N,), negative backwards
    polys: Floats  # (N, degree + 1, n) with dense, degree at least 4
    record_u: Floats  # (N, n) with record: state at the start of each step
    record_k: Floats  # (N, 7, n) with record: stage derivatives of Tsit5
    event_t: Floats
    event_k: Indices
    u_end: Floats  # (n,) state at t_end, after any event there
    note: str = ""  # why it ended, where more is known than the status says

    @property
    def ok(self) -> bool:
        """Whether the end, or a terminating event, was reached."""
        return self.status <= Status.TERMINATED

    @property
    def times(self) -> Floats:
        """(N + 1,) times between the steps, with `record` or `dense`."""
        return np.append(self.starts, self.t_end)

    @property
    def states(self) -> Floats:
        """(N + 1, n) states between the steps, with `record`."""
        return np.concatenate((self.record_u, self.u_end[None, :]))


def nothing(n: int) -> Trajectory:
    """A trajectory of `n` states before it began."""
    return Trajectory(
        0, 0.0, NO_COLUMNS, EMPTY, np.empty((0, n)), np.empty((0, 0)), EMPTY, EMPTY, np.empty((0, 5, n)),
        np.empty((0, n)), np.empty((0, 7, n)), EMPTY, NO_COLUMNS, EMPTY,
    )  # fmt: skip


def _parts(rest: Floats, counts: Indices, arguments: Sequence[Any], t: Floats, u: Floats) -> tuple[Any, ...]:
    """What the kernel packed, as the arrays `t` .. `event_k` of a `Trajectory`; `t`, `u` where they are not in it."""
    options, n, m = arguments[AT_OPTIONS], arguments[AT_U0].size, arguments[AT_COLUMNS].size
    rows, steps, fired = counts[[ROWS, STORED, LOGGED]].tolist()
    save, dense, record, degree = options[[SAVE_STEPS, KEEP_DENSE, RECORD, DEGREE]].tolist()
    at = 0

    def take(*shape: int) -> Floats:
        nonlocal at
        size = math.prod(shape)
        if size == 0:
            return np.empty(shape)
        at += size
        part: Floats = rest[at - size : at]
        return part if len(shape) == 1 else part.reshape(shape)

    if save:
        t, u = take(rows), take(rows, n)
    s, starts, lengths = take(rows, n * m), take(steps), take(steps)
    polys = take(steps if dense else 0, max(degree + 1, 5), n)
    recorded = steps if record else 0
    record_u, record_k = take(recorded, n), take(recorded, 7, n)
    event_t, event_k = take(fired), take(fired)
    return t, u, s, starts, lengths, polys, record_u, record_k, event_t, event_k.astype(np.int64)


def _info(event: EventInfo, first_mode: int) -> tuple[int, int]:
    """What the kernel is told of one event: its kind and flags, or the mode that a switch changes, and how."""
    if event.kind == "switch":
        mode, rule = event.rule
        return KIND_SWITCH, ((first_mode + mode) << RULE_BITS) + _RULES[rule]
    return _KINDS[event.kind], event.terminate + 2 * event.resets + {0: 0, 1: 4, -1: 8}[event.twin]


def vector(value: Any, size: int | None = None, what: str = "array") -> Floats:
    """`value` as a writable C-contiguous vector of doubles (itself when it is one), of `size` if given."""
    if type(value) is not np.ndarray or value.dtype != np.float64 or value.ndim != 1 or not value.flags.carray:
        try:
            value = np.array(value, dtype=np.float64, order="C")
        except (TypeError, ValueError) as error:
            raise InputError(f"{what}: expected numbers, got {value!r}") from error
        if value.ndim != 1:
            value = value.reshape(1) if value.ndim == 0 else value
        if value.ndim != 1:
            raise InputError(f"{what}: expected a vector, got an array of shape {value.shape}")
    if size is not None and value.size != size:
        raise InputError(f"{what}: expected {size} numbers, got {value.size}")
    checked: Floats = value
    return checked


def _stops(tstops: Floats, restarts: Floats, backward: bool) -> Floats:
    """Times to step on in order, then as many numbers: 1 where the step size starts anew."""
    times = np.unique(np.concatenate([tstops, restarts]))
    if backward:
        times = times[::-1]
    return np.concatenate([times, np.isin(times, restarts).astype(np.float64)])


def _replace_control(times: Floats, choice: Choice, controller: str | Controller) -> None:
    """Put another step size controller into `times`, for the chosen method and its partner."""
    rows = zip(choice.options[[FIRST_METHOD, OTHER_METHOD]], (choice.method, choice.partner), strict=True)
    for number, method in rows:
        if method is None:
            continue
        if isinstance(controller, str):
            if controller not in CONTROLLERS:
                hint = suggest(controller, CONTROLLERS) or "choose " + ", ".join(f'"{name}"' for name in CONTROLLERS)
                raise UnknownNameError(f"unknown controller {controller!r}; {hint}")
            constants = CONTROLLERS[controller](method.error_order)
        elif isinstance(controller, Controller):
            constants = controller
        else:
            raise InputError(f'controller must be "i", "pi", "pid" or a Controller, got {controller!r}')
        if method.fixed:
            raise InputError(f'method "{method.name}" makes steps of one size; it has no controller')
        at = N_TIMES + int(number) * N_CONTROL
        times[at : at + N_CONTROL] = control_row(method, constants)


def _interrupted(trajectory: Trajectory, options: Indices, watcher: Watcher | Stop | None) -> None:
    """Raise what stopped the kernel: a signal's handler, or the callback that was told how far it is."""
    try:
        raise_caught(options)
        if isinstance(watcher, Watcher):
            watcher.again()
    except KeyboardInterrupt as error:
        raise SolveInterrupted(f"interrupted at t = {trajectory.t_end:g}", trajectory) from error


@cache
@uncollected  # reading compiled code makes many objects that stay
def _kernel() -> Any:
    from .kernel import integrate

    return integrate


class Integrator:
    """Integration of one model.

    Arguments: `functions`, the compiled functions.  The kernel is loaded on
    construction (from numba's disk cache after the first time).

    Example
    -------
    >>> import numpy as np
    >>> from numba import cfunc, types
    >>> pointer = types.CPointer(types.double)
    >>> @cfunc(types.void(types.double, pointer, pointer, pointer))
    ... def decay(t, u, p, du):
    ...     du[0] = -p[0] * u[0]
    >>> integrator = Integrator(NativeFunctions(n=1, n_params=1, f=decay.address, keepalive=decay))
    >>> round(float(integrator.run(np.ones(1), np.ones(1), 0.0, 1.0).u_end[0]), 6)
    0.367879
    """

    def __init__(self, functions: NativeFunctions) -> None:
        self.functions = functions
        self.kernel = _kernel()
        none = (0,) * len(functions.events)
        self._tail = (*(functions.affect or none), *(functions.affect_jac or none))
        self._info = np.array(
            [number for e in functions.events for number in _info(e, functions.n_params - functions.n_modes)],
            dtype=np.int64,
        )
        self._anew = bool(functions.n_gaps or functions.n_inputs)  # the stops depend on what is solved
        self.reversible = all(e.kind == "switch" for e in functions.events)  # these change nothing: backwards too
        self._positive: dict[tuple[int, ...], Integrator] = {}
        self._size_p = functions.n_params + functions.n_weights
        self.series = True  # whether "auto" may take a power series
        self._choices: dict[Any, Choice] = {}
        self._repeated: dict[Any, list[Any]] = {}
        self._implicit_steps = 0  # made so far
        self.hot = False  # once HOT_STEPS were made: the model's own steps are compiled
        self._nothing = nothing(functions.n)[6:-2]  # starts .. event_k, of a run that keeps no steps

    @cached_property
    def plain(self) -> Integrator:
        """The same with Runge-Kutta methods under "auto": for ensembles, and where a power series does not exist."""
        made = copy(self)
        made.series, made._choices, made._repeated = False, {}, {}
        return made

    @staticmethod
    def aim(rtol: Any, atol: Any) -> Any:
        """The tolerance by which methods are chosen: the relative one, and where that is 0 the absolute one."""
        if type(rtol) is float and rtol > 0.0:
            return rtol
        return float(np.min(np.where(np.asarray(rtol) > 0.0, rtol, atol)))

    def choice(
        self,
        method: str,
        rtol: Any = 1e-6,
        columns: bool = False,
        linear_solver: str = "auto",
        by_tolerance: bool = False,
    ) -> Choice:
        """What runs for a method's name, with or without sensitivities; made once.

        `by_tolerance`: "auto" takes methods of higher order at tight tolerances.  Fits and layers
        do not ask for it: their values and their gradients shall come from the same steps.
        """
        tolerance = 1.0
        if (by_tolerance and method == "auto") or is_taylor(method):
            tolerance = rtol if type(rtol) is float else float(np.min(rtol))
        hot = self.hot
        key = (method, columns, tolerance, linear_solver, hot)
        found = self._choices.get(key)
        if found is None:
            if len(self._choices) > 100:  # "auto" asked for with ever new tolerances
                self._choices.clear()
            found = self._choices[key] = choose(
                self.functions, method, tolerance, columns, self._tail, linear_solver, hot, self.series
            )
        return found

    def run(self, u0: Floats, p: Floats, t0: float, t1: float, **options: Any) -> Trajectory:
        """Integrate from `t0` to `t1`.

        Arguments: `u0` (n,), `p` (parameters, then weights), and the options of `arguments`:
        `saveat` and `tstops` ordered along the integration and inside the span (not checked);
        `s0` (n, m) sensitivities at `t0` with, for each column, in `columns` (m,) the index of
        its parameter or -1; `save_steps` writes a row at every step, before and after an event; `dense` keeps the
        interpolants, `record` the stages of Tsit5; `dt0` = 0 chooses the first step; `dt` is
        the step of methods that estimate no error; `restarts` (ordered) are stops at which the
        step size starts anew; `positive`, indices of states kept from falling below zero;
        `controller`, in place of the method's own; `watcher`, told how far it is; `by_tolerance` as of `choice`.

        Raises `InputError` for wrong sizes or tolerances, and where the functions needed by
        the method or the sensitivities do not exist; what a signal handler raises while the
        kernel runs (`KeyboardInterrupt` as `SolveInterrupted`, with the trajectory until then).
        """
        return self._call(self.arguments(u0, p, t0, t1, **options), options.get("watcher"))

    def _call(self, arguments: Sequence[Any], watcher: Watcher | Stop | None = None) -> Trajectory:
        n, room = self.functions.n, arguments[AT_SAVEAT].size + (self._info.size > 0)  # an event may end it: a row
        counts, ends, u_end = np.zeros(N_COUNTS, np.int64), np.empty(2), np.empty(n)
        rows_t, rows_u = np.empty(room), np.empty((room, n))
        rest = self.kernel(*arguments, counts, ends, rows_t, rows_u, u_end)
        status, t_end = ends.tolist()
        status = int(status)
        rows = int(counts[ROWS])
        if rows != room:
            rows_t, rows_u = rows_t[:rows], rows_u[:rows]
        if rest.size == 0:
            parts = (rows_t, rows_u, np.empty((rows, 0)), *self._nothing)
        else:
            parts = _parts(rest, counts, arguments, rows_t, rows_u)
        trajectory = Trajectory._make((status, t_end, counts, *parts, u_end, ""))
        if not self.hot:
            self._implicit_steps += int(counts[N_LU])
            if self._implicit_steps >= HOT_STEPS:
                self.hot = True
                self._repeated.clear()
        if status == _INTERRUPTED:
            _interrupted(trajectory, arguments[AT_OPTIONS], watcher)
        return trajectory

    def run_again(
        self, u0: Floats, p: Floats, t0: float, t1: float, saveat: Floats, save_steps: bool, dense: bool, method: str,
        rtol: float, atol: float, max_steps: int, linear_solver: str,
    ) -> Trajectory:  # fmt: skip
        """`run` with these options only and arrays known to be right: what can be is made once and kept.

        For a small model, making the arguments anew takes as long as the integration.
        """
        key = (save_steps, dense, method, rtol, atol, max_steps, linear_solver)
        kept = self._repeated.get(key)
        if kept is None or self._anew or (not self.reversible and t1 < t0):
            options: dict[str, Any] = dict(zip(_REPEATED, key, strict=True))
            made = self.arguments(u0, p, t0, t1, saveat=saveat, by_tolerance=True, **options)
            if len(self._repeated) > 100:
                self._repeated.clear()
            self._repeated[key] = list(made)
            return self._call(made)
        return self.call_again(kept, u0, p, t0, t1, saveat)

    def kept_arguments(self, *options: Any) -> list[Any] | None:
        """What `run_again` keeps for its options from `save_steps` on, where that depends on nothing else; or None."""
        return None if self._anew or self._info.size else self._repeated.get(options)

    def call_again(
        self, kept: list[Any], u0: Floats, p: Floats, t0: float, t1: float, saveat: Floats
    ) -> Trajectory:  # fmt: skip
        """`run` with the arguments of an earlier run and other values, all of them known to be right."""
        arguments = kept.copy()
        times = arguments[AT_TIMES] = kept[AT_TIMES].copy()
        times[0], times[1] = t0, t1
        arguments[AT_U0], arguments[AT_U0 + 1], arguments[AT_SAVEAT] = u0, p, saveat
        return self._call(arguments)

    def arguments(
        self,
        u0: Floats,
        p: Floats,
        t0: float,
        t1: float,
        *,
        method: str = "auto",
        rtol: float | Floats = 1e-6,
        atol: float | Floats = 1e-9,
        saveat: Floats = EMPTY,
        tstops: Floats = EMPTY,
        s0: Floats = EMPTY,
        columns: Indices = NO_COLUMNS,
        save_steps: bool = False,
        dense: bool = False,
        record: bool = False,
        max_steps: int = 100_000,
        dt0: float = 0.0,
        dtmax: float = math.inf,
        dtmin: float = 0.0,
        dt: float = 0.0,
        restarts: Floats = EMPTY,
        positive: Sequence[int] = (),
        controller: str | Controller | None = None,
        watcher: Watcher | Stop | None = None,
        linear_solver: str = "auto",
        by_tolerance: bool = False,
    ) -> tuple[Any, ...]:
        """What `run` calls the kernel with, checked.

        `batch.py` calls the kernel with them too, once for each trajectory of an ensemble, with
        other `u0` and `p` in their places (`AT_U0`, then p); so nothing else may depend on these
        two, but for stops found in `gaps`.
        """
        functions = self.functions
        n = functions.n
        u0 = vector(u0, n, "u0")
        p = vector(p, None if functions.n_inputs else self._size_p, "p")
        m = columns.size
        flat = EMPTY
        owner = self._keeping(tuple(positive)) if self._clips(positive, method) else self
        choice = owner.choice(
            "tsit5" if record and method == "auto" else method, self.aim(rtol, atol), m > 0, linear_solver, by_tolerance
        )
        if m:
            flat = self._check_columns(np.ascontiguousarray(s0, dtype=np.float64).reshape(-1), columns, choice)
        if record and (functions.events or choice.method is not TSIT5):
            raise InputError("steps can be recorded only for Tsit5 and models without events")
        tolerances = []
        for name, tolerance in (("rtol", rtol), ("atol", atol)):
            if type(tolerance) is float and (0.0 < tolerance < math.inf or (tolerance == 0.0 and name == "rtol")):
                tolerances.append(np.array((tolerance,)))
            else:
                tolerances.append(self._check_tolerance(name, tolerance))
        if self._info.size and t1 < t0 and not self.reversible:
            raise InputError(
                f"cannot integrate backwards (from {t0:g} to {t1:g}) through events: "
                "a state change has no inverse; swap the ends of the time span"
            )
        if not (math.isfinite(t0) and math.isfinite(t1)):
            raise InputError(f"the time span ({t0}, {t1}) must be finite")
        for name, limit, fine in (
            ("max_steps", max_steps, max_steps > 0), ("dtmax", dtmax, dtmax > 0.0), ("dt0", dt0, dt0 >= 0.0)
        ):  # fmt: skip
            if not fine:
                raise InputError(f"{name} must be positive, got {limit}")
        if not 0.0 <= dtmin <= dtmax:
            raise InputError(f"dtmin must lie between 0 and dtmax = {dtmax:g}, got {dtmin:g}")
        if 0.0 < dt0 < dtmin:
            raise InputError(f"dt0 = {dt0:g} is smaller than dtmin = {dtmin:g}")
        if functions.n_inputs:
            before = tstops.size
            tolerance = 0.0 if choice.method.fixed else float(tolerances[0].min())
            tstops, p = self.with_breaks(tstops, t0, t1, p, tolerance)
            max_steps += tstops.size - before  # the steps that the rows of a table ask for do not count
        if functions.n_gaps:
            tstops = self._with_gaps(tstops, t0, t1, p)
        if tstops.size or restarts.size:
            tstops = _stops(tstops, restarts, t1 < t0)
        options = choice.options.copy()
        options[MAX_STEPS], options[SAVE_STEPS], options[KEEP_DENSE], options[RECORD] = (
            max_steps, save_steps, dense, record,
        )  # fmt: skip
        times = choice.times.copy()
        times[0], times[1], times[2], times[3], times[4] = t0, t1, dt0, dtmax, dtmin
        if choice.method.fixed:
            self._fixed(choice, times, dt, dt0, t1 - t0, max_steps)
        elif dt != 0.0:
            raise InputError(f'method "{choice.method.name}" chooses its steps; dt is for methods with fixed steps')
        if controller is not None:
            _replace_control(times, choice, controller)
        if len(positive):
            options[N_POSITIVE] = len(positive)
            options = np.concatenate((options, np.asarray(positive, np.int64)))
            if m or record:
                raise InputError("states are kept positive only without sensitivities")
        if watcher is not None:
            options[PROGRESS] = watcher.address
        return (
            choice.fn,
            self._info,
            options,
            times,
            u0,
            p,
            *tolerances,
            vector(saveat, None, "saveat"),
            vector(tstops, None, "tstops"),
            flat,
            columns,
            choice.ints,
            choice.work,
            choice.iwork,
        )

    def _clips(self, positive: Sequence[int], method: str) -> bool:
        """Do the equations see states that must not be negative as zero?  A power series has no kink."""
        return len(positive) > 0 and self.functions.clipped is not None and not is_taylor(method)

    def _keeping(self, positive: tuple[int, ...]) -> Integrator:
        """Integration of the equations that see these states as zero where stages take them below."""
        found = self._positive.get(positive)
        if found is None:
            assert self.functions.clipped is not None
            found = self._positive[positive] = Integrator(replace(self.functions.clipped(positive), clipped=None))
        return found

    def _fixed(self, choice: Choice, times: Floats, dt: float, dt0: float, length: float, max_steps: int) -> None:
        """Put the step of a method without error control into `times`."""
        name = choice.method.name
        if dt0 > 0.0:
            raise InputError(f'method "{name}" makes steps of one size; give it as dt, not dt0')
        if not 0.0 < dt < math.inf:
            raise InputError(f'method "{name}" makes steps of one size and estimates no error; give the size, dt=0.01')
        if abs(length) > max_steps * dt * (1.0 + 1e-6):
            count = abs(length) / dt * (1.0 - 1e-9)
            steps = math.ceil(count) if math.isfinite(count) else count
            shown = f"{steps:,}" if steps < 10**12 else f"{steps:.2g}"
            raise InputError(f"dt = {dt:g} means {shown} steps, more than max_steps = {max_steps:,}; raise max_steps")
        times[2], times[3] = dt, min(times[3], dt * (1.0 + 1e-6))

    def one_sided(self, p: Floats, t0: float, t1: float) -> Floats:
        """`p` with inputs whose jumps lie on the side a run from `t0` to `t1` sees; the numbers `run` works with."""
        return self.with_breaks(EMPTY, t0, t1, p)[1] if self.functions.n_inputs else p

    def with_breaks(
        self, tstops: Floats, t0: float, t1: float, p: Floats, rtol: float = 0.0
    ) -> tuple[Floats, Floats]:
        """`tstops` with the times inside the span at which an input jumps or has a kink, and the p to run with.

        Kinks too small for the relative tolerance `rtol` are left out (`interpolate.breaks`).

        At its jump an input has the later value.  The last step forward, and every step backward,
        needs the earlier one there; so for them the jump comes one bit later.
        """
        count, size = self.functions.n_inputs, self._size_p
        tables = untail(p[size:], count)
        if tables is None:
            raise InputError(f"p: behind its first {size} numbers stand no tables of the model's inputs")
        times = np.unique(np.concatenate([breaks(table, rtol) for table in tables]))
        backward = t1 < t0
        low, high = min(t0, t1), max(t0, t1)
        moved = times[(times > low) & (times <= high)] if backward else times[times == t1]
        if moved.size:
            p = p.copy()
            for table in untail(p[size:], count) or ():
                later(table, moved)
        inside = times[(times > low) & (times < high)]
        if not inside.size:
            return tstops, p
        merged = np.unique(np.concatenate([tstops, inside]))
        return np.ascontiguousarray(merged[::-1]) if backward else merged, p

    def _with_gaps(self, tstops: Floats, t0: float, t1: float, p: Floats) -> Floats:
        """`tstops` and the times inside the span at which one of `gaps` changes sign."""
        functions = self.functions
        inside = turning.crossings(functions.gaps, functions.n_gaps, functions.n, min(t0, t1), max(t0, t1), p)
        if not inside.size:
            return tstops
        merged = np.unique(np.concatenate([tstops, inside]))
        return np.ascontiguousarray(merged[::-1]) if t1 < t0 else merged

    def _check_columns(self, s0: Floats, columns: Indices, choice: Choice) -> Floats:
        functions = self.functions
        if columns.dtype != np.int64 or s0.size != functions.n * columns.size:
            raise InputError(f"s0: expected {functions.n} x {columns.size} numbers (states x columns), got {s0.size}")
        if columns.min() < -1 or columns.max() >= functions.n_params:
            raise InputError(f"sensitivity columns must be -1 or the index of one of {functions.n_params} parameters")
        missing = functions.fjp == 0 or (RODAS5P in (choice.method, choice.partner) and functions.djp == 0)
        if missing or len(functions.affect_jac) < len(functions.events):
            raise InputError("forward sensitivities need the functions fjp, djp and affect_jac of the model")
        return s0

    def _check_tolerance(self, name: str, tolerance: Any) -> Floats:
        values = vector(tolerance, None, name)
        if values.size not in (1, self.functions.n):
            raise InputError(f"{name}: expected one number or {self.functions.n} (one for each state)")
        least = name == "rtol" and np.all(values >= 0.0)
        if not (np.all(np.isfinite(values)) and (least or np.all(values > 0.0))):
            raise InputError(f"{name} must be positive and finite, got {tolerance!r}")
        return values
