"""Simulations of one experiment: an integrator with everything but the values fixed.

Takes native functions and the times of an experiment; gives raw trajectories.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..solve.choice import check_method
from ..solve.integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory
from ..solve.methods import registry
from ..solve.problem import NativeFunctions
from ..solve.status import Status

Floats = NDArray[np.float64]


class Simulation:
    """The integration of one experiment from `t0` through `times` (T), with fixed tolerances.

    `p` below is the parameters with the weights behind them.
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
        check_method(method)
        if method.lower() != "auto" and registry.method(method).fixed:
            raise InputError(f'method "{method}" estimates no error, so a fit cannot trust it; use "auto" or "tsit5"')
        self._integrator = Integrator(native)
        self._method, self._rtol, self._atol, self._max_steps = method, float(rtol), float(atol), max_steps
        self.t0, self.times = float(t0), np.ascontiguousarray(times, dtype=float)
        self.end = float(self.times[-1])

    def run(
        self,
        u0: Floats,
        p: Floats,
        s0: Floats = EMPTY,
        columns: NDArray[np.int64] = NO_COLUMNS,
        *,
        record: bool = False,
    ) -> Trajectory:
        """Integrate; `s0` (n m) and `columns` (m) are sensitivities, `record` keeps the steps of Tsit5."""
        return self._integrator.run(
            u0,
            p,
            self.t0,
            self.end,
            method="tsit5" if record else self._method,
            rtol=self._rtol,
            atol=self._atol,
            saveat=self.times,
            s0=s0,
            columns=columns,
            record=record,
            max_steps=self._max_steps,
        )

    def reached(self, result: Trajectory) -> bool:
        """Whether a result may be used and covers all times."""
        if result.status == Status.SUCCESS:
            return True
        saved = result.t
        return bool(result.status == Status.TERMINATED and saved.size == self.times.size and saved[-1] == self.end)
