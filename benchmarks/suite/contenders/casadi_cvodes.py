"""CasADi's CVODES: the equations as an SX graph, exact Jacobians by CasADi itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.contenders import Run, Way
from suite.problem import Problem

LABEL, MODULE = "CVODES (CasADi)", "casadi"


def cvodes(problem: Problem, family: str) -> Callable[[float], Run]:
    import casadi

    u = casadi.SX.sym("u", problem.n)
    parts = [u[i] for i in range(problem.n)]
    fields = [casadi.vertcat(*problem.rhs(parts, phase)) for phase in range(len(problem.ends))]

    def at(tolerance: float) -> Run:
        steps, t = [], 0.0
        for end, field in zip(problem.ends, fields, strict=True):
            options = {
                "reltol": tolerance,
                "abstol": tolerance * problem.floor,
                "max_num_steps": 10_000_000,
                "linear_multistep_method": family,
                "nonlinear_solver_iteration": "newton" if family == "bdf" else "functional",
                "linear_solver": "csparse" if problem.n > 30 else "qr",
            }
            steps.append(casadi.integrator("end", "cvodes", {"x": u, "ode": field}, t, end, options))
            t = end

        def run() -> Any:
            state: Any = np.array(problem.u0)
            for step in steps:
                state = step(x0=state)["xf"]
            return np.array(state).reshape(-1)

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    families = ("bdf",) if problem.stiff else ("adams", "bdf")
    return [Way(family, lambda family=family: cvodes(problem, family)) for family in families]
