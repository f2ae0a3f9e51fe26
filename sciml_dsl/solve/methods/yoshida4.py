"""Yoshida's composition of three Verlet steps; symplectic, order four.

H. Yoshida, Construction of higher order symplectic integrators, Physics Letters A 150
(1990) 262-268.
"""

from __future__ import annotations

from .splitting import composed

_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))

SPLITTING = composed((_OUTER, 1.0 - 2.0 * _OUTER, _OUTER))
