"""Rosenbrock23: Rosenbrock 2(3) with three stages, the last shared with the next step; for loose tolerances.

L. F. Shampine & M. W. Reichelt, The MATLAB ODE suite, SIAM J. Sci. Comput. 18 (1997)
1-22, section 3 (ode23s), brought into the form of `rosenbrock_tableau`: with their
increments, h d k_1 = U_1, h d k_2 = U_1 + U_2 and h d k_3 = U_3 + 2 U_1 + e_32 U_2.  The
interpolant is their quadratic one.
"""

from __future__ import annotations

import math

from .rosenbrock_tableau import Tableau

_D = 1.0 / (2.0 + math.sqrt(2.0))
_E32 = 6.0 + math.sqrt(2.0)
_Q = 1.0 / (_D * (1.0 - 2.0 * _D))

TABLEAU = Tableau(
    gamma=_D,
    c=(0.0, 0.5, 1.0),
    d=(_D, 0.0, -_D),
    a=((0.5 / _D,), (1.0 / _D, 1.0 / _D)),
    coupling=((-1.0 / _D,), (-2.0 / _D, -_E32 / _D)),
    b=(1.0 / _D, 1.0 / _D, 0.0),
    e=(-1.0 / (6.0 * _D), -(_E32 - 2.0) / (6.0 * _D), -1.0 / (6.0 * _D)),
    interpolant=((1.0 / _D, 0.0), (-2.0 * _D * _Q, _Q), (0.0, 0.0)),
    fsal=True,
)
