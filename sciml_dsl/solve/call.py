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


_INT = ir.IntType(64)


@intrinsic  # type: ignore[untyped-decorator]
def call_method(
    typingctx: Any, address: Any, task: Any, fn: Any, reals: Any, ints: Any, row: Any, u: Any, p: Any,
    work: Any, at_work: Any, iwork: Any, at_iwork: Any,
) -> Any:  # fmt: skip
    """A method by address (methods/abi.py), with row `row` of `reals` and `ints` and its part of the memory."""
    arrays = (fn, reals, ints, u, p, work, iwork)
    if not all(isinstance(a, types.Array) and a.layout == "C" for a in arrays):
        return None
    integer = types.int64
    signature = types.void(
        integer, integer, fn, reals, ints, integer, u, p, work, integer, iwork, integer
    )  # fmt: skip

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, task, *_, row, _, _, _, at_work, _, at_iwork = args
        pointers = []
        for place in (2, 3, 4, 6, 7, 8, 10):
            pointer = _data(context, builder, sig.args[place], args[place])
            if place in (3, 4):
                view = context.make_array(sig.args[place])(context, builder, args[place])
                width = builder.extract_value(view.shape, 1)
                pointer = builder.gep(pointer, [builder.mul(row, width)])
            if place in (8, 10):
                pointer = builder.gep(pointer, [at_work if place == 8 else at_iwork])
            pointers.append(pointer)
        kind = ir.FunctionType(ir.VoidType(), [_INT] + [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(address, kind.as_pointer()), [task, *pointers])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def call_clock(typingctx: Any, address: Any) -> Any:
    """The C function `clock` at `address`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(builder.inttoptr(args[0], ir.FunctionType(_INT, []).as_pointer()), [])

    return types.int64(types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def call_signals(typingctx: Any, ensure: Any, check: Any, fetch: Any, release: Any, caught: Any, at: Any) -> Any:
    """Let the interpreter handle pending signals; what a handler raises goes to `caught[at:at + 3]`.

    The addresses are PyGILState_Ensure, PyErr_CheckSignals, PyErr_Fetch and
    PyGILState_Release.  Returns 0 where nothing was raised.
    """
    integer = types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ensure, check, fetch, release, _, at = args
        small, pointer = ir.IntType(32), _INT.as_pointer()

        def function(value: Any, result: Any, inputs: list[Any]) -> Any:
            return builder.inttoptr(value, ir.FunctionType(result, inputs).as_pointer())

        state = builder.call(function(ensure, small, []), [])
        result = builder.call(function(check, small, []), [])
        failed = builder.icmp_signed("!=", result, ir.Constant(small, 0))
        places = builder.gep(_data(context, builder, sig.args[4], args[4]), [at])
        with builder.if_then(failed):
            inputs = [builder.gep(places, [ir.Constant(_INT, i)]) for i in range(3)]
            builder.call(function(fetch, ir.VoidType(), [pointer] * 3), inputs)
        builder.call(function(release, ir.VoidType(), [small]), [state])
        return builder.sext(result, _INT)

    return integer(integer, integer, integer, integer, caught, integer), codegen


__all__ = ["call", "call_along", "call_along_at", "call_at", "call_clock", "call_method", "call_signals"]
