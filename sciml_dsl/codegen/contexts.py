"""Where each node is computed in a target without control flow (numpy, torch).

Such a target evaluates both sides of every branch and picks afterwards.  What
is picked is right, but a gradient through the other side is 0 * inf = NaN
unless that side was computed from harmless numbers.  So each node is computed
in a context: the conditions under which it is needed.  Inside a context,
operations that are undefined somewhere get their arguments replaced where the
context does not hold (the "double where").  A node needed under different
conditions is computed once for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph
from ..graph.ops import CONDITIONS, INPUT, LEAVES, NETWORK_OPS

MAX_COPIES = 16
"""A node needed under more conditions than this is computed once, around them all, unprotected."""

HARMLESS = CONDITIONS | LEAVES | {"add", "sub", "mul", "neg", "abs", "sign", "floor", "ceil", "min", "max", "select"}
HARMLESS |= {"sin", "cos", "tanh", "atan", "asinh", "erf", "erfc", INPUT, *NETWORK_OPS}
"""Operations whose value and derivative are finite at every finite argument."""


def harmless(op: str, values: Sequence[float | None]) -> bool:
    """Are value and derivative of `op` finite at finite arguments?  `values` are the arguments that are numbers."""
    if op == "pow":
        exponent = values[1]
        return exponent is not None and exponent.is_integer() and exponent >= 1.0
    if op == "div":
        return bool(values[1])
    return op in HARMLESS


Instance = tuple[int, int]
"""(node, context)."""


@dataclass
class Contexts:
    """The result of `assign`.  Context 0 always holds; `path[c]` is (parent, condition, side).

    `needed[node]` are the contexts a node is computed in, `uses[node, context]`
    how often that value is read; `split` are the branches whose arms are computed in
    contexts of their own.
    """

    needed: dict[int, tuple[int, ...]] = field(default_factory=dict)
    uses: dict[Instance, int] = field(default_factory=dict)
    split: set[int] = field(default_factory=set)
    path: list[tuple[int, int, bool]] = field(default_factory=lambda: [(0, -1, True)])
    _index: dict[tuple[int, int, bool], int] = field(default_factory=dict)
    _depth: list[int] = field(default_factory=lambda: [0])

    def inside(self, context: int, cond: int, side: bool) -> int:
        """The context in which also `cond` is `side`."""
        outer = context
        while outer:
            parent, known, value = self.path[outer]
            if known == cond and value == side:
                return context
            outer = parent
        key = (context, cond, side)
        if key not in self._index:
            self._index[key] = len(self.path)
            self.path.append(key)
            self._depth.append(self._depth[context] + 1)
        return self._index[key]

    def common(self, a: int, b: int) -> int:
        """The innermost context around both."""
        while a != b:
            if self._depth[a] >= self._depth[b]:
                a = self.path[a][0]
            else:
                b = self.path[b][0]
        return a

    def _around(self, context: int) -> list[int]:
        """The contexts around `context`, innermost first."""
        found = []
        while context:
            context = self.path[context][0]
            found.append(context)
        return found

    def where(self, node: int, context: int) -> int:
        """The context of the value that `context` reads for `node`: its own or an outer one."""
        available = self.needed[node]
        while context not in available:
            assert context, "a value is computed in some context around each of its uses"
            context = self.path[context][0]
        return context

    def reduce(self, wanted: set[int]) -> tuple[int, ...]:
        """Fewest contexts that cover `wanted`: outer ones cover inner ones, two sides their parent."""
        for context in sorted(wanted, key=lambda c: -self._depth[c]):
            while context:
                parent, cond, side = self.path[context]
                if self._index.get((parent, cond, not side)) not in wanted:
                    break
                wanted.add(parent)
                context = parent
        kept = [c for c in sorted(wanted) if not any(outer in wanted for outer in self._around(c))]
        if len(kept) > MAX_COPIES:
            around = kept[0]
            for context in kept[1:]:
                around = self.common(around, context)
            return (around,)
        return tuple(kept)


def assign(graph: Graph, roots: Sequence[int], masked: bool) -> Contexts:
    """Contexts of everything `roots` depend on; all in context 0 when not `masked`."""
    found = Contexts()
    order = graph.reachable(roots)
    tame: dict[int, bool] = {}
    for node in order:
        op, args = graph.op[node], graph.args[node]
        values = [_number(graph, a) for a in args]
        tame[node] = not masked or (harmless(op, values) and all(tame[a] for a in args))
    wanted: dict[int, set[int]] = {node: set() for node in order}
    for root in roots:
        wanted[root].add(0)
    readers: dict[int, list[int]] = {}  # node -> the contexts it is read in
    for node in reversed(order):
        contexts = (0,) if tame[node] else found.reduce(wanted.pop(node))
        found.needed[node] = contexts
        args = graph.args[node]
        if graph.op[node] == "select" and not tame[node]:
            found.split.add(node)
        for context in contexts:
            for k, a in enumerate(args):
                inner = context
                if k and node in found.split:
                    inner = found.inside(context, args[0], k == 1)
                wanted[a].add(inner)
                readers.setdefault(a, []).append(inner)
    for root in roots:
        found.uses[root, 0] = found.uses.get((root, 0), 0) + 1
    for parent, cond, _ in found.path[1:]:
        readers.setdefault(cond, []).append(parent)
    for node, contexts_of_readers in readers.items():
        for context in contexts_of_readers:
            key = (node, found.where(node, context))
            found.uses[key] = found.uses.get(key, 0) + 1
    return found


def _number(graph: Graph, node: int) -> float | None:
    value = graph.data[node]
    return value if graph.op[node] == "const" and isinstance(value, float) else None
