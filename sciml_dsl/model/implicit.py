"""Equations that hold several derivatives: `x' + 2*y' = -x; x' - y' = y`, or one inside a function: `x'^2 = 1 - x^2`.

Takes the equations solved for a derivative and what vanishes in the others; gives an
equation for each derivative where these stand linearly, by Cramer's rule block by
block, so that nothing is divided by but the determinant.  What is not linear, and
blocks of more than `LARGEST` derivatives, is left to vanish: the solver finds these
derivatives at every step, as unknowns of algebraic equations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from ..errors import ModelError, NameModelError
from ..language.ast import Binary, Expr, Name, Num, Span, Unary, children, fold, postorder, rebuild
from ..language.complaint import Complaint
from ..language.names import split_primes
from ..language.syntax import Implicit
from .problems import NOWHERE

LARGEST = 4
"""Derivatives of a block that are solved for; Cramer's rule takes factorially many terms."""


@dataclass(frozen=True)
class Settled:
    """`explicit`: right-hand sides of the derivatives that were solved for; `vanishing`: what is left
    to vanish, with its place; `unknown`: the derivatives that determines."""

    explicit: dict[str, Expr]
    vanishing: tuple[tuple[Expr, Span], ...]
    unknown: tuple[str, ...]


def highest_derivatives(derivatives: Collection[str], statements: Iterable[Implicit]) -> dict[str, Span]:
    """The highest derivative of every state and where it first stands.

    Arguments: `derivatives`, the states that have an equation; `statements`, those that are not solved for one.
    Raises `Complaint` where these hold a higher derivative than the state's equation is one for.
    """
    orders: dict[str, int] = {}
    for name in derivatives:
        base, order = split_primes(name)
        orders[base] = max(orders.get(base, 0), order + 1)
    own = dict(orders)
    places: dict[str, Span] = {}
    for statement in statements:
        for node in postorder(statement.expr):
            base, order = split_primes(node.name) if isinstance(node, Name) else ("", 0)
            if not order:
                continue
            place = node.span or statement.span
            if order > own.get(base, order):
                raise Complaint(
                    f"`{base}{_primes(order)}` stands here, and the equation of `{base}` is one for "
                    f"`{base}{_primes(own[base])}`",
                    place,
                    f"differentiate that equation: {base}{_primes(order)} = ...",
                    NameModelError,
                )
            orders[base] = max(orders.get(base, 0), order)
            places.setdefault(base, place)
    return {base + _primes(order): places.get(base, NOWHERE) for base, order in orders.items()}


def _primes(order: int) -> str:
    return "'" * order


def settle(explicit: Mapping[str, Expr], residuals: Sequence[tuple[Expr, Span]], highest: Collection[str]) -> Settled:
    """Solve for the derivatives `highest`.

    Arguments: `explicit`, for those that have an equation of their own its right-hand side, which may
    hold others; `residuals`, what vanishes in the other equations, with their places.
    Raises `Complaint` where the equations do not determine the derivatives.
    """
    wanted = frozenset(highest)
    done: dict[str, Expr] = {}
    pending = dict(explicit)
    while True:  # what depends on solved ones only is solved by putting these in
        ready = [name for name, expr in pending.items() if held(expr, wanted) <= done.keys()]
        if not ready:
            break
        for name in ready:
            done[name] = substituted(pending.pop(name), done)
    rows = [(substituted(expr, done), span) for expr, span in residuals]
    rows += [(Binary("-", Name(name), substituted(expr, done)), _place(expr)) for name, expr in pending.items()]
    vanishing: list[tuple[Expr, Span]] = []
    unknown: list[str] = []
    for block in _blocks(rows, wanted - done.keys(), highest):
        solution = _cramer([rows[i] for i in block[0]], block[1]) if len(block[1]) <= LARGEST else None
        if solution is None:
            vanishing += [rows[i] for i in block[0]]
            unknown += block[1]
        else:
            done |= solution
    return Settled(done, tuple(vanishing), tuple(unknown))


def held(expr: Expr, names: Set[str]) -> set[str]:
    """Which of `names` an expression holds."""
    return {node.name for node in postorder(expr) if isinstance(node, Name) and node.name in names}


def substituted(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """`expr` with expressions in the places of names."""

    def put(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, Name) and node.name in values:
            return values[node.name]
        return node if all(a is b for a, b in zip(parts, children(node), strict=True)) else rebuild(node, parts)

    return fold(expr, put)


def _place(expr: Expr) -> Span:
    return expr.span or Span(0, 0)


def _blocks(
    rows: Sequence[tuple[Expr, Span]], unknown: Set[str], order: Iterable[str]
) -> list[tuple[list[int], list[str]]]:
    """Equations and unknowns in parts that share no unknown, each with as many of the one as of the other."""
    parts: list[tuple[list[int], set[str]]] = []
    for i, (expr, span) in enumerate(rows):
        here, inside = [i], held(expr, unknown)
        if not inside:
            raise Complaint(
                "this equation repeats or contradicts others: with their derivatives put in, it holds none",
                span, "leave it out, or write it as 0 = ... if it constrains the states", ModelError,
            )  # fmt: skip
        rest = []
        for others, names in parts:
            if names & inside:
                here, inside = others + here, names | inside
            else:
                rest.append((others, names))
        parts = [*rest, (here, inside)]
    found = []
    for here, inside in parts:
        ordered = [name for name in order if name in inside]
        if len(ordered) != len(here):
            listed = ", ".join(f"`{name}`" for name in ordered)
            few = len(here) < len(ordered)
            equations = "1 equation" if len(here) == 1 else f"{len(here)} equations"
            raise Complaint(
                f"{equations} for {len(ordered)} derivative{'' if len(ordered) == 1 else 's'} ({listed})",
                rows[here[-1]][1],
                "as many equations as derivatives are needed: "
                + (f"write one more, {ordered[-1]} = ..." if few else "leave one out, or write it as 0 = ... "
                   "if it constrains the states"),
                ModelError,
            )  # fmt: skip
        found.append((sorted(here), ordered))
    return found


# ---------------------------------------------------------------- linear systems of expressions


def _cramer(rows: Sequence[tuple[Expr, Span]], names: Sequence[str]) -> dict[str, Expr] | None:
    """The solution of rows that vanish, or None where they are not linear in `names`."""
    inside = frozenset(names)
    matrix: list[list[Expr]] = []
    right: list[Expr] = []
    for expr, _ in rows:
        found = _linear(expr, inside)
        if found is None:
            return None
        matrix.append([found.get(name, ZERO) for name in names])
        right.append(_negative(found.get("", ZERO)))
    whole = _determinant(matrix)
    if whole == ZERO:
        listed = ", ".join(f"`{name}`" for name in names)
        raise Complaint(
            f"the equations for {listed} depend on each other and do not determine them",
            rows[-1][1], "write equations that each say something of their own", ModelError,
        )  # fmt: skip
    return {
        name: _over(_determinant([[*row[:j], b, *row[j + 1 :]] for row, b in zip(matrix, right, strict=True)]), whole)
        for j, name in enumerate(names)
    }


ZERO, ONE = Num(0.0), Num(1.0)
Linear = dict[str, Expr]
"""Coefficients by name; under "" what holds no name."""


def _linear(expr: Expr, names: frozenset[str]) -> Linear | None:
    """`expr` as a linear expression of `names`, None where it is none."""

    def combine(node: Expr, parts: list[Linear | None]) -> Linear | None:
        if isinstance(node, Name) and node.name in names:
            return {node.name: ONE}
        if all(part is not None and set(part) <= {""} for part in parts):
            return {"": node}
        if any(part is None for part in parts):
            return None
        terms = [part for part in parts if part is not None]
        if isinstance(node, Unary) and node.op == "-":
            return {name: _negative(c) for name, c in terms[0].items()}
        if not isinstance(node, Binary):
            return None
        a, b = terms
        if node.op in ("+", "-"):
            if node.op == "-":
                b = {name: _negative(c) for name, c in b.items()}
            return {name: _plus(a.get(name, ZERO), b.get(name, ZERO)) for name in {**a, **b}}
        if node.op == "*" and set(a) <= {""}:
            return {name: _times(node.left, c) for name, c in b.items()}
        if node.op == "*" and set(b) <= {""}:
            return {name: _times(c, node.right) for name, c in a.items()}
        if node.op == "/" and set(b) <= {""}:
            return {name: _over(c, node.right) for name, c in a.items()}
        return None

    return fold(expr, combine)


def _determinant(matrix: Sequence[Sequence[Expr]]) -> Expr:
    """By the first row; what is zero is left out."""
    if len(matrix) == 1:
        return matrix[0][0]
    total: Expr = ZERO
    for j, entry in enumerate(matrix[0]):
        if entry == ZERO:
            continue
        minor = _times(entry, _determinant([[*row[:j], *row[j + 1 :]] for row in matrix[1:]]))
        total = _plus(total, _negative(minor) if j % 2 else minor)
    return total


def _value(expr: Expr) -> float | None:
    if isinstance(expr, Unary) and expr.op == "-" and isinstance(expr.arg, Num):
        return -expr.arg.value
    return expr.value if isinstance(expr, Num) else None


def _number(value: float) -> Expr:
    return Num(value) if value >= 0.0 else Unary("-", Num(-value))


def _negative(a: Expr) -> Expr:
    value = _value(a)
    if value is not None:
        return _number(0.0 if value == 0.0 else -value)
    return a.arg if isinstance(a, Unary) and a.op == "-" else Unary("-", a)


def _plus(a: Expr, b: Expr) -> Expr:
    x, y = _value(a), _value(b)
    if x is not None and y is not None:
        return _number(x + y)
    if x == 0.0:
        return b
    if y == 0.0:
        return a
    if isinstance(b, Unary) and b.op == "-":
        return ZERO if a == b.arg else Binary("-", a, b.arg)
    return ZERO if isinstance(a, Unary) and a.op == "-" and a.arg == b else Binary("+", a, b)


def _times(a: Expr, b: Expr) -> Expr:
    x, y = _value(a), _value(b)
    if x is not None and y is not None:
        return _number(x * y)
    if 0.0 in (x, y):
        return ZERO
    if x == 1.0:
        return b
    if y == 1.0:
        return a
    if isinstance(a, Unary) and a.op == "-":
        return _negative(_times(a.arg, b))
    if isinstance(b, Unary) and b.op == "-":
        return _negative(_times(a, b.arg))
    return Binary("*", a, b)


def _over(a: Expr, b: Expr) -> Expr:
    x, y = _value(a), _value(b)
    if x == 0.0 or y == 1.0:
        return a
    if y is not None and y < 0.0:
        return _over(_negative(a), _number(-y))
    return Binary("/", a, b)
