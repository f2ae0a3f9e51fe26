"""Gradient matching: weights and parameters fitted to smoothed slopes, without integrating anything.

Takes a problem whose states are all measured; gives a θ from which trajectories
can be trained.  Costs a few milliseconds where integration costs seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import float64, int64, njit
from numpy.typing import NDArray

from ..codegen.native import functions
from ..solve.call import call, call_along
from .smooth import curve

if TYPE_CHECKING:
    from .problem import Problem

Floats = NDArray[np.float64]
_VECTOR = float64[::1]
_MATRIX = float64[:, ::1]

POINTS = 200  # points of the smoothed curves on which slopes are compared, over all experiments


@njit(
    [float64(int64, int64, _VECTOR, _MATRIX, _MATRIX, _VECTOR, _VECTOR, _VECTOR)],
    cache=True,
    error_model="numpy",
)  # type: ignore[untyped-decorator]
def _mismatch(f: int, vjp: int, t: Any, u: Any, slopes: Any, weights: Any, p: Any, gradient: Any) -> float:
    """Sum over points (T) and states (n) of (weights (f(t, u, p) - slopes))^2; adds d/dp to `gradient`."""
    n = u.shape[1]
    point, value, back = np.empty(n), np.empty(n), np.empty(n)
    out = np.zeros(n + p.size)  # vjp writes nothing for the tables of inputs at the end of p
    total = 0.0
    for i in range(t.size):
        for j in range(n):
            point[j] = u[i, j]
        call(f, t[i], point, p, value, 0)
        for j in range(n):
            r = weights[j] * (value[j] - slopes[i, j])
            if not np.isfinite(r):
                return np.inf
            total += r * r
            back[j] = 2.0 * weights[j] * r
        call_along(vjp, t[i], point, p, back, out, 0)
        for q in range(p.size):
            gradient[q] += out[n + q]
    return total


def measured(problem: Problem) -> bool:
    """Whether every state is measured at least five times in every experiment, and nothing jumps."""
    states = problem.model.spec.states
    return not problem.model.spec.events and all(
        name in e.table.columns and np.count_nonzero(np.isfinite(e.table.column(name))) >= 5
        for e in problem.experiments
        for name in states
    )


def possible(problem: Problem) -> bool:
    """Whether everything is `measured`, and the right-hand sides are slopes: those of algebraic equations are not."""
    return measured(problem) and not problem.model.spec.algebraic


def match(problem: Problem, theta: Floats, *, max_iterations: int = 300, weight_decay: float = 1e-4) -> Floats:
    """Fit θ's parameters and weights to the slopes of smoothed measurements.

    Arguments:
        problem: one for which `possible` holds.
        theta: start (n,).
        max_iterations: of L-BFGS.
        weight_decay: penalty on the mean square of the weights.

    Returns:
        θ with new parameters and weights; initial values become those of the smooth curves.

    J. M. Varah, A spline least squares method for numerical parameter estimation in
    differential equations, SIAM J. Sci. Stat. Comput. 3 (1982) 28.

    Example:
        >>> import sciml_dsl as sd, numpy as np
        >>> from sciml_dsl.fit.problem import problem
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
        >>> t = np.linspace(0, 2, 21)
        >>> match(q := problem(m, {"t": t, "x": np.exp(-0.5 * t)}), q.start).round(2).tolist()
        [0.5]
    """
    from scipy.optimize import minimize

    native = functions(problem.model, adjoint=True)
    unknowns = problem.unknowns
    n_params, n_weights = problem.n_params, unknowns.n_weights
    first = unknowns.n - n_weights
    curves = _curves(problem)
    scale = 1.0 / np.sqrt(np.mean(np.concatenate([s for _, _, s, _ in curves]) ** 2, axis=0) + 1e-300)
    size = sum(t.size for t, _, _, _ in curves) * problem.n_states
    theta = theta.copy()
    for j, (k, s) in enumerate(unknowns.initial, unknowns.parameters.size):
        theta[j] = min(max(curves[k][3][s], problem.lower[j]), problem.upper[j])
    chosen = np.concatenate([np.arange(unknowns.parameters.size), np.arange(first, unknowns.n)])
    units = unknowns.units()
    z0 = units.z(theta)

    def function(z: Floats) -> tuple[float, Floats]:
        whole = z0.copy()
        whole[chosen] = z
        point = units.theta(whole)
        values = unknowns.natural(point)
        gradient = np.zeros(unknowns.n)
        total = 0.0
        for (t, u, slopes, _), (_, p) in zip(curves, problem.inputs(point), strict=True):
            dp = np.zeros(p.size)
            total += _mismatch(native.f, native.vjp, t, u, slopes, scale, p, dp)
            gradient[: unknowns.parameters.size] += dp[unknowns.parameters]
            if n_weights:
                gradient[first:] += dp[n_params : n_params + n_weights]
        if unknowns.log.size:
            gradient[unknowns.log] *= values[unknowns.log]
        total, gradient = total / size, gradient / size
        gradient = units.gradient(gradient)
        if n_weights:
            w = whole[first:]
            total += weight_decay * float(w @ w) / n_weights
            gradient[first:] += 2.0 * weight_decay * w / n_weights
        if not np.isfinite(total) or not np.isfinite(gradient).all():
            return 1e30, np.zeros(chosen.size)
        return total, gradient[chosen]

    low, high = (problem.lower / units.size)[chosen], (problem.upper / units.size)[chosen]
    bounds = list(zip(low, high, strict=True))
    found = minimize(
        function, np.clip(z0[chosen], low, high), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": max_iterations, "maxcor": 30},
    )  # fmt: skip
    if found.fun < 1e30:
        z0[chosen] = found.x
        return units.theta(z0)
    return theta


def _curves(problem: Problem) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """For each experiment: times, smoothed states (T, n), their slopes, and the states at its t0."""
    result = []
    count = max(20, POINTS // len(problem.experiments))
    for e in problem.experiments:
        t = np.linspace(float(e.table.t[0]), float(e.table.t[-1]), count)
        fitted = [curve(e.table.t, e.table.column(name)) for name in problem.model.spec.states]
        u = np.column_stack([c(t) for c in fitted])
        slopes = np.column_stack([c.derivative(t) for c in fitted])
        result.append((t, u, slopes, np.array([float(c(e.t0)) for c in fitted])))
    return result


__all__ = ["match", "possible"]
