"""Index reduction: which algebraic equations must be differentiated, and how often.

Takes the graph of a model with equations `0 = ...`; gives an equivalent system of
index 1 and the constraints hidden in the original.  C. C. Pantelides, The consistent
initialization of differential-algebraic systems, SIAM J. Sci. Stat. Comput. 9 (1988)
213: an augmenting path that fails names the smallest set of equations that holds
more equations than unknowns, and these are differentiated.  Since every
differential state has an explicit derivative, its occurrence in a differentiated
equation is replaced by it at once (a Lie derivative), so no further equations come
along.  An unknown that occurs in the set becomes a differential state itself, with
its derivative as the new unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import UnsupportedError
from ..graph.derivatives import jvp
from ..graph.graph import Graph
from ..graph.system import System

MAX_DIFFERENTIATIONS = 8
"""More than any model in use needs; the expressions grow by a factor with each."""


@dataclass(frozen=True)
class Constraint:
    """A node that vanishes: algebraic equation number `equation`, differentiated `order` times."""

    node: int
    equation: int
    order: int


@dataclass(frozen=True)
class Reduced:
    """A system of index 1 and its hidden constraints.

    `names`: the states, then the derivatives that became unknowns; `flow[i]`: the
    derivative of state i, None where it is an unknown; `active[i]`: the constraint that
    determines unknown i; `hidden`: constraints on the states with a derivative, which
    hold for all time if they hold at the start; `index`: the differentiation index.
    """

    names: tuple[str, ...]
    flow: tuple[int | None, ...]
    active: dict[int, Constraint]
    hidden: tuple[Constraint, ...]
    index: int

    @property
    def unknowns(self) -> tuple[int, ...]:
        """Positions of the states that algebraic equations determine."""
        return tuple(i for i, rate in enumerate(self.flow) if rate is None)


def reduce_index(system: System) -> Reduced:
    """Differentiate what must be differentiated.

    Raises `UnsupportedError` where the equations determine nothing, contradict or repeat
    each other, or need more than `MAX_DIFFERENTIATIONS` differentiations.
    """
    return _Reduction(system).run()


class _Reduction:
    def __init__(self, system: System) -> None:
        self.system = system
        self.graph: Graph = system.graph
        self.names = list(system.states)
        algebraic = set(system.algebraic)
        self.flow: list[int | None] = [None if i in algebraic else node for i, node in enumerate(system.rhs)]
        self.constraints = [Constraint(system.rhs[i], k, 0) for k, i in enumerate(system.algebraic)]
        self.hidden: list[Constraint] = []

    def run(self) -> Reduced:
        for constraint in self.constraints:
            self._reaches_an_unknown(constraint)
        while True:
            assigned, stuck = self._match()
            if not stuck:
                break
            self._differentiate(*stuck)
        active = {unknown: self.constraints[k] for unknown, k in assigned.items()}
        return Reduced(
            tuple(self.names),
            tuple(self.flow),
            active,
            tuple(self.hidden),
            1 + max((c.order for c in active.values()), default=0),
        )

    def _unknowns_in(self, node: int) -> list[int]:
        graph = self.graph
        found = (graph.data[below] for below in graph.reachable([node]) if graph.op[below] == "state")
        return [int(i) for i in found if self.flow[int(i)] is None]  # type: ignore[arg-type]

    def _match(self) -> tuple[dict[int, int], tuple[list[int], list[int]] | None]:
        """({unknown: constraint}, None), or the constraints and unknowns around a failed augmenting path."""
        inside = [self._unknowns_in(c.node) for c in self.constraints]
        owner: dict[int, int] = {}
        for k in range(len(self.constraints)):
            seen_constraints, seen_unknowns = {k}, set()
            came_from: dict[int, int] = {}  # unknown -> the constraint it was reached from
            pending, free = [k], None
            while pending and free is None:
                c = pending.pop()
                for unknown in inside[c]:
                    if unknown in seen_unknowns:
                        continue
                    seen_unknowns.add(unknown)
                    came_from[unknown] = c
                    if unknown not in owner:
                        free = unknown
                        break
                    seen_constraints.add(owner[unknown])
                    pending.append(owner[unknown])
            if free is None:
                return {}, (sorted(seen_constraints), sorted(seen_unknowns))
            while True:  # turn the path around
                c = came_from[free]
                previous = next((u for u, own in owner.items() if own == c), None)
                owner[free] = c
                if previous is None or c == k:
                    break
                free = previous
        return owner, None

    def _differentiate(self, constraints: list[int], unknowns: list[int]) -> None:
        graph = self.graph
        for i in unknowns:
            self.flow[i] = graph.leaf("state", len(self.names))
            self.names.append(self.names[i] + "'")
            self.flow.append(None)
        tangents = {graph.leaf("state", i): rate for i, rate in enumerate(self.flow) if rate is not None}
        tangents[self.system.time_leaf] = graph.const(1.0)
        for k in constraints:
            old = self.constraints[k]
            if old.order == MAX_DIFFERENTIATIONS:
                raise UnsupportedError(
                    f"the algebraic equation {old.equation + 1} still determines no unknown after "
                    f"{MAX_DIFFERENTIATIONS} differentiations: it repeats or contradicts others, or acts on "
                    "an unknown too far away",
                    hint="check that every `0 = ...` says something of its own",
                )
            self.hidden.append(old)
            (node,) = jvp(graph, [old.node], tangents)
            self.constraints[k] = replace(old, node=node, order=old.order + 1)

    def _reaches_an_unknown(self, constraint: Constraint) -> None:
        """Does the constraint, or a derivative of it, hold an unknown at all?"""
        seen: set[int] = set()
        pending = [constraint.node]
        graph = self.graph
        while pending:
            below = graph.reachable([pending.pop()])
            for i in (int(graph.data[n]) for n in below if graph.op[n] == "state"):  # type: ignore[arg-type]
                rate = self.flow[i]
                if rate is None:
                    return
                if i not in seen:
                    seen.add(i)
                    pending.append(rate)
        names = ", ".join(f"`{self.system.states[i]}`" for i in self.system.algebraic)
        raise UnsupportedError(
            f"the algebraic equation {constraint.equation + 1} determines none of the unknowns ({names}): neither "
            "it nor its derivatives depend on one",
            hint="leave it out, or let the unknown act in an equation of a state it constrains",
        )
