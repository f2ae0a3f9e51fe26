"""What a generated source file contains, before it is written in any language.

`describe(model)` reads a model (its graph and its numbers) and lists the
routines every target offers: right-hand side, Jacobians, directional
derivatives, Hessian, observables, initial values and events, each as an array
of graph nodes.  A new routine is added here, once, for all targets.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..graph.derivatives import Sparse, gradient, jvp, sparse_jacobian
from ..graph.loops import LoopSystem
from ..graph.system import System
from ..model.spec import ModelSpec
from .blocks import Names
from .identifiers import Identifiers

if TYPE_CHECKING:
    from ..model.model import Model

ROUTINES = (
    "f jacobian parameter_jacobian initial observables time_gradient jvp vjp parameter_vjp jacobian_values hessian "
    "roots event_times"
).split()
"""Names of the routines, but for `affect_0`, `affect_1`, ..."""

PUBLIC = [
    *ROUTINES,
    *(f"{name}_into" for name in ROUTINES),
    *"inverse_jacobian w_factor w_solve".split(),
    *"STATES PARAMETERS OBSERVABLES NETWORKS P0 U0 WEIGHTS EVENTS TERMINAL AFFECTS".split(),
    *"JACOBIAN_INDICES JACOBIAN_INDPTR MASS".split(),
]
ARGUMENTS = ["t", "u", "p", "v", "w", "out", "nets", "gamma"]

LARGEST_HESSIAN = 100
"""Models with more states get no `hessian`: it would have more than a million numbers."""


@dataclass(frozen=True)
class Routine:
    """One function of the source: `entries` maps positions of an array of `shape` to
    nodes; the other elements are `fill`.  `timeless` ones take only `p`, those `along` a
    direction take `v` (n,) behind `p`."""

    name: str
    doc: str
    shape: tuple[int, ...]
    entries: dict[tuple[int, ...], int]
    fill: float = 0.0
    timeless: bool = False
    along: bool = False


@dataclass(frozen=True)
class Program:
    """A model as code targets read it.

    `defaults` has one number for each parameter, NaN where the model gives none;
    `initial` the initial values when they do not depend on parameters, else None;
    `weights` the flat weights of all networks, None when the model has no trained ones;
    `tables` the numbers of all inputs (`model.interpolate.tail`), None when it has no data for one.
    `indices` and `indptr` say where the numbers of `jacobian_values` stand: column by column,
    the row of each (compressed sparse columns, counted from 0).
    """

    name: str
    system: System
    defaults: tuple[float, ...]
    initial: tuple[float, ...] | None
    weights: tuple[float, ...] | None
    routines: tuple[Routine, ...]
    names: Names = field(repr=False)
    indices: tuple[int, ...] = ()
    indptr: tuple[int, ...] = ()
    tables: tuple[float, ...] | None = None

    @property
    def whole(self) -> list[float]:
        """What `p` holds where everything stands in it: defaults, then weights and tables as far as there are any."""
        has_weights = not self.system.n_weights or self.weights is not None
        return [*self.defaults, *(self.weights or ()), *((self.tables or ()) if has_weights else ())]

    @property
    def complete(self) -> bool:
        """Does every parameter have a default, and every network its weights?"""
        has_weights = not self.system.n_weights or self.weights is not None
        has_tables = not self.system.inputs or self.tables is not None
        return has_weights and has_tables and not any(math.isnan(x) for x in self.defaults)

    def fresh_names(self) -> Names:
        """Names for one routine: the model's are shared, temporaries start anew."""
        return Names(self.names.leaves, self.names.nodes, self.names.networks, self.names.free.copy())


def describe(
    model: Model,
    reserved: Sequence[str] = (),
    free: Identifiers | None = None,
    wanted: Collection[str] | None = None,
) -> Program:
    """The program of a model; `reserved` are the names a target needs for itself, `free` its
    own source of identifiers where those of Python do not fit, `wanted` the only routines it is to have."""
    spec, system = model.spec, model.system
    indices, indptr = compressed_columns(system.jacobian, system.n)
    return Program(
        name=system.name,
        system=system,
        defaults=tuple(math.nan if p.default is None else float(p.default) for p in spec.parameters),
        initial=_constant_initial(system),
        weights=_weights(spec, system),
        routines=tuple(routines(system, wanted)),
        names=_names(system, reserved, free or Identifiers()),
        indices=indices,
        indptr=indptr,
        tables=tables_of(spec),
    )


def compressed_columns(matrix: Sparse, columns: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(row of each entry, column by column; where each column begins): the pattern as scipy's `csc_matrix` has it."""
    order = sorted(matrix, key=lambda place: (place[1], place[0]))
    counts = [0] * (columns + 1)
    for _, j in order:
        counts[j + 1] += 1
    for j in range(columns):
        counts[j + 1] += counts[j]
    return tuple(i for i, _ in order), tuple(counts)


def _constant_initial(system: System) -> tuple[float, ...] | None:
    graph = system.graph
    if any(node is not None and not graph.is_const(node) for node in system.initial):
        return None
    return tuple(math.nan if node is None else float(graph.data[node]) for node in system.initial)  # type: ignore[arg-type]


def _weights(spec: ModelSpec, system: System | LoopSystem) -> tuple[float, ...] | None:
    if not system.networks:
        return None
    given = dict(spec.weights)
    if any(net.name not in given for net in system.networks):
        return None
    return tuple(float(x) for net in system.networks for x in given[net.name])


def tables_of(spec: ModelSpec) -> tuple[float, ...] | None:
    """The numbers of the inputs of a model that has data for all of them."""
    if not spec.inputs or any(i.data is None for i in spec.inputs):
        return None
    from ..model.inputs import input_tail, kept_rows

    return tuple(map(float, input_tail(spec.inputs, kept_rows(spec.inputs))))


def _names(system: System, reserved: Sequence[str], free: Identifiers) -> Names:
    """States and parameters get their own names first, then networks, observables and directions."""
    free.reserve([*PUBLIC, *ARGUMENTS, *reserved, *(f"affect_{k}" for k in range(len(system.events)))])
    if system.inputs:
        free.reserve(["INPUTS", "TABLES", "tables", "_tables", "_input", "input_value"])
    leaves = {("state", i): free.claim(name) for i, name in enumerate(system.states)}
    leaves |= {("param", i): free.claim(name) for i, name in enumerate(system.parameters)}
    networks = [free.claim(net.name) for net in system.networks]
    nodes: dict[int, str] = {
        system.graph.input(k, system.time_leaf): free.claim(name) for k, name in enumerate(system.inputs)
    }
    for name, node in zip(system.observable_names, system.observables, strict=True):
        if node not in nodes and system.graph.op[node] not in ("const", "t", "state", "param"):
            nodes[node] = free.claim(name)
    leaves |= {("seed", i): free.claim(f"v_{name}") for i, name in enumerate(system.states)}
    return Names(leaves, nodes, networks, free)


def _vector(nodes: Sequence[int]) -> dict[tuple[int, ...], int]:
    return {(i,): node for i, node in enumerate(nodes)}


def routines(system: System, wanted: Collection[str] | None = None) -> list[Routine]:
    """The routines of a model, in the order of a file; of those in `wanted` only where it is given.

    Derivatives are made only for routines that are wanted.  Left out are those that make no
    sense: `observables` without observables, `hessian` beyond `LARGEST_HESSIAN` states or
    where it would need third derivatives of a network.
    """
    n, n_params, graph = system.n, system.n_params, system.graph
    found: list[Routine] = []

    def asked(name: str) -> bool:
        return wanted is None or name in wanted

    if asked("f"):
        doc = "Right-hand side du/dt, shape (n,)."
        if system.algebraic:
            doc = "MASS du/dt, shape (n,): derivatives, and where MASS is 0 what has to vanish."
        found.append(Routine("f", doc, (n,), _vector(system.rhs)))
    if asked("jacobian"):
        found.append(Routine("jacobian", "df/du, shape (n, n).", (n, n), dict(system.jacobian.items())))
    if asked("parameter_jacobian"):
        doc = "df/dp for the parameters (network weights excluded), shape (n, number of parameters)."
        found.append(Routine("parameter_jacobian", doc, (n, n_params), dict(system.parameter_jacobian.items())))
    if asked("initial"):
        doc = "Initial values of the states, NaN where the model gives none."
        entries = {(i,): node for i, node in enumerate(system.initial) if node is not None}
        found.append(Routine("initial", doc, (n,), entries, fill=math.nan, timeless=True))  # type: ignore[arg-type]
    if system.observables and asked("observables"):
        shape = (len(system.observables),)
        found.append(Routine("observables", "The model's observables.", shape, _vector(system.observables)))
    if asked("time_gradient"):
        doc = "Partial derivative df/dt, shape (n,)."
        found.append(_sparse_vector(system, "time_gradient", doc, system.time_gradient))
    if asked("jvp"):
        seeds = {leaf: graph.leaf("seed", i) for i, leaf in enumerate(system.state_leaves)}
        doc = "df/du v for a direction v (n,), shape (n,)."
        found.append(_sparse_vector(system, "jvp", doc, jvp(graph, system.rhs, seeds), along=True))
    if asked("vjp"):
        doc = "v df/du for a cotangent v (n,), shape (n,)."
        found.append(_sparse_vector(system, "vjp", doc, _cotangents(system, system.state_leaves), along=True))
    if asked("parameter_vjp"):
        doc = "v df/dp for a cotangent v (n,) (network weights excluded), shape (number of parameters,)."
        nodes = _cotangents(system, system.param_leaves)
        found.append(_sparse_vector(system, "parameter_vjp", doc, nodes, along=True))
    if asked("jacobian_values"):
        doc = "The entries of df/du that are not zero, column by column (JACOBIAN_INDICES, JACOBIAN_INDPTR)."
        order = sorted(system.jacobian, key=lambda place: (place[1], place[0]))
        values = [system.jacobian[place] for place in order]
        found.append(Routine("jacobian_values", doc, (len(values),), _vector(values)))
    if asked("hessian") and n <= LARGEST_HESSIAN and not _has_slopes(system):
        doc = "Second derivatives of f by the states, shape (n, n, n): [i, j, k] is that of f[i] by u[j] and u[k]."
        found.append(Routine("hessian", doc, (n, n, n), _hessian(system)))
    return found + [routine for routine in _event_routines(system) if asked(routine.name)]


def _sparse_vector(system: System, name: str, doc: str, nodes: Sequence[int], along: bool = False) -> Routine:
    zero = system.graph.const(0.0)
    entries: dict[tuple[int, ...], int] = {(i,): node for i, node in enumerate(nodes) if node != zero}
    return Routine(name, doc, (len(nodes),), entries, along=along)


def _cotangents(system: System, leaves: Sequence[int]) -> list[int]:
    """The reverse sweep as plain nodes: networks by their Jacobians, so that every target can print it."""
    graph = system.graph
    terms = [graph.mul(graph.leaf("seed", i), node) for i, node in enumerate(system.rhs)]
    slopes = gradient(graph, graph.sum(terms), leaves)
    zero = graph.const(0.0)
    return [slopes.get(leaf, zero) for leaf in leaves]


def _has_slopes(system: System) -> bool:
    """Does the right-hand side itself contain derivatives of a network?"""
    return any(system.graph.op[node] == "net_jac" for node in system.graph.reachable(system.rhs))


def _hessian(system: System) -> dict[tuple[int, ...], int]:
    places = list(system.jacobian)
    slopes = sparse_jacobian(system.graph, list(system.jacobian.values()), system.state_leaves)
    return {(*places[row], k): node for (row, k), node in slopes.items()}


def _event_routines(system: System) -> list[Routine]:
    found = []
    roots = [event.root for event in system.events if event.kind == "when"]
    timed = [event for event in system.events if event.kind != "when"]
    if roots:
        doc = "One number for each `when` event, which fires where it crosses from negative to positive."
        found.append(Routine("roots", doc, (len(roots),), _vector(roots)))
    if timed:
        doc = "(first time, period or 0 for once, last time) for each event at given times."
        entries: dict[tuple[int, ...], int] = {
            (k, j): node for k, e in enumerate(timed) for j, node in enumerate((e.first, e.period, e.last))
        }
        found.append(Routine("event_times", doc, (len(timed), 3), entries, timeless=True))
    for k, event in enumerate(system.events):
        doc = f"The states after event {k}" + (", which ends the integration." if event.terminate else ".")
        found.append(Routine(f"affect_{k}", doc, (system.n,), _vector(event.affect)))
    return found
