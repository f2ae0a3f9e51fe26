"""Ensembles: every trajectory is what a solve of its own gives, whoever integrates it, and none is lost in silence.

Numbers are compared with analytic solutions, with scipy, and bit by bit with single solves.
"""

from __future__ import annotations

import pickle
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.errors import InputError, MissingValueError, SolveError, UnknownNameError
from sciml_dsl.solve.status import Status

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
DECAY = "x' = -k*x; twice = 2*x; x(0) = x0; param k = 0.5, x0 = 1"


@pytest.fixture(scope="module")
def decay():
    return sd.model(DECAY)


@pytest.fixture(scope="module")
def lorenz():
    return sd.model(
        "x' = s*(y - x); y' = x*(r - z) - y; z' = x*y - b*z; param s = 10, r = 28, b = 8/3"
        "; x(0) = 1; y(0) = 0; z(0) = 0"
    )


class Dying:
    """An executor whose second call dies."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, function, *arguments):
        self.calls += 1
        future: Future = Future()
        if self.calls == 2:
            future.set_exception(MemoryError("no room"))
        else:
            future.set_result(function(*arguments))
        return future


def test_decay_against_its_formula(decay):
    k, x0 = np.array([0.1, 0.5, 2.0, 0.0]), np.array([1.0, -2.0, 3.0, 4.0])
    sol = decay.ensemble(u0={"x": x0}, p={"k": k}).solve((0, 3), saveat=[0, 1, 3], **TIGHT)
    exact = x0[:, None] * np.exp(-k[:, None] * sol.t)
    np.testing.assert_allclose(sol["x"], exact, rtol=1e-9)
    np.testing.assert_allclose(sol["twice"], 2 * exact, rtol=1e-9)
    assert sol.success.all()
    assert sol.u.shape == (4, 3, 1)
    assert np.array_equal(sol.t_end, [3.0] * 4)


def test_lorenz_against_scipy(lorenz):
    r = np.linspace(20, 30, 5)
    sol = lorenz.ensemble(p={"r": r}).solve((0, 2), saveat=0.5, **TIGHT)
    for i in range(5):
        found = solve_ivp(
            lambda t, u, r=r[i]: (10 * (u[1] - u[0]), u[0] * (r - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]),
            (0, 2), [1, 0, 0], method="DOP853", rtol=1e-12, atol=1e-12, t_eval=sol.t,
        )  # fmt: skip
        np.testing.assert_allclose(sol.u[i], found.y.T, rtol=1e-6, atol=1e-6)


@given(size=st.integers(1, 40), threads=st.integers(1, 4), part=st.integers(1, 9), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_threads_parts_and_size_change_no_bit(lorenz, size, threads, part, seed):
    def sampler(random):
        return {"r": random.uniform(20, 30), "s": random.normal(10, 0.5)}

    whole = lorenz.ensemble(p=sampler, size=41, seed=seed).solve((0, 1), saveat=0.25, threads=1)
    some = lorenz.ensemble(p=sampler, size=size, seed=seed).solve((0, 1), saveat=0.25, threads=threads, part=part)
    assert np.array_equal(some.u, whole.u[:size])
    assert np.array_equal(some.p, whole.p[:size])


def test_a_member_is_a_solve_of_its_own(lorenz):
    many = lorenz.ensemble(u0=lambda random: random.normal(1, 0.1, 3), size=7, seed=3)
    # the same steps, but for rounding; a solve by "auto" at tight tolerances takes a method of its own
    for options, near in (({"method": "vern7", "rtol": 1e-7}, 1e-8), ({"rtol": 1e-6}, 1e-10), ({"rtol": 1e-9}, 1e-6)):
        sol = many.solve((0, 4), saveat=1.0, **options)
        for i in range(7):
            alone = lorenz.solve((0, 4), u0=many.u0()[i], saveat=1.0, **options)
            np.testing.assert_allclose(sol.u[i], alone.u, rtol=near)
        one = sol.trajectory(-1)
        np.testing.assert_allclose(one.u, sol.u[6], rtol=near)
        assert one(2.5).shape == (3,)


def test_methods_by_address_keep_their_memory_to_themselves(lorenz):
    many = lorenz.ensemble(u0=lambda random: random.normal(1, 0.1, 3), size=60)
    for method in ("bs3", "rodas5p"):
        apart = many.solve((0, 2), method=method, saveat=0.5, threads=3, part=4)
        assert np.array_equal(apart.u, many.solve((0, 2), method=method, saveat=0.5, threads=1).u)
        alone = lorenz.solve((0, 2), u0=many.u0()[9], method=method, saveat=0.5)
        np.testing.assert_allclose(apart.u[9], alone.u, rtol=1e-11 if method == "bs3" else 0)


def test_options_of_a_solve_are_those_of_an_ensemble(decay):
    many = decay.ensemble(p={"k": [1.0, 5.0]})
    options = {"atol": {"x": 1e-3}, "positive": "x", "d_discontinuities": [0.3], "controller": "pid", "dtmax": 0.2}
    sol = many.solve((0, 2), saveat=0.5, **options)
    for i, k in enumerate((1.0, 5.0)):
        assert np.array_equal(sol.u[i], decay.solve((0, 2), p={"k": k}, saveat=0.5, **options).u)
    with pytest.raises(InputError, match="begins at"):
        decay.ensemble(u0={"x": [1.0, -1.0]}).solve((0, 1), positive=True)


def test_other_seeds_draw_others(decay):
    def sampler(random):
        return {"k": random.random()}

    first, second = (decay.ensemble(p=sampler, size=5, seed=seed).p[:, 0] for seed in (0, 1))
    assert not np.isin(first, second).any()
    assert len(set(first)) == 5


def test_forms_of_giving_mean_the_same(lorenz):
    u0 = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    table = pd.DataFrame(u0, columns=["x", "y", "z"])
    rows = [dict(zip("xyz", row, strict=True)) for row in u0.tolist()]
    for form in (u0, u0.tolist(), table, {"x": [1, 4], "y": [2, 5], "z": [3, 6]}, rows):
        many = lorenz.ensemble(u0=form, p={"r": 27})
        assert np.array_equal(many.u0(), u0)
        assert np.array_equal(many.p, [[10, 27, 8 / 3]] * 2)
    both = lorenz.ensemble(u0=[1, 2, 3], p=np.array([[10, 28, 2], [10, 28, 3]]))
    assert np.array_equal(both.u0(), [[1, 2, 3]] * 2)
    assert len(both) == 2


def test_initial_values_follow_the_parameters(decay):
    many = decay.ensemble(p={"x0": [1.0, 2.0, 3.0]})
    assert np.array_equal(many.u0()[:, 0], [1, 2, 3])
    assert np.array_equal(decay.ensemble(u0={"x": 7}, p={"x0": [1.0, 2.0]}).u0()[:, 0], [7, 7])


def test_a_model_of_one_state_takes_a_plain_vector():
    many = sd.model("x' = -x").ensemble(u0=np.linspace(1, 2, 5))
    np.testing.assert_allclose(many.solve((0, 1), saveat=[1], **TIGHT)["x"][:, 0], np.linspace(1, 2, 5) / np.e)


def test_failures_are_reported_and_the_others_kept():
    m = sd.model("x' = a*x^2; x(0) = 1; param a = 0.1")
    a = np.array([0.1, 1.25, 0.2, 4.0])
    sol = m.ensemble(p={"a": a}).solve((0, 2), saveat=0.5, **TIGHT)
    assert sol.success.tolist() == [True, False, True, False]
    assert sol.failures["trajectory"].tolist() == [1, 3]
    np.testing.assert_allclose(sol.failures["t_end"], [0.8, 0.25], rtol=1e-6)
    assert "blows up at t = 0.8" in sol.failures["message"][0]
    exact = 1 / (1 - a[:, None] * sol.t)
    for i in (0, 2):
        np.testing.assert_allclose(sol["x"][i], exact[i], rtol=1e-8)
    np.testing.assert_allclose(sol["x"][1, :2], exact[1, :2], rtol=1e-8)
    assert np.isnan(sol["x"][1, 2:]).all()
    assert not np.isnan(sol["x"][sol.success]).any()
    assert sol.summary("x")["count"].tolist() == [4, 3, 2, 2, 2]
    assert "2 failed" in repr(sol)
    assert sol.message(0).startswith("reached t = 2")


def test_too_few_steps_is_a_failure_of_that_trajectory(lorenz):
    sol = lorenz.ensemble(u0={"x": [0.0, 1.0]}).solve((0, 20), saveat=1.0, max_steps=50)
    assert sol.success.tolist() == [True, False]  # at the origin nothing moves
    assert Status(sol.status[1]) == Status.MAX_STEPS
    assert "max_steps = 50" in sol.message(1)


def test_events_and_observables():
    m = sd.model("x' = v; v' = -9.81; x(0) = h; v(0) = 0; param h = 1; energy = 9.81*x + v^2/2; when x < 0: terminate")
    h = np.array([1.0, 5.0, 1000.0])
    sol = m.ensemble(p={"h": h}).solve((0, 3), saveat=0.5, **TIGHT)
    assert sol.success.all()
    assert [Status(s).name for s in sol.status] == ["TERMINATED", "TERMINATED", "SUCCESS"]
    np.testing.assert_allclose(sol.t_end[:2], np.sqrt(2 * h[:2] / 9.81), rtol=1e-9)
    reached = sol.t[None, :] <= sol.t_end[:, None]
    assert np.array_equal(~np.isnan(sol["x"]), reached)
    assert np.array_equal(~np.isnan(sol["energy"]), reached)
    np.testing.assert_allclose(sol["energy"][reached], np.repeat(9.81 * h, reached.sum(axis=1)), rtol=1e-9)
    assert sol.trajectory(0).events[0][0] == pytest.approx(np.sqrt(2 / 9.81))
    assert len(sol.to_pandas()) == reached.sum()


def test_observables_that_hide_nan_stay_unknown_after_the_end():
    m = sd.model("x' = -1; x(0) = h; param h = 1; big = if x > 0.5 then 1 else 0; when x < 0: terminate")
    sol = m.ensemble(p={"h": [0.3, 9.0]}).solve((0, 2), saveat=1.0)
    assert sol["big"][0, 0] == 0
    assert np.isnan(sol["big"][0, 1:]).all()
    assert sol["big"][1].tolist() == [1, 1, 1]


def test_times_at_which_the_equations_switch_may_differ():
    m = sd.model("x' = if t > on and t < on + 0.01 then 100 else 0; x(0) = 0; param on = 1")
    sol = m.ensemble(p={"on": [0.5, 1.5, 2.5]}).solve((0, 3), saveat=[1, 2, 3], threads=2)
    np.testing.assert_allclose(sol["x"], [[1, 1, 1], [0, 1, 1], [0, 0, 1]], atol=1e-6)


def test_stiff_members_switch_method():
    m = sd.model("x' = y; y' = μ*(1 - x^2)*y - x; x(0) = 2; y(0) = 0; param μ = 1")
    sol = m.ensemble(p={"μ": [1.0, 1000.0]}).solve((0, 100), saveat=[100.0])
    assert sol.success.all()
    assert sol.stats["switches"] >= 1
    assert sol.stats["rodas5p_steps"] > 0


def test_executors(decay):
    k = np.linspace(0.1, 2, 11)
    many = decay.ensemble(p={"k": k})
    here = many.solve((0, 2), saveat=0.5)
    with ThreadPoolExecutor(2) as pool:
        assert np.array_equal(many.solve((0, 2), saveat=0.5, executor=pool, part=3).u, here.u)


def test_processes(decay):
    many = decay.ensemble(p={"k": np.linspace(0.1, 2, 11)})
    with ProcessPoolExecutor(2) as pool:
        there = many.solve((0, 2), saveat=0.5, executor=pool)
    assert np.array_equal(there.u, many.solve((0, 2), saveat=0.5).u)
    assert there.success.all()


def test_dask(decay):
    distributed = pytest.importorskip("distributed")
    many = decay.ensemble(p={"k": np.linspace(0.1, 2, 11)})
    with distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as client:
        there = many.solve((0, 2), saveat=0.5, executor=client)
    assert np.array_equal(there.u, many.solve((0, 2), saveat=0.5).u)


def test_a_dead_worker_costs_its_part_only(decay):
    many = decay.ensemble(p={"k": np.linspace(0.1, 2, 6)})
    sol = many.solve((0, 1), saveat=[1.0], executor=Dying(), part=2)
    assert sol.success.tolist() == [True, True, False, False, True, True]
    assert np.isnan(sol.u[2:4]).all()
    assert "MemoryError: no room" in sol.failures["message"][0]
    assert sol.failures["status"].tolist() == ["LOST", "LOST"]
    here = many.solve((0, 1), saveat=[1.0])
    assert np.array_equal(sol.u[sol.success], here.u[sol.success])
    dying = Dying()
    dying.calls = 1
    with pytest.raises(SolveError, match="no room"):
        many.solve((0, 1), executor=dying, part=6)


def test_progress_counts_every_trajectory(decay):
    seen = []
    decay.ensemble(p={"k": np.linspace(0.1, 2, 50)}).solve((0, 1), threads=2, part=7, progress=seen.append)
    assert [one["step"] for one in seen][-1] == 50
    assert sorted(one["step"] for one in seen) == [one["step"] for one in seen]
    assert set(seen[0]) == {"stage", "step", "total", "loss", "message"}


def test_whoever_watches_may_end_it(decay):
    def enough(_):
        raise KeyboardInterrupt

    for options in ({"threads": 1}, {"threads": 2}, {"executor": Dying()}):
        with pytest.raises(KeyboardInterrupt) as caught:
            decay.ensemble(p={"k": np.linspace(0.1, 2, 50)}).solve((0, 1), progress=enough, part=5, **options)
        kept = caught.value.solution
        done = kept.status == Status.SUCCESS
        assert 5 <= done.sum() < 50 or "threads" in options
        assert (kept.status[~done] == Status.INTERRUPTED).all()
        np.testing.assert_allclose(kept["x"][done, -1], np.exp(-kept.p[done, 0]), rtol=1e-5)
        assert f"interrupted after {done.sum()} of 50" in str(caught.value)


def test_summary_against_numpy(decay):
    sol = decay.ensemble(p=lambda random: {"k": random.random()}, size=40).solve((0, 2), saveat=1.0)
    table = sol.summary("x", quantiles=[0.1, 0.5])
    x = sol["x"]
    np.testing.assert_allclose(table["mean"], x.mean(axis=0))
    np.testing.assert_allclose(table["std"], x.std(axis=0, ddof=1))
    np.testing.assert_allclose(table["10%"], np.quantile(x, 0.1, axis=0))
    np.testing.assert_allclose(table["50%"], np.median(x, axis=0))
    whole = sol.summary()
    assert list(whole.columns.levels[0]) == ["x", "twice"]
    np.testing.assert_allclose(whole["twice"]["mean"], 2 * table["mean"])
    assert whole.index.name == "t"


def test_results_travel(decay):
    sol = decay.ensemble(p={"k": [1.0, 2.0]}).solve((0, 1), saveat=[0, 1])
    again = pickle.loads(pickle.dumps(sol))
    assert np.array_equal(again.u, sol.u)
    assert np.array_equal(again["twice"], sol["twice"])
    np.testing.assert_allclose(again.trajectory(1).u, sol.u[1], rtol=1e-12)


def test_networks_take_part():
    m = sd.model("x' = U(x); x(0) = 1; neural U(x) -> 1 { hidden = [2], activation = tanh }")
    weights = {"U": np.linspace(-1, 1, 7)}
    sol = m.ensemble(u0={"x": [0.0, 1.0]}, weights=weights).solve((0, 1), saveat=[1.0])
    alone = m.solve((0, 1), u0={"x": 1.0}, weights=weights, saveat=[1.0])
    assert np.array_equal(sol.u[1], alone.u)
    with pytest.raises(MissingValueError, match="weights"):
        m.ensemble(u0={"x": [0.0, 1.0]})


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({}, MissingValueError, "how many"),
        ({"p": {"kk": [1, 2]}}, UnknownNameError, "did you mean `k`"),
        ({"u0": {"y": [1, 2]}}, UnknownNameError, "unknown state `y`"),
        ({"p": {"k": [1, 2], "x0": [1, 2, 3]}}, InputError, "`k` has 2 numbers and `x0` has 3"),
        ({"u0": {"x": [1, 2, 3]}, "p": {"k": [1, 2]}}, InputError, "u0 makes 3 trajectories, but p makes 2"),
        ({"p": np.ones((3, 5))}, InputError, r"expected an array \(trajectories, 2\)"),
        ({"p": {"k": [[1.0]]}}, InputError, "a number for each trajectory"),
        ({"p": {"k": "fast"}}, InputError, "expected numbers"),
        ({"p": {"k": []}}, InputError, "at least one"),
        ({"p": lambda r: {"k": 1.0}}, MissingValueError, "size=100"),
        ({"p": lambda r: 3.0, "size": 2}, InputError, "the sampler of p must give"),
        ({"p": {"k": [1, 2]}, "size": 3}, InputError, "p makes 2 trajectories, but size makes 3"),
        ({"size": 0}, InputError, "positive"),
        ({"size": 2, "seed": -1}, InputError, "seed"),
        ({"p": [{"k": 1}, {"x0": 1}]}, InputError, "trajectory 1"),
    ],
)
def test_what_does_not_fit_is_said(decay, arguments, kind, words):
    with pytest.raises(kind, match=words):
        decay.ensemble(**arguments).u0()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": 0}, "threads"),
        ({"executor": 3}, "submit"),
        ({"executor": Dying(), "threads": 2}, "not both"),
        ({"part": 0}, "part"),
        ({"method": "tsit6"}, "tsit5"),
        ({"rtol": -1.0}, "rtol"),
        ({"saveat": [3.0]}, "outside the time span"),
        ({"sensitivities": True}, "no sensitivities"),
        ({"stepsize": 0.1}, "no argument `stepsize`"),
    ],
)
def test_wrong_options_are_said_before_any_work(decay, options, words):
    with pytest.raises(InputError, match=words):
        decay.ensemble(size=3).solve((0, 1), **options)


def test_the_fan_chart(decay, tmp_path):
    sol = decay.ensemble(p=lambda random: {"k": random.random()}, size=30).solve((0, 2))
    path = tmp_path / "fan.png"
    figure = sol.plot(["x", "twice"], path=path)
    assert path.stat().st_size > 5000
    axes = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in axes] == ["x", "twice"]
    median = axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(median, np.median(sol["x"], axis=0))
    band = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(np.quantile(sol["x"], 0.95, axis=0).max())
    with pytest.raises(InputError, match="levels"):
        sol.plot(levels=[90])
