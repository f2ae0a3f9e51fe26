"""Sensitivities and fits through algebraic equations, against solutions by hand and models without such equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen.native import compile_system
from sciml_dsl.fit.problem import problem
from sciml_dsl.graph.build import lower
from sciml_dsl.graph.written_networks import ACTIVATIONS, written
from sciml_dsl.solve.observe import observe
from test_algebraic import AKZO

SWING = """
    x'' = -λ*x
    y'' = -λ*y - g
    0 = x^2 + y^2 - L^2
    x(0) = L*cos(φ); x'(0) = 0
    y(0) = L*sin(φ); y'(0) = 0
    param L = 1 in [0.1, 5], g = 9.81, φ = -0.3 in [-1.5, 1]
"""
ANGLE = """
    φ'' = -g/L*cos(φ); φ(0) = φ0; φ'(0) = 0
    x = L*cos(φ); vx = -L*sin(φ)*φ'; y = L*sin(φ); vy = L*cos(φ)*φ'; λ = φ'^2 - g*sin(φ)/L
    param L = 1, g = 9.81, φ0 = -0.3
"""


def slopes(m, times, names, columns, change=(), **options):
    """d(columns)/d(names) by differences of fourth order between solutions of a model without algebraic equations."""
    base = dict(zip(m.parameters, (p.default for p in m.spec.parameters), strict=True)) | dict(change)

    def at(p):
        sol = m.solve((0, times[-1]), p=p, saveat=times, rtol=1e-12, atol=1e-13, **options)
        assert sol.success
        return np.column_stack([sol[c] for c in columns])

    found = []
    for name in names:
        h = 1e-3 * max(abs(base[name]), 0.1)
        a, b, c, d = (at(base | {name: base[name] + k * h}) for k in (-2, -1, 1, 2))
        found.append((a - 8 * b + 8 * c - d) / (12 * h))
    return np.stack(found, axis=-1)


def test_sensitivities_of_an_index_one_system_by_hand():
    """x' = -k x^2 in disguise; the start of z follows from that of x."""
    m = sd.model("x' = -k*z; 0 = z^3 - x^6; x(0) = a; z(0) = 1; param k = 0.7, a = 1.5")
    t = np.array([0.0, 0.7, 3.0])
    sol = m.solve((0, 3), saveat=t, sensitivities=True, rtol=1e-10, atol=1e-12)
    x, dk, da = 1.5 / (1 + 1.05 * t), -2.25 * t / (1 + 1.05 * t) ** 2, 1 / (1 + 1.05 * t) ** 2
    expected = np.stack([np.stack([dk, da], -1), np.stack([2 * x * dk, 2 * x * da], -1)], 1)
    assert sol.sensitivities == pytest.approx(expected, abs=1e-9)
    assert sol["z"] == pytest.approx(x**2, rel=1e-9)
    again = m.solve((0, 3), saveat=t, sensitivities=["x(0)"], u0={"x": 1.5}, rtol=1e-10, atol=1e-12)
    assert again.sensitivities[:, :, 0] == pytest.approx(expected[:, :, 1], abs=1e-9)


def test_inputs_act_in_algebraic_equations():
    """x' = -k (x - f), f = 1 + t: by hand."""
    m = sd.model("x' = -k*z; 0 = z - x + f; x(0) = 1; param k = 0.7; input f linear = [(0, 1), (2, 3)]")
    t = np.array([0.5, 2.0])
    sol = m.solve((0, 2), saveat=t, sensitivities=True, rtol=1e-10, atol=1e-12)
    e = np.exp(-0.7 * t)
    assert sol["x"] == pytest.approx(1 + t - (1 - e) / 0.7, rel=1e-9)
    assert sol["z"] == pytest.approx(-(1 - e) / 0.7, rel=1e-9)
    assert sol.sensitivities[:, 0, 0] == pytest.approx((1 - e) / 0.49 - t * e / 0.7, rel=1e-8)


def test_sensitivities_do_not_change_the_steps():
    m = sd.model(SWING)
    plain = m.solve((0, 3), method="rodas5p", saveat=0.5, rtol=1e-7, atol=1e-9)
    with_columns = m.solve((0, 3), method="rodas5p", saveat=0.5, sensitivities=True, rtol=1e-7, atol=1e-9)
    assert with_columns.stats["steps"] == plain.stats["steps"]
    assert with_columns.u == pytest.approx(plain.u, abs=1e-9)


def test_sensitivities_are_those_of_the_steps_at_loose_tolerances():
    """Differences of the same steps (fixed by dtmax) agree to far more digits than the solution has."""
    m = sd.model("x' = -k*z + 0.1; 0 = z^3 + z - x^2; x(0) = 1; z(0) = 1; param k = 0.7")
    options = {"rtol": 1.0, "atol": 1.0, "dtmax": 1.0, "dt0": 1.0, "saveat": [2.5, 4.0]}
    h = 1e-5
    a, b = (m.solve((0, 4), p={"k": 0.7 + s * h}, **options) for s in (-1, 1))
    sol = m.solve((0, 4), sensitivities=True, **options)
    assert sol.stats["steps"] <= 5
    assert sol.sensitivities[:, :, 0] == pytest.approx((b.u - a.u) / (2 * h), rel=1e-6)


def test_sensitivities_of_the_pendulum_through_changes_of_dummies():
    """Index 3; over the top of its swing on both sides other states are eliminated."""
    t = np.linspace(0, 4, 17)
    sol = sd.model(SWING).solve((0, 4), saveat=t, sensitivities=True, rtol=1e-10, atol=1e-10)
    expected = slopes(sd.model(ANGLE), t, ["L", "g", "φ0"], ["x", "vx", "y", "vy", "λ"])
    assert sol.sensitivities == pytest.approx(expected, abs=3e-7 * np.abs(expected).max())


def test_sensitivities_of_akzo_nobel():
    t = np.array([0.0, 1.0, 30.0, 180.0])
    names = ["k1", "k2", "K", "klA", "Ks", "H"]
    sol = sd.model(AKZO).solve((0, 180), saveat=t, sensitivities=names, rtol=1e-9, atol=1e-12)
    without = sd.model(AKZO.replace("0 = Ks*y1*y4 - y6", "y6 = Ks*y1*y4"))
    there = without.solve((0, 180), saveat=t, sensitivities=names, rtol=1e-10, atol=1e-13)
    assert sol.sensitivities[:, :5] == pytest.approx(there.sensitivities, rel=1e-5, abs=1e-9)
    expected = slopes(without, t, names, ["y6"])
    assert sol.sensitivities[:, 5:] == pytest.approx(expected, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (  # an index-1 system; the event's time depends on everything, its change on the unknown
            "x' = -k*z + b; 0 = z - x^2; x(0) = 2; when x < c: x += d*z; param k = 0.7, b = 0.1, c = 0.8, d = 0.5",
            "x' = -k*z + b; z = x^2; x(0) = 2; when x < c: x += d*z; param k = 0.7, b = 0.1, c = 0.8, d = 0.5",
        ),
        (  # timed, at times that are parameters
            "x' = -k*z; 0 = z - x^2*exp(-t/w); x(0) = 2; every s from s: x += d; param k = 1, s = 0.9, d = 0.5, w = 9",
            "x' = -k*z; z = x^2*exp(-t/w); x(0) = 2; every s from s: x += d; param k = 1, s = 0.9, d = 0.5, w = 9",
        ),
        (  # an event that makes another one true
            "x' = -k*z; 0 = z - x^2; x(0) = 2; when x < c: x += d; when z > e1: x -= f; "
            "param k = 0.7, c = 0.8, d = 0.5, e1 = 1.44, f = 0.2",
            "x' = -k*z; z = x^2; x(0) = 2; when x < c: x += d; when z > e1: x -= f; "
            "param k = 0.7, c = 0.8, d = 0.5, e1 = 1.44, f = 0.2",
        ),
    ],
)  # fmt: skip
def test_sensitivities_cross_events(text, without):
    m, plain = sd.model(text), sd.model(without)
    t = np.linspace(0, 3.2, 9)
    sol = m.solve((0, 3.2), saveat=t, sensitivities=True, rtol=1e-10, atol=1e-12)
    expected = slopes(plain, t, m.parameters, ["x", "z"])
    there = plain.solve((0, 3.2), saveat=t, rtol=1e-10, atol=1e-12)
    assert [k for _, k in sol.events] == [k for _, k in there.events]
    assert sol.sensitivities == pytest.approx(expected, abs=2e-6 * np.abs(expected).max())


def test_an_event_of_the_pendulum_fires_once_and_is_crossed():
    """Its speed is cut where x falls below a bound; the state there is interpolated: rounding must not fire twice."""
    m = sd.model(SWING + "; when x < c: x' = q*x', y' = q*y'; param c = -0.2, q = 0.7")
    plain = sd.model(ANGLE + "; when L*cos(φ) < c: φ' = q*φ'; param c = -0.2, q = 0.7")
    t = np.linspace(0, 3, 7)
    sol = m.solve((0, 3), saveat=t, sensitivities=True, rtol=1e-10, atol=1e-11)
    there = plain.solve((0, 3), rtol=1e-11, atol=1e-12)
    assert [time for time, _ in sol.events] == pytest.approx([time for time, _ in there.events], abs=1e-7)
    expected = slopes(plain, t, ["L", "g", "φ0", "c", "q"], ["x", "vx", "y", "vy", "λ"])
    assert sol.sensitivities == pytest.approx(expected, abs=3e-6 * np.abs(expected).max())


def test_an_event_that_must_fire_without_end_is_said_to_chatter():
    m = sd.model("x' = -z; 0 = z - 1; x(0) = 1; when x < 0: x = 0")
    assert m.solve((0, 2)).status.name == "EVENT_CHATTERING"


@pytest.mark.parametrize(
    ("change", "columns", "says"),
    [
        ({"x": 1.0, "y": 0.0}, ["L"], "where `L` changes they no longer do"),
        ({"x": 1.0, "y": 0.0}, ["y(0)", "x(0)"], "one of them alone"),
    ],
)
def test_values_that_fit_only_as_they_are_have_no_derivatives(change, columns, says):
    with pytest.raises(sd.InputError) as caught:
        sd.model(SWING).solve((0, 1), u0=change, sensitivities=columns)
    assert says in str(caught.value)


def test_methods_without_sensitivities_say_so():
    with pytest.raises(sd.InputError, match='use "auto" or "rodas5p"'):
        sd.model(SWING).solve((0, 1), sensitivities=True, method="radau")


# ---------------------------------------------------------------- fits


def reaction(times, k=0.7, c=0.4, a=1.5):
    """x' = -k z, y' = k z - c y, z = x^2 by the formula of x and an integration of y."""
    m = sd.model("x = a/(1 + k*a*t); z = x^2; y' = k*z - c*y; y(0) = 0; param k = 1, c = 1, a = 1")
    sol = m.solve((0, times[-1]), p={"k": k, "c": c, "a": a}, saveat=times, rtol=1e-11, atol=1e-13)
    return {"t": times, "y": sol["y"], "z": sol["z"], "x": sol["x"]}


FIT = "x' = -k*z; y' = k*z - c*y; 0 = z^3 - x^6; y(0) = 0; z(0) = 1; both = z + y; param k = 0.3 in [0, 5], c = 1"


def test_a_fit_to_differential_algebraic_and_observed_columns():
    data = reaction(np.linspace(0, 4, 12))
    table = {"t": data["t"], "z": data["z"], "both": data["z"] + data["y"]}
    f = sd.model(FIT).fit(table)
    assert f.success
    assert f.estimated == ("k", "c", "x(0)")
    assert [f.p["k"], f.p["c"], f.u0["x"]] == pytest.approx([0.7, 0.4, 1.5], rel=1e-6)
    assert f.u0["z"] == pytest.approx(2.25, rel=1e-6)
    assert f.solutions[0]["z"][-1] == pytest.approx(data["z"][-1], rel=1e-6)
    assert f.model.solve((0, 4))["y"][-1] == pytest.approx(data["y"][-1], rel=1e-5)
    assert set(f.covariance) == {"k", "c", "x(0)"}


def test_several_experiments_with_known_starts():
    times = np.linspace(0, 3, 8)
    one, two = reaction(times, a=1.5), reaction(times, a=0.5)
    f = sd.model(FIT).fit(
        [
            sd.Experiment({"t": times, "z": one["z"], "y": one["y"]}, u0={"x": 1.5}, name="high"),
            sd.Experiment({"t": times, "y": two["y"]}, u0={"x": 0.5, "z": 0.1}, name="low"),
        ]
    )
    assert [f.p["k"], f.p["c"]] == pytest.approx([0.7, 0.4], rel=1e-6)


def test_the_jacobian_of_a_problem_against_differences():
    q = problem(sd.model(FIT), reaction(np.linspace(0, 2, 6)), rtol=1e-11, atol=1e-13)
    theta = np.array([0.5, 0.8, 1.2])
    r, jac = q.residuals_and_jacobian(theta)
    loss, gradient = q.loss_and_gradient(theta)
    assert loss == pytest.approx(r @ r / r.size)
    for j in range(3):
        h = 1e-5 * np.eye(3)[j]
        assert jac[:, j] == pytest.approx((q.residuals(theta + h) - q.residuals(theta - h)) / 2e-5, abs=1e-7)
        assert gradient[j] == pytest.approx((q.loss(theta + h) - q.loss(theta - h)) / 2e-5, rel=1e-5)


def test_a_fit_of_the_pendulum_with_its_starts():
    times = np.linspace(0, 1.6, 20)
    truth = sd.model(ANGLE).solve((0, 1.6), p={"L": 1.3, "φ0": -0.6}, saveat=times, rtol=1e-10, atol=1e-12)
    table = {"t": times, "x": truth["x"], "λ": truth["λ"]}
    f = sd.model(SWING).fit(table, fixed=["g"])
    assert [f.p["L"], f.p["φ"]] == pytest.approx([1.3, -0.6], rel=1e-5)
    free = sd.model(SWING.replace("L*cos(φ)", "1").replace("L*sin(φ)", "-0.1").replace(", φ = -0.3 in [-1.5, 1]", ""))
    g = free.fit(table, fixed=["g"], u0="estimate")
    assert g.estimated == ("L", "y(0)", "y'(0)")  # x and its speed follow
    assert [g.p["L"], g.u0["x"], g.u0["y"]] == pytest.approx([1.3, truth["x"][0], truth["y"][0]], rel=1e-5)
    h = free.fit(table, fixed=["g"], u0={"x": "compute", "x'": "compute", "y": "estimate"})
    assert h.estimated == ("L", "y(0)")
    assert h.p["L"] == pytest.approx(1.3, rel=1e-5)


def test_multiple_shooting_ties_states_with_a_derivative_only():
    m = sd.model("x' = v; v' = -z; 0 = z - ω^2*x; x(0) = 1; v(0) = 0; param ω = 1.6 in [0.5, 5]")
    t = np.linspace(0, 12, 50)
    f = m.fit({"t": t, "x": np.cos(2.3 * t), "z": 5.29 * np.cos(2.3 * t)}, strategy="multiple_shooting")
    assert f.p["ω"] == pytest.approx(2.3, rel=1e-5)
    with pytest.raises(sd.UnsupportedError, match="hidden constraints"):
        sd.model(SWING).fit({"t": t, "x": np.cos(t)}, strategy="multiple_shooting")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"u0": {"z": "estimate"}}, sd.InputError, "computed from the algebraic equations"),
        ({"u0": {"w": 1}}, sd.UnknownNameError, "no state"),
        ({"method": "tsit5"}, sd.InputError, "takes no algebraic equations"),
    ],
)
def test_errors_of_fits(options, error, says):
    with pytest.raises(error) as caught:
        sd.model(FIT).fit({"t": [0, 1, 2, 3], "y": [0, 0.5, 0.4, 0.3]}, **options)
    assert says in str(caught.value)


def test_starts_that_contradict_every_trial_are_a_failed_fit_in_words():
    m = sd.model(SWING.replace("L*cos(φ)", "1").replace("L*sin(φ)", "0").replace(", φ = -0.3 in [-1.5, 1]", ""))
    t = np.linspace(0, 1, 9)
    with pytest.raises(sd.FitError) as caught:
        m.fit({"t": t, "x": np.cos(t)}, fixed=["g"])
    assert "x(0), y(0)" in str(caught.value)


# ---------------------------------------------------------------- networks, layers, discovery


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_networks_written_out_are_the_same_functions(activation):
    m = sd.model(
        "x' = U(x, y)[2] - x*V(x); y' = U(y, x)[1]; neural V(a) -> 1 { hidden = [2] }\n"
        f"neural U(a, b) -> 2 {{ hidden = [3, 4], activation = {activation} }}"
    )
    system = lower(m.spec)
    plain = written(system)
    assert plain.networks == () and plain.n_params == system.n_weights
    p = np.random.default_rng(1).normal(size=system.n_weights)
    u = np.array([[0.3, -1.2], [40.0, -30.0]])
    there, here = (observe(compile_system(s).f, 2, np.zeros(2), u, p) for s in (system, plain))
    assert here == pytest.approx(there, rel=1e-12, abs=1e-14)


def test_networks_too_large_to_write_out_are_refused():
    m = sd.model("x' = z; 0 = z - NN(x); x(0) = 1; neural NN(x) -> 1 { hidden = [50, 50] }")
    with pytest.raises(sd.UnsupportedError, match="2,701"):
        m.fit({"t": [0, 1, 2], "x": [1, 0.8, 0.6]}, strategy="train")


UNKNOWN = "x' = 0.5 - k*z; 0 = z + NN(z) - x; x(0) = 3; z(0) = 1; param k = 0.8; neural NN(z) -> 1 { hidden = [4] }"
KNOWN = "x' = 0.5 - k*z; 0 = z + z^2 - x; x(0) = 3; z(0) = 1; param k = 0.8"


def test_a_layer_differentiates_by_parameters_weights_and_starts():
    torch = pytest.importorskip("torch")
    layer = sd.model(UNKNOWN).layer([0.0, 0.5, 2.0], rtol=1e-10, atol=1e-12, seed=3)
    start = torch.tensor([[3.0, 0.5], [2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    u = layer(start)
    assert u.shape == (2, 3, 2)
    (u**2).sum().backward()
    assert float(start.grad[:, 1].abs().max()) == 0.0  # of z that is a guess

    def loss():
        with torch.no_grad():
            return float((layer(start) ** 2).sum())

    for tensor in (layer.p, start, *layer.networks["NN"].parameters()):
        flat, slope = tensor.data.reshape(-1), tensor.grad.reshape(-1)
        h = 1e-5
        flat[0] += h
        above = loss()
        flat[0] -= 2 * h
        below = loss()
        flat[0] += h
        assert float(slope[0]) == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-7)


def test_a_layer_says_what_does_not_go():
    m = sd.model(KNOWN)
    with pytest.raises(sd.UnsupportedError, match='sensitivity="forward"'):
        m.layer([0.0, 1.0], sensitivity="discrete_adjoint")
    with pytest.raises(sd.InputError, match="number 1 of the batch"):
        import torch

        sd.model("x' = -z; 0 = z^2 - x; x(0) = 1; z(0) = 1").layer([0.0, 0.1])(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))


def test_sensitivities_and_layers_backwards():
    """x' = -k x^2 from x = 1/2 at t = 2 back to t = 0, and its derivative by k."""
    m = sd.model("x' = -k*z; 0 = z^3 - x^6; x(0) = 0.5; z(0) = 0.25; param k = 0.7")
    sol = m.solve((2, 0), saveat=[1.0, 0.0], sensitivities=True, rtol=1e-10, atol=1e-12)
    back = 2.0 - sol.t
    x = 1 / (2 - 0.7 * back)
    assert sol["x"] == pytest.approx(x, rel=1e-8)
    assert sol.sensitivities[:, 0, 0] == pytest.approx(back * x**2, rel=1e-7)
    assert m.layer([2.0, 0.0], rtol=1e-10, atol=1e-12)()[-1, 0].item() == pytest.approx(x[-1], rel=1e-8)


def test_network_weights_are_trained_through_algebraic_equations():
    t = np.linspace(0, 5, 20)
    truth = sd.model(KNOWN).solve((0, 5), saveat=t, rtol=1e-9, atol=1e-11)
    f = sd.model(UNKNOWN).fit({"t": t, "x": truth["x"], "z": truth["z"]}, fixed=["k"], epochs=100, polish=150)
    assert max(f.rmse.values()) < 5e-3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UNKNOWN, "z**2"),  # in the algebraic equation
        (UNKNOWN.replace("0.5 - k*z", "0.5 - NN(z)").replace("z + NN(z)", "z + k*z^2"), "z"),  # in the other one
    ],
)
def test_a_missing_term_is_discovered_in_either_equation(text, expected):
    import sympy

    t = np.linspace(0, 5, 21)
    exact = sd.model(KNOWN).with_parameters({"k": 1.0} if expected == "z" else {})
    if expected == "z":
        exact = sd.model("x' = 0.5 - z; 0 = z + 0.8*z^2 - x; x(0) = 3")
    truth = exact.solve((0, 5), saveat=t, rtol=1e-9, atol=1e-11)
    noise = 0.003 * np.random.default_rng(0).normal(size=(2, t.size))
    table = {"t": t, "x": truth["x"] + noise[0], "z": truth["z"] + noise[1]}
    d = sd.model(text).discover(table, fixed=["k"], families=["polynomial"], max_terms=2, epochs=40, polish=40)
    (term,) = d.terms.values()
    z = sympy.Symbol("z")
    assert d.verdict == "identified"
    assert float(sympy.simplify(term / sympy.sympify(expected))) == pytest.approx(1.0, abs=0.02)
    assert term.free_symbols == {z}
    assert d.model.solve((0, 5))["z"][-1] == pytest.approx(truth["z"][-1], rel=0.02)


@pytest.mark.slow
def test_friction_of_the_pendulum_is_discovered():
    """Index 3: the term stands in the equations that the constraint is differentiated through."""
    text = SWING.replace("-λ*x\n", "-λ*x - NN(x')\n").replace("- g\n", "- g - NN(y')\n")
    t = np.linspace(0, 3, 41)
    truth = sd.model(SWING.replace("-λ*x\n", "-λ*x - 0.4*x'\n").replace("- g\n", "- g - 0.4*y'\n"))
    sol = truth.solve((0, 3), saveat=t, rtol=1e-9, atol=1e-9)
    d = sd.model(text + "neural NN(v) -> 1 { hidden = [4] }").discover(
        {"t": t, "x": sol["x"], "y": sol["y"]}, fixed=["L", "g", "φ"], families=["polynomial"], max_terms=2
    )
    assert d.verdict == "identified"
    assert [float(c) for c in d.terms["NN"].as_coefficients_dict().values()] == pytest.approx([0.4], rel=1e-3)


# ---------------------------------------------------------------- random systems, and what is refused


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.2, 1.5), min_size=4, max_size=4))
def test_sensitivities_of_random_systems(numbers):
    """Against models in which z is put in and w, the root of a cubic, has a differential equation."""
    a, b, c, e = (round(v, 3) for v in numbers)
    z, y_rate = f"({a}*x + {b}*sin(y) + q)", f"(x - y - {e}*w)"
    x_rate = f"(-p*{z} + {c}*y)"
    z_rate = f"({a}*{x_rate} + {b}*cos(y)*{y_rate})"
    start = "x(0) = 1 + q; y(0) = 0.5; param p = 0.8, q = 0.2"
    dae = sd.model(f"x' = -p*z + {c}*y; y' = {y_rate}; 0 = z - {z}; 0 = w + 0.3*w^3 - z*y; {start}")
    ode = sd.model(f"x' = {x_rate}; y' = {y_rate}; w' = ({z_rate}*y + {z}*{y_rate})/(1 + 0.9*w^2); {start}")
    t = np.array([0.7, 2.0])
    sol = dae.solve((0, 2), saveat=t, sensitivities=True, rtol=1e-9, atol=1e-11)

    def at(p, q):
        value = (a * (1 + q) + b * np.sin(0.5) + q) * 0.5
        (w,) = (r.real for r in np.roots([0.3, 0, 1, -value]) if abs(r.imag) < 1e-9)
        found = ode.solve((0, 2), p=[p, q], u0={"w": w}, saveat=t, rtol=1e-12, atol=1e-13)
        return np.column_stack([found["x"], found["y"], found["w"]])

    rows = [dae.states.index(name) for name in ("x", "y", "w")]
    for j, (dp, dq) in enumerate([(1e-3, 0.0), (0.0, 1e-3)]):
        far, near = (at(0.8 + k * dp, 0.2 + k * dq) - at(0.8 - k * dp, 0.2 - k * dq) for k in (2, 1))
        assert sol.sensitivities[:, rows, j] == pytest.approx((8 * near - far) / 0.012, abs=1e-7)


def test_sensitivities_where_the_start_is_moved_are_refused():
    m = sd.model(SWING)
    near = {"x": 1.0, "y": 0.2}
    assert m.solve((0, 1), u0=near, initialization="project").success
    with pytest.raises(sd.UnsupportedError, match="moves initial values"):
        m.solve((0, 1), u0=near, initialization="project", sensitivities=["g"])
    kept = m.solve((0, 1), initialization="project", sensitivities=["g"], saveat=[1.0], rtol=1e-9, atol=1e-9)
    plain = m.solve((0, 1), sensitivities=["g"], saveat=[1.0], rtol=1e-9, atol=1e-9)
    assert kept.sensitivities == pytest.approx(plain.sensitivities, rel=1e-9)


def test_events_that_leave_open_which_states_follow_are_refused():
    m = sd.model("""
        x'' = -λ*x; y'' = -λ*y; z'' = -λ*z - g; 0 = x^2 + y^2 + z^2 - 1
        x(0) = 0.6; y(0) = 0; z(0) = -0.8; x'(0) = 0; y'(0) = 0.3; z'(0) = 0
        param g = 9.81
        when x < -0.2: x' = -0.5*x'
    """)
    assert m.solve((0, 1)).success
    with pytest.raises(sd.UnsupportedError, match="leaves open which states follow"):
        m.solve((0, 1), sensitivities=["g"])


def test_speeds_that_follow_an_event_have_their_sensitivities():
    """A pendulum whose x' is turned round and halved: so is y', and in the angle form the speed of the angle."""
    options = {"saveat": [0.5, 2.0], "sensitivities": ["g"], "rtol": 1e-9, "atol": 1e-11}
    sol = sd.model(SWING + "; when x < -0.2: x' = -0.5*x'").solve((0, 2), **options)
    angle = sd.model(ANGLE + "; when x < -0.2: φ' = -0.5*φ'").solve((0, 2), **options)
    assert len(sol.events) == len(angle.events) >= 1
    assert sol["x"] == pytest.approx(angle["x"], abs=1e-6)
    assert sol.sensitivities[:, 0, 0] == pytest.approx(-angle["y"] * angle.sensitivities[:, 0, 0], abs=1e-5)
