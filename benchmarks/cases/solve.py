"""Lotka-Volterra, 101 outputs at 1e-8: the time of one solve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.lotka_volterra import ATOL, RTOL, T1, TEXT, TIMES, U0, P, diffrax_field, jax_setup, rhs
from contest import OURS, Call, Contender, Outcome, Target, run_contest
from truth import integrate, weighted_error

TITLE = "Lotka-Volterra: one solve"
SETTINGS = (
    "p = (1.5, 1, 3, 1), u0 = (1, 1), t = 0..10, 101 outputs, rtol = atol = 1e-8; "
    "error: largest |u - reference| / (1 + |reference|) over all outputs"
)
TARGETS = (
    Target("at least 2,000 x torchdiffeq", ratio=2000, library="torchdiffeq"),
    Target("at least 8 x jitted diffrax, Tsit5 both", ratio=8, library="diffrax", tag="same method"),
    Target("at least 8 x jitted diffrax, its fastest method", ratio=8, library="diffrax"),
)
Error = Callable[[Any], float]


def ours(error: Error, method: str, tolerance: float = RTOL) -> Call:
    """The public call, parameters and initial values given as arrays."""
    import sciml_dsl as sd

    model = sd.model(TEXT)

    def run() -> Any:
        return model.solve((0.0, T1), U0, P, method=method, rtol=tolerance, atol=tolerance, saveat=TIMES)

    return Call(run, lambda sol: error(sol.u), lambda sol: float(sol.stats["seconds"]))


def scipy_solver(error: Error, method: str) -> Call:
    from scipy.integrate import solve_ivp

    def run() -> Any:
        return solve_ivp(rhs, (0.0, T1), U0, method=method, rtol=RTOL, atol=ATOL, t_eval=TIMES)

    return Call(run, lambda sol: error(sol.y.T))


def scipy_odeint(error: Error) -> Call:
    from scipy.integrate import odeint

    return Call(lambda: odeint(rhs, U0, TIMES, rtol=RTOL, atol=ATOL, tfirst=True, mxstep=10_000), error)


def torchdiffeq_solver(error: Error, method: str) -> Call:
    """Three fused tensor operations a call, without autograd: the fewest that express the model."""
    import torch
    from torchdiffeq import odeint

    p = torch.tensor(P)
    own, cross = torch.stack((p[0], -p[2])), torch.stack((-p[1], p[3]))
    u0, times = torch.tensor(U0), torch.tensor(TIMES)

    def field(t: Any, u: Any) -> Any:
        return u * torch.addcmul(own, cross, u.flip(0))

    def run() -> Any:
        with torch.no_grad():
            return odeint(field, u0, times, method=method, rtol=RTOL, atol=ATOL)

    return Call(run, lambda u: error(u.numpy()))


def diffrax_solver(error: Error, method: str) -> Call:
    jax, jnp, dfx = jax_setup()
    times, p, u0 = jnp.asarray(TIMES), jnp.asarray(P), jnp.asarray(U0)

    @jax.jit
    def solve(p: Any, u0: Any) -> Any:
        return dfx.diffeqsolve(
            dfx.ODETerm(diffrax_field), getattr(dfx, method)(), 0.0, T1, None, u0, args=p,
            saveat=dfx.SaveAt(ts=times), stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL),
        ).ys  # fmt: skip

    return Call(lambda: solve(p, u0).block_until_ready(), error)


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time all contenders."""
    tell("reference")
    reference = integrate(rhs, U0, TIMES)

    def error(values: Any) -> float:
        return weighted_error(np.asarray(values), reference.values)

    same = frozenset({"same method"})
    contenders = [
        Contender(OURS, "m.solve", lambda: ours(error, "auto")),
        Contender(OURS, 'm.solve(method="tsit5")', lambda: ours(error, "tsit5")),
        Contender(OURS, "m.solve, tolerances 1e-9", lambda: ours(error, "auto", 1e-9), main=False),
        *(
            Contender("scipy", f"solve_ivp {method}", lambda method=method: scipy_solver(error, method))
            for method in ("LSODA", "DOP853", "Radau", "BDF")
        ),
        Contender("scipy", "odeint (LSODA)", lambda: scipy_odeint(error)),
        Contender("torchdiffeq", "dopri5, no_grad", lambda: torchdiffeq_solver(error, "dopri5")),
        Contender("torchdiffeq", "dopri8, no_grad", lambda: torchdiffeq_solver(error, "dopri8")),
        Contender("diffrax", "jit, Tsit5", lambda: diffrax_solver(error, "Tsit5"), same),
        Contender("diffrax", "jit, Dopri5", lambda: diffrax_solver(error, "Dopri5")),
        Contender("diffrax", "jit, Dopri8", lambda: diffrax_solver(error, "Dopri8")),
    ]
    rows = run_contest(contenders, effort.seconds, tell)
    note = f"reference: scipy DOP853 at 1e-13, trusted to {reference.uncertainty:.0e}"
    return Outcome("solve", TITLE, SETTINGS, rows, TARGETS, [note])
