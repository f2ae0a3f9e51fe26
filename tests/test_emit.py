"""Emission of source: parentheses, names, temporaries, branches; checked by evaluating what was written."""

from __future__ import annotations

import keyword
import math
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_dsl.codegen import arrays, blocks
from sciml_dsl.codegen.contexts import assign
from sciml_dsl.codegen.identifiers import Identifiers, identifier
from sciml_dsl.codegen.load import load
from sciml_dsl.codegen.numpy import NumpyPrinter
from sciml_dsl.codegen.python import PythonPrinter
from sciml_dsl.codegen.regions import MAX_NESTING, place
from sciml_dsl.codegen.torch import TorchPrinter
from sciml_dsl.graph.graph import Graph
from tests.reference import evaluate


def names(nodes=None, networks=()):
    leaves = {("state", i): "xyz"[i] for i in range(3)} | {("param", i): "abc"[i] for i in range(3)}
    return blocks.Names(leaves, nodes or {}, networks, Identifiers([*"xyzabctup"]))


def written(graph, *roots, nodes=None):
    """(statements, values) of plain Python."""
    body = blocks.write(graph, roots, PythonPrinter(), names(nodes))
    return body.lines, [v.code for v in body.values]


def expression(graph, root):
    lines, (value,) = written(graph, root)
    assert not lines
    return value


@pytest.fixture
def g():
    return Graph()


def leaves(g):
    return [g.leaf("state", i) for i in range(3)]


# ---------------------------------------------------------------- parentheses


def test_parentheses_only_where_they_matter(g):
    x, y, z = leaves(g)
    cases = {
        "x*(y + z)": g.mul(x, g.add(y, z)),
        "x + y*z": g.add(x, g.mul(y, z)),
        "x - (y - z)": g.sub(x, g.sub(y, z)),
        "x - y - z": g.sub(g.sub(x, y), z),
        "x + (y + z)": g.add(x, g.add(y, z)),
        "x/(y*z)": g.div(x, g.mul(y, z)),
        "x/y/z": g.div(g.div(x, y), z),
        "x*(y/z)": g.mul(x, g.div(y, z)),
        "(x + y)**2": g.pow(g.add(x, y), g.const(2.0)),
        "x**-2": g.pow(x, g.const(-2.0)),
        "math.pow(x, 0.3)": g.pow(x, g.const(0.3)),
        "math.pow(x, y)": g.pow(x, y),
        "-x**2": g.neg(g.pow(x, g.const(2.0))),
        "(-x)**2": g._make("pow", (g.neg(x), g.const(2.0))),
        "-x*y": g.neg(g.mul(x, y)),
        "-(x + y)": g.neg(g.add(x, y)),
        "x - 1.5": g.add(x, g.const(-1.5)),
        "x + 1.5": g.sub(x, g.const(-1.5)),
        "x - 2.0*y": g.add(x, g.mul(g.const(-2.0), y)),
        "-(x % y)": g.neg(g.call("mod", x, y)),
        "x % (y*z)": g.call("mod", x, g.mul(y, z)),
        "math.exp(x + y)": g.call("exp", g.add(x, y)),
        "float(x > y)": g.call("gt", x, y),
        "x if y > 0.0 else z": g.select(g.call("gt", y, g.const(0.0)), x, z),
        "1.0 + (x if y != 0.0 else z)": g.add(g.const(1.0), g.select(y, x, z)),
        "float(math.floor(x))": g.call("floor", x),
    }
    assert {text: expression(g, node) for text, node in cases.items()} == {text: text for text in cases}


def test_conditions(g):
    x, y, z = leaves(g)
    zero = g.const(0.0)
    either = g.call("or", g.call("and", g.call("lt", x, y), g.call("lt", y, z)), g.call("not", g.call("eq", x, zero)))
    text = expression(g, g.select(either, x, y))
    assert text == "x if x < y and y < z or not x == 0.0 else y"
    both = g.call("and", g.call("or", x, g.call("lt", y, z)), g.call("gt", z, zero))
    assert expression(g, g.select(both, x, y)) == "x if (x != 0.0 or y < z) and z > 0.0 else y"
    lines, values = arrays_written(g, NumpyPrinter(), g.select(both, x, y))
    assert not lines and values == ["np.where(((x != 0.0) | (y < z)) & (z > 0.0), x, y)"]


def test_numbers_to_the_last_bit(g):
    x = leaves(g)[0]
    assert expression(g, g.mul(g.const(0.1 + 0.2), x)) == "0.30000000000000004*x"
    assert expression(g, g.const(-0.0)) == "-0.0"
    assert expression(g, g.const(math.inf)) == "math.inf" and expression(g, g.const(-math.inf)) == "-math.inf"
    assert expression(g, g.const(1e-320)) == "1e-320"


OPS = ["add", "sub", "mul", "div", "neg", "pow2", "pow3", "mod", "min", "select", "sin"]


@st.composite
def rational(draw, level=5):
    """A graph built without rewrites, so that every shape of tree occurs: (graph, root)."""
    g = Graph()

    def build(depth):
        if not depth or draw(st.integers(0, 5)) == 0:
            if draw(st.booleans()):
                return leaves(g)[draw(st.integers(0, 2))]
            return g.const(draw(st.sampled_from([-2.5, -1.0, 0.5, 3.0])))
        op = draw(st.sampled_from(OPS))
        a, b = build(depth - 1), build(depth - 1)
        if op.startswith("pow"):
            return g._make("pow", (a, g.const(float(op[3:]))))
        if op in ("neg", "sin"):
            return g._make(op, (a,))
        if op == "select":
            return g._make("select", (g._make("lt", (a, b)), build(depth - 1), a))
        return g._make(op, (a, b))

    return g, build(level)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(rational())
def test_what_is_written_means_what_the_graph_means(case):
    g, root = case
    u = [0.7, -1.3, 2.1]
    try:
        expected = evaluate(g, [root], u=u)[0]
    except (ZeroDivisionError, ValueError, OverflowError):
        return
    lines, (value,) = written(g, root)
    source = "\n".join(["import math", "x, y, z = 0.7, -1.3, 2.1", *_try(lines, value), *lines, f"result = {value}"])
    try:
        got = load(source, "expression").result
    except (ZeroDivisionError, OverflowError):
        return  # doubles round to the edge that 50 digits miss
    if abs(expected) < 1e8:
        loss = max(abs(float(v)) for v in evaluate(g, _needed(g, root), u=u)) if _needed(g, root) else 1.0
        assert abs(got - float(expected)) <= 1e-9 * (1 + loss) or _near_a_jump(g, root, u)


def _try(lines, value):
    helpers = PythonPrinter.HELPERS["_try"] if "_try" in "".join([*lines, value]) else ""
    return [helpers]


def _needed(g, root):
    """Nodes outside of branches, whose sizes bound the rounding error."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        found.append(node)
        if g.op[node] != "select":
            stack += g.args[node]
    return found


def _near_a_jump(g, root, u):
    for node in g.reachable([root]):
        if g.op[node] in ("lt", "mod"):
            try:
                a, b = evaluate(g, list(g.args[node]), u=u)
                gap = a - b if g.op[node] == "lt" else (a / b) % 1
            except ZeroDivisionError:
                return True
            if min(abs(gap), abs(1 - gap) if g.op[node] == "mod" else 1) < 1e-9:
                return True
    return False


# ---------------------------------------------------------------- temporaries


def test_shared_nodes_become_temporaries_and_observables_keep_their_names(g):
    x, y, _ = leaves(g)
    shared = g.mul(x, y)
    lines, values = written(g, g.neg(shared), g.add(shared, x))
    assert (lines, values) == (["v1 = x*y"], ["-v1", "v1 + x"])
    lines, values = written(g, g.neg(shared), nodes={shared: "predation"})
    assert (lines, values) == (["predation = x*y"], ["-predation"])


def test_long_sums_become_short_lines(g):
    total = g.const(0.0)
    for i in range(10_000):
        total = g.add(total, g.mul(g.const(1.0 + i), leaves(g)[i % 3]))
    lines, values = written(g, total)
    assert max(map(len, [*lines, *values])) < 120
    assert len(lines) < 3000
    source = "\n".join(["x, y, z = 1.0, 1.0, 1.0", *lines, f"result = {values[0]}"])
    assert load(source, "long sum").result == 10_000 * 10_001 / 2


def test_deep_chains_do_not_recurse(g):
    node = leaves(g)[0]
    for _ in range(5000):
        node = g.call("sin", node)
    lines, values = written(g, node)
    expected = 0.7
    for _ in range(5000):
        expected = math.sin(expected)
    source = "\n".join(["import math", "x = 0.7", *lines, f"result = {values[0]}"])
    assert load(source, "deep chain").result == expected


# ---------------------------------------------------------------- branches


def piecewise(g):
    x, y, _ = leaves(g)
    log = g.call("log", x)
    return g.select(g.call("gt", x, g.const(0.0)), g.mul(log, g.add(log, y)), y)


def test_temporaries_of_one_arm_stand_inside_it(g):
    lines, values = written(g, piecewise(g))
    assert lines == ["if x > 0.0:", "    v1 = math.log(x)", "    v2 = v1*(v1 + y)", "else:", "    v2 = y"]
    assert values == ["v2"]


def test_chains_of_conditions_become_elif(g):
    x, y, _ = leaves(g)
    value = y
    for k in (1.0, 2.0, 3.0):
        log = g.call("log", g.sub(x, g.const(k)))
        value = g.select(g.call("gt", x, g.const(k)), g.mul(log, g.add(log, y)), value)
    lines, _ = written(g, value)
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["if", "elif", "elif", "else:"]
    assert {line.split(" = ")[0].strip() for line in lines if line.startswith("    ") and "log" not in line} == {"v6"}


def test_values_that_only_branches_need_are_guarded_when_two_share_them(g):
    x, y, _ = leaves(g)
    log = g.call("log", x)
    one = g.select(g.call("gt", x, g.const(0.0)), log, y)
    two = g.select(g.call("gt", x, g.const(1.0)), g.mul(y, log), y)
    lines, _ = written(g, one, two)
    assert lines == ["v1 = _try(lambda: math.log(x))"]
    lines, _ = written(g, one, two, log)
    assert lines == ["v1 = math.log(x)"], "a value needed in any case is not guarded"


def test_a_value_both_arms_need_is_certain(g):
    x, y, _ = leaves(g)
    log = g.call("log", x)
    root = g.select(g.call("gt", y, g.const(0.0)), g.mul(log, y), g.sub(log, y))
    found = place(g, [root])
    assert found.region[log] == 0 and found.certain[log]


def test_second_half_of_a_condition_is_evaluated_only_if_needed(g):
    x, y, _ = leaves(g)
    log = g.call("log", x)
    cond = g.call("and", g.call("gt", x, g.const(0.0)), g.call("gt", g.mul(log, log), g.const(1.0)))
    lines, values = written(g, g.select(cond, x, y))
    source = "\n".join(["import math", "x, y = -1.0, 5.0", *lines, f"result = {values[0]}"])
    assert load(source, "and").result == 5.0
    either = g.call("or", g.call("le", x, g.const(0.0)), g.call("gt", g.mul(log, log), g.const(1.0)))
    lines, values = written(g, g.select(either, x, y))
    for x_, expected in ((-1.0, -1.0), (1.5, 5.0), (4.0, 4.0)):
        source = "\n".join(["import math", f"x, y = {x_}, 5.0", *lines, f"result = {values[0]}"])
        assert load(source, "or").result == expected


def test_nesting_is_bounded(g):
    x = leaves(g)[0]
    value = x
    for k in range(200):
        root = g.call("sqrt", g.sub(x, g.const(float(k))))
        value = g.select(g.call("gt", x, g.const(float(k))), g.mul(root, g.add(root, value)), x)
    found = place(g, [value])
    assert max(found.depth) == MAX_NESTING
    lines, _ = written(g, value)
    assert max((len(line) - len(line.lstrip())) // 4 for line in lines) <= MAX_NESTING + 1


# ---------------------------------------------------------------- arrays


def arrays_written(graph, printer, *roots, nodes=None):
    body = arrays.write(graph, roots, printer, names(nodes))
    return body.lines, [v.code for v in body.values]


def test_numpy_picks_after_evaluating_both_sides(g):
    lines, values = arrays_written(g, NumpyPrinter(), piecewise(g))
    assert lines == ["v1 = np.log(x)"]
    assert values == ["np.where(x > 0.0, v1*(v1 + y), y)"]


def test_torch_replaces_arguments_where_a_branch_is_not_taken(g):
    lines, values = arrays_written(g, TorchPrinter(), piecewise(g))
    assert lines == ["v1 = x > 0.0", "v2 = torch.log(torch.where(v1, x, 1.0))"]
    assert values == ["torch.where(v1, v2*(v2 + y), y)"]


def test_contexts_share_one_value_for_one_condition_and_copy_it_for_others(g):
    x, y, z = leaves(g)
    log = g.call("log", x)
    positive = g.call("gt", x, g.const(0.0))
    one, two = g.select(positive, log, y), g.select(positive, g.mul(z, log), y)
    assert len(assign(g, [one, two], masked=True).needed[log]) == 1
    other = g.select(g.call("gt", x, g.const(2.0)), g.mul(y, log), y)
    assert len(assign(g, [one, other], masked=True).needed[log]) == 2
    assert assign(g, [one, other, log], masked=True).needed[log] == (0,)
    assert assign(g, [one, other], masked=False).needed[log] == (0,)
    both = g.select(positive, g.mul(log, y), g.sub(log, y))
    assert assign(g, [both], masked=True).needed[log] == (0,), "a value that both sides need is needed"


# ---------------------------------------------------------------- identifiers


@given(st.lists(st.text(max_size=6), max_size=8))
def test_identifiers_are_valid_and_different(texts):
    free = Identifiers(["t"])
    got = [free.claim(text) for text in texts]
    normal = [unicodedata.normalize("NFKC", name) for name in got]
    assert got == normal and len(set(got)) == len(got)
    assert all(name.isidentifier() and not keyword.iskeyword(name) and name != "t" for name in got)


def test_identifiers_keep_what_they_can():
    assert [identifier(n) for n in ("x", "θ", "α_1", "θ''", "x y", "1a", "")] == [
        *("x", "θ", "α_1", "θ_prime_prime", "x_y", "_1a", "_"),
    ]
    free = Identifiers(["u"])
    assert [free.claim(n) for n in ("u", "lambda", "lambda_", "max", "µ", "μ")] == [
        *("u_", "lambda_", "lambda__", "max_", "μ", "μ_"),
    ]
    assert [free.fresh("v"), free.claim("v2"), free.fresh("v")] == ["v1", "v2", "v3"]
