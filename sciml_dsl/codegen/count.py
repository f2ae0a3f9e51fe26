"""Operation counts of a model's routines: what its generated code costs."""

from __future__ import annotations

from collections import Counter

from ..errors import UnknownNameError, suggest
from ..graph.integers import LoopIndex
from ..graph.loops import LoopSystem, count
from ..graph.ops import LEAVES
from ..graph.system import System
from . import loop_program
from .loop_program import LoopRoutine
from .program import ROUTINES, routines


def operations(system: System | LoopSystem, of: str = "f") -> dict[str, int]:
    """`{operation: how often}` of the routine `of`, by name; networks are counted as calls.

    In loops an operation counts for every turn of the loops that change it; sums and
    their like count as additions, products and comparisons.  Raises `UnknownNameError`
    where the model has no such routine.
    """
    if isinstance(system, LoopSystem):
        made = loop_program.routines(system, (of,))
        if made:
            return _in_loops(system, made[0])
    found = [] if isinstance(system, LoopSystem) else routines(system, (of,))
    if not found:
        known = [*ROUTINES, *(f"affect_{k}" for k in range(len(system.events)))]
        hint = suggest(of, known) or f"routines are {', '.join(known)}"
        raise UnknownNameError(f"the model has no routine `{of}`; {hint}")
    assert isinstance(system, System)
    graph = system.graph
    counts: Counter[str] = Counter()
    for node in graph.reachable(found[0].entries.values()):
        op, data = graph.op[node], graph.data[node]
        if op == "netcall":
            assert isinstance(data, int)
            counts[system.networks[data].name] += 1
        elif op not in LEAVES and not op.startswith("net"):
            counts[op] += 1
    return dict(sorted(counts.items()))


REDUCTIONS = {"sum": "add", "prod": "mul", "argmin": "min", "argmax": "max"}


def _in_loops(system: LoopSystem, routine: LoopRoutine) -> dict[str, int]:
    graph = system.graph
    counts: Counter[str] = Counter()
    seen: set[int] = set()  # what no loop changes is computed once

    def visit(node: int, loops: tuple[LoopIndex, ...], done: set[tuple[int, frozenset[LoopIndex]]]) -> None:
        """Count what one turn of `loops` needs; a node stands in the outermost loops it can."""
        stack = [(node, loops)]
        while stack:
            node, around = stack.pop()
            free = graph.free(node)
            while around and around[-1] not in free:
                around = around[:-1]
            key = (node, frozenset(around))
            if graph.op[node] in LEAVES or key in done or (not around and node in seen):
                continue
            done.add(key)
            if not around:
                seen.add(node)
            turns = count(around)
            op, data = graph.op[node], graph.data[node]
            if op == "reduce":
                kind, loop = graph.reduction(node)
                inner = (*around, loop)
                counts[REDUCTIONS.get(kind, kind)] += count(inner)
                stack.append((graph.args[node][0], inner))
                continue
            if op == "netcall":
                assert isinstance(data, int)
                counts[system.networks[data].name] += turns
            elif not op.startswith("net"):
                counts[op] += turns
            stack.extend((a, around) for a in graph.args[node])

    for loop in routine.loops:
        done: set[tuple[int, frozenset[LoopIndex]]] = set()
        for store in loop.stores:
            visit(store.node, loop.loops, done)
            if store.add:
                counts["add"] += count(loop.loops)
    return dict(sorted(counts.items()))
