"""Coefficients of the numerical differentiation formulas of order 1 to 5.

L. F. Shampine & M. W. Reichelt, The MATLAB ODE suite, SIAM Journal on Scientific Computing 18
(1997) 1-22, section 2: backward differentiation formulas with an extra term, `_MODIFIED` times the
difference between corrector and predictor, which makes the error constant smaller at the
cost of a few degrees of stability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .implicit_memory import HEAD, IHEAD

MAX_ORDER = 5
ROWS = MAX_ORDER + 3  # backward differences that are kept
SCRATCH = 108  # for three matrices of order + 1
VECTORS = 5  # of n doubles, besides the differences

_MODIFIED = np.array((0.0, -0.1850, -1.0 / 9.0, -0.0823, -0.0415, 0.0))
GAMMA = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, MAX_ORDER + 1))))
ALPHA = (1.0 - _MODIFIED) * GAMMA
ONES = np.ones(MAX_ORDER + 1)
ERROR_CONSTANT = np.concatenate((_MODIFIED * GAMMA + 1.0 / np.arange(1, MAX_ORDER + 2), [1.0 / (MAX_ORDER + 2)]))


def _basis() -> NDArray[np.float64]:
    """Coefficients (i, q) of theta**q in the polynomial that goes with the i-th backward difference."""
    rows = np.zeros((MAX_ORDER + 1, MAX_ORDER + 1))
    row = np.array([1.0])
    for i in range(MAX_ORDER + 1):
        rows[i, : row.size] = row
        row = np.convolve(row, [i - 1.0, 1.0]) / (i + 1.0)
    return rows


BASIS = _basis()


def doubles(n: int) -> int:
    """The method's own doubles for n states."""
    return HEAD + SCRATCH + (ROWS + VECTORS) * n


def integers(n: int) -> int:
    """The method's own integers."""
    return IHEAD
