"""Ways of writing that say something else than they seem to."""

from __future__ import annotations

from collections.abc import Iterator

from ..language.ast import Binary, Call, Expr, Index, Name, Num, Unary, children, postorder
from ..model.canonical import Canonical
from .subject import NOWHERE, Found, Subject

Term = tuple[int, Expr]  # sign, term


def terms(s: Subject) -> Iterator[Found]:
    """Terms of a sum that cancel or stand twice, and quotients of the same."""
    keys = Canonical(s.original)
    for expr, _ in s.as_written():
        inner: set[int] = set()  # sums that are part of another sum
        rough = _leaves(expr)
        for node in reversed(list(postorder(expr))):
            if isinstance(node, Binary) and node.op in ("+", "-"):
                if id(node) in inner:
                    continue
                yield from _sum(s, keys, _terms(node, inner), rough)
            elif isinstance(node, Binary) and node.op == "/" and not isinstance(node.left, Num):
                same = rough[id(node.left)] == rough[id(node.right)]
                if same and keys.key(node.left) == keys.key(node.right):
                    span = node.span or NOWHERE
                    yield Found("cancelling-terms", f"`{s.shown(span)}` is always 1", span, "write 1")


def _terms(root: Binary, inner: set[int]) -> list[Term]:
    found: list[Term] = []
    stack: list[Term] = [(1, root)]
    while stack:
        sign, node = stack.pop()
        if isinstance(node, Binary) and node.op in ("+", "-"):
            inner.add(id(node))
            stack += [(sign if node.op == "+" else -sign, node.right), (sign, node.left)]
        elif isinstance(node, Unary) and node.op == "-":
            stack.append((-sign, node.arg))
        else:
            found.append((sign, node))
    return found


def _sum(s: Subject, keys: Canonical, found: list[Term], rough: dict[int, int]) -> Iterator[Found]:
    groups: dict[int, list[Term]] = {}
    for sign, term in found:
        if not isinstance(term, Num):
            groups.setdefault(rough[id(term)], []).append((sign, term))
    for group in groups.values():
        if len(group) < 2:
            continue
        first: dict[int, int] = {}  # key -> sign
        told: set[int] = set()
        for sign, term in group:
            key, span = keys.key(term), term.span or NOWHERE
            if key not in first:
                first[key] = sign
            elif key not in told:
                told.add(key)
                text = s.shown(span)
                if first[key] != sign:
                    yield Found("cancelling-terms", f"`{text}` is added and subtracted again", span, "leave both out")
                else:
                    yield Found("repeated-term", f"`{text}` stands twice in this sum", span, f"write 2*{text} if meant")


def _leaves(expr: Expr) -> dict[int, int]:
    """For each part of an expression, by identity, a sum over the names and functions in it.

    Equal for parts that may be equal; found for all parts in one pass.
    """
    found: dict[int, int] = {}
    for node in postorder(expr):
        own = 0
        if isinstance(node, (Name, Index)):
            own = hash(node.name)
        elif isinstance(node, Call):
            own = hash((node.func, node.index))
        found[id(node)] = own + sum(found[id(part)] for part in children(node))
    return found


def equality(s: Subject) -> Iterator[Found]:
    """`==` between numbers that vary: true at single moments, which steps pass over."""
    for expr, local in s.as_written(conditions=False):
        for node in postorder(expr):
            if isinstance(node, Binary) and node.op in ("==", "!=") and s.varies(node, local):
                yield Found(
                    "float-equality",
                    f"`{node.op}` compares numbers that are hardly ever exactly equal",
                    node.span or NOWHERE,
                    "compare with < or >, for instance abs(a - b) < 1e-6",
                )


def division(s: Subject) -> Iterator[Found]:
    """`1/2x`, which Julia reads as 1/(2x), and `x^1/2`, which is x/2."""
    for expr, _ in s.as_written():
        for node in postorder(expr):
            if not (isinstance(node, Binary) and node.op == "/" and node.span is not None):
                continue
            left, right = _last_factor(node.left), node.right
            if isinstance(left, Binary) and left.op == "^" and left.right == Num(1.0) and isinstance(right, Num):
                if not _parenthesis(s, left, right):
                    text = s.shown(node.span)
                    hint = "write the exponent in parentheses, x^(1/2), or sqrt(x)"
                    yield Found("ambiguous-division", f"`{text}` divides by {right.value:g}", node.span, hint)
            elif _glued(s, right) and not _parenthesis(s, left, right):
                text, below = s.shown(node.span), s.shown(right.span)
                message = f"`{text}` is read as .../({below}), as Julia reads it"
                yield Found("ambiguous-division", message, node.span, f"write /({below}), or a product of its own")


def _last_factor(node: Expr) -> Expr:
    """What stands right before a division sign: `x^1` of `-2*x^1`."""
    while True:
        if isinstance(node, Unary) and node.op == "-":
            node = node.arg
        elif isinstance(node, Binary) and node.op in ("*", "/"):
            node = node.right
        else:
            return node


def _glued(s: Subject, node: Expr) -> bool:
    """Whether `node` is a number with something right behind it, `2x`."""
    if not (isinstance(node, Binary) and node.op == "*" and isinstance(node.left, Num)):
        return False
    number, other = node.left.span, node.right.span
    return (
        number is not None
        and other is not None
        and "*" not in s.source[number.end : other.start]
        and all(c in "(√" for c in s.source[number.end : other.start])
    )


def _parenthesis(s: Subject, left: Expr, right: Expr) -> bool:
    if left.span is None or right.span is None:
        return True
    return any(c in "()" for c in s.source[left.span.end : right.span.start])
