"""Simulations of one experiment: the solver's arguments packed once, run many times.

Takes native functions and the times of an experiment; gives raw arrays of the
kernel.  Fits call this thousands of times, so nothing is checked or named here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownNameError
from ..solve import loop
from ..solve.events import KIND_AT, KIND_EVERY, KIND_WHEN
from ..solve.kernel import integrate
from ..solve.problem import NativeFunctions
from ..solve.status import Status

Floats = NDArray[np.float64]
METHODS = {"auto": loop.AUTO, "tsit5": loop.TSIT5, "rodas5p": loop.RODAS5P}
_KINDS = {"when": KIND_WHEN, "at": KIND_AT, "every": KIND_EVERY}
_NOTHING = np.empty(0)
_NONE = np.empty(0, dtype=np.int64)


class Simulation:
    """The integration of one experiment from `t0` through `times` (T), with fixed tolerances.

    `n_params` counts model parameters; `p` below has the weights behind them.
    """

    def __init__(
        self,
        native: NativeFunctions,
        t0: float,
        times: Floats,
        method: str,
        rtol: float,
        atol: float,
        max_steps: int,
    ) -> None:
        if method not in METHODS:
            raise UnknownNameError(f"method `{method}` is not known\n  hint: one of {', '.join(METHODS)}")
        self.native = native
        self.times = np.ascontiguousarray(times, dtype=float)
        self._end = float(self.times[-1])
        head = (native.f, native.jac, native.dfdt, native.fjp, native.djp, native.roots, native.event_times)
        jumps = native.affect_jac or (0,) * len(native.affect)
        self._fn = np.array((*head, *native.affect, *jumps), dtype=np.int64)
        flat = [number for e in native.events for number in (_KINDS[e.kind], int(e.terminate))]
        self._info = np.array(flat, dtype=np.int64)
        self._options = np.array([METHODS[method], max_steps, 0, 0, 0, native.n_params], dtype=np.int64)
        self._recording = np.array([loop.TSIT5, max_steps, 0, 0, 1, native.n_params], dtype=np.int64)
        self._span = np.array([t0, self._end, 0.0, np.inf])
        self._rtol, self._atol = np.array([rtol]), np.array([atol])

    def run(self, u0: Floats, p: Floats, s0: Floats = _NOTHING, columns: NDArray[np.int64] = _NONE) -> Any:
        """The kernel's result: status, end time, statistics, t, u (T, n), s (T, n m), ..., last state."""
        return integrate(
            self._fn, self._info, self._options, self._span, u0, p, self._rtol, self._atol, self.times, _NOTHING, s0,
            columns,
        )  # fmt: skip

    def record(self, u0: Floats, p: Floats) -> Any:
        """The same by Tsit5 with every step recorded, for the discrete adjoint."""
        return integrate(
            self._fn, self._info, self._recording, self._span, u0, p, self._rtol, self._atol, self.times, _NOTHING,
            _NOTHING, _NONE,
        )  # fmt: skip

    def reached(self, result: Any) -> bool:
        """Whether a result may be used and covers all times."""
        status = result[0]
        if status == Status.SUCCESS:
            return True
        saved = result[3]
        return status == Status.TERMINATED and saved.size == self.times.size and saved[-1] == self._end
