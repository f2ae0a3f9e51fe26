"""BS3: explicit Runge-Kutta 3(2), four stages, first same as last; for loose tolerances.

P. Bogacki & L. F. Shampine, A 3(2) pair of Runge-Kutta formulas, Applied Mathematics
Letters 2 (1989) 321-325.  The interpolant is the cubic through both ends and their slopes.
"""

from __future__ import annotations

from .tableau import Tableau

TABLEAU = Tableau(
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    a=((1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    e=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    interpolant=(
        (1.0, -4 / 3, 5 / 9),  # hermite: theta - 2 theta^2 + theta^3 of k1, b_1 (3 theta^2 - 2 theta^3)
        (0.0, 1.0, -2 / 3),
        (0.0, 4 / 3, -8 / 9),
        (0.0, -1.0, 1.0),
    ),
    fsal=True,
)
