"""What a generated source file contains, before it is written in any language.

`describe(model)` reads a model (its graph and its numbers) and lists the
routines every target offers: right-hand side, Jacobians, observables, initial
values and events, each as an array of graph nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..graph.system import System
from ..model.spec import ModelSpec
from .blocks import Names
from .identifiers import Identifiers

if TYPE_CHECKING:
    from ..model.model import Model

PUBLIC = (
    "f f_into jacobian jacobian_into parameter_jacobian parameter_jacobian_into observables observables_into "
    "initial initial_into roots roots_into event_times event_times_into "
    "STATES PARAMETERS OBSERVABLES NETWORKS P0 U0 WEIGHTS EVENTS TERMINAL AFFECTS"
).split()
ARGUMENTS = ["t", "u", "p", "v", "w", "out", "nets"]


@dataclass(frozen=True)
class Routine:
    """One function of the source: `entries` maps positions of an array of `shape` to
    nodes; the other elements are `fill`.  `timeless` ones take only `p`."""

    name: str
    doc: str
    shape: tuple[int, ...]
    entries: dict[tuple[int, ...], int]
    fill: float = 0.0
    timeless: bool = False


@dataclass(frozen=True)
class Program:
    """A model as code targets read it.

    `defaults` has one number for each parameter, NaN where the model gives none;
    `initial` the initial values when they do not depend on parameters, else None;
    `weights` the flat weights of all networks, None when the model has no trained ones.
    """

    name: str
    system: System
    defaults: tuple[float, ...]
    initial: tuple[float, ...] | None
    weights: tuple[float, ...] | None
    routines: tuple[Routine, ...]
    names: Names = field(repr=False)

    @property
    def complete(self) -> bool:
        """Does every parameter have a default, and every network its weights?"""
        has_weights = not self.system.n_weights or self.weights is not None
        return has_weights and not any(math.isnan(x) for x in self.defaults)

    def fresh_names(self) -> Names:
        """Names for one routine: the model's are shared, temporaries start anew."""
        return Names(self.names.leaves, self.names.nodes, self.names.networks, self.names.free.copy())


def describe(model: Model, reserved: Sequence[str] = ()) -> Program:
    """The program of a model; `reserved` are the names a target needs for itself."""
    spec, system = model.spec, model.system
    return Program(
        name=system.name,
        system=system,
        defaults=tuple(math.nan if p.default is None else float(p.default) for p in spec.parameters),
        initial=_constant_initial(system),
        weights=_weights(spec, system),
        routines=tuple(_routines(system)),
        names=_names(system, reserved),
    )


def _constant_initial(system: System) -> tuple[float, ...] | None:
    graph = system.graph
    if any(node is not None and not graph.is_const(node) for node in system.initial):
        return None
    return tuple(math.nan if node is None else float(graph.data[node]) for node in system.initial)  # type: ignore[arg-type]


def _weights(spec: ModelSpec, system: System) -> tuple[float, ...] | None:
    if not system.networks:
        return None
    given = dict(spec.weights)
    if any(net.name not in given for net in system.networks):
        return None
    return tuple(float(x) for net in system.networks for x in given[net.name])


def _names(system: System, reserved: Sequence[str]) -> Names:
    """States and parameters get their own names first, then networks and observables."""
    free = Identifiers([*PUBLIC, *ARGUMENTS, *reserved, *(f"affect_{k}" for k in range(len(system.events)))])
    leaves = {("state", i): free.claim(name) for i, name in enumerate(system.states)}
    leaves |= {("param", i): free.claim(name) for i, name in enumerate(system.parameters)}
    networks = [free.claim(net.name) for net in system.networks]
    nodes: dict[int, str] = {}
    for name, node in zip(system.observable_names, system.observables, strict=True):
        if node not in nodes and system.graph.op[node] not in ("const", "t", "state", "param"):
            nodes[node] = free.claim(name)
    return Names(leaves, nodes, networks, free)


def _vector(nodes: Sequence[int]) -> dict[tuple[int, ...], int]:
    return {(i,): node for i, node in enumerate(nodes)}


def _routines(system: System) -> list[Routine]:
    n, n_params = system.n, system.n_params
    found = [
        Routine("f", "Right-hand side du/dt, shape (n,).", (n,), _vector(system.rhs)),
        Routine("jacobian", "df/du, shape (n, n).", (n, n), dict(system.jacobian.items())),
        Routine(
            "parameter_jacobian",
            "df/dp for the parameters (network weights excluded), shape (n, number of parameters).",
            (n, n_params),
            dict(system.parameter_jacobian.items()),
        ),
        Routine(
            "initial",
            "Initial values of the states, NaN where the model gives none.",
            (n,),
            {(i,): node for i, node in enumerate(system.initial) if node is not None},
            fill=math.nan,
            timeless=True,
        ),
    ]
    if system.observables:
        shape = (len(system.observables),)
        found.append(Routine("observables", "The model's observables.", shape, _vector(system.observables)))
    return found + _event_routines(system)


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
