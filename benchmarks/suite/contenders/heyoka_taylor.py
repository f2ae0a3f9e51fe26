"""heyoka: Taylor series of adaptive order, compiled for each problem and tolerance.  It has no implicit method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.contenders import NotApplicable, Run, Way
from suite.problem import Problem

LABEL, MODULE = "heyoka", "heyoka"


def taylor(problem: Problem) -> Callable[[float], Run]:
    import heyoka

    symbols = heyoka.make_vars(*[f"u{i}" for i in range(problem.n)])
    system = list(zip(symbols, problem.rhs(list(symbols)), strict=True))

    def at(tolerance: float) -> Run:
        start = np.array(problem.u0)
        stepper: Any = heyoka.taylor_adaptive(system, start.copy(), tol=tolerance, compact_mode=problem.n > 10)

        def run() -> Any:
            stepper.time = 0.0
            stepper.state[:] = start
            outcome = stepper.propagate_until(problem.t1)[0]
            if outcome != heyoka.taylor_outcome.time_limit:
                raise RuntimeError(str(outcome))
            return stepper.state.copy()

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    if problem.stiff:
        raise NotApplicable("stiff: it has no implicit method")
    return [Way("Taylor", lambda: taylor(problem))]
