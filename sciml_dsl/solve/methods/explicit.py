"""Any explicit Runge-Kutta method as a method by address: the tableau lies in its memory.

`tableau.py` says where.  Small models bring functions of their own for a whole step
and for its interpolant (`codegen.fused`); where these exist they are called, with the
same memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from ..call import call_along_at, call_at
from ..compiled import METHOD_SIGNATURE, inner, source_digest
from ..stored import stored_callback
from . import abi
from .tableau import DEGREE, DENSE_MADE, EXTRA, LAST, NO_ERROR, PAIR, READY, SECOND_ERROR, STAGES

_T, _H, _ERROR, _FACTOR, _STIFF = abi.T, abi.H, abi.ERROR, abi.FACTOR, abi.STIFF
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner("contract")
def stage_argument(work: Any, u: Any, n: int, h: float, row: int, width: int, k: int, out: int) -> None:
    """`work[out:]` = u + h * sum_j work[row + j] * stage j, zeros of the tableau skipped."""
    for i in range(n):
        work[out + i] = u[i]
    for j in range(width):
        weight = h * work[row + j]
        if weight != 0.0:
            stage = k + j * n
            for i in range(n):
                work[out + i] += weight * work[stage + i]


@inner("contract", "reassoc")
def weighted_square(work: Any, u: Any, n: int, h: float, row: int, stages: int, k: int, at_new: int, tol: int) -> float:
    """Mean square of h * sum_j work[row + j] * stage j over its tolerance; `tol`: rtol (n), then atol (n)."""
    total = 0.0
    for i in range(n):
        e = 0.0
        for j in range(stages):
            e += work[row + j] * work[k + j * n + i]
        e *= h / (work[tol + n + i] + work[tol + i] * max(abs(u[i]), abs(work[at_new + i])))
        total += e * e
    return total / n


@inner("contract", "reassoc")
def pair_stiffness(
    work: Any, n: int, rows: int, total: int, k: int, first: int, second: int, tol: int, at: int
) -> float:
    """|h lambda| from two stages at the same time: difference of slopes over difference of arguments, by tolerance."""
    numerator = 0.0
    denominator = 0.0
    for i in range(n):
        scale = 1.0 / (work[tol + n + i] + work[tol + i] * abs(work[at + i]))
        a = (work[k + first * n + i] - work[k + second * n + i]) * scale
        b = 0.0
        for j in range(max(first, second)):
            b += (work[rows + first * total + j] - work[rows + second * total + j]) * work[k + j * n + i]
        b *= scale
        numerator += a * a
        denominator += b * b
    return float(np.sqrt(numerator / denominator)) if denominator > 0.0 else 0.0


def _build(version: int) -> Any:
    @stored_callback(METHOD_SIGNATURE, error_model="numpy", fastmath={"contract"})
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        n, own = ints_[abi.N], ints_[abi.AT_OWN]
        iown = ints_[abi.AT_IOWN] + version - version
        stages, total, degree = iwork_[iown + STAGES], 0, iwork_[iown + DEGREE]
        total = stages + iwork_[iown + EXTRA]
        work, u, p = carray(work_, _ANY), carray(u_, _ANY), carray(p_, _ANY)
        t, h = reals_[_T], reals_[_H]
        f = fn_[abi.F]
        tol = own + 1
        slope = tol + 2 * n
        at_error = slope + n
        at_new = at_error + 2
        k = at_new + n
        g = k + total * n
        nodes = g + n
        rows = nodes + total
        b = rows + total * total
        e = b + stages
        e2 = e + stages
        interpolant = e2 + stages

        if task == abi.START:
            for i in range(2 * n):  # rtol and atol stand one behind the other
                work[tol + i] = work[ints_[abi.AT_RTOL] + i]
            call_at(f, t, u, 0, p, work, slope)
            ints_[abi.COUNT_F] += 1
            iwork_[iown + READY] = 1
            return

        if task == abi.ACCEPT:
            last = iwork_[iown + LAST]
            iwork_[iown + READY] = 0
            if last >= 0 and (last < stages or iwork_[iown + DENSE_MADE] != 0):
                for i in range(n):
                    work[slope + i] = work[k + last * n + i]
                iwork_[iown + READY] = 1
            return

        if task == abi.ATTEMPT:
            if iwork_[iown + READY] == 0:
                call_at(f, t, u, 0, p, work, slope)
                ints_[abi.COUNT_F] += 1
                iwork_[iown + READY] = 1
            work[own] = h
            iwork_[iown + DENSE_MADE] = 0
            ints_[abi.COUNT_F] += stages - 1
            reals_[_FACTOR] = 1.0 if iwork_[iown + SECOND_ERROR] == NO_ERROR else 0.0
            if fn_[abi.FUSED] != 0:
                call_along_at(fn_[abi.FUSED], t, u, 0, p, work, own, work, at_error)
                reals_[_ERROR] = work[at_error]
                reals_[_STIFF] = work[at_error + 1]
            else:
                for i in range(n):
                    work[k + i] = work[slope + i]
                for s in range(1, stages):
                    stage_argument(work, u, n, h, rows + s * total, s, k, g)
                    call_at(f, t + work[nodes + s] * h, work, g, p, work, k + s * n)
                stage_argument(work, u, n, h, b, stages, k, at_new)
                error = weighted_square(work, u, n, h, e, stages, k, at_new, tol)
                if iwork_[iown + SECOND_ERROR] > 0:
                    second = weighted_square(work, u, n, h, e2, stages, k, at_new, tol)
                    if error > 0.0 or not np.isfinite(error):
                        error = error * error / (error + 0.01 * second)
                reals_[_ERROR] = np.sqrt(error)
                pair = iwork_[iown + PAIR]
                if ints_[abi.WANT_STIFF] != 0 and pair >= 0:
                    reals_[_STIFF] = pair_stiffness(work, n, rows, total, k, pair // 64, pair % 64, tol, at_new)
            target = ints_[abi.AT_NEW]
            for i in range(n):
                work[target + i] = work[at_new + i]
            return

        if task == abi.DENSE:
            poly = ints_[abi.AT_POLY]
            ints_[abi.COUNT_F] += total - stages
            iwork_[iown + DENSE_MADE] = 1
            if fn_[abi.FUSED_DENSE] != 0:
                # what it writes behind the coefficients is the stage f(t + h, new state), the next step's first
                call_along_at(fn_[abi.FUSED_DENSE], t, u, 0, p, work, own, work, poly)
                if iwork_[iown + LAST] == stages:
                    for i in range(n):
                        work[k + stages * n + i] = work[poly + (degree + 1) * n + i]
                return
            for s in range(stages, total):
                stage_argument(work, u, n, h, rows + s * total, s, k, g)
                call_at(f, t + work[nodes + s] * h, work, g, p, work, k + s * n)
            for i in range(n):
                work[poly + i] = u[i]
            for q in range(degree):
                place = poly + (q + 1) * n
                for i in range(n):
                    work[place + i] = 0.0
                for j in range(total):
                    weight = h * work[interpolant + j * degree + q]
                    if weight != 0.0:
                        for i in range(n):
                            work[place + i] += weight * work[k + j * n + i]
            # Large coefficients cancel at theta = 1; what rounding leaves there goes to the highest power.
            for i in range(n):
                total_at_end = work[poly + i]
                for q in range(1, degree + 1):
                    total_at_end += work[poly + q * n + i]
                work[poly + degree * n + i] += work[at_new + i] - total_at_end

    return method


@cache
def _compiled() -> Any:
    return _build(source_digest())


def address() -> int:
    """The compiled method's."""
    return int(_compiled().address)
