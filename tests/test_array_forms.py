"""Arrays of constants, ranges with a step, and sums over whole arrays: what they mean, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen.load import load

SAME = {
    "a step": (
        "const N = 8; u[i]' = -i*u[i] for i in 1..2..N; u[i]' = u[i-1] for i in 2..2..N; u(0) = 1",
        "u[2*i-1]' = -(2*i - 1)*u[2*i-1] for i in 1..4; u[2*i]' = u[2*i-1] for i in 1..4; u(0) = 1; const N = 8",
    ),
    "a step in a sum": (
        "u[i]' = sum(u[j] for j in 1..3..7) for i in 1..8; u(0) = 1",
        "u[i]' = sum(u[3*j-2] for j in 1..3) for i in 1..8; u(0) = 1",
    ),
    "a step that begins at the index around it": (
        "u[i]' = sum(u[j]*j for j in i..2..i+5) for i in 1..3; u[i]' = 0 for i in 4..8",
        "u[i]' = sum(u[2*j+i-2]*(2*j + i - 2) for j in 1..3) for i in 1..3; u[i]' = 0 for i in 4..8",
    ),
    "backwards": (
        "u[i]' = i for i in 7..-2..1; u[2*i]' = 0 for i in 1..3",
        "u[9-2*i]' = 9 - 2*i for i in 1..4; u[2*i]' = 0 for i in 1..3",
    ),
    "steps in an event, a parameter, an initial value": (
        "param k[i] = i for i in 1..2..3, k[2] = 0; u[i]' = k[i] for i in 1..3; u[i](0) = i for i in 1..2..3; "
        "at 1: u[i] = i for i in 1..2..3",
        "param k = [1, 0, 3]; u[i]' = k[i] for i in 1..3; u[2*i-1](0) = 2*i - 1 for i in 1..2; "
        "at 1: u[2*i-1] = 2*i - 1 for i in 1..2",
    ),
    "a whole array": (
        "u[i]' = -u[i]*sum(u) for i in 1..3; y' = max(u) - min(u^2) + prod(u/2)",
        "u[i]' = -u[i]*sum(u[j] for j in 1..3) for i in 1..3; "
        "y' = max(u[i] for i in 1..3) - min(u[i]^2 for i in 1..3) + prod(u[i]/2 for i in 1..3)",
    ),
    "arrays element by element": (
        "const w = [1, 2]; u[i,j]' = sum(u*v) + sum(w*w) for i in 0..1, j in 1..2; param v[0..1, 1..2] = 3; "
        "f(s) = s*sum(w)",
        "const w = [1, 2]; u[i,j]' = sum(u[k,l]*v[k,l] for k in 0..1, l in 1..2) + sum(w[k]*w[k] for k in 1..2) "
        "for i in 0..1, j in 1..2; param v[0..1, 1..2] = 3; f(s) = s*sum(w[k] for k in 1..2)",
    ),
    "constants from a formula": (
        "const N = 3, a[i] = i^2 for i in 1..N, b[i] = a[i] + a[N] for i in 1..N, c[0..2] = 4; "
        "x[i]' = b[i]*c[i-1] for i in 1..N",
        "const N = 3, a = [1, 4, 9], b = [10, 13, 18], c[0..2] = 4; x[i]' = b[i]*c[i-1] for i in 1..N",
    ),
    "defaults and bounds from constants": (
        "const a = [1, 2], m = [[1, 2], [3, 4]]; param k[i] = a[i]/2 in [0, m[2,i]] for i in 1..2, q = m[1,2]; "
        "x' = k[1]*q",
        "const a = [1, 2], m = [[1, 2], [3, 4]]; param k[1] = 0.5 in [0, 3], k[2] = 1 in [0, 4], q = 2; x' = k[1]*q",
    ),
}


@pytest.mark.parametrize(("short", "long"), SAME.values(), ids=SAME)
def test_means(short, long):
    m = sd.model(short)
    assert m == sd.model(long)
    assert sd.model(str(m)) == m
    laid_out = sd.format(short)
    assert sd.model(laid_out) == m
    assert sd.format(laid_out) == laid_out


WRONG = {
    "u[i]' = 1 for i in 1..0..7": "the step of a range is not 0",
    "u[i]' = 1 for i in 1..1.5..7": "1.5 is not a whole number",
    "u[i]' = 1 for i in 7..2..1": "the range of `i` is empty",
    "u[i]' = 1 for i in 1..k..7; param k = 2": "`k` is not a constant",
    "u[i]' = sum(u[j] for j in 1..2..i) for i in 1..4": "move by whole steps with the indices around it",
    "u[i]' = 1 for i in 1..2..5": "`u[2]` has no equation",
    "u[i]' = 1 for i in 1..2; v[i]' = 1 for i in 0..1; x' = sum(u*v)": "have different elements: u[1..2] and v[0..1]",
    "x' = sum(x)": "`sum` gathers a range or a whole array",
    "u[i]' = 1 for i in 1..2; x' = max(u, 1)": "`u` is an array; say which element",
    "const w = []; x' = 1": "this list is empty",
    "const w = [1, [2]]; x' = 1": "has rows of different lengths",
    "const w = [1, y]; x' = w[1]": "`y` is not defined",
    "const w = [1, x]; x' = w[1]": "`x` is a state",
    "const w = [1, 2]; x' = w[3]": "`w[3]` is outside the array",
    "const w = [1, 2]; x' = w": "`w` is an array; say which element",
    "const w = [1, 2]; param k = w[3]; x' = k": "the array `w` has no element `w[3]`",
    "const a[i] = b[i] for i in 1..2, b[i] = a[i] for i in 1..2; x' = a[1]": "the constant `a` depends on itself",
    "const a[1] = 1, a[3] = 2; x' = a[1]": "`a[2]` has no value",
    "const a[1] = 1; x' = a[1]": "is one element, and the array has no other",
    "const a[i] = 1/(i - 1) for i in 1..3; x' = a[2]": "the constant `a[1]` divides by zero",
    "const a = [1, 2], a = 3; x' = a[1]": "`a` is an array elsewhere",
    "param a = [1, 2]; const a = [3]; x' = a[1]": "`a` is a parameter and defined again",
    "const w = [1, 2]; x' = 1; at 1: w[1] = 2": "`w` is a constant; an event cannot change it",
    "c[i] = c[i-1] + 1 for i in 2..3; c[1] = c[3]; x' = c[1]": "`c[1]` depends on itself: c[1] → c[3] → c[2] → c[1]",
    "c[i] = d[i] for i in 1..3; d[i] = c[i] for i in 1..3; x' = c[1]": "`c[1]` depends on itself: c[1] → d[1] → c[1]",
    "c[1] = a; c[i] = c[i-1] + a for i in 2..3; a = c[3]; x' = a": "depends on itself",
    "c[i] = c[i-1] + 1 for i in 2..9000; c[1] = 0; x' = c[1]": "in models of more than 5,000 elements it cannot be",
    "const w = [2, 1]; u[i]' = u[w[i]] for i in 1..2": "whole numbers made with +, -, * and mod",
}


@pytest.mark.parametrize("text", WRONG)
def test_refused(text):
    with pytest.raises(sd.ModelError) as caught:
        sd.model(text)
    assert WRONG[text] in caught.value.message
    assert caught.value.line == 1, caught.value
    assert len(caught.value.errors) == 1, caught.value


def test_what_a_model_says_of_its_constants():
    m = sd.model(
        "const g = 2, w = [1, -2.5], q[0..3] = 7, last = 1; x[i]' = -w[i]*q[i]*x[i] for i in 1..2; x(0) = w[1]"
    )
    assert m.arrays == {"x": (2,), "w": (2,), "q": (4,)}
    assert m.parameters == ()
    assert m.dependencies()["x"] == ("x", "w", "q")
    assert [w.message for w in m.lint()] == [f"the constant `{name}` is used nowhere" for name in ("g", "last")]
    assert "w = [1, -2.5]\nconst q[0..3] = 7" in str(m)
    assert m.jacobian()[0, 0] == -7 and m.jacobian()[1, 1] == 17.5


def test_constants_beside_scalars_only_are_numbers():
    m = sd.model("const w = [1, 2, 3]; x' = -w[2]*x + sum(w); x(0) = 0")
    assert not m.spec.as_loops
    assert m.rhs("native")(0.0, [1.0], []) == pytest.approx([4.0])
    assert "CONSTANTS" not in m.code("c")


def test_a_hundred_thousand_constants():
    n = 100_000
    m = sd.model(f"const N = {n}; const w[i] = sin(i)/i for i in 1..N; x[i]' = -w[i]*x[i] for i in 1..N; x(0) = 1")
    i = np.arange(1, n + 1)
    assert np.allclose(m.rhs("native")(0.0, np.ones(n), []), -np.sin(i) / i, rtol=1e-15, atol=0)


RECURRENCE = """
    const N = 5
    u[i]' = -c[i]*u[i] + top for i in 1..N
    c[i] = c[i-1]*h(u[i]) + u[i]^2 for i in 2..N
    c[1] = u[1]
    f[i] = g[i+1] for i in 1..N-1
    f[N] = 0
    g[i] = f[i]*2 + u[i] for i in 1..N
    top = c[N] + g[1] + sum(c)
    h(s) = s/(1 + s)
    u[i](0) = i for i in 1..N
"""


def test_observables_made_of_their_own_elements():
    m = sd.model(RECURRENCE)
    assert sd.model(str(m)) == m
    assert not m.lint()
    u = np.array([0.3, 1.2, 0.7, 2.0, 1.1])

    def rhs(u):
        c, g = [u[0]], [u[4]]
        for k in range(1, 5):
            c.append(c[-1] * u[k] / (1 + u[k]) + u[k] ** 2)
        for k in range(3, -1, -1):
            g.insert(0, 2 * g[0] + u[k])
        return -np.array(c) * u + c[4] + g[0] + sum(c)

    step = 1e-20  # complex steps are exact to the last bits
    slopes = np.array([rhs(u + 1j * step * np.eye(5)[k]).imag / step for k in range(5)]).T
    for target in ("python", "numpy", "numba", "native"):
        assert np.allclose(m.rhs(target)(0.0, u, np.empty(0)), rhs(u), rtol=1e-14)
        assert np.allclose(m.jac(target)(0.0, u, np.empty(0)), slopes, rtol=1e-12)
    assert m.with_terms({}) == m


@given(
    st.integers(-4, 4), st.integers(1, 12), st.integers(1, 4), st.lists(st.floats(-3, 3), min_size=17, max_size=17)
)
@settings(max_examples=25, deadline=None)
def test_sums_with_a_step(first, length, step, values):
    last = first + length
    listed = ", ".join(repr(v) for v in values)
    text = f"""
        const w = [{listed}]
        u[i]' = w[i+5]*u[i] for i in -4..12
        s = sum(i*u[i]*w[i+5] for i in {first}..{step}..{min(last, 12)})
    """
    m = sd.model(text)
    u = np.linspace(0.5, 2, 17)
    wanted = math.fsum(i * u[i + 4] * values[i + 4] for i in range(first, min(last, 12) + 1, step))
    for target in ("python", "numpy"):
        module = load(m.code(target), target)
        assert float(np.asarray(module.observables(0.0, u, []))[-1]) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


# ------------------------------------------------------------ initial values as lists


def test_initial_values_in_a_list():
    m = sd.model("u[i]' = -u[i] for i in 0..2; u(0) = [1, 2*a, 3]; param a = 2")
    assert m.solve((0, 1), rtol=1e-9).u[-1] == pytest.approx(np.exp(-1) * np.array([1.0, 4.0, 3.0]), rel=1e-7)
    assert m == sd.model("u[i]' = -u[i] for i in 0..2; u[0](0) = 1; u[1](0) = 2*a; u[2](0) = 3; param a = 2")
    assert sd.model(m.code("sciml")) == m
    two = sd.model("w[i,j]'' = -w[i,j] for i in 1..2, j in 1..2; w(0) = [[1, 2], [3, 4]]; w'(0) = [[0, 0], [0, 5]]")
    assert two.solve((0, 0)).u[0].tolist() == [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 5.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("u(0) = [1, 2]", "the list has 2 values, and `u` has 3 elements"),
        ("u(0) = [[1, 2], [3]]", "rows of different lengths"),
        ("u(0) = []", "this list is empty"),
        ("u(0) = [1, 2, 3]; u[2](0) = 4", r"`u\[2\]` is given twice"),
        ("x' = 1; x(0) = [1, 2]", "`x` is one number"),
        ("x' = [1, 2]", "a list has no meaning here"),
        ("u(0) = [1, 2, q]", "`q` is not defined"),
    ],
)
def test_lists_that_do_not_fit(text, words):
    with pytest.raises(sd.ModelError, match=words):
        sd.model("u[i]' = -u[i] for i in 1..3; " + text)
