"""Where an event leaves a model with algebraic equations: what follows from what it assigned, and what stays.

Takes the state as the event wrote it, which states it assigned, and the hidden
constraints, each with the number of times it was differentiated; gives a state that
satisfies them.  Positions come before speeds: constraints are made to hold in order of
differentiation, each by states that no constraint settled before holds, so that a push
changes how a body moves and not where it is.  Among several states that could follow, the
nearest point is taken.  What was assigned never changes.  (Impacts of constrained
mechanical systems: F. Pfeiffer & C. Glocker, Multibody Dynamics with Unilateral
Contacts (1996), ch. 3: positions are continuous, speeds jump.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .consistent import CLOSE, Evaluate, nearest, newton

Floats = NDArray[np.float64]
FITS = 1e-9
"""A constraint off by less of its size holds."""


@dataclass(frozen=True)
class Settled:
    """A state (n,); which states could move to satisfy the constraints (n,); whether that
    left a choice; and the constraint that cannot be satisfied, or None."""

    u: Floats
    free: NDArray[np.bool_]
    choice: bool
    failed: int | None


def settle(
    evaluate: Evaluate,
    u: Floats,
    kept: NDArray[np.bool_],
    orders: Sequence[int],
    pattern: Sequence[frozenset[int]],
    successor: Mapping[int, int],
) -> Settled:
    """Make the constraints hold, moving as few states as little as can be.

    Arguments: `evaluate` of the constraints (m,) and their Jacobian; `u` (n,); `kept` (n,), the
    states that must not move; `orders` (m,), how often each constraint was differentiated;
    `pattern` (m,), the states it holds; `successor`, the derivative of a state where it is a state.
    """
    everything = np.ones(u.size, bool)
    relative = newton(evaluate, u, ~everything).relative
    if not (np.nan_to_num(relative, nan=np.inf) > FITS).any():
        return Settled(u, ~kept, False, None)
    moved, free, choice = np.zeros(u.size, bool), np.zeros(u.size, bool), False
    for order in sorted(set(orders)):
        rows = [k for k, at in enumerate(orders) if at <= order]
        part = _part(evaluate, rows)
        relative = np.nan_to_num(newton(part, u, ~everything).relative, nan=np.inf)
        off = [k for k, size in zip(rows, relative, strict=True) if orders[k] == order and size > FITS]
        if not off:
            continue
        settled = _union(pattern[k] for k in rows if orders[k] < order)
        holding = _union(pattern[k] for k in rows if orders[k] == order and k not in off)
        around = _around(off, [k for k in rows if orders[k] == order], pattern)
        followers = {successor[i] for i in np.flatnonzero(moved).tolist() if i in successor}
        inside = _union(pattern[k] for k in off)
        for candidates, count in (
            (inside & followers, len(off)), (inside - holding, len(off)), (around, len(rows))
        ):  # fmt: skip
            able = np.zeros(u.size, bool)
            able[list(candidates - settled)] = True
            able &= ~kept
            if not able.any():
                continue
            point = nearest(part, u, able)
            if point.converged:
                moved |= able & (point.u != u)
                free |= able
                choice = choice or int(able.sum()) > count
                u = point.u
                break
        else:
            if max(relative) > CLOSE:
                return Settled(u, free, choice, off[int(np.argmax(relative[[rows.index(k) for k in off]]))])
            point = newton(part, u, ~kept)  # rounded numbers
            if not point.converged:
                point = newton(part, u, everything)
            if not point.converged:
                return Settled(u, free, choice, off[0])
            u, free = point.u, free | ~kept
    return Settled(u, free, choice, None)


def _part(evaluate: Evaluate, rows: Sequence[int]) -> Evaluate:
    chosen = list(rows)

    def part(u: Floats) -> tuple[Floats, Floats]:
        value, jacobian = evaluate(u)
        return value[chosen], jacobian[chosen]

    return part


def _union(sets: Iterable[frozenset[int]]) -> set[int]:
    return set().union(*sets)


def _around(off: Sequence[int], rows: Sequence[int], pattern: Sequence[frozenset[int]]) -> set[int]:
    """The states of the constraints `off`, and of all among `rows` connected with them."""
    found = _union(pattern[k] for k in off)
    while True:
        more = found.union(*(pattern[k] for k in rows if pattern[k] & found))
        if more == found:
            return found
        found = more
