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


def _emit_at(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """As `_emit`, for (address, t, (array, offset)...); `p` comes as an array without offset."""
    address, t, *rest = values
    pointers = []
    for kind, value in zip(kinds[2:], rest, strict=True):
        if isinstance(kind, types.Array):
            pointers.append(_data(context, builder, kind, value))
        else:
            pointers[-1] = builder.gep(pointers[-1], [value])
    signature = ir.FunctionType(ir.VoidType(), [_DOUBLE] + [_POINTER] * len(pointers))
    builder.call(builder.inttoptr(address, signature.as_pointer()), [t, *pointers])
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]
def call_at(typingctx: Any, address: Any, t: Any, u: Any, at_u: Any, p: Any, out: Any, at_out: Any) -> Any:
    """`f(t, &u[at_u], p, &out[at_out])`: argument and result inside larger arrays."""
    arrays = (u, p, out)
    if not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    signature = types.void(types.int64, types.float64, u, types.int64, p, out, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _emit_at(context, builder, sig.args, args)

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def call_along_at(
    typingctx: Any, address: Any, t: Any, u: Any, at_u: Any, p: Any, v: Any, at_v: Any, out: Any, at_out: Any
) -> Any:
    """`f(t, &u[at_u], p, &v[at_v], &out[at_out])`."""
    arrays = (u, p, v, out)
    if not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    signature = types.void(types.int64, types.float64, u, types.int64, p, v, types.int64, out, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _emit_at(context, builder, sig.args, args)

    return signature, codegen


__all__ = ["call", "call_along", "call_along_at", "call_at"]
