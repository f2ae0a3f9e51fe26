"""Events, folds, jumps and pulses of models with algebraic equations, against what mechanics and formulas say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import sciml_dsl as sd
from sciml_dsl.graph.build import lower
from sciml_dsl.solve.consistent import nearest
from sciml_dsl.structure.jumps import refuse_jumps
from sciml_dsl.structure.pantelides import reduce_index

HANGING = """
    x'' = -T*x; y'' = -T*y - 9.81; 0 = x^2 + y^2 - 1
    x(0) = 0.6; y(0) = -0.8; x'(0) = 0; y'(0) = 0
    E = (x'^2 + y'^2)/2 + 9.81*y
"""
CAPACITORS = """
    C1*v1' = i - v1/R; C2*v2' = -i; 0 = v1 - v2
    v1(0) = 2; v2(0) = 2
    param C1 = 1, C2 = 2, R = 1
"""
RECTIFIER = """
    C*vc' = i - vc/R
    0 = i - Is*(exp((5*sin(2*pi*50*t) - vc)/0.026) - 1)
    vc(0) = 0
    param C = 1e-4, R = 1000, Is = 1e-12
"""


def around(sol):
    """The states before and after the first event."""
    k = next(k for k in range(1, len(sol.t)) if sol.t[k] == sol.t[k - 1])
    return [dict(zip(sol.states, sol.u[i], strict=True)) for i in (k - 1, k)]


# ---------------------------------------------------------------- what an event leaves


def test_a_push_turns_the_speed_and_leaves_the_place():
    sol = sd.model(HANGING + "when x < -0.3: x' = -x'").solve((0, 1), rtol=1e-9, atol=1e-10)
    before, after = around(sol)
    assert sol.success and len(sol.events) == 1
    for name, sign in (("x", 1), ("y", 1), ("x'", -1), ("y'", -1)):
        assert after[name] == pytest.approx(sign * before[name], abs=1e-9)
    assert np.ptp(sol["E"]) < 1e-6  # both speeds turn round: no work is done


def test_speeds_follow_the_place_they_belong_to():
    """x moves along the circle: y follows it, y' follows x', and x' stays."""
    before, after = around(sd.model(HANGING + "at 0.5: x = 0.3").solve((0, 1), rtol=1e-9, atol=1e-10))
    assert after["x"] == 0.3 and after["y"] == pytest.approx(-math.sqrt(1 - 0.09), abs=1e-12)
    assert after["x'"] == pytest.approx(before["x'"], abs=1e-9)
    assert after["y'"] == pytest.approx(-0.3 * after["x'"] / after["y"], abs=1e-9)
    before, after = around(sd.model(HANGING + "at 0.5: x' = 2").solve((0, 1), rtol=1e-9, atol=1e-10))
    assert after["x'"] == 2.0 and (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]), abs=1e-12)


def test_what_is_not_touched_may_be_as_inexact_as_the_steps():
    """At loose tolerances the constraints hold as loosely before an event; it must not fail for that."""
    for method in ("rodas5p", "radau", "ndf"):
        sol = sd.model(HANGING + "at 0.5: x' = -x'").solve((0, 1), method=method, rtol=1e-3, atol=1e-3)
        assert sol.success, method


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HANGING + "at 0.5: x = 3", "what it assigns (`x`) contradicts the algebraic equation"),
        (HANGING + "at 0.5: x = 5, y = 5", "(`x`, `y`) contradicts the algebraic equation"),
        (HANGING + "at 0.5: x' = 2, y' = 2", "contradicts the first derivative of the algebraic equation"),
        (CAPACITORS + "at 0.5: v1 = 1, v2 = 3", "event 1 of the model cannot happen at t = 0.5"),
        ("x' = -x; 0 = z^2 - x; x(0) = 1; z(0) = 1; at 0.5: x = -1", "has no solution"),
    ],
)
def test_events_that_contradict_a_constraint_end_the_integration(text, says):
    sol = sd.model(text).solve((0, 1))
    assert sol.status.name == "INCONSISTENT" and sol.t_end == 0.5
    assert says in sol.message
    assert np.isfinite(sol.u).all()


def test_one_of_two_capacitors_takes_the_other_along():
    sol = sd.model(CAPACITORS + "at 0.5: v1 = 1").solve((0, 1), rtol=1e-9, atol=1e-12)
    assert sol["v2"][-1] == pytest.approx(math.exp(-0.5 / 3), rel=1e-8)  # both discharge through R


def test_an_event_cannot_assign_what_the_equations_determine():
    with pytest.raises(sd.ModelError, match="what the algebraic equations determine") as caught:
        sd.model(HANGING + "at 0.5: T = 100")
    assert "change a state it follows from (`x`" in str(caught.value)


def test_the_nearest_point_is_the_nearest():
    """Onto an ellipse and a plane, each coordinate in its own size; truth from scipy."""

    def evaluate(u):
        x, y, z = u
        return np.array([x**2 / 4 + y**2 - 1, x + z - 0.5]), np.array([[x / 2, 2 * y, 0], [1.0, 0, 1]])

    for start in ([3.0, 2.0, 0.5], [0.3, 0.2, 4.0], [-1.0, 0.5, 0.1]):
        u, size = np.array(start), np.maximum(np.abs(start), 1e-3 * np.median(np.abs(start)))
        found = nearest(evaluate, u, np.ones(3, bool)).u
        truth = minimize(
            lambda v, u=u, size=size: ((v - u) ** 2 / size**2).sum(), found + 0.01, method="SLSQP", tol=1e-14,
            constraints={"type": "eq", "fun": lambda v: evaluate(v)[0]},
        )  # fmt: skip
        assert np.abs(evaluate(found)[0]).max() < 1e-9
        assert found == pytest.approx(truth.x, abs=1e-5)


# ---------------------------------------------------------------- constraints that jump


@pytest.mark.parametrize(
    "text",
    [
        "x' = -x + u; 0 = x - (if t > 1 then 2 else 1)",
        "x'' = u; 0 = x - abs(t - 1)",
        "x' = -x + u; 0 = x - floor(t)",
        "x'' = -x + u; 0 = x - max(t, 1)",
        "x' = u; 0 = x - sign(y); y' = 1; y(0) = -1",
    ],
)
def test_a_constraint_that_jumps_is_refused_where_it_must_be_differentiated(text):
    with pytest.raises(sd.UnsupportedError, match="infinite there for a moment"):
        sd.model(text).solve((0, 2))


@pytest.mark.parametrize(
    ("text", "at_the_end"),
    [
        ("x' = -x + u; 0 = x - (if t > 1 then t^2 else 2*t - 1)", 2.25),  # a kink, no jump
        ("x'' = u; 0 = x - (if t > 1 then (t - 1)^3 else 0)", 0.125),
        ("x' = -x + u; 0 = x - sin(2*pi*mod(t, 1))", 0.0),
        ("x' = -x + u; 0 = x - (if a > 1 then 2 else 1); param a = 2", 2.0),  # nothing crosses it
        # index 1: z may jump
        ("x' = -x + z; 0 = z - (if t > 1 then 2 else 1); x(0) = 0", 2 - (1 + np.exp(-1)) * np.exp(-0.5)),
    ],
)
def test_branches_that_agree_and_conditions_that_stay_are_no_jumps(text, at_the_end):
    system = lower(sd.model(text).spec)
    refuse_jumps(system, reduce_index(system))  # raises nothing
    sol = sd.model(text).solve((0, 1.5), rtol=1e-8, atol=1e-10)
    assert sol.success, sol.message
    assert sol["x"][-1] == pytest.approx(at_the_end, abs=1e-6)


def test_a_jump_written_as_an_event_moves_what_is_constrained():
    sol = sd.model("x' = -x + u; 0 = x - k; k' = 0; k(0) = 1; at 1: k = 2").solve((0, 2))
    assert sol(0.5, "x") == pytest.approx(1.0) and sol(1.5, "x") == pytest.approx(2.0)


@pytest.mark.parametrize("method", ["auto", "radau", "rodas5p", "kencarp4", "ndf"])
def test_output_behind_a_jump_of_an_unknown(method):
    """x' = -z, z = x before t = 3/4 and x - 1 behind: within the step that begins at the jump too."""
    m = sd.model("x' = -z; 0 = z - x + (if t > 0.75 then 1 else 0); x(0) = 1")
    t = np.array([0.5, 0.7501, 0.8, 1.0, 2.0])
    x = np.where(t < 0.75, np.exp(-t), 1 - (1 - np.exp(-0.75)) * np.exp(0.75 - t))
    sol = m.solve((0, 2), method=method, saveat=t, rtol=1e-9, atol=1e-11)
    assert sol["x"] == pytest.approx(x, abs=1e-6)
    assert sol["z"] == pytest.approx(x - (t > 0.75), abs=1e-6)


# ---------------------------------------------------------------- pulses, folds, choices


def rectified():
    def slope(t, v):
        current = 1e-12 * math.expm1(min((5 * math.sin(100 * math.pi * t) - v[0]) / 0.026, 600.0))
        return [(current - v[0] / 1000) / 1e-4]

    return solve_ivp(slope, (0, 0.1), [0.0], "Radau", rtol=1e-10, atol=1e-12, max_step=1e-4).y[0, -1]


def test_no_charging_pulse_of_a_rectifier_is_passed_over():
    m, truth = sd.model(RECTIFIER), rectified()
    for method in ("auto", "rodas5p", "radau", "ndf", "rodas4", "kvaerno5"):
        sol = m.solve((0, 0.1), method=method, saveat=[0.1])
        assert sol.success, (method, sol.message)
        assert sol["vc"][-1] == pytest.approx(truth, rel=3e-5), method


def test_at_a_fold_the_unknown_is_named():
    sol = sd.model("x' = -1; 0 = z^2 - x; x(0) = 1; z(0) = 1").solve((0, 2))
    assert sol.status.name == "INCONSISTENT" and sol.t_end == pytest.approx(1.0, abs=1e-6)
    assert "`z` changes without bound" in sol.message and "fold" in sol.message


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("0 = x'^2 - 1; x(0) = 0", sd.MissingValueError, "leave a choice for `x'` at t = 0: 1 or -1"),
        ("x' = y - x; 0 = y + z - 1; 0 = 2*y + 2*z - 2; x(0) = 1", sd.InputError, "do not determine `y`, `z`"),
        ("x' = z; 0 = z^2 - x; x(0) = 0", sd.InputError, "do not determine `z`"),
    ],
)
def test_unknowns_that_are_not_determined(text, error, says):
    with pytest.raises(error) as caught:
        sd.model(text).solve((0, 1))
    assert says in str(caught.value)


# ---------------------------------------------------------------- backwards


def test_backwards_is_forwards_with_speeds_turned_round():
    m = sd.model(HANGING)
    there = m.solve((0, 3), rtol=1e-9, atol=1e-9, saveat=0.5)
    back = m.solve((0, -3), rtol=1e-9, atol=1e-9, saveat=0.5)
    assert back.success and back.t[-1] == -3
    for name, sign in (("x", 1), ("y", 1), ("x'", -1), ("y'", -1), ("T", 1)):
        assert back[name] == pytest.approx(sign * there[name], abs=1e-6)
    assert back(-1.25) == pytest.approx(there(1.25) * [1, -1, 1, -1, 1], abs=1e-5)


def test_to_the_end_and_back_to_the_start():
    m = sd.model("x' = -k*z; 0 = z + z^3 - x; x(0) = 2; param k = 0.7")
    end = m.solve((0, 2), rtol=1e-10, atol=1e-12, saveat=[2.0])
    start = m.solve((2, 0), u0={"x": end["x"][0]}, rtol=1e-10, atol=1e-12, saveat=[0.0])
    assert start["x"][0] == pytest.approx(2.0, rel=1e-8) and start["z"][0] == pytest.approx(1.0, rel=1e-8)
