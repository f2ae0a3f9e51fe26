"""State selection: which differential equations give way to the hidden constraints.

A system of index above 1 has fewer degrees of freedom than differential states.
The rows of as many of them ("dummies") are replaced by the hidden constraints, so
that all constraints hold at every step and nothing drifts.  S. E. Mattsson & G.
Söderlind, Index reduction in differential-algebraic equations using dummy
derivatives, SIAM J. Sci. Comput. 14 (1993) 677.  A choice is good as long as the
constraints' Jacobian by the dummies is far from singular; `pivot` says how far, as
a node whose sign the solver watches, and where it turns another choice is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..graph.derivatives import sparse_jacobian
from ..graph.system import System
from .pantelides import Constraint, Reduced

WORSE = 0.1
"""A choice is given up where its goodness falls to this part of what it was at first."""


def choose(matrix: NDArray[np.float64], scale: NDArray[np.float64]) -> tuple[int, ...]:
    """The columns of `matrix` (constraints, states) by which it is inverted best, in increasing order.

    By Gaussian elimination with complete pivoting on rows and columns scaled by `scale`
    (states,), so that units do not matter.  Raises `numpy.linalg.LinAlgError` where the
    rows depend on each other.
    """
    work = matrix * scale
    largest = np.abs(work).max(axis=1, initial=0.0)
    if not (np.isfinite(largest).all() and (largest > 0.0).all()):
        raise np.linalg.LinAlgError("a constraint does not depend on the states here")
    work = work / largest[:, None]
    chosen: list[int] = []
    rows = list(range(len(work)))
    for _ in range(len(work)):
        part = np.abs(work[rows])
        part[:, chosen] = 0.0
        at, column = np.unravel_index(int(np.argmax(part)), part.shape)
        if not part[at, column] > 1e-10:
            raise np.linalg.LinAlgError("the constraints depend on each other here")
        row = rows.pop(int(at))
        chosen.append(int(column))
        for other in rows:
            work[other] -= work[other, column] / work[row, column] * work[row]
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class Block:
    """Hidden constraints (`rows`), the dummies they determine, and all states they could (`columns`).

    Other blocks' dummies do not occur in them, or these are determined before: the whole
    choice is as good as its worst block.
    """

    rows: tuple[int, ...]
    dummies: tuple[int, ...]
    columns: tuple[int, ...]

    def goodness(self, matrix: NDArray[np.float64]) -> float:
        """The squared determinant by the dummies, relative to the sum over all choices (Cauchy-Binet): 0 .. 1."""
        work = matrix[np.ix_(self.rows, self.columns)]
        work = work / np.abs(work).max(axis=1, keepdims=True)
        part = work[:, [self.columns.index(d) for d in self.dummies]]
        whole = float(np.linalg.det(work @ work.T))
        return float(np.linalg.det(part)) ** 2 / whole if whole > 0.0 else 0.0


def choose_blocks(
    matrix: NDArray[np.float64],
    pattern: Sequence[frozenset[int]],
    hidden: Sequence[Constraint],
    successor: Mapping[int, int],
    scale: NDArray[np.float64],
) -> tuple[Block, ...]:
    """Dummies for all hidden constraints, block by block.

    Arguments: `matrix` (constraints, states) and its structure `pattern`; the constraints;
    `successor`, for states whose derivative is a state this one; `scale` (states,).
    Constraints of one order get dummies that no constraint of lower order holds, and fall
    apart into blocks that share no such state.  Those of higher order get the derivatives
    of the dummies below them where these are states (of a mechanism: positions, then their
    own speeds); the sizes of speeds say nothing, since x x' = -y y' makes them equal.
    Where all that does not determine them, all together are one block.
    """
    found: list[Block] = []
    taken: set[int] = set()
    below: dict[int, set[int]] = {}  # equation -> dummies of its block one order lower
    try:
        for order in sorted({c.order for c in hidden}):
            group = [k for k in range(len(pattern)) if hidden[k].order == order]
            chosen_by: dict[int, set[int]] = {}
            for rows in _connected(group, pattern, taken):
                columns = sorted(set().union(*(pattern[k] for k in rows)) - taken)
                if not columns:
                    raise np.linalg.LinAlgError("no states are left to determine")
                dummies = {successor.get(d, -1) for k in rows for d in below.get(hidden[k].equation, ())}
                part = matrix[:, sorted(dummies & set(columns))][rows]
                if len(dummies) != len(rows) or not dummies <= set(columns) or not _regular(part):
                    sizes = scale[columns] if order == 0 else np.ones(len(columns))
                    dummies = {columns[c] for c in choose(matrix[np.ix_(rows, columns)], sizes)}
                if len(dummies) < len(rows):
                    raise np.linalg.LinAlgError("no states are left to determine")
                chosen_by |= {hidden[k].equation: dummies for k in rows}
                found.append(Block(tuple(rows), tuple(sorted(dummies)), tuple(columns)))
            below = chosen_by
            taken |= set().union(*(pattern[k] for k in group))
    except np.linalg.LinAlgError:
        columns = sorted(set().union(*pattern))
        everything = tuple(range(len(pattern)))
        chosen = choose(matrix[:, columns], scale[columns])
        return (Block(everything, tuple(columns[c] for c in chosen), tuple(columns)),)
    return tuple(found)


def _regular(matrix: NDArray[np.float64]) -> bool:
    """Is a square matrix far from singular, rows scaled to one?"""
    size = np.abs(matrix).max(axis=1, initial=0.0)
    if matrix.shape[0] != matrix.shape[1] or not (size > 0.0).all():
        return False
    return bool(np.linalg.cond(matrix / size[:, None]) < 1e6)


def _connected(group: Sequence[int], pattern: Sequence[frozenset[int]], taken: set[int]) -> list[list[int]]:
    """`group` in parts that share no state outside of `taken`."""
    parts: list[tuple[list[int], set[int]]] = []
    for k in group:
        rows, columns = [k], set(pattern[k]) - taken
        rest = []
        for others, used in parts:
            if used & columns:
                rows, columns = others + rows, columns | used
            else:
                rest.append((others, used))
        parts = [*rest, (rows, columns)]
    return [sorted(rows) for rows, _ in parts]


def selected(system: System, reduced: Reduced, blocks: Sequence[Block], limits: Sequence[float]) -> System:
    """The index-1 system with the rows of the blocks' dummies replaced by the hidden constraints.

    Its `algebraic` rows are those of the constraints.  Where there are dummies, its `watch`
    turns positive where the goodness of a block falls below its limit.
    """
    dummies = [d for block in blocks for d in block.dummies]
    graph = system.graph
    n = len(reduced.names)
    rows: list[int] = [graph.const(0.0) if rate is None else rate for rate in reduced.flow]
    for unknown, constraint in reduced.active.items():
        rows[unknown] = constraint.node
    hidden = [c.node for c in reduced.hidden]
    leaves = [graph.leaf("state", i) for i in range(n)]
    jacobian = sparse_jacobian(graph, hidden, leaves)
    for row, dummy in _assign(jacobian, len(hidden), dummies).items():
        rows[dummy] = hidden[row]
    zero_mass = {*reduced.unknowns, *dummies}
    events = tuple(replace(e, affect=(*e.affect, *leaves[len(e.affect) :])) for e in system.events)
    return System(
        name=system.name,
        graph=graph,
        states=reduced.names,
        parameters=system.parameters,
        observable_names=system.observable_names,
        networks=system.networks,
        rhs=tuple(rows),
        observables=system.observables,
        initial=(*system.initial, *(None for _ in range(n - len(system.initial)))),
        events=events,
        inputs=system.inputs,
        algebraic=tuple(sorted(zero_mass)),
        watch=_watch(system, jacobian, blocks, limits) if dummies else None,
    )


def _assign(jacobian: dict[tuple[int, int], int], count: int, dummies: Sequence[int]) -> dict[int, int]:
    """Each hidden constraint to a dummy it depends on, so that the diagonal is there for the linear algebra."""
    inside = [[d for d in dummies if (row, d) in jacobian] for row in range(count)]
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for dummy in inside[row]:
            if dummy not in seen:
                seen.add(dummy)
                if dummy not in owner or place(owner[dummy], seen):
                    owner[dummy] = row
                    return True
        return False

    for row in range(count):
        if not place(row, set()):
            raise np.linalg.LinAlgError("the dummies do not determine the constraints")
    return {row: dummy for dummy, row in owner.items()}


def _watch(
    system: System, jacobian: dict[tuple[int, int], int], blocks: Sequence[Block], limits: Sequence[float]
) -> int:
    """A node that turns positive where the goodness of a block falls below its limit."""
    graph = system.graph
    zero = graph.const(0.0)
    roots: dict[int, None] = {}  # speeds and positions often have the same one
    for block, limit in zip(blocks, limits, strict=True):
        rows = [{j: jacobian[i, j] for j in block.columns if (i, j) in jacobian} for i in block.rows]
        part = _determinant(system, [[row.get(j, zero) for j in block.dummies] for row in rows])
        products = [
            [graph.sum([graph.mul(a[j], b[j]) for j in a if j in b]) for b in rows] for a in rows
        ]  # fmt: skip
        whole = _determinant(system, products)
        roots[graph.sub(graph.const(limit), graph.div(graph.mul(part, part), whole))] = None
    watch, *more = roots
    for root in more:
        watch = graph.call("max", watch, root)
    return watch


def _determinant(system: System, matrix: list[list[int]]) -> int:
    """Without divisions (F. L. Bird's algorithm, Inf. Process. Lett. 111 (2011) 1072), so that no pivot can vanish."""
    graph = system.graph
    n = len(matrix)
    zero = graph.const(0.0)
    current = [row[:] for row in matrix]
    for _ in range(n - 1):
        upper = [[zero] * n for _ in range(n)]
        below = zero
        for i in range(n - 1, -1, -1):
            upper[i][i] = graph.neg(below)
            below = graph.add(below, current[i][i])
            for j in range(i + 1, n):
                upper[i][j] = current[i][j]
        current = [
            [graph.sum([graph.mul(upper[i][k], matrix[k][j]) for k in range(i, n)]) for j in range(n)] for i in range(n)
        ]
    return current[0][0] if n % 2 else graph.neg(current[0][0])
