"""Networks written out as scalar expressions of their weights.

Takes a graph with networks; gives one without, whose parameters are the model's and
behind them all weights, so `p` stays as it is.  Everything that is known of parameters
then holds of weights: sensitivities ride along, equations are differentiated and
solved for unknowns.  The price is code that grows with the number of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..collector import uncollected
from ..errors import UnsupportedError
from ..model.spec import Network
from .graph import Graph
from .ops import LEAVES
from .system import System

LARGEST = 2000
"""Weights up to which networks are written out."""


def _sigmoid(graph: Graph, x: int) -> int:
    half = graph.const(0.5)
    return graph.add(half, graph.mul(half, graph.call("tanh", graph.mul(half, x))))  # never overflows


def _softplus(graph: Graph, x: int) -> int:
    decay = graph.call("exp", graph.neg(graph.call("abs", x)))
    return graph.add(graph.call("max", x, graph.const(0.0)), graph.call("log1p", decay))


def _gelu(graph: Graph, x: int) -> int:
    half = graph.mul(graph.const(0.5), x)
    return graph.mul(half, graph.call("erfc", graph.mul(graph.const(-(0.5**0.5)), x)))


ACTIVATIONS: dict[str, Callable[[Graph, int], int]] = {
    "tanh": lambda graph, x: graph.call("tanh", x),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "relu": lambda graph, x: graph.call("max", x, graph.const(0.0)),
    "gelu": _gelu,
    "swish": lambda graph, x: graph.mul(x, _sigmoid(graph, x)),
    "sin": lambda graph, x: graph.call("sin", x),
    "rbf": lambda graph, x: graph.call("exp", graph.neg(graph.mul(x, x))),
    "identity": lambda graph, x: x,
}
"""As in `codegen.activations`."""


def outputs(graph: Graph, net: Network, arguments: list[int], at: int) -> list[int]:
    """Nodes of a network's outputs; its weights are parameters from `at` on."""
    values = arguments
    for layer, (inside, outside) in enumerate(zip(net.sizes, net.sizes[1:], strict=False)):
        bias = at + inside * outside
        sums = [
            graph.add(
                graph.sum([graph.mul(graph.leaf("param", at + i * inside + j), values[j]) for j in range(inside)]),
                graph.leaf("param", bias + i),
            )
            for i in range(outside)
        ]
        last = layer == len(net.sizes) - 2
        values = sums if last else [ACTIVATIONS[net.activation](graph, x) for x in sums]
        at = bias + outside
    return values


@uncollected
def written(system: System) -> System:
    """The system without networks; `system` as it is where it has none.

    Raises `UnsupportedError` for more than `LARGEST` weights.
    """
    if not system.networks:
        return system
    if system.n_weights > LARGEST:
        raise UnsupportedError(
            f"networks in models with algebraic equations are written out, up to {LARGEST:,} weights; "
            f"these have {system.n_weights:,}",
            hint="declare smaller ones, neural U(x) -> 1 { hidden = [8, 8] }",
        )
    graph = system.graph
    events = [n for e in system.events for n in (e.root, e.first, e.period, e.last, *e.affect)]
    roots = [*system.rhs, *system.observables, *(n for n in system.initial if n is not None), *events]
    new: dict[int, int] = {}
    called: dict[int, list[int]] = {}
    for node in graph.reachable(roots):
        op, args = graph.op[node], graph.args[node]
        if op == "netcall":
            number = int(graph.data[node])  # type: ignore[arg-type]
            net, at = system.networks[number], system.weight_offsets[number]
            called[node] = outputs(graph, net, [new[a] for a in args], at)
            new[node] = node
        elif op == "net":
            new[node] = called[args[0]][graph.data[node][0]]  # type: ignore[index]
        elif op in LEAVES or all(new[a] == a for a in args):
            new[node] = node
        elif op == "input":
            k, order = graph.data[node]  # type: ignore[misc]
            new[node] = graph.input(k, new[args[0]], order)
        else:
            new[node] = graph.call(op, *(new[a] for a in args))

    def event(e: object) -> object:
        moved = {name: new[getattr(e, name)] for name in ("root", "first", "period", "last")}
        return replace(e, **moved, affect=tuple(new[n] for n in e.affect))  # type: ignore[attr-defined, type-var]

    names = [f"{net.name}.{j + 1}" for net in system.networks for j in range(net.n_weights)]
    return replace(
        system,
        parameters=(*system.parameters, *names),
        networks=(),
        rhs=tuple(new[n] for n in system.rhs),
        observables=tuple(new[n] for n in system.observables),
        initial=tuple(None if n is None else new[n] for n in system.initial),
        events=tuple(event(e) for e in system.events),  # type: ignore[misc]
        _memory={},
    )
