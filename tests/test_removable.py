"""Removable 0/0: the value at the point is the limit, with right derivatives near and at it."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.graph.build import lower, repaired
from sciml_dsl.graph.derivatives import jvp
from sciml_dsl.graph.graph import Graph

K, A, T = 3.0, 2.0, 0.7

# written, the same in mpmath, the singular point of x, the limit there
REPAIRED = {
    "x/(1 - exp(-x))": (lambda x: x / (1 - mpmath.exp(-x)), 0.0, 1.0),
    "sin(x)/x": (lambda x: mpmath.sin(x) / x, 0.0, 1.0),
    "(1 - cos(x))/x^2": (lambda x: (1 - mpmath.cos(x)) / x**2, 0.0, 0.5),
    "(1 - cos(x))/x": (lambda x: (1 - mpmath.cos(x)) / x, 0.0, 0.0),
    "(x - sin(x))/x^3": (lambda x: (x - mpmath.sin(x)) / x**3, 0.0, 1 / 6),
    "x/(exp(x/k) - 1)": (lambda x: x / mpmath.expm1(x / 3), 0.0, K),
    "x/expm1(x)": (lambda x: x / mpmath.expm1(x), 0.0, 1.0),
    "k*x/tanh(x)": (lambda x: 3 * x / mpmath.tanh(x), 0.0, K),
    "x/tan(x)": (lambda x: x / mpmath.tan(x), 0.0, 1.0),
    "log(x)/(x - 1)": (lambda x: mpmath.log(x) / (x - 1), 1.0, 1.0),
    "x/log(1 + x)": (lambda x: x / mpmath.log1p(x), 0.0, 1.0),
    "(sqrt(1 + x) - 1)/x": (lambda x: (mpmath.sqrt(1 + x) - 1) / x, 0.0, 0.5),
    "erf(x)/x": (lambda x: mpmath.erf(x) / x, 0.0, 2 / float(mpmath.sqrt(mpmath.pi))),
    "asin(x)/x": (lambda x: mpmath.asin(x) / x, 0.0, 1.0),
    "x/sin(k*x)": (lambda x: x / mpmath.sin(3 * x), 0.0, 1 / K),
    "(a*x + k*x)/sin(x)": (lambda x: 5 * x / mpmath.sin(x), 0.0, 5.0),
    # Hodgkin and Huxley's rates as their papers and programs write them
    "(0.1 - 0.01*(x + 65))/(exp(1 - 0.1*(x + 65)) - 1)": (
        lambda x: (mpmath.mpf(-55) - x) / 100 / mpmath.expm1((mpmath.mpf(-55) - x) / 10), -55.0, 0.1,
    ),
    "0.1*(x + 40)/(1 - exp(-(x + 40)/10))": (
        lambda x: (x + 40) / 10 / -mpmath.expm1(-(x + 40) / 10), -40.0, 1.0,
    ),
    "(25 - x)/(10*(exp((25 - x)/10) - 1))": (lambda x: (25 - x) / 10 / mpmath.expm1((25 - x) / 10), 25.0, 1.0),
    "(x - a)/(1 - exp(-(x - a)/k))": (lambda x: (x - 2) / -mpmath.expm1(-(x - 2) / 3), 2.0, K),
    # Bateman's function where both rates are the same
    "(exp(-a*t) - exp(-x*t))/(x - a)": (
        lambda x: mpmath.exp(-2 * mpmath.mpf(T)) * -mpmath.expm1(-(x - 2) * mpmath.mpf(T)) / (x - 2),
        2.0, T * float(mpmath.exp(-2 * mpmath.mpf(T))),
    ),
}  # fmt: skip


def model(text: str) -> sd.Model:
    return sd.model(f"x' = {text}; y' = 0; param k = 3, a = 2")


@pytest.mark.parametrize("text", REPAIRED)
def test_value_and_derivative_at_and_around_the_point(text):
    exact, point, limit = REPAIRED[text]
    m = model(text)
    assert len(repaired(m.spec)) == 1
    scope: dict[str, object] = {}
    exec(compile(m.code("python"), text, "exec"), scope)
    f, jacobian = scope["f"], scope["jacobian"]
    p = [K, A]
    assert f(T, [point, 0.0], p)[0] == pytest.approx(limit, rel=1e-14, abs=1e-15)
    distances = [0.0, *(s * d for d in (1e-15, 1e-9, 1e-6, 1e-3, 0.03, 0.2, 0.26, 0.49, 0.51, 0.9) for s in (1, -1))]
    for distance in distances:
        x = point + distance
        if text.startswith("x/log") and x < -0.95:
            continue
        with mpmath.workdps(160):
            center = mpmath.mpf(x)
            value = exact(center) if x != point else mpmath.limit(exact, point)
            # central differences on both sides of the point, in 160 digits
            h = mpmath.mpf(10) ** -25
            slope = (exact(center + h) - exact(center - h)) / (2 * h)
        assert f(T, [x, 0.0], p)[0] == pytest.approx(float(value), rel=1e-12, abs=1e-13)
        row = jacobian(T, [x, 0.0], p)[0]
        assert row[0] == pytest.approx(float(slope), rel=2e-11, abs=1e-12), distance


@pytest.mark.parametrize(
    "text",
    "x/(exp(x) + 1); y/sin(x); 1/x; x/(k + x); sin(x)/x^2; exp(x)/x; cos(x)/x; x/exp(x); x/y; sin(y)/x; log(x)/x; "
    "(exp(x) - exp(-x))/(exp(x) + exp(-x)); tanh(x)/(x + 1); sin(x)/(x + y)".split("; "),
)
def test_other_divisions_stay_as_they_are(text):
    m = model(text)
    assert repaired(m.spec) == ()
    assert not any(op == "select" for op in lower(m.spec).graph.op)


def test_outside_the_window_the_division_is_the_one_written():
    m = model("x/(1 - exp(-x/k))")
    scope: dict[str, object] = {}
    exec(compile(m.code("python"), "model", "exec"), scope)
    for x in (-700.0, -2.0, 1.5, 40.0):
        assert scope["f"](0.0, [x, 0.0], [K, A])[0] == x / (1 - np.exp(-x / K))


@pytest.mark.parametrize("target", ["numpy", "numba", "torch"])
def test_every_target_has_the_limit(target):
    m = model("x/(1 - exp(-x)) + sin(y)/y")
    f, jac = m.rhs(target=target), m.jac(target=target)
    u, p = np.zeros(2), np.array([K, A])
    if target == "torch":
        import torch

        u, p = torch.tensor(u), torch.tensor(p)
    assert float(f(0.0, u, p)[0]) == pytest.approx(2.0, rel=1e-15)
    assert np.asarray(jac(0.0, u, p))[0] == pytest.approx([0.5, 0.0], abs=1e-15)


def test_a_solution_through_the_point():
    sol = sd.model("x' = -1; q' = x/(1 - exp(-x)); x(0) = 1; q(0) = 0").solve(
        (0, 2), rtol=1e-10, atol=1e-12, saveat=[0, 1, 2]
    )
    with mpmath.workdps(30):
        exact = [mpmath.quad(lambda x: x / (1 - mpmath.exp(-x)), [1 - t, 0.5, 1]) for t in (1, 2)]
    assert sol.success
    assert sol["q"][1:] == pytest.approx([float(v) for v in exact], rel=1e-9)


def test_second_derivatives_hold_on_both_sides_of_the_window():
    g = Graph()
    x = g.leaf("state", 0)
    from sciml_dsl.graph.removable import Removable

    root = Removable(g).divide(x, g.sub(g.const(1.0), g.call("exp", g.neg(x))))
    assert root is not None
    one = g.const(1.0)
    second = jvp(g, jvp(g, [root], {x: one}), {x: one})
    from sciml_dsl.graph.ops import EVALUATE

    def value(at: float) -> float:
        known: dict[int, float] = {}
        for node in g.reachable(second):
            args = g.args[node]
            if g.op[node] == "const":
                known[node] = g.data[node]
            elif g.op[node] == "state":
                known[node] = at
            else:
                try:
                    known[node] = EVALUATE[g.op[node]](*(known[a] for a in args))
                except ZeroDivisionError:  # the side that is not taken
                    known[node] = float("nan")
        return known[second[0]]

    for at in (0.0, 1e-8, 0.1, 0.2499, 0.2501, -0.2499, -0.2501, 0.4):
        with mpmath.workdps(50):
            exact = mpmath.diff(lambda z: z / (1 - mpmath.exp(-z)) if z else mpmath.mpf(1), at + mpmath.mpf("1e-20"), 2)
        assert value(at) == pytest.approx(float(exact), rel=1e-11)


def test_a_function_of_the_model_is_repaired_where_it_is_called():
    m = sd.model("x' = f(x) + f(2*y); y' = 0; f(s) = s/(1 - exp(-s))")
    assert len(repaired(m.spec)) == 1
    assert m.rhs("numpy")(0.0, np.zeros(2), np.zeros(0))[0] == pytest.approx(2.0, rel=1e-15)


def test_the_text_and_the_formula_stay_as_written():
    m = sd.model("x' = sin(x)/x")
    assert "sin(x)/x" in str(m) and str(m.equations["x"]) == "sin(x)/x"
