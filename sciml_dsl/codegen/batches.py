"""Which calls of a function of the graph can be made together, and in what order everything else then stands.

Takes nodes in topological order; gives a `Plan`: groups of calls of one
operation whose arguments do not depend on each other's results, and stages.
Stage s computes its nodes, then makes the calls of its groups, whose results
stage s + 1 may read.  Nodes stand in the latest stage that is early enough, so
that few values wait.  Without groups the order stays as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph

FEWEST = {"exp": 32, "log": 40, "sin": 8, "cos": 8, "tanh": 7, "pow": 6}
"""Calls in a group; fewer are quicker one by one.  Measured beside the C library of glibc 2.36, whose exp
and log take 4 ns and the others 8 to 11; a number in a group takes 2, and a group 40 to begin with."""

LARGEST_WHOLE_POWER = 16
"""Powers with a whole or half exponent up to this size are products."""


@dataclass
class Plan:
    """`order`: for each stage its nodes, and its groups (operation, the nodes that are calls of it)."""

    order: list[tuple[list[int], list[tuple[str, list[int]]]]] = field(default_factory=list)

    @property
    def grouped(self) -> set[int]:
        """The nodes that are computed by a group."""
        return {node for _, groups in self.order for _, members in groups for node in members}


def is_product(graph: Graph, node: int) -> bool:
    """Is this power computed by multiplications?"""
    exponent = graph.args[node][1]
    value = graph.data[exponent] if graph.op[exponent] == "const" else None
    return isinstance(value, float) and 0 < abs(value) <= LARGEST_WHOLE_POWER and 2 * value == int(2 * value)


def plan(graph: Graph, work: Sequence[int], fewest: Mapping[str, int] = FEWEST) -> Plan:
    """The plan for `work`, nodes in topological order without leaves.

    `fewest`: calls in a group, by operation; operations not named are not grouped.
    """
    ops, args = graph.op, graph.args
    together = {n for n in work if ops[n] in fewest and not (ops[n] == "pow" and is_product(graph, n))}
    count = Counter(ops[n] for n in together)
    together = {n for n in together if count[ops[n]] >= fewest[ops[n]]}
    ready: dict[int, int]  # of nodes whose stage is not the first
    groups: dict[tuple[int, str], list[int]] = {}
    while together:
        ready, groups = {}, {}
        for node in work:
            stage = 0
            for a in args[node]:
                if a in ready and ready[a] > stage:
                    stage = ready[a]
            if node in together:
                groups.setdefault((stage, ops[node]), []).append(node)
                ready[node] = stage + 1
            elif stage:
                ready[node] = stage
        small = [node for (_, op), members in groups.items() if len(members) < fewest[op] for node in members]
        if not small:
            break
        together.difference_update(small)
    if not together:
        return Plan([(list(work), [])])
    last = max(ready.values())
    latest = dict.fromkeys(work, last)
    for node in reversed(work):
        needed = ready[node] - 1 if node in together else latest[node]
        for a in args[node]:
            if a in latest and needed < latest[a]:
                latest[a] = needed
    stages: list[tuple[list[int], list[tuple[str, list[int]]]]] = [([], []) for _ in range(last + 1)]
    for node in work:
        if node not in together:
            stages[latest[node]][0].append(node)
    for (stage, op), members in sorted(groups.items()):
        stages[stage][1].append((op, members))
    return Plan(stages)
