"""Expressions to sympy and back.

`to_sympy` gives sympy's view of an expression tree: plain symbols without
assumptions, numbers as plain numbers, conditions as `Piecewise`, networks as
undefined functions (`U(x, y)`; output k of a vector network is the function
`U[k]`).  `from_sympy_expr` gives the tree of a sympy expression, with sums and
products in sympy's printing order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from ..errors import ModelError, NameModelError, ReservedError, UnsupportedError, suggest
from ..language.ast import Binary, Call, Expr, IfElse, Index, Name, Num, Reduce, Unary, fold
from ..language.names import STIFF, TIME, is_name, normalise, split_primes
from .bounded import floating, power

_CUBE_ROOT = sympy.Rational(1, 3)

TO_SYMPY: dict[str, Callable[..., Any]] = {
    "exp": sympy.exp,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log": sympy.log,
    "ln": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "log10": lambda x: sympy.log(x) / sympy.log(10),
    "sqrt": sympy.sqrt,
    "cbrt": lambda x: sympy.sign(x) * sympy.Abs(x) ** _CUBE_ROOT,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "asinh": sympy.asinh,
    "acosh": sympy.acosh,
    "atanh": sympy.atanh,
    "erf": sympy.erf,
    "erfc": sympy.erfc,
    "gamma": floating(sympy.gamma),
    "lgamma": floating(sympy.loggamma),
    "digamma": floating(sympy.digamma),
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
    "mod": sympy.Mod,
    "atan2": sympy.atan2,
    "pow": power,
    "min": sympy.Min,
    "max": sympy.Max,
}
"""Built-in functions of the language in sympy (`ifelse` becomes Piecewise)."""

_RELATIONS: dict[str, Callable[..., Any]] = {
    "<": sympy.Lt,
    "<=": sympy.Le,
    ">": sympy.Gt,
    ">=": sympy.Ge,
    "==": sympy.Eq,
    "!=": sympy.Ne,
}


class _Chain:
    """A sum or product being collected, so that n terms cost n and not n^2."""

    def __init__(self, kind: str, items: list[Any]) -> None:
        self.kind = kind
        self.items = items

    def value(self) -> Any:
        return (sympy.Add if self.kind == "+" else sympy.Mul)(*self.items)


def number(value: float) -> Any:
    """A double as a sympy number: an Integer where it is whole, else a Float of the same bits."""
    if value == int(value) and abs(value) < 1e15:
        return sympy.Integer(int(value))
    return sympy.Float(value)


def to_sympy(
    expr: Expr,
    names: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """`expr` as a sympy expression.

    Arguments: `names`, what to put for names (others become `Symbol(name)`,
    except pi and e); `functions`, what calls of the model's functions give
    (others that are not built in become undefined functions).

    >>> to_sympy(Binary("*", Num(2.0), Name("x")))
    2*x
    """
    given: Mapping[str, Any] = names or {}
    own: Mapping[str, Callable[..., Any]] = functions or {}

    def combine(node: Expr, parts: list[Any]) -> Any:
        if isinstance(node, Binary) and node.op in "+-*/":
            return _arithmetic(node.op, *parts)
        values = [_closed(part) for part in parts]
        if isinstance(node, Num):
            return number(node.value)
        if isinstance(node, Name):
            if node.name in given:
                return given[node.name]
            return {"pi": sympy.pi, "e": sympy.E}.get(node.name) or sympy.Symbol(node.name)
        if isinstance(node, Unary):
            return -_numeric(values[0]) if node.op == "-" else sympy.Not(_condition(values[0]))
        if isinstance(node, Binary):
            return _binary(node.op, *values)
        if isinstance(node, (Index, Reduce)):
            raise UnsupportedError("arrays are written out before sympy sees them; use the equations of the model")
        if isinstance(node, IfElse) or node.func == "ifelse":
            return _choice(*values)
        if node.func == STIFF:
            return values[0]
        if node.func in own:
            return own[node.func](*values)
        arguments = [_numeric(value) for value in values]
        if node.func in TO_SYMPY:
            return TO_SYMPY[node.func](*arguments)
        label = node.func if node.index is None else f"{node.func}[{node.index}]"
        return sympy.Function(label)(*arguments)

    return _closed(fold(expr, combine))


def _closed(part: Any) -> Any:
    return part.value() if isinstance(part, _Chain) else part


def _arithmetic(op: str, left: Any, right: Any) -> Any:
    kind = "+" if op in "+-" else "*"
    right = _numeric(_closed(right))
    if op == "-":
        right = -right
    elif op == "/":
        right = 1 / right
    if isinstance(left, _Chain) and left.kind == kind:
        left.items.append(right)
        return left
    return _Chain(kind, [_numeric(_closed(left)), right])


def _binary(op: str, left: Any, right: Any) -> Any:
    if op == "^":
        return power(_numeric(left), _numeric(right))
    if op == "and":
        return sympy.And(_condition(left), _condition(right))
    if op == "or":
        return sympy.Or(_condition(left), _condition(right))
    return _RELATIONS[op](_numeric(left), _numeric(right))


def _numeric(value: Any) -> Any:
    """A truth value as 1 or 0."""
    if isinstance(value, sympy.logic.boolalg.Boolean) and not isinstance(value, sympy.Symbol):
        return sympy.Piecewise((1, value), (0, True))
    return value


def _condition(value: Any) -> Any:
    """A number as a truth value."""
    return (
        value
        if isinstance(value, sympy.logic.boolalg.Boolean) and not isinstance(value, sympy.Symbol)
        else sympy.Ne(value, 0)
    )


def _choice(cond: Any, then: Any, other: Any) -> Any:
    return sympy.Piecewise((_numeric(then), _condition(cond)), (_numeric(other), True))


# ---------------------------------------------------------------- sympy -> tree

_FUNCTIONS = {
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.asin: "asin",
    sympy.acos: "acos",
    sympy.atan: "atan",
    sympy.atan2: "atan2",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.asinh: "asinh",
    sympy.acosh: "acosh",
    sympy.atanh: "atanh",
    sympy.erf: "erf",
    sympy.erfc: "erfc",
    sympy.gamma: "gamma",
    sympy.loggamma: "lgamma",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.floor: "floor",
    sympy.ceiling: "ceil",
    sympy.Mod: "mod",
}
_RECIPROCALS = {
    sympy.sec: "cos",
    sympy.csc: "sin",
    sympy.cot: "tan",
    sympy.sech: "cosh",
    sympy.csch: "sinh",
    sympy.coth: "tanh",
}
_OPERATORS = {
    sympy.StrictLessThan: "<",
    sympy.LessThan: "<=",
    sympy.StrictGreaterThan: ">",
    sympy.GreaterThan: ">=",
    sympy.Equality: "==",
    sympy.Unequality: "!=",
}
_Plan = tuple[list[Any], "Callable[[list[Expr]], Expr]"]


def from_sympy_expr(expr: Any, states: Collection[str] = (), networks: Collection[str] = ()) -> Expr:
    """The expression tree of a sympy expression.

    Arguments: `states`, names whose `x(t)` means the state x and whose
    `Derivative(x(t), t)` means x'; `networks`, names of undefined functions that
    may be called with the time alone.  Exact numbers (Rational, pi, E) become doubles or
    quotients of them.  Raises `UnsupportedError` for what the language has no
    word for, `NameModelError` for symbols whose names cannot be written.

    >>> x = sympy.Symbol("x")
    >>> from_sympy_expr(2*x)
    Binary('*', Num(2.0), Name('x'))
    """
    root = sympy.sympify(expr, strict=True)
    values: dict[Any, Expr] = {}
    plans: dict[Any, _Plan] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        if node in values:
            stack.pop()
            continue
        if node not in plans:
            plans[node] = _plan(node, states, networks)
            stack.extend(child for child in plans[node][0] if child not in values)
            continue
        below, build = plans[node]
        values[node] = build([values[child] for child in below])
        stack.pop()
    return values[root]


def _leaf(tree: Expr) -> _Plan:
    return [], lambda _: tree


def _plan(node: Any, states: Collection[str], networks: Collection[str]) -> _Plan:
    """What to convert first, and how to put it together."""
    if isinstance(node, sympy.Symbol):
        return _leaf(Name(symbol_name(node)))
    if node.is_Number or node.is_NumberSymbol:
        return _leaf(_number(node))
    if node.is_Add:
        return _sum(node)
    if node.is_Mul:
        return _product(node)
    if node.is_Pow:
        return _power(node)
    if isinstance(node, AppliedUndef):
        return _undefined(node, states, networks)
    if isinstance(node, sympy.Derivative):
        return _leaf(_derivative(node, states))
    if isinstance(node, sympy.Piecewise):
        return _piecewise(node)
    kind = type(node)
    if kind in _FUNCTIONS:
        name = _FUNCTIONS[kind]
        return list(node.args), lambda parts: Call(name, tuple(parts))
    if kind in _RECIPROCALS:
        inverse = _RECIPROCALS[kind]
        return list(node.args), lambda parts: Binary("/", Num(1.0), Call(inverse, tuple(parts)))
    if kind in _OPERATORS:
        op = _OPERATORS[kind]
        return [node.lhs, node.rhs], lambda parts: Binary(op, parts[0], parts[1])
    if kind in (sympy.Min, sympy.Max):
        word = "min" if kind is sympy.Min else "max"
        return sorted(node.args, key=sympy.default_sort_key), lambda parts: Call(word, tuple(parts))
    return _logic(node)


def _logic(node: Any) -> _Plan:
    if isinstance(node, sympy.And | sympy.Or):
        word = "and" if isinstance(node, sympy.And) else "or"
        return sorted(node.args, key=sympy.default_sort_key), lambda parts: _joined(word, parts)
    if isinstance(node, sympy.Not):
        return list(node.args), lambda parts: Unary("not", parts[0])
    if isinstance(node, sympy.ITE):
        return list(node.args), lambda parts: IfElse(*parts)
    if node in (sympy.true, sympy.false):
        return _leaf(Binary("<", Num(0.0), Num(1.0)) if node == sympy.true else Binary("<", Num(1.0), Num(0.0)))
    if isinstance(node, sympy.Heaviside):
        return [node.args[0]], lambda parts: IfElse(Binary(">", parts[0], Num(0.0)), Num(1.0), Num(0.0))
    if isinstance(node, sympy.polygamma) and node.args[0] == 0:
        return [node.args[1]], lambda parts: Call("digamma", tuple(parts))
    if isinstance(node, sympy.UnevaluatedExpr):
        return [node.args[0]], lambda parts: parts[0]
    name = type(node).__name__
    hint = "rewrite it with functions of the language, or name the unknown part NN(x, y)"
    if node == sympy.I:
        name, hint = "the imaginary unit", "models are real; split the state into real and imaginary part"
    raise UnsupportedError(f"{name} in `{_short(node)}` has no counterpart in the language", hint=hint)


def _short(node: Any) -> str:
    text = str(node)
    return text if len(text) <= 60 else text[:57] + "..."


def symbol_name(symbol: Any) -> str:
    """The name of a symbol as the language writes it."""
    name = normalise(str(symbol.name if hasattr(symbol, "name") else symbol))
    base, order = split_primes(name)
    if not is_name(base):
        raise NameModelError(
            f"the symbol `{name}` has a name that text cannot hold",
            hint="rename it: letters, digits and underscores, a letter first, and none of if then else and or not",
        )
    return base + "'" * order


def _number(node: Any) -> Expr:
    if node.is_Rational and node.is_finite:
        p, q = int(node.p), int(node.q)
        if max(abs(p), q) <= 2**53:
            value: Expr = Num(float(abs(p)))
            if q & (q - 1) == 0:
                value = Num(abs(p) / q)
            elif q != 1:
                value = Binary("/", value, Num(float(q)))
            return Unary("-", value) if p < 0 else value
    if not node.is_finite or not node.is_extended_real:
        raise ModelError(f"`{node}` is not a finite real number")
    value_ = float(node)
    if abs(value_) == float("inf"):
        raise ModelError(f"`{_short(node)}` is too large for a double")
    return Unary("-", Num(-value_)) if value_ < 0 else Num(value_)


def _joined(op: str, parts: list[Expr]) -> Expr:
    result = parts[0]
    for part in parts[1:]:
        result = Binary(op, result, part)
    return result


def _negated(expr: Expr) -> Expr:
    """`-expr`, with the sign at the first factor of a product: `-c*y`."""
    spine: list[Binary] = []
    while isinstance(expr, Binary) and expr.op in ("*", "/"):
        spine.append(expr)
        expr = expr.left
    result: Expr = Unary("-", expr)
    for node in reversed(spine):
        result = Binary(node.op, result, node.right)
    return result


def _sum(node: Any) -> _Plan:
    below: list[Any] = []
    signs: list[bool] = []
    for term in node.as_ordered_terms():
        coefficient, _ = term.as_coeff_Mul()
        negative = bool(coefficient.is_negative)
        below.append(-term if negative else term)
        signs.append(negative)

    def build(parts: list[Expr]) -> Expr:
        result = _negated(parts[0]) if signs[0] else parts[0]
        for negative, part in zip(signs[1:], parts[1:], strict=True):
            result = Binary("-" if negative else "+", result, part)
        return result

    return below, build


def _product(node: Any) -> _Plan:
    coefficient, rest = node.as_coeff_Mul()
    above: list[Any] = []
    under: list[Any] = []
    negative = bool(coefficient.is_negative)
    coefficient = -coefficient if negative else coefficient
    if coefficient.is_Rational and max(coefficient.p, coefficient.q) <= 2**53:
        if coefficient.p != 1:
            above.append(sympy.Integer(coefficient.p))
        if coefficient.q != 1:
            under.append(sympy.Integer(coefficient.q))
    else:
        above.append(coefficient)
    for factor in rest.as_ordered_factors():
        base, exponent = factor.as_base_exp()
        if factor.is_Pow and exponent.is_Number and exponent.is_negative:
            under.append(base**-exponent)
        else:
            above.append(factor)
    count = len(above)

    def build(parts: list[Expr]) -> Expr:
        result = _joined("*", parts[:count]) if count else Num(1.0)
        if len(parts) > count:
            result = Binary("/", result, _joined("*", parts[count:]))
        return _negated(result) if negative else result

    return [*above, *under], build


def _power(node: Any) -> _Plan:
    base, exponent = node.base, node.exp
    if exponent == sympy.S.Half:
        return [base], lambda parts: Call("sqrt", (parts[0],))
    if base is sympy.E:
        return [exponent], lambda parts: Call("exp", (parts[0],))
    if exponent.is_Number and exponent.is_negative:
        return [base**-exponent], lambda parts: Binary("/", Num(1.0), parts[0])
    return [base, exponent], lambda parts: Binary("^", parts[0], parts[1])


def _piecewise(node: Any) -> _Plan:
    pairs = [(pair.expr, pair.cond) for pair in node.args]
    if pairs[-1][1] != sympy.true:
        raise UnsupportedError(
            f"`{_short(node)}` says nothing for the remaining cases",
            hint="end it with (value, True): the value otherwise",
        )
    below = [part for pair in pairs[:-1] for part in pair] + [pairs[-1][0]]

    def build(parts: list[Expr]) -> Expr:
        result = parts[-1]
        for i in range(len(parts) - 3, -1, -2):
            result = IfElse(parts[i + 1], parts[i], result)
        return result

    return below, build


def _undefined(node: Any, states: Collection[str], networks: Collection[str]) -> _Plan:
    """`x(t)` is a state; every other undefined function is a network."""
    label = str(node.func)
    time_only = len(node.args) == 1 and node.args[0] == sympy.Symbol(TIME)
    base, _, index = label.partition("[")
    name = normalise(base)
    if normalise(label) in states:
        if time_only or (len(node.args) == 1 and getattr(node.args[0], "name", None) == TIME):
            return _leaf(Name(normalise(label)))
        delayed = any(getattr(s, "name", None) == TIME for s in node.free_symbols)
        if delayed:
            raise ReservedError(
                f"delays such as `{node}` are not built yet", hint="replace the delay by a chain of states"
            )
        raise ModelError(
            f"`{node}` is a state at another place than the time t", hint=f"write {label}(t) or Symbol('{label}')"
        )
    if time_only and name not in networks and not name.startswith("NN"):
        hint = suggest(name, states) or f"give an equation of {name}, or name it in `networks`"
        raise NameModelError(f"`{node}` has no equation", hint=hint)
    output = index.rstrip("]")
    if not is_name(name) or (index and not output.isdigit()):
        raise NameModelError(
            f"the function `{label}` has a name that text cannot hold", hint="use letters, digits and underscores"
        )
    k = int(output) if index else None
    return list(node.args), lambda parts: Call(name, tuple(parts), k)


def _derivative(node: Any, states: Collection[str]) -> Expr:
    inner = node.expr
    order = sum(int(count) for symbol, count in node.variable_count if symbol.name == TIME)
    if isinstance(inner, AppliedUndef) and len(node.variable_count) == 1 and order:
        return Name(normalise(str(inner.func)) + "'" * order)
    raise UnsupportedError(
        f"the derivative `{_short(node)}` cannot stand in an equation", hint="derivatives are of states, by the time t"
    )
