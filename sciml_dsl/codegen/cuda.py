"""Target "cuda": the C of target "c" as functions for kernels, one thread for each trajectory.

A header (`model.cuh`): every function is `__host__ __device__`, in a namespace
named after the model, so that several models can stand in one kernel and a
test can run them on the processor.  Names, defaults and patterns are data of
the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import layout
from .c import Dialect, body, head, memory, prepare
from .c_runtime import WORDS
from .identifiers import Identifiers, ascii_identifier

if TYPE_CHECKING:
    from ..model.model import Model

CUDA = Dialect(local="__host__ __device__ inline", public="__host__ __device__ inline", data="", table=False)


def source(model: Model) -> str:
    """A header for CUDA C++ (nvcc, clang), needing nothing else.

    The functions are those of target "c", called as `Model::f(t, u, p, out)` from a
    kernel or from the host; `double` throughout, nothing is allocated.  There is no
    table `AFFECTS`: events have their functions `affect_0`, `affect_1`, ...

    Example
    -------
    >>> import sciml_dsl as sd
    >>> "__device__ inline void f(" in source(sd.model("model M\\n x' = -k*x; x(0) = 1; param k = 2"))
    True
    """
    name = Identifiers(spell=ascii_identifier, words=WORDS).claim(model.spec.name)
    program = prepare(model)
    lines = head(program, f"Include it in a .cu file; the functions stand in the namespace {name}.")
    lines += ["", "#pragma once", "", "#include <math.h>", *memory(program), "", f"namespace {name} {{", ""]
    return layout.finish([*lines, *body(program, CUDA), "", f"}}  // namespace {name}"])
