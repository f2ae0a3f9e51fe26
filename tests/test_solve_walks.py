"""Random walks over problems, methods and tolerances: no hang, no failure unsaid, no NaN, no wrong answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.solve.methods.registry import METHODS
from sciml_dsl.solve.status import Status
from sciml_dsl.solve.sundials import METHODS as SUNDIALS

# Problems with a closed form of some of their states at time t.
Exact = Callable[[np.ndarray], np.ndarray]
SOLVABLE: dict[str, tuple[str, float, Exact]] = {
    "decay": ("x' = -x; x(0) = 1", 5.0, lambda t: np.exp(-t)),
    "circle": ("x' = y; y' = -x; x(0) = 1; y(0) = 0", 10.0, np.cos),
    "logistic": ("x' = 4*x*(1 - x); x(0) = 0.01", 4.0, lambda t: 1 / (1 + 99 * np.exp(-4 * t))),
    "fast": ("x' = -1000*(x - cos(t)) - sin(t); x(0) = 1", 3.0, np.cos),
    "constant": ("x' = 0*x; y' = 1; x(0) = 2; y(0) = 0", 7.0, lambda t: 2 + 0 * t),
    "switched": ("x' = if t < 1.3 then 1 else -1; x(0) = 0", 2.0, lambda t: np.minimum(t, 2.6 - t)),
    "dosed": ("x' = -x; x(0) = 0\nevery 1 from 0.5 until 1: x += 1", 1.4, lambda t: (t >= 0.5)*np.exp(0.5 - t)),
    "rising": ("x' = 2*t; x(0) = 0", 3.0, lambda t: t * t),
}  # fmt: skip
# Problems that end in some other way, or are merely hard.
HARD = {
    "blow-up": "x' = x^2; x(0) = 1",
    "not a number": "x' = -log(x) - 1 - 1/x; x(0) = 0.5",
    "root": "x' = -sqrt(x) - 0.3; x(0) = 1",
    "nan at start": "x' = log(x - 2); x(0) = 1",
    "stiff": "x' = y; y' = 1000*(1 - x^2)*y - x; x(0) = 2; y(0) = 0",
    "kinetics": "a' = -0.04*a + 1e4*b*c; b' = 0.04*a - 1e4*b*c - 3e7*b^2; c' = 3e7*b^2; a(0) = 1; b(0) = 0; c(0) = 0",
    "chaos": "x' = 10*(y - x); y' = x*(28 - z) - y; z' = x*y - 8*z/3; x(0) = 1; y(0) = 0; z(0) = 0",
    "chattering": "x' = 1; x(0) = 0\nwhen x > 1: x = 1 - 1e-12",
    "relay": "x' = if x > 0 then -1 else 1; x(0) = 0.5",
    "huge": "x' = 1e8*x; x(0) = 1e-300",
    "wild": "x' = tan(1000*t) + 0*x; x(0) = 0",
}
# Every term is marked, some, or none that matters; what the imex method does with each.
MARKED = {
    "all marked": ("x' = -@stiff (1000*(x - cos(t)) + sin(t)); x(0) = 1", 3.0, np.cos),
    "stiff part": ("x' = -sin(t) - @stiff 1000*(x - y); y' = -sin(t); x(0) = 1; y(0) = 1", 3.0, np.cos),
    "calm": ("x' = y - @stiff 0*x; y' = -x; x(0) = 1; y(0) = 0", 5.0, np.cos),
}
MARKED_HARD = {
    "blow-up": "x' = x^2 - @stiff 0.1*x; x(0) = 1",
    "stiff blow-up": "x' = @stiff x^3 - x; x(0) = 2",
    "nan at start": "x' = log(x - 2) - @stiff x; x(0) = 1",
    "stiff and unmarked": "x' = -1e6*(x - cos(t)) - @stiff x; x(0) = 0",
    "van der Pol": "x' = y; y' = @stiff (1000*(1 - x^2)*y) - x; x(0) = 2; y(0) = 0",
}
ADAPTIVE = [m.name for m in METHODS.values() if not m.fixed and m.kind != "imex"]
IMPLICIT = [m.name for m in METHODS.values() if m.kind == "implicit"]

if importlib.util.find_spec("sksundae") is not None:
    ADAPTIVE += SUNDIALS
WALK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
TOLERANCE = st.floats(-11.0, -2.0).map(lambda e: 10.0**e)
_models: dict[str, sd.Model] = {}


def model(text: str) -> sd.Model:
    """A model, compiled once."""
    if text not in _models:
        _models[text] = sd.model(text)
    return _models[text]


def refused(text: str, method: str) -> bool:
    """Whether the method does not take the model, which it must say."""
    if method not in SUNDIALS or not model(text).spec.events:
        return False
    with pytest.raises(sd.errors.UnsupportedError, match="does not handle events"):
        model(text).solve((0, 1), method=method)
    return True


def check(sol: sd.Solution, t1: float, max_steps: int) -> None:
    """What must hold of any solution."""
    assert np.isfinite(sol.u).all() and np.isfinite(sol.t).all()
    assert (np.sign(t1) * np.diff(sol.t) >= 0).all() and abs(sol.t_end) <= abs(t1)
    rejected = 0 if sol.method in SUNDIALS else sol.stats["rejected"]  # SUNDIALS does not count steps it repeats
    assert sol.message and sol.stats["steps"] + rejected <= max_steps
    assert sol.success == (sol.status in (Status.SUCCESS, Status.TERMINATED))
    if sol.status == Status.SUCCESS:
        assert sol.t_end == t1 and sol.t[-1] == t1


@WALK
@given(
    name=st.sampled_from(sorted(SOLVABLE)), method=st.sampled_from(["auto", *ADAPTIVE]), rtol=TOLERANCE,
    count=st.integers(0, 30),
)  # fmt: skip
def test_solvable_problems_are_solved(name: str, method: str, rtol: float, count: int) -> None:
    text, t1, exact = SOLVABLE[name]
    if refused(text, method):
        return
    kind = METHODS.get(method)
    if kind is not None and kind.order <= 3:
        rtol = max(rtol, 1e-7)
    saveat = np.linspace(0, t1, count + 1) if count else None
    sol = model(text).solve((0, t1), method=method, rtol=rtol, atol=rtol, saveat=saveat, max_steps=200_000)
    check(sol, t1, 200_000)
    assert sol.success, sol.message
    assert saveat is None or np.array_equal(sol.t, saveat)
    times, values = sol.t, sol.u[:, 0]
    if name == "dosed":  # both sides of a jump are in the output, which a rounded time may miss
        apart = np.abs(times - 0.5) > 1e-12
        times, values = times[apart], values[apart]
    assert np.abs(values - exact(times)).max() < 2e3 * rtol + 1e-11


@WALK
@given(
    name=st.sampled_from(sorted(HARD)), method=st.sampled_from(["auto", *ADAPTIVE]), rtol=TOLERANCE,
    atol=TOLERANCE, t1=st.sampled_from([0.7, 3.0, 1000.0]), count=st.integers(0, 5),
)  # fmt: skip
def test_whatever_happens_is_said(name: str, method: str, rtol: float, atol: float, t1: float, count: int) -> None:
    saveat = np.linspace(0, t1, count + 1) if count else None
    if refused(HARD[name], method):
        return
    if name == "relay" and method == "taylor":  # a condition on states has no power series
        with pytest.raises(sd.errors.UnsupportedError, match="condition on states"):
            model(HARD[name]).solve((0, t1), method=method)
        return
    sol = model(HARD[name]).solve((0, t1), method=method, rtol=rtol, atol=atol, saveat=saveat, max_steps=3000)
    check(sol, t1, 3000)
    if name in ("blow-up", "nan at start") and t1 > 1:
        assert not sol.success
    if name == "chattering" and sol.t_end >= 1:
        assert not sol.success


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.fixed])
@pytest.mark.parametrize("name", ["blow-up", "huge", "nan at start", "circle"])
def test_steps_of_one_size_say_it_too(name: str, method: str) -> None:
    text = SOLVABLE[name][0] if name in SOLVABLE else HARD[name]
    if METHODS[method].kind == "symplectic" and name != "circle":
        with pytest.raises(sd.errors.InputError, match="separable"):
            model(text).solve((0, 3), method=method, dt=0.25)
        return
    sol = model(text).solve((0, 3), method=method, dt=0.25)
    check(sol, 3.0, 12)
    if name == "nan at start":
        assert not sol.success


@WALK
@given(
    name=st.sampled_from(["circle", "fast", "logistic"]), method=st.sampled_from(IMPLICIT), rtol=TOLERANCE,
    kind=st.sampled_from(["auto", "dense", "banded", "sparse", "krylov"]), backward=st.booleans(),
)  # fmt: skip
def test_every_linear_algebra_on_the_way_there_and_back(
    name: str, method: str, rtol: float, kind: str, backward: bool
) -> None:
    """To t1, or from the values at t1 back to the start, which only the circle bears: the others forget it."""
    text, t1, exact = SOLVABLE[name]
    if METHODS[method].n_complex and kind == "krylov":
        with pytest.raises(sd.errors.InputError, match="complex"):
            model(text).solve((0, t1), method=method, linear_solver=kind)
        return
    if METHODS[method].order <= 3:
        rtol = max(rtol, 1e-7)
    options = {"method": method, "linear_solver": kind, "rtol": rtol, "atol": rtol, "max_steps": 200_000}
    start, end, u0, wanted = 0.0, t1, None, exact(np.array(t1))
    if backward and name == "circle":
        start, end, u0, wanted = t1, 0.0, [np.cos(t1), -np.sin(t1)], 1.0
    sol = model(text).solve((start, end), u0, saveat=[end], **options)
    assert sol.success and sol.t_end == end
    assert abs(sol.u[-1, 0] - wanted) < 2e3 * rtol + 1e-11


@WALK
@given(name=st.sampled_from(sorted(MARKED)), rtol=TOLERANCE, count=st.integers(0, 10))
def test_marked_terms_are_solved(name: str, rtol: float, count: int) -> None:
    text, t1, exact = MARKED[name]
    rtol = max(rtol, 1e-9)
    saveat = np.linspace(0, t1, count + 1) if count else None
    sol = model(text).solve((0, t1), method="imex_kencarp4", rtol=rtol, atol=rtol, saveat=saveat, max_steps=200_000)
    check(sol, t1, 200_000)
    assert sol.success, sol.message
    assert np.abs(sol.u[:, 0] - exact(sol.t)).max() < 2e3 * rtol


@WALK
@given(
    name=st.sampled_from(sorted(MARKED_HARD)), rtol=TOLERANCE, atol=TOLERANCE, t1=st.sampled_from([0.7, 3.0, 1000.0])
)
def test_whatever_happens_to_marked_terms_is_said(name: str, rtol: float, atol: float, t1: float) -> None:
    sol = model(MARKED_HARD[name]).solve((0, t1), method="imex_kencarp4", rtol=rtol, atol=atol, max_steps=3000)
    check(sol, t1, 3000)
    if name in ("blow-up", "stiff blow-up", "nan at start") and t1 > 1:
        assert not sol.success


@WALK
@given(
    method=st.sampled_from([m.name for m in METHODS.values() if m.fixed]), dt=st.floats(1e-3, 50.0),
    t1=st.sampled_from([0.7, 3.0, 40.0]), name=st.sampled_from(["circle", "steep"]),
)  # fmt: skip
def test_any_step_of_one_size_ends_or_says_why(method: str, dt: float, t1: float, name: str) -> None:
    text = {"circle": SOLVABLE["circle"][0], "steep": "x' = y; y' = -x^3 - 1e6*x; x(0) = 1; y(0) = 0"}[name]
    sol = model(text).solve((0, t1), method=method, dt=dt, max_steps=100_000)
    check(sol, t1, 100_000)
    if name == "circle" and dt < 0.05:
        assert sol.success and np.abs(sol.u[:, 0] - np.cos(sol.t)).max() < (2.0 * t1 * dt if method == "euler" else 0.1)
