"""Whole-number expressions of loop indices: where in a vector a loop reads and writes.

An `Affine` is a constant plus whole multiples of atoms: loop indices, and what
is not linear in them (remainders, products, quotients, clamps).  Values are
hashable, so that they can be payloads of graph nodes; remainders and clamps
that do nothing over the range of their indices vanish when they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoopIndex:
    """A loop's variable; runs from `first` to `last`, both included, which may depend on loops around it.

    `level` counts the loops around: indices of one name in nested scopes differ by it.
    """

    name: str
    first: Affine
    last: Affine
    level: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """What is not linear: "mod" (sign of the divisor), "div" (rounded down), "mul", "clamp" (value, low, high)."""

    op: str
    args: tuple[Affine, ...]


Atom = LoopIndex | Operation


@dataclass(frozen=True, slots=True)
class Affine:
    """`constant` plus the sum of coefficient times atom; `terms` are sorted and without zeros."""

    constant: int
    terms: tuple[tuple[Atom, int], ...] = ()

    @property
    def is_constant(self) -> bool:
        """Is it a plain number?"""
        return not self.terms

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.constant + other, self.terms)
        sums: dict[Atom, int] = dict(self.terms)
        for atom, factor in other.terms:
            sums[atom] = sums.get(atom, 0) + factor
        terms = sorted(((a, k) for a, k in sums.items() if k), key=lambda term: _rank(term[0]))
        return Affine(self.constant + other.constant, tuple(terms))

    def __neg__(self) -> Affine:
        return self.scaled(-1)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + (-other)

    def scaled(self, factor: int) -> Affine:
        """This many times the value."""
        if factor == 0:
            return Affine(0)
        return Affine(self.constant * factor, tuple((atom, k * factor) for atom, k in self.terms))


def _rank(atom: Atom) -> tuple[int, int, str]:
    if isinstance(atom, LoopIndex):
        return (0, atom.level, atom.name)
    return (1, 0, repr(atom))


def whole(value: int) -> Affine:
    """A plain number."""
    return Affine(value)


def index(loop: LoopIndex) -> Affine:
    """The value of a loop's variable."""
    if loop.first == loop.last:
        return loop.first
    return Affine(0, ((loop, 1),))


def times(a: Affine, b: Affine) -> Affine:
    """The product."""
    if a.is_constant:
        return b.scaled(a.constant)
    if b.is_constant:
        return a.scaled(b.constant)
    return Affine(0, ((Operation("mul", (a, b)), 1),))


def quotient(a: Affine, b: Affine) -> Affine:
    """a / b rounded down; `b` is not zero."""
    if b.is_constant:
        low, high = interval(a)
        if low // b.constant == high // b.constant:
            return Affine(low // b.constant)
        if all(factor % b.constant == 0 for _, factor in a.terms):
            return Affine(a.constant // b.constant, tuple((atom, k // b.constant) for atom, k in a.terms))
    return Affine(0, ((Operation("div", (a, b)), 1),))


def remainder(a: Affine, b: Affine) -> Affine:
    """a mod b, with the sign of b; linear where a does not leave one period."""
    if b.is_constant:
        low, high = interval(a)
        if low // b.constant == high // b.constant:
            return a - b.constant * (low // b.constant)
        if all(factor % b.constant == 0 for _, factor in a.terms):
            return Affine(a.constant % b.constant)
    return Affine(0, ((Operation("mod", (a, b)), 1),))


def clamp(a: Affine, low: int, high: int) -> Affine:
    """`a` held between two numbers."""
    least, most = interval(a)
    if low <= least and most <= high:
        return a
    if most <= low or low == high:
        return Affine(low)
    if least >= high:
        return Affine(high)
    return Affine(0, ((Operation("clamp", (a, Affine(low), Affine(high))), 1),))


def interval(a: Affine) -> tuple[int, int]:
    """(a lower, an upper) bound of the value over the ranges of its indices; exact for one index."""
    low = high = a.constant
    for atom, factor in a.terms:
        least, most = _interval(atom)
        low += min(factor * least, factor * most)
        high += max(factor * least, factor * most)
    return low, high


def _interval(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, LoopIndex):
        return interval(atom.first)[0], interval(atom.last)[1]
    ends = [interval(a) for a in atom.args]
    if atom.op == "clamp":
        return ends[1][0], ends[2][1]
    corners = [(x, y) for x in ends[0] for y in ends[1]]
    if atom.op == "mul":
        products = [x * y for x, y in corners]
        return min(products), max(products)
    (a, b), (c, d) = ends
    if atom.op == "mod":
        return (min(0, c + 1), max(0, d - 1))
    if c <= 0 <= d:
        bound = max(abs(a), abs(b))
        return -bound - 1, bound + 1
    quotients = [x // y for x, y in corners]
    return min(quotients), max(quotients)


def indices(a: Affine) -> Iterator[LoopIndex]:
    """Every loop index the value depends on, those in the bounds of others not counted."""
    for atom, _ in a.terms:
        if isinstance(atom, LoopIndex):
            yield atom
        else:
            for inner in atom.args:
                yield from indices(inner)


def single(a: Affine) -> tuple[LoopIndex, int] | None:
    """(index, factor) where the value is linear in one index, else None."""
    if len(a.terms) == 1 and isinstance(a.terms[0][0], LoopIndex):
        return a.terms[0]  # type: ignore[return-value]
    return None


def first_at_least(a: Affine, bound: int) -> tuple[LoopIndex, int] | None:
    """(index, value): where, along its only index, `a` crosses from one side of `bound` to the other.

    The crossing lies between value - 1 and value.  None where `a` is not linear in one index
    of fixed range.
    """
    found = single(a)
    if found is None or not (found[0].first.is_constant and found[0].last.is_constant):
        return None
    loop, factor = found
    gap = bound - a.constant
    if factor > 0:
        return loop, -((-gap) // factor)  # least i with factor*i >= gap
    return loop, gap // factor + 1  # least i with factor*i < gap


def substitute(a: Affine, values: Mapping[LoopIndex, Affine]) -> Affine:
    """The value with indices replaced."""
    result = Affine(a.constant)
    for atom, factor in a.terms:
        result = result + _substituted(atom, values).scaled(factor)
    return result


def _substituted(atom: Atom, values: Mapping[LoopIndex, Affine]) -> Affine:
    if isinstance(atom, LoopIndex):
        return values.get(atom, index(atom))
    args = [substitute(a, values) for a in atom.args]
    if atom.op == "mod":
        return remainder(args[0], args[1])
    if atom.op == "div":
        return quotient(args[0], args[1])
    if atom.op == "mul":
        return times(args[0], args[1])
    return clamp(args[0], args[1].constant, args[2].constant)


def value(a: Affine, at: Mapping[LoopIndex, Any]) -> Any:
    """The value where indices are numbers or arrays of whole numbers (numpy's rules)."""
    total: Any = a.constant
    for atom, factor in a.terms:
        total = total + factor * _value(atom, at)
    return total


def _value(atom: Atom, at: Mapping[LoopIndex, Any]) -> Any:
    if isinstance(atom, LoopIndex):
        return at[atom]
    args = [value(a, at) for a in atom.args]
    if atom.op == "mod":
        return args[0] % args[1]
    if atom.op == "div":
        return args[0] // args[1]
    if atom.op == "mul":
        return args[0] * args[1]
    import numpy as np

    return np.clip(args[0], args[1], args[2])
