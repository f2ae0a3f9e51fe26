"""TR-BDF2: a trapezoidal stage and one of the second backward differentiation formula; order 2(3), L-stable.

R. E. Bank et al., Transient simulation of silicon devices and circuits, IEEE Transactions on
Electron Devices 32 (1985) 1992-2007; as an ESDIRK pair M. E. Hosea & L. F. Shampine,
Analysis and implementation of TR-BDF2, Applied Numerical Mathematics 20 (1996) 21-37.
"""

from __future__ import annotations

from .diagonal import tableau

_D = 1.0 - 0.5 * 2.0**0.5
_W = 0.25 * 2.0**0.5

TABLEAU = tableau(
    ((), (_D, _D), (_W, _W, _D)),
    embedded=((1.0 - _W) / 3.0, (3.0 * _W + 1.0) / 3.0, _D / 3.0),
    quartic=False,
)
