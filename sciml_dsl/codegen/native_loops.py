"""LoopSystem -> native functions: what `native` does for scalar models, with loops.

The same functions under the same names, besides `jac_values` with its pattern and
`jvp`.  What exists only for small models (dense second derivatives of forward
sensitivities) comes from the model written out, element by element.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..graph import integers
from ..graph.integers import LoopIndex, whole
from ..graph.loop_derivatives import Entry, entries, jacobian_entries, place, reverse
from ..graph.loop_pattern import MOST_ENTRIES, Pattern, jacobian, size
from ..graph.loops import LoopEvent, LoopSystem, turns
from ..graph.split import split
from ..graph.turns import Turns, find
from ..solve.problem import EventInfo, NativeFunctions
from .jit import MachineCode
from .llvm import Module
from .llvm_loops import add_routine
from .loop_program import (
    Loop,
    LoopRoutine,
    Store,
    complete,
    matrix_loops,
    reverse_loops,
    routines,
    stored,
    tangent_loops,
)

if TYPE_CHECKING:
    from ..model.model import Model

DENSE_LIMIT = 2000
"""More states than this and there is no dense Jacobian."""
CLIPPED_LIMIT = 500
"""More states than this and equations see states as they are where `positive=` keeps these from falling below zero."""
INITIAL_LIMIT = 4_000_000
"""More numbers than this and `initial` gives no derivatives by the parameters."""


def functions(
    model: Model, *, forward: bool = False, adjoint: bool = False, sparse: bool = False, stiff: bool = False
) -> NativeFunctions:
    """Native functions of a model with arrays, compiled once and kept with it.

    `forward` and `stiff` (terms marked `@stiff`) are had of the model written out.
    """
    system = model.loops
    memory = system._memory
    key = ("native", forward, adjoint, sparse, stiff)
    found = memory.get(key)
    if isinstance(found, NativeFunctions):
        return found
    base = _base(system)
    extra: dict[str, Any] = {}
    keep: list[object] = [base.keepalive]
    if adjoint:
        code, addresses = _part(system, "adjoint", _adjoint)
        extra |= addresses
        keep.append(code)
    if sparse:
        addresses, owner = sparse_jacobian(system)
        extra |= addresses
        keep.append(owner)
    if forward:
        from .native import compile_system

        small = compile_system(model.system, forward=True)
        extra |= {name: getattr(small, name) for name in ("fjp", "djp", "affect_jac", "observables_jac")}
        keep.append(small.keepalive)
    if stiff:
        from .native import compile_system

        small = compile_system(model.system, stiff=True, marks=lambda: split(model.spec, model.system))
        names = ("f_stiff", "f_nonstiff", "jac", "jac_values", "jac_indptr", "jac_indices", "jvp")
        extra |= {name: getattr(small, name) for name in names}
        keep.append(small.keepalive)
    made = {"forward": forward, "adjoint": adjoint, "sparse": sparse, "stiff": stiff}

    def extend(part: str) -> NativeFunctions:
        return functions(model, **(made | {part: True}))

    def own_taylor(order: int, largest: int | None = None) -> int:
        from .native import own_taylor

        return 0 if largest is not None else own_taylor(model.system, order)

    # a Jacobian that is too full to be stored is none, and solvers do without
    possible = base.jac != 0 or size(jacobian_entries(system)) <= MOST_ENTRIES
    extra |= {"extend": extend if possible else None, "own_taylor": own_taylor}
    if system.n <= CLIPPED_LIMIT:
        from .native import clipped

        extra["clipped"] = lambda kept: clipped(model.system, lambda: split(model.spec, model.system), kept)
    result = replace(base, keepalive=tuple(keep), **extra)
    memory[key] = result
    return result


def module_text(system: LoopSystem) -> tuple[str, bool]:
    """As `native.module_text`."""
    module = Module(system)
    _solve(system, module)
    return module.text(), True


def sparse_jacobian(system: LoopSystem) -> tuple[dict[str, Any], object]:
    """(`jac_values`, `jac_indptr`, `jac_indices`, `jvp`, what owns the code), compiled when first asked for.

    Raises `UnsupportedError` where the Jacobian has too many entries.
    """
    found = jacobian(system)
    new = "sparse" not in system._memory
    code, addresses = _part(system, "sparse", lambda s, module: _sparse(s, module, found))
    for k, seats in enumerate(found.seats):
        if new and seats.table is not None:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address(f"set_table{k}"))(seats.table.ctypes.data)
    return {**addresses, "jac_indptr": found.indptr, "jac_indices": found.indices}, (code, found)


Part = tuple[MachineCode, dict[str, Any]]


def _part(system: LoopSystem, name: str, build: Callable[[LoopSystem, Module], list[str]]) -> Part:
    memory = system._memory
    found = memory.get(name)
    if found is None:
        module = Module(system)
        names = build(system, module)
        code = MachineCode(module.text(), loops=True)
        addresses: dict[str, Any] = {n: code.address(n) for n in names if not n.startswith("affect")}
        affects = [n for n in names if n.startswith("affect")]
        if affects:
            addresses["affect"] = tuple(code.address(n) for n in affects)
        found = memory[name] = (code, addresses)
    return found  # type: ignore[no-any-return]


def _base(system: LoopSystem) -> NativeFunctions:
    code, addresses = _part(system, "solve", _solve)
    return NativeFunctions(
        n=system.n,
        n_params=system.n_params,
        n_weights=system.n_weights,
        n_observables=system.n_observables,
        n_inputs=len(system.inputs),
        n_families=len(turning_times(system).families),
        n_gaps=len(turning_times(system).gaps),
        events=tuple(EventInfo(e.kind, e.terminate, _resets(system, e), twin=e.twin) for e in system.events),
        initial_slopes=initial_slopes(system),
        keepalive=code,
        **addresses,
    )


def initial_slopes(system: LoopSystem) -> str:
    """Does `initial` give derivatives too: "given", "zero" where there are none, "missing" where they are too many?"""
    if not initial_depends(system):
        return "zero"
    return "given" if system.n * system.n_params <= INITIAL_LIMIT else "missing"


def initial_depends(system: LoopSystem) -> bool:
    """Do initial values depend on parameters?"""
    graph = system.graph
    nodes = graph.reachable([nest.node for nest in (*system.initial, *system.temporaries)])
    return any(found is not None and found[0] == "param" for found in (place(graph, n) for n in nodes))


def _resets(system: LoopSystem, event: LoopEvent) -> bool:
    """May a `when` event change a state that its own condition depends on?"""
    graph = system.graph
    if event.kind != "when":
        return False
    for leaf in graph.reachable([event.root]):
        found = place(graph, leaf)
        if found is None or found[0] not in ("state", "temp"):
            continue
        if found[0] == "temp":
            return bool(event.changes)
        low, high = integers.interval(found[1])
        for change in event.changes:
            a, b = integers.interval(change.at)
            if a <= high and low <= b:
                return True
    return False


def turning_times(system: LoopSystem) -> Turns:
    """As `System.turns`, for what is the same in every turn of a loop."""
    found = system._memory.get("turns")
    if found is None:
        roots = [nest.node for nest in (*system.rhs, *system.temporaries)]
        roots += [event.holds for event in system.events if event.holds >= 0]
        found = system._memory["turns"] = find(system.graph, roots, lambda node: varies(system, node))
    return found  # type: ignore[no-any-return]


def varies(system: LoopSystem, node: int) -> bool:
    """Does a leaf, network call or reduction stand for more than time and parameters of the whole model?"""
    graph = system.graph
    found = place(graph, node)
    return graph.op[node] in ("netcall", "reduce", "index") or (
        found is not None and (found[0] not in ("param", "const") or bool(graph.free(node)))
    )


def _row(nodes: list[int]) -> tuple[Loop, ...]:
    return (Loop((), tuple(Store("out", (whole(k),), node) for k, node in enumerate(nodes))),)


def _solve(system: LoopSystem, module: Module) -> list[str]:
    n, temps = system.n, system.n_temps
    made = {r.name: r for r in routines(system, ("f", "observables", "time_gradient"))}
    names = ["f", "initial"]
    add_routine(module, made["f"])
    if n <= DENSE_LIMIT:
        names.append("jac")
        loops = matrix_loops(system, jacobian_entries(system))
        add_routine(module, LoopRoutine("jac", "", (n, n), loops, 0.0, temps=temps))
    if made["time_gradient"].loops:
        names.append("dfdt")
        add_routine(module, made["time_gradient"], name="dfdt")
    _initial(system, module)
    if "observables" in made:
        names.append("observables")
        add_routine(module, made["observables"])
    when = [event for event in system.events if event.kind == "when"]
    more = {
        "roots": [event.root for event in when] + [event.holds for event in when],
        "turns": [node for family in turning_times(system).families for node in family],
        "gaps": list(turning_times(system).gaps),
    }
    for name, nodes in more.items():
        if nodes:
            names.append(name)
            add_routine(module, LoopRoutine(name, "", (len(nodes),), complete(system, _row(nodes)), temps=temps))
    timed = [e for e in system.events if e.kind != "when"]
    if timed:
        names.append("event_times")
        zero = system.graph.const(0.0)
        rows = [node for e in timed for node in (e.first, e.period, e.last, zero)]
        add_routine(module, LoopRoutine("event_times", "", (len(rows),), _row(rows)))
    for routine in routines(system, [f"affect_{k}" for k in range(len(system.events))]):
        names.append(routine.name)
        add_routine(module, routine)
    return names


def _initial(system: LoopSystem, module: Module) -> None:
    """u0 (n), NaN where there is none; then du0/dp (n, n_params) unless that is too much."""
    n, n_params = system.n, system.n_params
    loops = list(stored(system.initial))
    graph = system.graph
    missing = missing_initial(system)
    nan = graph.const(math.nan)
    for first, last in missing:
        gap = LoopIndex("i", whole(first), whole(last))
        at = integers.index(gap)
        loops.append(Loop(() if first == last else (gap,), (Store("out", (at,), nan),)))
    count = n
    if initial_slopes(system) == "given":
        count += n * n_params
        for e in entries(system, system.initial, "param"):
            at = e.row.scaled(n_params) + e.column + n
            loops.append(Loop(e.loops, (Store("out", (at,), e.node, add=True),)))
    routine = LoopRoutine("initial", "", (count,), complete(system, loops), 0.0, temps=system.n_temps)
    add_routine(module, routine)


def missing_initial(system: LoopSystem) -> list[tuple[int, int]]:
    """Runs of states without initial value."""
    import numpy as np

    from ..graph.loops import points

    if sum(turns(nest.loops) for nest in system.initial) == system.n:
        return []
    known = np.zeros(system.n, dtype=bool)
    for nest in system.initial:
        known[integers.value(nest.at, points(nest.loops))] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _adjoint(system: LoopSystem, module: Module) -> list[str]:
    n, n_params, temps = system.n, system.n_params, system.n_temps
    additions = reverse(system, ("state", "param"), sweep=True)
    loops = reverse_loops(system, additions, {"state": 0, "param": n})
    total = n + n_params + system.n_weights
    routine = LoopRoutine("vjp", "", (total,), loops, 0.0, along=True, temps=2 * temps, zeroed=temps if temps else None)
    add_routine(module, routine, weights_at=n + n_params)
    return ["vjp"]


def _sparse(system: LoopSystem, module: Module, found: Pattern) -> list[str]:
    temps = system.n_temps
    groups: dict[tuple[tuple[LoopIndex, ...], tuple[tuple[int, int], ...]], list[Store]] = {}
    loops: list[Loop] = []
    any_shared = any(seats.shared for seats in found.seats)
    for k, seats in enumerate(found.seats):
        e: Entry = seats.entry
        if seats.table is not None:
            store = Store("out", None, e.node, seats.shared, _table(module, k))
            loops.append(Loop(e.loops, (store,)))
            continue
        for spans, at in seats.pieces:
            groups.setdefault((e.loops, spans), []).append(Store("out", (at,), e.node, seats.shared))
    for (nest, spans), stores in groups.items():
        loops.append(Loop(nest, tuple(stores), spans=spans or None))
    fill = 0.0 if any_shared else None
    add_routine(module, LoopRoutine("jac_values", "", (found.nnz,), complete(system, loops), fill, temps=temps))
    tangent = tangent_loops(system, system.rhs, "seed")
    add_routine(module, LoopRoutine("jvp", "", (system.n,), tangent, 0.0, along=True, temps=2 * temps))
    return ["jac_values", "jvp"]


def _table(module: Module, k: int) -> str:
    """The name of a variable that will point to the places of an entry's turns: addresses do not
    belong into code, which is kept from run to run."""
    module.constants.append(f"@table{k} = internal global ptr null")
    text = f"define void @set_table{k}(ptr %x) {{\n  store ptr %x, ptr @table{k}, align 8\n  ret void\n}}\n"
    module.functions.append(text)
    return f"@table{k}"
