"""The linear algebra of the implicit methods against numpy, and the choice among its kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cfunc, njit, types

from sciml_dsl.errors import InputError, UnknownNameError
from sciml_dsl.solve.linear import interface, layout
from sciml_dsl.solve.linear.ordering import fill, minimum_degree
from sciml_dsl.solve.linear.plan import Plan, plan
from sciml_dsl.solve.methods import abi

pointer = types.CPointer(types.double)


@cfunc(types.void(types.double, pointer, pointer, pointer))
def stored_values(t, u, p, out):  # p: nnz, n, values, then the dense matrix
    for i in range(int(p[0])):
        out[i] = p[2 + i]


@cfunc(types.void(types.double, pointer, pointer, pointer, pointer))
def stored_product(t, u, p, v, out):
    start = 2 + int(p[0])
    n = int(p[1])
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += p[start + i * n + j] * v[j]
        out[i] = total


@njit
def evaluate(fn, u, p, ints, work, iwork):
    interface.evaluate_jacobian(fn, 0.0, u, 0, p, ints, work, iwork)


@njit
def factor(alpha, beta, ints, work, iwork):
    return interface.factor(alpha, beta, ints, work, iwork)


@njit
def solve(fn, p, ints, work, iwork, at):
    return interface.solve(fn, p, ints, work, iwork, at)


@njit
def factor_complex(alpha, beta, which, ints, work, iwork):
    return interface.factor_complex(alpha, beta, which, ints, work, iwork)


@njit
def solve_complex(fn, p, ints, work, iwork, at, which):
    return interface.solve_complex(fn, p, ints, work, iwork, at, which)


@njit
def multiply(fn, p, ints, work, iwork, at, out):
    interface.multiply(fn, p, ints, work, iwork, at, out)


class Room:
    """The memory of one integration and a matrix whose factors are tried in it."""

    def __init__(self, chosen: Plan, matrix: Any, mass: Any = None) -> None:
        n = chosen.n
        self.n, self.plan = n, chosen
        self.ints = np.zeros(abi.N_INTS, np.int64)
        self.fn = np.zeros(abi.HEAD, np.int64)
        self.fn[abi.JAC_VALUES] = stored_values.address
        self.fn[abi.JVP] = stored_product.address
        at = 0
        for slot, size in ((abi.AT_RTOL, n), (abi.AT_ATOL, n), (abi.AT_MASS, n), (abi.AT_LIN, chosen.n_doubles)):
            self.ints[slot] = at
            at += size + size % 2
        self.at = at
        self.work = np.full(at + 4 * n, np.nan)
        self.tolerance(1e-9)
        self.iwork = np.concatenate((np.zeros(3, np.int64), chosen.integers))
        for slot, value in (
            (abi.N, n), (abi.AT_ILIN, 3), (abi.LINEAR, chosen.kind), (abi.LOWER, chosen.lower),
            (abi.UPPER, chosen.upper), (abi.NNZ, chosen.nnz), (abi.HAS_MASS, int(mass is not None)),
        ):  # fmt: skip
            self.ints[slot] = value
        self.mass = np.ones(n) if mass is None else mass
        self.work[self.ints[abi.AT_MASS] : self.ints[abi.AT_MASS] + n] = self.mass
        self.take(matrix)

    def tolerance(self, value: float) -> None:
        for slot in (abi.AT_RTOL, abi.AT_ATOL):
            self.work[self.ints[slot] : self.ints[slot] + self.n] = value

    def take(self, matrix: Any) -> None:
        self.dense = matrix.toarray()
        self.p = np.concatenate(([float(matrix.nnz), float(self.n)], matrix.data, self.dense.reshape(-1)))
        evaluate(self.fn, np.zeros(self.n), self.p, self.ints, self.work, self.iwork)

    def solve(self, alpha: float, beta: float, b: Any) -> Any:
        if not factor(alpha, beta, self.ints, self.work, self.iwork):
            return None
        self.work[self.at : self.at + self.n] = b
        assert solve(self.fn, self.p, self.ints, self.work, self.iwork, self.at)
        return self.work[self.at : self.at + self.n].copy()

    def solve_complex(self, alpha: complex, beta: float, b: Any) -> Any:
        """By the second of two factors that are kept; the first are those of another matrix."""
        factor_complex(alpha + 0.7j, beta, 0, self.ints, self.work, self.iwork)
        if not factor_complex(alpha, beta, 1, self.ints, self.work, self.iwork):
            return None
        factor_complex(alpha - 0.4j, beta, 0, self.ints, self.work, self.iwork)
        self.work[self.at : self.at + 2 * self.n] = b.view(np.float64)
        assert solve_complex(self.fn, self.p, self.ints, self.work, self.iwork, self.at, 1)
        return self.work[self.at : self.at + 2 * self.n].copy().view(np.complex128)

    def w(self, alpha: Any, beta: float) -> Any:
        return alpha * np.diag(self.mass) - beta * self.dense


def random_matrix(n: int, density: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    matrix = sparse.random(n, n, density=density, random_state=rng, format="csr")
    matrix.data = rng.normal(size=matrix.data.size) * 10.0 ** rng.uniform(-3, 3, matrix.data.size)
    matrix.sort_indices()
    return matrix


def planned(matrix: Any, kind: str, **options: Any) -> Plan:
    matrix.sort_indices()
    return plan(matrix.shape[0], matrix.indptr, matrix.indices, jvp=True, requested=kind, **options)


def assert_solves(w: Any, x: Any, b: Any) -> None:
    """Backward error: the residual in units of what rounding of one solve may leave."""
    scale = np.abs(w).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
    assert np.abs(w @ x - b).max() <= 1e-11 * scale


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 70),
    density=st.floats(0.0, 0.5),
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["dense", "banded", "sparse"]),
    alpha=st.floats(1e-2, 1e4),
    massless=st.floats(0.0, 0.5),
)
def test_random_systems_are_solved_as_numpy_solves_them(n, density, seed, kind, alpha, massless):
    rng = np.random.default_rng(seed)
    matrix = random_matrix(n, density, seed)
    mass = (rng.random(n) >= massless).astype(float)
    room = Room(planned(matrix, kind, n_complex=2, algebraic=mass == 0), matrix, mass)
    b = rng.normal(size=n)
    for beta in (1.0, 0.37):  # the second time by the order of the first
        w = room.w(alpha, beta)
        regular = np.linalg.matrix_rank(w) == n
        x = room.solve(alpha, beta, b)
        if regular:
            assert x is not None
            assert_solves(w, x, b)
        z = room.solve_complex(alpha * (1 + 2j), beta, b + 1j * b[::-1])
        if regular and np.linalg.matrix_rank(room.w(alpha * (1 + 2j), beta)) == n:
            assert_solves(room.w(alpha * (1 + 2j), beta), z, b + 1j * b[::-1])
    v = rng.normal(size=n)
    room.work[room.at : room.at + n] = v
    multiply(room.fn, room.p, room.ints, room.work, room.iwork, room.at, room.at + n)
    expected = matrix @ v
    assert (
        np.abs(room.work[room.at + n : room.at + 2 * n] - expected).max() <= 1e-13 * (np.abs(matrix) @ np.abs(v)).max()
    )


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40), lower=st.integers(0, 2), upper=st.integers(0, 2), seed=st.integers(0, 2**31),
    alpha=st.floats(1e-3, 1e4), shuffled=st.booleans(),
)  # fmt: skip
def test_narrow_bands_with_and_without_row_exchanges(n, lower, upper, seed, alpha, shuffled):
    """Entries of any size: diagonal pivots serve for some of these matrices and not for others."""
    rng = np.random.default_rng(seed)
    dense = np.triu(np.tril(rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-2, 2, (n, n)), upper), -lower)
    if shuffled:
        order = rng.permutation(n)
        dense = dense[np.ix_(order, order)]
    matrix = sparse.csr_matrix(dense)
    room = Room(planned(matrix, "banded", n_complex=2), matrix)
    b = rng.normal(size=n)
    for shift in (alpha, alpha * (1 + 2j)):
        w = room.w(shift, 0.7)
        if np.linalg.cond(w) > 1e12:
            continue
        complex_ = isinstance(shift, complex)
        right = b + 1j * b[::-1] if complex_ else b
        x = room.solve_complex(shift, 0.7, right) if complex_ else room.solve(shift, 0.7, right)
        assert x is not None
        assert_solves(w, x, right)


@pytest.mark.parametrize("kind", ["dense", "banded", "sparse"])
def test_a_singular_matrix_is_reported(kind):
    matrix = sparse.csr_matrix(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 1.0, 1.0]]))
    room = Room(planned(matrix, kind, n_complex=2), matrix)
    assert room.solve(0.0, 1.0, np.ones(3)) is None
    assert room.solve_complex(0j, 1.0, np.ones(3) + 0j) is None
    assert room.solve(3.0, 1.0, np.ones(3)) is not None  # and a later regular one is solved
    matrix.data[0] = np.nan
    room.take(matrix)
    assert room.solve(1.0, 1.0, np.ones(3)) is None


def test_a_pivot_that_becomes_small_is_exchanged():
    """The second matrix has zeros where the first had its pivots."""
    first = sparse.csr_matrix(np.array([[5.0, 1.0, 0.5], [1.0, 5.0, 1.0], [0.5, 1.0, 5.0]]))
    second = sparse.csr_matrix(np.array([[1e-14, 1.0, 0.5], [1.0, 1e-14, 1.0], [0.5, 1.0, 1e-14]]))
    room = Room(planned(first, "sparse"), first)
    assert room.solve(0.0, -1.0, np.ones(3)) is not None
    room.take(second)
    x = room.solve(0.0, -1.0, np.arange(3.0))
    assert np.allclose(second @ x, np.arange(3.0), rtol=0, atol=1e-12)


def test_algebraic_equations_without_their_own_state():
    """Rows are moved so that the diagonal is not structurally zero."""
    n = 40
    rng = np.random.default_rng(3)
    a = np.diag(rng.uniform(1, 2, n)) + np.diag(rng.normal(size=n - 1), 1)
    a = a[np.roll(np.arange(n), 7)]
    matrix = sparse.csr_matrix(a)
    chosen = planned(matrix, "sparse", algebraic=np.ones(n, bool))
    x = Room(chosen, matrix, np.zeros(n)).solve(1.0, -1.0, np.ones(n))
    assert np.allclose(a @ x, 1.0, atol=1e-12)


def grid(side: int) -> Any:
    line = sparse.diags([np.ones(side - 1), np.ones(side - 1)], [-1, 1])
    eye = sparse.identity(side)
    matrix = (sparse.kron(line, eye) + sparse.kron(eye, line) - 4 * sparse.identity(side * side)).tocsr()
    matrix.sort_indices()
    return matrix


@pytest.mark.parametrize("kind", ["banded", "sparse", "krylov", "dense"])
def test_a_discretised_laplacian(kind):
    matrix = grid(15)
    room = Room(planned(matrix, kind), matrix)
    b = np.sin(np.arange(225.0))
    x = room.solve(0.01, 1.0, b)
    exact = np.linalg.solve(room.w(0.01, 1.0), b)
    assert np.abs(x - exact).max() <= 1e-11 * np.abs(exact).max()


def test_gmres_stops_at_a_part_of_the_tolerance():
    matrix = grid(15)
    room = Room(planned(matrix, "krylov"), matrix)
    room.tolerance(1e-5)  # the state is 0: errors are judged beside 1e-5
    room.take(matrix)
    b = np.sin(np.arange(225.0))
    error = room.solve(0.01, 1.0, b) - np.linalg.solve(room.w(0.01, 1.0), b)
    assert 1e-12 < np.sqrt(np.mean(error**2)) < 1e-7


def test_gmres_that_does_not_converge_says_so():
    matrix = sparse.csr_matrix(np.roll(np.eye(200), 1, axis=1) * 1.0)  # a cycle: GMRES needs all 200 vectors
    room = Room(planned(matrix, "krylov"), matrix)
    assert factor(1e-9, -1.0, room.ints, room.work, room.iwork)
    room.work[room.at : room.at + 200] = np.eye(200)[0]
    assert not solve(room.fn, room.p, room.ints, room.work, room.iwork, room.at)


# ---------------------------------------------------------------- orders


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), density=st.floats(0.0, 0.3), seed=st.integers(0, 2**31))
def test_minimum_degree_is_an_order_and_its_fill_is_counted(n, density, seed):
    pattern = random_matrix(n, density, seed)
    pattern = ((pattern != 0) + (pattern.T != 0)).astype(float).tolil()
    pattern.setdiag(0)
    pattern = pattern.tocsr()
    pattern.eliminate_zeros()
    pattern.sort_indices()
    indptr, indices = pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)
    order = minimum_degree(n, indptr, indices, 10**9)
    assert sorted(order) == list(range(n))
    spd = (pattern + sparse.identity(n) * (n + 1)).toarray()[np.ix_(order, order)]
    factor = np.linalg.cholesky(spd)
    structural = np.zeros((n, n), bool) | (spd != 0)
    for k in range(n):
        below = np.flatnonzero(structural[k + 1 :, k]) + k + 1
        structural[np.ix_(below, below)] = True
    entries, work = fill(n, indptr, indices, order, 10**9)
    counts = np.array([structural[k + 1 :, k].sum() for k in range(n)])
    assert entries == counts.sum()
    assert work == (counts * (counts + 1)).sum()
    assert (np.abs(np.tril(factor, -1)) > 0).sum() <= entries


def test_minimum_degree_fills_less_than_the_order_as_written():
    pattern = (grid(40) - sparse.diags(grid(40).diagonal())).tocsr()
    pattern.eliminate_zeros()
    pattern.sort_indices()
    indptr, indices = pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)
    n = 1600
    ours = fill(n, indptr, indices, minimum_degree(n, indptr, indices, 10**9), 10**9)[0]
    written = fill(n, indptr, indices, np.arange(n), 10**9)[0]
    assert ours < written / 2.5


# ---------------------------------------------------------------- choice


def test_the_choice_follows_the_pattern():
    small = sparse.csr_matrix(np.ones((5, 5)))
    assert planned(small, "auto").name == "dense"
    full = sparse.csr_matrix(np.ones((100, 100)))
    assert planned(full, "auto").name == "dense"
    band = sparse.diags([np.ones(499), np.ones(500), np.ones(499)], [-1, 0, 1]).tocsr()
    assert planned(band, "auto").name == "banded"
    shuffled = np.random.default_rng(0).permutation(500)
    mixed = band[shuffled][:, shuffled].tocsr()
    chosen = planned(mixed, "auto")
    assert chosen.describe.startswith("banded LU, 1 below and 1 above")  # found by Cuthill-McKee
    assert planned(grid(40), "auto").name == "sparse"
    assert plan(7).name == "dense"


def test_models_whose_factors_would_not_fit_iterate(monkeypatch):
    monkeypatch.setattr("sciml_dsl.solve.linear.plan.LARGEST_FILL", 100_000)
    n = 5_000
    rng = np.random.default_rng(1)
    indptr = np.arange(n + 1, dtype=np.int64) * 4
    indices = np.sort(rng.integers(0, n, (n, 4)), axis=1).reshape(-1)
    chosen = plan(n, indptr, indices, jvp=True)
    assert chosen.kind == layout.KRYLOV


def test_what_cannot_be_is_said():
    band = sparse.diags([np.ones(49), np.ones(50)], [-1, 0]).tocsr()
    with pytest.raises(UnknownNameError, match="banded"):
        planned(band, "band")
    with pytest.raises(InputError, match="jvp"):
        plan(50, band.indptr, band.indices, requested="krylov")
    with pytest.raises(InputError, match="pattern"):
        plan(50, requested="sparse")
    with pytest.raises(InputError, match="complex"):
        planned(band, "krylov", n_complex=2)
