"""`solve` through SUNDIALS: the same arguments, the same `Solution`.

Events are not handled here: models with events are refused, in words.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, UnsupportedError
from .. import turning
from ..integrate import Integrator, Trajectory
from ..prepare import Prepared
from ..solution import Solution
from ..status import Status
from . import algebraic
from .output import TOO_MUCH_WORK, Rows, polynomial, status_of, trajectory_of
from .stepper import NORMAL, ONE_STEP, Stepper

if TYPE_CHECKING:
    from ..problem import NativeFunctions

Floats = NDArray[np.float64]


def solve(
    ready: Prepared, method: str, t0: float, t1: float, u0: Floats, p: Floats, times: Floats | None, stops: Floats,
    *, rtol: Any, atol: Any, max_steps: int, dtmax: float, dt0: float, linear_solver: str,
    initialization: str = "check",
) -> Solution:  # fmt: skip
    """Integrate by `method`, one of "cvode_bdf", "cvode_adams" and "ida".

    Arguments: `times` of output in order, None for every step; `stops` to end steps at, where
    the right-hand side may jump; the others as of `sciml_dsl.solve.api.solve`.

    Raises `UnsupportedError` for a model with events, `InputError` for what does not fit or
    where scikit-sundae is not installed.
    """
    functions = ready.functions
    if functions.events:
        raise UnsupportedError(
            f'method="{method}" does not handle events yet; use "auto", or one of the other methods of this package'
        )
    if method != "cvode_adams" and not functions.jac:
        raise InputError(f'method="{method}" needs the Jacobian of the model; use method="cvode_adams" or "tsit5"')
    owner = ready.integrator
    if not isinstance(owner, Integrator) and method != "ida":
        raise UnsupportedError(
            f'method="{method}" takes no algebraic equations (`0 = ...`); use "ida", "auto", or one of the other '
            "methods of this package"
        )
    n = len(ready.states)
    rtol, atol = _tolerance("rtol", rtol, n), _tolerance("atol", atol, n)
    if not (dtmax > 0.0 and max_steps > 0):
        raise InputError(f"max_steps and dtmax must be positive, got {max_steps} and {dtmax}")
    run_p = p
    plain = owner if isinstance(owner, Integrator) else owner.first
    if functions.n_inputs:  # their jumps and kinks are stops; the tables have each jump on the side that is seen
        stops, run_p = plain.with_breaks(stops, t0, t1, p, float(rtol.min()))
    if not isinstance(owner, Integrator):
        if t1 < t0:
            raise UnsupportedError("models with algebraic equations are integrated forwards only")
        consistent = owner.start(t0, u0, run_p, initialization)
        more = owner.family.n - n  # what index reduction added is held as tightly as anything
        rtol, atol = (np.append(v, np.full(more, v.min())) for v in (rtol, atol))
    else:
        consistent = u0
    stops = _all_stops(functions, stops, t0, t1, consistent, p)

    def run(dense: bool) -> Trajectory:
        if not isinstance(owner, Integrator):
            return algebraic.integrate(
                owner, consistent, run_p, (t0, t1), times, stops, rtol=rtol, atol=atol, max_steps=max_steps,
                dtmax=dtmax, dt0=dt0, linear=linear_solver, dense=dense,
            )  # fmt: skip
        with Stepper(functions, method, t0, u0, run_p, rtol, atol, linear_solver) as stepper:
            return _integrate(stepper, t1, times, stops, max_steps, dtmax, dt0, dense)

    began = perf_counter()
    trajectory = run(dense=False)
    seconds = perf_counter() - began
    return Solution(
        trajectory, ready.states, span=(t0, t1), u0=u0, p=p, parameters=ready.parameters,
        observables=ready.observables, observe=ready.observe, densely=lambda: run(dense=True), refine=ready.refine,
        seconds=seconds,
        method=method, by_address=(method, ""),
    )  # fmt: skip


def _tolerance(name: str, value: Any, n: int) -> Floats:
    found = np.asarray(value, dtype=np.float64).reshape(-1)
    if found.size not in (1, n):
        raise InputError(f"{name}: expected one number or {n} (one for each state)")
    if not (np.isfinite(found).all() and (found >= 0.0 if name == "rtol" else found > 0.0).all()):
        raise InputError(f"{name} must be positive and finite, got {value!r}")
    return np.array(np.broadcast_to(found, n))


def _all_stops(functions: NativeFunctions, stops: Floats, t0: float, t1: float, u0: Floats, p: Floats) -> Floats:
    """`stops`, and the times at which the right-hand side switches by itself, strictly inside the span, in order."""
    own = turning.inside(functions, t0, t1, u0, p)
    if own.size:
        stops = np.concatenate([stops, own])
    inside = np.unique(stops[(stops > min(t0, t1)) & (stops < max(t0, t1))])
    return inside[::-1] if t1 < t0 else inside


def _integrate(
    stepper: Stepper, t1: float, times: Floats | None, stops: Floats, max_steps: int, dtmax: float, dt0: float,
    dense: bool,
) -> Trajectory:  # fmt: skip
    rows = Rows()
    t0, sign = stepper.t, 1.0 if t1 >= stepper.t else -1.0
    waiting = [] if times is None else times.tolist()[::-1]  # times of output still to come, the next one last
    every_step = dense or times is None
    if times is None:
        rows.put(t0, stepper.u)
    while waiting and waiting[-1] == t0:
        rows.put(waiting.pop(), stepper.u)
    if dtmax < math.inf:
        stepper.call("SetMaxStep", dtmax)
    if dt0 > 0.0:
        stepper.call("SetInitStep", sign * dt0)
    status = Status.SUCCESS
    for end in (*stops.tolist(), t1):
        if end == t0:
            break
        if stepper.t != t0:
            stepper.restart()
        # The right-hand side may jump at a stop: the last step of this side ends just before it.
        last = end if end == t1 else float(np.nextafter(end, t0))
        stepper.call("SetStopTime", last)
        while status == Status.SUCCESS and sign * (last - stepper.t) > 0.0:
            due = bool(waiting) and sign * (last - waiting[-1]) >= 0.0
            before, left = stepper.t, max_steps - stepper.steps
            if left <= 0:
                status = status_of(TOO_MUCH_WORK, stepper, stepper.start)
                break
            stepper.call("SetMaxNumSteps", left)
            flag = stepper.step(last if every_step or not due else waiting[-1], ONE_STEP if every_step else NORMAL)
            if flag < 0:
                status = status_of(flag, stepper, stepper.start)
            elif every_step:
                if times is None:
                    rows.put(stepper.t, stepper.u)
                if dense:
                    rows.starts.append(before)
                    rows.lengths.append(stepper.t - before)
                    rows.polys.append(polynomial(stepper, before))
            if not every_step and due and stepper.t == waiting[-1]:
                rows.put(waiting.pop(), stepper.u)
                while waiting and waiting[-1] == stepper.t:
                    rows.put(waiting.pop(), stepper.u)
        if status != Status.SUCCESS:
            break
        if last != end:  # across the jump without a step, to its other side: the state is continuous
            stepper.t = float(np.nextafter(end, t1))
            while waiting and waiting[-1] == end:
                rows.put(waiting.pop(), stepper.u)
    return trajectory_of(rows, status, stepper.t, stepper.u, stepper.totals)


