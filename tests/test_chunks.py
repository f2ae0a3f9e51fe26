"""Long functions in parts (C, Julia, numba): the same numbers, the same promises, and no part too long."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from c_library import CC, compile_c
from sciml_dsl.codegen import chunks
from sciml_dsl.codegen import numba as numba_target
from sciml_dsl.codegen.chunks import Unit, split
from sciml_dsl.codegen.load import load
from tests import julia_reader


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_parts_compute_what_the_whole_computes(data):
    """Random programs of sums: run part by part on a scratch array, and as one."""
    leaves = {"x": 2.0, "y": -3.5, "k": 0.25}
    names, units = list(leaves), []
    values: dict[str, float] = dict(leaves)
    for i in range(data.draw(st.integers(0, 40))):
        a, b = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        values[f"v{i}"] = values[a] * 0.5 + values[b]
        units.append(Unit((f"v{i} = {a}*0.5", f"  + {b}"), f"v{i}"))
        names.append(f"v{i}")
    picked = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=12))
    lines = data.draw(st.integers(1, 20))
    parts, size = split(units, [f"-{name}" for name in picked], list(leaves), lines)
    scratch = [np.nan] * size
    for part in parts:
        assert len(part.lines) + len(part.results) <= lines + 2  # a unit is never cut
        here = {name: leaves[name] for name in part.leaves}
        here |= {name: scratch[seat] for name, seat, _ in part.imports}
        text = iter(part.lines)
        for first, second in zip(text, text, strict=True):
            target, left = first.split(" = ")
            here[target] = here[left.split("*")[0]] * 0.5 + here[second.split("+ ")[1]]
        for name, seat, _ in part.exports:
            scratch[seat] = here[name]
        for seat, code in part.results:
            scratch[seat] = -here[code[1:]]
    assert scratch[: len(picked)] == [-values[name] for name in picked]


def branching(n: int) -> str:
    """Branches with statements inside, truth values that several equations read, shared parts, a seat of its own."""
    lines = ["inside = s_ > 0.3 and x0 < 2"]
    for i in range(n):
        a, b = f"x{i}", f"x{(i + 1) % n}"
        lines.append(f"m{i} = {a}*{b}/(1 + {a}^2 + {b}^2)")
        lines.append(f"{a}' = if inside then m{i}*exp(-m{i}) - m{(i + 3) % n} else k*m{i} + sqrt(1 + m{i}^2)*sin(t)")
    return "\n".join([*lines, "s_' = -s_*x0", "param k = 0.7, out = 2", "i_' = out - i_"])


@pytest.mark.skipif(CC is None, reason="no C compiler")
@pytest.mark.parametrize("n", [4, 150])
def test_c_in_parts_gives_the_same_numbers(n, tmp_path):
    model = sd.model(branching(n))
    size = n + 2
    source = model.code("c")
    assert ("static APART void f_part1" in source) == (n == 150)
    assert source == sd.model(branching(n)).code("c")
    library = compile_c(source, tmp_path)
    for seed in range(3):
        draw = np.random.default_rng(seed)
        u, p = draw.uniform(0.1, 2.5, size), np.array([0.7, 2.0])
        v = draw.normal(size=size)
        f = model.rhs("native")(0.4, u, p)
        jac = model.jac("native")(0.4, u, p)
        np.testing.assert_allclose(library("f", size, 0.4, u, p), f, rtol=1e-13, atol=1e-15)
        found = library("jacobian", (size, size), 0.4, u, p)
        np.testing.assert_allclose(found, jac, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(library("jvp", size, 0.4, u, p, v), jac @ v, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(library("vjp", size, 0.4, u, p, v), v @ jac, rtol=1e-11, atol=1e-13)
        same = u.copy()
        library.raw("f", 0.4, same, p, same)  # the output may lie where the input lies
        np.testing.assert_allclose(same, f, rtol=1e-13, atol=1e-15)


def test_no_function_is_longer_than_a_part():
    source = sd.model(branching(600)).code("c")
    bodies = re.findall(r"^(?:static APART )?void (\w+)\([^)]*\)\n\{\n(.*?)^\}", source, re.M | re.S)
    longest = max(body.count("\n") for _, body in bodies)
    assert len(bodies) > 50
    # a part reads each leaf and each value it is handed in a line of its own
    assert longest < 6 * chunks.LINES


@pytest.mark.parametrize("n", [4, 90])
def test_julia_in_parts_gives_the_same_numbers(n):
    model = sd.model(branching(n))
    size = n + 2
    source = model.code("julia")
    assert ("function jacobian_part1(" in source) == (n == 90)
    draw = np.random.default_rng(n)
    u, p, v = draw.uniform(0.1, 2.5, size), np.array([0.7, 2.0]), draw.normal(size=size)
    given = {"u": u.tolist(), "p": p.tolist(), "t": 0.4}
    jac = model.jac("native")(0.4, u, p)
    found = julia_reader.call(source, "f!", (size,), **given)
    np.testing.assert_allclose(found, model.rhs("native")(0.4, u, p), rtol=1e-13, atol=1e-15)
    found = julia_reader.call(source, "jac!", (size, size), **given)
    np.testing.assert_allclose(found, jac, rtol=1e-12, atol=1e-15)
    found = julia_reader.call(source, "vjp!", (size,), v=v.tolist(), **given)
    np.testing.assert_allclose(found, v @ jac, rtol=1e-11, atol=1e-13)


def test_numba_in_parts_gives_the_same_numbers(monkeypatch):
    n = 12
    model = sd.model(branching(n))
    size = n + 2
    whole = model.code("numba")
    monkeypatch.setattr(numba_target, "LONGEST", 10)
    monkeypatch.setattr(chunks.split, "__defaults__", (8,))
    source = model.code("numba")
    assert "def f_part4(" in source
    assert "_part" not in whole
    f, jac = model.rhs("numba"), model.jac("numba")
    draw = np.random.default_rng(n)
    for _ in range(2):
        u, p = draw.uniform(0.1, 2.5, size), np.array([0.7, 2.0])
        np.testing.assert_allclose(f(0.4, u, p), model.rhs("native")(0.4, u, p), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(jac(0.4, u, p), model.jac("native")(0.4, u, p), rtol=1e-12, atol=1e-15)


def test_numba_in_parts_keeps_names_and_lets_the_output_lie_where_the_input_lies(monkeypatch):
    """Names of the file's own, used by a model, stay apart; a large model is taken apart without being told."""
    monkeypatch.setattr(chunks.split, "__defaults__", (2,))
    monkeypatch.setattr(numba_target, "LONGEST", 1)
    model = sd.model("""
        f_part1' = -k*scratch1*f_part1; scratch1' = sin(f_part1) + k1*f_part1^2*k; b' = f_places*b*scratch1
        param k = 2, k1 = 3, f_places = 1
    """)
    namespace = load(model.code("numba"), "names")
    u, p = np.array([0.5, 1.5, 0.7]), np.array([2.0, 3.0, 1.0])
    expected = [-2 * 1.5 * 0.5, np.sin(0.5) + 3 * 0.25 * 2, 0.7 * 1.5]
    out = u.copy()
    namespace.f_into(0.0, out, p, out)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
    np.testing.assert_allclose(namespace.jacobian(0.0, u, p), model.jac("native")(0.0, u, p), rtol=1e-14)
