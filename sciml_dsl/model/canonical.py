"""When two models are the same although written differently.

Expressions become numbers that are equal exactly when the expressions agree up
to the order and grouping of sums and products, signs, division as a power,
`sqrt`, arithmetic of plain numbers, and factors moved into a sum.  Nothing is
expanded, and what is said of arrays is compared block by block, whatever the
indices are called.  `same_model` compares two specs with it; sympy, which reorders what
it is given, so gives the same model as the text.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ..language.ast import (
    Binary,
    Bound,
    Call,
    Expr,
    IfElse,
    Index,
    Name,
    Num,
    Reduce,
    Unary,
    children,
    fold,
    rebuild,
    scalar_part,
)
from ..language.names import MATH_CONSTANTS, STIFF
from .expanded import Expanded, scalar_definitions, scalar_expressions
from .spec import Block, ModelSpec

MAX_EXPONENT = 64
MAX_BITS = 20_000

Monomial = tuple[tuple[int, Fraction], ...]  # (atom, exponent), sorted
Sum = dict[Monomial, Fraction]

_ALIASES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_ONE: Monomial = ()
_MIRRORED = {">": "<", ">=": "<="}


def same_model(a: ModelSpec, b: ModelSpec) -> bool:
    """Whether two specs describe the same model, in the same order of names."""
    if a == b:
        return True
    outer = ("name", "states", "parameters", "constants", "networks", "weights", "inputs", "arrays", "algebraic")
    if any(getattr(a, key) != getattr(b, key) for key in outer):
        return False
    return _shape(a) == _shape(b) and _same_expressions(a, b)


def _shape(spec: ModelSpec) -> tuple[Any, ...]:
    events = tuple(
        (
            *(e.kind, e.terminate, tuple(name for name, _ in e.assignments), e.start is None, e.stop is None),
            tuple(map(_block_shape, e.blocks)),
        )
        for e in spec.events
    )
    functions = tuple((f.name, f.args) for f in spec.functions)
    definitions = tuple(d.name for d in scalar_definitions(spec))
    initial = spec.initial.given.items() if isinstance(spec.initial, Expanded) else enumerate(spec.initial)
    without = tuple(k for k, expr in initial if expr is None)
    return (definitions, functions, events, without, tuple(map(_block_shape, spec.blocks)))


def _block_shape(block: Block) -> tuple[Any, ...]:
    return (block.array, block.kind, tuple((r.first, r.last) for r in block.ranges))


def _same_expressions(a: ModelSpec, b: ModelSpec) -> bool:
    keys = Canonical(a)
    for left, right in zip(_expressions(a), _expressions(b), strict=True):
        if left != right and keys.key(left) != keys.key(right):
            return False
    return True


def _expressions(spec: ModelSpec) -> list[Expr]:
    scalars = scalar_expressions(spec)
    if not spec.loops:
        return scalars
    found = [_numbered(expr, {}) for expr in scalars]
    for block in (*spec.blocks, *(block for event in spec.events for block in event.blocks)):
        levels = {r.name: f"#{k}" for k, r in enumerate(block.ranges)}
        found += [_numbered(expr, levels) for expr in (*block.subscripts, block.expr)]
    return found


def _numbered(expr: Expr, levels: dict[str, str]) -> Expr:
    """`expr` with its indices called by how many loops stand around theirs."""
    values: list[Expr] = []
    for node in scalar_part(expr):
        if isinstance(node, Name):
            values.append(Name(levels[node.name]) if node.name in levels else node)
        elif isinstance(node, Index):
            values.append(Index(node.name, tuple(_numbered(s, levels) for s in node.subscripts)))
        elif isinstance(node, Reduce):
            inner = dict(levels)
            ranges = []
            for bound in node.ranges:
                first, last = _numbered(bound.first, inner), _numbered(bound.last, inner)
                inner[bound.name] = f"#{len(inner)}"
                ranges.append(Bound(inner[bound.name], first, last))
            values.append(Reduce(node.op, _numbered(node.body, inner), tuple(ranges)))
        else:
            count = len(children(node))
            parts = values[len(values) - count :]
            del values[len(values) - count :]
            values.append(rebuild(node, parts) if parts else node)
    return values[0]


class Canonical:
    """Gives every expression of a model an integer; equal integers mean equal expressions."""

    def __init__(self, spec: ModelSpec) -> None:
        taken = {*spec.states, *(p.name for p in spec.parameters), *(c.name for c in spec.constants)}
        taken |= {i.name for i in spec.inputs}
        taken |= {d.name for d in scalar_definitions(spec)} | {array.name for array in spec.arrays}
        taken |= {arg for f in spec.functions for arg in f.args}
        self.numbers = {name: Fraction(value) for name, value in MATH_CONSTANTS.items() if name not in taken}
        self.known: dict[Any, int] = {}
        self.members: dict[int, tuple[str, frozenset[int]]] = {}  # of `and`, `or`, `min`, `max`

    def key(self, expr: Expr) -> int:
        """The integer of `expr`."""
        return self.close(fold(expr, self.combine))

    def intern(self, value: Any) -> int:
        return self.known.setdefault(value, len(self.known))

    def close(self, total: Sum) -> int:
        if len(total) == 1:
            ((mono, c),) = total.items()
            if c == 1 and len(mono) == 1 and mono[0][1] == 1:
                return mono[0][0]
        return self.intern(frozenset((mono, _rounded(c)) for mono, c in total.items()))

    def atom(self, *value: Any) -> Sum:
        return {((self.intern(value), Fraction(1)),): Fraction(1)}

    def combine(self, node: Expr, parts: list[Sum]) -> Sum:
        if isinstance(node, Num):
            return _number(Fraction(node.value))
        if isinstance(node, Name):
            value = self.numbers.get(node.name)
            return self.atom("name", node.name) if value is None else _number(value)
        if isinstance(node, Binary):
            return self.binary(node.op, *parts)
        if isinstance(node, Unary):
            return _scale(parts[0], Fraction(-1)) if node.op == "-" else self.atom("not", self.close(parts[0]))
        if isinstance(node, Index):
            return self.atom("index", node.name, *map(self.close, parts))
        if isinstance(node, Reduce):
            indices = tuple(bound.name for bound in node.ranges)
            return self.atom("reduce", node.op, indices, *map(self.close, parts))
        if isinstance(node, IfElse) or node.func == "ifelse":
            return self.atom("if", *map(self.close, parts))
        return self.call(node, parts)

    def call(self, node: Call, parts: list[Sum]) -> Sum:
        if node.func == STIFF:  # a hint for solvers, not part of what the model says
            return parts[0]
        name = _ALIASES.get(node.func, node.func)
        if name == "sqrt":
            return self.power(parts[0], _number(Fraction(1, 2)))
        if name == "pow":
            return self.power(*parts)
        keys = [self.close(part) for part in parts]
        if name in ("min", "max"):
            return self.collection(name, keys)
        return self.atom("call", name, node.index, *keys)

    def binary(self, op: str, a: Sum, b: Sum) -> Sum:
        if op in ("+", "-"):
            sign = 1 if op == "+" else -1
            for mono, c in b.items():
                total = a.get(mono, Fraction(0)) + sign * c
                if total:
                    a[mono] = total
                else:
                    a.pop(mono, None)
            return a
        if op == "*":
            return self.product(a, b)
        if op == "/":
            return self.product(a, self.power(b, _number(Fraction(-1))))
        if op == "^":
            return self.power(a, b)
        left, right = self.close(a), self.close(b)
        if op in _MIRRORED:
            op, left, right = _MIRRORED[op], right, left
        if op in ("and", "or"):
            return self.collection(op, [left, right])
        if op in ("==", "!="):
            left, right = sorted((left, right))
        return self.atom(op, left, right)

    def collection(self, op: str, keys: list[int]) -> Sum:
        """An operation whose arguments have no order, no grouping and no repetition."""
        found: set[int] = set()
        for key in keys:
            inner, members = self.members.get(key, ("", frozenset()))
            found |= members if inner == op else {key}
        total = self.atom(op, frozenset(found))
        self.members[self.close(total)] = (op, frozenset(found))
        return total

    def product(self, a: Sum, b: Sum) -> Sum:
        for scalar, other in ((a, b), (b, a)):
            value = _plain(scalar)
            if value is not None:
                return _scale(other, value)
        (left, c), (right, d) = self.single(a), self.single(b)
        return {_times(left, right): c * d}

    def single(self, total: Sum) -> tuple[Monomial, Fraction]:
        """A sum as one monomial: a sum of several terms becomes an atom with its leading coefficient taken out."""
        if len(total) == 1:
            return next(iter(total.items()))
        leading = total[min(total)]
        return ((self.close(_scale(total, 1 / leading)), Fraction(1)),), leading

    def power(self, base: Sum, exponent: Sum) -> Sum:
        q, number = _plain(exponent), _plain(base)
        if q == 0:
            return _number(Fraction(1))
        if q is None or number == 0 or (q.denominator == 1 and abs(q) > MAX_EXPONENT):
            return self.atom("pow", self.close(base), self.close(exponent))
        mono, c = self.single(base)
        if q.denominator == 1:
            if _bits(c) * abs(q) > MAX_BITS:
                return self.atom("pow", self.close(base), self.close(exponent))
            return {tuple((atom, e * q) for atom, e in mono): c ** int(q)}
        root = _float_power(abs(c), q)
        if root is None:
            return self.atom("pow", self.close(base), self.close(exponent))
        if c < 0 or len(mono) > 1 or (mono and mono[0][1] != 1):
            mono = ((self.close({mono: Fraction(-1 if c < 0 else 1)}), Fraction(1)),)
        return {tuple((atom, q) for atom, _ in mono): root}


def _plain(total: Sum) -> Fraction | None:
    """The number a sum is, or None where it holds names."""
    if not total:
        return Fraction(0)
    return total[_ONE] if len(total) == 1 and _ONE in total else None


def _number(value: Fraction) -> Sum:
    return {_ONE: value} if value else {}


def _scale(total: Sum, factor: Fraction) -> Sum:
    return {mono: c * factor for mono, c in total.items()} if factor else {}


def _times(a: Monomial, b: Monomial) -> Monomial:
    exponents = dict(a)
    for atom, e in b:
        exponents[atom] = exponents.get(atom, Fraction(0)) + e
    return tuple(sorted((atom, e) for atom, e in exponents.items() if e))


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _rounded(value: Fraction) -> float | Fraction:
    """To a double, so that exact and stepwise arithmetic agree; far outside its range exactly."""
    try:
        return float(value)
    except OverflowError:
        return value


def _float_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    try:
        return Fraction(math.pow(float(base), float(exponent)))
    except OverflowError:
        return None
