"""Observables along a trajectory, by the model's native function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean as numba_bool
from numba import float64, int64

from .call import call
from .stored import stored


@stored(float64[:, ::1](int64, int64, float64[::1], float64[:, ::1], float64[::1]), error_model="numpy")
def observe(address: int, count: int, t: Any, u: Any, p: Any) -> Any:
    """Observables (T, count) at times `t` (T,) and states `u` (T, n)."""
    out = np.empty((t.size, count))
    state = np.empty(u.shape[1])
    for row in range(t.size):
        for i in range(state.size):
            state[i] = u[row, i]
        call(address, t[row], state, p, out, row * count)
    return out


@stored(numba_bool(float64[::1], float64, float64), error_model="numpy")
def in_order(times: Any, t0: float, t1: float) -> bool:
    """Whether `times` run from t0 to t1 without turning back; False for NaN."""
    sign = 1.0 if t1 >= t0 else -1.0
    previous = t0
    for t in times:
        if not sign * (t - previous) >= 0.0:
            return False
        previous = t
    return bool(sign * (t1 - previous) >= 0.0)
