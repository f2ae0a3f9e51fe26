"""Spiral neural ODE: loss and its gradient in all 252 weights of a 2-50-2 tanh network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.lotka_volterra import jax_setup
from contest import OURS, Call, Contender, Outcome, Target, run_contest
from truth import Floats, integrate, relative_to_largest

TITLE = "Spiral neural ODE: loss and gradient in 252 weights"
SETTINGS = (
    "u' = U(x^3, y^3), U a 2-50-2 tanh network; data u' = A u^3, A = [-0.1 2; -2 -0.1], u0 = (2, 0), 30 points to "
    "t = 1.5; sum of squares, rtol 1e-7, atol 1e-9; error: largest |g - reference| / largest |reference|"
)
TARGETS = (
    Target("at least 100 x torchdiffeq", ratio=100, library="torchdiffeq"),
    Target("at least 100 x torchdiffeq, by the torch layer", ratio=100, library="torchdiffeq", row="m.layer"),
    Target("at least 2 x diffrax", ratio=2, library="diffrax"),
    Target("at least 2 x diffrax, by the torch layer", ratio=2, library="diffrax", row="m.layer"),
)
TEXT = """
x' = U(x^3, y^3)[1]
y' = U(x^3, y^3)[2]
x(0) = 2; y(0) = 0
neural U(a, b) -> 2 { hidden = [50], activation = tanh }
"""
U0 = np.array([2.0, 0.0])
T1 = 1.5
TIMES = np.linspace(0.0, T1, 30)
RTOL, ATOL = 1e-7, 1e-9
MATRIX = np.array([[-0.1, 2.0], [-2.0, -0.1]])
HIDDEN = 50
FIRST, LAST = (HIDDEN, 2), (2, HIDDEN)
Error = Callable[[Any], float]


def weights() -> Floats:
    """W1 (50, 2), b1, W2 (2, 50), b2 in a row, half way in training.

    A random hidden layer (inputs reach 8, so its matrix is small) whose last layer is
    the least-squares fit to the truth with a ridge: the trajectory has the shape of the
    data without being them, as it has during most of a training.
    """
    random = np.random.default_rng(0)
    w1, b1 = random.normal(0.0, 0.2, FIRST), random.normal(0.0, 0.5, HIDDEN)
    inputs = random.uniform(-8.0, 8.0, (400, 2))
    hidden = np.hstack([np.tanh(inputs @ w1.T + b1), np.ones((400, 1))])
    last = np.linalg.solve(hidden.T @ hidden + 5.0 * np.eye(HIDDEN + 1), hidden.T @ (inputs @ MATRIX.T))
    return np.concatenate([w1.ravel(), b1, last[:-1].T.ravel(), last[-1]])


def split(flat: Any) -> tuple[Any, Any, Any, Any]:
    """The flat weights as (W1, b1, W2, b2); works on arrays of any library."""
    a, b, c = 2 * HIDDEN, 3 * HIDDEN, 5 * HIDDEN
    return flat[:a].reshape(FIRST), flat[a:b], flat[b:c].reshape(LAST), flat[c:]


def make_data() -> Floats:
    """The spiral."""
    return integrate(lambda t, u: MATRIX @ u**3, U0, TIMES).values


def reference_gradient(flat: Floats, data: Floats) -> tuple[Floats, float]:
    """The gradient from the 2 x 252 variational equations at 1e-12, and the uncertainty of their solution."""
    w1, b1, w2, b2 = split(flat)
    count = flat.size

    def field(t: float, z: Floats) -> Floats:
        u, s = z[:2], z[2:].reshape(2, count)
        inputs = u**3
        hidden = np.tanh(w1 @ inputs + b1)
        slope = 1.0 - hidden**2
        back = w2 * slope  # (2, 50): derivative by the argument of tanh
        jacobian = (back @ w1) * (3.0 * u**2)
        direct = np.zeros((2, count))
        direct[:, : 2 * HIDDEN] = (back[:, :, None] * inputs).reshape(2, -1)
        direct[:, 2 * HIDDEN : 3 * HIDDEN] = back
        for i in range(2):
            direct[i, (3 + i) * HIDDEN : (4 + i) * HIDDEN] = hidden
            direct[i, 5 * HIDDEN + i] = 1.0
        return np.concatenate([w2 @ hidden + b2, (jacobian @ s + direct).ravel()])

    found = integrate(field, np.concatenate([U0, np.zeros(2 * count)]), TIMES, rtol=1e-12, atol=1e-12)
    residual = found.values[:, :2] - data
    sensitivities = found.values[:, 2:].reshape(len(TIMES), 2, count)
    return np.einsum("ti,tik->k", 2.0 * residual, sensitivities), found.uncertainty


def ours_fit(error: Error, flat: Floats, data: Floats) -> Call:
    """What `m.fit` evaluates: loss and gradient of the whole problem, natively."""
    import sciml_dsl as sd
    from sciml_dsl.fit.problem import problem

    model = sd.model(TEXT).with_weights({"U": flat})
    table = {"t": TIMES, "x": data[:, 0], "y": data[:, 1]}
    fit = problem(model, table, sigma=1.0, rtol=RTOL, atol=ATOL)
    if fit.n != flat.size:
        raise RuntimeError(f"{fit.n} unknowns instead of {flat.size}")
    theta = fit.start.copy()
    return Call(lambda: fit.loss_and_gradient(theta), lambda r: error(r[1] * fit.n_residuals))


def ours_layer(error: Error, flat: Floats, data: Floats) -> Call:
    """The torch layer with its weights as torch parameters."""
    import torch

    import sciml_dsl as sd

    layer = sd.model(TEXT).with_weights({"U": flat}).layer(TIMES, rtol=RTOL, atol=ATOL)
    target = torch.tensor(data)
    parameters = [p for p in layer.parameters() if p.requires_grad]

    def run() -> Any:
        loss = (layer() - target).square().sum()
        return torch.autograd.grad(loss, parameters)

    return Call(run, lambda g: error(np.concatenate([part.numpy().ravel() for part in g])))


def torchdiffeq_gradient(error: Error, flat: Floats, data: Floats, method: str, adjoint: bool) -> Call:
    """An ordinary module of doubles under torchdiffeq."""
    import torch
    from torchdiffeq import odeint, odeint_adjoint

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(2, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 2)
            ).double()
            with torch.no_grad():
                for p, value in zip(self.net.parameters(), split(torch.tensor(flat)), strict=True):
                    p.copy_(value)

        def forward(self, t: Any, u: Any) -> Any:
            return self.net(u**3)

    field = Field()
    parameters = list(field.parameters())
    target, u0, times = torch.tensor(data), torch.tensor(U0), torch.tensor(TIMES)
    solver = odeint_adjoint if adjoint else odeint

    def run() -> Any:
        loss = (solver(field, u0, times, method=method, rtol=RTOL, atol=ATOL) - target).square().sum()
        return torch.autograd.grad(loss, parameters)

    return Call(run, lambda g: error(np.concatenate([part.numpy().ravel() for part in g])))


def diffrax_gradient(error: Error, flat: Floats, data: Floats, method: str, adjoint: str) -> Call:
    """jit(value_and_grad) over the weights."""
    jax, jnp, dfx = jax_setup()
    times, u0, target = (jnp.asarray(a) for a in (TIMES, U0, data))
    start = tuple(jnp.asarray(part) for part in split(flat))
    adjoints = {
        "checkpoints": dfx.RecursiveCheckpointAdjoint(),
        "all steps kept": dfx.RecursiveCheckpointAdjoint(checkpoints=128),
        "backsolve": dfx.BacksolveAdjoint(),
    }

    def field(t: Any, u: Any, w: Any) -> Any:
        w1, b1, w2, b2 = w
        return w2 @ jnp.tanh(w1 @ u**3 + b1) + b2

    def loss(w: Any) -> Any:
        found = dfx.diffeqsolve(
            dfx.ODETerm(field), getattr(dfx, method)(), 0.0, T1, None, u0, args=w, max_steps=128,
            saveat=dfx.SaveAt(ts=times), stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL),
            adjoint=adjoints[adjoint],
        ).ys  # fmt: skip
        return jnp.sum((found - target) ** 2)

    function = jax.jit(jax.value_and_grad(loss))
    return Call(
        lambda: jax.block_until_ready(function(start)),
        lambda r: error(np.concatenate([np.asarray(part).ravel() for part in r[1]])),
    )


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time all contenders."""
    tell("reference")
    flat, data = weights(), make_data()
    reference, uncertainty = reference_gradient(flat, data)

    def error(gradient: Any) -> float:
        return relative_to_largest(gradient, reference)

    contenders = [
        Contender(OURS, "m.layer, torch", lambda: ours_layer(error, flat, data)),
        Contender(OURS, "loss_and_gradient of m.fit's problem", lambda: ours_fit(error, flat, data)),
        *(
            Contender(
                "torchdiffeq", f"{m}, {'adjoint' if a else 'backprop'}",
                lambda m=m, a=a: torchdiffeq_gradient(error, flat, data, m, a),
            )
            for m, a in (("dopri5", False), ("dopri8", False), ("dopri5", True))
        ),
        *(
            Contender("diffrax", f"jit, {m}, {how}", lambda m=m, how=how: diffrax_gradient(error, flat, data, m, how))
            for m, how in (
                ("Tsit5", "checkpoints"),
                ("Tsit5", "all steps kept"),
                ("Dopri8", "all steps kept"),
                ("Tsit5", "backsolve"),
            )
        ),
    ]  # fmt: skip
    rows = run_contest(contenders, effort.seconds, tell)
    notes = [f"reference: 504 variational equations, scipy DOP853 at 1e-12, trusted to {uncertainty:.0e}"]
    return Outcome("spiral", TITLE, SETTINGS, rows, TARGETS, notes)
