"""10,000 Lorenz trajectories on two cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.lotka_volterra import jax_setup
from contest import OURS, Call, Contender, Outcome, Target, run_contest
from truth import integrate, weighted_error

TITLE = "Lorenz: an ensemble of 10,000"
SETTINGS = (
    "rho from 0 to 50, u0 = (1, 0, 0), t = 0..1, outputs at 0.1, 0.2 ... 1, rtol = atol = 1e-6; "
    "error: largest |u - reference| / (1 + |reference|) of 21 members"
)
TARGETS = (
    Target("at least 20 x jitted, vmapped diffrax", ratio=20, library="diffrax"),
    Target("at least 20 x it, Tsit5 both", ratio=20, library="diffrax", tag="same method"),
)
SIZE = 10_000
RHO = np.linspace(0.0, 50.0, SIZE)
TIMES = np.linspace(0.1, 1.0, 10)
TOLERANCE = 1e-6
CHECKED = np.linspace(0, SIZE - 1, 21).astype(int)
TEXT = """
x' = 10*(y - x); y' = x*(r - z) - y; z' = x*y - 8/3*z
x(0) = 1; y(0) = 0; z(0) = 0
param r = 28
"""
Error = Callable[[Any], float]


def reference() -> Any:
    """The members that are checked, (21, 10, 3), by scipy's DOP853 at 1e-13."""
    found = []
    for r in RHO[CHECKED]:

        def rhs(t: float, u: Any, r: float = float(r)) -> list[float]:
            x, y, z = u
            return [10.0 * (y - x), x * (r - z) - y, x * y - 8.0 / 3.0 * z]

        found.append(integrate(rhs, [1.0, 0.0, 0.0], TIMES).values)
    return np.stack(found)


def ours(error: Error, method: str, threads: int | None, tolerance: float = TOLERANCE) -> Call:
    import sciml_dsl as sd

    many = sd.model(TEXT).ensemble(p={"r": RHO})

    def run() -> Any:
        return many.solve((0.0, 1.0), method=method, rtol=tolerance, atol=tolerance, saveat=TIMES, threads=threads)

    return Call(run, lambda sol: error(sol.u[CHECKED]))


def diffrax_vmapped(error: Error, method: str) -> Call:
    """One `vmap` over the ensemble, inside one `jit`; each member has its own steps, masked."""
    jax, jnp, dfx = jax_setup()
    times, u0, rho = jnp.asarray(TIMES), jnp.asarray([1.0, 0.0, 0.0]), jnp.asarray(RHO)

    def field(t: Any, u: Any, r: Any) -> Any:
        x, y, z = u
        return jnp.stack([10.0 * (y - x), x * (r - z) - y, x * y - 8.0 / 3.0 * z])

    def one(r: Any) -> Any:
        return dfx.diffeqsolve(
            dfx.ODETerm(field), getattr(dfx, method)(), 0.0, 1.0, None, u0, args=r, saveat=dfx.SaveAt(ts=times),
            stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE), max_steps=4096,
            adjoint=dfx.ForwardMode(),
        ).ys  # fmt: skip

    solve = jax.jit(jax.vmap(one))
    return Call(lambda: solve(rho).block_until_ready(), lambda u: error(np.asarray(u)[CHECKED]))


def diffrax_chunks(error: Error, method: str, size: int) -> Call:
    """The same in chunks of similar members, so that fewer wait for the slowest; `lax.map` over chunks."""
    jax, jnp, dfx = jax_setup()
    times, u0 = jnp.asarray(TIMES), jnp.asarray([1.0, 0.0, 0.0])
    rho = jnp.asarray(RHO).reshape(-1, size)

    def field(t: Any, u: Any, r: Any) -> Any:
        x, y, z = u
        return jnp.stack([10.0 * (y - x), x * (r - z) - y, x * y - 8.0 / 3.0 * z])

    def one(r: Any) -> Any:
        return dfx.diffeqsolve(
            dfx.ODETerm(field), getattr(dfx, method)(), 0.0, 1.0, None, u0, args=r, saveat=dfx.SaveAt(ts=times),
            stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE), max_steps=4096,
            adjoint=dfx.ForwardMode(),
        ).ys  # fmt: skip

    solve = jax.jit(lambda r: jax.lax.map(jax.vmap(one), r))
    return Call(
        lambda: solve(rho).block_until_ready(), lambda u: error(np.asarray(u).reshape(SIZE, len(TIMES), 3)[CHECKED])
    )


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time all contenders."""
    tell("reference")
    truth = reference()

    def error(values: Any) -> float:
        return weighted_error(values, truth)

    same = frozenset({"same method"})
    contenders = [
        Contender(OURS, "m.ensemble(...).solve", lambda: ours(error, "auto", None)),
        Contender(OURS, 'method="tsit5"', lambda: ours(error, "tsit5", None)),
        Contender(OURS, "one thread", lambda: ours(error, "auto", 1)),
        Contender(OURS, "tolerances / 10", lambda: ours(error, "auto", None, TOLERANCE / 10), main=False),
        Contender("diffrax", "jit of vmap, Tsit5", lambda: diffrax_vmapped(error, "Tsit5"), same),
        Contender("diffrax", "jit of vmap, Dopri8", lambda: diffrax_vmapped(error, "Dopri8")),
        Contender("diffrax", "chunks of 100, Tsit5", lambda: diffrax_chunks(error, "Tsit5", 100), same),
    ]
    return Outcome("ensemble", TITLE, SETTINGS, run_contest(contenders, effort.seconds, tell), TARGETS)
