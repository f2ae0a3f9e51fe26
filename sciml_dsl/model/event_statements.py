"""Events of a text: what `when`, `at` and `every` say, checked against the states and their equations.

Takes an `EventStatements`, which knows the names; gives an `Event` for each statement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ModelError, NameModelError, UnsupportedError
from ..language import syntax
from ..language.ast import Binary, Expr, Name, Span, Unary
from ..language.complaint import Complaint
from ..language.names import TIME
from .array_statements import ArrayStatements
from .marks import unmarked
from .problems import NOWHERE, Problems
from .scope import Scope
from .spec import Block, Event


@dataclass
class EventStatements:
    """Reads events.

    Arguments: `unknown`, states that algebraic equations determine; `fixed(expr, what)` checks an
    expression in parameters only; `constant(expr)`, whether it is made of numbers and constants
    alone, and `value(expr)` is its number then.
    """

    scope: Scope
    problems: Problems
    arrays: ArrayStatements
    unknown: tuple[str, ...]
    fixed: Callable[[Expr, str], Expr]
    constant: Callable[[Expr], bool]
    value: Callable[[Expr], float]

    def read(self, event: syntax.Event) -> Event:
        """The event of a statement."""
        for part in (event.subject, *(assignment.expr for assignment in event.assignments)):
            unmarked(part, "an event")
        if event.kind == "when":
            condition, time, period, start, stop = self._condition(event.subject), None, None, None, None
        else:
            written = event.subject
            if event.kind == "at" and isinstance(written, Binary) and written.op == "==" and written.left == Name(TIME):
                written = written.right  # at t == 5
            subject = self.fixed(written, "the time of an event")
            condition = None
            time, period = (subject, None) if event.kind == "at" else (None, subject)
            if period is not None and self.constant(period) and not self.value(period) > 0.0:
                raise Complaint("the period of `every` must be positive", event.span, None, ModelError)
            start = None if event.start is None else self.fixed(event.start, "the start of `every`")
            endless = (
                isinstance(event.stop, Name)
                and event.stop.name in ("inf", "Inf")
                and event.stop.name not in self.scope.kinds
            )
            stop = None if event.stop is None or endless else self.fixed(event.stop, "the end of `every`")
        assignments: list[tuple[str, Expr]] = []
        blocks: list[Block] = []
        for assignment in event.assignments:
            name, place = assignment.name.name, assignment.name.span or NOWHERE
            if self.scope.kinds.get(name) != "state":
                self.problems.report(self._not_a_state(name, place))
                continue
            if name in self.unknown:
                self.problems.report(self._determined(name, place))
                continue
            if name in self.problems.unclear:
                self.scope.check(assignment.expr, ranges=assignment.ranges)
                continue
            if assignment.subscripts or name in self.scope.arrays:
                blocks.append(self.arrays.assignment(assignment, self.scope.check))
                continue
            if any(name == other for other, _ in assignments):
                raise Complaint(
                    f"`{name}` is assigned twice in one event", place, "put both changes in one", NameModelError
                )
            assignments.append((name, self.scope.check(assignment.expr)))
        self.arrays.check_once(blocks, event.span)
        changes = tuple(assignments)
        return Event(event.kind, condition, time, period, start, stop, changes, event.terminate, tuple(blocks))

    def _not_a_state(self, name: str, place: Span) -> Complaint:
        states = [n for n, kind in self.scope.kinds.items() if kind == "state"]
        if name in self.scope.kinds:
            hint = f"events change states: {', '.join(states[:5])}"
            if self.scope.kinds[name] == "parameter":
                hint += f"; to change `{name}` make it a state, {name}' = 0"
            return Complaint(
                f"`{name}` is {self.scope.describe(name)}; an event cannot change it", place, hint, NameModelError
            )
        complaint = self.scope.undefined(name, place)
        return Complaint(complaint.message, place, f"events change states: {', '.join(states[:5])}", NameModelError)

    def _determined(self, name: str, place: Span) -> Complaint:
        free = [f"`{n}`" for n, kind in self.scope.kinds.items() if kind == "state" and n not in self.unknown]
        changes = f"change a state it follows from ({', '.join(free[:5])}), or" if free else "change"
        return Complaint(
            f"`{name}` is what the algebraic equations determine at every moment; an event cannot change it",
            place,
            f"{changes} a state of its own that acts in them, such as k' = 0",
            ModelError,
        )

    def _condition(self, expr: Expr) -> Expr:
        """A condition with a root: comparisons joined by `and`, `or`, `not`, or one `==`."""
        checked = self.scope.check(expr)
        if isinstance(checked, Binary) and checked.op == "==":
            return checked
        pending = [checked]
        while pending:
            node = pending.pop()
            if isinstance(node, Binary) and node.op in ("and", "or"):
                pending += [node.left, node.right]
            elif isinstance(node, Unary) and node.op == "not":
                pending.append(node.arg)
            elif not (isinstance(node, Binary) and node.op in ("<", "<=", ">", ">=")):
                span = node.span or NOWHERE
                if isinstance(node, Binary) and node.op in ("==", "!="):
                    message = f"`{node.op}` cannot start an event here: it changes at no moment or only for a moment"
                    raise Complaint(message, span, "use `<` or `>`, or a single `==`", UnsupportedError)
                raise Complaint(
                    "`when` needs a condition that can turn true", span, "compare: when x < 0.1: ...", ModelError
                )
        return checked
