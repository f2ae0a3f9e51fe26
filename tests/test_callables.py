"""`m.rhs` and `m.jac`: what they are called with is checked, `out`, and travelling between processes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import sciml_dsl as sd
from sciml_dsl.codegen.api import CALLABLES

M = sd.model("x' = -k*x + y; y' = k*x*y; param k = 2; x(0) = 1; y(0) = 1")
U, P = [1.5, 0.5], [2.0]
F, J = [-2.5, 1.5], [[-2.0, 1.0], [1.0, 3.0]]


def given(target, values):
    return torch.tensor(values, dtype=torch.float64) if target == "torch" else np.array(values, float)


@pytest.mark.parametrize("target", CALLABLES)
def test_shapes_that_do_not_fit_are_refused(target):
    for make in (M.rhs, M.jac):
        f = make(target)
        with pytest.raises(sd.InputError, match=r"u must have shape \(2,\), not \(0,\)"):
            f(0.0, given(target, []), given(target, P))
        with pytest.raises(sd.InputError, match=r"u must have shape \(2,\), not \(3,\)"):
            f(0.0, given(target, [1, 2, 3]), given(target, P))
        with pytest.raises(sd.InputError, match=r"p must have shape \(1,\), not \(0,\)"):
            f(0.0, given(target, U), given(target, []))
        with pytest.raises(sd.InputError, match=r"p must have shape \(1,\), not \(4,\)"):
            f(0.0, given(target, U), given(target, [1, 2, 3, 4]))
        for wrong in ({"x": 1, "y": 2}, "ab", None, 3.0):
            with pytest.raises(sd.InputError, match="u must"):
                f(0.0, wrong, given(target, P))


@pytest.mark.parametrize("target", [t for t in CALLABLES if t != "torch"])
def test_results_go_into_out_and_functions_are_pickled(target):
    for make, expected in ((M.rhs, F), (M.jac, J)):
        f = make(target)
        out = np.empty(np.shape(expected))
        assert f(0.0, np.array(U), np.array(P), out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-15)
        np.testing.assert_allclose(f(0.0, U, P), expected, rtol=1e-15)
        again = pickle.loads(pickle.dumps(f))
        np.testing.assert_array_equal(again(0.0, np.array(U), np.array(P)), out)
        with pytest.raises(sd.InputError, match="out must be"):
            f(0.0, U, P, out=np.empty(5))
    sparse = M.jac(target, sparse=True)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(sparse))(0.0, U, P).toarray(), J)
    with pytest.raises(sd.InputError, match="u must have shape"):
        sparse(0.0, [1.0], P)


def test_native_code_takes_views_and_read_only_arrays():
    f = M.rhs("native")
    u = np.array([1.5, 9.0, 0.5, 9.0])[::2]
    p = np.array(P)
    p.flags.writeable = False
    np.testing.assert_allclose(f(0.0, u, p), F)
    np.testing.assert_allclose(f(0, np.array([1, 0]), p), [-2.0, 0.0])
    with pytest.raises(sd.InputError, match="t must be a number"):
        f("now", u, p)
    with pytest.raises(sd.InputError, match="out must be a writable"):
        f(0.0, u, p, np.empty(2, np.float32))


def test_a_numba_function_is_called_from_compiled_code():
    from numba import njit

    f = M.rhs("numba")

    @njit
    def euler(u, p):
        return u + 0.1 * f(0.0, u, p)

    np.testing.assert_allclose(euler(np.array(U), np.array(P)), np.array(U) + 0.1 * np.array(F))


def test_weights_may_be_left_out_where_a_target_says_so():
    m = sd.model("x' = U(x); x(0) = 1; neural U(x) -> 1 { hidden = [2] }")
    weights = np.linspace(-1, 1, m.spec.n_weights)
    m = m.with_weights({"U": weights})
    expected = m.rhs("native")(0.0, [0.3], weights)
    np.testing.assert_allclose(m.rhs("python")(0.0, [0.3], []), expected)
    np.testing.assert_allclose(m.rhs("numpy")(0.0, np.full((4, 1), 0.3), np.zeros(0)), np.tile(expected, (4, 1)))
    with pytest.raises(sd.InputError, match=r"p must have shape \(7,\), not \(0,\)"):
        m.rhs("native")(0.0, [0.3], [])
    with pytest.raises(sd.InputError, match=r"p must have shape \(7,\) or \(0,\), not \(3,\)"):
        m.rhs("numpy")(0.0, [0.3], [1, 2, 3])


@pytest.mark.parametrize("u", [(1.0, 0.0), (1.0, 1.0), (0.0, -1.0)])
def test_python_says_where_a_value_is_not_finite_and_the_others_give_inf_or_nan(u):
    m = sd.model("x' = log(y) + 1/y; y' = exp(1000*x); x(0) = 1; y(0) = 1")
    with pytest.raises(sd.NonFiniteError, match=r"no finite value at t = 0.0: .*math\.log\(y\)"):
        m.rhs("python")(0.0, list(u), [])
    with np.errstate(all="ignore"):
        for target in ("numpy", "numba", "native"):
            assert not np.isfinite(m.rhs(target)(0.0, np.array(u), np.zeros(0))).all()
