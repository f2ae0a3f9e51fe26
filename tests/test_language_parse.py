"""What may be written, and what it means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.language import syntax
from sciml_dsl.language.ast import Binary, Call, IfElse, Name, Num, Unary
from sciml_dsl.language.parse import parse, parse_expression
from sciml_dsl.model.constants import evaluate


def expr(text: str, macro: bool = False):
    document = parse(f"@ode_def begin\n q = {text}\nend") if macro else parse(f"q = {text}")
    statement = document.statements[0]
    assert isinstance(statement, syntax.Definition)
    return statement.expr


def same(left: str, right: str, macro: bool = False) -> bool:
    return expr(left, macro) == expr(right)


DESIGN = """
model PredatorPrey

x' =  α*x - β*x*y              # a derivative equation makes x a state
y' = -δ*y + U(x, y)            # a network is called like a function
total = x + y                  # any other definition is an observable
mm(s, V, K) = V*s/(K + s)      # a function

x(0) = 0.44;  y(0) = y0        # initial values may depend on parameters
param α = 1.3 in [0, 5]        # default and bounds
param β = 0.9, δ = 1.8, y0 = 4.63
const g = 9.81
neural U(x, y) -> 1 { hidden = [16, 16], activation = tanh }
"""

ROBER = """f = @ode_def Rober begin
  dy₁ = -k₁*y₁+k₃*y₂*y₃   # comment
  dy₂ =  k₁*y₁-k₂*y₂^2-k₃*y₂*y₃; #= Julia's
      block #= nested =# comment =#
  rate = 2y₂*(1 - 1/2y₁) + 3(y₁ + y₂)^2
  dy₃ =  k₂*y₂^2 + 0*rate
end k₁ k₂ k₃
"""


def test_the_example_of_the_design():
    m = sd.model(DESIGN)
    assert m.name == "PredatorPrey"
    assert m.states == ("x", "y")
    assert m.parameters == ("α", "β", "δ", "y0")
    assert m.observables == ("total",)
    assert m.networks == ("U",)
    assert m.spec.parameters[0].default == 1.3
    assert (m.spec.parameters[0].lower, m.spec.parameters[0].upper) == (0.0, 5.0)
    assert m.spec.constants[0].value == 9.81
    assert m.spec.initial == (Num(0.44), Name("y0"))
    assert m.spec.networks[0].hidden == (16, 16)


def test_ode_def_verbatim():
    m = sd.model(ROBER)
    assert (m.name, m.states, m.parameters, m.observables) == (
        "Rober",
        ("y₁", "y₂", "y₃"),
        ("k₁", "k₂", "k₃"),
        ("rate",),
    )
    native = sd.model(
        "model Rober\n y₁' = -k₁*y₁+k₃*y₂*y₃; y₂' = k₁*y₁-k₂*y₂^2-k₃*y₂*y₃; y₃' = k₂*y₂^2 + 0*rate\n"
        "rate = 2*y₂*(1 - 1/(2*y₁)) + 3*(y₁ + y₂)^2; param k₁, k₂, k₃"
    )
    assert m.spec.derivatives == native.spec.derivatives
    assert m.spec.definitions == native.spec.definitions


@pytest.mark.parametrize("macro", ["@ode_def", "@ode_def_bare", "@ode_def_all"])
def test_ode_def_on_one_line_and_its_variants(macro):
    m = sd.model(f"{macro} Name begin dx = a*x - b*x*y; dy = -c*y end a b c")
    assert (m.states, m.parameters) == (("x", "y"), ("a", "b", "c"))
    assert sd.model(f"{macro} begin\ndx = 1\nend").name == "model"


def test_ode_def_older_forms_give_defaults_and_constants():
    m = sd.model("@ode_def L begin dx = a*x - b*x + d end a=>1.5 b=>-1.0 d=2.0")
    assert m.defaults == {"a": 1.5, "b": -1.0}
    assert m.spec.constants[0].value == 2.0


def test_ode_def_with_native_lines_around_it():
    m = sd.model("@ode_def L begin\n dx = a*x\nend a\nx(0) = 1\nparam a = 0.5 in [0, 1]\nat 3: x += 1")
    assert m.defaults == {"a": 0.5}
    assert m.spec.initial == (Num(1.0),)
    assert len(m.spec.events) == 1


def test_ode_def_intermediates_beginning_with_d():
    m = sd.model("@ode_def begin\n decay = k*x\n dx = -decay\nend k")
    assert (m.states, m.observables) == (("x",), ("decay",))


def test_ode_def_takes_julia_operators_and_precedence():
    assert same("1/2x", "1/(2*x)", macro=True)
    assert same("2^3x", "2^(3*x)", macro=True)
    assert same("2x^2", "2*x^2", macro=True)
    assert same("a//b", "a/b", macro=True)
    assert same("x > 0 && y > 0 || !(x > 1) ? 1 : 2", "if x > 0 and y > 0 or not x > 1 then 1 else 2", macro=True)


@pytest.mark.parametrize(
    "text",
    ["x' = -x", "dx/dt = -x", "d(x)/dt = -x", "x′ = −x", "x’ = -x", "@ode_def begin dx = -x end"],
)
def test_every_way_to_write_a_derivative(text):
    assert sd.model(text).spec.derivatives == (Unary("-", Name("x")),)


@pytest.mark.parametrize("left", ["θ''", "θ″", "d²θ/dt²", "d2θ/dt2"])
def test_second_order_becomes_two_states(left):
    m = sd.model(f"{left} = -sin(θ) - θ'; θ(0) = 1; θ'(0) = 2")
    assert m.states == ("θ", "θ'")
    assert m.spec.derivatives[0] == Name("θ'")
    assert m.spec.initial == (Num(1.0), Num(2.0))


def test_third_order():
    assert sd.model("x''' = x'' - x'").states == ("x", "x'", "x''")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a - b - c", "(a - b) - c"),
        ("a/b/c", "(a/b)/c"),
        ("a/b*c", "(a/b)*c"),
        ("a^b^c", "a^(b^c)"),
        ("-a^2", "-(a^2)"),
        ("a^-b^2", "a^(-(b^2))"),
        ("-a*b", "(-a)*b"),
        ("+a", "a"),
        ("a**2", "a^2"),
        ("2x", "2*x"),
        ("2(x + y)", "2*(x + y)"),
        ("2x^2", "2*(x^2)"),
        ("-2x", "-(2*x)"),
        ("2sin(x)", "2*sin(x)"),
        ("a·b⋅c×d", "a*b*c*d"),
        ("√x", "sqrt(x)"),
        ("a <= b", "a ≤ b"),
        ("0 < x < 1", "0 < x and x < 1"),
        ("not a < b or c < d and e < f", "(not (a < b)) or ((c < d) and (e < f))"),
        ("x < 1 ? 2 : 3", "if x < 1 then 2 else 3"),
        ("if a < 1 then 1 else if a < 2 then 2 else 3", "if a < 1 then 1 else (if a < 2 then 2 else 3)"),
    ],
)
def test_precedence(text, meaning):
    assert same(text, meaning)


def test_trees():
    assert expr("a + 2*U(x)[2]") == Binary("+", Name("a"), Binary("*", Num(2.0), Call("U", (Name("x"),), 2)))
    assert expr("if a < b then 1 else -2") == IfElse(Binary("<", Name("a"), Name("b")), Num(1.0), Unary("-", Num(2.0)))


@pytest.mark.parametrize("text", ["1", "1.", ".5", "1e3", "1.5E-3", "2e+8", "0.1", "123456789.123456789"])
def test_numbers_are_read_to_the_last_bit(text):
    assert expr(text) == Num(float(text))


# Independent truth: Python's own arithmetic, whose precedence of these operators is the same.
# Each example is a pair: the text for Python, the text in this language.
_digits = st.integers(1, 9).map(lambda n: (str(n), str(n)))


def _binary(parts):
    (a, b), op, (c, d) = parts
    return f"{a} {op} {c}", f"{b}{op}{d}"


def _choice(parts):
    (a, b), (c, d) = parts
    return f"(({a}) if ({c}) < 2 else ({c}))", f"(if {d} < 2 then {b} else {d})"


def _power(parts):
    (a, b), exponent = parts
    return f"{a}**{exponent}", f"{b}^{exponent.replace('**', '^')}"


def _grow(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(_binary),
        inner.map(lambda pair: (f"({pair[0]})", f"({pair[1]})")),
        inner.map(lambda pair: (f"-({pair[0]})", f"-({pair[1]})")),
        _digits.map(lambda pair: (f"-{pair[0]}", f"-{pair[1]}")),
        st.tuples(_digits, st.sampled_from(["2", "-1", "-2", "2**2", "-2**2"])).map(_power),
        st.tuples(inner, inner).map(_choice),
    )


@given(st.recursive(_digits, _grow, max_leaves=15))
def test_arithmetic_means_what_python_means(pair):
    python, ours = pair
    try:
        truth = float(eval(python))  # made above, of digits and operators only
    except (ZeroDivisionError, OverflowError):
        return
    assert evaluate(expr(ours), {}, "x", {}) == pytest.approx(truth, rel=1e-12, abs=1e-12)


def test_where_statements_end():
    m = sd.model(
        "x' = a +\n   b*x   # goes on\n   + c\n   - (d\n      + 1)\n\n;;y' = max(x,\n  1); param a = 1,\n b = 2, c, d\n"
        "neural U(x,\n y) -> 1\n { hidden = [\n8] }"
    )
    assert m.states == ("x", "y")
    assert m.parameters == ("a", "b", "c", "d")
    assert m.spec.networks[0].hidden == (8,)


def test_line_ends_of_all_systems_and_byte_order_mark():
    assert sd.model("\ufeffx' = 1\r\ny' = 2\r\n").states == ("x", "y")


def test_keywords_are_names_where_nothing_else_is_meant():
    words = "model param const neural when at every from until in log end begin terminate wiener history jump input for"
    for word in words.split():
        m = sd.model(f"{word}' = -k*{word}; {word}(0) = 1; k = 2*{word}; at 3: {word} += 1; param q = 1 in [0, 2]")
        assert m.states == (word,), word
        assert sd.model(f"x' = {word}; param {word} = 3").parameters == (word,), word
        assert sd.model(f"{word} = x; x' = 1").observables == (word,), word
    m = sd.model(
        "at' = 1; every' = 1; when at > every: at = 1, terminate\nevery 2*from from until until from: every = from\n"
        "param from = 1, until = 2, in in [1, 2], log = 3 in [1, 4] log"
    )
    assert [e.kind for e in m.spec.events] == ["when", "every"]
    assert m.spec.parameters[3].log


@pytest.mark.parametrize("name", ["gamma", "beta", "E", "I", "S", "N", "lambda", "def", "double", "pi", "e", "class"])
def test_parameters_may_be_called_like_functions_and_words_of_other_languages(name):
    m = sd.model(f"x' = {name}*x + gamma(x); param {name} = 2")
    assert m.spec.derivatives[0] == Binary("+", Binary("*", Name(name), Name("x")), Call("gamma", (Name("x"),)))


@pytest.mark.parametrize("name", ["x₁", "x⁺", "xₙ₊₁", "Ca²⁺", "αβ", "x_1", "x̂_", "Δx", "變數", "e1", "_x"])
def test_names_of_all_scripts(name):
    assert sd.model(f"{name}' = -{name}").states == (name,)


def test_names_that_look_the_same_are_the_same():
    assert sd.model("x' = µ; param μ = 1").spec.derivatives == (Name("μ"),)
    assert sd.model("x' = e\u0301; param \u00e9 = 1").parameters == ("\u00e9",)


def test_pi_and_e():
    m = sd.model("x' = π*e + pi")
    assert m.spec.derivatives == (expr("pi*e + pi"),)
    assert sd.model("x' = π + pi; param pi = 3").spec.derivatives == (Binary("+", Num(math.pi), Name("pi")),)
    assert sd.model("x' = π; param π = 3").spec.derivatives == (Name("π"),)


def test_events():
    m = sd.model(
        "x' = -x; y' = 1; param dose = 2, T = 24\n"
        "when x < 0.1 and not y > 3: y += 1, x *= 2\nwhen x == 1: terminate\nat T/2: x -= dose\n"
        "every T from 0 until 10*T:\n  x = dose, y /= 2\nevery 2: x = 0"
    )
    first, second, third, fourth, fifth = m.spec.events
    assert first.condition == expr("x < 0.1 and not (y > 3)")
    assert first.assignments == (("y", expr("y + 1")), ("x", expr("x*2")))
    assert second.terminate and not second.assignments
    assert third.time == expr("T/2") and third.assignments == (("x", expr("x - dose")),)
    assert (fourth.period, fourth.start, fourth.stop) == (Name("T"), Num(0.0), expr("10*T"))
    assert (fifth.start, fifth.stop) == (None, None)


def test_parameters_bounds_and_constants():
    m = sd.model(
        "x' = 1; const g = 10, h = 2*g, q = sqrt(4)\n"
        "param a = 1/4 in [-h, g], b = -2, c in [1e-3, inf] log, d = 1 in log [0.1, 10], f = g in [0, Inf], k = 2 log\n"
        "param n"
    )
    a, b, c, d, f, k, n = m.spec.parameters
    assert (a.default, a.lower, a.upper, a.log) == (0.25, -20.0, 10.0, False)
    assert b.default == -2.0 and b.lower == -math.inf
    assert (c.default, c.lower, c.upper, c.log) == (None, 1e-3, math.inf, True)
    assert (d.lower, d.upper, d.log) == (0.1, 10.0, True)
    assert f.default == 10.0 and f.upper == math.inf
    assert (k.lower, k.log) == (0.0, True)
    assert n.default is None
    assert [c.value for c in m.spec.constants] == [10.0, 20.0, 2.0]


def test_networks():
    m = sd.model(
        "p, q = U(x, y); x' = p + NN2(x); y' = q + NN1(x, y) + V(x)[1]\n"
        "neural U(a, b) -> 2 { hidden = [], activation = sin }; neural V(z) { hidden = 5, }"
    )
    assert [(n.name, n.n_in, n.n_out, n.hidden, n.activation, n.declared) for n in m.spec.networks] == [
        ("U", 2, 2, (), "sin", True),
        ("V", 1, 1, (5,), "tanh", True),
        ("NN2", 1, 1, (16, 16), "tanh", False),
        ("NN1", 2, 1, (16, 16), "tanh", False),
    ]
    assert m.spec.definitions[1].expr == Call("U", (Name("x"), Name("y")), 2)
    assert m.spec.derivatives[1].right == Call("V", (Name("x"),))  # the only output needs no index


def test_spans_point_at_the_text():
    text = "x' = a*(b + sin(c))"
    node = parse(text).statements[0].expr
    assert text[node.span.start : node.span.end].startswith("a*(b + sin(c)")
    inner = node.right.right
    assert text[inner.span.start : inner.span.end] == "sin(c)"


def test_comment_banners_are_comments():
    assert sd.model("#==================\n# title\nx' = 1 #==== end\n").states == ("x",)


def test_long_sums_need_no_recursion():
    m = sd.model("x' = " + " + ".join(f"k*x^{i}" for i in range(5000)) + "; param k = 1")
    assert sd.model(str(m)) == m
    m = sd.model("x' = " + "-" * 3000 + "x + " + "^".join(["x"] * 3000))
    assert sd.model(str(m)) == m
    chain = "".join(f"if x < {i} then {i} else " for i in range(2000)) + "0"
    m = sd.model(f"x' = {chain}")
    assert sd.model(str(m)) == m


def test_parse_expression():
    assert parse_expression("0.8*x*y").statements[0].expr == expr("0.8*x*y")
    for text in ("x = 3", "x; y = 2", "", "x,y"):
        with pytest.raises(sd.SyntaxModelError):
            parse_expression(text)
