"""Derivatives, graph to graph: directional, reverse, and sparse Jacobians.

Each sweep adds nodes to the same graph and costs a small multiple of the part
of the graph it visits.  Branches (`select`, `min`, `max`) are differentiated by
choosing between the derivatives of their arguments, never by multiplying with
zero, so a NaN in the branch not taken stays there.  Reverse accumulation over
sparse rows follows Griewank & Walther, "Evaluating Derivatives" (2008), ch. 3, 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from ..collector import uncollected
from .graph import Graph
from .ops import BRANCHES, CONDITIONS, INPUT, LEAVES, PARTIALS

Sparse = dict[tuple[int, int], int]
"""A sparse matrix of nodes: (row, column) -> node; absent entries are zero."""


def _taken(graph: Graph, node: int) -> tuple[int, int, int]:
    """(condition, value when true, value when false) of a branching node."""
    args = graph.args[node]
    if graph.op[node] == "select":
        return args[0], args[1], args[2]
    test = "le" if graph.op[node] == "min" else "ge"
    return graph.call(test, args[0], args[1]), args[0], args[1]


@uncollected
def jvp(graph: Graph, outputs: Sequence[int], tangents: Mapping[int, int]) -> list[int]:
    """Directional derivatives of `outputs` along `tangents` (leaf node -> direction node).

    Returns one node for each output.  Network weights are held fixed.
    """
    zero = graph.const(0.0)
    dot: dict[int, int] = {}
    for node in graph.reachable(outputs):
        op, args = graph.op[node], graph.args[node]
        if node in tangents:
            dot[node] = tangents[node]
        elif op in LEAVES or op in CONDITIONS or op == "netcall":
            dot[node] = zero
        elif op == "reduce":
            dot[node] = _reduction_tangent(graph, node, dot[args[0]])
        elif op in BRANCHES:
            if any(dot[a] != zero for a in args):
                cond, a, b = _taken(graph, node)
                dot[node] = graph.select(cond, dot[a], dot[b])
            else:
                dot[node] = zero
        elif op in ("net", "net_jac"):
            call = args[0]
            terms = []
            for j, source in enumerate(graph.args[call]):
                if dot[source] != zero:
                    terms.append(graph.mul(_network_partial(graph, node, j), dot[source]))
            dot[node] = graph.sum(terms)
        elif all(dot[a] == zero for a in args):
            dot[node] = zero
        else:
            total = zero
            for a, partial in zip(args, _partials(graph, node), strict=True):
                if partial is not None and dot[a] != zero:
                    total = graph.add(total, graph.mul(partial, dot[a]))
            dot[node] = total
    return [dot[o] for o in outputs]


def _reduction_tangent(graph: Graph, node: int, tangent: int) -> int:
    from .loop_derivatives import reduction_tangent  # only models with arrays have any

    return reduction_tangent(graph, node, tangent)


def _partials(graph: Graph, node: int) -> tuple[int | None, ...]:
    op = graph.op[node]
    if op == INPUT:
        k, order = graph.data[node]  # type: ignore[misc]
        return (graph.input(k, graph.args[node][0], order + 1),)
    if op not in PARTIALS:
        raise NotImplementedError(f"no derivative is known for the operation {op!r}")
    return PARTIALS[op](graph, graph.args[node], node)


def _network_partial(graph: Graph, node: int, j: int) -> int:
    """Derivative of a network projection with respect to input `j` of its call."""
    call, data = graph.args[node][0], graph.data[node]
    assert isinstance(data, tuple)
    if graph.op[node] == "net":
        return graph.net_jac(call, data[0], j)
    if graph.op[node] == "net_jac":
        return graph.net_hess(call, data[0], data[1], j)
    raise NotImplementedError("third derivatives of a network are not available")


FEW = 8
"""Gradients of shared nodes with at most this many leaves are made once and kept."""

_NONE: frozenset[int] = frozenset()


class _Gradients:
    """Sparse gradients of single nodes with respect to a set of leaves, with memory.

    Each gradient is a reverse sweep that stops at cut points, whose gradients are
    made once and used by every sweep that comes by: branches (a choice between the
    gradients of their arguments), and nodes that several others read and that depend
    on a `FEW` leaves.  So a part of the model that many equations share is differentiated
    once, while a sum over all states is swept in reverse, which is linear too.
    """

    def __init__(self, graph: Graph, leaves: Iterable[int], outputs: Sequence[int] = ()) -> None:
        self.graph = graph
        self.leaves = set(leaves)
        self._support: dict[int, frozenset[int] | None] = {}
        self._shared: set[int] = set()
        self._memory: dict[int, dict[int, int]] = {}
        self._prepare(outputs)

    def _prepare(self, roots: Sequence[int]) -> None:
        """Which leaves everything below `roots` depends on (None: more than a few), and what is shared."""
        graph, support = self.graph, self._support
        if all(root in support for root in roots):
            return
        read: set[int] = set()
        for node in graph.reachable(roots):
            args = graph.args[node]
            for a in args:
                (self._shared if a in read else read).add(a)
            if node not in support:
                support[node] = self._depends_on(node, args)

    def _depends_on(self, node: int, args: tuple[int, ...]) -> frozenset[int] | None:
        if node in self.leaves:
            return frozenset((node,))
        if self.graph.op[node] in CONDITIONS:
            return _NONE
        found: frozenset[int] = _NONE
        for a in args:
            below = self._support[a]
            if below is None:
                return None
            if below and below is not found:
                found = found | below if found else below
        return found if len(found) <= FEW else None

    def depends(self, node: int) -> bool:
        """Does `node` depend on any of the leaves?"""
        if node not in self._support:
            self._prepare([node])
        return self._support[node] is not _NONE

    def of(self, root: int) -> dict[int, int]:
        """Gradient of `root`: leaf -> node, zeros left out."""
        memory = self._memory
        if root in memory:
            return memory[root]
        self._prepare([root])
        pending = [root]
        while pending:
            node = pending[-1]
            if node in memory:
                pending.pop()
                continue
            missing = self._missing(node)
            if missing:
                pending.extend(missing)
                continue
            memory[node] = self._branch(node) if self._is_branch(node) else self._smooth(node)
            pending.pop()
        return memory[root]

    def _is_branch(self, node: int) -> bool:
        return self.graph.op[node] in BRANCHES

    def _is_cut(self, node: int) -> bool:
        return self.graph.op[node] in BRANCHES or (node in self._shared and self._support[node] is not None)

    def _missing(self, root: int) -> list[int]:
        """Nodes whose gradients must be known before that of `root` and are not."""
        graph, support, memory = self.graph, self._support, self._memory
        if graph.op[root] in BRANCHES:
            return [a for a in _taken(graph, root)[1:] if self.depends(a) and a not in memory]
        found, seen, stack = [], {root}, [root]
        while stack:
            for a in graph.args[stack.pop()]:
                if a not in seen and a not in memory and support[a] is not _NONE and a not in self.leaves:
                    seen.add(a)
                    if self._is_cut(a):
                        found.append(a)
                    else:
                        stack.append(a)
        return found

    def _branch(self, node: int) -> dict[int, int]:
        cond, a, b = _taken(self.graph, node)
        zero = self.graph.const(0.0)
        left = self._memory[a] if self.depends(a) else {}
        right = self._memory[b] if self.depends(b) else {}
        chosen = {
            leaf: self.graph.select(cond, left.get(leaf, zero), right.get(leaf, zero))
            for leaf in sorted(left.keys() | right.keys())
        }
        return {leaf: value for leaf, value in chosen.items() if value != zero}

    def _smooth(self, root: int) -> dict[int, int]:
        """The reverse sweep: nodes in decreasing order, so that each has all it is given before it gives."""
        graph, support, memory = self.graph, self._support, self._memory
        zero = graph.const(0.0)
        result: dict[int, int] = {}
        adjoint: dict[int, int] = {root: graph.const(1.0)}
        waiting = [-root]

        def give(node: int, weight: int) -> None:
            if weight == zero or support[node] is _NONE:
                return
            if node in adjoint:
                adjoint[node] = graph.add(adjoint[node], weight)
            else:
                adjoint[node] = weight
                heappush(waiting, -node)

        while waiting:
            node = -heappop(waiting)
            bar = adjoint[node]
            if bar == zero or support[node] is _NONE:
                continue
            op, args = graph.op[node], graph.args[node]
            if node in self.leaves:
                result[node] = bar
            elif node in memory:
                for leaf, partial in memory[node].items():
                    give(leaf, graph.mul(bar, partial))
            elif op == "add":
                give(args[0], bar)
                give(args[1], bar)
            elif op == "sub":
                give(args[0], bar)
                if support[args[1]] is not _NONE:
                    give(args[1], graph.neg(bar))
            elif op == "mul":
                for a, other in (args, (args[1], args[0])):
                    if support[a] is not _NONE:
                        give(a, graph.mul(bar, other))
            elif op in ("net", "net_jac"):
                for j, source in enumerate(graph.args[args[0]]):
                    if support[source] is not _NONE:
                        give(source, graph.mul(bar, _network_partial(graph, node, j)))
            elif op != "netcall":
                for a, weight in zip(args, _partials(graph, node), strict=True):
                    if weight is not None:
                        give(a, graph.mul(bar, weight))
        return {leaf: value for leaf, value in sorted(result.items()) if value != zero}


@uncollected
def sparse_jacobian(graph: Graph, outputs: Sequence[int], leaves: Sequence[int]) -> Sparse:
    """The Jacobian of `outputs` with respect to `leaves`, as {(row, column): node}.

    One reverse sweep for each row, over what that row has to itself; columns count
    positions in `leaves`.  Structural zeros are absent.
    """
    gradients = _Gradients(graph, leaves, outputs)
    column = {leaf: j for j, leaf in enumerate(leaves)}
    entries: Sparse = {}
    for i, output in enumerate(outputs):
        for leaf, value in gradients.of(output).items():
            entries[i, column[leaf]] = value
    return {key: entries[key] for key in sorted(entries)}


def gradient(graph: Graph, output: int, leaves: Sequence[int]) -> dict[int, int]:
    """Gradient of one node: leaf -> node, zeros left out."""
    return dict(_Gradients(graph, leaves).of(output))


@uncollected
def vjp(
    graph: Graph, outputs: Sequence[int], cotangents: Sequence[int], leaves: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Vector-Jacobian product: the reverse sweep of all outputs at once.

    Returns (one node for each leaf, the `net_vjp` nodes whose evaluation
    accumulates the cotangents of network weights).  A network call is swept once,
    with the cotangents of all its outputs.  Every network call that is reached
    gets its sweep, whether or not its inputs depend on the leaves.
    """
    zero = graph.const(0.0)
    wanted = set(leaves)
    gradients = _Gradients(graph, leaves)
    order = graph.reachable(outputs)
    matters = {n: n in wanted or graph.op[n] == "netcall" for n in order}
    for n in order:
        if not matters[n] and graph.op[n] not in CONDITIONS:
            matters[n] = any(matters[a] for a in graph.args[n])
    bar: dict[int, int] = {}
    called: dict[int, dict[int, int]] = {}
    sweeps: list[int] = []

    def give(node: int, weight: int) -> None:
        if weight != zero and matters[node]:
            bar[node] = graph.add(bar[node], weight) if node in bar else weight

    for output, cotangent in zip(outputs, cotangents, strict=True):
        give(output, cotangent)
    for node in reversed(order):
        op = graph.op[node]
        if op == "netcall":
            if node in called:
                width = 1 + max(called[node])
                weights = [called[node].get(i, zero) for i in range(width)]
                sweep = graph.net_vjp(node, weights)
                sweeps.append(sweep)
                for j, source in enumerate(graph.args[node]):
                    if matters[source]:
                        give(source, graph.net_vjp_in(sweep, j))
            continue
        weight = bar.get(node)
        if weight is None or weight == zero or op in LEAVES or node in wanted:
            continue
        if op == "net":
            data = graph.data[node]
            assert isinstance(data, tuple)
            call = called.setdefault(graph.args[node][0], {})
            call[data[0]] = graph.add(call[data[0]], weight) if data[0] in call else weight
        elif op == "net_jac":
            raise NotImplementedError("the reverse sweep does not pass through a network's Jacobian")
        elif op in BRANCHES:
            _route(graph, gradients, give, _taken(graph, node), weight)
        else:
            for a, partial in zip(graph.args[node], _partials(graph, node), strict=True):
                if partial is not None and matters[a]:
                    give(a, graph.mul(weight, partial))
    return [bar.get(leaf, zero) for leaf in leaves], sweeps


def _route(
    graph: Graph,
    gradients: _Gradients,
    give: Callable[[int, int], None],
    branch: tuple[int, int, int],
    weight: int,
) -> None:
    cond, a, b = branch
    zero = graph.const(0.0)
    if _has_network(graph, (a, b)):
        # the sweep through a network must happen at the call, with the routed cotangent
        give(a, graph.select(cond, weight, zero))
        give(b, graph.select(cond, zero, weight))
        return
    left, right = gradients.of(a), gradients.of(b)
    for leaf in sorted(left.keys() | right.keys()):
        chosen = graph.select(cond, left.get(leaf, zero), right.get(leaf, zero))
        give(leaf, graph.mul(weight, chosen))


def _has_network(graph: Graph, roots: Iterable[int]) -> bool:
    return any(graph.op[n] == "netcall" for n in graph.reachable(roots))
