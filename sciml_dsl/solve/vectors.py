"""Loops over whole vectors inside the one array that compiled methods work in, written so that LLVM vectorises them.

`view` makes an array of a part of another one without checks; an index into such an array runs
from 0, so nothing is left of Python's negative indices, which keep LLVM from seeing contiguous
memory.  Sums of products of rows go a few rows at a time, because a loop with more
pointers is not vectorised.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .compiled import inner

FEW = 6
"""Length up to which a plain sum is faster than loops over rows."""


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
def _sum(c: Any, at: int, count: int, work: Any, first: int, n: int) -> float:
    weights, rows = view(c, at, count), view(work, first, count * n)
    total = 0.0
    for j in range(count):
        total += weights[j] * rows[j * n]
    return total


@inner("contract")
def _set(c: Any, at: int, count: int, work: Any, first: int, out: Any) -> int:
    """The first rows of `set_rows`; how many they were."""
    n = out.size
    x0, x1 = view(work, first, n), view(work, first + n, n)
    if count >= 4:
        x2, x3 = view(work, first + 2 * n, n), view(work, first + 3 * n, n)
        c0, c1, c2, c3 = c[at], c[at + 1], c[at + 2], c[at + 3]
        for i in range(n):
            out[i] = (c0 * x0[i] + c1 * x1[i]) + (c2 * x2[i] + c3 * x3[i])
        return 4
    if count == 3:
        x2 = view(work, first + 2 * n, n)
        c0, c1, c2 = c[at], c[at + 1], c[at + 2]
        for i in range(n):
            out[i] = (c0 * x0[i] + c1 * x1[i]) + c2 * x2[i]
        return 3
    if count == 2:
        c0, c1 = c[at], c[at + 1]
        for i in range(n):
            out[i] = c0 * x0[i] + c1 * x1[i]
        return 2
    if count == 1:
        c0 = c[at]
        for i in range(n):
            out[i] = c0 * x0[i]
        return 1
    fill(out, 0.0)
    return 0


@inner("contract")
def add_rows(c: Any, at: int, count: int, work: Any, first: int, out: Any) -> None:
    """out += sum over j < count of c[at + j] times row j of the matrix that begins at work[first:]; its rows are as
    long as `out`."""
    n = out.size
    if n <= FEW:
        for i in range(n):
            out[i] += _sum(c, at, count, work, first + i, n)
        return
    j = 0
    while j < count:
        left = count - j
        x0, c0 = view(work, first + j * n, n), c[at + j]
        if left >= 3:
            x1, x2 = view(work, first + (j + 1) * n, n), view(work, first + (j + 2) * n, n)
            c1, c2 = c[at + j + 1], c[at + j + 2]
            for i in range(n):
                out[i] += c0 * x0[i] + c1 * x1[i] + c2 * x2[i]
            j += 3
        elif left == 2:
            x1, c1 = view(work, first + (j + 1) * n, n), c[at + j + 1]
            for i in range(n):
                out[i] += c0 * x0[i] + c1 * x1[i]
            j += 2
        else:
            if c0 != 0.0:
                for i in range(n):
                    out[i] += c0 * x0[i]
            j += 1


@inner("contract")
def set_rows(c: Any, at: int, count: int, work: Any, first: int, out: Any) -> None:
    """out = that sum."""
    if out.size <= FEW:
        for i in range(out.size):
            out[i] = _sum(c, at, count, work, first + i, out.size)
        return
    done = _set(c, at, count, work, first, out)
    if done < count:
        add_rows(c, at + done, count - done, work, first + done * out.size, out)


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
