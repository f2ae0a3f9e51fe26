"""Equations written through other equations: the same values, exact cancellation, no circles."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.graph.graph import Graph
from sciml_dsl.graph.shared_sums import share, terms


def exact(graph: Graph, node: int, values: list[int]) -> Fraction:
    """The value of a sum of states and constants in rational numbers."""
    op, args = graph.op[node], graph.args[node]
    if op == "state":
        return Fraction(values[graph.data[node]])
    if op == "const":
        return Fraction(graph.data[node])
    parts = [exact(graph, a, values) for a in args]
    if op == "neg":
        return -parts[0]
    return {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}[op](*parts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-1, 1])), min_size=1, max_size=7), min_size=1,
             max_size=7),
    st.lists(st.integers(-9, 9), min_size=6, max_size=6),
)  # fmt: skip
def test_values_stay(equations: list[list[tuple[int, int]]], values: list[int]) -> None:
    graph = Graph()
    states = [graph.leaf("state", i) for i in range(6)]
    nodes = []
    for equation in equations:
        node = graph.const(0.0)
        for state, sign in equation:
            node = graph.add(node, states[state]) if sign > 0 else graph.sub(node, states[state])
        nodes.append(node)
    for before, after in zip(nodes, share(graph, nodes), strict=True):
        assert exact(graph, before, values) == exact(graph, after, values)


def test_what_cancels_stands_together() -> None:
    """Robertson's second equation is minus the first, minus the third."""
    m = sd.model("a' = 1e4*b*c - 0.04*a; b' = 0.04*a - 3e7*b*b - 1e4*b*c; c' = 3e7*b*b")
    graph, (first, second, third) = m.system.graph, m.system.rhs
    assert graph.op[second] == "sub" and graph.args[second] == (graph.neg(first), third)
    u = np.random.default_rng(0).uniform(0.5, 2, (100, 3)) * [2e-8, 8e-14, 1]
    for row in u:
        a, b, c = row
        a = 1e4 * b * c / 0.04 * (1 + 1e-9)  # close to equilibrium
        slopes = m.rhs("native")(0.0, np.array([a, b, c]), np.zeros(0))
        assert slopes[0] + slopes[1] + slopes[2] == pytest.approx(0.0, abs=1e-13 * abs(slopes[2]))


def test_a_chain_is_taken_apart_from_the_small_end() -> None:
    graph = Graph()
    a, b, c, d = (graph.leaf("state", i) for i in range(4))
    two = graph.sub(a, b)
    three = graph.add(graph.sub(c, a), b)
    four = graph.sub(graph.sub(graph.add(a, d), b), c)
    made = share(graph, (four, three, two))
    assert made[2] == two
    assert made[1] == graph.add(graph.neg(two), c)
    assert made[0] == graph.add(graph.neg(made[1]), d)


def test_what_is_only_alike_stays_as_it_is() -> None:
    graph = Graph()
    a, b, c = (graph.leaf("state", i) for i in range(3))
    other_sign = graph.sub(graph.add(a, b), c)
    twice = graph.add(graph.add(a, a), graph.sub(c, b))
    assert terms(graph, twice) == {a: 2, c: 1, b: -1}
    nodes = (graph.sub(a, b), other_sign, twice)
    assert share(graph, nodes) == nodes
    same = (graph.sub(graph.sub(a, b), c), graph.sub(graph.sub(b, a), graph.neg(c)))
    assert share(graph, same) == same  # as many terms: neither is inside the other


@pytest.mark.parametrize("method", ["rodas5p", "rodas4", "radau", "kvaerno5", "auto"])
def test_robertson_to_the_end_in_ten_digits(method: str) -> None:
    """Test Set for IVP Solvers, release 2.4; recomputed in quadruple precision.  h is 1e10 at the end."""
    m = sd.model(
        "a' = 1e4*b*c - 0.04*a; b' = 0.04*a - 3e7*b*b - 1e4*b*c; c' = 3e7*b*b; a(0) = 1; b(0) = 0; c(0) = 0"
    )
    sol = m.solve((0, 1e11), method=method, rtol=1e-12, atol=1e-20, saveat=[1e11], max_steps=1_000_000)
    wanted = [2.083340149701294e-08, 8.333360770334784e-14, 0.9999999791665152]
    np.testing.assert_allclose(sol.u[-1], wanted, rtol=1e-10)
