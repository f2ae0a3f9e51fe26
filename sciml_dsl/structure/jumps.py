"""Do the constraints that index reduction differentiates jump?

Takes a reduced system; raises where a hidden constraint has a jump at a condition that the
solution can cross.  Its derivative would be an impulse, infinite for a moment, which the
derivative of each branch does not show: the solution computed from these would satisfy
nothing.  Jumps are looked for where conditions, `sign`, `floor`, `ceil` and `mod` switch:
sample points are moved onto such a surface, and the constraint is evaluated on both
sides of it, close and closer.  Branches that agree there are no jump.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import UnsupportedError
from ..graph.derivatives import jvp
from ..graph.evaluate import values
from ..graph.graph import Graph
from ..graph.system import System
from .pantelides import Constraint, Reduced

_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
_STAIRS = frozenset({"floor", "ceil", "mod"})
_SHOWN = {"sign": "sign", "floor": "floor", "ceil": "ceil", "mod": "mod"}
_FAR, _NEAR = 1e-5, 1e-7
_SAMPLES = 6


def refuse_jumps(system: System, reduced: Reduced) -> None:
    """Raise `UnsupportedError` where a constraint that was differentiated jumps on the way."""
    graph = system.graph
    still = graph.const(0.0)
    moving = [graph.leaf("state", i) for i, rate in enumerate(reduced.flow) if rate != still]
    moving.append(system.time_leaf)
    for constraint in reduced.hidden:
        for node in graph.reachable([constraint.node]):
            op = graph.op[node]
            if op != "sign" and op not in _COMPARISONS and op not in _STAIRS:
                continue
            if _jumps_at(system, reduced, constraint.node, node, moving):
                raise _impulse(system, reduced, constraint, _SHOWN.get(op, "if"))


def _surface(graph: Graph, node: int) -> int:
    """What vanishes, or is a whole number for stairs, where `node` switches."""
    args = graph.args[node]
    if graph.op[node] in _COMPARISONS:
        return graph.sub(args[0], args[1])
    return graph.div(args[0], args[1]) if graph.op[node] == "mod" else args[0]


def _jumps_at(system: System, reduced: Reduced, constraint: int, node: int, moving: Sequence[int]) -> bool:
    graph = system.graph
    surface = _surface(graph, node)
    inside = [leaf for leaf in graph.reachable([surface]) if leaf in moving]
    if not inside:
        return False
    slopes = [jvp(graph, [surface], {leaf: graph.const(1.0)})[0] for leaf in inside]
    steps = graph.op[node] in _STAIRS
    for sample in range(_SAMPLES):
        rng = np.random.default_rng(sample)
        t, u, p = 0.1 + rng.uniform(), rng.normal(size=len(reduced.names)), 0.5 + rng.uniform(size=system.n_params)

        def at(step: np.ndarray, t: float = t, u: np.ndarray = u) -> tuple[float, list[float]]:
            moved = u.copy()
            for leaf, amount in zip(inside, step, strict=True):
                if leaf == system.time_leaf:
                    t = t + float(amount)
                else:
                    moved[int(graph.data[leaf])] += amount  # type: ignore[arg-type]
            return t, moved.tolist()

        step, level, gradient = np.zeros(len(inside)), 0.0, np.zeros(len(inside))
        for attempt in range(60):
            found = values(graph, [surface, *slopes], *at(step), p.tolist())
            if attempt == 0 and steps:
                level = float(np.round(found[0])) if math.isfinite(found[0]) else 0.0
            gradient = np.array(found[1:])
            size = float(gradient @ gradient)
            if not (math.isfinite(found[0]) and math.isfinite(size) and size > 0.0):
                break
            off = found[0] - level
            step = step - off / size * gradient
            if abs(off) <= 1e-13 * (1.0 + abs(level)):
                break
        else:
            continue
        if not (math.isfinite(float(gradient @ gradient)) and gradient.any() and math.isfinite(found[0])):
            continue
        normal = gradient / float(np.sqrt(gradient @ gradient))
        sides = [
            values(graph, [constraint], *at(step + distance * normal), p.tolist())[0]
            for distance in (_FAR, -_FAR, _NEAR, -_NEAR)
        ]
        wide, narrow, here = sides[0] - sides[1], sides[2] - sides[3], abs(sides[2])
        if not (math.isfinite(wide) and math.isfinite(narrow) and math.isfinite(here)):
            continue
        if abs(narrow) > 1e-9 * (1.0 + here) and abs(narrow) > 0.5 * abs(wide):
            return True
    return False


def _impulse(system: System, reduced: Reduced, constraint: Constraint, what: str) -> UnsupportedError:
    number = f" {constraint.equation + 1}" if len(system.algebraic) > 1 else ""
    which = f"the algebraic equation{number}"
    if constraint.order:
        which = f"the {'first' if constraint.order == 1 else f'{constraint.order}th'} derivative of {which}"
    unknowns = ", ".join(f"`{system.states[i]}`" for i in system.algebraic[:5])
    return UnsupportedError(
        f"{which} jumps where its `{what}` switches, and what it constrains cannot follow: {unknowns} would be "
        "infinite there for a moment",
        hint="write the change as an event, a state k with k' = 0 in the equation and `at 1: k = 2`, and the states "
        "follow it in one jump; or write a smooth function of time",
    )
