"""The linear algebra as one compiled function that methods call through its address.

Linked into each method, all kinds of matrices would be compiled again with every one of
them; so they are compiled once here.  The functions below have the names and arguments of
`interface` and take the address from `fn[abi.LINEAR_ALGEBRA]`; `address` gives it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from ..compiled import inner, source_digest
from ..methods.abi import LINEAR_ALGEBRA
from ..stored import stored_callback
from . import interface

EVALUATE, FACTOR, SOLVE, FACTOR_COMPLEX, SOLVE_COMPLEX, MULTIPLY = range(6)
_ANY = (1 << 40,)  # arrays from pointers: their length is known elsewhere
_INTEGERS, _REALS = types.CPointer(types.int64), types.CPointer(types.float64)
_SIGNATURE = types.int64(
    types.int64, _INTEGERS, _REALS, _REALS, _INTEGERS, _REALS, _INTEGERS,
    types.float64, types.float64, types.float64, types.int64, types.int64,
)  # fmt: skip


def _build(version: int) -> Any:
    @stored_callback(_SIGNATURE, error_model="numpy")
    def linear_algebra(
        task: int, fn_: Any, x_: Any, p_: Any, ints_: Any, work_: Any, iwork_: Any,
        alpha: float, imaginary: float, beta: float, at: int, which: int,
    ) -> int:  # fmt: skip
        fn, ints, iwork = carray(fn_, _ANY), carray(ints_, _ANY), carray(iwork_, _ANY)
        x, p, work = carray(x_, _ANY), carray(p_, _ANY), carray(work_, _ANY)
        good = True
        if task == SOLVE + version - version:
            good = interface.solve(fn, p, ints, work, iwork, at)
        elif task == SOLVE_COMPLEX:
            good = interface.solve_complex(fn, p, ints, work, iwork, at, which)
        elif task == FACTOR:
            good = interface.factor(alpha, beta, ints, work, iwork)
        elif task == FACTOR_COMPLEX:
            good = interface.factor_complex(complex(alpha, imaginary), beta, which, ints, work, iwork)
        elif task == EVALUATE:
            interface.evaluate_jacobian(fn, alpha, x, at, p, ints, work, iwork)
        elif task == MULTIPLY:
            interface.multiply(fn, p, ints, work, iwork, at, which)
        return 1 if good else 0

    return linear_algebra


@cache
def address() -> int:
    """The compiled function."""
    return int(_build(source_digest()).address)


@intrinsic  # type: ignore[untyped-decorator]
def _call(
    typingctx: Any, address: Any, task: Any, fn: Any, x: Any, p: Any, ints: Any, work: Any, iwork: Any,
    alpha: Any, imaginary: Any, beta: Any, at: Any, which: Any,
) -> Any:  # fmt: skip
    arrays = (fn, x, p, ints, work, iwork)
    if not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    integer, real = types.int64, types.float64
    signature = integer(integer, integer, *arrays, real, real, real, integer, integer)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, task, *rest = args
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(sig.args[2:8], rest[:6], strict=True)
        ]
        values = [task, *pointers, *rest[6:]]
        kind = ir.FunctionType(ir.IntType(64), [value.type for value in values])
        return builder.call(builder.inttoptr(address, kind.as_pointer()), values)

    return signature, codegen


@inner()
def evaluate_jacobian(fn: Any, t: float, x: Any, at_x: int, p: Any, ints: Any, work: Any, iwork: Any) -> None:
    """As in `interface`."""
    _call(fn[LINEAR_ALGEBRA], EVALUATE, fn, x, p, ints, work, iwork, t, 0.0, 0.0, at_x, 0)


@inner()
def factor(alpha: float, beta: float, fn: Any, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    """As in `interface`."""
    return bool(_call(fn[LINEAR_ALGEBRA], FACTOR, fn, work, p, ints, work, iwork, alpha, 0.0, beta, 0, 0) != 0)


@inner()
def solve(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int) -> bool:
    """As in `interface`."""
    return bool(_call(fn[LINEAR_ALGEBRA], SOLVE, fn, work, p, ints, work, iwork, 0.0, 0.0, 0.0, at, 0) != 0)


@inner()
def factor_complex(
    alpha: float, imaginary: float, beta: float, which: int, fn: Any, p: Any, ints: Any, work: Any, iwork: Any
) -> bool:
    """As in `interface`, for alpha + i imaginary."""
    code = _call(
        fn[LINEAR_ALGEBRA], FACTOR_COMPLEX, fn, work, p, ints, work, iwork, alpha, imaginary, beta, 0, which
    )  # fmt: skip
    return bool(code != 0)


@inner()
def solve_complex(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int, which: int) -> bool:
    """As in `interface`."""
    code = _call(fn[LINEAR_ALGEBRA], SOLVE_COMPLEX, fn, work, p, ints, work, iwork, 0.0, 0.0, 0.0, at, which)
    return bool(code != 0)


@inner()
def multiply(fn: Any, p: Any, ints: Any, work: Any, iwork: Any, at: int, out: int) -> None:
    """As in `interface`."""
    _call(fn[LINEAR_ALGEBRA], MULTIPLY, fn, work, p, ints, work, iwork, 0.0, 0.0, 0.0, at, out)
