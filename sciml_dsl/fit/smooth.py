"""Smooth curves through noisy measurements, with their derivatives and the size of the noise.

Takes times and values of one column; gives a curve.  Fits that integrate nothing
(gradient matching), guesses of segment starts in multiple shooting and sparse
regression begin with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

Floats = NDArray[np.float64]

LARGEST_PROCESS = 250  # points up to which a Gaussian process is used
_LENGTHS = 28  # length scales tried, from the spacing of the points to three times their span
_RATIOS = np.exp(np.linspace(math.log(1e-9), math.log(10.0), 60))  # noise over signal variance


@dataclass(frozen=True, eq=False)
class Smoothed:
    """A smooth curve.

    Attributes:
        noise: standard deviation of the measurements about it, in their unit.
        lengthscale: the length scale of the curve, in the unit of time.
    """

    noise: float
    lengthscale: float
    _t: Floats
    _coefficients: Floats
    _offset: float
    _kind: str

    def __call__(self, t: ArrayLike) -> Floats:
        """Values at `t`."""
        return self._offset + self._kernel(np.asarray(t, dtype=float), 0) @ self._coefficients

    def derivative(self, t: ArrayLike) -> Floats:
        """First derivatives at `t`."""
        return self._kernel(np.asarray(t, dtype=float), 1) @ self._coefficients

    def _kernel(self, t: Floats, order: int) -> Floats:
        return _kernel(self._kind, t[..., None] - self._t, self.lengthscale, order)


def curve(t: ArrayLike, y: ArrayLike) -> Smoothed:
    """A smooth curve through measurements, as smooth as they allow.

    Arguments:
        t: times (T,), increasing, equal ones allowed.
        y: values (T,); NaN where nothing was measured.

    Raises:
        DataError: fewer than three measurements.

    A Gaussian process with squared exponential or Matern 5/2 covariance, whichever is
    more likely; length scale and noise by maximum marginal likelihood (C. E. Rasmussen
    & C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, 5.4), searched on
    a grid so that there is no start to depend on.  More than 250 points are averaged in
    neighbouring groups first.

    Example:
        >>> import numpy as np
        >>> t = np.linspace(0, 6, 40)
        >>> c = curve(t, np.sin(t))
        >>> bool(np.allclose(c.derivative(t), np.cos(t), atol=1e-3))
        True
    """
    times: Floats = np.asarray(t, dtype=float)
    values: Floats = np.asarray(y, dtype=float)
    kept = np.isfinite(values)
    return _curve(times[kept], values[kept])


def _curve(t: Floats, y: Floats) -> Smoothed:
    if t.size < 3:
        raise DataError(f"a smooth curve needs at least 3 measurements, not {t.size}")
    group = -(-t.size // LARGEST_PROCESS)
    if group > 1:
        edges = np.arange(0, t.size, group)
        sizes = np.diff(np.append(edges, t.size))
        t, y = np.add.reduceat(t, edges) / sizes, np.add.reduceat(y, edges) / sizes
    offset = float(y.mean())
    z = y - offset
    span = float(t[-1] - t[0])
    if not (np.abs(z).max() > 1e-14 * max(1.0, abs(offset)) and span > 0.0):
        return Smoothed(0.0, max(span, 1.0), t, np.zeros(t.size), offset, "se")
    gap = span / (np.unique(t).size - 1)
    difference = t[:, None] - t
    best: tuple[float, str, float, float, Floats, Floats] | None = None
    for kind in ("se", "matern"):
        for length in np.exp(np.linspace(math.log(gap), math.log(3.0 * span), _LENGTHS)):
            values, vectors = np.linalg.eigh(_kernel(kind, difference, float(length), 0))
            values = np.maximum(values, 0.0)
            turned = vectors.T @ z
            spectrum = values[:, None] + _RATIOS
            power = (turned[:, None] ** 2 / spectrum).mean(axis=0)
            score = 0.5 * (t.size * np.log(power) + np.log(spectrum).sum(axis=0))
            k = int(np.argmin(score))
            if best is None or score[k] < best[0]:
                weights = vectors @ (turned / spectrum[:, k])
                best = (float(score[k]), kind, float(length), float(np.sqrt(power[k] * _RATIOS[k])), weights, values)
    assert best is not None
    _, kind, length, noise, weights, _ = best
    return Smoothed(noise * math.sqrt(group), length, t, weights, offset, kind)


def smooth(t: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats, float]:
    """(values (T,), derivatives (T,), standard deviation of the noise) of `curve(t, y)` at `t`.

    Example:
        >>> import numpy as np
        >>> t = np.linspace(0, 1, 20)
        >>> values, derivatives, noise = smooth(t, t**2)
        >>> bool(abs(derivatives[10] - 2 * t[10]) < 1e-3)
        True
    """
    fitted = curve(t, y)
    return fitted(t), fitted.derivative(t), fitted.noise


def _kernel(kind: str, difference: Floats, length: float, order: int) -> Floats:
    """Covariance at a difference of times, or its derivative by the first time."""
    x = difference / length
    if kind == "se":
        value = np.exp(-0.5 * x * x)
        return value if order == 0 else -x / length * value
    d = math.sqrt(5.0) * np.abs(x)
    decay = np.exp(-d)
    if order == 0:
        return (1.0 + d + d * d / 3.0) * decay
    return -(5.0 / 3.0) * x / length * (1.0 + d) * decay


__all__ = ["Smoothed", "curve", "smooth"]
