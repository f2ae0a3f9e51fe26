"""The integration loop: try a step, judge it, write what was asked for, handle events, go on.

`advance` runs until the integration ends or it needs more room, which its caller
(`kernel.integrate`) makes before calling again; so nothing is allocated in the
loop.  What has to survive in between is in two small arrays, `reals` and `counts`,
in the order of the tuples at the top of the function.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call, call_clock, call_method, call_signals
from .compiled import inner
from .control import LOG_SMALLEST, first_step, growth, reduction
from .dense import evaluate_into, evaluate_step
from .events import (
    CLOSE,
    CLOSE_LIMIT,
    CONTINUE,
    NOT_FINITE,
    ROUNDS,
    STUCK,
    TERMINATE,
    beside,
    collect_due,
    fire,
    first_root,
    next_of_family,
    same_time,
    settle,
    turned,
)
from .forward import columns_error, derivative_columns
from .methods import abi, rodas5p, tsit5
from .methods.abi import (
    ACCEPT,
    ATTEMPT,
    CHECK_SIGNALS,
    CLOCK,
    DENSE,
    DFDT,
    DJP,
    ERROR,
    FACTOR,
    FETCH_ERROR,
    FJP,
    GIL_ENSURE,
    GIL_RELEASE,
    HEAD,
    JAC,
    METHOD,
    ROOTS,
    START,
    START_EXPONENT,
    STEP,
    STIFF,
    STIFF_AT,
    WORTHWHILE,
    F,
)
from .slots import (
    ACCEPTED,
    ATTEMPTS,
    BUDGET,
    BY_ADDRESS,
    BY_PARTNER,
    BY_RODAS5P,
    BY_TSIT5,
    CALM_COUNT,
    CAUGHT,
    CLOSE_ROOTS,
    FIRST_METHOD,
    FRESH,
    H_EXPLICIT,
    HAVE_JACOBIAN,
    IN_USE,
    KEEP_DENSE,
    KIND_SWITCH,
    KIND_WHEN,
    LARGEST0,
    LAST_CLOCK,
    LAST_ROOT_TIME,
    LIFTED,
    LOG_BEFORE,
    LOG_PREVIOUS,
    LOGGED,
    MAX_STEPS,
    N_F,
    N_JAC,
    N_LU,
    N_OPTIONS,
    N_POSITIVE,
    NEXT_END,
    NEXT_SAVE,
    NEXT_STOP,
    NEXT_WATCH,
    OTHER_METHOD,
    PATIENCE,
    PROGRESS,
    READY,
    RECORD,
    REJECTED,
    RESTART,
    RODAS5P,
    ROWS,
    SAVE_STEPS,
    STEP_SIZE,
    STEPS_BY_ADDRESS,
    STEPS_BY_PARTNER,
    STIFF_COUNT,
    STORED,
    SWITCHES,
    TIME,
    TRIAL,
    TSIT5,
    WAS_REJECTED,
)
from .status import Status
from .stiffness import (
    CALM_STEPS,
    EARLY,
    PATIENCE_LIMIT,
    POWER_LIMIT,
    TRIAL_STEPS,
    creeps,
    difference_eigenvalue,
    dominant_eigenvalue,
)
from .storage import Columns, Events, Explicit, External, Implicit, Output, Problem, put_row, put_step

_SHORT, _LONG = 25_000, 100_000  # microseconds between looks at signals

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
_INTERRUPTED = int(Status.INTERRUPTED)

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


@inner(inline=True)
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
def fire_due(
    problem: Problem, x: Explicit, columns: Columns, events: Events, t: float, side: float, delta: float, logged: int
) -> Any:
    """Apply the events in `events.due` to the state at `t`; `side`, `delta` as of `fire`; returns (code, logged)."""
    return fire(
        problem.fn, HEAD, problem.info, events.due, events.armed, events.roots, events.scale, t, side, delta, x.u,
        problem.p, events.roots_work, problem.columns, columns.s, events.jump, events.before, events.after,
        events.shift, x.g, events.log_t, events.log_k, logged,
    )  # fmt: skip


@inner()
def time_slope(fn: Any, t: float, h: float, u: Any, p: Any, slope: Any, ft: Any, g: Any) -> None:
    """The partial derivative df/dt into `ft`; where it is infinite (sqrt(t) at 0), a difference over the step.

    `slope` holds f(t, u) in row 0; `g` is overwritten.
    """
    call(fn[DFDT], t, u, p, ft, 0)
    if not all_finite(ft):
        call(fn[F], t + h, u, p, g, 0)
        for i in range(ft.size):
            if not np.isfinite(ft[i]):
                ft[i] = (g[i] - slope[0, i]) / h


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
def set_start(reals: Any, counts: Any, t: float, method: int, watch: int) -> None:
    """What survives between calls of `advance`, at the start."""
    reals[TIME], reals[NEXT_END], reals[LAST_ROOT_TIME] = t, t, np.nan
    reals[LOG_PREVIOUS], reals[LOG_BEFORE] = LOG_SMALLEST, LOG_SMALLEST
    counts[IN_USE], counts[RESTART], counts[FRESH] = method, 1, 1
    counts[NEXT_WATCH], counts[BUDGET] = watch if watch > 0 else 1 << 62, watch


@inner()
def interrupted(problem: Problem, t: float, u: Any, g: Any) -> bool:
    """Did the user, or the callback that shows progress, ask to stop?  `g` is overwritten."""
    fn, options = problem.fn, problem.options
    if call_signals(
        fn[GIL_ENSURE], fn[CHECK_SIGNALS], fn[FETCH_ERROR], fn[GIL_RELEASE], options, CAUGHT
    ):  # fmt: skip
        return True
    if options[PROGRESS] != 0:
        g[0] = 1.0  # a callback that fails does not overwrite it
        call(options[PROGRESS], t, u, problem.p, g, 0)
        return bool(g[0] != 0.0)
    return False


@inner(inline=True)  # arguments by the dozen: a call would copy them all to the stack
def by_address(problem: Problem, external: External, which: int, task: int, u: Any) -> None:
    """Call the chosen method (0) or its partner (1)."""
    call_method(
        problem.fn[METHOD + which], task, problem.fn, external.reals, external.ints, which, u, problem.p,
        external.work, external.starts[0] * which, external.iwork, external.starts[1] * which,
    )  # fmt: skip


@inner()
def negative_part(options: Any, unew: Any, atol: Any) -> float:
    """How far states that must not be negative are below zero, in units of their absolute tolerance."""
    worst = 0.0
    for j in range(options[N_POSITIVE]):
        i = options[N_OPTIONS + j]
        worst = max(worst, -unew[i] / atol[i])
    return worst


@inner()
def clip(options: Any, u: Any) -> bool:
    """Set what is below zero and must not be to zero; says whether there was any."""
    changed = False
    for j in range(options[N_POSITIVE]):
        i = options[N_OPTIONS + j]
        if u[i] < 0.0:
            u[i] = 0.0
            changed = True
    return changed


@inner()
def advance(
    problem: Problem, x: Explicit, implicit: Implicit, external: External, columns: Columns, events: Events,
    out: Output, reals: Any, counts: Any,
) -> int:  # fmt: skip
    """Integrate until the end or until more room is needed; returns a status or one of NEED_*."""
    t, stop, habs, log_previous, log_before = (
        reals[TIME], reals[NEXT_END], reals[STEP_SIZE], reals[LOG_PREVIOUS], reals[LOG_BEFORE],
    )  # fmt: skip
    last_root_time, largest0, h_explicit = reals[LAST_ROOT_TIME], reals[LARGEST0], reals[H_EXPLICIT]
    method, rows, stored, logged, attempts = (
        counts[IN_USE], counts[ROWS], counts[STORED], counts[LOGGED], counts[ATTEMPTS],
    )  # fmt: skip
    next_save, next_stop, close_roots = counts[NEXT_SAVE], counts[NEXT_STOP], counts[CLOSE_ROOTS]
    stiff_count, calm_count, patience = counts[STIFF_COUNT], counts[CALM_COUNT], counts[PATIENCE]
    restart, ready, have_jacobian = counts[RESTART] != 0, counts[READY] != 0, counts[HAVE_JACOBIAN] != 0
    rejected, trial, fresh, lifted = counts[WAS_REJECTED] != 0, counts[TRIAL], counts[FRESH] != 0, counts[LIFTED] != 0
    next_watch, budget, clock = counts[NEXT_WATCH], counts[BUDGET], counts[LAST_CLOCK]
    not_finite = False

    fn, info, p, rtol, atol = problem.fn, problem.info, problem.p, problem.rtol, problem.atol
    saveat, tstops, control, options = problem.saveat, problem.tstops, problem.control, problem.options
    u, unew, g, k, poly = x.u, x.unew, x.g, x.k, x.poly
    kr, ft, jacobian, w, pivots = implicit.k, implicit.ft, implicit.jacobian, implicit.w, implicit.pivots
    vector, vector_next = implicit.vector, implicit.work
    ereals, eints, ework = external.reals, external.ints, external.work
    mass = ework if ereals.shape[0] == 0 else ework[:0]  # without methods by address, their memory holds this
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
    first_method, other, max_steps = options[FIRST_METHOD], options[OTHER_METHOD], options[MAX_STEPS]
    auto, positive = other >= 0, options[N_POSITIVE] > 0
    save_steps, keep_dense, record = options[SAVE_STEPS] != 0, options[KEEP_DENSE] != 0, options[RECORD] != 0
    t1, dt0, dtmax, dtmin = problem.times[1], problem.times[2], problem.times[3], problem.times[4]
    families = events.families
    n_families = families.size // 2
    n_stops = tstops.size // 2  # their times, then what they are: 1 where the step size starts anew
    sign = 1.0 if t1 >= problem.times[0] else -1.0
    floor = 1e-30 * abs(t1 - problem.times[0])
    status = RUNNING

    while status == RUNNING:
        if t == stop:
            if t == t1:
                status = _SUCCESS
                break
            while next_stop < n_stops and sign * (tstops[next_stop] - t) <= 0.0:
                next_stop += 1
            stop = t1
            if next_stop < n_stops and sign * (tstops[next_stop] - stop) < 0.0:
                stop = tstops[next_stop]
            for j in range(n_timed):
                stop = min(stop, upcoming[j])
            for j in range(n_families):
                turn = next_of_family(families[2 * j], families[2 * j + 1], t, sign)
                if sign * (turn - stop) < 0.0 and not same_time(turn, stop):
                    stop = turn
        if attempts >= max_steps:
            status = _MAX_STEPS
            break
        if attempts >= next_watch:
            now = call_clock(fn[CLOCK])
            if clock > 0:
                budget = 2 * budget if now - clock < _SHORT else max(1, budget // 2) if now - clock > _LONG else budget
            clock = now
            next_watch = attempts + budget
            if interrupted(problem, t, u, g):
                status = _INTERRUPTED
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
        if (method == RODAS5P and ft.size < n) or (method == BY_PARTNER and vector.size < n):
            status = NEED_IMPLICIT
            break
        if restart:
            restart = False
            log_previous = LOG_SMALLEST
            log_before = LOG_SMALLEST
            if dt0 > 0.0 and (counts[ACCEPTED] == 0 or control[method, abi.GROW] <= 1.0):
                habs = dt0
            else:
                longest = min(dtmax, abs(stop - t))
                power = control[method, START_EXPONENT]
                habs = first_step(address, t, u, p, sign, longest, rtol, atol, g, k, power)
                counts[N_F] += 1
            habs = max(habs, dtmin)

        # The step, cut or slightly stretched to end at a stop.
        habs = min(habs, dtmax)
        free = habs
        remaining = sign * (stop - t)
        hit = min(1.01 * habs, dtmax) >= remaining
        inner = hit and (stop != t1 or n_families > 0)
        if inner:  # the right-hand side may jump at this stop: stay on this side of it
            h = beside(stop, t) - t
        else:
            h = stop - t if hit else sign * habs
        if not sign * h > 0.0:
            h = stop - t
        if not hit and (habs < max(16.0 * EPS * abs(t), dtmin) or habs <= floor or t + h == t):
            status = failure(u, largest0, not_finite)
            break
        attempts += 1
        tnew = stop if hit else t + h
        # Behind a stop at which the right-hand side may jump, begin on its far side.
        begin = beside(t, t1) if lifted else t

        # Try it.
        if method == TSIT5:
            if m == 0 and fused != 0:
                _tsit5_fused(fused, begin, h, u, p, k, poly, g, unew)
            elif m == 0:
                _tsit5_step(address, begin, h, u, p, k, g, unew)
            else:
                if not ready:
                    call(fn[FJP], begin, u, p, start, 0)
                    derivative_columns(start, n, indices, s, ks, 0)
                    ready = True
                _tsit5_columns(fn[FJP], begin, h, u, p, k, g, unew, indices, s, ks, gs, snew, buffer)
            counts[N_F] += 6
            error = _tsit5_error(h, u, unew, k, rtol, atol)
            if m > 0:
                _tsit5_columns_error(h, ks, gs)
                error = max(error, columns_error(gs, s, snew, unew, p, indices, rtol))
        elif method == RODAS5P:
            if not have_jacobian:
                have_jacobian = True
                counts[N_JAC] += 1
                if m == 0:
                    call(fn[JAC], begin, u, p, jacobian, 0)
                else:
                    if not ready:
                        call(fn[FJP], begin, u, p, start, 0)
                        ready = True
                    for i in range(n):
                        for j in range(n):
                            jacobian[i, j] = start[n + i * n + j]
                if fn[DFDT] != 0:
                    time_slope(fn, begin, h, u, p, k, ft, g)
            counts[N_LU] += 1
            error = np.nan
            if _rodas_factorise(jacobian, h, mass, w, pivots):
                if m == 0:
                    _rodas_step(address, begin, h, u, p, k, ft, w, pivots, kr, g, unew)
                else:
                    _rodas_columns(
                        fn[FJP], fn[DJP], begin, h, u, p, start, ft, mass, w, pivots, kr, g, unew,
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
        else:
            which = method - BY_ADDRESS
            ereals[which, abi.T], ereals[which, abi.H], ereals[which, abi.T1] = begin, h, t1
            eints[which, abi.FIRST], eints[which, abi.REJECTED] = int(fresh), int(rejected)
            if fresh:
                fresh = False
                by_address(problem, external, which, START, u)
            ereals[which, FACTOR] = 0.0
            by_address(problem, external, which, ATTEMPT, u)
            error = ereals[which, ERROR]
            at = external.starts[0] * which + eints[which, abi.AT_NEW]
            for i in range(n):
                unew[i] = ework[at + i]
            if error <= 1.0 and not all_finite(unew):
                error = np.nan
        if m > 0 and error <= 1.0 and not all_finite(snew):
            error = np.nan
        if positive and error <= 1.0:
            error = max(error, negative_part(options, unew, atol))

        # Rejected.
        if not error <= 1.0:
            counts[REJECTED] += 1
            rejected = True
            not_finite = not np.isfinite(error)
            if control[method, abi.GROW] <= 1.0:  # the step size is the user's
                status = failure(u, largest0, not_finite)
                break
            factor = 0.2 if not_finite else reduction(np.log(error), control, method)
            if method >= BY_ADDRESS and ereals[method - BY_ADDRESS, FACTOR] > 0.0:
                factor = min(0.9, ereals[method - BY_ADDRESS, FACTOR])
            habs = abs(h) * factor
            continue

        # Accepted: the next step size, and the other method if that would go further.
        counts[ACCEPTED] += 1
        not_finite = False
        switch = False
        if method >= BY_ADDRESS and ereals[method - BY_ADDRESS, FACTOR] > 0.0:
            log_error = LOG_SMALLEST
            factor = ereals[method - BY_ADDRESS, FACTOR]
        else:
            log_error = np.log(error)
            factor = growth(log_error, log_previous, log_before, control, method)
        if method == first_method:
            if method == TSIT5:
                counts[BY_TSIT5] += 1
            elif method == RODAS5P:
                counts[BY_RODAS5P] += 1
            else:
                counts[STEPS_BY_ADDRESS] += 1
            if auto:
                if method == TSIT5:
                    stiff = _tsit5_stiffness(h, k, g, unew, rtol, atol)
                else:
                    stiff = ereals[method - BY_ADDRESS, STIFF]
                edge = control[method, STIFF_AT]
                if stiff > edge or (stiff > EARLY * edge and creeps(u, unew, rtol, atol)):
                    calm_count = 0
                    stiff_count += 1
                    switch = stiff_count >= patience
                elif stiff_count > 0:
                    calm_count += 1
                    if calm_count >= CALM_STEPS:
                        stiff_count = 0
        else:
            if method == RODAS5P:
                counts[BY_RODAS5P] += 1
                stiff = abs(h) * dominant_eigenvalue(jacobian, vector, vector_next)
            else:
                counts[STEPS_BY_PARTNER] += 1
                counts[N_F] += 2
                stiff = abs(h) * difference_eigenvalue(address, tnew, unew, p, vector, g, k)
            if stiff < POWER_LIMIT:
                calm_count += 1
                switch = calm_count >= CALM_STEPS
            else:
                calm_count = 0
            if trial > 0:
                trial = 0 if abs(h) * factor > h_explicit * control[method, WORTHWHILE] else trial - 1
                switch = switch or trial == 1
        log_before = log_previous
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
            elif method == RODAS5P:
                _rodas_poly(u, unew, kr, poly)
                if m > 0:
                    _rodas_poly(s, snew, ks, spoly)
            else:
                which = method - BY_ADDRESS
                by_address(problem, external, which, DENSE, u)
                at = external.starts[0] * which + eints[which, abi.AT_POLY]
                last = eints[which, abi.DEGREE]
                for q in range(poly.shape[0]):
                    for i in range(n):
                        poly[q, i] = ework[at + q * n + i] if q <= last else 0.0
            if method < BY_ADDRESS:
                for q in range(5, poly.shape[0]):
                    for i in range(n):
                        poly[q, i] = 0.0
        at_event, stuck = False, False
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
                    if info[2 * e] == KIND_WHEN or info[2 * e] == KIND_SWITCH:
                        due[e] = fired[r]
                        stuck = stuck or fired[r] == STUCK
                        r += 1
                close = max(CLOSE * abs(tnew), 1e-13 * abs(t1 - problem.times[0]))
                close_roots = close_roots + 1 if abs(tnew - last_root_time) <= close else 0
                last_root_time = tnew
                inside = inside and sign * (saveat[next_save] - tnew) < 0.0
        if keep_dense or record:
            put_step(out, stored, t, h, u, k, poly, keep_dense, record)
            stored += 1
        while inside and not same_time(saveat[next_save], tnew):
            theta = (saveat[next_save] - t) / h
            evaluate_into(poly, theta, out_u, rows)
            if positive:
                clip(options, out_u[rows])
            if m > 0:
                evaluate_into(spoly, theta, out_s, rows)
            out_t[rows] = saveat[next_save]
            rows += 1
            next_save += 1
            inside = next_save < n_save and sign * (saveat[next_save] - tnew) < 0.0

        # Move on.
        t = stop if same_time(tnew, stop) else tnew
        for i in range(n):
            u[i] = unew[i]
        if method == TSIT5:
            for i in range(n):
                k[0, i] = k[6, i]
        elif method == RODAS5P:
            for i in range(n):
                k[0, i] = k[1, i]
            have_jacobian = False
        if m > 0:
            for i in range(n * m):
                s[i] = snew[i]
                ks[0, i] = ks[6, i]
            if method == RODAS5P:
                for i in range(start.size):
                    start[i] = buffer[i]
        lifted = inner and t == stop
        clipped = positive and clip(options, u)
        if lifted or clipped:
            if lifted and next_stop < n_stops and tstops[next_stop] == t and tstops[n_stops + next_stop] != 0.0:
                restart = True
            if method < BY_ADDRESS or restart:
                call(address, beside(t, t1) if lifted else t, u, p, k, 0)
                counts[N_F] += 1
                ready = False
            fresh = True
        side = beside(t, t1) if lifted and t != t1 else t
        timed = False
        if n_timed > 0 and t == stop:
            timed = collect_due(info, schedule, t, upcoming, occurrences, due)
            at_event = timed or at_event
        if lifted and n_roots > 0:
            at_event = turned(fn[ROOTS], info, side, u, p, armed, roots, roots_work, due, timed) or at_event
        if at_event:
            if save_steps:
                put_row(out, rows, t, u, s)
                rows += 1
            before_firing = logged
            code, logged = fire_due(problem, x, columns, events, t, side, 1e-3 * h, logged)
            if save_steps and logged == before_firing:  # only the equations switched
                rows -= 1
            status = status_of(code)
            if stuck and status == RUNNING:
                status = _CHATTERING
            call(address, side, u, p, k, 0)
            counts[N_F] += 1
            for i in range(n):
                if not np.isfinite(k[0, i]):
                    status = _NONFINITE
            if (
                status == RUNNING
                and n_roots > 0
                and settle(fn[ROOTS], info, side, 1e-3 * h, u, k[0], p, armed, roots, scale, g, roots_work)
            ):
                status = _CHATTERING
            if status == RUNNING and close_roots >= CLOSE_LIMIT + 2 * n_roots:
                status = _CHATTERING
            restart = True
            ready = False
            fresh = True
        elif method >= BY_ADDRESS and not fresh:
            which = method - BY_ADDRESS
            ereals[which, abi.T] = t
            by_address(problem, external, which, ACCEPT, u)
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
            if method == first_method:
                h_explicit = abs(h)
                trial = TRIAL_STEPS + 1
            else:
                patience = min((4 if trial == 1 else 2) * patience, PATIENCE_LIMIT)
                trial = 0
            fresh = True
            if method >= BY_ADDRESS and not at_event:  # the loop's own methods begin with the slope here
                call(address, beside(t, t1) if lifted else t, u, p, k, 0)
                counts[N_F] += 1
            method = other if method == first_method else first_method

    reals[TIME], reals[NEXT_END], reals[STEP_SIZE], reals[LOG_PREVIOUS], reals[LOG_BEFORE] = (
        t, stop, habs, log_previous, log_before,
    )  # fmt: skip
    reals[LAST_ROOT_TIME], reals[H_EXPLICIT] = last_root_time, h_explicit
    counts[IN_USE], counts[ROWS], counts[STORED], counts[LOGGED], counts[ATTEMPTS] = (
        method, rows, stored, logged, attempts,
    )  # fmt: skip
    counts[NEXT_SAVE], counts[NEXT_STOP], counts[CLOSE_ROOTS] = next_save, next_stop, close_roots
    counts[STIFF_COUNT], counts[CALM_COUNT], counts[PATIENCE] = stiff_count, calm_count, patience
    counts[RESTART], counts[READY], counts[HAVE_JACOBIAN] = int(restart), int(ready), int(have_jacobian)
    counts[WAS_REJECTED], counts[TRIAL], counts[FRESH], counts[LIFTED] = int(rejected), trial, int(fresh), int(lifted)
    counts[NEXT_WATCH], counts[BUDGET], counts[LAST_CLOCK] = next_watch, budget, clock
    return status
