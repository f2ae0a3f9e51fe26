"""Putting formulas in the place of networks.

Takes a spec and formulas for some of its networks (`{"U": x*y}`, `{"U[2]": ...}`
for one output of a vector network); gives the spec of an ordinary model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from ..errors import ModelError, NameModelError, UnknownNameError, UnsupportedError, suggest
from ..language.ast import (
    Bound,
    Call,
    Expr,
    Index,
    Name,
    Num,
    Tree,
    Unary,
    children,
    fold,
    names,
    postorder,
    rebuild,
)
from ..language.complaint import Complaint
from ..language.names import TIME, is_name
from .array_values import number
from .arrays import loops_of
from .dependencies import free_names, order
from .expanded import Expanded, scalar_definitions, written, written_out
from .notation import plain_expression
from .scope import Scope
from .spec import Block, Definition, Event, Function, ModelSpec, Parameter
from .subscripts import Loops, evaluate

Key = tuple[str, int | None]


def scope_of(spec: ModelSpec) -> Scope:
    """The names of a finished model."""
    kinds = dict.fromkeys(spec.states, "state")
    kinds |= {p.name: "parameter" for p in spec.parameters} | {c.name: "constant" for c in spec.constants}
    kinds |= dict.fromkeys(spec.observables, "observable") | {f.name: "function" for f in spec.functions}
    kinds |= {net.name: "network" for net in spec.networks} | {i.name: "input" for i in spec.inputs}
    kinds |= {array.name: array.kind for array in spec.arrays}
    return Scope(
        kinds,
        {f.name: f.args for f in spec.functions},
        {net.name: net for net in spec.networks},
        {d.name: d.expr for d in scalar_definitions(spec)},
        arrays={array.name: array.bounds for array in spec.arrays},
        constants={c.name: c.value for c in spec.constants},
    )


def with_terms(
    spec: ModelSpec, terms: Mapping[str, Any], parameters: Mapping[str, float | None] | None = None
) -> ModelSpec:
    """`spec` with calls of networks replaced by formulas.

    Arguments: `terms`, network (or `U[k]`) -> formula as text, sympy expression
    or number, written in the names of the model.  Where a network is called at
    several places with different arguments, the formula is that of the first
    call (equations first) and its arguments are exchanged at the others.
    `parameters`, new parameters of the formulas with their defaults.  Networks
    no longer called are dropped with their weights.  Raises `UnknownNameError`
    for terms that are none, `ModelError` for formulas that do not fit.
    """
    new = tuple(Parameter(name, default) for name, default in (parameters or {}).items())
    taken = scope_of(spec).kinds
    for parameter in new:
        if parameter.name in taken or parameter.name == TIME or not is_name(parameter.name):
            problem = "is taken already" if is_name(parameter.name) else "is not a name"
            raise NameModelError(f"the new parameter `{parameter.name}` {problem}", hint="choose another name")
    spec = replace(spec, parameters=spec.parameters + new)
    scope = scope_of(spec)
    formulas: dict[Key, tuple[Call, Expr]] = {}
    sites = network_calls(spec)
    loops = _loops_around(spec, sites)
    for term, given in terms.items():
        key = _key(spec, term)
        if key not in sites:
            raise UnknownNameError(f"the network of the term `{term}` is not called anywhere in the model")
        first = sites[key][0]
        formula = _formula(given, term, scope, spec, loops[key])
        formulas[key] = (first, _in_general(formula, first, loops[key], scope.constants))
        spec = replace(spec, loops=spec.loops or scope.loops)
    for key, (first, formula) in formulas.items():
        others = any(call.args != first.args for call in sites[key])
        inner = _substitute(formula, dict.fromkeys(first.args, Num(0.0)))
        if others and names(inner) & {bound.name for bound in loops[key]}:
            raise UnsupportedError(
                f"the formula for `{key[0]}` uses an index beside its arguments, and is called at several places",
                hint="use the arguments only, or give each place a network of its own",
            )
        if others and not _plain(first):
            raise UnsupportedError(
                f"`{key[0]}` is called with different arguments, and the first call's are not plain names",
                hint=f"name the arguments first: z = x^2; {key[0]}(z)",
            )

    def put(node: Expr, parts: list[Expr]) -> Expr:
        node = node if all(a is b for a, b in zip(parts, children(node), strict=True)) else rebuild(node, parts)
        if isinstance(node, Call) and (node.func, node.index) in formulas:
            first, formula = formulas[node.func, node.index]
            if node.args == first.args:
                return formula
            return _substitute(formula, dict(zip(first.args, node.args, strict=True)))
        return node

    result = map_expressions(spec, lambda expr: fold(expr, put))
    left = {func for func, _ in network_calls(result)}
    result = replace(
        result,
        networks=tuple(net for net in spec.networks if net.name in left),
        weights=tuple(pair for pair in spec.weights if pair[0] in left),
        source=None,
        filename=None,
    )
    _refuse_cycles(result)
    return result


def _key(spec: ModelSpec, term: str) -> Key:
    base, _, index = str(term).partition("[")
    network = next((net for net in spec.networks if net.name == base), None)
    if network is None:
        known = ", ".join(net.name for net in spec.networks) or "none"
        hint = suggest(base, [net.name for net in spec.networks]) or f"the networks of the model: {known}"
        raise UnknownNameError(f"the model has no network `{base}`; {hint}")
    output = index.rstrip("]")
    if network.n_out == 1 and output in ("", "1"):
        return (base, None)
    if output.isdecimal() and 1 <= int(output) <= network.n_out:
        return (base, int(output))
    raise UnknownNameError(
        f"`{base}` has {network.n_out} outputs; its terms are called {base}[1] to {base}[{network.n_out}]"
    )


def _loops_around(spec: ModelSpec, sites: Mapping[Key, list[Call]]) -> dict[Key, tuple[Bound, ...]]:
    """The ranges around the first call of each network."""
    found: dict[Key, tuple[Bound, ...]] = dict.fromkeys(sites, ())
    first = {id(calls[0]): key for key, calls in sites.items()}
    for block in (*spec.blocks, *(block for event in spec.events for block in event.blocks)):
        for node in postorder(block.expr):
            if id(node) in first:
                found[first[id(node)]] = loops_of(block.ranges, {}).ranges
    return found


def _in_general(
    formula: Expr, first: Call, ranges: tuple[Bound, ...], constants: Mapping[str, float]
) -> Expr:
    """A formula in the elements of the first call, `u[1]^2`, as one of its arguments, `u[i]^2`."""
    if not ranges:
        return formula
    point = next(Loops(ranges, constants).points())
    assert point is not None
    new: dict[Expr, Expr] = {}
    for arg in first.args:
        new[written(arg, point, constants)] = arg
        if isinstance(arg, Index):
            subscripts = (Num(float(evaluate(s, constants, point))) for s in arg.subscripts)
            new[Index(arg.name, tuple(subscripts))] = arg
    return _substitute(formula, new)


def _formula(given: Any, term: str, scope: Scope, spec: ModelSpec, ranges: tuple[Bound, ...]) -> Expr:
    source: str | None = None
    if isinstance(given, str):
        from ..language.parse import parse_expression
        from ..language.syntax import Definition as Defined

        document = parse_expression(given)
        statement = document.statements[0]
        assert isinstance(statement, Defined)
        known = scope.kinds.keys() | {arg for f in spec.functions for arg in f.args}
        try:
            expr, source = plain_expression(statement.expr, known), document.source
        except Complaint as complaint:
            raise complaint.located(document.source or "", f"the term {term}") from None
    elif isinstance(given, (int, float)):
        expr = Num(float(given)) if given >= 0 else Unary("-", Num(-float(given)))
    elif isinstance(given, Tree):
        expr = cast(Expr, given)
    else:
        from .sympy_expr import from_sympy_expr

        of_time = [*spec.states, *(i.name for i in spec.inputs)]
        expr = from_sympy_expr(given, of_time, [net.name for net in spec.networks])
    arguments = {arg for f in spec.functions for arg in f.args}
    try:
        return scope.check(_elements(expr, spec) if spec.arrays else expr, arguments, ranges=ranges)
    except Complaint as complaint:
        if source is not None:
            raise complaint.located(source, f"the term {term}") from None
        raise complaint.kind(f"the term `{term}`: {complaint.message}", hint=complaint.hint) from None


def _plain(call: Call) -> bool:
    """Whether the arguments are different plain names or elements."""
    found = [arg for arg in call.args if isinstance(arg, (Name, Index))]
    return len(found) == len(call.args) == len(set(found))


def _substitute(expr: Expr, new: Mapping[Expr, Expr]) -> Expr:
    """`expr` with names and elements replaced."""

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, (Name, Index)) and node in new:
            return new[node]
        return rebuild(node, parts)

    return fold(expr, combine)


def _elements(expr: Expr, spec: ModelSpec) -> Expr:
    """`expr` with names such as `u[3]`, as sympy has them, as elements."""
    kinds = {array.name: array for array in spec.arrays}

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, Name) and node.name.endswith("]"):
            base, _, inside = node.name[:-1].partition("[")
            if base in kinds:
                return Index(base, tuple(number(float(s)) for s in inside.split(",")), node.span)
        return rebuild(node, parts)

    return fold(expr, combine)


def network_calls(spec: ModelSpec) -> dict[Key, list[Call]]:
    """Every call of a network, equations first."""
    networks = {net.name for net in spec.networks}
    found: dict[Key, list[Call]] = {}

    def look(expr: Expr) -> Expr:
        for node in postorder(expr):
            if isinstance(node, Call) and node.func in networks:
                found.setdefault((node.func, node.index), []).append(node)
        return expr

    map_expressions(spec, look)
    return found


def map_expressions(spec: ModelSpec, change: Callable[[Expr], Expr]) -> ModelSpec:
    """`spec` with every expression that may hold a network changed."""

    def maybe(expr: Expr | None) -> Expr | None:
        return None if expr is None else change(expr)

    def of_blocks(old: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(b if b.kind == "initial" else replace(b, expr=change(b.expr)) for b in old)

    def event(old: Event) -> Event:
        assignments = tuple((name, change(expr)) for name, expr in old.assignments)
        return replace(
            old, condition=maybe(old.condition), assignments=assignments, blocks=of_blocks(old.blocks)
        )

    derivatives, definitions = spec.derivatives, spec.definitions
    blocks: tuple[Block, ...] = ()
    if isinstance(derivatives, Expanded):
        scalars = tuple(change(expr) for expr in derivatives.given.values())
        equations = of_blocks(derivatives.blocks)
        derivatives = derivatives.changed(scalars, equations)
        assert isinstance(definitions, Expanded)
        observables = tuple(Definition(d.name, change(d.expr)) for d in definitions.given.values())
        defined = of_blocks(definitions.blocks)
        definitions = definitions.changed(observables, defined)
        initial = tuple(block for block in spec.blocks if block.kind == "initial")
        blocks = (*equations, *initial, *defined)
    else:
        derivatives = tuple(change(expr) for expr in derivatives)
        definitions = tuple(Definition(d.name, change(d.expr)) for d in definitions)
    return replace(
        spec,
        derivatives=derivatives,
        definitions=definitions,
        blocks=blocks,
        functions=tuple(Function(f.name, f.args, change(f.body)) for f in spec.functions),
        events=tuple(event(old) for old in spec.events),
    )


def map_derivatives(spec: ModelSpec, change: Callable[[Expr], Expr]) -> ModelSpec:
    """`spec` with its equations changed, those of arrays in their blocks."""
    old = spec.derivatives
    if not isinstance(old, Expanded):
        return replace(spec, derivatives=tuple(change(expr) for expr in old))
    equations = tuple(replace(block, expr=change(block.expr)) for block in old.blocks)
    others = tuple(block for block in spec.blocks if block.kind != "derivative")
    derivatives = old.changed(tuple(change(expr) for expr in old.given.values()), equations)
    return replace(spec, derivatives=derivatives, blocks=(*equations, *others))


def _refuse_cycles(spec: ModelSpec) -> None:
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    said: dict[str, list[Expr]] = {d.name: [d.expr] for d in scalar_definitions(spec)}
    for block in spec.blocks:
        if block.kind == "definition":
            said.setdefault(block.array, []).append(block.expr)
    _, cycle = order(
        {name: sorted({n for e in parts for n in free_names(e, bodies)} & said.keys()) for name, parts in said.items()}
    )
    if cycle is not None and spec.recursive:  # it was so before; what counts is each element
        plain = written_out(spec)
        elements = {d.name: sorted(free_names(d.expr, bodies)) for d in plain.definitions}
        _, cycle = order(elements)
    if cycle is not None:
        raise ModelError(f"with these terms `{cycle[0]}` depends on itself: {' → '.join(cycle)}")
