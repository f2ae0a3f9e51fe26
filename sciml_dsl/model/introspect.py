"""The dependency graph of a model's equations, as they are written.

Takes a `ModelSpec`; gives names by name, without the graph of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..language.ast import Expr, Span
from .arrays import Cover, Said
from .dependencies import calls, free_names
from .expanded import Expanded
from .spec import ModelSpec
from .subscripts import box


def dependencies(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """`{state or observable: names its equation uses}`, in the order of the model's declarations.

    An array is one name, and so is what it uses.
    """
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    networks = {net.name for net in spec.networks}
    parameters = tuple(p.name for p in spec.parameters)
    known = [  # in the order in which they are listed
        *_collected(spec, spec.states, "state"),
        *_collected(spec, parameters, "parameter"),
        *_collected(spec, tuple(c.name for c in spec.constants), "constant"),
        *_collected(spec, spec.observables, "observable"),
        *(net.name for net in spec.networks),
        *(i.name for i in spec.inputs),
        "t",
    ]

    place = {name: k for k, name in reversed(list(enumerate(known)))}

    def used(expr: Expr) -> set[str]:
        return (free_names(expr, bodies) | (_called(expr, bodies) & networks)) & place.keys()

    def rows(names: tuple[str, ...], kind: str, said: str, scalar: Callable[[int], Expr]) -> Iterator[tuple[str, Any]]:
        for name, position in _collected(spec, names, kind).items():
            blocks = [b.expr for b in spec.blocks if b.array == name and b.kind == said] if spec.blocks else []
            found = {n for expr in blocks or [scalar(position)] for n in used(expr)}
            yield name, tuple(sorted(found, key=place.__getitem__))

    return dict(
        (
            *rows(spec.states, "state", "derivative", lambda k: spec.derivatives[k]),
            *rows(spec.observables, "observable", "definition", lambda k: spec.definitions[k].expr),
        )
    )


def headings(spec: ModelSpec, names: tuple[str, ...], kind: str) -> dict[str, int]:
    """Names as a summary shows them, arrays as `u[1..100]`, and the position of each (of its first element).

    Arguments: `names` of all states, parameters, observables or constants; `kind`, "state",
    "parameter", "observable" or "constant".
    """
    boxes = {array.name: box(array.name, array.bounds) for array in spec.arrays if array.kind == kind}
    return {boxes.get(name, name): position for name, position in _collected(spec, names, kind).items()}


def without_initial(spec: ModelSpec, boxes: bool = False) -> list[str]:
    """The states that the text gives no initial value; with `boxes`, arrays that have none at all as `u[1..100]`."""
    initial = spec.initial
    if not isinstance(initial, Expanded):
        return [name for name, expr in zip(spec.states, initial, strict=True) if expr is None]
    found = [spec.states[k] for k, expr in initial.given.items() if expr is None]
    for array in initial.arrays:
        given = [block for block in initial.blocks if block.array == array.name]
        if boxes and not given:
            found.append(box(array.name, array.bounds))
            continue
        cover = Cover(array.name, array.bounds, {c.name: c.value for c in spec.constants})
        for block in given:
            cover.add(Said(block.subscripts, (), block.expr, Span(0, 0), block.ranges))
        found += [cover.element(k) for k, mark in enumerate(cover.marks) if not mark]
    return found


def _collected(spec: ModelSpec, names: tuple[str, ...], kind: str) -> dict[str, int]:
    """Names with arrays as one, and the position of each (of its first element)."""
    starts = {array.start: array for array in spec.arrays if array.kind == kind}
    if not starts:
        return {name: k for k, name in enumerate(names)}
    found: dict[str, int] = {}
    position = 0
    while position < len(names):
        array = starts.get(position)
        found[names[position] if array is None else array.name] = position
        position += 1 if array is None else array.size
    return found


def _called(expr: Expr, bodies: dict[str, tuple[tuple[str, ...], Expr]]) -> set[str]:
    """Functions and networks called in `expr`, also through the model's functions."""
    found: set[str] = set()
    pending = [expr]
    while pending:
        for name in calls(pending.pop()) - found:
            found.add(name)
            if name in bodies:
                pending.append(bodies[name][1])
    return found
