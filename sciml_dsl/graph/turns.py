"""Times at which equations turn by themselves: where conditions, floor, mod, sign, abs, min and max of time change.

Takes the nodes of a model; gives families of times anchor + k period (period 0: the anchor
alone), as nodes in parameters, and gaps: functions of time whose zeros have no closed form
and must be looked for.  A solver that does not step on such times can miss the pulse
between two of them altogether.  What depends on states, networks or loop indices is left to the error control.

A comparison of something with a number is taken apart from outside: sums, products,
powers, exponentials and their like are inverted, sin, cos, tan, mod, floor and ceil of what is
linear in time give families.  More times than those at which the value changes do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .derivatives import jvp
from .graph import Graph

Family = tuple[int, int]
"""Nodes (anchor, period), to be evaluated at any time and state."""

COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
_LARGEST = 60
"""Families that one condition may have; beyond, its zeros are looked for."""
_INVERSE = {
    "exp": "log",
    "log": "exp",
    "expm1": "log1p",
    "log1p": "expm1",
    "tanh": "atanh",
    "atanh": "tanh",
    "sinh": "asinh",
    "asinh": "sinh",
    "atan": "tan",
    "asin": "sin",
    "acos": "cos",
}


@dataclass(frozen=True)
class Turns:
    """`families` of times, and `gaps`: nodes in time and parameters that change sign where something turns."""

    families: tuple[Family, ...] = ()
    gaps: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.families or self.gaps)


def find(graph: Graph, roots: Iterable[int], varies: Callable[[int], bool]) -> Turns:
    """The turning times of everything `roots` depend on.

    `varies(node)`: does a leaf, network call or reduction stand for more than time and parameters?

    Example
    -------
    >>> g = Graph()
    >>> pulse = g.call("lt", g.call("mod", g.leaf("t"), g.const(24.0)), g.const(1.0))
    >>> found = find(g, [pulse], lambda node: g.op[node] == "state")
    >>> sorted((g.data[a], g.data[period]) for a, period in found.families)
    [(0.0, 24.0), (1.0, 24.0)]
    """
    return _Finder(graph, varies).find(roots)


class _Finder:
    def __init__(self, graph: Graph, varies: Callable[[int], bool]) -> None:
        self.graph = graph
        self.time = graph.leaf("t")
        self.varies = varies
        self.moves: dict[int, bool] = {}  # depends on time
        self.free: dict[int, bool] = {}  # depends on nothing but time and parameters

    def find(self, roots: Iterable[int]) -> Turns:
        graph = self.graph
        families: dict[Family, None] = {}
        gaps: dict[int, None] = {}
        for node in graph.reachable(roots):
            args = graph.args[node]
            self.moves[node] = node == self.time or any(self.moves[a] for a in args)
            self.free[node] = not self.varies(node) and all(self.free[a] for a in args)
            if not (self.moves[node] and self.free[node]):
                continue
            found, gap = self.of(graph.op[node], args)
            if found is None or len(found) > _LARGEST:
                gaps[gap] = None
            else:
                families.update(dict.fromkeys(found))
        return Turns(tuple(families), tuple(g for g in gaps if not graph.is_const(g)))

    def of(self, op: str, args: tuple[int, ...]) -> tuple[list[Family] | None, int]:
        """The times at which a node of this kind turns, or None and a function that changes sign there."""
        graph = self.graph
        zero = graph.const(0.0)
        if op in COMPARISONS or op in ("min", "max"):
            a, b = args
            gap = graph.sub(a, b)
            if self.fixed(b):
                return self.where(a, b), gap
            if self.fixed(a):
                return self.where(b, a), gap
            return self.where(gap, zero), gap
        if op in ("sign", "abs"):
            return self.where(args[0], zero), args[0]
        if op in ("floor", "ceil"):
            return self.steps(args[0], graph.const(1.0)), self.wave(args[0])
        if op == "mod":
            turns = graph.div(args[0], args[1])
            return (self.steps(args[0], args[1]) if self.fixed(args[1]) else None), self.wave(turns)
        return [], zero

    def wave(self, node: int) -> int:
        """Changes sign where `node` passes a whole number."""
        return self.graph.call("sin", self.graph.mul(self.graph.const(math.pi), node))

    def fixed(self, node: int) -> bool:
        """Known not to depend on time (nodes made here are looked at again)."""
        if node not in self.moves:
            self.moves[node] = self.time in self.graph.reachable([node])
        return not self.moves[node]

    def linear(self, node: int) -> int | None:
        """The rate of `node` where it is linear in time."""
        (rate,) = jvp(self.graph, [node], {self.time: self.graph.const(1.0)})
        if self.graph.is_const(rate, 0.0) or not self.fixed(rate):
            return None
        if any(self.graph.op[n] in ("floor", "ceil", "sign", "mod", "select", "min", "max", "abs", *COMPARISONS)
               and not self.fixed(n) for n in self.graph.reachable([node])):  # fmt: skip
            return None
        return rate

    def once(self, node: int, value: int, rate: int) -> int:
        """The time at which `node`, linear in time, has the value."""
        graph = self.graph
        at = {self.time: graph.const(0.0)}
        offset = _at(graph, node, at)
        return graph.div(graph.sub(value, offset), rate)

    def steps(self, node: int, every: int) -> list[Family] | None:
        """Where `node` passes a multiple of `every`."""
        if self.fixed(node):
            return []
        rate = self.linear(node)
        if rate is None:
            return None
        return [(self.once(node, self.graph.const(0.0), rate), self.graph.div(every, rate))]

    def where(self, node: int, value: int) -> list[Family] | None:
        """Times at which `node` passes `value` (fixed) or jumps; None where they have no closed form."""
        graph = self.graph
        if self.fixed(node):
            return []
        rate = self.linear(node)
        if rate is not None:
            return [(self.once(node, value, rate), graph.const(0.0))]
        op, args = graph.op[node], graph.args[node]
        call = graph.call
        if op == "neg":
            return self.where(args[0], graph.neg(value))
        if op in ("add", "sub", "mul", "div") and (self.fixed(args[0]) or self.fixed(args[1])):
            return self._peel(op, args, value)
        if op == "mul" and args[0] == args[1]:
            return self._both(args[0], call("sqrt", value))
        if op == "abs":
            return self._both(args[0], value)
        if op == "pow" and self.fixed(args[1]):
            return self._power(args, value)
        if op == "sqrt":
            return self.where(args[0], graph.mul(value, value))
        if op == "cbrt":
            return self.where(args[0], graph.mul(value, graph.mul(value, value)))
        if op in _INVERSE:
            return self.where(args[0], call(_INVERSE[op], value))
        if op in ("sin", "cos", "tan"):
            return self._wave(op, args[0], value)
        if op == "mod" and self.fixed(args[1]):
            return self._periodic(args[0], [value, graph.const(0.0)], args[1])
        if op in ("floor", "ceil"):
            return self.steps(args[0], graph.const(1.0))
        if op == "sign":
            return self.where(args[0], graph.const(0.0))
        if op in ("min", "max", "select"):
            return self._all([self.where(a, value) for a in args[-2:]])
        return None

    def _all(self, parts: list[list[Family] | None]) -> list[Family] | None:
        found: list[Family] = []
        for part in parts:
            if part is None:
                return None
            found += part
        return found

    def _both(self, node: int, value: int) -> list[Family] | None:
        return self._all([self.where(node, value), self.where(node, self.graph.neg(value))])

    def _peel(self, op: str, args: tuple[int, ...], value: int) -> list[Family] | None:
        graph = self.graph
        a, b = args
        if self.fixed(b):
            inverse = {"add": graph.sub, "sub": graph.add, "mul": graph.div, "div": graph.mul}[op]
            return self.where(a, inverse(value, b))
        if op == "sub":
            return self.where(b, graph.sub(a, value))
        if op == "div":
            return self.where(b, graph.div(a, value))
        return self.where(b, graph.sub(value, a) if op == "add" else graph.div(value, a))

    def _power(self, args: tuple[int, ...], value: int) -> list[Family] | None:
        graph = self.graph
        base, exponent = args
        inverse = graph.div(graph.const(1.0), exponent)
        if not graph.is_const(exponent):
            return self.where(base, graph.pow(value, inverse))
        number = graph.data[exponent]
        assert isinstance(number, float)
        if number != int(number):
            return self.where(base, graph.pow(value, inverse))
        size = graph.pow(graph.call("abs", value), inverse)
        if int(number) % 2 == 0:  # of a negative number there is no root
            return self._both(base, graph.pow(value, inverse))
        return self.where(base, graph.mul(graph.call("sign", value), size))

    def _wave(self, op: str, angle: int, value: int) -> list[Family] | None:
        graph = self.graph
        pi = graph.const(math.pi)
        first = graph.call("a" + op, value)
        if op == "tan":
            return self._periodic(angle, [first, graph.const(math.pi / 2)], pi)
        second = graph.sub(pi, first) if op == "sin" else graph.neg(first)
        return self._periodic(angle, [first, second], graph.const(2 * math.pi))

    def _periodic(self, node: int, values: list[int], every: int) -> list[Family] | None:
        """Where `node`, linear in time, passes one of `values` up to a multiple of `every`."""
        rate = self.linear(node)
        if rate is None:
            return None
        period = self.graph.div(every, rate)
        return [(self.once(node, value, rate), period) for value in values]


def _at(graph: Graph, node: int, places: dict[int, int]) -> int:
    from .compose import at

    return at(graph, [node], places)[0]
