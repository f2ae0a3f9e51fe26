"""Arrays: numbers against hand-written right-hand sides and analytic solutions, names, shapes, the text again."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.commands import check

HEAT = """
    const N = {n}
    param D = 0.1, h = {h!r}
    u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 for i in 2..N-1
    u[1]' = D*(u[2] - 2*u[1])/h^2          # u = 0 at both ends
    u[N]' = D*(u[N-1] - 2*u[N])/h^2
    u[i](0) = sin(pi*i/(N + 1)) for i in 1..N
    flux[i] = -D*(u[i+1] - u[i])/h for i in 1..N-1
    total = sum(u[i] for i in 1..N)
"""

BRUSSELATOR = """
    const N = 4, M = 3
    param A = 3.4, B = 1.0, α = 0.1
    u[i,j]' = B + u[i,j]^2*v[i,j] - (A + 1)*u[i,j]
        + α*(u[mod(i,N)+1,j] + u[mod(i-2,N)+1,j] + u[i,mod(j,M)+1] + u[i,mod(j-2,M)+1] - 4*u[i,j])
        for i in 1..N, j in 1..M
    v[i,j]' = A*u[i,j] - u[i,j]^2*v[i,j]
        + α*(v[mod(i,N)+1,j] + v[mod(i-2,N)+1,j] + v[i,mod(j,M)+1] + v[i,mod(j-2,M)+1] - 4*v[i,j])
        for i in 1..N, j in 1..M
    u[i,j](0) = 22*j*(M - j)/M^2;  v[i,j](0) = 27*i*(N - i)/N^2
"""

OSCILLATORS = """
    const N = 5
    param K[i,j] = 1/(i + j) for i in 1..N, j in 1..N
    param ω[i] = 0.1*i for i in 1..N
    θ[i]' = ω[i] + sum(K[i,j]*sin(θ[j] - θ[i]) for j in 1..N)/N for i in 1..N
    θ[i](0) = i
    order = sqrt(sum(cos(θ[i]) for i in 1..N)^2 + sum(sin(θ[i]) for i in 1..N)^2)/N
"""


def heat(n=9):
    return sd.model(HEAT.format(n=n, h=1 / (n + 1)))


def brusselator(t, y, a=3.4, b=1.0, alpha=0.1):
    u, v = y.reshape(2, 4, 3)

    def laplacian(w):
        return sum(np.roll(w, shift, axis) for shift in (1, -1) for axis in (0, 1)) - 4 * w

    du = b + u**2 * v - (a + 1) * u + alpha * laplacian(u)
    return np.concatenate([du.ravel(), (a * u - u**2 * v + alpha * laplacian(v)).ravel()])


def values(model, u, t=0.0):
    p = np.array([q.default for q in model.spec.parameters])
    return np.array(model.rhs("numpy")(t, u, p))


def test_heat_equation_decays_as_its_discrete_mode():
    n = 9
    sol = heat(n).solve((0, 2), saveat=[0, 1, 2], rtol=1e-10, atol=1e-12)
    rate = 4 * 0.1 * (n + 1) ** 2 * math.sin(math.pi / (2 * (n + 1))) ** 2  # eigenvalue of the second difference
    x = np.arange(1, n + 1) / (n + 1)
    exact = np.exp(-rate * sol.t)[:, None] * np.sin(np.pi * x)
    np.testing.assert_allclose(sol["u"], exact, rtol=1e-8)
    np.testing.assert_allclose(sol["flux"], -0.1 * np.diff(exact, axis=1) * (n + 1), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(sol["total"], exact.sum(axis=1), rtol=1e-8)


def test_two_dimensional_periodic_brusselator_is_the_hand_written_one():
    m = sd.model(BRUSSELATOR)
    assert m.arrays == {"u": (4, 3), "v": (4, 3)}
    assert m.states[:4] == ("u[1,1]", "u[1,2]", "u[1,3]", "u[2,1]")
    u = np.random.default_rng(0).uniform(0.1, 3, 24)
    np.testing.assert_allclose(values(m, u), brusselator(0, u), rtol=1e-13)
    sol = m.solve((0, 1), saveat=[0, 1])
    i, j = np.mgrid[1:5, 1:4]
    np.testing.assert_allclose(sol["u"][0], 22 * j * (3 - j) / 9)
    np.testing.assert_allclose(sol["v"][0], 27 * i * (4 - i) / 16)
    assert sol["u"].shape == (2, 4, 3)
    np.testing.assert_array_equal(sol["u[2,3]"], sol["u"][:, 1, 2])
    np.testing.assert_array_equal(sol(0.5, "v"), sol(0.5)[12:].reshape(4, 3))


def test_lorenz_96():
    m = sd.model("""
        const N = 8
        x[i]' = (x[mod(i, N) + 1] - x[mod(i - 3, N) + 1])*x[mod(i - 2, N) + 1] - x[i] + F for i in 1..N
        x(0) = 8;  param F = 8
    """)
    x = np.random.default_rng(1).normal(size=8)
    expected = (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8
    np.testing.assert_allclose(values(m, x), expected, rtol=1e-13)


def test_all_to_all_coupling_with_array_parameters():
    m = sd.model(OSCILLATORS)
    theta = np.random.default_rng(2).normal(size=5)
    i = np.arange(1, 6)
    coupling = 1 / (i[:, None] + i)
    expected = 0.1 * i + (coupling * np.sin(theta - theta[:, None])).sum(axis=1) / 5
    np.testing.assert_allclose(values(m, theta), expected, rtol=1e-13)
    sol = m.solve((0, 1), saveat=[0.0])
    np.testing.assert_allclose(sol["order"][0], abs(np.exp(1j * i).mean()), rtol=1e-12)
    jacobian = np.array(m.jac("numpy")(0.0, theta, np.array([q.default for q in m.spec.parameters])))
    exact = coupling * np.cos(theta - theta[:, None]) / 5
    exact -= np.diag(exact.sum(axis=1))
    np.testing.assert_allclose(jacobian, exact, rtol=1e-12, atol=1e-15)


def test_second_order_chain_of_springs():
    m = sd.model("""
        const N = 3
        param k = 2
        x[1]'' = k*(x[2] - 2*x[1]);  x[N]'' = k*(x[N-1] - 2*x[N])
        x[i]'' = k*(x[i-1] - 2*x[i] + x[i+1]) for i in 2..N-1
        x[i](0) = sin(pi*i/(N + 1));  x'(0) = 0
    """)
    assert m.states == ("x[1]", "x[2]", "x[3]", "x'[1]", "x'[2]", "x'[3]")
    sol = m.solve((0, 3), saveat=0.5, rtol=1e-10, atol=1e-12)
    omega = 2 * math.sqrt(2) * math.sin(math.pi / 8)
    mode = np.sin(np.pi * np.arange(1, 4) / 4)
    np.testing.assert_allclose(sol["x"], np.cos(omega * sol.t)[:, None] * mode, atol=1e-8)
    np.testing.assert_allclose(sol["x'"], -omega * np.sin(omega * sol.t)[:, None] * mode, atol=1e-8)


def test_reductions_and_ranges_that_depend_on_outer_ones():
    m = sd.model("""
        u[i]' = sum(i*u[j] for j in 1..i) - prod(u[j] for j in i..3) + max(u[j] for j in 1..3) for i in 1..3
        v' = min(u[i]*j for i in 1..3, j in 1..i) + sum(u[j] for j in 5..4) + prod(u[j] for j in 5..4)
        u(0) = 1
    """)
    u = np.array([0.5, -1.5, 2.0])
    expected = [i * u[:i].sum() - u[i - 1 :].prod() + u.max() for i in (1, 2, 3)]
    least = min(u[i - 1] * j for i in (1, 2, 3) for j in range(1, i + 1))
    np.testing.assert_allclose(values(m, np.append(u, 0.0)), [*expected, least + 0 + 1], rtol=1e-14)


def test_subscripts_on_the_left_may_be_computed():
    m = sd.model("""
        const N = 6
        u[2*i]' = i for i in 1..N/2 - 0*N
        u[2*i - 1]' = -i for i in 1..3
        w[N + 1 - i]' = i for i in 1..N
        z[mod(i, 4)]' = i for i in 1..4
    """.replace("N/2 - 0*N", "3"))  # fmt: skip
    assert [a.bounds for a in m.spec.arrays] == [((1, 6),), ((1, 6),), ((0, 3),)]
    np.testing.assert_array_equal(values(m, np.zeros(16)), [-1, 1, -2, 2, -3, 3, 6, 5, 4, 3, 2, 1, 4, 1, 2, 3])


def test_array_parameters_and_their_bounds():
    m = sd.model("""
        param k[i] = 0.5*i in [0, 2*i] log for i in 1..3, h = 2
        param A = [[1, 2], [3, 4]], c[0..2] in [0, 1], q[1] = 1, q[2] = 7
        x' = k[1] + A[2, 1] + c[0] + q[2] + h
    """)
    assert m.parameters == (
        *("k[1]", "k[2]", "k[3]", "h", "A[1,1]", "A[1,2]", "A[2,1]", "A[2,2]", "c[0]", "c[1]", "c[2]", "q[1]", "q[2]"),
    )
    assert m.defaults["k[3]"] == 1.5 and m.defaults["A[2,1]"] == 3 and m.defaults["c[1]"] is None
    assert m.bounds["k[3]"] == (0, 6) and m.bounds["c[2]"] == (0, 1)
    assert m.spec.parameters[0].log and not m.spec.parameters[3].log


def test_values_by_array_and_by_element():
    m = sd.model("u[i]' = -k[i]*u[i] for i in 1..3; u(0) = 1; param k[1..3] = 1")
    sol = m.solve((0, 1), u0={"u": [1, 2, 3], "u[2]": 5}, p={"k": [0, 1, 2], "k[3]": 0}, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(sol["u"][-1], [1, 5 * math.exp(-1), 3], rtol=1e-8)
    np.testing.assert_array_equal(m.solve((0, 0), u0={"u": 4})["u"][0], [4, 4, 4])
    with pytest.raises(sd.InputError, match=r"shape \(3,\)"):
        m.solve((0, 1), u0={"u": [1, 2]})
    with pytest.raises(sd.UnknownNameError, match=r"u\[4\]"):
        m.solve((0, 1), u0={"u[4]": 1})
    table = m.solve((0, 1), saveat=[0, 1]).to_pandas()
    assert list(table.columns) == ["t", "u[1]", "u[2]", "u[3]"]
    changed = m.with_parameters({"k": [1, 2, 3]}).with_initial({"u": [1, 2, 2]})
    assert changed.defaults == {"k[1]": 1, "k[2]": 2, "k[3]": 3}
    assert "u[1](0) = 1\nu[i](0) = 2 for i in 2..3\n\nparam k = [1, 2, 3]" in str(changed)
    assert sd.model(str(changed)) == changed
    assert sd.model(str(changed.with_initial({"u[2]": -7}))) == changed.with_initial({"u": [1, -7, 2]})


def test_options_take_the_names_of_arrays():
    m = sd.model("u[i]' = -k[i]*u[i] for i in 1..3; x' = -x; u(0) = 1; x(0) = 1; param k = [1, 2, 3]")
    sol = m.solve((0, 1), sensitivities=["k", "u"], atol={"u": 1e-12}, rtol=1e-9, saveat=[1.0])
    assert sol.sensitivity_names == ("k[1]", "k[2]", "k[3]", "u[1](0)", "u[2](0)", "u[3](0)")
    decay = np.exp([-1.0, -2.0, -3.0])
    np.testing.assert_allclose(sol.sensitivities[-1, :3], np.hstack([np.diag(-decay), np.diag(decay)]), atol=1e-8)
    kept = m.solve((0, 100), u0={"u": 1e-3}, positive=["u"], saveat=[100.0])
    assert (kept["u"] >= 0).all() and kept.success
    many = m.ensemble(u0={"u": np.arange(6.0).reshape(2, 3)}, p={"k": [0, 0, 1]}).solve((0, 1), saveat=[0, 1])
    np.testing.assert_allclose(many["u"][:, 1, :2], [[0, 1], [3, 4]])
    np.testing.assert_allclose(many["u"][:, 1, 2], [2 * decay[0], 5 * decay[0]], rtol=1e-5)
    again = m.ensemble(u0=[{"u": [1, 2, 3]}, {"u": [4, 5, 6]}], p={"k": 0}).solve((0, 1), saveat=[1])
    np.testing.assert_allclose(again["u"][:, 0], [[1, 2, 3], [4, 5, 6]])


def test_pictures_of_arrays():
    pytest.importorskip("matplotlib")
    rod = heat(20).solve((0, 1)).plot()
    (mesh,) = rod.axes[0].collections
    assert mesh.get_array().shape[0] == 20 and rod.axes[0].get_title() == "u"
    m = sd.model("w[i,j]' = i - j*x for i in 0..3, j in 1..3; x' = 1; w(0) = 0; x(0) = 0")
    sheet = m.solve((0, 2)).plot()
    assert [len(axes.lines) for axes in sheet.axes[:2]] == [1, 0]
    expected = [[2 * i - 2 * j for j in (1, 2, 3)] for i in range(4)]
    np.testing.assert_allclose(sheet.axes[1].images[0].get_array(), expected, atol=1e-12)


def test_fit_of_an_array_parameter():
    m = sd.model("""
        const N = 4
        param D = 0.5 in [0, 5], k = [1, 0.5, 0.2, 0.1] in [0, 3]
        u[i]' = D*(u[mod(i-2, N)+1] - 2*u[i] + u[mod(i, N)+1]) - k[i]*u[i] for i in 1..N
        u[i](0) = i
    """)
    data = m.solve((0, 3), saveat=np.linspace(0, 3, 12), rtol=1e-9, atol=1e-12).to_pandas()
    fit = m.with_parameters({"k": 1.0, "D": 1.0}).fit(data)
    np.testing.assert_allclose([fit.p[f"k[{i}]"] for i in range(1, 5)], [1, 0.5, 0.2, 0.1], rtol=1e-4)
    assert "param k = [" in str(fit.model) and sd.model(str(fit.model)) == fit.model


def test_one_unknown_reaction_in_every_cell_is_discovered():
    m = sd.model("""
        const N = 3
        u[i]' = 0.3*(u[mod(i-2, N)+1] - 2*u[i] + u[mod(i, N)+1]) + NN(u[i]) for i in 1..N
        u[i](0) = 0.2*i
    """)
    truth = m.with_terms({"NN": "0.8*u[i] - 0.5*u[i]^2"})
    data = truth.solve((0, 6), saveat=np.linspace(0, 6, 40)).to_pandas()
    found = m.discover(data, seed=0)
    u1 = sympy.Symbol("u[1]")
    assert found.verdict == "identified"
    coefficients = sympy.Poly(found.terms["NN"], u1).coeffs()
    np.testing.assert_allclose([float(c) for c in coefficients], [-0.5, 0.8], rtol=1e-3)
    assert "*u[i]^2 for i in 1..3" in str(found.model)
    assert found.model.arrays == {"u": (3,)} and sd.model(str(found.model)) == found.model


def test_events_on_elements_and_whole_arrays():
    m = sd.model("""
        u[i]' = 0 for i in 1..3;  x' = 1;  u(0) = 1;  x(0) = 0
        at 1: u[3] += 1, u[i] = u[i+1] for i in 1..2, x = u[1]
        when x > 1.5: u[i] *= 2 for i in 1..3
    """)
    sol = m.solve((0, 3), u0={"u": [1, 2, 3]}, saveat=[0.5, 1, 2])
    np.testing.assert_allclose(sol["u"], [[1, 2, 3], [2, 3, 4], [4, 6, 8]])


def test_networks_and_functions_in_loops():
    m = sd.model("""
        diffusion(a, b, c) = D*(a - 2*b + c)
        u[i]' = diffusion(u[mod(i-2, N)+1], u[i], u[mod(i, N)+1]) + NN(u[i]) for i in 1..N
        mean() = 0
        const N = 4;  param D = 0.5
    """.replace("        mean() = 0\n", ""))  # fmt: skip
    assert m.networks == ("NN",)
    done = m.with_terms({"NN": "u[1]^2"})
    u = np.array([1.0, 2.0, -1.0, 0.5])
    expected = 0.5 * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) + u**2
    np.testing.assert_allclose(values(done, u), expected, rtol=1e-14)
    assert "u[i]^2 for i in 1..4" in str(done)


def test_sympy_sees_elements():
    m = heat(3)
    u1, u2, u3, d, h = sympy.symbols("u[1] u[2] u[3] D h")
    assert sympy.simplify(m.equations["u[2]"] - d * (u1 - 2 * u2 + u3) / h**2) == 0
    assert m.jacobian()[1, 2] == d / h**2


def test_dependencies_name_arrays_once():
    assert heat(50).dependencies() == {"u": ("u", "D", "h", "N"), "flux": ("u", "D", "h"), "total": ("u", "N")}


def test_check_shows_arrays_as_boxes():
    m = sd.model("""
        const N = 5
        u[i]' = -k[i]*u[i]*m[1] for i in 1..N;  w[i, j]' = 1 for i in 1..2, j in 0..1;  x' = 1
        u[i](0) = 1 for i in 2..N;  x(0) = 0
        y[i] = u[i] for i in 1..3
        param k[i] = i in [0, 9] for i in 1..N, m[1..3]
    """)
    lines = [line.split(maxsplit=2) for line in check.text(m.spec).splitlines()]
    assert lines[1:5] == [
        ["states", "10", "u[1..5], w[1..2, 0..1], x"],
        ["parameters", "8", "k[1..5] = [1, 2, 3, ...] in [0, 9], m[1..3]"],
        ["constants", "1", "N = 5"],
        ["observables", "3", "y[1..3]"],
    ]
    assert lines[5][2].endswith("initial value in the text for u[1], w[1..2, 0..1]")
    assert lines[6][2].endswith("default in the text for m[1..3]")
    told = check.summary(m.spec, Path("a.sciml"))
    assert [s["name"] for s in told["states"] if not s["initial"]] == ["u[1]", *m.states[5:9]]
    assert told["arrays"]["w"] == {"kind": "state", "bounds": ((1, 2), (0, 1))}


def test_warnings_about_arrays():
    m = sd.model("""
        const N = 5, M = 2
        u[i]' = u[i] - u[i] + u[i+1] - u[i+1]/(exp(u[i+1]) - 1) for i in 1..N-1
        u[N]' = log(u[1] - 1)
        v[i]' = sum(v[j] for j in 1..i) for i in 1..N
        u(0) = 1; v(0) = 1; y[i] = sqrt(u[i]) for i in 1..N
        param k[1..3] = 1, q[1..3]
        x' = q[1];  x(0) = 0
    """)
    found = {(w.code, w.message.split("`")[1]) for w in m.lint()}
    assert found == {
        ("unused-constant", "M"), ("cancelling-terms", "u[i]"), ("removable-singularity", "u[i+1]/(exp(u[i+1]) - 1)"),
        ("possibly-negative-log", "u[1] - 1"), ("unused-state", "v"), ("unused-state", "x"),
        ("possibly-negative-root", "u[i]"), ("unused-parameter", "k"), ("missing-default", "q"),
    }  # fmt: skip
    hints = {w.code: w.hint for w in m.lint()}
    assert hints["missing-default"].startswith("write param q[1..3] = 1")
    assert heat(100_000).lint() == ()


def test_what_is_too_large_to_write_out_says_so():
    m = heat(20_000)
    with pytest.raises(sd.UnsupportedError, match=r"the sympy view is not available for arrays of 39,999 elements yet"):
        m.equations  # noqa: B018 - a property
    assert len(m.states) == 20_000 and m.states[-1] == "u[20000]"
    assert str(m).count("\n") < 20
    assert sd.model(str(m)) == m


# ---------------------------------------------------------------- the text again


@pytest.mark.parametrize("text", [HEAT.format(n=7, h=0.1), BRUSSELATOR, OSCILLATORS])
def test_printed_and_read_again(text):
    m = sd.model(text)
    again = sd.model(m.code("sciml"))
    assert again == m and again.code("sciml") == m.code("sciml")
    assert pickle.loads(pickle.dumps(m)) == m
    assert "for i in" in m.code("sciml")
    assert sd.format(sd.format(text)) == sd.format(text)
    assert sd.model(sd.format(text)) == m
    assert m.code("latex").count("&=") < 20


def test_equal_whatever_the_indices_are_called():
    a = sd.model("u[i]' = u[i]*sum(u[j]*i for j in 1..i) for i in 1..3; u(0) = 1")
    b = sd.model("u[k]' = u[k]*sum(k*u[i] for i in 1..k) for k in 1..3; u[l](0) = 1 for l in 1..3")
    c = sd.model("u[k]' = u[k]*sum(k*u[k] for i in 1..k) for k in 1..3; u[l](0) = 1 for l in 1..3")
    assert a == b and a != c


LEAVES = ["1", "0.5", "3", "i", "j", "a", "k[i]", "u[i, j]", "v[j]", "t"]
FORMULAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*/^"), inner, inner),
        st.tuples(st.sampled_from(["-", "sin", "sum", "max"]), inner),
        st.tuples(st.just("if"), inner, inner),
    ),
    max_leaves=8,
)


def formula(tree, depth=0):
    """The text of a drawn tree; each reduction has an index of its own."""
    if isinstance(tree, str):
        return tree
    op, *parts = tree
    shown = [f"({formula(part, depth + 1)})" for part in parts]
    if op == "if":
        return f"if {shown[0]} < {shown[1]} then {shown[0]} else {shown[1]}"
    if op in ("sum", "max"):
        return f"{op}({shown[0]}*v[m{depth}] + m{depth} for m{depth} in 1..{'i + 1' if depth % 2 else 'j'})"
    return op + shown[0] if len(shown) == 1 else op.join(shown)


@settings(max_examples=60, deadline=None)
@given(FORMULAS, FORMULAS, st.integers(1, 3), st.integers(-2, 2))
def test_any_array_model_prints_as_itself(first, second, n, low):
    text = f"""
        u[i, j]' = {formula(first)} for i in 1..{n}, j in 1..3
        v[i]' = sin(t) for i in 1..4
        z[j]' = if t < 1 then 2 else v[j + {1 - low}] for j in {low}..{low + 2}
        w[i, j] = {formula(second)} for i in 1..{n}, j in 1..3
        u[i, j](0) = i - j;  v[i](0) = a for i in 1..2;  z[{low}](0) = -1
        param a = 2 in [0, 9], k[i] = i^2 for i in 1..{n}
        every 2: z[i] += a*i for i in {low}..{low + 1}, v[1] = 0
    """
    m = sd.model(text)
    again = sd.model(str(m))
    assert again == m
    assert str(again) == str(m)
    assert pickle.loads(pickle.dumps(m.spec)) == m.spec
