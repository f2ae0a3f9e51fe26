"""Methods with steps of a given size: orders, energies of symplectic ones, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.errors import InputError

PENDULUM = "q' = p; p' = -sin(q); q(0) = 1; p(0) = 0.3; energy = p^2/2 - cos(q)"
KEPLER = """
    x'' = -x/(x^2 + y^2)^1.5
    y'' = -y/(x^2 + y^2)^1.5
    x(0) = 0.5; y(0) = 0; x'(0) = 0; y'(0) = sqrt(3)
    energy = (x'^2 + y'^2)/2 - 1/sqrt(x^2 + y^2)
    momentum = x*y' - y*x'
"""
FORCED = "q' = p; p' = -q + cos(2*t); q(0) = 1; p(0) = 0"  # q = (4 cos t - cos 2t)/3
ORDERS = {"euler": 1, "verlet": 2, "rk4": 4, "mclachlan4": 4, "yoshida4": 4, "yoshida6": 6}
SYMPLECTIC = ["verlet", "mclachlan4", "yoshida4", "yoshida6"]


@pytest.mark.parametrize("method", ORDERS)
def test_errors_fall_with_the_order_of_the_method(method):
    order = ORDERS[method]
    pendulum = sd.model(PENDULUM)
    exact = pendulum.solve((0, 2), rtol=1e-13, atol=1e-14, method="vern9").u[-1]
    sizes = (0.1, 0.05) if order < 6 else (0.2, 0.1)
    errors = [np.abs(pendulum.solve((0, 2), method=method, dt=dt).u[-1] - exact).max() for dt in sizes]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)
    forced = sd.model(FORCED)
    end = (4 * np.cos(2) - np.cos(4)) / 3
    errors = [abs(forced.solve((0, 2), method=method, dt=dt)["q"][-1] - end) for dt in sizes]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.5)


@pytest.mark.parametrize("method", ORDERS)
def test_steps_are_as_many_as_asked_for_and_outputs_lie_between(method):
    m = sd.model(PENDULUM)
    sol = m.solve((0, 1), method=method, dt=0.1)
    assert sol.stats["steps"] == 10 and sol.stats["rejected"] == 0
    assert np.allclose(np.diff(sol.t), 0.1, rtol=1e-12)
    saved = m.solve((0, 1), method=method, dt=0.01, saveat=[0.123, 0.456, 1.0])
    exact = m.solve((0, 1), rtol=1e-12, atol=1e-13, saveat=[0.123, 0.456, 1.0])
    assert saved.stats["steps"] == 100
    assert np.abs(saved.u - exact.u).max() < {"euler": 1e-2, "verlet": 2e-5}.get(method, 1e-8)
    back = m.solve((1, 0), method=method, dt=0.1)
    assert back.success and back.stats["steps"] == 10


@pytest.mark.parametrize("method", SYMPLECTIC)
def test_symplectic_methods_keep_the_energy_over_many_orbits(method):
    kepler = sd.model(KEPLER)
    sol = kepler.solve((0, 400 * np.pi), method=method, dt=2 * np.pi / 400)  # 200 orbits
    drift = np.abs(sol["energy"] - sol["energy"][0])
    tenth = len(drift) // 10
    assert drift[-tenth:].max() < 1.5 * drift[:tenth].max() + 1e-12  # it oscillates and does not grow
    assert drift.max() < 2e-2
    assert np.abs(sol["momentum"] - sol["momentum"][0]).max() < 1e-10  # kept exactly, but for rounding
    wandering = kepler.solve((0, 400 * np.pi), method="rk4", dt=2 * np.pi / 400)
    lost = np.abs(wandering["energy"] - wandering["energy"][0])
    assert lost[-tenth:].max() > 5 * lost[:tenth].max()


def test_running_backwards_undoes_a_symmetric_method():
    m = sd.model(PENDULUM)
    there = m.solve((0, 5), method="yoshida4", dt=0.05)
    back = m.solve((5, 0), u0=there.u[-1], method="yoshida4", dt=0.05)
    assert back.u[-1] == pytest.approx(there.u[0], abs=1e-12)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (PENDULUM, {"method": "rk4"}, "give the size, dt=0.01"),
        (PENDULUM, {"method": "verlet", "dt": -1.0}, "dt must be positive and finite, got -1"),
        (PENDULUM, {"method": "euler", "dt": 1e-9}, "more than max_steps"),
        (PENDULUM, {"method": "euler", "dt": 0.1, "dt0": 0.1}, "give it as dt, not dt0"),
        (PENDULUM, {"method": "tsit5", "dt": 0.1}, "chooses its steps: give dt0"),
        ("q' = p; p' = -q - 0.1*p; q(0) = 1; p(0) = 0", {"method": "verlet", "dt": 0.1}, "`p` depends on itself"),
        (
            "x' = y; y' = z; z' = x; x(0) = 1; y(0) = 0; z(0) = 0",
            {"method": "yoshida6", "dt": 0.1},
            "separable Hamiltonians.*depend on each other",
        ),
    ],
)
def test_what_is_refused(text, options, says):
    with pytest.raises(InputError, match=says):
        sd.model(text).solve((0, 1), **options)


def test_a_step_that_fails_ends_with_a_status():
    sol = sd.model("x' = exp(x); x(0) = 1").solve((0, 50), method="rk4", dt=0.5)
    assert not sol.success and np.isfinite(sol.u).all()
    assert sol.status.name in ("NONFINITE", "UNSTABLE")
