"""Levenberg-Marquardt, starts, smooth curves and uncertainties on their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

import sciml_dsl as sd
from sciml_dsl.errors import DataError
from sciml_dsl.fit.lm import levenberg_marquardt
from sciml_dsl.fit.problem import problem
from sciml_dsl.fit.smooth import curve, smooth
from sciml_dsl.fit.starts import spread
from sciml_dsl.fit.uncertainty import uncertainty


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


def powell(x):
    """Powell's singular function: the Jacobian has no full rank at the minimum 0."""
    a, b = np.sqrt(5.0), np.sqrt(10.0)
    r = np.array([x[0] + 10 * x[1], a * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, b * (x[0] - x[3]) ** 2])
    u, v = 2 * (x[1] - 2 * x[2]), 2 * b * (x[0] - x[3])
    return r, np.array([[1, 10, 0, 0], [0, 0, a, -a], [0, u, -2 * u, 0], [v, 0, 0, -v]])


def test_classical_problems():
    assert levenberg_marquardt(rosenbrock, np.array([-1.2, 1.0])).x == pytest.approx([1, 1], abs=1e-9)
    found = levenberg_marquardt(powell, np.array([3.0, -1.0, 0.0, 1.0]), floor=1e-9)
    assert found.converged and found.x == pytest.approx(np.zeros(4), abs=1e-3)


def test_bounds_hold_and_are_left_again():
    low, high = np.array([-2.0, -2.0]), np.array([0.5, 2.0])
    found = levenberg_marquardt(rosenbrock, np.array([-1.2, 1.0]), low, high)
    assert found.converged and found.x == pytest.approx([0.5, 0.25], abs=1e-8)
    started_outside = levenberg_marquardt(rosenbrock, np.array([0.5, -2.0]), low - 1.0, high + 1.0)
    assert started_outside.x == pytest.approx([1, 1], abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_as_good_as_scipy(seed, bounded):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    matrix, shift = rng.normal(size=(12, n)), rng.normal(size=12)
    low, high = (np.full(n, -0.3), np.full(n, 0.4)) if bounded else (np.full(n, -np.inf), np.full(n, np.inf))

    def function(x):
        inner = np.tanh(matrix @ x)
        return inner + 0.1 * matrix @ x - 0.3 * shift, ((1 - inner**2) + 0.1)[:, None] * matrix

    found = levenberg_marquardt(function, np.zeros(n), low, high)
    reference = least_squares(
        lambda x: function(x)[0], found.x.clip(low + 1e-9, high - 1e-9), jac=lambda x: function(x)[1],
        bounds=(low, high), xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    assert found.cost <= reference.cost * (1 + 1e-8) + 1e-14  # scipy, started there, finds nothing lower


def test_infinite_residuals_are_a_rejected_step():
    def function(x):
        if x[0] > 1.5:
            return np.full(2, np.inf), np.zeros((2, 1))
        return np.array([x[0] ** 2 - 1.96, 0.0]), np.array([[2 * x[0]], [0.0]])

    assert levenberg_marquardt(function, np.array([0.1])).x[0] == pytest.approx(1.4, abs=1e-9)
    nowhere = levenberg_marquardt(function, np.array([2.0]))
    assert not nowhere.converged and nowhere.cost == np.inf


def test_starts_are_spread_and_repeatable():
    m = sd.model("x' = -a*x - b*c*x + d; param a = 1 in [0, 4], b = 0.1 in [1e-3, 10] log, c = 2, d = 0")
    q = problem(m, {"t": [0, 1, 2, 3, 4], "x": [3.0, 2.0, 1.5, 1.2, 1.0]})
    starts = spread(q, 11, seed=5)
    assert (starts == spread(q, 11, seed=5)).all() and not (starts == spread(q, 11, seed=6)).all()
    assert (starts[0] == q.start).all()
    a, b, c = starts[1:, 0], np.exp(starts[1:, 1]), starts[1:, 2]
    assert sorted(np.floor(a / 0.4).astype(int)) == list(range(10))  # one in each cell
    assert sorted(np.floor(np.log10(b / 1e-3) / 0.4).astype(int)) == list(range(10))
    assert c.min() < 0.5 and c.max() > 8 and (c > 0).all()
    assert (np.abs(starts[1:, 4] - 3.0) <= 0.6 + 1e-12).all()


def test_smooth_curves_find_slope_and_noise():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 10, 101)
    y = np.sin(2 * t) + 0.3 * t
    values, derivatives, noise = smooth(t, y + 0.05 * rng.normal(size=t.size))
    assert noise == pytest.approx(0.05, rel=0.3)
    assert np.sqrt(np.mean((values - y) ** 2)) < 0.03
    assert np.sqrt(np.mean((derivatives - 2 * np.cos(2 * t) - 0.3) ** 2)) < 0.1
    holes = np.where(np.arange(101) % 3 == 1, np.nan, y)
    assert curve(t, holes)(t) == pytest.approx(y, abs=1e-3)
    assert curve([0.0, 1.0, 2.0], [4.0, 4.0, 4.0]).derivative([0.5]) == pytest.approx([0.0])
    many = np.linspace(0, 10, 2000)
    assert curve(many, np.sin(many)).derivative(5.0) == pytest.approx(np.cos(5.0), abs=1e-3)
    with pytest.raises(DataError, match="at least 3"):
        curve([0.0, 1.0], [1.0, 2.0])


def test_uncertainty_names_what_the_data_do_not_see():
    rng = np.random.default_rng(1)
    part = rng.normal(size=(20, 2))
    jac = np.column_stack([part[:, 0], part[:, 1], 3 * part[:, 1], np.zeros(20), part[:, 0]])
    free = np.array([True, True, True, True, False])
    found = uncertainty("abcde", np.ones(5), rng.normal(size=20), jac, free)
    assert found.names == ("a",) and found.at_bound == ("e",)
    assert found.identifiable == {"a": True, "b": False, "c": False, "d": False, "e": True}
    assert np.isfinite(found.covariance).all() and len(found.warnings) >= 2
