"""Restarted GMRES with an incomplete LU of W as preconditioner: no factors, products only.

Y. Saad & M. H. Schultz, GMRES, SIAM J. Sci. Stat. Comput. 7 (1986) 856-869, preconditioned
from the left, in the norm in which errors are judged (weights 1/(atol + rtol |u|)), so that
the iteration stops when the solution is right to a small part of the tolerance: P. N. Brown
& A. C. Hindmarsh, Appl. Math. Comput. 31 (1989) 40-91.  The preconditioner keeps the
pattern of W, ILU(0): Y. Saad, Iterative Methods for Sparse Linear Systems (2003), 10.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..call import call_along_at
from ..compiled import inner
from .layout import RESTART

CYCLES = 10  # restarts before giving up
ROUNDING = 1e-12
ACCURACY = 1e-5  # part of the tolerance; stages of Rosenbrock methods magnify it about 25 times


@inner("contract")
def incomplete_factors(n: int, indptr: Any, indices: Any, diagonal: Any, a: Any, place: Any) -> bool:
    """Replace the rows `a` by their incomplete factors, the diagonal by its inverse.  False for a zero pivot.

    `diagonal` (n) are the places of the diagonal, `place` (n) is work.
    """
    for i in range(n):
        place[i] = -1
    for i in range(n):
        for q in range(indptr[i], indptr[i + 1]):
            place[indices[q]] = q
        for q in range(indptr[i], diagonal[i]):
            k = indices[q]
            factor = a[q] * a[diagonal[k]]
            a[q] = factor
            for r in range(diagonal[k] + 1, indptr[k + 1]):
                at = place[indices[r]]
                if at >= 0:
                    a[at] -= factor * a[r]
        pivot = a[diagonal[i]]
        if not abs(pivot) > 0.0:
            return False
        a[diagonal[i]] = 1.0 / pivot
        for q in range(indptr[i], indptr[i + 1]):
            place[indices[q]] = -1
    return True


@inner("contract")
def _precondition(n: int, indptr: Any, indices: Any, diagonal: Any, a: Any, b: Any, at: int) -> None:
    for i in range(n):
        total = b[at + i]
        for q in range(indptr[i], diagonal[i]):
            total -= a[q] * b[at + indices[q]]
        b[at + i] = total
    for i in range(n - 1, -1, -1):
        total = b[at + i]
        for q in range(diagonal[i] + 1, indptr[i + 1]):
            total -= a[q] * b[at + indices[q]]
        b[at + i] = total * a[diagonal[i]]


@inner("contract", "reassoc")
def _dot(n: int, a: Any, at: int, b: Any, at_b: int) -> float:
    total = 0.0
    for i in range(n):
        total += a[at + i] * b[at_b + i]
    return total


@inner("contract")
def _multiply(
    jvp: int, point: Any, p: Any, n: int, mass: Any, at_mass: int, weights: Any, a: Any, at: int, out: int, spare: int
) -> None:
    """out = W x for x = a[at:] / weights; `spare` (n) in `a` is overwritten.  Not yet preconditioned."""
    alpha, beta = point[1], point[2]
    for i in range(n):
        a[spare + i] = a[at + i] / weights[i]
    call_along_at(jvp, point[0], point, 3, p, a, spare, a, out)
    for i in range(n):
        m = mass[at_mass + i] if at_mass >= 0 else 1.0
        a[out + i] = alpha * m * a[spare + i] - beta * a[out + i]


@inner("contract")
def gmres(
    jvp: int, point: Any, p: Any, n: int, mass: Any, at_mass: int, indptr: Any, indices: Any, diagonal: Any,
    factors: Any, weights: Any, b: Any, basis: Any,
) -> bool:  # fmt: skip
    """Solve W x = b in place.  False if the accuracy was not reached.

    `point`: t, alpha, beta and the state of the Jacobian; `mass` at `at_mass` (or -1: identity);
    `weights` (n) of the norm; `basis`: (RESTART + 1) n for the basis, 3 n work, then
    RESTART (RESTART + 1) for the Hessenberg matrix and 3 (RESTART + 1).
    """
    m = RESTART
    right, spare, solution = (m + 1) * n, (m + 2) * n, (m + 3) * n
    h = (m + 4) * n
    cosine = h + m * (m + 1)
    sine = cosine + m + 1
    g = sine + m + 1
    target = ACCURACY * np.sqrt(float(n))
    for i in range(n):
        basis[right + i] = b[i]
        basis[solution + i] = 0.0
    _precondition(n, indptr, indices, diagonal, factors, basis, right)
    for i in range(n):
        basis[right + i] *= weights[i]
    for cycle in range(CYCLES):
        if cycle == 0:
            for i in range(n):
                basis[i] = basis[right + i]
        else:
            _multiply(jvp, point, p, n, mass, at_mass, weights, basis, solution, 0, spare)
            _precondition(n, indptr, indices, diagonal, factors, basis, 0)
            for i in range(n):
                basis[i] = basis[right + i] - weights[i] * basis[i]
        norm = np.sqrt(_dot(n, basis, 0, basis, 0))
        if not norm < np.inf:
            return False
        if cycle == 0:  # no better than a direct solution with its rounding
            target = max(target, ROUNDING * norm)
        if norm <= target:
            break
        for i in range(n):
            basis[i] /= norm
        basis[g] = norm
        used = 0
        for j in range(m):
            out = (j + 1) * n
            _multiply(jvp, point, p, n, mass, at_mass, weights, basis, j * n, out, spare)
            _precondition(n, indptr, indices, diagonal, factors, basis, out)
            for i in range(n):
                basis[out + i] *= weights[i]
            before = np.sqrt(_dot(n, basis, out, basis, out))
            for sweep in range(2):  # once more where cancellation has cost digits
                for l in range(j + 1):
                    value = _dot(n, basis, out, basis, l * n)
                    basis[h + l * m + j] = value if sweep == 0 else basis[h + l * m + j] + value
                    for i in range(n):
                        basis[out + i] -= value * basis[l * n + i]
                length = np.sqrt(_dot(n, basis, out, basis, out))
                if length > 0.1 * before:
                    break
            used = j + 1
            for l in range(j):
                x, y = basis[h + l * m + j], basis[h + (l + 1) * m + j]
                basis[h + l * m + j] = basis[cosine + l] * x + basis[sine + l] * y
                basis[h + (l + 1) * m + j] = basis[cosine + l] * y - basis[sine + l] * x
            x = basis[h + j * m + j]
            radius = np.sqrt(x * x + length * length)
            if not (radius > 0.0 and radius < np.inf):
                return False
            basis[cosine + j] = x / radius
            basis[sine + j] = length / radius
            basis[h + j * m + j] = radius
            basis[g + j + 1] = -basis[sine + j] * basis[g + j]
            basis[g + j] *= basis[cosine + j]
            norm = abs(basis[g + j + 1])
            if norm <= target or length <= 1e-14 * before:
                break
            for i in range(n):
                basis[out + i] /= length
        for j in range(used - 1, -1, -1):
            total = basis[g + j]
            for l in range(j + 1, used):
                total -= basis[h + j * m + l] * basis[g + l]
            basis[g + j] = total / basis[h + j * m + j]
        for j in range(used):
            y = basis[g + j]
            for i in range(n):
                basis[solution + i] += y * basis[j * n + i]
        if norm <= target:
            break
    if not norm <= target:
        return False
    for i in range(n):
        b[i] = basis[solution + i] / weights[i]
    return True
