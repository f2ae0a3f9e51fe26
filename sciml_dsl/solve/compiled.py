"""How the functions of this room are compiled: linked into the kernel or a method, never called from Python."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numba import njit, types

F = TypeVar("F", bound=Callable[..., Any])


def inner(*fastmath: str, inline: bool = False) -> Callable[[F], F]:
    """numba's `njit` without the wrappers for Python, whose compilation costs seconds in all.

    `fastmath`: the liberties LLVM may take, "contract" (fused multiply-add) and
    "reassoc" (order of sums); `inline` forces inlining.
    """
    decorate: Callable[[F], F] = njit(
        error_model="numpy",
        fastmath=set(fastmath),
        forceinline=inline,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    return decorate


_REALS, _INTEGERS = types.CPointer(types.float64), types.CPointer(types.int64)
METHOD_SIGNATURE = types.void(types.int64, _INTEGERS, _REALS, _INTEGERS, _REALS, _REALS, _REALS, _INTEGERS)
"""Of a method by address (methods/abi.py): task, fn, reals, ints, u, p, work, iwork."""

_METHOD_SOURCES = ("call", "compiled", "vectors")
_LOOP_SOURCES = (
    "call", "compiled", "control", "dense", "events", "forward", "kernel", "linear/dense", "loop", "slots", "status",
    "stiffness", "storage", "methods/abi", "methods/tsit5", "methods/tsit5_tableau", "methods/rodas5p",
    "methods/rodas5p_tableau",
)  # fmt: skip


@cache
def source_digest(loop: bool = False) -> int:
    """A number that changes with any source a compiled function of this room may have linked in.

    numba looks only at the file of the compiled function itself; as a closure
    variable this number makes its cache see the linked files too.  `loop`: of the
    kernel, which does not depend on methods by address; else of those.
    """
    here = Path(__file__).parent
    paths = [here / f"{name}.py" for name in (_LOOP_SOURCES if loop else _METHOD_SOURCES)]
    if not loop:
        paths += [*sorted(here.glob("linear/*.py")), *sorted(here.glob("methods/*.py"))]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:6], "little")
