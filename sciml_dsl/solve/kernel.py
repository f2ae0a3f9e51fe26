"""The entry to native integration, compiled once for all models.

It takes only numbers, addresses and arrays, so numba keeps it on disk and a new
model costs nothing here.  `integrate.py` packs the arguments and names the
results; the loop, methods, step control, dense output, events and sensitivities
live in files of their own and are linked in.

Arguments, all C-contiguous and writable:
`fn` (8 + 2 E) addresses f, jac, dfdt, fjp, djp, roots, event_times, tsit5, then
affect and affect_jac of the E events; `info` (2 E) kind and terminate flag of each;
`options` (method, max_steps, save_steps, dense, record, n_params);
`times` (t0, t1, dt0 or 0, dtmax); `u0` (n); `p`; `rtol` and `atol` (1 or n);
`saveat`, `tstops` ordered along the integration; `s0` (n m) and `columns` (m).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import float64, int64, njit

from .call import call
from .compiled import inner
from .control import LOG_SMALLEST
from .events import KIND_WHEN, ROUNDS, collect_due, next_times, same_time
from .loop import (
    AUTO,
    EVENT_TIMES,
    FIRED,
    N_COUNTS,
    N_F,
    N_REALS,
    NEED_IMPLICIT,
    NEED_LOG,
    NEED_ROWS,
    NEED_STEPS,
    RODAS5P,
    ROOTS,
    RUNNING,
    TSIT5,
    F,
    advance,
    all_finite,
    fire_due,
    status_of,
)
from .status import Status
from .stiffness import STIFF_STEPS
from .storage import (
    Columns,
    Events,
    Explicit,
    Output,
    Problem,
    more_log,
    more_rows,
    more_steps,
    new_implicit,
    put_row,
)

_TERMINATED = int(Status.TERMINATED)
_NONFINITE = int(Status.NONFINITE)
_INVALID = int(Status.EVENT_INVALID)
_COMPILED = (
    "call", "compiled", "control", "dense", "events", "forward",
    "kernel", "linear/dense", "loop", "status", "stiffness", "storage",
)  # fmt: skip


def _source_digest() -> int:
    """A number that changes with any compiled source of this room.

    numba looks only at the file of the compiled function itself; as a closure
    variable this number makes its cache see the linked files too.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*(here / f"{name}.py" for name in _COMPILED), *sorted(here.glob("methods/*.py"))):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:6], "little")


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
def _new_events(info: Any, n: int, n_params: int, m: int) -> Events:
    n_events = info.size // 2
    if n_events == 0:
        none, no = np.empty(0), np.empty(0, np.int64)
        return Events(no, no, no, none, none, none, none, none, no, none, none, none, none, no)
    n_roots = 0
    for e in range(n_events):
        if info[2 * e] == KIND_WHEN:
            n_roots += 1
    n_timed = n_events - n_roots
    jump_size = 3 * n + n * n + n_params * (n + 1) + 1 if m > 0 else 0
    return Events(
        np.zeros(n_events, np.int64),
        np.zeros(n_roots, np.int64),
        np.zeros(n_roots, np.int64),
        np.empty(n_roots),
        np.empty(n_roots),
        np.zeros(n_roots),
        np.empty(4 * n_timed),
        np.empty(n_timed),
        np.zeros(n_timed, np.int64),
        np.empty(jump_size),
        np.empty(n),
        np.empty(n),
        np.empty(ROUNDS * n_events),
        np.empty(ROUNDS * n_events, np.int64),
    )


@inner()
def _begin(
    problem: Problem, x: Explicit, columns: Columns, events: Events, out: Output, reals: Any, counts: Any
) -> int:
    """Events and output at the start; the first slope.  Returns a status."""
    fn, p, u, t = problem.fn, problem.p, x.u, problem.times[0]
    saveat, save_steps = problem.saveat, problem.options[2] != 0
    status, logged, rows, next_save = RUNNING, 0, 0, 0
    if events.upcoming.size > 0:
        call(fn[EVENT_TIMES], t, u, p, events.schedule, 0)
        if not next_times(problem.info, events.schedule, t, events.upcoming, events.occurrences):
            return _INVALID
    if events.armed.size > 0:
        call(fn[ROOTS], t, u, p, events.roots, 0)
        for r in range(events.armed.size):
            events.armed[r] = 1 if events.roots[r] < 0.0 else 0
    if events.upcoming.size > 0 and collect_due(
        problem.info, events.schedule, t, events.upcoming, events.occurrences, events.due
    ):
        code, logged = fire_due(problem, x, columns, events, t, logged)
        status = status_of(code)
    call(fn[F], t, u, p, x.k, 0)
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
    reals[0], reals[1], reals[3], reals[4] = t, t, LOG_SMALLEST, np.nan
    counts[10], counts[12], counts[14], counts[19], counts[20] = rows, logged, next_save, STIFF_STEPS, 1
    return status


def _build(version: int) -> Any:
    vector = float64[::1]
    indices = int64[::1]

    @njit(  # type: ignore[untyped-decorator]
        [(indices, indices, indices, vector, vector, vector, vector, vector, vector, vector, vector, indices)],
        error_model="numpy",
        nogil=True,
        cache=True,
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
    ) -> Any:
        n, m, n_params = u0.size, columns.size, options[5]
        save_steps, keep_dense, record = options[2] != 0, options[3] != 0, options[4] != 0
        x = Explicit(u0.copy(), np.empty(n), np.empty(n), np.empty((9, n)), np.empty((5, n)))
        rtol, atol = np.empty(n), np.empty(n)
        largest0 = 0.0
        for i in range(n):
            rtol[i] = rtol_given[i if rtol_given.size > 1 else 0]
            atol[i] = atol_given[i if atol_given.size > 1 else 0]
            largest0 = max(largest0, abs(x.u[i]))
        problem = Problem(fn, info, options, times, p, rtol, atol, saveat, tstops, columns)
        implicit = new_implicit(n if options[0] == RODAS5P else 0)
        sensitivities = _new_columns(n, n_params, s0, m)
        events = _new_events(info, n, n_params, m)
        rows = 64 if save_steps else saveat.size + 1
        steps = 64 if keep_dense or record else 0
        out = Output(
            np.empty(rows),
            np.empty((rows, n)),
            np.empty((rows, n * m)),
            np.empty(steps),
            np.empty(steps),
            np.empty((steps if keep_dense else 0, 5, n)),
            np.empty((steps if record else 0, n)),
            np.empty((steps if record else 0, 7, n)),
        )
        reals, counts = np.zeros(N_REALS), np.zeros(N_COUNTS, np.int64)
        reals[5] = largest0
        counts[9] = TSIT5 if options[0] == AUTO else options[0]
        status = _begin(problem, x, sensitivities, events, out, reals, counts) + version - version
        while status == RUNNING:
            status = advance(problem, x, implicit, sensitivities, events, out, reals, counts)
            if status == NEED_ROWS:
                out = more_rows(out)
            elif status == NEED_STEPS:
                out = more_steps(out)
            elif status == NEED_LOG:
                events = more_log(events, ROUNDS * (info.size // 2))
            elif status == NEED_IMPLICIT:
                implicit = new_implicit(n)
            else:
                break
            status = RUNNING
        rows, steps, logged = counts[10], counts[11], counts[12]
        counts[FIRED] = logged
        return (
            status,
            reals[0],
            counts,
            out.t[:rows],
            out.u[:rows],
            out.s[:rows],
            out.starts[:steps],
            out.lengths[:steps],
            out.polys[: steps if keep_dense else 0],
            out.record_u[: steps if record else 0],
            out.record_k[: steps if record else 0],
            events.log_t[:logged],
            events.log_k[:logged],
            x.u,
        )

    return integrate


integrate = _build(_source_digest())
