"""Equations that jump: stops by time alone, modes and switches, their sensitivities, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.codegen.native import functions
from sciml_dsl.errors import UnsupportedError
from sciml_dsl.graph import turns
from sciml_dsl.graph.evaluate import values
from sciml_dsl.solve.status import Status
from sciml_dsl.solve.switched import _switched, jumps
from sciml_dsl.solve.turning import crossings

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
METHODS = ["tsit5", "rodas5p"]


def sensitivities(text: str, end: float, method: str) -> dict[str, float]:
    """Derivatives of the first state at `end`."""
    sol = sd.model(text).solve((0, end), sensitivities=True, saveat=[end], method=method, **TIGHT)
    assert sol.success, sol.message
    assert sol.sensitivities is not None
    return dict(zip(sol.sensitivity_names, sol.sensitivities[-1, 0].tolist(), strict=True))


# ------------------------------------------------------------ times at which equations turn by themselves


@pytest.mark.parametrize(
    ("condition", "share"),  # of the time from 0 to 30 in which it holds
    [
        ("mod(t, 24) < 1", 2.0),
        ("mod(t, 1) < 0.001", 0.03),
        ("abs(t - 5) < 5e-4", 1e-3),
        ("(t - 5)^2 < 1e-8", 2e-4),
        ("floor(t) == 3", 1.0),
        ("sin(2*pi*t) > 0.999", 30 * math.acos(0.999) / math.pi),
        ("cos(w*t + 0.3) < -0.9999", None),
        ("exp(-t) > 0.9 or t > 29.9995", -math.log(0.9) + 5e-4),
        ("1/(1 + t) > 0.5 and not t < 0.9999", 1e-4),
        ("sin(t)^2 + cos(3*t)^3 > 1.7", None),  # no closed form
        ("sin(t^2/10) > 0.9999", None),
        ("t > w and t < 2.0001", 1e-4),
    ],
)
def test_short_pulses_are_stepped_on(condition: str, share: float | None) -> None:
    model = sd.model(f"x' = if {condition} then 1 else 0; x(0) = 0; param w = 2")
    if share is None:  # by brute force
        t = (np.arange(3_000_000) + 0.5) * 1e-5
        holds = {
            "cos": np.cos(2 * t + 0.3) < -0.9999,
            "sin(t)": np.sin(t) ** 2 + np.cos(3 * t) ** 3 > 1.7,
            "sin(t^2": np.sin(t**2 / 10) > 0.9999,
        }
        share = float(next(h for key, h in holds.items() if condition.startswith(key)).mean() * 30)
        close = 2e-3
    else:
        close = 1e-8
    assert share > 0
    for span, sign in (((0, 30), 1), ((30, 0), -1)):
        assert sign * model.solve(span, saveat=[span[1]])["x"][-1] == pytest.approx(share, rel=close)
    assert model.ensemble(u0={"x": [0.0, 1.0]}).solve((0, 30), saveat=[30.0])["x"][:, -1] == pytest.approx(
        [share, 1 + share], rel=close
    )


def test_periodic_doses_and_a_converter() -> None:
    drug = sd.model("C' = (if mod(t, 24) < 1 then 10 else 0) - 0.1*C; C(0) = 0")
    exact = sum(100 * (math.exp(-0.1 * (99 - 24 * k)) - math.exp(-0.1 * (100 - 24 * k))) for k in range(4))
    last = 100 * (1 - math.exp(-0.1)) * math.exp(-0.1 * 3)  # the dose from 96 to 97
    assert drug.solve((0, 100), rtol=1e-9, atol=1e-12)["C"][-1] == pytest.approx(exact + last, rel=1e-7)
    assert drug.solve((0, 100))["C"][-1] == pytest.approx(exact + last, rel=1e-3)
    buck = sd.model("""
        L*i' = (if mod(t, T) < D*T then 12 else 0) - v
        C*v' = i - v/R
        i(0) = 0; v(0) = 0
        param L = 1e-4, C = 1e-4, R = 5, T = 1e-5, D = 0.4
    """)
    for method in ("auto", "rodas5p", "vern7"):
        sol = buck.solve((0, 0.02), method=method, saveat=[0.02])
        assert sol["v"][-1] == pytest.approx(4.7995, abs=1e-4)  # the mean is D 12 V, less half a ripple
    staircase = sd.model("x' = floor(t); x(0) = 0").solve((0, 30))
    assert staircase["x"][-1] == pytest.approx(435, rel=1e-12)
    clipped = sd.model("x' = max(0, sin(2*pi*t) - 0.5); x(0) = 0").solve((0, 30), rtol=1e-8, atol=1e-10)
    assert clipped["x"][-1] == pytest.approx(30 * (math.cos(math.pi / 6) / math.pi - 1 / 6), rel=1e-6)


def test_many_turning_times_need_no_memory_and_arrays_turn_too() -> None:
    fast = sd.model("x' = if mod(t, 0.001) < 0.0005 then 1 else -1; x(0) = 0")
    sol = fast.solve((0, 20), saveat=[20.0], max_steps=200_000)
    assert sol.success and abs(sol["x"][-1]) < 1e-9 and sol.stats["steps"] >= 40_000
    cells = sd.model("u[i]' = (if mod(t, 5) < 0.01 then i else 0) - 0*u[i] for i in 1..3; u[i](0) = 0 for i in 1..3")
    assert cells.solve((0, 12), saveat=[12.0])["u"][-1] == pytest.approx([0.03, 0.06, 0.09], rel=1e-9)


def test_families_are_found_and_gaps_left() -> None:
    model = sd.model("x' = if mod(t, 24) < a then sign(sin(2*t)) else floor(t/3); x(0) = 0; param a = 2")
    system = model.system
    states = set(system.state_leaves)
    found = turns.find(system.graph, system.rhs, lambda node: node in states)
    numbers = {tuple(values(system.graph, family, 0.7, [0.0], [2.0])) for family in found.families}
    assert numbers == {(0.0, 24.0), (2.0, 24.0), (0.0, math.pi), (math.pi / 2, math.pi), (0.0, 3.0)}
    assert not found.gaps
    both = sd.model("x' = if sin(t) + sin(2*t) > x0 then 1 else 0; x(0) = 0; param x0 = 0.2").system
    assert len(both.turns.gaps) == 1 and not both.turns.families
    of_state = sd.model("x' = if x > t then 1 else 0; x(0) = 0").system
    assert not of_state.turns


def test_crossings_are_found_to_the_resolution_of_time() -> None:
    model = sd.model("x' = if sin(t)*exp(-t/50) + 0*t > 0 then 1 else 0; x(0) = 0")
    code = functions(model)
    assert code.n_gaps == 1
    found = crossings(code.gaps, 1, 1, 0.5, 100.0, np.empty(0))
    np.testing.assert_allclose(found, np.pi * np.arange(1, 32), rtol=4e-16)


def test_events_on_conditions_in_time_alone() -> None:
    model = sd.model("""
        x' = 0; y' = 0; x(0) = 0; y(0) = 0
        when mod(t, 3) < 0.0001: x += 1
        when sin(t) > 0.99999: y += 1
        when t >= 9: y += 100
    """)
    sol = model.solve((0, 9))
    assert [(k, t) for t, k in sol.events if k != 1] == [(0, 3.0), (0, 6.0), (0, 9.0), (2, 9.0)]
    assert [t for t, k in sol.events if k == 1] == pytest.approx(
        [math.asin(0.99999), math.asin(0.99999) + 2 * math.pi], rel=1e-14
    )
    assert sd.model("x' = 0; x(0) = 1\nwhen t > 0: x = 5").solve((0, 1)).events == [(0.0, 0)]


def test_conditions_in_time_see_what_events_of_that_time_make() -> None:
    model = sd.model("""
        A' = -k*A; A(0) = 0; param k = 0.1, dose = 100
        every 24 from 0 until 72: A += dose
        when A < 10 and t > 72: terminate
    """)
    sol = model.solve((0, 200), **TIGHT)
    peak = 100 * sum(math.exp(-2.4 * j) for j in range(4))
    assert sol.status == Status.TERMINATED and sol.t_end == pytest.approx(72 + 10 * math.log(peak / 10), rel=1e-8)


# ------------------------------------------------------------ sensitivities


@pytest.mark.parametrize("method", METHODS)
def test_pulse_between_times_that_are_parameters(method: str) -> None:
    found = sensitivities(
        "C' = (if t > a and t < b then 10 else 0) - k*C; C(0) = 0; param a = 1, b = 1.5, k = 1", 4, method
    )
    a, b, t = 1.0, 1.5, 4.0
    of_k = -10 * (math.exp(b - t) - math.exp(a - t)) - 10 * ((t - b) * math.exp(b - t) - (t - a) * math.exp(a - t))
    assert found == pytest.approx({"a": -10 * math.exp(a - t), "b": 10 * math.exp(b - t), "k": of_k}, rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_switch_at_a_state(method: str) -> None:
    assert sensitivities(
        "x' = if x > c then 2 else a; x(0) = 0; param a = 1, c = 0.7", 2, method
    ) == pytest.approx({"a": 1.4, "c": -1.0}, rel=1e-8)  # x = c + 2 (t - c/a)


@pytest.mark.parametrize("method", METHODS)
def test_dry_friction(method: str) -> None:
    def x(k: float, mu: float) -> float:
        w = math.sqrt(k)
        turned = 2 * mu / k - 3
        return -mu / k + (turned + mu / k) * math.cos(w * 4 - math.pi)

    found = sensitivities(
        "x' = v; v' = -k*x - mu*sign(v); x(0) = 3; v(0) = 0; param k = 1, mu = 0.2", 4, method
    )
    d = 1e-6
    exact = {"k": (x(1 + d, 0.2) - x(1 - d, 0.2)) / (2 * d), "mu": (x(1, 0.2 + d) - x(1, 0.2 - d)) / (2 * d)}
    assert found == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_periodic_conditions_and_whole_numbers(method: str) -> None:
    # seven whole periods, then 0.2 of an eighth: x = 7 D T + t - 7 T
    found = sensitivities("x' = if mod(t, T) < D*T then 1 else 0; x(0) = 0; param T = 0.7, D = 0.4", 5.1, method)
    assert found == pytest.approx({"T": 7 * 0.4 - 7, "D": 7 * 0.7}, rel=1e-9)
    found = sensitivities("x' = if mod(t, 1) < w then 1 else 0; x(0) = 0; param w = 0.4", 5.2, method)
    assert found == pytest.approx({"w": 5.0}, rel=1e-9)
    found = sensitivities("x' = a*(floor(x) + 1); x(0) = 0; param a = 1", 1.7, method)
    assert found == pytest.approx({"a": 5.1}, rel=1e-9)  # x = 2 + 3 a t - 4.5
    found = sensitivities("x' = -a*ceil(x); x(0) = 2.5; param a = 1", 0.5, method)
    assert found == pytest.approx({"a": -1.0}, rel=1e-9)  # 3 a (t - 1/(6 a)) from 2.5 is 2 - 2 a (t - 1/(6 a))
    found = sensitivities("x' = if sin(w*t) > 0.5 then 1 else 0; x(0) = 0; param w = 2", 4, method)
    # a pulse of 2π/(3 w), and the one that began at 13π/(6 w)
    assert found == pytest.approx({"w": (13 * math.pi / 6 - 2 * math.pi / 3) / 4}, rel=1e-9)


def test_two_parameters_that_name_the_same_time() -> None:
    sol = sd.model("""
        x' = if t > a then 1 else 0;  x(0) = 0
        y' = if t > b then 2 else 0;  y(0) = 0
        param a = 1, b = 1
    """).solve((0, 3), sensitivities=True, saveat=[3.0], **TIGHT)
    np.testing.assert_allclose(sol.sensitivities[-1], [[-1, 0], [0, -2]], atol=1e-12)


def test_switches_beside_events() -> None:
    # a dose at d lifts x over c: what the switch does there moves with d, and not with c
    text = "x' = if x > c then 2 else a; x(0) = 0; param a = 1, c = 0.7, d = 0.5\nat d: x += 0.4"
    sol = sd.model(text).solve((0, 2), sensitivities=True, saveat=[2.0], **TIGHT)
    # x = a d + 0.4 + 2 (t - d)
    np.testing.assert_allclose(sol.sensitivities[-1, 0], [0.5, 0.0, 1 - 2], atol=1e-10)
    assert sol.events == [(0.5, 0)]
    # conditions of events that jump move like what makes them jump
    text = """
        x' = a; n' = 0; x(0) = 0; n(0) = 0; param a = 1, w = 0.3
        when floor(x) >= 2: x += 1
        when mod(t, 1.2) < w: n += x
    """
    sol = sd.model(text).solve((0, 3), sensitivities=True, saveat=[3.0], **TIGHT)
    # n takes x at 1.2, a 1.2, and at 2.4, a 2.4 + 1
    np.testing.assert_allclose(sol.sensitivities[-1], [[3.0, 0], [3.6, 0]], atol=1e-9)
    # events made true by another event move with that one
    text = "x' = 1; y' = 1; x(0) = 0; y(0) = 0; param c = 3, d = 1\nat d: x += 5\nwhen x > c: y = 2*y"
    sol = sd.model(text).solve((0, 2), sensitivities=True, saveat=[2.0], **TIGHT)
    np.testing.assert_allclose(sol.sensitivities[-1], [[0, 0], [0, 1]], atol=1e-12)


def test_measured_inputs_switch_at_times_that_do_not_move() -> None:
    model = sd.model("input u constant; x' = if u > a then b else 1; x(0) = 0; param a = 0.5, b = 3")
    inputs = {"u": ([0, 1, 2, 3], [0, 1, 0, 0])}
    sol = model.solve((0, 3), inputs=inputs, sensitivities=True, saveat=[3.0], **TIGHT)
    assert sol["x"][-1] == pytest.approx(5, rel=1e-12)
    np.testing.assert_allclose(sol.sensitivities[-1], [[0, 1]], atol=1e-12)
    ramp = sd.model("input u linear; x' = if u > a then b else 1; x(0) = 0; param a = 0.5, b = 3")
    sol = ramp.solve((0, 3), inputs=inputs, sensitivities=True, saveat=[3.0], **TIGHT)
    np.testing.assert_allclose(sol.sensitivities[-1], [[-4, 1]], atol=1e-9)  # above a for 2 (1 - a)


def test_sliding_ends_with_words_and_switches_are_no_events() -> None:
    text = "x' = if x < c then a else -1; x(0) = 15; param a = 1, c = 20"
    sol = sd.model(text).solve((0, 30), sensitivities=True)
    assert sol.status == Status.EVENT_CHATTERING and "slides" in sol.message
    assert sol.t_end == pytest.approx(5, rel=1e-6) and sol.events == []
    plain = sd.model(text).solve((0, 30))
    assert plain.success and plain["x"][-1] == pytest.approx(20, abs=1e-2)
    backward = sd.model("x' = if x > c then 2 else 1; x(0) = 3; param c = 1").solve(
        (0, -2), sensitivities=True, saveat=[-2.0], **TIGHT
    )
    assert backward.sensitivities[-1, 0, 0] == pytest.approx(0.5, rel=1e-9)  # x = c - (2 - (3 - c)/2)


@pytest.mark.parametrize(
    ("equation", "switched"),
    [
        ("if x > 0 then -x else 0", False),
        ("if x < a then 0 else if x < 2*a then x - a else a", False),
        ("if x > a and x < b then (x - a)*(b - x) else 0", False),
        ("sin(x)/x + x/(1 - exp(-x))", False),
        ("x*sign(x) + sin(2*pi*mod(x, 1))", False),
        ("if a > b then x else 2*x", False),
        ("if t > 3 then x else -x", False),
        ("max(x, a) + min(x, b) + abs(x - a)", False),
        ("if x > a then b else 2", True),  # equal at the defaults only
        ("if t > a then x else -x", True),
        ("if x > a then x else x*a", True),
        ("if x < a then 0 else if x < b then x - a else a", True),
        ("sign(x - a)", True),
    ],
)
def test_only_what_jumps_gets_a_switch(equation: str, switched: bool) -> None:
    model = sd.model(f"x' = {equation}; x(0) = 0.3; param a = 1.5, b = 2")
    assert (_switched(model) is not None) is switched is jumps(model)


def test_fits_find_where_a_condition_turns() -> None:
    t = np.linspace(0, 6, 25)
    model = sd.model(
        "C' = (if t > a and t < 2.5 then 4 else 0) - k*C; C(0) = 0; param a = 1 in [0.2, 2], k = 1 in [0.1, 3]"
    )
    data = model.solve((0, 6), p={"a": 1.3, "k": 0.7}, saveat=t, rtol=1e-10)["C"]
    fit = model.fit({"t": t, "C": data})
    assert fit.success and fit.p == pytest.approx({"a": 1.3, "k": 0.7}, rel=1e-4)


def test_layers_and_adjoints() -> None:
    torch = pytest.importorskip("torch")
    model = sd.model("x' = if x > c then 2 else a; x(0) = 0; param a = 1, c = 0.7")
    layer = model.layer([0.0, 2.0], rtol=1e-10, atol=1e-12)
    layer()[-1].sum().backward()
    assert layer.p.grad.tolist() == pytest.approx([1.4, -1.0], rel=1e-8)
    with pytest.raises(UnsupportedError, match="jump"):
        model.layer([0.0, 2.0], sensitivity="discrete_adjoint")
    with pytest.raises(UnsupportedError, match="jump"):
        sd.model("x' = NN(x) - (if x > 1 then 1 else 0); x(0) = 0").layer([0.0, 1.0])
    # at fixed times, and where branches meet, the adjoint is exact
    meets = sd.model("x' = NN(x) + (if x > 1 then 1 - x else 0) + (if t > 0.5 then 1 else 0); x(0) = 0.9")
    assert meets.layer([0.0, 1.0]).sensitivity == "discrete_adjoint"
    assert torch.isfinite(meets.layer([0.0, 1.0])()).all()


# ------------------------------------------------------------ methods at the edge of what is finite


@pytest.mark.parametrize("method", ["rodas5p", "rodas4", "auto", "tsit5"])
def test_infinite_slope_in_time_at_the_start(method: str) -> None:
    sol = sd.model("x' = sqrt(t) - x; x(0) = 0").solve((0, 2), method=method, rtol=1e-9, atol=1e-12)
    assert sol.success
    t = np.linspace(0, math.sqrt(2), 200_001)  # the integral of sqrt(s) exp(s - 2), with s = t^2
    exact = np.trapezoid(2 * t**2 * np.exp(t**2 - 2), t)
    assert sol["x"][-1] == pytest.approx(exact, rel=1e-6)


def test_positive_states_go_on_at_zero() -> None:
    torricelli = sd.model("y' = -sqrt(y); y(0) = 1")
    assert torricelli.solve((0, 4)).status == Status.NONFINITE
    sol = torricelli.solve((0, 4), positive=True, saveat=[1.0, 2.5, 4.0])
    assert sol.success and sol["y"] == pytest.approx([0.25, 0, 0], abs=1e-5) and sol["y"].min() >= 0
    assert torricelli.solve((0, 4), positive=True, method="rodas5p").success
    cells = sd.model("u[i]' = -sqrt(u[i]) for i in 1..3; u[i](0) = i for i in 1..3")
    assert cells.solve((0, 5), positive=True)["u"][-1] == pytest.approx([0, 0, 0], abs=1e-5)
