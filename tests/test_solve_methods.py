"""Tsit5 and Rodas5P: order, published end values, agreement with scipy, switching between them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.solve.methods import tsit5

LOTKA_VOLTERRA = """
x' = a*x - b*x*y
y' = -c*y + d*x*y
x(0) = 1; y(0) = 1
param a = 1.5, b = 1, c = 3, d = 1
"""
ROBER = """
@ode_def begin
  dy1 = -k1*y1 + k3*y2*y3
  dy2 = k1*y1 - k2*y2^2 - k3*y2*y3
  dy3 = k2*y2^2
end k1 k2 k3
"""
ROBER_P, ROBER_U0 = [0.04, 3e7, 1e4], [1.0, 0.0, 0.0]
VDP = "x' = y; y' = mu*(1 - x^2)*y - x; x(0) = 2; y(0) = 0; param mu = 1000"


# ---------------------------------------------------------------- order conditions of the tableau

# Butcher's order conditions up to order five: trees as nested tuples.
TREES = {
    1: [()],
    2: [((),)],
    3: [((), ()), (((),),)],
    4: [((), (), ()), ((), ((),)), (((), ()),), ((((),),),)],
    5: [
        ((), (), (), ()),
        ((), (), ((),)),
        ((), ((), ())),
        ((), (((),),)),
        (((),), ((),)),
        (((), (), ()),),
        (((), ((),)),),
        ((((), ()),),),
        (((((),),),),),
    ],
}


def order_of(tree: tuple) -> int:
    return 1 + sum(map(order_of, tree))


def density(tree: tuple) -> int:
    result = order_of(tree)
    for branch in tree:
        result *= density(branch)
    return result


def weight(tree: tuple, a: np.ndarray) -> np.ndarray:
    result = np.ones(len(a))
    for branch in tree:
        result = result * (a @ weight(branch, a))
    return result


def test_tsit5_order_conditions() -> None:
    a, b = tsit5.TABLEAU, tsit5.TABLEAU[6]
    assert a.sum(axis=1) == pytest.approx(tsit5.NODES, abs=1e-14)
    for order, trees in TREES.items():
        for tree in trees:
            assert b @ weight(tree, a) == pytest.approx(1 / density(tree), abs=4e-14), (order, tree)
    embedded = b - np.array(tsit5.E)
    errors = {o: max(abs(embedded @ weight(t, a) - 1 / density(t)) for t in trees) for o, trees in TREES.items()}
    assert max(errors[o] for o in (1, 2, 3, 4)) < 5e-14 and errors[5] > 1e-5


def test_tsit5_interpolant_order_conditions() -> None:
    a = tsit5.TABLEAU
    for theta in (0.1, 0.37, 0.5, 0.9, 1.0):
        b = tsit5.INTERPOLANT @ np.array([theta**q for q in (1, 2, 3, 4)])
        for order in (1, 2, 3, 4):
            for tree in TREES[order]:
                assert b @ weight(tree, a) == pytest.approx(theta**order / density(tree), abs=1e-13)


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_convergence_order(method: str) -> None:
    m = sd.model("x' = -x*y + sin(t); y' = x - 0.3*y^2 + cos(2*t)*x; x(0) = 1; y(0) = 0.5")

    def f(t: float, u: np.ndarray) -> list[float]:
        return [-u[0] * u[1] + np.sin(t), u[0] - 0.3 * u[1] ** 2 + np.cos(2 * t) * u[0]]

    times = np.linspace(0, 2, 101)
    exact = solve_ivp(f, (0, 2), [1, 0.5], "DOP853", times, rtol=1e-13, atol=1e-15).y.T
    ends, between = [], []
    for steps in (20, 40):
        h = 2 / steps
        sol = m.solve((0, 2), method=method, rtol=1e6, atol=1e6, dt0=h, dtmax=h)
        assert len(sol.t) == steps + 1
        ends.append(np.abs(sol.u[-1] - exact[-1]).max())
        between.append(np.abs(sol(times) - exact).max())
    assert np.log2(ends[0] / ends[1]) > 4.8
    assert np.log2(between[0] / between[1]) > 4.8  # a fourth-order interpolant has local error h^5


# ---------------------------------------------------------------- published end values

# Test Set for Initial Value Problem Solvers (F. Mazzia, C. Magherini, University of Bari, 2008); values recomputed in
# quadruple precision.  HIRES, OREGO, ROBER, VDPOL, Chemical Akzo Nobel written as an ODE.
HIRES = """
y1' = -k1*y1 + k2*y2 + k6*y3 + oks
y2' = k1*y1 - (k2 + k3)*y2
y3' = -(k6 + k1)*y3 + k2*y4 + k5*y5
y4' = k3*y2 + k1*y3 - (k4 + k2)*y4
y5' = -(k5 + k1)*y5 + k2*(y6 + y7)
y6' = -k7*y6*y8 + k8*y4 + k1*y5 - k2*y6 + k8*y7
y7' = k7*y6*y8 - (k2 + k8 + k9)*y7
y8' = -k7*y6*y8 + (k2 + k8 + k9)*y7
param k1 = 1.71, k2 = 0.43, k3 = 8.32, k4 = 0.69, k5 = 0.035, k6 = 8.32, k7 = 280, k8 = 0.69, k9 = 0.69, oks = 0.0007
"""
OREGO = """
y1' = 77.27*(y2 + y1 - y1*y2 - 8.375e-6*y1^2)
y2' = (y3 - (1 + y1)*y2)/77.27
y3' = 0.161*(y1 - y3)
"""
AKZO = """
r1 = 18.7*y1^4*sqrt(y2); r2 = 0.58*y3*y4; r3 = 0.58/34.4*y1*y5; r4 = 0.09*y1*y4^2
r5 = 0.42*(115.83*y1*y4)^2*sqrt(y2); fin = 3.3*(0.9/737 - y2)
y1' = -2*r1 + r2 - r3 - r4
y2' = -0.5*r1 - r4 - 0.5*r5 + fin
y3' = r1 - r2 + r3
y4' = -r2 + r3 - 2*r4
y5' = r2 - r3 + r5
"""
REFERENCE = {
    "hires": (
        HIRES,
        [1, 0, 0, 0, 0, 0, 0, 0.0057],
        321.8122,
        [
            7.371312573325667e-4, 1.4424857263161848e-4, 5.888729740967575e-5, 1.175651343283149e-3,
            2.3863561988313304e-3, 6.2389682527427956e-3, 2.8499983951857685e-3, 2.8500016048142313e-3,
        ],
    ),
    "orego": (OREGO, [1, 2, 3], 360.0, [1.0008148703185227, 1228.178521549888, 132.05549428465082]),
    "rober": (ROBER, ROBER_U0, 1e11, [2.083340149701294e-8, 8.333360770334784e-14, 0.9999999791665152]),
    "vdpol": (VDP, [2, 0], 2000.0, [1.706167732170465, -0.0008928097010248166]),
    "akzo": (
        AKZO,
        [0.444, 0.00123, 0, 0.007, 0],
        180.0,
        [0.11507949206617021, 0.001203831471567715, 0.16115628874079743, 3.656156421249283e-4, 0.017080108852644042],
    ),
}  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "rodas5p"])
@pytest.mark.parametrize("name", REFERENCE)
def test_stiff_reference_values(name: str, method: str) -> None:
    text, u0, t1, exact = REFERENCE[name]
    p = ROBER_P if name == "rober" else None
    sol = sd.model(text).solve((0, t1), u0, p, method=method, rtol=1e-9, atol=1e-15, saveat=[t1])
    assert sol.success
    np.testing.assert_allclose(sol.u[-1], exact, rtol=2e-6 if name == "rober" else 1e-7)
    assert sol.stats["steps"] < 15_000


def test_pleiades() -> None:
    # Seven bodies in the plane: E. Hairer et al., Solving Ordinary Differential Equations I, II.10.
    lines = []
    for i in range(1, 8):
        for q in "xy":
            pulls = [f"{j}*({q}{j} - {q}{i})/((x{i} - x{j})^2 + (y{i} - y{j})^2)^1.5" for j in range(1, 8) if j != i]
            lines.append(f"{q}{i}'' = " + " + ".join(pulls))
    m = sd.model("\n".join(lines))
    place = {"x": [3, 3, -1, -3, 2, -2, 2], "y": [3, -3, 2, 0, 0, -4, 4]}
    speed = {"x": [0, 0, 0, 0, 0, 1.75, -1.5], "y": [0, 0, 0, -1.25, 1, 0, 0]}
    u0 = {f"{q}{i}{s}": v[q][i - 1] for q in "xy" for s, v in (("", place), ("'", speed)) for i in range(1, 8)}
    sol = m.solve((0, 3), u0, method="auto", rtol=1e-11, atol=1e-11)
    assert sol.stats["rodas5p_steps"] == 0

    def f(t: float, u: np.ndarray) -> np.ndarray:
        x, y, vx, vy = u.reshape(4, 7)
        dx, dy = x[None] - x[:, None], y[None] - y[:, None]
        r3 = (dx**2 + dy**2 + np.eye(7)) ** 1.5
        mass = np.arange(1, 8)
        return np.concatenate([vx, vy, (mass * dx / r3).sum(1), (mass * dy / r3).sum(1)])

    start = np.concatenate([place["x"], place["y"], speed["x"], speed["y"]]).astype(float)
    end = solve_ivp(f, (0, 3), start, "DOP853", rtol=1e-13, atol=1e-13).y[:14, -1]
    ours = [sol[f"{q}{i}"][-1] for q in "xy" for i in range(1, 8)]
    np.testing.assert_allclose(ours, end, rtol=1e-6)
    # the value printed in the book for x1
    assert ours[0] == pytest.approx(0.3706139143970502, rel=1e-6)


def test_robertson_at_ordinary_tolerance() -> None:
    m = sd.model(ROBER)
    end = m.solve((0, 1e5), ROBER_U0, ROBER_P, rtol=1e-12, atol=1e-18, method="rodas5p", saveat=[1e5]).u[-1]

    def f(t: float, u: np.ndarray) -> list[float]:
        r = 0.04 * u[0] - 1e4 * u[1] * u[2]
        return [-r, r - 3e7 * u[1] ** 2, 3e7 * u[1] ** 2]

    other = solve_ivp(f, (0, 1e5), ROBER_U0, "Radau", rtol=1e-11, atol=1e-16).y[:, -1]
    np.testing.assert_allclose(end, other, rtol=1e-7)
    sol = m.solve((0, 1e5), ROBER_U0, ROBER_P, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(sol.u[-1], end, rtol=1e-5)
    assert sol.stats["switches"] == 1 and sol.stats["steps"] < 150


# ---------------------------------------------------------------- choosing between the two


@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-6, 1e-8, 1e-10])
def test_lotka_volterra_stays_explicit(rtol: float) -> None:
    sol = sd.model(LOTKA_VOLTERRA).solve((0, 50), rtol=rtol, atol=rtol)
    assert sol.success and sol.stats["switches"] == 0 and sol.stats["rodas5p_steps"] == 0


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_van_der_pol_switches_without_thrashing(rtol: float) -> None:
    m = sd.model(VDP)
    auto = m.solve((0, 2000), rtol=rtol, atol=rtol)
    stiff = m.solve((0, 2000), rtol=rtol, atol=rtol, method="rodas5p")
    assert auto.success and 1 <= auto.stats["switches"] <= 12
    assert auto.stats["factorisations"] <= stiff.stats["factorisations"]
    assert auto.stats["f_evaluations"] <= 1.5 * stiff.stats["f_evaluations"]
    assert sd.model(VDP).solve((0, 2000), method="tsit5", max_steps=20_000).status.name == "MAX_STEPS"


# ---------------------------------------------------------------- agreement with scipy


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.floats(-11, -2),
    st.floats(-12, -3),
    st.sampled_from(["auto", "tsit5", "rodas5p"]),
    st.floats(0.5, 20),
    st.booleans(),
)
def test_random_tolerances(log_rtol: float, log_atol: float, method: str, t1: float, backward: bool) -> None:
    m = sd.model(LOTKA_VOLTERRA)
    rtol, atol = 10**log_rtol, 10**log_atol
    span = (t1, 0.0) if backward else (0.0, t1)
    sol = m.solve(span, method=method, rtol=rtol, atol=atol, max_steps=200_000)
    assert sol.success and sol.t[-1] == span[1]
    assert np.isfinite(sol.u).all()
    # the conserved quantity of the model
    x, y = sol.u.T
    invariant = x - 3 * np.log(x) + y - 1.5 * np.log(y)
    assert np.abs(invariant - invariant[0]).max() < 1e3 * (rtol + atol) * (1 + t1) + 1e-11
    middle = 0.5 * (sol.t[1:] + sol.t[:-1])
    x, y = sol(middle).T
    assert np.abs(x - 3 * np.log(x) + y - 1.5 * np.log(y) - invariant[0]).max() < 5e3 * (rtol + atol) * (1 + t1) + 1e-11


def test_diffusion_against_its_modes() -> None:
    # u' = 400 (u[i-1] - 2 u[i] + u[i+1]), two modes that decay at known rates
    n, k = 60, np.array([1, 5])
    place = np.pi * np.arange(1, n + 1) / (n + 1)
    right = [f"u{i + 1}" if i < n - 1 else "0" for i in range(n)]
    left = [f"u{i - 1}" if i else "0" for i in range(n)]
    m = sd.model("\n".join(f"u{i}' = 400*({left[i]} - 2*u{i} + {right[i]})" for i in range(n)))
    modes = np.array([1, 0.3])[:, None] * np.sin(k[:, None] * place)
    rates = 800 * (np.cos(np.pi * k / (n + 1)) - 1)
    for method, rtol in (("auto", 1e-5), ("rodas5p", 1e-9)):
        sol = m.solve((0, 1), modes.sum(0), method=method, rtol=rtol, atol=1e-3 * rtol, saveat=[0.1, 1.0])
        exact = [np.exp(rates * t) @ modes for t in (0.1, 1.0)]
        np.testing.assert_allclose(sol.u, exact, atol=10 * rtol)
        assert sol.stats["rodas5p_steps"] > 0


def test_rational_nodes_are_the_published_ones() -> None:
    assert [Fraction(c).limit_denominator(1000) for c in tsit5.C[:4]] == [
        Fraction(0), Fraction(161, 1000), Fraction(327, 1000), Fraction(9, 10),
    ]  # fmt: skip
    assert list(itertools.pairwise(tsit5.C[4:])) == [(tsit5.C[4], 1.0), (1.0, 1.0)]
