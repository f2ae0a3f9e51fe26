"""Factorisations written out for one model against numpy: real and complex, good pivots and bad ones."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.codegen import written_factors
from sciml_dsl.codegen.jit import MachineCode
from sciml_dsl.codegen.native import functions
from sciml_dsl.solve.choice import choose
from sciml_dsl.solve.linear import layout
from test_linear import Room, planned

POINTER = ctypes.c_void_p


class Factors:
    """The four functions for one pattern."""

    def __init__(self, n: int, entries: list[tuple[int, int]], order: list[int]) -> None:
        rows = [{i} | {j for k, j in entries if k == i} for i in range(n)]
        for position, k in enumerate(order):  # the fill
            later = set(order[position + 1 :])
            for i in later:
                if k in rows[i]:
                    rows[i] |= rows[k] & later
        self.n = n
        self.pattern = written_factors.Written(n, entries, order, rows)
        self.code = MachineCode(written_factors.text(self.pattern, True))

    def call(self, name: str, t: float, *arrays: Any) -> None:
        kind = ctypes.CFUNCTYPE(None, ctypes.c_double, *[POINTER] * len(arrays))
        kind(self.code.address(name))(t, *(a.ctypes.data for a in arrays))

    def solve(self, shift: complex, beta: float, jacobian: Any, b: Any) -> tuple[bool, Any]:
        """Whether the pivots served, and the solution."""
        kind, tail = (complex, "_complex") if isinstance(shift, complex) else (float, "")
        factors, x, p = np.zeros(self.pattern.count + 1, kind), np.array(b, kind), np.zeros(1)
        v = np.array([complex(shift).imag, beta])
        self.call("written_factor" + tail, complex(shift).real, np.ascontiguousarray(jacobian), p, v, factors)
        self.call("written_solve" + tail, 0.0, factors, p, x)
        return bool(factors[:1].view(float)[0] == 1.0), x


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 9), density=st.floats(0.0, 1.0), seed=st.integers(0, 2**31), beta=st.floats(1e-6, 1.0))
def test_systems_are_solved_as_numpy_solves_them(n: int, density: float, seed: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-3, 3, (n, n)) * (rng.random((n, n)) < density)
    entries = [(int(i), int(j)) for i, j in zip(*np.nonzero(jacobian), strict=True)]
    both = Factors(n, entries, [int(k) for k in rng.permutation(n)])
    b = rng.normal(size=n)
    for shift in (3.6, 2.7 + 3.1j):
        w = shift * np.eye(n) - beta * jacobian
        right = b + 1j * b[::-1] if isinstance(shift, complex) else b
        served, x = both.solve(shift, beta, jacobian, right)
        if isinstance(shift, complex):
            continue  # goes by the verdict on the real ones, below
        if served and np.linalg.cond(w) < 1e8:
            scale = np.abs(w).sum(axis=1).max() * np.abs(x).max() + np.abs(right).max()
            assert np.abs(w @ x - right).max() <= 1e-7 * scale
            _, z = both.solve(2.7 + 3.1j, beta, jacobian, b + 0j)
            wc = (2.7 + 3.1j) * np.eye(n) - beta * jacobian
            assert np.abs(wc @ z - b).max() <= 1e-5 * (np.abs(wc).sum(axis=1).max() * np.abs(z).max() + 1)
    dominant = 2.0 * np.abs(jacobian).sum() * np.eye(n) + np.eye(n)  # pivots on the diagonal are good ones here
    for shift in (1.0, 1.0 + 2.0j):
        served, x = both.solve(shift, 1.0, jacobian - dominant * (jacobian != 0), b)
        w = shift * np.eye(n) - (jacobian - dominant * (jacobian != 0))
        if np.linalg.cond(w) < 1e6:
            assert np.abs(w @ x - b).max() <= 1e-12 * np.abs(w).max() * (np.abs(x).max() + 1)


def test_pivots_that_do_not_serve_are_told() -> None:
    both = Factors(2, [(0, 0), (0, 1), (1, 0), (1, 1)], [0, 1])
    swapped = np.array([[1.0, 0.5], [0.5, 1.0]])  # 1 - this has zeros on its diagonal
    assert both.solve(2.0, 1.0, swapped, np.ones(2))[0]
    assert not both.solve(1.0, 1.0, swapped, np.ones(2))[0]
    almost = np.array([[1.0 - 2.0**-52, 0.5], [0.5, 0.3]])  # a pivot of 2e-16: 0.7 is lost beside 0.25/2e-16
    w = np.eye(2) - almost
    served, x = both.solve(1.0, 1.0, almost, np.diag(w))
    assert not served or np.abs(w @ x - np.diag(w)).max() <= 1e-8
    assert not both.solve(1.0, 1.0, np.full((2, 2), np.nan), np.ones(2))[0]


def test_without_good_pivots_rows_are_exchanged_instead() -> None:
    matrix = sparse.csr_matrix(np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 1.0], [0.0, 1.0, -4.0]]))
    both = Factors(3, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)], [0, 1, 2])
    names = ("written_factor", "written_solve", "written_factor_complex", "written_solve_complex")
    chosen = planned(matrix, "auto", n_complex=2, written=tuple(both.code.address(name) for name in names))
    room, b = Room(chosen, matrix), np.array([1.0, 2.0, 3.0])
    for alpha, first_pivot in ((2.5, -1), (1.0, 1), (4.0, -1)):  # at 1 the first pivot is 0: row 1 takes its place
        np.testing.assert_allclose(room.w(alpha, 1.0) @ room.solve(alpha, 1.0, b), b, rtol=1e-13)
        assert room.iwork[3 + room.iwork[3 + layout.PIVOTS]] == first_pivot
        shift = alpha * (1 + 1j)
        np.testing.assert_allclose(room.w(shift, 1.0) @ room.solve_complex(shift, 1.0, b + 0j), b, atol=1e-12)


KINETICS = "; ".join(
    f"s{i}' = {k}*s{(i - 1) % 15}*s{(i + 3) % 15} - {k}*s{i}*s{(i + 4) % 15} + 10*s{(i - 2) % 15} - 10*s{i}"
    f"; s{i}(0) = {k}"
    for i, k in ((i, 1 + i % 4) for i in range(15))
)


@pytest.mark.parametrize("method", ["radau", "kvaerno5", "ndf", "trbdf2"])
def test_methods_end_where_they_end_with_row_exchanges(method: str) -> None:
    m = sd.model(KINETICS)
    native = functions(m)
    assert "written out" in choose(native, method, 1e-9, False, ()).linear[0]
    options: dict[str, Any] = {"method": method, "rtol": 1e-9, "atol": 1e-12, "saveat": [3.0], "max_steps": 100_000}
    if method == "trbdf2":
        options["rtol"] = 1e-6
    own, plain = m.solve((0, 3), **options), m.solve((0, 3), linear_solver="sparse", **options)
    assert own.success and plain.success
    np.testing.assert_allclose(own.u[-1], plain.u[-1], rtol=10 * options["rtol"])


def test_where_it_does_not_pay() -> None:
    assert written_factors.written(sd.model("x' = -x").system) is None
    assert written_factors.written(sd.model("x' = -x; 0 = x - y").system) is None
    full = "; ".join(f"x{i}' = " + "*".join(f"x{j}" for j in range(24)) for i in range(24))
    assert written_factors.written(sd.model(full).system) is None  # 24 states that all depend on each other
