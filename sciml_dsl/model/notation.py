"""Ways of writing that textbooks have and the language spells otherwise.

Takes the statements of a text; gives the same with `x²` as a power (unless the text
defines a name `x²`), `sin²(x)`, `piecewise(...)` in both of its customs and
`heaviside(x)`.  Done before names are looked up, so nothing later knows of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ..errors import ModelError
from ..language import syntax
from ..language.ast import (
    COMPARISONS,
    Binary,
    Call,
    Expr,
    IfElse,
    Index,
    Name,
    Num,
    Reduce,
    Span,
    Tree,
    Unary,
    children,
    fold,
    postorder,
    rebuild,
)
from ..language.complaint import Complaint
from ..language.names import BUILTINS, PIECES, STEPS, split_primes
from ..language.superscripts import split_superscript

S = TypeVar("S")

_SEEN = re.compile(r"[⁰¹²³⁴-⁹]|\b(?:[Pp]iecewise|[Hh]eaviside)\b")


def needs_rewriting(source: str | None) -> bool:
    """Does a text hold anything of this?"""
    return source is not None and _SEEN.search(source) is not None


def defined(statements: Iterable[syntax.Statement]) -> set[str]:
    """Every name that statements give a meaning: declared, defined, or an argument or index."""
    found: set[str] = set()
    for s in statements:
        if isinstance(s, syntax.Unpacking):
            found.update(name.name for name in s.names)
        elif isinstance(s, syntax.Derivative):
            found.update(s.name.name + "'" * k for k in range(s.order))
        elif isinstance(s, (syntax.Parameter, syntax.Constant, syntax.Input, syntax.Network, syntax.Definition)):
            found.add(s.name.name)
        elif isinstance(s, syntax.Function):
            found.add(s.name.name)
            found.update(arg.name for arg in s.args)
    return found


def plain(statement: S, known: set[str]) -> S:
    """A statement with its expressions rewritten; `known` are the names that mean something."""
    return mapped(statement, lambda expr: plain_expression(expr, known))


def plain_document(document: syntax.Document) -> syntax.Document:
    """A document that was resolved, in the plain notation."""
    if not needs_rewriting(document.source):
        return document
    known = defined(document.statements)
    return replace(document, statements=tuple(plain(statement, known) for statement in document.statements))


def plain_expression(expr: Expr, known: set[str]) -> Expr:
    """One expression rewritten.  Raises `Complaint` for a `piecewise` that cannot be read."""
    indices = {bound.name for node in postorder(expr) if isinstance(node, Reduce) for bound in node.ranges}
    taken = known | indices

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        same = all(a is b for a, b in zip(parts, children(node), strict=True))
        node = node if same else rebuild(node, parts)
        if isinstance(node, (Name, Index)) and node.name not in taken:
            base, power = split_superscript(split_primes(node.name)[0])
            if power is not None and not node.name.endswith("'"):
                return _power(replace(node, name=base), power, node.span)
        if isinstance(node, Call) and node.func not in taken and node.index is None:
            base, power = split_superscript(node.func)
            if power is not None and power > 0 and (base in BUILTINS or base in taken):
                return _power(replace(node, func=base), power, node.span)
            if node.func in STEPS and len(node.args) == 1:
                before = Binary("<", node.args[0], Num(0.0, node.span), node.span)
                return IfElse(before, Num(0.0, node.span), Num(1.0, node.span), node.span)
            if node.func in PIECES:
                return _piecewise(node)
        return node

    return fold(expr, combine)


def _power(base: Expr, power: int, span: Span | None) -> Expr:
    exponent: Expr = Num(float(abs(power)), span)
    return Binary("^", base, exponent if power >= 0 else Unary("-", exponent, span), span)


def _piecewise(node: Call) -> Expr:
    """`piecewise(value, condition, ..., other)` (SBML) or `piecewise(condition, value, ..., other)` (Maple, Matlab)."""
    args = node.args
    where = node.span or Span(0, 0)
    hint = "write piecewise(value, condition, ..., value otherwise), or if condition then value else other"
    if len(args) < 3 or len(args) % 2 == 0:
        message = "piecewise has pairs of a value and its condition, and one value for all other cases"
        raise Complaint(message, where, hint, ModelError)
    pairs = list(zip(args[:-1:2], args[1:-1:2], strict=True))
    if all(_condition(a) and not _condition(b) for a, b in pairs):
        pairs = [(b, a) for a, b in pairs]
    elif not all(_condition(b) and not _condition(a) for a, b in pairs):
        raise Complaint("every second argument of piecewise is a condition, such as t < 10", where, hint, ModelError)
    result = args[-1]
    for value, condition in reversed(pairs):
        result = IfElse(condition, value, result, node.span)
    return result


def _condition(expr: Expr) -> bool:
    if isinstance(expr, Binary):
        return expr.op in COMPARISONS or expr.op in ("and", "or")
    return isinstance(expr, Unary) and expr.op == "not"


def mapped(value: Any, change: Callable[[Expr], Expr]) -> Any:
    """`value` with every expression in it changed; subscripts and ranges are numbers and stay."""
    if isinstance(value, Tree):
        return change(value)  # type: ignore[arg-type]
    if isinstance(value, tuple) and not isinstance(value, Span):
        return tuple(mapped(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            f.name: mapped(old, change)
            for f in fields(value)
            if f.name not in ("name", "names", "args", "inputs", "subscripts", "ranges")
            and isinstance(old := getattr(value, f.name), (Tree, tuple, syntax.Values, syntax.Assignment))
        }
        return replace(value, **changed)
    return value
