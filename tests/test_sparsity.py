"""Sparse Jacobians: the pattern, the colouring, and the same numbers as dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

import sciml_dsl as sd
from sciml_dsl.codegen.native import WRITTEN_OUT, functions
from sciml_dsl.errors import UnsupportedError
from sciml_dsl.graph.build import lower
from sciml_dsl.graph.colouring import colour
from sciml_dsl.graph.derivatives import sparse_jacobian


def ring(n: int) -> str:
    lines = [f"x{i}' = k*x{(i - 1) % n} - x{i}*x{(i + 1) % n}/(1 + x{i}^2) + exp(-x{i})" for i in range(n)]
    return "\n".join([*lines, *(f"x{i}(0) = {i / n}" for i in range(n)), "param k = 0.3"])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 10**6))
def test_products_with_a_colouring_give_the_matrix(rows, columns, density, seed):
    matrix = csr_array(random_array((max(rows, 1), columns), density=density, rng=np.random.default_rng(seed)))
    matrix.sort_indices()
    c = colour(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), columns)
    dense = (matrix.toarray() != 0).astype(int)
    assert (dense @ c.seeds()).max(initial=0) <= 1  # no row meets one colour twice
    np.testing.assert_array_equal(c.values(matrix @ c.seeds()), matrix.data)
    assert c.count >= dense.sum(axis=1).max(initial=0)


@pytest.mark.parametrize(
    ("width", "wanted"), [(0, 1), (1, 3), (2, 5)], ids=["diagonal", "tridiagonal", "pentadiagonal"]
)
def test_bands_need_no_more_colours_than_their_width(width, wanted):
    n = 40
    places = [[j for j in range(i - width, i + width + 1) if 0 <= j < n] for i in range(n)]
    indptr = np.cumsum([0, *map(len, places)])
    assert colour(indptr, np.concatenate(places), n).count == wanted


def test_a_model_with_a_total_has_the_colours_of_its_widest_equation():
    n = 30
    text = "\n".join(f"x{i}' = -x{i}" for i in range(n)) + "\ny' = " + " + ".join(f"x{i}" for i in range(n)) + " - y"
    model = sd.model(text)
    assert model.coloring().count == n + 1
    pattern = model.sparsity()
    assert pattern.dtype == bool
    assert pattern.nnz == n + n + 1


@pytest.mark.parametrize("n", [6, WRITTEN_OUT, WRITTEN_OUT + 1, 150])
def test_sparse_and_dense_jacobians_agree_in_every_target(n):
    model = sd.model(ring(n))
    rng = np.random.default_rng(n)
    u, p = rng.uniform(0.1, 2, n), np.array([0.4])
    dense = model.jac("native")(0.0, u, p)
    np.testing.assert_allclose(dense, model.jac("numpy")(0.0, u, p), rtol=1e-13)
    assert (dense != 0).sum() == model.sparsity().nnz
    for target in ("native", "numpy", "python"):
        found = model.jac(target, sparse=True)(0.0, u, p)
        assert found.has_sorted_indices
        np.testing.assert_allclose(found.toarray(), dense, rtol=1e-13)
    # products along the seeds of the colouring, by the native jvp
    native = functions(model, sparse=True)
    assert native.jac_values and native.jvp
    c = model.coloring()
    np.testing.assert_allclose(c.values(dense @ c.seeds()), model.jac("native", sparse=True)(0.0, u, p).data)


def test_the_dense_jacobian_is_written_whole_each_time():
    n = WRITTEN_OUT + 10
    model = sd.model(ring(n))
    jac = model.jac("native")
    first = jac(0.0, np.full(n, 0.5), [1.0])
    second = jac(0.0, np.full(n, 0.5), [1.0])
    np.testing.assert_array_equal(first, second)
    assert (first[0, 2 : n - 1] == 0.0).all()


def test_torch_has_no_sparse_jacobian_and_says_so():
    with pytest.raises(UnsupportedError, match="sparse"):
        sd.model("x' = -x").jac("torch", sparse=True)


# ---------------------------------------------------------------- derivatives linear in size


def _grown(text: str) -> tuple[int, int]:
    """(nodes before, nodes the Jacobian adds)."""
    system = lower(sd.model(text).spec)
    before = len(system.graph)
    sparse_jacobian(system.graph, system.rhs, system.state_leaves)
    return before, len(system.graph) - before


def test_a_chain_of_definitions_read_by_all_equations_is_differentiated_once():
    def text(n: int) -> str:
        lines = ["a0 = sin(x0)"]
        lines += [f"a{i} = sin(a{i - 1})*a{i - 1} + 1" for i in range(1, n)]
        return "\n".join([*lines, *(f"x{i}' = a{i} - x{i}" for i in range(n))])

    before, added = _grown(text(400))
    assert added < 4 * before  # one sweep for each row would add 400 times as much
    small = sd.model(text(5))
    u = np.linspace(0.1, 0.9, 5)
    step = 1e-6
    f = small.rhs("numpy")
    slope = (f(0, u + step * np.eye(5)[0], []) - f(0, u - step * np.eye(5)[0], [])) / (2 * step)
    np.testing.assert_allclose(small.jac("native")(0, u, [])[:, 0], slope, rtol=1e-8)


def test_a_sum_over_all_states_stays_linear():
    def text(n: int) -> str:
        total = "total = " + " + ".join(f"x{i}^2" for i in range(n))
        return "\n".join([total, "y' = exp(-total/100) - y", *(f"x{i}' = -x{i}" for i in range(n))])

    before, added = _grown(text(500))
    assert added < 4 * before
