"""Kvaerno5: order 5(4), seven stages; both solutions of the pair stiffly accurate, the fifth order one L-stable.

A. Kvaerno, Singly diagonally implicit Runge-Kutta methods with an explicit first stage,
BIT Numerical Mathematics 44 (2004) 489-502, the pair ESDIRK 5/4.
"""

from __future__ import annotations

from .diagonal import tableau

GAMMA = 0.26
_ROWS = (
    (),
    (GAMMA, GAMMA),
    (0.13, 0.84033320996790809, GAMMA),
    (0.22371961478320505, 0.47675532319799699, -0.06470895363112615, GAMMA),
    (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998, GAMMA),
    (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676, GAMMA),
    (
        0.13659751177640291, 0.0, -0.05496908796538376, -0.04118626728321046, 0.62993304899016403,
        0.06962479448202728, GAMMA,
    ),
)  # fmt: skip

TABLEAU = tableau(_ROWS, embedded=(*_ROWS[5], 0.0))
