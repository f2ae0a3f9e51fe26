"""How good is a formula: trajectory likelihood with a complexity penalty.

The noise of every measured column is Gaussian with its own unknown variance
(profiled out), on the scale the fit uses for its residuals.  The score is the
extended Bayesian information criterion (J. Chen & Z. Chen, Biometrika 95 (2008)
759-771) with the small-sample correction of McQuarrie (1999): minus twice the
log-likelihood, `log N` times `N/(N - k - 2)` for each of k fitted constants, and
twice `gamma` times the log of the number of terms each chosen term stands for,
so that a large library must earn its extra choices.  Lower is better.

Real data rarely follow any formula of a library exactly.  Then residuals are
correlated in time, and their likelihood is weighed by the share of them that is
independent (`independent_share`), taken from the best formula's own residuals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

GAMMA = 1.0
FLOOR = 1e-4
"""Standard deviation below which residuals (in units of the column's own spread) are
solver and rounding error, not evidence."""


@dataclass(frozen=True)
class Score:
    """`value` is the criterion (lower is better); `loglik` without penalty; `constants` counted."""

    value: float
    loglik: float
    constants: int


def log_likelihood(
    residuals: Array, columns: np.ndarray[Any, np.dtype[np.int64]], *, known_sigma: bool = False
) -> Array:
    """Profile log-likelihood of each measured column; `columns` (N) says which one a residual (N) belongs to.

    `known_sigma`: residuals are already in units of the known standard deviation.
    Residuals that are not finite give -inf.
    """
    kinds = np.unique(columns)
    if not np.all(np.isfinite(residuals)):
        return np.full(len(kinds), -math.inf)
    result = np.empty(len(kinds))
    for i, column in enumerate(kinds):
        part = residuals[columns == column]
        if known_sigma:
            result[i] = -0.5 * float(part @ part) - 0.5 * len(part) * math.log(2 * math.pi)
        else:
            variance = float(part @ part) / len(part) + FLOOR**2
            result[i] = -0.5 * len(part) * (math.log(2 * math.pi * variance) + 1.0)
    return result


def independent_share(series: Sequence[Array]) -> float:
    """Share of the residuals of one column that count as independent, in (0, 1].

    (1 - r)/(1 + r) for a lag-one correlation r (Bayley & Hammersley, J. R. Stat. Soc.
    Suppl. 8 (1946) 184), r less its own standard deviation, so that white residuals
    keep all their weight.  Where even the best formula leaves a pattern, the noise is
    mostly error of the model, and counting its points as independent would let
    formulas win that only bend towards it.
    """
    pairs = size = 0.0
    count = 0
    for part in series:
        pairs += float(part[1:] @ part[:-1])
        size += float(part @ part)
        count += len(part)
    if count < 8 or size / count <= (10 * FLOOR) ** 2:
        return 1.0
    r = min(max(0.0, pairs / size - 1.0 / math.sqrt(count)), 0.8)
    return (1.0 - r) / (1.0 + r)


def score(loglik: float, n_data: int, constants: int, others: int, choices: Sequence[float]) -> Score:
    """The criterion for a formula with `constants` fitted numbers.

    `others` counts everything else that is fitted (the model's own parameters and
    initial values); `choices` has the cost of choosing each term, `choice_cost`.
    """
    fitted = constants + others
    if not math.isfinite(loglik) or n_data - fitted - 2 <= 0:
        return Score(math.inf, -math.inf, constants)
    small_sample = n_data / (n_data - fitted - 2)
    value = -2.0 * loglik + fitted * math.log(n_data) * small_sample + 2.0 * GAMMA * sum(choices)
    return Score(value, loglik, constants)


TIER = math.log(100.0)
"""Evidence that a term must bring for each tier above the simplest (odds of a hundred to one).
Small tables cannot tell `x*y` from its many bent or higher relatives; large ones easily pay this."""
REUSE = math.log(2.0)
"""Cost of a term that another unknown already has: what one state loses another often gains."""


def choice_costs(tiers: Sequence[int]) -> list[float]:
    """Cost of choosing each term of a library: the log of its number of alternatives, and its tier.

    A term competes with all terms of its tier and below.
    """
    return [math.log(sum(other <= tier for other in tiers)) + (tier - 1) * TIER for tier in tiers]
