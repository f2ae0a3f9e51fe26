"""Simulations of one experiment: an integrator with everything but the values fixed.

Takes native functions and the times of an experiment; gives raw trajectories.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError
from ..solve.algebraic import AlgebraicIntegrator
from ..solve.choice import check_method
from ..solve.consistent import InconsistentError
from ..solve.integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory
from ..solve.methods import registry
from ..solve.slots import N_COUNTS
from ..solve.status import Status

Floats = NDArray[np.float64]


class Simulation:
    """The integration of one experiment from `t0` through `times` (T), with fixed tolerances.

    `p` below is the parameters with the weights behind them; `follow` (n) marks states that
    algebraic equations determine at the start, from the numbers given for them as guesses.
    `why` is what was wrong where there was no start.
    """

    def __init__(
        self,
        integrator: Integrator | AlgebraicIntegrator,
        t0: float,
        times: Floats,
        method: str,
        rtol: float,
        atol: float,
        max_steps: int,
        follow: NDArray[np.bool_] | None = None,
    ) -> None:
        check_method(method)
        if method.lower() != "auto" and registry.method(method).fixed:
            raise InputError(f'method "{method}" estimates no error, so a fit cannot trust it; use "auto" or "tsit5"')
        self._integrator, self._follow = integrator, follow
        self.why, self._started = "", False
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
        options: dict[str, Any] = {
            "method": "tsit5" if record else self._method, "rtol": self._rtol, "atol": self._atol,
            "saveat": self.times, "s0": s0, "columns": columns, "max_steps": self._max_steps,
        }  # fmt: skip
        if isinstance(self._integrator, Integrator):
            return self._integrator.run(u0, p, self.t0, self.end, record=record, **options)
        self.why = ""
        given, guess = self._split(u0)
        try:
            found = self._integrator.run(given, p, self.t0, self.end, guess=guess, whole=True, **options)
            self._started = True
            return found
        except MissingValueError as error:
            if not self._started:
                raise
            self.why = str(error)  # elsewhere there was a start: this point is singular
        except InconsistentError as error:
            self.why = str(error)
        return nowhere(self.t0, u0)

    def _split(self, u0: Floats) -> tuple[Floats, Floats]:
        """What of an initial state is given, and what is a guess."""
        if self._follow is None or not self._follow.any():
            return u0, EMPTY
        return np.where(self._follow, np.nan, u0), np.where(self._follow, u0, np.nan)

    def start(self, u0: Floats, p: Floats) -> Floats:
        """The initial state, consistent where there are algebraic equations; NaN where there is none."""
        if isinstance(self._integrator, Integrator):
            return u0
        given, guess = self._split(u0)
        try:
            return self._integrator.start(self.t0, given, p, guess=guess)
        except (InconsistentError, MissingValueError):
            return np.full(u0.size, np.nan)

    def reached(self, result: Trajectory) -> bool:
        """Whether a result may be used and covers all times."""
        if result.status == Status.SUCCESS:
            return True
        saved = result.t
        return bool(result.status == Status.TERMINATED and saved.size == self.times.size and saved[-1] == self.end)


def nowhere(t0: float, u0: Floats) -> Trajectory:
    """The trajectory of a simulation that has no consistent start."""
    none, no, n = np.empty(0), np.empty(0, np.int64), u0.size
    return Trajectory(
        int(Status.INCONSISTENT), t0, np.zeros(N_COUNTS, np.int64), none, np.empty((0, n)), np.empty((0, 0)), none,
        none, np.empty((0, 5, n)), np.empty((0, n)), np.empty((0, 7, n)), none, no, u0,
    )  # fmt: skip
