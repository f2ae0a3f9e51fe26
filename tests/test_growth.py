"""Work grows as the model does: steps of Python counted, never timed, from text to the code of f and its Jacobian."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.codegen import native
from sciml_dsl.codegen.llvm import Module
from sciml_dsl.graph.build import lower
from sciml_dsl.graph.colouring import colour


def chain(n):
    """Each state with its neighbours."""
    inner = [f"x{i}' = k*(x{i - 1} - 2*x{i} + x{i + 1})/(1 + x{i}^2)" for i in range(1, n - 1)]
    return "\n".join(["x0' = 0", *inner, f"x{n - 1}' = -x{n - 1}", "param k = 1"])


def grid(n):
    """A square of cells, periodic."""
    m = round(n**0.5)

    def cell(i, j):
        return f"x{(i % m) * m + j % m}"

    rows = [
        f"{cell(i, j)}' = k*({cell(i - 1, j)} + {cell(i + 1, j)} + {cell(i, j - 1)} + {cell(i, j + 1)} "
        f"- 4*{cell(i, j)}) + sin({cell(i, j)})"
        for i in range(m)
        for j in range(m)
    ]
    return "\n".join([*rows, "param k = 1"])


def network(n):
    """Random mass-action reactions A + B -> C, two for each species, whose rates are observables."""
    draw = random.Random(3)
    terms = [[] for _ in range(n)]
    lines = []
    for r in range(2 * n):
        a, b, c = draw.sample(range(n), 3)
        lines.append(f"r{r} = k{r % 50}*x{a}*x{b}")
        for place, sign in ((a, "-"), (b, "-"), (c, "+")):
            terms[place].append(f"{sign} r{r}")
    lines += [f"x{i}' = {' '.join(terms[i]) or '0'}" for i in range(n)]
    return "\n".join([*lines, *(f"param k{j} = 1" for j in range(50))])


def hub(n):
    """One state that all others feed and read."""
    total = " + ".join(f"x{i}*exp(-x{i})" for i in range(n - 1))
    return "\n".join([f"h' = {total}", *(f"x{i}' = k*h/(1 + x{i}) - x{i}" for i in range(n - 1)), "param k = 1"])


def deep(n):
    """A chain of n definitions, each from the one before; every equation reads another of them."""
    shared = [f"d{i} = sin(d{i - 1})*x0 + d{i - 1}/(1 + x1^2)" for i in range(1, n)]
    return "\n".join(["d0 = x0*x1", *shared, *(f"x{i}' = d{n - 1 - i}*x{i} - k*x{i}" for i in range(n)), "param k = 1"])


def branching(n):
    """Branches, minima, and a sum of everything that no equation reads."""
    total = " + ".join(f"x{i}" for i in range(n))
    rows = [
        f"x{i}' = -k*x{i}*min(x{i}, x{(7 * i + 3) % n}) + (if x{i} > x{(i + 1) % n} then x{i}*x{(i + 1) % n} else 0)"
        for i in range(n)
    ]
    return "\n".join([f"total = {total}", *rows, "param k = 1"])


FAMILIES = (chain, grid, network, hub, deep, branching)


def counted(work):
    """(calls and returns of functions, Python's and built-in ones; what `work` gave)."""
    steps = 0

    def count(frame, event, argument):
        nonlocal steps
        steps += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        made = work()
    finally:
        sys.setprofile(before)
    return steps, made


def stages(text):
    """Steps of each stage; then what is there in the end."""
    found = {}
    found["text to model"], model = counted(lambda: sd.model(text))
    found["model to graph"], system = counted(lambda: lower(model.spec))
    size = len(system.graph)
    for name, work in (
        ("Jacobian", lambda: system.jacobian),
        ("pattern", lambda: system.jacobian_pattern),
        ("colours", lambda: colour(*system.jacobian_pattern, system.n)),
        ("parameter Jacobian", lambda: system.parameter_jacobian),
        ("J v", system.product),
        ("v J", system.reverse),
    ):
        found[name], made = counted(work)
        if name == "colours":
            assert made.count <= max(np.bincount(system.jacobian_pattern[1]).max(), 1) * 8 or system.n <= made.count + 1
    module = Module(system)
    found["code of f"], _ = counted(lambda: native._f(system, module))
    found["code of the Jacobian"], _ = counted(lambda: native._jacobian(system, module))
    found["nodes with all derivatives"] = len(system.graph)
    found["lines of code"] = sum(function.count("\n") for function in module.functions)
    found["longest function"] = 1000 * max(function.count("\n") for function in module.functions)
    return size, found


def check(family, small, large):
    size, before = stages(family(small))
    larger, after = stages(family(large))
    growth = larger / size
    assert growth > 0.8 * large / small
    longest = after.pop("longest function") / before.pop("longest function")
    assert longest < 1.5  # functions stay as long as they are, there are more of them
    # the share that does not grow makes the growth of what does look smaller, never larger
    slow = {name: after[name] / before[name] / growth for name in after if after[name] > 1.2 * growth * before[name]}
    assert not slow, f"of a growth of {growth:.1f} these make more, by a factor of {slow}"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_work_grows_with_the_operations(family):
    sd.model("x' = 1")  # the parser's tables are read
    check(family, 256, 900)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_to_ten_thousand_states(family):
    sd.model("x' = 1")
    check(family, 256, 10_000)
