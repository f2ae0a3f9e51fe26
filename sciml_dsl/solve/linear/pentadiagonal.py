"""LU of matrices with at most two entries on each side of the diagonal, without row exchanges.

What the method of lines gives in one dimension.  The last two rows stay in registers,
so a row costs little more than the latency of one division.  Pivots come from the
diagonal as long as no multiplier exceeds `LARGEST` (threshold pivoting: I. S. Duff, A. M. Erisman &
J. K. Reid, Direct Methods for Sparse Matrices, 5.4); where one does, the caller
factorises with row exchanges (`banded`).  The layout is that of `banded` with lower = upper = 2.
L and U have ones on their diagonals, the inverse of D lies between them.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from ..compiled import inner

LARGEST = 10.0
WIDTH = 7


def reciprocal(z: Any) -> Any:
    """1/z, without the branches of a general complex division."""
    raise NotImplementedError("for compiled code")


@overload(reciprocal, inline="always")
def _reciprocal(z: Any) -> Any:
    if isinstance(z, types.Complex):

        def divide(z: Any) -> Any:
            scale = 1.0 / max(abs(z.real), abs(z.imag))  # the square alone could leave the range of doubles
            x, y = z.real * scale, z.imag * scale
            scale /= x * x + y * y
            return complex(x * scale, -y * scale)

    else:

        def divide(z: Any) -> Any:
            return 1.0 / z

    return divide


def size(z: Any) -> Any:
    """|z|, for complex numbers |re| + |im|."""
    raise NotImplementedError("for compiled code")


@overload(size, inline="always")
def _size(z: Any) -> Any:
    if isinstance(z, types.Complex):

        def measure(z: Any) -> Any:
            return abs(z.real) + abs(z.imag)

    else:

        def measure(z: Any) -> Any:
            return abs(z)

    return measure


@inner("contract")
def factorise_pentadiagonal(a: Any, n: int) -> bool:
    """Replace the rows in `a` (7 n) by their factors; False where pivots on the diagonal do not serve."""
    zero = a[0] * 0.0
    near1, near2, far1, far2 = zero, zero, zero, zero  # of the last row and the one before, right of the diagonal
    inverse, before = zero, zero
    good = True
    for i in range(n):
        at = i * WIDTH
        l2, l1, d, u1, u2 = a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]
        l1 -= l2 * far1
        d -= l2 * far2
        d -= l1 * near1
        u1 -= l1 * near2
        l1 *= inverse
        l2 *= before
        good = good and size(l1) <= LARGEST and size(l2) <= LARGEST  # false for NaN too
        before = inverse
        inverse = reciprocal(d)
        a[at], a[at + 1], a[at + 2] = l2, l1, inverse
        far1, far2 = near1, near2
        near1, near2 = u1 * inverse, u2 * inverse
        a[at + 3], a[at + 4] = near1, near2
    return bool(good and size(inverse) < 1e300)


@inner("contract")
def solve_pentadiagonal(a: Any, n: int, b: Any) -> None:
    """Solve in place for the right-hand side `b` (n)."""
    last = b[0] * 0.0
    before = last
    for i in range(n):
        at = i * WIDTH
        x = b[i] - a[at] * before
        before = last
        last = x - a[at + 1] * last
        b[i] = last
    last = last * 0.0
    before = last
    for i in range(n - 1, -1, -1):
        at = i * WIDTH
        x = b[i] * a[at + 2] - a[at + 4] * before
        before = last
        last = x - a[at + 3] * last
        b[i] = last
