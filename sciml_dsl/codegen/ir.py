"""Target "llvm": the intermediate code of the functions every solve needs, as the solvers compile it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import jit
from .native import module_text

if TYPE_CHECKING:
    from ..model.model import Model


def source(model: Model) -> str:
    """The model's right-hand side, Jacobian, initial values, observables and events as LLVM IR.

    The functions follow the native calling convention of docs/design.md.  The text is
    for the processor this runs on.  Straight-line code is as the graph made it, shared
    subexpressions once; that of models with networks has been through LLVM's optimiser.
    """
    text, loops = module_text(model.system)
    return jit.ir(text, loops=loops)
