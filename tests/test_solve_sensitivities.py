"""Forward sensitivities against closed forms and central differences of tight solutions."""

from __future__ import annotations

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.errors import UnknownNameError

LOTKA_VOLTERRA = """
x' = a*x - b*x*y
y' = -c*y + d*x*y
x(0) = x0; y(0) = 1
param a = 1.5, b = 1, c = 3, d = 1, x0 = 1
"""


def differences(
    model: sd.Model, span: tuple, names: list[str], saveat: list, p: dict, u0: dict, **options: object
) -> np.ndarray:
    """Central differences with Richardson extrapolation, (T, n, m)."""
    options = {"method": "rodas5p", "rtol": 1e-12, "max_steps": 10**6} | options
    columns = []
    for name in names:
        estimates = []
        for relative in (2e-4, 4e-4):
            ends = []
            for sign in (1, -1):
                q, v = dict(p), dict(u0)
                target, key = (v, name[:-3]) if name.endswith("(0)") else (q, name)
                step = relative * target[key]
                target[key] += sign * step
                ends.append(model.solve(span, v, q, saveat=saveat, **options).u)
            estimates.append((ends[0] - ends[1]) / (2 * step))
        columns.append((4 * estimates[0] - estimates[1]) / 3)
    return np.stack(columns, axis=-1)


def test_exponential_in_closed_form() -> None:
    m = sd.model("x' = -k*x; x(0) = q^2; param k = 0.7, q = 3")
    times = np.array([0.0, 0.5, 1.0, 2.5])
    for method in ("tsit5", "rodas5p", "auto"):
        sol = m.solve((0, 2.5), method=method, rtol=1e-10, atol=1e-12, saveat=times, sensitivities=["k", "q", "x(0)"])
        decay = np.exp(-0.7 * times)
        exact = np.stack([-9 * times * decay, 6 * decay, decay], axis=-1)
        np.testing.assert_allclose(sol.sensitivities[:, 0], exact, rtol=1e-7, atol=1e-9)
        assert sol.sensitivity_names == ("k", "q", "x(0)")


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_lotka_volterra(method: str) -> None:
    m = sd.model(LOTKA_VOLTERRA)
    names, saveat = ["a", "b", "c", "d", "x0", "y(0)"], [1.0, 3.3, 10.0]
    sol = m.solve((0, 10), method=method, rtol=1e-10, atol=1e-10, saveat=saveat, sensitivities=names)
    p = {"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0, "x0": 1.0}
    exact = differences(m, (0, 10), names, saveat, p, {"y": 1.0}, atol=1e-13, method="tsit5")
    np.testing.assert_allclose(sol.sensitivities, exact, rtol=1e-6, atol=1e-7)
    assert sol.sensitivities.shape == (3, 2, 6)


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_derivative_of_the_computed_steps(method: str) -> None:
    # with steps held fixed, sensitivities are the derivative of what was computed, at any tolerance
    m = sd.model("x' = -x*y*a + sin(b*t); y' = x - 0.3*y^2 + cos(2*t)*x*b; x(0) = 1; y(0) = 0.5; param a = 1, b = 1.3")
    options = {"method": method, "rtol": 1e6, "atol": 1e6, "dt0": 0.25, "dtmax": 0.25, "saveat": [0.6, 1.1, 2.0]}
    sol = m.solve((0, 2), sensitivities=["a", "b", "x(0)"], **options)
    p, u0 = {"a": 1.0, "b": 1.3}, {"x": 1.0}
    exact = differences(m, (0, 2), ["a", "b", "x(0)"], options.pop("saveat"), p, u0, **options)
    np.testing.assert_allclose(sol.sensitivities, exact, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("method", ["auto", "rodas5p"])
def test_robertson(method: str) -> None:
    m = sd.model("r = k1*y1 - k3*y2*y3; y1' = -r; y2' = r - k2*y2^2; y3' = k2*y2^2; param k1, k2, k3")
    p, u0 = {"k1": 0.04, "k2": 3e7, "k3": 1e4}, {"y1": 1.0, "y2": 0.0, "y3": 0.0}
    names, saveat = ["k1", "k2", "k3", "y1(0)"], [0.4, 40.0, 4e3]
    sol = m.solve((0, 4e3), u0, p, method=method, rtol=1e-8, atol=1e-14, saveat=saveat, sensitivities=names)
    exact = differences(m, (0, 4e3), names, saveat, p, u0, atol=1e-18)
    scale = np.abs(exact).max(axis=0)
    assert np.max(np.abs(sol.sensitivities - exact) / scale) < 1e-5


def test_states_are_the_same_with_and_without() -> None:
    m = sd.model(LOTKA_VOLTERRA)
    plain = m.solve((0, 10), rtol=1e-7, atol=1e-7, method="tsit5")
    with_columns = m.solve((0, 10), rtol=1e-7, atol=1e-7, sensitivities=True)
    np.testing.assert_allclose(plain.u, with_columns.u, rtol=1e-8)  # rounding moves step sizes
    assert with_columns.sensitivities.shape == (len(plain.t), 2, 5)
    assert plain.sensitivities is None


def test_given_initial_values_do_not_depend_on_parameters() -> None:
    m = sd.model(LOTKA_VOLTERRA)
    sol = m.solve((0, 1), {"x": 1.0}, saveat=[1.0], sensitivities=["x0", "x(0)"])
    assert np.all(sol.sensitivities[0, :, 0] == 0) and np.all(sol.sensitivities[0, :, 1] != 0)


def test_backwards_and_unknown_names() -> None:
    m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
    sol = m.solve((2, 0), rtol=1e-10, atol=1e-12, saveat=[1.0, 0.0], sensitivities="k")
    np.testing.assert_allclose(sol.sensitivities[:, 0, 0], [np.e, 2 * np.e**2], rtol=1e-7)
    with pytest.raises(UnknownNameError, match="did you mean"):
        sd.model(LOTKA_VOLTERRA).solve((0, 1), sensitivities=["x0", "y(1)"])
