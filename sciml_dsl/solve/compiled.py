"""How the functions inside the kernel are compiled: linked into it, never called from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

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
