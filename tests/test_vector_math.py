"""exp, log, sin, cos, tanh and pow in groups: their accuracy, and that grouping changes nothing else."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen import batches, jit, vector_math
from sciml_dsl.codegen.llvm import Module
from sciml_dsl.graph.graph import Graph

pytestmark = pytest.mark.skipif(not jit.has_fma(), reason="needs fused multiply-add")

WORST = 1.2  # units in the last place


def ulps(name: str, values: np.ndarray, *arguments: np.ndarray) -> float:
    """The largest error in units in the last place of the exact value."""
    exact = {"pow": mpmath.power}.get(name) or getattr(mpmath, name)
    worst = 0.0
    with mpmath.workprec(200):
        for value, *given in zip(values, *arguments, strict=True):
            wanted = exact(*(mpmath.mpf(float(x)) for x in given))
            unit = math.ulp(float(wanted))
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - wanted) / unit))
    return worst


def _cases() -> dict[str, list[tuple[np.ndarray, ...]]]:
    rng = np.random.default_rng(0)
    n = 800
    near_zeros = np.round(rng.uniform(-3e4, 3e4, n)) * (math.pi / 2)
    angles = [(rng.uniform(-10, 10, n),), (rng.uniform(-1e5, 1e5, n),), (near_zeros,), (rng.normal(size=n) * 1e-5,)]
    return {
        "exp": [(rng.uniform(-708, 708, n),), (rng.uniform(-1, 1, n),), (rng.normal(size=n) * 1e-6,)],
        "log": [(np.exp(rng.uniform(-700, 700, n)),), (rng.uniform(0.5, 2, n),), (1 + rng.normal(size=n) * 1e-7,)],
        "sin": angles,
        "cos": angles,
        "tanh": [(rng.uniform(-1, 1, n),), (rng.uniform(-18, 18, n),), (rng.normal(size=n) * 1e-6,)],
        "pow": [
            (rng.uniform(0.01, 100, n), rng.uniform(-4, 4, n)),
            (np.exp(rng.uniform(-10, 10, n)), rng.uniform(-3, 3, n)),
            (rng.uniform(0.9, 1.1, n), rng.uniform(-300, 300, n)),
        ],
    }


@pytest.mark.parametrize("name", vector_math.FUNCTIONS)
def test_errors_against_mpmath(name):
    for arguments in _cases()[name]:
        values = arguments[0].copy()
        vector_math.call(name, values, *arguments[1:])
        assert ulps(name, values, *arguments) < WORST


@pytest.mark.parametrize("name", vector_math.FUNCTIONS)
def test_numbers_out_of_range_are_the_library_s(name):
    odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -1e-310, 1e300, -1e300, 709.5, -745.0, 1e6]
    values = np.array(odd + [0.5] * (-len(odd) % vector_math.LANES))
    exponents = np.linspace(-3, 3, len(values))
    found = values.copy()
    vector_math.call(name, found, *([exponents] if name == "pow" else []))
    with np.errstate(all="ignore"):
        wanted = values**exponents if name == "pow" else getattr(np, name)(values)
    np.testing.assert_allclose(found, wanted, rtol=1e-15)
    assert np.array_equal(np.signbit(found[:2]), np.signbit(wanted[:2])) or math.isnan(found[0])
    if name in ("sin", "tanh"):
        assert np.signbit(found[4])  # of -0.0


def test_one_odd_number_spoils_no_other():
    for place in range(8):
        x = np.linspace(0.1, 0.8, 8)
        x[place] = math.nan
        values = x.copy()
        vector_math.call("exp", values)
        np.testing.assert_allclose(values, np.exp(x), rtol=1e-15)


# ---------------------------------------------------------------- groups


def wide(n: int) -> str:
    """Calls of all six functions, some on the results of others, in sums, branches and outputs of their own."""
    lines = []
    for i in range(n):
        a, b = f"x{i}", f"x{(i + 1) % n}"
        lines.append(f"e{i} = exp(-{a}*{b}/4)")
        lines.append(f"{a}' = k*sin({b} + e{i}) - cos({a})^2 + log(1 + e{i}^2)*tanh({a}) + (1 + {a}^2)^h - {b}")
        lines.append(f"{a}(0) = {0.1 + i / n}")
    lines.append("w' = if x0 > 10 then exp(x0) else exp(t); w(0) = 1")
    return "\n".join([*lines, "param k = 1.5, h = 0.37"])


@pytest.mark.parametrize("n", [3, 9, 60])
def test_groups_give_what_single_calls_give(n):
    model = sd.model(wide(n))
    rng = np.random.default_rng(n)
    for _ in range(3):
        u, p = rng.uniform(-2, 2, n + 1), rng.uniform(0.5, 2, 2)
        found = model.rhs("native")(0.3, u, p)
        np.testing.assert_allclose(found, model.rhs("numpy")(0.3, u, p), rtol=1e-12, atol=1e-14)
        found = model.jac("native")(0.3, u, p)
        np.testing.assert_allclose(found, model.jac("numpy")(0.3, u, p), rtol=1e-12, atol=1e-14)
    module = Module(model.system)
    module.add_function("f", list(enumerate(model.system.rhs)), n + 1)
    text = module.text()
    for name in vector_math.FUNCTIONS:
        assert (f"call void @sciml_{name}(" in text) == (n >= batches.FEWEST[name])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_plans_keep_every_node_behind_its_arguments(data):
    g = Graph()
    nodes = [g.leaf("state", i) for i in range(4)]
    for _ in range(data.draw(st.integers(1, 80))):
        op = data.draw(st.sampled_from(["exp", "sin", "add", "mul", "pow", "log"]))
        pick = st.sampled_from(nodes)
        made = g.call(op, data.draw(pick), *([data.draw(pick)] if op in ("add", "mul", "pow") else []))
        nodes.append(made)
    work = [n for n in g.reachable(nodes) if g.args[n]]
    fewest = data.draw(st.integers(1, 6))
    plan = batches.plan(g, work, dict.fromkeys(vector_math.FUNCTIONS, fewest))
    seen: set[int] = set()
    known = set(work)
    for stage, groups in plan.order:
        for node in stage:
            assert all(a in seen or a not in known for a in g.args[node])
            seen.add(node)
        for op, members in groups:
            assert len(members) >= fewest
            assert all(g.op[n] == op for n in members)
            assert all(a in seen or a not in known for n in members for a in g.args[n])
        seen.update(n for _, members in groups for n in members)
    assert seen == known
