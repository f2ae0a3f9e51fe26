"""What an equation says, told from its left side.

Takes the expressions left of `=` and the one on its right; gives the statement
(derivative, initial value, function, definition, unpacking), or says what the
left side should have been.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..errors import ReservedError
from .ast import Binary, Bound, Call, Expr, Index, Name, Num, Span, Unary
from .complaint import Complaint, order_too_high
from .isolate import denominator_order, implicit, isolated, with_primes
from .names import MAX_ORDER, STIFF, TIME, is_name, split_primes
from .syntax import Algebraic, Definition, Derivative, Function, Implicit, Initial, Statement, Unpacking


def equation(targets: list[Expr], expr: Expr, ranges: tuple[Bound, ...] = ()) -> Statement:
    """The statement `targets = expr for ranges`."""
    statement = _statement(targets, expr, ranges)
    if isinstance(statement, Derivative) and statement.order > MAX_ORDER:
        raise order_too_high(statement.name.name, statement.order, targets[0].span or statement.span)
    if isinstance(statement, Derivative) and statement.order > 1 and not statement.subscripts:
        changed = with_primes(statement.expr, statement.name.name, statement.order)
        if changed is not statement.expr:
            return replace(statement, expr=changed)
    return statement


def _statement(targets: list[Expr], expr: Expr, ranges: tuple[Bound, ...]) -> Statement:
    left = targets[0]
    if ranges or isinstance(left, Index):
        return _elements(targets, expr, ranges)
    assert left.span is not None and expr.span is not None
    whole = Span(left.span.start, expr.span.end)
    if len(targets) > 1:
        return _unpacking(targets, expr, whole)
    if isinstance(left, Name):
        base, order = split_primes(left.name)
        if order:
            return Derivative(Name(base, left.span), order, expr, whole)
        return Definition(left, expr, whole)
    plain = isinstance(left, Call) and not any(isinstance(a, (Call, Binary, Unary)) or _primed(a) for a in left.args)
    if isinstance(left, Call) and (plain or left.func == STIFF):
        return _call(left, expr, whole)
    moved = isolated(left, expr)
    if moved is not None:
        return _statement([moved[0]], moved[1], ())
    vanishing = implicit(left, expr)
    if vanishing is not None:
        return Implicit(vanishing, whole)
    if isinstance(left, Call):
        return _call(left, expr, whole)
    if isinstance(left, Binary) and left.op == "/":
        return _quotient(left, expr, whole, ())
    if left == Num(0.0):
        return Algebraic(expr, whole)
    raise _no_left_side(left)


def _primed(node: Expr) -> bool:
    return isinstance(node, Name) and node.name.endswith("'")


def _elements(targets: list[Expr], expr: Expr, ranges: tuple[Bound, ...]) -> Statement:
    """`u[i]' = ...`, `du[i]/dt = ...`, `d(u[i])/dt = ...` and `flux[i] = ...`, with `for i in 2..N-1`."""
    left = targets[0]
    assert left.span is not None and expr.span is not None
    whole = Span(left.span.start, expr.span.end)
    if len(targets) > 1:
        raise Complaint("elements of arrays are not unpacked", left.span, "write one equation for each array")
    if isinstance(left, Index):
        base, order = split_primes(left.name)
        name = Name(base, Span(left.span.start, left.span.start + len(base)))
        if order:
            return Derivative(name, order, expr, whole, left.subscripts, ranges)
        return Definition(name, expr, whole, left.subscripts, ranges)
    if isinstance(left, Binary) and left.op == "/":
        statement = _quotient(left, expr, whole, ranges)
        if isinstance(statement, Derivative) and statement.subscripts:
            return statement
    if left == Num(0.0):
        return Algebraic(expr, whole, ranges)
    index = ranges[0].name
    if isinstance(left, Call):
        hint = f"write {left.func}[{index}](0) = ... for the initial values of an array"
        raise Complaint(f"a range has no place behind `{left.func}(...) = ...`", ranges[0].span or left.span, hint)
    name = Name(split_primes(left.name)[0]) if isinstance(left, Name) else Name("u")
    raise Complaint(
        f"the left side has no subscript, and `for {index}` gives it one",
        left.span,
        f"write {name.name}[{index}]' = ... for the elements of an array, or leave the range out",
    )


def initial_element(left: Index, arguments: list[Expr], expr: Expr, ranges: tuple[Bound, ...]) -> Statement:
    """`u[i](0) = ...`, `θ[i]'(0) = ...`"""
    assert left.span is not None and expr.span is not None
    whole = Span(left.span.start, expr.span.end)
    base, order = split_primes(left.name)
    written = f"{base}[...]" + "'" * order
    if len(arguments) == 1 and isinstance(arguments[0], Name) and arguments[0].name == TIME:
        raise Complaint(f"`{written}(t)` on the left", left.span, f"leave the `(t)` out: {written} = ...")
    if len(arguments) != 1 or not isinstance(arguments[0], Num) or arguments[0].value != 0.0:
        raise Complaint(
            "an element of an array with parentheses is its initial value, given at 0", left.span, f"{written}(0) = ..."
        )
    return Initial(Name(base + "'" * order, left.span), expr, whole, left.subscripts, ranges)


def macro_derivative(statement: Definition, used: set[str]) -> Statement:
    """`dx = ...` inside @ode_def as the derivative of x.

    A name such as `decay` that the block itself uses, while `ecay` is used
    nowhere, is an intermediate definition (Julia would refuse that text).
    """
    name = statement.name.name
    rest = name[1:]
    if not name.startswith("d") or not rest or not is_name(rest[0]):
        return statement
    if name in used and rest not in used:
        return statement
    return Derivative(Name(rest, statement.name.span), 1, statement.expr, statement.span)


def _unpacking(targets: list[Expr], expr: Expr, whole: Span) -> Statement:
    for target in targets:
        if not isinstance(target, Name) or "'" in target.name:
            assert target.span is not None
            raise Complaint(
                "only plain names can be unpacked into",
                target.span,
                "write p, q = U(x, y) first, then use p and q in the equations",
            )
    if not isinstance(expr, Call):
        assert expr.span is not None
        raise Complaint(
            "several names on the left need a vector-valued network on the right",
            expr.span,
            "write p, q = U(x, y) with `neural U(x, y) -> 2`, or one equation for each name",
        )
    return Unpacking(tuple(t for t in targets if isinstance(t, Name)), expr, whole)


def _call(left: Call, expr: Expr, whole: Span) -> Statement:
    """`x(0) = ...`, `mm(s, V, K) = ...`, and what people write for x' = ..."""
    assert left.span is not None
    name = Name(left.func, left.span)
    args = left.args
    if left.func == STIFF:
        raise Complaint(
            "`@stiff` marks terms, not equations", left.span, "write x' = @stiff(...), or x' = a*x - @stiff(k*x^3)"
        )
    if left.index is not None:
        raise Complaint("an output of a network cannot be assigned", left.span, "give it a name: p, q = U(x, y)")
    base, order = split_primes(left.func)
    if len(args) == 1 and isinstance(args[0], Name) and args[0].name == TIME:
        return Derivative(Name(base, left.span), order, expr, whole) if order else Definition(name, expr, whole)
    if len(args) == 1 and isinstance(args[0], Num):
        if args[0].value != 0.0:
            raise Complaint(
                "initial values are given at 0, which means the start of the simulation",
                left.span,
                f"write {left.func}(0) = ...; a change at a later time is an event: at {args[0].value:g}: {base} = ...",
            )
        return Initial(Name(base + "'" * order, left.span), expr, whole)
    if order:
        raise Complaint(
            f"`{left.func}(...)` cannot be defined", left.span, f"write {base}(0) = ... or {left.func} = ..."
        )
    names = []
    for arg in args:
        if not isinstance(arg, Name) or "'" in arg.name:
            assert arg.span is not None
            if _mentions_time(arg):
                raise Complaint(
                    "delayed or shifted times on the left are not built yet",
                    left.span,
                    f"write {base}' = ...",
                    ReservedError,
                )
            raise Complaint(
                f"the arguments of a function are plain names, and this is none: `{left.func}(...)`",
                arg.span,
                f"write {base}(s, K) = ... to define a function, {base}(0) = ... for an initial value",
            )
        names.append(arg)
    if not names:
        raise Complaint(f"`{base}()` has no arguments", left.span, f"write {base} = ...")
    return Function(name, tuple(names), expr, whole)


def _mentions_time(node: Expr) -> bool:
    return isinstance(node, Binary) and (
        (isinstance(node.left, Name) and node.left.name == TIME)
        or (isinstance(node.right, Name) and node.right.name == TIME)
    )


def _quotient(left: Binary, expr: Expr, whole: Span, ranges: tuple[Bound, ...]) -> Statement:
    """`dx/dt`, `d(x)/dt`, `d²x/dt²`, `d2x/dt2`, `d^2x/dt^2`."""
    above, below = _without_time(left.left), left.right
    assert left.span is not None
    if isinstance(above, Index):
        statement = _quotient(Binary("/", Name(above.name, above.span), below, left.span), expr, whole, ())
        assert isinstance(statement, Derivative)
        return Derivative(statement.name, statement.order, expr, whole, above.subscripts, ranges)
    order = denominator_order(below)
    if isinstance(above, Name):
        match = re.fullmatch(r"d([²³23]?)([^\W\d].*)", above.name)
        if match is not None and order == {"": 1, "²": 2, "2": 2, "³": 3, "3": 3}[match.group(1)]:
            return Derivative(Name(match.group(2), above.span), order, expr, whole)
        if match is not None and order is None:
            raise _not_dt(left, match.group(2))
        if match is not None:
            raise Complaint("the orders above and below differ", left.span, f"write {match.group(2)}'' = ...")
    if isinstance(above, Call) and len(above.args) == 1 and above.func in ("d", "d²", "d2"):
        inner = _without_time(above.args[0])
        if isinstance(inner, (Name, Index)) and "'" not in inner.name:
            if order == (1 if above.func == "d" else 2):
                subscripts = inner.subscripts if isinstance(inner, Index) else ()
                return Derivative(Name(inner.name, inner.span), order, expr, whole, subscripts, ranges)
            raise _not_dt(left, inner.name)
    if isinstance(above, Binary) and above.op == "^" and above.left == Name("d"):  # d^2x/dt^2
        power = above.right
        if (
            isinstance(power, Binary)
            and isinstance(power.left, Num)
            and power.left.value == order
            and isinstance(power.right, Name)
        ):
            return Derivative(power.right, order, expr, whole)
        raise Complaint("this derivative is written with primes", left.span, "write x'' = ... or d²x/dt² = ...")
    if above == Name("d") and isinstance(below, Call) and below.func == "dt" and len(below.args) == 1:  # d/dt(x)
        inner = _without_time(below.args[0])
        if isinstance(inner, Name) and "'" not in inner.name:
            return Derivative(inner, 1, expr, whole)
    if isinstance(above, Name) and above.name == "d" and order == 1:
        raise Complaint("the derivative of what?", left.span, "write dx/dt = ...")
    raise _no_left_side(left)


def _without_time(node: Expr) -> Expr:
    """`x` for `x(t)`."""
    if isinstance(node, Call) and node.args == (Name(TIME),) and node.index is None and node.func != "d":
        return Name(node.func, node.span)
    return node


def _not_dt(left: Binary, name: str) -> Complaint:
    assert left.span is not None
    return Complaint(
        "the derivative must be with respect to the time t", left.span, f"write d{name}/dt = ... or {name}' = ..."
    )


def _no_left_side(left: Expr) -> Complaint:
    assert left.span is not None
    if isinstance(left, Num):
        return Complaint(
            "an algebraic equation is written with 0 on the left",
            left.span,
            f"write 0 = ... - {left.value:g}",
        )
    if isinstance(left, Unary) and left.op == "-" and isinstance(left.arg, Name):
        return Complaint("a sign on the left", left.span, f"write {left.arg.name} = -(...)")
    if isinstance(left, Binary) and left.op in ("<", ">", "<=", ">=", "==", "!="):
        return Complaint(
            "a comparison is not a statement",
            left.span,
            "write x' = ... for an equation, `when x < 1: ...` for an event",
        )
    return Complaint(
        "the left side of `=` must be a derivative (x', dx/dt), a name, a function f(a, b) or an initial value x(0)",
        left.span,
        "solve the equation for one of these, or bring everything to the right: 0 = a*x' + y",
    )
