"""One step of Tsit5 as a single native function, and its reverse sweep.

For small models most of an explicit step is the traffic between solver and
right-hand side.  Here all stages are composed in the graph and lowered together,
so that they stay in registers and LLVM schedules across them.  The kernel uses
these functions where they exist and calls `f` stage by stage where they do not.
"""

from __future__ import annotations

from ..graph.compose import at
from ..graph.derivatives import vjp
from ..graph.ops import LEAVES
from ..graph.system import System
from ..solve.methods.tsit5_tableau import A2, A3, A4, A5, A6, B, C

LARGEST_STATES = 10
LARGEST_OPERATIONS = 120
"""A right-hand side with more states or operations gains little and costs six times its compile time."""
LARGEST_REVERSE = 60


def fits(system: System, largest: int = LARGEST_OPERATIONS) -> bool:
    """Is the model small enough, and free of networks?"""
    if system.networks or not 0 < system.n <= LARGEST_STATES:
        return False
    graph = system.graph
    return sum(graph.op[n] not in LEAVES for n in graph.reachable(system.rhs)) <= largest


def step(system: System) -> tuple[list[list[int]], list[int], list[int]]:
    """(stages k2..k7, argument of stage 6, new state) of a step from (t, u).

    Seeds: v_0..v_{n-1} are k1 = f(t, u), v_n is the step size h.
    """
    graph, n = system.graph, system.n
    k = [[graph.leaf("seed", i) for i in range(n)]]
    h = graph.leaf("seed", n)
    argument: list[int] = []
    last: list[int] = []
    for row, node in zip((A2, A3, A4, A5, A6, B), C[1:], strict=True):
        last = argument
        argument = []
        for i, u in enumerate(system.state_leaves):
            total = graph.const(0.0)
            for weight, stage in zip(row, k, strict=True):
                total = graph.add(total, graph.mul(graph.const(weight), stage[i]))
            argument.append(graph.add(u, graph.mul(h, total)))
        time = graph.add(system.time_leaf, graph.mul(graph.const(node), h))
        places = dict(zip(system.state_leaves, argument, strict=True)) | {system.time_leaf: time}
        k.append(at(graph, system.rhs, places))
    return k[1:], last, argument


def reverse(system: System) -> tuple[list[int], list[int], list[int]]:
    """Cotangents of (u, k1, p) of a step, from those of k2..k7 and the new state.

    Seeds: k1 and h as in `step`, then from v_{n+1} on 7 n cotangents.
    """
    graph, n = system.graph, system.n
    stages, _, new = step(system)
    outputs = [node for stage in stages for node in stage] + new
    cotangents = [graph.leaf("seed", n + 1 + i) for i in range(len(outputs))]
    leaves = (*system.state_leaves, *(graph.leaf("seed", i) for i in range(n)), *system.param_leaves)
    values, _ = vjp(graph, outputs, cotangents, leaves)
    return values[:n], values[n : 2 * n], values[2 * n :]
