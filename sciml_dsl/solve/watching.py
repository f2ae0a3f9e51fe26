"""How a long integration notices that the user wants to stop it, and how it reports where it is.

The kernel runs without the interpreter's lock.  After some number of attempted steps,
adapted so that this is some twenty times a second, it takes the lock for a moment, lets
pending signal handlers run (Ctrl-C), and calls back if progress is wanted.  It ends with
`Status.INTERRUPTED` and everything computed so far.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from .slots import CAUGHT

Report = Callable[[dict[str, Any]], Any]

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_double))


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _clock() -> int:
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return _address(library.clock)


WATCHED = (
    _clock(),
    _address(ctypes.pythonapi.PyGILState_Ensure),
    _address(ctypes.pythonapi.PyErr_CheckSignals),
    _address(ctypes.pythonapi.PyErr_Fetch),
    _address(ctypes.pythonapi.PyGILState_Release),
)
"""Addresses of what the kernel calls, in the order of methods/abi.py."""


def first_look(n: int) -> int:
    """Attempted steps before the kernel first looks, for `n` states: a few milliseconds of them."""
    return max(1, 2_000_000 // (n * n + 1000))


def raise_caught(options: Any) -> None:
    """Raise what a signal handler raised inside the kernel, found in its `options`; nothing if there was none."""
    kind, value, trace = (int(word) or None for word in options[CAUGHT : CAUGHT + 3])
    if kind is None:
        return
    restore = ctypes.pythonapi.PyErr_Restore
    restore.argtypes = [ctypes.c_void_p] * 3
    options[CAUGHT : CAUGHT + 3] = 0
    restore(kind, value, trace)  # ctypes looks for an error after the call, and raises it


class Watcher:
    """Calls `report` from inside the kernel; keeps what it raises for `again`."""

    def __init__(self, report: Report, t0: float, t1: float) -> None:
        self._report = report
        self._t0, self._t1 = t0, t1
        self._raised: BaseException | None = None
        self._callback = _CALLBACK(self._call)
        self.address = _address(self._callback)

    def _call(self, t: float, u: Any, p: Any, out: Any) -> None:
        try:
            self.tell(t)
            out[0] = 0.0
        except BaseException as error:  # native code is between here and whoever may handle it
            self._raised = error

    def tell(self, t: float) -> None:
        """Report how far it is."""
        share = (t - self._t0) / (self._t1 - self._t0) if self._t1 != self._t0 else 1.0
        message = f"t = {t:.6g} of {self._t1:.6g}"
        self._report(
            {"stage": "solve", "step": round(1000 * share), "total": 1000, "loss": None, "message": message}
        )  # fmt: skip

    def again(self) -> None:
        """Raise what the report raised."""
        if self._raised is not None:
            raise self._raised
