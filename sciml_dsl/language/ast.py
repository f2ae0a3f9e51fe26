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
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")


class Span(NamedTuple):
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


# Large models are mostly names and sums.  Setting the slots directly makes these in half the
# time that the constructor of a frozen dataclass takes.


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Num(Tree):
    """A number, always a Python float."""

    value: float
    span: Span | None = field(default=None)

    def __init__(self, value: float, span: Span | None = None) -> None:
        _num_value(self, value)
        _num_span(self, span)


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Name(Tree):
    """A state, parameter, constant, observable, function argument, `t`, `pi` or `e`."""

    name: str
    span: Span | None = field(default=None)

    def __init__(self, name: str, span: Span | None = None) -> None:
        _name_name(self, name)
        _name_span(self, span)


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


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Binary(Tree):
    """`op` is one of `+ - * / ^`, of `< <= > >= == !=`, or of `and or`."""

    op: str
    left: Expr
    right: Expr
    span: Span | None = field(default=None)

    def __init__(self, op: str, left: Expr, right: Expr, span: Span | None = None) -> None:
        _binary_op(self, op)
        _binary_left(self, left)
        _binary_right(self, right)
        _binary_span(self, span)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IfElse(Tree):
    """`if cond then then else other`; only the chosen branch counts."""

    cond: Expr
    then: Expr
    other: Expr
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Index(Tree):
    """An element of an array, `u[i+1]` or `w[i, j]`.

    The subscripts are integer expressions: whole numbers, constants and loop
    indices joined by `+`, `-`, `*` and `mod`.
    """

    name: str
    subscripts: tuple[Expr, ...]
    span: Span | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Bound:
    """`i in first..last`, both ends included.  Not an expression by itself.

    Texts may say `first..step..last`; a resolved model has no steps (`model.steps`).
    """

    name: str
    first: Expr
    last: Expr
    span: Span | None = field(default=None, compare=False)
    step: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reduce(Tree):
    """`sum(body for i in a..b, j in c..d)`; `op` is "sum", "prod", "min" or "max".

    A later range may use the indices of earlier ones, and of ranges around the
    whole.  Index names stand for nothing else in a model, so no name in `body`
    has two meanings.
    """

    op: str
    body: Expr
    ranges: tuple[Bound, ...]
    span: Span | None = field(default=None)


Expr = Num | Name | Call | Unary | Binary | IfElse | Index | Reduce

REDUCTIONS = ("sum", "prod", "min", "max")

_num_value, _num_span = (Num.__dict__[slot].__set__ for slot in ("value", "span"))
_name_name, _name_span = (Name.__dict__[slot].__set__ for slot in ("name", "span"))
_binary_op, _binary_left, _binary_right, _binary_span = (
    Binary.__dict__[slot].__set__ for slot in ("op", "left", "right", "span")
)

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
    if isinstance(node, Index):
        return node.subscripts
    if isinstance(node, Reduce):
        return (*(end for bound in node.ranges for end in (bound.first, bound.last)), node.body)
    return ()


def postorder(root: Expr) -> Iterator[Expr]:
    """Every node of the tree, children before parents, without recursion."""
    stack: list[Any] = [root]  # nodes, and (node,) where its children are done
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is Name or kind is Num:
            yield node
        elif kind is tuple:
            yield node[0]
        elif kind is Binary:
            stack += ((node,), node.right, node.left)
        else:
            stack.append((node,))
            stack.extend(reversed(children(node)))


def scalar_part(root: Expr) -> Iterator[Expr]:
    """`postorder` that gives elements of arrays and reductions without going into them."""
    stack: list[Any] = [root]  # nodes, and (node,) where its children are done
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is Name or kind is Num:
            yield node
        elif kind is tuple:
            yield node[0]
        elif kind is Binary:
            stack += ((node,), node.right, node.left)
        else:
            below = () if isinstance(node, (Index, Reduce)) else children(node)
            stack.append((node,))
            stack.extend(reversed(below))


def fold(root: Expr, combine: Callable[[Expr, list[T]], T]) -> T:
    """Fold the tree bottom-up: `combine(node, values of its children)`."""
    values: list[T] = []
    stack: list[Any] = [root]  # nodes, and (node, number of its children) where those are done
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is tuple:
            node, count = node
            parts = values[-count:]
            del values[-count:]
            values.append(combine(node, parts))
        elif kind is Binary:
            stack += ((node, 2), node.right, node.left)
        elif kind is Name or kind is Num:
            values.append(combine(node, []))
        else:
            below = children(node)
            if below:
                stack.append((node, len(below)))
                stack.extend(below[::-1])
            else:
                values.append(combine(node, []))
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
    if isinstance(node, Index):
        return Index(node.name, tuple(parts), node.span)
    if isinstance(node, Reduce):
        ranges = tuple(
            Bound(bound.name, parts[2 * k], parts[2 * k + 1], bound.span, bound.step)
            for k, bound in enumerate(node.ranges)
        )
        return Reduce(node.op, parts[-1], ranges, node.span)
    return node


def names(root: Expr) -> set[str]:
    """The names used in the tree, of arrays too; not the functions called, nor the indices of its reductions."""
    found: set[str] = set()
    indices: set[str] = set()
    for node in postorder(root):
        if isinstance(node, (Name, Index)):
            found.add(node.name)
        elif isinstance(node, Reduce):
            indices.update(bound.name for bound in node.ranges)
    return found - indices


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
    if isinstance(node, Index):
        return (node.name, len(node.subscripts))
    if isinstance(node, Reduce):
        return (node.op, tuple(bound.name for bound in node.ranges), 2 * len(node.ranges) + 1)
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
        elif kind is Index:
            values.append(Index(own[0], tuple(parts), span))
        elif kind is Reduce:
            ends = zip(own[1], parts[0:-1:2], parts[1:-1:2], strict=True)
            values.append(Reduce(own[0], parts[-1], tuple(Bound(*end) for end in ends), span))
        else:
            values.append(kind(*own[:-1], *parts, span))
    return values[0]
