"""How good is a formula: trajectory likelihood with a complexity penalty.

The noise of every measured column is Gaussian with its own unknown variance
(profiled out), on the scale the fit uses for its residuals.  The score is the
extended Bayesian information criterion (J. Chen & Z. Chen, Biometrika 95 (2008)
759-771) with the small-sample correction of McQuarrie (1999): minus twice the
log-likelihood, `log N` times `N/(N - k - 2)` for each of k fitted constants, and
twice `gamma` times the log of the number of terms each chosen term stands for,
so that a large library must earn its extra choices.  Lower is better.
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
) -> float:
    """Profile log-likelihood of residuals (N) that belong to measured columns (N, integers).

    `known_sigma`: residuals are already in units of the known standard deviation.
    Not finite residuals give -inf.
    """
    if not np.all(np.isfinite(residuals)):
        return -math.inf
    if known_sigma:
        return float(-0.5 * (residuals @ residuals) - 0.5 * len(residuals) * math.log(2 * math.pi))
    total = 0.0
    for column in np.unique(columns):
        part = residuals[columns == column]
        variance = float(part @ part) / len(part) + FLOOR**2
        total -= 0.5 * len(part) * (math.log(2 * math.pi * variance) + 1.0)
    return total


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
