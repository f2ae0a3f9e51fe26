"""Random walks over problems, methods and tolerances: no hang, no failure unsaid, no NaN, no wrong answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.solve.methods.registry import METHODS
from sciml_dsl.solve.status import Status

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
ADAPTIVE = [m.name for m in METHODS.values() if not m.fixed and m.kind != "imex"]
WALK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
TOLERANCE = st.floats(-11.0, -2.0).map(lambda e: 10.0**e)
_models: dict[str, sd.Model] = {}


def model(text: str) -> sd.Model:
    """A model, compiled once."""
    if text not in _models:
        _models[text] = sd.model(text)
    return _models[text]


def check(sol: sd.Solution, t1: float, max_steps: int) -> None:
    """What must hold of any solution."""
    assert np.isfinite(sol.u).all() and np.isfinite(sol.t).all()
    assert (np.diff(sol.t) >= 0).all() and sol.t_end <= t1
    assert sol.message and sol.stats["steps"] + sol.stats["rejected"] <= max_steps
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
