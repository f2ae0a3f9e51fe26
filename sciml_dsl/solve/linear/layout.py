"""Kinds of linear algebra, and where each keeps what it needs.

Everything of one integration stands in two arrays, doubles from `work[ints[AT_LIN]:]` and
integers from `iwork[ints[AT_ILIN]:]`.  The integers begin with the slots below; places
in them count from those two starts.  `plan.Plan.integers` is their initial content.
"""

from __future__ import annotations

DENSE_LU, BANDED, SPARSE_LU, KRYLOV = range(4)
NAMES = {"dense": DENSE_LU, "banded": BANDED, "sparse": SPARSE_LU, "krylov": KRYLOV}

(
    JACOBIAN,  # doubles: values of the Jacobian (dense n*n, otherwise nnz)
    FACTORS,  # doubles: factors of W
    VECTOR,  # doubles: n
    COMPLEX_FACTORS,  # doubles: factors of a complex W; -1 where none was asked for
    COMPLEX_VECTOR,  # doubles: 2 n
    PIVOTS,  # integers: row exchanges, or all integers of a sparse factorisation
    COMPLEX_PIVOTS,
    PLACES,  # integers (nnz): where each value of the Jacobian goes in W
    DIAGONAL,  # integers (n): where the diagonal of state i goes in W
    ROWS,  # integers (n): position in the factorisation of equation i
    COLUMNS,  # integers (n): position in the factorisation of state i
    ENTRIES,  # stored entries of W (sparse)
    W_INDPTR,  # integers (n + 1): columns of W (sparse), rows of W (Krylov)
    W_INDICES,  # integers
    W_VALUES,  # doubles: entries of W before factorisation (sparse; room for complex ones)
    J_INDPTR,  # integers (n + 1): the Jacobian's rows
    J_INDICES,  # integers (nnz)
    POINT,  # doubles: t, alpha, beta, then u (n), where the Jacobian was taken (Krylov)
    BASIS,  # doubles: vectors of GMRES
    DGETRF,  # addresses of LAPACK for large dense matrices, or 0
    DGETRS,
    ZGETRF,
    ZGETRS,
    NATURAL,  # 1: equations and states are factorised in their own order (banded)
    WRITTEN_FACTOR,  # addresses of the model's own factorisation (codegen.written_factors), or 0
    WRITTEN_SOLVE,
    WRITTEN_FACTOR_COMPLEX,
    WRITTEN_SOLVE_COMPLEX,
) = range(28)
SLOTS = 28

LARGE_DENSE = 48
"""States from which LAPACK's blocked factorisation is faster than plain loops."""
RESTART = 30  # basis vectors of GMRES before it starts again

# A sparse factorisation: these three numbers, then `pinv`, `stack`, `place`, `mark`, `path` (n each; `stack` and
# `place` become `ls` and `us`, where the run of adjacent rows begins that ends a column of L or U), `lp`, `up`
# (n + 1 each), `li`, `ui`; its numbers are `x` and the inverse diagonal (n each), `lx`, `ux`.
HEAD = 3
KNOWN, ROOM_L, ROOM_U = range(HEAD)


def sparse_sizes(n: int, room: int) -> tuple[int, int]:
    """(numbers, integers) a sparse factorisation with `room` entries in each factor takes."""
    return 2 * n + 2 * room, HEAD + 5 * n + 2 * (n + 1) + 2 * room
