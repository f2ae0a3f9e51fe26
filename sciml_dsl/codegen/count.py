"""Operation counts of a model's routines: what its generated code costs."""

from __future__ import annotations

from collections import Counter

from ..errors import UnknownNameError, suggest
from ..graph.ops import LEAVES
from ..graph.system import System
from .program import ROUTINES, routines


def operations(system: System, of: str = "f") -> dict[str, int]:
    """`{operation: how often}` of the routine `of`, by name; networks are counted as calls.

    Raises `UnknownNameError` where the model has no such routine.
    """
    found = routines(system, (of,))
    if not found:
        known = [*ROUTINES, *(f"affect_{k}" for k in range(len(system.events)))]
        hint = suggest(of, known) or f"routines are {', '.join(known)}"
        raise UnknownNameError(f"the model has no routine `{of}`; {hint}")
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
