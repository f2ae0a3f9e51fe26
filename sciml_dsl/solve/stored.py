"""numba's functions out of its cache on disk, without numba's compiler.

Before numba reads machine code from disk it imports all that it could compile with,
which takes longer than everything else on the way from the start of a process to a
first solution.  Machine code needs none of it but the runtime that counts references.
What is not on disk, or damaged there, is compiled, and kept, as numba does it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.runtime import rtsys
from numba.core.sigutils import normalize_signature

F = TypeVar("F", bound=Callable[..., Any])


class _Cache(FunctionCache):  # type: ignore[misc]
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception:  # a damaged file can raise anything; compiled again, it is written again
            with contextlib.suppress(OSError):
                self.flush()
        return None


def stored(*signatures: Any, **options: Any) -> Callable[[F], Any]:
    """`numba.njit(signatures, cache=True, **options)`."""

    def decorate(function: F) -> Any:
        made = njit(**options)(function)
        made._cache = _Cache(function)
        for signature in signatures:
            made.compile(signature)
        made.disable_compile()
        return made

    return decorate


def stored_callback(signature: Any, **options: Any) -> Callable[[F], Any]:
    """`numba.cfunc(signature, cache=True, **options)`."""

    def decorate(function: F) -> Any:
        made: Any = CFunc(function, normalize_signature(signature), locals={}, options=options)
        made._cache = _Cache(function)
        made.compile()
        return made

    return decorate
