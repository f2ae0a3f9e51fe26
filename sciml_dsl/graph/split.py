"""A right-hand side in two parts: the terms marked with `@stiff`, and the rest.

`x' = a*x - @stiff k*x^3` splits into the stiff part -k x^3 and the rest a x.  Marks count
where their term enters linearly: through sums, signs, products with and quotients by
what is not marked, branches, definitions and functions.  Takes a spec and its graph, gives nodes of that graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..errors import UnsupportedError
from ..language import ast
from ..language.names import STIFF
from ..model.expanded import scalar_expressions, written_out
from ..model.spec import ModelSpec
from .build import Builder
from .system import System


@dataclass(frozen=True, slots=True)
class Parts:
    """The node of the marked part of an expression, and of the rest."""

    stiff: int
    rest: int


def split(spec: ModelSpec, system: System) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Nodes (stiff, rest) of each right-hand side, their sums the right-hand sides; None where nothing is marked.

    Raises `UnsupportedError` where a marked term is no term of a sum, with the place.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = a*x - @stiff k*x^3; param a = 1, k = 100")
    >>> stiff, rest = split(m.spec, m.system)
    >>> [m.system.graph.op[node] for node in rest]
    ['mul']
    """
    if not any(_has_mark(expr) for expr in _written_expressions(spec)):
        return None
    splitter = _Splitter(written_out(spec, "a split into stiff and other terms"), system)
    spec = splitter.spec
    parts = [splitter.parts(expr, {}) for expr in spec.derivatives]
    if not any(isinstance(part, Parts) for part in parts):
        return None
    zero = system.graph.const(0.0)
    pairs = [
        part if isinstance(part, Parts) else Parts(zero, node) for part, node in zip(parts, system.rhs, strict=True)
    ]
    return tuple(pair.stiff for pair in pairs), tuple(pair.rest for pair in pairs)


class _Splitter:
    def __init__(self, spec: ModelSpec, system: System) -> None:
        self.spec = spec
        self.builder = Builder(spec, system.graph)
        self.graph = system.graph
        self.zero = system.graph.const(0.0)
        self.functions = {f.name: f for f in spec.functions}
        marked = {f.name for f in spec.functions if _has_mark(f.body)}
        while True:  # functions that call marked ones
            more = {f.name for f in spec.functions if f.name not in marked and _calls(f.body) & marked}
            if not more:
                break
            marked |= more
        self.marked = marked
        self.definitions: dict[str, Parts] = {}
        waiting = {d.name: d.expr for d in spec.definitions}
        interesting = {name for name, expr in waiting.items() if _has_mark(expr) or _calls(expr) & marked}
        while interesting:  # definitions that use marked ones, in any order
            ready = [n for n in waiting if n in interesting and not ast.names(waiting[n]) & interesting - {n}]
            for name in ready:
                found = self.parts(waiting[name], {})
                if isinstance(found, Parts):
                    self.definitions[name] = found
            interesting.difference_update(ready)
            for name in ready:
                waiting.pop(name)
            if not interesting:
                interesting = {n for n, expr in waiting.items() if ast.names(expr) & self.definitions.keys()}

    def parts(self, expr: ast.Expr, local: Mapping[str, int | Parts]) -> ast.Expr | Parts:
        """`expr` itself where nothing in it is marked."""
        plain = {name: value for name, value in local.items() if isinstance(value, int)}

        def node(value: ast.Expr | Parts) -> int:
            return self.builder.lower(value, plain) if not isinstance(value, Parts) else self.total(value)

        def combine(item: ast.Expr, below: list[ast.Expr | Parts]) -> ast.Expr | Parts:
            if isinstance(item, ast.Name):
                given = local.get(item.name, self.definitions.get(item.name))
                return given if isinstance(given, Parts) else item
            if isinstance(item, ast.Call) and item.func == STIFF:
                return Parts(node(below[0]), self.zero)
            if isinstance(item, ast.Call) and item.func in self.functions:
                if item.func not in self.marked and not any(isinstance(b, Parts) for b in below):
                    return item
                function = self.functions[item.func]
                values = [b if isinstance(b, Parts) else node(b) for b in below]
                found = self.parts(function.body, dict(zip(function.args, values, strict=True)))
                return item if not isinstance(found, Parts) else found
            if not any(isinstance(b, Parts) for b in below):
                return item
            return self.linear(item, below, node)

        return ast.fold(expr, combine)

    def total(self, value: Parts) -> int:
        return self.graph.call("add", value.stiff, value.rest)

    def linear(self, item: ast.Expr, below: list[ast.Expr | Parts], node: Callable[[ast.Expr | Parts], int]) -> Parts:
        """Combine values of which at least one is marked."""
        call = self.graph.call

        def both(value: ast.Expr | Parts) -> Parts:
            return value if isinstance(value, Parts) else Parts(self.zero, node(value))

        marked = [isinstance(value, Parts) for value in below]
        if isinstance(item, ast.Binary) and item.op in ("+", "-"):
            a, b = map(both, below)
            op = "add" if item.op == "+" else "sub"
            return Parts(call(op, a.stiff, b.stiff), call(op, a.rest, b.rest))
        if isinstance(item, ast.Unary) and item.op == "-":
            a = both(below[0])
            return Parts(call("neg", a.stiff), call("neg", a.rest))
        if isinstance(item, ast.Binary) and item.op == "*" and not all(marked):
            a, factor = (both(below[0]), node(below[1])) if marked[0] else (both(below[1]), node(below[0]))
            return Parts(call("mul", factor, a.stiff), call("mul", factor, a.rest))
        if isinstance(item, ast.Binary) and item.op == "/" and not marked[1]:
            a, factor = both(below[0]), node(below[1])
            return Parts(call("div", a.stiff, factor), call("div", a.rest, factor))
        branches = isinstance(item, ast.IfElse) or (isinstance(item, ast.Call) and item.func == "ifelse")
        if branches and not marked[0]:
            condition = node(below[0])
            a, b = both(below[1]), both(below[2])
            return Parts(self.graph.select(condition, a.stiff, b.stiff), self.graph.select(condition, a.rest, b.rest))
        place = item.span
        raise UnsupportedError(
            "a term marked with @stiff enters here in a way that is not linear, so it has no share of its own",
            hint="mark terms of a sum: x' = a*x - @stiff k*x^3",
            source=self.spec.source if place is not None else None,
            start=place.start if place is not None else None,
            end=place.end if place is not None else None,
            filename=self.spec.filename,
        )


def _written_expressions(spec: ModelSpec) -> Iterator[ast.Expr]:
    """All expressions that marks may stand in, those of arrays unexpanded."""
    yield from scalar_expressions(spec)
    yield from (block.expr for block in spec.blocks)


def _calls(expr: ast.Expr) -> set[str]:
    return {item.func for item in ast.postorder(expr) if isinstance(item, ast.Call)}


def _has_mark(expr: ast.Expr) -> bool:
    return STIFF in _calls(expr)
