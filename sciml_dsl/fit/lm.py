"""Nonlinear least squares: a projected Levenberg-Marquardt method for small problems.

Takes a function that gives residuals and Jacobian together, and bounds; gives
the point it ends at.  A few small matrix operations an iteration, because fits
call it thousands of times; residuals that are infinite are a rejected step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import Problem

Floats = NDArray[np.float64]

FIRST_DAMPING = 1e-3  # relative to the squared column norms of the Jacobian
LARGEST_DAMPING = 1e16
STEEPEST = 1e100


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        x: the point, shape (n,).
        residuals, jacobian: there; infinite and zero if no finite point was found.
        cost: half the sum of the squared residuals.
        iterations, evaluations: accepted steps, and calls of the function.
        converged: whether a criterion of convergence was met.
        message: which criterion ended it.
    """

    x: Floats
    residuals: Floats
    jacobian: Floats
    cost: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


def levenberg_marquardt(
    function: Callable[[Floats], tuple[Floats, Floats]],
    x0: Floats,
    lower: Floats | None = None,
    upper: Floats | None = None,
    *,
    ftol: float = 1e-10,
    xtol: float = 1e-9,
    gtol: float = 1e-10,
    floor: float = 0.0,
    max_iterations: int = 200,
    deadline: float = math.inf,
    progress: Callable[[int, float], None] | None = None,
) -> Minimum:
    """Minimise half the sum of squared residuals within bounds.

    Arguments:
        function: x (n,) -> residuals (N,), Jacobian (N, n); residuals may be infinite.
        x0: start, moved into the bounds.
        lower, upper: bounds (n,), infinite where there are none; default none.
        ftol: relative reduction of the cost below which it has converged.
        xtol: relative step below which it has converged.
        gtol: cosine between residuals and every free column of the Jacobian, likewise.
        floor: root mean square of the residuals that counts as exact.
        max_iterations: accepted or rejected steps.
        deadline: value of `time.perf_counter()` at which to stop.
        progress: called with (iteration, cost) after each accepted step.

    Returns:
        `Minimum`.  When the first point is not finite its cost is infinite.

    Damping follows H. B. Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05;
    scaling J. J. More, The Levenberg-Marquardt algorithm (1978).  Variables at a bound
    with the gradient pointing outwards are held; steps are projected onto the bounds.

    Example:
        >>> import numpy as np
        >>> f = lambda x: (np.array([10*(x[1] - x[0]**2), 1 - x[0]]), np.array([[-20*x[0], 10.0], [-1.0, 0.0]]))
        >>> levenberg_marquardt(f, np.array([-1.2, 1.0])).x.round(6).tolist()
        [1.0, 1.0]
    """
    x = np.array(x0, dtype=float)
    n = x.size
    low = np.full(n, -np.inf) if lower is None else lower
    high = np.full(n, np.inf) if upper is None else upper
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    if bounded:
        x = np.minimum(np.maximum(x, low), high)
    r, jac = function(x)
    cost = _cost(r, jac)
    evaluations, iterations = 1, 0

    def end(converged: bool, message: str) -> Minimum:
        return Minimum(x, r, jac, cost, iterations, evaluations, converged, message)

    if not math.isfinite(cost):
        return end(False, "the first point has no finite residuals")
    if n == 0:
        return end(True, "nothing to estimate")
    exact = 0.5 * r.size * floor * floor
    damping, growth = FIRST_DAMPING, 2.0
    hessian, gradient = jac.T @ jac, jac.T @ r
    scale = np.sqrt(hessian.diagonal())
    for attempt in range(max_iterations):
        if cost <= exact:
            return end(True, "the data are met exactly")
        used = np.where(scale > 0.0, scale, 1.0)
        scaled = gradient / used
        if bounded:
            free = ~(((x <= low) & (gradient > 0.0)) | ((x >= high) & (gradient < 0.0)))
            everything = bool(free.all())
            slope = np.abs(scaled[free]).max(initial=0.0)
        else:
            everything = True
            slope = np.abs(scaled).max()
        if slope <= gtol * math.sqrt(2.0 * cost):
            return end(True, "the gradient vanishes")
        if attempt and perf_counter() > deadline:
            return end(False, "out of time")
        normal = hessian / (used[:, None] * used)
        step = np.zeros(n)
        if everything:
            normal.flat[:: n + 1] += damping
            step = -np.linalg.solve(normal, scaled) / used
        else:
            normal = normal[np.ix_(free, free)]
            normal.flat[:: normal.shape[0] + 1] += damping
            step[free] = -np.linalg.solve(normal, scaled[free]) / used[free]
        trial = x + step
        if bounded:
            trial = np.minimum(np.maximum(trial, low), high)
            step = trial - x
        predicted = -float(gradient @ step + 0.5 * (step @ hessian @ step))
        if bool((np.abs(step) <= xtol * (np.abs(x) + xtol)).all()):
            return end(True, "the step vanishes")
        trial_r, trial_jac = function(trial)
        evaluations += 1
        trial_cost = _cost(trial_r, trial_jac)
        reduction = cost - trial_cost
        if math.isfinite(trial_cost) and reduction > 0.0 and predicted > 0.0:
            ratio = reduction / predicted
            x, r, jac, cost = trial, trial_r, trial_jac, trial_cost
            iterations += 1
            hessian, gradient = jac.T @ jac, jac.T @ r
            scale = np.maximum(0.5 * scale, np.sqrt(hessian.diagonal()))
            damping = max(damping * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), 1e-15)
            growth = 2.0
            if progress is not None:
                progress(iterations, cost)
            if reduction <= ftol * (cost + reduction) and predicted <= ftol * (cost + reduction):
                return end(True, "the cost no longer falls")
        else:
            if 0.0 <= predicted <= ftol * cost and math.isfinite(trial_cost):
                return end(True, "the cost no longer falls")
            damping *= growth
            growth *= 2.0
            if damping > LARGEST_DAMPING:
                return end(False, "no step reduces the cost")
    return end(False, f"no convergence in {max_iterations} iterations")


def _cost(r: Floats, jac: Floats) -> float:
    """Half the sum of squares; infinite also where the Jacobian is too steep to square (a diverging simulation)."""
    if jac.size and not np.abs(jac).max() < STEEPEST:
        return math.inf
    return 0.5 * float(r @ r)


def minimise(problem: Problem, theta: Floats, active: NDArray[np.int64] | None = None, **options: object) -> Minimum:
    """`levenberg_marquardt` of a problem over θ[active] (default all), the rest held as in `theta`.

    `options` as there.  The `x` of the result is the whole θ; its Jacobian has a column for
    each active position.

    Example:
        >>> import sciml_dsl as sd
        >>> from sciml_dsl.fit.problem import problem
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
        >>> q = problem(m, {"t": [0, 1, 2], "x": [1.0, 0.5, 0.25]})
        >>> minimise(q, q.start).x.round(6).tolist()
        [0.693147]
    """
    if active is None:
        return levenberg_marquardt(
            problem.residuals_and_jacobian,
            theta,
            problem.lower,
            problem.upper,
            **options,  # type: ignore[arg-type]
        )
    whole = np.array(theta, dtype=float)

    def function(part: Floats) -> tuple[Floats, Floats]:
        point = whole.copy()
        point[active] = part
        return problem.residuals_and_jacobian(point, active)

    found = levenberg_marquardt(
        function,
        whole[active],
        problem.lower[active],
        problem.upper[active],
        **options,  # type: ignore[arg-type]
    )
    whole[active] = found.x
    return Minimum(
        whole, found.residuals, found.jacobian, found.cost, found.iterations, found.evaluations, found.converged,
        found.message,
    )  # fmt: skip


__all__ = ["Minimum", "levenberg_marquardt", "minimise"]
