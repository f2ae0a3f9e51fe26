"""Lotka-Volterra: loss and its gradient in four parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.lotka_volterra import ATOL, RTOL, T1, TEXT, TIMES, U0, P, diffrax_field, jax_setup, rhs
from contest import OURS, Call, Contender, Outcome, Target, run_contest
from truth import Floats, integrate, relative_to_largest

TITLE = "Lotka-Volterra: loss and gradient in four parameters"
SETTINGS = (
    "sum of squared differences to data (the truth at p = (1.6, 1.05, 2.9, 0.95)) at 101 outputs, rtol = atol = 1e-8; "
    "error: largest |g - reference| / largest |reference|"
)
TARGETS = (
    Target("at least 1,000 x torchdiffeq", ratio=1000, library="torchdiffeq"),
    Target("at least 1,000 x torchdiffeq, by the torch layer", ratio=1000, library="torchdiffeq", row="m.layer"),
    Target("at least 15 x diffrax reverse mode, its default", ratio=15, library="diffrax", tag="default"),
    Target("at least 15 x diffrax reverse mode, its fastest", ratio=15, library="diffrax", tag="reverse"),
    Target("diffrax, forward mode (no target set)", ratio=1, library="diffrax", tag="forward"),
)
TRUTH = (1.6, 1.05, 2.9, 0.95)
Error = Callable[[Any], float]


def variational(t: float, z: Any) -> list[float]:
    """The states and their derivatives by the four parameters, written out by hand."""
    x, y = z[0], z[1]
    a, b, c, d = P
    out = [a * x - b * x * y, -c * y + d * x * y]
    direct = ((x, 0.0), (-x * y, 0.0), (0.0, -y), (0.0, x * y))
    for k in range(4):
        sx, sy = z[2 + 2 * k], z[3 + 2 * k]
        out.append((a - b * y) * sx - b * x * sy + direct[k][0])
        out.append(d * y * sx + (d * x - c) * sy + direct[k][1])
    return out


def make_data() -> Floats:
    """What the model is compared with: the solution for other parameters."""
    a, b, c, d = TRUTH
    return integrate(lambda t, u: (a * u[0] - b * u[0] * u[1], -c * u[1] + d * u[0] * u[1]), U0, TIMES).values


def reference_gradient(data: Floats) -> tuple[Floats, float]:
    """The gradient from the variational equations at 1e-13, and the uncertainty of their solution."""
    found = integrate(variational, [*U0, *[0.0] * 8], TIMES)
    residual = found.values[:, :2] - data
    sensitivities = found.values[:, 2:].reshape(len(TIMES), 4, 2)
    return np.einsum("ti,tki->k", 2.0 * residual, sensitivities), found.uncertainty


def ours_forward(error: Error, data: Floats) -> Call:
    """One solve with forward sensitivities, then the chain rule in numpy."""
    import sciml_dsl as sd

    model = sd.model(TEXT)

    def run() -> tuple[float, Floats, Any]:
        sol = model.solve((0.0, T1), U0, P, rtol=RTOL, atol=ATOL, saveat=TIMES, sensitivities=True)
        residual = sol.u - data
        gradient = 2.0 * (residual.ravel() @ sol.sensitivities.reshape(-1, 4))
        return float(residual.ravel() @ residual.ravel()), gradient, sol

    return Call(run, lambda r: error(r[1]), lambda r: float(r[2].stats["seconds"]))


def ours_layer(error: Error, data: Floats, sensitivity: str) -> Call:
    """The torch layer: loss and `backward()` by autograd."""
    import torch

    import sciml_dsl as sd

    layer = sd.model(TEXT).layer(TIMES, rtol=RTOL, atol=ATOL, sensitivity=sensitivity)
    target, u0 = torch.tensor(data), torch.tensor(U0)
    p = torch.tensor(P, requires_grad=True)

    def run() -> Any:
        loss = (layer(u0=u0, p=p) - target).square().sum()
        (gradient,) = torch.autograd.grad(loss, p)
        return gradient

    return Call(run, lambda g: error(g.numpy()))


def ours_fit(error: Error, data: Floats) -> Call:
    """What `m.fit` evaluates for the discrete adjoint; the mean of squares, so times their number."""
    import sciml_dsl as sd
    from sciml_dsl.fit.problem import problem

    table = {"t": TIMES, "x": data[:, 0], "y": data[:, 1]}
    fit = problem(sd.model(TEXT), table, sigma=1.0, rtol=RTOL, atol=ATOL)
    theta = fit.start.copy()
    return Call(lambda: fit.loss_and_gradient(theta), lambda r: error(r[1] * fit.n_residuals))


def torchdiffeq_gradient(error: Error, data: Floats, method: str, adjoint: bool) -> Call:
    """Plain backpropagation through the steps, or the continuous adjoint."""
    import torch
    from torchdiffeq import odeint, odeint_adjoint

    target, u0, times = torch.tensor(data), torch.tensor(U0), torch.tensor(TIMES)

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p = torch.nn.Parameter(torch.tensor(P))
            self.register_buffer("sign", torch.tensor([1.0, -1.0], dtype=torch.float64))

        def begin(self) -> None:
            """What depends on the parameters only, once for each solve."""
            self.own, self.cross = self.sign * self.p[0::2], -self.sign * self.p[1::2]

        def forward(self, t: Any, u: Any) -> Any:
            if adjoint:  # the adjoint differentiates each call by itself
                self.begin()
            return u * torch.addcmul(self.own, self.cross, u.flip(0))

    field = Field()
    solver = odeint_adjoint if adjoint else odeint

    def run() -> Any:
        field.begin()
        loss = (solver(field, u0, times, method=method, rtol=RTOL, atol=ATOL) - target).square().sum()
        (gradient,) = torch.autograd.grad(loss, field.p)
        return gradient

    return Call(run, lambda g: error(g.numpy()))


def diffrax_gradient(error: Error, data: Floats, method: str, adjoint: str) -> Call:
    """jit(value_and_grad) in reverse mode, or jit(jacfwd) in forward mode."""
    jax, jnp, dfx = jax_setup()
    times, p0, u0, target = (jnp.asarray(a) for a in (TIMES, P, U0, data))
    adjoints = {
        "checkpoints": dfx.RecursiveCheckpointAdjoint(),
        "all steps kept": dfx.RecursiveCheckpointAdjoint(checkpoints=256),
        "backsolve": dfx.BacksolveAdjoint(),
        "forward": dfx.ForwardMode(),
    }

    def loss(p: Any) -> Any:
        found = dfx.diffeqsolve(
            dfx.ODETerm(diffrax_field), getattr(dfx, method)(), 0.0, T1, None, u0, args=p, max_steps=256,
            saveat=dfx.SaveAt(ts=times), stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL),
            adjoint=adjoints[adjoint],
        ).ys  # fmt: skip
        return jnp.sum((found - target) ** 2)

    if adjoint == "forward":

        def both(p: Any) -> Any:
            def twice(p: Any) -> Any:
                value = loss(p)
                return value, value

            gradient, value = jax.jacfwd(twice, has_aux=True)(p)
            return value, gradient

        function = jax.jit(both)
    else:
        function = jax.jit(jax.value_and_grad(loss))
    return Call(lambda: jax.block_until_ready(function(p0)), lambda r: error(np.asarray(r[1])))


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time all contenders."""
    tell("reference")
    data = make_data()
    reference, uncertainty = reference_gradient(data)
    joint = integrate(variational, [*U0, *[0.0] * 8], TIMES[-1:]).values[:, :2]
    if not np.allclose(integrate(rhs, U0, TIMES[-1:]).values, joint):
        raise RuntimeError("the variational equations of the reference do not contain the model")

    def error(gradient: Any) -> float:
        return relative_to_largest(gradient, reference)

    default, reverse, forward = frozenset({"reverse", "default"}), frozenset({"reverse"}), frozenset({"forward"})
    contenders = [
        Contender(OURS, "m.solve(sensitivities=True)", lambda: ours_forward(error, data)),
        Contender(OURS, 'm.layer(sensitivity="auto"), torch', lambda: ours_layer(error, data, "auto")),
        Contender(OURS, 'm.layer(sensitivity="forward"), torch', lambda: ours_layer(error, data, "forward")),
        Contender(
            OURS, 'm.layer(sensitivity="discrete_adjoint"), torch', lambda: ours_layer(error, data, "discrete_adjoint")
        ),
        Contender(OURS, "loss_and_gradient of m.fit's problem", lambda: ours_fit(error, data)),
        Contender("torchdiffeq", "dopri5, backprop", lambda: torchdiffeq_gradient(error, data, "dopri5", False)),
        Contender("torchdiffeq", "dopri8, backprop", lambda: torchdiffeq_gradient(error, data, "dopri8", False)),
        Contender("torchdiffeq", "dopri5, adjoint", lambda: torchdiffeq_gradient(error, data, "dopri5", True)),
        *(
            Contender("diffrax", f"jit, {m}, {how}", lambda m=m, how=how: diffrax_gradient(error, data, m, how), tags)
            for m, how, tags in (
                ("Tsit5", "checkpoints", default),
                ("Tsit5", "all steps kept", reverse),
                ("Dopri8", "all steps kept", reverse),
                ("Tsit5", "backsolve", reverse),
                ("Tsit5", "forward", forward),
                ("Dopri8", "forward", forward),
            )
        ),
    ]
    rows = run_contest(contenders, effort.seconds, tell)
    notes = [
        f"reference: variational equations, scipy DOP853 at 1e-13, trusted to {uncertainty:.0e}",
        "diffrax: `checkpoints` is its default adjoint, `all steps kept` the same with a checkpoint for each step "
        "(more memory, less work); max_steps=256, just above what is needed, which spares it work too",
    ]
    return Outcome("gradient", TITLE, SETTINGS, rows, TARGETS, notes)
