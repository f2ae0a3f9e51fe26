"""CVODE and IDA as methods: published end values, interpolation, jumps, failures with a status, refusals in words."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import sciml_dsl as sd
from ivp_problems import PROBLEMS, Problem
from sciml_dsl.errors import InputError, UnsupportedError
from sciml_dsl.solve.status import Status
from sciml_dsl.solve.sundials import METHODS, library
from test_algebraic import AKZO, AKZO_END, PENDULUM

installed = pytest.mark.skipif(importlib.util.find_spec("sksundae") is None, reason="scikit-sundae is not installed")
STIFF = ("orego", "rober", "hires", "vdpol", "chemakzo_ode", "detest_stiff_A2", "detest_stiff_F2")
SMOOTH = ("detest_nonstiff_A3", "detest_nonstiff_B2", "detest_nonstiff_B4")


def named(*names: str) -> list[Problem]:
    return [problem for problem in PROBLEMS if problem.name in names]


@installed
@pytest.mark.parametrize("method", ["cvode_bdf", "ida"])
@pytest.mark.parametrize("problem", named(*STIFF), ids=lambda p: p.name)
def test_published_end_values(problem: Problem, method: str) -> None:
    values = np.array(problem.values)
    sol = sd.model(problem.native).solve(
        (0, problem.t_end), method=method, rtol=1e-11, atol=1e-17 * np.abs(values).max(), saveat=[problem.t_end]
    )
    assert sol.success, sol.message
    np.testing.assert_allclose(sol.u[-1], values, rtol=1e-7)
    assert sol.stats["steps"] > 100
    assert sol.stats["factorisations"] > 0


@installed
@pytest.mark.parametrize("problem", named(*SMOOTH), ids=lambda p: p.name)
def test_adams_end_values(problem: Problem) -> None:
    sol = sd.model(problem.native).solve(
        (0, problem.t_end), method="cvode_adams", rtol=1e-11, atol=1e-13, saveat=[problem.t_end]
    )
    np.testing.assert_allclose(sol.u[-1], problem.values, rtol=1e-8, atol=1e-9)
    assert sol.stats["factorisations"] == 0


@installed
@pytest.mark.parametrize("method", METHODS)
def test_output_and_interpolation_agree_with_the_formula(method: str) -> None:
    m = sd.model("x' = -k*x; y' = x - y; x(0) = 2; y(0) = 0; total = x + y; param k = 0.5")
    times = np.linspace(0, 3, 13)
    sol = m.solve((0, 3), method=method, rtol=1e-10, atol=1e-13, saveat=times)
    exact = np.stack([2 * np.exp(-times / 2), 4 * (np.exp(-times / 2) - np.exp(-times))], axis=1)
    np.testing.assert_allclose(sol.u, exact, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(sol["total"], exact.sum(axis=1), rtol=1e-7, atol=1e-8)
    steps = m.solve((0, 3), method=method, rtol=1e-10, atol=1e-13)
    assert len(steps.t) == steps.stats["steps"] + 1
    between = np.linspace(0.013, 2.99, 50)
    np.testing.assert_allclose(steps(between, "x"), 2 * np.exp(-between / 2), rtol=1e-7)
    np.testing.assert_allclose(sol(between, "x"), steps(between, "x"), rtol=1e-7)
    back = m.solve((3, 0), u0=exact[-1], method=method, rtol=1e-10, atol=1e-13, saveat=[0.0])
    np.testing.assert_allclose(back.u[-1], exact[0], rtol=1e-6, atol=1e-6)


@installed
@pytest.mark.parametrize("method", METHODS)
def test_a_pulse_is_not_stepped_over(method: str) -> None:
    m = sd.model("x' = if t > 5 and t < 5.01 then 100 else 0; x(0) = 0")
    sol = m.solve((0, 10), method=method, saveat=[4.0, 5.0, 5.01, 10.0], rtol=1e-8)
    np.testing.assert_allclose(sol["x"], [0, 0, 1, 1], atol=1e-6)
    jump = sd.model("x' = floor(t); x(0) = 0")
    sol = jump.solve((0, 3), method=method, saveat=[1, 2, 3], tstops=[1, 2], rtol=1e-8)
    np.testing.assert_allclose(sol["x"], [0, 1, 3], atol=1e-6)


def banded_model(n: int, lower: int, upper: int) -> sd.Model:
    random = np.random.default_rng(lower + 100 * upper)
    lines = []
    for i in range(n):
        others = [j for j in (i - lower, i + upper) if 0 <= j < n and j != i]
        terms = "".join(f" + {random.normal():.3f}*x{j}" for j in others)
        lines.append(f"x{i}' = -{1 + 50 * random.random():.3f}*x{i}{terms}; x{i}(0) = 1")
    return sd.model("\n".join(lines))


@installed
@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (0, 2), (5, 3), (30, 33)])
@pytest.mark.parametrize("method", ["cvode_bdf", "ida"])
def test_linear_solvers_do_the_same(method: str, lower: int, upper: int) -> None:
    m = banded_model(36, lower, upper)
    kinds = ["auto", "dense", "banded", "sparse"] + (["krylov"] if method == "cvode_bdf" else [])
    ends = [m.solve((0, 2), method=method, rtol=1e-9, saveat=[2.0], linear_solver=kind) for kind in kinds]
    reference = m.solve((0, 2), method="rodas5p", rtol=1e-11, atol=1e-13, saveat=[2.0])
    for kind, sol in zip(kinds, ends, strict=True):
        assert sol.success, kind
        np.testing.assert_allclose(sol.u, reference.u, rtol=1e-5, atol=1e-7, err_msg=kind)


@installed
def test_tolerances_for_each_state() -> None:
    m = sd.model("x' = -x; y' = -y; x(0) = 1; y(0) = 1")
    sol = m.solve((0, 5), method="cvode_adams", rtol=[1e-3, 1e-11], atol=[1e-3, 1e-13], saveat=[5.0])
    loose = m.solve((0, 5), method="cvode_adams", rtol=1e-3, atol=1e-3, saveat=[5.0])
    assert abs(sol["y"][0] - np.exp(-5)) < 1e-9
    assert abs(loose["y"][0] - np.exp(-5)) > 1e-6


@installed
@pytest.mark.parametrize("method", METHODS)
def test_failures_have_a_status(method: str) -> None:
    blowup = sd.model("x' = x^2; x(0) = 1").solve((0, 2), method=method, saveat=[2.0], max_steps=10_000)
    assert blowup.status in (Status.UNSTABLE, Status.DT_TOO_SMALL)
    root = sd.model("x' = -1 - sqrt(x); x(0) = 1").solve((0, 2), method=method)
    assert root.status in (Status.NONFINITE, Status.DT_TOO_SMALL)
    assert root.t_end <= 1.0 + 1e-9
    few = sd.model("x' = cos(100*t); x(0) = 0").solve((0, 100), method=method, max_steps=50)
    assert few.status == Status.MAX_STEPS
    assert "max_steps" in few.message
    for sol in (blowup, root, few):
        assert not sol.success
        assert np.isfinite(sol.u).all()


@installed
def test_ensembles() -> None:
    m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
    sol = m.ensemble(p={"k": [1.0, 2.0]}).solve((0, 1), method="cvode_bdf", saveat=[1.0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sol["x"][:, 0], np.exp([-1.0, -2.0]), rtol=1e-6)


@installed
def test_what_it_cannot_do_is_said() -> None:
    events = sd.model("x' = -1; x(0) = 1; when x < 0: x = 1")
    with pytest.raises(UnsupportedError, match="does not handle events"):
        events.solve((0, 2), method="cvode_bdf")
    circle = sd.model("x' = -y; 0 = x^2 + y^2 - 1; x(0) = 0.6; y(0) = 0.8")
    for method in ("cvode_bdf", "cvode_adams"):
        with pytest.raises(UnsupportedError, match=r'takes no algebraic equations.*"ida"'):
            circle.solve((0, 0.1), method=method)
    with pytest.raises(UnsupportedError, match="forwards"):
        circle.solve((0.1, 0), method="ida")
    m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
    with pytest.raises(InputError, match="no sensitivities"):
        m.solve((0, 2), method="cvode_bdf", sensitivities=True)
    for options in ({"positive": True}, {"dtmin": 1e-3}, {"dtype": "float32"}, {"controller": "pi"}):
        with pytest.raises(InputError, match=f"takes no {next(iter(options))}"):
            m.solve((0, 2), method="cvode_bdf", **options)
    with pytest.raises(InputError, match="rtol"):
        m.solve((0, 2), method="ida", rtol=-1.0)
    with pytest.raises(InputError, match="linear_solver"):
        m.solve((0, 2), method="ida", linear_solver="lu")


def test_without_scikit_sundae_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library.load.cache_clear()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sksundae" else find(name))
    with pytest.raises(InputError, match=r"sciml-dsl\[sundials\]"):
        sd.model("x' = -x; x(0) = 1").solve((0, 1), method="cvode_bdf")
    library.load.cache_clear()


# ---------------------------------------------------------------- algebraic equations


@installed
def test_ida_reaches_akzo_nobel_s_end() -> None:
    sol = sd.model(AKZO).solve((0, 180), method="ida", saveat=[180.0], rtol=1e-9, atol=1e-13)
    assert sol.u[-1] == pytest.approx(AKZO_END, rel=1e-7)
    assert sol.stats["jacobian_evaluations"] < sol.stats["steps"] / 5


@installed
def test_ida_follows_the_pendulum_through_changes_of_form() -> None:
    t = np.linspace(0, 5, 11)
    options = {"rtol": 1e-9, "atol": 1e-10}
    m = sd.model(PENDULUM)
    sol, there = m.solve((0, 5), method="ida", saveat=t, **options), m.solve((0, 5), saveat=t, **options)
    assert sol.u == pytest.approx(there.u, abs=2e-5)
    assert np.abs(sol["x"] ** 2 + sol["y"] ** 2 - 1.0).max() < 1e-12
    between = m.solve((0, 2), method="ida", **options)
    assert between(1.234) == pytest.approx(m.solve((0, 2), **options)(1.234), abs=2e-5)
    assert between.u.shape == (between.t.size, 5)


@installed
@pytest.mark.parametrize(
    "text",
    [
        "x' = -z; 0 = z - x + f; x(0) = 1; input f hold = [(0, 1), (0.5, 3), (2, 4)]",
        "x' = -z; 0 = z - x + (if t > 0.75 then 1 else 0); x(0) = 1",
    ],
)
def test_ida_begins_anew_where_unknowns_jump(text: str) -> None:
    t = np.array([0.25, 0.5, 0.75, 1.0, 2.0])
    options = {"rtol": 1e-10, "atol": 1e-12, "saveat": t}
    m = sd.model(text)
    assert m.solve((0, 2), method="ida", **options).u == pytest.approx(m.solve((0, 2), **options).u, abs=1e-7)


@installed
def test_ida_solves_a_large_sparse_system() -> None:
    """A chain of 500 tanks with an unknown in each."""
    n = 500
    text = "\n".join(f"x{k}' = z{max(k - 1, 1)} - x{k}; 0 = z{k} + z{k}^3 - x{k}" for k in range(1, n + 1))
    m = sd.model(text + "\n" + "\n".join(f"x{k}(0) = {1 + (k % 3)}" for k in range(1, n + 1)))
    options = {"rtol": 1e-8, "atol": 1e-10, "saveat": [2.0]}
    sol = m.solve((0, 2), method="ida", linear_solver="sparse", **options)
    assert sol.u == pytest.approx(m.solve((0, 2), **options).u, abs=1e-6)


@installed
def test_ida_starts_like_the_other_methods() -> None:
    wrong = sd.model(PENDULUM).with_initial({"y": 0.5})
    with pytest.raises(InputError, match="do not satisfy"):
        wrong.solve((0, 1), method="ida")
    moved = wrong.solve((0, 1), method="ida", initialization="project", saveat=[0.0, 1.0])
    assert moved.u[0] == pytest.approx(wrong.solve((0, 1), initialization="project").u[0], abs=1e-12)
    assert sd.model(PENDULUM).solve((0, 5), method="ida", max_steps=20).status.name == "MAX_STEPS"
