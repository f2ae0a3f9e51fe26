"""Numerical differentiation formulas of order 1 to 5 with variable steps, for large stiff systems.

L. F. Shampine & M. W. Reichelt, The MATLAB ODE suite, SIAM J. Sci. Comput. 18 (1997) 1-22:
backward differences on a grid of constant spacing, which is changed (by interpolation)
only when a few equal steps were taken; an extra term with `KAPPA` reduces the error
constant of the backward differentiation formulas.  One Newton iteration a step, a matrix
for many steps: what counts when factors are dear.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc

from ..call import call_at
from ..compiled import METHOD_SIGNATURE, inner, source_digest
from ..linear.by_address import solve
from . import abi
from .abi import (
    AT_ATOL,
    AT_IOWN,
    AT_MASS,
    AT_NEW,
    AT_OWN,
    AT_POLY,
    AT_RTOL,
    COUNT_F,
    HAS_MASS,
    REJECTED,
    F,
    H,
    N,
    T,
)
from .implicit_memory import EQUAL, ETA, FACTORED, HAVE_HISTORY, HEAD, LAST_H, NEXT_ORDER, ORDER, RATE
from .ndf_coefficients import ALPHA, BASIS, ERROR_CONSTANT, GAMMA, MAX_ORDER, ROWS, SCRATCH
from .newton import EPS, after_step, forget, once_more, prepare, set_weights, slope_from

KAPPA = 0.02  # error of the iteration beside the tolerance
SLOW = 0.1  # convergence rate from which a new Jacobian pays
ITERATIONS = 4
GROW = 10.0  # of the step size, at most
STAY = 1.15  # growth of the step size that is not worth new factors
_FACTOR, _ERROR = abi.FACTOR, abi.ERROR
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner()
def _spread(order: int, factor_: float, work: Any, at: int) -> None:
    """Differences on spacing factor * h from those on h: the matrix of Shampine & Reichelt, section 2.2."""
    size = order + 1
    for j in range(size):
        work[at + j] = 1.0
    for i in range(1, size):
        work[at + i * 6] = 0.0
        for j in range(1, size):
            work[at + i * 6 + j] = work[at + (i - 1) * 6 + j] * (i - 1.0 - factor_ * j) / i


@inner("contract")
def rescale(order: int, ratio: float, n: int, work: Any, at: int, d: int) -> None:
    """Differences D (rows at work[d:]) for the spacing `ratio` times as large; `at`: 108 numbers of scratch."""
    r, s, m = at, at + 36, at + 72
    _spread(order, ratio, work, r)
    _spread(order, 1.0, work, s)
    size = order + 1
    for i in range(size):
        for j in range(size):
            total = 0.0
            for k in range(size):
                total += work[r + i * 6 + k] * work[s + k * 6 + j]
            work[m + i * 6 + j] = total
    for i in range(n):
        for j in range(size):
            work[r + j] = work[d + j * n + i]
        for j in range(1, size):
            total = 0.0
            for k in range(1, size):
                total += work[m + k * 6 + j] * work[r + k]
            work[d + j * n + i] = total


@inner("contract", "reassoc")
def _size(scale: float, a: int, b: int, sign: float, u: Any, ints: Any, work: Any) -> float:
    """Weighted norm of scale * (work[a:] + sign * work[b:])."""
    n, rtol, atol, new = ints[N], ints[AT_RTOL], ints[AT_ATOL], ints[AT_NEW]
    total = 0.0
    for i in range(n):
        size = max(abs(u[i]), abs(work[new + i]))
        x = (work[a + i] + sign * work[b + i]) / (work[atol + i] + work[rtol + i] * size)
        total += x * x
    return float(scale * np.sqrt(total / n))


@inner("contract")
def _solve(order: int, fn: Any, t: float, h: float, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    n, own, mass, new = ints[N], ints[AT_OWN], ints[AT_MASS], ints[AT_NEW]
    d0 = own + HEAD + SCRATCH
    delta = d0 + ROWS * n
    psi, res, weights, guess = delta + n, delta + 2 * n, delta + 3 * n, delta + 4 * n
    c = h / ALPHA[order]
    correction = 2.0 / (1.0 + c / work[own + FACTORED])
    eta = max(work[own + ETA], EPS) ** 0.8
    previous = 0.0
    work[own + RATE] = 0.0
    for i in range(n):
        work[delta + i] = 0.0
        work[new + i] = work[guess + i]
    for iteration in range(ITERATIONS):
        call_at(fn[F], t + h, work, new, p, work, res)
        ints[COUNT_F] += 1
        for i in range(n):
            m = work[mass + i] if ints[HAS_MASS] != 0 else 1.0
            work[res + i] = c * work[res + i] - m * (work[psi + i] + work[delta + i])
        if not solve(fn, p, ints, work, iwork, res):
            return False
        total = 0.0
        for i in range(n):
            x = correction * work[res + i]
            work[delta + i] += x
            work[new + i] = work[guess + i] + work[delta + i]
            x *= work[weights + i]
            total += x * x
        size = np.sqrt(total / n)
        if not np.isfinite(size):
            return False
        if iteration > 0:
            rate = size / previous
            if rate >= 0.9:
                return False
            work[own + RATE] = rate
            eta = rate / (1.0 - rate)
            left = ITERATIONS - 1 - iteration
            if eta * size > KAPPA and eta * size * rate ** (left - 1) > KAPPA:
                return False
        if eta * size <= KAPPA:
            work[own + ETA] = eta
            return True
        previous = size
    return False


@inner("contract")
def attempt(fn: Any, reals: Any, ints: Any, u: Any, p: Any, work: Any, iwork: Any) -> None:
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    t, h = reals[T], reals[H]
    d0 = own + HEAD + SCRATCH
    delta = d0 + ROWS * n
    psi, weights, guess = delta + n, delta + 3 * n, delta + 4 * n
    reals[_FACTOR] = 0.0
    reals[_ERROR] = np.nan
    if iwork[iown + HAVE_HISTORY] == 0:
        iwork[iown + HAVE_HISTORY] = 1
        iwork[iown + ORDER] = 1
        iwork[iown + EQUAL] = 0
        for i in range(ROWS * n):
            work[d0 + i] = 0.0
        call_at(fn[F], t, u, 0, p, work, d0 + n)
        ints[COUNT_F] += 1
        slope_from(ints, work, d0 + n)
        for i in range(n):
            work[d0 + i] = u[i]
            work[d0 + n + i] *= h
        work[own + LAST_H] = h
    order = iwork[iown + ORDER]
    if h != work[own + LAST_H]:
        rescale(order, h / work[own + LAST_H], n, work, own + HEAD, d0)
        work[own + LAST_H] = h
        iwork[iown + EQUAL] = 0
    for i in range(n):
        x = work[d0 + i]
        y = 0.0
        for k in range(1, order + 1):
            x += work[d0 + k * n + i]
            y += GAMMA[k] * work[d0 + k * n + i]
        work[guess + i] = x
        work[psi + i] = y / ALPHA[order]
    set_weights(work, guess, ints, work, weights)
    c = h / ALPHA[order]
    while True:
        if not prepare(fn, t + h, work, guess, c, p, ints, work, iwork):
            reals[_FACTOR] = 0.5
            return
        if _solve(order, fn, t, h, p, ints, work, iwork):
            break
        if not once_more(c, ints, work, iwork):
            reals[_FACTOR] = 0.25
            return
    error = _size(ERROR_CONSTANT[order], delta, delta, 0.0, u, ints, work)
    reals[_ERROR] = error
    if not np.isfinite(error):
        return
    iwork[iown + NEXT_ORDER] = order
    best = 0.9 * max(error, 1e-10) ** (-1.0 / (order + 1))
    if error > 1.0:
        if ints[REJECTED] != 0 and order > 1:
            lower = _size(ERROR_CONSTANT[order - 1], d0 + order * n, delta, 1.0, u, ints, work)
            other = 0.9 * max(lower, 1e-10) ** (-1.0 / order)
            if other > best:
                best = other
                iwork[iown + ORDER] = order - 1
        reals[_FACTOR] = max(0.2, min(0.9, best))
        iwork[iown + EQUAL] = 0
        return
    reals[_FACTOR] = 1.0
    if iwork[iown + EQUAL] + 1 >= order + 1:
        if order > 1:
            lower = _size(ERROR_CONSTANT[order - 1], d0 + order * n, delta, 1.0, u, ints, work)
            other = 0.9 * max(lower, 1e-10) ** (-1.0 / order)
            if other > best:
                best = other
                iwork[iown + NEXT_ORDER] = order - 1
        if order < MAX_ORDER:
            higher = _size(ERROR_CONSTANT[order + 1], delta, d0 + (order + 1) * n, -1.0, u, ints, work)
            other = 0.9 * max(higher, 1e-10) ** (-1.0 / (order + 2))
            if other > best:
                best = other
                iwork[iown + NEXT_ORDER] = order + 1
        reals[_FACTOR] = min(GROW, max(0.2, best))
        if best < STAY and best > 0.9:
            reals[_FACTOR] = 1.0
            iwork[iown + NEXT_ORDER] = order


@inner("contract")
def accept(reals: Any, ints: Any, work: Any, iwork: Any) -> None:
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    d0 = own + HEAD + SCRATCH
    delta = d0 + ROWS * n
    order = iwork[iown + ORDER]
    for i in range(n):
        x = work[delta + i]
        work[d0 + (order + 2) * n + i] = x - work[d0 + (order + 1) * n + i]
        work[d0 + (order + 1) * n + i] = x
        for k in range(order, -1, -1):
            x += work[d0 + k * n + i]
            work[d0 + k * n + i] = x
    iwork[iown + ORDER] = iwork[iown + NEXT_ORDER]
    iwork[iown + EQUAL] += 1
    if reals[_FACTOR] != 1.0 or iwork[iown + NEXT_ORDER] != order:
        iwork[iown + EQUAL] = 0
    after_step(SLOW, ints, work, iwork)


@inner("contract")
def dense(ints: Any, work: Any, iwork: Any) -> None:
    n, own, at = ints[N], ints[AT_OWN], ints[AT_POLY]
    d0 = own + HEAD + SCRATCH
    delta = d0 + ROWS * n
    order = iwork[ints[AT_IOWN] + ORDER]
    for i in range(n):
        for q in range(MAX_ORDER + 1):
            work[at + q * n + i] = 0.0
        x = work[delta + i]
        for k in range(order, -1, -1):
            x += work[d0 + k * n + i]
            for q in range(k + 1):
                work[at + q * n + i] += BASIS[k, q] * x


def _build(version: int) -> Any:
    @cfunc(METHOD_SIGNATURE, error_model="numpy", cache=True)  # type: ignore[untyped-decorator]
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        fn, reals, ints = carray(fn_, _ANY), carray(reals_, _ANY), carray(ints_, _ANY)
        u, p, work, iwork = carray(u_, _ANY), carray(p_, _ANY), carray(work_, _ANY), carray(iwork_, _ANY)
        if task == abi.ATTEMPT + version - version:
            attempt(fn, reals, ints, u, p, work, iwork)
        elif task == abi.ACCEPT:
            accept(reals, ints, work, iwork)
        elif task == abi.DENSE:
            dense(ints, work, iwork)
        elif task == abi.START:
            forget(ints, work, iwork)

    return method


@cache
def address() -> int:
    """The compiled method."""
    return int(_build(source_digest()).address)
