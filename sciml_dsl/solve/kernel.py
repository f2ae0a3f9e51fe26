"""The entry to native integration, compiled once for all models.

It takes only numbers, addresses and arrays, so numba keeps it on disk and a new
model costs nothing here.  `integrate.py` packs the arguments and names the
results; the loop, methods, step control, dense output, events and sensitivities
live in files of their own and are linked in.

Arguments, all C-contiguous and writable:
`fn` (HEAD + 2 E) addresses in the order of methods/abi.py, then affect and affect_jac of
the E events; `info` (2 E) kind and terminate flag of each; `options` as numbered in
loop.py, then the states that must not be negative; `times` (t0, t1, dt0 or 0, dtmax,
dtmin, 3 unused, then 4 rows of control constants); `u0` (n); `p`; `rtol` and `atol`
(1 or n); `saveat` and `tstops` ordered along the integration, the latter (2 K) times
followed by 1 where the step size starts anew; `s0` (n m) and `columns` (m); `ints`
(2 N_INTS), `work` and `iwork` of the methods by address, templates that are copied; where
there is no such method, `work` is the diagonal of the mass matrix, empty for I.

Results go to arrays of the caller's, because handing one to Python costs as much as some steps: `counts`
(N_COUNTS, zeros), `ends` (2) the status and the time reached, `u_end` (n), and, unless every step is saved,
`rows_t` and `rows_u` with room for every output time, and with events for one more.  What has no size before comes
back in one array, the parts of `storage.Output` one behind the other (the rows where every step is saved), then
times and numbers of the fired events; their sizes are in `counts`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64

from .call import call
from .compiled import inner, source_digest
from .events import (
    ARMED,
    ROUNDS,
    WAITING,
    beside,
    collect_due,
    next_times,
    same_time,
    turned,
)
from .loop import (
    NEED_IMPLICIT,
    NEED_LOG,
    NEED_ROWS,
    NEED_STEPS,
    RUNNING,
    advance,
    all_finite,
    fire_due,
    set_start,
    status_of,
)
from .methods import abi
from .methods.abi import EVENT_TIMES, MODES, N_CONTROL, ROOTS, TURNS, F
from .slots import (
    AT_MODES,
    DEGREE,
    FIRED,
    FIRST_METHOD,
    KEEP_DENSE,
    KIND_AT,
    KIND_EVERY,
    KIND_SWITCH,
    LARGEST0,
    LIFTED,
    LOGGED,
    N_F,
    N_FAMILIES,
    N_JAC,
    N_LU,
    N_MODES,
    N_NEWTON_FAIL,
    N_PARAMS,
    N_REALS,
    N_SOLVE,
    N_TIMES,
    NEXT_SAVE,
    OTHER_METHOD,
    PARTNER_IWORK,
    PARTNER_WORK,
    PATIENCE,
    RECORD,
    RODAS5P,
    ROWS,
    RULE_BITS,
    SAVE_STEPS,
    STORED,
    TIME,
    WATCH,
)
from .status import Status
from .stiffness import STIFF_STEPS
from .storage import (
    Columns,
    Events,
    Explicit,
    External,
    Output,
    Problem,
    more_log,
    more_rows,
    more_steps,
    new_implicit,
    pack,
    put_row,
)
from .stored import stored

_TERMINATED = int(Status.TERMINATED)
_NONFINITE = int(Status.NONFINITE)
_INVALID = int(Status.EVENT_INVALID)


@inner()
def _new_columns(n: int, n_params: int, s0: Any, m: int) -> Columns:
    if m == 0:
        nothing, no_rows = np.empty(0), np.empty((8, 0))
        return Columns(nothing, nothing, nothing, no_rows, no_rows, nothing, nothing, nothing, nothing)
    block = n + n * n + n * n_params
    return Columns(
        s0.copy(),
        np.empty(n * m),
        np.empty(n * m),
        np.empty((8, n * m)),
        np.empty((5, n * m)),
        np.empty(block),
        np.empty(block),
        np.empty(block - n),
        np.empty(n + 1),
    )


@inner()
def _new_events(info: Any, n: int, n_params: int, m: int, n_families: int) -> Events:
    n_events = info.size // 2
    families = np.empty(2 * n_families)
    if n_events == 0:
        none, no = np.empty(0), np.empty(0, np.int64)
        return Events(no, no, no, none, none, none, none, none, no, none, none, none, none, families, none, no)
    n_timed = 0
    for e in range(n_events):
        if info[2 * e] == KIND_AT or info[2 * e] == KIND_EVERY:
            n_timed += 1
    n_roots = n_events - n_timed
    jump_size = 3 * n + n * n + n_params * (n + 1) + 1 if m > 0 else 0
    return Events(
        np.zeros(n_events, np.int64),
        np.zeros(n_roots, np.int64),
        np.zeros(n_roots, np.int64),
        np.empty(2 * n_roots),
        np.empty(2 * n_roots),
        np.zeros(n_roots),
        np.empty(4 * n_timed),
        np.empty(n_timed),
        np.zeros(n_timed, np.int64),
        np.empty(jump_size),
        np.empty(n),
        np.empty(n),
        np.empty(m),
        families,
        np.empty(ROUNDS * n_events),
        np.empty(ROUNDS * n_events, np.int64),
    )


@inner()
def _set_modes(problem: Problem, x: Explicit, events: Events, side: float) -> None:
    """The modes of switches at the start.  Of a condition on its very edge the direction decides."""
    count, at = problem.options[N_MODES], problem.options[AT_MODES]
    if count == 0:
        return
    fn, p, u = problem.fn, problem.p, x.u
    call(fn[MODES], side, u, p, p, at)
    delta = 1e-9 * (problem.times[1] - problem.times[0])
    call(fn[F], side, u, p, x.g, 0)
    for i in range(u.size):
        x.unew[i] = u[i] + delta * x.g[i]
    ahead = np.empty(count)
    call(fn[MODES], side + delta, x.unew, p, ahead, 0)
    call(fn[ROOTS], side, u, p, events.roots, 0)
    r = 0
    for k in range(problem.info.size // 2):
        kind = problem.info[2 * k]
        if kind == KIND_SWITCH:
            mode = problem.info[2 * k + 1] >> RULE_BITS
            if events.roots[r] == 0.0:
                p[mode] = ahead[mode - at]
        if kind not in (KIND_AT, KIND_EVERY):
            r += 1


@inner()
def _begin(
    problem: Problem, x: Explicit, columns: Columns, events: Events, out: Output, reals: Any, counts: Any
) -> int:
    """Events and output at the start; the first slope.  Returns a status."""
    fn, p, u, t = problem.fn, problem.p, x.u, problem.times[0]
    saveat, save_steps = problem.saveat, problem.options[SAVE_STEPS] != 0
    status, logged, rows, next_save = RUNNING, 0, 0, 0
    if events.upcoming.size > 0:
        call(fn[EVENT_TIMES], t, u, p, events.schedule, 0)
        if not next_times(problem.info, events.schedule, t, events.upcoming, events.occurrences):
            return _INVALID
    t1 = problem.times[1]
    side = beside(t, t1) if t1 != t else t
    if events.families.size > 0:
        call(fn[TURNS], t, u, p, events.families, 0)
    _set_modes(problem, x, events, side)
    n_roots = events.armed.size
    due = False
    if events.upcoming.size > 0:
        due = collect_due(problem.info, events.schedule, t, events.upcoming, events.occurrences, events.due)
    if n_roots > 0:
        call(fn[ROOTS], t, u, p, events.roots, 0)
        for r in range(n_roots):
            seen = events.roots[n_roots + r] == 0.0 and events.roots[r] == events.roots[r]
            events.armed[r] = ARMED if seen else WAITING
        due = (
            turned(fn[ROOTS], problem.info, side, u, p, events.armed, events.roots, events.roots_work, events.due, due)
            or due
        )
    if due:
        code, logged = fire_due(problem, x, columns, events, t, side, 0.0, logged)
        status = status_of(code)
    call(fn[F], side if events.families.size > 0 else t, u, p, x.k, 0)
    counts[N_F] += 1
    for i in range(u.size):
        if not np.isfinite(x.k[0, i]):
            status = _NONFINITE
    if not all_finite(u):
        status = _NONFINITE
    if status != _NONFINITE:
        while next_save < saveat.size and same_time(saveat[next_save], t):
            put_row(out, rows, saveat[next_save], u, columns.s)
            rows += 1
            next_save += 1
        if save_steps or (status == _TERMINATED and rows == 0):
            put_row(out, rows, t, u, columns.s)
            rows += 1
    set_start(reals, counts, t, problem.options[FIRST_METHOD], problem.options[WATCH])
    counts[LIFTED] = int(events.families.size > 0)
    counts[ROWS], counts[LOGGED], counts[NEXT_SAVE], counts[PATIENCE] = rows, logged, next_save, STIFF_STEPS
    return status


@inner()
def _new_external(
    ints: Any, work: Any, iwork: Any, options: Any, n: int, rtol: Any, atol: Any, t1: float, dtmax: float
) -> External:  # fmt: skip
    """Memory of the methods by address: templates copied, tolerances written."""
    starts = np.empty(2, np.int64)
    starts[0], starts[1] = options[PARTNER_WORK], options[PARTNER_IWORK]
    if ints.size == 0:
        return External(np.empty((0, abi.N_REALS)), ints.reshape(0, abi.N_INTS), work, iwork, starts)
    external = External(
        np.zeros((2, abi.N_REALS)), ints.copy().reshape(2, abi.N_INTS), work.copy(), iwork.copy(), starts
    )  # fmt: skip
    for which in range(2):
        if external.ints[which, abi.N] == n:
            external.reals[which, abi.T1] = t1
            external.reals[which, abi.HMAX] = dtmax
            at_rtol = starts[0] * which + external.ints[which, abi.AT_RTOL]
            at_atol = starts[0] * which + external.ints[which, abi.AT_ATOL]
            for i in range(n):
                external.work[at_rtol + i] = rtol[i]
                external.work[at_atol + i] = atol[i]
    return external


def _build(version: int) -> Any:
    vector = float64[::1]
    indices = int64[::1]

    @stored(
        (
            indices, indices, indices, *(vector,) * 8, indices, indices, vector, indices,
            indices, vector, vector, float64[:, ::1], vector,
        ),
        error_model="numpy",
        nogil=True,
    )
    def integrate(
        fn: Any,
        info: Any,
        options: Any,
        times: Any,
        u0: Any,
        p: Any,
        rtol_given: Any,
        atol_given: Any,
        saveat: Any,
        tstops: Any,
        s0: Any,
        columns: Any,
        ints: Any,
        work: Any,
        iwork: Any,
        counts: Any,
        ends: Any,
        rows_t: Any,
        rows_u: Any,
        u_end: Any,
    ) -> Any:
        n, m, n_params, rank = u0.size, columns.size, options[N_PARAMS], options[DEGREE] + 1
        save_steps, keep_dense, record = options[SAVE_STEPS] != 0, options[KEEP_DENSE] != 0, options[RECORD] != 0
        x = Explicit(u0.copy(), np.empty(n), np.empty(n), np.empty((9, n)), np.empty((max(rank, 5), n)))
        rtol, atol = np.empty(n), np.empty(n)
        largest0 = 0.0
        for i in range(n):
            rtol[i] = rtol_given[i if rtol_given.size > 1 else 0]
            atol[i] = atol_given[i if atol_given.size > 1 else 0]
            largest0 = max(largest0, abs(x.u[i]))
        control = times[N_TIMES:].reshape(4, N_CONTROL)
        own_p = p.copy() if options[N_MODES] > 0 else p  # modes change while it runs
        problem = Problem(fn, info, options, times, own_p, rtol, atol, control, saveat, tstops, columns)
        inside = options[FIRST_METHOD] == RODAS5P or options[OTHER_METHOD] == RODAS5P
        implicit = new_implicit(n if options[FIRST_METHOD] == RODAS5P else 0, inside)
        external = _new_external(ints, work, iwork, options, n, rtol, atol, times[1], times[3])
        sensitivities = _new_columns(n, n_params, s0, m)
        events = _new_events(info, n, n_params, m, options[N_FAMILIES])
        steps = 64 if keep_dense or record else 0
        if save_steps:
            rows_t, rows_u = np.empty(64), np.empty((64, n))
        out = Output(
            rows_t,
            rows_u,
            np.empty((rows_t.size, n * m)),
            np.empty(steps),
            np.empty(steps),
            np.empty((steps if keep_dense else 0, x.poly.shape[0], n)),
            np.empty((steps if record else 0, n)),
            np.empty((steps if record else 0, 7, n)),
        )
        reals = np.zeros(N_REALS)
        reals[LARGEST0] = largest0
        status = _begin(problem, x, sensitivities, events, out, reals, counts) + version - version
        while status == RUNNING:
            status = advance(problem, x, implicit, external, sensitivities, events, out, reals, counts)
            if status == NEED_ROWS:
                out = more_rows(out)
            elif status == NEED_STEPS:
                out = more_steps(out)
            elif status == NEED_LOG:
                events = more_log(events, ROUNDS * (info.size // 2))
            elif status == NEED_IMPLICIT:
                implicit = new_implicit(n, inside)
            else:
                break
            status = RUNNING
        rows, steps, logged = counts[ROWS], counts[STORED], counts[LOGGED]
        counts[FIRED] = logged
        for which in range(external.reals.shape[0]):
            counts[N_F] += external.ints[which, abi.COUNT_F]
            counts[N_JAC] += external.ints[which, abi.COUNT_JAC]
            counts[N_LU] += external.ints[which, abi.COUNT_LU]
            counts[N_SOLVE] += external.ints[which, abi.COUNT_SOLVE]
            counts[N_NEWTON_FAIL] += external.ints[which, abi.COUNT_NEWTON_FAIL]
        ends[0], ends[1] = status, reals[TIME]
        for i in range(n):
            u_end[i] = x.u[i]
        kept, dense, recorded, saved = steps, steps if keep_dense else 0, steps if record else 0, rows
        size = saved * n * m + 2 * kept + dense * x.poly.shape[0] * n + recorded * 8 * n + 2 * logged
        flat = np.empty(size + (saved * (1 + n) if save_steps else 0))
        if flat.size == 0:
            return flat
        at = 0
        if save_steps:
            at = pack(flat, at, out.t[:saved])
            at = pack(flat, at, out.u[:saved].reshape(-1))
        at = pack(flat, at, out.s[:saved].reshape(-1))
        at = pack(flat, at, out.starts[:kept])
        at = pack(flat, at, out.lengths[:kept])
        at = pack(flat, at, out.polys[:dense].reshape(-1))
        at = pack(flat, at, out.record_u[:recorded].reshape(-1))
        at = pack(flat, at, out.record_k[:recorded].reshape(-1))
        at = pack(flat, at, events.log_t[:logged])
        for k in range(logged):
            flat[at + k] = events.log_k[k]
        return flat

    return integrate


integrate = _build(source_digest(loop=True))
