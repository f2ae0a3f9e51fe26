"""Where each node is computed in a target with control flow (`if` blocks).

Each arm of a branch is a region, nested in the region the branch stands in.  A
node belongs to the innermost region that holds all its uses.  Where that is
outside of the arms that use it, so that it is computed though it may turn out
not to be needed, the node is not `certain`; its evaluation must not fail.
One pass over the nodes in reverse topological order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph

MAX_NESTING = 12
"""Branches nested deeper are evaluated on both sides (Python allows 100 levels of indentation)."""

LAZY = frozenset({"select", "and", "or"})
"""Operations that do not need all their arguments."""


@dataclass
class Regions:
    """The result of `place`.  Region 0 is the whole; `order` holds the nodes in topological order.

    `region[node]`, `certain[node]`, `uses[node]` (how often the node is an
    argument or a root); `arms[node]` the regions of a branch's two sides (for
    `and` and `or`: the side that evaluates their second argument, and an empty one).
    """

    order: list[int]
    region: dict[int, int] = field(default_factory=dict)
    certain: dict[int, bool] = field(default_factory=dict)
    uses: dict[int, int] = field(default_factory=dict)
    arms: dict[int, tuple[int, int]] = field(default_factory=dict)
    parent: list[int] = field(default_factory=lambda: [0])
    depth: list[int] = field(default_factory=lambda: [0])
    sibling: list[int] = field(default_factory=lambda: [0])

    def common(self, a: int, b: int) -> int:
        """The innermost region around both."""
        while a != b:
            if self.depth[a] >= self.depth[b]:
                a = self.parent[a]
            else:
                b = self.parent[b]
        return a

    def _open(self, parent: int) -> tuple[int, int]:
        first = len(self.parent)
        for other in (first + 1, first):
            self.parent.append(parent)
            self.depth.append(self.depth[parent] + 1)
            self.sibling.append(other)
        return first, first + 1


def place(graph: Graph, roots: Sequence[int]) -> Regions:
    """Regions of everything `roots` depend on; the roots are needed in any case."""
    found = Regions(graph.reachable(roots))
    sure: dict[int, set[int]] = {node: set() for node in found.order}  # regions that need the node for certain

    def use(node: int, region: int, certain: bool) -> None:
        found.uses[node] = found.uses.get(node, 0) + 1
        found.region[node] = found.common(found.region[node], region) if node in found.region else region
        if certain:
            sure[node].add(region)

    for root in roots:
        use(root, 0, True)
    for node in reversed(found.order):
        region = found.region[node]
        certain = found.certain[node] = _needed(found, sure.pop(node), region)
        args = graph.args[node]
        if graph.op[node] not in LAZY:
            for a in args:
                use(a, region, certain)
            continue
        use(args[0], region, certain)
        if found.depth[region] >= MAX_NESTING:
            for a in args[1:]:
                use(a, region, False)
            continue
        found.arms[node] = arms = found._open(region)
        for a, arm in zip(args[1:], arms, strict=False):
            use(a, arm, certain)
    return found


def _needed(found: Regions, sure: set[int], region: int) -> bool:
    """Is a node of `region` needed whenever the region is entered?  Also when both arms of a branch need it."""
    if region in sure:
        return True
    pending = sorted(sure, key=lambda r: -found.depth[r])
    for r in pending:
        while r and found.sibling[r] in sure:
            r = found.parent[r]
            if r == region:
                return True
            sure.add(r)
    return False
