"""Consistent initial values: states that satisfy every algebraic equation, hidden ones included.

Newton's method with steps of least norm in the free states, each measured in its
own size: the nearest consistent point where more states are free than needed.
K. E. Brenan, S. L. Campbell & L. R. Petzold, Numerical Solution of Initial-Value
Problems in Differential-Algebraic Equations (1996), 5.3; P. Deuflhard, Newton
Methods for Nonlinear Problems (2011), 4.4 (underdetermined systems, damping by
the natural monotonicity test).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], tuple[Floats, Floats]]
"""u (n) -> constraints (m), their Jacobian (m, n)."""

ROUNDING = 1e-13
CLOSE = 1e-6  # what was given rounded, relative to its size, is completed without a word


class InconsistentError(InputError):
    """No states near those given satisfy the algebraic equations."""


@dataclass(frozen=True)
class Point:
    """Where Newton's method ended: state, and each constraint relative to the size of its terms."""

    u: Floats
    relative: Floats
    converged: bool


def sizes(u: Floats) -> Floats:
    """The size of each state, for steps: its value, or where that is small that of the others."""
    known = np.abs(u[np.isfinite(u)])
    middle = float(np.median(known[known > 0.0])) if (known > 0.0).any() else 1.0
    found: Floats = np.maximum(np.abs(np.nan_to_num(u)), 1e-3 * middle)
    return found


def newton(evaluate: Evaluate, u: Floats, free: NDArray[np.bool_], iterations: int = 60) -> Point:
    """Move the `free` states until the constraints vanish; the others stay."""
    u = u.copy()
    scale = sizes(u)
    value, jacobian = evaluate(u)
    relative = _relative(value, jacobian, scale)
    for _ in range(iterations):
        if not np.isfinite(relative).all():
            break
        step, size = _step(value, jacobian, scale, free)
        if size <= ROUNDING or not step.any():
            break
        damping = 1.0
        while damping > 1e-6:
            trial = u + damping * step
            new_value, new_jacobian = evaluate(trial)
            if np.isfinite(new_value).all() and np.isfinite(new_jacobian).all():
                # the simplified step at the new point must be shorter
                _, simplified = _step(new_value, jacobian, scale, free)
                if simplified <= (1.0 - 0.5 * damping) * size or simplified <= ROUNDING:
                    break
            damping *= 0.5
        else:
            break
        u, value, jacobian = trial, new_value, new_jacobian
        scale = np.maximum(scale, np.abs(u))
        relative = _relative(value, jacobian, scale)
    return Point(u, relative, bool(np.isfinite(relative).all() and (relative <= 1e-9).all()))


def nearest(evaluate: Evaluate, u: Floats, free: NDArray[np.bool_], iterations: int = 60) -> Point:
    """As `newton`, and the point found is moved along the constraints to the nearest one, each state
    measured in its own size: down the gradient of the squared distance, projected."""
    point = newton(evaluate, u, free)
    if not point.converged or np.count_nonzero(free) <= point.relative.size:
        return point
    scale = sizes(u)[free]

    def distance(to: Floats) -> float:
        return float(np.sqrt(np.mean(((to - u)[free] / scale) ** 2)))

    length = 1.0
    for _ in range(iterations):
        part = evaluate(point.u)[1][:, free] * scale
        back = (u - point.u)[free] / scale
        rows = np.abs(part).max(axis=1, initial=0.0)
        rows[rows == 0.0] = 1.0
        part = part / rows[:, None]
        back = back - part.T @ np.linalg.lstsq(part.T, back, rcond=1e-12)[0]  # along the constraints
        if float(np.sqrt(np.mean(back**2))) <= 1e-10:
            break
        here = distance(point.u)
        while length > 1e-4:
            trial = point.u.copy()
            trial[free] += length * back * scale
            other = newton(evaluate, trial, free)
            if other.converged and distance(other.u) < here:
                break
            length *= 0.5
        else:
            break
        point, length = other, min(1.0, 2.0 * length)
    return point


def _step(value: Floats, jacobian: Floats, scale: Floats, free: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The step of least norm, and its length in units of `scale`."""
    part = jacobian[:, free] * scale[free]
    rows = np.abs(part).max(axis=1, initial=0.0)
    rows[rows == 0.0] = 1.0
    scaled = np.linalg.lstsq(part / rows[:, None], -value / rows, rcond=1e-12)[0]
    step = np.zeros(scale.size)
    step[free] = scaled * scale[free]
    return step, float(np.sqrt(np.mean(scaled**2))) if scaled.size else 0.0


def _relative(value: Floats, jacobian: Floats, scale: Floats) -> Floats:
    size = (np.abs(jacobian) * scale).sum(axis=1)
    size[size == 0.0] = 1.0
    found: Floats = np.abs(value) / size
    return found
