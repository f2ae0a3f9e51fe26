"""What is refused: the place, the class, the words and the hint of each error."""

from __future__ import annotations

import pickle

import pytest

import sciml_dsl as sd
from tests import marked as marked_place

# text with the place marked by ⟦ ⟧ (removed before parsing), class, part of the message, part of the hint
CASES = [
    ("x' = ⟦a⟧*x", sd.NameModelError, "`a` is not defined", "write `param a = 1`"),
    ("x' = ⟦rat⟧*x; param rate = 1", sd.NameModelError, "`rat` is not defined", "did you mean `rate`"),
    ("x' = 2*x\n⟦x'⟧ = 3*x", sd.NameModelError, "given twice", "the first is in line 1"),
    ("x' = a\nparam a = 1\nconst ⟦a⟧ = 2", sd.NameModelError, "`a` is a parameter and defined again", "in line 2"),
    ("x' = 1; y = 1; ⟦y⟧ = 2", sd.NameModelError, "`y` is defined twice", "line 1"),
    ("x' = 1; f(a) = a; ⟦f(b)⟧ = b", sd.NameModelError, "`f` is defined twice", "line 1"),
    ("x' = 1; f(a, ⟦a⟧) = a", sd.NameModelError, "`a` stands twice", ""),
    ("x' = ⟦2 x⟧", sd.SyntaxModelError, "an operator is missing", "write 2*x"),
    ("x' = -x; y' = 0; x(0) = 1 ⟦y⟧(0) = 2", sd.SyntaxModelError, "a statement ends before `y`", "new line"),
    ("x' = -y ⟦y'⟧ = x", sd.SyntaxModelError, "a statement ends before", "new line"),
    ("x' = ⟦x y⟧", sd.SyntaxModelError, "an operator is missing", "write x*y"),
    ("x' = ⟦sin x⟧", sd.SyntaxModelError, "stands in parentheses", "write sin(x)"),
    ("x' = (x⟦)(⟧x + 1)", sd.SyntaxModelError, "an operator is missing", "(...)*(...)"),
    ("x' = ⟦sn(x)⟧", sd.NameModelError, "`sn` is not a function", "did you mean `sin`"),
    ("x' = ⟦sigmoid(x)⟧", sd.NameModelError, "`sigmoid` is not a function", "1/(1 + exp(-x))"),
    ("x' = ⟦k(x + 1)⟧; param k = 1", sd.NameModelError, "a parameter, not a function", "k*(...)"),
    ("x' = ⟦exp⟧", sd.NameModelError, "a function, not a value", "exp(...)"),
    ("f(a) = a; x' = ⟦f⟧", sd.NameModelError, "a function, not a value", "f(a)"),
    ("x' = ⟦exp(x, 2)⟧", sd.NameModelError, "takes 1 argument, not 2", ""),
    ("x' = ⟦max(x)⟧", sd.NameModelError, "at least 2 arguments", ""),
    ("f(a, b) = a*b; x' = ⟦f(x)⟧", sd.NameModelError, "takes 2 arguments, not 1", "f(a, b)"),
    ("x' = 1; ⟦exp(q)⟧ = q", sd.NameModelError, "built in", "another name"),
    ("x' = ⟦x*1/0⟧", sd.ModelError, "`x*1/0` divides by zero", ""),
    ("f(a) = ⟦a/0⟧; x' = f(x)", sd.ModelError, "`a/0` divides by zero", ""),
    ("const z = 0; x' = ⟦x/z⟧", sd.ModelError, "`x/z` divides by zero", ""),
    ("u[i]' = ⟦u[i]/0⟧ for i in 1..3", sd.ModelError, "divides by zero", ""),
    ("x' = 9^9^⟦9^9^9⟧*x", sd.ModelError, "the constant `9^9^9` overflows", "1.8e308"),
    ("x' = ⟦1e308*10⟧", sd.ModelError, "overflows", "1.8e308"),
    ("x' = (⟦-8)^(1/3⟧)", sd.ModelError, "is not a real number", "cbrt"),
    ("x' = ⟦log(0)⟧*x", sd.ModelError, "the constant `log(0)` has no finite value", ""),
    ("x' = y; y' = x; x(0) = ⟦2*y(0)⟧; y(0) = x(0)", sd.ModelError, "given by each other", "give a number for x(0)"),
    ("x' = y; y' = x; x(0) = y(0) ⟦=⟧ 1", sd.SyntaxModelError, "a second `=`", "write x(0) = 1; y(0) = 1"),
    ("x' = a; ⟦a⟧ = x'", sd.ModelError, "`a` depends on itself", "a' = ..."),
    (
        "⟦using ParameterizedFunctions⟧\nlv = @ode_def Lv begin\n dx = a*x\nend a",
        sd.SyntaxModelError,
        "Julia around the model",
        "from `@ode_def` to `end a`",
    ),
    (
        "lv = @ode_def Lv begin\n dx = a*x\nend a\n⟦u0 = [1.0; 2.0]⟧\nsol = solve(prob)",
        sd.SyntaxModelError,
        "Julia around the model",
        "m.solve",
    ),
    ("x' = if x < 1 then 1 ⟦elseif⟧ x < 2 then 2 else 3", sd.SyntaxModelError, "no meaning here", "write else if"),
    ("x' = a*x ⟦where⟧ a = 1", sd.SyntaxModelError, "no meaning here", "lines of their own"),
    ("x' = x; when x ⟦crosses⟧ 1: x = 0", sd.SyntaxModelError, "no meaning here", "when x > 1"),
    ("x' = x; every 24: x += 1 ⟦until⟧ 5", sd.SyntaxModelError, "no meaning here", "until 240"),
    ("x' = 1 ⟦if⟧ t < 1 else 0", sd.SyntaxModelError, "the condition stands first", "if c then a else b"),
    ("param K = 1, n = 2; x' = ⟦hill(x, K, n)⟧", sd.NameModelError, "not a function", "x^n/(K^n + x^n)"),
    ("x' = ⟦δ(t - 1)⟧", sd.NameModelError, "not a function", "an event: at 1"),
    ("x' = k*x; param k = ⟦-1⟧ log", sd.ModelError, "`log` means that it is", "leave `log` out"),
    ("x' ⟦==⟧ 3*x", sd.SyntaxModelError, "`==` compares", "write `=`"),
    ("x' ⟦:=⟧ 3*x", sd.SyntaxModelError, "`:=`", "write `=`"),
    ("x' = x ⟦=⟧ 3", sd.SyntaxModelError, "a second `=`", "compare with `==`"),
    ("x' = if x ⟦=⟧ 3 then 1 else 2", sd.SyntaxModelError, "`=` inside an expression", "`==`"),
    ("x' = ⟦(⟧x + 2\ny' = 3", sd.SyntaxModelError, "never closed", ""),
    ("x' = x + 2⟦)⟧", sd.SyntaxModelError, "closes nothing", ""),
    ("x' = max(x, 2⟦]⟧", sd.SyntaxModelError, "does not close", ""),
    ("x' = 3 ⟦+⟧", sd.SyntaxModelError, "ends too early", "a value"),
    ("⟦x'⟧", sd.SyntaxModelError, "no right-hand side", "x' = ..."),
    ("⟦x + y⟧", sd.SyntaxModelError, "not a statement", "x' = ..."),
    ("⟦x' + y' = x⟧", sd.ModelError, "1 equation for 2 derivatives", "write one more"),
    ("x(t)⟦'⟧ = x", sd.SyntaxModelError, "prime", "write x' = ..."),
    ("⟦dx/ds⟧ = x", sd.SyntaxModelError, "respect to the time t", "dx/dt"),
    ("⟦-x⟧ = 3", sd.SyntaxModelError, "a sign on the left", ""),
    ("⟦a*x + b⟧ = 3", sd.SyntaxModelError, "the left side of `=`", "solve the equation"),
    ("x' = x ⟦&&⟧ y", sd.SyntaxModelError, "`&&`", "write `and`"),
    ("x' = x ⟦%⟧ 2", sd.SyntaxModelError, "`%`", "mod(a, b)"),
    ('x\' = __import__(⟦"⟧os")', sd.SyntaxModelError, '`"`', "without quotes"),
    ("x' = x⟦.⟧^2", sd.SyntaxModelError, "`.`", "without dots"),
    ("⟦def⟧ f(x): return x", sd.SyntaxModelError, "`def`", "f(a, b) = a*b"),
    ("f = ⟦lambda⟧ x: x", sd.SyntaxModelError, "lambda", "f(a, b) = a*b"),
    ("⟦import⟧ os", sd.SyntaxModelError, "`import`", "nothing is imported"),
    ("⟦parm k⟧ = 1", sd.SyntaxModelError, "not a statement", "did you mean `param`"),
    ("⟦parameter⟧ k = 1", sd.SyntaxModelError, "`parameter`", "`param k = 1`"),
    ("param ⟦if⟧ = 3", sd.SyntaxModelError, "a word of the language", "another name"),
    ("param ⟦k 3⟧", sd.SyntaxModelError, "`=` is missing", "k = 3"),
    ("param ⟦a b⟧", sd.SyntaxModelError, "comma", "param a = 1, b = 2"),
    ("param k = 3 ⟦in⟧ (1, 4)", sd.SyntaxModelError, "brackets", "in [0, 10]"),
    ("x' = 1; param k = ⟦3⟧ in [4, 5]", sd.ModelError, "outside its bounds", ""),
    ("x' = 1; param k = 3 in [⟦5⟧, 4]", sd.ModelError, "nothing between", "lower bound comes first"),
    ("x' = 1; param k = 3 in [⟦-1⟧, 4] log", sd.ModelError, "logarithmic", "positive"),
    ("x' = 1; param k = ⟦j⟧", sd.NameModelError, "`j` is not defined", "const"),
    ("x' = 1; param k = ⟦t⟧", sd.ModelError, "`t` is the time", "const"),
    ("x' = 1; param r = 1, k = 2*⟦r⟧", sd.ModelError, "`r` is a parameter", "const"),
    ("x' = 1; const k = ⟦1/0⟧", sd.ModelError, "divides by zero", ""),
    ("x' = 1; const k = ⟦log(-1)⟧", sd.ModelError, "not a finite number", ""),
    ("x' = 1; const k = ⟦inf⟧", sd.ModelError, "must be finite", ""),
    ("x' = 1; const a = ⟦b⟧, b = a", sd.ModelError, "a → b → a", ""),
    ("x' = a; ⟦a⟧ = b; b = a*2", sd.ModelError, "a → b → a", "a' = ..."),
    ("⟦f(x)⟧ = g(x); g(x) = f(x); x' = 1", sd.ModelError, "f → g → f", ""),
    ("x' = 1; ⟦y(0)⟧ = 2", sd.NameModelError, "no equation", "y' = ..."),
    ("x' = 1; ⟦x'(0)⟧ = 2", sd.NameModelError, "lower order", "x(0)"),
    ("x' = 1; x(0) = ⟦x⟧", sd.ModelError, "depends on the state", "parameters"),
    ("x' = 1; y = x; x(0) = ⟦2*y⟧", sd.ModelError, "depends on the state `x`", "parameters"),
    ("x' = 1; x(0) = ⟦t⟧", sd.ModelError, "the time `t`", "parameters"),
    ("x' = 1; x(0) = ⟦NN(1)⟧", sd.ModelError, "network", "equations"),
    ("x' = 1; ⟦x(1)⟧ = 2", sd.SyntaxModelError, "given at 0", "at 1: x = ..."),
    ("x' = 1; x(0) = 1\n⟦x(0)⟧ = 2", sd.NameModelError, "twice", "line 1"),
    ("x' = 1; at 5: ⟦y⟧ += 1", sd.NameModelError, "not defined", "events change states"),
    ("x' = 1; param k = 1; at 5: ⟦k⟧ = 2", sd.NameModelError, "cannot change it", "k' = 0"),
    ("x' = 1; at 5: x = 1, ⟦x⟧ = 2", sd.NameModelError, "assigned twice", ""),
    ("x' = 1; at ⟦x⟧: x = 2", sd.ModelError, "depends on the state", ""),
    ("x' = 1; every ⟦0⟧: x = 2", sd.ModelError, "must be positive", ""),
    ("x' = 1; const k = 2; every ⟦-k/2⟧: x = 2", sd.ModelError, "must be positive", ""),
    ("x' = 1; when x ⟦=⟧ 1: x = 2", sd.SyntaxModelError, "`=` inside a condition", "`==`"),
    ("x' = 1; when ⟦x⟧: x = 2", sd.ModelError, "condition", "x < 0.1"),
    ("x' = 1; when ⟦x != 1⟧: x = 2", sd.UnsupportedError, "`!=`", "`<` or `>`"),
    ("x' = 1; ⟦when⟧ x > 1 x = 2", sd.SyntaxModelError, "the `:`", "when x < 0.1: y += 1"),
    ("x' = 1; x ⟦+=⟧ 2", sd.SyntaxModelError, "only used in events", ""),
    ("x' = if ⟦x⟧ then 1 else 2", sd.ModelError, "a condition is needed", "x > 0"),
    ("x' = if x > 1⟦:⟧ 1 else 2", sd.SyntaxModelError, "without `then`", "if c then a else b"),
    ("x' = 1 + ⟦if⟧ x > 1 then 1 else 2", sd.SyntaxModelError, "larger expression", "parentheses"),
    ("x' = NN(x) + ⟦NN(x, 2)⟧", sd.NameModelError, "called with 2 inputs but first used with 1", ""),
    ("x' = ⟦U(x, x)⟧; neural U(a)", sd.NameModelError, "declared with 1", ""),
    ("x' = ⟦U(x)⟧; neural U(a) -> 2", sd.NameModelError, "say which one", "p, q = U(...)"),
    ("x' = ⟦U(x)[3]⟧; neural U(a) -> 2", sd.NameModelError, "2 outputs, not 3", "U(...)[1]"),
    ("x' = ⟦NN(x)[2]⟧", sd.NameModelError, "1 output, not 2", "neural NN(x1) -> 2"),
    ("x' = U(x)[⟦0⟧]; neural U(a) -> 2", sd.SyntaxModelError, "numbered 1, 2, 3", ""),
    ("x' = ⟦sin(x)[1]⟧", sd.NameModelError, "a single value", ""),
    ("p, q = ⟦U(x)⟧; x' = p; neural U(a) -> 3", sd.NameModelError, "3 output(s), and there are 2", ""),
    ("p, q = ⟦NN(x)⟧; x' = p", sd.NameModelError, "gives one value", "neural NN(x1) -> 2"),
    ("p, q = ⟦x⟧; x' = p", sd.SyntaxModelError, "vector-valued network", ""),
    ("x' = U(x); neural U(a) { ⟦hiden⟧ = [3] }", sd.NameModelError, "no option `hiden`", "`hidden`"),
    ("x' = U(x); neural U(a) { activation = ⟦tan⟧ }", sd.NameModelError, "not an activation", "`tanh`"),
    ("x' = U(x); neural ⟦U⟧(a) -> 1.5", sd.ModelError, "whole number", ""),
    ("x' = U(x); neural U(a) { ⟦hidden⟧ = [0] }", sd.ModelError, "width", ""),
    ("⟦t'⟧ = 1", sd.NameModelError, "`t` is the time", ""),
    ("x' = 1; ⟦t⟧ = 3", sd.NameModelError, "`t` is the time", ""),
    ("x' = 1; param ⟦x⟧ = 2", sd.NameModelError, "a state", "x(0) = ..."),
    ("param x = 2; ⟦x'⟧ = 1", sd.NameModelError, "a parameter", "x(0) = ..."),
    ("x' = ⟦x'⟧", sd.ModelError, "depend on each other", "of their own"),
    ("x' = ⟦1.2.3⟧", sd.SyntaxModelError, "not a number", ""),
    ("x' = ⟦1_000⟧", sd.SyntaxModelError, "not a number", "write 1000"),
    ("x' = ⟦0x1F⟧", sd.SyntaxModelError, "decimal", "write 31"),
    ("x' = ⟦1e999⟧", sd.SyntaxModelError, "too large", ""),
    ("x' = ⟦1e-999⟧", sd.SyntaxModelError, "too small", ""),
    ("x' = 1⟦/2x⟧", sd.SyntaxModelError, "two ways", "/(2*x)"),
    ("x' = x⟦^2y⟧; y' = 1", sd.SyntaxModelError, "two ways", "^(2*y)"),
    ("@ode_def Foo begin dx = ⟦a⟧*x end b", sd.NameModelError, "`a` is not defined", "behind `end`"),
    ("⟦@ode_def⟧ begin dx = a*x", sd.SyntaxModelError, "no `end`", ""),
    ("@ode_def Foo ⟦dx⟧ = a*x end a", sd.SyntaxModelError, "`begin` is missing", ""),
    ("model A; x' = 1; model ⟦B⟧", sd.NameModelError, "a name already", "`A`"),
    ("⟦wiener⟧ W; x' = W'", sd.ReservedError, "stochastic", ""),
    ("⟦history⟧ x = 1; x' = 1", sd.ReservedError, "delay", ""),
    ("x' = ⟦x(t - τ)⟧; param τ = 1", sd.ReservedError, "delays", "chain of states"),
    ("x' = -x; ⟦1⟧ = x + y", sd.SyntaxModelError, "0 on the left", "0 = ... - 1"),
    ("x' = -x; x(0) = ⟦@stiff⟧(2)", sd.ModelError, "no effect in the initial value", "marks terms"),
    ("x' = -x; when x < 0.5: x += ⟦@stiff⟧(1)", sd.ModelError, "no effect in an event", "marks terms"),
    ("x' = -z; 0 = ⟦@stiff⟧(z) - x", sd.ModelError, "no effect in an algebraic equation", "marks terms"),
    ("⟦@stiff x'⟧ = -x", sd.SyntaxModelError, "marks terms, not equations", "x' = @stiff(...)"),
    ("⟦jump⟧ k*x: x -= 1", sd.ReservedError, "jumps", ""),
    ("⟦reaction⟧ S + I --β--> 2 I", sd.ReservedError, "reactions", "write the rates out"),
    ("⟦reaction⟧ ∅ --> S", sd.ReservedError, "reactions", ""),
    ("input u = ⟦cubic⟧; x' = u", sd.SyntaxModelError, "declaration of an input", "input u cubic"),
    ("input u linear ⟦cubic⟧; x' = u", sd.SyntaxModelError, "the interpolation of `u` is given twice", "keep one"),
    ("input u; x' = ⟦u(t - 1)⟧", sd.ReservedError, "at the time t only", "shift the times"),
]


@pytest.mark.parametrize(("marked", "kind", "message", "hint"), CASES, ids=[c[0][:40] for c in CASES])
def test_errors(marked, kind, message, hint):
    marked_place.check(marked, kind, message, hint)


def test_how_an_error_looks():
    with pytest.raises(sd.ModelError) as caught:
        sd.model("model A\n\nx' = α*x - βeta*x\nparam α = 1, βata = 2", "a.sciml")
    assert str(caught.value) == (
        "a.sciml:3:12: `βeta` is not defined\n"
        " 3 | x' = α*x - βeta*x\n"
        "   |            ^^^^\n"
        "  hint: did you mean `βata`; otherwise write `param βeta = 1`"
    )


def test_errors_survive_pickling():
    with pytest.raises(sd.ModelError) as caught:
        sd.model("x' = a")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.line, again.column) == (str(caught.value), 1, 6)


def test_models_without_an_equation():
    for text, hint in [("", "x' = ..."), ("# nothing", "x' = ..."), ("dxdt = 2*x", "dx/dt"), ("dx = 2", "x' = ...")]:
        with pytest.raises(sd.ModelError, match="no equation") as caught:
            sd.model(text)
        assert hint in caught.value.hint


def test_nesting_and_size_have_limits():
    with pytest.raises(sd.SyntaxModelError, match="nested more than"):
        sd.model("x' = " + "(" * 1000 + "x" + ")" * 1000)
    with pytest.raises(sd.SyntaxModelError, match="nested more than"):
        sd.model("x' = " + "sin(" * 100_000 + "x" + ")" * 100_000)
    with pytest.raises(sd.SyntaxModelError, match="characters"):
        sd.model(" " * 64_000_001)
    doubling = "; ".join(f"f{i}(x) = f{i - 1}(x)*f{i - 1}(x + 1)" for i in range(1, 60))
    with pytest.raises(sd.ModelError, match="too many"):
        sd.model(f"f0(x) = x; {doubling}; x' = f59(x)")
    chain = "; ".join(f"f{i}(x) = f{i - 1}(x)" for i in range(1, 400))
    with pytest.raises(sd.ModelError, match="deep"):
        sd.model(f"f0(x) = x; {chain}; x' = f399(x)")
    with pytest.raises(sd.ModelError, match="weights"):
        sd.model("x' = U(x); neural U(a) { hidden = [90000, 90000] }")


@pytest.mark.parametrize(
    "text",
    [
        "d^1000000x/dt^1000000 = x",
        "x" + "'" * 60_000 + " = x",
        "x' = y" + "'" * 60_000,
        "x" + "′" * 101 + "(0) = 1",
        "2*d^1000000x/dt^1000000 = x",
        "d^1000000x/dt^1000000 + x = x^2",
        "u[i]" + "'" * 60_000 + " = 1 for i in 1..3",
    ],
)
def test_the_order_of_derivatives_is_bounded_before_anything_of_that_size_is_made(text):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(sd.SyntaxModelError, match=r"of order [0-9,]+: 100 is the highest") as caught:
        sd.model(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.line == 1
    assert peak < 30e6
    assert len(str(caught.value)) < 1000


def test_the_highest_order_is_read():
    assert len(sd.model("d^100x/dt^100 = x").states) == 100


def test_long_chains_of_definitions_are_fine():
    text = "; ".join(f"a{i} = a{i - 1} + 1" for i in range(1, 3000))
    assert len(sd.model(f"x' = a2999; {text}; a0 = x").observables) == 3000
    with pytest.raises(sd.ModelError, match="depends on itself"):
        sd.model(f"x' = a2999; {text}; a0 = a2999")


def test_not_a_text():
    for given in (b"x' = 1", None, 3):
        with pytest.raises(sd.SyntaxModelError, match="must be a str"):
            sd.model(given)


@pytest.mark.parametrize("path", [None, 0, 1.5, ["a"], "a\0b", b"no such file"])
def test_what_is_no_path(path):
    with pytest.raises(sd.InputError):
        sd.load(path)


@pytest.mark.parametrize("name", [None, 3, "", "a b", "x" * 100_000 + "!"])
def test_what_is_no_name_of_a_model(name):
    with pytest.raises(sd.InputError, match="is not a name") as caught:
        sd.model("x' = 1").with_name(name)
    assert len(str(caught.value)) < 300


def test_files(tmp_path):
    good = tmp_path / "good.sciml"
    good.write_text("x' = -x", encoding="utf-8")
    assert sd.load(good).states == ("x",)
    assert sd.load(str(good)).spec.filename == str(good)
    with pytest.raises(sd.InputError, match="there is no file"):
        sd.load(tmp_path / "none.sciml")
    with pytest.raises(sd.InputError, match="cannot be read"):
        sd.load(tmp_path)
    latin = tmp_path / "latin.sciml"
    latin.write_bytes("x' = 1\n# é".encode("latin-1"))
    with pytest.raises(sd.InputError, match=r"not UTF-8 text \(line 2"):
        sd.load(latin)
    bad = tmp_path / "bad.sciml"
    bad.write_text("x' = k", encoding="utf-8")
    with pytest.raises(sd.NameModelError, match=r"bad\.sciml:1:6"):
        sd.load(bad)
