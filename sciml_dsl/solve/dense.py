"""Dense output: every step is a polynomial in theta = (t - t_i)/h_i.

All methods hand over coefficients (degree + 1, n), so what reads them (saveat, events,
`sol(t)`, adjoints) does not know which method made the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import inner


@inner("contract")
def evaluate_step(poly: Any, theta: float, out: Any) -> None:
    """The polynomial of one step at `theta`, into `out` (n)."""
    if poly.shape[0] == 5:  # the two methods the loop contains
        for i in range(out.size):
            out[i] = poly[0, i] + theta * (
                poly[1, i] + theta * (poly[2, i] + theta * (poly[3, i] + theta * poly[4, i]))
            )
        return
    last = poly.shape[0] - 1
    for i in range(out.size):
        out[i] = poly[last, i]
    for q in range(last - 1, -1, -1):
        for i in range(out.size):
            out[i] = poly[q, i] + theta * out[i]


@inner("contract")
def evaluate_into(poly: Any, theta: float, out: Any, row: int) -> None:
    """The same, into one row of a matrix."""
    if poly.shape[0] == 5:
        for i in range(out.shape[1]):
            out[row, i] = poly[0, i] + theta * (
                poly[1, i] + theta * (poly[2, i] + theta * (poly[3, i] + theta * poly[4, i]))
            )
        return
    last = poly.shape[0] - 1
    for i in range(out.shape[1]):
        value = poly[last, i]
        for q in range(last - 1, -1, -1):
            value = poly[q, i] + theta * value
        out[row, i] = value


def evaluate(
    starts: NDArray[np.float64], lengths: NDArray[np.float64], poly: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Piecewise polynomial at many times.

    `starts` (N,) and `lengths` (N,, signed) of the steps in order, `poly` (N, degree + 1, n),
    `times` (T,) within the range.  Returns (T, n).  At a time where two steps meet
    the later one counts, so the value after an event is returned.
    """
    if len(lengths) and lengths[0] < 0:
        index = np.searchsorted(-starts, -times, side="right") - 1
    else:
        index = np.searchsorted(starts, times, side="right") - 1
    index = np.clip(index, 0, len(starts) - 1)
    theta = ((times - starts[index]) / lengths[index])[:, None]
    c = poly[index]
    value: NDArray[np.float64] = c[:, -1]
    for q in range(c.shape[1] - 2, -1, -1):
        value = c[:, q] + theta * value
    return value
