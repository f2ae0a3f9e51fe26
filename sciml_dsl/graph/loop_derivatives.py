"""Derivatives of loops, which are loops again: directional, reverse, sparse entries.

The body of a loop is differentiated as a node like any other (`derivatives`),
by the elements it reads.  The derivative of a reduction is a loop around the
derivative of its body; reverse sweeps add into the elements read.  Nothing here
depends on how many elements there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from . import integers
from .derivatives import gradient, jvp, vjp
from .graph import Graph
from .integers import Affine, LoopIndex, whole
from .loops import LoopSystem, Nest
from .ops import CONDITIONS, INPUT, LEAVES

AGAIN = 1_000_000
"""Added to the level of a loop that runs a second time inside itself."""


CHEAP = LEAVES | {"add", "sub", "mul", "div", "neg", "abs", "select", "lt", "le", "gt", "ge", "eq", "ne"}
"""Operations that cost less than a pass through memory."""


@dataclass(frozen=True)
class Entry:
    """The derivative of element `row` by element `column`, for all turns of the loops."""

    loops: tuple[LoopIndex, ...]
    row: Affine
    column: Affine
    node: int


@dataclass(frozen=True)
class Addition:
    """`vector[at] += node` for all turns of the loops, after what `sweeps` (reverse sweeps of networks) do."""

    loops: tuple[LoopIndex, ...]
    vector: str
    at: Affine
    node: int
    sweeps: tuple[int, ...] = ()


# ---------------------------------------------------------------- reading a body


def read(graph: Graph, roots: Iterable[int]) -> list[int]:
    """The leaves and reductions that `roots` are made of; reductions are not looked into."""
    seen: set[int] = set()
    found: list[int] = []
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if graph.op[node] == "reduce" or (graph.op[node] in LEAVES and graph.op[node] != "const"):
            found.append(node)
        else:
            stack.extend(graph.args[node])
    return sorted(found)


def place(graph: Graph, leaf: int) -> tuple[str, Affine] | None:
    """(vector, position) of a leaf that is an element of a vector."""
    op = graph.op[leaf]
    if op == "element":
        return graph.position(leaf)
    if op in ("state", "param", "seed"):
        return op, whole(cast(int, graph.data[leaf]))
    return None


def is_cheap(graph: Graph, node: int) -> bool:
    """Does a turn of a loop cost less than its pass through memory?  What no loop changes costs nothing."""
    return all(graph.op[n] in CHEAP or not graph.free(n) or _small_power(graph, n) for n in graph.reachable([node]))


def _small_power(graph: Graph, node: int) -> bool:
    if graph.op[node] != "pow":
        return False
    exponent = graph.data[graph.args[node][1]]
    return isinstance(exponent, float) and exponent.is_integer() and abs(exponent) <= 4.0


def is_grid(loops: Iterable[LoopIndex]) -> bool:
    """Do all loops have fixed ends?"""
    return all(loop.first.is_constant and loop.last.is_constant for loop in loops)


def renamed(graph: Graph, node: int, values: dict[LoopIndex, Affine]) -> int:
    """`node` with loop indices replaced, in the bounds of its reductions too."""
    new: dict[int, int] = {}
    for n in graph.reachable([node]):
        op, args = graph.op[n], graph.args[n]
        if not graph.free(n) & values.keys():
            new[n] = n
        elif op == "element":
            vector, at = graph.position(n)
            new[n] = graph.element(vector, integers.substitute(at, values))
        elif op == "index":
            new[n] = graph.whole(integers.substitute(graph.whole_of(n), values))
        elif op == "reduce":
            kind, loop = graph.reduction(n)
            ends = [integers.substitute(a, values) for a in (loop.first, loop.last)]
            if ends == [loop.first, loop.last]:
                new[n] = graph.reduce(kind, loop, new[args[0]])
            else:
                moved = LoopIndex(loop.name, ends[0], ends[1], loop.level)
                inside = renamed(graph, args[0], {**values, loop: integers.index(moved)})
                new[n] = graph.reduce(kind, moved, inside)
        elif op == INPUT:
            k, order = cast("tuple[int, int]", graph.data[n])
            new[n] = graph.input(k, new[args[0]], order)
        elif op in ("netcall", "net", "net_jac", "net_hess"):
            new[n] = _network(graph, n, [new[a] for a in args])
        else:
            new[n] = graph.call(op, *(new[a] for a in args))
    return new[node]


def _network(graph: Graph, node: int, args: list[int]) -> int:
    op, data = graph.op[node], graph.data[node]
    if op == "netcall":
        return graph.netcall(data, args)  # type: ignore[arg-type]
    make: Callable[..., int] = getattr(graph, op)
    return make(args[0], *data)  # type: ignore[misc]


# ---------------------------------------------------------------- reductions


def weight(graph: Graph, reduction: int) -> int:
    """The derivative of a reduction by the body of one turn, as a node with the reduction's own index."""
    op, loop = graph.reduction(reduction)
    body = graph.args[reduction][0]
    if op == "sum":
        return graph.const(1.0)
    # over all turns once more, by an index of its own
    other = LoopIndex(loop.name, loop.first, loop.last, loop.level + AGAIN)
    factor = renamed(graph, body, {loop: integers.index(other)})
    if op in ("min", "max"):
        best = graph.reduce(f"arg{op}", other, factor)
        return graph.call("eq", graph.whole(integers.index(loop)), best)
    # a product: that of all other turns, so that zeros do no harm
    same = graph.call("eq", graph.whole(integers.index(other)), graph.whole(integers.index(loop)))
    return graph.reduce("prod", other, graph.select(same, graph.const(1.0), factor))


def weighted(graph: Graph, factor: int, value: int) -> int:
    """factor * value, but 0 where the factor is 0 by a choice: what is not taken may be undefined."""
    zero = graph.const(0.0)
    if graph.op[factor] in CONDITIONS:
        return graph.select(factor, value, zero)
    product = graph.mul(factor, value)
    if product == zero or not _chooses(graph, factor):
        return product
    return graph.select(graph.call("ne", factor, zero), product, zero)


def _chooses(graph: Graph, node: int) -> bool:
    return any(graph.op[n] == "select" for n in graph.reachable([node]))


def reduction_tangent(graph: Graph, node: int, tangent: int) -> int:
    """The tangent of a reduction from the tangent of its body."""
    if graph.is_const(tangent, 0.0):
        return tangent
    op, loop = graph.reduction(node)
    if op.startswith("arg"):
        return graph.const(0.0)
    return graph.reduce("sum", loop, weighted(graph, weight(graph, node), tangent))


# ---------------------------------------------------------------- directional


def tangents(system: LoopSystem, roots: Sequence[int], by: str) -> list[int]:
    """Directional derivatives of `roots` along "seed" (by the states), or by the time "t".

    Temporary arrays are followed by their own tangents: that of temp[k] is temp[n_temps + k].
    """
    return _tangents(system, roots, by, moving(system, by))


def moving(system: LoopSystem, by: str) -> set[int]:
    """Stages of the temporary arrays whose tangents are not zero."""
    found = system._memory.get(("moving", by))
    if found is None:
        found = system._memory["moving", by] = set()
        zero = system.graph.const(0.0)
        for nest in system.temporaries:
            if _tangents(system, [nest.node], by, found)[0] != zero:
                found.add(system.stage(nest.at))
    return found  # type: ignore[no-any-return]


def _tangents(system: LoopSystem, roots: Sequence[int], by: str, moves: set[int]) -> list[int]:
    graph = system.graph
    seeds: dict[int, int] = {}
    for leaf in graph.reachable(roots):
        found = place(graph, leaf)
        if by == "t" and graph.op[leaf] == "t":
            seeds[leaf] = graph.const(1.0)
        elif found is not None and found[0] == "temp" and system.stage(found[1]) in moves:
            seeds[leaf] = graph.element("temp", found[1] + system.n_temps)
        elif found is not None and found[0] == "state" and by == "seed":
            seeds[leaf] = graph.element("seed", found[1])
    return jvp(graph, roots, seeds)


# ---------------------------------------------------------------- entries


def entries(system: LoopSystem, nests: Sequence[Nest], kind: str) -> list[Entry]:
    """The derivatives of `nests` by the elements of a vector ("state" or "param").

    Entries of several loops may meet in one place, where they add up.
    """
    found: list[Entry] = []
    for nest in nests:
        _entries(system, nest.node, nest.loops, nest.at, system.graph.const(1.0), kind, found)
    return found


def jacobian_entries(system: LoopSystem) -> list[Entry]:
    """df/du as entries, made once."""
    found = system._memory.get("jacobian_entries")
    if found is None:
        found = system._memory["jacobian_entries"] = entries(system, system.rhs, "state")
    return found  # type: ignore[no-any-return]


def _entries(
    system: LoopSystem,
    node: int,
    loops: tuple[LoopIndex, ...],
    row: Affine,
    factor: int,
    kind: str,
    out: list[Entry],
) -> None:
    graph = system.graph
    leaves = [n for n in read(graph, [node]) if _may_depend(graph, n, kind)]
    for leaf, partial in gradient(graph, node, leaves).items():
        value = weighted(graph, factor, partial)
        if graph.op[leaf] == "reduce":
            _, loop = graph.reduction(leaf)
            inner = weighted(graph, weight(graph, leaf), value)
            _entries(system, graph.args[leaf][0], (*loops, loop), row, inner, kind, out)
            continue
        found = place(graph, leaf)
        assert found is not None
        vector, at = found
        if vector == "temp":
            _entries(system, system.inlined(leaf, loops), loops, row, value, kind, out)
        else:
            out.append(Entry(loops, row, at, value))


def _may_depend(graph: Graph, leaf: int, kind: str) -> bool:
    if graph.op[leaf] == "reduce":
        return not graph.reduction(leaf)[0].startswith("arg")
    found = place(graph, leaf)
    return found is not None and found[0] in (kind, "temp")


# ---------------------------------------------------------------- reverse


@dataclass
class _Reverse:
    """Cotangents on their way down, through reductions without free indices and temporary
    arrays in the order in which they were made: the youngest first."""

    system: LoopSystem
    kinds: tuple[str, ...]
    sweep: bool
    additions: list[Addition] = field(default_factory=list)
    closed: dict[int, list[int]] = field(default_factory=dict)  # reduction -> parts of its cotangent
    temps: dict[int, None] = field(default_factory=dict)  # stages with a cotangent
    queue: list[tuple[int, str, int]] = field(default_factory=list)

    def body(self, node: int, loops: tuple[LoopIndex, ...], cotangent: int) -> None:
        """The reverse sweep of one turn, with `cotangent` on `node`."""
        graph = self.system.graph
        leaves = [n for n in read(graph, [node]) if any(_may_depend(graph, n, k) for k in self.kinds)]
        bars = {leaf: weighted(graph, cotangent, g) for leaf, g in gradient(graph, node, leaves).items()}
        # weights by sweeps of their own: what a sweep adds to them must be added once, while the
        # cotangents of the inputs may be asked for again where they are summed
        sweeps: tuple[int, ...] = ()
        if self.sweep:
            ends = [n for n in read(graph, [node]) if graph.op[n] == "reduce"]
            sweeps = tuple(vjp(graph, [node], [cotangent], ends)[1])
        zero = graph.const(0.0)
        if sweeps:
            self.additions.append(Addition(loops, "", whole(0), zero, sweeps))
        for leaf, bar in bars.items():
            if bar != zero:
                self.leaf(leaf, loops, bar)

    def leaf(self, leaf: int, loops: tuple[LoopIndex, ...], bar: int) -> None:
        graph, system = self.system.graph, self.system
        if graph.op[leaf] == "reduce":
            self.reduction(leaf, loops, bar)
            return
        found = place(graph, leaf)
        assert found is not None
        vector, at = found
        if vector == "const":
            return
        if vector == "temp":
            stage = system.stage(at)
            if stage not in self.temps:
                self.temps[stage] = None
                heapq.heappush(self.queue, (-stage, "temp", stage))
            at = at + system.n_temps
        if is_cheap(graph, bar) and is_grid(loops):
            # one number that every turn adds to becomes a sum, which turns into vector code
            common = [loop for loop in loops if loop not in set(integers.indices(at))]
            bar = self.summed(common, bar)
            loops = tuple(loop for loop in loops if loop not in common)
        self.additions.append(Addition(loops, vector, at, bar))

    def summed(self, loops: Sequence[LoopIndex], bar: int) -> int:
        """`bar` added up over the turns of loops with fixed ends."""
        graph = self.system.graph
        for loop in reversed(loops):
            if loop in graph.free(bar):
                bar = graph.reduce("sum", loop, bar)
            else:
                count = loop.last.constant - loop.first.constant + 1
                bar = graph.mul(graph.const(float(count)), bar)
        return bar

    def reduction(self, node: int, loops: tuple[LoopIndex, ...], bar: int) -> None:
        """Gather the cotangent of a reduction over the turns it is common to, then go inside."""
        graph = self.system.graph
        free = graph.free(node)
        if is_grid(loops):  # the sums may be taken in any order
            bar = self.summed([loop for loop in loops if loop not in free], bar)
            loops = tuple(loop for loop in loops if loop in free)
        if not loops and not free:
            if node not in self.closed:
                heapq.heappush(self.queue, (-node, "reduce", node))
            self.closed.setdefault(node, []).append(bar)
            return
        self.inside(node, loops, bar)

    def inside(self, node: int, loops: tuple[LoopIndex, ...], bar: int) -> None:
        graph = self.system.graph
        _, loop = graph.reduction(node)
        self.body(graph.args[node][0], (*loops, loop), weighted(graph, weight(graph, node), bar))

    def finish(self) -> None:
        graph, system = self.system.graph, self.system
        while self.queue:
            _, kind, key = heapq.heappop(self.queue)
            if kind == "reduce":
                self.inside(key, (), graph.sum(self.closed.pop(key)))
                continue
            for nest in system.temporaries:
                if system.stage(nest.at) == key:
                    self.body(nest.node, nest.loops, graph.element("temp", nest.at + system.n_temps))


def reverse(system: LoopSystem, kinds: Sequence[str], *, sweep: bool) -> list[Addition]:
    """The cotangents of the vectors in `kinds` ("state", "param") for seeds on the right-hand side.

    Additions to "temp" at n_temps + k are to the cotangent of temp[k], to be zero before.
    Order matters.  `sweep`: networks by reverse sweeps that also add the cotangents of
    their weights; otherwise by their Jacobians.
    """
    made = _Reverse(system, tuple(kinds), sweep)
    for nest in system.rhs:
        made.body(nest.node, nest.loops, system.graph.element("seed", nest.at))
    made.finish()
    return made.additions
