"""torchdiffeq: `odeint` without autograd.  It has no stiff method of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suite.contenders import NotApplicable, Run, Way
from suite.problem import Problem

LABEL, MODULE = "torchdiffeq", "torchdiffeq"


def odeint_way(problem: Problem, method: str) -> Callable[[float], Run]:
    import torch
    from torchdiffeq import odeint

    torch.set_num_threads(1)
    u0 = torch.tensor(problem.u0, dtype=torch.float64)
    times = torch.tensor([0.0, problem.t1], dtype=torch.float64)

    def field(t: Any, u: Any) -> Any:
        return torch.tensor(problem.rhs(u.tolist()), dtype=torch.float64)

    def at(tolerance: float) -> Run:
        def run() -> Any:
            with torch.no_grad():
                return odeint(field, u0, times, method=method, rtol=tolerance, atol=tolerance * problem.floor)[
                    -1
                ].numpy()

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    if problem.stiff:
        raise NotApplicable("stiff: it has no implicit adaptive method")
    return [Way(method, lambda method=method: odeint_way(problem, method)) for method in ("dopri8", "dopri5")]
