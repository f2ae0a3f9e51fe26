"""Integration of models whose equations jump: with modes and switches where sensitivities are asked for.

Takes a model; gives an `Integrator` whose runs with sensitivities go through `graph.switching`.
Where nothing jumps it is an ordinary one.  Parameters, columns and results are those of the model as written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from .integrate import EMPTY, Integrator, Trajectory
from .problem import NativeFunctions

if TYPE_CHECKING:
    from ..graph.system import System
    from ..model.model import Model

Floats = NDArray[np.float64]

WRITTEN_OUT = 500
"""States up to which a model with arrays is written out to look for what jumps; sensitivities are dense anyway."""


def jumps(model: Model) -> bool:
    """Do the equations jump where parameters or initial values decide when?

    Then exact derivatives need the saltation terms, which forward sensitivities have and the
    discrete adjoint has not.
    """
    spec = model.spec
    if spec.as_loops and len(spec.states) > WRITTEN_OUT:
        return _loops_jump(model)
    return _switched(model) is not None


def _loops_jump(model: Model) -> bool:
    from ..codegen.native_loops import varies
    from ..graph.switching import jumps, may_jump

    system = model.loops
    found = system._memory.get("jumps")
    if found is None:
        roots = [nest.node for nest in (*system.rhs, *system.temporaries)]
        found = system._memory["jumps"] = may_jump(system.graph, roots) and bool(
            jumps(system.graph, roots, lambda node: varies(system, node), _defaults(model), [])
        )
    return bool(found)


def _defaults(model: Model) -> list[float]:
    return [math.nan if q.default is None else float(q.default) for q in model.spec.parameters]


def _switched(model: Model) -> System | None:
    """The model with modes, made once; None where nothing jumps."""
    from ..graph.evaluate import values
    from ..graph.switching import may_jump, switched

    if model.spec.as_loops:
        loops = model.loops
        memory = loops._memory
        if "may jump" not in memory:
            roots = [nest.node for nest in (*loops.rhs, *loops.temporaries)]
            memory["may jump"] = may_jump(loops.graph, roots + [e.root for e in loops.events if e.kind == "when"])
        if not memory["may jump"]:
            return None
    system = model.system
    if "switched" not in system._memory:
        found = None
        if may_jump(system.graph, [*system.rhs, *(e.root for e in system.events if e.kind == "when")]):
            p = _defaults(model)
            given = [system.graph.const(math.nan) if node is None else node for node in system.initial]
            found = switched(system, p, values(system.graph, given, 0.0, [], p))
        system._memory["switched"] = found
    return system._memory["switched"]  # type: ignore[no-any-return]


def refuse_algebraic(model: Model) -> None:
    """Raise `UnsupportedError` where the equations of a model with `0 = ...` jump: their sensitivities do not."""
    if model.spec.algebraic and jumps(model):
        raise UnsupportedError(
            "the equations jump (a condition, sign, floor or mod), and sensitivities do not go through jumps "
            "together with algebraic equations yet",
            hint="make the jump an event that changes a state, or smooth it",
        )


def integrator(model: Model, functions: NativeFunctions, always: bool = False) -> Integrator:
    """An integrator with these functions of a model.

    `always`: runs without sensitivities go through modes too, so that values and derivatives are of
    the same steps.
    """
    from ..codegen.native import compile_system

    if model.spec.as_loops and len(model.spec.states) > WRITTEN_OUT:
        return Integrator(functions)
    system = _switched(model)
    if system is None:
        return Integrator(functions)
    return SwitchedIntegrator(functions, compile_system(system, forward=functions.fjp != 0), always)


class SwitchedIntegrator(Integrator):
    """As `Integrator`; runs with sensitivities (`always`: all but recorded ones) go through `switched`, with modes."""

    def __init__(self, functions: NativeFunctions, switched: NativeFunctions, always: bool = False) -> None:
        super().__init__(functions)
        self._inner = Integrator(switched)
        self._always = always

    def run(self, u0: Floats, p: Floats, t0: float, t1: float, **options: Any) -> Trajectory:
        """As of `Integrator`; steps cannot be recorded."""
        columns: Sequence[int] | NDArray[np.int64] = options.get("columns", EMPTY)
        if not len(columns) and (not self._always or options.get("record", False)):
            return super().run(u0, p, t0, t1, **options)
        count, modes = self.functions.n_params, self._inner.functions.n_modes
        values = np.asarray(p, dtype=np.float64)
        return self._inner.run(u0, np.concatenate([values[:count], np.zeros(modes), values[count:]]), t0, t1, **options)
