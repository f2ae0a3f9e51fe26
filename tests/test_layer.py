"""The torch layer: gradients against finite differences, scipy-free truths, batches, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sciml_dsl as sd
from sciml_dsl.errors import InputError, MissingValueError, SolveError, UnknownNameError, UnsupportedError

LV = "x' = a*x - b*x*y; y' = -c*y + d*x*y; x(0) = x0; y(0) = 1; param a = 1.5, b = 1, c = 3, d = 1, x0 = 1"
TIMES = np.linspace(0.0, 4.0, 9)
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def difference(f, x, h=1e-5):
    """Central differences of a scalar function of a vector, Richardson-extrapolated."""
    x = np.asarray(x, dtype=float)
    out = np.empty(x.size)
    for i in range(x.size):
        slopes = []
        for step in (h, 2 * h):
            up, down = x.copy(), x.copy()
            up[i] += step
            down[i] -= step
            slopes.append((f(up) - f(down)) / (2 * step))
        out[i] = (4 * slopes[0] - slopes[1]) / 3
    return out


@pytest.mark.parametrize("sensitivity", ["forward", "discrete_adjoint"])
@pytest.mark.parametrize("backwards", [False, True])
def test_gradient_in_parameters_and_through_initial_values(sensitivity, backwards):
    m = sd.model(LV)
    times = TIMES[::-1] if backwards else TIMES
    solve = m.layer(times.copy(), sensitivity=sensitivity, **TIGHT)
    weights = torch.linspace(-1.0, 1.0, 18, dtype=torch.float64).reshape(9, 2)
    (solve() * weights).sum().backward()

    def loss(p):
        # the same method, because a difference divides what two step sequences leave by its small step
        sol = m.solve((times[0], times[-1]), p=p, saveat=times, method="tsit5", rtol=1e-12, atol=1e-13)
        return float((sol.u * weights.numpy()).sum())

    assert solve.p.grad.numpy() == pytest.approx(difference(loss, m.solve((0, 1)).p), rel=2e-7)


@pytest.mark.parametrize("sensitivity", ["forward", "discrete_adjoint"])
def test_gradcheck_of_the_computed_solution(sensitivity):
    """The adjoint is exact for the steps taken, so a loose tolerance passes a tight check in u0."""
    solve = sd.model(LV).layer(TIMES, sensitivity=sensitivity, **TIGHT)
    u0 = torch.tensor([0.9, 1.2], dtype=torch.float64, requires_grad=True)
    p = torch.tensor([1.4, 0.9, 2.8, 1.1, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: solve(a, b), (u0, p), eps=1e-5, atol=1e-5, rtol=1e-5)


def test_linear_system_has_its_analytic_gradient():
    solve = sd.model("x' = -k*x; x(0) = 2; param k = 0.7").layer([0.0, 1.0, 3.0], **TIGHT)
    out = solve()
    assert out[:, 0].tolist() == pytest.approx([2.0, 2 * math.exp(-0.7), 2 * math.exp(-2.1)], rel=1e-9)
    out[2, 0].backward()
    assert float(solve.p.grad[0]) == pytest.approx(-3 * 2 * math.exp(-2.1), rel=1e-8)


def test_network_weights_train_an_ordinary_module():
    m = sd.model("x' = -x + U(x, y); y' = U(y, x)*y; x(0) = 0.5; y(0) = 1\nneural U(a, b) -> 1 { hidden = [5] }")
    solve = m.layer(TIMES, **TIGHT)
    module = solve.networks["U"]
    assert [type(part).__name__ for part in module] == ["Linear", "Tanh", "Linear"]
    target = torch.ones(9, 2, dtype=torch.float64)
    ((solve() - target) ** 2).mean().backward()
    got = np.concatenate([w.grad.reshape(-1).numpy() for w in module.parameters()])

    def loss(w):
        sol = m.solve((0, 4), weights={"U": w}, saveat=TIMES, rtol=1e-12, atol=1e-13)
        return float(((sol.u - 1) ** 2).mean())

    flat = np.concatenate([w.detach().reshape(-1).numpy() for w in module.parameters()])
    assert got == pytest.approx(difference(loss, flat), rel=1e-6, abs=1e-9)
    optimiser = torch.optim.Adam(solve.parameters(), lr=0.02)
    first = float(((solve() - target) ** 2).mean().detach())
    for _ in range(40):
        optimiser.zero_grad()
        ((solve() - target) ** 2).mean().backward()
        optimiser.step()
    assert float(((solve() - target) ** 2).mean().detach()) < 0.5 * first
    again = solve.to_model().solve((0, 4), saveat=TIMES, **TIGHT)
    assert again.u == pytest.approx(solve().detach().numpy(), rel=1e-9)


def test_a_users_own_module_is_shared_and_checked():
    m = sd.model("x' = U(x); x(0) = 1\nneural U(x) -> 1 { hidden = [4] }")
    solve = m.layer([0.0, 1.0])
    mine = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    solve.load_network("U", mine)
    solve().sum().backward()
    assert mine[0].weight.grad is not None and mine[0].weight.grad.abs().sum() > 0
    with pytest.raises(InputError, match="1-4-1"):
        solve.load_network("U", torch.nn.Linear(1, 1).double())
    with pytest.raises(UnknownNameError, match="U"):
        solve.load_network("V", mine)


def test_batches_match_single_solves_and_share_gradients():
    m = sd.model(LV)
    solve = m.layer(TIMES, **TIGHT)
    u0 = torch.tensor([[1.0, 1.0], [0.5, 2.0], [2.0, 0.3]], dtype=torch.float64)
    out = solve(u0)
    assert out.shape == (3, 9, 2)
    for row in range(3):
        assert torch.allclose(out[row], solve(u0[row]), rtol=1e-9)
    out.sum().backward()
    total = solve.p.grad.clone()
    solve.p.grad = None
    sum(solve(u0[row]).sum() for row in range(3)).backward()
    assert torch.allclose(total, solve.p.grad, rtol=1e-9)


def test_mappings_types_and_defaults():
    m = sd.model(LV)
    solve = m.layer(TIMES)
    a = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    solve({"y": 0.8}, {"a": a}).sum().backward()
    assert a.grad is not None
    single = solve(torch.tensor([1.0, 1.0], dtype=torch.float32))
    assert single.dtype == torch.float32


def test_stiff_models_have_forward_gradients():
    m = sd.model(
        "a' = -k1*a + k3*b*c; b' = k1*a - k2*b^2 - k3*b*c; c' = k2*b^2\n"
        "a(0) = 1; b(0) = 0; c(0) = 0; param k1 = 0.04, k2 = 3e7, k3 = 1e4"
    )
    times = [0.0, 1.0, 100.0]
    solve = m.layer(times, rtol=1e-9, atol=1e-13)
    solve()[-1, 1].backward()

    def b_end(p):
        return float(m.solve((0, 100), p=p, saveat=times, rtol=1e-11, atol=1e-15).u[-1, 1])

    base = np.array([0.04, 3e7, 1e4])
    scaled = difference(lambda q: b_end(q * base), np.ones(3), 1e-3)
    assert solve.p.grad.numpy() * base == pytest.approx(scaled, rel=1e-4)


def test_gradients_cross_events():
    m = sd.model("A' = -k*A; A(0) = D; at 2: A += D\nparam k = 0.3, D = 5")
    solve = m.layer([0.0, 1.0, 5.0], **TIGHT)
    solve()[-1, 0].backward()
    k, d = 0.3, 5.0
    expected = [-d * (5 * math.exp(-5 * k) + 3 * math.exp(-3 * k)), math.exp(-5 * k) + math.exp(-3 * k)]
    assert solve.p.grad.tolist() == pytest.approx(expected, rel=1e-8)


def test_errors_say_what_to_do():
    m = sd.model(LV)
    with pytest.raises(UnknownNameError, match="discrete_adjoint"):
        m.layer(TIMES, sensitivity="adjoint")
    with pytest.raises(UnsupportedError, match="not built yet"):
        m.layer(TIMES, sensitivity="backsolve_adjoint")
    with pytest.raises(InputError, match="increase"):
        m.layer([0.0, 2.0, 1.0])
    with pytest.raises(InputError, match="two times"):
        m.layer([0.0])
    with pytest.raises(InputError, match="shape"):
        m.layer(TIMES)(torch.ones(3, dtype=torch.float64))
    with pytest.raises(UnknownNameError, match="did you mean"):
        m.layer(TIMES)(p={"aa": 1.0})
    with pytest.raises(MissingValueError, match="`k`"):
        sd.model("x' = -k*x; x(0) = 1; param k").layer(TIMES)()
    with pytest.raises(MissingValueError, match="`x`"):
        sd.model("x' = -x").layer(TIMES)()
    with pytest.raises(SolveError, match="number 1 of the batch"):
        sd.model("x' = x^2; x(0) = 1").layer([0.0, 0.9])(torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    with pytest.raises(UnsupportedError, match="does not cross events"):
        sd.model("x' = NN(x); x(0) = 1; when x < 0.1: x += 1").layer(TIMES)


@pytest.mark.parametrize("extra", ["", " + 0*NN(x)"])
def test_adjoint_at_a_switch_in_time_takes_the_side_of_the_step(extra):
    """The last stage of the step that ends at t = 1.5 is before the switch, the first of the next one behind it."""
    m = sd.model("x' = (if t >= 1.5 then 2 else 1)*x - k*x^2; x(0) = 1; param k = 0.7")
    at = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=False)
    gradients = []
    same = sd.model(m.code("sciml").replace("k*x^2", "k*x^2" + extra))
    for model, sensitivity in ((m, "forward"), (same, "discrete_adjoint")):
        layer = model.layer(at, t0=0.0, sensitivity=sensitivity, rtol=1e-10, atol=1e-12)
        (layer()[:, 0] * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        gradients.append(float(layer.p.grad[0]))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-8)
