"""Hostile and random text: nothing but the project's errors, and nothing is ever run."""

from __future__ import annotations

import builtins
import contextlib
import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd

PIECES = (
    "x y k α θ t pi e NN U f d dx dt model param const neural when at every from until in log begin end terminate "
    "if then else and or not ifelse exp max wiener history jump reaction input for hidden activation tanh inf "
    "linear constant cubic hold "
    "x' θ'' dx/dt d(x)/dt x(0) x'(0) NN(x) U(x)[1] @ode_def @ode_def_bare ( ) [ ] { } , ; : ? = == := += -= *= /= -> "
    "0= λ @stiff @stiff( "
    "i j N u[i] u[1] v[i,j] u[i]' u[i-1] [1,2] sum( prod( for i in 1..N 1..3 mod( "
    "1..2..N sum(u) max(w*u) w = [1, 2] "
    "=> + - * / ^ ** < <= > >= != && || ! // √ · − ≤ ' ′ ″ # #= =# .. . 0 1 2 3.5 1e3 1e999 .5 2x 2( 0x1 1_0 "
    '\\ " $ % & | ~ ∂ \u0301 ² ₁ ⁻³ )² x² sin² |x| || piecewise( heaviside( ½ \x00 \ufeff \u2028 é 変 🐁'
).split()


def check(text: str) -> None:
    try:
        m = sd.model(text)
    except sd.ModelError as error:
        assert str(error)
        return
    assert sd.model(str(m)) == m
    assert m.states


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text(text):
    check(text)


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from([" ", "", "\n"]))
@settings(max_examples=600, deadline=None)
def test_any_sequence_of_pieces(pieces, glue):
    check(glue.join(pieces))
    check("x' = " + glue.join(pieces))


STATEMENTS = (
    "x' = a*x - NN(x, y)",
    "y'' = -y' + f(x, 2)",
    "f(s, K) = if s < K then s else K^2",
    "total = x + 2y",
    "p, q = U(x, y)",
    "neural U(a, b) -> 2 { hidden = [4], activation = sin }",
    "param a = 1.5 in [0, 5] log, b",
    "const g = 2*pi",
    "input u from w = [(0, g), (1, -2)] constant hold, v cubic",
    "x(0) = a; y(0) = 1; y'(0) = 0",
    "const N = 4\nw[i]' = w[i]*q[i] - w[mod(i, N) + 1] for i in 1..N",
    "w[i](0) = i; param q[i] = 0.5*i in [0, i] for i in 1..N, r[1..2, 0..1] = 1 log, l = [1, 2, 3]",
    "z[i, j]'' = r[i, j]*z[i, j] + l[2] for i in 1..2, j in 0..1; z(0) = 2",
    "flux[i] = sum(w[j]*j for j in i..N, k in 1..j) for i in 1..N - 1",
    "const c = [1, 2.5, 3, 4], m[i, j] = i - j for i in 1..2, j in 0..1, s[1..3] = g",
    "o[i]' = c[i]*o[i] + sum(o*c) - max(w) for i in 1..2..3; o[i]' = 0 for i in N..-2..2; o[i](0) = m[1, 1]",
    "at 5: w[i] *= 2 for i in 1..2, w[3] = 0, x += max(w[i] for i in 1..N)",
    "0 = x^2 + λ*y - 1",
    "0 = 2*v' + x; v(0) = 1",
    "C*dv/dt + g*v = @stiff(x) - @stiff x*y",
    "when x < 0.1 and y > 2: x += 1, terminate",
    "every 24 from 0 until 240: x = g",
    "x' = |x - 1|*a² - sin²(x)/(x + 1)³ + piecewise(x < 1, a, a²), r' = heaviside(x - 1)",
    "@ode_def A begin\n dz = -k*z^2\nend k",
)


@given(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8), st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_models(statements, data):
    text = "\n".join(statements)
    for _ in range(data.draw(st.integers(0, 3))):
        i = data.draw(st.integers(0, len(text)))
        j = data.draw(st.integers(i, min(len(text), i + 6)))
        text = text[:i] + data.draw(st.sampled_from(["", *PIECES])) + text[j:]
    check(text)


@pytest.mark.parametrize(
    "attack",
    [
        '__import__("os").system("touch stolen")',
        "__import__(os)",
        "eval(x)",
        "exec(x)",
        "open(x)",
        "x.__class__.__mro__",
        "().__class__",
        "lambda: 0",
        "f'{x}'",
        "__builtins__",
        "globals()",
        "os.system(x)",
        "sys.exit(1)",
        "print(x)",
        "breakpoint(1)",
    ],
)
def test_model_text_is_never_run(attack, tmp_path, monkeypatch):
    ran: list[str] = []
    sd.model("x' = 1; f(a) = a; x(0) = 1; param k = 1")  # everything the parser imports is imported now
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        for module, name in [(builtins, "eval"), (builtins, "exec"), (os, "system"), (subprocess, "Popen")]:
            patch.setattr(module, name, lambda *args, **kwargs: ran.append("model text"))
        for text in (f"x' = {attack}", f"{attack} = x", f"x' = 1; param k = {attack}", f"model {attack}\nx' = 1"):
            with contextlib.suppress(sd.ModelError):
                sd.model(text)
    assert not ran
    assert not list(tmp_path.iterdir())


def test_hostile_names_are_only_names():
    m = sd.model("__import__' = -__import__*os + eval; param os = 1, eval = 2, exec = 3; __class__ = os")
    assert m.states == ("__import__",)
    assert sd.model(str(m)) == m
