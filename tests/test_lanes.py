"""Ensembles in vector lanes: the numbers of the general kernel, for every trajectory by itself, and its failures.

What is compared with: analytic solutions, scipy, and the kernel, with which a trajectory in a lane
shares its steps up to rounding.
"""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.codegen import jit
from sciml_dsl.codegen import lanes as emitted
from sciml_dsl.errors import SolveInterrupted
from sciml_dsl.solve import lane_slots, lanes
from sciml_dsl.solve.batch import Batch, integrate_into
from sciml_dsl.solve.lane_slots import LaneStep
from sciml_dsl.solve.methods.registry import METHODS
from sciml_dsl.solve.prepare import prepared
from sciml_dsl.solve.status import Status

EXPLICIT = ["tsit5", "bs3", "vern7", "dop853", "vern9"]
LORENZ = (
    "x' = s*(y - x); y' = x*(r - z) - y; z' = x*y - b*z; x(0) = 1; y(0) = 0; z(0) = 0; param s = 10, r = 28, b = 8/3"
)
MODELS = {
    "decay": ("x' = -k*x; x(0) = 1; param k = 1", {"k": (0.1, 5.0)}),
    "lotka_volterra": (
        "x' = a*x - x*y; y' = -c*y + x*y; x(0) = 1; y(0) = 1; param a = 1.5, c = 3",
        {"a": (0.5, 2.0), "c": (1.0, 3.0)},
    ),
    "forced pendulum": (
        "x' = v; v' = -k*sin(x) - 0.1*v + cos(w*t); x(0) = 1; v(0) = 0; param k = 2, w = 1.3",
        {"k": (0.5, 3.0), "w": (0.5, 2.0)},
    ),
    "functions": (
        "x' = exp(-x) - log(1 + x^2)*tanh(y) + x^a/(1 + x^a); y' = cos(x)*atan(y) - sqrt(1 + y^2)*0.3 + log2(2 + x^2)"
        "; x(0) = 0.5; y(0) = 0.2; param a = 2.5",
        {"a": (1.1, 3.7)},
    ),
    "branches": (
        "x' = if x > 1 then -a*x else -a*x^2; y' = min(x, 1.5) - max(y, 0.6) + sign(x)*mod(x, 0.7)*0.1"
        "; x(0) = 2; y(0) = 0; param a = 1",
        {"a": (0.5, 2.0)},
    ),
    "chain": (
        "; ".join(f"x{i}' = k*(x{(i + 1) % 12} - x{i}); x{i}(0) = {i}" for i in range(12)) + "; param k = 1",
        {"k": (0.1, 2.0)},
    ),
}


def ensemble(text, ranges, size, seed=0):
    random = np.random.default_rng(seed)
    model = sd.model(text)
    return model.ensemble(p={name: random.uniform(*span, size) for name, span in ranges.items()})


def both(many, span, times, **options):
    """(in lanes, by the kernel one after the other) as batches."""
    integrator = prepared(many.model).integrator
    u0, p, stop = many.u0(span[0]), many.p, np.zeros(1, np.int64)
    options = {"by_tolerance": True, **options}
    found = [Batch.empty(len(u0), len(times), u0.shape[1]) for _ in range(2)]
    chosen = lanes.lanes(integrator, u0[0], p[0], *span, options)
    assert chosen is not None
    chosen.integrate_into(found[0], u0, p, times, stop)
    integrate_into(found[1], integrator, u0, p, *span, times, stop, **options)
    return found


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("name", MODELS)
def test_lanes_make_the_steps_of_the_kernel(name, method):
    many = ensemble(*MODELS[name], 11)
    times = np.linspace(0, 3, 14)
    # rounding of the error estimate moves the steps, the more of its digits cancel; kinks amplify that
    near = 1e-4 if name == "branches" else 1e-9 if method in ("tsit5", "bs3") else 1e-7
    mine, theirs = both(many, (0.0, 3.0), times, method=method, rtol=1e-6, atol=1e-8)
    assert (mine.status == Status.SUCCESS).all() and (theirs.status == Status.SUCCESS).all()
    assert not np.isnan(mine.u).any()
    np.testing.assert_allclose(mine.u, theirs.u, rtol=near, atol=0.1 * near)
    np.testing.assert_allclose(mine.u_end, mine.u[:, -1])
    assert np.array_equal(mine.t_end, theirs.t_end)
    if name != "branches":
        assert np.abs(mine.counts[:, :2] - theirs.counts[:, :2]).max() <= 1
        assert np.array_equal(mine.counts[:, 6], theirs.counts[:, 6])  # accepted by Tsit5


@pytest.mark.parametrize("method", EXPLICIT)
def test_errors_follow_the_tolerance(method):
    many = ensemble(*MODELS["lotka_volterra"], 9, seed=1)
    times = np.array([1.0, 2.5, 4.0])
    exact = np.array(
        [
            solve_ivp(
                lambda t, u, a=a, c=c: (a * u[0] - u[0] * u[1], -c * u[1] + u[0] * u[1]),
                (0, 4), [1, 1], method="DOP853", rtol=1e-13, atol=1e-13, t_eval=times,
            ).y.T
            for a, c in many.p
        ]
    )  # fmt: skip
    for tolerance in (1e-4, 1e-8):
        found = many.solve((0, 4), method=method, rtol=tolerance, atol=tolerance, saveat=times)
        assert np.abs(found.u - exact).max() < 100 * tolerance
        assert np.abs(found.u - exact).max() > 1e-4 * tolerance


@given(
    size=st.sampled_from([1, 2, 7, 8, 9, 17, 40]), threads=st.integers(1, 3), part=st.integers(1, 20),
    seed=st.integers(0, 2**32), method=st.sampled_from(["auto", "tsit5", "vern7"]),
    name=st.sampled_from(["lotka_volterra", "functions", "forced pendulum"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_neighbours_threads_and_parts_change_no_bit(size, threads, part, seed, method, name):
    text, ranges = MODELS[name]
    whole = ensemble(text, ranges, 41, seed).solve((0, 1), method=method, saveat=0.25, threads=1)
    order = np.random.default_rng(seed).permutation(41)[:size]
    some = sd.model(text).ensemble(p=whole.p[order]).solve(
        (0, 1), method=method, saveat=0.25, threads=threads, part=part
    )  # fmt: skip
    assert np.array_equal(some.u, whole.u[order])
    assert np.array_equal(some._counts, whole._counts[order])


def test_arguments_out_of_range_do_not_touch_the_neighbours():
    m = sd.model("x' = exp(a) - x; y' = log(b) - y; x(0) = 0; y(0) = 0; param a = 1, b = 1")
    a = np.array([1.0, -800.0, 0.5, 2.0, -1e5, 0.1, 0.2, 0.3])
    b = np.array([1.0, 2.0, 1e-310, 2.0, 3.0, 0.1, 0.2, 0.3])
    sol = m.ensemble(p={"a": a, "b": b}).solve((0, 1), saveat=[1.0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sol["x"][:, 0], np.exp(a) * (1 - np.exp(-1)), rtol=1e-8)
    np.testing.assert_allclose(sol["y"][:, 0], np.log(b) * (1 - np.exp(-1)), rtol=1e-8)
    for i in range(8):
        alone = m.ensemble(p={"a": a[i : i + 1], "b": b[i : i + 1]}).solve((0, 1), saveat=[1.0], rtol=1e-9, atol=1e-12)
        assert np.array_equal(alone.u[0], sol.u[i])


def test_registers_of_another_width_give_the_same_bits():
    many = ensemble(*MODELS["functions"], 13)
    integrator, system = prepared(many.model).integrator, many.model.system
    u0, p, times = many.u0(), many.p, np.linspace(0, 2, 9)
    found = []
    for width in (2, 4, 8, 16):
        chosen = lanes.lanes(integrator, u0[0], p[0], 0.0, 2.0, {"method": "tsit5"})
        tableau = lanes.tableau_of(METHODS["tsit5"])
        code = jit.MachineCode(emitted.step_text(system, tableau, width), thorough=True)
        chosen._step = LaneStep(code.address("step"), code.address("output"), width, chosen._step.layout, code)
        found.append(Batch.empty(13, 9, 2))
        chosen.integrate_into(found[-1], u0, p, times, np.zeros(1, np.int64))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_backwards_and_outputs_of_every_kind():
    many = ensemble(*MODELS["decay"], 9)
    k = many.p[:, :1]
    sol = many.solve((2, 0), saveat=[2.0, 1.2, 1.2 - 1e-9, 0.3, 0.0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sol["x"], np.exp(-k * (sol.t - 2)), rtol=1e-7)
    sol = many.solve((0, 2), saveat=np.linspace(0, 2, 400), rtol=1e-8, atol=1e-10)  # several in a step
    np.testing.assert_allclose(sol["x"], np.exp(-k * sol.t), rtol=1e-5, atol=1e-8)
    sol = many.solve((0, 2), saveat=[], rtol=1e-9, atol=1e-12)
    assert sol.u.shape == (9, 0, 1)
    np.testing.assert_allclose(sol.u_end[:, 0], np.exp(-k[:, 0] * 2), rtol=1e-7)
    assert (sol.t_end == 2).all()


def test_every_trajectory_has_its_own_start():
    m = sd.model("x' = -k*x + t; y' = x; x(0) = x0; y(0) = 1; param k = 0.5, x0 = 1")
    start = np.random.default_rng(0).normal(size=(10, 2))
    sol = m.ensemble(u0=start).solve((1, 3), saveat=[3.0], rtol=1e-10, atol=1e-12)
    k = 0.5
    exact = (start[:, 0] - 1 / k + 1 / k**2) * np.exp(-k * 2) + 3 / k - 1 / k**2
    np.testing.assert_allclose(sol["x"][:, 0], exact, rtol=1e-8)


def test_options_in_lanes_are_those_of_the_kernel():
    many = ensemble(*MODELS["lotka_volterra"], 9)
    times = np.linspace(0, 5, 6)
    for options in (
        {"dtmax": 0.05},
        {"dt0": 1e-3, "dtmin": 1e-8},
        {"controller": "pid"},
        {"rtol": np.array([1e-4, 1e-7]), "atol": np.array([1e-9, 1e-5]), "method": "tsit5"},
        {"rtol": 1e-5, "method": "auto"},
    ):
        mine, theirs = both(many, (0.0, 5.0), times, **options)
        np.testing.assert_allclose(mine.u, theirs.u, rtol=1e-9)
        assert np.abs(mine.counts - theirs.counts)[:, :2].max() <= 1


def test_auto_takes_runge_kutta_where_one_trajectory_takes_a_power_series():
    many = ensemble(*MODELS["lotka_volterra"], 9)
    times = np.linspace(0, 5, 6)
    for rtol, method in ((1e-8, "vern7"), (1e-10, "vern9")):
        mine, series = both(many, (0.0, 5.0), times, method="auto", rtol=rtol, atol=rtol)
        named, _ = both(many, (0.0, 5.0), times, method=method, rtol=rtol, atol=rtol)
        assert np.array_equal(mine.u, named.u)
        np.testing.assert_allclose(mine.u, series.u, rtol=1e3 * rtol)
    assert (mine.counts[:, 0] != series.counts[:, 0]).all()


def test_failures_are_those_of_the_kernel():
    m = sd.model("x' = a*x^2; y' = log(b - t) + 0*x; x(0) = 1; y(0) = 0; param a = 0.1, b = 9")
    many = m.ensemble(p={"a": [0.1, 1.25, 0.2, 4.0, 0.1, 0.1], "b": [9.0, 9.0, 9.0, 9.0, 1.0, -1.0]})
    times = np.array([0.0, 0.2, 1.5, 2.0])
    for method in EXPLICIT:
        mine, theirs = both(many, (0.0, 2.0), times, method=method, rtol=1e-9, atol=1e-12)
        assert np.array_equal(mine.status, theirs.status)
        np.testing.assert_allclose(mine.t_end, theirs.t_end, rtol=1e-6)
        assert np.array_equal(np.isnan(mine.u), np.isnan(theirs.u))
        names = [Status(s).name for s in mine.status]
        assert names == ["SUCCESS", "UNSTABLE", "SUCCESS", "UNSTABLE", "NONFINITE", "NONFINITE"]
        np.testing.assert_allclose(mine.t_end[[1, 3]], [0.8, 0.25], rtol=1e-5)
    mine, theirs = both(many, (0.0, 2.0), times, method="tsit5", max_steps=20)
    assert np.array_equal(mine.status, theirs.status)
    assert (mine.status == Status.MAX_STEPS).any()
    mine, theirs = both(many, (0.0, 2.0), times, method="tsit5", rtol=1e-9, dtmin=0.3)
    assert np.array_equal(mine.status, theirs.status)
    assert (mine.status == Status.DT_TOO_SMALL).any()


def test_stiff_members_are_left_to_the_kernel():
    m = sd.model("x' = y; y' = μ*(1 - x^2)*y - x; x(0) = 2; y(0) = 0; param μ = 1")
    many = m.ensemble(p={"μ": [1.0, 1000.0, 2.0, 500.0, 1.5]})
    times = np.linspace(0, 100, 11)
    mine, theirs = both(many, (0.0, 100.0), times)
    assert (mine.status == Status.SUCCESS).all()
    assert np.array_equal(mine.counts[[1, 3]], theirs.counts[[1, 3]])
    assert (mine.counts[[1, 3], 7] > 0).all() and (mine.counts[[0, 2, 4], 7] == 0).all()  # steps of Rodas5P
    assert np.array_equal(mine.u[[1, 3]], theirs.u[[1, 3]])
    np.testing.assert_allclose(mine.u, theirs.u, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (LORENZ, {"method": "rodas5p"}),
        (LORENZ, {"positive": [0]}),
        (LORENZ, {"tstops": np.array([0.5])}),
        (LORENZ + "; when x > 5: terminate", {}),
        ("x' = if t > on then 1 else 0; x(0) = 0; param on = 1", {}),
        ("x' = U(x); x(0) = 1; neural U(x) -> 1 { hidden = [2], activation = tanh }", {}),
        ("; ".join(f"x{i}' = x{(i + 1) % 30} - x{i}; x{i}(0) = {i}" for i in range(30)), {}),
        ("u[i]' = u[i+1] - u[i] for i in 1..9; u[10]' = 0; u[i](0) = i for i in 1..10", {}),
    ],
)
def test_what_lanes_do_not_take(text, options):
    ready = prepared(sd.model(text))
    p = np.zeros(len(ready.parameters) + 100)[: len(ready.parameters) + ready.functions.n_weights]
    assert lanes.lanes(ready.integrator, np.ones(len(ready.states)), p, 0.0, 1.0, options) is None


def test_an_empty_span_is_reached_at_once():
    sol = ensemble(*MODELS["decay"], 3).solve((1, 1), saveat=[1.0])
    assert sol.success.all()
    assert np.array_equal(sol["x"], [[1.0]] * 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_keeps_what_was_computed(threads):
    """The main thread is interrupted while lanes are at work on trajectories that would take hours."""
    m = sd.model(LORENZ)
    times = np.array([0.0, 0.5, 1.0])
    many = m.ensemble(p={"r": np.full(20, 28.0)})
    begun = time.perf_counter()

    def interrupt():
        time.sleep(0.3)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(SolveInterrupted) as caught:
        many.solve((0, 1e9), saveat=times, max_steps=2**50, threads=threads)
    other.join()
    assert time.perf_counter() - begun < 60
    kept = caught.value.solution
    assert (kept.status == Status.INTERRUPTED).all()
    started = kept.t_end > 0
    assert started.any()
    alone = m.solve((0, 1), saveat=times)
    np.testing.assert_allclose(kept.u[started][0], alone.u, rtol=1e-4)
    assert "interrupted at t" in kept.message(int(np.flatnonzero(started)[0]))


def test_rows_of_the_block_do_not_overlap():
    places = lane_slots.Layout(3, 2, 4)
    starts = [places.state, places.slope, places.rtol, places.atol, places.polynomial, places.output, places.parameters]
    assert np.diff(starts).tolist() == [3, 3, 3, 3, 15, 3] and places.rows == places.parameters + 2
    assert lane_slots.CONTROL + 9 == lane_slots.N_FIXED == places.state
