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
from numba import carray

from ..call import call_at
from ..compiled import METHOD_SIGNATURE, inner, source_digest
from ..linear.by_address import solve
from ..stored import stored_callback
from ..vectors import add_rows, copy, fill, set_rows, view
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
from .implicit_memory import EQUAL, ETA, FACTORED, HAVE_HISTORY, HEAD, LAST_H, NEXT_ORDER, ORDER, RATE, WANT_JACOBIAN
from .ndf_coefficients import ALPHA, BASIS, ERROR_CONSTANT, GAMMA, MAX_ORDER, ONES, ROWS, SCRATCH
from .newton import EPS, after_step, forget, once_more, prepare, quiet, set_weights, slope_from

KAPPA = 0.01  # error of the iteration beside that of the step, both in units of the tolerance
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
def rescale(order: int, ratio: float, n: int, work: Any, at: int, d: int, free: int) -> None:
    """Differences D (rows at work[d:]) for the spacing `ratio` times as large.

    `at`: 108 numbers of scratch, `free`: as many vectors as the order.
    """
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
    for j in range(1, size):  # the columns of the product as rows, for sums of rows
        for k in range(1, size):
            work[s + (j - 1) * 6 + k - 1] = work[m + k * 6 + j]
    for j in range(order):
        row = view(work, free + j * n, n)
        set_rows(work, s + j * 6, order, work, d + n, row)
    copy(view(work, free, order * n), view(work, d + n, order * n))


@inner("contract", "reassoc")
def _size(scale: float, a: int, b: int, sign: float, u: Any, ints: Any, work: Any) -> float:
    """Weighted norm of scale * (work[a:] + sign * work[b:])."""
    n = ints[N]
    rtol, atol, new = view(work, ints[AT_RTOL], n), view(work, ints[AT_ATOL], n), view(work, ints[AT_NEW], n)
    x, y = view(work, a, n), view(work, b, n)
    total = 0.0
    for i in range(n):
        e = (x[i] + sign * y[i]) / (atol[i] + rtol[i] * max(abs(u[i]), abs(new[i])))
        total += e * e
    return float(scale * np.sqrt(total / n))


@inner("contract", "reassoc")
def _move(correction: float, step: Any, weights: Any, guess: Any, delta: Any, new: Any) -> float:
    """delta += correction * step, new = guess + delta; the sum of squares of the weighted change."""
    total = 0.0
    for i in range(weights.size):
        x = correction * step[i]
        delta[i] += x
        new[i] = guess[i] + delta[i]
        x *= weights[i]
        total += x * x
    return float(total)


@inner("contract")
def _solve(order: int, fn: Any, t: float, h: float, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    n, own, at_new = ints[N], ints[AT_OWN], ints[AT_NEW]
    first = own + HEAD + SCRATCH + ROWS * n
    delta, psi, weights = view(work, first, n), view(work, first + n, n), view(work, first + 3 * n, n)
    res = first + 2 * n
    right, guess, new = view(work, res, n), view(work, first + 4 * n, n), view(work, at_new, n)
    mass = view(work, ints[AT_MASS], n if ints[HAS_MASS] != 0 else 0)
    c = h / ALPHA[order]
    correction = 2.0 / (1.0 + c / work[own + FACTORED])
    kappa = KAPPA / ERROR_CONSTANT[order]
    eta = max(work[own + ETA], EPS) ** 0.8
    noise = quiet(ints, work)
    previous = 0.0
    work[own + RATE] = 0.0
    fill(delta, 0.0)
    copy(guess, new)
    for iteration in range(ITERATIONS):
        call_at(fn[F], t + h, work, at_new, p, work, res)
        ints[COUNT_F] += 1
        if mass.size > 0:
            for i in range(n):
                right[i] = c * right[i] - mass[i] * (psi[i] + delta[i])
        else:
            for i in range(n):
                right[i] = c * right[i] - (psi[i] + delta[i])
        if not solve(fn, p, ints, work, iwork, res):
            return False
        size = np.sqrt(_move(correction, right, weights, guess, delta, new) / n)
        if not np.isfinite(size):
            return False
        if iteration > 0:
            rate = size / previous
            if rate >= 0.9 and size > noise:
                return False
            work[own + RATE] = rate
            eta = rate / (1.0 - rate) if rate < 0.9 else 0.0
            left = ITERATIONS - 1 - iteration
            if eta * size > kappa and eta * size * rate ** (left - 1) > kappa:
                return False
        if eta * size <= kappa and (iteration > 0 or noise == 0.0 or size <= noise):
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
        fill(view(work, d0, ROWS * n), 0.0)
        call_at(fn[F], t, u, 0, p, work, d0 + n)
        ints[COUNT_F] += 1
        slope_from(ints, work, d0 + n)
        for i in range(n):
            work[d0 + i] = u[i]
            work[d0 + n + i] *= h
        work[own + LAST_H] = h
    if ints[REJECTED] != 0 and ints[HAS_MASS] != 0:  # the Jacobian was taken where this step does not go
        iwork[iown + WANT_JACOBIAN] = 1
    order = iwork[iown + ORDER]
    if h != work[own + LAST_H]:
        rescale(order, h / work[own + LAST_H], n, work, own + HEAD, d0, delta)
        work[own + LAST_H] = h
        iwork[iown + EQUAL] = 0
    predicted, known = view(work, guess, n), view(work, psi, n)
    copy(view(work, d0, n), predicted)
    add_rows(ONES, 1, order, work, d0 + n, predicted)
    set_rows(GAMMA, 1, order, work, d0 + n, known)
    for i in range(n):
        known[i] /= ALPHA[order]
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
    step, above, last = view(work, delta, n), view(work, d0 + (order + 2) * n, n), view(work, d0 + (order + 1) * n, n)
    for i in range(n):
        above[i] = step[i] - last[i]
        last[i] = step[i]
    for k in range(order, -1, -1):
        row, above = view(work, d0 + k * n, n), view(work, d0 + (k + 1) * n, n)
        for i in range(n):
            row[i] += above[i]
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
    @stored_callback(METHOD_SIGNATURE, error_model="numpy")
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
