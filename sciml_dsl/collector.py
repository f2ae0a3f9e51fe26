"""The cyclic garbage collector, paused while much is built that holds no cycles.

Trees and graphs of a large model are hundreds of thousands of small objects
that all stay alive.  Python's collector walks through them again and again
while they are made, which doubles the time and finds nothing.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MANY = 50_000
"""New objects after which they count as old: they would be walked through once for every generation."""

_lock = threading.Lock()
_inside = 0
_was_on = False


def _enter() -> None:
    global _inside, _was_on
    with _lock:
        if _inside == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and _was_on:
            if gc.get_count()[0] > MANY and gc.get_freeze_count() == 0:
                # Into the oldest generation without a look at each: freezing moves all lists
                # of objects away, and what is given back goes there.  A full collection still sees them.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def uncollected(work: Callable[P, T]) -> Callable[P, T]:
    """`work` with the collector paused while it runs; calls may nest and run in several threads.

    >>> import gc
    >>> uncollected(gc.isenabled)(), gc.isenabled()
    (False, True)
    """

    @wraps(work)
    def paused(*args: Any, **options: Any) -> T:
        _enter()
        try:
            return work(*args, **options)
        finally:
            _leave()

    return paused
