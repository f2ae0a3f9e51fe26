"""`resolve`: a parsed `Document` -> `ModelSpec`, with every name looked up and every promise checked.

First each statement is entered in tables, refusing duplicates; then constants
and bounds become numbers, expressions are checked against the names, and
cycles are looked for.  The sympy bridge makes documents too, so that both
inputs pass the same checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TypeVar

from ..collector import uncollected
from ..errors import ModelError, NameModelError, UnsupportedError
from ..language import syntax
from ..language.ast import Bound, Call, Expr, Index, Name, Num, Span, names, postorder
from ..language.complaint import Complaint
from ..language.names import BUILTINS, PRIMES, TIME, split_primes
from .algebraic import count, unknowns
from .algebraic_arrays import pair
from .array_statements import ArrayStatements
from .arrays import Gathered, Ranges, Said, element_name, loops_of
from .constants import evaluate
from .declared import constant_item, measured, parameter
from .dependencies import calls, free_names, order, size, written_out_size
from .event_statements import EventStatements
from .expanded import MAX_WRITTEN, written_out
from .implicit import held, highest_derivatives, settle, substituted
from .marks import unmarked
from .networks import declare
from .notation import defined, needs_rewriting, plain
from .problems import NOWHERE, Enough, Problems
from .scope import Scope
from .spec import Block, Constant, Definition, Function, ModelSpec, Parameter
from .starting import with_starts
from .steps import Steps, has_steps, plain_constants
from .subscripts import evaluate as whole

MAX_WRITTEN_OUT = 20_000_000
MAX_CALL_DEPTH = 200
DEFAULT_NAME = "model"

_MARK = "".join(PRIMES)
_DERIVATIVE_INSIDE = re.compile(rf"(?<![{_MARK}])[{_MARK}]++(?!\s*+[=(])")
"""A derivative that is neither the left side of an equation nor an initial value."""

A = TypeVar("A")
B = TypeVar("B")


@uncollected
def resolve(document: syntax.Document) -> ModelSpec:
    """Look up and check the names of a document.

    States keep the order of their equations, parameters of their declaration,
    observables and functions of their definition.  Networks come declared ones
    first, then those only used, in the order of first use with equations before
    observables, functions and events.  Raises `ModelError` (`NameModelError`,
    `ReservedError`, ...) with the place in the text; its `errors` are all that were
    found, without those that only follow from others.

    >>> from sciml_dsl.language.parse import parse
    >>> resolve(parse("x' = -k*x; param k = 2")).states
    ('x',)
    """
    problems = Problems(document)
    try:
        resolver = _Resolver(document, problems)
        spec = resolver.spec()
    except Complaint as complaint:
        problems.found.append(complaint)
    except Enough:
        pass
    if problems.found:
        raise problems.error() from None
    return spec


class _Resolver:
    def __init__(self, document: syntax.Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems
        self.attempt = problems.attempt
        self.scope = Scope(macro=document.macro, problems=problems)
        self.places: dict[str, Span] = {}
        self.name: str | None = None
        self.derivatives: dict[str, Expr] = {}
        self.tops: dict[str, Name] = {}  # state -> where its equation stands
        self.initial: dict[str, syntax.Initial] = {}
        self.parameters: dict[str, syntax.Parameter] = {}
        self.constants: dict[str, syntax.Constant] = {}
        self.inputs: dict[str, syntax.Input] = {}
        self.definitions: dict[str, Expr] = {}
        self.functions: dict[str, syntax.Function] = {}
        self.events: list[syntax.Event] = []
        self.unpackings: list[syntax.Unpacking] = []
        self.arrays = ArrayStatements(self.scope, self.claim, self.twice)
        self.algebraic: list[syntax.Algebraic] = []
        self.implicit: list[syntax.Implicit] = []
        self.unknown: tuple[str, ...] = ()
        self.element_equations: tuple[tuple[str, Said], ...] = ()
        self.circle: list[str] = []  # of observables, through elements of arrays

    def spec(self) -> ModelSpec:
        for statement in self.statements():
            self.attempt(self.enter, statement)
        self.without_tables()
        if self.implicit and self.problems.found:
            raise Enough  # which names are states cannot be told
        if self.implicit or (self._holds_derivatives() and not self.problems.found):
            self.settle_derivatives()
            self.name_derivatives()
        if "state" not in self.scope.kinds.values() and not self.algebraic and not self.problems.found:
            raise Complaint("the model has no equation", NOWHERE, self._no_equation_hint(), ModelError)
        for unpacking in self.unpackings:
            self.attempt(self.unpack, unpacking)
        self.scope.definitions = self.definitions
        constants = self.constant_values()
        if self.algebraic:
            if self.problems.found:
                raise Enough  # which names are unknowns cannot be told
            self.enter_unknowns(constants)
        self.arrays.settle(constants)
        kinds = self.scope.described()
        constants = self.with_elements(constants, kinds)
        parameters = self.parameter_items(constants, kinds)
        inputs = self.attempted(self.inputs.values(), lambda statement: measured(statement, constants, kinds))
        self.attempt(self.check_recursion)

        def check(expr: Expr, local: Sequence[str] = ()) -> Expr:
            return self.attempt(self.scope.check, expr, local) or expr

        derivatives = {name: check(expr) for name, expr in self.derivatives.items()}
        definitions = {name: Definition(name, check(expr)) for name, expr in self.definitions.items()}
        blocks = self.arrays.blocks(lambda expr, ranges: self.scope.check(expr, ranges=ranges))
        functions = tuple(
            Function(name, self.scope.functions[name], check(f.body, self.scope.functions[name]))
            for name, f in self.functions.items()
        )
        reader = EventStatements(
            self.scope, self.problems, self.arrays, self.unknown, self.fixed, self._constant, self._value
        )
        events = tuple(self.attempted(self.events, reader.read))
        self.attempt(self.check_definitions)
        if not self.problems.found:
            self.check_size([*derivatives.values(), *(d.expr for d in definitions.values()), *(b.expr for b in blocks)])
        initial, initial_blocks = self.initial_values()
        if self.problems.found:
            raise Enough
        spec = ModelSpec(
            name=self.name or DEFAULT_NAME,
            states=tuple(derivatives),
            derivatives=tuple(derivatives.values()),
            initial=tuple(initial.values()),
            parameters=parameters,
            constants=tuple(Constant(name, value) for name, value in constants.items()),
            definitions=tuple(definitions.values()),
            functions=functions,
            networks=tuple(self.scope.networks.values()),
            events=events,
            inputs=tuple(inputs),
            algebraic=self.unknown,
            source=self.document.source,
            filename=self.document.filename,
            loops=self.scope.loops or bool(self.scope.arrays),
        )
        if not self.scope.arrays:
            return spec
        spec = self.arrays.placed(spec, derivatives, initial, definitions, [*blocks, *initial_blocks])
        if self.element_equations:
            unknown = set(spec.algebraic)
            for name, said in self.element_equations:
                for point in loops_of(said.evaluated, constants).points(limit=MAX_WRITTEN_OUT):
                    if point is not None:
                        unknown.add(element_name(name, [whole(s, constants, point) for s in said.subscripts]))
            spec = replace(spec, algebraic=tuple(s for s in spec.states if s in unknown))
        if self.circle:
            spec = replace(spec, recursive=True)
            self.check_elements(spec)
        return spec

    def statements(self) -> Sequence[syntax.Statement]:
        """The statements in the plain notation."""
        statements: Sequence[syntax.Statement] = self.document.statements
        if needs_rewriting(self.document.source):
            known = defined(statements)
            statements = self.attempted(statements, lambda statement: plain(statement, known))
        if has_steps(self.document.source, statements):
            constants, wrong = plain_constants(statements)
            self.problems.unclear |= wrong
            kinds = dict.fromkeys(defined(statements) - constants.keys(), "not a constant")
            statements = self.attempted(statements, Steps(constants, kinds).plain)
        return statements

    def without_tables(self) -> None:
        """What was refused while it was declared is nothing, and nothing can be said of it."""
        tables: dict[str, Mapping[str, object]] = {"function": self.scope.functions, "network": self.scope.networks}
        for name, kind in list(self.scope.kinds.items()):
            if name not in tables.get(kind, self.scope.kinds):
                del self.scope.kinds[name]
                self.problems.unclear.add(name)

    def attempted(self, items: Iterable[A], read: Callable[[A], B]) -> list[B]:
        """What `read` makes of each item; of those about which there is a complaint, nothing."""
        results = [self.attempt(read, item) for item in items]
        return [result for result in results if result is not None]

    # ------------------------------------------------------------ entering statements

    def enter(self, statement: syntax.Statement) -> None:
        if self.arrays.enter(statement):
            return
        if isinstance(statement, syntax.Derivative):
            self.derivative(statement)
        elif isinstance(statement, syntax.Definition):
            self.claim(statement.name, "observable")
            self.definitions[statement.name.name] = statement.expr
        elif isinstance(statement, syntax.Parameter):
            self.enter_parameter(statement)
        elif isinstance(statement, syntax.Constant):
            self.claim(statement.name, "constant")
            self.constants[statement.name.name] = statement
        elif isinstance(statement, syntax.Input):
            self.claim(statement.name, "input")
            self.inputs[statement.name.name] = statement
        elif isinstance(statement, syntax.Initial):
            name = statement.name
            if name.name in self.initial:
                raise self.twice(f"the initial value of `{name.name}` is given", name, self.initial[name.name].span)
            self.initial[name.name] = statement
        elif isinstance(statement, syntax.Function):
            self.function(statement)
        elif isinstance(statement, syntax.Network):
            self.claim(statement.name, "network")
            self.not_builtin(statement.name, "network")
            self.scope.networks[statement.name.name] = declare(statement)
        elif isinstance(statement, syntax.Unpacking):
            for name in statement.names:
                self.claim(name, "observable")
                self.definitions[name.name] = statement.expr  # keeps the place; written out by `unpack`
            self.unpackings.append(statement)
        elif isinstance(statement, syntax.Event):
            self.events.append(statement)
        elif isinstance(statement, syntax.Algebraic):
            self.algebraic.append(statement)
            unmarked(statement.expr, "an algebraic equation")
        elif isinstance(statement, syntax.Implicit):
            self.implicit.append(statement)
            unmarked(statement.expr, "an equation that is not solved for its derivative")
        elif isinstance(statement, syntax.ModelName):
            if self.name is not None:
                raise Complaint(
                    "the model has a name already",
                    statement.span,
                    f"it is `{self.name}`; leave this line out",
                    NameModelError,
                )
            self.name = statement.name.name

    def claim(self, name: Name, kind: str) -> None:
        """Make `name` a `kind`, unless it is something already."""
        if name.name == TIME:
            raise Complaint(
                "`t` is the time and cannot be redefined", name.span or NOWHERE, "choose another name", NameModelError
            )
        if name.name in self.scope.kinds:
            known = self.scope.describe(name.name)
            again = (
                f"`{name.name}` is defined"
                if self.scope.kinds[name.name] == kind
                else f"`{name.name}` is {known} and defined"
            )
            raise self.twice(again, name, self.places.get(name.name))
        self.scope.kinds[name.name] = kind
        if name.span is not None:
            self.places[name.name] = name.span

    def twice(self, what: str, name: Name, first: Span | None) -> Complaint:
        source = self.document.source
        hint = "keep one of them, or give one another name"
        if source is not None and first is not None:
            line = source.count("\n", 0, first.start) + 1
            hint = f"the first is in line {line}; {hint}"
        return Complaint(
            f"{what} twice" if "and defined" not in what else f"{what} again",
            name.span or NOWHERE,
            hint,
            NameModelError,
        )

    def derivative(self, statement: syntax.Derivative) -> None:
        base = statement.name.name
        place = Name(base, statement.name.span)
        if base in self.parameters and self.scope.kinds.get(base) == "parameter":
            raise Complaint(
                f"`{base}` is a parameter, so it has no equation",
                statement.name.span or NOWHERE,
                f"for a starting value write {base}(0) = ... instead of `param {base}`",
                NameModelError,
            )
        chain = [base + "'" * k for k in range(statement.order)]
        for name in chain:
            if self.scope.kinds.get(name) == "state":
                raise self.twice(
                    f"`{base}{_primes(statement.order)}`: the equation of `{base}` is given",
                    place,
                    self.places.get(base),
                )
            self.claim(Name(name, place.span), "state")
        for name, above in pairwise(chain):
            self.derivatives[name] = Name(above, statement.name.span)
        self.derivatives[chain[-1]] = statement.expr

    def _holds_derivatives(self) -> bool:
        """May the right side of an equation hold a derivative?  (A look at the text is enough to say no.)"""
        source = self.document.source
        return source is not None and not self.document.macro and _DERIVATIVE_INSIDE.search(source) is not None

    def settle_derivatives(self) -> None:
        """Give every derivative an equation of its own where several stand in one, or leave these to vanish."""
        highest = highest_derivatives(self.derivatives, self.implicit)
        tops = {f"{name}'": name for name in self.derivatives if f"{name}'" in highest}
        if not self.implicit and not any(held(self.derivatives[name], highest.keys()) for name in tops.values()):
            return
        explicit = {above: self.derivatives[name] for above, name in tops.items()}
        found = settle(explicit, [(said.expr, said.span) for said in self.implicit], highest)
        for name in found.unknown:
            if name in tops:  # the solver finds it, whatever its equation says
                base, order = split_primes(name)
                for k in range(order):
                    del self.derivatives[base + _primes(k)], self.scope.kinds[base + _primes(k)]
        for name, expr in found.explicit.items():
            if name in tops:
                self.derivatives[tops[name]] = expr
            else:
                base, order = split_primes(name)
                self.derivative(syntax.Derivative(Name(base, highest[name]), order, expr, highest[name]))
        self.algebraic += [syntax.Algebraic(expr, place) for expr, place in found.vanishing]
        start = {base: (self.places.get(base) or NOWHERE).start for base in map(_base, self.derivatives)}
        self.derivatives = dict(sorted(self.derivatives.items(), key=lambda item: start[_base(item[0])]))

    def name_derivatives(self) -> None:
        """In definitions and events, `x''` is the right-hand side of its equation."""
        rates = {f"{name}'": expr for name, expr in self.derivatives.items() if f"{name}'" not in self.derivatives}

        def put(expr: Expr) -> Expr:
            return substituted(expr, rates) if held(expr, rates.keys()) else expr

        self.definitions = {name: put(expr) for name, expr in self.definitions.items()}
        self.events = [
            replace(
                event,
                subject=put(event.subject),
                assignments=tuple(replace(a, expr=put(a.expr)) for a in event.assignments),
            )
            for event in self.events
        ]

    def enter_unknowns(self, constants: dict[str, float]) -> None:
        """Make states of what the equations `0 = ...` determine; their items in `derivatives` are what vanishes."""
        none: frozenset[str] = frozenset()
        expressions = [(expr, none) for expr in self.derivatives.values()]
        for array in self.arrays.gathered.values():
            expressions += [(said.expr, frozenset(bound.name for bound in said.ranges)) for said in array.said]
        expressions += [(e.expr, frozenset(bound.name for bound in e.ranges)) for e in self.algebraic]
        expressions += [(expr, none) for expr in self.definitions.values()]
        expressions += [(f.body, frozenset(self.scope.functions[name])) for name, f in self.functions.items()]
        started = [statement.name for statement in self.initial.values()]
        arrays = {n.name for expr, _ in expressions for n in postorder(expr) if isinstance(n, Index)}
        inside = {n.name for e in self.algebraic for n in postorder(e.expr) if isinstance(n, Index)}
        if inside or arrays - self.scope.kinds.keys() or any(e.ranges for e in self.algebraic):
            alone = [name for name in started if name.name not in arrays]
            self.pair_elements(constants, count(self.scope, expressions, alone, arrays))
            if not self.algebraic:
                return
        found = unknowns(self.scope, expressions, started, [equation.span for equation in self.algebraic])
        for name in (*found.chains, *found.names):
            self.claim(Name(name, found.places.get(name)), "state")
        for name in found.chains:
            self.derivatives[name] = Name(name + "'", found.places.get(name))
        for name, equation in zip(found.names, self.algebraic, strict=True):
            self.derivatives[name] = equation.expr
        self.unknown = found.names

    def pair_elements(self, constants: dict[str, float], scalars: int) -> None:
        """Give algebraic equations to elements of arrays that have no other; `algebraic` keeps the rest."""
        kinds = self.scope.kinds
        ranges = Ranges(constants, kinds, lambda name: self.scope.describe(name) if name in kinds else None)
        gathered = self.arrays.gathered
        others = [*self.derivatives.values(), *self.definitions.values()]
        found = pair(self.algebraic, others, gathered, kinds.__contains__, constants, ranges, scalars)
        for name, said in found.elements:
            if name not in gathered:
                self.claim(Name(name, said.span), "state")
                gathered[name] = Gathered(name, "state")
            gathered[name].said.append(said)
        self.element_equations = found.elements
        self.algebraic = list(found.rest)

    def enter_parameter(self, statement: syntax.Parameter) -> None:
        name = statement.name.name
        first = self.parameters.get(name)
        if first is not None and first.listed and not statement.listed and first.default is None:
            self.parameters[name] = statement  # listed behind `end`, given its default here
            return
        if self.scope.kinds.get(name) == "state":
            raise Complaint(
                f"`{name}` is a state, so it cannot be a parameter too",
                statement.name.span or NOWHERE,
                f"write its initial value as {name}(0) = ...",
                NameModelError,
            )
        self.claim(statement.name, "parameter")
        self.parameters[name] = statement

    def function(self, statement: syntax.Function) -> None:
        name = statement.name
        if self.scope.kinds.get(name.name) == "state":
            raise Complaint(
                f"`{name.name}` is a state, not a function",
                name.span or NOWHERE,
                f"its initial value is {name.name}(0) = ...",
                NameModelError,
            )
        self.not_builtin(name, "function")
        self.claim(name, "function")
        args = [arg.name for arg in statement.args]
        for position, arg in enumerate(statement.args):
            if arg.name in args[:position]:
                raise Complaint(f"the argument `{arg.name}` stands twice", arg.span or NOWHERE, None, NameModelError)
        self.scope.functions[name.name] = tuple(args)
        self.functions[name.name] = statement

    def not_builtin(self, name: Name, what: str) -> None:
        if name.name in BUILTINS:
            raise Complaint(
                f"`{name.name}` is built in and cannot be a {what} of the model",
                name.span or NOWHERE,
                "choose another name",
                NameModelError,
            )

    def unpack(self, statement: syntax.Unpacking) -> None:
        call = statement.expr
        assert isinstance(call, Call)
        network = self.scope.networks.get(call.func)
        count = len(statement.names)
        if network is None or network.n_out != count or call.index is not None:
            span = call.span or NOWHERE
            if network is None:
                args = ", ".join(f"x{i + 1}" for i in range(len(call.args)))
                message, hint = f"`{call.func}` gives one value", f"declare it: neural {call.func}({args}) -> {count}"
            elif call.index is not None:
                message, hint = "one output cannot be unpacked", "leave the `[...]` out"
            else:
                message = f"`{call.func}` has {network.n_out} output(s), and there are {count} names"
                hint = f"give {network.n_out} names, or declare {count} outputs"
            self.problems.unclear.update(name.name for name in statement.names)
            for name in statement.names:
                self.definitions[name.name] = Num(0.0)
            raise Complaint(message, span, hint, NameModelError)
        for index, name in enumerate(statement.names, 1):
            self.definitions[name.name] = Call(call.func, call.args, index, call.span)

    # ------------------------------------------------------------ numbers

    def constant_values(self) -> dict[str, float]:
        given = {name: c.value for name, c in self.constants.items() if not isinstance(c.value, syntax.Values)}
        needs = {name: sorted(names(value) & given.keys()) for name, value in given.items()}
        sequence, cycle = order(needs)
        if cycle is not None:
            place = given[cycle[0]].span or NOWHERE
            message = f"the constant `{cycle[0]}` depends on itself: {' → '.join(cycle)}"
            self.problems.report(Complaint(message, place, None, ModelError))
            self.problems.unclear.update(cycle)
            sequence = [name for name in needs if name not in cycle]
        values: dict[str, float] = {}
        kinds = self.scope.described()
        for name in sequence:
            value = self.attempt(evaluate, given[name], values, f"the constant `{name}`", kinds)
            if value is None:
                self.problems.unclear.add(name)
            else:
                values[name] = value
        return {name: values[name] for name in self.constants if name in values}

    def with_elements(self, constants: dict[str, float], kinds: dict[str, str]) -> dict[str, float]:
        """The constants with the elements of arrays of constants among them, in the order of declaration."""
        arrays = {name: a for name, a in self.arrays.parameters.items() if a.kind == "constant"}
        if not arrays:
            return constants
        needs = {name: sorted(array.uses() & arrays.keys() - {name}) for name, array in arrays.items()}
        sequence, cycle = order(needs)
        if cycle is not None:
            message = f"the constant `{cycle[0]}` depends on itself: {' → '.join(cycle)}"
            self.problems.report(Complaint(message, self.places.get(cycle[0], NOWHERE), None, ModelError))
            self.problems.unclear.update(cycle)
            sequence = []
        known = dict(constants)
        values: dict[str, dict[str, float]] = {}
        for name in sequence:
            if name in self.scope.arrays:
                scalar = partial(constant_item, known=known, kinds=kinds)
                items = self.attempt(self.arrays.parameter_items, name, kinds, scalar) or []
                values[name] = {item.name: item.default for item in items if item.default is not None}
                known |= values[name]
        found: dict[str, float] = {}
        for name, kind in self.scope.kinds.items():
            if kind == "constant":
                found |= values[name] if name in values else {name: constants[name]} if name in constants else {}
        return found

    def parameter_items(self, constants: dict[str, float], kinds: dict[str, str]) -> tuple[Parameter, ...]:
        found: list[Parameter] = []
        for name in [name for name, kind in self.scope.kinds.items() if kind == "parameter"]:
            if name in self.parameters:
                one = self.attempt(parameter, self.parameters[name], constants, kinds)
                found += [] if one is None else [one]
            elif name in self.scope.arrays:
                scalar = partial(parameter, constants=constants, kinds=kinds)
                found += self.attempt(self.arrays.parameter_items, name, kinds, scalar) or []
        return tuple(found)

    # ------------------------------------------------------------ initial values and events

    def initial_values(self) -> tuple[dict[str, Expr | None], list[Block]]:
        """Of scalars by name, and of arrays as blocks."""
        elements = {name: statements[0] for name, statements in self.arrays.initial.items()}
        for name, statement in (self.initial | elements).items():
            self.attempt(self.has_equation, name, statement, name in elements)
        found: dict[str, Expr | None] = {}
        scalars = {name: said.expr for name, said in self.initial.items() if name not in self.scope.arrays}
        given = self.attempt(with_starts, scalars) or {}
        for state in self.derivatives:
            expr = given.get(state)
            what = f"the initial value of `{state}`"
            found[state] = None if expr is None else self.attempt(self.fixed, expr, what)
        return found, self.arrays.initial_blocks(self.initial, self.fixed)

    def has_equation(self, name: str, statement: syntax.Initial, element: bool) -> None:
        """Refuse an initial value of what is no state, or of an `element` of what is no array."""
        if name in self.problems.unclear:
            return
        if self.scope.kinds.get(name) == "state":
            if statement.values is not None and name not in self.scope.arrays:
                message = f"`{name}` is one number, and this is a list"
                raise Complaint(message, statement.values.span, f"write {name}(0) = 1, or equations for {name}[i]")
            if element and name not in self.scope.arrays:
                raise self.arrays.no_array(name, statement)
            return
        base = name.rstrip("'")
        place = statement.name.span or NOWHERE
        if base != name and self.scope.kinds.get(base) == "state":
            message = f"`{name}` has no initial value: the equation of `{base}` is of lower order"
            raise Complaint(message, place, f"write {base}(0) = ...", NameModelError)
        what = (
            f"`{name}` is {self.scope.describe(name)}, not a state"
            if name in self.scope.kinds
            else f"`{name}` has an initial value but no equation"
        )
        raise Complaint(what, place, f"write {name}' = ... to make it a state", NameModelError)

    def fixed(self, expr: Expr, what: str, ranges: tuple[Bound, ...] = ()) -> Expr:
        """Check an expression that may depend on parameters and constants only."""
        if isinstance(expr, Num):
            return expr
        unmarked(expr, what)
        checked = self.scope.check(expr, networks=False, time=False, ranges=ranges)
        bodies = self.bodies
        pending = sorted(free_names(checked, bodies))
        seen: set[str] = set()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            kind = self.scope.kinds.get(name)
            if kind in ("state", "input") or (name == TIME and kind is None):
                thing = "the time `t`" if name == TIME else f"the {kind} `{name}`"
                hint = "use numbers, parameters and constants"
                if kind == "input":
                    hint = "give a measured value when solving, u0={...}, or as a parameter"
                raise Complaint(f"{what} depends on {thing}", expr.span or NOWHERE, hint, ModelError)
            if kind == "observable":
                pending.extend(found for body in self.defined_by(name) for found in free_names(body, bodies))
        if any(name in self.scope.networks for name in self._all_calls(checked, bodies)):
            raise Complaint(f"{what} depends on a network", expr.span or NOWHERE, "use parameters", ModelError)
        return checked

    @cached_property
    def bodies(self) -> dict[str, tuple[tuple[str, ...], Expr]]:
        """The arguments and the body of each function, once all are entered."""
        return {name: (self.scope.functions[name], f.body) for name, f in self.functions.items()}

    def _all_calls(self, expr: Expr, bodies: dict[str, tuple[tuple[str, ...], Expr]]) -> set[str]:
        found: set[str] = set()
        pending = [expr]
        while pending:
            current = pending.pop()
            observables = {n for n in names(current) if self.scope.kinds.get(n) == "observable"}
            below = (calls(current) | observables) - found
            found |= below
            pending.extend(bodies[name][1] for name in below if name in bodies)
            pending.extend(body for name in below & observables for body in self.defined_by(name))
        return found

    def defined_by(self, name: str) -> list[Expr]:
        """What the text says of an observable: one expression, several for an array."""
        return [self.definitions[name]] if name in self.definitions else self.arrays.expressions(name)

    def _constant(self, expr: Expr) -> bool:
        """Whether `expr` is made of numbers and constants alone."""
        return names(expr) <= self.constants.keys() and not calls(expr) & self.functions.keys()

    def _value(self, expr: Expr) -> float:
        return evaluate(expr, self.constant_values(), "the period of `every`", self.scope.described())

    # ------------------------------------------------------------ cycles and sizes

    def check_definitions(self) -> None:
        bodies = self.bodies
        observables = {name for name, kind in self.scope.kinds.items() if kind == "observable"}
        needs = {
            name: sorted({n for body in self.defined_by(name) for n in free_names(body, bodies)} & observables)
            for name in self.scope.kinds
            if name in observables
        }
        _, cycle = order(needs)
        if cycle is None:
            return
        if any(name in self.scope.arrays for name in cycle):
            self.circle = cycle  # its elements may still be made one after another: `check_elements`
            return
        span = self.places.get(cycle[0], NOWHERE)
        message = f"`{cycle[0]}` depends on itself: {' → '.join(cycle)}"
        raise Complaint(message, span, f"a state with memory is written {cycle[0]}' = ...", ModelError)

    def check_elements(self, spec: ModelSpec) -> None:
        """Refuse observables whose elements are defined by each other in a circle.

        `c[i] = c[i-1] + u[i]` with a first element is none.  Such models are written out, so they have a size.
        """
        array = next(name for name in self.circle if name in self.scope.arrays)
        span = self.places.get(array, NOWHERE)
        if len(spec.definitions) + len(spec.states) > MAX_WRITTEN:
            raise Complaint(
                f"`{array}` is made of its own elements; in models of more than {MAX_WRITTEN:,} elements it cannot be",
                span,
                f"write it without itself, for instance {array}[i] = sum(... for j in 1..i)",
                UnsupportedError,
            )
        plain = written_out(spec)
        bodies = {f.name: (f.args, f.body) for f in plain.functions}
        known = {d.name for d in plain.definitions}
        needs = {d.name: sorted(free_names(d.expr, bodies) & known) for d in plain.definitions}
        _, cycle = order(needs)
        if cycle is not None:
            shown = cycle if len(cycle) <= 8 else [*cycle[:4], "...", *cycle[-2:]]
            raise Complaint(
                f"`{cycle[0]}` depends on itself: {' → '.join(shown)}",
                span,
                f"give the element that comes first an equation of its own, {array}[1] = ..., and the others those "
                f"before them; a state with memory is written {array}[i]' = ...",
                ModelError,
            )

    def check_recursion(self) -> None:
        needs = {name: sorted(calls(f.body) & self.functions.keys()) for name, f in self.functions.items()}
        sequence, cycle = order(needs)
        if cycle is not None:
            span = self.places.get(cycle[0], NOWHERE)
            raise Complaint(f"the function `{cycle[0]}` calls itself: {' → '.join(cycle)}", span, None, ModelError)
        depth: dict[str, int] = {}
        for name in sequence:
            depth[name] = 1 + max((depth[below] for below in needs[name]), default=0)
            if depth[name] > MAX_CALL_DEPTH:
                message = f"functions call each other more than {MAX_CALL_DEPTH} deep"
                raise Complaint(message, self.places.get(name, NOWHERE), None, ModelError)
        self.sequence = sequence

    def check_size(self, expressions: Sequence[Expr]) -> None:
        if not self.functions:
            return
        sizes = written_out_size(self.sequence, {name: f.body for name, f in self.functions.items()})
        total = sum(size(expr, sizes) for expr in expressions)
        if total > MAX_WRITTEN_OUT:
            message = f"with its functions written out the model has {total:.3g} operations, too many to build"
            raise Complaint(message, NOWHERE, "name repeated parts: part = f(x)", ModelError)

    def _no_equation_hint(self) -> str:
        for name in self.definitions:
            if len(name) > 1 and name.startswith("d"):
                base = name[1:-2] if name.endswith("dt") and len(name) > 3 else name[1:]
                return f"`{name} = ...` only defines a name; write {base}' = ... or d{base}/dt = ..."
        return "write x' = ... or dx/dt = ..."


def _primes(order: int) -> str:
    return "'" * order


def _base(name: str) -> str:
    return split_primes(name)[0]
