"""Steps of the Radau IIA collocation methods of 3, 5 and 7 stages: orders 5, 9, 13, and an order that adapts.

The increments Z of all stages solve Z = h (A x I) F(u + Z) together.  In the eigenvectors of A^-1
the simplified Newton iteration falls apart into one real system and (s - 1)/2 complex ones.  The
polynomial through the stages is the dense output and, continued, the first guess of the next
step.  Step size control is predictive (K. Gustafsson); a step size that would grow little is kept,
so that Jacobian and factors serve again.  The order grows where the iteration converges
fast and falls where it does not.  E. Hairer & G. Wanner, Solving Ordinary Differential
Equations II, IV.8; the same, Stiff differential equations solved by Radau methods, Journal of
Computational and Applied Mathematics 111 (1999) 93-111.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from ..call import call_at
from ..compiled import METHOD_SIGNATURE, inner, source_digest
from ..linear.by_address import evaluate_jacobian, factor, factor_complex, solve, solve_complex
from ..stored import stored_callback
from ..vectors import copy, fill, residual, set_rows, size_of, size_of_complex, view
from . import abi
from .abi import AT_IOWN, AT_MASS, AT_NEW, AT_OWN, AT_POLY, AT_RTOL, COUNT_F, FIRST, HAS_MASS, REJECTED, F, H, N, T
from .implicit_memory import (
    AGE,
    ETA,
    FACTORED,
    FEWEST,
    FRESH,
    HAVE_HISTORY,
    HAVE_JACOBIAN,
    HEAD,
    ITERATIONS,
    LAST_ERROR,
    LAST_H,
    MOST,
    ORDER,
    RATE,
    STAGES,
    STEPS,
    WANT_JACOBIAN,
)
from .newton import EPS, FEW, error_norm, forget, once_more, quiet, set_weights, times_mass
from .radau_tables import AT_5, AT_7, N_COEFFICIENTS

KAPPA = 0.02  # error of the iteration beside the tolerance
SLOW = 2e-2  # convergence rate up to which the Jacobian is kept
STAY, STAY_LARGE = 1.2, 1.5  # growth of the step size that is not worth new factors, up to FEW states and above
RAISE, LOWER_AT = 0.002, 0.8  # convergence rates that change the order
PATIENCE = 10  # steps at one order before it may grow
LOOSE, TIGHT = 2e-5, 2e-9  # tolerances between which five stages are best to begin with
_FACTOR, _ERROR = abi.FACTOR, abi.ERROR
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere


@inner()
def _table(s: int, own: int) -> int:
    """Where the coefficients of the method of `s` stages begin."""
    return own + HEAD + (0 if s == 3 else AT_5 if s == 5 else AT_7)


@inner()
def _vectors(ints: Any, iwork: Any) -> Any:
    """Where z, w, f, the last polynomial and single vectors begin."""
    n, most = ints[N], iwork[ints[AT_IOWN] + MOST]
    z = ints[AT_OWN] + HEAD + N_COEFFICIENTS + most * most  # behind scratch for a matrix
    return z, z + most * n, z + 2 * most * n, z + 4 * most * n, z + 5 * most * n


@inner("contract")
def _change(s: int, n: int, matrix: int, at: int, out: int, work: Any) -> None:
    """Rows at work[out:]: the (s, s) matrix at work[matrix:] times the rows at work[at:]."""
    for k in range(s):
        row = view(work, out + k * n, n)
        set_rows(work, matrix + k * s, s, work, at, row)


@inner("contract")
def _complex_side(h: float, x: Any, y: Any, re: float, im: float, w1: Any, w2: Any, mass: Any, out: Any) -> None:
    """Right-hand side of a complex system: h (x + iy) - M (re + i im) (w1 + i w2), real and imaginary parts in turn."""
    if mass.size > 0:
        for i in range(x.size):
            out[2 * i] = h * x[i] - mass[i] * (re * w1[i] - im * w2[i])
            out[2 * i + 1] = h * y[i] - mass[i] * (im * w1[i] + re * w2[i])
    else:
        for i in range(x.size):
            out[2 * i] = h * x[i] - (re * w1[i] - im * w2[i])
            out[2 * i + 1] = h * y[i] - (im * w1[i] + re * w2[i])


@inner("contract")
def _iterate(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    """The simplified Newton iteration from z and w as they stand; False where it does not converge."""
    n, own, s = ints[N], ints[AT_OWN], iwork[ints[AT_IOWN] + STAGES]
    z, w, f, _, arg = _vectors(ints, iwork)
    weights = view(work, arg + 2 * n, n)
    mass = view(work, ints[AT_MASS], n if ints[HAS_MASS] != 0 else 0)
    c = _table(s, own)
    lam, tm = c + s, c + 3 * s
    ti = tm + s * s
    pair = f + s * n  # right-hand sides of the complex systems, s - 1 vectors, and one that is free
    real, x, y = view(work, arg, n), view(work, arg + n, n), view(work, f + (2 * s - 1) * n, n)
    most = 7 + (s - 3) * 2
    eta = max(work[own + ETA], EPS) ** 0.8
    noise = quiet(ints, work)
    previous, before = 0.0, 0.0
    work[own + RATE] = 0.0
    for iteration in range(most):
        work[own + ITERATIONS] = iteration + 1.0
        for k in range(s):
            increment = view(work, z + k * n, n)
            for i in range(n):
                real[i] = u[i] + increment[i]
            call_at(fn[F], t + work[c + k] * h, work, arg, p, work, f + k * n)
        ints[COUNT_F] += s
        set_rows(work, ti, s, work, f, real)
        residual(h, real, mass, work[lam], view(work, w, n), real)
        for q in range(1, s, 2):
            set_rows(work, ti + q * s, s, work, f, x)
            set_rows(work, ti + (q + 1) * s, s, work, f, y)
            w1, w2 = view(work, w + q * n, n), view(work, w + (q + 1) * n, n)
            out = view(work, pair + (q - 1) * n, 2 * n)
            _complex_side(h, x, y, work[lam + q], work[lam + q + 1], w1, w2, mass, out)
        if not solve(fn, p, ints, work, iwork, arg):
            return False
        total = size_of(real, weights)
        first = view(work, w, n)
        for i in range(n):
            first[i] += real[i]
        for q in range(1, s, 2):
            start = pair + (q - 1) * n
            if not solve_complex(fn, p, ints, work, iwork, start, (q - 1) // 2):
                return False
            out = view(work, start, 2 * n)
            total += size_of_complex(out, weights)
            w1, w2 = view(work, w + q * n, n), view(work, w + (q + 1) * n, n)
            for i in range(n):
                w1[i] += out[2 * i]
                w2[i] += out[2 * i + 1]
        size = np.sqrt(total / (n * s))
        _change(s, n, tm, w, z, work)
        if not np.isfinite(size):
            return False
        if iteration > 0:
            rate = size / previous
            if rate >= 0.99 and size > noise:
                return False
            work[own + RATE] = rate if iteration == 1 else np.sqrt(rate * before)
            before = rate
            eta = rate / (1.0 - rate) if rate < 0.99 else 0.0
            left = most - 1 - iteration
            if eta * size > KAPPA and eta * size * rate ** (left - 1) > KAPPA:
                return False
        if eta * size <= KAPPA and (iteration > 0 or noise == 0.0 or size <= noise):
            work[own + ETA] = eta
            return True
        previous = size
    return False


@inner()
def _prepare(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    """Jacobian and factors where they are due; False if singular."""
    own, iown = ints[AT_OWN], ints[AT_IOWN]
    s = iwork[iown + STAGES]
    if iwork[iown + HAVE_JACOBIAN] == 0 or iwork[iown + WANT_JACOBIAN] != 0:
        evaluate_jacobian(fn, t, u, 0, p, ints, work, iwork)
        iwork[iown + HAVE_JACOBIAN] = 1
        iwork[iown + WANT_JACOBIAN] = 0
        iwork[iown + FRESH] = 1
        iwork[iown + AGE] = 0
        work[own + FACTORED] = 0.0
    if work[own + FACTORED] != h:
        lam = _table(s, own) + s
        good = factor(work[lam], h, fn, p, ints, work, iwork)
        for q in range(1, s, 2):
            good = good and factor_complex(work[lam + q], work[lam + q + 1], h, (q - 1) // 2, fn, p, ints, work, iwork)
        work[own + FACTORED] = h if good else 0.0
        return bool(good)
    return True


@inner("contract")
def _guess(h: float, ints: Any, work: Any, iwork: Any) -> None:
    """The polynomial of the last step, continued, as z and w."""
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    s, degree = iwork[iown + STAGES], iwork[iown + ORDER]
    z, w, _, old, _ = _vectors(ints, iwork)
    if degree == 0:
        fill(view(work, z, s * n), 0.0)
        fill(view(work, w, s * n), 0.0)
        return
    c = _table(s, own)
    ti = c + 3 * s + s * s
    ratio = h / work[own + LAST_H]
    powers = own + HEAD + N_COEFFICIENTS  # row k: theta_k^(q + 1) - 1
    for k in range(s):
        theta = 1.0 + work[c + k] * ratio
        x = 1.0
        for q in range(degree):
            x *= theta
            work[powers + k * degree + q] = x - 1.0
        row = view(work, z + k * n, n)
        set_rows(work, powers + k * degree, degree, work, old, row)
    _change(s, n, ti, z, w, work)


@inner("contract")
def _error(fn: Any, t: float, h: float, u: Any, p: Any, ints: Any, work: Any, iwork: Any) -> float:
    """The estimate, filtered by the real factors; a second time where the first one would reject a first step."""
    n, own, s = ints[N], ints[AT_OWN], iwork[ints[AT_IOWN] + STAGES]
    z, _, f, _, arg = _vectors(ints, iwork)
    slope, new, err = arg + 3 * n, ints[AT_NEW], arg + n
    e = _table(s, own) + 2 * s
    increment, after = view(work, z + (s - 1) * n, n), view(work, new, n)
    for i in range(n):
        after[i] = u[i] + increment[i]
    real, filtered, here = view(work, arg, n), view(work, err, n), view(work, slope, n)
    set_rows(work, e, s, work, z, real)
    times_mass(ints, work, arg)
    for i in range(n):
        filtered[i] = real[i] + h * here[i]
    if not solve(fn, p, ints, work, iwork, err):
        return float(np.nan)
    error = error_norm(u, ints, work, err, new)
    if error >= 1.0 and (ints[FIRST] != 0 or ints[REJECTED] != 0):
        for i in range(n):
            work[err + i] += u[i]
        call_at(fn[F], t, work, err, p, work, f)
        ints[COUNT_F] += 1
        for i in range(n):
            work[err + i] = work[arg + i] + h * work[f + i]
        if not solve(fn, p, ints, work, iwork, err):
            return float(np.nan)
        error = error_norm(u, ints, work, err, new)
    return float(error)


@inner()
def _lower(ints: Any, work: Any, iwork: Any) -> None:
    """Two stages fewer, where that is allowed: a slow iteration is likelier to converge then."""
    iown = ints[AT_IOWN]
    if iwork[iown + STAGES] > iwork[iown + FEWEST]:
        iwork[iown + STAGES] -= 2
        iwork[iown + STEPS] = 0
        work[ints[AT_OWN] + FACTORED] = 0.0
        work[ints[AT_OWN] + LAST_ERROR] = 0.0


@inner()
def start(ints: Any, work: Any, iwork: Any) -> None:
    """Nothing is known; methods of variable order begin with one that suits the tolerance."""
    forget(ints, work, iwork)
    iown = ints[AT_IOWN]
    if iwork[iown + FEWEST] < iwork[iown + MOST]:
        smallest = 1.0
        for i in range(ints[N]):
            smallest = min(smallest, work[ints[AT_RTOL] + i])
        iwork[iown + STAGES] = 3 if smallest > LOOSE else 5 if smallest > TIGHT else 7


@inner("contract")
def attempt(fn: Any, reals: Any, ints: Any, u: Any, p: Any, work: Any, iwork: Any) -> None:
    """One step of size reals[H] from (reals[T], u)."""
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    t, h = reals[T], reals[H]
    arg = _vectors(ints, iwork)[4]
    weights, slope = arg + 2 * n, arg + 3 * n
    reals[_FACTOR] = 0.0
    reals[_ERROR] = np.nan
    if iwork[iown + HAVE_HISTORY] == 0:
        call_at(fn[F], t, u, 0, p, work, slope)
        ints[COUNT_F] += 1
        iwork[iown + HAVE_HISTORY] = 1
        iwork[iown + ORDER] = 0  # of the last polynomial: there is none
    set_weights(u, 0, ints, work, weights)
    while True:
        if not _prepare(fn, t, h, u, p, ints, work, iwork):
            reals[_FACTOR] = 0.5
            return
        _guess(h, ints, work, iwork)
        if _iterate(fn, t, h, u, p, ints, work, iwork):
            break
        if not once_more(h, ints, work, iwork):
            _lower(ints, work, iwork)
            reals[_FACTOR] = 0.5
            return
    error = _error(fn, t, h, u, p, ints, work, iwork)
    reals[_ERROR] = error
    if not np.isfinite(error):
        return
    s = iwork[iown + STAGES]
    most = 7 + (s - 3) * 2
    safety = 0.9 * (2.0 * most + 1.0) / (2.0 * most + work[own + ITERATIONS])
    power = 1.0 / (s + 1)
    error = max(error, 1e-10)
    change = safety * error**-power
    if error > 1.0:
        reals[_FACTOR] = max(0.1, min(0.9, change))
        return
    if work[own + LAST_ERROR] > 0.0:
        predicted = safety * abs(h / work[own + LAST_H]) * (work[own + LAST_ERROR] / (error * error)) ** power
        change = min(change, predicted)
    change = max(0.2, min(8.0, change))
    if 1.0 <= change <= (STAY if n <= FEW else STAY_LARGE) and work[own + RATE] <= SLOW:
        change = 1.0
    reals[_FACTOR] = change


@inner("contract")
def accept(fn: Any, reals: Any, ints: Any, u: Any, p: Any, work: Any, iwork: Any) -> None:
    """Keep the polynomial, take the slope at the new state, choose the order."""
    n, own, iown = ints[N], ints[AT_OWN], ints[AT_IOWN]
    s = iwork[iown + STAGES]
    z, _, _, old, arg = _vectors(ints, iwork)
    powers = _table(s, own) + 3 * s + 2 * s * s
    _change(s, n, powers, z, old, work)
    iwork[iown + ORDER] = s
    call_at(fn[F], reals[T], u, 0, p, work, arg + 3 * n)
    ints[COUNT_F] += 1
    ratio = abs(reals[H] / work[own + LAST_H]) if work[own + LAST_H] != 0.0 else 1.0
    work[own + LAST_H] = reals[H]
    work[own + LAST_ERROR] = max(reals[_ERROR], 1e-2)
    rate = work[own + RATE]
    iwork[iown + FRESH] = 0
    iwork[iown + STEPS] += 1
    if rate > SLOW or reals[_FACTOR] != 1.0:
        iwork[iown + WANT_JACOBIAN] = 1
    if rate >= LOWER_AT:
        _lower(ints, work, iwork)
    elif s < iwork[iown + MOST] and iwork[iown + STEPS] >= PATIENCE and rate <= RAISE and 0.8 <= ratio <= 1.2:
        iwork[iown + STAGES] = s + 2
        iwork[iown + STEPS] = 0
        work[own + FACTORED] = 0.0
        work[own + LAST_ERROR] = 0.0


@inner("contract")
def dense(ints: Any, u: Any, work: Any, iwork: Any) -> None:
    """The collocation polynomial in powers of theta."""
    n, at, s = ints[N], ints[AT_POLY], iwork[ints[AT_IOWN] + STAGES]
    z = _vectors(ints, iwork)[0]
    powers = _table(s, ints[AT_OWN]) + 3 * s + 2 * s * s
    copy(u, view(work, at, n))
    _change(s, n, powers, z, at + n, work)
    for q in range(s, iwork[ints[AT_IOWN] + MOST]):
        fill(view(work, at + (q + 1) * n, n), 0.0)


def _build(version: int) -> Any:
    @stored_callback(METHOD_SIGNATURE, error_model="numpy")
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        fn, reals, ints = carray(fn_, _ANY), carray(reals_, _ANY), carray(ints_, _ANY)
        u, p, work, iwork = carray(u_, _ANY), carray(p_, _ANY), carray(work_, _ANY), carray(iwork_, _ANY)
        if task == abi.ATTEMPT + version - version:
            attempt(fn, reals, ints, u, p, work, iwork)
        elif task == abi.ACCEPT:
            accept(fn, reals, ints, u, p, work, iwork)
        elif task == abi.DENSE:
            dense(ints, u, work, iwork)
        elif task == abi.START:
            start(ints, work, iwork)

    return method


@cache
def address() -> int:
    """The compiled method."""
    return int(_build(source_digest()).address)
