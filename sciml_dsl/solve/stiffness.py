"""Stiffness detection: when an explicit step costs more than an implicit one, and back.

An explicit method held back by stability runs with |h lambda| at the edge of its
stability region (L. F. Shampine; E. Hairer & G. Wanner, Solving Ordinary
Differential Equations II, IV.2).  Two stages at the same time give that product
for nothing.  An implicit method knows the Jacobian: one product a step turns a
vector towards its dominant eigenvector.  A change needs several steps in a row,
and after each way back more of them, so the two methods cannot alternate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

STIFF_AT = 3.0  # |h lambda| that counts as limited by stability; Tsit5 is stable to 3.5
STIFF_STEPS = 8
CALM_STEPS = 6
POWER_LIMIT = 1.0  # |h lambda| from which the explicit method would not be limited by stability


@njit(error_model="numpy", fastmath={"contract"})
def dominant_eigenvalue(jacobian: Any, vector: Any, work: Any) -> float:
    """Modulus of the dominant eigenvalue by one step of power iteration; `vector` is moved along."""
    n = vector.size
    for _ in range(2):
        length = 0.0
        for i in range(n):
            length += vector[i] * vector[i]
        if not (length > 0.0 and np.isfinite(length)):
            for i in range(n):
                vector[i] = 1.0
            length = float(n)
        scale = 1.0 / np.sqrt(length)
        total = 0.0
        for i in range(n):
            value = 0.0
            for j in range(n):
                value += jacobian[i, j] * vector[j]
            work[i] = value * scale
            total += work[i] * work[i]
        for i in range(n):
            vector[i] = work[i]
    return float(np.sqrt(total))
