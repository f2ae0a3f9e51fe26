"""Expression trees: what the text of a model says, before anything is computed.

The parser makes these values, the sympy bridge makes the same ones, and every
later room reads them.  They are immutable, carry the place they were written
at (`Span`), and compare without it.  Sums of ten thousand terms are ordinary
input, so nothing here recurses: walk trees with `postorder` or `fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range `[start, end)` of character offsets in the source text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Num:
    """A number, always a Python float."""

    value: float
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A state, parameter, constant, observable, function argument, `t`, `pi` or `e`."""

    name: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a built-in function, a function of the model, or a network.

    `index` is the 1-based output of a vector-valued network, else None.
    """

    func: str
    args: tuple[Expr, ...]
    index: int | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`op` is "-" or "not"."""

    op: str
    arg: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`op` is one of `+ - * / ^`, of `< <= > >= == !=`, or of `and or`."""

    op: str
    left: Expr
    right: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class IfElse:
    """`if cond then then else other`; only the chosen branch counts."""

    cond: Expr
    then: Expr
    other: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


Expr = Num | Name | Call | Unary | Binary | IfElse

COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})


def children(node: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions of `node`, left to right."""
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Call):
        return node.args
    if isinstance(node, Unary):
        return (node.arg,)
    if isinstance(node, IfElse):
        return (node.cond, node.then, node.other)
    return ()


def postorder(root: Expr) -> Iterator[Expr]:
    """Every node of the tree, children before parents, without recursion."""
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
            continue
        below = children(node)
        if not below:
            yield node
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(below))


def fold(root: Expr, combine: Callable[[Expr, list[T]], T]) -> T:
    """Fold the tree bottom-up: `combine(node, values of its children)`."""
    values: list[T] = []
    for node in postorder(root):
        count = len(children(node))
        if count:
            parts = values[-count:]
            del values[-count:]
        else:
            parts = []
        values.append(combine(node, parts))
    return values[0]


def rebuild(node: Expr, parts: list[Expr]) -> Expr:
    """`node` with its children replaced by `parts` (same count), span kept."""
    if isinstance(node, Binary):
        return Binary(node.op, parts[0], parts[1], node.span)
    if isinstance(node, Call):
        return Call(node.func, tuple(parts), node.index, node.span)
    if isinstance(node, Unary):
        return Unary(node.op, parts[0], node.span)
    if isinstance(node, IfElse):
        return IfElse(parts[0], parts[1], parts[2], node.span)
    return node


def names(root: Expr) -> set[str]:
    """The names used in the tree (not the functions called)."""
    return {node.name for node in postorder(root) if isinstance(node, Name)}
