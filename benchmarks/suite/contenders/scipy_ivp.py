"""scipy: `solve_ivp` with compiled right-hand sides and Jacobians, and `odeint` (the compiled loop of LSODA)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.compiled import Compiled, compiled, functions
from suite.contenders import Run, Way
from suite.problem import Problem

LABEL, MODULE = "scipy", "scipy"
SPARSE_FROM = 100


def _phases(problem: Problem) -> list[Compiled]:
    native = functions(problem)
    found = [compiled(problem, native, phase) for phase in range(len(problem.ends))]
    u = np.array(problem.u0)
    for one in found:
        one.f(0.0, u, np.empty(problem.n))
    return found


def _jacobian(problem: Problem, one: Compiled) -> Callable[[float, Any], Any]:
    if problem.n < SPARSE_FROM:

        def dense(t: float, u: Any) -> Any:
            out = np.empty((problem.n, problem.n))
            one.jac(t, u, out.reshape(-1))
            return out

        return dense
    from scipy.sparse import csr_matrix

    def sparse(t: float, u: Any) -> Any:
        out = np.empty(one.indices.size)
        one.values(t, u, out)
        return csr_matrix((out, one.indices, one.indptr), shape=(problem.n, problem.n)).tocsc()

    return sparse


def ivp(problem: Problem, method: str) -> Callable[[float], Run]:
    from scipy.integrate import solve_ivp

    phases = _phases(problem)

    def right(one: Compiled) -> Callable[[float, Any], Any]:
        f, n = one.f, problem.n

        def rhs(t: float, u: Any) -> Any:
            out = np.empty(n)
            f(t, u, out)
            return out

        return rhs

    pairs = [(right(one), _jacobian(problem, one)) for one in phases]
    implicit = {"Radau", "BDF"} | ({"LSODA"} if problem.n < SPARSE_FROM else set())

    def at(tolerance: float) -> Run:
        def run() -> Any:
            t, u = 0.0, np.array(problem.u0)
            for end, (rhs, jac) in zip(problem.ends, pairs, strict=True):
                options: dict[str, Any] = {"jac": jac} if method in implicit else {}
                if method == "LSODA" and problem.n >= SPARSE_FROM and problem.band:
                    options = dict(zip(("lband", "uband"), problem.band, strict=True))
                sol = solve_ivp(
                    rhs, (t, end), u, method=method, rtol=tolerance, atol=tolerance * problem.floor, t_eval=[end],
                    **options,
                )  # fmt: skip
                if not sol.success:
                    raise RuntimeError(sol.message)
                t, u = end, sol.y[:, -1]
            return u

        return run

    return at


def odeint_lsoda(problem: Problem) -> Callable[[float], Run]:
    from scipy.integrate import odeint

    phases = _phases(problem)
    n = problem.n

    def right(one: Compiled) -> Callable[[float, Any], Any]:
        out = np.empty(n)
        f = one.f

        def rhs(t: float, u: Any) -> Any:
            f(t, u, out)
            return out

        return rhs

    sides = [right(one) for one in phases]
    band = dict(zip(("ml", "mu"), problem.band, strict=True)) if problem.band else {}

    def at(tolerance: float) -> Run:
        def run() -> Any:
            t, u = 0.0, np.array(problem.u0)
            for end, rhs, one in zip(problem.ends, sides, phases, strict=True):
                options: dict[str, Any] = dict(band) if band else {"Dfun": _jacobian(problem, one)}
                if not band and n >= SPARSE_FROM:
                    options = {}
                found, info = odeint(
                    rhs, u, [t, end], tfirst=True, rtol=tolerance, atol=tolerance * problem.floor, mxstep=10_000_000,
                    full_output=True, **options,
                )  # fmt: skip
                if info["message"] != "Integration successful.":
                    raise RuntimeError(info["message"])
                t, u = end, found[-1]
            return u

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    methods = ("Radau", "BDF", "LSODA") if problem.stiff else ("DOP853", "LSODA", "Radau")
    return [
        Way("odeint (LSODA)", lambda: odeint_lsoda(problem)),
        *(Way(f"solve_ivp {method}", lambda method=method: ivp(problem, method)) for method in methods),
    ]
