"""Which linear algebra an implicit method uses for a model, and the analysis it needs, made once.

`plan(n, indptr, indices, ...)` looks at the pattern of the Jacobian alone and gives a
`Plan`: the kind, the bandwidths or the order of elimination, how much memory the
integration must provide, and the integers to start it with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, UnknownNameError, suggest
from ..problem import NativeFunctions
from . import layout

Indices = NDArray[np.int64]

SMALL = 12
"""States up to which dense is best whatever the pattern."""
DENSE_OPERATION = 0.5  # ns for one multiplication in loops over whole rows
LAPACK_OPERATION, LAPACK_ENTRY = 0.07, 2.2  # blocked, and what the blocks cost
BANDED_OPERATION = 0.8
BANDED_ROW = 12.0  # ns for one row
SPARSE_OPERATION = 1.1  # the indirection
SPARSE_COLUMN = 40.0
LARGEST_FILL = 30_000_000
"""Entries in the factors above which iteration is chosen: half a gigabyte."""
LARGEST_DENSE = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Linear algebra for one model: `kind` and its data.

    `integers` are the first content of the integer area, `n_doubles` the size of the other;
    `describe` says in words what was chosen and why.
    """

    kind: int
    n: int
    nnz: int
    lower: int
    upper: int
    integers: Indices
    n_doubles: int
    n_complex: int
    describe: str

    @property
    def name(self) -> str:
        """ "dense", "banded", "sparse" or "krylov"."""
        return next(name for name, kind in layout.NAMES.items() if kind == self.kind)


def plan_for(functions: NativeFunctions, **options: Any) -> Plan:
    """`plan` for compiled functions; what they lack (pattern, products) is taken as unknown."""
    more = functions.extend is not None
    known = functions.jac_values != 0 or more
    indptr, indices = (functions.jac_indptr, functions.jac_indices) if known else (None, None)
    if functions.mass:
        options.setdefault("algebraic", np.array(functions.mass) == 0.0)
    return plan(functions.n, indptr, indices, jvp=functions.jvp != 0 or more, **options)


def plan(
    n: int,
    indptr: Indices | None = None,
    indices: Indices | None = None,
    *,
    jvp: bool = False,
    requested: str = "auto",
    n_complex: int = 0,
    algebraic: NDArray[np.bool_] | None = None,
    written: tuple[int, ...] = (),
) -> Plan:
    """The linear algebra for `n` states and a Jacobian with the CSR pattern `indptr`, `indices`.

    Without a pattern it is dense.  `jvp`: products by the Jacobian exist; `requested`: "auto",
    "dense", "banded", "sparse" or "krylov"; `n_complex`: how many complex factors are kept (Radau);
    `algebraic` (n): which equations have a zero in the mass matrix; `written`: addresses of the model's own
    factorisation, real and complex.

    "auto" estimates what one factorisation costs each way, from the bandwidth (as written, or
    after reverse Cuthill-McKee) and from the fill after minimum degree, and takes the
    cheapest; with few states dense at once; and iteration where the factors would
    not fit the memory.

    Raises `UnknownNameError` for another name, `InputError` where the kind does not fit the model.

    Example
    -------
    >>> import numpy as np
    >>> n = 200
    >>> rows = [[j for j in (i - 1, i, i + 1) if 0 <= j < n] for i in range(n)]
    >>> indptr = np.cumsum([0, *map(len, rows)])
    >>> plan(n, indptr, np.concatenate(rows)).name
    'banded'
    """
    if requested != "auto" and requested not in layout.NAMES:
        hint = suggest(str(requested), layout.NAMES)
        raise UnknownNameError(
            f'unknown linear_solver {requested!r}; choose one of "auto", "dense", "banded", "sparse", "krylov"'
            + (f" ({hint})" if hint else "")
        )
    if indptr is None or indices is None:
        if requested not in ("auto", "dense"):
            raise InputError(f'linear_solver="{requested}" needs the pattern of the Jacobian, which is not known here')
        return _dense(n, None, None, n_complex, "the pattern of the Jacobian is not known")
    indptr, indices = np.asarray(indptr, np.int64), np.asarray(indices, np.int64)
    if written and requested in ("auto", "dense"):
        return _dense(n, indptr, indices, n_complex, "written out for this model", written)
    if requested == "dense":
        return _dense(n, indptr, indices, n_complex, "asked for")
    if requested == "auto" and n <= SMALL:
        return _dense(n, indptr, indices, n_complex, f"{n} states are few")
    if requested == "krylov":
        return _krylov(n, indptr, indices, jvp, n_complex, "asked for")
    band = _band(n, indptr, indices)
    if requested == "banded":
        return _banded(n, indptr, indices, band, n_complex, "asked for")
    dense_cost = np.inf
    if n <= LARGEST_DENSE:
        blocked = n**3 / 3 * LAPACK_OPERATION + n**2 * LAPACK_ENTRY
        dense_cost = n**3 / 3 * DENSE_OPERATION if n < layout.LARGE_DENSE else blocked
    banded_cost = n * (BANDED_ROW + band.lower * (band.lower + band.upper + 1) * BANDED_OPERATION)
    if requested == "auto" and min(band.lower, band.upper) <= 2 and banded_cost < dense_cost:
        return _banded(n, indptr, indices, band, n_complex, "the bandwidth is small")
    order = _elimination(n, indptr, indices, algebraic, LARGEST_FILL if requested == "auto" else 8 * LARGEST_FILL)
    if order.fill < 0:
        reason = f"factors would have more than {2 * LARGEST_FILL:,} entries"
        if requested == "sparse":
            raise InputError(f'linear_solver="sparse": {reason}; use linear_solver="krylov"')
        if banded_cost < 1e10 and n * (2 * band.lower + band.upper + 1) < LARGEST_FILL:
            return _banded(n, indptr, indices, band, n_complex, reason)
        return _krylov(n, indptr, indices, jvp, n_complex, reason)
    sparse_cost = n * SPARSE_COLUMN + order.work * SPARSE_OPERATION
    costs = {"dense": dense_cost, "banded": banded_cost, "sparse": sparse_cost}
    best = min(costs, key=lambda name: costs[name]) if requested == "auto" else requested
    reason = (
        "asked for"
        if requested != "auto"
        else "estimated costs of one factorisation: "
        + ", ".join(f"{name} {cost / 1e3:.3g} us" for name, cost in costs.items())
    )
    if best == "dense":
        return _dense(n, indptr, indices, n_complex, reason)
    if best == "banded":
        return _banded(n, indptr, indices, band, n_complex, reason)
    return _sparse(n, indptr, indices, order, n_complex, reason)


# ---------------------------------------------------------------- analysis


@dataclass(frozen=True, slots=True)
class _Band:
    lower: int
    upper: int
    place: Indices  # position of each state


@dataclass(frozen=True, slots=True)
class _Order:
    rows: Indices  # position of each equation
    columns: Indices  # position of each state
    fill: int
    work: int


def _rows_of(indptr: Indices) -> Indices:
    return np.repeat(np.arange(indptr.size - 1, dtype=np.int64), np.diff(indptr))


def _pattern(n: int, indptr: Indices, indices: Indices) -> Any:
    from scipy.sparse import csr_matrix

    ones = np.ones(indices.size, np.int8)
    return csr_matrix((ones, indices.astype(np.int32), indptr.astype(np.int32)), shape=(n, n))


def _widths(rows: Indices, columns: Indices) -> tuple[int, int]:
    if not rows.size:
        return 0, 0
    return int(max(0, (rows - columns).max())), int(max(0, (columns - rows).max()))


def _band(n: int, indptr: Indices, indices: Indices) -> _Band:
    rows = _rows_of(indptr)
    lower, upper = _widths(rows, indices)
    natural = _Band(lower, upper, np.arange(n, dtype=np.int64))
    if lower + upper <= 6:
        return natural
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    pattern = _pattern(n, indptr, indices)
    order = reverse_cuthill_mckee((pattern + pattern.T).tocsr(), symmetric_mode=True)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    lower, upper = _widths(place[rows], place[indices])
    other = _Band(lower, upper, place)
    return min((natural, other), key=lambda band: band.lower * (band.lower + band.upper + 1))


def _elimination(n: int, indptr: Indices, indices: Indices, algebraic: NDArray[np.bool_] | None, limit: int) -> _Order:
    """Minimum degree on the pattern of W + W^T, its rows first moved so that no diagonal entry is missing.

    W has the diagonal of the mass matrix, but an algebraic equation need not contain the
    state it is written under: for these the rows come from a maximum matching.
    """
    from .ordering import fill, minimum_degree

    match = np.arange(n, dtype=np.int64)  # equation i takes the place of state match[i]
    if algebraic is not None and algebraic.any():
        from scipy.sparse import diags
        from scipy.sparse.csgraph import maximum_bipartite_matching

        pattern = (_pattern(n, indptr, indices) + diags((~algebraic).astype(np.int8), dtype=np.int8)).tocsr()
        diagonal = pattern.diagonal() != 0
        if not diagonal.all():
            found = maximum_bipartite_matching(pattern, perm_type="column").astype(np.int64)
            if (found >= 0).all():  # otherwise W is singular in any order, which the factorisation reports
                match = _keep_diagonal(found, diagonal)
    moved = match[_rows_of(indptr)]
    symmetric = _symmetric(n, moved, indices)
    order = minimum_degree(n, symmetric[0], symmetric[1], limit)
    if not order.size:
        return _Order(order, order, -1, -1)
    entries, work = fill(n, symmetric[0], symmetric[1], order, limit)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    return _Order(place[match], place, int(entries), int(work))


def _keep_diagonal(found: Indices, diagonal: Any) -> Indices:
    """The matching `found`, undone along every cycle on which all diagonal entries exist."""
    match = found.copy()
    seen = np.zeros(found.size, bool)
    for first in range(found.size):
        cycle, i = [], first
        while not seen[i]:
            seen[i] = True
            cycle.append(i)
            i = int(found[i])
        if cycle and diagonal[cycle].all():
            match[cycle] = cycle
    return match


def _symmetric(n: int, rows: Indices, columns: Indices) -> tuple[Indices, Indices]:
    from scipy.sparse import coo_matrix

    off = rows != columns
    i, j = np.concatenate((rows[off], columns[off])), np.concatenate((columns[off], rows[off]))
    matrix = coo_matrix((np.ones(i.size, np.int8), (i, j)), shape=(n, n)).tocsr()
    matrix.sum_duplicates()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)


# ---------------------------------------------------------------- layouts


class _Layout:
    """Places in the two areas, handed out one after the other."""

    def __init__(self) -> None:
        self.slots = np.full(layout.SLOTS, 0, np.int64)
        self.slots[layout.COMPLEX_FACTORS] = -1
        self.parts: list[Indices] = []
        self.n_integers = layout.SLOTS
        self.n_doubles = 0

    def doubles(self, slot: int, size: int) -> None:
        self.slots[slot] = self.n_doubles
        self.n_doubles += size + size % 2  # complex numbers begin at even places

    def integers(self, slot: int, values: Indices) -> None:
        self.slots[slot] = self.n_integers
        self.parts.append(np.asarray(values, np.int64))
        self.n_integers += values.size

    def room(self, slot: int, size: int) -> None:
        self.integers(slot, np.zeros(size, np.int64))

    def plan(
        self, kind: int, n: int, nnz: int, n_complex: int, describe: str, lower: int = 0, upper: int = 0
    ) -> Plan:
        table = np.concatenate((self.slots, *self.parts))
        return Plan(kind, n, nnz, lower, upper, table, self.n_doubles, n_complex, describe)


def _dense(
    n: int, indptr: Indices | None, indices: Indices | None, n_complex: int, reason: str, written: tuple[int, ...] = ()
) -> Plan:
    from .lapack import addresses

    made = _Layout()
    made.doubles(layout.JACOBIAN, n * n)
    made.doubles(layout.FACTORS, n * n + 1)
    made.room(layout.PIVOTS, n)
    made.doubles(layout.VECTOR, 2)
    made.slots[layout.WRITTEN_FACTOR : layout.WRITTEN_FACTOR + len(written)] = written
    if n_complex:
        made.doubles(layout.COMPLEX_FACTORS, 2 * (n * n + 1) * n_complex)
        made.room(layout.COMPLEX_PIVOTS, n * n_complex)
    nnz = 0
    if indptr is not None and indices is not None:
        nnz = indices.size
        made.doubles(layout.W_VALUES, nnz)
        made.integers(layout.PLACES, _rows_of(indptr) * n + indices)
    if n >= layout.LARGE_DENSE:
        made.slots[layout.DGETRF], made.slots[layout.DGETRS], made.slots[layout.ZGETRF], made.slots[layout.ZGETRS] = (
            addresses()
        )
    return made.plan(layout.DENSE_LU, n, nnz, n_complex, f"dense LU: {reason}")


def _banded(n: int, indptr: Indices, indices: Indices, band: _Band, n_complex: int, reason: str) -> Plan:
    made = _Layout()
    words = f"banded LU, {band.lower} below and {band.upper} above the diagonal: {reason}"
    if max(band.lower, band.upper) <= 2:  # `pentadiagonal` serves
        band = _Band(2, 2, band.place)
    made.slots[layout.NATURAL] = bool((band.place == np.arange(n)).all())
    width = 2 * band.lower + band.upper + 1
    made.doubles(layout.JACOBIAN, indices.size)
    made.doubles(layout.FACTORS, n * width)
    made.doubles(layout.VECTOR, n)
    made.room(layout.PIVOTS, n)
    if n_complex:
        made.doubles(layout.COMPLEX_FACTORS, 2 * n * width * n_complex)
        made.doubles(layout.COMPLEX_VECTOR, 2 * n)
        made.room(layout.COMPLEX_PIVOTS, n * n_complex)
    place = band.place
    rows, columns = place[_rows_of(indptr)], place[indices]
    made.integers(layout.PLACES, rows * width + columns - rows + band.lower)
    made.integers(layout.DIAGONAL, place * width + band.lower)
    made.integers(layout.ROWS, place)
    made.integers(layout.COLUMNS, place)
    made.integers(layout.J_INDPTR, indptr)
    made.integers(layout.J_INDICES, indices)
    return made.plan(layout.BANDED, n, indices.size, n_complex, words, band.lower, band.upper)


def _sparse(n: int, indptr: Indices, indices: Indices, order: _Order, n_complex: int, reason: str) -> Plan:
    made = _Layout()
    everything = np.arange(n, dtype=np.int64)
    rows, columns = order.rows[_rows_of(indptr)], order.columns[indices]
    keys = np.concatenate((columns * n + rows, order.columns[everything] * n + order.rows[everything]))
    unique, place = np.unique(keys, return_inverse=True)
    place = place.reshape(-1)
    entries = unique.size
    starts = np.searchsorted(unique, np.arange(n + 1, dtype=np.int64) * n)
    made.doubles(layout.JACOBIAN, indices.size)
    made.doubles(layout.W_VALUES, entries * (2 if n_complex else 1))
    made.doubles(layout.VECTOR, n)
    full = n * (n - 1) // 2
    room = min(full, 3 * order.fill + 8 * n)
    numbers, integers = layout.sparse_sizes(n, room)
    head = np.zeros(integers, np.int64)
    head[layout.ROOM_L] = head[layout.ROOM_U] = room
    made.doubles(layout.FACTORS, numbers)
    made.integers(layout.PIVOTS, head)
    if n_complex:
        made.doubles(layout.COMPLEX_FACTORS, 2 * numbers * n_complex)
        made.doubles(layout.COMPLEX_VECTOR, 2 * n)
        made.integers(layout.COMPLEX_PIVOTS, np.tile(head, n_complex))
    made.slots[layout.ENTRIES] = entries
    made.integers(layout.W_INDPTR, starts)
    made.integers(layout.W_INDICES, unique % n)
    made.integers(layout.PLACES, place[: indices.size])
    made.integers(layout.DIAGONAL, place[indices.size :])
    made.integers(layout.ROWS, order.rows)
    made.integers(layout.COLUMNS, order.columns)
    made.integers(layout.J_INDPTR, indptr)
    made.integers(layout.J_INDICES, indices)
    words = f"sparse LU with {2 * order.fill + n:,} entries in the factors: {reason}"
    return made.plan(layout.SPARSE_LU, n, indices.size, n_complex, words)


def _krylov(n: int, indptr: Indices, indices: Indices, jvp: bool, n_complex: int, reason: str) -> Plan:
    if not jvp:
        raise InputError('linear_solver="krylov" needs products by the Jacobian (jvp), which this model does not have')
    if n_complex:
        raise InputError(
            'this method factorises complex matrices, which linear_solver="krylov" does not do; '
            "use an ESDIRK, BDF or Rosenbrock method"
        )
    made = _Layout()
    everything = np.arange(n, dtype=np.int64)
    keys = np.concatenate((_rows_of(indptr) * n + indices, everything * n + everything))
    unique, place = np.unique(keys, return_inverse=True)
    place = place.reshape(-1)
    starts = np.searchsorted(unique, np.arange(n + 1, dtype=np.int64) * n)
    made.doubles(layout.JACOBIAN, indices.size)
    made.doubles(layout.FACTORS, unique.size)
    made.doubles(layout.POINT, 3 + 2 * n)
    m = layout.RESTART
    made.doubles(layout.BASIS, (m + 4) * n + m * (m + 1) + 3 * (m + 1))
    made.room(layout.PIVOTS, n)
    made.slots[layout.ENTRIES] = unique.size
    made.integers(layout.W_INDPTR, starts)
    made.integers(layout.W_INDICES, unique % n)
    made.integers(layout.PLACES, place[: indices.size])
    made.integers(layout.DIAGONAL, place[indices.size :])
    made.integers(layout.J_INDPTR, indptr)
    made.integers(layout.J_INDICES, indices)
    return made.plan(layout.KRYLOV, n, indices.size, n_complex, f"GMRES with incomplete LU: {reason}")
