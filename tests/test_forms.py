"""Ways of writing that mean what another way means: each pair of texts is the same model."""

from __future__ import annotations

import pytest

import sciml_dsl as sd

PAIRS = [
    ("lv! = @ode_def Lv begin\n dx = a*x\nend a", "@ode_def Lv begin\n dx = a*x\nend a"),
    ("@ode_def begin\n d(x) = a.*x.^2\nend a", "@ode_def begin\n dx = a*x^2\nend a"),
    (
        "@ode_def begin\n dm = (m∞ - m)/τ\n m∞ = 1/(1 + exp(-m))\nend τ",
        "m' = (m∞ - m)/τ; m∞ = 1/(1 + exp(-m)); param τ",
    ),
    ("x'' = -x; a = 2*x''", "x'' = -x; a = 2*(-x)"),
    ("R' = -S' - I'; S' = -S*I; I' = S*I - I; r = R'", "R' = -(-S*I) - (S*I - I); S' = -S*I; I' = S*I - I; r = R'"),
    ("x' = -x; when x' > -0.5: x = 1", "x' = -x; when -x > -0.5: x = 1"),
    ("x' = y; y' = -x; y(0) = 2*x(0); x(0) = k; param k = 3", "x' = y; y' = -x; y(0) = 2*k; x(0) = k; param k = 3"),
    ("x'' = -x; x'(0) = 2*x(0); x(0) = 1.5", "x'' = -x; x'(0) = 2*1.5; x(0) = 1.5"),
]


@pytest.mark.parametrize(("short", "plain"), PAIRS)
def test_forms(short, plain):
    m = sd.model(short)
    assert m == sd.model(plain)
    assert sd.model(str(m)) == m
    assert sd.model(sd.format(short)) == m
