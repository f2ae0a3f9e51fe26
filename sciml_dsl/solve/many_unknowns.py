"""Many unknowns at once, by sparse linear algebra: `consistent.newton` where matrices are large and mostly zero.

Takes the entries of the constraints' Jacobian; gives the unknowns at one point, or at
many points between steps.  Square systems only: what the unknowns are solved from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consistent import ROUNDING, sizes

Floats = NDArray[np.float64]
Evaluate = Callable[[float, Floats, Floats], tuple[Floats, Floats]]
"""(t, u, p) -> values (m,) of the constraints and entries (K,) of their Jacobian."""

MANY = 60
"""Unknowns from which on this pays."""


class Unknowns:
    """The unknowns of one model: rows `first`... of its constraints determine the columns `unknowns`.

    Arguments: `places`, (row, column) of each entry of the constraints' Jacobian, in order.
    """

    def __init__(self, places: Mapping[tuple[int, int], int], first: int, unknowns: Sequence[int]) -> None:
        from scipy.sparse import csc_matrix

        position = {column: k for k, column in enumerate(unknowns)}
        kept = [(k, i - first, position[j]) for k, (i, j) in enumerate(places) if i >= first and j in position]
        table = np.array(kept, np.int64).reshape(-1, 3)
        n = len(unknowns)
        self.first, self.unknowns = first, np.array(unknowns, np.int64)
        order = csc_matrix((np.arange(1.0, len(table) + 1.0), (table[:, 1], table[:, 2])), shape=(n, n))
        self._take = table[order.data.astype(np.int64) - 1, 0]  # which entry stands at each place of the matrix
        self._rows, self._starts, self._n = order.indices, order.indptr, n
        every = np.array(list(places), np.int64).reshape(-1, 2)
        self._places = every[every[:, 0] >= first] - [first, 0]
        self._of_rows = np.flatnonzero(every[:, 0] >= first)

    def factors(self, entries: Floats) -> Any:
        """LU factors of the matrix; None where it is singular."""
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import splu

        matrix = csc_matrix((entries[self._take], self._rows, self._starts), shape=(self._n, self._n))
        try:
            return splu(matrix)
        except RuntimeError:  # exactly singular
            return None

    def newton(self, evaluate: Evaluate, t: float, u: Floats, p: Floats, iterations: int = 60) -> Floats | None:
        """`u` (n) with the unknowns solved for, or None where Newton's method does not get there.

        Damped by the natural monotonicity test, as `consistent.newton`.
        """
        u = u.copy()
        at = self.unknowns
        scale = sizes(u)
        value, entries = evaluate(t, u, p)
        for _ in range(iterations):
            factors = self.factors(entries) if np.isfinite(entries).all() and np.isfinite(value).all() else None
            if factors is None:
                return None
            step = factors.solve(-value[self.first :])
            size = float(np.sqrt(np.mean((step / scale[at]) ** 2)))
            if not np.isfinite(size):
                return None
            if size <= ROUNDING:
                break
            damping = 1.0
            while True:
                trial = u.copy()
                trial[at] += damping * step
                new_value, new_entries = evaluate(t, trial, p)
                if np.isfinite(new_value).all() and np.isfinite(new_entries).all():
                    simplified = factors.solve(-new_value[self.first :]) / scale[at]
                    length = float(np.sqrt(np.mean(simplified**2)))
                    if length <= (1.0 - 0.5 * damping) * size or length <= ROUNDING:
                        break
                damping *= 0.5
                if damping < 1e-6:
                    return u if self._small(value, entries, scale) else None
            u, value, entries = trial, new_value, new_entries
            scale = np.maximum(scale, np.abs(u))
        return u if self._small(value, entries, scale) else None

    def _small(self, value: Floats, entries: Floats, scale: Floats) -> bool:
        """Does every constraint vanish against the size of its terms?"""
        terms = np.abs(entries[self._of_rows]) * scale[self._places[:, 1]]
        size = np.bincount(self._places[:, 0], terms, value.size - self.first)
        size[size == 0.0] = 1.0
        return bool((np.abs(value[self.first :]) <= 1e-9 * size).all())

    def refine(self, evaluate: Evaluate, t: Floats, u: Floats, p: Floats) -> Floats:
        """Two steps of Newton's method for the unknowns of each row of `u` (T, n); NaN where they fail."""
        moved = u.copy()
        for k in range(len(t)):
            for _ in range(2):
                value, entries = evaluate(float(t[k]), moved[k], p)
                factors = self.factors(entries) if np.isfinite(entries).all() else None
                moved[k, self.unknowns] += np.nan if factors is None else factors.solve(-value[self.first :])
        return moved
