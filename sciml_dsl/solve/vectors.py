"""Loops over whole vectors inside the one array that compiled methods work in, written so that LLVM vectorises them.

`view` makes an array of a part of another one without checks; an index into such an array runs
from 0, so nothing is left of Python's negative indices, which keep LLVM from seeing contiguous
memory.  Sums of products of rows go four rows at a time, because a loop with more
pointers is not vectorised.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .compiled import inner


@intrinsic  # type: ignore[untyped-decorator]
def view(typingctx: Any, array: Any, start: Any, size: Any) -> Any:
    """`array[start : start + size]` for numbers known to be right; the array must outlive it."""
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        return None
    result = types.Array(array.dtype, 1, "C")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = context.make_array(sig.args[0])(context, builder, args[0])
        part = context.make_array(sig.return_type)(context, builder)
        item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
        populate_array(
            part, data=builder.gep(whole.data, [args[1]]), shape=cgutils.pack_array(builder, [args[2]]),
            strides=cgutils.pack_array(builder, [item]), itemsize=item, meminfo=None,
        )  # fmt: skip
        return part._getvalue()

    return result(array, types.int64, types.int64), codegen


@inner("contract")
def fill(x: Any, value: float) -> None:
    """x = value."""
    for i in range(x.size):
        x[i] = value


@inner("contract")
def copy(x: Any, out: Any) -> None:
    """out = x."""
    for i in range(out.size):
        out[i] = x[i]


@inner("contract")
def add_rows(c: Any, at: int, count: int, work: Any, first: int, out: Any) -> None:
    """out += sum over j < count of c[at + j] times row j of the matrix that begins at work[first:]; its rows are as
    long as `out`."""
    n = out.size
    j = 0
    while j + 4 <= count:
        x0, x1 = view(work, first + j * n, n), view(work, first + (j + 1) * n, n)
        x2, x3 = view(work, first + (j + 2) * n, n), view(work, first + (j + 3) * n, n)
        c0, c1, c2, c3 = c[at + j], c[at + j + 1], c[at + j + 2], c[at + j + 3]
        for i in range(n):
            out[i] += (c0 * x0[i] + c1 * x1[i]) + (c2 * x2[i] + c3 * x3[i])
        j += 4
    if j + 2 <= count:
        x0, x1 = view(work, first + j * n, n), view(work, first + (j + 1) * n, n)
        c0, c1 = c[at + j], c[at + j + 1]
        for i in range(n):
            out[i] += c0 * x0[i] + c1 * x1[i]
        j += 2
    if j < count:
        x0, c0 = view(work, first + j * n, n), c[at + j]
        if c0 != 0.0:
            for i in range(n):
                out[i] += c0 * x0[i]


@inner("contract", "reassoc")
def size_of(x: Any, weights: Any) -> float:
    """Sum of the squares of x times weights."""
    total = 0.0
    for i in range(weights.size):
        y = x[i] * weights[i]
        total += y * y
    return total


@inner("contract", "reassoc")
def size_of_complex(x: Any, weights: Any) -> float:
    """The same for complex x, real and imaginary parts in turn."""
    total = 0.0
    for i in range(weights.size):
        re, im = x[2 * i], x[2 * i + 1]
        total += (re * re + im * im) * (weights[i] * weights[i])
    return total


@inner("contract")
def residual(h: float, f: Any, mass: Any, scale: float, z: Any, out: Any) -> None:
    """out = h f - scale M z; `mass` is empty where M is the identity."""
    if mass.size > 0:
        for i in range(out.size):
            out[i] = h * f[i] - scale * (mass[i] * z[i])
    else:
        for i in range(out.size):
            out[i] = h * f[i] - scale * z[i]
