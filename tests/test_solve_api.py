"""`solve` as users call it: outputs, statuses, names, bad input, and the arrays below it."""

from __future__ import annotations

import pickle
from math import inf, nan

import numpy as np
import pytest
from numba import cfunc, types

import sciml_dsl as sd
from sciml_dsl.errors import InputError, MissingValueError, UnknownNameError
from sciml_dsl.solve.integrate import Integrator
from sciml_dsl.solve.methods import tsit5
from sciml_dsl.solve.problem import NativeFunctions
from sciml_dsl.solve.status import Status

LV = """
x' = a*x - b*x*y
y' = -c*y + d*x*y
total = x + y
x(0) = 1; y(0) = y0
param a = 1.5, b = 1, c = 3, d = 1, y0 = 1
"""
POINTER = types.CPointer(types.double)


@pytest.fixture(scope="module")
def lv() -> sd.Model:
    return sd.model(LV)


# ---------------------------------------------------------------- outputs


def test_every_step_saveat_and_dense_output_agree(lv: sd.Model) -> None:
    steps = lv.solve((0, 10), rtol=1e-8, atol=1e-8)
    assert steps.t[0] == 0 and steps.t[-1] == 10 and len(steps.t) == steps.stats["steps"] + 1
    times = np.linspace(0, 10, 101)
    saved = lv.solve((0, 10), rtol=1e-8, atol=1e-8, saveat=times)
    assert np.array_equal(saved.t, times)
    np.testing.assert_allclose(saved.u, steps(times), rtol=1e-13)
    np.testing.assert_allclose(saved(times), saved.u, rtol=1e-13)  # repeated once, with steps stored
    np.testing.assert_allclose(steps(steps.t), steps.u, rtol=1e-12)
    assert saved(1.23).shape == (2,) and saved([1.0, 2.0]).shape == (2, 2) and saved(1.0, "total").shape == ()
    assert saved(1.23, "total") == pytest.approx(saved(1.23).sum())
    assert np.array_equal(lv.solve((0, 10), rtol=1e-8, atol=1e-8, saveat=0.1).u[:-1], saved.u[:-1])
    np.testing.assert_allclose(lv.solve((0, 1), saveat=0.3).t, [0, 0.3, 0.6, 0.9, 1])


def test_names(lv: sd.Model) -> None:
    sol = lv.solve((0, 3), saveat=[0, 1, 3])
    assert np.array_equal(sol["x"], sol.u[:, 0])
    assert np.array_equal(sol["total"], sol["x"] + sol["y"])
    table = sol.to_pandas()
    assert list(table.columns) == ["t", "x", "y", "total"] and len(table) == 3
    with pytest.raises(UnknownNameError, match="did you mean `total`"):
        sol["totla"]
    with pytest.raises(InputError, match=r"covers t = 0 \.\. 3"):
        sol(3.5)
    assert "success" in repr(sol) and sol.stats["tsit5_steps"] == sol.stats["steps"]


def test_backward_undoes_forward(lv: sd.Model) -> None:
    forth = lv.solve((0, 5), rtol=1e-11, atol=1e-11)
    back = lv.solve((5, 0), forth.u[-1], rtol=1e-11, atol=1e-11, saveat=[5, 2.5, 0])
    np.testing.assert_allclose(back.u[-1], [1, 1], rtol=1e-8)
    np.testing.assert_allclose(back.u[1], forth(2.5), rtol=1e-8)
    np.testing.assert_allclose(back(np.array([4.0, 1.0])), forth(np.array([4.0, 1.0])), rtol=1e-8)


def test_no_time_at_all(lv: sd.Model) -> None:
    for options in ({}, {"saveat": [2.0]}):
        sol = lv.solve((2, 2), **options)
        assert sol.success and sol.t.tolist() == [2.0] and sol.u.tolist() == [[1, 1]]
        assert sol(2.0).tolist() == [1, 1]


def test_parameters_initial_values_and_networks(lv: sd.Model) -> None:
    base = lv.solve((0, 1), saveat=[1]).u
    assert np.array_equal(lv.solve((0, 1), p=[1.5, 1, 3, 1, 1], saveat=[1]).u, base)
    assert lv.solve((0, 1), p={"y0": 2.5}).u[0].tolist() == [1, 2.5]
    assert lv.solve((0, 1), {"y": 7}, {"y0": 2.5}).u[0].tolist() == [1, 7]
    assert lv.solve((0, 1), [3, 4]).u[0].tolist() == [3, 4]
    m = sd.model("x' = -x + NN(x); x(0) = 1\nneural NN(x) -> 1 { hidden = [2], activation = tanh }")
    with pytest.raises(MissingValueError, match="network `NN` has no weights"):
        m.solve((0, 1))
    w = np.array([0.5, -0.3, 0.1, 0.2, 0.7, -0.4, 0.05])
    sol = m.solve((0, 1), weights={"NN": w}, rtol=1e-11, atol=1e-11)

    def f(x: float) -> float:
        return -x + w[4:6] @ np.tanh(w[:2] * x + w[2:4]) + w[6]

    x, h = 1.0, 1e-3
    for _ in range(1000):  # classical Runge-Kutta
        k1 = f(x)
        k2 = f(x + h / 2 * k1)
        k3 = f(x + h / 2 * k2)
        x += h / 6 * (k1 + 2 * k2 + 2 * k3 + f(x + h * k3))
    assert sol.u[-1, 0] == pytest.approx(x, rel=1e-10)


def test_step_controls(lv: sd.Model) -> None:
    sol = lv.solve((0, 2), dtmax=0.01)
    assert np.diff(sol.t).max() <= 0.01 * (1 + 1e-12)
    sol = lv.solve((0, 2), dt0=1e-5, tstops=[0.7, 1.3])
    assert sol.t[1] == 1e-5 and {0.7, 1.3} <= set(sol.t)
    jump = sd.model("x' = if t < 1 then 0 else 1; x(0) = 0").solve((0, 3), tstops=[1.0])
    assert jump["x"][-1] == pytest.approx(2, rel=1e-14) and jump.stats["rejected"] == 0
    loose = lv.solve((0, 10), atol=[1e-2, 1e-9], rtol=1e-9)
    assert loose.stats["steps"] < lv.solve((0, 10), atol=1e-9, rtol=1e-9).stats["steps"]


def test_pickle_keeps_everything_that_can_be_asked(lv: sd.Model) -> None:
    sol = lv.solve((0, 3), saveat=[1, 3])
    copy = pickle.loads(pickle.dumps(sol))
    assert np.array_equal(copy.u, sol.u) and np.array_equal(copy["total"], sol["total"])
    assert np.array_equal(copy(2.2), sol(2.2)) and copy.status == sol.status


# ---------------------------------------------------------------- statuses


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas5p"])
def test_blow_up_is_reported_where_it_happens(method: str) -> None:
    sol = sd.model("x' = x^2; y' = -y; x(0) = 1; y(0) = 1").solve((0, 2), method=method, saveat=[0.5, 1.5, 2])
    assert not sol.success and sol.status == Status.UNSTABLE
    assert sol.t_end == pytest.approx(1, rel=1e-4)
    assert sol.t.tolist() == [0.5] and np.isfinite(sol.u).all()
    assert "`x` went from 1" in sol.message


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas5p"])
def test_not_finite(method: str) -> None:
    sol = sd.model("x' = -1/sqrt(x); x(0) = 1").solve((0, 2), method=method)  # reaches 0 at t = 2/3
    assert not sol.success and sol.status in (Status.NONFINITE, Status.DT_TOO_SMALL)
    assert sol.t_end == pytest.approx(2 / 3, rel=1e-3) and np.isfinite(sol.u).all()
    at_once = sd.model("x' = log(x); x(0) = -1").solve((0, 1), method=method, saveat=[0, 1])
    assert at_once.status == Status.NONFINITE and len(at_once.t) == 0 and "NaN" in at_once.message
    later = sd.model("x' = sqrt(1 - t); x(0) = 0").solve((0, 2), method=method)
    assert later.status == Status.NONFINITE and later.t_end == pytest.approx(1, rel=1e-4)


def test_max_steps(lv: sd.Model) -> None:
    sol = lv.solve((0, 100), max_steps=20)
    assert sol.status == Status.MAX_STEPS and "max_steps" in sol.message and sol.stats["steps"] <= 20
    assert sol.t[-1] == sol.t_end < 100


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"p": {"aa": 1}}, UnknownNameError, "unknown parameter `aa`; did you mean `a`"),
        ({"u0": {"z": 1}}, UnknownNameError, "unknown state `z`"),
        ({"p": [1, 2]}, InputError, "2 numbers for 5 parameters"),
        ({"u0": [1, 2, 3]}, InputError, "3 numbers for 2 states"),
        ({"u0": [1, nan]}, InputError, "`y\\(0\\)` is nan"),
        ({"p": {"a": inf}}, InputError, "`a` is inf"),
        ({"p": {"a": "much"}}, InputError, "`a` must be a number"),
        ({"method": "tsit"}, UnknownNameError, 'did you mean `tsit5`'),
        ({"rtol": 0.0, "atol": 0.0}, InputError, "no tolerance at all"),
        ({"atol": [1e-6, -1.0]}, InputError, "atol must be finite and not negative"),
        ({"atol": [1e-6] * 3}, InputError, "one number or 2"),
        ({"saveat": [2, 1]}, InputError, "saveat must be increasing"),
        ({"saveat": [1, nan]}, InputError, "saveat contains NaN"),
        ({"saveat": [1, 11]}, InputError, "outside the time span"),
        ({"saveat": -1}, InputError, "spacing must be positive"),
        ({"saveat": 1e-12}, InputError, "choose a larger one"),
        ({"tstops": [20]}, InputError, "tstops has 20"),
        ({"tspan": (0, inf)}, InputError, "must be finite"),
        ({"tspan": 5}, InputError, "two numbers"),
        ({"dtmax": 0}, InputError, "dtmax"),
        ({"dt0": -1}, InputError, "dt0"),
        ({"max_steps": 0}, InputError, "max_steps"),
        ({"weights": {"U": [1]}}, UnknownNameError, "unknown network `U`"),
    ],
)
def test_bad_input(lv: sd.Model, arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lv.solve(**{"tspan": (0, 10)} | arguments)


def test_missing_numbers() -> None:
    m = sd.model("x' = -k*x; y' = -x; x(0) = 1/q; param k, q = 1")
    with pytest.raises(MissingValueError, match="no value for the parameter `k`"):
        m.solve((0, 1))
    with pytest.raises(MissingValueError, match="no initial value for `y`"):
        m.solve((0, 1), p={"k": 1})
    with pytest.raises(InputError, match="initial value of `x` works out as inf"):
        m.solve((0, 1), {"y": 1}, {"k": 1, "q": 0})
    assert m.solve((0, 1), {"y": 1}, {"k": 1}).success


# ---------------------------------------------------------------- below the names


def test_a_users_own_function_and_the_record_of_steps() -> None:
    @cfunc(types.void(types.double, POINTER, POINTER, POINTER))
    def oscillator(t, u, p, du):  # type: ignore[no-untyped-def]
        du[0] = u[1]
        du[1] = -p[0] * u[0]

    functions = NativeFunctions(n=2, n_params=1, f=oscillator.address, keepalive=oscillator)
    integrator = Integrator(functions)
    u0, p, saveat = np.array([1.0, 0.0]), np.array([4.0]), np.linspace(0, 3, 7)
    result = integrator.run(u0, p, 0.0, 3.0, rtol=1e-9, atol=1e-9, saveat=saveat, record=True)
    assert result.ok
    np.testing.assert_allclose(result.u[:, 0], np.cos(2 * saveat), atol=1e-7)
    steps = len(result.lengths)
    assert result.times.shape == (steps + 1,) and result.states.shape == (steps + 1, 2)
    assert result.record_k.shape == (steps, 7, 2)
    np.testing.assert_allclose(result.record_k[:, 0, 0], result.states[:-1, 1], rtol=1e-14)
    np.testing.assert_allclose(result.record_k[:, 6, 1], -4 * result.states[1:, 0], rtol=1e-13)
    slopes = np.einsum("s,ksn->kn", tsit5.TABLEAU[6, :6], result.record_k[:, :6])
    moved = result.states[:-1] + result.lengths[:, None] * slopes
    np.testing.assert_allclose(moved, result.states[1:], rtol=1e-12, atol=1e-14)
    with pytest.raises(InputError, match="needs the Jacobian"):
        integrator.run(u0, p, 0.0, 1.0, method="rodas5p")
    with pytest.raises(InputError, match="u0: expected 2 numbers"):
        integrator.run(np.ones(3), p, 0.0, 1.0)
    with pytest.raises(InputError, match="p: expected 1 numbers"):
        integrator.run(u0, np.ones(0), 0.0, 1.0)
    with pytest.raises(InputError, match="fjp"):
        integrator.run(u0, p, 0.0, 1.0, s0=np.eye(2), columns=np.array([-1, -1]))
    read_only = np.array([1.0, 0.0])
    read_only.flags.writeable = False
    again = integrator.run(read_only, p, 0.0, 3.0, rtol=1e-9, atol=1e-9, saveat=saveat)
    assert np.array_equal(again.u, result.u)
