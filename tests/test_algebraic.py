"""Algebraic equations: what they determine, index reduction, consistent starts, and solutions against known ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.graph.build import lower
from sciml_dsl.graph.evaluate import values
from sciml_dsl.graph.graph import Graph
from sciml_dsl.graph.system import System
from sciml_dsl.solve.methods.registry import METHODS
from sciml_dsl.structure.pantelides import reduce_index
from sciml_dsl.structure.selection import _determinant, choose

PENDULUM = """
    model Pendulum
    x'' = -λ*x
    y'' = -λ*y - g
    0 = x^2 + y^2 - L^2
    x(0) = 1; x'(0) = 0
    y(0) = 0; y'(0) = 0
    param L = 1, g = 9.81
"""
AKZO = """
    r1 = k1*y1^4*sqrt(y2); r2 = k2*y3*y4; r3 = k2/K*y1*y5; r4 = k3*y1*y4^2; r5 = k4*y6^2*sqrt(y2)
    inflow = klA*(p/H - y2)
    y1' = -2*r1 + r2 - r3 - r4
    y2' = -0.5*r1 - r4 - 0.5*r5 + inflow
    y3' = r1 - r2 + r3
    y4' = -r2 + r3 - 2*r4
    y5' = r2 - r3 + r5
    0 = Ks*y1*y4 - y6
    y1(0) = 0.444; y2(0) = 0.00123; y3(0) = 0; y4(0) = 0.007; y5(0) = 0
    param k1 = 18.7, k2 = 0.58, k3 = 0.09, k4 = 0.42, K = 34.4, klA = 3.3, Ks = 115.83, p = 0.9, H = 737
"""
# F. Mazzia & C. Magherini, Test Set for IVP Solvers, release 2.4 (2008), problem "Chemical Akzo Nobel", t = 180
AKZO_END = [
    0.1150794920661702, 1.203831471567715e-3, 0.1611562887407974,
    3.656156421249283e-4, 1.708010885264404e-2, 4.873531310307455e-3,
]  # fmt: skip

# the same, problem "Andrews' squeezing mechanism", t = 0.03
SQUEEZER_END = [
    0.1581077119629904e2, -0.1575637105984298e2, 0.4082224013073101e-1, -0.5347301163226948, 0.5244099658805304,
    0.5347301163226948, 0.1048080741042263e1,
]  # fmt: skip
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


# ---------------------------------------------------------------- what the text says


def test_unknowns_are_what_has_neither_equation_nor_value():
    m = sd.model(PENDULUM)
    assert m.states == ("x", "x'", "y", "y'", "λ")
    assert m.algebraic == ("λ",)
    assert str(m.equations["λ"]) == "-L**2 + x**2 + y**2"
    assert sd.model(str(m)) == m
    assert "0 = x^2 + y^2 - L^2" in str(m)
    assert "0 &= x^{2}" in m.code("latex")


def test_an_implicit_derivative_makes_its_states():
    m = sd.model("0 = m*x'' + c*x' + k*x; x(0) = 1; x'(0) = 0; param m = 2, c = 0.1, k = 3")
    assert m.states == ("x", "x'", "x''")
    assert m.algebraic == ("x''",)
    assert sd.model(str(m)) == m


def test_unknowns_come_in_one_order_however_the_text_is_ordered():
    a = sd.model("0 = μ - x; 0 = λ + y; x' = λ; y' = μ; x(0) = 1; y(0) = 1")
    assert a.algebraic == ("λ", "μ")
    assert sd.model(str(a)) == a


def test_the_same_from_sympy():
    import sympy

    x, y, z, k = sympy.symbols("x y z k")
    m = sd.from_sympy({x: -k * z, y: x}, initial={x: 1, y: 0}, parameters={k: 2}, algebraic=[sympy.Eq(0, z - x**2)])
    assert m == sd.model("x' = -k*z; y' = x; 0 = z - x^2; x(0) = 1; y(0) = 0; param k = 2")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("x' = -x; 0 = x - y - z", sd.NameModelError, "2 names have neither an equation nor a value (`y`, `z`)"),
        ("x' = -x; 0 = x - 1", sd.ModelError, "nothing left to determine"),
        ("x' = -x + y; 0 = x - 1; 0 = x + y", sd.ModelError, "only `y` left to determine"),
        ("x' = -alpha*lam; 0 = x - lamb; param lambd = 1", sd.NameModelError, "did you mean `lambd`"),
        ("x' = -x; 1 = x + y", sd.SyntaxModelError, "0 on the left"),
        ("x' = z; 0 = z - x'", sd.NameModelError, "`x'` is no state"),
    ],
)
def test_errors_of_the_text(text, error, says):
    with pytest.raises(error) as caught:
        sd.model(text)
    assert says in str(caught.value)


# ---------------------------------------------------------------- structure


@pytest.mark.parametrize(
    ("text", "index", "hidden"),
    [
        ("x' = -x + z; 0 = z - x^2", 1, 0),
        ("x' = -x + z; 0 = x - sin(t)", 2, 1),
        (PENDULUM, 3, 2),
        ("z' = w + v; 0 = w - sin(z); 0 = w - cos(t)", 2, 2),  # w becomes a state, w' an unknown
        ("x' = y; y' = z; z' = u; 0 = x - sin(t)", 4, 3),
    ],
)
def test_index_and_hidden_constraints(text, index, hidden):
    reduced = reduce_index(lower(sd.model(text).spec))
    assert (reduced.index, len(reduced.hidden)) == (index, hidden)


def test_hidden_constraints_are_total_derivatives():
    """Of the pendulum, against formulas by hand at a random point."""
    system = lower(sd.model(PENDULUM).spec)
    reduced = reduce_index(system)
    x, vx, y, vy, lam = u = [0.3, -1.2, 0.8, 0.7, 2.5]
    length, g = p = [1.5, 9.81]
    nodes = [c.node for c in reduced.hidden] + [reduced.active[4].node]
    by_hand = [
        x**2 + y**2 - length**2,
        2 * x * vx + 2 * y * vy,
        2 * (vx**2 + vy**2) + 2 * x * (-lam * x) + 2 * y * (-lam * y - g),
    ]
    assert values(system.graph, nodes, 0.4, u, p) == pytest.approx(by_hand, rel=1e-13)


@pytest.mark.parametrize(
    "text", ["x' = -x; y' = w; 0 = x - 1", "x' = w + v; 0 = x - sin(t); 0 = 2*x - cos(t); y' = w + v"]
)
def test_equations_that_determine_nothing_are_refused(text):
    with pytest.raises(sd.UnsupportedError):
        sd.model(text).solve((0, 1), u0={"x": 1.0, "y": 0.0})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_determinant_without_divisions(n, seed):
    graph = Graph()
    matrix = np.random.default_rng(seed).normal(size=(n, n))
    nodes = [[graph.const(v) for v in row] for row in matrix]
    system = System("", graph, (), (), (), (), (), (), ())
    found = graph.data[_determinant(system, nodes)]
    assert found == pytest.approx(np.linalg.det(matrix), rel=1e-9, abs=1e-9)


def test_choice_of_dummies():
    near_x = np.array([[2.0, 0.0, 0.02, 0.0], [0.1, 2.0, -10.0, 0.02]])
    assert choose(near_x, np.ones(4)) in ((0, 1), (0, 2))
    with pytest.raises(np.linalg.LinAlgError):
        choose(np.array([[1.0, 2.0], [2.0, 4.0]]), np.ones(2))


# ---------------------------------------------------------------- starts


def start_of(text, **u0):
    return sd.model(text).solve((0, 1e-9), u0=u0 or None, saveat=[0.0])


def test_unknowns_and_missing_states_are_computed():
    sol = start_of(PENDULUM.replace("x(0) = 1", "x(0) = 0.6").replace("y(0) = 0;", "y(0) = -0.8;"))
    assert sol["λ"][0] == pytest.approx(9.81 * 0.8, rel=1e-12)  # -λ L² = g y at rest
    without = PENDULUM.replace("y'(0) = 0", "").replace("y(0) = 0;", "y(0) = -0.8;").replace("x(0) = 1", "x(0) = 0.6")
    sol = start_of(without)
    assert sol["y'"][0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (PENDULUM.replace("y(0) = 0;", "y(0) = 0.5;"), sd.InputError, "do not satisfy the algebraic equation"),
        (PENDULUM.replace("x'(0) = 0", "x'(0) = 1"), sd.InputError, "first derivative of the algebraic equation"),
        (PENDULUM.replace("y(0) = 0;", "").replace("x(0) = 1", "x(0) = 0.6"), sd.MissingValueError, "0.8 or -0.8"),
        (PENDULUM.replace("x'(0) = 0", "").replace("y'(0) = 0", ""), sd.MissingValueError, "leave 1 of them open"),
        ("x' = -x + z; 0 = z^2 + 1 + x^2; x(0) = 1", sd.InputError, "no solution near the guesses"),
        ("x' = -x + z; 0 = z - 2*x", sd.MissingValueError, "no initial value for `x`"),
    ],
)
def test_contradictory_or_incomplete_starts(text, error, says):
    with pytest.raises(error) as caught:
        sd.model(text).solve((0, 1))
    assert says in str(caught.value)


def test_projection_moves_to_the_nearest_point():
    m = sd.model(PENDULUM.replace("y(0) = 0;", "y(0) = 1;"))
    sol = m.solve((0, 1e-9), saveat=[0.0], initialization="project")
    assert sol.u[0, [0, 2]] == pytest.approx([math.sqrt(0.5)] * 2, rel=1e-9)
    with pytest.raises(sd.InputError, match='"check" or "project"'):
        m.solve((0, 1), initialization="guess")
    with pytest.raises(sd.InputError, match="algebraic"):
        sd.model("x' = -x; x(0) = 1").solve((0, 1), initialization="project")


# ---------------------------------------------------------------- solutions


def pendulum_truth(t, angle=math.pi / 2, speed=0.0):
    sol = solve_ivp(
        lambda t, u: [u[1], -9.81 * math.sin(u[0])], (0, t[-1]), [angle, speed], "DOP853", t, rtol=1e-13, atol=1e-13
    )
    return np.sin(sol.y[0]), -np.cos(sol.y[0]), sol.y[1] ** 2 - 9.81 * -np.cos(sol.y[0])


def test_the_cartesian_pendulum_as_written():
    """Through both sides and the bottom, where each choice of states fails once in a swing."""
    m = sd.model(PENDULUM)
    t = np.linspace(0, 10, 201)
    sol = m.solve((0, 10), saveat=t, rtol=1e-9, atol=1e-9)
    x, y, tension = pendulum_truth(t)
    assert sol.success
    assert np.abs(sol["x"] - x).max() < 2e-6 and np.abs(sol["y"] - y).max() < 2e-6
    assert np.abs(sol["λ"] - tension).max() < 1e-4
    assert np.abs(sol["x"] ** 2 + sol["y"] ** 2 - 1).max() < 1e-8
    assert np.abs(sol["x"] * sol["x'"] + sol["y"] * sol["y'"]).max() < 1e-7


def test_the_pendulum_going_over_the_top():
    fast = PENDULUM.replace("x(0) = 1; x'(0) = 0", "x(0) = 0; x'(0) = 7").replace("y(0) = 0;", "y(0) = -1;")
    t = np.linspace(0, 4, 41)
    sol = sd.model(fast).solve((0, 4), saveat=t, rtol=1e-9, atol=1e-9)
    x, y, _ = pendulum_truth(t, 0.0, 7.0)
    assert np.abs(sol["x"] - x).max() < 2e-6 and np.abs(sol["y"] - y).max() < 2e-6


def test_the_chemical_akzo_nobel_problem_as_written():
    sol = sd.model(AKZO).solve((0, 180), rtol=1e-10, atol=1e-14, saveat=[180.0])
    assert sol.success
    assert sol.u[-1] == pytest.approx(AKZO_END, rel=1e-8)


MASS_METHODS = [name for name, method in METHODS.items() if method.mass]


@pytest.mark.parametrize("method", MASS_METHODS)
def test_every_method_with_a_mass_matrix(method):
    """Akzo Nobel (index 1) and a swing of the pendulum (index 3, changing states), each to what the tolerance asks."""
    loose = method == "rosenbrock23"
    rtol = 1e-6 if loose else 1e-8
    sol = sd.model(AKZO).solve((0, 180), method=method, rtol=rtol, atol=rtol * 1e-4, saveat=[180.0])
    assert sol.success
    assert sol.u[-1] == pytest.approx(AKZO_END, rel=3e-4 if loose else 2e-5)
    t = np.linspace(0, 2, 21)
    sol = sd.model(PENDULUM).solve((0, 2), method=method, rtol=rtol, atol=rtol, saveat=t)
    x = pendulum_truth(t)[0]
    assert sol.success
    assert np.abs(sol["x"] - x).max() < (2e-3 if loose else 2e-5)
    assert np.abs(sol["x"] ** 2 + sol["y"] ** 2 - 1).max() < 1e-8
    assert sol.stats[f"{method}_steps"] == sol.stats["steps"]  # counted through all changes of states


def test_index_two_with_a_known_solution():
    """U. Ascher & L. Petzold, Computer Methods for ODEs and DAEs (1998), ch. 10: x = e^t solves it."""
    m = sd.model("""
        x1' = (a - 1/(2 - t))*x1 + (2 - t)*a*z + (3 - t)/(2 - t)*exp(t)
        x2' = (1 - a)/(t - 2)*x1 - x2 + (a - 1)*z + 2*exp(t)
        0 = (t + 2)*x1 + (t^2 - 4)*x2 - (t^2 + t - 2)*exp(t)
        x1(0) = 1; x2(0) = 1
        param a = 50
    """)
    sol = m.solve((0, 1), rtol=1e-9, atol=1e-11, saveat=[0.5, 1.0])
    t = np.array([0.5, 1.0])
    assert sol["x1"] == pytest.approx(np.exp(t), rel=1e-7) and sol["x2"] == pytest.approx(np.exp(t), rel=1e-7)
    assert sol["z"] == pytest.approx(-np.exp(t) / (2 - t), rel=1e-5)


def test_an_implicit_derivative_is_solved():
    m = sd.model("0 = m*x'' + c*x' + k*x; x(0) = 1; x'(0) = 0; param m = 2, c = 0.2, k = 3")
    t = np.linspace(0, 5, 11)
    decay, omega = 0.05, math.sqrt(1.5 - 0.05**2)
    truth = np.exp(-decay * t) * (np.cos(omega * t) + decay / omega * np.sin(omega * t))
    sol = m.solve((0, 5), saveat=t, rtol=1e-9, atol=1e-11)
    assert np.abs(sol["x"] - truth).max() < 1e-7


def test_a_promoted_unknown_is_hidden_from_the_result():
    """z' = w + v with w = sin z and w = cos(t + 1/2): z = π/2 - 1/2 - t, so w + v = -1."""
    m = sd.model("z' = w + v; 0 = w - sin(z); 0 = w - cos(t + 0.5); z(0) = π/2 - 0.5")
    sol = m.solve((0, 1), rtol=1e-9, atol=1e-11, saveat=[0.0, 0.5, 1.0])
    assert sol.u.shape == (3, 3)
    assert sol["z"] == pytest.approx(math.pi / 2 - 0.5 - sol.t, abs=1e-7)
    assert sol["v"] == pytest.approx(-1 - np.cos(sol.t + 0.5), abs=1e-6)


def test_dense_output_and_every_step():
    sol = sd.model(PENDULUM).solve((0, 3), rtol=1e-9, atol=1e-9)
    assert np.all(np.diff(sol.t) > 0) and sol.t[0] == 0 and sol.t[-1] == 3
    t = np.linspace(0, 3, 50)
    x, _, _ = pendulum_truth(t)
    assert np.abs(sol(t, "x") - x).max() < 1e-5


def test_events_leave_a_consistent_state():
    """A dose into one pool of a fast equilibrium, and a pendulum that bounces off a wall."""
    m = sd.model("""
        total' = -k*free
        0 = total - free - free*B/(K + free)
        free(0) = 1
        total(0) = 2
        param k = 1, B = 3, K = 0.5
        at 1: total += 2
        when total < 1: terminate
    """)
    sol = m.solve((0, 20), rtol=1e-9, atol=1e-12)
    assert np.abs(sol["total"] - sol["free"] - 3 * sol["free"] / (0.5 + sol["free"])).max() < 1e-8
    assert [k for _, k in sol.events] == [0, 1] and sol.status.name == "TERMINATED"
    before, after = sol["total"][sol.t == 1.0]
    assert after - before == pytest.approx(2.0, rel=1e-12)

    bouncing = sd.model(PENDULUM + "when x < -0.5: x' = -x', y' = -y'")
    sol = bouncing.solve((0, 6), rtol=1e-9, atol=1e-9)
    assert len(sol.events) >= 2
    assert sol["x"].min() > -0.5 - 1e-6
    energy = (sol["x'"] ** 2 + sol["y'"] ** 2) / 2 + 9.81 * sol["y"]
    assert np.abs(energy).max() < 1e-5  # speeds turn round, energy stays


def test_what_is_not_built_says_so():
    m = sd.model(AKZO)
    with pytest.raises(sd.InputError, match="algebraic"):
        m.solve((0, 1), method="tsit5")
    with pytest.raises(sd.InputError, match="cannot integrate backwards"):
        sd.model("x' = z; 0 = z + x; x(0) = 1; when x < 0.5: x = 1").solve((1, 0))


@pytest.mark.parametrize("target", ["python", "numpy", "numba", "torch"])
def test_generated_files_know_the_mass_matrix(target):
    m = sd.model("x' = -k*z; 0 = z + z^3 - x; x(0) = 1; param k = 0.5")
    names: dict[str, object] = {}
    exec(compile(m.code(target), "generated", "exec"), names)
    u, p = [2.0, 1.0], [0.5]
    if target == "torch":
        import torch

        u, p, b = (torch.tensor(v, dtype=torch.float64) for v in (u, p, [1.0, 2.0]))
        time = torch.tensor(0.0, dtype=torch.float64)
    else:
        u, p, b, time = np.array(u), np.array(p), np.array([1.0, 2.0]), 0.0
    assert tuple(names["MASS"]) == (1.0, 0.0)
    assert np.asarray(names["f"](time, u, p)) == pytest.approx([-0.5, 0.0])
    w = np.array([[1.0, 0.1 * 0.5], [0.1, -0.1 * 4.0]])  # MASS - 0.1 J
    x = names["w_solve"](*names["w_factor"](time, u, p, 0.1), b)
    assert np.asarray(x) == pytest.approx(np.linalg.solve(w, [1.0, 2.0]), rel=1e-12)
    assert "double MASS[] = {1.0, 0.0}" in m.code("c") and "MASS[i%n]" in m.code("c")
    assert "W[i, i] += MASS[i]" in m.code("julia")


def test_the_squeezing_mechanism_as_an_index_three_problem():
    """Andrews' mechanism, one degree of freedom in 14 states, 13 unknowns; reference of the IVP test set."""
    m = sd.load(EXAMPLES / "andrews_squeezer.sciml")
    reduced = m.system._memory["family"].reduced
    assert (reduced.index, len(reduced.hidden), len(m.algebraic)) == (3, 12, 13)
    start = m.solve((0, 1e-12), saveat=[0.0])
    assert start["β''"][0] == pytest.approx(14222.4439199541138705911625887, rel=1e-9)
    assert start["λ1"][0] == pytest.approx(98.5668703962410896057654982170, rel=1e-9)
    sol = m.solve((0, 0.03), rtol=1e-9, atol=1e-9, saveat=[0.03])
    assert sol.success
    found = [sol[name][-1] for name in "βθγφδΩε"]
    assert found == pytest.approx(SQUEEZER_END, rel=1e-5)
    assert sol["λ1"][-1] == pytest.approx(0.1991753333731910e3, rel=1e-4)
