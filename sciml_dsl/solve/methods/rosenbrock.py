"""Any Rosenbrock method as a method by address: the tableau lies in its memory.

`rosenbrock_tableau.py` says where, and gives the formulas.  J and df/dt are taken once
for each step; the linear algebra is whatever the model's plan chose (`solve.linear`).
A diagonal mass matrix with zeros makes the equations without derivative algebraic.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from ..call import call_along_at, call_at
from ..compiled import METHOD_SIGNATURE, inner, source_digest
from ..linear.by_address import evaluate_jacobian, factor, solve
from ..stored import stored_callback
from ..vectors import add_rows, copy, fill, residual, set_rows, view
from . import abi
from .rosenbrock_tableau import DEGREE, FSAL, HAVE_JACOBIAN, READY, STAGES

_T, _H, _ERROR, _FACTOR = abi.T, abi.H, abi.ERROR, abi.FACTOR
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner("contract")
def _stages(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any, own: int, iown: int) -> bool:
    """All stages of a step with the factors of W; the last stage's right-hand side goes to the slope at the end."""
    n, s = ints[abi.N], iwork[iown + STAGES]
    slope_at, after, k = own + 1 + 2 * n, own + 2 + 4 * n, own + 2 + 5 * n
    ft, g = k + s * n, k + (s + 1) * n
    c = g + n + 1
    d, a, coupling = c + s, c + 4 * s, c + 4 * s + s * s
    inverse = 1.0 / h
    mass = view(work, ints[abi.AT_MASS], n if ints[abi.HAS_MASS] != 0 else 0)
    argument, slopes, in_time = view(work, g, n), view(work, after, n), view(work, ft, n)
    for stage in range(s):
        at = k + stage * n
        right = view(work, at, n)
        if stage == 0:
            copy(view(work, slope_at, n), right)
        else:
            copy(u, argument)
            add_rows(work, a + stage * s, stage, work, k, argument)
            set_rows(work, coupling + stage * s, stage, work, k, right)
            call_at(fn[abi.F], t + work[c + stage] * h, work, g, p, work, after)
            residual(1.0, slopes, mass, -inverse, right, right)
        slope = h * work[d + stage]
        if fn[abi.DFDT] != 0 and slope != 0.0:
            for i in range(n):
                right[i] += slope * in_time[i]
        if not solve(fn, p, ints, work, iwork, at):
            return False
    ints[abi.COUNT_F] += s - 1
    return True


@inner("contract", "reassoc")
def _error(work: Any, u: Any, n: int, error: int, ints: Any) -> float:
    """Root mean square of the local error over its tolerance."""
    new, local = view(work, ints[abi.AT_NEW], n), view(work, error, n)
    rtol, atol = view(work, ints[abi.AT_RTOL], n), view(work, ints[abi.AT_ATOL], n)
    total = 0.0
    for i in range(n):
        e = local[i] / (atol[i] + rtol[i] * max(abs(u[i]), abs(new[i])))
        total += e * e
    return float(np.sqrt(total / n))


@inner("contract", inline=True)
def _own_step(t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> float:
    """The same by the model's own function of a whole step; negative where its pivots do not serve."""
    n, own, s = ints[abi.N], ints[abi.AT_OWN], iwork[ints[abi.AT_IOWN] + STAGES]
    at_error = own + 1 + 3 * n
    work[own] = h
    call_along_at(ints[abi.OWN_STEP], t, u, 0, p, work, own, work, at_error)
    error = work[at_error]
    if error < 0.0:
        return error
    ints[abi.COUNT_F] += s
    ints[abi.COUNT_JAC] += 1
    ints[abi.COUNT_LU] += 1
    ints[abi.COUNT_SOLVE] += s
    new, made, after = ints[abi.AT_NEW], at_error + 1, at_error + 1 + n
    finite = True
    for i in range(n):
        work[new + i] = work[made + i]
        finite = finite and bool(np.isfinite(work[after + i]))
    return float(error if finite else np.nan)


@inner("contract", inline=True)
def _attempt(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> float:
    """One step; the error of it, or NaN."""
    n, own, iown = ints[abi.N], ints[abi.AT_OWN], ints[abi.AT_IOWN]
    s = iwork[iown + STAGES]
    slope, after, k = own + 1 + 2 * n, own + 2 + 4 * n, own + 2 + 5 * n
    ft, g, gamma = k + s * n, k + (s + 1) * n, k + (s + 2) * n
    b, e = gamma + 1 + 2 * s, gamma + 1 + 3 * s
    if iwork[iown + READY] == 0:
        call_at(fn[abi.F], t, u, 0, p, work, slope)
        ints[abi.COUNT_F] += 1
        iwork[iown + READY] = 1
    if ints[abi.OWN_STEP] != 0:
        error = _own_step(t, h, u, p, ints, work, iwork)
        if not error < 0.0:
            return error
    if iwork[iown + HAVE_JACOBIAN] == 0:
        evaluate_jacobian(fn, t, u, 0, p, ints, work, iwork)
        if fn[abi.DFDT] != 0:
            call_at(fn[abi.DFDT], t, u, 0, p, work, ft)
            infinite = False
            for i in range(n):
                infinite = infinite or not np.isfinite(work[ft + i])
            if infinite:  # as that of sqrt(t) at 0: a difference over the step
                call_at(fn[abi.F], t + h, u, 0, p, work, g)
                ints[abi.COUNT_F] += 1
                for i in range(n):
                    if not np.isfinite(work[ft + i]):
                        work[ft + i] = (work[g + i] - work[slope + i]) / h
        iwork[iown + HAVE_JACOBIAN] = 1
    if not factor(1.0 / (h * work[gamma]), 1.0, fn, p, ints, work, iwork):
        return float(np.nan)
    if not _stages(fn, t, h, u, p, ints, work, iwork, own, iown):
        return float(np.nan)
    new = ints[abi.AT_NEW]
    made, local = view(work, new, n), view(work, g, n)
    copy(u, made)
    add_rows(work, b, s, work, k, made)
    set_rows(work, e, s, work, k, local)
    error = _error(work, u, n, g, ints)
    if error <= 1.0:
        if iwork[iown + FSAL] == 0:
            call_at(fn[abi.F], t + h, work, new, p, work, after)
            ints[abi.COUNT_F] += 1
        for i in range(n):  # the slope at the new point must exist too
            if not np.isfinite(work[after + i]):
                error = np.nan
    return float(error)


@inner("contract")
def _interpolant(u: Any, ints: Any, work: Any, iwork: Any) -> None:
    n, own, iown = ints[abi.N], ints[abi.AT_OWN], ints[abi.AT_IOWN]
    s, degree = iwork[iown + STAGES], iwork[iown + DEGREE]
    k = own + 2 + 5 * n
    rows = k + (s + 2) * n + 1 + 4 * s + 2 * s * s
    poly = ints[abi.AT_POLY]
    copy(u, view(work, poly, n))
    for q in range(degree):
        at = poly + (q + 1) * n
        fill(view(work, at, n), 0.0)
        for j in range(s):
            weight = work[rows + j * degree + q]
            if weight != 0.0:
                row, stage = view(work, at, n), view(work, k + j * n, n)
                for i in range(n):
                    row[i] += weight * stage[i]


def _build(version: int) -> Any:
    @stored_callback(METHOD_SIGNATURE, error_model="numpy")
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        fn, ints, iwork = carray(fn_, _ANY), carray(ints_, _ANY), carray(iwork_, _ANY)
        u, p, work = carray(u_, _ANY), carray(p_, _ANY), carray(work_, _ANY)
        n, own = ints[abi.N], ints[abi.AT_OWN]
        iown = ints[abi.AT_IOWN] + version - version
        slope = own + 1 + 2 * n
        if task == abi.START:
            for i in range(n):
                work[own + 1 + i] = work[ints[abi.AT_RTOL] + i]
                work[own + 1 + n + i] = work[ints[abi.AT_ATOL] + i]
            iwork[iown + READY] = 0
            iwork[iown + HAVE_JACOBIAN] = 0
        elif task == abi.ATTEMPT:
            reals_[_FACTOR] = 0.0
            reals_[_ERROR] = _attempt(fn, reals_[_T], reals_[_H], u, p, ints, work, iwork)
        elif task == abi.ACCEPT:
            for i in range(n):
                work[slope + i] = work[slope + 2 * n + 1 + i]
            iwork[iown + HAVE_JACOBIAN] = 0
        elif task == abi.DENSE:
            if ints[abi.OWN_DENSE] != 0:
                call_along_at(ints[abi.OWN_DENSE], reals_[_T], u, 0, p, work, own, work, ints[abi.AT_POLY])
            else:
                _interpolant(u, ints, work, iwork)

    return method


@cache
def _compiled() -> Any:
    return _build(source_digest())


def address() -> int:
    """The compiled method's."""
    return int(_compiled().address)
