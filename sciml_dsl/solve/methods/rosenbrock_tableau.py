"""Rosenbrock methods as data, and how that data lies in the memory of a solve.

In the form without products by the Jacobian (E. Hairer & G. Wanner, Solving Ordinary
Differential Equations II, IV.7): with W = M/(h gamma) - J,

    W k_i = f(t + c_i h, u + sum_j a_ij k_j) + M sum_j c_ij k_j / h + h d_i df/dt,
    unew = u + sum_j b_j k_j,   local error = sum_j e_j k_j.

One compiled function (`rosenbrock.py`) steps with any of them, generated code
(`codegen.fused_rosenbrock`) makes a model's own step of one, with the same memory.  A
method's own doubles are, for s stages and n states: h, relative tolerances (n), absolute
tolerances (n), slope f(t, u) (n); error, new state (n), slope there (n), stages (s, n);
df/dt (n), argument of a stage (n); then the tableau: gamma, nodes (s), d (s), b (s), e (s),
A (s, s), coupling (s, s), interpolant (s, degree).  Its integers are the slots below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = tuple[float, ...]

# A method's own integers.
STAGES, DEGREE, FSAL, READY, HAVE_JACOBIAN, N_OWN = range(6)


@dataclass(frozen=True)
class Tableau:
    """Coefficients of a Rosenbrock method.

    Attributes
    ----------
    gamma : diagonal.
    c, d : nodes, and factors of the time derivative, one for each stage.
    a, coupling : rows of a_ij and c_ij of the stages after the first.
    b, e : weights of the new state and of the error estimate.
    interpolant : for each stage the coefficients of theta, theta**2, ... in its weight.
    fsal : the last stage's right-hand side is taken at the new state.
    """

    gamma: float
    c: Row
    d: Row
    a: tuple[Row, ...]
    coupling: tuple[Row, ...]
    b: Row
    e: Row
    interpolant: tuple[Row, ...]
    fsal: bool = False

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.c)

    @property
    def degree(self) -> int:
        """Of the interpolant."""
        return max(map(len, self.interpolant))

    def doubles(self, n: int) -> int:
        """Size of a method's own doubles."""
        s = self.stages
        return 2 + (7 + s) * n + 1 + 4 * s + 2 * s * s + s * self.degree

    @property
    def digest(self) -> int:
        """A number that tells tableaux apart."""
        return hash((self.gamma, self.a, self.coupling, self.e))

    def fill(self, work: NDArray[np.float64], iwork: NDArray[np.int64], n: int) -> None:
        """Write the tableau into the memory of a method."""
        s, degree = self.stages, self.degree
        at = 2 + (7 + s) * n
        work[at] = self.gamma
        at += 1
        for values in (self.c, self.d, self.b, self.e):
            work[at : at + s] = values
            at += s
        for rows in (self.a, self.coupling):
            for i, row in enumerate(rows, 1):
                work[at + i * s : at + i * s + len(row)] = row
            at += s * s
        for j, row in enumerate(self.interpolant):
            work[at + j * degree : at + j * degree + len(row)] = row
        iwork[STAGES], iwork[DEGREE], iwork[FSAL] = s, degree, self.fsal


def stiffly_accurate(
    gamma: float, c: Row, d: Row, a: tuple[Row, ...], coupling: tuple[Row, ...], h: tuple[Row, ...]
) -> Tableau:
    """A method whose new state is the last stage's argument and one more increment, its error.

    `h` are rows of weights for x, y (and z) in the interpolant
    (1 - theta) u + theta (unew + (1 - theta) (x + theta (y + theta z))).
    """
    s = len(c)
    b = (*a[-1], 1.0)
    interpolant = []
    for j in range(s):
        x = [row[j] if j < len(row) else 0.0 for row in h]
        interpolant.append((b[j] + x[0], *(x[q + 1] - x[q] for q in range(len(x) - 1)), -x[-1]))
    return Tableau(gamma, c, d, a, coupling, b, (0.0,) * (s - 1) + (1.0,), tuple(interpolant))
