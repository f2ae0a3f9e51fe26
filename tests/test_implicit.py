"""Equations that are not solved for one derivative: what they become, and solutions against scipy and formulas."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import sciml_dsl as sd
from sciml_dsl.language.parse import parse
from sciml_dsl.model.implicit import _cramer
from sciml_dsl.model.sympy_expr import to_sympy


def test_two_derivatives_in_two_linear_equations():
    m = sd.model("x' + 2*y' = -x; x' - y' = y; x(0) = 1; y(0) = 2")
    assert m.states == ("x", "y") and not m.algebraic
    exact = expm(np.linalg.solve([[1, 2], [1, -1]], [[-1, 0], [0, 1]]) * 1.5) @ [1, 2]
    assert m.solve((0, 1.5), rtol=1e-10, atol=1e-12).u[-1] == pytest.approx(exact, rel=1e-9)
    assert m.solve((0, 1.5), method="tsit5", rtol=1e-9, atol=1e-11).success  # an ordinary equation like any other
    assert sd.model(str(m)) == m


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("m*x'' + c*y'' = -x; c*x'' + y'' = -y; param m = 2, c = 0.3", ("x", "x'", "y", "y'")),
        ("m*d²x/dt² + c*d²y/dt² = -x; c*d²x/dt² + d²y/dt² = -y; param m = 2, c = 0.3", ("x", "x'", "y", "y'")),
        ("x'' = (-x - c*y'')/m; y'' = -y - c*x''; param m = 2, c = 0.3", ("x", "x'", "y", "y'")),
    ],
)
def test_coupled_oscillators(text, states):
    m = sd.model(text + "; x(0) = 1; x'(0) = 0; y(0) = 0; y'(0) = 0")
    assert m.states == states
    stiffness = np.linalg.inv([[2, 0.3], [0.3, 1]])
    exact = expm(np.block([[np.zeros((2, 2)), np.eye(2)], [-stiffness, np.zeros((2, 2))]]) * 2.0) @ [1, 0, 0, 0]
    sol = m.solve((0, 2), rtol=1e-10, atol=1e-12)
    assert [sol["x"][-1], sol["y"][-1], sol["x'"][-1], sol["y'"][-1]] == pytest.approx(exact, abs=1e-8)


def test_coefficients_may_depend_on_states_and_states_keep_the_order_of_the_text():
    m = sd.model("x' + y*y' = -x; z' = y'; x' - y' = y; x(0) = 1; y(0) = 2; z(0) = 0")
    assert m.states == ("x", "y", "z")
    x, y = sympy.symbols("x y")
    assert sympy.simplify(m.equations["x"] - (y * y - x) / (1 + y)) == 0
    assert sympy.simplify(m.equations["y"] - (-x - y) / (1 + y)) == 0
    assert sympy.simplify(m.equations["z"] - m.equations["y"]) == 0


def test_a_derivative_that_has_an_equation_is_put_in():
    m = sd.model("x' + y' = 1; y' = -k*y; param k = 2")
    assert m.states == ("x", "y")
    assert str(m.equations["x"]) == "k*y + 1"
    assert sd.model("x' = y' + 1; y' = -2*y").equations["x"] == sd.model("x' = -2*y + 1; y' = -2*y").equations["x"]


def test_notations_may_be_mixed():
    a = sd.model("C*dV/dt + dw/dt = I; d(w)/dt - V' = a*w; param C = 2, I = 1, a = 0.5")
    b = sd.model("C*V' + w' = I; w' - V' = a*w; param C = 2, I = 1, a = 0.5")
    assert a == b and a.states == ("V", "w")
    assert sd.model("C*V'(t) + w'(t) = I; w'(t) - V'(t) = a*w(t); param C = 2, I = 1, a = 0.5") == b


def test_an_equation_nonlinear_in_its_derivative_is_solved_for_it():
    """x'^2 + x^2 = 1 from either root: x = sin(t), x = -sin(t)."""
    for sign in (1, -1):
        m = sd.model(f"x'^2 + x^2 = 1; x(0) = 0; x'(0) = {sign}")
        assert m.algebraic == ("x'",)
        sol = m.solve((0, 1.2), saveat=0.4, rtol=1e-10, atol=1e-12)
        assert sol["x"] == pytest.approx(sign * np.sin(sol.t), abs=1e-9)
        assert sol["x'"] == pytest.approx(sign * np.cos(sol.t), abs=1e-9)
    m = sd.model("exp(x') + x' = k*x; x(0) = 2; param k = 1")
    sol = m.solve((0, 1), rtol=1e-10, atol=1e-12, saveat=0.25, sensitivities=True)
    assert np.exp(sol["x'"]) + sol["x'"] == pytest.approx(sol["x"], rel=1e-9)


def test_derivatives_in_each_others_functions():
    m = sd.model("x' = cos(y'); y' = sin(x') + y; x(0) = 0; y(0) = 0")
    assert set(m.algebraic) == {"x'", "y'"}
    sol = m.solve((0, 0.5), rtol=1e-9, atol=1e-11)
    assert sol["x'"] == pytest.approx(np.cos(sol["y'"]), abs=1e-8)
    assert sol["y'"] == pytest.approx(np.sin(sol["x'"]) + sol["y"], abs=1e-8)
    assert sd.model(str(m)) == m


def test_blocks_too_large_for_cramers_rule_are_left_to_the_solver():
    n = 6
    rows = "\n".join(" + ".join(f"{1 + (i == j) * 5}*x{j}'" for j in range(n)) + f" = -x{i}" for i in range(n))
    m = sd.model(rows + "\n" + "\n".join(f"x{i}(0) = {i + 1}" for i in range(n)))
    assert len(m.algebraic) == n
    mass = np.ones((n, n)) + 5 * np.eye(n)
    exact = expm(-np.linalg.inv(mass)) @ np.arange(1, n + 1)
    sol = m.solve((0, 1), rtol=1e-10, atol=1e-12)
    assert [sol[f"x{i}"][-1] for i in range(n)] == pytest.approx(exact, rel=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.data())
def test_cramers_rule_solves_random_systems(size, data):
    numbers = st.integers(-3, 3)
    matrix = [[data.draw(numbers) for _ in range(size)] for _ in range(size)]
    right = [data.draw(numbers) for _ in range(size)]
    names = [f"d{j}" for j in range(size)]
    rows = []
    for row, b in zip(matrix, right, strict=True):
        terms = " + ".join(f"({a})*k*{name}" for a, name in zip(row, names, strict=True))
        rows.append(parse(f"r = {terms} - ({b})*s/2").statements[0].expr)
    if np.linalg.matrix_rank(matrix) < size:
        return
    found = _cramer([(row, row.span) for row in rows], names)
    k, s = sympy.symbols("k s")
    expected = sympy.Matrix(matrix).LUsolve(sympy.Matrix(right)) * s / (2 * k)
    for name, value in zip(names, expected, strict=True):
        assert sympy.simplify(to_sympy(found[name]) - value) == 0


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("x' + 2*y' = -x", sd.ModelError, "1 equation for 2 derivatives (`x'`, `y'`)"),
        ("x' + 2*y' = -x; 2*x' + 4*y' = y", sd.ModelError, "depend on each other"),
        ("x' = -x; y' = x; x' + y' = 1", sd.ModelError, "repeats or contradicts"),
        ("x' = -x; x'' + y'' = 1", sd.ModelError, "is one for `x'`"),
        ("x' + y' + z' = 1; x' - y' = 2; z' = 1; x' = 3", sd.ModelError, "2 equations for 1 derivative (`y'`)"),
        ("u[i]' + u[i+1]' = 1 for i in 1..3", sd.SyntaxModelError, "u[i]' = ..."),
        ("u[1]' + u[2]' = 1", sd.SyntaxModelError, "elements of arrays"),
    ],
)
def test_errors(text, error, says):
    with pytest.raises(error) as caught:
        sd.model(text)
    assert says in str(caught.value)


def test_a_fit_finds_parameters_of_coupled_derivatives():
    t = np.linspace(0, 2, 15)
    m = sd.model("x' + a*y' = -x; y' - b*x' = y; x(0) = 1; y(0) = 0.5; param a = 1, b = 1")
    data = m.solve((0, 2), p={"a": 0.4, "b": 1.7}, saveat=t, rtol=1e-9, atol=1e-11)
    f = m.fit({"t": t, "x": data["x"], "y": data["y"]})
    assert [f.p["a"], f.p["b"]] == pytest.approx([0.4, 1.7], rel=1e-5)
