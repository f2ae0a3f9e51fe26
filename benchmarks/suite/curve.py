"""Comparing libraries at equal achieved error.

A library's curve is the lower edge of everything it measured on a problem, all ways and
tolerances together: the least time for an error of at most e.  Between two measurements
it is interpolated, logarithm against logarithm; outside of them it is not continued.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
"""(achieved error, seconds)."""

GRID = tuple(10.0**-k for k in range(4, 11))
"""Errors at which libraries are compared."""
UNREACHED = 1000.0
"""How much slower a library counts where it did not reach an error that another one did."""


def edge(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both error and time, by falling error.

    >>> edge([(1e-4, 1.0), (1e-6, 3.0), (1e-5, 4.0), (1e-3, 2.0)])
    [(0.0001, 1.0), (1e-06, 3.0)]
    """
    found: list[Point] = []
    for error, seconds in sorted(p for p in points if math.isfinite(p[0]) and p[1] > 0.0):
        if not found or seconds < found[-1][1]:
            found.append((error, seconds))
    return found[::-1]


def seconds_at(points: Sequence[Point], error: float) -> float:
    """Least seconds for an achieved error of at most `error`; infinite where that was not reached.

    >>> round(seconds_at([(1e-4, 1.0), (1e-6, 100.0)], 1e-5), 6)
    10.0
    >>> seconds_at([(1e-4, 1.0)], 1e-5), seconds_at([(1e-4, 1.0)], 1e-3)
    (inf, 1.0)
    """
    curve = edge(points)
    if not curve or curve[-1][0] > error:
        return math.inf
    if curve[0][0] <= error:
        return curve[0][1]
    for (above, quick), (below, slow) in pairwise(curve):
        if below <= error <= above:
            low, high = math.log(max(below, 1e-300)), math.log(above)
            share = (high - math.log(error)) / (high - low)
            return math.exp(math.log(quick) + share * (math.log(slow) - math.log(quick)))
    return math.inf


@dataclass(frozen=True)
class Standing:
    """One problem: seconds of every library at each error of `errors`, which some library reached."""

    errors: tuple[float, ...]
    seconds: dict[str, tuple[float, ...]]

    def slowdown(self, name: str) -> list[float]:
        """Times slower than the best at each error; `UNREACHED` at least where it was not reached."""
        best = [min(column) for column in zip(*self.seconds.values(), strict=True)]
        return [min(mine / least, UNREACHED) for mine, least in zip(self.seconds[name], best, strict=True)]

    def score(self, name: str) -> float:
        """Geometric mean of `slowdown`."""
        factors = self.slowdown(name)
        return math.exp(sum(map(math.log, factors)) / len(factors)) if factors else math.inf

    @property
    def order(self) -> list[str]:
        """Libraries, the best first."""
        return sorted(self.seconds, key=self.score)


def standing(measured: Mapping[str, Sequence[Point]], grid: Sequence[float] = GRID) -> Standing:
    """The standing of libraries on one problem.

    >>> s = standing({"a": [(1e-4, 1.0), (1e-10, 2.0)], "b": [(1e-4, 2.0)]}, [1e-4])
    >>> s.order, s.slowdown("b")
    (['a', 'b'], [2.0])
    """
    table = {name: [seconds_at(points, error) for error in grid] for name, points in measured.items() if points}
    keep = [k for k in range(len(grid)) if any(math.isfinite(row[k]) for row in table.values())]
    return Standing(tuple(grid[k] for k in keep), {name: tuple(row[k] for k in keep) for name, row in table.items()})


def ratio(standing: Standing, name: str, others: Sequence[str]) -> list[float]:
    """Seconds of the best of `others` over those of `name`, at the errors that `name` reached."""
    rows = [standing.seconds[other] for other in others if other in standing.seconds]
    if name not in standing.seconds or not rows:
        return []
    return [
        min(column) / mine
        for mine, column in zip(standing.seconds[name], zip(*rows, strict=True), strict=True)
        if math.isfinite(mine)
    ]
