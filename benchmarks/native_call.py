"""Seconds of one call of a native function `void f(double t, const double *u, const double *p, double *out)`.

The loop is compiled by LLVM, so that nothing of Python is in the time.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

LOOP = """
define void @repeat(ptr %f, i64 %n, ptr %u, ptr %p, ptr %out) {
entry:
  br label %loop
loop:
  %k = phi i64 [0, %entry], [%next, %loop]
  call void %f(double 0.0, ptr %u, ptr %p, ptr %out)
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@cache
def _loop() -> tuple[Any, Any]:
    from sciml_dsl.codegen.jit import MachineCode

    code = MachineCode(LOOP)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_void_p] * 3)
    return code, kind(code.address("repeat"))


def repeat(address: int, count: int, u: Any, p: Any, out: Any) -> float:
    """Seconds that `count` calls take."""
    call = _loop()[1]
    began = time.perf_counter()
    call(address, count, *(a.ctypes.data for a in (u, p, out)))
    return time.perf_counter() - began


def seconds_of_address(address: int, u: Any, p: Any, size: int, samples: int = 30) -> float:
    """The least of several samples of a millisecond."""
    import numpy as np

    out = np.empty(size)
    count = 1
    while repeat(address, count, u, p, out) < 1e-3:
        count *= 2
    return min(repeat(address, count, u, p, out) for _ in range(samples)) / count


def seconds_a_call(f: Any, u: Any, p: Any) -> float:
    """Of a callable made by `m.rhs("native")`."""
    return seconds_of_address(f.address, u, p, len(u))
