"""Several errors in one text: each is told once, in order, and nothing that only follows from another."""

from __future__ import annotations

import json
import pickle

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.cli import main
from sciml_dsl.language.complaint import MOST_ERRORS


def errors(text: str) -> tuple[sd.ModelError, ...]:
    with pytest.raises(sd.ModelError) as caught:
        sd.model(text, "my.sciml")
    return caught.value.errors


# every error stands between ⟦ and ⟧; what follows only from another has no mark
CASES = {
    "names and syntax": """
        x' = ⟦a⟧*x - ⟦b⟧*y + a
        y' = ⟦sin x⟧
        z' = ⟦2 x⟧ + c
        param ⟦q q⟧
        x(0) = ⟦y0⟧; y(0) = q
    """,
    "calls, arguments, brackets": """
        f(a, ⟦a⟧) = a
        x' = f(x, 1) + ⟦foo(x, ⟦zz⟧)⟧ + ⟦foo2(x)⟧
        y' = ⟦(⟧1 + x
        z' = 1 ⟦$⟧ 2
        w' = y + z
    """,
    "twice, and twice again": """
        x' = -x
        ⟦x'⟧ = 1
        ⟦x'⟧ = 2
        param k = 1, ⟦k⟧ = 2
    """,
    "arrays": """
        const N = ⟦M⟧
        u[i]' = u[i+1] for i in 1..N
        u[i](0) = 0
        v[i]' = ⟦v[i+1]⟧ + u[i] for i in 1..4
        ⟦v[i](0)⟧ = 1 for i in 2..5
        x' = sum(⟦v[j]⟧ for j in 1..9) + u[3]
        at 3: u[2] = ⟦q⟧, v[2] = u[1]
    """,
    "a network refused": """
        neural U(x) -> 2 { ⟦hiden⟧ = [8] }
        x' = U(x)[1]
        p, q = U(x)
        y' = p*q + ⟦r⟧
    """,
    "an array with a hole": """
        ⟦u[i]'⟧ = 1 for i in 2..10
        u[12]' = 0
        x' = u[1] + ⟦k⟧
    """,
    "circles": """
        ⟦a⟧ = b
        b = a
        x' = a + ⟦h⟧
        const c = ⟦d⟧, d = c
        y' = c*d
    """,
    "initial values, events, inputs, bounds": """
        x' = u
        ⟦y⟧(0) = 1
        x(0) = ⟦x⟧
        when x < 1: ⟦z⟧ = 2, x = ⟦w⟧
        every ⟦0⟧: x = 1
        input u = [(0, 1), (⟦0⟧, 2)]
        param k = 1 in [⟦3⟧, 2], p = ⟦5⟧ in [0, 1]
    """,
    "a line that ends with =": """
        x' ⟦=⟧
        param a = 1 in [⟦3⟧, 2]
        y' = x*a
    """,
    "in a macro": """
        @ode_def A begin
          dx = ⟦2 x⟧
          dy = -k*y + ⟦q⟧
        end k
        z' = x + ⟦r⟧
    """,
    "reserved": """
        ⟦wiener⟧ W
        x' = -x + W' + ⟦r⟧
    """,
    "algebraic": """
        x' = -z
        0 = ⟦z x⟧ - 1
        y' = ⟦r⟧
    """,
}


@pytest.mark.parametrize("marked", CASES.values(), ids=CASES)
def test_every_error_once(marked):
    text, starts = "", []
    for char in marked:
        if char == "⟦":
            starts.append(len(text))
        elif char != "⟧":
            text += char
    found = errors(text)
    places = [(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)) for at in starts]
    assert [(e.line, e.column) for e in found] == places, "\n".join(map(str, found))
    for error in found:
        assert error.errors == (error,)
        assert str(error).startswith(f"my.sciml:{error.line}:{error.column}: {error.message}\n")


def test_the_error_raised_is_the_first_and_shows_all():
    with pytest.raises(sd.NameModelError) as caught:
        sd.model("x' = a\ny' = 2 x")
    error = caught.value
    assert [type(e) for e in error.errors] == [sd.NameModelError, sd.SyntaxModelError]
    assert (error.message, error.line, error.hint) == ("`a` is not defined", 1, "write `param a = 1`")
    assert str(error) == "\n\n".join(map(str, error.errors))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert [str(e) for e in again.errors] == [str(e) for e in error.errors]


def test_a_limit():
    for text in ("\n".join(f"x{i}' = a{i}" for i in range(50)), "\n".join(f"x{i}' = a b" for i in range(50))):
        with pytest.raises(sd.ModelError) as caught:
            sd.model(text)
        assert len(caught.value.errors) == MOST_ERRORS
        assert str(caught.value).endswith(f"{MOST_ERRORS} errors are shown; there may be more")


def test_of_sympy_input_there_is_one_error():
    import sympy

    x, y, a, b = sympy.symbols("x y a b")
    with pytest.raises(sd.ModelError) as caught:
        sd.from_sympy({x: a * x, y: b * y}, parameters={x: 1})
    assert len(caught.value.errors) == 1


def test_command_line(tmp_path):
    path = tmp_path / "m.sciml"
    path.write_text("x' = a\ny' = 2 x\n")
    shown = CliRunner().invoke(main, ["check", str(path)])
    assert shown.exit_code == 2
    lines = shown.output.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [
        f"error: {path}:1:6: `a` is not defined",
        f"error: {path}:2:6: an operator is missing between these",
    ]
    found = json.loads(CliRunner().invoke(main, ["check", str(path), "--json"]).output)
    assert found["error"] == found["errors"][0]
    assert [(e["line"], e["hint"]) for e in found["errors"]] == [(1, "write `param a = 1`"), (2, "write 2*x")]


MODEL = """model Everything
x' = a*x - NN(x, y) + f(x, g) + p
y'' = -y' + f(x, 2) + w[2] - flux[1]
f(s, K) = if s < K then s else K^2
total = x + 2*y
p, q = U(x, y)
neural U(a, b) -> 2 { hidden = [4], activation = sin }
param a = 1.5 in [0, 5] log, b
const g = 2*pi
const N = 4
input u from c = [(0, g), (1, -2)] constant hold
x(0) = a; y(0) = 1; y'(0) = 0
w[i]' = w[i]*k[i] - w[mod(i, N) + 1] + u for i in 1..N
w[i](0) = i
param k[i] = 0.5*i in [0, i] for i in 1..N
flux[i] = sum(w[j]*j for j in i..N) for i in 1..N-1
at 5: w[i] *= 2 for i in 1..2, w[3] = total
when x < 0.1 and y > 2: x += 1, terminate
every 24 from 0 until 240: x = g + q
@ode_def begin
  dz = -d*z^2
end d
"""
LINES = MODEL.splitlines()
BREAKS = ("$", "2 x", ")", "(", "= =", "1.2.3", "*/", "0x1", '"', "sin x", "else")


def test_the_model_that_is_broken_below_is_right():
    assert sd.model(MODEL).name == "Everything"


@given(st.integers(0, len(LINES) - 1), st.sampled_from(BREAKS), st.booleans())
@settings(max_examples=150, deadline=None)
@example(8, "$", True)
def test_one_wrong_line_is_the_only_one_told(line, wrong, front):
    lines = list(LINES)
    lines[line] = f"{wrong} {lines[line]}" if front else f"{lines[line]} {wrong}"
    if "@ode_def" in lines[line]:
        return  # its `end` belongs to nothing then
    for error in errors("\n".join(lines)):
        assert error.line == line + 1, error


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(BREAKS)), max_size=6))
@settings(max_examples=100, deadline=None)
def test_errors_are_in_order_and_different(damage):
    lines = list(LINES)
    for line, wrong in damage:
        lines[line] += " " + wrong
    text = "\n".join(lines)
    if not damage:
        return
    found = errors(text)
    places = [(e.line, e.column) for e in found]
    assert places == sorted(places)
    assert len({(e.line, e.column, e.message) for e in found}) == len(found)
