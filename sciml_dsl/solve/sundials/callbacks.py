"""What SUNDIALS calls: right-hand side, residual, Jacobian, error weights; compiled, without Python.

Every function gets a block of 64-bit integers as its user data, in the order of the slots
below: addresses of the model's native functions, of arrays, and of the accessors of
SUNDIALS' vectors and matrices.  A value that is not finite is reported as recoverable,
so that a smaller step is tried.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, types
from numba.extending import intrinsic

from ..compiled import inner

F, P, N, JAC, KIND, NNZ, LOWER, UPPER, GET, DATA, ROWS, COLUMNS, SCRATCH, INDPTR, INDICES, ORDER = range(16)
RTOL, ATOL, MASS, JVP, CALLS = range(16, 21)
N_SLOTS = 24
DENSE, DENSE_FROM_SPARSE, BANDED, SPARSE = range(4)

_DOUBLES = types.CPointer(types.float64)
_LONGS = types.CPointer(types.int64)
_INTS = types.CPointer(types.int32)
_64 = ir.IntType(64)
_POINTER = ir.DoubleType().as_pointer()


def _caster(kind: Any, width: Any) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def cast(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], width.as_pointer())

        return kind(types.int64), codegen

    return cast


doubles = _caster(_DOUBLES, ir.DoubleType())
longs = _caster(_LONGS, _64)
ints = _caster(_INTS, ir.IntType(32))


@intrinsic  # type: ignore[untyped-decorator]
def access(typingctx: Any, function: Any, thing: Any) -> Any:
    """The address that an accessor of SUNDIALS, `void *function(void *thing)`, gives."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signature = ir.FunctionType(_64, [_64])
        thing = builder.ptrtoint(args[1], _64)
        return builder.call(builder.inttoptr(args[0], signature.as_pointer()), [thing])

    return types.int64(types.int64, types.voidptr), codegen


@intrinsic  # type: ignore[untyped-decorator]
def evaluate(typingctx: Any, function: Any, t: Any, u: Any, p: Any, out: Any) -> Any:
    """`function(t, u, p, out)`, all but t being addresses."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signature = ir.FunctionType(ir.VoidType(), [ir.DoubleType(), _POINTER, _POINTER, _POINTER])
        pointers = [builder.inttoptr(value, _POINTER) for value in args[2:]]
        builder.call(builder.inttoptr(args[0], signature.as_pointer()), [args[1], *pointers])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(integer, types.float64, integer, integer, integer), codegen


@intrinsic  # type: ignore[untyped-decorator]
def evaluate_along(typingctx: Any, function: Any, t: Any, u: Any, p: Any, v: Any, out: Any) -> Any:
    """`function(t, u, p, v, out)`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signature = ir.FunctionType(ir.VoidType(), [ir.DoubleType(), *[_POINTER] * 4])
        pointers = [builder.inttoptr(value, _POINTER) for value in args[2:]]
        builder.call(builder.inttoptr(args[0], signature.as_pointer()), [args[1], *pointers])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(integer, types.float64, integer, integer, integer, integer), codegen


@cache
def functions() -> dict[str, Any]:
    """The compiled callbacks: right-hand side, residual, weights, Jacobians, product; kept on disk by numba."""
    pointer = types.voidptr

    @cfunc(types.int32(types.float64, pointer, pointer, pointer), cache=True)  # type: ignore[untyped-decorator]
    def rhs(t: Any, y: Any, out: Any, data: Any) -> Any:
        block = carray(data, N_SLOTS, np.int64)
        n = block[N]
        at = access(block[GET], out)
        evaluate(block[F], t, access(block[GET], y), block[P], at)
        values = carray(doubles(at), n)
        for i in range(n):
            if not np.isfinite(values[i]):
                return 1
        return 0

    @cfunc(types.int32(types.float64, pointer, pointer, pointer, pointer), cache=True)  # type: ignore[untyped-decorator]
    def residual(t: Any, y: Any, yp: Any, out: Any, data: Any) -> Any:
        block = carray(data, N_SLOTS, np.int64)
        n = block[N]
        at = access(block[GET], out)
        evaluate(block[F], t, access(block[GET], y), block[P], at)
        values, slope = carray(doubles(at), n), carray(doubles(access(block[GET], yp)), n)
        mass = carray(doubles(block[MASS]), n)
        for i in range(n):
            if not np.isfinite(values[i]):
                return 1
            values[i] = mass[i] * slope[i] - values[i]
        return 0

    @cfunc(types.int32(pointer, pointer, pointer), cache=True)  # type: ignore[untyped-decorator]
    def weights(y: Any, out: Any, data: Any) -> Any:
        block = carray(data, N_SLOTS, np.int64)
        n = block[N]
        values, weight = carray(doubles(access(block[GET], y)), n), carray(doubles(access(block[GET], out)), n)
        rtol, atol = carray(doubles(block[RTOL]), n), carray(doubles(block[ATOL]), n)
        for i in range(n):
            weight[i] = 1.0 / (rtol[i] * abs(values[i]) + atol[i])
        return 0

    return {
        "rhs": rhs,
        "residual": residual,
        "weights": weights,
        "jacobian": _jacobian(False),
        "residual_jacobian": _jacobian(True),
        "product": _product(),
    }


def _product() -> Any:
    pointer = types.voidptr

    @cfunc(  # type: ignore[untyped-decorator]
        types.int32(pointer, pointer, types.float64, pointer, pointer, pointer, pointer), cache=True
    )
    def product(v: Any, out: Any, t: Any, y: Any, fy: Any, data: Any, spare: Any) -> Any:
        block = carray(data, N_SLOTS, np.int64)
        get = block[GET]
        evaluate_along(block[JVP], t, access(get, y), block[P], access(get, v), access(get, out))
        return 0

    return product


@inner()
def _fill(t: float, c: float, implicit: bool, y: Any, matrix: Any, data: Any) -> int:
    """df/du for CVODE; with `implicit` c M - df/du for IDA, whose c comes as an argument."""
    block = carray(data, N_SLOTS, np.int64)
    n, kind = block[N], block[KIND]
    sign = -1.0 if implicit else 1.0
    carray(longs(block[CALLS]), 1)[0] += 1
    evaluate(block[JAC], t, access(block[GET], y), block[P], block[SCRATCH])
    mass = carray(doubles(block[MASS]), n)
    if kind == DENSE:
        found, out = carray(doubles(block[SCRATCH]), n * n), carray(doubles(access(block[DATA], matrix)), n * n)
        for i in range(n):
            for j in range(n):
                if not np.isfinite(found[i * n + j]):
                    return 1
                out[j * n + i] = sign * found[i * n + j]
            if implicit:
                out[i * n + i] += c * mass[i]
        return 0
    nnz = block[NNZ]
    found = carray(doubles(block[SCRATCH]), nnz)
    indptr, indices = carray(longs(block[INDPTR]), n + 1), carray(longs(block[INDICES]), nnz)
    for k in range(nnz):
        if not np.isfinite(found[k]):
            return 1
        found[k] *= sign
    if kind == SPARSE:
        out = carray(doubles(access(block[DATA], matrix)), nnz)
        rows, columns = (
            carray(ints(access(block[ROWS], matrix)), nnz),
            carray(ints(access(block[COLUMNS], matrix)), n + 1),
        )
        order = carray(longs(block[ORDER]), nnz)  # place in the columns of each entry of the rows
        for j in range(n + 1):
            columns[j] = 0
        for k in range(nnz):
            columns[indices[k] + 1] += 1
        for j in range(n):
            columns[j + 1] += columns[j]
        for i in range(n):
            for k in range(indptr[i], indptr[i + 1]):
                value = found[k]
                if implicit and indices[k] == i:
                    value += c * mass[i]
                out[order[k]] = value
                rows[order[k]] = i
        return 0
    lower, upper = block[LOWER], block[UPPER]
    top = min(n - 1, lower + upper)  # room for the fill-in of row exchanges
    width = n if kind == DENSE_FROM_SPARSE else top + lower + 1
    out = carray(doubles(access(block[DATA], matrix)), n * width)
    for k in range(n * width):
        out[k] = 0.0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            out[j * n + i if kind == DENSE_FROM_SPARSE else j * width + i - j + top] = found[k]
        if implicit:
            out[i * n + i if kind == DENSE_FROM_SPARSE else i * width + top] += c * mass[i]
    return 0


def _jacobian(implicit: bool) -> Any:
    pointer = types.voidptr
    if implicit:

        @cfunc(  # type: ignore[untyped-decorator]
            types.int32(types.float64, types.float64, *[pointer] * 8), cache=True
        )
        def jacobian_of_residual(
            t: Any, c: Any, y: Any, yp: Any, r: Any, matrix: Any, data: Any, a: Any, b: Any, d: Any
        ) -> Any:
            return _fill(t, c, True, y, matrix, data)

        return jacobian_of_residual

    @cfunc(types.int32(types.float64, *[pointer] * 7), cache=True)  # type: ignore[untyped-decorator]
    def jacobian(t: Any, y: Any, fy: Any, matrix: Any, data: Any, a: Any, b: Any, d: Any) -> Any:
        return _fill(t, 0.0, False, y, matrix, data)

    return jacobian
