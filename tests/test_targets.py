"""Every code target gives the same numbers: those of a slow evaluator in 50 digits."""

from __future__ import annotations

import ast as python_ast
import math
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_dsl.codegen import api
from sciml_dsl.codegen.load import load
from sciml_dsl.errors import UnknownNameError
from sciml_dsl.graph import ops
from sciml_dsl.graph.graph import Graph
from sciml_dsl.graph.system import EventNodes, System
from sciml_dsl.model.spec import ModelSpec, Network, Parameter
from sciml_dsl.nn.weights import initial_weights, layers
from tests.reference import evaluate
from tests.test_graph import expressions

SOURCES = ["python", "numpy", "numba", "torch"]
TARGETS = [*SOURCES, "native"]
QUICK = ["python", "numpy", "torch", "native"]  # numba takes seconds to compile


def model(system, defaults=None, weights=None):
    """What code targets read of a model: its graph and its numbers."""
    values = defaults if defaults is not None else [None] * system.n_params
    spec = ModelSpec(
        name=system.name,
        states=system.states,
        derivatives=(),
        initial=(),
        parameters=tuple(Parameter(n, v) for n, v in zip(system.parameters, values, strict=True)),
        networks=system.networks,
        weights=weights or (),
    )
    return SimpleNamespace(spec=spec, system=system)


def system_of(graph, rhs, n_params=0, networks=(), name="Test", **more):
    n = len(rhs)
    fields = {
        "states": tuple(f"x{i}" for i in range(n)),
        "parameters": tuple(f"k{i}" for i in range(n_params)),
        "observable_names": (),
        "observables": (),
        "initial": (None,) * n,
    }
    return System(name=name, graph=graph, networks=networks, rhs=tuple(rhs), **{**fields, **more})


def values(target, m, t, u, p, jacobian=False):
    """f(t, u, p) or the Jacobian of a target, as float64."""
    function = (api.jac if jacobian else api.rhs)(m, target)
    if target == "torch":
        t, u, p = (torch.tensor(x, dtype=torch.float64) for x in (t, u, p))
        return function(t, u, p).detach().numpy()
    if target == "python":
        return np.array(function(t, list(u), list(p)))
    return function(t, np.array(u, dtype=float), np.array(p, dtype=float))


def close(got, expected, rtol=1e-13, atol=1e-14):
    np.testing.assert_allclose(np.asarray(got, dtype=float), np.array([float(x) for x in expected]), rtol, atol)


# ---------------------------------------------------------------- operations

DOMAIN = {
    "asin": [-0.7, 0.3],
    "acos": [-0.7, 0.3],
    "atanh": [-0.7, 0.3],
    "acosh": [1.2, 3.0],
    "log": [0.2, 3.0],
    "log2": [0.2, 3.0],
    "log10": [0.2, 3.0],
    "log1p": [-0.4, 1e-9],
    "sqrt": [0.2, 3.0],
    "cbrt": [2.0, 0.4],
    "lgamma": [0.3, 4.5],
    "gamma": [-1.4, 0.3, 4.5],
    "digamma": [-1.4, 0.3, 9.0],
    "expm1": [-0.8, 1e-9],
    "pow": [(0.3, -1.7), (2.5, 0.4)],
    "mod": [(-1.3, 0.7), (5.5, 2.0)],
    "atan2": [(1.0, -0.5), (-0.2, -3.0)],
    "and": [(1.0, 0.0), (2.0, 1.0)],
    "or": [(0.0, 0.0), (0.0, 1.0)],
    "not": [0.0, 2.0],
    "select": [(1.0, 2.0, 3.0), (0.0, 2.0, 3.0)],
}
BINARY = {"add", "sub", "mul", "div", "min", "max", "lt", "le", "gt", "ge", "eq", "ne"}
BY_HAND = {"sign": [-2.0, 0.0, 3.0], "floor": [-1.5, 2.5], "ceil": [-1.5, 2.5]}


def every_operation():
    """A system with every operation at a few points: (system, u)."""
    g = Graph()
    rhs, u = [], []
    for op in sorted(ops.EVALUATE):
        default = [(0.7, -1.3), (2.0, 2.0)] if op in BINARY else BY_HAND.get(op, [-0.6, 0.9])
        for point in DOMAIN.get(op, default):
            point = point if isinstance(point, tuple) else (point,)
            args = [g.leaf("state", len(u) + k) for k in range(len(point))]
            u += point
            rhs.append(g.select(*args) if op == "select" else g.call(op, *args))
    for exponent in (2, 3, -1, -2, 7):
        rhs.append(g.pow(g.leaf("state", 0), g.const(float(exponent))))
    rhs += [g.const(0.1), g.const(-0.0), g.leaf("t"), g.leaf("param", 1)]
    rhs += [g.const(0.0)] * (len(u) - len(rhs))
    u += [0.5] * (len(rhs) - len(u))
    return system_of(g, rhs, 2), u


@pytest.mark.parametrize("target", TARGETS)
def test_every_operation(target):
    system, u = every_operation()
    m = model(system)
    expected = evaluate(system.graph, system.rhs, t=0.3, u=u, p=[1.5, 2.5])
    close(values(target, m, 0.3, u, [1.5, 2.5]), expected, rtol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_jacobian_of_every_operation(target):
    system, u = every_operation()
    got = values(target, model(system), 0.3, u, [1.5, 2.5], jacobian=True)
    places = list(system.jacobian)
    expected = evaluate(system.graph, list(system.jacobian.values()), t=0.3, u=u, p=[1.5, 2.5])
    close([got[i][j] for i, j in places], expected, rtol=1e-11)
    assert np.count_nonzero(got) <= len(places)


@pytest.mark.parametrize("target", SOURCES)
def test_source_compiles_without_a_network_or_event_and_is_deterministic(target):
    system, _ = every_operation()
    first = api.code(model(system), target)
    assert first == api.code(model(every_operation()[0]), target)
    python_ast.parse(first)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_random_expressions(expression, numbers):
    g, root = expression
    u, p, t = numbers[:3], numbers[3:5], numbers[5]
    system = system_of(g, [root, g.leaf("state", 0), g.leaf("state", 1)], 2)
    try:
        expected = evaluate(g, system.rhs, t=t, u=u, p=p)
        nodes = list(system.jacobian.values())
        slopes = evaluate(g, nodes, t=t, u=u, p=p)
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        return
    if any(not mpmath.isfinite(x) or abs(x) > 1e6 or 0 < abs(x) < 1e-6 for x in expected + slopes):
        return  # cancellation and overflow differ between doubles and 50 digits
    if any(abs(gap) < 1e-9 for gap in _gaps(g, [root, *nodes], t, u, p)):
        return
    m = model(system)
    for target in QUICK:
        try:
            close(values(target, m, t, u, p), expected, rtol=1e-6, atol=1e-6)
            got = values(target, m, t, u, p, jacobian=True)
        except (ZeroDivisionError, OverflowError, ValueError):
            # plain Python raises at the edge of a function's domain; the reference rounded past it
            assert target == "python"
            continue
        close([got[place] for place in system.jacobian], slopes, rtol=1e-6, atol=1e-6)


def _gaps(g, roots, t, u, p):
    """Distances of comparisons from switching, where doubles and 50 digits may disagree."""
    nodes = [n for n in g.reachable(roots) if g.op[n] in ops.CONDITIONS | {"min", "max", "sign", "abs", "floor"}]
    gaps = []
    for n in nodes:
        try:
            args = evaluate(g, list(g.args[n]), t=t, u=u, p=p)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):
            continue
        gaps.append(args[0] - (args[1] if len(args) > 1 else 0))
    return gaps


# ---------------------------------------------------------------- networks

ACTIVATIONS = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "swish": lambda x: x / (1 + mpmath.exp(-x)),
    "sin": mpmath.sin,
    "rbf": lambda x: mpmath.exp(-x * x),
    "identity": lambda x: x,
}


def every_activation(names=tuple(ACTIVATIONS)):
    """One network for each activation, with value and Jacobian as right-hand sides (whose Jacobian has the Hessian)."""
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    rhs, networks, weights = [], [], []
    for k, name in enumerate(names):
        networks.append(Network(name.upper(), 2, 2, (3, 2), name))
        weights.append((name.upper(), tuple(initial_weights(networks[k], k) + 0.05)))
        call = g.netcall(k, [g.add(x, g.const(0.1)), y])
        rhs += [g.net(call, i) for i in range(2)]
        rhs += [g.net_jac(call, i, j) for i in range(2) for j in range(2)]
    return model(system_of(g, rhs, 1, tuple(networks)), [0.5], tuple(weights))


def network_reference(network, flat, x, y):
    """The right-hand sides of `every_activation` for one network, and their derivatives by x
    and y, by differences in 60 digits: (6 numbers, 6 pairs)."""
    activation = ACTIVATIONS[network.activation]
    matrices = layers(network, flat)

    def output(i):
        def function(*z):
            for k, (w, b) in enumerate(matrices):
                rows = zip(w, b, strict=True)
                z = [mpmath.fsum([e, *(mpmath.mpf(a) * c for a, c in zip(row, z, strict=True))]) for row, e in rows]
                z = [activation(c) for c in z] if k + 1 < len(matrices) else z
            return z[i]

        return function

    with mpmath.workdps(60):
        at = (mpmath.mpf(x) + mpmath.mpf(0.1), mpmath.mpf(y))
        orders = [(i, order) for order in ((0, 0),) for i in range(2)]
        orders += [(i, order) for i in range(2) for order in ((1, 0), (0, 1))]
        value = [mpmath.diff(output(i), at, (a, b)) for i, (a, b) in orders]
        slopes = [[mpmath.diff(output(i), at, o) for o in ((a + 1, b), (a, b + 1))] for i, (a, b) in orders]
    return value, slopes


@pytest.mark.parametrize("target", TARGETS)
def test_networks_with_first_and_second_derivatives(target):
    # numba compiles the perceptron anew for each activation, 2 s each; the others have a test of their own
    m = every_activation(("tanh", "gelu")) if target == "numba" else every_activation()
    flat = [w for _, own in m.spec.weights for w in own]
    u = [0.4, -0.9] + [0.0] * (m.system.n - 2)
    expected, slopes = [], []
    for network, (_, own) in zip(m.system.networks, m.spec.weights, strict=True):
        more, further = network_reference(network, own, u[0], u[1])
        expected += more
        slopes += further
    for p in [[0.5, *flat], [0.5]][: 1 if target in ("numba", "native") else 2]:
        close(values(target, m, 0.0, u, p), expected, rtol=1e-11, atol=1e-13)
        got = np.array(values(target, m, 0.0, u, p, jacobian=True))
        close(got[:, :2].ravel(), [x for row in slopes for x in row], rtol=1e-11, atol=1e-13)


def test_activations_compile_in_numba_and_overflow_nowhere():
    text = api.code(every_activation(), "numba")
    module = load(text, "activations")
    for name in ACTIVATIONS:
        compiled = getattr(module, f"_{name}")
        for x in (-1e3, -2.0, 0.3, 40.0, 1e3):
            with mpmath.workdps(60):
                at = mpmath.mpf(x)
                expected = [mpmath.diff(ACTIVATIONS[name], at, k) for k in range(3)]
            close(compiled(x), expected, rtol=1e-11, atol=1e-13)


def test_torch_module_has_ordinary_networks_and_gradients_reach_weights():
    m = every_activation()
    f = api.rhs(m, "torch")
    u = torch.zeros(m.system.n, dtype=torch.float64)
    f(0.0, u)[:2].sum().backward()
    assert isinstance(f.networks[0], torch.nn.Sequential)
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in f.networks[0].parameters())
    flat = torch.tensor([0.5, *(w for _, v in m.spec.weights for w in v)], dtype=torch.float64, requires_grad=True)
    f(0.0, u, flat)[:2].sum().backward()
    own = torch.cat([p.grad.reshape(-1) for p in f.networks[0].parameters()])
    torch.testing.assert_close(flat.grad[1 : 1 + len(own)], own)


def test_untrained_networks_start_from_the_same_weights_everywhere():
    m = every_activation()
    m.spec = replace(m.spec, weights=())
    f = api.rhs(m, "torch")
    own = torch.nn.utils.parameters_to_vector(f.networks[3].parameters()).detach().numpy()
    np.testing.assert_array_equal(own, initial_weights(m.system.networks[3], 3))


# ---------------------------------------------------------------- branches


def branching():
    """x' = if x > 0 then log(x)*sqrt(x) + y else exp(y)/2; y' uses the same logarithm under another condition."""
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    zero = g.const(0.0)
    positive = g.call("gt", x, zero)
    log, root = g.call("log", x), g.call("sqrt", x)
    first = g.select(positive, g.add(g.mul(log, root), y), g.mul(g.call("exp", y), g.const(0.5)))
    also = g.call("and", g.call("lt", y, g.const(5.0)), g.call("ge", x, g.const(0.5)))
    second = g.select(also, g.div(log, x), g.sub(y, x))
    nested = g.select(positive, g.select(g.call("gt", log, zero), g.call("sqrt", log), g.mul(log, log)), y)
    return system_of(g, [first, second, nested])


POINTS = [(-1.0, 0.3), (0.0, 0.3), (0.2, 0.3), (0.7, 7.0), (0.7, 0.3), (2.5, 0.3)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("jacobian", [False, True])
def test_branches_not_taken_do_not_count(target, jacobian):
    system = branching()
    m = model(system)
    for point in POINTS:
        u = [*point, 1.0]
        got = values(target, m, 0.0, u, [], jacobian=jacobian)
        if jacobian:
            entries = system.jacobian
            expected = [0.0] * 9
            for (i, j), v in zip(entries, evaluate(system.graph, list(entries.values()), u=u), strict=True):
                expected[3 * i + j] = v
        else:
            expected = evaluate(system.graph, system.rhs, u=u)
        close(np.ravel(got), expected)


def test_torch_gradients_through_branches_are_right_and_never_nan():
    system = branching()
    f = api.rhs(model(system), "torch")
    u = torch.tensor([[*point, 1.0] for point in POINTS], dtype=torch.float64, requires_grad=True)
    for i in range(3):
        (got,) = torch.autograd.grad(f(0.0, u)[:, i].sum(), u)
        for row, point in enumerate(POINTS):
            expected = [0.0] * 3
            for (a, b), node in system.jacobian.items():
                if a == i:
                    expected[b] = evaluate(system.graph, [node], u=[*point, 1.0])[0]
            close(got[row], expected)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_torch_gradient_is_finite_where_the_taken_branches_are(expression, numbers):
    g, root = expression
    x = g.leaf("state", 0)
    risky = g.select(g.call("gt", x, g.const(0.0)), g.call("log", g.mul(x, x)), root)
    nested = g.select(g.call("lt", root, g.const(0.0)), g.call("sqrt", g.neg(root)), risky)
    system = system_of(g, [nested, x, x], 2)
    u, p, t = numbers[:3], numbers[3:5], numbers[5]
    try:
        nodes = [system.jacobian[key] for key in system.jacobian if key[0] == 0]
        expected = evaluate(g, [nested, *nodes], t=t, u=u, p=p)
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        return
    if any(not mpmath.isfinite(v) or abs(v) > 1e6 for v in expected):
        return
    if any(abs(gap) < 1e-9 for gap in _gaps(g, [nested, *nodes], t, u, p)):
        return
    inputs = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    out = api.rhs(model(system), "torch")(t, inputs, torch.tensor(p, dtype=torch.float64))[0]
    (got,) = torch.autograd.grad(out, inputs)
    assert torch.isfinite(got).all()


# ---------------------------------------------------------------- names, layout, size


HOSTILE = ["lambda", "θ'", "t", "u", "p", "out", "v1", "math", "np", "torch", "f", "E", "def", "None", "print"]
HOSTILE += ["x₁", "x1", "µ", "μ", '"""', "a\nimport os", "\\", "w", "nets", "self", "_mlp", "_", "", "1a", "x y"]


@pytest.mark.parametrize("target", SOURCES)
def test_any_name_is_safe(target):
    g = Graph()
    n = len(HOSTILE)
    leaves = [g.leaf("state", i) for i in range(n)]
    rhs = [g.add(g.mul(leaves[i], leaves[(i + 1) % n]), g.leaf("t")) for i in range(n)]
    system = system_of(
        g, rhs, states=tuple(HOSTILE), name='"""\nraise SystemExit', observables=(rhs[0],), observable_names=('"',)
    )
    u = [0.1 * i for i in range(n)]
    m = model(system)
    close(values(target, m, 0.5, u, []), evaluate(g, rhs, t=0.5, u=u))
    module = load(api.code(m, target), system.name)
    assert tuple(HOSTILE) == module.STATES


def test_python_file_runs_alone_and_keeps_the_users_names(tmp_path):
    g = Graph()
    x, k = g.leaf("state", 0), g.leaf("param", 0)
    total = g.mul(k, x)
    system = system_of(
        g,
        [g.neg(total)],
        1,
        states=("x",),
        parameters=("k",),
        initial=(g.mul(k, g.const(2.0)),),
        observables=(total,),
        observable_names=("decay",),
        name="Decay",
    )
    text = api.code(model(system, [2.0]), "python")
    assert "decay = k*x" in text
    assert [line for line in text.splitlines() if "import" in line] == ["import math"]
    path = tmp_path / "decay.py"
    path.write_text(text, encoding="utf-8")
    check = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import decay as d; "
        "print(d.f(0.0, [3.0]), d.jacobian(0.0, [3.0]), d.parameter_jacobian(0.0, [3.0], [5.0]), d.initial(), "
        "d.observables(0.0, [3.0]), d.STATES, d.PARAMETERS, d.OBSERVABLES, d.P0)"
    )
    out = subprocess.run([sys.executable, "-I", "-S", "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[-6.0] [[-2.0]] [[-3.0]] [4.0] [6.0] ('x',) ('k',) ('decay',) (2.0,)"


@pytest.mark.parametrize("target", SOURCES)
def test_events(target):
    g = Graph()
    x, k = g.leaf("state", 0), g.leaf("param", 0)
    zero, inf = g.const(0.0), g.const(math.inf)
    system = system_of(
        g,
        [g.neg(x)],
        1,
        events=(
            EventNodes("when", g.sub(g.const(0.1), x), zero, zero, zero, (g.add(x, k),), False, 0),
            EventNodes("at", g.sub(g.leaf("t"), k), k, g.const(3.0), inf, (zero,), True, 1),
        ),
    )
    module = load(api.code(model(system, [0.5]), target), "Events")
    wrap = (lambda v: torch.tensor(v, dtype=torch.float64)) if target == "torch" else np.array
    t, u, p = 0.0, wrap([0.3]), wrap([0.5])
    close(module.roots(t, u, p), [-0.2])
    close(np.ravel(module.event_times(p)), [0.5, 3.0, math.inf])
    close(module.AFFECTS[0](t, u, p), [0.8])
    close(module.AFFECTS[1](t, u, p), [0.0])
    assert module.EVENTS == ("when", "at") and module.TERMINAL == (False, True)
    close(module.initial(p), [math.nan])


@pytest.mark.parametrize("target", QUICK)
def test_a_sum_of_ten_thousand_terms(target):
    g = Graph()
    x = g.leaf("state", 0)
    total = g.const(0.0)
    for i in range(10_000):
        total = g.add(total, g.call("sin", g.mul(g.const(1.0 + i), x)))
    m = model(system_of(g, [total]))
    expected = math.fsum(math.sin((1.0 + i) * 0.5) for i in range(10_000))
    close(values(target, m, 0.0, [0.5], []), [expected], rtol=1e-10)


@pytest.mark.parametrize("target", ["python", "torch"])
def test_deeply_nested_branches(target):
    g = Graph()
    x = g.leaf("state", 0)
    value = g.const(-1.0)
    for i in range(300):
        inside = g.add(g.call("sqrt", g.sub(x, g.const(i + 0.5))), g.const(float(i)))
        value = g.select(g.call("gt", x, g.const(i + 0.5)), inside, value)
    m = model(system_of(g, [value]))
    for point in (0.2, 3.7, 299.8):
        close(values(target, m, 0.0, [point], []), evaluate(g, [value], u=[point]))


# ---------------------------------------------------------------- arrays


def lotka_volterra():
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    a, b, c, d = (g.leaf("param", i) for i in range(4))
    rhs = [g.sub(g.mul(a, x), g.mul(g.mul(b, x), y)), g.sub(g.mul(g.mul(d, x), y), g.mul(c, y))]
    return model(system_of(g, rhs, 4, states=("x", "y"), initial=(g.const(1.0), g.const(1.0))), [1.5, 1.0, 3.0, 1.0])


def test_numpy_broadcasts_batches_and_keeps_types():
    f, jac = api.rhs(lotka_volterra(), "numpy"), api.jac(lotka_volterra(), "numpy")
    u = np.random.default_rng(0).uniform(0.5, 2.0, (5, 1, 2))
    p = np.random.default_rng(1).uniform(0.5, 2.0, (3, 4))
    out = f(0.0, u, p)
    assert out.shape == (5, 3, 2) and jac(0.0, u, p).shape == (5, 3, 2, 2)
    for i in range(5):
        for j in range(3):
            np.testing.assert_allclose(out[i, j], f(0.0, u[i, 0], p[j]))
    assert f(0.0, u.astype(np.float32), p.astype(np.float32)).dtype == np.float32
    step = 1e-30  # complex step: the derivative to the last bit
    column = f(0.0, np.array([0.7 + 1j * step, 0.4]), np.array([1.5, 1.0, 3.0, 1.0])).imag / step
    np.testing.assert_allclose(column, jac(0.0, np.array([0.7, 0.4]))[:, 0], rtol=1e-15)


def test_torch_batches_types_and_gradcheck():
    f = api.rhs(lotka_volterra(), "torch")
    u = torch.rand(4, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    p = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert f(0.0, u, p).shape == (4, 3, 2)
    assert torch.autograd.gradcheck(lambda a, b: f(0.0, a, b), (u, p))
    assert torch.autograd.gradgradcheck(lambda a, b: f(0.0, a, b), (u, p))
    assert f(torch.tensor(0.0), u.detach().float()).dtype == torch.float32
    auto = torch.autograd.functional.jacobian(lambda a: f(0.0, a), torch.tensor([0.7, 0.4], dtype=torch.float64))
    torch.testing.assert_close(f.jacobian(0.0, torch.tensor([0.7, 0.4], dtype=torch.float64)), auto)
    mapped = torch.func.vmap(lambda a: f(0.0, a))(u.detach()[:, 0])
    torch.testing.assert_close(mapped, f(0.0, u.detach()[:, 0]))


def test_torch_right_hand_side_under_torchdiffeq_and_numba_under_scipy_agree():
    from scipy.integrate import solve_ivp
    from torchdiffeq import odeint

    m = lotka_volterra()
    f = api.rhs(m, "torch")
    t = torch.linspace(0.0, 2.0, 5, dtype=torch.float64)
    path = odeint(f, torch.ones(2, dtype=torch.float64), t, rtol=1e-9, atol=1e-9)
    path[-1, 0].backward()
    assert f.p.grad is not None and torch.isfinite(f.p.grad).all()
    g = api.rhs(m, "numba")
    p = np.array([1.5, 1.0, 3.0, 1.0])
    other = solve_ivp(lambda s, u: g(s, u, p), (0.0, 2.0), [1.0, 1.0], t_eval=t.numpy(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(path.detach().numpy(), other.y.T, rtol=1e-6)


def test_numba_writes_in_place_and_fits_the_native_calling_convention():
    from numba import carray, cfunc, types

    module = load(api.code(lotka_volterra(), "numba"), "Test")
    f_into = module.f_into
    double = types.CPointer(types.double)

    @cfunc(types.void(types.double, double, double, double))
    def native(t, u, p, out):
        f_into(t, carray(u, (2,)), carray(p, (4,)), carray(out, (2,)))

    import ctypes

    u, p, out = np.array([2.0, 3.0]), np.array([1.5, 1.0, 3.0, 1.0]), np.zeros(2)
    native.ctypes(0.0, *(a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (u, p, out)))
    np.testing.assert_allclose(out, [1.5 * 2 - 6, 6 - 9])


def test_large_sparse_jacobian_in_torch():
    g = Graph()
    n = 40
    leaves = [g.leaf("state", i) for i in range(n)]
    rhs = [g.mul(leaves[i], leaves[(i + 1) % n]) for i in range(n)]
    m = model(system_of(g, rhs))
    u = torch.rand(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    got = api.jac(m, "torch")(0.0, u, torch.zeros(0, dtype=torch.float64))
    auto = torch.autograd.functional.jacobian(lambda a: api.rhs(m, "torch")(0.0, a), u[1])
    torch.testing.assert_close(got[1], auto)
    np.testing.assert_allclose(api.jac(m, "numpy")(0.0, u.numpy(), np.zeros(0)), got.numpy())
    np.testing.assert_allclose(api.jac(m, "python")(0.0, u[1].tolist(), []), got[1].numpy())


def test_unknown_target_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r'no target "pyhton".*"numba"(.|\n)*did you mean `python`'):
        api.code(lotka_volterra(), "pyhton")
    with pytest.raises(UnknownNameError, match='"native"'):
        api.rhs(lotka_volterra(), "sciml")
