"""Constant expressions: `1/3`, `2*pi`, `sqrt(2)*g` -> a float.

Takes an expression tree and the constants known by name; gives a finite float
or a complaint.  Only arithmetic in doubles with Python's `math` is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ModelError, NameModelError, clipped, suggest
from ..language.ast import (
    Binary,
    Call,
    Expr,
    IfElse,
    Index,
    Name,
    Num,
    Reduce,
    Span,
    Unary,
    children,
    fold,
    scalar_part,
)
from ..language.complaint import Complaint
from ..language.names import BUILTINS, INFINITY, MATH_CONSTANTS

_NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class _Bad:
    """A part without a value; it only counts if the result needs it."""

    complaint: Complaint


def evaluate(
    expr: Expr, known: Mapping[str, float], what: str, kinds: Mapping[str, str], *, infinite: bool = False
) -> float:
    """The value of a constant expression.

    Arguments: `known`, constants by name; `what` is being computed, for the
    message ("the default of `k`"); `kinds`, what other names of the model are;
    `infinite` allows the names inf and Inf, and an infinite result.
    Raises `Complaint`.
    """

    def combine(node: Expr, parts: list[float | _Bad]) -> float | _Bad:
        if isinstance(node, Num):
            return node.value
        if isinstance(node, Name):
            return _name(node, known, what, kinds, infinite)
        if isinstance(node, IfElse) or (isinstance(node, Call) and node.func == "ifelse" and len(parts) == 3):
            if isinstance(parts[0], _Bad):
                return parts[0]
            return parts[1] if parts[0] else parts[2]
        if isinstance(node, Index):
            element = _element(node, parts, known)
            if element is not None:
                return element
        if isinstance(node, (Index, Reduce)):
            thing = f"`{node.name}[...]` is an element of an array" if isinstance(node, Index) else "this is a range"
            message = f"{what} must be a number, and {thing}"
            span = node.span or _NOWHERE
            return _Bad(Complaint(message, span, "use numbers and names declared with `const`", ModelError))
        numbers: list[float] = []
        for part in parts:
            if isinstance(part, _Bad):
                return part
            numbers.append(part)
        return _apply(node, numbers, what)

    value = fold(expr, combine)
    if isinstance(value, _Bad):
        raise value.complaint
    if math.isnan(value) or (math.isinf(value) and not infinite):
        raise Complaint(f"{what} is not a finite number", expr.span or _NOWHERE, None, ModelError)
    return value


def _element(node: Index, parts: list[float | _Bad], known: Mapping[str, float]) -> float | _Bad | None:
    """The value of an element of an array of constants, None where there is none of this name."""
    whole: list[str] = []
    for part in parts:
        if isinstance(part, _Bad) or not float(part).is_integer():
            return part if isinstance(part, _Bad) else None
        whole.append(str(int(part)))
    element = f"{node.name}[{','.join(whole)}]"
    if element in known or not any(name.startswith(f"{node.name}[") for name in known):
        return known.get(element)
    span = node.span or _NOWHERE
    return _Bad(Complaint(f"the array `{node.name}` has no element `{element}`", span, None, NameModelError))


def _name(node: Name, known: Mapping[str, float], what: str, kinds: Mapping[str, str], infinite: bool) -> float | _Bad:
    name = node.name
    if name in known:
        return known[name]
    span = node.span or _NOWHERE
    if name in kinds:
        return _Bad(
            Complaint(
                f"{what} must be a number, and `{name}` is {kinds[name]}",
                span,
                "use numbers and names declared with `const`",
                ModelError,
            )
        )
    if name in MATH_CONSTANTS:
        return MATH_CONSTANTS[name]
    if name in INFINITY:
        if infinite:
            return math.inf
        return _Bad(Complaint(f"{what} must be finite", span, None, ModelError))
    hint = suggest(name, [*known, *MATH_CONSTANTS]) or "use numbers and names declared with `const`"
    return _Bad(Complaint(f"{what} must be a number, and `{name}` is not defined", span, hint, NameModelError))


def check_finite(expr: Expr, known: Mapping[str, float], shown: Callable[[Span], str]) -> None:
    """Refuse a constant part of an equation that has no finite value: `1/0`, `9^9^9^9`, `log(-1)`.

    Targets differ in what they make of one: Python raises, compiled code gives inf or nan.
    `shown` gives the text of a place.  Raises `Complaint` at the innermost such part.
    """
    values: dict[int, float] = {}
    for node in scalar_part(expr):
        if isinstance(node, Num):
            values[id(node)] = node.value
        elif isinstance(node, Name):
            if node.name in known:
                values[id(node)] = known[node.name]
        elif isinstance(node, (Binary, Unary, Call)):
            if isinstance(node, Binary) and node.op == "/" and values.get(id(node.right)) == 0.0:
                span = node.span or _NOWHERE
                raise Complaint(f"`{clipped(shown(span))}` divides by zero", span, None, ModelError)
            numbers = [values[id(part)] for part in children(node) if id(part) in values]
            if len(numbers) < len(children(node)) or not numbers:
                continue
            if isinstance(node, Call) and BUILTINS.get(node.func, (0, 0, None))[2] is None:
                continue
            value = _apply(node, numbers, "")
            if isinstance(value, float) and math.isfinite(value):
                values[id(node)] = value
                continue
            span = node.span or _NOWHERE
            text = clipped(shown(span))
            message, hint = f"the constant `{text}` has no finite value", None
            if isinstance(node, Binary) and node.op == "^" and numbers[0] < 0 and not numbers[1].is_integer():
                message = f"the constant `{text}` is not a real number"
                hint = "of a negative number, write the cube root as cbrt(x)"
            elif isinstance(node, Binary):
                message, hint = f"the constant `{text}` overflows", "the largest number is about 1.8e308"
            raise Complaint(message, span, hint, ModelError)


_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": math.pow,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "and": lambda a, b: float(bool(a) and bool(b)),
    "or": lambda a, b: float(bool(a) or bool(b)),
}


def _apply(node: Expr, numbers: list[float], what: str) -> float | _Bad:
    span = node.span or _NOWHERE
    try:
        if isinstance(node, Binary):
            return _OPERATIONS[node.op](*numbers)
        if isinstance(node, Unary):
            return -numbers[0] if node.op == "-" else float(not numbers[0])
        assert isinstance(node, Call)
        least, most, function = BUILTINS.get(node.func, (0, None, None))
        if function is None:
            return _Bad(
                Complaint(
                    f"`{node.func}` cannot be used in a constant", span, f"{what} must be a number", NameModelError
                )
            )
        if len(numbers) < least or (most is not None and len(numbers) > most):
            return _Bad(
                Complaint(f"`{node.func}` takes {least} argument(s), not {len(numbers)}", span, None, NameModelError)
            )
        return float(function(*numbers))
    except ZeroDivisionError:
        return _Bad(Complaint(f"{what} divides by zero", span, None, ModelError))
    except (ValueError, OverflowError):
        return _Bad(Complaint(f"{what} is not a finite number", span, None, ModelError))
