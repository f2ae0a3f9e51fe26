"""LU of small dense complex matrices, for the implicit methods with complex factors.

A row holds its n real parts and then its n imaginary parts, so that the inner loops vectorise;
pivots are compared by |re| + |im|, because the modulus costs more than the whole row operation.
G. H. Golub & C. F. Van Loan, Matrix Computations, 3.4.
"""

from __future__ import annotations

from typing import Any

from ..compiled import inner


@inner("contract")
def factorise_complex(a: Any, pivots: Any) -> bool:
    """Replace `a` (n, 2 n) by its L and U; `pivots` (n) gets the row exchanges.  False if singular.

    The diagonal of U is stored as its inverse, because each step solves many times.
    """
    n = a.shape[0]
    for k in range(n):
        best = k
        largest = abs(a[k, k]) + abs(a[k, n + k])
        for i in range(k + 1, n):
            size = abs(a[i, k]) + abs(a[i, n + k])
            if size > largest:
                largest = size
                best = i
        pivots[k] = best
        if not largest > 0.0:  # also catches NaN
            return False
        if best != k:
            for j in range(2 * n):
                swap = a[k, j]
                a[k, j] = a[best, j]
                a[best, j] = swap
        x, y = a[k, k], a[k, n + k]
        scale = 1.0 / largest  # the square of a tiny or huge modulus would leave the range of doubles
        x, y = x * scale, y * scale
        size = scale / (x * x + y * y)
        x, y = x * size, -y * size
        a[k, k], a[k, n + k] = x, y
        for i in range(k + 1, n):
            re, im = a[i, k], a[i, n + k]
            if re != 0.0 or im != 0.0:
                re, im = re * x - im * y, re * y + im * x
                a[i, k], a[i, n + k] = re, im
                for j in range(k + 1, n):
                    a[i, j] -= re * a[k, j] - im * a[k, n + j]
                    a[i, n + j] -= re * a[k, n + j] + im * a[k, j]
    return True


@inner("contract")
def solve_complex_dense(a: Any, pivots: Any, b: Any) -> None:
    """Solve in place for the right-hand side `b`: n complex numbers, real and imaginary parts in turn."""
    n = a.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            for part in range(2):
                swap = b[2 * k + part]
                b[2 * k + part] = b[2 * other + part]
                b[2 * other + part] = swap
    for i in range(1, n):
        re, im = b[2 * i], b[2 * i + 1]
        for j in range(i):
            re -= a[i, j] * b[2 * j] - a[i, n + j] * b[2 * j + 1]
            im -= a[i, j] * b[2 * j + 1] + a[i, n + j] * b[2 * j]
        b[2 * i], b[2 * i + 1] = re, im
    for i in range(n - 1, -1, -1):
        re, im = b[2 * i], b[2 * i + 1]
        for j in range(i + 1, n):
            re -= a[i, j] * b[2 * j] - a[i, n + j] * b[2 * j + 1]
            im -= a[i, j] * b[2 * j + 1] + a[i, n + j] * b[2 * j]
        x, y = a[i, i], a[i, n + i]
        b[2 * i], b[2 * i + 1] = re * x - im * y, re * y + im * x
