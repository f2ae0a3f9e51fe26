"""What the code of a model with arrays does, before it is written in any language.

The counterpart of `program.routines` for a `LoopSystem`: every routine is a list
of loops that store into its output or into temporary arrays.  Native code and
all source targets print these.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..graph import integers
from ..graph.integers import Affine, LoopIndex, whole
from ..graph.loop_derivatives import (
    Addition,
    Entry,
    entries,
    is_cheap,
    is_grid,
    jacobian_entries,
    moving,
    reverse,
    tangents,
)
from ..graph.loops import LoopSystem, Nest

LARGEST_HESSIAN = 100


@dataclass(frozen=True)
class Store:
    """`vector[at] = node`, or `+=`; `at` has a position for each axis, or is None: the next place."""

    vector: str  # "out" or "temp"
    at: tuple[Affine, ...] | None
    node: int
    add: bool = False
    table: str | None = None  # native code: the variable that points to the place of each turn


@dataclass(frozen=True)
class Loop:
    """Nested loops, outermost first, and what every turn stores."""

    loops: tuple[LoopIndex, ...]
    stores: tuple[Store, ...]
    sweeps: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] | None = None  # a part of the ranges, where they are cut
    start: int = 0  # the first of the places of stores without `at`


@dataclass(frozen=True)
class LoopRoutine:
    """One function; elements of the output that nothing stores are `fill` (None: everything is stored).

    `temps` numbers of temporary space, where any is used; those from `zeroed` on begin as 0.
    """

    name: str
    doc: str
    shape: tuple[int, ...]
    loops: tuple[Loop, ...]
    fill: float | None = None
    timeless: bool = False
    along: bool = False
    temps: int = 0
    zeroed: int | None = None
    positions: bool = False  # the numbers are positions: whole, of loop indices only, without arguments

    @property
    def n_temps(self) -> int:
        """`temps` where there are any at all in the loops."""
        used = any(store.vector == "temp" for loop in self.loops for store in loop.stores)
        return self.temps if used else 0

    @property
    def size(self) -> int:
        """Numbers in the output."""
        return math.prod(self.shape)

    @property
    def nodes(self) -> list[int]:
        """What is computed."""
        return [n for loop in self.loops for n in (*(store.node for store in loop.stores), *loop.sweeps)]


# ---------------------------------------------------------------- loops of nests


def stored(nests: Iterable[Nest], vector: str = "out") -> list[Loop]:
    """One loop for all nests over the same ranges, so that they share what they compute."""
    groups: dict[tuple[LoopIndex, ...], list[Store]] = {}
    for nest in nests:
        groups.setdefault(nest.loops, []).append(Store(vector, (nest.at,), nest.node))
    return [Loop(loops, tuple(stores)) for loops, stores in groups.items()]


def temporaries(system: LoopSystem, loops: Sequence[Loop], by: str | None = None) -> list[Loop]:
    """The loops that fill the temporary arrays that `loops` read, with their tangents where `by` is given."""
    needed: list[list[Loop]] = []
    roots = [s.node for loop in loops for s in loop.stores] + [n for loop in loops for n in loop.sweeps]
    wanted = _read(system, roots)
    for nest in reversed(system.temporaries):
        if system.stage(nest.at) not in wanted:
            continue
        nodes = [nest.node]
        made = [Loop(nest.loops, (Store("temp", (nest.at,), nest.node),))]
        if by is not None and system.stage(nest.at) in moving(system, by):
            (slope,) = tangents(system, [nest.node], by)
            made.append(Loop(nest.loops, (Store("temp", (nest.at + system.n_temps,), slope),)))
            nodes.append(slope)
        needed.append(made)
        wanted |= _read(system, nodes)
    return [loop for made in reversed(needed) for loop in made]


def _read(system: LoopSystem, roots: Sequence[int]) -> set[int]:
    """Stages of the temporary arrays that `roots` read."""
    graph = system.graph
    found = set()
    for n in graph.reachable(roots):
        if graph.op[n] == "element":
            vector, at = graph.position(n)
            if vector == "temp":
                low = integers.interval(at)[0]
                found.add(system.stage(at if low < system.n_temps else at - system.n_temps))
    return found


def complete(system: LoopSystem, loops: Sequence[Loop], by: str | None = None) -> tuple[Loop, ...]:
    """`loops` behind what fills the temporary arrays they read."""
    return (*temporaries(system, loops, by), *loops)


def tangent_loops(system: LoopSystem, nests: Sequence[Nest], by: str) -> tuple[Loop, ...]:
    """Directional derivatives of `nests`; zeros are left out."""
    zero = system.graph.const(0.0)
    slopes = tangents(system, [nest.node for nest in nests], by)
    loops = stored(Nest(nest.loops, nest.at, slope) for nest, slope in zip(nests, slopes, strict=True) if slope != zero)
    return complete(system, loops, by)


def matrix_loops(system: LoopSystem, found: Sequence[Entry]) -> tuple[Loop, ...]:
    """The entries added into a matrix."""
    groups: dict[tuple[LoopIndex, ...], list[Store]] = {}
    for e in found:
        groups.setdefault(e.loops, []).append(Store("out", (e.row, e.column), e.node, add=True))
    return complete(system, [Loop(loops, tuple(stores)) for loops, stores in groups.items()])


def entry_groups(found: Sequence[Entry]) -> list[list[Entry]]:
    """Entries over the same loops together, in the order of `jacobian_values`."""
    groups: dict[tuple[LoopIndex, ...], list[Entry]] = {}
    for e in found:
        groups.setdefault(e.loops, []).append(e)
    return list(groups.values())


def reverse_loops(system: LoopSystem, additions: Sequence[Addition], places: dict[str, int]) -> tuple[Loop, ...]:
    """The loops of a reverse sweep; `places` says where in `out` the cotangents of a vector begin."""
    graph = system.graph
    loops: list[Loop] = []
    for addition in additions:
        if addition.sweeps:
            loops.append(Loop(addition.loops, (), addition.sweeps))
            continue
        if addition.vector == "temp":
            store = Store("temp", (addition.at,), addition.node, add=True)
        elif addition.vector in places:
            store = Store("out", (addition.at + places[addition.vector],), addition.node, add=True)
        else:
            continue
        costly = not is_cheap(graph, addition.node)
        last = loops[-1] if loops else None
        # cheap ones stand alone: a loop with one sum into shifting places turns into vector code
        if costly and last is not None and last.loops == addition.loops and not last.sweeps:
            loops[-1] = Loop(last.loops, (*last.stores, store))
        else:
            loops.append(Loop(addition.loops, (store,)))
    return complete(system, loops)


# ---------------------------------------------------------------- the routines of a file


def turn(loops: Sequence[LoopIndex]) -> Affine:
    """The number of the turn, from 0, of loops with fixed ends."""
    at = whole(0)
    for loop in loops:
        at = at.scaled(loop.last.constant - loop.first.constant + 1) + integers.index(loop) - loop.first.constant
    return at


def _value_loops(system: LoopSystem) -> tuple[tuple[Loop, ...], tuple[Loop, ...], tuple[Loop, ...], int]:
    """(loops of the entries' values, of their rows, of their columns, how many), one place after the other."""
    import numpy as np

    from ..graph.loops import points

    values: list[Loop] = []
    rows: list[Loop] = []
    columns: list[Loop] = []
    at = 0
    graph = system.graph
    for group in entry_groups(jacobian_entries(system)):
        loops = group[0].loops
        grid = is_grid(loops)
        count = math.prod(loop.last.constant - loop.first.constant + 1 for loop in loops) if grid else 0
        if not grid:
            found = points(loops)
            count = int(np.size(next(iter(found.values()))))
        places: list[tuple[Affine, ...] | None] = [None] * len(group)
        if grid:
            places = [(turn(loops).scaled(len(group)) + (at + k),) for k in range(len(group))]
        for made, nodes in (
            (values, [e.node for e in group]),
            (rows, [graph.whole(e.row) for e in group]),
            (columns, [graph.whole(e.column) for e in group]),
        ):
            stores = tuple(Store("out", p, node) for p, node in zip(places, nodes, strict=True))
            made.append(Loop(loops, stores, start=at))
        at += count * len(group)
    return complete(system, values), tuple(rows), tuple(columns), at


def routines(system: LoopSystem, wanted: Collection[str] | None = None) -> list[LoopRoutine]:
    """The routines of a file, as `program.routines` has them; of those in `wanted` only where it is given.

    `jacobian_values` are in the order of the loops, places may repeat (values there add up);
    `jacobian_rows` and `jacobian_columns` say where they stand.
    """
    n, n_params, size = system.n, system.n_params, system.n_temps
    found: list[LoopRoutine] = []

    def asked(name: str) -> bool:
        return wanted is None or name in wanted

    if asked("f"):
        loops = complete(system, stored(system.rhs))
        found.append(LoopRoutine("f", "Right-hand side du/dt, shape (n,).", (n,), loops, temps=size))
    if asked("jacobian"):
        loops = matrix_loops(system, jacobian_entries(system))
        found.append(LoopRoutine("jacobian", "df/du, shape (n, n).", (n, n), loops, 0.0, temps=size))
    if asked("parameter_jacobian"):
        doc = "df/dp for the parameters (network weights excluded), shape (n, number of parameters)."
        loops = matrix_loops(system, entries(system, system.rhs, "param"))
        found.append(LoopRoutine("parameter_jacobian", doc, (n, n_params), loops, 0.0, temps=size))
    if asked("initial"):
        doc = "Initial values of the states, NaN where the model gives none."
        loops = complete(system, stored(system.initial))
        found.append(LoopRoutine("initial", doc, (n,), loops, math.nan, timeless=True, temps=size))
    if system.observables and asked("observables"):
        loops = complete(system, stored(system.observables))
        shape = (system.n_observables,)
        found.append(LoopRoutine("observables", "The model's observables.", shape, loops, temps=size))
    if asked("time_gradient"):
        doc = "Partial derivative df/dt, shape (n,)."
        loops = tangent_loops(system, system.rhs, "t")
        found.append(LoopRoutine("time_gradient", doc, (n,), loops, 0.0, temps=2 * size))
    if asked("jvp"):
        doc = "df/du v for a direction v (n,), shape (n,)."
        loops = tangent_loops(system, system.rhs, "seed")
        found.append(LoopRoutine("jvp", doc, (n,), loops, 0.0, along=True, temps=2 * size))
    if asked("vjp"):
        doc = "v df/du for a cotangent v (n,), shape (n,)."
        found.append(_reverse(system, "vjp", doc, "state", n))
    if asked("parameter_vjp"):
        doc = "v df/dp for a cotangent v (n,) (network weights excluded), shape (number of parameters,)."
        found.append(_reverse(system, "parameter_vjp", doc, "param", n_params))
    if any(asked(name) for name in ("jacobian_values", "jacobian_rows", "jacobian_columns")):
        values, rows, columns, count = _value_loops(system)
        doc = "The entries of df/du, in the order of jacobian_rows and jacobian_columns; those in one place add up."
        if asked("jacobian_values"):
            found.append(LoopRoutine("jacobian_values", doc, (count,), values, temps=size))
        for name, loops in (("jacobian_rows", rows), ("jacobian_columns", columns)):
            if asked(name):
                doc = f"The {name.removeprefix('jacobian_')[:-1]} of each of the jacobian_values, from 0."
                found.append(LoopRoutine(name, doc, (count,), loops, positions=True))
    if asked("hessian") and n <= LARGEST_HESSIAN and not _has_slopes(system):
        doc = "Second derivatives of f by the states, shape (n, n, n): [i, j, k] is that of f[i] by u[j] and u[k]."
        found.append(LoopRoutine("hessian", doc, (n, n, n), _hessian(system), 0.0, temps=size))
    return found + [routine for routine in event_routines(system) if asked(routine.name)]


def _reverse(system: LoopSystem, name: str, doc: str, kind: str, count: int) -> LoopRoutine:
    additions = reverse(system, (kind,), sweep=False)
    loops = reverse_loops(system, additions, {kind: 0})
    size = system.n_temps
    return LoopRoutine(name, doc, (count,), loops, 0.0, along=True, temps=2 * size, zeroed=size if size else None)


def _has_slopes(system: LoopSystem) -> bool:
    graph = system.graph
    nodes = [nest.node for nest in (*system.rhs, *system.temporaries)]
    return any(graph.op[node] == "net_jac" for node in graph.reachable(nodes))


def _hessian(system: LoopSystem) -> tuple[Loop, ...]:
    loops: list[Loop] = []
    for e in jacobian_entries(system):
        for second in entries(system, [Nest(e.loops, e.row, e.node)], "state"):
            loops.append(Loop(second.loops, (Store("out", (e.row, e.column, second.column), second.node, add=True),)))
    return complete(system, loops)


def event_routines(system: LoopSystem) -> list[LoopRoutine]:
    """Roots, times and state changes."""
    found = []
    size, graph = system.n_temps, system.graph
    roots = [event.root for event in system.events if event.kind == "when"]
    timed = [event for event in system.events if event.kind != "when"]
    if roots:
        doc = "One number for each `when` event, which fires where it crosses from negative to positive."
        loops = complete(system, [Loop((), tuple(Store("out", (whole(k),), node) for k, node in enumerate(roots)))])
        found.append(LoopRoutine("roots", doc, (len(roots),), loops, temps=size))
    if timed:
        doc = "(first time, period or 0 for once, last time) for each event at given times."
        stores = tuple(
            Store("out", (whole(k), whole(j)), node)
            for k, e in enumerate(timed)
            for j, node in enumerate((e.first, e.period, e.last))
        )
        found.append(LoopRoutine("event_times", doc, (len(timed), 3), (Loop((), stores),), timeless=True))
    for k, event in enumerate(system.events):
        doc = f"The states after event {k}" + (", which ends the integration." if event.terminate else ".")
        copy = LoopIndex("i", whole(0), whole(system.n - 1))
        kept = Nest((copy,), integers.index(copy), graph.element("state", integers.index(copy)))
        if system.n == 1:
            kept = Nest((), whole(0), graph.leaf("state", 0))
        loops = complete(system, [*stored([kept]), *stored(event.changes)])
        found.append(LoopRoutine(f"affect_{k}", doc, (system.n,), loops, temps=size))
    return found
