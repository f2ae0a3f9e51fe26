"""The Model: names, equality, text and back, changed copies, and the light package import."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen.sciml import emit, expression
from sciml_dsl.language.ast import Binary, Call, Expr, IfElse, Name, Num, Unary
from sciml_dsl.language.names import BUILTINS
from sciml_dsl.language.parse import parse_expression
from sciml_dsl.model.canonical import same_model
from sciml_dsl.model.constants import evaluate
from sciml_dsl.model.spec import (
    Constant,
    Definition,
    Event,
    Function,
    ModelSpec,
    Network,
    Parameter,
)

TEXT = """model Prey
x' = a*x - b*x*y + U(x, y)[1]
y' = -y + f(x)*y + U(x, y)[2] + NN(y)
f(s) = s/(1 + s)
total = x + y
x(0) = 1; y(0) = y0
param a = 1 in [0, 2], b = 0.5, y0 = 3
const g = 2
neural U(p, q) -> 2 { hidden = [4] }
when x < 0.1: x += g
"""


@pytest.fixture
def m() -> sd.Model:
    return sd.model(TEXT)


# ---------------------------------------------------------------- values


def test_names(m):
    assert m.name == "Prey"
    assert m.states == ("x", "y")
    assert m.parameters == ("a", "b", "y0")
    assert m.observables == ("total",)
    assert m.networks == ("U", "NN")
    assert m.defaults == {"a": 1.0, "b": 0.5, "y0": 3.0}
    assert m.bounds["a"] == (0.0, 2.0)
    assert repr(m) == (
        "<Model Prey: 2 states x, y; 3 parameters a, b, y0; 1 observable total; 2 networks U, NN; 1 event>"
    )


def test_copies_pickles_and_text_are_equal(m):
    for other in (
        pickle.loads(pickle.dumps(m)),
        copy.deepcopy(m),
        copy.copy(m),
        sd.model(str(m)),
        sd.model(m.code("sciml")),
    ):
        assert other == m and hash(other) == hash(m)
        assert other.spec.weights == m.spec.weights
    assert m != sd.model(TEXT.replace("0.5", "0.25"))
    assert m != 3


def test_models_cannot_be_changed(m):
    with pytest.raises(AttributeError, match="immutable"):
        m.spec = None
    with pytest.raises(AttributeError, match="immutable"):
        del m.spec


def test_a_large_model_pickles_and_compares_without_recursion():
    m = sd.model("x' = " + " + ".join(["k*x"] * 20_000) + "; param k")
    assert pickle.loads(pickle.dumps(m)) == m == copy.deepcopy(m)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("a*x - b*x*y", "-b*y*x + x*a", True),
        ("x/3", "1/3*x", True),
        ("x*2/3", "2*x/3", True),
        ("sqrt(x)", "x^0.5", True),
        ("1/sqrt(x)", "x^(-1/2)", True),
        ("(x + y)*2*a", "a*(2*x + 2*y)", True),
        ("a/(b*x)", "a/b/x", True),
        ("-(x - y)", "y - x", True),
        ("x*x*x", "x^3", True),
        ("(x*y)^2", "x^2*y^2", True),
        ("2^3*x", "8*x", True),
        ("2*pi*x", "x*pi + pi*x", True),
        ("max(x, y, a)", "max(max(a, y), x)", True),
        ("if x < y then 1 else 2", "ifelse(y > x, 1, 2)", True),
        ("if x < y and a < b then 1 else 2", "if a < b and x < y then 1 else 2", True),
        ("log(x)", "ln(x)", True),
        ("sqrt(4*x)", "2*sqrt(x)", True),
        ("x - y", "y - x", False),
        ("x/y", "y/x", False),
        ("x^y", "y^x", False),
        ("(x^2)^0.5", "x", False),
        ("if x < y then 1 else 2", "if x <= y then 1 else 2", False),
        ("a*(x + y)", "a*x + y", False),
        ("sin(x)", "cos(x)", False),
        ("x*1e300*1e300", "x*1e300", False),
    ],
)
def test_equality_up_to_order_and_arithmetic(left, right, equal):
    rest = "; y' = 1; param a = 1, b = 1"
    one, two = sd.model(f"x' = {left}{rest}"), sd.model(f"x' = {right}{rest}")
    assert (one == two) is equal
    assert (two == one) is equal


# ---------------------------------------------------------------- text and back

NAMES = ("x", "y", "θ", "θ'", "k", "lambda", "at", "end", "in", "E", "x₁", "obs", "pi", "e", "t")
_literals = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(Num), st.integers(0, 20).map(float).map(Num)
)
_values = st.one_of(_literals, st.sampled_from(NAMES).map(Name))


def _compare(inner, signs=("<", "<=", ">", ">=", "==", "!=")):
    simple = st.builds(Binary, st.sampled_from(signs), inner, inner)
    joined = st.builds(Binary, st.sampled_from(["and", "or"]), simple, simple)
    return st.one_of(simple, st.builds(Unary, st.just("not"), simple), joined)


def _grow(inner):
    fixed = sorted(name for name, (least, most, _) in BUILTINS.items() if least == most == 1)
    pairs = st.sampled_from(["min", "max", "pow", "f", "NN2"])
    return st.one_of(
        st.builds(Binary, st.sampled_from(["+", "-", "*", "/", "^"]), inner, inner),
        st.builds(Unary, st.just("-"), inner),
        st.builds(IfElse, _compare(inner), inner, inner),
        st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(fixed), inner),
        st.builds(lambda name, a, b: Call(name, (a, b)), pairs, inner, inner),
        st.builds(lambda a, k: Call("U", (a,), k), inner, st.integers(1, 2)),
    )


expressions = st.recursive(_values, _grow, max_leaves=12)
in_states = st.recursive(
    st.one_of(st.floats(0, 1e9).map(Num), st.sampled_from(["x", "k", "E", "t"]).map(Name)), _grow, max_leaves=6
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.one_of(_literals, st.sampled_from(["k", "lambda", "E"]).map(Name)),
    lambda inner: st.builds(Binary, st.sampled_from(["+", "*"]), inner, inner),
    max_leaves=4,
)


@given(expressions)
@settings(deadline=None)
def test_any_expression_prints_and_parses_to_itself(expr: Expr):
    assert parse_expression(expression(expr)).statements[0].expr == expr


@st.composite
def specs(draw):
    lower = draw(st.floats(0, 1e3))
    upper = lower + draw(st.floats(0.5, 1e3))
    free = draw(st.booleans())
    k = Parameter("k", draw(st.none() | numbers)) if free else Parameter("k", lower, lower, upper)
    log = Parameter(
        "lambda", draw(st.none() | st.floats(1e-3, 1e3)), 0.0, draw(st.sampled_from([float("inf"), 1e4])), True
    )
    condition = draw(_compare(_values, ("<", "<=", ">", ">=")))
    assignment = ("at", draw(expressions))
    events = [
        Event(
            "when",
            condition=condition,
            assignments=(assignment, ("x", draw(expressions))),
            terminate=draw(st.booleans()),
        ),
        Event("at", time=draw(plain), assignments=(assignment,)),
        Event("every", period=Name("k"), start=draw(st.none() | plain), stop=draw(st.none() | plain), terminate=True),
    ]
    first = Definition("obs", draw(in_states))
    states = ("x", "θ", "θ'", "at", "end", "in", "y", "x₁")
    exprs = [draw(expressions) for _ in states]
    exprs[1] = Name("θ'")
    body = draw(
        st.recursive(
            st.sampled_from([Name("s"), Name("K"), Num(2.0), Name("k")]),
            lambda i: st.builds(Binary, st.sampled_from("+-*/^"), i, i),
        )
    )
    spec = ModelSpec(
        name=draw(st.sampled_from(["model", "Prey", "end"])),
        states=states,
        derivatives=tuple(exprs),
        initial=tuple(draw(st.none() | plain) for _ in states),
        parameters=(k, log),
        constants=(Constant("E", draw(numbers)),),
        definitions=(first, Definition("q", Name("obs"))),
        functions=(Function("f", ("s", "K"), body),),
        networks=(Network("U", 1, 2, (3,), "sin", True),),
        events=tuple(events),
    )
    if "NN2" in repr(spec):
        spec = ModelSpec(**{**_fields(spec), "networks": (*spec.networks, Network("NN2", 2))})
    return spec


def _fields(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


@given(specs())
@settings(deadline=None, max_examples=80)
def test_any_model_prints_and_parses_to_itself(spec):
    text = emit(spec)
    try:
        again = sd.model(text)
    except sd.ModelError as error:  # numbers alone that have no value, acosh(0): no text may hold them
        assert any(words in error.message for words in ("no finite value", "overflows", "by zero", "not a real")), error
        reject()
    assert again.spec == spec, text
    assert same_model(again.spec, spec)
    assert emit(again.spec) == text


def test_numbers_keep_every_bit():
    for value in (0.1, 1 / 3, 1e-300, 5e-324, 1.7976931348623157e308, 123456789012345680.0, 2.0**53 + 2):
        assert sd.model(str(sd.model(f"x' = {value!r}*x"))).spec.derivatives[0].left == Num(value)


def test_print_is_readable():
    text = (
        "model Pendulum\n\n"
        "θ'' = -g/L*sin(θ) - c*θ'\n\n"
        "energy = θ'^2/2 - g/L*cos(θ)\n\n"
        "θ(0) = 1\nθ'(0) = 0\n\n"
        "param c = 0.1 in [0, 1]\nparam L = 1 log\nconst g = 9.81\n\n"
        "when θ < 0: θ' *= -1\nevery 2 from 1 until 9: θ' += 0.5, terminate\n"
    )
    assert str(sd.model(text)) == text


# ---------------------------------------------------------------- changed copies


def test_new_numbers(m):
    assert m.with_parameters({"a": 1.5, "y0": 7}).defaults == {"a": 1.5, "b": 0.5, "y0": 7.0}
    assert m.with_parameters([1, 2, 3]).defaults == {"a": 1.0, "b": 2.0, "y0": 3.0}
    assert m.with_initial({"y": -4}).spec.initial == (Num(1.0), Unary("-", Num(4.0)))
    assert m.with_initial((5, 6)).spec.initial == (Num(5.0), Num(6.0))
    assert m.with_name("Other").name == "Other"
    assert m.defaults["a"] == 1.0  # the original is as it was
    with pytest.raises(sd.InputError, match="outside the bounds"):
        m.with_parameters({"a": 3})
    with pytest.raises(sd.UnknownNameError, match="did you mean `y0`"):
        m.with_parameters({"y00": 3})
    with pytest.raises(sd.InputError, match="2 values for 3 parameters"):
        m.with_parameters([1, 2])
    with pytest.raises(sd.InputError, match="needs a number"):
        m.with_initial({"x": "one"})
    with pytest.raises(sd.InputError, match="finite"):
        m.with_initial({"x": float("nan")})
    with pytest.raises(sd.InputError, match="not a name"):
        m.with_name("a b")


def test_new_weights(m):
    n = m.spec.networks[0].n_weights
    assert n == 2 * 4 + 4 + 4 * 2 + 2
    trained = m.with_weights({"U": range(n)})
    assert trained.spec.weights == (("U", tuple(float(i) for i in range(n))),)
    assert trained != m and pickle.loads(pickle.dumps(trained)) == trained
    with pytest.raises(sd.InputError, match=f"{n} weights"):
        m.with_weights({"U": [1.0]})
    with pytest.raises(sd.UnknownNameError):
        m.with_weights({"V": [1.0]})
    for wrong, message in ((None, "flat array"), (["a"] * n, "flat array"), ([math.nan] * n, "not finite")):
        with pytest.raises(sd.InputError, match=message):
            m.with_weights({"U": wrong})


def test_weights_of_a_torch_module():
    import torch

    m = sd.model("x' = -x + U(x); x(0) = 1\nneural U(a) -> 1 { hidden = [3] }")
    net = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    expected = net(torch.tensor([0.4], dtype=torch.float64)).item() - 0.4
    assert m.with_weights({"U": net}).rhs("python")(0.0, [0.4], [])[0] == pytest.approx(expected, rel=1e-14)
    with pytest.raises(sd.InputError, match="the network `U`"):
        m.with_weights({"U": torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))})


def test_formulas_for_networks(m):
    import sympy

    x, y = sympy.symbols("x y")
    half = m.with_weights({"NN": [0.0] * m.spec.networks[1].n_weights}).with_terms(
        {"U[1]": 0.3 * x * y, "NN": "k*y"}, {"k": 2}
    )
    assert half.networks == ("U",) and half.spec.weights == ()
    whole = half.with_terms({"U[2]": -1})
    assert whole.networks == ()
    assert whole == sd.model(
        "model Prey\nx' = a*x - b*x*y + 0.3*x*y; y' = -y + f(x)*y - 1 + k*y; f(s) = s/(1 + s); total = x + y\n"
        "x(0) = 1; y(0) = y0; param a = 1 in [0, 2], b = 0.5, y0 = 3, k = 2; const g = 2; when x < 0.1: x += g"
    )


def test_formulas_follow_the_arguments_of_each_call():
    m = sd.model("x' = NN(x, y); y' = NN(y, x) + g(y, 2); g(a, b) = NN(a, b)")
    new = m.with_terms({"NN": "x*y^2"})
    assert new == sd.model("x' = x*y^2; y' = y*x^2 + g(y, 2); g(a, b) = a*b^2")
    same = sd.model("x' = NN(x^2) + 2*NN(x^2)").with_terms({"NN": "5*x"})
    assert same == sd.model("x' = 15*x")
    with pytest.raises(sd.UnsupportedError, match="different arguments"):
        sd.model("x' = NN(x^2) + NN(x)").with_terms({"NN": "x"})


def test_formulas_that_do_not_fit(m):
    chosen = sd.model("x' = NN(x)").with_terms({"NN": IfElse(Binary("<", Name("x"), Num(1.0)), Num(2.0), Name("x"))})
    assert chosen == sd.model("x' = if x < 1 then 2 else x")
    with pytest.raises(sd.UnknownNameError, match="no network `V`"):
        m.with_terms({"V": 1})
    with pytest.raises(sd.UnknownNameError, match=r"U\[1\] to U\[2\]"):
        m.with_terms({"U": 1})
    with pytest.raises(sd.NameModelError, match="`q` is not defined"):
        m.with_terms({"NN": "q*x"})
    with pytest.raises(sd.SyntaxModelError):
        m.with_terms({"NN": "x +"})
    with pytest.raises(sd.NameModelError, match="taken"):
        m.with_terms({"NN": "x"}, {"a": 1})
    with pytest.raises(sd.ModelError, match="depends on itself"):
        sd.model("x' = o; o = NN(x)").with_terms({"NN": "2*o"})


# ---------------------------------------------------------------- the package


def test_importing_is_light():
    program = (
        "import sys, sciml_dsl as sd\n"
        "heavy = {'torch', 'sympy', 'matplotlib', 'numba', 'scipy', 'pandas', 'lark', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        'm = sd.model("x\' = -k*x; param k = 1"); str(m); m == sd.model(str(m))\n'
        "heavy = {'torch', 'sympy', 'matplotlib', 'numba', 'scipy', 'pandas', 'llvmlite'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from sciml_dsl.model.spec import ModelSpec\n"
        "assert callable(sd.model) and callable(sd.discover)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_public_names():
    for name in sd.__all__:
        assert getattr(sd, name) is not None
    assert set(sd.__all__) <= set(dir(sd))
    with pytest.raises(AttributeError, match="no attribute"):
        _ = sd.nothing


def test_builtin_functions_are_those_of_the_graph():
    from sciml_dsl.graph.ops import EVALUATE, FUNCTIONS

    assert set(FUNCTIONS) | {"min", "max", "ifelse"} == set(BUILTINS)
    for name, (op, arity) in FUNCTIONS.items():
        assert BUILTINS[name][:2] == (arity, arity)
        for value in (0.3, 0.7):
            arguments = [value, 0.4][:arity]
            if BUILTINS[name][2] is not None:
                text = f"{name}({', '.join(map(str, arguments))})"
                expected = EVALUATE[op](*arguments) if name != "acosh" else None
                if expected is not None:
                    assert evaluate(parse_expression(text).statements[0].expr, {}, "x", {}) == expected


def test_the_graph_accepts_every_model(m):
    assert m.system.states == m.states
    assert m.system is m.system


def test_a_large_model_shows_itself_shortened_in_a_notebook():
    small = sd.model("x' = -x; x(0) = 1")
    assert "vdots" not in small._repr_latex_()
    large = sd.model("\n".join(f"x{i}' = -x{i}; x{i}(0) = {i}" for i in range(500)))
    shown = large._repr_latex_()
    assert "941 more rows" in shown
    assert shown.count("\\\\\n") == 59
    assert large.code("latex").count("&=") == 1000
    assert list(large.dependencies().values()) == [(f"x{i}",) for i in range(500)]
