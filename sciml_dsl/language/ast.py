"""Expression trees: what the text of a model says, before anything is computed.

The parser makes these values, the sympy bridge makes the same ones, and every
later room reads them.  They are immutable, carry the place they were written
at (`Span`), and compare without it.  Sums of ten thousand terms are ordinary
input, so nothing here recurses, comparing and pickling included: walk trees
with `postorder` or `fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range `[start, end)` of character offsets in the source text."""

    start: int
    end: int


class Tree:
    """What every kind of node can do: compare, hash, pickle and print, at any depth."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Tree):
            return NotImplemented
        pairs = [(cast("Expr", self), cast("Expr", other))]
        while pairs:
            a, b = pairs.pop()
            if a is b:
                continue
            if type(a) is not type(b) or _own(a) != _own(b):
                return False
            pairs.extend(zip(children(a), children(b), strict=True))
        return True

    def __hash__(self) -> int:
        return fold(cast("Expr", self), lambda node, parts: hash((_own(node), *parts)))

    def __reduce__(self) -> tuple[Any, ...]:
        flat = [(type(node), _own(node), node.span) for node in postorder(cast("Expr", self))]
        return (_unflatten, (flat,))

    def __repr__(self) -> str:
        out: list[str] = []
        stack: list[Expr | str] = [cast("Expr", self)]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                out.append(item)
                continue
            own = ", ".join(repr(value) for value in _own(item)[:-1])
            out.append(f"{type(item).__name__}({own}")
            stack.append(")")
            for position, child in reversed(list(enumerate(children(item)))):
                stack.append(child)
                if position or own:
                    stack.append(", ")
        return "".join(out)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Num(Tree):
    """A number, always a Python float."""

    value: float
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Name(Tree):
    """A state, parameter, constant, observable, function argument, `t`, `pi` or `e`."""

    name: str
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(Tree):
    """A call of a built-in function, a function of the model, or a network.

    `index` is the 1-based output of a vector-valued network, else None.
    """

    func: str
    args: tuple[Expr, ...]
    index: int | None = None
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unary(Tree):
    """`op` is "-" or "not"."""

    op: str
    arg: Expr
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary(Tree):
    """`op` is one of `+ - * / ^`, of `< <= > >= == !=`, or of `and or`."""

    op: str
    left: Expr
    right: Expr
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IfElse(Tree):
    """`if cond then then else other`; only the chosen branch counts."""

    cond: Expr
    then: Expr
    other: Expr
    span: Span | None = field(default=None)


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


def _own(node: Expr) -> tuple[Any, ...]:
    """What a node says itself, without its children and its place; last the number of children."""
    if isinstance(node, Binary):
        return (node.op, 2)
    if isinstance(node, Name):
        return (node.name, 0)
    if isinstance(node, Num):
        return (node.value, 0)
    if isinstance(node, Call):
        return (node.func, node.index, len(node.args))
    if isinstance(node, Unary):
        return (node.op, 1)
    return (3,)


def _unflatten(flat: list[tuple[type, tuple[Any, ...], Span | None]]) -> Expr:
    """The inverse of `Tree.__reduce__`."""
    values: list[Expr] = []
    for kind, own, span in flat:
        count = own[-1]
        parts = values[len(values) - count :]
        del values[len(values) - count :]
        if kind is Call:
            values.append(Call(own[0], tuple(parts), own[1], span))
        else:
            values.append(kind(*own[:-1], *parts, span))
    return values[0]
