"""The integration loop: try a step, judge it, write what was asked for, handle events, go on.

`advance` runs until the integration ends or it needs more room, which its caller
(`kernel.integrate`) makes before calling again; so nothing is allocated in the
loop.  What has to survive in between is in two small arrays, `reals` and `counts`,
in the order of the tuples at the top of the function.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner
from .control import (
    BETA_EXPLICIT,
    BETA_IMPLICIT,
    GROW_EXPLICIT,
    GROW_IMPLICIT,
    LOG_SMALLEST,
    first_step,
    growth,
    reduction,
)
from .dense import evaluate_into, evaluate_step
from .events import (
    CLOSE,
    CLOSE_LIMIT,
    CONTINUE,
    KIND_WHEN,
    NOT_FINITE,
    ROUNDS,
    TERMINATE,
    collect_due,
    fire,
    first_root,
    pressed,
    same_time,
)
from .forward import columns_error, derivative_columns
from .methods import rodas5p, tsit5
from .status import Status
from .stiffness import (
    CALM_STEPS,
    PATIENCE_LIMIT,
    POWER_LIMIT,
    STIFF_AT,
    TRIAL_STEPS,
    dominant_eigenvalue,
    worthwhile,
)
from .storage import Columns, Events, Explicit, Implicit, Output, Problem, put_row, put_step

TSIT5 = 0
RODAS5P = 1
AUTO = 2
HEAD = 8  # addresses before those of the events
F, JAC, DFDT, FJP, DJP, ROOTS, EVENT_TIMES, STEP = range(HEAD)

# Counts, in this order; the first nine are the statistics handed out.
ACCEPTED, REJECTED, N_F, N_JAC, N_LU, SWITCHES, BY_TSIT5, BY_RODAS5P, FIRED = range(9)
N_COUNTS = 25
N_REALS = 8

RUNNING = -1
NEED_ROWS = -2
NEED_STEPS = -3
NEED_LOG = -4
NEED_IMPLICIT = -5

EPS = float(np.finfo(np.float64).eps)
_SUCCESS = int(Status.SUCCESS)
_TERMINATED = int(Status.TERMINATED)
_MAX_STEPS = int(Status.MAX_STEPS)
_DT_TOO_SMALL = int(Status.DT_TOO_SMALL)
_NONFINITE = int(Status.NONFINITE)
_UNSTABLE = int(Status.UNSTABLE)
_CHATTERING = int(Status.EVENT_CHATTERING)

_tsit5_step = tsit5.step
_tsit5_columns = tsit5.step_with_sensitivities
_tsit5_fused = tsit5.fused_step
_tsit5_error = tsit5.error
_tsit5_columns_error = tsit5.columns_error
_tsit5_stiffness = tsit5.stiffness
_tsit5_poly = tsit5.interpolant
_rodas_factorise = rodas5p.factorise_shifted
_rodas_step = rodas5p.step
_rodas_columns = rodas5p.step_with_sensitivities
_rodas_error = rodas5p.error
_rodas_poly = rodas5p.interpolant


@inner()
def all_finite(a: Any) -> bool:
    """Whether a vector has neither NaN nor infinity."""
    finite = True
    for i in range(a.size):
        finite = finite and bool(np.isfinite(a[i]))
    return finite


@inner()
def status_of(code: int) -> int:
    """The status that belongs to what `events.fire` returned."""
    if code == CONTINUE:
        return RUNNING
    if code == TERMINATE:
        return _TERMINATED
    return _NONFINITE if code == NOT_FINITE else _CHATTERING


@inner()
def fire_due(problem: Problem, x: Explicit, columns: Columns, events: Events, t: float, logged: int) -> Any:
    """Apply the events in `events.due` to the state at `t`; returns (code, logged)."""
    return fire(
        problem.fn, HEAD, problem.info, events.due, events.armed, events.roots, events.scale, t, x.u, problem.p,
        events.roots_work, problem.columns, columns.s, events.jump, events.before, events.after, x.g,
        events.log_t, events.log_k, logged,
    )  # fmt: skip


@inner()
def failure(u: Any, largest0: float, not_finite: bool) -> int:
    """Why the step size vanished."""
    largest = 0.0
    for i in range(u.size):
        largest = max(largest, abs(u[i]))
    if largest > 1e6 * (1.0 + largest0):
        return _UNSTABLE
    return _NONFINITE if not_finite else _DT_TOO_SMALL


@inner()
def advance(
    problem: Problem, x: Explicit, implicit: Implicit, columns: Columns, events: Events, out: Output,
    reals: Any, counts: Any,
) -> int:  # fmt: skip
    """Integrate until the end or until more room is needed; returns a status or one of NEED_*."""
    t, stop, habs, log_previous, last_root_time = reals[0], reals[1], reals[2], reals[3], reals[4]
    largest0, h_explicit = reals[5], reals[6]
    method, rows, stored, logged, attempts = counts[9], counts[10], counts[11], counts[12], counts[13]
    next_save, next_stop, close_roots = counts[14], counts[15], counts[16]
    stiff_count, calm_count, patience = counts[17], counts[18], counts[19]
    restart, ready, have_jacobian = counts[20] != 0, counts[21] != 0, counts[22] != 0
    rejected, trial = counts[23] != 0, counts[24]
    not_finite = False

    fn, info, p, rtol, atol = problem.fn, problem.info, problem.p, problem.rtol, problem.atol
    saveat, tstops = problem.saveat, problem.tstops
    u, unew, g, k, poly = x.u, x.unew, x.g, x.k, x.poly
    kr, ft, jacobian, w, pivots = implicit.k, implicit.ft, implicit.jacobian, implicit.w, implicit.pivots
    vector, vector_next = implicit.vector, implicit.work
    indices, s, snew, gs, ks = problem.columns, columns.s, columns.snew, columns.gs, columns.ks
    spoly, buffer, start, second, direction = (
        columns.spoly,
        columns.buffer,
        columns.start,
        columns.second,
        columns.direction,
    )
    due, armed, fired = events.due, events.armed, events.fired
    roots, roots_work, scale = events.roots, events.roots_work, events.scale
    schedule, upcoming, occurrences, log_size = (
        events.schedule,
        events.upcoming,
        events.occurrences,
        events.log_t.size,
    )
    out_t, out_u, out_s, out_rows, out_steps = out.t, out.u, out.s, out.t.size, out.starts.size
    n, m, n_save = u.size, indices.size, saveat.size
    n_events, n_roots, n_timed = info.size // 2, armed.size, upcoming.size
    address, fused = fn[F], fn[STEP]
    auto, max_steps = problem.options[0] == AUTO, problem.options[1]
    save_steps, keep_dense, record = (
        problem.options[2] != 0,
        problem.options[3] != 0,
        problem.options[4] != 0,
    )
    t1, dt0, dtmax = problem.times[1], problem.times[2], problem.times[3]
    sign = 1.0 if t1 >= problem.times[0] else -1.0
    floor = 1e-30 * abs(t1 - problem.times[0])
    status = RUNNING

    while status == RUNNING:
        if t == stop:
            if t == t1:
                status = _SUCCESS
                break
            while next_stop < tstops.size and sign * (tstops[next_stop] - t) <= 0.0:
                next_stop += 1
            stop = t1
            if next_stop < tstops.size and sign * (tstops[next_stop] - stop) < 0.0:
                stop = tstops[next_stop]
            for j in range(n_timed):
                stop = min(stop, upcoming[j])
        if attempts >= max_steps:
            status = _MAX_STEPS
            break
        if save_steps and rows + 2 > out_rows:
            status = NEED_ROWS
            break
        if (keep_dense or record) and stored == out_steps:
            status = NEED_STEPS
            break
        if n_events > 0 and logged + ROUNDS * n_events > log_size:
            status = NEED_LOG
            break
        if method == RODAS5P and ft.size < n:
            status = NEED_IMPLICIT
            break
        if restart:
            restart = False
            log_previous = LOG_SMALLEST
            if dt0 > 0.0 and counts[ACCEPTED] == 0:
                habs = dt0
            else:
                habs = first_step(address, t, u, p, sign, min(dtmax, abs(stop - t)), rtol, atol, g, k)
                counts[N_F] += 1

        # The step, cut or slightly stretched to end at a stop.
        habs = min(habs, dtmax)
        free = habs
        remaining = sign * (stop - t)
        hit = min(1.01 * habs, dtmax) >= remaining
        inner = hit and stop != t1
        if inner:  # the right-hand side may jump at this stop: stay on this side of it
            h = np.nextafter(stop, t) - t
        else:
            h = stop - t if hit else sign * habs
        if h == 0.0:
            h = stop - t
        if not hit and (habs < 16.0 * EPS * abs(t) or habs <= floor or t + h == t):
            status = failure(u, largest0, not_finite)
            break
        attempts += 1
        tnew = stop if hit else t + h

        # Try it.
        if method == TSIT5:
            if m == 0 and fused != 0:
                _tsit5_fused(fused, t, h, u, p, k, poly, g, unew)
            elif m == 0:
                _tsit5_step(address, t, h, u, p, k, g, unew)
            else:
                if not ready:
                    call(fn[FJP], t, u, p, start, 0)
                    derivative_columns(start, n, indices, s, ks, 0)
                    ready = True
                _tsit5_columns(fn[FJP], t, h, u, p, k, g, unew, indices, s, ks, gs, snew, buffer)
            counts[N_F] += 6
            error = _tsit5_error(h, u, unew, k, rtol, atol)
            if m > 0:
                _tsit5_columns_error(h, ks, gs)
                error = max(error, columns_error(gs, s, snew, unew, p, indices, rtol))
        else:
            if not have_jacobian:
                have_jacobian = True
                counts[N_JAC] += 1
                if m == 0:
                    call(fn[JAC], t, u, p, jacobian, 0)
                else:
                    if not ready:
                        call(fn[FJP], t, u, p, start, 0)
                        ready = True
                    for i in range(n):
                        for j in range(n):
                            jacobian[i, j] = start[n + i * n + j]
                if fn[DFDT] != 0:
                    call(fn[DFDT], t, u, p, ft, 0)
            counts[N_LU] += 1
            error = np.nan
            if _rodas_factorise(jacobian, h, w, pivots):
                if m == 0:
                    _rodas_step(address, t, h, u, p, k, ft, w, pivots, kr, g, unew)
                else:
                    _rodas_columns(
                        fn[FJP], fn[DJP], t, h, u, p, start, ft, w, pivots, kr, g, unew,
                        indices, s, ks, gs, snew, buffer, second, direction,
                    )  # fmt: skip
                counts[N_F] += 7
                error = _rodas_error(u, unew, kr, rtol, atol)
            if error <= 1.0:  # the slope at the new point must exist too: row 1 of k
                counts[N_F] += 1
                if m == 0:
                    call(address, tnew, unew, p, k, n)
                else:
                    call(fn[FJP], tnew, unew, p, buffer, 0)
                    for i in range(n):
                        k[1, i] = buffer[i]
                for i in range(n):
                    if not np.isfinite(k[1, i]):
                        error = np.nan
        if m > 0 and error <= 1.0 and not all_finite(snew):
            error = np.nan

        # Rejected.
        if not error <= 1.0:
            counts[REJECTED] += 1
            rejected = True
            not_finite = not np.isfinite(error)
            habs = abs(h) * (0.2 if not_finite else reduction(np.log(error)))
            continue

        # Accepted: the next step size, and the other method if that would go further.
        counts[ACCEPTED] += 1
        not_finite = False
        log_error = np.log(error)
        switch = False
        if method == TSIT5:
            counts[BY_TSIT5] += 1
            factor = growth(log_error, log_previous, BETA_EXPLICIT, GROW_EXPLICIT)
            if auto:
                if _tsit5_stiffness(h, k, g, unew, rtol, atol) > STIFF_AT:
                    calm_count = 0
                    stiff_count += 1
                    switch = stiff_count >= patience
                elif stiff_count > 0:
                    calm_count += 1
                    if calm_count >= CALM_STEPS:
                        stiff_count = 0
        else:
            counts[BY_RODAS5P] += 1
            factor = growth(log_error, log_previous, BETA_IMPLICIT, GROW_IMPLICIT)
            if auto:
                if abs(h) * dominant_eigenvalue(jacobian, vector, vector_next) < POWER_LIMIT:
                    calm_count += 1
                    switch = calm_count >= CALM_STEPS
                else:
                    calm_count = 0
                if trial > 0:
                    trial = 0 if abs(h) * factor > h_explicit * worthwhile(n) else trial - 1
                    switch = switch or trial == 1
        log_previous = max(log_error, LOG_SMALLEST)
        habs = abs(h) * (min(1.0, factor) if rejected else factor)
        if hit and not rejected:
            habs = max(habs, free)
        rejected = False

        # Dense output, and the first event inside the step.
        inside = next_save < n_save and sign * (saveat[next_save] - tnew) < 0.0
        if inside or keep_dense or n_roots > 0:
            if method == TSIT5:
                _tsit5_poly(h, u, k, poly)
                if m > 0:
                    _tsit5_poly(h, s, ks, spoly)
            else:
                _rodas_poly(u, unew, kr, poly)
                if m > 0:
                    _rodas_poly(s, snew, ks, spoly)
        at_event = False
        if n_roots > 0:
            theta = first_root(fn[ROOTS], t, h, p, poly, armed, roots, scale, g, roots_work, fired)
            if theta <= 1.0:
                at_event = True
                if theta < 1.0:
                    tnew = t + theta * h
                    evaluate_step(poly, theta, unew)
                    evaluate_step(spoly, theta, snew)
                r = 0
                for e in range(n_events):
                    if info[2 * e] == KIND_WHEN:
                        due[e] = fired[r]
                        r += 1
                close_roots = close_roots + 1 if abs(tnew - last_root_time) <= CLOSE * abs(tnew) else 0
                last_root_time = tnew
                inside = inside and sign * (saveat[next_save] - tnew) < 0.0
        if keep_dense or record:
            put_step(out, stored, t, h, u, k, poly, keep_dense, record)
            stored += 1
        while inside and not same_time(saveat[next_save], tnew):
            theta = (saveat[next_save] - t) / h
            evaluate_into(poly, theta, out_u, rows)
            if m > 0:
                evaluate_into(spoly, theta, out_s, rows)
            out_t[rows] = saveat[next_save]
            rows += 1
            next_save += 1
            inside = next_save < n_save and sign * (saveat[next_save] - tnew) < 0.0

        # Move on.
        t = stop if same_time(tnew, stop) else tnew
        if method == TSIT5:
            for i in range(n):
                u[i] = unew[i]
                k[0, i] = k[6, i]
        else:
            for i in range(n):
                u[i] = unew[i]
                k[0, i] = k[1, i]
            have_jacobian = False
        if m > 0:
            for i in range(n * m):
                s[i] = snew[i]
                ks[0, i] = ks[6, i]
            if method == RODAS5P:
                for i in range(start.size):
                    start[i] = buffer[i]
        if inner and method == TSIT5:
            call(address, t, u, p, k, 0)
            counts[N_F] += 1
            ready = False
        if n_timed > 0 and t == stop:
            at_event = collect_due(info, schedule, t, upcoming, occurrences, due) or at_event
        if at_event:
            if save_steps:
                put_row(out, rows, t, u, s)
                rows += 1
            code, logged = fire_due(problem, x, columns, events, t, logged)
            status = status_of(code)
            call(address, t, u, p, k, 0)
            counts[N_F] += 1
            for i in range(n):
                if not np.isfinite(k[0, i]):
                    status = _NONFINITE
            if (
                status == RUNNING
                and n_roots > 0
                and pressed(fn[ROOTS], info, t, 1e-3 * h, u, k[0], p, armed, roots, scale, g, roots_work)
            ):
                status = _CHATTERING
            if status == RUNNING and close_roots >= CLOSE_LIMIT + 2 * n_roots:
                status = _CHATTERING
            restart = True
            ready = False
        if status != _NONFINITE:
            put = save_steps
            while next_save < n_save and (
                sign * (saveat[next_save] - t) <= 0.0 or same_time(saveat[next_save], t)
            ):  # fmt: skip
                put_row(out, rows, saveat[next_save], u, s)
                rows += 1
                next_save += 1
            if status == _TERMINATED and (rows == 0 or out_t[rows - 1] != t):
                put = True
            if put:
                put_row(out, rows, t, u, s)
                rows += 1
        if switch:
            counts[SWITCHES] += 1
            stiff_count = 0
            calm_count = 0
            ready = False
            have_jacobian = False
            if method == TSIT5:
                method = RODAS5P
                h_explicit = abs(h)
                trial = TRIAL_STEPS + 1
            else:
                method = TSIT5
                patience = min((4 if trial == 1 else 2) * patience, PATIENCE_LIMIT)
                trial = 0

    reals[0], reals[1], reals[2], reals[3], reals[4] = t, stop, habs, log_previous, last_root_time
    counts[9], counts[10], counts[11], counts[12], counts[13] = method, rows, stored, logged, attempts
    counts[14], counts[15], counts[16] = next_save, next_stop, close_roots
    counts[17], counts[18], counts[19] = stiff_count, calm_count, patience
    counts[20], counts[21], counts[22] = int(restart), int(ready), int(have_jacobian)
    counts[23], counts[24] = int(rejected), trial
    reals[6] = h_explicit
    return status
