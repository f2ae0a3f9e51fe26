"""Residuals, Jacobian and gradient of a fit against analytic solutions, scipy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.errors import DataError, InputError, MissingValueError, UnknownNameError, UnsupportedError
from sciml_dsl.fit.experiment import Experiment, prepare, start_time
from sciml_dsl.fit.problem import problem
from sciml_dsl.solve.status import Status

TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def slopes(q, theta, h=1e-5):
    """Central differences of the residuals, one column for each position of θ."""
    columns = []
    for j in range(q.n):
        step = np.zeros(q.n)
        step[j] = h * max(1.0, abs(theta[j]))
        columns.append((q.residuals(theta + step) - q.residuals(theta - step)) / (2 * step[j]))
    return np.column_stack(columns)


DECAY = "x' = -k*x; x(0) = a; param k = 0.7 in [0, 5], a = 2 in [0, 9]"


def test_residuals_and_jacobian_of_an_exponential_are_analytic():
    t = np.array([0.0, 0.5, 1.0, 3.0])
    q = problem(sd.model(DECAY), {"t": t, "x": [2.0, 1.0, 1.0, 0.1]}, sigma=0.5, **TIGHT)
    r, jac = q.residuals_and_jacobian(q.start)
    exact = 2 * np.exp(-0.7 * t)
    assert r == pytest.approx((exact - [2.0, 1.0, 1.0, 0.1]) / 0.5, abs=1e-9)
    assert jac[:, 0] == pytest.approx(-t * exact / 0.5, abs=1e-9)
    assert jac[:, 1] == pytest.approx(exact / 2 / 0.5, abs=1e-9)


def test_several_experiments_observables_logs_and_gaps():
    m = sd.model("""
        x' = a*x - b*x*y
        y' = -c*y + x*y*share
        total = x + y^2/k
        x(0) = x0
        param a = 1.1, b = 0.9, c = 1.2 in [0.01, 10] log, k = 3, share = 0.8, x0 = 1.5
    """)
    t = np.linspace(0, 4, 9)
    gaps = np.where(np.arange(9) % 3 == 0, np.nan, 2.0)
    data = [
        Experiment({"t": t, "x": gaps, "total": np.full(9, 2.5)}, name="one", weight=4.0),
        Experiment({"t": t[2:], "y": np.full(7, 1.1)}, name="two", u0={"x": 0.4}, p={"share": 0.5}),
    ]
    q = problem(m, data, noise={"y": "log", "total": "proportional"}, start={"y(0)": 0.6}, **TIGHT)
    assert q.unknowns.names == ("a", "b", "c", "k", "share", "x0", "y(0)[one]", "y(0)[two]")
    r, jac = q.residuals_and_jacobian(q.start)
    assert r.size == 6 + 9 + 7

    def run(t0, times, u0, share):
        def f(_, u):
            return [1.1 * u[0] - 0.9 * u[0] * u[1], -1.2 * u[1] + u[0] * u[1] * share]

        return solve_ivp(f, (t0, times[-1]), u0, t_eval=times, method="DOP853", rtol=1e-12, atol=1e-13).y

    x, y = run(0, t, [1.5, 0.6], 0.8)
    spread = np.nanstd(gaps) or 2.0  # constant column: its root mean square
    expected = []
    for i in range(9):
        if np.isfinite(gaps[i]):
            expected.append(2 * (x[i] - 2.0) / spread)
        expected.append(2 * (x[i] + y[i] ** 2 / 3 - 2.5) / 2.5)
    x, y = run(0, t, [0.4, 0.6], 0.5)[:, 2:]  # x(0) is given, so time begins at 0
    expected += list(np.log(y) - np.log(1.1))
    assert r == pytest.approx(np.array(expected), rel=1e-7, abs=1e-8)
    assert jac == pytest.approx(slopes(q, q.start), rel=1e-5, abs=1e-6)
    assert (jac[15:, [4, 5]] == 0).all()  # neither `share` nor x0 plays a part in the second experiment
    loss, gradient = q.loss_and_gradient(q.start)
    assert loss == pytest.approx(r @ r / r.size, rel=1e-7)
    assert gradient == pytest.approx(2 * r @ jac / r.size, rel=1e-6, abs=1e-8)
    active = np.array([6, 2])
    assert q.residuals_and_jacobian(q.start, active)[1] == pytest.approx(jac[:, active], rel=1e-9, abs=1e-9)
    assert q.loss_and_gradient(q.start, active)[1] == pytest.approx(gradient[active], rel=1e-9)


def test_stiff_models_and_events_have_right_jacobians():
    m = sd.model("""
        a' = -1e4*a + k*b; b' = 1e4*a - k*b - 0.1*b
        a(0) = 1; b(0) = dose
        at 2: b += dose
        param k = 30, dose = 2
    """)
    t = np.linspace(0, 5, 8)
    q = problem(m, {"t": t, "b": np.full(8, 1.5)}, **TIGHT)
    assert q.residuals_and_jacobian(q.start)[1] == pytest.approx(slopes(q, q.start), rel=1e-4, abs=1e-6)
    with pytest.raises(UnsupportedError, match="events"):
        q.loss_and_gradient(q.start)


def test_network_gradient_matches_finite_differences():
    m = sd.model("""
        x' = -k*x + U(x, y)[1]; y' = x - U(x, y)[2]; s = x*y + k
        x(0) = x0; y(0) = 1
        param k = 0.5, x0 = 1.2
        neural U(x, y) -> 2 { hidden = [4, 3], activation = swish }
    """)
    t = np.linspace(0, 2, 6)
    q = problem(m, {"t": t, "y": np.ones(6), "s": np.full(6, 0.7)}, seed=3, **TIGHT)
    theta = q.start + 0.3 * np.random.default_rng(0).normal(size=q.n)
    _, gradient = q.loss_and_gradient(theta)
    h = 1e-5
    for j in [0, 1, *range(2, q.n, 5)]:
        step = h * np.eye(q.n)[j]
        assert gradient[j] == pytest.approx((q.loss(theta + step) - q.loss(theta - step)) / (2 * h), rel=1e-5, abs=1e-8)
    with pytest.raises(UnsupportedError, match="weights"):
        q.residuals_and_jacobian(theta)
    few = q.residuals_and_jacobian(theta, np.array([0, 1]))[1]
    assert few == pytest.approx(slopes(q, theta)[:, :2], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("text", "start", "status"),
    [
        ("x' = k*x^2; x(0) = 1; param k = 0.1", 3.0, Status.UNSTABLE),
        ("x' = -sqrt(1 - k*t)*x; x(0) = 1; param k = 0.1", 2.0, Status.NONFINITE),
        ("x' = -k*x; x(0) = 1; when x < 0.5: terminate\nparam k = 0.1", 2.0, Status.TERMINATED),
        ("x' = cos(k*t); x(0) = 1; param k = 1", 1e7, Status.MAX_STEPS),
    ],
)
def test_failed_simulations_are_infinite_and_say_why(text, start, status):
    q = problem(sd.model(text), {"t": [0, 1, 2], "x": [1.0, 1.2, 1.4]}, max_steps=500)
    bad = np.array([start])
    assert np.isfinite(q.residuals(q.start)).all() and q.failure is None
    assert (q.residuals(bad) == np.inf).all()
    assert q.failure.status == status and 0 <= q.failure.t <= 2 and str(q.failure)
    r, jac = q.residuals_and_jacobian(bad)
    assert (r == np.inf).all() and (jac == 0).all() and q.loss(bad) == np.inf
    assert np.isfinite(q.residuals(q.start)).all() and q.failure is None


def test_a_logarithm_of_nothing_is_infinite():
    q = problem(sd.model("x' = -k; x(0) = 1; param k = 0.1"), {"t": [0, 1, 2], "x": [1.0, 1.0, 1.0]}, noise="log")
    assert (q.residuals(np.array([2.0])) == np.inf).all() and q.failure.status is None


def test_where_time_begins():
    assert start_time(0.25, 24.0, True) == 0.0  # a dose at 0, sampled from 0.25 on
    assert start_time(1900.0, 1920.0, True) == 1900.0  # calendar years
    assert start_time(3.0, 10.0, False) == 3.0 and start_time(-1.0, 5.0, True) == -1.0
    m = sd.model("x' = -k*x; param k = 1")
    table = {"t": [1.0, 2.0], "x": [1.0, 2.0]}
    assert prepare(table, m)[0].t0 == 1.0 and prepare(table, m, t0=0.5)[0].t0 == 0.5
    assert prepare(table, m, u0={"x": 3})[0].t0 == 0.0
    with pytest.raises(InputError, match="after the first measurement"):
        prepare(table, m, t0=1.5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"parameters": ["kk"]}, UnknownNameError, "did you mean `k`"),
        ({"fixed": {"q": 1}}, UnknownNameError, "q"),
        ({"parameters": ["k"], "fixed": ["k"]}, InputError, "both"),
        ({"bounds": {"k": (2, 1)}}, InputError, "interval"),
        ({"bounds": {"z": (0, 1)}}, UnknownNameError, "z"),
        ({"start": {"k": 99}}, InputError, "outside its bounds"),
        ({"start": {"k": float("nan")}}, InputError, "finite"),
        ({"u0": {"y": 1}}, UnknownNameError, "no state"),
        ({"u0": "guess"}, InputError, "estimate"),
        ({"u0": {"x": "no"}}, InputError, "not a number"),
        ({"noise": "white"}, UnknownNameError, "additive"),
        ({"noise": {"z": "log"}}, UnknownNameError, "no measured column"),
        ({"sigma": -1.0}, DataError, "positive"),
        ({"sigma": {"z": 1.0}}, UnknownNameError, "no measured column"),
        ({"sigma": {"x": [1.0]}}, DataError, "shape"),
        ({"sigma": {"x": "sd"}}, DataError, "no column `sd`"),
        ({"rtol": -1.0}, InputError, "rtol"),
        ({"max_steps": 0}, InputError, "max_steps"),
        ({"method": "eulr"}, UnknownNameError, "tsit5"),
        ({"method": "euler"}, InputError, "tsit5"),
    ],
)
def test_wrong_options_say_what_to_write(options, error, words):
    with pytest.raises(error, match=words):
        problem(sd.model(DECAY), {"t": [0, 1, 2], "x": [2.0, 1.0, 0.5]}, **options)


def test_wrong_experiments():
    m = sd.model(DECAY)
    table = {"t": [0, 1, 2], "x": [2.0, 1.0, 0.5]}
    for data, error, words in [
        ([], DataError, "empty"),
        ({"t": [0, 1], "z": [1, 2]}, DataError, "neither a state nor an observable"),
        ({"t": [0, 1], "x": [np.nan, np.nan]}, DataError, "no measurement"),
        ({"t": [1, 0], "x": [1, 2]}, DataError, "increase"),
        (Experiment(table, p={"z": 1}), UnknownNameError, "no parameter"),
        (Experiment(table, weight=0), InputError, "weight"),
        ([Experiment(table, name="a"), Experiment(table, name="a")], InputError, "two experiments"),
        (7, DataError, "not a table"),
    ]:
        with pytest.raises(error, match=words):
            problem(m, data)
    with pytest.raises(MissingValueError, match="`b`"):
        problem(sd.model("x' = -k*x*b; x(0) = 1; param k = 1, b"), table, parameters=["k"])
    with pytest.raises(DataError, match="no logarithm"):
        problem(m, {"t": [0, 1], "x": [1.0, -1.0]}, noise="log")


def test_sigma_may_be_a_column_of_the_table():
    import pandas as pd

    table = pd.DataFrame({"t": [0, 1, 2], "x": [2.0, 1.0, np.nan], "sd": [0.5, 0.25, np.nan]})
    q = problem(sd.model(DECAY), table, sigma={"x": "sd"})
    assert q.residuals(q.start) == pytest.approx([0.0, (2 * np.exp(-0.7) - 1) / 0.25], abs=1e-6)
