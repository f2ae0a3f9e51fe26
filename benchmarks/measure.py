"""Timing of calls: warm-up, repetition, median and spread.

Takes callables without arguments, gives seconds a call.  Several callables are
timed in turns, round by round, so that a machine that slows down for a while
slows all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any

SAMPLE = 1e-3
"""A sample is at least this long (seconds): shorter calls are repeated inside it."""
ROUNDS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds a call: median and quartiles over `samples` samples of `repeats` calls each."""

    median: float
    low: float
    high: float
    samples: int
    repeats: int = 1

    @classmethod
    def of(cls, seconds: Sequence[float], repeats: int = 1) -> Timing:
        """The timing of measured samples.

        >>> Timing.of([1.0, 2.0, 9.0]).median
        2.0
        """
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0], 1, repeats)
        low, _, high = quantiles(seconds, n=4, method="inclusive")
        return cls(median(seconds), low, high, len(seconds), repeats)


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and what it gave."""
    began = perf_counter()
    result = call()
    return perf_counter() - began, result


def repeats_for(call: Callable[[], Any], warm_up: float = 0.3) -> int:
    """Warm `call` up for `warm_up` seconds (at least twice); calls needed to fill one sample."""
    best, spent, count = float("inf"), 0.0, 0
    while count < 2 or (spent < warm_up and count < 10_000):
        seconds, _ = once(call)
        best, spent, count = min(best, seconds), spent + seconds, count + 1
    return max(1, round(SAMPLE / max(best, 1e-9)))


def samples(call: Callable[[], Any], repeats: int, seconds: float, at_least: int) -> list[float]:
    """Seconds a call in samples of `repeats` calls, until `seconds` passed and `at_least` were taken."""
    taken: list[float] = []
    gc.collect()
    end = perf_counter() + seconds
    while len(taken) < at_least or perf_counter() < end:
        began = perf_counter()
        for _ in range(repeats):
            call()
        taken.append((perf_counter() - began) / repeats)
    return taken


def side_by_side(
    calls: Sequence[Callable[[], Any]], seconds: float = 2.0, at_least: int = 5, rounds: int = ROUNDS
) -> list[Timing]:
    """Time `calls` in turns.

    Arguments: `seconds` for each call in all, split over `rounds`; at least `at_least`
    samples of each.  Returns one `Timing` for each call.

    >>> len(side_by_side([lambda: 1, lambda: 2], seconds=0.01))
    2
    """
    repeats = [repeats_for(call, min(0.3, seconds / 4)) for call in calls]
    taken: list[list[float]] = [[] for _ in calls]
    each = -(-at_least // rounds)
    for _ in range(rounds):
        for call, count, found in zip(calls, repeats, taken, strict=True):
            found += samples(call, count, seconds / rounds, each)
    return [Timing.of(found, count) for found, count in zip(taken, repeats, strict=True)]
