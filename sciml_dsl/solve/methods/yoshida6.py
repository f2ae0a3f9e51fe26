"""Yoshida's composition of seven Verlet steps (solution A); symplectic, order six.

H. Yoshida, Construction of higher order symplectic integrators, Physics Letters A 150
(1990) 262-268; digits as in E. Hairer, C. Lubich & G. Wanner, Geometric Numerical
Integration, 2nd edition (2006), V.3.2.
"""

from __future__ import annotations

from .splitting import composed

_W = (0.78451361047755726382, 0.23557321335935813368, -1.17767998417887100695, 1.31518632068391121889)

SPLITTING = composed((*_W, *_W[2::-1]))
