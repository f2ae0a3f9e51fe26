"""Multiple shooting: segments with unknown starts, tied together ever more tightly.

Takes a problem and a start; gives a minimum of the whole problem.  For data that
oscillate, where single simulations from a wrong start fall out of phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UnsupportedError
from .lm import Minimum, levenberg_marquardt, minimise
from .problem import Problem
from .segments import Cut, cut, joined, oscillations

Floats = NDArray[np.float64]

STRENGTHS = (0.03, 0.3, 3.0, 30.0, 300.0)  # weight of a gap in units of a state's spread
ITERATIONS = 40  # of Levenberg-Marquardt for each strength


def multiple_shooting(
    problem: Problem,
    theta: Floats,
    *,
    segments: int | None = None,
    deadline: float = math.inf,
    max_iterations: int = 200,
    floor: float = 0.0,
    progress: Callable[[int, float], None] | None = None,
) -> Minimum:
    """Minimise by multiple shooting, then once more without segments.

    Arguments:
        problem, theta: the problem and the start.
        segments: number of segments of each experiment; default about one for each rise
            or fall of the data, at least two.
        deadline, max_iterations, floor: as of `levenberg_marquardt`, for the last stage.
        progress: called with (stage, cost of data and gaps) after each strength.

    Raises:
        InputError: the model has events, which a segment could cut.

    H. G. Bock, Recent advances in parameter identification techniques for O.D.E., in
    Numerical Treatment of Inverse Problems (1983); gaps are penalised with growing weight
    rather than held by constraints.

    Example:
        >>> import sciml_dsl as sd, numpy as np
        >>> from sciml_dsl.fit.problem import problem
        >>> m = sd.model("x' = v; v' = -k*x; x(0) = 1; v(0) = 0; param k = 9 in [0, 40]")
        >>> t = np.linspace(0, 10, 60)
        >>> q = problem(m, {"t": t, "x": np.cos(2 * t)})
        >>> multiple_shooting(q, q.start).x.round(6).tolist()
        [4.0]
    """
    if problem.model.spec.events:
        raise InputError('multiple shooting cannot cut a simulation that has events\n  hint: use strategy="single"')
    if problem.hidden:
        raise UnsupportedError(
            "multiple shooting does not know how hidden constraints tie the starts of segments",
            hint='use strategy="single"',
        )
    count = segments if segments is not None else max(2, oscillations(problem) + 1)
    if count < 1:
        raise InputError(f"segments = {count} must be at least 1")
    pieces = cut(problem, theta, count, overlap=False)
    z = pieces.theta
    for stage, strength in enumerate(STRENGTHS):
        found = levenberg_marquardt(
            _with_gaps(pieces, strength), z, pieces.problem.lower, pieces.problem.upper,
            ftol=1e-6, xtol=1e-7, max_iterations=ITERATIONS, deadline=deadline,
        )  # fmt: skip
        z = found.x
        if progress is not None:
            progress(stage, found.cost)
        if not math.isfinite(found.cost):
            break
    return minimise(problem, joined(problem, pieces, z), deadline=deadline, max_iterations=max_iterations, floor=floor)


def _with_gaps(pieces: Cut, strength: float) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Residuals of the data and of the gaps between neighbouring segments, with their Jacobian."""
    problem = pieces.problem
    tied = problem.free_states  # unknowns of algebraic equations follow from them
    n, first = tied.size, problem.unknowns.parameters.size
    place = {pair: first + j for j, pair in enumerate(problem.unknowns.initial)}
    neighbours = [k for k in range(len(pieces.owner) - 1) if pieces.owner[k] == pieces.owner[k + 1]]
    starts = np.array([[place[k + 1, s] for s in tied.tolist()] for k in neighbours], dtype=np.int64).reshape(-1, n)
    spread = pieces.theta[starts].std(axis=0) if len(neighbours) > 1 else np.zeros(n)
    size = np.abs(pieces.theta[starts]).max(axis=0) if len(neighbours) else np.ones(n)
    scale = strength / np.where(spread > 1e-6 * size, spread, np.where(size > 0.0, size, 1.0))
    size_of_gaps = n * len(neighbours)

    def function(theta: Floats) -> tuple[Floats, Floats]:
        r, jac, runs = problem.trajectories(theta)
        if not runs:
            return np.full(r.size + size_of_gaps, np.inf), np.zeros((r.size + size_of_gaps, problem.n))
        gaps, slopes = np.empty((len(neighbours), n)), np.zeros((len(neighbours), n, problem.n))
        for g, k in enumerate(neighbours):
            gaps[g] = (runs[k].u[-1, tied] - theta[starts[g]]) * scale
            slopes[g][:, runs[k].columns] = runs[k].s[-1, tied] * scale[:, None]
            slopes[g][np.arange(n), starts[g]] -= scale
        return np.concatenate([r, gaps.ravel()]), np.concatenate([jac, slopes.reshape(size_of_gaps, problem.n)])

    return function


__all__ = ["multiple_shooting"]
