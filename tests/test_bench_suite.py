"""The work-precision suite: its problems are what they say, its references hold, its comparisons are fair."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import sciml_dsl as sd
from sciml_dsl.codegen.native import functions
from sciml_dsl.solve.observe import observe
from suite import tables
from suite.collocation import coefficients
from suite.contenders import LIBRARIES, OURS
from suite.curve import UNREACHED, edge, ratio, seconds_at, standing
from suite.problem import Problem, problems, references

SMALL = [problem for problem in problems().values() if problem.n <= 100]


@pytest.mark.parametrize("problem", list(problems().values()), ids=lambda problem: problem.name)
def test_text_and_python_are_the_same_equations(problem: Problem) -> None:
    model = sd.model(problem.text)
    native = functions(model)
    random = np.random.default_rng(1)
    assert len(model.states) == problem.n
    for phase, end in enumerate(problem.ends):
        u = np.array(problem.u0) * random.uniform(0.5, 1.5, problem.n) + random.uniform(0.0, 0.1, problem.n)
        inside = end - 1e-3 * problem.t1
        ours = observe(native.f, problem.n, np.array([inside]), u[None], np.zeros(0))[0]
        plain = np.array([float(value) for value in problem.rhs(list(u), phase)])
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12 * np.abs(plain).max())
    start = model.solve((0, 1e-12), saveat=[0.0]).u[0]
    np.testing.assert_allclose(start, problem.u0, rtol=1e-15)


def test_there_are_fifteen_with_a_reference_each() -> None:
    assert len(problems()) == 15
    assert set(references()) == set(problems())
    for problem in problems().values():
        assert problem.reference.shape == (problem.n,)
        assert problem.error(problem.reference) == 0.0


@pytest.mark.parametrize("problem", [p for p in SMALL if not p.stiff], ids=lambda problem: problem.name)
def test_references_against_scipy(problem: Problem) -> None:
    found = solve_ivp(
        lambda t, u: problem.rhs(u), (0, problem.t1), problem.u0, method="DOP853", rtol=1e-12, atol=1e-12,
        t_eval=[problem.t1],
    )  # fmt: skip
    assert problem.error(found.y[:, -1]) < 1e-5  # the Arenstorf orbit loses seven digits


@pytest.mark.parametrize("name", ["orego", "hires", "van_der_pol", "brusselator_40"])
def test_references_of_stiff_problems_against_scipy(name: str) -> None:
    problem = problems()[name]
    found = solve_ivp(
        lambda t, u: problem.rhs(u), (0, problem.t1), problem.u0, method="LSODA", rtol=1e-10,
        atol=1e-11 * problem.floor, t_eval=[problem.t1],
    )  # fmt: skip
    assert problem.error(found.y[:, -1]) < 1e-5


def test_coefficients_of_radau_integrate_polynomials() -> None:
    c, a = coefficients(3)
    for power in range(3):
        for i in range(3):
            total = sum(a[i, j] * c[j] ** power for j in range(3))
            assert float(total - c[i] ** (power + 1) / (power + 1)) == pytest.approx(0.0, abs=1e-15)
    for power in range(5):  # the last row has order 5
        assert float(sum(a[2, j] * c[j] ** power for j in range(3))) == pytest.approx(1 / (power + 1), abs=1e-14)


def test_equal_error_is_interpolated_and_never_continued() -> None:
    points = [(1e-3, 1.0), (1e-5, 10.0), (1e-4, 50.0), (math.nan, 0.1)]
    assert edge(points) == [(1e-3, 1.0), (1e-5, 10.0)]
    assert seconds_at(points, 1e-4) == pytest.approx(math.sqrt(10.0))
    assert seconds_at(points, 1e-2) == 1.0
    assert seconds_at(points, 1e-6) == math.inf
    assert seconds_at([], 1e-6) == math.inf


def test_who_does_not_reach_an_error_is_not_first() -> None:
    quick = [(1e-4, 1.0), (1e-5, 1.5)]
    exact = [(1e-4, 2.0), (1e-10, 4.0)]
    table = standing({"quick": quick, "exact": exact, "absent": []})
    assert table.order == ["exact", "quick"]
    assert table.slowdown("quick")[-1] == UNREACHED
    assert "absent" not in table.seconds
    assert ratio(table, "exact", ["quick"])[0] == pytest.approx(0.5)
    assert ratio(table, "quick", ["absent"]) == []


def test_tables_name_what_was_not_measured(tmp_path: Path) -> None:
    measured = {"ways": [{"what": "auto", "points": [[1e-6, 1e-7, 1e-4], [1e-9, 1e-11, 4e-4]], "notes": []}],
                "note": "", "label": "sciml_dsl"}  # fmt: skip
    missing = {"ways": [], "note": "not installed", "label": "heyoka"}
    results = {"lorenz": {OURS: measured, "heyoka_taylor": missing}}
    paths = tables.write(results, {"python": "3"}, tmp_path)
    text = paths[0].read_text(encoding="utf-8")
    assert "not installed" in text
    assert "First at 1 of 1" in text
    assert set(LIBRARIES) >= set(results["lorenz"])
