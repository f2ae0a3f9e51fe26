"""Steps of additive Runge-Kutta methods: terms marked `@stiff` implicitly, the others explicitly.

u' = f_I(t, u) + f_E(t, u).  Stage i solves z_i = h f_I(t + c_i h, base + gamma z_i), where `base` holds
the increments of both parts from the stages before, and then takes w_i = h f_E there.  Both
tableaux share nodes and weights.  Only f_I has a Jacobian: what is not stiff needs no linear algebra
and no convergence.  U. M. Ascher, S. J. Ruuth & R. J. Spiteri, Applied Numerical Mathematics 25
(1997) 151-167; C. A. Kennedy & M. H. Carpenter, the same 44 (2003) 139-181.

`fn[JAC]` and its relatives must be those of f_I.  The tableau lies in the method's memory
(`diagonal.py`, `imex_kencarp4.py`).
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
from . import abi
from .abi import AT_IOWN, AT_NEW, AT_OWN, AT_POLY, COUNT_F, F_NONSTIFF, F_STIFF, H, N, T
from .implicit_memory import HAVE_HISTORY, HEAD, RATE, STAGES
from .newton import after_step, error_norm, forget, newton, once_more, prepare, set_weights

KAPPA = 0.02  # error of the iteration beside the tolerance
SLOW = 0.1  # convergence rate from which a new Jacobian pays
_FACTOR, _ERROR = abi.FACTOR, abi.ERROR
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner("contract")
def _stages(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    n, own, s = ints[N], ints[AT_OWN], iwork[ints[AT_IOWN] + STAGES]
    implicit = own + HEAD
    explicit, guess, c = implicit + s * s, implicit + 2 * s * s, implicit + 3 * s * s
    z0 = c + 3 * s + 4 * n
    w0 = z0 + s * n
    base = w0 + s * n
    arg, res, weights = base + n, base + 2 * n, base + 3 * n
    gamma = work[implicit + s * s - 1]
    work[own + RATE] = 0.0
    for k in range(1, s):
        z, w = z0 + k * n, w0 + k * n
        for i in range(n):
            x = u[i]
            y = 0.0
            for j in range(k):
                q = work[z0 + j * n + i]
                x += work[implicit + k * s + j] * q + work[explicit + k * s + j] * work[w0 + j * n + i]
                y += work[guess + k * s + j] * q
            work[base + i] = x
            work[z + i] = y
        if not newton(
            fn[F_STIFF], fn, t + work[c + k] * h, h, gamma, base, z, arg, res, weights, KAPPA, p, ints, work, iwork
        ):
            return False
        call_at(fn[F_NONSTIFF], t + work[c + k] * h, work, arg, p, work, w)
        ints[COUNT_F] += 1
        for i in range(n):
            work[w + i] *= h
    return True


@inner("contract")
def attempt(fn: Any, reals: Any, ints: Any, u: Any, p: Any, work: Any, iwork: Any) -> None:
    """One step of size reals[H] from (reals[T], u)."""
    n, own, iown, new = ints[N], ints[AT_OWN], ints[AT_IOWN], ints[AT_NEW]
    s = iwork[iown + STAGES]
    t, h = reals[T], reals[H]
    implicit = own + HEAD
    b = implicit + 3 * s * s + s
    e = b + s
    slope = e + s  # f_I and f_E at the start, then at the end
    z0 = slope + 4 * n
    w0 = z0 + s * n
    err, weights = w0 + s * n, w0 + (s + 3) * n
    hgamma = h * work[implicit + s * s - 1]
    reals[_FACTOR] = 0.0
    reals[_ERROR] = np.nan
    if iwork[iown + HAVE_HISTORY] == 0:
        call_at(fn[F_STIFF], t, u, 0, p, work, slope)
        call_at(fn[F_NONSTIFF], t, u, 0, p, work, slope + n)
        ints[COUNT_F] += 2
        iwork[iown + HAVE_HISTORY] = 1
    for i in range(n):
        work[z0 + i] = h * work[slope + i]
        work[w0 + i] = h * work[slope + n + i]
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
    for i in range(n):
        x = 0.0
        y = u[i]
        for j in range(s):
            both = work[z0 + j * n + i] + work[w0 + j * n + i]
            x += work[e + j] * both
            y += work[b + j] * both
        work[err + i] = x
        work[new + i] = y
    if not solve(fn, p, ints, work, iwork, err):
        return
    error = error_norm(u, ints, work, err, new)
    if error <= 1.0:
        call_at(fn[F_STIFF], t + h, work, new, p, work, slope + 2 * n)
        call_at(fn[F_NONSTIFF], t + h, work, new, p, work, slope + 3 * n)
        ints[COUNT_F] += 2
        for i in range(2 * n):
            if not np.isfinite(work[slope + 2 * n + i]):
                error = np.nan
    reals[_ERROR] = error


@inner("contract")
def accept(ints: Any, work: Any, iwork: Any) -> None:
    """The slopes at the end are those of the next start."""
    n, s = ints[N], iwork[ints[AT_IOWN] + STAGES]
    slope = ints[AT_OWN] + HEAD + 3 * s * s + 3 * s
    for i in range(2 * n):
        work[slope + i] = work[slope + 2 * n + i]
    after_step(SLOW, ints, work, iwork)


@inner("contract")
def dense(reals: Any, ints: Any, u: Any, work: Any, iwork: Any) -> None:
    """The cubic through both ends with their slopes."""
    n, at, new, s, h = ints[N], ints[AT_POLY], ints[AT_NEW], iwork[ints[AT_IOWN] + STAGES], reals[H]
    slope = ints[AT_OWN] + HEAD + 3 * s * s + 3 * s
    for i in range(n):
        first = h * (work[slope + i] + work[slope + n + i])
        last = h * (work[slope + 2 * n + i] + work[slope + 3 * n + i])
        rise = work[new + i] - u[i]
        work[at + i] = u[i]
        work[at + n + i] = first
        work[at + 2 * n + i] = 3.0 * rise - 2.0 * first - last
        work[at + 3 * n + i] = first + last - 2.0 * rise


def _build(version: int) -> Any:
    @stored_callback(METHOD_SIGNATURE, error_model="numpy")
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        fn, reals, ints = carray(fn_, _ANY), carray(reals_, _ANY), carray(ints_, _ANY)
        u, p, work, iwork = carray(u_, _ANY), carray(p_, _ANY), carray(work_, _ANY), carray(iwork_, _ANY)
        if task == abi.ATTEMPT + version - version:
            attempt(fn, reals, ints, u, p, work, iwork)
        elif task == abi.ACCEPT:
            accept(ints, work, iwork)
        elif task == abi.DENSE:
            dense(reals, ints, u, work, iwork)
        elif task == abi.START:
            forget(ints, work, iwork)

    return method


@cache
def address() -> int:
    """The compiled method."""
    return int(_build(source_digest()).address)
