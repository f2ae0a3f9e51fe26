"""One step of a Rosenbrock method as a single native function: Jacobian, factors, stages and error norm.

W = M/(h gamma) - J is factorised in the graph, with pivots on the diagonal in an order that
keeps fill low (H. M. Markowitz, Management Science 3 (1957) 255-269), so that zeros
never appear and nothing is left of loops and indices: what kinetic preprocessors do
(D. N. Daescu, A. Sandu & G. R. Carmichael, Atmospheric Environment 37 (2003)).  Such
pivots are not always good ones.  Each step therefore looks at the residual of its first
linear system; where rounding has left more than it may, the error comes out
negative, and `solve.methods.rosenbrock` makes the step with row exchanges instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..graph.compose import at
from ..graph.ops import LEAVES
from ..graph.system import System

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..solve.methods.rosenbrock_tableau import Tableau

Entries = dict[tuple[int, int], int]

LARGEST_STATES = 24
ROUNDING = 1e-9
"""Residual, part of what was subtracted to get it, above which the pivots were bad ones."""


def operations(system: System, tableau: Tableau) -> int:
    """About how many operations a step takes."""
    graph, n, s = system.graph, system.n, tableau.stages
    of_f = sum(graph.op[k] not in LEAVES for k in graph.reachable(system.rhs))
    _, fill = elimination(system)
    entries = sum(len(row) for row in fill)
    return (s + 1) * of_f + 2 * s * entries + 2 * n * s * (s - 1) + 3 * len(system.jacobian)


def fits(system: System, tableau: Tableau, largest: int) -> bool:
    """Does a whole step take at most `largest` operations, and no networks or algebraic equations?"""
    if system.networks or system.algebraic or not 0 < system.n <= LARGEST_STATES:
        return False
    return operations(system, tableau) <= largest


def elimination(system: System) -> tuple[list[int], list[set[int]]]:
    """(order of the pivots, pattern of L + U by rows)."""
    n = system.n
    rows = [{i} for i in range(n)]
    for i, j in system.jacobian:
        rows[i].add(j)
    left, order = set(range(n)), []
    while left:
        costs = {k: (len(rows[k] & left) - 1) * (sum(k in rows[i] for i in left) - 1) for k in left}
        pivot = min(left, key=lambda k: (costs[k], k))
        left.remove(pivot)
        order.append(pivot)
        below = rows[pivot] & left
        for i in left:
            if pivot in rows[i]:
                rows[i] |= below
    return order, rows


class Factors:
    """L U of a matrix of nodes in a given order of pivots, and solutions with it."""

    def __init__(self, graph: Graph, matrix: Entries, order: Sequence[int]) -> None:
        self.graph, self.order = graph, order
        work = dict(matrix)
        self.lower: list[list[tuple[int, int]]] = []
        self.upper: list[list[tuple[int, int]]] = []
        self.inverse: list[int] = []
        for position, k in enumerate(order):
            later = order[position + 1 :]
            inverse = graph.pow(work[k, k], graph.const(-1.0))
            across = [(j, work[k, j]) for j in later if (k, j) in work]
            down = []
            for i in later:
                if (i, k) not in work:
                    continue
                factor = graph.mul(work[i, k], inverse)
                down.append((i, factor))
                for j, entry in across:
                    change = graph.mul(factor, entry)
                    work[i, j] = graph.sub(work[i, j], change) if (i, j) in work else graph.neg(change)
            self.inverse.append(inverse)
            self.lower.append(down)
            self.upper.append(across)

    def solve(self, b: Sequence[int]) -> list[int]:
        """The nodes of x in W x = b."""
        graph, x = self.graph, list(b)
        for k, down in zip(self.order, self.lower, strict=True):
            for i, factor in down:
                x[i] = graph.sub(x[i], graph.mul(factor, x[k]))
        for position in range(len(self.order) - 1, -1, -1):
            k = self.order[position]
            for j, entry in self.upper[position]:
                x[k] = graph.sub(x[k], graph.mul(entry, x[j]))
            x[k] = graph.mul(x[k], self.inverse[position])
        return x


def _sum(graph: Graph, weights: Sequence[float], stages: Sequence[Sequence[int]], i: int, start: int | None) -> int:
    total = graph.const(0.0) if start is None else start
    for weight, stage in zip(weights, stages, strict=False):
        if weight != 0.0:
            total = graph.add(total, graph.mul(graph.const(weight), stage[i]))
    return total


def step(system: System, tableau: Tableau) -> list[int]:
    """[error, new state (n), slope there (n), stages (s n)] of a step; the error is negative where W has bad pivots.

    Seeds: h, relative tolerances (n), absolute tolerances (n), f(t, u) (n).
    """
    graph, n, leaves = system.graph, system.n, system.state_leaves
    seed = [graph.leaf("seed", i) for i in range(1 + 3 * n)]
    h, rtol, atol, slope = seed[0], seed[1 : n + 1], seed[n + 1 : 2 * n + 1], seed[2 * n + 1 :]
    inverse_h = graph.pow(h, graph.const(-1.0))
    diagonal = graph.mul(graph.const(1.0 / tableau.gamma), inverse_h)
    w: Entries = {(i, i): diagonal for i in range(n)}
    for (i, j), node in system.jacobian.items():
        w[i, j] = graph.sub(diagonal, node) if i == j else graph.neg(node)
    factors = Factors(graph, w, elimination(system)[0])
    stages: list[list[int]] = []
    slopes = slope
    for stage in range(tableau.stages):
        if stage:
            places = {u: _sum(graph, tableau.a[stage - 1], stages, i, u) for i, u in enumerate(leaves)}
            places[system.time_leaf] = _time(system, h, tableau.c[stage])
            slopes = at(graph, system.rhs, places)
        right = []
        for i in range(n):
            value = slopes[i]
            if stage:
                coupled = _sum(graph, tableau.coupling[stage - 1], stages, i, None)
                value = graph.add(value, graph.mul(coupled, inverse_h))
            if tableau.d[stage] != 0.0:
                moved = graph.mul(graph.mul(graph.const(tableau.d[stage]), h), system.time_gradient[i])
                value = graph.add(value, moved)
            right.append(value)
        stages.append(factors.solve(right))
        if stage == 0:
            good = _solved(graph, w, stages[0], right)
    new = [_sum(graph, tableau.b, stages, i, u) for i, u in enumerate(leaves)]
    if not tableau.fsal:
        places = dict(zip(leaves, new, strict=True)) | {system.time_leaf: _time(system, h, 1.0)}
        slopes = at(graph, system.rhs, places)
    total = graph.const(0.0)
    for i, u in enumerate(leaves):
        largest = graph.call("max", graph.call("abs", u), graph.call("abs", new[i]))
        tolerance = graph.add(atol[i], graph.mul(rtol[i], largest))
        part = graph.div(_sum(graph, tableau.e, stages, i, None), tolerance)
        total = graph.add(total, graph.mul(part, part))
    error = graph.call("sqrt", graph.mul(graph.const(1.0 / n), total))
    error = graph.select(good, error, graph.const(-1.0))
    return [error, *new, *slopes, *(node for stage in stages for node in stage)]


def _time(system: System, h: int, c: float) -> int:
    graph = system.graph
    return graph.add(system.time_leaf, graph.mul(graph.const(c), h))


def _solved(graph: Graph, w: Entries, x: Sequence[int], b: Sequence[int]) -> int:
    """Whether x solves W x = b row by row up to rounding; false for NaN."""
    good = graph.const(1.0)
    for i in range(len(x)):
        residual, size = graph.neg(b[i]), graph.call("abs", b[i])
        for (row, j), entry in w.items():
            if row == i:
                product = graph.mul(entry, x[j])
                residual = graph.add(residual, product)
                size = graph.add(size, graph.call("abs", product))
        fine = graph.call("le", graph.call("abs", residual), graph.mul(graph.const(ROUNDING), size))
        good = graph.call("and", good, fine)
    return good


def interpolant(system: System, tableau: Tableau) -> list[int]:
    """Coefficients (degree + 1, n) of the step that `step` made, from its seeds and results in memory."""
    graph, n = system.graph, system.n
    first = 1 + 3 * n + 1 + 2 * n
    stages = [[graph.leaf("seed", first + j * n + i) for i in range(n)] for j in range(tableau.stages)]
    nodes = list(system.state_leaves)
    for q in range(tableau.degree):
        weights = [row[q] if q < len(row) else 0.0 for row in tableau.interpolant]
        nodes += [_sum(graph, weights, stages, i, None) for i in range(n)]
    return nodes
