"""Calling native functions by address from compiled code.

The kernel is compiled once and must call functions that do not exist yet, so
it gets them as integers.  Each intrinsic turns the integer into a function
pointer of the calling convention and passes the arrays' data pointers.
`offset` counts doubles from the start of `out`, which lets a stage be written
straight into its row of a matrix.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_DOUBLE = ir.DoubleType()
_POINTER = _DOUBLE.as_pointer()


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


def _emit(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Call `address(t, arrays..., out + offset)`; kinds are (address, t, *arrays, out, offset)."""
    address, t, *arrays, out, offset = values
    pointers = [_data(context, builder, k, v) for k, v in zip(kinds[2:-2], arrays, strict=True)]
    pointers.append(builder.gep(_data(context, builder, kinds[-2], out), [offset]))
    signature = ir.FunctionType(ir.VoidType(), [_DOUBLE] + [_POINTER] * len(pointers))
    function = builder.inttoptr(address, signature.as_pointer())
    builder.call(function, [t, *pointers])
    return context.get_dummy_value()


def _typed(n_inputs: int, *kinds: Any) -> Any:
    arrays = kinds[2:-1]
    if len(arrays) != n_inputs + 1 or not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    return types.void(types.int64, types.float64, *arrays, types.int64)


@intrinsic  # type: ignore[untyped-decorator]
def call(typingctx: Any, address: Any, t: Any, u: Any, p: Any, out: Any, offset: Any) -> Any:
    """`f(t, u, p, &out[offset])` for the function at `address`."""
    signature = _typed(2, address, t, u, p, out, offset)
    if signature is None:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _emit(context, builder, sig.args, args)

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def call_along(typingctx: Any, address: Any, t: Any, u: Any, p: Any, v: Any, out: Any, offset: Any) -> Any:
    """`f(t, u, p, v, &out[offset])`, the form of Jacobian-vector and vector-Jacobian products."""
    signature = _typed(3, address, t, u, p, v, out, offset)
    if signature is None:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _emit(context, builder, sig.args, args)

    return signature, codegen


__all__ = ["call", "call_along"]
