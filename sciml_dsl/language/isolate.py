"""Equations that are not solved for their derivative: `C*dV/dt = ...`, `m*x'' + c*x' + k*x = F`.

Takes both sides; moves everything but the highest derivative to the right, one operation at a
time, where that stands once and linearly; nothing is expanded.  Of other equations it gives
what vanishes (`implicit`), for `model.implicit` to solve.
"""

from __future__ import annotations

from .ast import Binary, Call, Expr, Index, Name, Num, Unary, children, fold, postorder, rebuild
from .complaint import Complaint, order_too_high
from .names import MAX_ORDER, TIME, split_primes

_DT = {"dt": 1, "dt²": 2, "dt2": 2, "dt³": 3, "dt3": 3}


def denominator_order(below: Expr) -> int | None:
    """The order of `dt`, `dt²`, `dt^2` below a derivative; None for anything else."""
    if isinstance(below, Name):
        return _DT.get(below.name)
    if isinstance(below, Binary) and below.op == "^" and below.left == Name("dt") and isinstance(below.right, Num):
        return int(below.right.value)
    return None


def isolated(left: Expr, right: Expr) -> tuple[Expr, Expr] | None:
    """(derivative, what it equals), or None where `left` holds no derivative or is one itself, and
    where none can be had by moving terms and dividing.
    """
    if not isinstance(left, (Binary, Unary)) or (isinstance(left, Binary) and left.op not in "+-*/"):
        return None
    left = _lifted(left)
    found = [(node, order) for node in postorder(left) if (order := _order(node))]
    if not found:
        return None
    highest = max(order for _, order in found)
    targets = [node for node, order in found if order == highest]
    if targets[0] is left or len(targets) > 1:
        return None
    holders = _holders(left, targets[0])
    node = left
    while node is not targets[0]:
        moved = _step(node, right, holders)
        if moved is None:
            return None
        node, right = moved
    return node, right


def implicit(left: Expr, right: Expr) -> Expr | None:
    """What vanishes in an equation with derivatives on the left, these with primes; None where there are none.

    Raises `Complaint` for derivatives of elements of arrays, whose equations have to be solved for them.
    """
    lifted = _lifted(left)
    found = [node for node in postorder(lifted) if _order(node)]
    if not found or found[-1] is lifted:
        return None
    for node in found:
        order = _order(node) or 0
        if order > MAX_ORDER:
            raise order_too_high(_base(node) or "x", order, node.span or left.span or right.span)  # type: ignore[arg-type]
        if _base(node) is None:
            raise Complaint(
                "derivatives of elements of arrays cannot be found from several equations",
                node.span or left.span or right.span,  # type: ignore[arg-type]
                "solve the equation for one of them: u[i]' = ...",
            )

    def put(node: Expr, parts: list[Expr]) -> Expr:
        node = _same(node, parts)
        order, base = _order(node), _base(node)
        return Name(base + "'" * order, node.span) if order and base is not None else node

    return Binary("-", fold(lifted, put), fold(_lifted(right), put))


def _base(node: Expr) -> str | None:
    """What a derivative is of; None for elements of arrays."""
    if isinstance(node, Name):
        return split_primes(node.name)[0]
    if isinstance(node, Call):
        return split_primes(node.func)[0]
    if not isinstance(node, Binary):
        return None
    above = node.left
    if isinstance(above, Call) and isinstance(above.args[0], Name):  # d(x), dx(t)
        return above.args[0].name if above.func in ("d", "d²", "d2") else above.func.lstrip("d")
    if isinstance(above, Name):
        return above.name[1:].lstrip("²³23") if above.name[1:2] in "²³23" else above.name[1:]
    return None


def with_primes(expr: Expr, base: str, order: int) -> Expr:
    """`expr` with `dx/dt` written as `x'`, where x' is a state: in an equation of higher order of x = `base`."""
    written = {f"d{base}": 1, f"d²{base}": 2, f"d2{base}": 2}
    if order < 2 or not any(isinstance(node, Name) and node.name in written for node in postorder(expr)):
        return expr

    def put(node: Expr, parts: list[Expr]) -> Expr:
        node = _same(node, parts)
        if isinstance(node, Binary) and isinstance(node.left, Name):
            found = _order(node)
            if found and found < order and written.get(node.left.name) == found:
                return Name(base + "'" * found, node.span)
        return node

    return fold(_lifted(expr), put)


def _same(node: Expr, parts: list[Expr]) -> Expr:
    return node if all(a is b for a, b in zip(parts, children(node), strict=True)) else rebuild(node, parts)


def _lifted(expr: Expr) -> Expr:
    """`expr` with `(C*dV)/dt` as `C*(dV/dt)` and `(-dV)/dt` as `-(dV/dt)`: as it is meant."""

    def put(node: Expr, parts: list[Expr]) -> Expr:
        node = _same(node, parts)
        if not (isinstance(node, Binary) and node.op == "/" and denominator_order(node.right)):
            return node
        factors: list[Binary | Unary] = []
        last = node.left
        while (isinstance(last, Binary) and last.op == "*") or (isinstance(last, Unary) and last.op == "-"):
            factors.append(last)
            last = last.right if isinstance(last, Binary) else last.arg
        if not factors or not _differential(last):
            return node
        result: Expr = Binary("/", last, node.right, node.span)
        for factor in reversed(factors):
            if isinstance(factor, Binary):
                result = Binary("*", factor.left, result, node.span)
            else:
                result = Unary("-", result, node.span)
        return result

    return fold(expr, put)


def _differential(node: Expr) -> bool:
    """`dx`, `d(x)`, `dx(t)`, `d^2x`."""
    if isinstance(node, Name):
        return node.name.startswith("d") and len(node.name) > 1
    if isinstance(node, Call):
        return node.func.startswith("d") and len(node.args) == 1
    return isinstance(node, Binary) and node.op == "^" and node.left == Name("d")


def _order(node: Expr) -> int | None:
    """The order of a derivative, or 0 or None for what is none."""
    if isinstance(node, (Name, Index)):
        return split_primes(node.name)[1]
    if isinstance(node, Call):  # x'(t)
        return split_primes(node.func)[1] if node.args == (Name(TIME),) else None
    if not isinstance(node, Binary) or node.op != "/" or not _differential(node.left):
        return None
    return denominator_order(node.right)


def _holders(root: Expr, target: Expr) -> set[int]:
    """The nodes on the way from `root` to `target`, by identity."""
    found = {id(target)}
    for node in postorder(root):
        if any(id(part) in found for part in children(node)):
            found.add(id(node))
    return found


def _step(node: Expr, right: Expr, holders: set[int]) -> tuple[Expr, Expr] | None:
    """One operation of the left side undone on the right; None where it cannot be."""
    zero = isinstance(right, Num) and right.value == 0.0
    if isinstance(node, Unary) and node.op == "-":
        return node.arg, right if zero else Unary("-", right, right.span)
    if isinstance(node, Binary):
        in_left = id(node.left) in holders
        inner, other = (node.left, node.right) if in_left else (node.right, node.left)
        if node.op == "+" or (node.op == "-" and in_left):
            if zero:
                return inner, Unary("-", other, other.span) if node.op == "+" else other
            return inner, Binary("-" if node.op == "+" else "+", right, other, right.span)
        if node.op == "-":
            return inner, other if zero else Binary("-", other, right, right.span)
        if node.op == "*":
            return inner, right if zero else Binary("/", right, other, right.span)
        if node.op == "/" and in_left:
            return inner, right if zero else Binary("*", right, other, right.span)
    return None
