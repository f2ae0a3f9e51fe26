"""The dependency graph of a model's equations, as they are written.

Takes a `ModelSpec`; gives names by name, without the graph of operations.
"""

from __future__ import annotations

from ..language.ast import Expr
from .dependencies import calls, free_names
from .spec import ModelSpec


def dependencies(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """`{state or observable: names its equation uses}`, in the order of the model's declarations."""
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    networks = {net.name for net in spec.networks}
    known = [
        *spec.states,
        *(p.name for p in spec.parameters),
        *(c.name for c in spec.constants),
        *(d.name for d in spec.definitions),
        *(net.name for net in spec.networks),
        *(i.name for i in spec.inputs),
        "t",
    ]

    def used(expr: Expr) -> tuple[str, ...]:
        found = free_names(expr, bodies) | (_called(expr, bodies) & networks)
        return tuple(name for name in dict.fromkeys(known) if name in found)

    rows = {state: used(expr) for state, expr in zip(spec.states, spec.derivatives, strict=True)}
    return rows | {d.name: used(d.expr) for d in spec.definitions}


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
