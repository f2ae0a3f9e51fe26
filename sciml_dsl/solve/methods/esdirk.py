"""Steps of explicit-first-stage, singly diagonally implicit, stiffly accurate Runge-Kutta methods.

One stage after the other solves M z_i = h f(t + c_i h, u + sum_j<i a_ij z_j + gamma z_i); the last
one is the new state, and its z begins the next step.  The error estimate is filtered by
(M - h gamma J)^-1 M, so that it stays finite for stiff components and says what is true of
algebraic ones.  E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, IV.8;
M. E. Hosea & L. F. Shampine, Applied Numerical Mathematics 20 (1996) 21-37.

The tableau lies in the method's memory (`diagonal.py`): `trbdf2.py`, `kencarp4.py`, `kvaerno5.py`.
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
from ..vectors import add_rows, copy, set_rows, view
from . import abi
from .abi import AT_IOWN, AT_MASS, AT_NEW, AT_OWN, AT_POLY, COUNT_F, HAS_MASS, F, H, N, T
from .implicit_memory import DEGREE, HAVE_HISTORY, HEAD, RATE, STAGES, STEPS
from .newton import after_step, error_norm, forget, newton, once_more, prepare, set_weights, slope_from, times_mass

KAPPA = 0.02  # error of the iteration beside the tolerance
BETWEEN = 0.01  # how little the bend of the output counts beside the error at the end
SLOW = 0.1  # convergence rate from which a new Jacobian pays
_FACTOR, _ERROR = abi.FACTOR, abi.ERROR
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner("contract")
def _stages(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    """All stages; False where one does not converge."""
    n, own, s = ints[N], ints[AT_OWN], iwork[ints[AT_IOWN] + STAGES]
    a = own + HEAD
    c, e = a + s * s, a + s * s + s
    guess, slope = e + s, e + 2 * s + s * s + iwork[ints[AT_IOWN] + DEGREE] * s
    z0 = slope + n
    base = z0 + s * n
    arg, res, weights = base + n, base + 2 * n, base + 3 * n
    gamma = work[a + s * s - 1]
    work[own + RATE] = 0.0
    for k in range(1, s):
        z = z0 + k * n
        known, increment = view(work, base, n), view(work, z, n)
        copy(u, known)
        add_rows(work, a + k * s, k, work, z0, known)
        set_rows(work, guess + k * s, k, work, z0, increment)
        if not newton(
            fn[F], fn, t + work[c + k] * h, h, gamma, base, z, arg, res, weights, KAPPA, p, ints, work, iwork
        ):
            return False
    copy(view(work, arg, n), view(work, ints[AT_NEW], n))
    return True


@inner("contract")
def attempt(fn: Any, reals: Any, ints: Any, u: Any, p: Any, work: Any, iwork: Any) -> None:
    """One step of size reals[H] from (reals[T], u)."""
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    s = iwork[iown + STAGES]
    t, h = reals[T], reals[H]
    a = own + HEAD
    e = a + s * s + s
    bend = e + s + s * s + iwork[iown + DEGREE] * s
    slope = bend + s
    z0 = slope + n
    err, weights = z0 + s * n, z0 + (s + 3) * n
    hgamma = h * work[a + s * s - 1]
    reals[_FACTOR] = 0.0
    reals[_ERROR] = np.nan
    if iwork[iown + HAVE_HISTORY] == 0:
        call_at(fn[F], t, u, 0, p, work, slope)
        ints[COUNT_F] += 1
        slope_from(ints, work, slope)
        iwork[iown + HAVE_HISTORY] = 1
    first, here = view(work, z0, n), view(work, slope, n)
    for i in range(n):
        first[i] = h * here[i]
    set_weights(u, 0, ints, work, weights)
    while True:
        if not prepare(fn, t, u, 0, hgamma, p, ints, work, iwork):
            reals[_FACTOR] = 0.5
            return
        if _stages(fn, t, h, u, p, ints, work, iwork):
            break
        if not once_more(hgamma, ints, work, iwork):
            reals[_FACTOR] = 0.25
            return
    local = view(work, err, n)
    set_rows(work, e, s, work, z0, local)
    times_mass(ints, work, err)
    if solve(fn, p, ints, work, iwork, err):
        error = error_norm(u, ints, work, err, ints[AT_NEW])
        if error <= 1.0:  # neither may the output between the ends be far off
            set_rows(work, bend, s, work, z0, local)
            error = max(error, BETWEEN * error_norm(u, ints, work, err, ints[AT_NEW]))
        reals[_ERROR] = error


@inner("contract")
def accept(reals: Any, ints: Any, work: Any, iwork: Any) -> None:
    """The last stage is the slope the next step begins with."""
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    s = iwork[iown + STAGES]
    slope = own + HEAD + 2 * s * s + 3 * s + iwork[iown + DEGREE] * s
    last = slope + s * n
    inverse = 1.0 / reals[H]
    here, increment = view(work, slope, n), view(work, last, n)
    for i in range(n):
        here[i] = inverse * increment[i]
    after_step(SLOW, ints, work, iwork)


@inner("contract")
def dense(ints: Any, u: Any, work: Any, iwork: Any) -> None:
    """u + sum_j b_j(theta) z_j in powers of theta."""
    n, own, iown, poly = ints[N], ints[AT_OWN], ints[AT_IOWN], ints[AT_POLY]
    s, degree = iwork[iown + STAGES], iwork[iown + DEGREE]
    a = own + HEAD
    d = a + 2 * s * s + 2 * s
    z0 = d + degree * s + s + n
    copy(u, view(work, poly, n))
    for q in range(degree):
        row = view(work, poly + (q + 1) * n, n)
        set_rows(work, d + q * s, s, work, z0, row)
    if ints[HAS_MASS] != 0 and iwork[iown + STEPS] == 0:
        # The slope of algebraic states at the start is not known: a parabola through three states instead.
        c = work[a + s * s + 1]
        for i in range(n):
            if work[ints[AT_MASS] + i] == 0.0:
                rise = work[ints[AT_NEW] + i] - u[i]
                middle = work[a + s] * work[z0 + i] + work[a + s * s - 1] * work[z0 + n + i]
                bend = (middle / c - rise) / (c - 1.0)
                work[poly + n + i] = rise - bend
                work[poly + 2 * n + i] = bend
                for q in range(3, degree + 1):
                    work[poly + q * n + i] = 0.0


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
            dense(ints, u, work, iwork)
        elif task == abi.START:
            forget(ints, work, iwork)

    return method


@cache
def address() -> int:
    """The compiled method."""
    return int(_build(source_digest()).address)
