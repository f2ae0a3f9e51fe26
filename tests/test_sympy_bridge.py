"""Sympy in and out: the same model as the text, and the same numbers."""

from __future__ import annotations

import math

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.errors import UnsupportedError
from sciml_dsl.language.ast import Binary, Call, Name, Num, names
from sciml_dsl.language.complaint import Complaint
from sciml_dsl.language.parse import parse_expression
from sciml_dsl.model.constants import evaluate
from sciml_dsl.model.spec import Network, Parameter
from sciml_dsl.model.sympy_bridge import from_sympy
from sciml_dsl.model.sympy_expr import from_sympy_expr, to_sympy

t = sp.Symbol("t")
x, y, a, b, c, d = sp.symbols("x y a b c d")
X, Y = sp.Function("x")(t), sp.Function("y")(t)
NN = sp.Function("NN")

TEXT = """
x' = a*x - b*x*y
y' = -c*y + d*x*y/3 + NN(x, y)
x(0) = 1
y(0) = 2*a
param a = 1.5, b = 1 in [0, 5], c, d
"""


def tree(text: str):
    return parse_expression(text).statements[0].expr


@pytest.mark.parametrize(
    "equations",
    [
        {x: a * x - b * x * y, y: -c * y + d * x * y / 3 + NN(x, y)},
        {"x": a * x - b * x * y, "y": -c * y + d * x * y / 3 + NN(x, y)},
        {X: a * X - b * X * Y, Y: -c * Y + d * X * Y / 3 + NN(X, Y)},
        {"x": "a*x - b*x*y", "y": "NN(x, y) - c*y + d*x*y/3"},
        [sp.Eq(sp.Derivative(X, t), a * X - b * X * Y), sp.Eq(Y.diff(t), -c * Y + d * X * Y / 3 + NN(X, Y))],
        [sp.Eq(a * X - b * X * Y, X.diff(t)), sp.Eq(Y.diff(t), -c * Y + d * X * Y / 3 + NN(X, Y))],
    ],
)
def test_the_same_model_as_the_text(equations):
    m = sd.from_sympy(equations, initial={x: 1, "y": 2 * a}, parameters={a: 1.5, "b": (1, 0, 5)})
    assert m == sd.model(TEXT)
    assert sd.model(str(m)) == m


def test_second_order_and_observables():
    th = sp.Function("θ")(t)
    g, L = sp.symbols("g L")
    energy = th.diff(t) ** 2 / 2 - g / L * sp.cos(th)
    m = sd.from_sympy(
        [sp.Eq(th.diff(t, 2), -g / L * sp.sin(th) - th.diff(t) / 10), sp.Eq(sp.Symbol("energy"), energy)],
        initial={th.subs(t, 0): 1, th.diff(t).subs(t, 0): 0},
        parameters={g: 9.81, L: 1},
        name="Pendulum",
    )
    text = "model Pendulum; θ'' = -g/L*sin(θ) - θ'/10; energy = θ'^2/2 - g/L*cos(θ); θ(0) = 1; θ'(0) = 0"
    assert m == sd.model(text + "; param g = 9.81, L = 1")
    back = sd.from_sympy(
        m.equations,
        {"θ": 1, "θ'": 0},
        {"g": 9.81, "L": 1},
        {"energy": sp.Symbol("θ'") ** 2 / 2 - g / L * sp.cos(sp.Symbol("θ"))},
        name="Pendulum",
    )
    assert back == m


def test_parameters_free_symbols_and_networks():
    U = sp.Function("U")
    m = sd.from_sympy(
        {x: sp.Symbol("z") * x + U(x, t) + sp.Function("V[2]")(x), y: sp.Symbol("lambda") * sp.Symbol("S") + NN(y)},
        parameters=[sp.Symbol("q")],
        networks={"V": {"n_out": 2, "hidden": [3], "activation": "sin"}},
    )
    assert m.parameters == ("q", "S", "lambda", "z")
    assert m.spec.networks == (
        Network("V", 1, 2, (3,), "sin", True),
        Network("U", 2, 1, (16, 16), "tanh", True),
        Network("NN", 1),
    )
    assert m.spec.derivatives[1].left.right.name in ("S", "lambda")
    m = sd.from_sympy({x: -a * x + b}, parameters=[Parameter("a", 1.0, 0.1, 2.0, True), "b"])
    assert m.spec.parameters == (Parameter("a", 1.0, 0.1, 2.0, True), Parameter("b"))


def test_names_sympy_would_take_for_its_own():
    m = sd.model("x' = E*I + S*N*beta(1) + gamma*Q; beta(z) = z; param E, I, S, N, gamma, Q, pi")
    expected = sp.Add(*[sp.Mul(*map(sp.Symbol, names)) for names in (("E", "I"), ("S", "N"), ("gamma", "Q"))])
    assert m.equations["x"] == expected
    assert all(isinstance(s, sp.Symbol) and not s.assumptions0.get("real") for s in m.equations["x"].free_symbols)


def test_what_equations_look_like():
    m = sd.model(
        "x' = k*mm(x, 2) + half*total + U(x, y)[1]; y' = NN(x, y) + t + h0; neural U(a, b) -> 2\n"
        "mm(s, K) = s/(K + s + shift); shift = 2*y; total = x + shift; const half = 0.5, h0 = 3; param k"
    )
    k = sp.Symbol("k")
    assert m.equations == {
        "x": k * x / (2 + x + 2 * y) + 0.5 * (x + 2 * y) + sp.Function("U[1]")(x, y),
        "y": NN(x, y) + t + 3,
    }
    jacobian = m.jacobian()
    assert jacobian.shape == (2, 2)
    assert jacobian[1, 0] == sp.Derivative(NN(x, y), x)
    assert (
        sp.simplify(
            jacobian[0, 0]
            - (k * (2 + 2 * y) / (2 + x + 2 * y) ** 2 + 0.5 + sp.Derivative(sp.Function("U[1]")(x, y), x))
        )
        == 0
    )
    assert m.parameter_jacobian() == sp.Matrix([[x / (2 + x + 2 * y)], [0]])


def test_the_jacobian_of_an_absolute_value():
    m = sd.model("x' = abs(x)*a; param a")
    assert m.jacobian() == sp.Matrix([[a * sp.sign(x)]])


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (sp.Rational(1, 3) * x, "x/3"),
        (-a * x + b, "-a*x + b"),
        (x ** sp.Rational(1, 2), "sqrt(x)"),
        (1 / x**2, "1/x^2"),
        (sp.exp(-x), "exp(-x)"),
        (sp.E**x, "exp(x)"),
        (sp.pi * x, "pi*x"),
        (sp.Abs(x), "abs(x)"),
        (sp.Max(x, 2, y), "max(2, x, y)"),
        (sp.Min(x, y), "min(x, y)"),
        (sp.sec(x) + sp.coth(x), "1/cos(x) + 1/tanh(x)"),
        (sp.loggamma(x), "lgamma(x)"),
        (sp.digamma(x), "digamma(x)"),
        (sp.ceiling(x) + sp.floor(y), "ceil(x) + floor(y)"),
        (sp.Mod(x, 2), "mod(x, 2)"),
        (sp.atan2(y, x), "atan2(y, x)"),
        (sp.Heaviside(x), "if x > 0 then 1 else 0"),
        (sp.Piecewise((1, x < 1), (2, x < 2), (3, True)), "if x < 1 then 1 else if x < 2 then 2 else 3"),
        (sp.Piecewise((1, (x < 1) & (y > 2)), (0, True)), "if x < 1 and y > 2 then 1 else 0"),
        (sp.Piecewise((1, sp.Not(sp.Eq(x, 1)) | (y >= 2)), (0, True)), "if x != 1 or y >= 2 then 1 else 0"),
        (x ** (-y), "x^(-y)"),
        (2 * x**2 * y / (3 * a), "2*x^2*y/(3*a)"),
        (NN(x, y) + NN(x, y) ** 2, "NN(x, y) + NN(x, y)^2"),
        (sp.Float(0.1) * x, "0.1*x"),
    ],
)
def test_expressions_from_sympy(expr, text):
    model = "; y' = 1; param a = 1, b = 1"
    assert sd.model(f"x' = {text}{model}") == from_sympy({x: expr, y: 1}, parameters={a: 1, b: 1})


def test_numbers_become_doubles():
    assert from_sympy_expr(sp.Rational(1, 3)) == Binary("/", Num(1.0), Num(3.0))
    assert from_sympy_expr(sp.Rational(3, 4)) == Num(0.75)
    assert from_sympy_expr(sp.pi) == Num(math.pi)
    assert from_sympy_expr(sp.E) == Num(math.e)
    assert from_sympy_expr(sp.Float("0.1", 40)) == Num(0.1)
    assert from_sympy_expr(sp.Integer(10) ** 30) == Num(1e30)
    assert from_sympy_expr(7) == Num(7.0)
    for value in (0.1, 1 / 3, 1e-300, 2.5e17):
        assert from_sympy_expr(to_sympy(Num(value))) == Num(value)


_leaves = st.one_of(st.integers(1, 9).map(float).map(Num), st.sampled_from(["x", "y", "a"]).map(Name))


def _grow(inner):
    one = ["exp", "sin", "atan", "tanh", "abs", "sign", "floor", "ceil", "erf", "cbrt", "expm1", "cosh", "asinh"]
    compared = st.builds(Binary, st.sampled_from(["<", "<=", ">", ">="]), inner, inner)
    return st.one_of(
        st.builds(Binary, st.sampled_from(["+", "-", "*", "/"]), inner, inner),
        st.builds(Binary, st.just("^"), inner, st.sampled_from([Num(2.0), Num(3.0)])),
        st.builds(lambda f, e: Call(f, (e,)), st.sampled_from(one), inner),
        st.builds(lambda f, e, g: Call(f, (e, g)), st.sampled_from(["min", "max", "atan2"]), inner, inner),
        st.builds(lambda *p: Call("ifelse", p), compared, inner, inner),
    )


@given(st.recursive(_leaves, _grow, max_leaves=8))
@settings(deadline=None, max_examples=120)
def test_sympy_and_back_means_the_same(expr):
    """Against plain evaluation of the tree; where sympy meets 0/0 or infinity it may know better."""
    point = {"x": 0.7310585786300049, "y": -1.6180339887498949, "a": 2.302585092994046}
    try:
        truth = evaluate(expr, point, "it", {})
    except Complaint:
        return
    seen = to_sympy(expr)
    if seen.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I) or abs(truth) > 1e8:
        return
    value = seen.subs({n: sp.Float(v) for n, v in point.items()})
    if value is sp.nan:  # atan2(0, 0) has no value for sympy
        return
    assert float(value) == pytest.approx(truth, rel=1e-7, abs=1e-7)
    back = from_sympy_expr(seen)
    assert names(back) <= names(expr)
    assert evaluate(back, point, "it", {}) == pytest.approx(truth, rel=1e-7, abs=1e-7)


# ---------------------------------------------------------------- errors


def test_equations_that_cannot_be_read():
    bad = [
        ({}, sd.ModelError, "no equation"),
        ([], sd.ModelError, "no equation"),
        (3, sd.InputError, "mapping"),
        ([x], sd.ModelError, "not an equation"),
        ([sp.Eq(x, x)], sd.ModelError, "True or False"),
        ([sp.Eq(2 * X.diff(t), X)], sd.ModelError, "not a derivative"),
        ([sp.Eq(sp.Function("x")(a).diff(a), 1)], sd.ModelError, "not a derivative by the time"),
        ({x: sp.I * x}, sd.UnsupportedError, "imaginary"),
        ({x: sp.oo}, sd.ModelError, "finite"),
        ({x: sp.nan}, sd.ModelError, "finite"),
        ({x: sp.LambertW(x)}, sd.UnsupportedError, "LambertW"),
        ({x: sp.Integral(x, x)}, sd.UnsupportedError, "Integral"),
        ({x: sp.Piecewise((1, x < 1))}, sd.UnsupportedError, "remaining cases"),
        ({x: X.subs(t, t - 1)}, sd.ReservedError, "delays"),
        ({x: Y}, sd.NameModelError, "no equation"),
        ({x: X.subs(t, 3)}, sd.ModelError, "another place"),
        ({x: sp.Symbol("if")}, sd.NameModelError, "cannot hold"),
        ({x: sp.Symbol("k cat")}, sd.NameModelError, "cannot hold"),
        ({sp.Symbol("x_{1}"): 1}, sd.NameModelError, "cannot hold"),
        ({x: "y +"}, sd.SyntaxModelError, "too early"),
        ({x: object()}, sd.InputError, "sympy expression"),
        ({x: None}, sd.InputError, "sympy expression"),
        ({t: x}, sd.NameModelError, "time"),
        ({"x'": 1}, sd.ModelError, "`x` has none"),
        ({x: sp.Symbol("x'")}, sd.NameModelError, "no state"),
        ({x: NN(x) + NN(x, y)}, sd.NameModelError, "first used with"),
        ([sp.Eq(X.diff(t), 1), sp.Eq(X.diff(t), 2)], sd.NameModelError, "twice"),
    ]
    for equations, kind, message in bad:
        with pytest.raises(kind, match=message):
            sd.from_sympy(equations)


def test_other_arguments_that_do_not_fit():
    with pytest.raises(sd.NameModelError, match="no equation"):
        sd.from_sympy({x: 1}, initial={y: 1})
    with pytest.raises(sd.ModelError, match="depends on the state"):
        sd.from_sympy({x: 1}, initial={x: x})
    with pytest.raises(sd.ModelError, match="outside its bounds"):
        sd.from_sympy({x: a}, parameters={a: (9, 0, 1)})
    with pytest.raises(sd.InputError, match=r"default, lower, upper"):
        sd.from_sympy({x: a}, parameters={a: (9, 0)})
    with pytest.raises(sd.InputError, match="needs a number"):
        sd.from_sympy({x: a}, parameters={a: "one"})
    with pytest.raises(sd.InputError, match="NaN"):
        sd.from_sympy({x: a}, parameters={a: float("nan")})
    with pytest.raises(sd.NameModelError, match="a state"):
        sd.from_sympy({x: a}, parameters={x: 1})
    with pytest.raises(sd.InputError, match="not used"):
        sd.from_sympy({x: a}, networks={"NN": {}})
    with pytest.raises(sd.InputError, match="options"):
        sd.from_sympy({x: NN(x)}, networks={"NN": {"depth": 3}})
    with pytest.raises(sd.NameModelError, match="not an activation"):
        sd.from_sympy({x: NN(x)}, networks={"NN": {"activation": "tan"}})
    with pytest.raises(sd.InputError, match="name for a model"):
        sd.from_sympy({x: a}, name="a b")
    with pytest.raises(sd.InputError, match="strings or sympy symbols"):
        sd.from_sympy({1: a})


def test_trees_of_text_are_reused():
    assert tree("2*x") == from_sympy_expr(2 * x)


def test_huge_numbers_end_where_doubles_do():
    """Exact arithmetic would fill the memory; the value is that of Python's doubles."""
    for text in ("10^10^10^10", "10.5^1000000^2", "(-3)^100001", "gamma(1e9)*x"):
        with pytest.raises(sd.ModelError, match=r"overflows|no finite value"):
            sd.model(f"x' = {text}")
    for text, expected in (
        ("2^(-10000000)", 0.0),
        ("1^10^10", 1.0),
        ("pow(0.5, 1030)", 0.5**1030),
        ("2^1000", 2.0**1000),
        ("lgamma(1e9)", math.lgamma(1e9)),
    ):
        assert float(sd.model(f"x' = {text}").equations["x"]) == pytest.approx(expected, rel=1e-14)
    m = sd.model("x' = (2*x)^1e14 + gamma(1e2)*x + x^2000")
    assert {s.name for s in m.equations["x"].free_symbols} == {"x"}
    assert sd.model("x' = x^2000").jacobian()[0] == 2000 * sp.Symbol("x") ** 1999


def test_towers_too_deep_for_sympy_are_refused_in_words():
    m = sd.model("x' = " + "^".join(["x"] * 3000))
    for look in (lambda: m.equations, m.jacobian):
        with pytest.raises(UnsupportedError, match="nested too deeply"):
            look()


def test_inputs():
    t, k, u, v = sp.symbols("t k u v")
    x, rate = sp.Function("x"), sp.Function("rate")
    equations = [sp.Eq(sp.Derivative(x(t), t), rate(t) * u - k * x(t) + v)]
    m = sd.from_sympy(
        equations,
        initial={x(0): 0},
        parameters={k: 0.3},
        inputs={
            rate(t): {"interpolation": "constant", "data": ([0, 1, 4], [0, -2, 0])},
            u: "cubic",
            "v": {"hold": True, "column": "w"},
        },
    )
    text = """x' = u*rate - k*x + v; x(0) = 0; param k = 0.3
        input rate = [(0, 0), (1, -2), (4, 0)] constant, u cubic, v from w hold"""
    assert m == sd.model(text)
    assert sd.from_sympy({x(t): u - x(t)}, inputs=[u]) == sd.model("x' = u - x; input u")
    read = sd.model(text)
    again = sd.from_sympy(read.equations, {"x": 0}, {"k": 0.3}, inputs={i.name: i for i in read.spec.inputs})
    assert again == m


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"u": "quadratic"}, 'interpolated by "linear", "constant", "cubic"'),
        ({"u": {"holt": True}}, "did you mean `hold`"),
        ({"u": {"column": "a b"}}, "is not a name"),
        ({"u": ([0, 1], [1])}, "2 times and 1 values"),
        ({"u": {"hold": "no"}}, "hold is True or False"),
        ({"u": {"column": 3}}, "is not a name"),
        ({"x": None}, "`x` is a state and defined again"),
        ([3], "names are strings or sympy symbols"),
    ],
)
def test_inputs_that_do_not_fit(inputs, message):
    with pytest.raises(sd.SciMLError) as caught:
        sd.from_sympy({"x": "u - x"}, inputs=inputs)
    assert message in str(caught.value)
