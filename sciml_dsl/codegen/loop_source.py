"""What a generated source file of a model with arrays contains, beside its routines.

The counterpart of `program.describe`: names of scalars, numbers, and names of
arrays with the ranges of their elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..graph.loops import LoopSystem
from ..graph.ops import LEAVES
from ..model.spec import Array, ModelSpec
from .blocks import Names
from .identifiers import Identifiers
from .loop_program import LoopRoutine, routines
from .native_loops import initial_depends
from .program import ARGUMENTS, PUBLIC, _weights, tables_of

if TYPE_CHECKING:
    from ..model.model import Model

Piece = str | Array
"""A scalar's name, or an array."""


@dataclass(frozen=True)
class LoopProgram:
    """A model with arrays as code targets read it: `Program` with loops for routines.

    `states`, `parameters`, `observables` are scalars and arrays in the order of the vectors.
    `fixed`: initial values do not depend on parameters.
    """

    name: str
    system: LoopSystem
    states: tuple[Piece, ...]
    parameters: tuple[Piece, ...]
    observables: tuple[Piece, ...]
    defaults: tuple[float, ...]
    weights: tuple[float, ...] | None
    fixed: bool
    routines: tuple[LoopRoutine, ...]
    names: Names = field(repr=False)
    tables: tuple[float, ...] | None = None

    @property
    def whole(self) -> list[float]:
        """As `Program.whole`."""
        has_weights = not self.system.n_weights or self.weights is not None
        return [*self.defaults, *(self.weights or ()), *((self.tables or ()) if has_weights else ())]

    @property
    def complete(self) -> bool:
        """Does every parameter have a default, and every network its weights?"""
        has_weights = not self.system.n_weights or self.weights is not None
        has_tables = not self.system.inputs or self.tables is not None
        return has_weights and has_tables and not any(math.isnan(x) for x in self.defaults)

    @property
    def n_values(self) -> int:
        """Number of `jacobian_values`."""
        return next(r.size for r in self.routines if r.name == "jacobian_values")

    def fresh_names(self) -> Names:
        """Names for one routine: the model's are shared, temporaries start anew."""
        return Names(self.names.leaves, self.names.nodes, self.names.networks, self.names.free.copy())


def describe_loops(model: Model, reserved: Sequence[str] = (), free: Identifiers | None = None) -> LoopProgram:
    """The program of a model with arrays; arguments as for `program.describe`."""
    spec, system = model.spec, model.loops
    return LoopProgram(
        name=system.name,
        system=system,
        states=_pieces(spec, "state"),
        parameters=_pieces(spec, "parameter"),
        observables=_pieces(spec, "observable"),
        defaults=tuple(math.nan if p.default is None else float(p.default) for p in spec.parameters),
        weights=_weights(spec, system),
        fixed=not initial_depends(system),
        routines=tuple(routines(system)),
        names=_names(spec, system, reserved, free or Identifiers()),
        tables=tables_of(spec),
    )


def _pieces(spec: ModelSpec, kind: str) -> tuple[Piece, ...]:
    arrays = sorted((a for a in spec.arrays if a.kind == kind), key=lambda a: a.start)
    count = {"state": len(spec.states), "parameter": len(spec.parameters), "observable": len(spec.definitions)}[kind]
    found: list[Piece] = []
    at = 0
    for array in arrays:
        found += [_name(spec, kind, i) for i in range(at, array.start)]
        found.append(array)
        at = array.start + array.size
    return (*found, *(_name(spec, kind, i) for i in range(at, count)))


def _name(spec: ModelSpec, kind: str, i: int) -> str:
    if kind == "state":
        return spec.states[i]
    return spec.parameters[i].name if kind == "parameter" else spec.definitions[i].name


def _names(spec: ModelSpec, system: LoopSystem, reserved: Sequence[str], free: Identifiers) -> Names:
    free.reserve([*PUBLIC, *ARGUMENTS, *reserved, *(f"affect_{k}" for k in range(len(system.events)))])
    free.reserve(["temp", "jacobian_rows", "jacobian_columns", "ARRAYS", "CONSTANTS"])
    scalars = {kind: _scalars(spec, kind) for kind in ("state", "parameter", "observable")}
    leaves = {("state", i): free.claim(name) for name, i in scalars["state"].items()}
    leaves |= {("param", i): free.claim(name) for name, i in scalars["parameter"].items()}
    networks = [free.claim(net.name) for net in system.networks]
    if system.inputs:
        free.reserve(["INPUTS", "TABLES", "tables", "_tables", "_input", "input_value"])
    time = system.graph.leaf("t")
    nodes = {system.graph.input(k, time): free.claim(name) for k, name in enumerate(system.inputs)}
    values = {nest.at.constant: nest.node for nest in system.observables if not nest.loops}
    for name, i in scalars["observable"].items():
        node = values[i]
        if node not in nodes and system.graph.op[node] not in LEAVES:
            nodes[node] = free.claim(name)
    leaves |= {("seed", i): free.claim(f"v_{name}") for name, i in scalars["state"].items()}
    return Names(leaves, nodes, networks, free)


def _scalars(spec: ModelSpec, kind: str) -> dict[str, int]:
    found: dict[str, int] = {}
    at = 0
    for piece in _pieces(spec, kind):
        if isinstance(piece, str):
            found[piece] = at
            at += 1
        else:
            at += piece.size
    return found


def label(piece: Piece) -> str:
    """A scalar's name, or an array with its ranges: `u[1..100]`."""
    if isinstance(piece, str):
        return piece
    return f"{piece.name}[{', '.join(f'{first}..{last}' for first, last in piece.bounds)}]"


def python_names(pieces: Sequence[Piece]) -> list[str]:
    """Items of a Python tuple with the names of all elements."""
    items = []
    for piece in pieces:
        if isinstance(piece, str):
            items.append(repr(piece))
            continue
        letters = [f"i{k + 1}" for k in range(len(piece.bounds))]
        loops = " ".join(
            f"for {k} in range({first}, {last + 1})" for k, (first, last) in zip(letters, piece.bounds, strict=True)
        )
        pattern = repr(piece.name.replace("%", "%%") + "[" + ",".join(["%d"] * len(letters)) + "]")
        values = letters[0] if len(letters) == 1 else f"({', '.join(letters)})"
        items.append(f"*({pattern} % {values} {loops})")
    return items


def runs(values: Sequence[float]) -> list[tuple[float, int]]:
    """Neighbours that are the same number, to the last bit: (number, how often)."""
    found: list[tuple[float, int]] = []
    for value in values:
        if found and repr(found[-1][0]) == repr(value):
            found[-1] = (value, found[-1][1] + 1)
        else:
            found.append((value, 1))
    return found
