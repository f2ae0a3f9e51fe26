"""Rows of a table -> piecewise polynomials, in the layout generated code reads.

An input of a model is a function of time given by rows (t, value).  Here the rows
become cubics between knots, whatever the interpolation, so that every target
needs one small function: find the interval, evaluate a polynomial or one of its
derivatives.  The numbers of all inputs are the tail of `p`, behind parameters
and weights: for each input where its table begins in the tail, then the tables.
A table is: number m of knots, first and last time at which it may be asked, m
knots, m times four coefficients of powers of (t - knot), constant first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .spec import Input

Floats = NDArray[np.float64]

EVER = 1e300
"""A time before and after all others; finite, because `p` is checked to be."""
SLACK = 1e-9  # of the table's span: rounding of the times at its ends
HEAD = 3  # numbers before the knots


class Table(NamedTuple):
    """A piecewise polynomial: at knot i <= t < knot i + 1 the powers of t - knot have `coefficients[i]`."""

    first: float
    last: float
    knots: Floats  # (m,)
    coefficients: Floats  # (m, 4)


def table(given: Input, t: Floats, y: Floats) -> Table:
    """The rows `t` (increasing) and `y` of one input, interpolated as it says.

    linear: straight lines.  constant: the value of the latest row, also after the last one.
    cubic: the spline with two continuous derivatives and the not-a-knot condition at both
    ends (C. de Boor, A Practical Guide to Splines, 1978, ch. IV), a parabola through three
    rows, a line through two.  With `hold`, the first value before and the last one after.

    >>> piece = table(Input("u"), np.array([0.0, 2.0]), np.array([1.0, 5.0]))
    >>> piece.coefficients[0].tolist()
    [1.0, 2.0, 0.0, 0.0]
    """
    m = t.size
    coefficients = np.zeros((m, 4))
    coefficients[:, 0] = y
    step = given.interpolation == "constant"
    if not step and m > 1:
        dt = np.diff(t)
        slope = np.diff(y) / dt
        if given.interpolation == "linear" or m == 2:
            coefficients[:-1, 1] = slope
            coefficients[-1, 1] = slope[-1]
        else:
            _cubic(t, dt, slope, coefficients)
    slack = SLACK * (float(t[-1] - t[0]) or max(1.0, abs(float(t[0]))))
    first, last = float(t[0]) - slack, float(t[-1]) + slack
    if step or given.hold:
        last = EVER
        coefficients[-1, 1:] = 0.0
    if given.hold:
        first = -EVER
        t = np.concatenate([[-EVER], t])
        coefficients = np.vstack([[y[0], 0.0, 0.0, 0.0], coefficients])
    return Table(first, last, t, coefficients)


def _cubic(t: Floats, dt: Floats, slope: Floats, coefficients: Floats) -> None:
    """The not-a-knot spline: slopes d at the rows from a tridiagonal system, then the cubics."""
    m = t.size
    if m == 3:  # one parabola
        curve = (slope[1] - slope[0]) / (t[2] - t[0])
        d = np.array([slope[0] - curve * dt[0], slope[0] + curve * dt[0], slope[1] + curve * dt[1]])
    else:
        low, middle, high, right = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
        low[1:-1], middle[1:-1], high[1:-1] = dt[1:], 2.0 * (dt[:-1] + dt[1:]), dt[:-1]
        right[1:-1] = 3.0 * (dt[1:] * slope[:-1] + dt[:-1] * slope[1:])
        two = t[2] - t[0]
        middle[0], high[0] = dt[1], two
        right[0] = ((dt[0] + 2.0 * two) * dt[1] * slope[0] + dt[0] ** 2 * slope[1]) / two
        two = t[-1] - t[-3]
        middle[-1], low[-1] = dt[-2], two
        right[-1] = (dt[-1] ** 2 * slope[-2] + (2.0 * two + dt[-1]) * dt[-2] * slope[-1]) / two
        d = _tridiagonal(low.tolist(), middle.tolist(), high.tolist(), right.tolist())
    bend = (d[:-1] + d[1:] - 2.0 * slope) / dt
    coefficients[:-1, 1] = d[:-1]
    coefficients[:-1, 2] = (slope - d[:-1]) / dt - bend
    coefficients[:-1, 3] = bend / dt
    # the last cubic goes on through the last row
    _, c1, c2, c3 = coefficients[-2]
    h = dt[-1]
    coefficients[-1, 1:] = c1 + h * (2.0 * c2 + 3.0 * h * c3), c2 + 3.0 * h * c3, c3


def _tridiagonal(low: list[float], middle: list[float], high: list[float], right: list[float]) -> Floats:
    """The solution of low[i] x[i-1] + middle[i] x[i] + high[i] x[i+1] = right[i]."""
    for i in range(1, len(middle)):
        factor = low[i] / middle[i - 1]
        middle[i] -= factor * high[i - 1]
        right[i] -= factor * right[i - 1]
    x = right
    x[-1] /= middle[-1]
    for i in range(len(middle) - 2, -1, -1):
        x[i] = (right[i] - high[i] * x[i + 1]) / middle[i]
    return np.array(x)


# ---------------------------------------------------------------- the tail of p


def tail(tables: Sequence[Table]) -> Floats:
    """All tables as the numbers that stand behind parameters and weights."""
    parts: list[Floats] = []
    starts: list[float] = []
    at = len(tables)
    for piece in tables:
        starts.append(float(at))
        block = np.concatenate([[piece.knots.size, piece.first, piece.last], piece.knots, piece.coefficients.ravel()])
        parts.append(block)
        at += block.size
    return np.concatenate([np.array(starts), *parts])


def untail(numbers: Floats, count: int) -> list[Table] | None:
    """The `count` tables in a tail, or None where the numbers are no tail."""
    found: list[Table] = []
    if numbers.size < count:
        return None
    for k in range(count):
        start = numbers[k]
        if not (start == int(start) and count <= start <= numbers.size - HEAD):
            return None
        at = int(start)
        size = numbers[at]
        if not (1.0 <= size <= numbers.size and size == int(size)):
            return None
        m = int(size)
        end = at + HEAD + 5 * m
        if end > numbers.size:
            return None
        knots = numbers[at + HEAD : at + HEAD + m]
        coefficients = numbers[at + HEAD + m : end].reshape(m, 4)
        found.append(Table(float(numbers[at + 1]), float(numbers[at + 2]), knots, coefficients))
    return found


def evaluate(piece: Table, t: Floats, order: int = 0) -> Floats:
    """Values (or derivatives of `order`) at the times `t`; NaN outside the table."""
    t = np.asarray(t, dtype=float)
    i = np.clip(np.searchsorted(piece.knots, t, side="right") - 1, 0, piece.knots.size - 1)
    s = t - piece.knots[i]
    c = np.moveaxis(piece.coefficients[i], -1, 0)
    value = (
        c[0] + s * (c[1] + s * (c[2] + s * c[3])),
        c[1] + s * (2.0 * c[2] + 3.0 * s * c[3]),
        2.0 * c[2] + 6.0 * s * c[3],
        6.0 * c[3] + 0.0 * s,
    )[order]
    return np.where((t >= piece.first) & (t <= piece.last), value, np.nan)


FEW = 1_000
"""So many kinks are all stopped at, whatever the tolerance."""
FINE = 0.25
COARSE = 100.0
ROUGHEST = 1e-3


def breaks(piece: Table, rtol: float = 0.0) -> Floats:
    """Knots at which the value or the slope jumps: a solver steps on them.

    Arguments: `rtol`, the relative tolerance of the integration.  Of more than 1,000 kinks those are
    left out that it cannot see: where the table stays within a quarter of `rtol` times its range of the
    smooth curve through its rows.  A kink of slope s between rows h apart is s*h/8 from that curve.
    Among these, stops are kept as often as the curve bends away from a straight line by 100 times as
    much, so that nothing that rises from a flat part is stepped over.
    """
    knots, c = piece.knots, piece.coefficients
    if knots.size < 2:
        return np.empty(0)
    dt = np.diff(knots)
    before = c[:-1]
    value = before[:, 0] + dt * (before[:, 1] + dt * (before[:, 2] + dt * before[:, 3]))
    slope = before[:, 1] + dt * (2.0 * before[:, 2] + 3.0 * dt * before[:, 3])
    size = float(np.abs(c[:, 0]).max())
    jump = np.abs(c[1:, 0] - value) > 1e-12 * size
    gap = np.abs(c[1:, 1] - slope)
    kink = (gap > 1e-8 * (np.abs(slope) + np.abs(c[1:, 1]))) & (gap * dt > 1e-13 * size)
    if rtol > 0.0 and np.count_nonzero(kink) > FEW:
        kink &= _seen(gap, np.maximum(dt, np.append(dt[1:], 0.0)), float(np.ptp(c[:, 0])), rtol)
    return np.ascontiguousarray(knots[1:][jump | kink])


def _seen(gap: Floats, h: Floats, size: float, rtol: float) -> NDArray[np.bool_]:
    """Which kinks matter to an integration: see `breaks`."""
    away = gap * h / 8.0
    small = away <= FINE * rtol * size
    bends = np.cumsum(np.where(small, np.sqrt(away / (min(COARSE * rtol, ROUGHEST) * size)), 0.0))
    turned = np.floor(bends)
    return ~small | (np.diff(turned, prepend=0.0) > 0.0)


def later(piece: Table, times: Floats) -> None:
    """Move the knots at `times` by one bit, in place."""
    hit = np.isin(piece.knots, times)
    piece.knots[hit] = np.nextafter(piece.knots[hit], np.inf)
