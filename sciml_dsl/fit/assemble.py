"""Compiled loops of a fit: from a simulated trajectory to residuals, Jacobian and cotangents.

Compiled once by numba for all models, like the solver.  Shared arguments: states
`u` (T, n) at the measured times `t` (T), `p` (parameters and weights), `kinds`
(k) state index of each column or -1 - observable index, `values`, `weights`
(T, k) and `log` (k) of `noise.Scaling`.  `columns` (m) says for each sensitivity
column which parameter it belongs to, -1 for an initial value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, float64, int64, njit
from numba.types import Tuple

from ..solve.call import call

_VECTOR = float64[::1]
_MATRIX = float64[:, ::1]
_INDICES = int64[::1]


@njit(
    [Tuple((_VECTOR, _VECTOR))(int64, float64, _VECTOR, int64, _VECTOR, _INDICES, _INDICES)],
    cache=True,
    error_model="numpy",
)  # type: ignore[untyped-decorator]
def start(initial: int, t0: float, p: Any, n_params: int, given: Any, columns: Any, units: Any) -> Any:
    """Initial state (n) and its flat sensitivity columns (n m).

    `given` (n) holds numbers, or NaN where the model's own expression counts; `units`
    (m) is the state a column is the initial value of, or -1.
    """
    n, m = given.size, columns.size
    u0, s0 = given.copy(), np.zeros(n * m)
    tied = False
    for i in range(n):
        if np.isnan(given[i]):
            tied = True
    if tied:
        buffer = np.zeros(n + n * n_params)  # slopes that are zero may be left unwritten
        call(initial, t0, given, p, buffer, 0)
        for i in range(n):
            if np.isnan(given[i]):
                u0[i] = buffer[i]
                for q in range(m):
                    if columns[q] >= 0:
                        s0[i * m + q] = buffer[n + i * n_params + columns[q]]
    for q in range(m):
        if units[q] >= 0:
            s0[units[q] * m + q] = 1.0
    return u0, s0


@njit(
    [
        boolean(
            int64, int64, _VECTOR, _MATRIX, _MATRIX, _VECTOR, int64, _INDICES, _MATRIX, _MATRIX, _INDICES,
            _INDICES, _INDICES, _VECTOR, _VECTOR, _MATRIX, int64,
        )
    ],
    cache=True,
    error_model="numpy",
)  # type: ignore[untyped-decorator]  # fmt: skip
def residuals(
    observe: int,
    n_observables: int,
    t: Any,
    u: Any,
    s: Any,
    p: Any,
    n_params: int,
    kinds: Any,
    values: Any,
    weights: Any,
    log: Any,
    columns: Any,
    targets: Any,
    factors: Any,
    out: Any,
    jac: Any,
    row: int,
) -> bool:
    """Fill `out` from `row` on, and `jac` where there are sensitivity columns; False if not finite.

    `observe` is the address of `observables`, or of `observables_jac` when there are
    columns.  Sensitivities `s` (T, n m) go to column `targets[q]` of `jac`, times
    `factors[q]`.
    """
    n, m = u.shape[1], columns.size
    point = np.empty(n)
    buffer = np.empty(n_observables * (1 + n + n_params) if m > 0 else n_observables)
    for i in range(t.size):
        observed = False
        for c in range(kinds.size):
            weight = weights[i, c]
            if weight == 0.0:
                continue
            kind = kinds[c]
            if kind >= 0:
                h = u[i, kind]
            else:
                if not observed:
                    for j in range(n):
                        point[j] = u[i, j]
                    call(observe, t[i], point, p, buffer, 0)
                    observed = True
                h = buffer[-1 - kind]
            slope = weight
            if log[c] != 0:
                if not h > 0.0:
                    return False
                slope = weight / h
                h = np.log(h)
            out[row] = weight * (h - values[i, c])
            if not np.isfinite(out[row]):
                return False
            for q in range(m):
                if kind >= 0:
                    d = s[i, kind * m + q]
                else:
                    o = -1 - kind
                    d = 0.0
                    for j in range(n):
                        d += buffer[n_observables + o * n + j] * s[i, j * m + q]
                    if columns[q] >= 0:
                        d += buffer[n_observables * (1 + n) + o * n_params + columns[q]]
                d *= slope * factors[q]
                if not np.isfinite(d):
                    return False
                jac[row, targets[q]] = d
            row += 1
    return True


@njit(
    [
        float64(
            int64, int64, _VECTOR, _MATRIX, _VECTOR, int64, _INDICES, _MATRIX, _MATRIX, _INDICES, _MATRIX, _VECTOR,
        )
    ],
    cache=True,
    error_model="numpy",
)  # type: ignore[untyped-decorator]  # fmt: skip
def cotangents(
    observe: int,
    n_observables: int,
    t: Any,
    u: Any,
    p: Any,
    n_params: int,
    kinds: Any,
    values: Any,
    weights: Any,
    log: Any,
    du: Any,
    dp: Any,
) -> float:
    """Sum of squared residuals; adds its derivatives to `du` (T, n) and `dp` (n_params).

    `observe` is the address of `observables_jac`.  Infinite if a residual is not finite.
    """
    n = u.shape[1]
    point = np.empty(n)
    buffer = np.empty(n_observables * (1 + n + n_params))
    total = 0.0
    for i in range(t.size):
        observed = False
        for c in range(kinds.size):
            weight = weights[i, c]
            if weight == 0.0:
                continue
            kind = kinds[c]
            if kind >= 0:
                h = u[i, kind]
            else:
                if not observed:
                    for j in range(n):
                        point[j] = u[i, j]
                    call(observe, t[i], point, p, buffer, 0)
                    observed = True
                h = buffer[-1 - kind]
            slope = 2.0 * weight
            if log[c] != 0:
                if not h > 0.0:
                    return np.inf
                slope /= h
                h = np.log(h)
            r = weight * (h - values[i, c])
            if not np.isfinite(r):
                return np.inf
            total += r * r
            slope *= r
            if kind >= 0:
                du[i, kind] += slope
            else:
                o = -1 - kind
                for j in range(n):
                    du[i, j] += slope * buffer[n_observables + o * n + j]
                for j in range(n_params):
                    dp[j] += slope * buffer[n_observables * (1 + n) + o * n_params + j]
    return float(total)
