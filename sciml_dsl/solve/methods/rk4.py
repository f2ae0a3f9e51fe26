"""RK4: the classical Runge-Kutta method of order four, in steps of a given size.

W. Kutta, Beitrag zur naherungsweisen Integration totaler Differentialgleichungen, Zeitschrift
fur Mathematik und Physik 46 (1901) 435-453.  The interpolant is the cubic through both ends
and their slopes.
"""

from __future__ import annotations

from .tableau import Tableau

B = (1 / 6, 1 / 3, 1 / 3, 1 / 6)

TABLEAU = Tableau(
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    a=((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=B,
    e=(0.0, 0.0, 0.0, 0.0),
    extra_c=(1.0,),
    extra_a=(B,),
    interpolant=((1.0, 3 * B[0] - 2.0, 1.0 - 2 * B[0]), *((0.0, 3 * b, -2 * b) for b in B[1:]), (0.0, -1.0, 1.0)),
)
