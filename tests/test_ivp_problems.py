"""27 initial value problems of the literature: what `m.solve` ends with, against values known to 15 digits.

At tight tolerances every method that fits the problem reaches every end value to 1e-10 relative, component by
component; those of order three to five that need the smallest steps to less, and the problems in LIMITS, which say why.
"""

from __future__ import annotations

import numpy as np
import pytest

import sciml_dsl as sd
from ivp_problems import PROBLEMS, Problem

REACHED = 1e-10
LOOSER = {"rodas4": 5e-10, "kencarp4": 1e-8, "ndf": 5e-8}
"""Methods whose error constants, at a tolerance of 1e-12, leave this much."""
EXPLICIT = ("tsit5", "vern7", "dop853", "vern9", "taylor")
IMPLICIT = ("rodas5p", "rodas4", "radauiia5", "radauiia9", "radauiia13", "radau", "kvaerno5", "kencarp4", "ndf")
ALGEBRAIC = ("chemakzo",)
LIMITS = {("detest_nonstiff_B3", "kvaerno5"): 2e-9}


def cases() -> list[object]:
    found = []
    for problem in PROBLEMS:
        methods = ("auto", *IMPLICIT) if problem.stiff or problem.name in ALGEBRAIC else ("auto", *EXPLICIT, *IMPLICIT)
        found += [pytest.param(problem, method, id=f"{problem.name}-{method}") for method in methods]
    return found


def limit(problem: str, method: str) -> float:
    """What the end value is known to."""
    return LIMITS.get((problem, method), LOOSER.get(method, REACHED))


def distance(problem: Problem, u: np.ndarray) -> float:
    """Largest relative error of the components that are compared; of those that end at zero, of the orbit's size."""
    wanted = np.array(problem.values)
    chosen = list(problem.checked) or list(range(wanted.size))
    scale = np.abs(wanted)
    scale[scale < 1e-14 * scale.max()] = scale.max()
    return float(np.max((np.abs(u - wanted) / scale)[chosen]))


def test_there_are_27_of_them() -> None:
    assert len({problem.name for problem in PROBLEMS}) == 27
    assert {problem.kind for problem in PROBLEMS} == {"recomputed", "published"}


def test_the_table_where_a_formula_is_known() -> None:
    ends = {problem.name: problem.values for problem in PROBLEMS}
    grown = 20 / (1 + 19 * np.exp(-5))
    for name, i, exact in (
        ("detest_nonstiff_A1", 0, np.exp(-20)),
        ("detest_nonstiff_A2", 0, 1 / np.sqrt(21)),
        ("detest_nonstiff_A3", 0, np.exp(np.sin(20))),
        ("detest_nonstiff_A4", 0, grown),
        ("detest_stiff_A1", 0, np.exp(-10)),
        ("detest_stiff_B1", 0, np.exp(-20) * np.cos(200)),
        ("detest_stiff_B1", 1, -10 * np.exp(-20) * np.sin(200)),
        ("detest_stiff_B2", 5, np.exp(-2)),
        ("detest_stiff_C2", 0, 2 - np.exp(-20)),
        ("detest_stiff_D1", 2, 400.0),
    ):
        assert ends[name][i] == pytest.approx(exact, rel=1e-13), name


@pytest.mark.parametrize(("problem", "method"), cases())
def test_end_value(problem: Problem, method: str) -> None:
    rtol = 1e-13 if problem.name == "arenstorf_SB1" else 1e-12
    sol = sd.model(problem.native).solve(
        (0, problem.t_end), method=method, rtol=rtol, atol=1e-18 * np.abs(problem.values).max(), saveat=[problem.t_end],
        max_steps=1_000_000,
    )  # fmt: skip
    assert sol.success, sol.message
    assert distance(problem, sol.u[-1]) < limit(problem.name, method)


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.ode_def], ids=lambda p: p.name)
def test_the_macro_verbatim_is_the_same_model(problem: Problem) -> None:
    macro = sd.model(problem.ode_def or "")
    native = sd.model(problem.native)
    assert macro.states == native.states
    assert macro.parameters == native.parameters
    options = {"rtol": 1e-9, "atol": 1e-13, "saveat": [problem.t_end], "max_steps": 1_000_000}
    p = [problem.parameters[name] for name in macro.parameters]
    sol = macro.solve((0, problem.t_end), u0=problem.u0, p=p, **options)
    same = native.solve((0, problem.t_end), **options)
    assert sol.success, sol.message
    np.testing.assert_array_equal(sol.u, same.u)
    assert distance(problem, sol.u[-1]) < 1e-4
