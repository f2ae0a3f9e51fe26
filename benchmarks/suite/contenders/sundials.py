"""CVODE through scikit-sundae: its own interface with compiled callbacks, and ours with native ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.compiled import compiled, functions
from suite.contenders import Run, Way
from suite.contenders.ours import solver
from suite.problem import Problem

LABEL, MODULE = "CVODE (scikit-sundae)", "sksundae"


def sundae(problem: Problem, method: str) -> Callable[[float], Run]:
    """`sksundae.cvode.CVODE` with a compiled right-hand side and Jacobian behind its Python callbacks."""
    import sksundae

    native = functions(problem)
    n = problem.n
    phases = [compiled(problem, native, phase) for phase in range(len(problem.ends))]

    def options(k: int) -> dict[str, Any]:
        one = phases[k]
        found: dict[str, Any] = {}
        if method == "Adams" or (n > 150 and not problem.band):
            return found
        if problem.band:
            found = {"linsolver": "band", "lband": problem.band[0], "uband": problem.band[1]}
        if n <= 150:
            flat = np.empty(n * n)

            def jacobian(t: float, y: Any, yp: Any, out: Any) -> None:
                one.jac(t, np.array(y), flat)
                out[...] = flat.reshape(n, n)

            found["jacfn"] = jacobian
        return found

    def right(k: int) -> Callable[..., None]:
        f, out = phases[k].f, np.empty(n)

        def rhs(t: float, y: Any, yp: Any) -> None:
            f(t, np.array(y), out)
            yp[:] = out

        return rhs

    def at(tolerance: float) -> Run:
        solvers = [
            sksundae.cvode.CVODE(
                right(k), method=method, rtol=tolerance, atol=tolerance * problem.floor, max_num_steps=10_000_000,
                **options(k),
            )
            for k in range(len(problem.ends))
        ]  # fmt: skip

        def run() -> Any:
            t, u = 0.0, np.array(problem.u0)
            for end, one in zip(problem.ends, solvers, strict=True):
                one.init_step(t, u)
                found = one.step(end, tstop=end)
                if not found.success:
                    raise RuntimeError(found.message)
                t, u = end, np.array(found.y).reshape(-1)
            return u

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    cache: dict[str, Any] = {}
    ours = ("cvode_bdf", "ida") if problem.stiff else ("cvode_adams", "cvode_bdf")
    theirs = "BDF" if problem.stiff else "Adams"
    return [
        *(Way(f"native callbacks, {name}", lambda name=name: solver(problem, name, cache)) for name in ours),
        Way(f"its own interface, {theirs}", lambda: sundae(problem, theirs)),
    ]
