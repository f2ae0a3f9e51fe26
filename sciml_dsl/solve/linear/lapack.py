"""LAPACK's LU of large dense matrices, called by address.

The addresses come from scipy, which carries a LAPACK for numba and Cython; they go to
compiled code as integers.  Matrices here are row-major, LAPACK's column-major: it
factorises the transpose and solves with the transpose of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import get_cython_function_address, intrinsic

from ..compiled import inner

_INT = ir.IntType(32)


def addresses() -> tuple[int, int, int, int]:
    """Addresses of dgetrf, dgetrs, zgetrf and zgetrs."""
    names = ("dgetrf", "dgetrs", "zgetrf", "zgetrs")
    a, b, c, d = (int(get_cython_function_address("scipy.linalg.cython_lapack", name)) for name in names)
    return a, b, c, d


def _slot(builder: Any, value: Any) -> Any:
    cell = builder.alloca(_INT)
    builder.store(builder.trunc(value, _INT), cell)
    return cell


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


@intrinsic  # type: ignore[untyped-decorator]
def _getrf(typingctx: Any, address: Any, n: Any, a: Any, pivots: Any) -> Any:
    signature = types.int64(types.int64, types.int64, a, pivots)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size, info = _slot(builder, args[1]), builder.alloca(_INT)
        matrix = _data(context, builder, sig.args[2], args[2])
        exchanges = builder.bitcast(_data(context, builder, sig.args[3], args[3]), _INT.as_pointer())
        passed = [size, size, matrix, size, exchanges, info]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), passed)
        return builder.sext(builder.load(info), ir.IntType(64))

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def _getrs(typingctx: Any, address: Any, n: Any, a: Any, pivots: Any, b: Any) -> Any:
    signature = types.int64(types.int64, types.int64, a, pivots, b)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        letter = builder.alloca(ir.IntType(8))
        builder.store(ir.IntType(8)(ord("T")), letter)
        one = ir.IntType(64)(1)
        size, columns, info = _slot(builder, args[1]), _slot(builder, one), builder.alloca(_INT)
        matrix = _data(context, builder, sig.args[2], args[2])
        exchanges = builder.bitcast(_data(context, builder, sig.args[3], args[3]), _INT.as_pointer())
        right = _data(context, builder, sig.args[4], args[4])
        passed = [letter, size, columns, matrix, size, exchanges, right, size, info]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), passed)
        return builder.sext(builder.load(info), ir.IntType(64))

    return signature, codegen


@inner()
def factorise_large(address: int, n: int, a: Any, pivots: Any) -> bool:
    """As `dense.factorise`, for a flat matrix `a`; `pivots` (n integers) belong to LAPACK."""
    if _getrf(address, n, a, pivots) != 0:
        return False
    finite = True
    for i in range(n):
        finite = finite and bool(np.isfinite(abs(a[i * n + i])))
    return finite


@inner()
def solve_large(address: int, n: int, a: Any, pivots: Any, b: Any) -> None:
    """Solve in place for `b` (n)."""
    _getrs(address, n, a, pivots, b)
