"""What compiled methods call: the same few functions for every kind of linear algebra.

    evaluate_jacobian(fn, t, x, at_x, p, ints, work, iwork)     J at (t, x[at_x:])
    factor(alpha, beta, ints, work, iwork) -> bool              W = alpha M - beta J; False: singular
    solve(fn, p, ints, work, iwork, at) -> bool                 W x = b, b at work[at:], in place
    factor_complex(alpha, beta, which, ...), solve_complex(...) the same for complex alpha; b is 2 n
                                                                doubles, real and imaginary in turn;
                                                                several factors are kept, by number
    multiply(fn, p, ints, work, iwork, at, out)                 J v for v at work[at:] to work[out:]

M is the diagonal mass matrix at work[ints[AT_MASS]:], or the identity.  `solve` is False only
where an iteration has not converged.  Functions are linked into each method; nothing
is allocated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..call import call_along_at, call_at
from ..compiled import inner
from ..methods.abi import (
    AT_ATOL,
    AT_ILIN,
    AT_LIN,
    AT_MASS,
    AT_RTOL,
    COUNT_JAC,
    COUNT_LU,
    COUNT_SOLVE,
    HAS_MASS,
    JAC,
    JAC_VALUES,
    JVP,
    LINEAR,
    LOWER,
    NNZ,
    UPPER,
    N,
)
from ..vectors import fill, view
from .banded import factorise_banded, solve_banded
from .complex_dense import factorise_complex, solve_complex_dense
from .dense import factorise, solve_row
from .krylov import gmres, incomplete_factors
from .lapack import factorise_large, solve_large
from .layout import (
    BANDED,
    BASIS,
    COLUMNS,
    COMPLEX_FACTORS,
    COMPLEX_PIVOTS,
    COMPLEX_VECTOR,
    DENSE_LU,
    DGETRF,
    DGETRS,
    DIAGONAL,
    ENTRIES,
    FACTORS,
    HEAD,
    J_INDICES,
    J_INDPTR,
    JACOBIAN,
    KRYLOV,
    NATURAL,
    PIVOTS,
    PLACES,
    POINT,
    RESTART,
    ROOM_L,
    ROOM_U,
    ROWS,
    SPARSE_LU,
    VECTOR,
    W_INDICES,
    W_INDPTR,
    W_VALUES,
    WRITTEN_FACTOR,
    WRITTEN_FACTOR_COMPLEX,
    WRITTEN_SOLVE,
    WRITTEN_SOLVE_COMPLEX,
    ZGETRF,
    ZGETRS,
)
from .pentadiagonal import factorise_pentadiagonal, solve_pentadiagonal
from .sparse import factorise_sparse, solve_sparse


@inner("contract")
def evaluate_jacobian(fn: Any, t: float, x: Any, at_x: int, p: Any, ints: Any, work: Any, iwork: Any) -> None:
    """The Jacobian at time `t` and the state `x[at_x:]`, kept until the next call."""
    ints[COUNT_JAC] += 1
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    at = lin + iwork[ilin + JACOBIAN]
    if kind == DENSE_LU:
        if fn[JAC] != 0:
            call_at(fn[JAC], t, x, at_x, p, work, at)
            return
        values = lin + iwork[ilin + W_VALUES]
        call_at(fn[JAC_VALUES], t, x, at_x, p, work, values)
        for q in range(n * n):
            work[at + q] = 0.0
        places = ilin + iwork[ilin + PLACES]
        for q in range(ints[NNZ]):
            work[at + iwork[places + q]] = work[values + q]
        return
    call_at(fn[JAC_VALUES], t, x, at_x, p, work, at)
    if kind == KRYLOV:
        point = lin + iwork[ilin + POINT]
        work[point] = t
        rtol, atol = ints[AT_RTOL], ints[AT_ATOL]
        for i in range(n):
            work[point + 3 + i] = x[at_x + i]
            work[point + 3 + n + i] = 1.0 / (work[atol + i] + work[rtol + i] * abs(x[at_x + i]))


@inner("contract")
def _assemble(alpha: Any, beta: float, ints: Any, work: Any, iwork: Any, w: Any) -> None:
    """alpha M - beta J into `w`, by the places of the kind."""
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    at = lin + iwork[ilin + JACOBIAN]
    mass = ints[AT_MASS] if ints[HAS_MASS] != 0 else -1
    if kind == DENSE_LU:
        for q in range(n * n):
            w[q] = -beta * work[at + q]
        for i in range(n):
            w[i * n + i] += alpha * (work[mass + i] if mass >= 0 else 1.0)
        return
    fill(w, 0.0)
    places, diagonal = ilin + iwork[ilin + PLACES], ilin + iwork[ilin + DIAGONAL]
    for q in range(ints[NNZ]):
        w[iwork[places + q]] = -beta * work[at + q]
    for i in range(n):
        w[iwork[diagonal + i]] += alpha * (work[mass + i] if mass >= 0 else 1.0)


@inner("contract")
def _factor_banded(alpha: Any, beta: float, ints: Any, work: Any, iwork: Any, w: Any, pivots: Any) -> bool:
    """Real or complex factors of a band matrix; the first pivot is -1 where no rows were exchanged."""
    n, lower, upper = ints[N], ints[LOWER], ints[UPPER]
    _assemble(alpha, beta, ints, work, iwork, w)
    if lower == 2 and upper == 2:
        if factorise_pentadiagonal(w, n):
            pivots[0] = -1
            return True
        _assemble(alpha, beta, ints, work, iwork, w)
    return bool(factorise_banded(w.reshape(n, 2 * lower + upper + 1), lower, upper, pivots))


@inner("contract")
def _solve_banded(w: Any, lower: int, upper: int, pivots: Any, b: Any) -> None:
    if pivots[0] < 0:
        solve_pentadiagonal(w, b.size, b)
    else:
        solve_banded(w.reshape(b.size, 2 * lower + upper + 1), lower, upper, pivots, b)


@inner()
def _factor_written(
    address: int, alpha: float, imaginary: float, beta: float, ints: Any, work: Any, iwork: Any, at: int, pivots: Any
) -> bool:
    """By the model's own code; the first pivot is -1 where that served."""
    lin, ilin = ints[AT_LIN], ints[AT_ILIN]
    v = lin + iwork[ilin + VECTOR]
    work[v] = imaginary
    work[v + 1] = beta
    call_along_at(address, alpha, work, lin + iwork[ilin + JACOBIAN], work, work, v, work, at)
    if work[at] != 1.0:
        return False
    pivots[0] = -1
    return True


@inner()
def _sparse_room(n: int, iwork: Any, start: int) -> Any:
    """(integers, numbers) of the sparse factorisation whose integers begin at `start`."""
    room_l, room_u = iwork[start + ROOM_L], iwork[start + ROOM_U]
    return HEAD + 5 * n + 2 * (n + 1) + room_l + room_u, 2 * n + room_l + room_u


@inner("contract")
def factor(alpha: float, beta: float, ints: Any, work: Any, iwork: Any) -> bool:
    """Factors of alpha M - beta J; False if singular or not finite."""
    ints[COUNT_LU] += 1
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    at = lin + iwork[ilin + FACTORS]
    pivots = view(iwork, ilin + iwork[ilin + PIVOTS], n)
    if kind == DENSE_LU:
        own = iwork[ilin + WRITTEN_FACTOR]
        if own != 0 and _factor_written(own, alpha, 0.0, beta, ints, work, iwork, at, pivots):
            return True
        w = view(work, at, n * n)
        _assemble(alpha, beta, ints, work, iwork, w)
        if iwork[ilin + DGETRF] != 0:
            return bool(factorise_large(iwork[ilin + DGETRF], n, w, pivots))
        return bool(factorise(w.reshape(n, n), pivots))
    if kind == BANDED:
        width = 2 * ints[LOWER] + ints[UPPER] + 1
        return bool(_factor_banded(alpha, beta, ints, work, iwork, view(work, at, n * width), pivots))
    entries = iwork[ilin + ENTRIES]
    indptr = view(iwork, ilin + iwork[ilin + W_INDPTR], n + 1)
    indices = view(iwork, ilin + iwork[ilin + W_INDICES], entries)
    if kind == SPARSE_LU:
        w = view(work, lin + iwork[ilin + W_VALUES], entries)
        _assemble(alpha, beta, ints, work, iwork, w)
        start = ilin + iwork[ilin + PIVOTS]
        n_ints, n_numbers = _sparse_room(n, iwork, start)
        s, v = view(iwork, start, n_ints), view(work, at, n_numbers)
        return bool(factorise_sparse(n, indptr, indices, w, s, v))
    w = view(work, at, entries)
    _assemble(alpha, beta, ints, work, iwork, w)
    point = lin + iwork[ilin + POINT]
    work[point + 1] = alpha
    work[point + 2] = beta
    diagonal = view(iwork, ilin + iwork[ilin + DIAGONAL], n)
    return bool(incomplete_factors(n, indptr, indices, diagonal, w, pivots))


@inner("contract")
def solve(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int) -> bool:
    """W x = b for b (n) at work[at:], in place; False where an iteration has not converged."""
    ints[COUNT_SOLVE] += 1
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    place = lin + iwork[ilin + FACTORS]
    pivots = view(iwork, ilin + iwork[ilin + PIVOTS], n)
    b = view(work, at, n)
    if kind == DENSE_LU:
        if pivots[0] < 0:
            call_at(iwork[ilin + WRITTEN_SOLVE], 0.0, work, place, work, work, at)
            return True
        w = view(work, place, n * n)
        if iwork[ilin + DGETRF] != 0:
            solve_large(iwork[ilin + DGETRS], n, w, pivots, b)
        else:
            solve_row(w.reshape(n, n), pivots, b.reshape(1, n), 0)
        return True
    if kind == KRYLOV:
        entries = iwork[ilin + ENTRIES]
        point = lin + iwork[ilin + POINT]
        size = (RESTART + 4) * n + RESTART * (RESTART + 1) + 3 * (RESTART + 1)
        return bool(
            gmres(
                fn[JVP], view(work, point, 3 + n), p, n, work, ints[AT_MASS] if ints[HAS_MASS] != 0 else -1,
                view(iwork, ilin + iwork[ilin + W_INDPTR], n + 1),
                view(iwork, ilin + iwork[ilin + W_INDICES], entries),
                view(iwork, ilin + iwork[ilin + DIAGONAL], n), view(work, place, entries),
                view(work, point + 3 + n, n), b, view(work, lin + iwork[ilin + BASIS], size),
            )
        )  # fmt: skip
    x = view(work, lin + iwork[ilin + VECTOR], n)
    rows, columns = ilin + iwork[ilin + ROWS], ilin + iwork[ilin + COLUMNS]
    _solve_ordered(kind, ints, iwork, work, place, ilin + iwork[ilin + PIVOTS], rows, columns, b, x, work)
    return True


@inner("contract")
def _solve_ordered(
    kind: int, ints: Any, iwork: Any, work: Any, place: int, start: int, rows: int, columns: int,
    b: Any, x: Any, numbers: Any,
) -> None:  # fmt: skip
    """Banded and sparse: into the order of the factors, solve, and back; `numbers` holds the factors."""
    n = ints[N]
    if kind == BANDED:
        w = view(numbers, place, n * (2 * ints[LOWER] + ints[UPPER] + 1))
        pivots = view(iwork, start, n)
        if iwork[ints[AT_ILIN] + NATURAL] != 0:
            _solve_banded(w, ints[LOWER], ints[UPPER], pivots, b)
            return
        for i in range(n):
            x[iwork[rows + i]] = b[i]
        _solve_banded(w, ints[LOWER], ints[UPPER], pivots, x)
    else:
        n_ints, n_numbers = _sparse_room(n, iwork, start)
        s = view(iwork, start, n_ints)
        for i in range(n):
            x[s[HEAD + iwork[rows + i]]] = b[i]
        solve_sparse(n, s, view(numbers, place, n_numbers), x)
    for i in range(n):
        b[i] = x[iwork[columns + i]]


@inner()
def _complex_places(which: int, ints: Any, iwork: Any) -> Any:
    """Where the complex factors `which` and their integers begin."""
    n, kind, ilin = ints[N], ints[LINEAR], ints[AT_ILIN]
    numbers, integers = n * n + 1, n
    start = ilin + iwork[ilin + COMPLEX_PIVOTS]
    if kind == BANDED:
        numbers = n * (2 * ints[LOWER] + ints[UPPER] + 1)
    elif kind == SPARSE_LU:
        integers, numbers = _sparse_room(n, iwork, start)
    return ints[AT_LIN] + iwork[ilin + COMPLEX_FACTORS] + 2 * numbers * which, start + integers * which


@inner("contract")
def factor_complex(alpha: complex, beta: float, which: int, ints: Any, work: Any, iwork: Any) -> bool:
    """As `factor` for a complex `alpha`; not for KRYLOV, and `which` below the number the plan made room for."""
    ints[COUNT_LU] += 1
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    at, start = _complex_places(which, ints, iwork)
    pivots = view(iwork, start, n)
    if kind == DENSE_LU:
        own = iwork[ilin + WRITTEN_FACTOR_COMPLEX]
        served = iwork[ilin + iwork[ilin + PIVOTS]] < 0  # for the real matrix that belongs to the same J
        if own != 0 and served and _factor_written(own, alpha.real, alpha.imag, beta, ints, work, iwork, at, pivots):
            return True
        if iwork[ilin + ZGETRF] != 0:
            w = view(work, at, 2 * n * n).view(np.complex128)
            _assemble(alpha, beta, ints, work, iwork, w)
            return bool(factorise_large(iwork[ilin + ZGETRF], n, w, pivots))
        jacobian = lin + iwork[ilin + JACOBIAN]
        mass = ints[AT_MASS] if ints[HAS_MASS] != 0 else -1
        a = view(work, at, 2 * n * n).reshape(n, 2 * n)
        for i in range(n):
            for j in range(n):
                a[i, j] = -beta * work[jacobian + i * n + j]
                a[i, n + j] = 0.0
            m = work[mass + i] if mass >= 0 else 1.0
            a[i, i] += alpha.real * m
            a[i, n + i] = alpha.imag * m
        return bool(factorise_complex(a, pivots))
    if kind == BANDED:
        width = 2 * ints[LOWER] + ints[UPPER] + 1
        w = view(work, at, 2 * n * width).view(np.complex128)
        return bool(_factor_banded(alpha, beta, ints, work, iwork, w, pivots))
    if kind != SPARSE_LU:
        return False
    entries = iwork[ilin + ENTRIES]
    w = view(work, lin + iwork[ilin + W_VALUES], 2 * entries).view(np.complex128)
    _assemble(alpha, beta, ints, work, iwork, w)
    n_ints, n_numbers = _sparse_room(n, iwork, start)
    v = view(work, at, 2 * n_numbers).view(np.complex128)
    indptr = view(iwork, ilin + iwork[ilin + W_INDPTR], n + 1)
    indices = view(iwork, ilin + iwork[ilin + W_INDICES], entries)
    return bool(factorise_sparse(n, indptr, indices, w, view(iwork, start, n_ints), v))


@inner("contract")
def solve_complex(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int, which: int) -> bool:
    """As `solve` with the complex factors `which`; b is n complex numbers, 2 n doubles at work[at:]."""
    ints[COUNT_SOLVE] += 1
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    place, start = _complex_places(which, ints, iwork)
    b = view(work, at, 2 * n).view(np.complex128)
    if kind == DENSE_LU:
        w = view(work, place, 2 * n * n)
        pivots = view(iwork, start, n)
        if pivots[0] < 0:
            call_at(iwork[ilin + WRITTEN_SOLVE_COMPLEX], 0.0, work, place, work, work, at)
            return True
        if iwork[ilin + ZGETRF] != 0:
            solve_large(iwork[ilin + ZGETRS], n, w.view(np.complex128), pivots, b)
        else:
            solve_complex_dense(w.reshape(n, 2 * n), pivots, view(work, at, 2 * n))
        return True
    if kind == KRYLOV:
        return False
    x = view(work, lin + iwork[ilin + COMPLEX_VECTOR], 2 * n).view(np.complex128)
    rows, columns = ilin + iwork[ilin + ROWS], ilin + iwork[ilin + COLUMNS]
    size = work.size - place
    numbers = view(work, place, size - size % 2).view(np.complex128)
    _solve_ordered(kind, ints, iwork, work, 0, start, rows, columns, b, x, numbers)
    return True


@inner("contract")
def multiply(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int, out: int) -> None:
    """J v with the Jacobian kept: v (n) at work[at:], the product to work[out:]."""
    n, kind, lin, ilin = ints[N], ints[LINEAR], ints[AT_LIN], ints[AT_ILIN]
    values = lin + iwork[ilin + JACOBIAN]
    if kind == KRYLOV:
        point = lin + iwork[ilin + POINT]
        call_along_at(fn[JVP], work[point], work, point + 3, p, work, at, work, out)
        return
    if kind == DENSE_LU:
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += work[values + i * n + j] * work[at + j]
            work[out + i] = total
        return
    indptr, indices = ilin + iwork[ilin + J_INDPTR], ilin + iwork[ilin + J_INDICES]
    for i in range(n):
        total = 0.0
        for q in range(iwork[indptr + i], iwork[indptr + i + 1]):
            total += work[values + q] * work[at + iwork[indices + q]]
        work[out + i] = total
