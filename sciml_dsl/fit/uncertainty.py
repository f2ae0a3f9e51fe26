"""What the data say about each estimate: covariance, standard errors, identifiability.

Takes the Jacobian at a minimum; gives numbers that are always finite.  Directions
of θ the data do not see are named instead of given an infinite variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLIND = 1e-6  # singular values below this share of the largest count as zero
TAKES_PART = 0.1  # component in a blind direction from which an estimate counts as not identifiable


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Linearised uncertainty of estimates.

    Attributes:
        names: estimates that have a covariance, in order.
        covariance: shape (k, k), finite.
        identifiable: for every estimate, whether the data determine it.
        at_bound: estimates that lie on a bound and have none for that reason.
        warnings: sentences for the user.
    """

    names: tuple[str, ...]
    covariance: Floats
    identifiable: dict[str, bool]
    at_bound: tuple[str, ...]
    warnings: tuple[str, ...]


def uncertainty(
    names: Sequence[str],
    values: Floats,
    residuals: Floats,
    jacobian: Floats,
    free: NDArray[np.bool_],
    *,
    absolute: bool = False,
) -> Uncertainty:
    """Covariance s^2 (J^T J)^-1 of the identifiable estimates.

    Arguments:
        names, values: of the estimates (n,).
        residuals, jacobian: (N,) and (N, n) at the minimum, by natural values.
        free: (n,) False for estimates on a bound; they are taken as known.
        absolute: residuals are in units of known standard deviations, so s^2 = 1;
            else s^2 = RSS/(N - n).

    G. A. F. Seber & C. J. Wild, Nonlinear Regression (1989), chapters 2 and 5.

    Example:
        >>> import numpy as np
        >>> jac = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]])
        >>> u = uncertainty(["a", "b"], np.ones(2), np.zeros(3), jac, np.ones(2, bool))
        >>> u.identifiable
        {'a': False, 'b': False}
    """
    number = dict(zip(names, (float(v) for v in values), strict=True))
    at_bound = tuple(name for name, inside in zip(names, free, strict=True) if not inside)
    inner = [name for name, inside in zip(names, free, strict=True) if inside]
    warnings = [f"{name} lies on its bound {number[name]:.6g}" for name in at_bound]
    part = jacobian[:, free]
    length = np.sqrt((part * part).sum(axis=0))
    used = np.where(length > 0.0, length, 1.0)
    sizes, axes = _singular(part / used)
    seen = sizes > BLIND * sizes.max(initial=0.0)
    blind: NDArray[np.bool_] = (np.abs(axes[~seen]) > TAKES_PART).any(axis=0)
    lost = [name for name, is_blind in zip(inner, blind, strict=True) if is_blind]
    kept = tuple(name for name, is_blind in zip(inner, blind, strict=True) if not is_blind)
    identifiable = {name: name not in lost for name in names}
    if len(lost) == 1:
        warnings.append(f"{lost[0]} cannot be determined: the data do not depend on it")
    elif lost:
        warnings.append(f"{', '.join(lost)} cannot be determined: other values of them fit the data as well")
    freedom = residuals.size - int(seen.sum())
    if not absolute and freedom <= 0:
        warnings.append("as many unknowns as measurements: no errors can be estimated")
        return Uncertainty((), np.empty((0, 0)), identifiable, at_bound, tuple(warnings))
    variance = 1.0 if absolute else float(residuals @ residuals) / freedom
    roots = axes[seen] / sizes[seen, None] / used
    covariance = variance * (roots.T @ roots)[np.ix_(~blind, ~blind)]
    for name, spread in zip(kept, np.sqrt(np.diag(covariance)), strict=True):
        if spread > abs(number[name]) and not math.isclose(number[name], 0.0, abs_tol=1e-12):
            warnings.append(f"{name} is poorly determined: {number[name]:.4g} with standard error {spread:.2g}")
    return Uncertainty(kept, covariance, identifiable, at_bound, tuple(warnings))


def _singular(matrix: Floats) -> tuple[Floats, Floats]:
    """All n singular values (zeros where there are fewer rows) and right singular vectors as rows (n, n)."""
    n = matrix.shape[1]
    if n == 0:
        return np.empty(0), np.empty((0, 0))
    _, sizes, axes = np.linalg.svd(matrix, full_matrices=True)
    return np.concatenate([sizes, np.zeros(n - sizes.size)]), axes


__all__ = ["Uncertainty", "uncertainty"]
