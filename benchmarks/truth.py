"""Reference solutions by scipy at tolerances far below what is measured, and the error norm.

Nothing here uses sciml_dsl.  Every reference is computed twice, with tolerances a
factor of ten apart; their difference tells how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """`values` (T, n) at the times asked for; `uncertainty` in the norm of `weighted_error`."""

    values: Floats
    uncertainty: float


def weighted_error(values: Any, reference: Floats, scale: float = 1.0) -> float:
    """Largest |value - reference| / (scale + |reference|); NaN or a wrong shape counts as NaN.

    `scale` is atol/rtol of the runs compared: the norm every one of them controls.

    >>> weighted_error([1.0, 3.0], np.array([1.0, 1.0]))
    1.0
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != reference.shape:
        return float("nan")
    return float(np.max(np.abs(found - reference) / (scale + np.abs(reference))))


def relative_to_largest(values: Any, reference: Floats) -> float:
    """Largest |value - reference|, divided by the largest |reference|: for gradients."""
    found = np.asarray(values, dtype=np.float64)
    if found.shape != reference.shape:
        return float("nan")
    return float(np.max(np.abs(found - reference)) / np.max(np.abs(reference)))


def integrate(
    f: Callable[[float, Floats], Any],
    start: Sequence[float] | Floats,
    times: Floats,
    *,
    method: str = "DOP853",
    rtol: float = 1e-13,
    atol: float = 1e-13,
    scale: float = 1.0,
    jac: Callable[[float, Floats], Any] | None = None,
) -> Reference:
    """Solve u' = f(t, u) from t = 0 with scipy at `rtol`, and once more ten times as loosely."""
    found = []
    for factor in (10.0, 1.0):
        options = {"jac": jac} if jac is not None else {}
        solution = solve_ivp(
            f, (0.0, float(times[-1])), start, method=method, rtol=rtol * factor, atol=atol * factor, t_eval=times,
            **options,
        )  # fmt: skip
        if not solution.success:
            raise RuntimeError(f"the reference could not be computed: {solution.message}")
        found.append(solution.y.T)
    return Reference(found[1], weighted_error(found[0], found[1], scale))
