"""Observables along a trajectory, by the model's native function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, njit

from .call import call


@njit(  # type: ignore[untyped-decorator]
    [float64[:, ::1](int64, int64, float64[::1], float64[:, ::1], float64[::1])], error_model="numpy", cache=True
)
def observe(address: int, count: int, t: Any, u: Any, p: Any) -> Any:
    """Observables (T, count) at times `t` (T,) and states `u` (T, n)."""
    out = np.empty((t.size, count))
    state = np.empty(u.shape[1])
    for row in range(t.size):
        for i in range(state.size):
            state[i] = u[row, i]
        call(address, t[row], state, p, out, row * count)
    return out
