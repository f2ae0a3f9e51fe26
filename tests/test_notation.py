"""Ways of writing that textbooks have: commas between equations, superscripts, |x|, piecewise, Heaviside's step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd

SAME = {  # as printed -> as the language prints it
    "commas": ("x' = -y, y' = x; x(0) = 1, y(0) = 0", "x' = -y; y' = x; x(0) = 1; y(0) = 0"),
    "commas behind loops": (
        "u[i,j]' = -u[i,j] for i in 1..2, j in 1..3, v[i]' = 0 for i in 1..2, w' = 1",
        "u[i,j]' = -u[i,j] for i in 1..2, j in 1..3; v[i]' = 0 for i in 1..2; w' = 1",
    ),
    "commas before a declaration": ("x' = -k*x, param k = 1, j = 2", "x' = -k*x; param k = 1, j = 2"),
    "commas before names to unpack": (
        "x' = p*q, p, q = U(x); neural U(x) -> 2",
        "x' = p*q; p, q = U(x); neural U(x) -> 2",
    ),
    "commas of an event stay": ("x' = 1, y' = 2; at 1: x = 2, y = 3", "x' = 1; y' = 2; at 1: x = 2, y = 3"),
    "van der Pol": ("x'' - μ*(1 - x²)*x' + x = 0; param μ = 5", "x'' = -x + μ*(1 - x^2)*x'; param μ = 5"),
    "superscripts": (
        "x' = -x³ + (x + a)² + 10⁻³ + x⁻¹ + 2²; param a = 1",
        "x' = -x^3 + (x + a)^2 + 10^(-3) + x^(-1) + 2^2; param a = 1",
    ),
    "superscripts behind primes and elements": (
        "x'' = -x'²; u[i]' = u[i]² for i in 1..2",
        "x'' = -x'^2; u[i]' = u[i]^2 for i in 1..2",
    ),
    "of a function": ("x' = sin²(x) + f³(x); f(s) = s/2", "x' = sin(x)^2 + f(x)^3; f(s) = s/2"),
    "subscript and superscript": ("x' = -ω₀²*x; param ω₀ = 2", "x' = -ω₀^2*x; param ω₀ = 2"),
    "of an unknown": (
        "x'' = λ*x; y'' = λ*y - g; 0 = x² + y² - L²; param g = 9.81, L = 1",
        "x'' = λ*x; y'' = λ*y - g; 0 = x^2 + y^2 - L^2; param g = 9.81, L = 1",
    ),
    "of an argument": ("x' = f(x); f(s) = s² + 1", "x' = f(x); f(s) = s^2 + 1"),
    "bars behind words": (
        "x' = if |x| < 1 and |y| > 2 then |x| else -|y|; y' = 0; when |x| > 5: y = |x|",
        "x' = if abs(x) < 1 and abs(y) > 2 then abs(x) else -abs(y); y' = 0; when abs(x) > 5: y = abs(x)",
    ),
    "products in a macro": (
        "f = @ode_def begin\n dx = -exp(-t)sin(x) + 1/(a+b)x^2\n dy = 2(a+b)y\nend a b",
        "x' = -exp(-t)*sin(x) + 1/((a + b)*x^2); y' = 2*((a + b)*y); param a, b",
    ),
    "bars": (
        "x' = 3|x + 1| - |x - |x|| + 2*||x| - 1|",
        "x' = 3*abs(x + 1) - abs(x - abs(x)) + 2*abs(abs(x) - 1)",
    ),
    "piecewise of Maple": (
        "x' = piecewise(t < 1, 1, t < 2, 2, 0) - x",
        "x' = (if t < 1 then 1 else if t < 2 then 2 else 0) - x",
    ),
    "piecewise of SBML": ("x' = piecewise(1, t < 1 and x > 0, -x)", "x' = if t < 1 and x > 0 then 1 else -x"),
    "heaviside": ("x' = heaviside(t - 1)*x", "x' = (if t - 1 < 0 then 0 else 1)*x"),
}


@pytest.mark.parametrize(("printed", "plain"), SAME.values(), ids=SAME)
def test_read_as(printed, plain):
    m = sd.model(printed)
    assert m == sd.model(plain)
    assert sd.model(str(m)) == m
    laid_out = sd.format(printed)
    assert sd.model(laid_out) == m
    assert sd.format(laid_out) == laid_out


def test_a_declared_name_is_no_power():
    m = sd.model("x' = -a²*x + Ca²⁺; param a² = 1, Ca²⁺ = 2, a = 3")
    assert m.parameters == ("a²", "Ca²⁺", "a")
    assert m == sd.model(str(m))
    assert sd.model("f(s²) = s² + 1; x' = f(x)").spec.functions[0].args == ("s²",)
    assert sd.model("@ode_def A begin\n dx = -k²*x\nend k²").parameters == ("k²",)
    with pytest.raises(sd.NameModelError, match="`k` is not defined"):
        sd.model("x' = -k²*x")


def test_pictographs_are_letters_as_in_julia():
    text = "@ode_def LotkaVolterra begin\n  d🐁  = α*🐁  - β*🐁*🐈\n  d🐈 = -γ*🐈 + δ*🐁*🐈\nend α β γ δ"
    m = sd.model(text)
    assert m == sd.model("model LotkaVolterra; 🐁' = α*🐁 - β*🐁*🐈; 🐈' = -γ*🐈 + δ*🐁*🐈; param α, β, γ, δ")
    assert sd.model(str(m)) == m
    assert sd.format(text).startswith("@ode_def LotkaVolterra begin\n  d🐁 = α*🐁 - β*🐁*🐈\n")
    assert "mouse" in m.code("python") and "🐁" not in m.code("python").split('"""')[2].partition("def f(")[2]
    for target in ("python", "numpy", "native"):
        assert list(m.rhs(target)(0.0, [1.0, 2.0], [1.0, 2.0, 3.0, 4.0])) == [-3.0, 2.0]


def test_in_formulas_for_terms_and_sympy():
    m = sd.model("x' = NN(x); param k = 1").with_terms({"NN": "k*x² - |x|"})
    assert m == sd.model("x' = k*x^2 - abs(x); param k = 1")
    assert sd.from_sympy({"x": "k*x²"}, parameters={"k": 1}) == sd.model("x' = k*x^2; param k = 1")
    assert sd.from_sympy({"x": "x²"}, parameters={"x²": 1}).parameters == ("x²",)


@given(st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_values(x):
    m = sd.model(
        "x' = sin²(x) + |x - 1|³ - (2x)² + piecewise(x < 0, 1, x < 1, x, x²) + heaviside(x - 0.5); x(0) = 0"
    )
    piece = 1 if x < 0 else x if x < 1 else x**2
    wanted = math.sin(x) ** 2 + abs(x - 1) ** 3 - 4 * x**2 + piece + (x - 0.5 >= 0)
    for target in ("python", "numpy", "native"):
        assert float(np.asarray(m.rhs(target)(0.0, [x], []))[0]) == pytest.approx(wanted, rel=1e-14, abs=1e-14)


WRONG = {
    "x' = piecewise(t < 1, 2)": ("piecewise has pairs", "value otherwise"),
    "x' = piecewise(1, 2, 3)": ("every second argument of piecewise is a condition", "write piecewise("),
    "x' = |x": ("this `|` is never closed", ""),
    "x' = |x\ny' = 1": ("this `|` is never closed", ""),
    "x' = |x)": ("`)` does not close the `|` opened before it", "closed by its own kind"),
    "x' = x | 1": ("the character `|` has no meaning here", "abs(x) or |x|"),
    "x' = x ²": ("the character `²` has no meaning here", ""),
    "x' = -2k₁x² + 1; param k₁ = 1": ("`k₁x` is not defined", "write k₁*x for a product"),
    "x' = xk; param k = 1": ("`xk` is not defined", "write x*k for a product"),
    "x' = sin⁻¹(x)": ("`sin⁻¹` is not a function", "write asin(x)"),
    "d/dt x = -x": ("an operator is missing between these", "write d/dt(x) = ..., or dx/dt = ..."),
    "x' = -x; x(t=0) = 1": ("`=` inside parentheses", "write x(0) = ..."),
    "D(x) = -x": ("the model has no equation", "write x' = ... or dx/dt = ..."),
    "x¨ = -x": ("the character `¨` has no meaning here", "write x''"),
    "x' = 1, 2": ("`,` does not fit here", ""),
}


@pytest.mark.parametrize("text", WRONG)
def test_errors(text):
    message, hint = WRONG[text]
    with pytest.raises(sd.ModelError) as caught:
        sd.model(text)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert len(caught.value.errors) == 1
