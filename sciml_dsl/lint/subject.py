"""What the rules look at: a model with the text it was read from, and who uses which name.

A rule is a function `(Subject) -> Iterator[Found]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..language import syntax
from ..language.ast import Call, Expr, Name, Span, names, postorder
from ..language.names import TIME
from ..model.dependencies import free_names
from ..model.expanded import scalar_expressions
from ..model.spec import ModelSpec, Parameter
from .collapsed import Collapsed

NOWHERE = Span(0, 0)
_NAMED = (syntax.Parameter, syntax.Constant, syntax.Input, syntax.Definition, syntax.Function, syntax.Network)


@dataclass(frozen=True, slots=True)
class Found:
    """A warning before it has a file and line."""

    code: str
    message: str
    span: Span
    hint: str | None = None


class Subject:
    """A model and its text.

    `spec` has scalars only: an array is one quantity there (`lint.collapsed`);
    `indices` are its parameters that stand for loop indices, `mixed` those of
    array parameters whose defaults have both signs.
    """

    def __init__(self, spec: ModelSpec, document: syntax.Document) -> None:
        assert document.source is not None
        collapsed = Collapsed(spec)
        self.original = spec
        self.spec = collapsed.spec
        self.indices = collapsed.indices
        self.mixed = collapsed.numbers
        self.document = document
        self.source: str = document.source

    @cached_property
    def places(self) -> dict[str, Span]:
        """Where each state, parameter, constant, observable, function and network is introduced."""
        found: dict[str, Span] = {}
        for s in self.document.statements:
            if isinstance(s, syntax.Derivative):
                for order in range(s.order):
                    found.setdefault(s.name.name + "'" * order, s.name.span or s.span)
            elif isinstance(s, syntax.Parameter) and not s.listed:
                found[s.name.name] = s.name.span or s.span
            elif isinstance(s, _NAMED):
                found.setdefault(s.name.name, s.name.span or s.span)
            elif isinstance(s, syntax.Unpacking):
                for name in s.names:
                    found.setdefault(name.name, name.span or s.span)
        return found

    def place(self, name: str) -> Span:
        return self.places.get(name, NOWHERE)

    def shown(self, span: Span | None) -> str:
        """The text at `span` in one line, with the parentheses that belong to it, shortened where long."""
        if span is None:
            return ""
        start, end = span.start, span.end
        text = self.source[start:end]
        missing = text.count("(") - text.count(")")
        while missing > 0 and self.source[end : end + 1] in (")", " "):
            missing -= self.source[end] == ")"
            end += 1
        while missing < 0 and start > 0 and self.source[start - 1] in "( ":
            start -= 1
            missing += self.source[start] == "("
        text = " ".join(self.source[start:end].split())
        return text if len(text) <= 40 else text[:37] + "..."

    @cached_property
    def bodies(self) -> dict[str, tuple[tuple[str, ...], Expr]]:
        """Function -> (arguments, body)."""
        return {f.name: (f.args, f.body) for f in self.spec.functions}

    def expressions(self, *, conditions: bool = True) -> Iterator[tuple[Expr, tuple[str, ...]]]:
        """Every expression of the model with the names that are arguments in it."""
        spec = self.spec
        for expr in (*spec.derivatives, *(d.expr for d in spec.definitions)):
            yield expr, ()
        for initial in spec.initial:
            if initial is not None:
                yield initial, ()
        for f in spec.functions:
            yield f.body, f.args
        for event in spec.events:
            if event.condition is not None and conditions:
                yield event.condition, ()
            for part in (event.time, event.period, event.start, event.stop, *(e for _, e in event.assignments)):
                if part is not None:
                    yield part, ()

    def as_written(self, *, conditions: bool = True) -> Iterator[tuple[Expr, tuple[str, ...]]]:
        """As `expressions`, with elements of arrays as the text has them, each statement once."""
        spec = self.original
        if not spec.loops:
            yield from self.expressions(conditions=conditions)
            return
        bodies = {id(f.body): f.args for f in spec.functions}
        unwanted = set() if conditions else {id(event.condition) for event in spec.events}
        blocks = (*spec.blocks, *(block for event in spec.events for block in event.blocks))
        for expr in (*scalar_expressions(spec), *(block.expr for block in blocks)):
            if id(expr) not in unwanted:
                yield expr, bodies.get(id(expr), ())

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The model's parameters, an array as one."""
        return tuple(p for p in self.spec.parameters if p.name not in self.indices)

    @cached_property
    def used(self) -> set[str]:
        """Every name some expression uses, arguments of functions left out."""
        found: set[str] = set()
        for expr, local in self.expressions():
            found |= names(expr) - set(local)
        return found

    @cached_property
    def called(self) -> set[str]:
        """Every function and network some expression calls."""
        return {n.func for expr, _ in self.expressions() for n in postorder(expr) if isinstance(n, Call)}

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """Name -> the observables whose definitions use it, also through functions."""
        found: dict[str, list[str]] = {}
        for d in self.spec.definitions:
            for name in free_names(d.expr, self.bodies):
                found.setdefault(name, []).append(d.name)
        return found

    def dependents(self, *given: str) -> set[str]:
        """The observables that depend on one of the given names, directly or not."""
        found: set[str] = set()
        pending = list(given)
        while pending:
            for user in self.users.get(pending.pop(), ()):
                if user not in found:
                    found.add(user)
                    pending.append(user)
        return found

    @cached_property
    def networks(self) -> frozenset[str]:
        return frozenset(net.name for net in self.spec.networks)

    def _asks_a_network(self, expr: Expr) -> bool:
        return bool(self.networks) and any(isinstance(n, Call) and n.func in self.networks for n in postorder(expr))

    @cached_property
    def varying(self) -> frozenset[str]:
        """The states, the time, the inputs, and the observables that depend on them."""
        asking = (d.name for d in self.spec.definitions if self._asks_a_network(d.expr))
        first = {*self.spec.states, TIME, *(i.name for i in self.spec.inputs), *asking}
        return frozenset(first | self.dependents(*first))

    def varies(self, expr: Expr, local: tuple[str, ...] = ()) -> bool:
        """Whether the value of `expr` changes during a simulation (arguments of functions count as changing)."""
        if self._asks_a_network(expr) or any(isinstance(n, Name) and n.name in local for n in postorder(expr)):
            return True
        return bool((free_names(expr, self.bodies) - set(local)) & self.varying)
