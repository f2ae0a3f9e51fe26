"""`from_sympy`: sympy equations -> Model.

Takes a mapping of states to right-hand sides or a list of `Eq`; makes the same
statements the parser makes, so names and numbers pass the same checks and the
model equals the one its text gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from ..errors import InputError, ModelError, NameModelError, clipped, suggest
from ..language import syntax
from ..language.ast import Expr, Name, Num, Unary, names
from ..language.complaint import Complaint
from ..language.keywords import INTERPOLATIONS
from ..language.names import MAX_ORDER, TIME, is_implicit_network, is_name, normalise, split_primes
from ..language.syntax import Document
from .array_values import number
from .dependencies import calls
from .inputs import read_rows
from .model import Model
from .notation import plain_expression
from .problems import NOWHERE
from .resolve import resolve
from .spec import Input, Network, Parameter
from .sympy_expr import from_sympy_expr, symbol_name

_INPUT_OPTIONS = {"interpolation", "hold", "column", "data"}
_OPTIONS = {"hidden", "activation", "n_out"}


def from_sympy(
    equations: Mapping[Any, Any] | Sequence[Any],
    initial: Mapping[Any, Any] | None = None,
    parameters: Mapping[Any, Any] | Sequence[Any] | None = None,
    observables: Mapping[Any, Any] | None = None,
    networks: Mapping[str, Any] | None = None,
    name: str = "model",
    algebraic: Sequence[Any] | None = None,
    inputs: Mapping[Any, Any] | Sequence[Any] | None = None,
) -> Model:
    """The model of sympy equations.

    Arguments:
    `equations`: `{x: a*x - b*x*y, ...}` with keys symbols, strings or `x(t)`; or
    a list of `Eq(Derivative(x(t), t), ...)`, of any order of derivative, in which
    `Eq(s, x(t) + y(t))` defines an observable.
    `initial`: `{x: 1, ...}`, numbers or expressions in parameters; keys as above,
    also `x(0)` and, in models of second order, `"x'"`.
    `parameters`: `{a: 1.5, b: None, c: (1, 0, 5)}` with default, no default, or
    default and bounds (or a `spec.Parameter`); or a sequence of symbols.
    `observables`: `{total: x + y}`.
    `networks`: `{"U": {"n_out": 2, "hidden": [16, 16], "activation": "tanh"}}`.
    Undefined functions such as `Function("NN")(x, y)` are networks; those not
    named here have the default shape.  Output k of a vector network is the
    function named `U[k]`.

    `algebraic`: expressions that have to vanish, or `Eq`; the free symbols they
    determine are those that are no states, observables or `parameters` (all of which have to be listed then).

    `inputs`: the measured forcings, as a sequence of symbols (or `u(t)`), or a mapping
    `{u: "constant", v: {"interpolation": "cubic", "hold": True, "column": "v_measured"}, w: (times, values)}`.

    Free symbols that are neither states, observables nor inputs become parameters:
    first those given, in their order, then the others sorted by name, without a
    default.  The symbol t is the time.  Raises `ModelError` for equations that
    cannot be read, `InputError` for other arguments that do not fit.

    >>> x, y, a = sympy.symbols("x y a")
    >>> m = from_sympy({x: a*x - sympy.Function("NN")(x, y), y: -y}, initial={x: 1, y: 2}, parameters={a: 0.5})
    >>> print(m, end="")
    x' = a*x - NN(x, y)
    y' = -y
    <BLANKLINE>
    x(0) = 1
    y(0) = 2
    <BLANKLINE>
    param a = 0.5
    """
    reader = _Reader(network_names=tuple(networks or ()))
    reader.equations(equations)
    for given in algebraic or ():
        reader.vanishing.append(_difference(given))
    for key, value in (observables or {}).items():
        reader.observable(_key(key), value)
    forcing = _inputs(inputs or ())
    return Model(resolve(reader.document(initial or {}, parameters or {}, networks or {}, name, forcing)))


@dataclass
class _Reader:
    network_names: tuple[str, ...]
    states: list[tuple[str, int, Any]] = field(default_factory=list)  # name, order, right-hand side
    definitions: list[tuple[str, Any]] = field(default_factory=list)
    vanishing: list[Any] = field(default_factory=list)
    named: set[str] = field(default_factory=set)  # parameters that are given

    # ------------------------------------------------------------ what was given

    def equations(self, given: Mapping[Any, Any] | Sequence[Any]) -> None:
        if isinstance(given, Mapping):
            self.mapping(given)
        elif isinstance(given, Iterable) and not isinstance(given, str):
            for equation in given:
                self.equation(equation)
        else:
            raise InputError("equations are a mapping {x: expression} or a list of sympy.Eq")
        if not self.states:
            raise ModelError(
                "the model has no equation", hint="give {x: expression} or [Eq(Derivative(x(t), t), expression)]"
            )

    def mapping(self, given: Mapping[Any, Any]) -> None:
        pairs = [(_key(key), value) for key, value in given.items()]
        keys = {key for key, _ in pairs}
        for key, value in pairs:
            base, primes = split_primes(key)
            if primes and base not in keys:
                raise ModelError(f"`{key}` has an equation, but `{base}` has none", hint=f'add {base}: Symbol("{key}")')
            if key + "'" in keys:  # the lower part of a second-order equation: x: x', x': ...
                if value != sympy.Symbol(key + "'"):
                    raise ModelError(f"`{key}'` is the derivative of `{key}`", hint=f'write {key}: Symbol("{key}\'")')
                continue
            self.states.append((base, primes + 1, value))

    def equation(self, given: Any) -> None:
        if given in (sympy.true, sympy.false, True, False):
            raise ModelError(
                "an equation has turned into True or False", hint="sympy decided it; use Eq(..., evaluate=False)"
            )
        if not isinstance(given, sympy.Equality):
            raise ModelError(
                f"`{given}` is not an equation", hint="write sympy.Eq(sympy.Derivative(x(t), t), expression)"
            )
        left, right = given.lhs, given.rhs
        if isinstance(right, sympy.Derivative) and not left.has(sympy.Derivative):
            left, right = right, left
        if isinstance(left, sympy.Derivative):
            self.derivative(left, right)
        elif isinstance(left, (sympy.Symbol, AppliedUndef)):
            self.observable(_key(left), right)
        else:
            raise ModelError(
                f"the left side `{left}` is not a derivative", hint="solve the equation for Derivative(x(t), t) first"
            )

    def derivative(self, left: Any, right: Any) -> None:
        symbols = [symbol.name for symbol, _ in left.variable_count]
        if len(symbols) != 1 or symbols[0] != TIME:
            raise ModelError(f"`{left}` is not a derivative by the time", hint="call the time t: Derivative(x(t), t)")
        if not isinstance(left.expr, (sympy.Symbol, AppliedUndef)):
            raise ModelError(f"`{left}` is not the derivative of a state", hint="write Derivative(x(t), t)")
        order = left.variable_count[0][1]
        if not order.is_Integer or order > MAX_ORDER:
            raise ModelError(
                f"a derivative of order {clipped(str(order))}: {MAX_ORDER} is the highest",
                hint="every order is a state of its own",
            )
        self.states.append((_key(left.expr), int(order), right))

    def observable(self, name: str, value: Any) -> None:
        self.definitions.append((name, value))

    # ------------------------------------------------------------ statements

    def document(
        self,
        initial: Mapping[Any, Any],
        parameters: Mapping[Any, Any] | Sequence[Any],
        networks: Mapping[str, Any],
        name: str,
        inputs: Sequence[syntax.Input] = (),
    ) -> Document:
        known = [base + "'" * k for base, order, _ in self.states for k in range(order)]
        known += [defined for defined, _ in self.definitions]
        known += [given.name.name for given in inputs]
        self.named = {key.name if isinstance(key, Parameter) else _key(key) for key in parameters}
        statements: list[syntax.Statement] = []
        if name != "model":
            if not is_name(name):
                raise InputError(f"`{name}` is not a name for a model: letters, digits and underscores")
            statements.append(syntax.ModelName(Name(name), NOWHERE))
        used: list[Expr] = []

        def read(value: Any) -> Expr:
            expr = self.expression(value, known)
            used.append(expr)
            return expr

        for base, order, value in self.states:
            statements.append(syntax.Derivative(Name(base), order, read(value), NOWHERE))
        for defined, value in self.definitions:
            statements.append(syntax.Definition(Name(defined), read(value), NOWHERE))
        for value in self.vanishing:
            statements.append(syntax.Algebraic(read(value), NOWHERE))
        for key, value in initial.items():
            statements.append(syntax.Initial(Name(_key(key)), read(value), NOWHERE))
        free = [] if self.vanishing else used  # else free symbols are what the algebraic equations determine
        statements.extend(_parameters(parameters, free, {*known, TIME}))
        statements.extend(inputs)
        statements.extend(_networks(networks, used))
        return Document(tuple(statements), None)

    def expression(self, value: Any, known: list[str]) -> Expr:
        if isinstance(value, str):
            from ..language.parse import parse_expression

            document = parse_expression(value)
            statement = document.statements[0]
            assert isinstance(statement, syntax.Definition)
            try:
                return plain_expression(statement.expr, {*known, *self.named})
            except Complaint as complaint:
                raise complaint.located(document.source or "", None) from None
        try:
            expr = sympy.sympify(value, strict=True)
        except (sympy.SympifyError, TypeError):
            raise InputError(f"a sympy expression or number is needed, not {value!r}") from None
        return from_sympy_expr(expr, known, self.network_names)


def _difference(given: Any) -> Any:
    """What vanishes: an expression, or the difference of the sides of an `Eq`."""
    if isinstance(given, sympy.Equality):
        return given.rhs - given.lhs if given.lhs != 0 else given.rhs
    return given


def _key(key: Any) -> str:
    """The name of a state or parameter given as symbol, string, `x(t)`, `x(0)` or `Derivative(x(t), t)`."""
    if isinstance(key, sympy.Subs) and key.point == (0,):
        key = key.expr
    if isinstance(key, sympy.Derivative):
        return _key(key.expr) + "'" * int(key.derivative_count)
    if isinstance(key, AppliedUndef):
        place = key.args[0] if len(key.args) == 1 else None
        if place is None or not (place == 0 or getattr(place, "name", None) == TIME):
            raise ModelError(f"`{key}` does not name a state", hint="write x(t), Symbol('x') or 'x'")
        return symbol_name(str(key.func))
    if isinstance(key, (str, sympy.Symbol)):
        return symbol_name(key)
    raise InputError(f"names are strings or sympy symbols, not {key!r}")


def _parameters(given: Mapping[Any, Any] | Sequence[Any], used: list[Expr], known: set[str]) -> list[syntax.Statement]:
    values = dict(given.items()) if isinstance(given, Mapping) else dict.fromkeys(given)
    statements: list[syntax.Statement] = []
    listed: set[str] = set()
    for key, value in values.items():
        p = _parameter(
            key.name if isinstance(key, Parameter) else _key(key), key if isinstance(key, Parameter) else value
        )
        listed.add(p.name)
        statements.append(
            syntax.Parameter(Name(p.name), _number(p.default), _number(p.lower), _number(p.upper), p.log, NOWHERE)
        )
    free = {name for expr in used for name in names(expr)} - known - listed
    for name in sorted(free):
        if split_primes(name)[1]:
            continue  # a derivative that is no state: the resolver says so
        statements.append(syntax.Parameter(Name(name), None, None, None, False, NOWHERE))
    return statements


def _parameter(name: str, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    if len(parts) not in (1, 3):
        raise InputError(f"the parameter `{name}` is given as default or as (default, lower, upper), not {value!r}")
    numbers: list[float | None] = []
    for part in parts:
        try:
            numbers.append(None if part is None else float(part))
        except (TypeError, ValueError):
            raise InputError(f"the parameter `{name}` needs a number, not {part!r}") from None
    if len(numbers) == 1:
        return Parameter(name, numbers[0])
    lower = float("-inf") if numbers[1] is None else numbers[1]
    upper = float("inf") if numbers[2] is None else numbers[2]
    return Parameter(name, numbers[0], lower, upper)


def _inputs(given: Mapping[Any, Any] | Sequence[Any]) -> list[syntax.Input]:
    """The declarations of measured forcings."""
    pairs = given.items() if isinstance(given, Mapping) else [(key, None) for key in given]
    return [_input(_key(key), how) for key, how in pairs]


def _input(name: str, how: Any) -> syntax.Input:
    """One input: an interpolation, a mapping of options, rows (times, values), a `spec.Input`, or None."""
    if isinstance(how, Input):
        how = {name: getattr(how, name) for name in _INPUT_OPTIONS}
    if how is None or isinstance(how, str):
        options: Mapping[str, Any] = {} if how is None else {"interpolation": how}
    else:
        options = how if isinstance(how, Mapping) else {"data": how}
    for key in options:
        if key not in _INPUT_OPTIONS:
            hint = suggest(str(key), _INPUT_OPTIONS) or f"options are {', '.join(sorted(_INPUT_OPTIONS))}"
            raise InputError(f"an input has no option `{key}`\n  hint: {hint}")
    interpolation = options.get("interpolation")
    if interpolation not in (None, *INTERPOLATIONS):
        known = ", ".join(f'"{word}"' for word in INTERPOLATIONS)
        raise InputError(f"the input `{name}` is interpolated by {known}, not {interpolation!r}")
    rows: tuple[tuple[Expr, Expr], ...] | None = None
    if options.get("data") is not None:
        table = read_rows([Input(name)], {name: options["data"]})[name]
        rows = tuple((number(float(t)), number(float(y))) for t, y in zip(*table, strict=True))
    hold, column = options.get("hold", False), options.get("column")
    if not isinstance(hold, bool):
        raise InputError(f"the input `{name}`: hold is True or False, not {hold!r}")
    if column is not None and not is_name(str(column)):
        raise InputError(f"the column {column!r} of the input `{name}` is not a name")
    return syntax.Input(Name(name), column, rows, interpolation, hold, NOWHERE)


def _number(value: float | None) -> Expr | None:
    """A number as an expression; infinite bounds are the same as none."""
    if value is None or abs(value) == float("inf"):
        return None
    if value != value:
        raise InputError("a parameter is NaN")
    return Num(value) if value >= 0.0 else Unary("-", Num(-value))


def _networks(given: Mapping[str, Any], used: list[Expr]) -> list[syntax.Statement]:
    """Declarations of the networks that are named, and of those whose name needs one."""
    arity: dict[str, int] = {}
    for expr in used:
        for node in _network_calls(expr):
            arity.setdefault(*node)
    statements: list[syntax.Statement] = []
    for name, options in given.items():
        if name not in arity:
            raise InputError(f"the network `{name}` is not used in the equations")
        statements.append(_network(name, arity[name], options))
    for name, count in arity.items():
        if name not in given and not is_implicit_network(name):
            statements.append(_network(name, count, {}))
    return statements


def _network_calls(expr: Expr) -> list[tuple[str, int]]:
    from ..language.ast import Call, postorder
    from ..language.names import BUILTINS

    if not calls(expr):
        return []
    return [
        (node.func, len(node.args)) for node in postorder(expr) if isinstance(node, Call) and node.func not in BUILTINS
    ]


def _network(name: str, n_in: int, options: Any) -> syntax.Statement:
    if isinstance(options, Network):
        options = {"n_out": options.n_out, "hidden": options.hidden, "activation": options.activation}
    elif isinstance(options, int):
        options = {"n_out": options}
    if not isinstance(options, Mapping) or not set(options) <= _OPTIONS:
        raise InputError(f"the network `{name}` takes the options {', '.join(sorted(_OPTIONS))}, not {options!r}")
    if not is_name(name) or normalise(name) != name:
        raise NameModelError(f"`{name}` is not a name", hint="use letters, digits and underscores")
    found: list[syntax.Option] = []
    if "hidden" in options:
        widths = options["hidden"]
        sizes = tuple(float(w) for w in (widths if isinstance(widths, Iterable) else (widths,)))
        found.append(syntax.Option(Name("hidden"), sizes, NOWHERE))
    if "activation" in options:
        found.append(syntax.Option(Name("activation"), str(options["activation"]), NOWHERE))
    inputs = tuple(Name(f"x{i + 1}") for i in range(n_in))
    return syntax.Network(Name(name), inputs, float(options.get("n_out", 1)), tuple(found), NOWHERE)
