"""Models with arrays as loops: native code and every source target against the model written out, and against numpy."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen import native_loops
from sciml_dsl.codegen.load import load
from sciml_dsl.codegen.native import compile_system, functions
from sciml_dsl.codegen.program import tables_of
from sciml_dsl.errors import InputError, UnsupportedError
from tests import julia_reader
from tests.c_library import CC, NVCC, compile_c, compile_cuda

HEAT = """model Heat
const N = {n}
param D = 0.1, h = 0.5
u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 for i in 2..N-1
u[1]' = 0
u[N]' = 0
u[i](0) = sin(pi*(i - 1)/(N - 1)) for i in 1..N
"""

MODELS = {
    "heat": HEAT.format(n=9),
    # periodic subscripts, a triangular sum, definitions of several statements, one used by another, branches
    "mix": """model Mix
        const N = 7
        param D = 0.7, h = 0.9
        param k[i] = 0.1*i for i in 1..N
        s' = -s + max(u[j] for j in 1..N) + cos(t)
        u[i]' = D*(u[mod(i-2,N)+1] - 2*u[i] + u[i+1])/h^2 - u[i]*total + a(u[i]) + g[i] - g[i-1] + k[i] for i in 1..N-1
        u[N]' = u[mod(N,N)+1]*s + m[2]*t + ramp(u[2], k[3])
        g[i] = u[i+1]*u[i] for i in 1..N-1
        g[0] = u[3]
        g[N] = 0
        m[i] = sum(u[j]^2*i for j in 1..i) + sin(t)*h for i in 1..N
        total = sum(u[j]*m[j] for j in 1..N)
        ramp(x, y) = x^2/(y + x)
        a(x) = if x > 0.6 then log(x) else exp(x)
        u[i](0) = sin(pi*i/N) + D*i for i in 1..N
        s(0) = D
    """,
    # two dimensions, sums along one of them, products, nested minima
    "plane": """model Plane
        const N = 4, M = 5
        param k = [0.5, 1, 1.5, 2]
        w[i,j]' = k[i]*(w[i,j-1] - 2*w[i,j] + w[i,j+1]) + w[mod(i,N)+1,j]*w[i,j] - w[mod(i-2,N)+1,j]/j + c[j]^2 """
    """for i in 1..N, j in 1..M-1
        w[i,0]' = w[i,1] - w[i,0] + k[2] for i in 1..N
        w[i,M]' = prod(w[i,j] for j in 0..M-1) - w[i,M] + min(w[r,q]*k[r] for r in 1..N, q in 0..M) for i in 1..N
        c[j] = sum(w[i,j]*k[i] for i in 1..N) for j in 0..M
        w[i,j](0) = i*j + k[i] for i in 1..N, j in 0..M
    """,
    # subscripts that no cut makes linear: odd and even statements, sums of indices, a definition met in the middle
    "odd": """model Odd
        const N = 8, H = 4
        param D = 0.7
        u[2*i]' = q[N+1-2*i]*u[i] + z[3*i] for i in 1..H
        u[2*i-1]' = sum(q[i+j]*u[j] for j in 1..N-i) + sum(q[j] for j in 2..N) + u[mod(3*i, 5)+1] for i in 1..H
        q[i] = u[i]*i for i in 1..H
        q[i] = D*u[i]^2 for i in H+1..N
        z[2*i] = u[i]^3 for i in 1..N
        z[2*i-1] = -u[i] for i in 1..N
        u(0) = 1
    """,
    # arrays of constants: from lists and formulas, shifted, wrapped, in two dimensions, in sums and branches
    "constants": """model Constants
        const N = 6, M = 3, w = [1, 2.5, -1, 0.5, 3, 7], A = [[1, 2, 3], [3, 4, 5.5]]
        const v[i] = 2*i + w[i]/4 for i in 1..N, same[0..N] = 1.5
        param k[i] = i/2 + v[i] for i in 1..N, c = 0.3
        x[i]' = -w[i]*x[i]*k[i] + A[1,mod(i,M)+1]*y[mod(i,N)+1] + same[i-1]*exp(-v[i]*t) for i in 1..N
        y[i]' = sum(A[j,mod(i,3)+1]*x[j] for j in 1..2)*c - (if w[i] > 1 then w[7-i] else y[i])*y[i] for i in 1..N
        z' = w[2]*z - max(w[i]*x[i] for i in 1..N) + flux[3]
        flux[i] = sum(w[j]*x[j] for j in 1..i) for i in 1..N
        x[i](0) = w[i] + c for i in 1..N
        y(0) = 1; z(0) = v[2]
    """,
    # networks at every cell, inside sums, in a definition and in a branch
    "net": """model Net
        const N = 5
        param D = 0.7
        neural NN(a, b) -> 1 { hidden = [4], activation = tanh }
        s' = sum(NN(u[i], s) for i in 1..N)
        u[i]' = NN(u[i], i*D) + g[i+1] - g[i] + NN(s, t) for i in 2..N-1
        u[1]' = 0
        u[N]' = 0
        g[i] = if u[i] > 0.5 then NN(u[i], u[mod(i,N)+1]) else 0 for i in 1..N
        u(0) = 0.5
        s(0) = 1
    """,
    "driven": """model Driven
        const N = 4
        param d = 0.5
        input q = [(0, 0.3), (1, 2), (4, 0)]
        u[i]' = -d*u[i]*q + sum(q*u[j] for j in 1..i) for i in 1..N
        u(0) = 1
    """,
    "events": """model Events
        const N = 5
        param d = 0.5
        u[i]' = -d*u[i] + (if t > 2 then 1 else 0) for i in 1..N
        u[i](0) = i for i in 1..N
        when u[2] < 0.9: u[2] += 1
        at 1: u[i] = u[i]/2 for i in 3..N
        every 0.7 from 0.1 until 2: u[1] += sum(u[j] for j in 1..N)
    """,
}
T = 0.8
_pointer = ctypes.POINTER(ctypes.c_double)
needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler")


def native(address, size, *arguments):
    """The output of a native function; arguments are numbers and arrays."""
    out = np.full(size, 99.0)
    arrays = [np.ascontiguousarray(a, dtype=float) for a in (*arguments[1:], out)]
    call = ctypes.CFUNCTYPE(None, ctypes.c_double, *[_pointer] * len(arrays))(address)
    call(arguments[0], *(a.ctypes.data_as(_pointer) for a in arrays))
    return arrays[-1]


def tables(m):
    """What stands in p behind parameters and weights."""
    return np.array(tables_of(m.spec) or ())


def point(n, n_params, n_weights=0):
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(0.5, 1.0, n_params), 0.4 * rng.normal(size=n_weights)])
    return rng.uniform(0.2, 1.2, n), p, rng.normal(size=n)


def values_of(fns, u, p, v):
    """All native functions of a model at one point."""
    n, n_p = fns.n, fns.n_params
    sizes = {"f": n, "jac": n * n, "dfdt": n, "observables": fns.n_observables, "roots": 2 * fns.n_roots}
    sizes |= {"event_times": 4 * fns.n_timed, "turns": 2 * fns.n_families, "gaps": fns.n_gaps, "modes": fns.n_modes}
    found = {name: native(getattr(fns, name), k, T, u, p) for name, k in sizes.items() if getattr(fns, name)}
    found |= {
        name: native(getattr(fns, name), k, T, u, p, v) for name, k in (("jvp", n), ("vjp", n + n_p + fns.n_weights))
    }
    data = native(fns.jac_values, fns.jac_indices.size, T, u, p)
    found["csr"] = scipy.sparse.csr_array((data, fns.jac_indices, fns.jac_indptr), shape=(n, n)).toarray()
    slopes = fns.initial_slopes == "given"
    start = native(fns.initial, n + n * n_p if slopes else n, 0.0, u, p)
    found["initial"], found["slopes"] = start[:n], start[n:] if slopes else np.zeros(n * n_p)
    found |= {f"affect_{k}": native(address, n, T, u, p) for k, address in enumerate(fns.affect)}
    return found


@pytest.mark.parametrize("name", MODELS)
def test_native_code_is_that_of_the_model_written_out(name):
    m = sd.model(MODELS[name])
    loops = functions(m, adjoint=True, sparse=True)
    scalars = compile_system(m.system, adjoint=True, sparse=True)
    assert (loops.n, loops.n_params, loops.n_weights) == (scalars.n, scalars.n_params, scalars.n_weights)
    assert loops.events == scalars.events
    u, p, v = point(loops.n, loops.n_params, loops.n_weights)
    p = np.concatenate([p, tables(m)])
    got, expected = values_of(loops, u, p, v), values_of(scalars, u, p, v)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-12, atol=1e-13, err_msg=key)
    # each row's columns are sorted, none twice, and none but those of the scalars where all subscripts are linear
    for a, b in zip(loops.jac_indptr, loops.jac_indptr[1:], strict=False):
        assert (np.diff(loops.jac_indices[a:b]) > 0).all()
    if name != "odd":
        assert loops.jac_indices.tolist() == scalars.jac_indices.tolist()


def routines_of(target, m, folder):
    """call(routine, shape, *arguments) of a target, and the rows and columns of its Jacobian's values."""
    text = m.code(target)
    if target in ("c", "cuda"):
        library = (compile_c if target == "c" else compile_cuda)(text, folder)
        count = library.sizes["NONZEROS"]
        places = [np.zeros(count, np.int32) for _ in range(2)]
        if target == "c":
            library.raw("jacobian_rows", places[0])
            library.raw("jacobian_columns", places[1])
        return library, places
    if target == "julia":
        names = {"f": "f!", "jacobian": "jac!", "parameter_jacobian": "paramjac!", "time_gradient": "tgrad!"}

        def julia(name, shape, *a):
            given = dict(zip("p" if len(a) == 1 else "tupv", a, strict=False))
            return julia_reader.call(text, names.get(name, f"{name}!"), shape, **given)

        count = _julia_count(text)
        return julia, [julia(f"jacobian_{k}", (count,)).astype(int) - 1 for k in ("rows", "columns")]
    module = load(text, m.name)
    wrap = {"python": list, "torch": lambda x: torch.tensor(x, dtype=torch.float64)}.get(target, np.array)
    back = (lambda x: x.numpy()) if target == "torch" else np.array

    def call(name, shape, *a):
        out = back(getattr(module, name)(*(x if isinstance(x, float) else wrap(x) for x in a)))
        assert out.shape == shape
        return out

    return call, [back(module.jacobian_rows()), back(module.jacobian_columns())]


def _julia_count(text):
    """How many places `jacobian_rows!` fills, of far more."""
    filled = julia_reader.call(text, "jacobian_rows!", (4096,))
    return int((filled != 99.0).sum())


TARGETS = ["python", "numpy", "torch", "julia"]
CASES = [(t, name) for t in TARGETS for name in MODELS if (t, name) != ("julia", "net")]
CASES += [pytest.param("c", name, marks=needs_cc) for name in MODELS]
CASES += [pytest.param("numba", name, marks=pytest.mark.slow) for name in ("mix", "plane", "net")]
CASES += [pytest.param("cuda", "mix", marks=[pytest.mark.slow, pytest.mark.skipif(NVCC is None, reason="no nvcc")])]


@pytest.mark.parametrize(("target", "name"), CASES)
def test_every_routine_of_every_target(target, name, tmp_path):
    m = sd.model(MODELS[name])
    fns = compile_system(m.system, adjoint=True, sparse=True)
    n, n_p = fns.n, fns.n_params
    u, p, v = point(n, n_p, fns.n_weights)
    p = np.concatenate([p, tables(m)])
    truth = values_of(fns, u, p, v)
    jac = truth["jac"].reshape(n, n)
    expected = {"f": truth["f"], "jacobian": jac, "jvp": jac @ v, "vjp": v @ jac, "initial": truth["initial"]}
    expected["parameter_vjp"] = truth["vjp"][n : n + n_p]
    expected["time_gradient"] = truth.get("dfdt", np.zeros(n))
    if "observables" in truth:
        expected["observables"] = truth["observables"]
    expected |= {key: truth[key] for key in truth if key.startswith("affect")}
    if "roots" in truth:  # native code gives their conditions behind them
        expected["roots"] = truth["roots"][: fns.n_roots]
    call, places = routines_of(target, m, tmp_path)
    for key, value in expected.items():
        along = [v] if key in ("jvp", "vjp", "parameter_vjp") else []
        arguments = [p] if key == "initial" else [T, u, p, *along]
        got = call(key, value.shape, *arguments)
        np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-13, err_msg=key)
    if n_p:
        table = call("parameter_jacobian", (n, n_p), T, u, p)
        np.testing.assert_allclose(v @ table, expected["parameter_vjp"], rtol=1e-12, atol=1e-13)
    if target != "cuda":
        values = call("jacobian_values", (len(places[0]),), T, u, p)
        matrix = scipy.sparse.coo_array((values, tuple(places)), shape=(n, n)).toarray()
        np.testing.assert_allclose(matrix, jac, rtol=1e-12, atol=1e-13)
    if target == "python":
        step = 1e-6
        nearby = [native(fns.jac, n * n, T, u + s * step * e, p) for e in np.eye(n) for s in (1, -1)]
        slopes = np.stack([(a - b) / (2 * step) for a, b in zip(nearby[::2], nearby[1::2], strict=True)], axis=1)
        np.testing.assert_allclose(call("hessian", (n, n, n), T, u, p), slopes.reshape(n, n, n), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mix", "plane", "odd"])
def test_batches_and_gradients_of_array_targets(name):
    m = sd.model(MODELS[name])
    fns = functions(m, adjoint=True)
    u, p, v = point(fns.n, fns.n_params)
    us, ps = np.stack([u, 1.1 * u, 0.9 * u]), np.stack([p, 0.9 * p, 1.2 * p])
    module = load(m.code("numpy"), m.name)
    for routine in ("f", "jacobian", "observables"):
        call = getattr(module, routine)
        one = np.stack([call(T, a, b) for a, b in zip(us, ps, strict=True)])
        np.testing.assert_allclose(call(T, us, ps), one, rtol=1e-13)
    other = load(m.code("torch"), m.name)
    a, b = (torch.tensor(x, requires_grad=True) for x in (u, p))
    got = torch.autograd.grad((other.f(T, a, b) * torch.tensor(v)).sum(), (a, b))
    np.testing.assert_allclose(np.concatenate(got), native(fns.vjp, fns.n + p.size, T, u, p, v), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(other.f(T, torch.tensor(us), torch.tensor(ps)).numpy(), module.f(T, us, ps), rtol=1e-12)


# ---------------------------------------------------------------- against numpy, at size


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_a_stencil_of_any_size(n):
    m = sd.model(HEAT.format(n=n))
    u, p, v = point(n, 2)
    rate = p[0] / p[1] ** 2
    expected = np.zeros(n)
    expected[1:-1] = rate * (u[:-2] - 2 * u[1:-1] + u[2:])
    np.testing.assert_allclose(m.rhs("native")(0.0, u, p), expected, rtol=1e-12, atol=1e-13)
    inner = np.ones(n - 2)
    bands = [
        rate * np.append(inner, 0.0),
        -2 * rate * np.concatenate([[0.0], inner, [0.0]]),
        np.append(0.0, inner) * rate,
    ]
    jac = scipy.sparse.diags_array(bands, offsets=[-1, 0, 1], format="csr")
    got = m.jac("native", sparse=True)(0.0, u, p)
    assert isinstance(got, scipy.sparse.csr_array) and got.nnz == 3 * (n - 2)
    assert abs(got - jac).max() < 1e-12
    fns = functions(m, adjoint=True, sparse=True)
    np.testing.assert_allclose(native(fns.jvp, n, 0.0, u, p, v), jac @ v, atol=1e-12)
    back = native(fns.vjp, n + 2, 0.0, u, p, v)
    np.testing.assert_allclose(back[:n], jac.T @ v, atol=1e-12)
    np.testing.assert_allclose(back[n:], [v @ expected / p[0], -2 * v @ expected / p[1]], rtol=1e-9)
    assert "system" not in m.__dict__  # nothing was written out


def test_reaction_and_diffusion_in_the_plane_against_numpy():
    m = sd.model("""
        const N = 40, M = 30
        param a = 1, b = 3, D = 0.02
        lap(c, l, r, d, o) = l + r + d + o - 4*c
        u[i,j]' = a + u[i,j]^2*v[i,j] - (b + 1)*u[i,j] + D*lap(u[i,j], u[mod(i-2,N)+1,j], u[mod(i,N)+1,j], """
                 """u[i,mod(j-2,M)+1], u[i,mod(j,M)+1]) for i in 1..N, j in 1..M
        v[i,j]' = b*u[i,j] - u[i,j]^2*v[i,j] + D*lap(v[i,j], v[mod(i-2,N)+1,j], v[mod(i,N)+1,j], """
                 """v[i,mod(j-2,M)+1], v[i,mod(j,M)+1]) for i in 1..N, j in 1..M
    """)  # fmt: skip
    x = np.random.default_rng(1).uniform(0.5, 2.0, (2, 40, 30))
    a, b, diffusion = p = np.array([1.1, 2.9, 0.3])

    def lap(c):
        return sum(np.roll(c, s, axis) for s in (1, -1) for axis in (0, 1)) - 4 * c

    u, v = x
    expected = np.stack([a + u**2 * v - (b + 1) * u + diffusion * lap(u), b * u - u**2 * v + diffusion * lap(v)])
    np.testing.assert_allclose(m.rhs("native")(0.0, x.reshape(-1), p), expected.reshape(-1), rtol=1e-12)
    jac = m.jac("native", sparse=True)(0.0, x.reshape(-1), p)
    assert jac.nnz == 2 * 1200 * 6
    rows = [[2 * u * v - b - 1, u**2], [b - 2 * u * v, -(u**2)]]
    local = scipy.sparse.block_array([[scipy.sparse.diags_array(c.reshape(-1)) for c in row] for row in rows])
    spread = scipy.sparse.csr_array(np.stack([lap(e.reshape(40, 30)).reshape(-1) for e in np.eye(1200)], axis=1))
    assert abs(jac - local - diffusion * scipy.sparse.block_diag((spread, spread))).max() < 1e-12


@needs_cc
def test_c_of_a_large_model_compiles_and_runs(tmp_path):
    n = 100_000
    m = sd.model(HEAT.format(n=n))
    library = compile_c(m.code("c"), tmp_path)  # with every warning an error
    u, p, v = point(n, 2)
    fns = functions(m, adjoint=True)
    np.testing.assert_allclose(library("f", (n,), 0.0, u, p), native(fns.f, n, 0.0, u, p), rtol=1e-12, atol=1e-13)
    back = native(fns.vjp, n + 2, 0.0, u, p, v)
    np.testing.assert_allclose(library("vjp", (n,), 0.0, u, p, v), back[:n], rtol=1e-12, atol=1e-12)


def test_code_does_not_grow_with_the_arrays():
    small, large = (sd.model(HEAT.format(n=n)) for n in (1_000, 1_000_000))
    for target in ("python", "numpy", "torch", "numba", "c", "cuda", "julia"):
        a, b = small.code(target), large.code(target)
        assert b.count("\n") <= a.count("\n") and len(b) < 1.1 * len(a)
        assert b == large.code(target)
    ratio = large.operations()["mul"] / small.operations()["mul"]
    assert ratio == pytest.approx(1000, rel=0.01)


def test_operations_are_those_of_the_model_written_out():
    for name in ("heat", "events"):
        m = sd.model(MODELS[name])
        scalars = sd.model(MODELS["heat"]).system if name == "heat" else m.system
        from sciml_dsl.codegen.count import operations

        assert m.operations() == operations(scalars)


# ---------------------------------------------------------------- solving, and what is refused


def test_solutions_and_their_gradients():
    m = sd.model(HEAT.format(n=21))
    sol = m.solve((0, 1), saveat=[1.0], rtol=1e-10, atol=1e-12)
    mode = np.sin(np.pi * np.arange(21) / 20)
    rate = 0.1 / 0.25 * 2 * (1 - np.cos(np.pi / 20))  # of the discrete Laplacian
    np.testing.assert_allclose(sol.u[-1], mode * np.exp(-rate), atol=1e-9)
    layer = m.layer(saveat=[0.0, 1.0], rtol=1e-10, atol=1e-12, sensitivity="discrete_adjoint")
    layer()[-1, 10].backward()
    np.testing.assert_allclose(layer.p.grad.numpy(), [-rate / 0.1 * np.exp(-rate), 4 * rate * np.exp(-rate)], rtol=1e-6)


def test_a_stiff_grid_of_any_size_is_solved_sparsely():
    """Heat on 20,000 cells against the decay of its discrete mode: a dense matrix would take 3.2 GB."""
    n = 20_001
    m = sd.model(f"""
        const N = {n}
        param D = 1e5
        u[1]' = 0;  u[N]' = 0
        u[i]' = D*(u[i-1] - 2*u[i] + u[i+1]) for i in 2..N-1
        u[i](0) = sin(100*pi*(i - 1)/(N - 1)) for i in 1..N
    """)
    sol = m.solve((0, 0.05), saveat=[0.05], rtol=1e-6, atol=1e-9)
    place = np.arange(n)
    rate = 2 * 1e5 * (1 - np.cos(100 * np.pi / (n - 1)))
    assert sol.success and sol.stats["steps"] < 2000 and sol.stats["factorisations"] > 0
    truth = np.exp(-rate * 0.05) * np.sin(100 * np.pi * place / (n - 1))
    assert np.abs(sol["u"][0] - truth).max() < 1e-5


def test_a_network_at_every_cell_trains():
    jump, smooth = "if u[i] > 0.5 then NN(u[i], u[mod(i,N)+1]) else 0", "max(0, u[i] - 0.5)*NN(u[i], u[mod(i,N)+1])"
    with pytest.raises(UnsupportedError, match="does not cross such jumps"):
        sd.model(MODELS["net"]).layer(saveat=[0.0, 0.5])
    assert jump in MODELS["net"]
    m = sd.model(MODELS["net"].replace(jump, smooth))
    layer = m.layer(saveat=[0.0, 0.5], rtol=1e-9, atol=1e-11)
    (layer() ** 2).sum().backward()
    weight = next(iter(layer.networks.values()))[0].weight
    exact = float(weight.grad[0, 1])
    with torch.no_grad():
        sides = []
        for step in (1e-6, -2e-6):
            weight[0, 1] += step
            sides.append(float((layer() ** 2).sum()))
    assert exact == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5)


def test_all_to_all_coupling_needs_no_matrix():
    """Kuramoto's mean field: the Jacobian is full, f and its products stay linear in n."""
    m = sd.model(
        """
        const N = 20_000
        param K = 1.5
        c = sum(cos(x[j]) for j in 1..N)/N
        s = sum(sin(x[j]) for j in 1..N)/N
        x[i]' = i/N + K*(s*cos(x[i]) - c*sin(x[i])) for i in 1..N
        x[i](0) = i for i in 1..N
    """.replace("20_000", "20000")
    )
    n = 20_000
    x, _, v = point(n, 1)
    expected = np.arange(1, n + 1) / n + 1.5 * (np.sin(x).mean() * np.cos(x) - np.cos(x).mean() * np.sin(x))
    np.testing.assert_allclose(m.rhs("native")(0.0, x, [1.5]), expected, rtol=1e-11)
    back = native(functions(m, adjoint=True).vjp, n + 1, 0.0, x, [1.5], v)
    own = -1.5 * v * (np.sin(x).mean() * np.sin(x) + np.cos(x).mean() * np.cos(x))
    mean = 1.5 / n * ((v @ np.cos(x)) * np.cos(x) + (v @ np.sin(x)) * np.sin(x))
    np.testing.assert_allclose(back[:n], own + mean, rtol=1e-9, atol=1e-12)
    with pytest.raises(UnsupportedError, match="entries"):
        m.jac("native", sparse=True)
    assert m.solve((0, 0.01), saveat=[0.01]).success


def test_what_is_refused_says_so():
    large = sd.model(HEAT.format(n=native_loops.DENSE_LIMIT + 1))
    with pytest.raises(InputError, match="sparse=True"):
        large.jac("native")
    with pytest.raises(UnsupportedError, match="torch"):
        large.jac("torch", sparse=True)


def test_sparse_jacobians_patterns_and_colours():
    m = sd.model(MODELS["plane"])
    u, p, _ = point(len(m.states), len(m.parameters))
    dense = m.jac("native")(T, u, p)
    for target in ("native", "numpy", "python"):
        np.testing.assert_allclose(m.jac(target, sparse=True)(T, u, p).toarray(), dense, rtol=1e-12, atol=1e-14)
    assert m.sparsity().indices.tolist() == m.system.jacobian_pattern[1].tolist()
    assert sd.model(HEAT.format(n=10_000)).coloring().count == 3


def test_initial_values_that_are_missing_are_named():
    m = sd.model("x[i]' = -x[i] for i in 1..5; x[i](0) = i for i in 2..4")
    with pytest.raises(sd.errors.MissingValueError, match=r"x\[1\]"):
        m.solve((0, 1))
    start = native(functions(m).initial, 5, 0.0, np.zeros(5), np.zeros(0))
    np.testing.assert_array_equal(start, [np.nan, 2, 3, 4, np.nan])


SUBSCRIPTS = ["i", "i-1", "i+1", "mod(i+1,N)+1", "mod(2*i,N)+1", "N+1-i", "mod(i*i,N)+1"]


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.sampled_from(SUBSCRIPTS), min_size=2, max_size=4),
    st.sampled_from(["sum", "prod", "min", "max"]),
    st.sampled_from(["1..N", "1..i", "i..N", "i-1..i+1"]),
)
def test_any_subscripts(subscripts, op, span):
    terms = " + ".join(f"k[{s}]*sin(x[{s}])" for s in subscripts)
    m = sd.model(f"""
        const N = 6
        param k[i] = i for i in 1..N
        y[i] = x[i]*{op}(x[j] + k[j] for j in 1..N) for i in 1..3
        y[i] = x[i]^2 for i in 4..N
        x[i]' = {terms} + {op}(x[j]*y[i] for j in {span}) for i in 2..N-1
        x[1]' = y[2]
        x[N]' = x[1]*y[N]
    """)
    loops, scalars = functions(m, adjoint=True, sparse=True), compile_system(m.system, adjoint=True, sparse=True)
    u, p, v = point(6, 6)
    got, expected = values_of(loops, u, p, v), values_of(scalars, u, p, v)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-11, atol=1e-12, err_msg=key)
