"""Initial values in the place of numbers: `y(0) = 2*x(0)`.

Takes the initial values as written; gives them with those of other states put in.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ModelError
from ..language.ast import Call, Expr, Num, children, fold, postorder, rebuild
from ..language.complaint import Complaint
from .problems import NOWHERE


def asked(expr: Expr, known: Mapping[str, Expr]) -> set[str]:
    """The states whose given initial values an expression uses."""
    return {node.func for node in postorder(expr) if _is_start(node) and node.func in known}  # type: ignore[union-attr]


def _is_start(node: Expr) -> bool:
    return isinstance(node, Call) and len(node.args) == 1 and node.args[0] == Num(0.0) and node.index is None


def with_starts(given: Mapping[str, Expr]) -> dict[str, Expr]:
    """Initial values by state, without `x(0)` in them where that is given.

    Raises `Complaint` where they are given by each other.
    """
    needs = {name: asked(expr, given) for name, expr in given.items()}
    done: dict[str, Expr] = {}
    pending = dict(given)
    while pending:
        ready = [name for name in pending if needs[name] <= done.keys()]
        if not ready:
            name, expr = next(iter(pending.items()))
            circle = ", ".join(f"`{other}(0)`" for other in pending)
            message = f"initial values that are given by each other: {circle}"
            raise Complaint(message, expr.span or NOWHERE, f"give a number for {name}(0)", ModelError)
        for name in ready:
            expr = pending.pop(name)
            done[name] = _put(expr, done) if needs[name] else expr
    return done


def _put(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    def put(node: Expr, parts: list[Expr]) -> Expr:
        if _is_start(node) and node.func in values:  # type: ignore[union-attr]
            return values[node.func]  # type: ignore[union-attr]
        return node if all(a is b for a, b in zip(parts, children(node), strict=True)) else rebuild(node, parts)

    return fold(expr, put)
