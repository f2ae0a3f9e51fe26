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
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import InputError
from .slots import CAUGHT

Report = Callable[[dict[str, Any]], Any]

_PATIENCE = 0.5  # seconds before a bar is shown
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


class Bar:
    """A progress bar on standard error, shown once the work has lasted for half a second."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._progress: Any = None

    def __call__(self, state: dict[str, Any]) -> None:
        if self._progress is None:
            if perf_counter() - self._began < _PATIENCE:
                return
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("solve"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
            self._task = self._progress.add_task("", total=state["total"])
        self._progress.update(self._task, completed=state["step"], description=state["message"])

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()


class Stop:
    """Ends integrations from another thread: native code looks at the flag, between and within trajectories."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.int64)
        self._callback = _CALLBACK(self._call)
        self.address = _address(self._callback)

    def _call(self, t: float, u: Any, p: Any, out: Any) -> None:
        out[0] = float(self.flag[0] != 0)

    def now(self) -> None:
        """Ask for the end."""
        self.flag[0] = 1


class Watcher:
    """Calls `report` from inside the kernel (True: a `Bar`); keeps what it raised for `again`."""

    def __init__(self, report: Report | bool, t0: float, t1: float) -> None:
        if not (report is True or callable(report)):
            raise InputError(f"progress must be True, False or a callable, got {report!r}")
        self._report: Report = Bar() if report is True else report  # type: ignore[assignment]
        self._t0, self._t1 = t0, t1
        self._raised: BaseException | None = None
        self._callback = _CALLBACK(self._call)
        self.address = _address(self._callback)

    def _call(self, t: float, u: Any, p: Any, out: Any) -> None:
        try:
            out[0] = 1.0 if self.tell(t) is True else 0.0
        except BaseException as error:  # native code is between here and whoever may handle it
            self._raised = error

    def tell(self, t: float) -> Any:
        """Report how far it is; gives what the report returned."""
        share = (t - self._t0) / (self._t1 - self._t0) if self._t1 != self._t0 else 1.0
        message = f"t = {t:.6g} of {self._t1:.6g}"
        return self._report(
            {"stage": "solve", "step": round(1000 * share), "total": 1000, "loss": None, "message": message}
        )  # fmt: skip

    def close(self) -> None:
        """Take down what is shown."""
        if isinstance(self._report, Bar):
            self._report.close()

    def again(self) -> None:
        """Raise what the report raised."""
        if self._raised is not None:
            raise self._raised
