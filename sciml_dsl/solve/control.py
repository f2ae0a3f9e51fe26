"""Step size control: the first step, and the next one after an accepted or rejected step.

The controller is proportional-integral in the form of E. Hairer, S. P. Norsett
& G. Wanner, Solving Ordinary Differential Equations I, II.4, with the constants
of their DOPRI5: the factor is 0.9 err**(-0.2 + 0.75 beta) errold**beta with
beta = 0.04, kept between 0.2 and 10.  Rosenbrock steps use beta = 0 and at most
6, as their RODAS (part II, IV.7).  Logarithms of errors are passed on, because
a power costs more than a whole stage of a small model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner

SAFETY = 0.9
LOG_SAFETY = float(np.log(0.9))
LOG_SMALLEST = float(np.log(1e-4))  # errors below this are not remembered
SHRINK = 0.2
EXPONENT = 0.2  # both methods: one over the order of the error estimate plus one
BETA_EXPLICIT = 0.04
GROW_EXPLICIT = 10.0
BETA_IMPLICIT = 0.0
GROW_IMPLICIT = 6.0


@inner(inline=True)
def growth(log_error: float, log_previous: float, beta: float, largest: float) -> float:
    """Factor for the next step after an accepted one."""
    factor = np.exp(LOG_SAFETY - (EXPONENT - 0.75 * beta) * log_error + beta * log_previous)
    return float(min(largest, max(SHRINK, factor)))


@inner(inline=True)
def reduction(log_error: float) -> float:
    """Factor for the repetition of a rejected step."""
    return float(max(SHRINK, min(SAFETY, np.exp(LOG_SAFETY - EXPONENT * log_error))))


@inner()
def first_step(
    f: int, t: float, u: Any, p: Any, sign: float, longest: float, rtol: Any, atol: Any, g: Any, k: Any
) -> float:
    """Size of the first step (positive), from f(t, u) in row 0 of `k` and one Euler step.

    Solving Ordinary Differential Equations I, II.4, "Starting step size", for
    order five.  `g` (n) and row 1 of `k` are overwritten.
    """
    n = u.size
    d0 = 0.0
    d1 = 0.0
    for i in range(n):
        scale = atol[i] + rtol[i] * abs(u[i])
        d0 += (u[i] / scale) ** 2
        d1 += (k[0, i] / scale) ** 2
    d0 = np.sqrt(d0 / n)
    d1 = np.sqrt(d1 / n)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    h0 = min(h0, longest)
    for i in range(n):
        g[i] = u[i] + sign * h0 * k[0, i]
    call(f, t + sign * h0, g, p, k, n)
    d2 = 0.0
    for i in range(n):
        scale = atol[i] + rtol[i] * abs(u[i])
        d2 += ((k[1, i] - k[0, i]) / scale) ** 2
    d2 = np.sqrt(d2 / n) / h0
    steepest = max(d1, d2)
    if not np.isfinite(steepest):
        return float(min(1e-3 * h0, longest))
    h1 = max(1e-6, 1e-3 * h0) if steepest <= 1e-15 else (0.01 / steepest) ** (1.0 / 6.0)
    return float(min(100.0 * h0, h1, longest))
