"""Right-hand sides and Jacobians as compiled functions, for libraries that call Python functions.

They are the machine code that sciml_dsl itself runs, behind numba wrappers that write into
the caller's array: nothing faster could be handed to a library with Python callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.problem import Problem

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Compiled:
    """`f(t, u, out)`, `jac(t, u, out (n, n))`, `values(t, u, out (nnz,))` in CSR order, for one phase."""

    f: Callable[[float, Floats, Floats], None]
    jac: Callable[[float, Floats, Floats], None]
    values: Callable[[float, Floats, Floats], None]
    indptr: Any
    indices: Any
    keepalive: Any


def functions(problem: Problem) -> Any:
    """The native functions, with the sparse Jacobian."""
    import sciml_dsl as sd
    from sciml_dsl.codegen.native import functions as native

    found = native(sd.model(problem.text))
    return found.extend("sparse") if found.extend is not None else found


def compiled(problem: Problem, native: Any, phase: int) -> Compiled:
    """The functions of a problem inside one phase; the time they see never leaves it."""
    from numba import njit

    from sciml_dsl.solve.call import call

    begin = 0.0 if phase == 0 else float(np.nextafter(problem.ends[phase - 1], np.inf))
    end = float(np.nextafter(problem.ends[phase], 0.0))
    p = np.zeros(1)

    def wrapped(address: int) -> Any:
        @njit  # type: ignore[untyped-decorator]
        def evaluate(t: float, u: Any, out: Any) -> None:
            call(address, min(max(t, begin), end), u, p, out, 0)

        return evaluate

    return Compiled(
        wrapped(native.f),
        wrapped(native.jac),
        wrapped(native.jac_values),
        native.jac_indptr,
        native.jac_indices,
        native,
    )
