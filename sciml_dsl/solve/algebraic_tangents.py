"""Sensitivities where algebraic equations are: what has to be done to columns S = du/dz besides stepping.

Takes the constraints of a model (`structure.index_one.Family`) and columns of the
states with a derivative; gives columns of consistent states, by the implicit function
theorem: what vanishes for all z has derivatives that vanish,

    G_u S + G_z = 0.

For the unknowns this determines their rows of S, for hidden constraints those of the
states that follow the others (S. Li & L. Petzold, Software and algorithms for
sensitivity analysis of large-scale differential algebraic systems, J. Comput. Appl.
Math. 125 (2000) 131).  At an event the columns jump as in `forward.jump`, with slopes
that the unknowns have too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .consistent import sizes
from .observe import observe

if TYPE_CHECKING:
    from ..structure.index_one import Family

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Constraints = Callable[[float, Floats, Floats], tuple[Floats, Floats]]
"""(t, u, p) -> all that vanishes (m,), and its Jacobian (m, n)."""

HOLDS = 1e-6
"""Columns fit the hidden constraints where what is left is so small against its terms."""


class Tangents:
    """The columns of one model; compiled when made.

    Arguments: its `family` of index-1 forms, and `constraints`.
    """

    def __init__(self, family: Family, constraints: Constraints) -> None:
        from ..codegen.native import compile_tangents

        self._family, self._constraints = family, constraints
        self._keep, self._address = compile_tangents(family)
        self._entries = np.array(list(family.parameter_jacobian), np.int64).reshape(-1, 2)
        self._hidden = len(family.reduced.hidden)
        self._unknowns = list(family.reduced.unknowns)
        self._known = [i for i in range(family.n) if i not in set(self._unknowns)]

    def explicit(self, t: Floats, u: Floats, p: Floats, columns: Indices) -> tuple[Floats, Floats, Floats]:
        """At T points: derivatives of the constraints by the columns' parameters (T, m, c) and by time (T, m),
        and slopes of the states that have an equation for theirs (T, n), 0 for the others."""
        family = self._family
        count, m = len(self._entries), len(family.constraints)
        out = observe(self._address, count + m + family.n, t, np.ascontiguousarray(u), p)
        dense = np.zeros((t.size, m, family.original.n_params + 1))  # the last: an initial value, explicit nowhere
        dense[:, self._entries[:, 0], self._entries[:, 1]] = out[:, :count]
        return dense[:, :, columns], out[:, count : count + m], out[:, count + m :]

    def slope(self, t: float, u: Floats, p: Floats) -> Floats:
        """du/dt (n,) of a consistent state, unknowns included."""
        _, by_time, rates = self.explicit(np.array([t]), u[None, :], p, np.empty(0, np.int64))
        jacobian = self._constraints(t, u, p)[1][self._hidden :]
        found = rates[0]
        left = jacobian[:, self._known] @ found[self._known] + by_time[0, self._hidden :]
        found[self._unknowns] = np.linalg.solve(jacobian[:, self._unknowns], -left)
        return found

    def onto(
        self, t: float, u: Floats, p: Floats, s: Floats, columns: Indices, free: NDArray[np.bool_],
        moved: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """Columns `s` (n, c) at the consistent state `u`, made those of consistent states.

        The rows of the `free` states change, by no more than they must, and those of the unknowns.
        `moved` (c,) says how the time moves with each column.  Returns the columns, and for each
        hidden constraint and column what is left of it against its terms: more than `HOLDS` where
        the free states cannot make it hold.

        Raises `numpy.linalg.LinAlgError` where the unknowns are not determined.
        """
        jacobian = self._constraints(t, u, p)[1]
        by_columns, by_time, _ = self.explicit(np.array([t]), u[None, :], p, columns)
        right = by_columns[0]
        if moved is not None:
            right = right + np.outer(by_time[0], moved)
        s = s.copy()
        top, left = jacobian[: self._hidden], np.zeros((self._hidden, s.shape[1]))
        if self._hidden:
            s[self._unknowns] = 0.0
            scale = sizes(u)
            part = top * np.where(free, scale, 0.0)
            rows = np.abs(part).max(axis=1, initial=0.0)
            rows[rows == 0.0] = 1.0
            off = top @ s + right[: self._hidden]
            whole = (np.abs(top) * scale).max(axis=1)  # terms against which what is left is rounding or not
            terms = np.maximum(np.outer(whole, (np.abs(s) / scale[:, None]).max(axis=0)), np.abs(off))
            step = np.linalg.lstsq(part / rows[:, None], -off / rows[:, None], rcond=1e-12)[0]
            s += np.where(free, scale, 0.0)[:, None] * step
            left = np.abs(top @ s + right[: self._hidden]) / np.where(terms > 0.0, terms, 1.0)
        bottom = jacobian[self._hidden :]
        known = bottom[:, self._known] @ s[self._known] + right[self._hidden :]
        s[self._unknowns] = np.linalg.solve(bottom[:, self._unknowns], -known)
        return s, left

    def refined(self, t: Floats, u: Floats, jacobian: Floats, s: Floats, p: Floats, columns: Indices) -> Floats:
        """`s` (T, n, c) interpolated between steps, at states `u` (T, n) moved onto the constraints.

        `jacobian` (T, m, n) is that of the constraints there.  As for the states themselves: of
        least norm onto the hidden constraints, then for the unknowns.
        """
        right = self.explicit(t, u, p, columns)[0]
        hidden = self._hidden
        scale = np.maximum(np.abs(u).max(axis=0), 1e-3 * np.abs(u).max(initial=1e-300))
        moved = s.copy()
        with np.errstate(all="ignore"):
            if hidden:
                moved[:, self._unknowns] = 0.0
                rows = jacobian[:, :hidden] * scale
                rows[:, :, self._unknowns] = 0.0
                off = jacobian[:, :hidden] @ moved + right[:, :hidden]
                moved -= scale[:, None] * (rows.mT @ solved(rows @ rows.mT, off))
            bottom = jacobian[:, hidden:]
            left = bottom[:, :, self._known] @ moved[:, self._known] + right[:, hidden:]
            moved[:, self._unknowns] = -solved(bottom[:, :, self._unknowns], left)
        good = np.asarray(np.isfinite(moved).all(axis=(1, 2)))
        return np.where(good[:, None, None], moved, s)


def solved(matrix: Floats, value: Floats) -> Floats:
    """Solutions (T, m, c) of many small systems; NaN where one is singular."""
    try:
        return np.asarray(np.linalg.solve(matrix, value))
    except np.linalg.LinAlgError:
        singular = ~(np.abs(np.linalg.det(matrix)) > 0.0)
        regular = np.where(singular[:, None, None], np.eye(matrix.shape[-1]), matrix)
        found = np.asarray(np.linalg.solve(regular, value))
        found[singular] = np.nan
        return found


def columns_of(values: Any, columns: Indices) -> Floats:
    """Derivatives by parameters (..., np) taken for each column: 0 where it belongs to an initial value."""
    found: Floats = np.where(columns >= 0, np.asarray(values)[..., np.maximum(columns, 0)], 0.0)
    return found
