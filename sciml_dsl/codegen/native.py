"""System -> native functions: which functions a solver needs, compiled part by part.

Four parts are compiled separately, each when first asked for: what every solve
needs, the Jacobian as a sparse matrix and as a product, what forward
sensitivities need on top, and the reverse sweep.  Of large models the right-hand side and the
Jacobian are parts of their own, so that whoever wants one of them waits for no more.  The table
of functions and the layout of their outputs is in docs/design.md, section 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError
from ..graph import split
from ..graph.compose import never_below_zero
from ..graph.derivatives import Sparse
from ..graph.system import EventNodes, System
from ..solve.lane_slots import LaneStep
from ..solve.methods.rosenbrock_tableau import Tableau as RosenbrockTableau
from ..solve.problem import EventInfo, NativeFunctions
from . import fused, fused_rosenbrock, lanes, taylor_method, written_factors
from .jit import MachineCode
from .llvm import Module

if TYPE_CHECKING:
    from ..model.model import Model
    from ..solve.methods.tableau import Tableau
    from ..structure.index_one import Family


def functions(model: Model, *, forward: bool = False, adjoint: bool = False, sparse: bool = False) -> NativeFunctions:
    """Native functions of a model, compiled once and kept with it.

    `forward` adds what forward sensitivities need (`fjp`, `djp`, `affect_jac`,
    `observables_jac`), `adjoint` adds `vjp`, `sparse` adds `jac_values`, its pattern and `jvp`.
    """
    if model.spec.as_loops:
        from . import native_loops

        return native_loops.functions(model, forward=forward, adjoint=adjoint, sparse=sparse)
    return compile_system(
        model.system,
        forward=forward,
        adjoint=adjoint,
        sparse=sparse,
        marks=lambda: split.split(model.spec, model.system),
    )


Marks = Callable[[], "tuple[tuple[int, ...], tuple[int, ...]] | None"]


def compile_system(
    system: System,
    *,
    forward: bool = False,
    adjoint: bool = False,
    sparse: bool = False,
    stiff: bool = False,
    marks: Marks = lambda: None,
) -> NativeFunctions:
    """As `functions`, for a graph.  `marks` gives the nodes of its stiff terms and of the rest.

    `stiff` adds both as `f_stiff` and `f_nonstiff`; the Jacobian (`jac_values`, its pattern, `jvp`) is then
    that of the stiff terms.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 2")
    >>> compile_system(m.system).n
    1
    """
    memory = system._memory
    key = ("native", forward, adjoint, sparse, stiff)
    found = memory.get(key)
    if isinstance(found, NativeFunctions):
        return found
    base = _base(system)
    extra: dict[str, object] = {}
    parts = [base.keepalive]
    if forward:
        code, more = _part(system, "forward", _forward)
        extra |= more
        parts.append(code)
    if adjoint:
        code, more = _part(system, "adjoint", _adjoint)
        extra |= more
        parts.append(code)
    if sparse:
        code, more = _part(system, "sparse", _sparse)
        extra |= more | {"jac_values": jacobian_values(system)[0]}
        parts.append(code)
    if stiff:
        code, more = _stiff_part(system, marks)
        extra |= more
        parts.append(code)
    made = {"forward": forward, "adjoint": adjoint, "sparse": sparse, "stiff": stiff}
    result = replace(
        base,
        keepalive=tuple(parts),
        extend=lambda part: compile_system(system, marks=marks, **(made | {part: True})),
        clipped=lambda kept: clipped(system, marks, kept),
        own_step=lambda tableau, largest=0: _own_step(system, tableau, largest),
        lanes=lambda tableau: _lanes(system, tableau),
        own_taylor=lambda order, largest=None: own_taylor(system, order, largest),
        written_factors=lambda complex_too: () if stiff else _written_factors(system, complex_too),
        **extra,  # type: ignore[arg-type]
    )
    memory[key] = result
    return result


def right_hand_side(system: System) -> tuple[int, object]:
    """Address of f, and what keeps it alive; compiles no more than it must."""
    code, addresses = _part(system, "f", _f) if system.n > WRITTEN_OUT else _part(system, "solve", _solve)
    return addresses["f"], code  # type: ignore[return-value]


def clipped(system: System, marks: Marks, kept: tuple[int, ...]) -> NativeFunctions:
    """Functions of the same equations at states of which those in `kept` count as zero where they are below."""
    key = ("clipped", kept)
    if key not in system._memory:
        leaves = [system.state_leaves[i] for i in kept]
        rhs = tuple(never_below_zero(system.graph, system.rhs, leaves))

        def marks_there() -> tuple[tuple[int, ...], tuple[int, ...]] | None:
            nodes = marks()
            return nodes and (
                tuple(never_below_zero(system.graph, nodes[0], leaves)),
                tuple(never_below_zero(system.graph, nodes[1], leaves)),
            )

        system._memory[key] = replace(system, rhs=rhs, _memory={}), marks_there
    other, other_marks = system._memory[key]
    return compile_system(other, marks=other_marks)


def jacobian_values(system: System) -> tuple[int, object]:
    """Address of the values of df/du in CSR order, and what keeps it alive; compiles no more than it must."""
    part = ("jacobian", _jacobian) if system.n > WRITTEN_OUT else ("sparse", _sparse)
    code, addresses = _part(system, *part)
    return addresses["jac_values"], code  # type: ignore[return-value]


def module_text(system: System) -> tuple[str, bool]:
    """(LLVM IR of what every solve needs, before optimisation; whether it has loops)."""
    module = Module(system)
    for _, build in _parts_of_solve(system):
        build(system, module)
    return module.text(), bool(module.networks)


def compile_constraints(family: Family) -> tuple[MachineCode, int, int]:
    """(code, constraints (m), values of their Jacobian) of a differential-algebraic model; the last two addresses."""
    module = Module(family.original)
    module.add_function("constraints", _row(family.constraints), len(family.constraints))
    entries = list(family.jacobian.values())
    module.add_function("constraints_jac", _row(entries), len(entries))
    code = MachineCode(module.text(), loops=bool(module.networks))
    return code, code.address("constraints"), code.address("constraints_jac")


def compile_tangents(family: Family) -> tuple[MachineCode, int]:
    """(code, address) of what sensitivities need of the constraints: the entries of their Jacobian by the
    parameters, their partial derivatives by time (m), the rates of the states (n)."""
    nodes = [*family.parameter_jacobian.values(), *family.time_gradient, *family.rates]
    module = Module(family.original)
    module.add_function("tangents", _row(nodes), len(nodes))
    code = MachineCode(module.text(), loops=bool(module.networks))
    return code, code.address("tangents")


WRITTEN_OUT = 50
"""States up to which the dense Jacobian is code of its own; above, it is filled from the sparse one's values."""


Part = tuple[MachineCode, dict[str, object]]
Build = Callable[[System, Module], list[str]]
"""Adds functions to a module and gives their names."""


def _part(system: System, name: str, build: Build) -> Part:
    memory = system._memory
    found = memory.get(name)
    if found is None:
        module = Module(system)
        names = build(system, module)
        code = MachineCode(module.text(), loops=bool(module.networks), quick=system.n > WRITTEN_OUT)
        addresses: dict[str, object] = {n: code.address(n) for n in names if not n.startswith("affect")}
        for stem in ("affect", "affect_jac"):
            numbered = [n for n in names if n.rpartition("_")[0] == stem and n[-1].isdigit()]
            if numbered:
                addresses[stem] = tuple(code.address(n) for n in numbered)
        found = memory.setdefault(name, (code, addresses))  # of two threads the first wins: its code is in use
    return found  # type: ignore[return-value]


def _own_step(system: System, tableau: Tableau | RosenbrockTableau, largest: int) -> tuple[int, int]:
    """Addresses of a whole step of a method and of its interpolant; (0, 0) where that does not pay.

    `largest`: operations a step may take, for Rosenbrock methods.
    """
    if isinstance(tableau, RosenbrockTableau):
        return _own_rosenbrock_step(system, tableau, largest)
    if not fused.fits_whole(system, tableau):
        return 0, 0

    def build(system: System, module: Module) -> list[str]:
        nodes = fused.whole_step(system, tableau)
        module.add_function("step", _row(nodes), len(nodes), seeds=True)
        coefficients, extra = fused.whole_interpolant(system, tableau)
        module.add_function("interpolant", _row(coefficients + extra), len(coefficients) + len(extra), seeds=True)
        return ["step", "interpolant"]

    addresses = _part(system, f"step {tableau.digest}", build)[1]
    return addresses["step"], addresses["interpolant"]  # type: ignore[return-value]


def _lanes(system: System, tableau: Tableau) -> LaneStep | None:
    """A step of a method for several trajectories side by side, made once; None where the model is not one for that."""
    memory, key = system._memory, f"lanes {tableau.digest}"
    if key not in memory:
        memory.setdefault(key, lanes.lane_step(system, tableau) if lanes.fits(system, tableau) else None)
    found: LaneStep | None = memory[key]
    return found


def _written_factors(system: System, complex_too: bool) -> tuple[int, ...]:
    """Addresses of the functions of `written_factors`; () where that does not pay."""
    memory, key = system._memory, f"factors {complex_too}"
    found = memory.get(key)
    if found is None:
        pattern = written_factors.written(system)
        if pattern is None:
            return ()
        code = MachineCode(written_factors.text(pattern, complex_too))
        names = ("written_factor", "written_solve", "written_factor_complex", "written_solve_complex")
        addresses = tuple(code.address(name) for name in names[: 4 if complex_too else 2])
        found = memory.setdefault(key, (code, addresses))
    return found[1]  # type: ignore[index, no-any-return]


def _own_rosenbrock_step(system: System, tableau: RosenbrockTableau, largest: int) -> tuple[int, int]:
    if not fused_rosenbrock.fits(system, tableau, largest):
        return 0, 0

    def build(system: System, module: Module) -> list[str]:
        for name, make in (("step", fused_rosenbrock.step), ("interpolant", fused_rosenbrock.interpolant)):
            nodes = make(system, tableau)
            module.add_function(name, _row(nodes), len(nodes), seeds=True)
        return ["step", "interpolant"]

    addresses = _part(system, f"step {tableau.digest}", build)[1]
    return addresses["step"], addresses["interpolant"]  # type: ignore[return-value]


def own_taylor(system: System, order: int, largest: int | None = None) -> int:
    """Address of the Taylor series method of an order; 0 where it takes more than `largest` operations, if given."""
    if largest is not None and not taylor_method.fits(system, order, largest):
        return 0
    name = f"taylor {order}"
    found = system._memory.get(name)
    if found is None:
        code = MachineCode(taylor_method.build(system, order).text(), thorough=True)
        found = system._memory.setdefault(name, (code, code.address("method")))
    return found[1]  # type: ignore[no-any-return]


def _base(system: System) -> NativeFunctions:
    parts = [_part(system, name, build) for name, build in _parts_of_solve(system)]
    addresses = {name: address for _, found in parts for name, address in found.items() if name != "jac_values"}
    indptr, indices = system.jacobian_pattern
    return NativeFunctions(
        jac_indptr=indptr,
        jac_indices=indices,
        n=system.n,
        states=system.states,
        n_params=system.n_params,
        n_weights=system.n_weights,
        n_observables=len(system.observables),
        n_families=len(system.turns.families),
        n_gaps=len(system.turns.gaps),
        n_inputs=len(system.inputs),
        mass=tuple(float(i not in system.algebraic) for i in range(system.n)) if system.algebraic else (),
        events=tuple(EventInfo(e.kind, e.terminate, _resets(system, e), e.rule, e.twin) for e in system.events),
        keepalive=tuple(code for code, _ in parts),
        n_modes=len(system.modes),
        **addresses,  # type: ignore[arg-type]
    )


def _resets(system: System, event: EventNodes) -> bool:
    """Does a `when` event change a state that its own condition depends on?"""
    changed = {leaf for leaf, node in zip(system.state_leaves, event.affect, strict=True) if leaf != node}
    return event.kind == "when" and not changed.isdisjoint(system.graph.reachable([event.root]))


def _dense(matrix: Sparse, columns: int, start: int = 0) -> list[tuple[int, int]]:
    return [(start + i * columns + j, node) for (i, j), node in matrix.items()]


def _row(nodes: list[int] | tuple[int, ...], start: int = 0) -> list[tuple[int, int]]:
    return [(start + i, node) for i, node in enumerate(nodes)]


def _parts_of_solve(system: System) -> tuple[tuple[str, Build], ...]:
    """What every solve needs: one part, or of large models three."""
    if system.n > WRITTEN_OUT:
        return ("f", _f), ("jacobian", _jacobian), ("around", _around)
    return (("solve", _solve),)


def _solve(system: System, module: Module) -> list[str]:
    return [*_f(system, module), *_jacobian(system, module), *_around(system, module)]


def _f(system: System, module: Module) -> list[str]:
    module.add_function("f", _row(system.rhs), system.n)
    return ["f"]


def _jacobian(system: System, module: Module) -> list[str]:
    n = system.n
    if n <= WRITTEN_OUT:
        module.add_function("jac", _dense(system.jacobian, n), n * n)
        return ["jac"]
    _values(system, module)
    module.add_scatter("jac", "jac_values", [i * n + j for i, j in system.jacobian], n * n)
    return ["jac", "jac_values"]


def _around(system: System, module: Module) -> list[str]:
    """Initial values, observables, events, the time gradient, and steps of a method that are small enough."""
    n, np_, graph = system.n, system.n_params, system.graph
    names = ["initial"]
    if any(not graph.is_const(node, 0.0) for node in system.time_gradient):
        names.append("dfdt")
        module.add_function("dfdt", _row(system.time_gradient), n)
    nan = graph.const(float("nan"))
    start = [nan if node is None else node for node in system.initial]
    module.add_function("initial", _row(start) + _dense(system.initial_jacobian, np_, n), n + n * np_)
    if system.observables:
        names.append("observables")
        module.add_function("observables", _row(system.observables), len(system.observables))
    when = [e for e in system.events if e.kind in ("when", "switch")]
    timed = [e for e in system.events if e.kind in ("at", "every")]
    roots = [e.root for e in when] + ([] if system.watch is None else [system.watch])
    if roots:
        names.append("roots")
        holds = [e.holds for e in when]
        if system.watch is not None:
            holds.append(graph.call("ge", system.watch, graph.const(0.0)))
        module.add_function("roots", _row(roots + holds), 2 * len(roots))
    if system.algebraic and roots:
        names.append("watched")
        module.add_function("watched", _row(system.state_leaves), n)
    if timed:
        names.append("event_times")
        zero = graph.const(0.0)
        rows = [node for e in timed for node in (e.first, e.period, e.last, zero)]
        module.add_function("event_times", _row(rows), len(rows))
    if fused.fits(system):
        names.append("tsit5")
        stages, argument, new = fused.step(system)
        rows = [node for stage in stages for node in stage] + argument + new
        module.add_function("tsit5", _row(rows), 8 * n, seeds=True)
    families = [node for family in system.turns.families for node in family]
    for name, nodes in (("turns", families), ("gaps", list(system.turns.gaps)), ("modes", list(system.modes))):
        if nodes:
            names.append(name)
            module.add_function(name, _row(nodes), len(nodes))
    for k, event in enumerate(system.events):
        names.append(f"affect_{k}")
        module.add_function(f"affect_{k}", _row(event.affect), n)
    return names


def _sparse(system: System, module: Module) -> list[str]:
    module.add_function("jvp", _row(system.product()), system.n, seeds=True)
    if system.n > WRITTEN_OUT:  # the part every solve needs has them
        return ["jvp"]
    _values(system, module)
    return ["jac_values", "jvp"]


def _values(system: System, module: Module) -> None:
    values = list(system.jacobian.values())
    module.add_function("jac_values", _row(values), len(values))


def _stiff_part(system: System, marks: Marks) -> Part:
    """The marked terms, the rest, and the Jacobian of the marked terms, which are a system of their own for that."""
    nodes = marks()
    if nodes is None:
        raise InputError(
            "this method treats marked terms implicitly and the others explicitly, and this model marks none; "
            'write x\' = a*x - @stiff k*x^3, or choose a method that treats all of them alike, method="kencarp4"'
        )
    marked, rest = nodes
    alone = replace(system, rhs=marked, observables=(), observable_names=(), events=(), _memory={})

    def build(system: System, module: Module) -> list[str]:
        module.add_function("f_stiff", _row(marked), system.n)
        module.add_function("f_nonstiff", _row(rest), system.n)
        return ["f_stiff", "f_nonstiff", *_sparse(alone, module)]

    code, addresses = _part(system, "stiff", build)
    indptr, indices = alone.jacobian_pattern
    return code, addresses | {"jac": 0, "jac_indptr": indptr, "jac_indices": indices}


def _forward(system: System, module: Module) -> list[str]:
    n, np_ = system.n, system.n_params
    names = ["fjp", "djp"]
    outputs = _row(system.rhs) + _dense(system.jacobian, n, n) + _dense(system.parameter_jacobian, np_, n + n * n)
    module.add_function("fjp", outputs, n + n * n + n * np_)
    by_state, by_parameter = system.jacobian_direction()
    outputs = _dense(by_state, n) + _dense(by_parameter, np_, n * n)
    module.add_function("djp", outputs, n * n + n * np_, seeds=True)
    m = len(system.observables)
    if m:
        names.append("observables_jac")
        du, dp = system.observable_jacobians
        outputs = _row(system.observables) + _dense(du, n, m) + _dense(dp, np_, m + m * n)
        module.add_function("observables_jac", outputs, m * (1 + n + np_))
    for k, event in enumerate(system.events):
        names.append(f"affect_jac_{k}")
        module.add_function(
            f"affect_jac_{k}", _affect_jacobian(system, event), n + n * n + 2 * n * 1 + n * np_ + np_ + 1
        )
    if system.algebraic and (system.watch is not None or any(e.kind == "when" for e in system.events)):
        names.append("watched_jac")
        one, size = system.graph.const(1.0), n + n * n + 2 * n + n * np_ + np_ + 1
        outputs = _row(system.state_leaves) + [(n + i * n + i, one) for i in range(n)] + [(size - 1, one)]
        module.add_function("watched_jac", outputs, size)
    return names


def _affect_jacobian(system: System, event: EventNodes) -> list[tuple[int, int]]:
    n, np_ = system.n, system.n_params
    du, dp, dt = system.affect_jacobian(event)
    at = n + n * n
    outputs = _row(event.affect) + _dense(du, n, n) + _dense(dp, np_, at)
    at += n * np_
    outputs += _row(dt, at)
    at += n
    slope = system.root_gradient(event)
    for i, leaf in enumerate((*system.state_leaves, *system.param_leaves, system.time_leaf)):
        if leaf in slope:
            outputs.append((at + i, slope[leaf]))
    return outputs


def _adjoint(system: System, module: Module) -> list[str]:
    n, np_ = system.n, system.n_params
    by_state, by_parameter, sweeps = system.reverse()
    module.add_function(
        "vjp",
        _row(by_state) + _row(by_parameter, n),
        n + np_ + system.n_weights,
        seeds=True,
        sweeps=sweeps,
        weights_at=n + np_,
    )
    if not fused.fits(system, fused.LARGEST_REVERSE):
        return ["vjp"]
    of_state, of_slope, of_parameter = fused.reverse(system)
    module.add_function(
        "tsit5_vjp", _row(of_state) + _row(of_slope, n) + _row(of_parameter, 2 * n), 2 * n + np_, seeds=True
    )
    return ["vjp", "tsit5_vjp"]
