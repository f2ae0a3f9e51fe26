"""Robertson's problem to t = 1e5: the classical stiff test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.lotka_volterra import jax_setup
from contest import OURS, Call, Contender, Outcome, Target, run_contest
from truth import integrate, weighted_error

TITLE = "Robertson to t = 1e5"
SETTINGS = (
    "k = (0.04, 3e7, 1e4), u0 = (1, 0, 0), outputs at 1e-5, 1e-4, ... 1e5, rtol 1e-6, atol 1e-10; "
    "error: largest |u - reference| / (1e-4 + |reference|) over all outputs (1e-4 = atol / rtol)"
)
TARGETS = (
    Target("at least 3 x the fastest peer, at no larger error", ratio=3, slack=1.0),
    Target("at least 3 x scipy, at no larger error", ratio=3, slack=1.0, library="scipy"),
    Target("at least 3 x diffrax, at no larger error", ratio=3, slack=1.0, library="diffrax"),
)
TEXT = """
@ode_def Rober begin
  dy1 = -k1*y1 + k3*y2*y3
  dy2 =  k1*y1 - k2*y2^2 - k3*y2*y3
  dy3 =  k2*y2^2
end k1=>0.04 k2=>3e7 k3=>1e4
y1(0) = 1; y2(0) = 0; y3(0) = 0
"""
P = np.array([0.04, 3e7, 1e4])
U0 = np.array([1.0, 0.0, 0.0])
T1 = 1e5
TIMES = np.logspace(-5.0, 5.0, 11)
TIMES[-1] = T1
RTOL, ATOL = 1e-6, 1e-10
SCALE = ATOL / RTOL
Error = Callable[[Any], float]


def rhs(t: float, u: Any) -> tuple[float, float, float]:
    a, b, c = u
    first, second, third = 0.04 * a, 3e7 * b * b, 1e4 * b * c
    return third - first, first - second - third, second


def jacobian(t: float, u: Any) -> Any:
    _, b, c = u
    return [[-0.04, 1e4 * c, 1e4 * b], [0.04, -6e7 * b - 1e4 * c, -1e4 * b], [0.0, 6e7 * b, 0.0]]


def ours(error: Error, method: str, factor: float = 1.0) -> Call:
    import sciml_dsl as sd

    model = sd.model(TEXT)

    def run() -> Any:
        return model.solve((0.0, T1), U0, P, method=method, rtol=RTOL * factor, atol=ATOL * factor, saveat=TIMES)

    return Call(run, lambda sol: error(sol.u), lambda sol: float(sol.stats["seconds"]))


def scipy_solver(error: Error, method: str) -> Call:
    """With the Jacobian written by hand, as given to us by differentiation."""
    from scipy.integrate import solve_ivp

    def run() -> Any:
        return solve_ivp(rhs, (0.0, T1), U0, method=method, rtol=RTOL, atol=ATOL, t_eval=TIMES, jac=jacobian)

    return Call(run, lambda sol: error(sol.y.T))


def scipy_odeint(error: Error) -> Call:
    from scipy.integrate import odeint

    times = np.concatenate([[0.0], TIMES])

    def run() -> Any:
        return odeint(rhs, U0, times, rtol=RTOL, atol=ATOL, tfirst=True, Dfun=jacobian, mxstep=10_000)

    return Call(run, lambda u: error(u[1:]))


def torchdiffeq_solver(error: Error) -> Call:
    """torchdiffeq has no adaptive stiff method of its own; it hands over to scipy's LSODA."""
    import torch
    from torchdiffeq import odeint

    u0, times = torch.tensor(U0), torch.tensor(np.concatenate([[0.0], TIMES]))

    def field(t: Any, u: Any) -> Any:
        a, b, c = u.tolist()
        first, second, third = 0.04 * a, 3e7 * b * b, 1e4 * b * c
        return torch.tensor([third - first, first - second - third, second], dtype=torch.float64)

    def run() -> Any:
        with torch.no_grad():
            return odeint(
                field, u0, times, method="scipy_solver", rtol=RTOL, atol=ATOL, options={"solver": "LSODA"}
            )

    return Call(run, lambda u: error(u.numpy()[1:]))


def diffrax_solver(error: Error, method: str, controller: dict[str, float]) -> Call:
    jax, jnp, dfx = jax_setup()
    times, p, u0 = jnp.asarray(TIMES), jnp.asarray(P), jnp.asarray(U0)

    def field(t: Any, u: Any, p: Any) -> Any:
        first, second, third = p[0] * u[0], p[1] * u[1] ** 2, p[2] * u[1] * u[2]
        return jnp.stack([third - first, first - second - third, second])

    @jax.jit
    def solve(p: Any, u0: Any) -> Any:
        return dfx.diffeqsolve(
            dfx.ODETerm(field), getattr(dfx, method)(), 0.0, T1, None, u0, args=p, saveat=dfx.SaveAt(ts=times),
            stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL, **controller), max_steps=10_000,
        ).ys  # fmt: skip

    return Call(lambda: solve(p, u0).block_until_ready(), error)


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time all contenders."""
    tell("reference")
    reference = integrate(rhs, U0, TIMES, method="Radau", rtol=1e-12, atol=1e-20, scale=SCALE, jac=jacobian)

    def error(values: Any) -> float:
        return weighted_error(values, reference.values, SCALE)

    integral: dict[str, float] = {}
    smooth = {"pcoeff": 0.3, "icoeff": 0.4}
    contenders = [
        Contender(OURS, "m.solve", lambda: ours(error, "auto")),
        Contender(OURS, 'm.solve(method="rodas5p")', lambda: ours(error, "rodas5p")),
        Contender(OURS, "m.solve, tolerances / 10", lambda: ours(error, "auto", 0.1), main=False),
        Contender(OURS, "m.solve, tolerances / 100", lambda: ours(error, "auto", 0.01), main=False),
        *(
            Contender("scipy", f"solve_ivp {method}, jac", lambda method=method: scipy_solver(error, method))
            for method in ("LSODA", "Radau", "BDF")
        ),
        Contender("scipy", "odeint (LSODA), Dfun", lambda: scipy_odeint(error)),
        Contender("torchdiffeq", "scipy_solver LSODA", lambda: torchdiffeq_solver(error)),
        *(
            Contender(
                "diffrax", f"jit, {method}{', PI' if pi else ''}",
                lambda method=method, pi=pi: diffrax_solver(error, method, smooth if pi else integral),
            )
            for method in ("Kvaerno3", "Kvaerno4", "Kvaerno5")
            for pi in (False, True)
        ),
    ]  # fmt: skip
    rows = run_contest(contenders, effort.seconds, tell)
    notes = [
        f"reference: scipy Radau at 1e-12, trusted to {reference.uncertainty:.0e}",
        "diffrax PI: PIDController(pcoeff=0.3, icoeff=0.4), which its documentation advises for stiff problems",
    ]
    return Outcome("robertson", TITLE, SETTINGS, rows, TARGETS, notes)
