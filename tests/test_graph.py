"""The graph: sharing, rewrites, and derivatives against finite differences in 50 digits."""

from __future__ import annotations

import mpmath
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_dsl.graph import ops
from sciml_dsl.graph.derivatives import jvp, sparse_jacobian, vjp
from sciml_dsl.graph.graph import Graph
from tests.reference import _MP, evaluate

N = 3
SAFE_UNARY = ["neg", "sin", "cos", "tanh", "atan", "exp", "erf", "erfc", "asinh", "expm1", "abs"]
BINARY = ["add", "sub", "mul", "div", "min", "max", "atan2"]


@st.composite
def expressions(draw, depth=4):
    """(graph, root) over three states, two parameters and t, with branches."""
    g = Graph()
    leaves = [g.leaf("state", i) for i in range(N)] + [g.leaf("param", i) for i in range(2)] + [g.leaf("t")]

    def build(level):
        kind = draw(st.integers(0, 9)) if level else 0
        if kind <= 2:
            return draw(st.sampled_from(leaves))
        if kind == 3:
            return g.const(draw(st.floats(-3, 3).map(lambda x: round(x, 3))))
        if kind <= 5:
            return g.call(draw(st.sampled_from(SAFE_UNARY)), build(level - 1))
        if kind == 6:
            cond = g.call(draw(st.sampled_from(["lt", "gt"])), build(level - 1), build(level - 1))
            return g.select(cond, build(level - 1), build(level - 1))
        if kind == 7:
            return g.pow(build(level - 1), g.const(float(draw(st.integers(2, 3)))))
        return g.call(draw(st.sampled_from(BINARY)), build(level - 1), build(level - 1))

    return g, build(depth)


def test_shared_once_and_simplified():
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    assert g.mul(x, y) == g.mul(y, x)
    assert g.sub(x, x) == g.const(0.0)
    assert g.add(x, g.neg(y)) == g.sub(x, y)
    assert g.mul(g.const(-2.0), g.neg(x)) == g.mul(g.const(2.0), x)
    assert g.pow(x, g.const(1.0)) == x
    assert g.const(0.0) != g.const(-0.0)
    assert g.call("exp", g.const(0.0)) == g.const(1.0)
    assert g.op[g.div(g.const(1.0), g.const(0.0))] == "div", "a division by zero is kept, not folded to NaN"


def test_every_operation_has_value_and_derivative():
    known = set(ops.PARTIALS) | ops.BRANCHES | ops.CONDITIONS
    assert set(ops.EVALUATE) <= known
    assert set(ops.EVALUATE) - {"select"} == set(_MP), "the reference evaluates every operation"
    assert {op for op, _ in ops.FUNCTIONS.values()} <= set(ops.EVALUATE)


@pytest.mark.parametrize("op", sorted(set(ops.PARTIALS)))
@pytest.mark.parametrize("point", [0.3, 0.8])
def test_partials_against_high_precision_differences(op, point):
    g = Graph()
    arity = 2 if op in {"add", "sub", "mul", "div", "pow", "mod", "atan2"} else 1
    leaves = [g.leaf("state", i) for i in range(arity)]
    node = g.call(op, *leaves)
    u = [mpmath.mpf(point), mpmath.mpf(1.7)][:arity]
    if op == "acosh":
        u = [mpmath.mpf(1) + point]
    for i in range(arity):
        tangent = jvp(g, [node], {leaf: g.const(float(i == j)) for j, leaf in enumerate(leaves)})
        with mpmath.workdps(50):
            h = mpmath.mpf(10) ** -15
            up, down = list(u), list(u)
            up[i] += h
            down[i] -= h
            expected = (evaluate(g, [node], u=up)[0] - evaluate(g, [node], u=down)[0]) / (2 * h)
        got = evaluate(g, tangent, u=u)[0]
        tolerance = 1e-13 if op == "digamma" else 1e-15  # constants are doubles; digamma' is a series
        assert abs(got - expected) <= tolerance * (1 + abs(expected))


@pytest.mark.parametrize("x", [-2.5, -0.3, 0.2, 0.49, 0.51, 3.0, 40.0])
def test_digamma_folding_and_derivative(x):
    assert ops.evaluate("digamma", x) == pytest.approx(float(mpmath.digamma(x)), rel=1e-13)
    g = Graph()
    leaf = g.leaf("state", 0)
    (slope,) = jvp(g, [g.call("digamma", leaf)], {leaf: g.const(1.0)})
    assert float(evaluate(g, [slope], u=[x])[0]) == pytest.approx(float(mpmath.psi(1, x)), rel=1e-13)


def _differentiable(g, root, u, p, t):
    """Value and central differences in 50 digits, or None near a kink or singularity."""
    with mpmath.workdps(50):
        try:
            h = mpmath.mpf(10) ** -12
            base = evaluate(g, [root], u=u, p=p, t=t)[0]
            rows = []
            for i in range(N):
                one = []
                for step in (h, 2 * h):
                    up, down = list(map(mpmath.mpf, u)), list(map(mpmath.mpf, u))
                    up[i] += step
                    down[i] -= step
                    one.append(
                        (evaluate(g, [root], u=up, p=p, t=t)[0] - evaluate(g, [root], u=down, p=p, t=t)[0]) / (2 * step)
                    )
                if abs(one[0] - one[1]) > 1e-9 * (1 + abs(one[0])):
                    return None
                rows.append(one[0])
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):
            return None
        if not mpmath.isfinite(base) or abs(base) > 1e8 or any(abs(r) > 1e8 for r in rows):
            return None
        return rows


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_jvp_vjp_and_jacobian_agree_with_differences(expression, numbers):
    g, root = expression
    u, p, t = numbers[:3], numbers[3:5], numbers[5]
    expected = _differentiable(g, root, u, p, t)
    if expected is None:
        return
    leaves = [g.leaf("state", i) for i in range(N)]
    entries = sparse_jacobian(g, [root], leaves)
    reverse, _ = vjp(g, [root], [g.const(1.0)], leaves)
    for i in range(N):
        forward = jvp(g, [root], {leaf: g.const(float(i == j)) for j, leaf in enumerate(leaves)})[0]
        ways = [forward, reverse[i], entries.get((0, i), g.const(0.0))]
        try:
            found = evaluate(g, ways, u=u, p=p, t=t)
        except ZeroDivisionError:  # atan2 at the origin has a value and no derivative
            assert any(a == 0.0 for a in _kinks(g, root, u, p, t))
            continue
        for value in found:
            if abs(value - expected[i]) > 1e-8 * (1 + abs(expected[i])):
                # at an exact kink (x == y in min) either side is a derivative
                assert any(abs(a) < 1e-9 for a in _kinks(g, root, u, p, t)), (value, expected[i])


def _kinks(g, root, u, p, t):
    """Distances of branch conditions from switching."""
    gaps = []
    for n in g.reachable([root]):
        if g.op[n] in ("lt", "gt", "min", "max"):
            a, b = evaluate(g, list(g.args[n]), u=u, p=p, t=t)
            gaps.append(a - b)
        if g.op[n] == "atan2":  # jumps across the negative half of its second argument
            a, b = evaluate(g, list(g.args[n]), u=u, p=p, t=t)
            gaps += [a] if b <= 0.0 else []
        if g.op[n] == "abs":
            gaps += evaluate(g, list(g.args[n]), u=u, p=p, t=t)
    return gaps or [1.0]


def test_branch_not_taken_never_leaks():
    g = Graph()
    x = g.leaf("state", 0)
    safe = g.select(g.call("gt", x, g.const(0.0)), g.call("sqrt", x), g.const(0.0))
    ways = [
        *jvp(g, [safe], {x: g.const(1.0)}),
        *vjp(g, [safe], [g.const(1.0)], [x])[0],
        sparse_jacobian(g, [safe], [x])[0, 0],
    ]
    assert [float(w) for w in evaluate(g, ways, u=[-1.0])] == [0.0, 0.0, 0.0]


def test_jacobian_of_a_long_sum_is_linear():
    g = Graph()
    leaves = [g.leaf("state", i) for i in range(2000)]
    total = g.const(0.0)
    for leaf in leaves:
        total = g.add(total, g.mul(leaf, leaf))
    before = len(g)
    entries = sparse_jacobian(g, [total], leaves)
    assert len(entries) == 2000
    assert len(g) - before < 4 * 2000


def test_second_derivatives_by_repeated_sweeps():
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    f = g.mul(g.call("sin", x), g.pow(y, g.const(3.0)))
    first = sparse_jacobian(g, [f], [x, y])
    second = sparse_jacobian(g, list(first.values()), [x, y])
    got = [float(v) for v in evaluate(g, list(second.values()), u=[0.7, 1.3])]
    sin, cos = float(mpmath.sin(0.7)), float(mpmath.cos(0.7))
    assert got == pytest.approx([-sin * 1.3**3, cos * 3 * 1.3**2, cos * 3 * 1.3**2, sin * 6 * 1.3])
