"""Whole fits against analytic solutions, scipy and published data."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit, least_squares

import sciml_dsl as sd
from sciml_dsl.errors import DataError, FitError, InputError, UnknownNameError
from sciml_dsl.fit.experiment import Experiment
from sciml_dsl.fit.table import read_table

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_lotka_volterra_is_recovered():
    m = sd.load(EXAMPLES / "lotka_volterra_fit.sciml")
    seen = []
    found = m.fit(read_table(EXAMPLES / "lotka_volterra_fit.csv"), progress=seen.append)
    assert list(found.p.values()) == pytest.approx([1.5, 1.0, 3.0, 1.0], abs=1e-6)
    assert found.success and found.loss < 1e-12 and found.u0 == {"x": 1.0, "y": 1.0}
    assert found.model.defaults == found.p and found.identifiable == dict.fromkeys(m.parameters, True)
    assert {"stage", "step", "total", "loss", "message"} == set(seen[0])
    assert [s["loss"] for s in seen if s["loss"] is not None] == sorted(
        (s["loss"] for s in seen if s["loss"] is not None), reverse=True
    )


def test_a_straight_line_has_the_covariance_of_linear_regression():
    t = np.array([0.0, 1.0, 2.0, 4.0, 7.0])
    y = np.array([1.1, 2.7, 5.2, 8.8, 15.3])
    m = sd.model("x' = slope; x(0) = start; param slope = 1, start = 0.5")
    found = m.fit({"t": t, "x": y})
    design = np.column_stack([t, np.ones(5)])
    best, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    expected = rss[0] / 3 * np.linalg.inv(design.T @ design)
    assert [found.p["slope"], found.p["start"]] == pytest.approx(best, rel=1e-7)
    assert found.covariance.loc[["slope", "start"], ["slope", "start"]].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert found.loss == pytest.approx(rss[0] / 5 / np.var(y), rel=1e-6)
    known = m.fit({"t": t, "x": y}, sigma=0.2)
    assert known.standard_errors["slope"] == pytest.approx(np.sqrt(0.04 * np.linalg.inv(design.T @ design)[0, 0]))


def test_theophylline_as_scipy_fits_the_analytic_solution():
    # Boeckmann, Sheiner & Beal (1994), NONMEM Users Guide V: subject 1, oral dose 4.02 mg/kg.
    t = np.array([0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37])
    conc = np.array([0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28])
    m = sd.model("""
        depot' = -ka*depot
        central' = ka*depot - cl/v*central
        conc = central/v
        depot(0) = 4.02; central(0) = 0
        param ka = 1 in [0.01, 20] log, cl = 0.04 in [1e-3, 10] log, v = 0.5 in [0.01, 100] log
    """)

    def analytic(t, ka, cl, v):
        ke = cl / v
        return 4.02 * ka / v / (ka - ke) * (np.exp(-ke * t) - np.exp(-ka * t))

    best, covariance = curve_fit(analytic, t, conc, p0=(1.5, 0.03, 0.5), xtol=1e-12, ftol=1e-12)
    found = m.fit({"t": t, "conc": conc})
    names = ["ka", "cl", "v"]
    assert [found.p[n] for n in names] == pytest.approx(best, rel=1e-5)
    assert found.covariance.loc[names, names].to_numpy() == pytest.approx(covariance, rel=1e-3)
    late = m.fit({"t": t[1:], "conc": conc[1:]})  # the dose is still given at 0
    assert late.p["ka"] == pytest.approx(curve_fit(analytic, t[1:], conc[1:], p0=best)[0][0], rel=1e-4)


def test_influenza_with_only_the_infected_measured():
    # BMJ 1978;1:587: boys confined to bed in a boarding school of 763, day by day.
    day = np.arange(1.0, 15.0)
    bed = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4.0])
    m = sd.model("""
        S' = -β*S*I/N; I' = β*S*I/N - γ*I
        bed = I
        S(0) = N - I0; I(0) = I0
        const N = 763
        param β = 2 in [0, 10], γ = 0.5 in [0, 5], I0 = 1 in [0.001, 50]
    """)

    def misfit(p):
        def f(_, u):
            return [-p[0] * u[0] * u[1] / 763, p[0] * u[0] * u[1] / 763 - p[1] * u[1]]

        return solve_ivp(f, (0, 14), [763 - p[2], p[2]], t_eval=day, method="DOP853", rtol=1e-10, atol=1e-8).y[1] - bed

    reference = least_squares(misfit, [1.7, 0.45, 1.0], x_scale=[1, 0.5, 1], xtol=1e-12, ftol=1e-12)
    found = m.fit({"t": day, "bed": bed})
    assert [found.p[n] for n in ("β", "γ", "I0")] == pytest.approx(reference.x, rel=1e-4)
    assert found.rmse["bed"] == pytest.approx(np.sqrt(2 * reference.cost / 14), rel=1e-6)
    assert 1.6 < found.p["β"] < 1.8 and 0.4 < found.p["γ"] < 0.5  # as in the textbooks


LONG = np.linspace(0, 40, 121)
CYCLES = solve_ivp(
    lambda _, u: [1.5 * u[0] - u[0] * u[1], -3 * u[1] + u[0] * u[1]],
    (0, 40), [1, 1], t_eval=LONG, method="DOP853", rtol=1e-11, atol=1e-12,
).y  # fmt: skip
PREDATORS = """
    x' = a*x - b*x*y; y' = -c*y + d*x*y
    x(0) = 1; y(0) = 1
    param a = 2.5 in [0, 10], b = 2 in [0, 10], c = 1 in [0, 10], d = 0.4 in [0, 10]
"""


def test_multiple_shooting_where_single_shooting_falls_out_of_phase():
    m = sd.model(PREDATORS)
    table = {"t": LONG, "x": CYCLES[0], "y": CYCLES[1]}
    single = m.fit(table, strategy="single")
    assert single.loss > 0.5
    for strategy in ("multiple_shooting", "auto"):
        found = m.fit(table, strategy=strategy)
        assert list(found.p.values()) == pytest.approx([1.5, 1.0, 3.0, 1.0], rel=1e-6)
    assert list(found.starts["strategy"]) == ["single", "multiple_shooting"]
    # prey only, unknown predators, gaps and noise
    x = CYCLES[0] * (1 + 0.02 * np.random.default_rng(3).normal(size=LONG.size))
    x[5::7] = np.nan
    found = m.fit({"t": LONG, "x": x}, u0="estimate", strategy="multiple_shooting", fixed={"b": 1.0})
    assert [found.p["a"], found.p["c"], found.u0["y"]] == pytest.approx([1.5, 3.0, 1.0], rel=0.1)
    with pytest.raises(InputError, match="events"):
        sd.model("x' = -k*x; x(0) = 1; at 1: x += 1\nparam k = 1").fit(
            {"t": [0, 1, 2], "x": [1, 1, 1]}, strategy="multiple_shooting"
        )


def test_several_starts_find_the_global_minimum_again_and_again():
    m = sd.model("x' = a*cos(a*t); x(0) = 0; param a = 1 in [0.5, 12]")
    t = np.linspace(0, 6, 40)
    table = {"t": t, "x": np.sin(7 * t)}
    assert m.fit(table, strategy="single").loss > 0.5
    found = m.fit(table, strategy="single", starts=20, seed=1)
    assert found.p["a"] == pytest.approx(7.0, abs=1e-6) and len(found.starts) == 20
    assert found.starts["loss"].min() == found.loss
    again = m.fit(table, strategy="single", starts=20, seed=1)
    assert again.p == found.p and again.starts.equals(found.starts)


def test_experiments_share_parameters_and_keep_their_conditions():
    t = np.linspace(0, 3, 10)

    def exact(dose, k):
        return 10 * dose * np.exp(-k * t)

    m = sd.model("x' = -k*x; x(0) = 10*dose; param k = 0.3 in [0, 5], dose = 1")
    data = [
        Experiment({"t": t, "x": exact(1, 0.8)}, p={"dose": 1.0}, name="low"),
        Experiment({"t": t, "x": exact(3, 0.8)}, p={"dose": 3.0}, name="high"),
        Experiment({"t": t, "x": 7 * np.exp(-0.8 * t)}, u0={"x": "estimate"}, p={"dose": 0.0}, name="free"),
    ]
    found = m.fit(data)
    assert found.estimated == ("k", "x(0)[free]")
    assert found.p["k"] == pytest.approx(0.8, abs=1e-7)
    assert found.u0["free"]["x"] == pytest.approx(7.0, abs=1e-6) and found.u0["high"]["x"] == pytest.approx(30.0)
    assert [s["x"][0] for s in found.solutions] == pytest.approx([10, 30, 7])
    table = found.to_pandas()
    assert len(table) == 30 and set(table["experiment"]) == {"low", "high", "free"}
    assert table["predicted"].to_numpy() == pytest.approx(table["measured"].to_numpy(), abs=1e-5)


def test_unknown_initial_values_and_bounds_that_bind():
    t = np.linspace(0, 4, 30)
    m = sd.model("x' = v; v' = -w^2*x; param w = 1.5 in [0, 10]")
    found = m.fit({"t": t, "x": 2 * np.cos(2 * t) - np.sin(2 * t)})
    assert found.p["w"] == pytest.approx(2.0, abs=1e-6)
    assert found.u0 == pytest.approx({"x": 2.0, "v": -2.0}, abs=1e-5)
    assert found.estimated == ("w", "x(0)", "v(0)") and list(found.covariance.columns) == ["w", "x(0)", "v(0)"]
    again = found.model.solve((0, 4), saveat=t, rtol=1e-9, atol=1e-10)
    assert again["x"] == pytest.approx(2 * np.cos(2 * t) - np.sin(2 * t), abs=1e-6)
    bound = m.fit({"t": t, "x": 2 * np.cos(2 * t)}, bounds={"w": (0, 1.8)})
    assert bound.p["w"] == 1.8 and any("bound" in w for w in bound.warnings) and "w" not in bound.covariance.columns


def test_what_the_data_do_not_determine_is_said():
    t = np.linspace(0, 2, 12)
    m = sd.model("x' = -a*b*x + 0*c; x(0) = 1; param a = 1, b = 0.5, c = 3")
    found = m.fit({"t": t, "x": np.exp(-0.7 * t)})
    assert found.p["a"] * found.p["b"] == pytest.approx(0.7, abs=1e-6)
    assert found.identifiable == {"a": False, "b": False, "c": False}
    assert found.covariance is None and any("a, b" in w for w in found.warnings)
    assert "a, b" in found.summary() and "Fit" in repr(found)


def test_a_start_that_fails_is_survived_or_explained():
    t = np.linspace(0, 1, 11)
    m = sd.model("x' = k*x^2; x(0) = 1; param k = 5 in [-10, 10]")
    found = m.fit({"t": t, "x": 1 / (1 - 0.5 * t)})  # starts with a blow-up at t = 0.2
    assert found.p["k"] == pytest.approx(0.5, abs=1e-6)
    assert found.starts["loss"].iloc[0] == np.inf and "grew without bound" in found.starts["message"].iloc[0]
    with pytest.raises(FitError, match=r"none of 3 starts gave a finite loss.*t = 0\.\d+, where x"):
        m.fit({"t": t, "x": t}, starts=3, bounds={"k": (4, 6)})


def test_too_little_or_nothing_to_do():
    m = sd.model("x' = -a*b*x + c; x(0) = 1; param a = 1, b = 1, c = 0")
    with pytest.raises(DataError, match="2 measured values cannot determine 3 unknowns"):
        m.fit({"t": [0, 1], "x": [1, 2]})
    with pytest.raises(InputError, match="nothing to estimate"):
        m.fit({"t": [0, 1], "x": [1, 2]}, parameters=[])
    with pytest.raises(InputError, match="network"):
        m.fit({"t": [0, 1, 2], "x": [1, 2, 3]}, strategy="train")
    with pytest.raises(UnknownNameError, match="multiple_shooting"):
        m.fit({"t": [0, 1, 2], "x": [1, 2, 3]}, strategy="multiple")
    with pytest.raises(InputError, match="starts"):
        m.fit({"t": [0, 1, 2], "x": [1, 2, 3]}, starts=0)


def test_a_watcher_may_interrupt_and_time_may_run_out():
    m = sd.model(PREDATORS)
    table = {"t": LONG, "x": CYCLES[0], "y": CYCLES[1]}

    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        m.fit(table, progress=interrupt)
    short = m.fit(table, max_time=1e-6, strategy="single")
    assert not short.success and short.message == "out of time" and np.isfinite(short.loss)


def test_tables_with_replicates_and_missing_columns():
    m = sd.model("x' = -k*x; y' = k*x; x(0) = 1; y(0) = 0; param k = 1")
    table = pd.DataFrame(
        {"t": [0, 1, 1, 2, 2], "y": [0, 0.4, np.nan, 0.63, 0.65], "x": [np.nan, np.nan, 0.6, np.nan, 0.37]}
    )
    found = m.fit(table)
    k = np.linspace(0.3, 0.7, 40001)
    sd_y, sd_x = np.nanstd(table.y), np.nanstd(table.x)
    cost = sum(((1 - np.exp(-k * s) - v) / sd_y) ** 2 for s, v in [(0, 0), (1, 0.4), (2, 0.63), (2, 0.65)])
    cost = cost + sum(((np.exp(-k * s) - v) / sd_x) ** 2 for s, v in [(1, 0.6), (2, 0.37)])
    assert found.p["k"] == pytest.approx(k[np.argmin(cost)], abs=2e-5)
    assert found.loss == pytest.approx(cost.min() / 6, rel=1e-6)
    assert [p.shape for p in found.predictions] == [(5, 2)]


def test_the_figure_is_drawn(tmp_path):
    found = sd.model("x' = -k*x; x(0) = 1; param k = 1").fit({"t": [0, 1, 2], "x": [1.0, 0.6, 0.4]})
    found.plot(path=tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 1000


def test_a_fit_can_be_pickled():
    times = np.arange(4.0)
    result = sd.model("x' = -k*x; x(0) = 2\nparam k = 1").fit({"t": times, "x": 2 * np.exp(-0.7 * times) + 0.01})
    again = pickle.loads(pickle.dumps(result))
    assert again.p == result.p and again.message == result.message
    pd.testing.assert_frame_equal(again.covariance, result.covariance)
    np.testing.assert_array_equal(again.residuals, result.residuals)
    pd.testing.assert_frame_equal(again.to_pandas(), result.to_pandas())
