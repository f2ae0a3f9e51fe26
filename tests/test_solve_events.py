"""Events against closed-form solutions: roots, fixed times, order, chattering, sensitivities of jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ellipk

import sciml_dsl as sd
from sciml_dsl.errors import InputError
from sciml_dsl.solve.status import Status

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def bounce_times(height: float, g: float, e: float, count: int) -> list[float]:
    first = math.sqrt(2 * height / g)
    times, t, v = [], first, e * g * first
    for _ in range(count):
        times.append(t)
        t += 2 * v / g
        v *= e
    return times


BALL = """
x' = v
v' = -g
x(0) = 10; v(0) = 0
param g = 9.81, e = 0.8
when x < 0: x = 0, v = -e*v
"""


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas5p", "vern7", "dop853", "vern9"])
def test_bouncing_ball_times_and_states(method: str) -> None:
    sol = sd.model(BALL).solve((0, 8), method=method, **TIGHT)
    expected = [t for t in bounce_times(10, 9.81, 0.8, 10) if t < 8]
    assert [t for t, _ in sol.events] == pytest.approx(expected, rel=1e-12)
    assert sol["x"].min() > -1e-12
    # both sides of a bounce are in the output, and dense output is right-continuous
    t1 = sol.events[0][0]
    at = np.flatnonzero(sol.t == t1)
    assert len(at) == 2
    assert sol["v"][at[1]] == pytest.approx(-0.8 * sol["v"][at[0]], rel=1e-12)
    assert sol(t1)[1] == pytest.approx(0.8 * 9.81 * t1, rel=1e-12)
    assert sol(t1 - 1e-9)[1] < 0 < sol(t1 + 1e-9)[1]
    times = np.linspace(0, 8, 50)
    saved = sd.model(BALL).solve((0, 8), method=method, saveat=times, **TIGHT)
    np.testing.assert_allclose(saved.u, sol(times), rtol=0, atol=1e-12)


def test_ball_at_rest_is_reported_as_chattering() -> None:
    sol = sd.model(BALL).solve((0, 1000), **TIGHT)
    zeno = math.sqrt(2 * 10 / 9.81) * (1 + 2 * 0.8 / 0.2)
    assert sol.status == Status.EVENT_CHATTERING and not sol.success
    assert sol.t_end == pytest.approx(zeno, rel=1e-8)
    assert "again and again" in sol.message


def test_two_sided_root_fires_once_a_crossing() -> None:
    m = sd.model("x' = v; v' = -x; n' = 0; x(0) = 1; v(0) = 0; n(0) = 0\nwhen x == 0: n += 1")
    sol = m.solve((0, 20), **TIGHT)
    expected = [math.pi / 2 + k * math.pi for k in range(6)]
    assert sol["n"][-1] == 6
    assert [t for t, _ in sol.events] == pytest.approx(expected, rel=1e-9)
    bounce = sd.model("x' = v; v' = -1; x(0) = 1; v(0) = 0\nwhen x == 0: v = -v").solve((0, 9.5), **TIGHT)
    assert [t for t, _ in bounce.events] == pytest.approx([math.sqrt(2) * k for k in (1, 3, 5)], rel=1e-9)


@pytest.mark.parametrize("method", ["auto", "vern7", "dop853", "vern9"])
def test_roots_are_as_exact_as_the_solution(method: str) -> None:
    pendulum = sd.model("q' = p; p' = -sin(q); n' = 0; q(0) = 2; p(0) = 0; n(0) = 0\nwhen q == 0: n += 1")
    sol = pendulum.solve((0, 60), method=method, rtol=1e-13, atol=1e-14)
    quarter = ellipk(math.sin(1.0) ** 2)  # of the period, from the angle 2 to 0
    expected = [(2 * k + 1) * quarter for k in range(len(sol.events))]
    assert len(expected) == 14 and sol["n"][-1] == 14
    assert [t for t, _ in sol.events] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_events_close_together_come_in_the_order_of_time() -> None:
    m = sd.model("""
        x' = 1; last' = 0; x(0) = 0; last(0) = 0
        when x > 1.0000001: last = 10*last + 2
        when x > 1: last = 10*last + 1
        when x > 1.0000002: last = 10*last + 3
        at 1.0000003: last = 10*last + 4
    """)
    sol = m.solve((0, 2))
    assert [k for _, k in sol.events] == [1, 0, 2, 3]
    assert sol["last"][-1] == 1234
    assert [t for t, _ in sol.events] == pytest.approx([1, 1.0000001, 1.0000002, 1.0000003], rel=1e-14)


def test_fast_root_inside_a_long_step_is_found() -> None:
    m = sd.model("x' = 1; n' = 0; x(0) = 0; n(0) = 0\nwhen (x - 5)^2 < 4: n += 1\nwhen (x - 5)^2 > 4: n += 10")
    sol = m.solve((0, 10))
    assert sol["n"][-1] == 11
    assert [t for t, _ in sol.events] == pytest.approx([3, 7], rel=1e-12)


def test_doses_against_the_superposition_of_exponentials() -> None:
    m = sd.model("""
        A' = -k*A;  A(0) = 0
        param k = 0.3, dose = 100
        every 6 from 0 until 24: A += dose
        at 10: A += 50
    """)
    t = np.array([0.0, 3.0, 5.999, 6.0, 9.9, 10.0, 24.0, 30.0, 40.0])
    sol = m.solve((0, 40), saveat=t, **TIGHT)
    doses = [(0, 100), (6, 100), (12, 100), (18, 100), (24, 100), (10, 50)]
    exact = [sum(d * math.exp(-0.3 * (x - s)) for s, d in doses if s <= x) for x in t]
    assert sol["A"] == pytest.approx(exact, rel=1e-8)
    assert len(sol.events) == 6


def test_periods_do_not_drift_and_meet_rounded_times() -> None:
    m = sd.model("n' = 0; n(0) = 0\nevery 0.1 from 0: n += 1")
    sol = m.solve((0.3, 100.0), saveat=[0.3, 50.0, 100.0])
    assert sol["n"].tolist() == [1, 498, 998]


def test_simultaneous_events_in_order_of_definition() -> None:
    m = sd.model("x' = 0; x(0) = 1\nat 1: x += 1\nat 1: x *= 10\nat 1: x -= 3")
    assert m.solve((0, 2), saveat=[1])["x"][0] == 17
    other = sd.model("x' = 0; x(0) = 1\nat 1: x *= 10\nat 1: x += 1")
    assert other.solve((0, 2), saveat=[1])["x"][0] == 11


def test_a_state_change_can_make_another_condition_true() -> None:
    m = sd.model("x' = 0; y' = 0; x(0) = 0; y(0) = 0\nwhen x > 0.5: y = 7\nat 1: x = 1")
    sol = m.solve((0, 2), saveat=[0.99, 1.0])
    assert sol["y"].tolist() == [0, 7]
    loop = sd.model("x' = 0; x(0) = 0\nat 1: x = 1\nwhen x > 0.5: x = 0\nwhen x < 0.5: x = 1")
    assert loop.solve((0, 2)).status == Status.EVENT_CHATTERING


def test_condition_true_at_the_start_does_not_fire_until_it_was_false() -> None:
    m = sd.model("x' = cos(t); n' = 0; x(0) = 0.6; n(0) = 0\nwhen x > 0.5: n += 1")
    sol = m.solve((0, 10), **TIGHT)
    exact = 2 * math.pi + math.asin(-0.1)
    assert [t for t, _ in sol.events] == pytest.approx([exact], rel=1e-9)


def test_relay_alternates_without_double_firing() -> None:
    m = sd.model("x' = s; s' = 0; x(0) = 0; s(0) = 1\nwhen x > 1: s = -1\nwhen x < -1: s = 1")
    sol = m.solve((0, 20))
    assert [t for t, _ in sol.events] == pytest.approx([1, 3, 5, 7, 9, 11, 13, 15, 17, 19], rel=1e-12)


def test_terminate_ends_at_the_event_with_its_state() -> None:
    m = sd.model("x' = 2*x; x(0) = 1\nwhen x > 10: terminate")
    for options in ({}, {"saveat": [0.5, 1.0, 1.5]}):
        sol = m.solve((0, 3), **TIGHT, **options)
        assert sol.status == Status.TERMINATED and sol.success
        assert sol.t[-1] == sol.t_end == pytest.approx(math.log(10) / 2, rel=1e-10)
        assert sol["x"][-1] == pytest.approx(10, rel=1e-10)
        assert sol(sol.t_end)[0] == sol["x"][-1]


def test_events_at_both_ends() -> None:
    m = sd.model("x' = 0; x(0) = 0\nat 0: x += 1\nat 5: x += 10\nat -1: x += 100\nat 5.5: x += 1000")
    sol = m.solve((0, 5))
    assert sol["x"].tolist()[0] == 1 and sol["x"][-1] == 11
    assert m.solve((0, 0))["x"][-1] == 1


def test_bad_event_times_and_backwards() -> None:
    m = sd.model("x' = 0; x(0) = 0; param T = 1\nevery T: x += 1")
    assert m.solve((0, 2), p={"T": -1.0}).status == Status.EVENT_INVALID
    with pytest.raises(InputError, match="backwards"):
        m.solve((1, 0))


def test_more_events_than_the_first_log_holds() -> None:
    sol = sd.model("x' = 1; x(0) = 0\nevery 0.01: x = 0").solve((0, 10))
    assert len(sol.events) == 1001
    assert sol["x"].max() == pytest.approx(0.01)


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_sensitivities_through_a_root_event(method: str) -> None:
    # x(t) after one bounce: closed form in g and e
    sol = sd.model(BALL).solve((0, 2.5), method=method, saveat=[2.0, 2.5], sensitivities=["g", "e", "x(0)"], **TIGHT)

    def after(t: float, g: float, e: float, h: float) -> np.ndarray:
        t1 = np.sqrt(2 * h / g)
        v1 = e * g * t1
        return np.array([v1 * (t - t1) - g * (t - t1) ** 2 / 2, v1 - g * (t - t1)])

    base = (9.81, 0.8, 10.0)
    for row, t in enumerate((2.0, 2.5)):
        for c in range(3):
            d = 1e-6 * base[c]
            up = [b + d * (i == c) for i, b in enumerate(base)]
            down = [b - d * (i == c) for i, b in enumerate(base)]
            exact = (after(t, *up) - after(t, *down)) / (2 * d)
            assert sol.sensitivities[row, :, c] == pytest.approx(exact, rel=2e-7)


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_sensitivities_of_dose_times(method: str) -> None:
    m = sd.model("""
        A' = -k*A;  A(0) = a0
        param k = 0.3, dose = 100, τ = 2, T = 3, a0 = 5
        every T from τ: A += dose
    """)
    k, dose, tau, period, a0 = 0.3, 100.0, 2.0, 3.0, 5.0
    sol = m.solve((0, 9), method=method, saveat=[9], sensitivities=True, **TIGHT)
    times = [tau + j * period for j in range(3)]
    decay = [dose * math.exp(-k * (9 - s)) for s in times]
    exact = [
        -sum((9 - s) * d for s, d in zip(times, decay, strict=True)) - 9 * a0 * math.exp(-9 * k),
        sum(decay) / dose,
        k * sum(decay),
        k * sum(j * d for j, d in enumerate(decay)),
        math.exp(-9 * k),
    ]
    assert sol.sensitivities[0, 0] == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("method", ["auto", "rodas5p", "vern9"])
@pytest.mark.parametrize("e", [0, 0.1, 0.2, 0.3, 0.7])
@pytest.mark.parametrize("action", ["h = 0, v = -e*v", "v = -e*v"])
def test_no_body_falls_through_the_floor(e: float, action: str, method: str) -> None:
    m = sd.model(f"h' = v; v' = -g; h(0) = 1; v(0) = 0; param e = {e}, g = 9.81\nwhen h < 0: {action}")
    sol = m.solve((0, 9), method=method)
    assert sol.status == Status.EVENT_CHATTERING
    assert sol["h"].min() > -1e-9
    rest = math.sqrt(2 / 9.81) * (1 + 2 * e / (1 - e))
    assert sol.t_end == pytest.approx(rest, rel=1e-4)
    many = m.ensemble(p={"e": [e, e]}).solve((0, 9), saveat=[9.0])
    assert many.status.tolist() == [Status.EVENT_CHATTERING] * 2


def test_relays_that_slide_say_so() -> None:
    for method in ("auto", "vern9"):
        sol = sd.model("x' = s; s' = 0; x(0) = 0; s(0) = 1\nwhen x > 1: s = -1\nwhen x < 1: s = 1").solve(
            (0, 3), method=method
        )
        assert sol.status == Status.EVENT_CHATTERING and sol.t_end == pytest.approx(1)
        assert [k for _, k in sol.events[:4]] == [0, 1, 0, 1]
    hysteresis = sd.model(
        "x' = s - 0.1*x; s' = 0; x(0) = 0; s(0) = 1\nwhen x > 0.7: s = -1\nwhen x < 0.69999: s = 1"
    ).solve((0, 1))
    assert hysteresis.success and hysteresis["x"][-1] == pytest.approx(0.7, abs=2e-5)
    assert len(hysteresis.events) > 10_000


def test_conditions_on_their_edge_at_the_start() -> None:
    decay = sd.model("N' = -N; N(0) = 1\nwhen N < 1: N = 2").solve((0, 3), **TIGHT)
    assert [t for t, _ in decay.events] == pytest.approx([k * math.log(2) for k in range(5)], rel=1e-9, abs=1e-12)
    assert sd.model("N' = -N; N(0) = 1\nwhen N <= 1: N = 2").solve((0, 3)).events == []  # true at the start
    assert sd.model("N' = 0; N(0) = 1\nwhen N < 1: N = 2").solve((0, 3)).events == []
    assert sd.model("N' = N; N(0) = 1\nwhen N < 1: N = 2").solve((0, 3)).events == []
    ball = sd.model("h' = v; v' = -9.81; h(0) = 0; v(0) = 0\nwhen h < 0: v = -v").solve((0, 3))
    assert ball.status == Status.EVENT_CHATTERING and ball["h"].min() > -1e-9


@pytest.mark.parametrize("method", ["auto", "dop853"])
def test_conditions_that_jump_fire_where_they_turn(method: str) -> None:
    m = sd.model("""
        x' = 1; n' = 0; x(0) = 0; n(0) = 0
        when floor(x) >= 2: n += 1
        when floor(x) > 2: n += 10
        when sign(x - 3.5) > 0: n += 100
        when (if x < 4.25 then 0 else 1) > 0.5: n += 1000
    """)
    sol = m.solve((0, 5), method=method)
    assert sol.events == [(pytest.approx(t, rel=1e-14), k) for k, t in enumerate([2, 3, 3.5, 4.25])]


def test_an_event_that_leads_away_and_comes_back_at_once_fires_again() -> None:
    # the bounce after the first one is a millionth of a step long
    m = sd.model("h' = v; v' = -9.81; h(0) = 1; v(0) = 0; n' = 0; n(0) = 0\nwhen h < 0: v = 1e-6 + 0*v, n += 1")
    sol = m.solve((0, 1), max_steps=2000)
    assert sol["n"][-1] > 100 and sol["h"].min() > -1e-9


def test_messages_name_the_event() -> None:
    def message(text: str, **options: object) -> str:
        sol = sd.model(text).solve((0, 5), **options)
        assert not sol.success
        return sol.message

    never = message("x' = -x; x(0) = 1; param T = 0\nat 1: x += 1\nevery T: x += 1")
    assert "event 1 (`every T`)" in never and "every 0, which is no period" in never and "event 0" not in never
    nan = message("x' = -x; x(0) = 1\nat 1: x = log(-x)")
    assert "state change of event 0 (`at 1`)" in nan
    assert "event 0 (`every 1e-09`)" in message("x' = -x; x(0) = 1\nevery 1e-9: x += 1e-12", max_steps=1000)
    below = message("y' = -0.1*y; y(0) = 1\nevery 1: y -= 0.3", positive=True)
    assert "event 0 (`every 1`) takes `y` below zero" in below
    ball = message("h' = v; v' = -9.81; h(0) = 1; v(0) = 0\nat 9: v = 0\nwhen h < 0: h = 0, v = -0.2*v")
    assert "event 1 (`when h < 0`)" in ball


def test_both_ways_of_one_crossing_do_not_set_each_other_off() -> None:
    m = sd.model("x' = v; v' = -1; n' = 0; x(0) = 1; v(0) = 0; n(0) = 0\nwhen x == 0: x = 0, v = -v/2, n += 1")
    sol = m.solve((0, 4), **TIGHT)
    assert [t for t, _ in sol.events] == pytest.approx([math.sqrt(2) * k for k in (1, 2, 2.5, 2.75)], rel=1e-9)
    through = sd.model("x' = 1; n' = 0; x(0) = 0.5; n(0) = 0\nwhen x == 1: n += 1, x = 0").solve((0, 10), **TIGHT)
    assert [t for t, _ in through.events] == pytest.approx([k + 0.5 for k in range(10)], rel=1e-9)
