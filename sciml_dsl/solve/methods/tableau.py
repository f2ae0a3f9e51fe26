"""Explicit Runge-Kutta methods as data, and how that data lies in the memory of a solve.

One compiled function (`explicit.py`) steps with any tableau; generated code
(`codegen.fused`) makes a model's own step of it.  Both read the same `Tableau`.

A method's own doubles are, for s stages, x extra stages and n states: h, relative
tolerances (n), absolute tolerances (n), slope f(t, u) (n); error, stiffness, new state
(n), stages (s + x, n); argument of a stage (n); then the tableau: nodes (s + x), rows of A
(s + x, s + x), weights of the error (s), of the second error (s), interpolant (s + x, degree).
Its integers are s, x, degree and the switches below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = tuple[float, ...]

NO_ERROR = -1  # in place of SECOND_ERROR: the method estimates none

# A method's own integers.
STAGES, EXTRA, DEGREE, LAST, SECOND_ERROR, PAIR, READY, DENSE_MADE, N_OWN = range(9)


@dataclass(frozen=True)
class Tableau:
    """Coefficients of an explicit method.

    Attributes
    ----------
    c : nodes of the stages, the first is 0.
    a : rows of the stages after the first; if `fsal` the last is that of the new state.
    b : weights of the new state.
    e : weights of the error estimate (those of the method less those of the embedded one), or zeros.
    e2 : of a second estimate, combined with the first as in DOP853; or empty.
    extra_c, extra_a : further stages, used by the interpolant only.
    interpolant : for each stage the coefficients of theta, theta**2, ... in its weight.
    fsal : the last stage is f(t + h, new state), the next step's first.
    pair : two stages at t + h, the arguments of which differ; for the estimate of stiffness.
    """

    c: Row
    a: tuple[Row, ...]
    b: Row
    e: Row
    interpolant: tuple[Row, ...]
    e2: Row = ()
    extra_c: Row = ()
    extra_a: tuple[Row, ...] = ()
    fsal: bool = False
    pair: tuple[int, int] | None = None

    @property
    def stages(self) -> int:
        """Number of stages of a step."""
        return len(self.c)

    @property
    def total(self) -> int:
        """Number of stages with those of the interpolant."""
        return len(self.c) + len(self.extra_c)

    @property
    def degree(self) -> int:
        """Of the interpolant."""
        return max(map(len, self.interpolant))

    @property
    def digest(self) -> int:
        """A number that tells tableaux apart."""
        return hash((self.a, self.b, self.e))

    @property
    def last(self) -> int:
        """The stage that is f(t + h, new state), -1 if none; one of the interpolant's only where that was made."""
        if self.fsal:
            return self.stages - 1
        weights = (*self.b, *(0.0,) * len(self.extra_a))
        if self.extra_a and all(x == y for x, y in zip(self.extra_a[0], weights, strict=False)):
            return self.stages
        return -1

    @property
    def rows(self) -> tuple[Row, ...]:
        """A of all stages."""
        return ((), *self.a, *self.extra_a)

    def doubles(self, n: int) -> int:
        """Size of a method's own doubles."""
        total, stages = self.total, self.stages
        return 1 + 3 * n + 2 + n + total * n + n + total + total * total + 2 * stages + total * self.degree + stages

    def integers(self, n: int) -> int:
        """Size of its own integers."""
        return N_OWN

    def fill(self, work: NDArray[np.float64], iwork: NDArray[np.int64], n: int) -> None:
        """Write the tableau into the memory of a method."""
        total, stages = self.total, self.stages
        at = 3 + 5 * n + total * n
        work[at : at + total] = (*self.c, *self.extra_c)
        at += total
        for i, row in enumerate(self.rows):
            work[at + i * total : at + i * total + len(row)] = row
        at += total * total
        for weights in (self.b, self.e, self.e2):
            work[at : at + len(weights)] = weights
            at += stages
        for i, row in enumerate(self.interpolant):
            work[at + i * self.degree : at + i * self.degree + len(row)] = row
        iwork[STAGES], iwork[EXTRA], iwork[DEGREE] = stages, len(self.extra_c), self.degree
        iwork[LAST], iwork[SECOND_ERROR] = self.last, bool(self.e2) if any(self.e) else NO_ERROR
        iwork[PAIR] = -1 if self.pair is None else self.pair[0] * 64 + self.pair[1]
