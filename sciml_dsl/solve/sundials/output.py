"""What an integration by SUNDIALS leaves, in the form of the package's own: rows, interpolants, status, counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..integrate import EMPTY, Trajectory
from ..status import Status
from .stepper import Stepper

Floats = NDArray[np.float64]

TOO_MUCH_WORK = -1
_NOT_EVALUATED = (-8, -9, -10, -11, -12)  # the right-hand side or residual could not be evaluated
_N_COUNTS = 25


class Rows:
    """Output as it comes: times, states, and with `dense` the interpolant of every step."""

    def __init__(self) -> None:
        self.t: list[float] = []
        self.u: list[Floats] = []
        self.starts: list[float] = []
        self.lengths: list[float] = []
        self.polys: list[Floats] = []

    def put(self, t: float, u: Floats) -> None:
        self.t.append(t)
        self.u.append(u.copy())


def polynomial(stepper: Stepper, start: float) -> Floats:
    """The interpolant of the last step as coefficients (degree + 1, n) in theta = (t - start) / h."""
    h, order = stepper.t - start, stepper.order
    # Derivatives at the end of the step, as coefficients in theta - 1.
    taylor = [stepper.derivative(stepper.t, k) * h**k / math.factorial(k) for k in range(order + 1)]
    out = np.zeros((max(order, 4) + 1, stepper.u.size))
    for k, row in enumerate(taylor):
        for j in range(k + 1):
            out[j] += row * math.comb(k, j) * (-1.0) ** (k - j)
    return out


def status_of(flag: int, stepper: Stepper, start: Floats) -> Status:
    """Why an integration from `start` ended."""
    if flag == TOO_MUCH_WORK and not stepper.stuck:
        return Status.MAX_STEPS
    if not np.isfinite(stepper.u).all() or flag in _NOT_EVALUATED:
        return Status.NONFINITE
    if np.abs(stepper.u).max() > 1e6 * (1.0 + np.abs(start).max()):
        return Status.UNSTABLE
    return Status.DT_TOO_SMALL


def trajectory_of(rows: Rows, status: Status, t_end: float, u_end: Floats, totals: Mapping[str, int]) -> Trajectory:
    """What an integration left, in the package's own form."""
    n = u_end.size
    counts = np.zeros(_N_COUNTS, np.int64)
    counts[:5] = (
        totals.get("Steps", 0), totals.get("ErrTestFails", 0) + totals.get("NonlinSolvConvFails", 0),
        totals.get("f", 0), totals.get("JacEvals", 0), totals.get("LinSolvSetups", 0),
    )  # fmt: skip
    counts[9] = counts[0]
    degree = max((len(poly) for poly in rows.polys), default=5)
    polys = np.zeros((len(rows.polys), degree, n))
    for row, poly in zip(polys, rows.polys, strict=True):
        row[: len(poly)] = poly
    return Trajectory(
        status=int(status), t_end=t_end, counts=counts, t=np.array(rows.t), u=np.array(rows.u).reshape(-1, n),
        s=np.empty((len(rows.t), 0)), starts=np.array(rows.starts), lengths=np.array(rows.lengths), polys=polys,
        record_u=np.empty((0, n)), record_k=np.empty((0, 7, n)), event_t=EMPTY, event_k=np.empty(0, np.int64),
        u_end=u_end.copy(),
    )  # fmt: skip
