"""What surrounds a step: stops, limits, controllers, tolerances, positivity, precision, interruption, progress."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.errors import InputError, SolveInterrupted, UnknownNameError
from sciml_dsl.solve.methods.registry import Controller

DECAY = "x' = -k*x; y' = k*x; x(0) = 1; y(0) = 0; param k = 1"
ENDLESS = "x' = cos(1e6*t) + 0*x; x(0) = 0"  # at this tolerance some hundred million steps
METHODS = ["tsit5", "bs3", "vern7", "dop853", "vern9", "rodas5p", "auto"]


@pytest.mark.parametrize("method", METHODS)
def test_jumps_of_the_right_hand_side_are_stepped_on(method):
    m = sd.model("x' = if floor(t/2) > 0 then -3*x else 1; x(0) = 0")
    exact = 2 * np.exp(-3 * 1.0)
    for name in ("tstops", "d_discontinuities"):
        sol = m.solve((0, 3), method=method, rtol=1e-9, atol=1e-12, **{name: [2.0]})
        assert 2.0 in sol.t and sol.u[-1, 0] == pytest.approx(exact, rel=1e-7)
        assert sol.stats["rejected"] <= 6
    by_itself = m.solve((0, 3), method=method, rtol=1e-9, atol=1e-12)
    assert 2.0 in by_itself.t and by_itself.stats["rejected"] <= 6
    clock = sd.model("x' = if s > 2 then -3*x else 1; x(0) = 0; s' = 1; s(0) = 0")
    assert clock.solve((0, 3), method=method, rtol=1e-9, atol=1e-12).stats["rejected"] > 6


def test_the_step_size_starts_anew_behind_a_discontinuity():
    m = sd.model("x' = if floor(t) > 4 then -1000*x + 1000*cos(t) else 0; x(0) = 1")
    stopped = m.solve((0, 6), method="tsit5", tstops=[5.0], rtol=1e-4, atol=1e-6)
    restarted = m.solve((0, 6), method="tsit5", d_discontinuities=[5.0], rtol=1e-4, atol=1e-6)
    after = restarted.t[np.searchsorted(restarted.t, 5.0) + 1] - 5.0
    assert after < 0.01 and restarted.stats["rejected"] < stopped.stats["rejected"]
    back = sd.model(DECAY).solve((2, 0), u0=[1.0, 0.0], d_discontinuities=[1.0, 0.5])
    assert {1.0, 0.5} <= set(back.t)


def test_steps_keep_within_their_limits():
    m = sd.model(DECAY)
    sol = m.solve((0, 2), dtmax=0.05)
    assert np.diff(sol.t).max() <= 0.05 * (1 + 1e-12)
    stiff = sd.model("x' = -1e6*(x - cos(t)); x(0) = 0")
    sol = stiff.solve((0, 1), method="tsit5", dtmin=1e-4)
    assert sol.status.name == "DT_TOO_SMALL" and not sol.success
    assert stiff.solve((0, 1e-3), method="tsit5", dtmin=1e-12).success
    with pytest.raises(InputError, match="dtmin must lie"):
        m.solve((0, 1), dtmin=0.1, dtmax=0.01)


def test_controllers_can_be_exchanged():
    m = sd.model("x' = y; y' = 5*(1 - x^2)*y - x; x(0) = 2; y(0) = 0")
    exact = m.solve((0, 10), rtol=1e-12, atol=1e-13, method="vern9").u[-1]
    steps = set()
    for controller in ("i", "pi", "pid", Controller(0.15, -0.05, 0.01, safety=0.8, grow=4.0)):
        sol = m.solve((0, 10), method="tsit5", controller=controller, rtol=1e-7, atol=1e-9)
        assert sol.success and np.abs(sol.u[-1] - exact).max() < 1e-4
        steps.add(sol.stats["steps"] + sol.stats["rejected"])
    assert len(steps) > 1
    with pytest.raises(UnknownNameError, match="did you mean `pid`"):
        m.solve((0, 1), controller="pidd")
    with pytest.raises(InputError, match="has no controller"):
        m.solve((0, 1), method="rk4", dt=0.1, controller="pi")


def test_tolerances_by_name_count_for_their_state_only():
    m = sd.model("x' = y; y' = -x; z' = cos(3*t); x(0) = 1; y(0) = 0; z(0) = 0")
    loose = m.solve((0, 5), method="tsit5", rtol=1e-3, atol=1e-3)
    tight = m.solve((0, 5), method="tsit5", rtol={"x": 1e-10, "y": 1e-10, "z": 1e-3}, atol={"x": 1e-12, "z": 1e-3})
    assert abs(tight["x"][-1] - np.cos(5)) < 1e-7 < abs(loose["x"][-1] - np.cos(5))
    with pytest.raises(UnknownNameError, match="unknown state `w`"):
        m.solve((0, 1), atol={"w": 1e-3})
    with pytest.raises(InputError, match="not negative"):
        m.solve((0, 1), rtol={"x": -1e-3})
    with pytest.raises(InputError, match="is -inf"):
        m.solve((0, 1), u0={"x": -np.inf})


@pytest.mark.parametrize("method", METHODS)
def test_states_stay_positive_on_request(method):
    # Shampine et al. (2005), a problem of Enright and Hull: without care the end slides below zero
    m = sd.model("y' = -abs(y); z' = -y*z/(y*y + 1e-6)*0 + y; y(0) = 1; z(0) = 0")
    kept = m.solve((0, 40), method=method, rtol=1e-3, atol=1e-3, positive="y")
    assert kept.success and kept["y"].min() >= 0.0
    assert kept(np.linspace(0, 40, 333), "y").min() >= 0.0
    assert m.solve((0, 40), method=method, rtol=1e-3, atol=1e-3, positive=True, saveat=0.1).u.min() >= 0.0
    assert kept["z"][-1] == pytest.approx(1.0, abs=2e-2)


def test_positivity_says_what_does_not_fit():
    m = sd.model(DECAY)
    with pytest.raises(InputError, match="begins at -1"):
        m.solve((0, 1), u0={"x": -1}, positive="x")
    with pytest.raises(UnknownNameError, match="unknown state"):
        m.solve((0, 1), positive=["w"])
    with pytest.raises(InputError, match="only without sensitivities"):
        m.solve((0, 1), positive=True, sensitivities=True)
    falling = sd.model("x' = -1; x(0) = 1").solve((0, 2), positive=True)  # the equations lead out
    assert falling.u.min() >= 0.0 and not falling.success and falling.t_end == pytest.approx(1.0, abs=1e-3)
    assert "the equations lead `x` below zero" in falling.message


def test_single_precision_results_agree_to_their_digits():
    m = sd.model(DECAY + "; total = x + y")
    single = m.solve((0, 2), dtype="float32", saveat=0.1)
    double = m.solve((0, 2), saveat=0.1)
    assert single.u.dtype == single["x"].dtype == single["total"].dtype == single(0.55).dtype == np.float32
    assert np.abs(single.u - double.u).max() < 1e-7
    assert np.abs(single(0.55) - double(0.55)).max() < 1e-7
    assert single.t.dtype == np.float64  # times would not survive
    with pytest.raises(InputError, match="float64"):
        m.solve((0, 1), dtype="float16")


def test_ctrl_c_keeps_what_was_computed():
    m = sd.model(ENDLESS)
    m.solve((0, 1e-5))  # compiled
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        m.solve((0, 1e4), rtol=1e-8, atol=1e-12, max_steps=10**10, saveat=np.linspace(0, 1e4, 10**6))
    assert time.perf_counter() - began < 10
    stop = caught.value
    assert isinstance(stop, SolveInterrupted) and "interrupted at t =" in str(stop)
    sol = stop.solution
    assert sol.status.name == "INTERRUPTED" and not sol.success
    assert 0 < sol.t_end < 1e4 and len(sol.t) > 1 and np.isfinite(sol.u).all()
    assert sol.t[-1] <= sol.t_end
    assert sol.u[:, 0] == pytest.approx(np.sin(1e6 * sol.t) / 1e6, abs=1e-8)
    assert sol(sol.t_end / 2) == pytest.approx(np.sin(1e6 * sol.t_end / 2) / 1e6, abs=1e-8)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
def test_what_another_signals_handler_raises_comes_through():
    class Enough(Exception):
        pass

    def handler(*_):
        raise Enough("time is up")

    m = sd.model(ENDLESS)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Enough, match="time is up"):
            m.solve((0, 1e4), rtol=1e-8, atol=1e-12, max_steps=10**10, saveat=[1e4])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert os.getpid()  # and the interpreter is in order
    assert m.solve((0, 1e-5)).success


def test_progress_is_told_and_can_stop():
    m = sd.model(ENDLESS)
    told = []
    options = {"rtol": 1e-8, "atol": 1e-12, "max_steps": 10**10, "saveat": [1e4]}
    sol = m.solve((0, 1e4), progress=lambda state: told.append(state) or len(told) >= 3, **options)
    assert sol.status.name == "INTERRUPTED" and len(told) == 3
    assert told[0]["stage"] == "solve" and told[0]["total"] == 1000 and "t = " in told[0]["message"]

    def broken(state):
        raise RuntimeError("no display")

    with pytest.raises(RuntimeError, match="no display"):
        m.solve((0, 1e4), progress=broken, **options)
    quick = []
    assert sd.model(DECAY).solve((0, 1), progress=quick.append).success and not quick  # too short to tell
    with pytest.raises(InputError, match="progress must be"):
        m.solve((0, 1), progress=3)


def test_auto_takes_higher_orders_at_tighter_tolerances_and_still_finds_stiffness():
    m = sd.model("x' = y; y' = -x; x(0) = 1; y(0) = 0")
    used = {
        rtol: next(k for k, v in m.solve((0, 10), rtol=rtol, atol=rtol).stats.items() if k.endswith("_steps") and v)
        for rtol in (1e-3, 1e-6, 1e-8, 1e-11)
    }
    assert used == {1e-3: "tsit5_steps", 1e-6: "tsit5_steps", 1e-8: "taylor_steps", 1e-11: "taylor_steps"}
    m = sd.model("x' = y; y' = if y > 10 then 0 else -x; x(0) = 1; y(0) = 0")  # no power series
    for rtol, name in ((1e-8, "vern7_steps"), (1e-11, "vern9_steps")):
        assert m.solve((0, 10), rtol=rtol, atol=rtol).stats[name] > 0
    oscillator = sd.model("x' = y; y' = μ*(1 - x^2)*y - x; x(0) = 2; y(0) = 0; param μ = 1000")
    exact = oscillator.solve((0, 500), method="rodas5p", rtol=1e-11, atol=1e-13).u[-1]
    for rtol, name, stiff in ((1e-8, "taylor_steps", "rodas5p_steps"), (1e-10, "taylor_steps", "radau_steps")):
        sol = oscillator.solve((0, 500), rtol=rtol, atol=rtol)
        assert sol.success and sol.stats["switches"] > 0
        assert sol.stats[name] > 0 < sol.stats[stiff]
        assert sol.u[-1] == pytest.approx(exact, rel=1e-5)
        assert sol.stats["steps"] < 20_000


@pytest.mark.parametrize("event", ["", "; when x < 0.2: x += 1"])
@pytest.mark.parametrize("saveat", [None, [0.5, 2.0]])
def test_repeated_solves_share_nothing_that_differs(event, saveat):
    """What solves with the same options have in common is kept; everything else is each one's own."""
    m = sd.model(f"x' = -k*x; double = 2*x; x(0) = 1; param k = 1{event}")
    options = {"method": "taylor", "rtol": 1e-10, "atol": 1e-12, "saveat": saveat, "max_steps": 999}
    cases = [((0, 2), 1.0, 1.0), ((0, 2), 2.0, 0.3), ((0.5, 2), 0.5, 3.0), ((0, 2), 1.0, 1.0)]
    sols = [m.solve(span, p={"k": k}, u0={"x": x0}, **options) for span, k, x0 in cases]
    for sol, (span, k, x0) in zip(sols, cases, strict=True):
        fresh = sd.model(f"x' = -k*x; double = 2*x; x(0) = 1; param k = 1{event}")
        alone = fresh.solve(span, p={"k": k}, u0={"x": x0}, **options)
        assert sol.p.tolist() == [k] and np.array_equal(sol.t, alone.t) and np.array_equal(sol.u, alone.u)
        assert np.array_equal(sol["double"], 2 * sol["x"]) and sol.events == alone.events
        assert {**sol.stats, "seconds": 0} == {**alone.stats, "seconds": 0} and sol.message == alone.message
        at = [span[0] + 0.1, 1.7]
        assert np.array_equal(sol(at), alone(at))
    assert sols[0].u is not sols[3].u and np.array_equal(sols[0].u, sols[3].u)
