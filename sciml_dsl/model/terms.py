"""Putting formulas in the place of networks.

Takes a spec and formulas for some of its networks (`{"U": x*y}`, `{"U[2]": ...}`
for one output of a vector network); gives the spec of an ordinary model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from ..errors import ModelError, NameModelError, UnknownNameError, UnsupportedError, suggest
from ..language.ast import Call, Expr, Name, Num, Tree, Unary, children, fold, postorder, rebuild
from ..language.complaint import Complaint
from ..language.names import TIME, is_name
from .dependencies import free_names, order
from .scope import Scope
from .spec import Definition, Event, Function, ModelSpec, Parameter

Key = tuple[str, int | None]


def scope_of(spec: ModelSpec) -> Scope:
    """The names of a finished model."""
    kinds = dict.fromkeys(spec.states, "state")
    kinds |= {p.name: "parameter" for p in spec.parameters} | {c.name: "constant" for c in spec.constants}
    kinds |= {d.name: "observable" for d in spec.definitions} | {f.name: "function" for f in spec.functions}
    kinds |= {net.name: "network" for net in spec.networks} | {i.name: "input" for i in spec.inputs}
    return Scope(
        kinds,
        {f.name: f.args for f in spec.functions},
        {net.name: net for net in spec.networks},
        {d.name: d.expr for d in spec.definitions},
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
    for term, given in terms.items():
        key = _key(spec, term)
        if key not in sites:
            raise UnknownNameError(f"the network of the term `{term}` is not called anywhere in the model")
        formulas[key] = (sites[key][0], _formula(given, term, scope, spec))
    for key, (first, _) in formulas.items():
        if any(call.args != first.args for call in sites[key]) and not _plain(first):
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
            return _substitute(
                formula,
                {arg.name: new for arg, new in zip(first.args, node.args, strict=True) if isinstance(arg, Name)},
            )
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


def _formula(given: Any, term: str, scope: Scope, spec: ModelSpec) -> Expr:
    source: str | None = None
    if isinstance(given, str):
        from ..language.parse import parse_expression
        from ..language.syntax import Definition as Defined

        document = parse_expression(given)
        statement = document.statements[0]
        assert isinstance(statement, Defined)
        expr, source = statement.expr, document.source
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
        return scope.check(expr, arguments)
    except Complaint as complaint:
        if source is not None:
            raise complaint.located(source, f"the term {term}") from None
        raise complaint.kind(f"the term `{term}`: {complaint.message}", hint=complaint.hint) from None


def _plain(call: Call) -> bool:
    """Whether the arguments are different plain names."""
    found = [arg.name for arg in call.args if isinstance(arg, Name)]
    return len(found) == len(call.args) == len(set(found))


def _substitute(expr: Expr, new: Mapping[str, Expr]) -> Expr:
    def combine(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, Name):
            return new.get(node.name, node)
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

    def event(old: Event) -> Event:
        assignments = tuple((name, change(expr)) for name, expr in old.assignments)
        return replace(old, condition=maybe(old.condition), assignments=assignments)

    return replace(
        spec,
        derivatives=tuple(change(expr) for expr in spec.derivatives),
        definitions=tuple(Definition(d.name, change(d.expr)) for d in spec.definitions),
        functions=tuple(Function(f.name, f.args, change(f.body)) for f in spec.functions),
        events=tuple(event(old) for old in spec.events),
    )


def _refuse_cycles(spec: ModelSpec) -> None:
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    known = {d.name for d in spec.definitions}
    _, cycle = order({d.name: sorted(free_names(d.expr, bodies) & known) for d in spec.definitions})
    if cycle is not None:
        raise ModelError(f"with these terms `{cycle[0]}` depends on itself: {' → '.join(cycle)}")
