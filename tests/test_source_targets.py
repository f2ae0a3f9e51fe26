"""Every routine of every source target against derivatives by differences in 60 digits, and against machine code."""

from __future__ import annotations

import ctypes
import re
import subprocess

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import torch

import sciml_dsl as sd
from sciml_dsl.codegen import api, c_runtime
from sciml_dsl.codegen.load import load
from sciml_dsl.codegen.program import LARGEST_HESSIAN
from sciml_dsl.errors import UnknownNameError
from sciml_dsl.nn.weights import initial_weights
from tests import julia_reader
from tests.c_library import CC, NVCC, compile_c, compile_cuda
from tests.reference import evaluate
from tests.test_targets import HOSTILE, branching, every_activation, every_operation, model, system_of

needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")
TARGETS = ["python", "numpy", "torch", "julia"]
TARGETS += ["numba", pytest.param("c", marks=needs_cc), pytest.param("cuda", marks=needs_nvcc)]
JULIA = {"f": "f!", "jacobian": "jac!", "parameter_jacobian": "paramjac!", "time_gradient": "tgrad!"}

TEXT = """model Mixed
x' = α*x - β*x*y/(1 + x^2) + sin(lambda*t)*z
y' = -δ*y + (if x > 1 and y > 0 then log(x)*y^3 else exp(-y)*x^1.5)
z' = max(x*y, z^2) - gamma*abs(z) + t^2*tanh(y)
total = x + y*E
x(0) = 2*α; y(0) = 1; z(0) = lambda
param α = 1.3, β = 0.7, δ = 0.4, lambda = 2, gamma = 0.3, E = 1.5
when x < 0.1: y += 1
"""
U, P, T, V = [1.7, 0.6, -0.8], [1.3, 0.7, 0.4, 2.0, 0.3, 1.5], 0.9, [0.3, -1.1, 0.8]


@pytest.fixture(scope="module")
def mixed():
    return sd.model(TEXT)


def functions(target, m, folder):
    """(call(routine, shape, *arguments), solve(gamma, b)) of a target: its routines, and solutions with W."""
    text = api.code(m, target)
    if target in ("c", "cuda"):
        return _compiled(compile_c(text, folder) if target == "c" else compile_cuda(text, folder))
    if target == "julia":

        def julia(name, shape, *a):
            given = dict(zip("p" if len(a) == 1 else "tupv", a, strict=False))
            return julia_reader.call(text, JULIA.get(name, f"{name}!"), shape, **given)

        return julia, None
    module = load(text, "Mixed")
    wrap = {"python": list, "torch": lambda x: torch.tensor(x, dtype=torch.float64)}.get(target, np.array)
    back = (lambda x: x.numpy()) if target == "torch" else np.array

    def call(name, shape, *a):
        return back(getattr(module, name)(*(x if isinstance(x, float) else wrap(x) for x in a)))

    def solve(gamma, b):
        return back(module.w_solve(*module.w_factor(T, wrap(U), wrap(P), gamma), wrap(b)))

    return call, solve


def _compiled(library):
    def call(name, shape, *a):
        return library(name, shape, *(x if isinstance(x, float) else np.array(x) for x in a))

    def solve(gamma, b):
        lu, pivots, x = np.zeros((len(b), len(b))), np.zeros(len(b), np.int32), np.array(b)
        assert library.raw("w_factor", T, np.array(U), np.array(P), gamma, lu, pivots) == 0
        library.raw("w_solve", lu, pivots, x)
        return x

    return call, solve


def truth():
    """All routines of TEXT at one point, from its formulas in 60 digits."""

    def f(i, t, *up):
        x, y, z, a, b, d, lam, g, _ = up
        return [
            lambda: a * x - b * x * y / (1 + x**2) + mpmath.sin(lam * t) * z,
            lambda: -d * y + (mpmath.log(x) * y**3 if x > 1 and y > 0 else mpmath.exp(-y) * x ** mpmath.mpf("1.5")),
            lambda: max(x * y, z**2) - g * abs(z) + t**2 * mpmath.tanh(y),
        ][i]()

    with mpmath.workdps(60):
        at = [mpmath.mpf(repr(x)) for x in (T, *U, *P)]

        def slope(i, *by):
            order = [0] * 10
            for k in by:
                order[k] += 1
            return mpmath.diff(lambda *a: f(i, *a), at, tuple(order))

        def table(rows, columns, start):
            return np.array([[float(slope(i, start + j)) for j in range(columns)] for i in range(rows)])

        jac, paramjac = table(3, 3, 1), table(3, 6, 4)
        hessian = np.array([[[float(slope(i, 1 + j, 1 + k)) for k in range(3)] for j in range(3)] for i in range(3)])
        rhs = np.array([float(f(i, *at)) for i in range(3)])
        tgrad = np.array([float(slope(i, 0)) for i in range(3)])
    return {
        "f": rhs,
        "jacobian": jac,
        "parameter_jacobian": paramjac,
        "time_gradient": tgrad,
        "jvp": jac @ V,
        "vjp": V @ jac,
        "parameter_vjp": V @ paramjac,
        "hessian": hessian,
    }


@pytest.mark.parametrize("target", TARGETS)
def test_every_routine(mixed, target, tmp_path):
    call, _ = functions(target, mixed, tmp_path)
    expected = truth()
    for name, value in expected.items():
        extra = [V] if name in ("jvp", "vjp", "parameter_vjp") else []
        got = call(name, value.shape, T, U, P, *extra)
        np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(call("initial", (3,), P), [2.6, 1.0, 2.0])
    np.testing.assert_allclose(call("observables", (1,), T, U, P), [1.7 + 0.6 * 1.5])
    np.testing.assert_allclose(call("roots", (1,), T, U, P), [0.1 - 1.7])
    np.testing.assert_allclose(call("affect_0", (3,), T, U, P), [1.7, 1.6, -0.8])


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "julia"])
def test_sparse_jacobian_inverse_and_w(mixed, target, tmp_path):
    text = api.code(mixed, target)
    call, solve = functions(target, mixed, tmp_path)
    jac = truth()["jacobian"]
    indices, indptr = mixed_pattern(text)
    values = call("jacobian_values", (len(indices),), T, U, P)
    np.testing.assert_allclose(scipy.sparse.csc_matrix((values, indices, indptr), (3, 3)).toarray(), jac, rtol=1e-12)
    np.testing.assert_allclose(call("inverse_jacobian", (3, 3), T, U, P), np.linalg.inv(jac), rtol=1e-11)
    for gamma in (0.01, 0.7, -3.0):
        expected = np.linalg.solve(np.eye(3) - gamma * jac, V)
        np.testing.assert_allclose(solve(gamma, V), expected, rtol=1e-11)


def mixed_pattern(text):
    found = [re.search(rf"JACOBIAN_{name}(?:\[\])? = [^\d]*([\d, ]+)", text)[1] for name in ("INDICES", "INDPTR")]
    return tuple([int(i) for i in row.strip(", ").split(",")] for row in found)


def test_w_in_batches():
    m = sd.model("x' = a*x*y; y' = x - y^2; param a = 1")
    u = np.random.default_rng(0).uniform(-2.0, 2.0, (5, 2))
    module = load(api.code(m, "numpy"), "W")
    jac = module.jacobian(0.0, u, np.array([1.5]))
    gamma = np.array([0.1, 0.2, 1.0, 5.0, -1.0])
    expected = np.linalg.solve(np.eye(2) - gamma[:, None, None] * jac, u[..., None])[..., 0]
    np.testing.assert_allclose(module.w_solve(*module.w_factor(0.0, u, np.array([1.5]), gamma), u), expected)
    other = load(api.code(m, "torch"), "W")
    v, p, g = (torch.tensor(a) for a in (u, [1.5], gamma))
    np.testing.assert_allclose(other.w_solve(*other.w_factor(0.0, v, p.double(), g), v).numpy(), expected)


@pytest.mark.parametrize("target", ["python", pytest.param("c", marks=needs_cc)])
def test_elimination_exchanges_rows_and_a_singular_jacobian_is_told(target, tmp_path):
    m = sd.model("x' = y + z; y' = x*2 - z; z' = x + 3*y")  # zeros on the diagonal
    jac = np.array([[0, 1, 1], [2, 0, -1], [1, 3, 0]], dtype=float)
    got = functions(target, m, tmp_path)[0]("inverse_jacobian", (3, 3), 0.0, [1.0, 1.0, 1.0], [])
    np.testing.assert_allclose(got, scipy.linalg.inv(jac), rtol=1e-14)
    text = api.code(sd.model("x' = y; y' = 2*y"), target)
    if target == "python":
        with pytest.raises(ZeroDivisionError):
            load(text, "Singular").inverse_jacobian(0.0, [1.0, 1.0], [])
    else:
        library = compile_c(text, tmp_path)
        assert library.raw("inverse_jacobian", 0.0, np.ones(2), np.zeros(1), np.zeros((2, 2))) == 1


# ---------------------------------------------------------------- C


@needs_cc
def test_c_does_every_operation_and_their_derivatives(tmp_path):
    system, u = every_operation()
    library = compile_c(api.code(model(system), "c"), tmp_path)
    arguments = (0.3, np.array(u), np.array([1.5, 2.5]))
    where = {"t": 0.3, "u": u, "p": [1.5, 2.5]}
    expected = [float(x) for x in evaluate(system.graph, system.rhs, **where)]
    np.testing.assert_allclose(library("f", (system.n,), *arguments), expected, rtol=1e-12, atol=1e-14)
    places = list(system.jacobian)
    expected = [float(x) for x in evaluate(system.graph, list(system.jacobian.values()), **where)]
    got = library("jacobian", (system.n, system.n), *arguments)
    np.testing.assert_allclose([got[place] for place in places], expected, rtol=1e-11, atol=1e-14)


@needs_cc
def test_branches_in_c_and_julia(tmp_path):
    system = branching()
    text = api.code(model(system), "julia")
    library = compile_c(api.code(model(system), "c"), tmp_path)
    for point in [(-1.0, 0.3), (0.0, 0.3), (0.2, 0.3), (0.7, 7.0), (0.7, 0.3), (2.5, 0.3)]:
        u = [*point, 1.0]
        expected = [float(x) for x in evaluate(system.graph, system.rhs, u=u)]
        np.testing.assert_allclose(library("f", (3,), 0.0, np.array(u), np.zeros(1)), expected, rtol=1e-14)
        np.testing.assert_allclose(julia_reader.call(text, "f!", (3,), t=0.0, u=u, p=[]), expected, rtol=1e-14)


def test_julia_does_every_operation():
    system, u = every_operation()
    text = api.code(model(system), "julia")
    assert "using SpecialFunctions: digamma, erf, erfc, gamma, logabsgamma" in text
    expected = [float(x) for x in evaluate(system.graph, system.rhs, t=0.3, u=u, p=[1.5, 2.5])]
    got = julia_reader.call(text, "f!", (system.n,), t=0.3, u=u, p=[1.5, 2.5])
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@needs_cc
def test_networks_in_c_agree_with_plain_python(tmp_path):
    m = every_activation()
    library = compile_c(api.code(m, "c"), tmp_path)
    module = load(api.code(m, "python"), "Networks")
    assert library.sizes["WEIGHTS"] == m.system.n_weights
    p = library.numbers("P0", 1 + m.system.n_weights)
    assert p == [*module.P0, *module.WEIGHTS]
    u, v = [0.4, -0.9] + [0.1] * (m.system.n - 2), list(np.linspace(-1.0, 1.0, m.system.n))
    for name, extra in [("f", []), ("jacobian", []), ("vjp", [v]), ("jvp", [v])]:
        expected = np.array(getattr(module, name)(0.0, u, p, *extra))
        got = library(name, expected.shape, 0.0, np.array(u), np.array(p), *map(np.array, extra))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_reverse_and_second_derivatives_of_networks(tmp_path):
    m = sd.model("x' = NN(x, y)*y - x; y' = NN(y, x*y)^2; x(0) = 1; y(0) = 1")
    m = m.with_weights({"NN": initial_weights(m.spec.networks[0], 0)})
    module = load(api.code(m, "python"), "NN")
    u, v, h = np.array([0.4, -0.7]), np.array([0.3, -2.0]), 1e-6
    jac = np.array(module.jacobian(0.0, list(u)))
    steps = [np.array([h, 0.0]), np.array([0.0, h])]
    slopes = [(np.array(module.f(0.0, list(u + d))) - module.f(0.0, list(u - d))) / (2 * h) for d in steps]
    np.testing.assert_allclose(jac, np.transpose(slopes), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(module.vjp(0.0, list(u), [], list(v)), v @ jac, rtol=1e-12)
    np.testing.assert_allclose(module.jvp(0.0, list(u), [], list(v)), jac @ v, rtol=1e-12)
    seconds = [
        (np.array(module.jacobian(0.0, list(u + d))) - module.jacobian(0.0, list(u - d))) / (2 * h) for d in steps
    ]
    np.testing.assert_allclose(module.hessian(0.0, list(u)), np.moveaxis(seconds, 0, -1), rtol=1e-6, atol=1e-8)
    if CC:
        library = compile_c(api.code(m, "c"), tmp_path)
        p = np.array(library.numbers("P0", m.system.n_weights))
        np.testing.assert_allclose(library("hessian", (2, 2, 2), 0.0, u, p), module.hessian(0.0, list(u)), rtol=1e-11)


C_NAMES = [
    "y0",
    "j0",
    "gamma",
    "double",
    "exp",
    "I",
    "linux",
    "INFINITY",
    "new",
    "ipow",
    "M_PI",
    "N_STATES",
    "α",
    "alpha",
]


@needs_cc
@pytest.mark.parametrize("dialect", ["c", pytest.param("c++")])
def test_any_name_is_safe_in_c(dialect, tmp_path):
    names = (*HOSTILE, *C_NAMES, "i", "n", "x", "lu", "жx", "*/", "??/", "%s\n")
    m = hostile(names)
    text = api.code(m, "c")
    options = ["-std=gnu99"] if dialect == "c" else ["-x", "c++"]
    if dialect == "c++":
        text = f'extern "C" {{\n{text.replace("#include <math.h>", "")}}}\n'
        text = "#include <math.h>\n" + re.sub(r"^const ", "extern const ", text, flags=re.MULTILINE)
        subprocess.run([CC, *options, "-fsyntax-only", "-"], input=text, text=True, check=True, capture_output=True)
        return
    library = compile_c(text, tmp_path, *options)
    u = [0.1 * i for i in range(len(names))]
    got = library("f", (len(names),), 0.5, np.array(u), np.zeros(1))
    expected = [float(x) for x in evaluate(m.system.graph, m.system.rhs, t=0.5, u=u)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert library.strings("STATES", len(names)) == list(names)
    compile_c(text, tmp_path)  # without a warning


def hostile(names):
    from sciml_dsl.graph.graph import Graph

    g = Graph()
    n = len(names)
    leaves = [g.leaf("state", i) for i in range(n)]
    rhs = [g.add(g.mul(leaves[i], g.call("exp", leaves[(i + 1) % n])), g.leaf("t")) for i in range(n)]
    title = '"""\n*/ end\nexit(1)'
    return model(system_of(g, rhs, states=names, name=title, observables=(rhs[0],), observable_names=('"$(exit())',)))


def test_any_name_is_safe_in_julia():
    names = (*HOSTILE, *C_NAMES, "end", "begin", "$(exit())", "Inf", "π", "x·y", "ɛ", "ε")
    m = hostile(names)
    text = api.code(m, "julia")
    u = [0.1 * i for i in range(len(names))]
    got = julia_reader.call(text, "f!", (len(names),), t=0.5, u=u, p=[])
    np.testing.assert_allclose(got, [float(x) for x in evaluate(m.system.graph, m.system.rhs, t=0.5, u=u)], rtol=1e-14)
    assert '"\\$(exit())"' in text
    assert not any(re.search(r"[^\\]\$\(", line) for line in text.split("\n") if not line.startswith("#"))
    assert balanced(text)


def balanced(text):
    """Do blocks of Julia open and close in pairs?"""
    depth, quoted = 0, False
    for line in text.split("\n"):
        quoted ^= line.count('"""') % 2 == 1
        word = line.strip().split(" ")[0]
        if quoted or '"""' in line or line.lstrip().startswith("#"):
            continue
        depth += word in ("module", "function", "if", "for", "while", "try")
        depth -= word == "end"
        if depth < 0:
            return False
    return depth == 0


def test_julia_with_networks_and_events_is_balanced_and_contains_weights():
    m = sd.model("x' = NN(x)*p - x; x(0) = 1; param p = 1; at 3: x += 1; every 2 until 9: x += p")
    m = m.with_weights({"NN": initial_weights(m.spec.networks[0], 0)})
    text = m.code("julia")
    assert balanced(text)
    assert "w = length(p) > 1 ? view(p, 2:length(p)) : WEIGHTS" in text
    assert 'const EVENTS = String["at", "every"]' in text


GOLDEN = """
\"\"\"Right-hand side du/dt, shape (n,).\"\"\"
function f!(out, u, p, t)
    α = p[1]
    β = p[2]
    x = u[1]
    y = u[2]
    v1 = β*x*y
    out[1] = α*x - v1
    out[2] = v1 - y^3
    return nothing
end
"""


def test_julia_reads_like_the_model():
    text = sd.model("x' = α*x - β*x*y; y' = β*x*y - y^3; param α = 1, β = 2; x(0) = 1; y(0) = 2").code("julia")
    assert GOLDEN in text
    assert "const U0 = Float64[1.0, 2.0]" in text and "const P0 = Float64[1.0, 2.0]" in text


# ---------------------------------------------------------------- limits, determinism


@pytest.mark.parametrize(
    "target", ["python", "numpy", "numba", "torch", "c", "cuda", "julia", "latex", "llvm", "sciml"]
)
def test_the_same_model_gives_the_same_text(target):
    assert sd.model(TEXT).code(target) == sd.model(TEXT).code(target)


def test_a_large_model_has_no_dense_hessian():
    n = LARGEST_HESSIAN + 1
    text = "\n".join(f"x{i}' = -x{i}*x{(i + 1) % n}" for i in range(n))
    assert "def hessian" not in sd.model(text).code("python")
    assert "def hessian" in sd.model("x' = x^2").code("python")


def test_c_helpers_are_never_names_of_the_model():
    assert {"ipow", "digamma", "tanh_slopes"} <= set(c_runtime.OWN)
    assert {"y0", "j1", "gamma", "lambda"} - c_runtime.WORDS == {"lambda"}


def test_llvm_and_assembly_are_those_of_the_native_functions():
    m = sd.model("x' = -k*x*y; y' = k*x*y; param k = 2")
    assert "define void @f(double %t" in m.code("llvm") and "define void @jac(" in m.code("llvm")
    assert re.search(r"^_?f:", m.code("asm"), re.MULTILINE)


# ---------------------------------------------------------------- latex


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("-(a + b)*x", r"-\left(a + b\right) \, x"),
        ("a/(b + x)", r"\frac{a}{b + x}"),
        ("-a/b - (-x)", r"-\frac{a}{b} - \left(-x\right)"),
        ("a - (b - x)", r"a - \left(b - x\right)"),
        ("2*3*x", r"2 \cdot 3 \, x"),
        ("x^2.5*1e-5", r"x^{2.5} \cdot 10^{-5}"),
        ("(a*b)^x", r"\left(a \, b\right)^{x}"),
        ("(x^a)^b", r"\left(x^{a}\right)^{b}"),
        ("sqrt(abs(x))", r"\sqrt{\left|x\right|}"),
        ("k_on*K1", r"k_{\mathrm{on}} \, K_{1}"),
        ("exp(-x/a)*sin(2*t)", r"\exp\left(-\frac{x}{a}\right) \, \sin\left(2 \, t\right)"),
        ("erf(x)*gamma(a)", r"\operatorname{erf}\left(x\right) \, \Gamma\left(a\right)"),
        (
            "if x > 1 then a else if x <= 0 then b else 0",
            r"\begin{cases} a & \text{if } x > 1 \\ b & \text{if } x \le 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
    ],
)
def test_latex_of_expressions(formula, expected):
    text = sd.model(f"x' = {formula}; param a = 1, b = 2, k_on = 3, K1 = 4").code("latex")
    assert text.split("\n")[1] == r"\frac{\mathrm{d}x}{\mathrm{d}t} &= " + expected + r" \\"


def test_latex_is_what_a_notebook_shows():
    m = sd.model(TEXT)
    shown = m._repr_latex_()
    assert shown.startswith(r"$\displaystyle \begin{aligned}") and shown.endswith(r"\end{aligned}$")
    assert r"\lambda" in shown and r"\begin{cases}" in shown and r"\text{when } x < 0.1" in shown
    assert shown.count("{") == shown.count("}") and len(re.findall(r"\\left\b", shown)) == shown.count(r"\right")
    pytest.importorskip("matplotlib")
    from matplotlib import mathtext

    for line in m.code("latex").split("\n")[3:6]:
        line = line.removesuffix(r" \\").replace("&=", "=").replace(r"\text", r"\mathrm")
        if "cases" not in line:
            mathtext.MathTextParser("agg").parse(f"${line}$")


# ---------------------------------------------------------------- introspection


def test_operations_count_shared_work_once():
    m = sd.model("x' = exp(a*x)*y; y' = exp(a*x)*x - NN(x, y)*NN(x, y); param a = 1")
    assert m.operations() == {"NN": 1, "exp": 1, "mul": 4, "sub": 1}
    assert sum(m.operations("jacobian").values()) > sum(m.operations().values())
    with pytest.raises(UnknownNameError, match="did you mean `jacobian`"):
        m.operations("jacobain")


def test_dependencies_go_through_functions_but_not_through_observables():
    m = sd.model("θ'' = -g/l*sin(θ) + drive(t); drive(s) = A*NN(s); E = θ'^2/2; const g = 9.81; param l = 1, A = 2")
    assert m.dependencies() == {"θ": ("θ'",), "θ'": ("θ", "l", "A", "g", "NN", "t"), "E": ("θ'",)}


@needs_cc
def test_c_arrays_hold_names_defaults_and_pattern(tmp_path):
    library = compile_c(sd.model(TEXT).code("c"), tmp_path)
    assert library.sizes == {
        "STATES": 3, "PARAMETERS": 6, "WEIGHTS": 0, "OBSERVABLES": 1, "NONZEROS": 8, "EVENTS": 1,
    }  # fmt: skip
    assert library.strings("PARAMETERS", 6) == ["α", "β", "δ", "lambda", "gamma", "E"]
    assert library.numbers("P0", 6) == [1.3, 0.7, 0.4, 2.0, 0.3, 1.5]
    assert library.numbers("TERMINAL", 1, ctypes.c_int) == [0]
    empty = compile_c(sd.model("x' = -x; x(0) = 2").code("c"), tmp_path)
    assert empty.numbers("U0", 1) == [2.0] and empty("f", (1,), 0.0, np.array([3.0]), np.zeros(1))[0] == -3.0
