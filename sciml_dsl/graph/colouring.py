"""Colouring of a sparse Jacobian: columns that share no row can be had by one product.

Takes a pattern in compressed rows; gives a colour for each column, so that the
columns of one colour have no row in common (Curtis, Powell and Reid, J. Inst.
Maths Applics 13 (1974) 117).  One directional derivative along the sum of the
unit vectors of a colour then holds all entries of its columns.  Columns are
taken by decreasing number of neighbours in their rows, each gets the least
colour free (Coleman and More, SIAM J. Numer. Anal. 20 (1983) 187).  Each row
remembers where its next free colour is, so that a dense row costs little more than its
entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Colouring:
    """`colours` (n_columns,): the colour of each column, from 0; `indptr` and `indices`, the pattern by rows.

    Example: the Jacobian from products.

        seeds = c.seeds()                                       # (n_columns, c.count)
        products = np.column_stack([jvp(t, u, p, v) for v in seeds.T])
        values = c.values(products)                             # in the order of the pattern
    """

    colours: Indices
    indptr: Indices
    indices: Indices

    @property
    def count(self) -> int:
        """Number of colours: of products the Jacobian takes."""
        return int(self.colours.max()) + 1 if self.colours.size else 0

    @cached_property
    def _rows(self) -> Indices:
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int64), np.diff(self.indptr))

    def seeds(self) -> NDArray[np.float64]:
        """(n_columns, count): in each column ones at the columns of that colour."""
        found = np.zeros((len(self.colours), self.count))
        found[np.arange(len(self.colours)), self.colours] = 1.0
        return found

    def values(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """The entries, in the order of the pattern, from the products (n_rows, count) of the Jacobian with `seeds`."""
        return np.asarray(products, np.float64)[self._rows, self.colours[self.indices]]


def colour(indptr: Indices, indices: Indices, n_columns: int) -> Colouring:
    """A colouring of the columns of a pattern in compressed rows.

    >>> c = colour(np.array([0, 2, 4, 6]), np.array([0, 1, 1, 2, 2, 3]), 4)
    >>> c.colours.tolist(), c.count
    ([0, 1, 0, 1], 2)
    """
    pointers, columns = np.asarray(indptr, np.int64), np.asarray(indices, np.int64)
    rows = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    by_column = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[by_column], np.arange(n_columns + 1)).tolist()
    rows_of = rows[by_column].tolist()
    widths = np.diff(pointers)
    neighbours = np.bincount(columns, weights=widths[rows] - 1.0, minlength=n_columns)
    colours = [-1] * n_columns
    after: list[dict[int, int]] = [{} for _ in range(len(pointers) - 1)]  # of a row's colours: where to look next
    for column in np.argsort(-neighbours, kind="stable").tolist():
        meets = rows_of[starts[column] : starts[column + 1]]
        free, before = 0, -1
        while free != before:
            before = free
            for row in meets:
                if free in after[row]:
                    free = _free(after[row], free)
        colours[column] = free
        for row in meets:
            after[row][free] = free + 1
    return Colouring(np.array(colours, np.int64), pointers, columns)


def _free(after: dict[int, int], colour: int) -> int:
    """The least colour from `colour` on that a row does not have; the way there is shortened for the next who asks."""
    passed = []
    while colour in after:
        passed.append(colour)
        colour = after[colour]
    for step in passed:
        after[step] = colour
    return colour
