"""Times at which equations turn by themselves, as numbers: zeros of functions of time, and families inside a span.

Takes the native functions `gaps` and `turns` of a model.  The kernel makes the times of families one
by one as it goes; here they are listed for integrators of other libraries.  Zeros without a
closed form are looked for before an integration begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from .observe import observe
from .problem import NativeFunctions

Floats = NDArray[np.float64]

SAMPLES = 20_000
"""Parts of a span in which a sign change is looked for; shorter excursions are found from the extremum nearby."""
MOST = 1_000_000
"""Times listed for one span."""
_GOLDEN = 0.6180339887498949


def crossings(gaps: int, count: int, n: int, low: float, high: float, p: Floats) -> Floats:
    """Sorted times strictly inside (low, high) at which one of `count` functions of time changes sign.

    Samples, then for every pair of neighbours of unlike sign bisection to the resolution of
    time.  Where the size has a minimum between samples of like sign, it is followed down by
    golden sections, to see whether the sign changes there and back.
    """
    nothing = np.zeros((1, n))

    def values(t: Floats, which: Floats) -> Floats:
        every = observe(gaps, count, np.ascontiguousarray(t), np.repeat(nothing, t.size, axis=0), p)
        found: Floats = every[np.arange(t.size), which.astype(np.int64)]
        return found

    if not high > low:
        return np.empty(0)
    t = np.linspace(low, high, SAMPLES + 1)
    grid = observe(gaps, count, t, np.repeat(nothing, t.size, axis=0), p)
    left: list[Floats] = []
    right: list[Floats] = []
    of: list[Floats] = []

    def add(a: Floats, b: Floats, k: Floats) -> None:
        left.append(a)
        right.append(b)
        of.append(k)

    for k in range(count):
        g = grid[:, k]
        above = g > 0.0
        at = np.flatnonzero((above[:-1] != above[1:]) & np.isfinite(g[:-1]) & np.isfinite(g[1:]))
        add(t[at], t[at + 1], np.full(at.size, k))
        size = np.abs(g)
        dip = np.flatnonzero(
            (size[1:-1] <= np.minimum(size[:-2], size[2:]))
            & (above[:-2] == above[1:-1])
            & (above[1:-1] == above[2:])
        )
        if dip.size:
            a, b = t[dip], t[dip + 2]
            which = np.full(dip.size, float(k))
            sign = np.where(above[dip + 1], 1.0, -1.0)
            x, y = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
            at_x, at_y = sign * values(x, which), sign * values(y, which)
            for _ in range(60):
                lower = at_x < at_y
                a, b = np.where(lower, a, x), np.where(lower, y, b)
                x, y = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
                at_x, at_y = sign * values(x, which), sign * values(y, which)
            bottom = np.where(at_x < at_y, x, y)
            through = np.minimum(at_x, at_y) < 0.0
            add(t[dip][through], bottom[through], which[through])
            add(bottom[through], t[dip + 2][through], which[through])
    a, b, which = np.concatenate(left), np.concatenate(right), np.concatenate(of)
    if not a.size:
        return np.empty(0)
    above = values(a, which) > 0.0
    for _ in range(80):
        middle = 0.5 * (a + b)
        same = (values(middle, which) > 0.0) == above
        a, b = np.where(same, middle, a), np.where(same, b, middle)
        if (np.nextafter(a, b) >= b).all():
            break
    found = np.unique(b)
    inside: Floats = found[(found > low) & (found < high)]
    return inside


def inside(functions: NativeFunctions, t0: float, t1: float, u0: Floats, p: Floats) -> Floats:
    """All turning times strictly inside a span, sorted.

    Raises `UnsupportedError` where they are more than `MOST`.
    """
    low, high = min(t0, t1), max(t0, t1)
    found = [np.empty(0)]
    if functions.n_families:
        table = observe(functions.turns, 2 * functions.n_families, np.array([t0]), u0[None, :].copy(), p)[0]
        for anchor, period in table.reshape(-1, 2):
            if not (np.isfinite(anchor) and np.isfinite(period)):
                continue
            if period == 0.0:
                found.append(np.array([anchor]))
                continue
            first, last = np.sort([(low - anchor) / period, (high - anchor) / period])
            if last - first > MOST:
                raise UnsupportedError(
                    f"the equations turn more than {MOST:,} times between {low:g} and {high:g}",
                    hint="integrate a shorter span, or use a method of this package",
                )
            found.append(anchor + period * np.arange(np.ceil(first), np.floor(last) + 1.0))
    if functions.n_gaps:
        found.append(crossings(functions.gaps, functions.n_gaps, functions.n, low, high, p))
    times = np.unique(np.concatenate(found))
    chosen: Floats = times[(times > low) & (times < high)]
    return chosen
