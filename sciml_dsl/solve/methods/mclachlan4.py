"""McLachlan and Atela's method of four stages with the smallest error terms; symplectic, order four.

R. I. McLachlan & P. Atela, The accuracy of symplectic integrators, Nonlinearity 5 (1992) 541-562.
"""

from __future__ import annotations

from .splitting import Splitting

SPLITTING = Splitting(
    kicks=(0.134496199277431089, -0.224819803079420806, 0.756320000515668291, 0.334003603286321425),
    drifts=(0.515352837431122936, -0.085782019412973646, 0.441583023616466524, 0.128846158365384185),
)
