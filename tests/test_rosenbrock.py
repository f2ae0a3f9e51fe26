"""Rosenbrock methods by address: order conditions, every linear algebra, algebraic equations, published values."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.codegen.native import functions
from sciml_dsl.errors import InputError, UnknownNameError
from sciml_dsl.solve.choice import memory
from sciml_dsl.solve.linear import by_address
from sciml_dsl.solve.linear.plan import plan_for
from sciml_dsl.solve.methods import abi, registry, rodas4, rodas5p_tableau, rosenbrock23
from sciml_dsl.solve.methods.rosenbrock_tableau import Tableau
from tests.test_solve_methods import ROBER, ROBER_P, ROBER_U0, TREES, density

TABLEAUS = {
    "rodas4": (rodas4.TABLEAU, 4, 3),
    "rodas5p": (rodas5p_tableau.TABLEAU, 5, 4),
    "rosenbrock23": (rosenbrock23.TABLEAU, 2, 3),  # its companion is of higher order
}


def classical(tableau: Tableau) -> tuple[Any, Any]:
    """(alpha, gamma) of the form with products by the Jacobian: Hairer & Wanner II, IV.7, (7.25)."""
    s = tableau.stages
    a, coupling = np.zeros((s, s)), np.zeros((s, s))
    for i in range(1, s):
        a[i, : len(tableau.a[i - 1])] = tableau.a[i - 1]
        coupling[i, : len(tableau.coupling[i - 1])] = tableau.coupling[i - 1]
    gamma = np.linalg.inv(np.eye(s) / tableau.gamma - coupling)
    return a @ gamma, gamma


def weight(tree: tuple, alpha: Any, beta: Any) -> Any:
    """Elementary weights of a Rosenbrock method: a node with one branch takes beta = alpha + gamma."""
    if len(tree) == 1:
        return beta @ weight(tree[0], alpha, beta)
    result = np.ones(len(alpha))
    for branch in tree:
        result = result * (alpha @ weight(branch, alpha, beta))
    return result


@pytest.mark.parametrize("name", TABLEAUS)
def test_order_conditions(name):
    tableau, order, companion = TABLEAUS[name]
    alpha, gamma = classical(tableau)
    np.testing.assert_allclose(alpha.sum(axis=1), tableau.c, atol=2e-14)
    np.testing.assert_allclose(gamma.sum(axis=1), tableau.d, atol=2e-14)
    b, lower = np.array(tableau.b) @ gamma, (np.array(tableau.b) - tableau.e) @ gamma
    for p, trees in TREES.items():
        for tree in trees:
            value = weight(tree, alpha, alpha + gamma)
            if p <= order:
                assert b @ value == pytest.approx(1 / density(tree), abs=3e-14)
            if p <= companion:
                assert lower @ value == pytest.approx(1 / density(tree), abs=3e-14)
            dense = registry.METHODS[name].degree  # of order four, three and two
            for theta in (0.0, 0.3, 0.8, 1.0):
                powers = [sum(c * theta ** (q + 1) for q, c in enumerate(row)) for row in tableau.interpolant]
                if p <= min(dense, order):
                    assert np.array(powers) @ gamma @ value == pytest.approx(theta**p / density(tree), abs=3e-14)


# ---------------------------------------------------------------- one method, called as the loop calls it


def steps_of(name: str, m: Any, u0: list[float], t1: float, count: int, mass: list[float] | None = None) -> Any:
    """The state after `count` equal steps."""
    native = replace(functions(m, sparse=True), mass=tuple(mass or ()))
    method = registry.METHODS[name] if name != "rodas5p" else registry.LARGE_RODAS5P
    ints, work, iwork = memory(method, native, plan_for(native, requested="sparse"))
    n = native.n
    work[ints[abi.AT_RTOL] : ints[abi.AT_RTOL] + n] = 1e3  # every step is accepted
    fn = np.zeros(abi.HEAD, np.int64)
    fn[abi.F], fn[abi.DFDT], fn[abi.JAC_VALUES] = native.f, native.dfdt, native.jac_values
    fn[abi.LINEAR_ALGEBRA] = by_address.address()
    reals, u, p = np.zeros(abi.N_REALS), np.array(u0), m._prepared.p(None, None) if hasattr(m, "_prepared") else None
    if p is None:
        p = np.array([q.default for q in m.spec.parameters], float)
    pointer = ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[pointer] * 7)(method.load())
    arrays = [a.ctypes.data for a in (fn, reals, ints, u, p, work, iwork)]
    call(abi.START, *arrays)
    for k in range(count):
        reals[abi.T], reals[abi.H] = t1 * k / count, t1 / count
        call(abi.ATTEMPT, *arrays)
        assert reals[abi.ERROR] <= 1.0
        u[:] = work[ints[abi.AT_NEW] : ints[abi.AT_NEW] + n]
        reals[abi.T] = t1 * (k + 1) / count
        call(abi.ACCEPT, *arrays)
    return u


@pytest.mark.parametrize("name", TABLEAUS)
def test_index_one_equations_converge_with_the_order(name):
    """y' = -z cos(t), 0 = z - y^2: y = 1/(1 + sin t), z = y^2."""
    m = sd.model("y' = -z*cos(t); z' = z - y^2")
    order = TABLEAUS[name][1]
    exact = 1 / (1 + np.sin(1.0))
    errors = []
    for count in (20, 40):
        u = steps_of(name, m, [1.0, 1.0], 1.0, count, mass=[1.0, 0.0])
        errors.append(np.abs(u - [exact, exact**2]).max())
    assert np.log2(errors[0] / errors[1]) > order - 0.3
    assert errors[1] < {2: 1e-3, 4: 2e-7, 5: 3e-9}[order]


@pytest.mark.parametrize("name", TABLEAUS)
def test_equations_that_depend_on_time_converge_with_the_order(name):
    m = sd.model("x' = -2*x + y*cos(3*t); y' = -x*t + sin(t)")
    order = TABLEAUS[name][1]
    exact = solve_ivp(
        lambda t, u: [-2 * u[0] + u[1] * np.cos(3 * t), -u[0] * t + np.sin(t)],
        (0, 2), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    errors = [np.abs(steps_of(name, m, [1.0, 0.5], 2.0, count) - exact).max() for count in (25, 50)]
    assert np.log2(errors[0] / errors[1]) > order - 0.3


# ---------------------------------------------------------------- through solve


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("kind", ["dense", "banded", "sparse", "krylov"])
def test_robertson_with_every_linear_algebra(name, kind):
    """Reference: Mazzia & Magherini, Test Set for IVP Solvers, release 2.4, problem ROBER, at t = 1e11."""
    m = sd.model(ROBER)
    tight = name != "rosenbrock23"
    sol = m.solve(
        (0, 1e11), u0=ROBER_U0, p=ROBER_P, method=name, saveat=[1e11], linear_solver=kind,
        rtol=1e-8 if tight else 1e-5, atol=1e-14 if tight else 1e-11,
    )  # fmt: skip
    assert sol.success
    reference = [2.083340149701255e-08, 8.333360770334713e-14, 9.999999791665050e-01]
    assert sol.u[-1] == pytest.approx(reference, rel=1e-6 if tight else 2e-2)


def brusselator(n: int) -> str:
    """A. Hindmarsh's and E. Hairer & G. Wanner's (IV.10) in one dimension; two components for each of n points."""
    lines = [f"param c = {(n + 1) ** 2 / 50!r}"]
    for i in range(1, n + 1):
        left, right = (f"u{i - 1}" if i > 1 else "1"), (f"u{i + 1}" if i < n else "1")
        below, above = (f"v{i - 1}" if i > 1 else "3"), (f"v{i + 1}" if i < n else "3")
        lines.append(f"u{i}' = 1 + u{i}^2*v{i} - 4*u{i} + c*({left} - 2*u{i} + {right})")
        lines.append(f"v{i}' = 3*u{i} - u{i}^2*v{i} + c*({below} - 2*v{i} + {above})")
        lines.append(f"u{i}(0) = 1 + sin(2*pi*{i}/{n + 1}); v{i}(0) = 3")
    return "\n".join(lines)


def test_brusselator_agrees_with_scipy_whatever_the_linear_algebra():
    n = 30
    m = sd.model(brusselator(n))
    f, u0 = m.rhs(target="numpy"), m.solve((0, 1e-9), saveat=[1e-9]).u[-1]
    p = np.array([(n + 1) ** 2 / 50])
    exact = solve_ivp(lambda t, u: f(t, u, p), (0, 5), u0, method="Radau", rtol=1e-10, atol=1e-10).y[:, -1]
    for kind in ("dense", "banded", "sparse", "krylov"):
        sol = m.solve((0, 5), method="rodas5p", rtol=1e-8, atol=1e-8, saveat=[5], linear_solver=kind)
        assert np.abs(sol.u[-1] - exact).max() < 1e-6
    for name in ("auto", "rodas4", "rosenbrock23"):
        rtol = 1e-5 if name == "rosenbrock23" else 1e-7
        sol = m.solve((0, 5), method=name, rtol=rtol, atol=rtol, saveat=[5])
        assert np.abs(sol.u[-1] - exact).max() < 200 * rtol


def test_dense_output_is_as_accurate_as_the_steps():
    m = sd.model(brusselator(10))
    fine = m.solve((0, 5), rtol=1e-11, atol=1e-11)
    times = np.linspace(0, 5, 501)
    for name in TABLEAUS:
        rtol = 1e-4 if name == "rosenbrock23" else 1e-7
        sol = m.solve((0, 5), method=name, rtol=rtol, atol=rtol, linear_solver="banded")
        at_steps = np.abs(sol.u - fine(sol.t)).max()
        assert 0 < at_steps < 100 * rtol
        assert np.abs(sol(times) - fine(times)).max() < 10 * at_steps  # of one order less, mostly


def test_a_large_stiff_model_is_solved_implicitly():
    """A chain of 2,500 states, fast in one direction: once beyond the size "auto" dared to factorise."""
    n = 2500
    lines = ["x1' = -1e4*(x1 - 1)", "x1(0) = 0"]
    lines += [f"x{i}' = 1e4*(x{i - 1} - x{i}); x{i}(0) = 0" for i in range(2, n + 1)]
    sol = sd.model("\n".join(lines)).solve((0, 10), saveat=[10])
    assert sol.success and sol.stats["factorisations"] > 0
    assert sol.stats["steps"] < 3000  # stability alone would ask Tsit5 for 30,000
    assert sol.u[-1] == pytest.approx(np.ones(n), abs=1e-5)


def test_events_and_jumps_with_a_method_by_address():
    text = "x' = -1000*(x - y); y' = -y + (if t > 1 then 1 else 0); x(0) = 1; y(0) = 1; when y < 0.5: y += 1"
    m = sd.model(text)
    expected = m.solve((0, 3), method="rodas5p", rtol=1e-10, atol=1e-12, saveat=0.5).u
    for name in ("rodas4", "rosenbrock23"):
        rtol = 1e-8 if name == "rodas4" else 1e-6
        got = m.solve((0, 3), method=name, rtol=rtol, atol=rtol, saveat=0.5).u
        np.testing.assert_allclose(got, expected, atol=100 * rtol)


def test_what_cannot_be_solved_that_way_is_refused():
    m = sd.model("x' = -x; x(0) = 1; param k = 1")
    with pytest.raises(InputError, match="implicit"):
        m.solve((0, 1), method="tsit5", linear_solver="sparse")
    with pytest.raises(UnknownNameError, match="banded"):
        m.solve((0, 1), method="rodas4", linear_solver="bandet")
    with pytest.raises(InputError, match="sensitivities"):
        m.solve((0, 1), method="rodas5p", linear_solver="sparse", sensitivities=True)


# ---------------------------------------------------------------- a model's own step

VDP = "x' = y; y' = mu*((1 - x^2)*y) - x; x(0) = 2; y(0) = 0; param mu = 1000"
DRIVEN = (
    "a' = -50*(a - cos(t)) + b*c; b' = a*c - 3*b; c' = -c + sin(t)*a; d' = c - d^3; a(0)=1; b(0)=0; c(0)=0.5; d(0)=1"
)


def own_step(m: Any, tableau: Tableau, t: float, h: float, u: Any) -> Any:
    """[error, new state, slope there, stages] by the native function, at tolerances 1."""
    native = functions(m)
    address, _ = native.own_step(tableau, 10_000)
    p = np.array([q.default for q in m.spec.parameters], float)
    slope = m.rhs(target="numpy")(t, u, p)
    v = np.concatenate(([h], np.zeros(native.n), np.ones(native.n), slope))
    out = np.empty(1 + (2 + tableau.stages) * native.n)
    pointer = ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, ctypes.c_double, *[pointer] * 4)(address)
    call(t, np.ascontiguousarray(u).ctypes.data, p.ctypes.data, v.ctypes.data, out.ctypes.data)
    return out


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("text", [VDP, DRIVEN])
def test_a_models_own_step_is_the_step(name, text):
    """Against the formulas written with numpy's linear algebra."""
    m = sd.model(text)
    tableau = TABLEAUS[name][0]
    f, jac = m.rhs(target="numpy"), m.jac(target="numpy")
    p = np.array([q.default for q in m.spec.parameters], float)
    rng = np.random.default_rng(1)
    for h in (1e-4, 0.03):
        t, u = 0.4, rng.uniform(0.5, 1.5, len(m.states))
        w = np.eye(u.size) / (h * tableau.gamma) - jac(t, u, p)
        ft = (f(t + 1e-6, u, p) - f(t - 1e-6, u, p)) / 2e-6
        k: list[Any] = []
        for i in range(tableau.stages):
            arg = u + sum((a * x for a, x in zip((() if i == 0 else tableau.a[i - 1]), k, strict=False)), 0 * u)
            right = f(t + tableau.c[i] * h, arg, p) + h * tableau.d[i] * ft
            row = () if i == 0 else tableau.coupling[i - 1]
            right = right + sum((c * x / h for c, x in zip(row, k, strict=True)), 0 * u)
            k.append(np.linalg.solve(w, right))
        new = u + np.array(tableau.b) @ np.array(k)
        out = own_step(m, tableau, t, h, u)
        n = u.size
        scale = np.abs(k).max()
        np.testing.assert_allclose(out[1 : n + 1], new, rtol=1e-9, atol=1e-9 * scale)
        np.testing.assert_allclose(out[n + 1 : 2 * n + 1], f(t + h, new, p), rtol=1e-6, atol=1e-6 * scale)
        np.testing.assert_allclose(out[2 * n + 1 :].reshape(-1, n), k, rtol=1e-8, atol=1e-8 * scale)
        error = np.sqrt(np.mean((np.array(tableau.e) @ np.array(k)) ** 2))
        assert out[0] == pytest.approx(error, rel=1e-6, abs=1e-9 * scale)


def test_bad_pivots_are_noticed():
    """W has the diagonal 1/(h gamma) - 1, exactly or nearly zero, and is well conditioned all the same."""
    m = sd.model("x' = x + 2*y; y' = 3*x + y")
    tableau = rodas4.TABLEAU
    for shift in (0.0, 1e-15, 1e-12):
        assert own_step(m, tableau, 0.0, 4.0 * (1 + shift), np.ones(2))[0] == -1.0
    assert own_step(m, tableau, 0.0, 4.0 * (1 + 1e-3), np.ones(2))[0] > 0.0


def test_a_solve_goes_through_bad_pivots():
    """The first step has W with a zero diagonal: it is made with row exchanges."""
    m = sd.model("x' = x + 2*y; y' = 3*x + y; x(0) = 1; y(0) = 1")
    h = 1 / registry.LARGE_RODAS5P.rosenbrock().gamma
    sol = m.solve((0, h), method="rodas5p", rtol=1.0, atol=1e3, dt0=h, saveat=[h])
    assert sol.stats["steps"] == 1
    exact = np.array([[1.0, 2.0], [3.0, 1.0]])
    values, vectors = np.linalg.eig(exact)
    truth = (vectors @ np.diag(np.exp(values * h)) @ np.linalg.inv(vectors) @ np.ones(2)).real
    assert np.isfinite(sol.u[-1]).all() and np.linalg.norm(sol.u[-1]) < 10 * np.linalg.norm(truth)


@pytest.mark.parametrize("name", TABLEAUS)
def test_own_steps_and_general_ones_agree(name):
    for text, t1 in ((VDP, 2000.0), (DRIVEN, 5.0)):
        m = sd.model(text)
        rtol = 1e-3 if name == "rosenbrock23" else 1e-7
        own = m.solve((0, t1), method=name, rtol=rtol, atol=rtol)
        general = m.solve((0, t1), method=name, rtol=rtol, atol=rtol, linear_solver="banded")
        assert own.stats["f_evaluations"] > 0 and own.stats["factorisations"] == own.stats["jacobian_evaluations"]
        assert abs(own.stats["steps"] - general.stats["steps"]) <= 2 + general.stats["steps"] // 20
        times = np.linspace(0, t1, 50)
        assert np.abs(own(times) - general(times)).max() < (0.1 if name == "rosenbrock23" else 1e-3)


def test_a_model_that_is_solved_often_gets_its_own_step():
    m = sd.model(ROBER)
    first = m.solve((0, 1e5), u0=ROBER_U0, p=ROBER_P, rtol=1e-6, atol=1e-10, saveat=[1e5])
    for _ in range(30):
        last = m.solve((0, 1e5), u0=ROBER_U0, p=ROBER_P, rtol=1e-6, atol=1e-10, saveat=[1e5])
    integrator = m.__dict__["_prepared"].integrator
    cold, hot = (next(c for k, c in integrator._choices.items() if k[-1] is flag) for flag in (False, True))
    assert cold.by_address == ("", "") and hot.by_address == ("", "rodas5p")
    np.testing.assert_allclose(last.u, first.u, rtol=1e-9)
