"""Tableaux of diagonally implicit methods: what one is, first guesses of its stages, its dense output.

A `DiagonalTableau` writes itself into a method's memory before an integration, so all
of these methods share the compiled steps of `esdirk.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .implicit_memory import DEGREE, HEAD, IHEAD, STAGES

Floats = NDArray[np.float64]
VECTORS = 5  # of n doubles, besides the stages


@dataclass(frozen=True)
class DiagonalTableau:
    """A method with an explicit first stage and the same gamma in all others, whose last stage is the new state.

    `a` (s, s) coefficients, `c` (s) nodes, `e` (s) weights of the error estimate, `dense` (degree, s): weights of
    the stages in theta, theta^2, ...
    """

    a: Floats
    c: Floats
    e: Floats
    dense: Floats

    @property
    def bend(self) -> Floats:
        """(s,) the dense output in the middle of a step less the cubic through both ends: what the steps know of it.

        At stiff equilibrium the ends of a step of any length are right, and the error estimate says nothing
        of what lies between them.
        """
        middle = 0.5 ** np.arange(1, self.dense.shape[0] + 1) @ self.dense
        cubic: Floats = 0.5 ** np.arange(1, 4) @ hermite_output(self.a[-1])
        return middle - cubic

    @property
    def stages(self) -> int:
        """Number of stages, the explicit one included."""
        return int(self.c.size)

    def table(self) -> Floats:
        """All coefficients in the order in which `esdirk` reads them."""
        parts = (self.a, self.c, self.e, first_guesses(self.c), self.dense, self.bend)
        return np.concatenate([np.ascontiguousarray(part).reshape(-1) for part in parts])

    def doubles(self, n: int) -> int:
        """The method's own doubles for n states."""
        return HEAD + self.table().size + (self.stages + VECTORS) * n

    def integers(self, n: int) -> int:
        """The method's own integers."""
        return IHEAD

    def fill(self, work: Floats, iwork: NDArray[np.int64], n: int) -> None:
        """Write what the method needs before the integration begins into its own memory."""
        table = self.table()
        work[HEAD : HEAD + table.size] = table
        iwork[STAGES], iwork[DEGREE] = self.stages, self.dense.shape[0]


@dataclass(frozen=True)
class AdditiveTableau:
    """`implicit` and `explicit` (s, s); common nodes `c`, weights `b` and error weights `e` (s)."""

    implicit: Floats
    explicit: Floats
    c: Floats
    b: Floats
    e: Floats

    def table(self) -> Floats:
        """All coefficients in the order in which `additive` reads them."""
        parts = (self.implicit, self.explicit, first_guesses(self.c), self.c, self.b, self.e)
        return np.concatenate([part.reshape(-1) for part in parts])

    def doubles(self, n: int) -> int:
        """The method's own doubles for n states."""
        return HEAD + self.table().size + (2 * self.c.size + 8) * n

    def integers(self, n: int) -> int:
        """The method's own integers."""
        return IHEAD

    def fill(self, work: Floats, iwork: NDArray[np.int64], n: int) -> None:
        """Write the coefficients into the method's memory."""
        table = self.table()
        work[HEAD : HEAD + table.size] = table
        iwork[STAGES] = self.c.size


def tableau(rows: tuple[tuple[float, ...], ...], embedded: tuple[float, ...], quartic: bool = True) -> DiagonalTableau:
    """A tableau from the rows of its lower triangle and the weights of the embedded method."""
    a = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        a[i, : len(row)] = row
    c = a.sum(axis=1)
    c[np.abs(c - 1.0) < 1e-15] = 1.0
    return DiagonalTableau(a, c, a[-1] - np.array(embedded), quartic_output(a, c) if quartic else hermite_output(a[-1]))


def first_guesses(c: Floats, degree: int = 2) -> Floats:
    """Weights (s, s): row i combines z_1 .. z_(i-1) into a guess for z_i.

    The guess is exact where the slope is a polynomial of at most `degree` in time; of all such
    combinations the one with the smallest weights is taken, because large ones amplify what is
    stiff.  Where an earlier stage stands at the same time, it is the guess.
    """
    guess = np.zeros((c.size, c.size))
    for i in range(1, c.size):
        same = [j for j in range(1, i) if abs(c[j] - c[i]) < 1e-12]
        if same:
            guess[i, same[-1]] = 1.0
            continue
        powers = np.arange(min(degree, i - 1) + 1)
        guess[i, :i] = np.linalg.lstsq(c[None, :i] ** powers[:, None], c[i] ** powers, rcond=None)[0]
    return guess


def hermite_output(b: Floats) -> Floats:
    """The cubic through both ends with their slopes: coefficients (3, s) of theta, theta^2, theta^3."""
    first, last = np.eye(b.size)[0], np.eye(b.size)[-1]
    return np.array([first, 3 * b - 2 * first - last, first + last - 2 * b])


def quartic_output(a: Floats, c: Floats) -> Floats:
    """Dense output of order four for stages of order two: coefficients (4, s) of theta .. theta^4.

    With A c = c^2/2 the order conditions for the fraction theta of a step are b.1 = theta,
    b.c = theta^2/2, b.c^2 = theta^3/3, b.c^3 = theta^4/4 and b.A c^2 = theta^4/12 (the second stage
    included, whose order is two as well).  What they leave open is spent on the end value
    and on the slopes of both ends, so the output is continuously differentiable.
    """
    stages, b = c.size, a[-1]
    conditions = np.array([np.ones(stages), c, c**2, c**3, a @ c**2])
    wanted = np.zeros((5, 4))
    wanted[[0, 1, 2, 3, 4], [0, 1, 2, 3, 3]] = 1, 1 / 2, 1 / 3, 1 / 4, 1 / 12
    particular = np.linalg.lstsq(conditions, wanted, rcond=None)[0].T
    free = np.linalg.svd(conditions)[2][5:]  # directions the conditions do not see
    first, last = np.eye(stages)[0], np.eye(stages)[-1]
    start = free @ (first - particular[0])
    end = free @ (b - particular.sum(0))
    slope = free @ (last - np.arange(1, 5) @ particular)
    cubic = np.array([start, 3 * end - 2 * start - slope, start + slope - 2 * end, 0 * start])
    found: Floats = particular + cubic @ free
    return found
