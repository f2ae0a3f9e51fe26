"""ModelSpec -> System: names become leaves, functions are inlined, definitions shared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ..collector import uncollected
from ..errors import UnsupportedError
from ..language import ast
from ..language.names import STIFF
from ..model.expanded import written, written_out
from ..model.spec import Event, ModelSpec
from .graph import Graph
from .ops import FUNCTIONS
from .removable import Removable
from .shared_sums import share
from .system import EventNodes, System

BINARY = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "^": "pow",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
    "and": "and",
    "or": "or",
}


@uncollected
def lower(spec: ModelSpec) -> System:
    """Build the graph of a whole model.

    Definitions may stand in any order; each is lowered once.  Events with `==`
    become two (one for each direction of crossing), so `System.events` can be
    longer than `spec.events`; `EventNodes.source` leads back.  Arrays are written
    out element by element; `UnsupportedError` where that is too much.
    """
    return Builder(written_out(spec, "the graph of scalars")).system()


def lower_expression(spec: ModelSpec, system: System, expr: ast.Expr) -> int:
    """Lower one more expression over the names of `spec` into `system`'s graph."""
    plain = written(expr, {}, {c.name: c.value for c in spec.constants}) if spec.loops else expr
    builder = Builder(written_out(spec), system.graph)
    return builder.lower(plain)


def repaired(spec: ModelSpec) -> tuple[ast.Binary, ...]:
    """The divisions of a model whose 0/0 `lower` replaces by its limit, each once."""
    builder = Builder(written_out(spec))
    builder.system()
    return tuple(builder.repaired.values())


class Builder:
    def __init__(self, spec: ModelSpec, graph: Graph | None = None) -> None:
        self.spec = spec
        self.graph = graph if graph is not None else Graph()
        self.removable = Removable(self.graph)
        self.repaired: dict[int, ast.Binary] = {}
        g = self.graph
        self.names: dict[str, int] = {"t": g.leaf("t"), "e": g.const(math.e)}
        for alias in ("pi", "π"):
            self.names[alias] = g.const(math.pi)
        for constant in spec.constants:
            self.names[constant.name] = g.const(constant.value)
        for i, parameter in enumerate(spec.parameters):
            self.names[parameter.name] = g.leaf("param", i)
        for i, state in enumerate(spec.states):
            self.names[state] = g.leaf("state", i)
        for k, given in enumerate(spec.inputs):
            self.names[given.name] = g.input(k, g.leaf("t"))
        self.functions = {f.name: f for f in spec.functions}
        self.networks = {net.name: k for k, net in enumerate(spec.networks)}
        self._define()

    def _define(self) -> None:
        """Lower the definitions in the order of their dependence (iterative: chains may be long)."""
        waiting = {d.name: d.expr for d in self.spec.definitions}
        inside = {name: sorted(_all_names(self.spec, expr) & waiting.keys()) for name, expr in waiting.items()}
        for first in waiting:
            stack = [first]
            while stack:
                name = stack[-1]
                missing = [] if name in self.names else [d for d in inside[name] if d not in self.names]
                if missing:
                    stack.extend(missing)
                    continue
                stack.pop()
                if name not in self.names:
                    self.names[name] = self.lower(waiting[name])

    def system(self) -> System:
        spec, g = self.spec, self.graph
        place = {name: i for i, name in enumerate(spec.states)} if spec.algebraic else {}
        return System(
            name=spec.name,
            graph=g,
            states=spec.states,
            parameters=tuple(p.name for p in spec.parameters),
            observable_names=tuple(d.name for d in spec.definitions),
            networks=spec.networks,
            rhs=share(g, [self.lower(expr) for expr in spec.derivatives]),
            observables=tuple(self.names[d.name] for d in spec.definitions),
            initial=tuple(None if expr is None else self.lower(expr) for expr in spec.initial),
            inputs=tuple(i.name for i in spec.inputs),
            events=tuple(nodes for k, event in enumerate(spec.events) for nodes in self._event(k, event)),
            algebraic=tuple(place[name] for name in spec.algebraic),
            smooth=frozenset(self.removable.conditions),
        )

    # ------------------------------------------------------------ expressions

    def lower(self, expr: ast.Expr, local: Mapping[str, int] | None = None) -> int:
        """The node of `expr`; `local` holds the arguments of an inlined function."""
        local = local or {}

        known = self.names

        def combine(node: ast.Expr, parts: list[int]) -> int:
            if isinstance(node, ast.Name):
                return local[node.name] if node.name in local else known[node.name]
            if isinstance(node, ast.Call):
                return self._call(node, parts)
            return self._operation(node, parts)

        return ast.fold(expr, combine)

    def _operation(self, node: ast.Expr, parts: list[int]) -> int:
        """The node of a number, or of an operation on what `parts` are."""
        g = self.graph
        if isinstance(node, ast.Binary):
            if node.op == "/":
                limit = self.removable.divide(*parts)
                if limit is not None:
                    self.repaired[id(node)] = node
                    return limit
            return g.call(BINARY[node.op], *parts)
        if isinstance(node, ast.Num):
            return g.const(node.value)
        if isinstance(node, ast.Unary):
            return g.call("neg" if node.op == "-" else "not", *parts)
        assert isinstance(node, ast.IfElse), "arrays are written out before"
        return g.select(*parts)

    def _call(self, node: ast.Call, parts: list[int]) -> int:
        g = self.graph
        if node.func == STIFF:
            return parts[0]
        if node.func in self.networks:
            call = g.netcall(self.networks[node.func], parts)
            return g.net(call, 0 if node.index is None else node.index - 1)
        if node.func in self.functions:
            function = self.functions[node.func]
            return self.lower(function.body, dict(zip(function.args, parts, strict=True)))
        if node.func == "ifelse":
            return g.select(*parts)
        if node.func in ("min", "max"):
            value = parts[0]
            for other in parts[1:]:
                value = g.call(node.func, value, other)
            return value
        op, _ = FUNCTIONS[node.func]
        return g.call(op, *parts)

    # ------------------------------------------------------------ events

    def _event(self, k: int, event: Event) -> list[EventNodes]:
        g = self.graph
        zero = g.const(0.0)
        done = EventNodes("when", zero, zero, zero, zero, self._affect(event), event.terminate, k)
        if event.kind == "when":
            assert event.condition is not None
            condition = event.condition
            if isinstance(condition, ast.Binary) and condition.op == "==":
                gap = g.sub(self.lower(condition.left), self.lower(condition.right))
                back = g.neg(gap)
                return [
                    replace(done, root=root, holds=g.call("ge", root, zero), twin=twin)
                    for root, twin in ((gap, 1), (back, -1))
                ]
            return [replace(done, root=self._root(condition), holds=self.lower(condition))]
        if event.kind == "at":
            assert event.time is not None
            first, period, last = self.lower(event.time), zero, zero
        else:
            assert event.period is not None
            first = zero if event.start is None else self.lower(event.start)
            period = self.lower(event.period)
            last = g.const(math.inf) if event.stop is None else self.lower(event.stop)
        # zero at every occurrence, with the derivative of that occurrence's own time
        gap = g.sub(g.leaf("t"), first)
        if not g.is_const(period, 0.0):
            count = g.call("floor", g.add(g.div(gap, period), g.const(0.5)))
            gap = g.sub(gap, g.mul(period, count))
        return [replace(done, kind=event.kind, root=gap, first=first, period=period, last=last)]

    def _affect(self, event: Event) -> tuple[int, ...]:
        """The states after an event."""
        change = {name: self.lower(expr) for name, expr in event.assignments}
        return tuple(change.get(s, self.graph.leaf("state", i)) for i, s in enumerate(self.spec.states))

    def _root(self, condition: ast.Expr) -> int:
        """A function that is positive where `condition` holds and crosses zero where it turns."""
        g = self.graph
        if isinstance(condition, ast.Binary):
            if condition.op in ("<", "<="):
                return g.sub(self.lower(condition.right), self.lower(condition.left))
            if condition.op in (">", ">="):
                return g.sub(self.lower(condition.left), self.lower(condition.right))
            if condition.op in ("and", "or"):
                pick = "min" if condition.op == "and" else "max"
                return g.call(pick, self._root(condition.left), self._root(condition.right))
        if isinstance(condition, ast.Unary) and condition.op == "not":
            return g.neg(self._root(condition.arg))
        raise UnsupportedError(
            "an event needs a condition made of <, <=, >, >=, `and`, `or`, `not` (or a single ==)",
            hint="write e.g. `when x < 0.1: ...`",
            source=self.spec.source,
            start=condition.span.start if condition.span else None,
            end=condition.span.end if condition.span else None,
            filename=self.spec.filename,
        )


def _all_names(spec: ModelSpec, expr: ast.Expr) -> set[str]:
    """Names in `expr`, and in the bodies of the functions it calls (their arguments excepted)."""
    functions = {f.name: f for f in spec.functions}
    found = ast.names(expr)
    seen: set[str] = set()
    pending = [expr]
    while pending:
        for node in ast.postorder(pending.pop()):
            if isinstance(node, ast.Call) and node.func in functions and node.func not in seen:
                seen.add(node.func)
                function = functions[node.func]
                found |= ast.names(function.body) - set(function.args)
                pending.append(function.body)
    return found
