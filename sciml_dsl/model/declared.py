"""Declarations that are numbers: parameters with bounds, elements of arrays of constants, rows of inputs.

Takes statements and the values of the constants; gives items of a `ModelSpec`, or says what is wrong.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..errors import ModelError
from ..language import syntax
from ..language.ast import Expr
from ..language.complaint import Complaint
from .constants import evaluate
from .problems import NOWHERE
from .spec import Input, Parameter


def constant_item(p: syntax.Parameter, known: dict[str, float], kinds: dict[str, str]) -> Parameter:
    """One element of an array of constants."""
    assert p.default is not None and not isinstance(p.default, syntax.Values)
    return Parameter(p.name.name, evaluate(p.default, known, f"the constant `{p.name.name}`", kinds))


def parameter(p: syntax.Parameter, constants: dict[str, float], kinds: dict[str, str]) -> Parameter:
    """A parameter with its default and bounds as numbers."""
    name = p.name.name
    assert not isinstance(p.default, syntax.Values)

    def number(expr: Expr | None, what: str, missing: float) -> float:
        if expr is None:
            return missing
        return evaluate(expr, constants, f"the {what} of `{name}`", kinds, infinite=what != "default")

    default = None if p.default is None else number(p.default, "default", 0.0)
    lower = number(p.lower, "lower bound", 0.0 if p.log else -math.inf)
    upper = number(p.upper, "upper bound", math.inf)
    place = (p.lower.span if p.lower is not None else None) or p.name.span or NOWHERE
    if not lower < upper:
        raise Complaint(
            f"the bounds of `{name}` leave nothing between them: [{lower!r}, {upper!r}]",
            place,
            "the lower bound comes first",
            ModelError,
        )
    if p.log and lower < 0.0:
        raise Complaint(
            f"`{name}` is on a logarithmic scale, so it must be positive",
            place,
            "give positive bounds, in [1e-3, 10] log, or leave `log` out",
            ModelError,
        )
    if default is not None:
        where = (p.default.span if p.default is not None else None) or NOWHERE
        if default <= 0 and p.log and p.lower is None:
            raise Complaint(
                f"the default {default!r} of `{name}` is not positive, and `log` means that it is",
                where,
                "write a positive default, or leave `log` out",
                ModelError,
            )
        if not lower <= default <= upper:
            raise Complaint(
                f"the default {default!r} of `{name}` is outside its bounds [{lower!r}, {upper!r}]",
                where,
                None,
                ModelError,
            )
        if p.log and default <= 0.0:
            raise Complaint(
                f"`{name}` is on a logarithmic scale, so its default must be positive", where, None, ModelError
            )
    return Parameter(name, default, lower, upper, p.log)


def measured(statement: syntax.Input, constants: dict[str, float], kinds: dict[str, str]) -> Input:
    """An input with its rows, where the text has them, as numbers."""
    name = statement.name.name
    data = None
    if statement.rows is not None:
        times, values = (
            tuple(evaluate(row[k], constants, f"a {what} of `{name}`", kinds) for row in statement.rows)
            for k, what in enumerate(("time", "value"))
        )
        for row, (before, after) in zip(statement.rows[1:], pairwise(times), strict=True):
            if not before < after:
                message = f"the times of `{name}` must increase, and {after:g} follows {before:g}"
                raise Complaint(message, row[0].span or NOWHERE, "one row for each time, in order", ModelError)
        if len(times) == 1 and statement.interpolation != "constant" and not statement.hold:
            message = f"one row is no table for `{name}`"
            hint = f"give two rows, or write `input {name} = [...] constant`"
            raise Complaint(message, statement.span, hint, ModelError)
        data = (times, values)
    return Input(name, statement.interpolation or "linear", statement.hold, statement.column, data)
