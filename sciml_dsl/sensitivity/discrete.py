"""The discrete adjoint of Tsit5: the exact reverse sweep of the steps that were taken.

Takes the record of a forward integration (times, states and stage derivatives of
every accepted step) and cotangents of the solution at the saved times; gives the
cotangents of the initial state, the parameters and the network weights.  Step
sizes are constants of the sweep (Hager, Runge-Kutta methods in optimal control
and the transformed adjoint system, Numer. Math. 87 (2000) 247-282), so the
result is the gradient of what was computed, to rounding.  One vector-Jacobian
product per right-hand-side call of the forward sweep; no Python per step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..solve.call import call_along
from ..solve.compiled import inner
from ..solve.methods.tsit5 import INTERPOLANT, NODES, TABLEAU
from ..solve.problem import NativeFunctions


@inner("contract")
def _take_saved(
    saved: Any, cotangents: Any, last: int, t: float, h: float, forwards: bool, after: Any, before: Any, kbar: Any
) -> int:
    """Hand the cotangents of the rows saved inside a step to what they were interpolated from.

    Adds to those of the state `after` and `before` the step and of its stages `kbar`
    (7, n); returns the last row not yet taken.
    """
    n = after.size
    while last >= 0 and (saved[last] > t if forwards else saved[last] < t):
        theta = (saved[last] - t) / h
        if theta >= 1.0:
            for j in range(n):
                after[j] += cotangents[last, j]
        else:
            for j in range(n):
                before[j] += cotangents[last, j]
            for s in range(7):
                weight = theta * (
                    INTERPOLANT[s, 0]
                    + theta * (INTERPOLANT[s, 1] + theta * (INTERPOLANT[s, 2] + theta * INTERPOLANT[s, 3]))
                )
                for j in range(n):
                    kbar[s, j] += h * weight * cotangents[last, j]
        last -= 1
    return last


@njit(cache=True, error_model="numpy", nogil=True)
def _jumps(stages: Any, i: int) -> bool:
    """Whether the slope at the end of step `i` differs from that at the beginning of the next."""
    if i + 1 < stages.shape[0]:
        for j in range(stages.shape[2]):
            if stages[i, 6, j] != stages[i + 1, 0, j]:
                return True
    return False


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def reverse(
    vjp: int,
    n: int,
    p: Any,
    times: Any,
    states: Any,
    stages: Any,
    saved: Any,
    cotangents: Any,
) -> Any:
    """Cotangents (n + len(p)) of (u0, p) from cotangents (T, n) of the states at `saved` (T).

    `times` (m + 1), `states` (m + 1, n), `stages` (m, 7, n) are the record; `saved`
    runs in the direction of integration and lies within it.
    """
    m = times.size - 1
    width = p.size
    total = np.zeros(n + width)
    lam = np.zeros(n)  # cotangent of the state at the end of the step
    kappa = np.zeros(n)  # cotangent of f there (last stage of this step, first of the next)
    kbar = np.empty((7, n))
    before = np.empty(n)
    point = np.empty(n)
    out = np.zeros(n + width)  # vjp writes nothing for the tables of inputs at the end of p
    forwards = m == 0 or times[m] > times[0]
    last = saved.size - 1
    for i in range(m - 1, -1, -1):
        t, end = times[i], np.nextafter(times[i + 1], times[i])
        h = end - t  # the right-hand side may jump at the end of the step
        for j in range(n):
            before[j] = 0.0
        kbar[:, :] = 0.0
        last = _take_saved(saved, cotangents, last, t, h, forwards, lam, before, kbar)
        for j in range(n):
            point[j] = states[i + 1, j]
        if _jumps(stages, i):
            call_along(vjp, times[i + 1], point, p, kappa, out, 0)
            for j in range(n):
                lam[j] += out[j]
                kappa[j] = 0.0
            for q in range(width):
                total[n + q] += out[n + q]
        for j in range(n):
            kappa[j] += kbar[6, j]
        call_along(vjp, end, point, p, kappa, out, 0)
        for j in range(n):
            lam[j] += out[j]
        for q in range(width):
            total[n + q] += out[n + q]
        for s in range(6):
            for j in range(n):
                kbar[s, j] += h * TABLEAU[6, s] * lam[j]
        for j in range(n):
            lam[j] += before[j]
        for s in range(5, 0, -1):
            for j in range(n):
                value = states[i, j]
                for q in range(s):
                    value += h * TABLEAU[s, q] * stages[i, q, j]
                point[j] = value
                kappa[j] = kbar[s, j]
            call_along(vjp, t + NODES[s] * h, point, p, kappa, out, 0)
            for j in range(n):
                lam[j] += out[j]
            for q in range(s):
                for j in range(n):
                    kbar[q, j] += h * TABLEAU[s, q] * out[j]
            for q in range(width):
                total[n + q] += out[n + q]
        for j in range(n):
            kappa[j] = kbar[0, j]
    if m > 0:
        for j in range(n):
            point[j] = states[0, j]
        call_along(vjp, times[0], point, p, kappa, out, 0)
        for j in range(n):
            lam[j] += out[j]
        for q in range(width):
            total[n + q] += out[n + q]
    while last >= 0:  # saved at the initial time
        for j in range(n):
            lam[j] += cotangents[last, j]
        last -= 1
    for j in range(n):
        total[j] = lam[j]
    return total


@njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
def reverse_fused(
    step_vjp: int, vjp: int, n: int, n_params: int, p: Any, times: Any, states: Any, stages: Any, saved: Any,
    cotangents: Any,
) -> Any:  # fmt: skip
    """As `reverse`, by the model's own reverse sweep of a whole step (`NativeFunctions.tsit5_vjp`)."""
    m = times.size - 1
    total = np.zeros(n + p.size)
    lam, kappa, before = np.zeros(n), np.zeros(n), np.empty(n)
    v = np.empty(8 * n + 1)  # k1, h, cotangents of k2..k7 and of the new state
    point, out = np.empty(n), np.empty(2 * n + p.size)
    kbar = np.empty((7, n))
    forwards = m == 0 or times[m] > times[0]
    last = saved.size - 1
    for i in range(m - 1, -1, -1):
        t = times[i]
        h = np.nextafter(times[i + 1], t) - t  # the right-hand side may jump at the end of the step
        if _jumps(stages, i):
            for j in range(n):
                point[j] = states[i + 1, j]
            call_along(vjp, times[i + 1], point, p, kappa, out, 0)
            for j in range(n):
                lam[j] += out[j]
                kappa[j] = 0.0
            for q in range(n_params):
                total[n + q] += out[n + q]
        for j in range(n):
            before[j] = 0.0
            v[j] = stages[i, 0, j]
            point[j] = states[i, j]
        v[n] = h
        kbar[:, :] = 0.0
        last = _take_saved(saved, cotangents, last, t, h, forwards, lam, before, kbar)
        for j in range(n):
            kbar[6, j] += kappa[j]
            for s in range(1, 7):
                v[n + 1 + (s - 1) * n + j] = kbar[s, j]
            v[n + 1 + 6 * n + j] = lam[j]
        call_along(step_vjp, t, point, p, v, out, 0)
        for j in range(n):
            lam[j] = out[j] + before[j]
            kappa[j] = out[n + j] + kbar[0, j]
        for q in range(n_params):
            total[n + q] += out[2 * n + q]
    if m > 0:
        for j in range(n):
            point[j] = states[0, j]
        call_along(vjp, times[0], point, p, kappa, out, 0)
        for j in range(n):
            lam[j] += out[j]
        for q in range(n_params):
            total[n + q] += out[n + q]
    while last >= 0:  # saved at the initial time
        for j in range(n):
            lam[j] += cotangents[last, j]
        last -= 1
    for j in range(n):
        total[j] = lam[j]
    return total


def pull_back(
    functions: NativeFunctions, p: Any, times: Any, states: Any, stages: Any, saved: Any, cotangents: Any
) -> Any:
    """Cotangents of u0 (n), parameters and weights; chooses the fused sweep where the model has one.

    Arguments as of `reverse`; `functions` with `adjoint=True`.
    """
    n, n_params = functions.n, functions.n_params
    width = n + n_params + functions.n_weights
    if functions.tsit5_vjp:
        return reverse_fused(
            functions.tsit5_vjp, functions.vjp, n, n_params, p, times, states, stages, saved, cotangents
        )[:width]
    return reverse(functions.vjp, n, p, times, states, stages, saved, cotangents)[:width]
