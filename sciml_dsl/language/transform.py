"""Parser reductions -> syntax: called by the parser as each rule is recognised.

One method for each rule (or alias) of the grammar, taking the list of its
children.  Expressions are built directly, so a sum of any length needs no
recursion and no parse tree.  The left side of `=` is told apart in `sides`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .ast import REDUCTIONS, Binary, Bound, Call, Expr, IfElse, Index, Name, Num, Reduce, Span, Unary, names
from .complaint import Complaint
from .names import STIFF
from .sides import equation, initial_element, macro_derivative
from .syntax import (
    Assignment,
    Constant,
    Definition,
    Derivative,
    Event,
    Function,
    Initial,
    Input,
    ModelName,
    Network,
    Option,
    Parameter,
    Statement,
    Values,
)
from .tokens import Token

_OPERATORS = {"PLUS": "+", "MINUS": "-", "TIMES": "*", "DIVIDE": "/", "POW": "^", "AND": "and", "OR": "or"}
_new: Any = tuple.__new__  # what the constructor of a NamedTuple calls, at a third of its time
_COMPARISONS = {"≤": "<=", "≥": ">=", "≠": "!="}


def span(node: Expr) -> Span:
    """The place of a node that came from text."""
    assert node.span is not None
    return node.span


def value(token: Token) -> float:
    """The number a NUMBER or COEFFICIENT token stands for."""
    number = float(token.value)
    if number == float("inf"):
        raise Complaint(f"{token.value} is too large for a double", token.span, "the largest is about 1.8e308")
    if number == 0.0 and any(c in "123456789" for c in token.value.lower().partition("e")[0]):
        raise Complaint(f"{token.value} is too small for a double", token.span, "the smallest is about 5e-324")
    return number


def _name(token: Token) -> Name:
    return Name(token.value, token.span)


def _between(first: Token | Expr, last: Token | Expr) -> Span:
    start = first.start if isinstance(first, Token) else span(first).start
    end = last.end if isinstance(last, Token) else span(last).end
    return Span(start, end)


class Builder:
    """The callbacks of the parser; it has no state."""

    # ------------------------------------------------------------ expressions

    def number(self, children: list[Token]) -> Expr:
        token = children[0]
        return Num(value(token), token.span)

    def name(self, children: list[Token]) -> Expr:
        token = children[0]
        return Name(token.value, _new(Span, (token.start, token.end)))

    def same(self, children: list[Any]) -> Expr:
        """Parentheses and unary plus."""
        node: Expr = children[-1]
        return node

    def binary(self, children: list[Any]) -> Expr:
        left, token, right = children
        if type(left) is Call and left.func == STIFF and token.type in ("TIMES", "DIVIDE"):
            # `@stiff k*x` is read as (@stiff k)*x; what is marked is the whole product
            marked = left.args[0]
            inner = Binary(_OPERATORS[token.type], marked, right, _between(marked, right))
            return Call(STIFF, (inner,), None, _between(left, right))
        return Binary(_OPERATORS[token.type], left, right, _new(Span, (left.span[0], right.span[1])))

    def unary(self, children: list[Any]) -> Expr:
        token, arg = children
        return Unary("not" if token.type == "NOT" else "-", arg, Span(token.start, arg.span.end))

    def scaled(self, children: list[Any]) -> Expr:
        token, right = children
        return Binary("*", Num(value(token), token.span), right, Span(token.start, right.span.end))

    def glued(self, children: list[Any]) -> Expr:
        """`exp(-t)x` in a macro, which binds like `2x`."""
        left, right = children
        return Binary("*", left, right, _between(left, right))

    def stiff(self, children: list[Any]) -> Expr:
        """`@stiff term`"""
        token, arg = children
        return Call(STIFF, (arg,), None, _between(token, arg))

    def root(self, children: list[Any]) -> Expr:
        return Call("sqrt", (children[0],), None, children[0].span)

    def cube_root(self, children: list[Any]) -> Expr:
        return Call("cbrt", (children[1],), None, children[1].span)

    def compare(self, children: list[Any]) -> Expr:
        """`a < b`, and the chain `a < b < c` as `a < b and b < c`."""
        pairs: list[Expr] = []
        for i in range(1, len(children), 2):
            left, token, right = children[i - 1 : i + 2]
            op = _COMPARISONS.get(token.value, token.value)
            pairs.append(Binary(op, left, right, _between(left, right)))
        result = pairs[0]
        for pair in pairs[1:]:
            result = Binary("and", result, pair, _between(result, pair))
        return result

    def if_else(self, children: list[Expr]) -> Expr:
        cond, then, other = children
        return IfElse(cond, then, other, _between(cond, other))

    def call(self, children: list[Any]) -> Expr:
        token, args = children
        end = args[-1].span.end + 1 if args else token.end + 2
        return Call(token.value, tuple(args), None, Span(token.start, end))

    def arguments(self, children: list[Expr]) -> list[Expr]:
        return children

    def output(self, children: list[Any]) -> Expr:
        call, token = children
        index = value(token)
        if index != int(index) or index < 1:
            raise Complaint("the outputs of a network are numbered 1, 2, 3 ...", token.span)
        return Call(call.func, call.args, int(index), Span(call.span.start, token.end + 1))

    # ------------------------------------------------------------ arrays

    def element(self, children: list[Any]) -> Expr:
        """`u[i]`, `w[i, j]'` (the derivative, named `w'`)."""
        token, *subscripts, prime = children
        name = token.value if prime is None else token.value + prime.value
        end = subscripts[-1].span.end + 1 if prime is None else prime.end
        return Index(name, tuple(subscripts), Span(token.start, end))

    def loop(self, children: list[Any]) -> Bound:
        token, first, second, third = children
        if third is None:
            return Bound(token.value, first, second, token.span)
        return Bound(token.value, first, third, token.span, second)  # first..step..last

    def loops(self, children: list[Bound]) -> tuple[Bound, ...]:
        return tuple(children)

    def reduction(self, children: list[Any]) -> Expr:
        token, body, ranges = children
        if token.value not in REDUCTIONS:
            raise Complaint(
                f"`{token.value}` does not gather a range",
                token.span,
                "ranges stand in sum(...), prod(...), min(...) and max(...), and behind an equation",
            )
        return Reduce(token.value, body, ranges, Span(token.start, span(ranges[-1].last).end + 1))

    def stretch(self, children: list[Expr]) -> Bound:
        first, last = children
        return Bound("", first, last, _between(first, last))

    def places(self, children: list[Expr | Bound]) -> tuple[Expr | Bound, ...]:
        return tuple(children)

    def values(self, children: list[Any]) -> Values:
        items = tuple(child for child in children if not isinstance(child, Token))
        return Values(items, Span(children[0].start, children[-1].end))

    # ------------------------------------------------------------ declarations

    def model_name(self, children: list[Token]) -> Statement:
        return ModelName(_name(children[0]), children[0].span)

    def parameter(self, children: list[Any]) -> Parameter:
        token, places, default, bounds, log, ranges = children
        lower, upper, logarithmic = bounds or (None, None, False)
        place = token.span if default is None else Span(token.start, default.span.end)
        return Parameter(
            _name(token),
            default,
            lower,
            upper,
            bool(logarithmic or log),
            place,
            subscripts=places or (),
            ranges=ranges or (),
        )

    def bounds(self, children: list[Any]) -> tuple[Expr, Expr, bool]:
        log, lower, upper = children
        return lower, upper, log is not None

    def parameters(self, children: list[Parameter]) -> list[Parameter]:
        return children

    def constant(self, children: list[Any]) -> Constant:
        token, places, given, ranges = children
        end = given.span if isinstance(given, Values) else span(given)
        return Constant(_name(token), given, Span(token.start, end.end), places or (), ranges or ())

    def constants(self, children: list[Constant]) -> list[Constant]:
        return children

    def input(self, children: list[Any]) -> Input:
        """A name, and in any order: the column, the rows, the interpolation, `hold`."""
        token, *parts = children
        found: dict[str, Any] = {}
        for part in parts:
            kind = "rows" if isinstance(part, tuple) else part.type
            if kind in found:
                what = {"rows": "the data", "NAME": "the column", "HOLD": "`hold`"}.get(kind, "the interpolation")
                place = token.span if kind == "rows" else part.span
                raise Complaint(f"{what} of `{token.value}` is given twice", place, "keep one of them")
            found[kind] = part
        words = {kind: found[kind].value for kind in ("NAME", "INTERPOLATION") if kind in found}
        return Input(
            _name(token),
            words.get("NAME"),
            found.get("rows"),
            words.get("INTERPOLATION"),
            "HOLD" in found,
            token.span,
        )

    def column(self, children: list[Token]) -> Token:
        return children[0]

    def rows(self, children: list[tuple[Expr, Expr]]) -> tuple[tuple[Expr, Expr], ...]:
        return tuple(children)

    def row(self, children: list[Expr]) -> tuple[Expr, Expr]:
        return children[0], children[1]

    def inputs(self, children: list[Input]) -> list[Input]:
        return children

    def network(self, children: list[Any]) -> Network:
        token, inputs, outputs, options = children
        count = None if outputs is None else value(outputs)
        return Network(_name(token), tuple(inputs), count, tuple(options or ()), token.span)

    def options(self, children: list[Option]) -> list[Option]:
        return children

    def option(self, children: list[Any]) -> Option:
        token, given = children
        if isinstance(given, tuple):
            return Option(_name(token), given, token.span)
        return Option(_name(token), value(given) if given.type == "NUMBER" else given.value, given.span)

    def sizes(self, children: list[Token]) -> tuple[float, ...]:
        return tuple(value(token) for token in children)

    # ------------------------------------------------------------ equations

    def targets(self, children: list[Expr]) -> list[Expr]:
        return children

    def equation(self, children: list[Any]) -> Statement:
        targets, expr, ranges = children
        return equation(targets, expr, ranges or ())

    def listed(self, children: list[Any]) -> Statement:
        """`u(0) = [1, 2, 3]`"""
        targets, values = children
        said = equation(targets, Num(0.0, values.span), ()) if len(targets) == 1 else None
        if not isinstance(said, Initial) or said.subscripts:
            raise Complaint(
                "a list has no meaning here",
                Span(values.span.start, values.span.start + 1),
                "lists are the values of arrays: param k = [1, 2, 3], const w = [1, 2], u(0) = [1, 2]; "
                "elements are u[i]",
            )
        return replace(said, values=values)

    def initial_element(self, children: list[Any]) -> Statement:
        """`u[i](0) = expr for i in 1..N`"""
        element, arguments, expr, ranges = children
        return initial_element(element, arguments, expr, ranges or ())

    def block(self, children: list[Any]) -> list[Statement]:
        return _flat(children)

    def macro(self, children: list[Any]) -> list[Statement]:
        """@ode_def: `dx = ...` become derivatives, the names behind `end` parameters."""
        *prefix, name, _begin, block, listed = children
        if prefix and (len(prefix[0]) != 1 or not isinstance(prefix[0][0], Name)):
            raise Complaint("only a name can stand before `= @ode_def`", span(prefix[0][0]))
        used: set[str] = set()
        for statement in block:
            if isinstance(statement, Definition):
                used |= names(statement.expr)
        statements: list[Statement] = []
        if name is not None:
            statements.append(ModelName(_name(name), name.span))
        statements.extend(_in_macro(s, used) for s in block)
        statements.extend(listed)
        return statements

    def macro_parameters(self, children: list[Statement]) -> list[Statement]:
        return children

    def macro_parameter(self, children: list[Any]) -> Statement:
        """`a`, or of older texts `a=>1.5` (a parameter) and `d=1.0` (a constant)."""
        if len(children) < 3 or children[1] is None:
            token = children[0]
            return Parameter(_name(token), None, None, None, False, token.span, listed=True)
        token, sign, expr = children
        if sign.type == "EQUALS":
            return Constant(_name(token), expr, _between(token, expr))
        return Parameter(_name(token), expr, None, None, False, _between(token, expr), listed=True)

    # ------------------------------------------------------------ events

    def assign(self, children: list[Any]) -> Assignment:
        target, expr, ranges = children
        return _assignment(target, expr, ranges)

    def augment(self, children: list[Any]) -> Assignment:
        target, sign, expr, ranges = children
        whole = _between(target, expr)
        return _assignment(target, Binary(sign.value[0], target, expr, whole), ranges)

    def terminate(self, children: list[Token]) -> Token:
        return children[0]

    def actions(self, children: list[Assignment | Token]) -> list[Assignment | Token]:
        return children

    def when(self, children: list[Any]) -> Statement:
        return _event("when", children[0], None, None, children[1])

    def at(self, children: list[Any]) -> Statement:
        return _event("at", children[0], None, None, children[1])

    def every(self, children: list[Any]) -> Statement:
        period, start, stop, actions = children
        return _event("every", period, start, stop, actions)

    # ------------------------------------------------------------ the text

    def start(self, children: list[Any]) -> list[Statement]:
        return _flat(children)


def _in_macro(statement: Statement, used: set[str]) -> Statement:
    """`dx = ...` and `d(x) = ...` as derivatives."""
    if isinstance(statement, Definition):
        return macro_derivative(statement, used)
    if isinstance(statement, Function) and statement.name.name == "d" and len(statement.args) == 1:
        return Derivative(statement.args[0], 1, statement.body, statement.span)
    return statement


def _flat(children: Sequence[Statement | list[Statement]]) -> list[Statement]:
    statements: list[Statement] = []
    for child in children:
        if isinstance(child, list):
            statements.extend(child)
        else:
            statements.append(child)
    return statements


def _assignment(target: Name | Index, expr: Expr, ranges: tuple[Bound, ...] | None) -> Assignment:
    if isinstance(target, Name):
        if ranges:
            raise Complaint(
                f"`{target.name}` has no subscript, and `for {ranges[0].name}` gives it one",
                span(target),
                f"write {target.name}[{ranges[0].name}] for elements of an array, or leave the range out",
            )
        return Assignment(target, expr, span(target))
    return Assignment(Name(target.name, target.span), expr, span(target), target.subscripts, ranges or ())


def _event(kind: str, subject: Expr, start: Expr | None, stop: Expr | None, actions: list[Assignment | Token]) -> Event:
    assignments = tuple(action for action in actions if isinstance(action, Assignment))
    return Event(kind, subject, start, stop, assignments, len(assignments) < len(actions), span(subject))
