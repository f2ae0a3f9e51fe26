"""The sparsity pattern of loops: compressed rows, and where each turn's number stands among the values.

Rows and columns of all entries are evaluated with numpy, sorted once, and
entries that meet in one place get one seat.  The seats of a loop's turns are
nearly always linear in its indices, once the ranges are cut where a row at an
end has fewer entries; what is not linear gets a table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from . import integers
from .integers import Affine, LoopIndex, whole
from .loop_derivatives import Entry, jacobian_entries
from .loops import LoopSystem, points, turns

MOST_ENTRIES = 50_000_000
"""A pattern with more entries is not made."""
MOST_PIECES = 27

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Seats:
    """Seats of one entry's turns: linear in the indices on pieces `spans` of the ranges, or a `table`.

    `shared`: other turns or entries use some of the seats too.
    """

    entry: Entry
    pieces: tuple[tuple[tuple[tuple[int, int], ...], Affine], ...]
    table: Indices | None
    shared: bool


@dataclass(frozen=True)
class Pattern:
    """Compressed rows: `indptr` (rows + 1,), `indices` (nnz,) sorted within each row."""

    indptr: Indices
    indices: Indices
    seats: tuple[Seats, ...]

    @property
    def nnz(self) -> int:
        """Number of values."""
        return int(self.indices.size)


def size(entries: Sequence[Entry]) -> int:
    """An upper bound of the number of entries, without counting them."""
    return sum(turns(e.loops) for e in entries)


def jacobian(system: LoopSystem) -> Pattern:
    """The pattern of df/du, made once.  Raises `UnsupportedError` where it has too many entries."""
    found = system._memory.get("pattern")
    if found is None:
        derivatives = jacobian_entries(system)
        count = size(derivatives)
        if count > MOST_ENTRIES:
            raise UnsupportedError(
                f"the Jacobian of `{system.name}` has up to {count:.3g} entries that are not zero, more than "
                f"{MOST_ENTRIES:,}: every equation depends on very many states",
                hint="products with it, J v and v J, are cheap all the same, and explicit methods need none of it",
            )
        found = system._memory["pattern"] = pattern(derivatives, system.n, system.n)
    assert isinstance(found, Pattern)
    return found


def pattern(entries: Sequence[Entry], rows: int, columns: int) -> Pattern:
    """The pattern of a matrix (rows, columns) made of `entries`, at most `MOST_ENTRIES` of them."""
    return _by_rows(entries, rows) or _sorted(entries, rows, columns)


def _by_rows(entries: Sequence[Entry], rows: int) -> Pattern | None:
    """The pattern without sorting, where each row belongs to one turn of one loop, as in a stencil.

    Entries of one turn must keep their order of columns; that is read off the expressions.
    """
    groups: dict[tuple[tuple[LoopIndex, ...], Affine], list[Entry]] = {}
    for e in entries:
        groups.setdefault((e.loops, e.row), []).append(e)
    counts = np.zeros(rows, np.int64)
    placed = []
    for (loops, row), group in groups.items():
        group = _in_order(group)
        if not group:
            return None
        at = points(loops)
        count = next(iter(at.values())).size if at else 1
        mine = np.broadcast_to(np.asarray(integers.value(row, at), np.int64), (count,))
        if count > 1 and not (np.diff(mine) > 0).all():
            return None
        if counts[mine].any():
            return None
        counts[mine] = len(group)
        placed.append((loops, at, mine, group))
    indptr = np.zeros(rows + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices = np.empty(int(indptr[-1]), np.int64)
    found: dict[int, Seats] = {}
    for loops, at, mine, group in placed:
        first = indptr[mine]
        pieces = _linear(first, loops)
        for rank, e in enumerate(group):
            indices[first + rank] = integers.value(e.column, at)
            moved = None if pieces is None else tuple((spans, place + rank) for spans, place in pieces)
            found[id(e)] = Seats(e, moved or (), first + rank if moved is None else None, False)
    return Pattern(indptr, indices, tuple(found[id(e)] for e in entries))


def _in_order(group: Sequence[Entry]) -> list[Entry]:
    """Entries of a turn by their columns; empty where the order may change from turn to turn."""
    ordered = sorted(group, key=lambda e: (e.column - group[0].column).constant)
    for a, b in itertools.pairwise(ordered):
        gap = b.column - a.column
        if not gap.is_constant or gap.constant <= 0:
            return []
    return ordered


def _sorted(entries: Sequence[Entry], rows: int, columns: int) -> Pattern:
    grids: dict[tuple[LoopIndex, ...], dict[LoopIndex, Any]] = {}
    keys: list[Indices] = []
    for e in entries:
        if e.loops not in grids:
            grids[e.loops] = points(e.loops)
        at = grids[e.loops]
        count = next(iter(at.values())).size if at else 1
        key = integers.value(e.row, at) * columns + integers.value(e.column, at)
        keys.append(np.broadcast_to(np.asarray(key, dtype=np.int64), (count,)))
    flat = np.concatenate(keys) if keys else np.empty(0, np.int64)
    order = np.argsort(flat, kind="stable")  # runs are sorted already: merging them is linear
    ordered = flat[order]
    new = np.empty(ordered.size, dtype=bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    seat_of = np.empty(flat.size, np.int64)
    seat_of[order] = np.cumsum(new) - 1
    unique = ordered[new]
    indptr = np.searchsorted(unique, np.arange(rows + 1, dtype=np.int64) * columns).astype(np.int64)
    repeated = np.bincount(seat_of, minlength=unique.size) > 1 if unique.size < flat.size else None
    seats = []
    at_flat = 0
    for e, key in zip(entries, keys, strict=True):
        mine = seat_of[at_flat : at_flat + key.size]
        at_flat += key.size
        shared = repeated is not None and bool(repeated[mine].any())
        pieces = _linear(mine, e.loops)
        seats.append(Seats(e, pieces or (), None if pieces is not None else mine.copy(), shared))
    return Pattern(indptr, unique % max(columns, 1), tuple(seats))


def _linear(
    mine: Indices, loops: tuple[LoopIndex, ...]
) -> tuple[tuple[tuple[tuple[int, int], ...], Affine], ...] | None:
    """Seats as pieces of the ranges on which they are linear; None where there are too many."""
    if any(not (loop.first.is_constant and loop.last.is_constant) for loop in loops):
        return None
    firsts = [loop.first.constant for loop in loops]
    shape = tuple(loop.last.constant - loop.first.constant + 1 for loop in loops)
    grid = mine.reshape(shape)
    cuts = [_segments(grid, axis) for axis in range(len(shape))]
    if math.prod(map(len, cuts)) > MOST_PIECES:
        return None
    pieces = []
    for corner in itertools.product(*cuts):
        part = grid[tuple(slice(a, b + 1) for a, b in corner)]
        place = _fit(part, [f + a for f, (a, _) in zip(firsts, corner, strict=True)], loops)
        if place is None:
            return None
        pieces.append((tuple((f + a, f + b) for f, (a, b) in zip(firsts, corner, strict=True)), place))
    return tuple(pieces)


def _segments(grid: Indices, axis: int) -> list[tuple[int, int]]:
    """Runs along one axis between whose neighbours the seats differ by the same number everywhere."""
    count = grid.shape[axis]
    if count < 3:
        return [(0, count - 1)] if count < 2 or grid.ndim == 1 else [(0, 0), (1, 1)][:count]
    steps = np.moveaxis(np.diff(grid, axis=axis), axis, 0).reshape(count - 1, -1)
    same = (steps[1:] == steps[:-1]).all(axis=1)
    if same.all():
        return [(0, count - 1)]
    breaks = np.flatnonzero(~same)
    if breaks.size > 4 * MOST_PIECES:
        return [(k, k) for k in range(MOST_PIECES + 1)]
    runs = []
    start = 0
    while start < count:
        # the run that begins with the step at `start` ends where that step changes
        later = breaks[breaks >= start]
        end = int(later[0]) + 1 if later.size else count - 1
        runs.append((start, end))
        start = end + 1
    return runs


def _fit(part: Indices, firsts: Sequence[int], loops: Sequence[LoopIndex]) -> Affine | None:
    """`part` as a linear expression of the indices, or None."""
    corner = (0,) * part.ndim
    base = int(part[corner]) if part.ndim else int(part)
    place = whole(base)
    guess: Any = np.int64(base)
    for axis, (loop, first) in enumerate(zip(loops, firsts, strict=True)):
        if part.shape[axis] < 2:
            continue
        step = int(part[(*corner[:axis], 1, *corner[axis + 1 :])]) - base
        reach = np.arange(part.shape[axis], dtype=np.int64) * step
        guess = guess + reach.reshape([-1 if k == axis else 1 for k in range(part.ndim)])
        place = place + (integers.index(loop) - first).scaled(step)
    return place if bool((part == guess).all()) else None
