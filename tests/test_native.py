"""Native code against the reference evaluator and against finite differences of itself."""

from __future__ import annotations

import ctypes
import itertools
import math

import numpy as np
import pytest

from sciml_dsl.codegen.native import compile_system, jacobian_values, right_hand_side
from sciml_dsl.graph import ops
from sciml_dsl.graph.graph import Graph
from sciml_dsl.graph.system import System
from sciml_dsl.model.spec import Network
from tests.reference import evaluate

DOUBLES = ctypes.POINTER(ctypes.c_double)


def call(address, size, t, *arrays):
    """Call a native function by address; arrays in the order of the convention, `out` is made here."""
    out = np.full(size, np.nan)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_double, *[DOUBLES] * (len(arrays) + 1))
    kept = [np.ascontiguousarray(a, dtype=float) for a in arrays] + [out]
    kind(address)(t, *[a.ctypes.data_as(DOUBLES) for a in kept])
    return out


def system(graph, rhs, n_params, networks=(), observables=()):
    n = len(rhs)
    return System(
        "test",
        graph,
        tuple(f"x{i}" for i in range(n)),
        tuple(f"p{i}" for i in range(n_params)),
        tuple(f"o{i}" for i in range(len(observables))),
        tuple(networks),
        tuple(rhs),
        tuple(observables),
        (None,) * n,
    )


ARITY = {op: (3 if op == "select" else 1) for op in ops.EVALUATE}
ARITY |= dict.fromkeys("add sub mul div pow min max mod atan2 lt le gt ge eq ne and or".split(), 2)


@pytest.mark.parametrize("op", sorted(ops.EVALUATE))
def test_every_operation(op):
    g = Graph()
    u, p = g.leaf("state", 0), g.leaf("param", 0)
    args = {1: (u,), 2: (u, p), 3: (g.call("gt", u, p), u, p)}[ARITY[op]]
    functions = compile_system(system(g, [g.call(op, *args)], 1))
    points = {"acosh": [(1.5, 0.2)], "gamma": [(0.7, 1.0), (-1.3, 1.0)], "digamma": [(0.2, 0), (-1.7, 0), (9.5, 0)]}
    for x, y in points.get(op, [(0.3, 0.9), (0.9, 0.3), (0.5, 0.5)]):
        expected = float(evaluate(g, [g.call(op, *args)], u=[x], p=[y])[0].real)
        assert call(functions.f, 1, 0.0, [x], [y])[0] == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("exponent", [-3.0, -1.5, -1.0, -0.5, 1.5, 2.0, 3.0, 7.0, 16.0, 17.0, 0.3])
def test_constant_powers(exponent):
    g = Graph()
    functions = compile_system(system(g, [g.pow(g.leaf("state", 0), g.const(exponent))], 0))
    for x in (0.3, 1.7, 12.0):
        assert call(functions.f, 1, 0.0, [x], [0.0])[0] == pytest.approx(x**exponent, rel=1e-14)


def test_nan_comes_out_of_min_and_max():
    g = Graph()
    x, y = g.leaf("state", 0), g.leaf("state", 1)
    functions = compile_system(system(g, [g.call("min", x, y), g.call("max", x, y)], 0))
    for pair in ([math.nan, 1.0], [1.0, math.nan]):
        assert np.isnan(call(functions.f, 2, 0.0, pair, [0.0])).all()


def chain(n):
    """A ring of n states with saturating coupling: sparse, smooth, and long enough to be split."""
    g = Graph()
    u = [g.leaf("state", i) for i in range(n)]
    a, b = g.leaf("param", 0), g.leaf("param", 1)
    total = g.sum(u)
    rhs = []
    for i in range(n):
        flow = g.div(g.mul(a, u[i - 1]), g.add(b, g.pow(u[i - 1], g.const(2.0))))
        flow = g.sub(flow, g.mul(b, u[i]))
        rhs.append(g.sub(flow, g.mul(g.const(1e-3), g.mul(total, g.call("sin", g.leaf("t"))))) if i % 50 == 0 else flow)
    return g, rhs


@pytest.mark.parametrize("n", [3, 400])
def test_split_functions_compute_the_same(n):
    g, rhs = chain(n)
    s = system(g, rhs, 2)
    functions = compile_system(s, forward=True, adjoint=True)
    rng = np.random.default_rng(0)
    u, p, t = rng.uniform(0.2, 2.0, n), np.array([1.3, 0.7]), 0.4
    f = call(functions.f, n, t, u, p)
    check = [0, n // 2, n - 1]
    assert f[check] == pytest.approx([float(v) for v in evaluate(g, [rhs[i] for i in check], t=t, u=u, p=p)], rel=1e-13)
    jac = call(functions.jac, n * n, t, u, p).reshape(n, n)
    fjp = call(functions.fjp, n + n * n + 2 * n, t, u, p)
    assert fjp[:n] == pytest.approx(f, rel=1e-13)
    assert fjp[n : n + n * n].reshape(n, n) == pytest.approx(jac, rel=1e-12, abs=1e-300)
    jp = fjp[n + n * n :].reshape(n, 2)
    h = 1e-6
    direction = rng.normal(size=n)
    slope = (call(functions.f, n, t, u + h * direction, p) - call(functions.f, n, t, u - h * direction, p)) / (2 * h)
    assert jac @ direction == pytest.approx(slope, rel=1e-7, abs=1e-8)
    v = rng.normal(size=n)
    back = call(functions.vjp, n + 2, t, u, p, v)
    assert back[:n] == pytest.approx(v @ jac, rel=1e-11, abs=1e-12)
    assert back[n:] == pytest.approx(v @ jp, rel=1e-11, abs=1e-12)
    dt = call(functions.dfdt, n, t, u, p)
    slope = (call(functions.f, n, t + h, u, p) - call(functions.f, n, t - h, u, p)) / (2 * h)
    assert dt == pytest.approx(slope, rel=1e-6)


def mlp(net, w, x):
    """(y, list of pre-activations) of the network in numpy, in extended precision."""
    at, h = 0, np.asarray(x, dtype=np.longdouble)
    erf = np.vectorize(math.erf)
    act = {
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "softplus": lambda z: np.log1p(np.exp(-abs(z))) + np.maximum(z, 0),
        "relu": lambda z: np.maximum(z, 0),
        "gelu": lambda z: z * 0.5 * (1 + erf((z / np.sqrt(2)).astype(float))),
        "swish": lambda z: z / (1 + np.exp(-z)),
        "sin": np.sin,
        "rbf": lambda z: np.exp(-z * z),
        "identity": lambda z: z,
    }[net.activation]
    sizes = net.sizes
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        z = w[at : at + a * b].reshape(b, a).astype(np.longdouble) @ h + w[at + a * b : at + a * b + b]
        at += a * b + b
        h = act(z) if k < len(sizes) - 2 else z
    return h


@pytest.mark.parametrize("hidden", [(), (5,), (16, 16), (50,)])
@pytest.mark.parametrize("activation", "tanh sigmoid softplus relu gelu swish sin rbf identity".split())
def test_networks_value_derivatives_and_reverse(activation, hidden):
    """u0' = N1(u0, u1*p0), u1' = N2(...)*u0 + N1(u1, u0): one vector network called twice."""
    net = Network("N", 2, 2, hidden, activation)
    g = Graph()
    u0, u1, p0 = g.leaf("state", 0), g.leaf("state", 1), g.leaf("param", 0)
    one, two = g.netcall(0, [u0, g.mul(u1, p0)]), g.netcall(0, [u1, u0])
    rhs = [g.net(one, 0), g.add(g.mul(g.net(one, 1), u0), g.net(two, 0))]
    functions = compile_system(system(g, rhs, 1, [net]), forward=True, adjoint=True)
    rng = np.random.default_rng(3)
    w = rng.normal(size=net.n_weights) * 0.7
    u, p = np.array([0.6, -1.1]), np.concatenate([[1.4], w])

    def f(u, p):
        a, b = mlp(net, p[1:], [u[0], u[1] * p[0]]), mlp(net, p[1:], [u[1], u[0]])
        return np.array([a[0], a[1] * u[0] + b[0]])

    assert call(functions.f, 2, 0.0, u, p) == pytest.approx(f(u, p).astype(float), rel=1e-13)

    def difference(of, x, i, h):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        return ((of(up) - of(down)) / (2 * h)).astype(float)

    fjp = call(functions.fjp, 2 + 4 + 2, 0.0, u, p)
    jac, jp = fjp[2:6].reshape(2, 2), fjp[6:].reshape(2, 1)
    long_u, long_p = u.astype(np.longdouble), p.astype(np.longdouble)
    exact = 1e-6 if activation == "gelu" else 1e-9
    for i in range(2):
        assert jac[:, i] == pytest.approx(difference(lambda x: f(x, long_p), long_u, i, 1e-6), rel=exact, abs=exact)
    assert jp[:, 0] == pytest.approx(difference(lambda x: f(long_u, x), long_p, 0, 1e-6), rel=exact, abs=exact)
    v = np.array([0.8, -0.3])
    back = call(functions.vjp, 2 + len(p), 0.0, u, p, v)
    assert back[:2] == pytest.approx(v @ jac, rel=1e-12)
    assert back[2] == pytest.approx((v @ jp)[0], rel=1e-12)
    for i in range(0, net.n_weights, 7):
        expected = v @ difference(lambda x: f(long_u, x), long_p, 1 + i, 1e-6)
        assert back[3 + i] == pytest.approx(expected, rel=exact, abs=exact)
    direction = np.array([0.4, -0.9, 0.0])
    djp = call(functions.djp, 4 + 2, 0.0, u, p, direction)

    def full(x):
        return call(functions.fjp, 8, 0.0, x, p)[2:]

    h = 1e-5
    slope = (full(u + h * direction[:2]) - full(u - h * direction[:2])) / (2 * h)
    assert djp == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_fast_exponentials_are_accurate_everywhere():
    net = Network("N", 1, 1, (1,), "tanh")
    sig = Network("N", 1, 1, (1,), "sigmoid")
    for network, truth in ((net, np.tanh), (sig, lambda z: 1 / (1 + np.exp(-z)))):
        g = Graph()
        functions = compile_system(system(g, [g.net(g.netcall(0, [g.leaf("state", 0)]), 0)], 0, [network]))
        for x in np.concatenate([np.linspace(-40, 40, 401), 10.0 ** np.arange(-20, 3), [1e300, -1e300]]):
            got = call(functions.f, 1, 0.0, [x], [1.0, 0.0, 1.0, 0.0])[0]
            with np.errstate(over="ignore"):
                assert got == pytest.approx(float(truth(np.longdouble(x))), rel=1e-15, abs=1e-300)
        assert np.isnan(call(functions.f, 1, 0.0, [np.nan], [1.0, 0.0, 1.0, 0.0])[0])


def test_the_sparse_jacobian_and_products_by_it_agree_with_the_dense_one():
    import sciml_dsl as sd
    from sciml_dsl.codegen.native import functions

    m = sd.model("""
        a' = -k*a + b*c*t
        b' = if a > c then sin(b) else U(a, b)
        c' = 2
        d' = a - d^3
        param k = 2
        neural U(x, y) -> 1 { hidden = [4], activation = tanh }
    """)
    f = functions(m, sparse=True)
    rng = np.random.default_rng(0)
    for u in (np.array([0.3, 0.8, -0.4, 0.5]), np.array([-0.3, 0.8, 0.4, 0.5])):
        p = np.concatenate(([2.0], rng.normal(size=f.n_weights)))
        dense = call(f.jac, 16, 0.7, u, p).reshape(4, 4)
        values = call(f.jac_values, f.jac_indices.size, 0.7, u, p)
        rows = np.repeat(np.arange(4), np.diff(f.jac_indptr))
        assert list(zip(rows.tolist(), f.jac_indices.tolist(), strict=True)) == [
            (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (3, 0), (3, 3),
        ]  # fmt: skip
        built = np.zeros((4, 4))
        built[rows, f.jac_indices] = values
        np.testing.assert_allclose(built, dense, rtol=1e-14)
        v = rng.normal(size=4)
        np.testing.assert_allclose(call(f.jvp, 4, 0.7, u, p, v), dense @ v, rtol=1e-13)


def test_who_wants_the_right_hand_side_of_a_large_model_waits_for_nothing_else():
    n = 60
    graph = Graph()
    u = [graph.leaf("state", i) for i in range(n)]
    k = graph.leaf("param", 0)
    rhs = [graph.mul(k, graph.sub(graph.call("sin", u[i - 1]), graph.mul(u[i], u[0]))) for i in range(n)]
    s = system(graph, rhs, 1)
    values, p = np.linspace(0.1, 2.0, n), np.array([0.7])
    f, owner = right_hand_side(s)
    assert owner is not None and "jacobian" not in s._memory
    np.testing.assert_allclose(
        call(f, n, 0.0, values, p), 0.7 * (np.sin(np.roll(values, 1)) - values * values[0]), rtol=1e-15
    )
    address, _ = jacobian_values(s)
    assert "around" not in s._memory
    whole = compile_system(s)
    assert whole.f == f  # what was compiled is used, not compiled again
    indptr, indices = s.jacobian_pattern
    rows = np.repeat(np.arange(n), np.diff(indptr))
    dense = call(whole.jac, n * n, 0.0, values, p).reshape(n, n)
    np.testing.assert_array_equal(call(address, indices.size, 0.0, values, p), dense[rows, indices])
    assert np.count_nonzero(dense) == indices.size


def test_values_read_at_both_ends_of_a_long_function_are_loaded_again():
    """Sums over all states in one function: every leaf is read in each, hundreds of items apart."""
    n = 40
    graph = Graph()
    u = [graph.leaf("state", i) for i in range(n)]
    rows = [graph.const(0.0)] * n
    for i in range(n):
        for j in range(n):
            rows[i] = graph.add(rows[i], graph.mul(graph.call("sqrt", u[(i + j) % n]), u[(i * j) % n]))
    values = np.linspace(0.5, 2.0, n)
    native = compile_system(system(graph, rows, 0))
    i, j = np.indices((n, n))
    expected = np.sum(np.sqrt(values[(i + j) % n]) * values[(i * j) % n], axis=1)
    np.testing.assert_allclose(call(native.f, n, 0.0, values, np.empty(0)), expected, rtol=1e-13)


def test_a_native_callable_says_its_address():
    import sciml_dsl as sd

    f = sd.model("x' = -k*x; x(0) = 1; param k = 2").rhs("native")
    assert call(f.address, 1, 0.0, [3.0], [2.0]) == f(0.0, [3.0], [2.0]) == -6.0
