"""Small dense linear algebra of the implicit methods: LU with partial pivoting.

Written here because calling LAPACK costs more than the whole work at the sizes
that matter most (n below twenty).  Matrices are flat or row-major; rows are
updated as wholes, so the inner loops vectorise and zeros of sparse Jacobians are
skipped.  G. H. Golub & C. F. Van Loan, Matrix Computations, 3.4.
"""

from __future__ import annotations

from typing import Any

from ..compiled import inner

SMALL = 16


@inner("contract")
def factorise(a: Any, pivots: Any) -> bool:
    """Replace `a` (n, n) by its L and U; `pivots` (n) gets the row exchanges.  False if singular.

    The diagonal of U is stored as its inverse, because each step solves many times.
    """
    n = a.shape[0]
    for k in range(n):
        best = k
        largest = abs(a[k, k])
        for i in range(k + 1, n):
            size = abs(a[i, k])
            if size > largest:
                largest = size
                best = i
        pivots[k] = best
        if not largest > 0.0:  # also catches NaN
            return False
        if best != k:
            for j in range(n):
                swap = a[k, j]
                a[k, j] = a[best, j]
                a[best, j] = swap
        inverse = 1.0 / a[k, k]
        a[k, k] = inverse
        for i in range(k + 1, n):
            factor = a[i, k]
            if factor != 0.0:
                factor *= inverse
                a[i, k] = factor
                for j in range(k + 1, n):
                    a[i, j] -= factor * a[k, j]
    return True


@inner("contract", "reassoc")
def _dot(a: Any, i: int, b: Any, row: int, first: int, last: int) -> float:
    total = 0.0
    for j in range(first, last):
        total += a[i, j] * b[row, j]
    return total


@inner("contract")
def solve_row(a: Any, pivots: Any, b: Any, row: int) -> None:
    """Solve in place for the right-hand side `b[row]` (n)."""
    n = a.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            swap = b[row, k]
            b[row, k] = b[row, other]
            b[row, other] = swap
    if n > SMALL:  # short sums lose more by vectorising than they gain
        for i in range(1, n):
            b[row, i] -= _dot(a, i, b, row, 0, i)
        for i in range(n - 1, -1, -1):
            b[row, i] = (b[row, i] - _dot(a, i, b, row, i + 1, n)) * a[i, i]
        return
    for i in range(1, n):
        total = b[row, i]
        for j in range(i):
            total -= a[i, j] * b[row, j]
        b[row, i] = total
    for i in range(n - 1, -1, -1):
        total = b[row, i]
        for j in range(i + 1, n):
            total -= a[i, j] * b[row, j]
        b[row, i] = total * a[i, i]


@inner("contract")
def solve_columns(a: Any, pivots: Any, b: Any, row: int, m: int) -> None:
    """Solve in place for the m right-hand sides in `b[row]`, an (n, m) matrix kept flat."""
    n = a.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            for c in range(m):
                swap = b[row, k * m + c]
                b[row, k * m + c] = b[row, other * m + c]
                b[row, other * m + c] = swap
    for i in range(1, n):
        for j in range(i):
            factor = a[i, j]
            if factor != 0.0:
                for c in range(m):
                    b[row, i * m + c] -= factor * b[row, j * m + c]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            factor = a[i, j]
            if factor != 0.0:
                for c in range(m):
                    b[row, i * m + c] -= factor * b[row, j * m + c]
        inverse = a[i, i]
        for c in range(m):
            b[row, i * m + c] *= inverse
