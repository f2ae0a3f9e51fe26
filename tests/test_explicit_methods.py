"""Explicit methods by address: tableaux against the order conditions, solutions against analytic ones."""

from __future__ import annotations

import numpy as np
import pytest

import sciml_dsl as sd
from order_conditions import defects, matrix, trees
from sciml_dsl.solve.methods import registry
from sciml_dsl.solve.methods.registry import METHODS

ROUNDING = 2e-15
INTERPOLANT_ORDERS = {"bs3": 3, "vern7": 6, "dop853": 7, "vern9": 9}
EMBEDDED = {"dop853": [(METHODS["dop853"].tableau().e, 5), ((), 3)]}  # its two estimates
TABLEAUX = [m for m in METHODS.values() if m.tableau is not None and not m.fixed]


def test_trees_are_counted_right():
    assert [len(trees(k)) for k in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]


@pytest.mark.parametrize("method", TABLEAUX, ids=lambda m: m.name)
def test_order_conditions_hold_to_machine_precision(method):
    tableau = method.tableau()
    a = matrix(tableau.rows)
    assert np.allclose(a.sum(axis=1), (*tableau.c, *tableau.extra_c), rtol=0, atol=5e-14)
    worst = defects(a, tableau.b, min(method.order + 1, 9))
    assert max(worst[k] for k in range(1, method.order + 1)) < ROUNDING
    if method.order < 9:  # of order ten there are 719 more
        assert worst[method.order + 1] > 1e-12  # the order is not higher than said
    for weights, order in EMBEDDED.get(method.name, [(tableau.e, method.error_order)]):
        embedded = np.array(tableau.b) - np.array(weights if weights else tableau.e2)
        worst = defects(a, embedded, order + 1)
        assert max(worst[k] for k in range(1, order + 1)) < ROUNDING
        assert worst[order + 1] > 1e-12


@pytest.mark.parametrize("method", TABLEAUX, ids=lambda m: m.name)
@pytest.mark.parametrize("theta", [0.13, 0.5, 0.81])
def test_interpolants_satisfy_their_order_conditions(method, theta):
    tableau = method.tableau()
    order = INTERPOLANT_ORDERS[method.name]
    powers = [theta ** (q + 1) for q in range(tableau.degree)]
    b = [float(np.dot(row, powers[: len(row)])) for row in tableau.interpolant]
    size = [float(np.dot(np.abs(row), powers[: len(row)])) for row in tableau.interpolant]
    worst = defects(matrix(tableau.rows), b, min(order + 1, 9), theta, size)
    assert max(worst[k] for k in range(1, order + 1)) < ROUNDING
    assert order == 9 or worst[order + 1] > 1e-12
    if method.name == "vern7":  # as published, the conditions of order seven hold to eight digits
        assert worst[7] < 1e-8


@pytest.mark.parametrize("method", TABLEAUX, ids=lambda m: m.name)
def test_interpolants_join_the_steps_smoothly(method):
    tableau = method.tableau()
    ends = np.zeros(tableau.total)
    ends[: len(tableau.b)] = tableau.b
    largest = max(abs(c) for row in tableau.interpolant for c in row)
    assert np.allclose([sum(row) for row in tableau.interpolant], ends, rtol=0, atol=1e-15 * largest)
    slopes = np.array([row[0] for row in tableau.interpolant])  # at theta = 0 the slope is the first stage
    assert np.allclose(slopes, np.eye(tableau.total)[0], rtol=0, atol=1e-14)


ORBIT = """
    x'' = -x/(x^2 + y^2)^1.5
    y'' = -y/(x^2 + y^2)^1.5
    x(0) = 0.5; y(0) = 0; x'(0) = 0; y'(0) = sqrt(3)
"""  # eccentricity 1/2, period 2 pi


@pytest.mark.parametrize("method", TABLEAUX, ids=lambda m: m.name)
def test_a_kepler_orbit_closes(method):
    sol = sd.model(ORBIT).solve((0, 2 * np.pi), method=method.name, rtol=1e-7, atol=1e-9)
    assert sol.success and np.abs(sol.u[-1] - sol.u[0]).max() < 5e-5
    assert sol.stats[f"{method.name}_steps"] == sol.stats["steps"] > 0
    # dense output against the same at a far tighter tolerance, at times between the steps
    times = np.linspace(0.05, 6.2, 50)
    exact = sd.model(ORBIT).solve((0, 2 * np.pi), method="tsit5", rtol=1e-12, atol=1e-13, saveat=times).u
    assert np.abs(sol(times) - exact).max() < 5e-5
    saved = sd.model(ORBIT).solve((0, 2 * np.pi), method=method.name, rtol=1e-7, atol=1e-9, saveat=times)
    assert np.abs(saved.u - sol(times)).max() < 1e-13


def test_names_are_found_in_any_case_and_controllers_are_per_method():
    m = sd.model("x' = -x; x(0) = 1")
    assert np.array_equal(m.solve((0, 1), method="BS3").u, m.solve((0, 1), method="bs3").u)
    for method in METHODS.values():
        assert method.fixed or (0 < method.controller.beta1 <= 1 and method.controller.safety < 1)
    with pytest.raises(sd.errors.UnknownNameError, match="did you mean `bs3`"):
        registry.method("bs4")
    with pytest.raises(sd.errors.InputError, match="carries no sensitivities"):
        m.solve((0, 1), method="bs3", sensitivities=["x(0)"])
