"""diffrax: `jit` around the whole solve, tolerances as arguments so that it compiles once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.contenders import NotApplicable, Run, Way
from suite.problem import Problem

LABEL, MODULE = "diffrax", "diffrax"
LARGEST = 100


def jitted(problem: Problem, method: str) -> Callable[[float], Run]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import diffrax as dfx
    import jax.numpy as jnp

    def field(t: Any, u: Any, args: Any) -> Any:
        return jnp.stack([jnp.asarray(e, float) for e in problem.rhs([u[i] for i in range(problem.n)])])

    smooth = {"pcoeff": 0.3, "icoeff": 0.4} if problem.stiff else {}  # as its documentation advises

    @jax.jit
    def solve(u0: Any, rtol: Any, atol: Any) -> Any:
        return dfx.diffeqsolve(
            dfx.ODETerm(field), getattr(dfx, method)(), 0.0, problem.t1, None, u0, saveat=dfx.SaveAt(t1=True),
            stepsize_controller=dfx.PIDController(rtol=rtol, atol=atol, **smooth), max_steps=None,
            adjoint=dfx.ForwardMode(),
        ).ys[-1]  # fmt: skip

    u0 = jnp.asarray(problem.u0)

    def at(tolerance: float) -> Run:
        rtol, atol = jnp.asarray(tolerance), jnp.asarray(tolerance * problem.floor)
        return lambda: np.asarray(solve(u0, rtol, atol))

    return at


def ways(problem: Problem) -> list[Way]:
    if problem.n > LARGEST:
        raise NotApplicable(f"compiling {problem.n} traced equations takes minutes")
    methods = ("Kvaerno5", "Kvaerno3") if problem.stiff else ("Dopri8", "Tsit5")
    return [Way(method, lambda method=method: jitted(problem, method)) for method in methods]
