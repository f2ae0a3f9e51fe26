"""The mark `@stiff`, where it has no place."""

from __future__ import annotations

from ..errors import ModelError
from ..language.ast import Call, Expr, Span, postorder
from ..language.complaint import Complaint
from ..language.names import STIFF
from .problems import NOWHERE


def unmarked(expr: Expr, what: str) -> None:
    """Refuse `@stiff` where no derivative is made of the term."""
    for node in postorder(expr):
        if isinstance(node, Call) and node.func == STIFF:
            raise Complaint(
                f"`@stiff` has no effect in {what}",
                Span(node.span.start, node.span.start + len(STIFF)) if node.span is not None else NOWHERE,
                "it marks terms of equations: x' = a*x - @stiff(k*x^3)",
                ModelError,
            )
