"""A model as a graph: the node of every quantity, and the derivatives made from them.

`System` is what code targets read.  Its nodes live in one `Graph`; derivative
properties are computed when first asked for and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..model.spec import Network
from .derivatives import Sparse, gradient, jvp, sparse_jacobian, vjp
from .graph import Graph
from .tail import Shape
from .turns import Turns
from .turns import find as find_turns

if TYPE_CHECKING:  # checking a model must not import numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EventNodes:
    """One event: `kind` is "when" (fires where `holds` turns true; `root` crosses zero there, from below),
    "at" or "every" (`root` is t - time); `first`, `period` (0 = once) and `last` are in parameters.
    `affect` has one node for each state, all reading the state before the event.
    A "switch" (`graph.switching`) changes the mode `rule` speaks of, and no state."""

    kind: str
    root: int
    first: int
    period: int
    last: int
    affect: tuple[int, ...]
    terminate: bool
    source: int  # position in ModelSpec.events
    holds: int = -1  # of "when" and "switch": the condition, 1 or 0
    twin: int = 0  # of the two events of one `==`: 1 for the first, -1 for the second
    rule: tuple[int, str] = (-1, "")  # of a "switch": which mode, and how it changes


@dataclass
class System(Shape):
    """Nodes of a model's right-hand side, observables, initial values and events.

    Parameters `p` of generated code are `parameters` followed by the weights of
    every network in order and by the tables of `inputs` (`model.interpolate.tail`).
    `rhs[i]` belongs to `states[i]`; `initial[i]` is None where the model gives no initial value.
    `algebraic` are the rows whose `rhs` is no
    derivative but has to vanish; the mass matrix is 0 there and 1 elsewhere.
    `watch` turns positive where another choice of states would be better (`structure.selection`).
    `smooth` are conditions between forms of the same expression (`graph.removable`).
    `modes` are the values of conditions that the last so many `parameters` stand for (`graph.switching`).
    """

    name: str
    graph: Graph
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    observable_names: tuple[str, ...]
    networks: tuple[Network, ...]
    rhs: tuple[int, ...]
    observables: tuple[int, ...]
    initial: tuple[int | None, ...]
    events: tuple[EventNodes, ...] = ()
    inputs: tuple[str, ...] = ()
    algebraic: tuple[int, ...] = ()
    watch: int | None = None
    modes: tuple[int, ...] = ()
    smooth: frozenset[int] = frozenset()
    _memory: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def n(self) -> int:
        """Number of states."""
        return len(self.states)

    @property
    def n_params(self) -> int:
        """Number of parameters, network weights not counted."""
        return len(self.parameters)

    @cached_property
    def state_leaves(self) -> tuple[int, ...]:
        return tuple(self.graph.leaf("state", i) for i in range(self.n))

    @cached_property
    def param_leaves(self) -> tuple[int, ...]:
        return tuple(self.graph.leaf("param", i) for i in range(self.n_params))

    @cached_property
    def time_leaf(self) -> int:
        return self.graph.leaf("t")

    @cached_property
    def jacobian(self) -> Sparse:
        """df/du as {(row, column): node}."""
        return sparse_jacobian(self.graph, self.rhs, self.state_leaves)

    @cached_property
    def jacobian_pattern(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(indptr, indices) of df/du in CSR, columns sorted; its values are those of `jacobian` in order."""
        import numpy as np

        rows = np.array([i for i, _ in self.jacobian], np.int64)
        indptr = np.searchsorted(rows, np.arange(self.n + 1, dtype=np.int64)).astype(np.int64)
        return indptr, np.array([j for _, j in self.jacobian], np.int64)

    def product(self) -> list[int]:
        """df/du v for seeds v_0..v_{n-1}, time and parameters held fixed."""
        graph = self.graph
        return jvp(graph, self.rhs, {leaf: graph.leaf("seed", i) for i, leaf in enumerate(self.state_leaves)})

    @cached_property
    def parameter_jacobian(self) -> Sparse:
        """df/dp for the model's parameters (weights excluded) as {(row, column): node}."""
        return sparse_jacobian(self.graph, self.rhs, self.param_leaves)

    @cached_property
    def time_gradient(self) -> tuple[int, ...]:
        """Partial df/dt, one node for each state."""
        return tuple(jvp(self.graph, self.rhs, {self.time_leaf: self.graph.const(1.0)}))

    @cached_property
    def turns(self) -> Turns:
        """Times at which equations and conditions of events turn by themselves; a solver must step on them."""
        graph, states = self.graph, set(self.state_leaves)
        roots = [*self.rhs, *(event.holds for event in self.events if event.holds >= 0)]
        return find_turns(graph, roots, lambda node: node in states or graph.op[node] == "netcall")

    @cached_property
    def observable_jacobians(self) -> tuple[Sparse, Sparse]:
        """(dh/du, dh/dp) of the observables."""
        return (
            sparse_jacobian(self.graph, self.observables, self.state_leaves),
            sparse_jacobian(self.graph, self.observables, self.param_leaves),
        )

    @cached_property
    def initial_jacobian(self) -> Sparse:
        """du0/dp; rows of states without initial value are empty."""
        nodes = [self.graph.const(0.0) if node is None else node for node in self.initial]
        return sparse_jacobian(self.graph, nodes, self.param_leaves)

    def jacobian_direction(self) -> tuple[Sparse, Sparse]:
        """Directional derivative of (df/du, df/dp) along seeds (v_0..v_{n-1} for u, v_n for t)."""
        graph = self.graph
        tangents = {leaf: graph.leaf("seed", i) for i, leaf in enumerate((*self.state_leaves, self.time_leaf))}
        parts = []
        for matrix in (self.jacobian, self.parameter_jacobian):
            values = jvp(graph, list(matrix.values()), tangents)
            zero = graph.const(0.0)
            parts.append({key: v for key, v in zip(matrix, values, strict=True) if v != zero})
        return parts[0], parts[1]

    def directional(self) -> list[int]:
        """Tangent of the right-hand side along seeds (v_0..v_{n-1} for u, then np for p)."""
        graph = self.graph
        leaves = (*self.state_leaves, *self.param_leaves)
        return jvp(graph, self.rhs, {leaf: graph.leaf("seed", i) for i, leaf in enumerate(leaves)})

    def reverse(self) -> tuple[list[int], list[int], list[int]]:
        """(cotangent of u, cotangent of p, network sweeps) for seeds v_0..v_{n-1} on the outputs."""
        graph = self.graph
        seeds = [graph.leaf("seed", i) for i in range(self.n)]
        values, sweeps = vjp(graph, self.rhs, seeds, (*self.state_leaves, *self.param_leaves))
        return values[: self.n], values[self.n :], sweeps

    def affect_jacobian(self, event: EventNodes) -> tuple[Sparse, Sparse, list[int]]:
        """(dh/du, dh/dp, dh/dt) of an event's state change h."""
        graph = self.graph
        return (
            sparse_jacobian(graph, event.affect, self.state_leaves),
            sparse_jacobian(graph, event.affect, self.param_leaves),
            jvp(graph, event.affect, {self.time_leaf: graph.const(1.0)}),
        )

    def root_gradient(self, event: EventNodes) -> dict[int, int]:
        """Gradient of an event's root function: leaf (state, parameter or t) -> node."""
        return gradient(self.graph, event.root, (*self.state_leaves, *self.param_leaves, self.time_leaf))
