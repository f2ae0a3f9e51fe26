"""The form of a model with algebraic equations that code and solvers read.

Takes the graph as the text says it; gives the index-1 system for a choice of
dummies.  `default_system` chooses at the model's own initial values; a solver
chooses again where the trajectory leads elsewhere (`Family.system`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from ..graph.derivatives import Sparse, jvp, sparse_jacobian
from ..graph.evaluate import values
from ..graph.system import System
from .jumps import refuse_jumps
from .pantelides import Reduced, reduce_index
from .selection import WORSE, Block, choose_blocks, selected

Floats = NDArray[np.float64]


class Family:
    """All index-1 forms of one model: the same states and constraints, other dummies.

    Raises `UnsupportedError` where the system cannot be reduced, or would need impulses.

    Attributes: `original`, the graph as lowered; `reduced`, its constraints and unknowns.
    """

    def __init__(self, original: System) -> None:
        self.original = original
        self.reduced: Reduced = reduce_index(original)
        refuse_jumps(original, self.reduced)
        self._made: dict[tuple[object, ...], System] = {}

    @property
    def n(self) -> int:
        """States, derivatives that became unknowns included."""
        return len(self.reduced.names)

    @cached_property
    def constraints(self) -> tuple[int, ...]:
        """Everything that vanishes: hidden constraints, then what determines the unknowns."""
        hidden = [c.node for c in self.reduced.hidden]
        return (*hidden, *(self.reduced.active[i].node for i in self.reduced.unknowns))

    @cached_property
    def jacobian(self) -> Sparse:
        """The constraints' Jacobian by the states."""
        graph = self.original.graph
        return sparse_jacobian(graph, self.constraints, [graph.leaf("state", i) for i in range(self.n)])

    @cached_property
    def parameter_jacobian(self) -> Sparse:
        """The constraints' Jacobian by the parameters."""
        return sparse_jacobian(self.original.graph, self.constraints, self.original.param_leaves)

    @cached_property
    def time_gradient(self) -> tuple[int, ...]:
        """The constraints' partial derivatives by time."""
        graph = self.original.graph
        return tuple(jvp(graph, self.constraints, {self.original.time_leaf: graph.const(1.0)}))

    @cached_property
    def rates(self) -> tuple[int, ...]:
        """The derivative of each state, 0 for the unknowns, which have no equation for theirs."""
        zero = self.original.graph.const(0.0)
        return tuple(zero if rate is None else rate for rate in self.reduced.flow)

    def describe(self, k: int) -> str:
        """Constraint `k` in words."""
        hidden = self.reduced.hidden
        c = hidden[k] if k < len(hidden) else self.reduced.active[self.reduced.unknowns[k - len(hidden)]]
        which = f"algebraic equation {c.equation + 1}" if len(self.original.algebraic) > 1 else "the algebraic equation"
        if c.order == 0:
            return which
        ordinal = ("first", "second", "third")[c.order - 1] if c.order <= 3 else f"{c.order}th"
        return f"the {ordinal} derivative of {which}"

    def dense(self, entries: Sequence[float]) -> Floats:
        """Values of `jacobian`, in its order, as a matrix."""
        matrix = np.zeros((len(self.constraints), self.n))
        for (i, j), value in zip(self.jacobian, entries, strict=True):
            matrix[i, j] = value
        return matrix

    def system(self, matrix: Floats, u: Floats) -> System:
        """The form whose dummies suit the point `u`, where the constraints' Jacobian is `matrix`.

        Raises `numpy.linalg.LinAlgError` where the hidden constraints depend on each other.
        """
        hidden = len(self.reduced.hidden)
        if not hidden:
            return self.form((), ())
        blocks = choose_blocks(matrix[:hidden], self.pattern, self.reduced.hidden, self.successor, _scale(u))
        limits = (WORSE * block.goodness(matrix) for block in blocks)
        return self.form(blocks, tuple(2.0 ** math.floor(math.log2(limit)) for limit in limits))

    @cached_property
    def successor(self) -> dict[int, int]:
        """For each state whose derivative is itself a state, that one."""
        graph = self.original.graph
        rates = ((i, rate) for i, rate in enumerate(self.reduced.flow) if rate is not None)
        return {i: int(graph.data[rate]) for i, rate in rates if graph.op[rate] == "state"}  # type: ignore[arg-type]

    @cached_property
    def pattern(self) -> tuple[frozenset[int], ...]:
        """The states with a derivative that each hidden constraint holds."""
        unknown = set(self.reduced.unknowns)
        found: list[set[int]] = [set() for _ in self.reduced.hidden]
        for i, j in self.jacobian:
            if i < len(found) and j not in unknown:
                found[i].add(j)
        return tuple(map(frozenset, found))

    def form(self, blocks: tuple[Block, ...], limits: tuple[float, ...]) -> System:
        """The form with these dummies, made once."""
        key = (blocks, limits)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = selected(self.original, self.reduced, blocks, limits)
            found._memory["family"] = self
        return found


def _scale(u: Floats) -> Floats:
    """Sizes of the states as powers of two within 2^±10 of each other, so that they rarely change."""
    size = np.abs(u)
    largest = max(float(size.max(initial=0.0)), 1e-300)
    found: Floats = 2.0 ** np.round(np.log2(np.clip(size, largest * 2.0**-10, largest)))
    return found


def default_system(original: System, p: Sequence[float]) -> System:
    """The form chosen at the model's own initial values, where these have numbers; else at a point in general position.

    `p`: parameters, NaN where there is no default.  Raises `UnsupportedError` where the hidden constraints
    depend on each other everywhere.
    """
    family = Family(original)
    graph = original.graph
    start = [math.nan if node is None else values(graph, [node], 0.0, (), p)[0] for node in original.initial]
    start += [math.nan] * (family.n - len(start))
    general = np.array([0.618 + 0.137 * ((7 * i) % 11) for i in range(family.n)])
    given = np.array(start)
    known = np.where(np.isfinite(given), given, general)
    filled = [v if math.isfinite(v) else 0.73 + 0.11 * ((5 * i) % 7) for i, v in enumerate(p)]
    nodes = list(family.jacobian.values())
    for point in (known, general, general[::-1].copy()):
        matrix = family.dense(values(graph, nodes, 0.1, point.tolist(), filled))
        try:
            return family.system(np.where(np.isfinite(matrix), matrix, 1.0), point)
        except np.linalg.LinAlgError:
            continue
    raise UnsupportedError(
        "the algebraic equations depend on each other: they and their derivatives do not determine the states",
        hint="check that every `0 = ...` says something of its own",
    )
