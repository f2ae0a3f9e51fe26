"""Stiffness detection: when an explicit step costs more than an implicit one, and back.

An explicit method held back by stability runs with |h lambda| at the edge of its
stability region (L. F. Shampine; E. Hairer & G. Wanner, Solving Ordinary
Differential Equations II, IV.2).  Two stages at the same time give that product
for nothing.  At tight tolerances the step settles well inside the edge, so the
limit here is low, and lower still where the state hardly moves in a step: a step limited by
accuracy takes it along by percents.  What decides is a trial: if within a few implicit steps the
step size has not grown enough to pay for them, the explicit method goes on.  An
implicit method knows the Jacobian: products with it turn a vector towards its
dominant eigenvector.  After each way back more stiff steps in a row are asked
for, so the two methods cannot alternate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner

STIFF_STEPS = 8
CALM_STEPS = 6
POWER_LIMIT = 1.0  # |h lambda| from which the explicit method would not be limited by stability
EARLY = 0.4  # part of the edge from which a step is looked at that hardly moves the state
CREEP = 5e-3  # such a step, beside the size of the state
TRIAL_STEPS = 6
PATIENCE_LIMIT = 1000


@inner("contract", "reassoc")
def creeps(u: Any, unew: Any, rtol: Any, atol: Any) -> bool:
    """Whether a step moved the state by less than `CREEP` of its size, in units of the tolerance."""
    moved, size = 0.0, 0.0
    for i in range(u.size):
        weight = 1.0 / (atol[i] + rtol[i] * abs(u[i]))
        moved += ((unew[i] - u[i]) * weight) ** 2
        size += (u[i] * weight) ** 2
    return bool(moved < CREEP * CREEP * size)


@inner("contract")
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


@inner("contract")
def difference_eigenvalue(f: int, t: float, u: Any, p: Any, vector: Any, g: Any, k: Any) -> float:
    """The same without a Jacobian: its product with `vector` by a difference of two slopes.

    `g` (n) and rows 2 and 3 of `k` are overwritten.
    """
    n = vector.size
    length = 0.0
    size = 0.0
    for i in range(n):
        length += vector[i] * vector[i]
        size += u[i] * u[i]
    if not (length > 0.0 and np.isfinite(length)):
        for i in range(n):
            vector[i] = 1.0
        length = float(n)
    step = 1e-8 * max(np.sqrt(size), 1e-8) / np.sqrt(length)
    for i in range(n):
        g[i] = u[i] + step * vector[i]
    call(f, t, u, p, k, 2 * n)
    call(f, t, g, p, k, 3 * n)
    total = 0.0
    for i in range(n):
        vector[i] = (k[3, i] - k[2, i]) / step
        total += vector[i] * vector[i]
    return float(np.sqrt(total / length))
