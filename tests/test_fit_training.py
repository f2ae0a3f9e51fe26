"""Training of network weights: units, gradient matching, Adam and L-BFGS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.errors import FitError, InputError, UnsupportedError
from sciml_dsl.fit.matching import match, possible
from sciml_dsl.fit.problem import problem
from sciml_dsl.fit.segments import cut, joined, oscillations
from sciml_dsl.fit.table import read_table
from sciml_dsl.fit.train import train

EXAMPLES = Path(__file__).parents[1] / "examples"


def spiral():
    a = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    t = np.linspace(0, 1.5, 30)
    u = solve_ivp(lambda _, u: a @ u**3, (0, 1.5), [2, 0], t_eval=t, method="DOP853", rtol=1e-11, atol=1e-12).y
    return {"t": t, "x": u[0], "y": u[1]}


def test_spiral_is_trained_below_a_thousandth():
    table = spiral()
    m = sd.load(EXAMPLES / "spiral.sciml")
    found = m.fit(table)
    solution = found.model.solve((0, 1.5), saveat=table["t"], rtol=1e-8, atol=1e-10)
    errors = np.concatenate([solution["x"] - table["x"], solution["y"] - table["y"]])
    assert np.sum(errors**2) < 1e-3  # the sum over all 60 numbers, and so all the more their mean
    assert found.covariance is None and found.history[-1] <= found.history[0]
    assert m.fit(table).loss == found.loss  # the same seed gives the same answer


def test_training_without_matching_lowers_the_loss_and_repeats_itself():
    m = sd.load(EXAMPLES / "spiral.sciml")
    table = spiral()
    q = problem(m, {"t": table["t"], "x": table["x"]}, rtol=1e-6, atol=1e-8)  # y is not measured
    assert not possible(q)
    first = q.loss(q.start)
    a, b = (train(q, q.start, epochs=60, polish=60) for _ in range(2))
    assert a.loss < 0.05 * first and (a.theta == b.theta).all()
    assert list(a.history) == sorted(a.history, reverse=True)
    early = train(q, q.start, epochs=60, polish=60, target=0.5 * first)
    assert early.converged and 0.25 * first < early.loss <= 0.5 * first and len(early.history) < 60


def test_missing_physics_down_to_the_noise():
    found = sd.load(EXAMPLES / "missing_physics.sciml").fit(read_table(EXAMPLES / "missing_physics.csv"))
    table = found.data[0]
    for column in ("x", "y"):
        noise = 0.005 * table.column(column).mean()
        assert 0.5 * noise < found.rmse[column] < 1.5 * noise


def test_units_are_a_linear_map_with_a_right_gradient():
    m = sd.model("""
        x' = U(x, t)[1]; y' = 1e3*V(x) + U(x, t)[2] - k*y
        x(0) = 1; param k = 40
        neural U(x, s) -> 2 { hidden = [3], activation = tanh }
        neural V(x) -> 1 { hidden = [] }
    """)
    t = np.linspace(0, 3, 12)
    q = problem(m, {"t": t, "x": 1e-6 * (2 + np.sin(t)), "y": 50 * np.cos(t)})
    units = q.unknowns.units()
    rng = np.random.default_rng(0)
    z = rng.normal(size=q.n)
    assert units.z(units.theta(z)) == pytest.approx(z, rel=1e-9, abs=1e-9)
    g = rng.normal(size=q.n)
    matrix = np.column_stack([units.theta(e) - units.theta(np.zeros(q.n)) for e in np.eye(q.n)])
    assert units.gradient(g) == pytest.approx(matrix.T @ g, rel=1e-9, abs=1e-12)
    first = q.unknowns.networks[0]
    assert first.centre == pytest.approx([2.66e-6, 1.5], rel=0.02) and first.spread[0] == pytest.approx(3e-7, rel=0.05)
    assert first.output[0] == pytest.approx(1e-6 / np.sqrt(2), rel=0.3)


def test_matching_finds_slopes_and_windows_keep_the_parameters():
    m = sd.model("x' = a*x + NN(x, y); y' = -y + x*y; x(0) = 1; y(0) = 1; param a = 0.2 in [0, 5]")
    t = np.linspace(0, 12, 90)
    u = solve_ivp(lambda _, u: [u[0] - u[0] * u[1], -u[1] + u[0] * u[1]], (0, 12), [0.4, 1.2], t_eval=t, rtol=1e-10).y
    q = problem(m, {"t": t, "x": u[0], "y": u[1]}, u0={"x": 0.4, "y": 1.2}, rtol=1e-6, atol=1e-8)
    assert possible(q) and oscillations(q) >= 3
    theta = match(q, q.start)
    assert q.loss(theta) < 0.2 < q.loss(q.start)
    pieces = cut(q, theta, 5, overlap=True)
    assert len(pieces.owner) == 5 and pieces.problem.loss(pieces.theta) < q.loss(theta) + 0.1
    assert joined(q, pieces, pieces.theta) == pytest.approx(theta)


def test_failing_and_impossible_trainings():
    m = sd.model("x' = x^2*(1 + NN(x)^2); x(0) = 1")
    t = np.linspace(0, 3, 8)
    with pytest.raises(FitError, match="grew without bound"):
        m.fit({"t": t, "x": t + 1.0}, starts=1, epochs=3, polish=0)
    with pytest.raises(InputError, match="single"):
        m.fit({"t": t, "x": t}, strategy="single")
    with pytest.raises(InputError, match="rodas5p"):
        m.fit({"t": t, "x": t}, method="rodas5p")
    with pytest.raises(UnsupportedError, match="events"):
        sd.model("x' = NN(x); x(0) = 1; at 1: x += 1").fit({"t": t, "x": t})
    with pytest.raises(UnsupportedError, match="observable `z`"):
        sd.model("x' = NN(x); z = 2*NN(x); x(0) = 1").fit({"t": t, "z": t})


def test_weights_may_stay_as_they_are():
    m = sd.model("x' = -k*x + NN(x); x(0) = 1; param k = 1 in [0, 9]\nneural NN(x) -> 1 { hidden = [2] }")
    m = m.with_weights({"NN": np.zeros(7)})
    t = np.linspace(0, 2, 9)
    found = m.fit({"t": t, "x": np.exp(-0.5 * t)}, weights=False)
    assert found.p["k"] == pytest.approx(0.5, abs=1e-7) and found.covariance is not None
    assert dict(found.model.spec.weights) == {"NN": (0.0,) * 7}
