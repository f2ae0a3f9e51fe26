"""Which elements of arrays the algebraic equations determine: `0 = u[i-1] - 2*u[i] + u[i+1] for i in 2..N-1`.

Takes the equations `0 = ...` of a text, the constants, and what is said of arrays
otherwise; gives each element that has no equation of its own one of them.  Which one is
bookkeeping (index reduction matches them anew), but it has to be found for whole
statements, so that they stay loops: a statement goes with one of the elements it holds,
`u[i]` before `u[i-1]`, or with a box of others of its size (the pressure, of a divergence
that vanishes), such that every element gets one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ModelError, NameModelError
from ..language.ast import Binary, Expr, Index, Name, Num, Reduce, Unary, postorder, scalar_part
from ..language.complaint import Complaint
from ..language.names import split_primes
from ..language.syntax import Algebraic
from .arrays import Bounds, Cover, Gathered, Ranges, Said, affine_names, loops_of
from .problems import NOWHERE
from .spec import Block, ModelSpec
from .subscripts import Loops, evaluate

TRIED = 20_000
"""Attempts to give every statement its elements."""


@dataclass(frozen=True)
class Paired:
    """`elements`: statements and the array each determines elements of; `rest`: equations without any."""

    elements: tuple[tuple[str, Said], ...]
    rest: tuple[Algebraic, ...]


def pair(
    equations: Sequence[Algebraic],
    others: Sequence[Expr],
    gathered: Mapping[str, Gathered],
    defined: Callable[[str], bool],
    constants: Mapping[str, float],
    ranges: Ranges,
    scalars: int,
) -> Paired:
    """Give the equations elements of arrays.

    Arguments: `others`, expressions of scalars; `gathered`, what is said of arrays; `defined`, whether a
    name is something already; `scalars`, how many unknowns without subscripts there are.
    Raises `Complaint` where no elements fit.
    """
    said: list[Said] = []
    for equation in equations:
        said.append(Said((), equation.ranges, equation.expr, equation.span))
        said[-1].evaluated = ranges.evaluate(said[-1])
    elsewhere = [Said((), (), expr, expr.span or NOWHERE) for expr in others]
    for array in gathered.values():
        for own in array.said:
            own.evaluated = ranges.evaluate(own)
            elsewhere.append(own)
    covers = _covers(said, elsewhere, gathered, defined, constants, ranges)
    if not covers:
        for one in said:
            if one.ranges:
                raise Complaint(
                    f"`for {one.ranges[0].name}` stands behind an equation without an unknown element",
                    one.span,
                    "let it hold an array that has no other equation, 0 = u[i] - ...; or leave the range out",
                    ModelError,
                )
        return Paired((), tuple(equations))
    search = _Search(said, covers, scalars)
    if _count(said) != _missing(covers) + scalars or not search.run():
        raise _no_pairing(said, covers, scalars)
    elements, rest = [], []
    for k, choice in sorted(zip(search.order, search.choices, strict=True), key=lambda pair: pair[0]):
        if choice is None:
            rest.append(equations[k])
        else:
            name, subscripts = choice
            one = said[k]
            elements.append((name, Said(subscripts, one.ranges, one.expr, one.span)))
    return Paired(tuple(elements), tuple(rest))


def vanishing(spec: ModelSpec) -> Callable[[Block], bool]:
    """Tells of a block of equations whether it says what vanishes (`0 = ...`)."""
    unknown = frozenset(spec.algebraic)
    constants = {c.name: c.value for c in spec.constants}

    def vanishes(block: Block) -> bool:
        point = {r.name: r.first for r in block.ranges}
        at = ",".join(str(evaluate(s, constants, point)) for s in block.subscripts)
        return f"{block.array}[{at}]" in unknown

    return vanishes


def _uses(expr: Expr, loops: Loops) -> Iterator[tuple[Index, Loops]]:
    """The elements an expression holds, each with the loops around it."""
    for node in scalar_part(expr):
        if isinstance(node, Index):
            yield node, loops
        elif isinstance(node, Reduce):
            yield from _uses(node.body, loops.inside(node.ranges))


def _covers(
    said: Sequence[Said], elsewhere: Sequence[Said], gathered: Mapping[str, Gathered], defined: Callable[[str], bool],
    constants: Mapping[str, float], ranges: Ranges,
) -> dict[str, Cover]:  # fmt: skip
    """For each array with elements that have no equation of their own, which have."""
    boxes: dict[str, list[tuple[int, int]]] = {}

    def enclose(name: str, subscripts: Sequence[Expr], loops: Loops, what: Said) -> None:
        reaches = [loops.reach(s) for s in subscripts]
        known = boxes.setdefault(name, reaches)
        if len(known) != len(reaches):
            raise Complaint(
                f"`{name}` has {len(known)} subscripts elsewhere and {len(reaches)} here", what.span, None, ModelError
            )
        boxes[name] = [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(known, reaches, strict=True)]

    for one in (*said, *elsewhere):
        if not any(isinstance(node, Index) for node in postorder(one.expr)):
            continue
        for node, loops in _uses(one.expr, loops_of(one.evaluated, constants)):
            array = gathered.get(node.name)
            if (array is None and defined(node.name)) or (array is not None and array.kind != "state"):
                continue
            base, order = split_primes(node.name)
            if order and array is None:
                raise Complaint(
                    f"`{base}[...]{chr(39) * order}` is no state of the model",
                    node.span or one.span,
                    f"algebraic equations determine elements without derivative; write {base}[i]' = ...",
                    NameModelError,
                )
            for subscript in node.subscripts:
                ranges.check_subscript(subscript, loops.names)
            enclose(node.name, node.subscripts, loops, one)
    for name in list(boxes):
        for own in gathered[name].said if name in gathered else ():
            enclose(name, own.subscripts, loops_of(own.evaluated, constants), own)
    found: dict[str, Cover] = {}
    for name, box in boxes.items():
        bounds: Bounds = tuple(box)
        cover = Cover(name, bounds, constants)
        for own in gathered[name].said if name in gathered else ():
            cover.add(own)
        if cover.missing() is not None:
            found[name] = cover
    for name in found:
        if name in gathered and gathered[name].order > 1:
            raise Complaint(
                f"some elements of `{name}` have no equation, and others one of higher order",
                gathered[name].said[0].span,
                "write them with a speed of their own, u[i]' = v[i] and v[i]' = ...",
                ModelError,
            )
    return found


Choice = tuple[str, tuple[Expr, ...]]


class _Search:
    """Elements for each statement, by trying what it holds; ranges first, single elements last."""

    def __init__(self, said: Sequence[Said], covers: Mapping[str, Cover], scalars: int) -> None:
        own = [self._options(one, covers) for one in said]
        self.order = sorted(range(len(said)), key=lambda k: (not said[k].ranges, not own[k], k))
        self.said, self.options = [said[k] for k in self.order], [own[k] for k in self.order]
        self.covers, self.scalars = covers, scalars
        self.choices: list[Choice | None] = []
        self.left = TRIED

    def run(self) -> bool:
        """Is there a way?  Then `choices` holds it."""
        return self._from(0, self.scalars)

    def _options(self, one: Said, covers: Mapping[str, Cover]) -> list[Choice]:
        names = {r.name for r in one.evaluated}
        found: dict[Choice, None] = {}
        for node in scalar_part(one.expr):
            if isinstance(node, Index) and node.name in covers:
                cover = covers[node.name]
                inside = set().union(*(affine_names(s) for s in node.subscripts))
                alone = Cover(node.name, cover.bounds, cover.constants)
                if names <= inside and alone.add(self._at(one, node.subscripts)) is None:
                    found[node.name, node.subscripts] = None
        plain = {c: all(isinstance(s, (Name, Num)) for s in c[1]) for c in found}
        return sorted(found, key=lambda c: not plain[c])

    @staticmethod
    def _at(one: Said, subscripts: tuple[Expr, ...]) -> Said:
        return Said(subscripts, one.ranges, one.expr, one.span, one.evaluated)

    def _from(self, k: int, scalars: int) -> bool:
        if k == len(self.said):
            return all(cover.missing() is None for cover in self.covers.values())
        one = self.said[k]
        options: list[Choice | None] = [*self.options[k]]
        for name, cover in self.covers.items() if one.ranges else ():
            subscripts = _box(one, cover)
            if subscripts is not None and (name, subscripts) not in options:
                options.append((name, subscripts))
        if not one.ranges:
            if scalars:
                options.append(None)
            for name, cover in self.covers.items():  # sum(u[i] ...) and the like
                missing = cover.missing()
                if missing is not None:
                    options.append((name, _numbers(cover.element(missing))))
        for choice in options:
            self.left -= 1
            if self.left < 0:
                return False
            self.choices.append(choice)
            if choice is None:
                if self._from(k + 1, scalars - 1):
                    return True
            else:
                cover = self.covers[choice[0]]
                before = bytes(cover.marks)
                if cover.add(self._at(one, choice[1])) is None and self._from(k + 1, scalars):
                    return True
                cover.marks[:] = before
            self.choices.pop()
        return False


def _box(one: Said, cover: Cover) -> tuple[Expr, ...] | None:
    """Subscripts by which a statement goes through all that is missing, if that is a box of its lengths."""
    left = [position for position, mark in enumerate(cover.marks) if not mark]
    if len(one.evaluated) != len(cover.bounds) or len(left) != math.prod(len(r) for r in one.evaluated):
        return None
    first, last = ([int(n) for n in cover.element(k).partition("[")[2][:-1].split(",")] for k in (left[0], left[-1]))
    found: list[Expr] = []
    for r, low, high in zip(one.evaluated, first, last, strict=True):
        if high - low + 1 != len(r):
            return None
        offset = low - r.first
        index = Name(r.name)
        found.append(index if not offset else Binary("+" if offset > 0 else "-", index, Num(float(abs(offset)))))
    return tuple(found)


def _numbers(element: str) -> tuple[Expr, ...]:
    """The subscripts of an element's name."""
    values = [float(v) for v in element[element.index("[") + 1 : -1].split(",")]
    return tuple(Num(v) if v >= 0 else Unary("-", Num(-v)) for v in values)


def _count(said: Sequence[Said]) -> int:
    """How many equations the statements are."""
    return sum(math.prod(len(r) for r in one.evaluated) for one in said)


def _missing(covers: Mapping[str, Cover]) -> int:
    """How many elements have no equation of their own."""
    return sum(cover.marks.count(0) for cover in covers.values())


def _no_pairing(said: Sequence[Said], covers: Mapping[str, Cover], scalars: int) -> Complaint:
    elements, given = _missing(covers), _count(said)
    names = ", ".join(f"`{name}`" for name in covers)
    unknown = f"{elements} element{'' if elements == 1 else 's'} of {names}"
    unknown += f" and {scalars} other unknown{'' if scalars == 1 else 's'}" if scalars else ""
    place = next((one.span for one in said if one.ranges), said[0].span if said else NOWHERE)
    if given != elements + scalars:
        return Complaint(
            f"{unknown} without an equation of {'its' if elements + scalars == 1 else 'their'} own, and "
            f"{given} algebraic equation{'' if given == 1 else 's'}",
            place,
            "there must be one for each: give the elements at the ends equations too, 0 = u[1]",
            ModelError,
        )
    return Complaint(
        f"which of the {unknown} the algebraic equations determine cannot be told",
        place,
        "let each hold the element it determines, with the index of its range: 0 = ... u[i] ... for i in 2..N-1",
        ModelError,
    )
