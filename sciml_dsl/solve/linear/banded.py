"""LU of banded matrices with partial pivoting.

Row i of the matrix stands in row i of `a` (n, 2 lower + upper + 1), column j at place
j - i + lower; the last `lower` places of each row take the fill of row exchanges.
Rows are stored as wholes because every inner loop runs along a row.  G. H. Golub &
C. F. Van Loan, Matrix Computations, 4.3.
"""

from __future__ import annotations

from typing import Any

from ..compiled import inner


@inner("contract")
def factorise_banded(a: Any, lower: int, upper: int, pivots: Any) -> bool:
    """Replace `a` by its factors; the diagonal of U as its inverse.  False if singular."""
    n = a.shape[0]
    for k in range(n):
        last = min(n - 1, k + lower)
        best = k
        largest = abs(a[k, lower])
        for i in range(k + 1, last + 1):
            size = abs(a[i, k - i + lower])
            if size > largest:
                largest = size
                best = i
        pivots[k] = best
        if not largest > 0.0:  # also catches NaN
            return False
        width = min(n - k, lower + upper + 1)
        if best != k:
            shift = k - best + lower
            for j in range(width):
                swap = a[k, lower + j]
                a[k, lower + j] = a[best, shift + j]
                a[best, shift + j] = swap
        inverse = 1.0 / a[k, lower]
        a[k, lower] = inverse
        for i in range(k + 1, last + 1):
            shift = k - i + lower
            factor = a[i, shift]
            if factor != 0.0:
                factor *= inverse
                a[i, shift] = factor
                for j in range(1, width):
                    a[i, shift + j] -= factor * a[k, lower + j]
    return True


@inner("contract")
def solve_banded(a: Any, lower: int, upper: int, pivots: Any, b: Any) -> None:
    """Solve in place for the right-hand side `b` (n)."""
    n = a.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            swap = b[k]
            b[k] = b[other]
            b[other] = swap
        value = b[k]
        if value != 0.0:
            for i in range(k + 1, min(n, k + lower + 1)):
                b[i] -= a[i, k - i + lower] * value
    reach = lower + upper
    for i in range(n - 1, -1, -1):
        total = b[i]
        for j in range(1, min(n - 1 - i, reach) + 1):
            total -= a[i, lower + j] * b[i + j]
        b[i] = total * a[i, lower]
