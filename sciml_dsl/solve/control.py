"""Step size control: the first step, and the next one after an accepted or rejected step.

The factor is safety * e_n**-b1 * e_(n-1)**-b2 * e_(n-2)**-b3 with constants of each
method (`methods.registry.Controller`), kept between 0.2 and a largest one; with the
defaults of Tsit5 this is the PI controller of E. Hairer, S. P. Norsett & G. Wanner,
Solving Ordinary Differential Equations I, II.4.  Logarithms of errors are passed on,
because a power costs more than a whole stage of a small model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner
from .methods.abi import BETA1, BETA2, BETA3, EXPONENT, GROW, LOG_SAFETY

SAFETY = 0.9
LOG_SMALLEST = float(np.log(1e-4))  # errors below this are not remembered
SHRINK = 0.2


@inner(inline=True)
def growth(log_error: float, log_previous: float, log_before: float, control: Any, row: int) -> float:
    """Factor for the next step after an accepted one; `row` of `control` has the method's constants."""
    exponent = control[row, LOG_SAFETY] - control[row, BETA1] * log_error
    exponent -= control[row, BETA2] * log_previous + control[row, BETA3] * log_before
    return float(min(control[row, GROW], max(SHRINK, np.exp(exponent))))


@inner(inline=True)
def reduction(log_error: float, control: Any, row: int) -> float:
    """Factor for the repetition of a rejected step."""
    factor = np.exp(control[row, LOG_SAFETY] - control[row, EXPONENT] * log_error)
    return float(max(SHRINK, min(SAFETY, factor)))


@inner()
def first_step(
    f: int, t: float, u: Any, p: Any, sign: float, longest: float, rtol: Any, atol: Any, g: Any, k: Any, power: float
) -> float:
    """Size of the first step (positive), from f(t, u) in row 0 of `k` and one Euler step.

    Solving Ordinary Differential Equations I, II.4, "Starting step size"; `power` is
    one over the method's order plus one.  `g` (n) and row 1 of `k` are overwritten.
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
    h1 = max(1e-6, 1e-3 * h0) if steepest <= 1e-15 else (0.01 / steepest) ** power
    return float(min(100.0 * h0, h1, longest))
