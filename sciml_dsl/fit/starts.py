"""Where to start: several points of θ spread over its bounds.

Takes a problem, a number and a seed; gives an array of starts, the first of
which is the model's own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import Problem

Floats = NDArray[np.float64]

DECADES = 1.0  # spread around the default where there are no finite bounds
WIDE = 1e3  # bounds that span more than this factor are sampled by their logarithm


def spread(problem: Problem, count: int, seed: int = 0) -> Floats:
    """Starts for `count` fits, shape (count, n), in the scale of θ.

    The first is `problem.start`.  The others are a Latin hypercube (M. D. McKay,
    R. J. Beckman & W. J. Conover, Technometrics 21 (1979) 239): uniform between finite
    bounds, by the logarithm for `log` parameters and for positive bounds that span more
    than three decades, and within a decade of the default where a bound is missing.
    Measured initial values stay within a fifth of the first measurement; weights are
    those of `problem.start`.

    Example:
        >>> import sciml_dsl as sd
        >>> from sciml_dsl.fit.problem import problem
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1 in [0, 2]")
        >>> spread(problem(m, {"t": [0, 1], "x": [1.0, 0.5]}), 4).shape
        (4, 1)
    """
    unknowns = problem.unknowns
    rng = np.random.default_rng(seed)
    starts = np.tile(problem.start, (count, 1))
    others = count - 1
    if others <= 0:
        return starts[:count]
    for j in range(unknowns.n - unknowns.n_weights):
        cells = (rng.permutation(others) + rng.random(others)) / others
        starts[1:, j] = _place(problem, j, cells)
    return np.minimum(np.maximum(starts, problem.lower), problem.upper)


def _place(problem: Problem, j: int, share: Floats) -> Floats:
    """Values of θ[j] at `share` (0..1) of its range."""
    unknowns = problem.unknowns
    lower, upper, middle = float(unknowns.lower[j]), float(unknowns.upper[j]), float(unknowns.start[j])
    log = bool(np.isin(j, unknowns.log))
    position = j - unknowns.parameters.size
    if position >= 0:
        experiment, state = unknowns.initial[position]
        table = problem.experiments[experiment].table
        name = problem.model.spec.states[state]
        if name in table.columns:
            y = table.column(name)
            reach = max(0.2 * abs(middle), 0.2 * float(np.nanstd(y)))
            return middle + reach * (2.0 * share - 1.0)
    if math.isfinite(lower) and math.isfinite(upper):
        if lower > 0 and (log or upper / lower > WIDE):
            values = np.exp(np.log(lower) + share * np.log(upper / lower))
        elif log:  # from 0: six decades below the upper bound
            values = upper * 10.0 ** (-6.0 * share)
        else:
            values = lower + share * (upper - lower)
    elif middle != 0.0:
        values = middle * 10.0 ** (DECADES * (2.0 * share - 1.0))
    else:
        values = 2.0 * share - 1.0
    return np.log(values) if log else values


__all__ = ["spread"]
