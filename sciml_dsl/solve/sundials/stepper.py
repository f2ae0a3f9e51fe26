"""One integration's memory inside SUNDIALS: made, stepped, asked, freed.

Takes native functions, a start and tolerances; every array that SUNDIALS holds a pointer to
lives as long as the `Stepper` does.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..problem import NativeFunctions
from . import callbacks as cb
from .library import Library, load

Floats = NDArray[np.float64]

ADAMS, BDF = 1, 2
NORMAL, ONE_STEP = 1, 2
COUNTERS = ("Steps", "ErrTestFails", "JacEvals", "LinSolvSetups", "NonlinSolvConvFails")
DENSE_BELOW = 30  # with fewer states a dense factorisation is the cheapest
SPARSE_FROM = 400  # SuperLU_MT pays from here on
_CSC = 0


class Stepper:
    """CVODE ("cvode_bdf", "cvode_adams") or IDA ("ida") at (t, u); use as a context.

    Arguments: `rtol`, `atol` (n,); `linear`, "auto", "dense", "banded", "sparse" or "krylov"
    (CVODE only).  `slope` (n,): the derivative at the start, which IDA needs of a model with algebraic
    equations.  `u` (n,) is the current state, `slope` its derivative in IDA.
    """

    def __init__(
        self, functions: NativeFunctions, method: str, t: float, u: Floats, p: Floats, rtol: Floats, atol: Floats,
        linear: str = "auto", *, slope: Floats | None = None,
    ) -> None:  # fmt: skip
        self.library: Library = load()
        self.prefix = "IDA" if method == "ida" else "CVode"
        self.t, self.u, self.p, self.start = t, u.copy(), p, u.copy()
        self.linear = "none" if method == "cvode_adams" else linear
        self._n = u.size
        self._block = np.zeros(cb.N_SLOTS, np.int64)
        self._arrays: dict[int, Any] = {}
        self._free: list[tuple[Any, Any]] = []
        self._before = dict.fromkeys((*COUNTERS, "f"), 0)
        self.functions = functions
        self.slope = np.zeros(self._n) if slope is None else slope.copy()
        self._given_slope = slope is not None
        try:
            self._make(method, rtol, atol)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what SUNDIALS allocated."""
        while self._free:
            function, thing = self._free.pop()
            function(thing)

    def _own(self, function: Any, thing: Any) -> Any:
        if not thing:
            raise MemoryError("SUNDIALS could not allocate its memory")
        self._free.append((function, thing))
        return thing

    def _hold(self, slot: int, array: Any) -> None:
        array = np.ascontiguousarray(array)
        self._arrays[slot] = array
        self._block[slot] = array.ctypes.data

    def _make(self, method: str, rtol: Floats, atol: Floats) -> None:
        lib, n, functions = self.library, self._n, self.functions
        context = ctypes.c_void_p()
        self._check(lib.SUNContext_Create(0, ctypes.byref(context)))
        self._free.append((lambda c: lib.SUNContext_Free(ctypes.byref(c)), context))
        lib.SUNContext_ClearErrHandlers(context)
        self._context = context
        self._y = self._vector(self.u)
        self._yp = self._vector(self.slope)
        self._block[cb.N], self._block[cb.F] = n, functions.f
        self._block[cb.GET] = lib.address("N_VGetArrayPointer")
        for slot, array in (
            (cb.P, self.p if self.p.size else np.zeros(1)),
            (cb.RTOL, np.broadcast_to(rtol, n)),
            (cb.ATOL, np.broadcast_to(atol, n)),
            (cb.MASS, np.array(functions.mass) if functions.mass else np.ones(n)),
            (cb.CALLS, np.zeros(1, np.int64)),
        ):
            self._hold(slot, array)
        compiled = cb.functions()
        if method == "ida":
            memory = lib.IDACreate(context)
        else:
            memory = lib.CVodeCreate(ADAMS if method == "cvode_adams" else BDF, context)
        self._memory = ctypes.c_void_p(memory)
        self._own(lambda m: getattr(lib, f"{self.prefix}Free")(ctypes.byref(m)), self._memory)
        if method == "ida":
            if not self._given_slope:
                self._first_slope()
            self._check(lib.IDAInit(memory, compiled["residual"].address, self.t, self._y, self._yp))
        else:
            self._check(lib.CVodeInit(memory, compiled["rhs"].address, self.t, self._y))
            self._check(lib.CVodeSetMaxHnilWarns(memory, -1))
        self.call("SetUserData", self._block.ctypes.data)
        self.call("WFtolerances", compiled["weights"].address)
        if method == "cvode_adams":
            solver = self._own(lib.SUNNonlinSolFree, lib.SUNNonlinSol_FixedPoint(self._y, 0, context))
            self._check(lib.CVodeSetNonlinearSolver(memory, solver))
        else:
            self._linear_solver(compiled)

    def _vector(self, array: Floats) -> Any:
        lib = self.library
        return self._own(lib.N_VDestroy, lib.N_VMake_Serial(self._n, array.ctypes.data, self._context))

    def _first_slope(self) -> None:
        """u' at the start: of an ordinary equation it is f."""
        form = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        form(self.functions.f)(self.t, self.u.ctypes.data, int(self._block[cb.P]), self.slope.ctypes.data)

    def _linear_solver(self, compiled: dict[str, Any]) -> None:
        lib, n, context, block = self.library, self._n, self._context, self._block
        functions = self.functions
        kind = self.linear
        if kind not in ("auto", "dense", "banded", "sparse", "krylov"):
            raise InputError(f'linear_solver: choose "auto", "dense", "banded", "sparse" or "krylov", got {kind!r}')
        if not (kind in ("auto", "dense") and n < DENSE_BELOW) and functions.extend is not None:
            functions = functions.extend("sparse")
        indptr, indices = functions.jac_indptr, functions.jac_indices
        if kind == "krylov":
            if self.prefix == "IDA" or not functions.jvp:
                raise InputError('linear_solver="krylov" needs method="cvode_bdf" and the products of the model')
            block[cb.JVP] = functions.jvp
            solver = self._own(lib.SUNLinSolFree, lib.SUNLinSol_SPGMR(self._y, 0, 0, context))
            self.call("SetLinearSolver", solver, None)
            self._check(lib.CVodeSetJacTimes(self._memory, None, compiled["product"].address))
            return
        if functions.jac_values and indptr is not None and indices is not None:
            row_of = np.repeat(np.arange(n), np.diff(indptr))
            lower, upper = int(max((row_of - indices).max(), 0)), int(max((indices - row_of).max(), 0))
            if kind == "auto":
                kind = _cheapest(n, indices.size, lower, upper)
            if kind == "banded" and lower + upper >= n:
                kind = "dense"  # no band at all; SUNDIALS' banded storage does not hold one that wide
            lacking = np.setdiff1d(np.flatnonzero(self._arrays[cb.MASS]), indices[row_of == indices])
            if kind == "sparse" and self.prefix == "IDA" and lacking.size:
                kind = "dense"  # c M needs its entries of the diagonal, and the pattern of df/du lacks some
            block[cb.JAC], block[cb.NNZ], block[cb.LOWER], block[cb.UPPER] = (
                functions.jac_values, indices.size, lower, upper,
            )  # fmt: skip
            self._hold(cb.INDPTR, np.asarray(indptr, np.int64))
            self._hold(cb.INDICES, np.asarray(indices, np.int64))
            self._hold(cb.SCRATCH, np.zeros(max(1, indices.size)))
        else:
            kind = "dense"
            block[cb.JAC] = functions.jac
            self._hold(cb.SCRATCH, np.zeros(n * n))
        if kind == "dense":
            block[cb.KIND] = cb.DENSE_FROM_SPARSE if block[cb.INDPTR] else cb.DENSE
            block[cb.DATA] = lib.address("SUNDenseMatrix_Data")
            matrix = self._own(lib.SUNMatDestroy, lib.SUNDenseMatrix(n, n, context))
            solver = lib.SUNLinSol_Dense(self._y, matrix, context)
        elif kind == "banded":
            block[cb.KIND], block[cb.DATA] = cb.BANDED, lib.address("SUNBandMatrix_Data")
            matrix = self._own(
                lib.SUNMatDestroy, lib.SUNBandMatrix(n, int(block[cb.UPPER]), int(block[cb.LOWER]), context)
            )
            solver = lib.SUNLinSol_Band(self._y, matrix, context)
        else:
            block[cb.KIND], block[cb.DATA] = cb.SPARSE, lib.address("SUNSparseMatrix_Data")
            block[cb.ROWS] = lib.address("SUNSparseMatrix_IndexValues")
            block[cb.COLUMNS] = lib.address("SUNSparseMatrix_IndexPointers")
            columns = self._arrays[cb.INDICES]
            by_column = np.lexsort((np.repeat(np.arange(n), np.diff(self._arrays[cb.INDPTR])), columns))
            order = np.empty(columns.size, np.int64)
            order[by_column] = np.arange(columns.size)
            self._hold(cb.ORDER, order)
            matrix = self._own(lib.SUNMatDestroy, lib.SUNSparseMatrix(n, n, columns.size, _CSC, context))
            solver = lib.SUNLinSol_SuperLUMT(self._y, matrix, 1, context)
        self.linear = kind
        self._own(lib.SUNLinSolFree, solver)
        self.call("SetLinearSolver", solver, matrix)
        name = "residual_jacobian" if self.prefix == "IDA" else "jacobian"
        self.call("SetJacFn", compiled[name].address)

    # ------------------------------------------------------------ stepping

    def call(self, name: str, *arguments: Any) -> None:
        """A function of this solver that must succeed."""
        self._check(getattr(self.library, self.prefix + name)(self._memory, *arguments))

    def _check(self, flag: int) -> None:
        if flag < 0:
            raise InputError(f"SUNDIALS refused its arguments (flag {flag})")

    def step(self, towards: float, task: int = ONE_STEP) -> int:
        """One step, or with `NORMAL` as many as it takes to `towards`; `t`, `u` (and `slope`) are moved on.

        Returns SUNDIALS' flag, negative for a failure.
        """
        reached = ctypes.c_double(self.t)
        if self.prefix == "IDA":
            flag = self.library.IDASolve(self._memory, towards, ctypes.byref(reached), self._y, self._yp, task)
        else:
            flag = self.library.CVode(self._memory, towards, self._y, ctypes.byref(reached), task)
        self.t = reached.value
        return int(flag)

    def restart(self) -> None:
        """Forget the history: the right-hand side may jump here."""
        self._before = self._totals()
        if self.prefix == "IDA":
            self._first_slope()
            self._check(self.library.IDAReInit(self._memory, self.t, self._y, self._yp))
        else:
            self._check(self.library.CVodeReInit(self._memory, self.t, self._y))

    def at(self, time: float) -> Floats:
        """The state at a time inside the last step, by the method's own interpolant."""
        return self.derivative(time, 0)

    def derivative(self, time: float, order: int) -> Floats:
        """A derivative of the interpolant at a time inside the last step."""
        out = np.empty(self._n)
        lib = self.library
        vector = lib.N_VMake_Serial(self._n, out.ctypes.data, self._context)
        try:
            self.call("GetDky", time, order, vector)
        finally:
            lib.N_VDestroy(vector)
        return out

    @property
    def stuck(self) -> bool:
        """Whether the step size is below the resolution of time."""
        found = ctypes.c_double()
        self.call("GetCurrentStep", ctypes.byref(found))
        return bool(abs(found.value) <= 4.0 * np.finfo(np.float64).eps * abs(self.t))

    @property
    def order(self) -> int:
        """Order of the last step."""
        found = ctypes.c_int()
        self.call("GetLastOrder", ctypes.byref(found))
        return found.value

    def _count(self, name: str) -> int:
        found = ctypes.c_long()
        self.call(f"GetNum{name}", ctypes.byref(found))
        return found.value

    def _totals(self) -> dict[str, int]:
        names = COUNTERS if self.linear not in ("none", "krylov") else COUNTERS[:2] + COUNTERS[4:]
        now = {name: self._count(name) for name in names}
        now["f"] = self._count("ResEvals" if self.prefix == "IDA" else "RhsEvals")
        return {name: self._before[name] + now.get(name, 0) for name in self._before}

    @property
    def steps(self) -> int:
        """Steps since the beginning."""
        return self._before["Steps"] + self._count("Steps")

    @property
    def totals(self) -> dict[str, int]:
        """Steps, failed error tests, evaluations and factorisations since the beginning."""
        return self._totals()


def _cheapest(n: int, nnz: int, lower: int, upper: int) -> str:
    """The linear solver for a pattern: banded where the band is narrow, sparse where little is filled."""
    if n < DENSE_BELOW:
        return "dense"
    if 2 * lower + upper + 1 <= n // 3:
        return "banded"
    return "sparse" if n >= SPARSE_FROM and nnz < 0.2 * n * n else "dense"
