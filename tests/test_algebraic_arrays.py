"""Algebraic equations over the elements of arrays, against linear algebra and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.sparse import diags, eye, kron
from scipy.sparse.linalg import spsolve

import sciml_dsl as sd

POISSON = """
    const N = 21, h = 1/20
    x' = -u[11]
    0 = (u[i-1] - 2*u[i] + u[i+1])/h^2 - x for i in 2..N-1
    0 = u[1]
    0 = u[N] - a
    x(0) = 2
    param a = 1
"""
FILM = """
    const N = 12
    c[i]' = D*N^2*(c[i-1] - 2*c[i] + c[i+1]) - k*z[i] for i in 2..N-1
    0 = c[1] - c[2];  0 = c[N] - 1                     # no flux, and a bath
    0 = z[i] + z[i]^3 - c[i] for i in 1..N
    c[i](0) = 1 for i in 1..N
    param D = 0.05, k = 2
"""


def test_a_boundary_value_problem_inside_an_equation():
    """u'' = x on a line: u(1/2) = a/2 - x/8 exactly, on any grid."""
    m = sd.model(POISSON)
    assert m.arrays == {"u": (21,)} and len(m.algebraic) == 21
    sol = m.solve((0, 3), saveat=[0.0, 3.0], rtol=1e-10, atol=1e-12, sensitivities=["a"])
    s = np.linspace(0, 1, 21)
    x = 4 + (2 - 4) * np.exp(sol.t / 8)  # x' = -(a/2 - x/8)
    assert sol["x"] == pytest.approx(x, rel=1e-8)
    assert sol["u"] == pytest.approx(s + np.outer(x, s * (s - 1) / 2), abs=1e-8)
    assert sol.sensitivities[1, 0, 0] == pytest.approx(4 - 4 * np.exp(3 / 8), rel=1e-7)


def test_they_stay_loops_in_print_and_are_the_same_model_again():
    for text in (POISSON, FILM):
        m = sd.model(text)
        assert sd.model(str(m)) == m
        assert " for i in 2..20" in str(m) or " for i in 1..12" in str(m)
    assert "0 = (u[i-1] - 2*u[i] + u[i+1])/h^2 - x for i in 2..20" in str(sd.model(POISSON))
    assert "0 &=" in sd.model(POISSON).code("latex")


def test_rows_of_an_array_may_be_of_either_kind():
    """Diffusion with reaction in a film, the boundary rows algebraic, against an ODE with everything eliminated."""
    m = sd.model(FILM)
    assert m.states[:2] == ("c[1]", "c[2]") and m.algebraic[:2] == ("c[1]", "c[12]")

    def slope(t, inner):
        c = np.concatenate([inner[:1], inner, [1.0]])
        z = np.array([max(np.roots([1, 0, 1, -v]).real[np.abs(np.roots([1, 0, 1, -v]).imag) < 1e-9]) for v in c])
        return 0.05 * 144 * (c[:-2] - 2 * c[1:-1] + c[2:]) - 2 * z[1:-1]

    exact = solve_ivp(slope, (0, 0.5), np.ones(10), method="LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
    sol = m.solve((0, 0.5), saveat=[0.5], rtol=1e-9, atol=1e-11)
    assert sol["c"][0, 1:-1] == pytest.approx(exact, abs=1e-7)
    assert sol["z"][0] + sol["z"][0] ** 3 == pytest.approx(sol["c"][0], abs=1e-10)


def test_two_dimensions():
    """A potential on a square whose source changes, against scipy's sparse solver."""
    m = sd.model("""
        const N = 9
        q' = -q
        0 = 4*u[i,j] - u[i-1,j] - u[i+1,j] - u[i,j-1] - u[i,j+1] - q*i for i in 2..N-1, j in 2..N-1
        0 = u[1,j] for j in 1..N;  0 = u[N,j] for j in 1..N
        0 = u[i,1] for i in 2..N-1;  0 = u[i,N] for i in 2..N-1
        q(0) = 1
    """)
    sol = m.solve((0, 1), saveat=[1.0], rtol=1e-10, atol=1e-12)
    one = diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(7, 7))
    source = np.exp(-1.0) * np.repeat(np.arange(2.0, 9.0), 7)
    exact = spsolve((kron(one, eye(7)) + kron(eye(7), one)).tocsc(), source).reshape(7, 7)
    assert sol["u"][0, 1:-1, 1:-1] == pytest.approx(exact, abs=1e-8)


def test_a_pressure_that_keeps_a_chain_moving_together():
    """The equations hold no pressure: index 2.  All move with the mean force, (N + 1)/2."""
    m = sd.model("""
        const N = 6
        v[1]' = 1 - p[1];  v[i]' = i - p[i] + p[i-1] for i in 2..N-1;  v[N]' = N + p[N-1]
        0 = v[i+1] - v[i] for i in 1..N-1
        v[i](0) = 2 for i in 1..N
    """)
    assert m.algebraic == tuple(f"p[{i}]" for i in range(1, 6))
    sol = m.solve((0, 1), saveat=[1.0], rtol=1e-10, atol=1e-12)
    assert sol["v"][0] == pytest.approx(np.full(6, 5.5), rel=1e-9)
    assert sol["p"][0, 0] == pytest.approx(1 - 3.5, rel=1e-8)


def test_sums_and_scalar_unknowns_among_them():
    m = sd.model("""
        const N = 4
        0 = p[i+1] - p[i] - λ*i for i in 1..N-1
        0 = sum(p)
        0 = λ + λ^3 - x
        x' = -λ;  x(0) = 2
    """)
    sol = m.solve((0, 1), rtol=1e-10, atol=1e-12)
    steps = sol["λ"][:, None] * np.array([0, 1, 3, 6])
    assert sol["p"] == pytest.approx(steps - steps.mean(axis=1, keepdims=True), abs=1e-8)


def test_ranges_with_a_step():
    m = sd.model("0 = u[i] - x for i in 1..2..5; 0 = u[i] + i*x for i in 2..2..4; x' = -x; x(0) = 1")
    assert m.solve((0, 1), saveat=[0.0])["u"][0] == pytest.approx([1, -2, 1, -4, 1])
    assert sd.model(str(m)) == m


def test_guesses_and_values_go_in_by_the_name_of_the_array():
    m = sd.model("0 = z[i]^2 - x - i for i in 1..3; x' = -x; x(0) = 1; z(0) = -1")
    assert m.solve((0, 1), saveat=[0.0])["z"][0] == pytest.approx(-np.sqrt([2, 3, 4]))
    assert m.solve((0, 1), saveat=[0.0], u0={"z": [1, -1, 1]})["z"][0] == pytest.approx(np.sqrt([2, 3, 4]) * [1, -1, 1])


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_generated_files_of_them(target):
    m = sd.model(FILM)
    names: dict[str, object] = {}
    exec(compile(m.code(target), "generated", "exec"), names)
    assert [float(v) for v in names["MASS"]] == [float(s not in m.algebraic) for s in m.states]
    u = np.linspace(0.2, 1.0, 24)
    there = np.array(names["f"](0.0, u, np.array([0.05, 2.0])))
    assert there == pytest.approx(m.rhs("native")(0.0, u, np.array([0.05, 2.0])), rel=1e-12)
    assert there[0] == pytest.approx(u[0] - u[1])


def test_a_fit_through_an_array():
    m = sd.model(FILM)
    t = np.linspace(0, 0.5, 8)
    data = m.solve((0, 0.5), p={"D": 0.08, "k": 3.0}, saveat=t, rtol=1e-9, atol=1e-11)
    f = m.fit({"t": t, "c[2]": data["c[2]"], "z[6]": data["z[6]"]})
    assert [f.p["D"], f.p["k"]] == pytest.approx([0.08, 3.0], rel=1e-5)


def test_many_unknowns_by_sparse_linear_algebra():
    """The same numbers as a small grid gives where the solution does not depend on it."""
    m = sd.model(POISSON.replace("N = 21, h = 1/20", "N = 1001, h = 1/1000").replace("u[11]", "u[501]"))
    sol = m.solve((0, 3), saveat=[0.0, 1.0, 3.0], rtol=1e-9, atol=1e-11)
    x = 4 - 2 * np.exp(sol.t / 8)
    s = np.linspace(0, 1, 1001)
    assert sol["x"] == pytest.approx(x, rel=1e-6)
    assert sol["u"] == pytest.approx(s + np.outer(x, s * (s - 1) / 2), abs=1e-6)
    cubic = sd.model("const N = 100; 0 = z[i]^3 + z[i] - x*i for i in 1..N; x' = -z[1]; x(0) = 3")
    z = cubic.solve((0, 1), saveat=[0.0, 1.0])
    assert z["z"] ** 3 + z["z"] == pytest.approx(np.outer(z["x"], np.arange(1, 101)), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("0 = u[i-1] - u[i] for i in 2..3; x' = u[1]", sd.ModelError, "3 elements of `u` without an equation"),
        ("0 = x - 1 for i in 1..3; x' = z", sd.ModelError, "without an unknown element"),
        ("0 = x - u[1] for i in 1..3; x' = 1", sd.ModelError, "1 element of `u` without"),
        ("0 = u[i]' - u[i] for i in 1..3", sd.NameModelError, "is no state"),
        ("0 = u[i] - w[i,1] for i in 1..3; x' = u[1]; 0 = w[i] for i in 1..3", sd.ModelError, "subscripts"),
        ("0 = u[k] - 1 for i in 1..3; x' = u[1]", sd.NameModelError, "`k` is not defined"),
        ("u[i]'' = 1 for i in 2..3; 0 = u[1]", sd.ModelError, "higher order"),
    ],
)
def test_errors(text, error, says):
    with pytest.raises(error) as caught:
        sd.model(text)
    assert says in str(caught.value)


def test_arrays_too_large_to_be_written_out_say_so():
    m = sd.model(POISSON.replace("N = 21, h = 1/20", "N = 6001, h = 1/6000"))
    with pytest.raises(sd.UnsupportedError, match="5,000"):
        m.solve((0, 1))
