"""Long functions of source in parts: compilers take more than twice the time for twice the length.

Takes the statements of a function in order; gives `Chunk`s of a limited number of
lines.  A value that one part makes and a later one reads travels through a
scratch array; so do the results, which are written to the output last.  Which
names a statement reads is seen in its text: names are unique within a function
and never those of functions or keywords (`identifiers`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import Body

LONGEST = 400
"""Lines a function may have before it is taken apart."""

LINES = 250
"""Lines of one part.  (gcc 12 -O2: 1,000 states took 160 s in one function, and take 4 s in parts.)"""

_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Unit:
    """One statement, over one or several lines; `target` is the variable it makes, `truth` whether that is one."""

    lines: tuple[str, ...]
    target: str
    truth: bool = False


@dataclass
class Chunk:
    """One part: leaves it reads, (name, seat, truth) of values that come and go through scratch, its
    lines, and (seat, expression) of results it makes."""

    leaves: list[str] = field(default_factory=list)
    imports: list[tuple[str, int, bool]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    exports: list[tuple[str, int, bool]] = field(default_factory=list)
    results: list[tuple[int, str]] = field(default_factory=list)


def pays(body: Body, results: int, longest: int = LONGEST) -> bool:
    """Is this function, with so many results, long enough to be taken apart?  (Networks and inputs keep it whole.)"""
    return len(body.lines) + results > longest and not (body.networks or body.inputs)


def split(
    units: Sequence[Unit], results: Sequence[str], leaves: Collection[str], lines: int = LINES
) -> tuple[list[Chunk], int]:
    """(the parts, numbers of scratch in all); result k has seat k.

    Arguments: `results`, expressions in the names of units and leaves.
    """
    made = {unit.target: k for k, unit in enumerate(units)}
    known = {*made, *leaves}

    def read(text: str) -> set[str]:
        return set(_WORD.findall(text)) & known

    behind: dict[int, list[int]] = {}
    for k, code in enumerate(results):
        last = max((made[name] for name in read(code) if name in made), default=len(units) - 1)
        behind.setdefault(last, []).append(k)
    chunks: list[Chunk] = []
    used: list[set[str]] = []
    part_of: dict[str, int] = {}

    def room() -> tuple[Chunk, set[str]]:
        if not chunks or len(chunks[-1].lines) + len(chunks[-1].results) >= lines:
            chunks.append(Chunk())
            used.append(set())
        return chunks[-1], used[-1]

    for k in range(len(units) or 1):
        if units:
            chunk, names = room()
            unit = units[k]
            chunk.lines += unit.lines
            names |= read("\n".join(unit.lines))
            part_of[unit.target] = len(chunks) - 1
        for seat in behind.get(k if units else -1, ()):
            chunk, names = room()
            chunk.results.append((seat, results[seat]))
            names |= read(results[seat])
    truths = {unit.target: unit.truth for unit in units}
    seats: dict[str, int] = {}
    order = {name: k for k, name in enumerate([*leaves, *made])}
    for part, (chunk, names) in enumerate(zip(chunks, used, strict=True)):
        for name in sorted(names, key=order.__getitem__):
            if name not in made:
                chunk.leaves.append(name)
            elif part_of[name] != part:
                if name not in seats:
                    seats[name] = len(results) + len(seats)
                    chunks[part_of[name]].exports.append((name, seats[name], truths[name]))
                chunk.imports.append((name, seats[name], truths[name]))
    return chunks, len(results) + len(seats)
