"""One step of an explicit method as a single native function; for Tsit5 also its reverse sweep.

For small models most of an explicit step is the traffic between solver and
right-hand side.  Here all stages are composed in the graph and lowered together,
so that they stay in registers and LLVM schedules across them.  `step` and `reverse`
are of Tsit5, whose stages the loop and the discrete adjoint use; `whole_step` and
`whole_interpolant` are of any tableau, with the error norm and the estimate of
stiffness inside.  The solvers use these functions where they exist and call `f`
stage by stage where they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..graph.compose import at
from ..graph.derivatives import vjp
from ..graph.ops import LEAVES
from ..graph.system import System
from ..solve.methods.tsit5_tableau import A2, A3, A4, A5, A6, B, C

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..solve.methods.tableau import Tableau

LARGEST_STATES = 10
LARGEST_OPERATIONS = 120
"""A right-hand side with more states or operations gains little and costs six times its compile time."""
LARGEST_REVERSE = 60
LARGEST_WHOLE_STATES = 20
LARGEST_WHOLE = 4000
"""Operations of a whole step of any tableau; beyond, compiling it takes longer than most solves."""


def fits(system: System, largest: int = LARGEST_OPERATIONS) -> bool:
    """Is the model small enough, and free of networks and algebraic equations?"""
    if system.networks or system.algebraic or not 0 < system.n <= LARGEST_STATES:
        return False
    graph = system.graph
    return sum(graph.op[n] not in LEAVES for n in graph.reachable(system.rhs)) <= largest


def step(system: System) -> tuple[list[list[int]], list[int], list[int]]:
    """(stages k2..k7, argument of stage 6, new state) of a step from (t, u).

    Seeds: v_0..v_{n-1} are k1 = f(t, u), v_n is the step size h.
    """
    graph, n = system.graph, system.n
    k = [[graph.leaf("seed", i) for i in range(n)]]
    h = graph.leaf("seed", n)
    argument: list[int] = []
    last: list[int] = []
    for row, node in zip((A2, A3, A4, A5, A6, B), C[1:], strict=True):
        last = argument
        argument = []
        for i, u in enumerate(system.state_leaves):
            total = graph.const(0.0)
            for weight, stage in zip(row, k, strict=True):
                total = graph.add(total, graph.mul(graph.const(weight), stage[i]))
            argument.append(graph.add(u, graph.mul(h, total)))
        time = graph.add(system.time_leaf, graph.mul(graph.const(node), h))
        places = dict(zip(system.state_leaves, argument, strict=True)) | {system.time_leaf: time}
        k.append(at(graph, system.rhs, places))
    return k[1:], last, argument


def reverse(system: System) -> tuple[list[int], list[int], list[int]]:
    """Cotangents of (u, k1, p) of a step, from those of k2..k7 and the new state.

    Seeds: k1 and h as in `step`, then from v_{n+1} on 7 n cotangents.
    """
    graph, n = system.graph, system.n
    stages, _, new = step(system)
    outputs = [node for stage in stages for node in stage] + new
    cotangents = [graph.leaf("seed", n + 1 + i) for i in range(len(outputs))]
    leaves = (*system.state_leaves, *(graph.leaf("seed", i) for i in range(n)), *system.param_leaves)
    values, _ = vjp(graph, outputs, cotangents, leaves)
    return values[:n], values[n : 2 * n], values[2 * n :]


def fits_whole(system: System, tableau: Tableau) -> bool:
    """Is a whole step of this tableau small enough, and free of networks and algebraic equations?"""
    if system.networks or system.algebraic or not 0 < system.n <= LARGEST_WHOLE_STATES:
        return False
    graph = system.graph
    operations = sum(graph.op[n] not in LEAVES for n in graph.reachable(system.rhs))
    entries = sum(weight != 0.0 for row in tableau.rows for weight in row)
    return tableau.total * operations + 2 * entries * system.n <= LARGEST_WHOLE


def _combine(graph: Graph, weights: Sequence[float], stages: Sequence[Sequence[int]], i: int) -> int:
    """sum_j weights[j] * stages[j][i]; zero weights are left out."""
    total = graph.const(0.0)
    for weight, stage in zip(weights, stages, strict=False):
        if weight != 0.0:
            total = graph.add(total, graph.mul(graph.const(weight), stage[i]))
    return total


def _stage(system: System, h: int, c: float, row: Sequence[float], stages: Sequence[Sequence[int]]) -> list[int]:
    """The slope of one more stage."""
    graph = system.graph
    places = {
        leaf: graph.add(leaf, graph.mul(h, _combine(graph, row, stages, i)))
        for i, leaf in enumerate(system.state_leaves)
    }
    places[system.time_leaf] = graph.add(system.time_leaf, graph.mul(graph.const(c), h))
    return at(graph, system.rhs, places)


def whole_step(system: System, tableau: Tableau) -> list[int]:
    """[error, |h lambda|, new state (n), stages (s n)] of a step, in the order `methods.tableau` describes.

    Seeds: h, relative tolerances (n), absolute tolerances (n), f(t, u) (n).
    """
    graph, n = system.graph, system.n
    seed = [graph.leaf("seed", i) for i in range(1 + 3 * n)]
    h, rtol, atol, slope = seed[0], seed[1 : n + 1], seed[n + 1 : 2 * n + 1], seed[2 * n + 1 :]
    stages = [slope]
    for c, row in zip(tableau.c[1:], tableau.a, strict=True):
        stages.append(_stage(system, h, c, row, stages))
    leaves = system.state_leaves
    new = [graph.add(u, graph.mul(h, _combine(graph, tableau.b, stages, i))) for i, u in enumerate(leaves)]
    inverse = [
        graph.div(graph.const(1.0), graph.add(atol[i], graph.mul(rtol[i], _largest(graph, u, new[i]))))
        for i, u in enumerate(leaves)
    ]
    square = _mean_square(graph, h, tableau.e, stages, inverse)
    if tableau.e2:
        second = _mean_square(graph, h, tableau.e2, stages, inverse)
        both = graph.add(square, graph.mul(graph.const(0.01), second))
        nothing = graph.call("eq", both, graph.const(0.0))
        square = graph.select(nothing, graph.const(0.0), graph.div(graph.mul(square, square), both))
    stiff = graph.const(0.0)
    if tableau.pair is not None:
        first, other = tableau.pair
        rows = tableau.rows
        width = max(len(rows[first]), len(rows[other]))
        apart = [(*rows[first], *(0.0,) * width)[j] - (*rows[other], *(0.0,) * width)[j] for j in range(width)]
        above = below = graph.const(0.0)
        for i in range(n):
            difference = graph.mul(inverse[i], graph.sub(stages[first][i], stages[other][i]))
            distance = graph.mul(inverse[i], _combine(graph, apart, stages, i))
            above = graph.add(above, graph.mul(difference, difference))
            below = graph.add(below, graph.mul(distance, distance))
        stiff = graph.call("sqrt", graph.div(above, graph.add(below, graph.const(1e-300))))
    return [graph.call("sqrt", square), stiff, *new, *(node for stage in stages for node in stage)]


def _largest(graph: Graph, a: int, b: int) -> int:
    return graph.call("max", graph.call("abs", a), graph.call("abs", b))


def _mean_square(
    graph: Graph, h: int, weights: Sequence[float], stages: Sequence[Sequence[int]], inverse: Sequence[int]
) -> int:  # fmt: skip
    total = graph.const(0.0)
    for i, scale in enumerate(inverse):
        part = graph.mul(graph.mul(h, scale), _combine(graph, weights, stages, i))
        total = graph.add(total, graph.mul(part, part))
    return graph.mul(graph.const(1.0 / len(inverse)), total)


def whole_interpolant(system: System, tableau: Tableau) -> tuple[list[int], list[int]]:
    """(coefficients (degree + 1, n), the first further stage or nothing) of the step that `whole_step` made.

    Seeds: its seeds and results, as they lie in memory one behind the other.
    """
    graph, n = system.graph, system.n
    h = graph.leaf("seed", 0)
    at_new = 1 + 3 * n + 2
    new = [graph.leaf("seed", at_new + i) for i in range(n)]
    stages = [[graph.leaf("seed", at_new + n + j * n + i) for i in range(n)] for j in range(tableau.stages)]
    for c, row in zip(tableau.extra_c, tableau.extra_a, strict=True):
        stages.append(_stage(system, h, c, row, stages))
    rows = [list(system.state_leaves)]
    for q in range(tableau.degree):
        weights = [row[q] if q < len(row) else 0.0 for row in tableau.interpolant]
        rows.append([graph.mul(h, _combine(graph, weights, stages, i)) for i in range(n)])
    for i in range(n):  # large coefficients cancel at theta = 1; what rounding leaves goes to the highest power
        end = graph.const(0.0)
        for nodes in rows[:-1]:
            end = graph.add(end, nodes[i])
        rows[-1][i] = graph.sub(new[i], end)
    extra = stages[tableau.stages] if tableau.last == tableau.stages else []
    return [node for row in rows for node in row], extra
