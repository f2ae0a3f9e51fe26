"""IDA on models with algebraic equations: consistent starts, and other forms on the way.

Takes what `api.solve` prepared; gives a trajectory.  IDA begins with states and slopes
that fit the equations, both computed by our own means; a model of index above 1 goes in
as its index-1 form, and where the eliminated states come close to singular IDA begins
anew with the next form, as the package's own methods do (`solve.pieces`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..consistent import InconsistentError
from ..integrate import EMPTY, Trajectory
from ..pieces import Form, native
from ..status import Status
from .output import Rows, polynomial, status_of, trajectory_of
from .stepper import ONE_STEP, Stepper

if TYPE_CHECKING:
    from ..algebraic import AlgebraicIntegrator

Floats = NDArray[np.float64]


def integrate(
    owner: AlgebraicIntegrator, u: Floats, p: Floats, span: tuple[float, float], times: Floats | None, stops: Floats,
    *, rtol: Floats, atol: Floats, max_steps: int, dtmax: float, dt0: float, linear: str, dense: bool,
) -> Trajectory:  # fmt: skip
    """From the consistent state `u` (n) over `span`, forwards.

    Arguments: `times` of output, None for every step; `stops` (ordered) at which equations may jump;
    `rtol`, `atol` (n,).
    """
    t0, t1 = span
    if dtmax == math.inf:
        dtmax = owner.longest_step(t0, t1, p)
    rows = Rows()
    waiting = [] if times is None else times.tolist()[::-1]
    if times is None:
        rows.put(t0, u)
    while waiting and waiting[-1] == t0:
        rows.put(waiting.pop(), u)
    t, begin, status, first = t0, t0, Status.SUCCESS, True
    totals: dict[str, int] = {}
    start, u_end = u, u
    for end in (*stops.tolist(), t1):
        while t < end and status == Status.SUCCESS:
            form = owner.form(begin, u, p)
            slope = owner.tangents.slope(begin, u, p)
            last = end if end == t1 else float(np.nextafter(end, t0))
            with Stepper(form.whole, "ida", begin, u, p, rtol, atol, linear, slope=slope) as stepper:
                if dtmax < math.inf:
                    stepper.call("SetMaxStep", dtmax)
                if dt0 > 0.0 and first:
                    stepper.call("SetInitStep", dt0)
                stepper.call("SetStopTime", last)
                left = max_steps - totals.get("Steps", 0)
                status, turned = _steps(stepper, form, last, left, rows, waiting, times is None, dense, start)
                totals = {name: totals.get(name, 0) + count for name, count in stepper.totals.items()}
                t, u_end = stepper.t, stepper.u.copy()
            first = False
            if status != Status.SUCCESS or not (turned or t >= last):
                break
            if t >= last:
                t = end
            if t == t1:
                break
            begin = float(np.nextafter(t, t1)) if t == end else t  # the equations may jump at a stop: its far side
            try:
                here = owner.projected(t, u_end, p)
                u = u_end = owner.projected(begin, here, p)
            except InconsistentError:
                status = Status.INCONSISTENT
                break
            while waiting and waiting[-1] == t:
                rows.put(waiting.pop(), here)
        if status != Status.SUCCESS:
            break
    result = trajectory_of(rows, status, t, u_end, totals)
    shown = owner.shown
    found = result.u
    if times is not None and len(found):
        found = owner.refine(result.t, found, p)
    return result._replace(
        u=np.ascontiguousarray(found[:, :shown]), polys=np.ascontiguousarray(result.polys[:, :, :shown]),
        u_end=u_end[:shown].copy(), record_u=np.empty((0, shown)), record_k=np.empty((0, 7, shown)), event_t=EMPTY,
    )  # fmt: skip


def _steps(
    stepper: Stepper, form: Form, last: float, left: int, rows: Rows, waiting: list[float], every_step: bool,
    dense: bool, start: Floats,
) -> tuple[Status, bool]:  # fmt: skip
    """Step until `last`, or until the form no longer suits (then True)."""
    watch = native(form.whole.roots) if form.system.watch is not None else None
    values = np.empty(len(form.when) + 1)
    p = stepper.p
    while stepper.t < last:
        if stepper.steps >= left:
            return Status.MAX_STEPS, False
        stepper.call("SetMaxNumSteps", left - stepper.steps)
        before = stepper.t
        flag = stepper.step(last, ONE_STEP)
        if flag < 0:
            return status_of(flag, stepper, start), False
        if not np.isfinite(stepper.u).all():
            return Status.NONFINITE, False
        while waiting and waiting[-1] <= stepper.t:
            time = waiting.pop()
            rows.put(time, stepper.u if time == stepper.t else stepper.at(time))
        if every_step:
            rows.put(stepper.t, stepper.u)
        if dense:
            rows.starts.append(before)
            rows.lengths.append(stepper.t - before)
            rows.polys.append(polynomial(stepper, before))
        if watch is not None:
            watch(stepper.t, stepper.u.ctypes.data, p.ctypes.data, values.ctypes.data)
            if values[len(form.when)] >= 0.0:
                return Status.SUCCESS, True
    return Status.SUCCESS, False
