"""Names that are declared and used nowhere, hide something, or have no number."""

from __future__ import annotations

from collections.abc import Iterator

from ..language import syntax
from ..language.ast import Bound, Call, Expr, Index, Reduce, names, postorder
from ..language.names import MATH_CONSTANTS, TIME
from ..model.spec import Array
from ..model.subscripts import box
from .subject import Found, Subject

_TIME_LIKE = frozenset({"time", "Time"})


def unused(s: Subject) -> Iterator[Found]:
    """Parameters, constants, inputs, functions, networks and arguments that nothing uses."""
    numbers: set[str] = set()  # constants that other constants, defaults and bounds are computed from
    for statement in s.document.statements:
        parts: tuple[Expr | syntax.Values | None, ...] = ()
        if isinstance(statement, syntax.Parameter):
            parts = (statement.default, statement.lower, statement.upper)
        elif isinstance(statement, syntax.Constant):
            parts = (statement.value,)
        for part in (*parts, *_ranges(statement)):
            numbers |= set() if part is None else _names(part)
    leave = "leave it out, or use it"
    for p in s.parameters:
        if p.name not in s.used:
            yield Found("unused-parameter", f"the parameter `{p.name}` is used nowhere", s.place(p.name), leave)
    for c in s.spec.constants:
        if c.name not in s.used and c.name not in numbers:
            yield Found("unused-constant", f"the constant `{c.name}` is used nowhere", s.place(c.name), leave)
    for array in s.original.arrays:
        if array.kind == "constant" and array.name not in s.used and array.name not in numbers:
            yield Found("unused-constant", f"the constant `{array.name}` is used nowhere", s.place(array.name), leave)
    for i in s.spec.inputs:
        if i.name not in s.used:
            yield Found("unused-input", f"the input `{i.name}` is used nowhere", s.place(i.name), leave)
    for f in s.spec.functions:
        if f.name not in s.called:
            yield Found("unused-function", f"the function `{f.name}` is called nowhere", s.place(f.name), leave)
        within = names(f.body)
        for argument in f.args:
            if argument not in within:
                message = f"the function `{f.name}` does not use its argument `{argument}`"
                yield Found("unused-argument", message, s.place(f.name), leave)
    for net in s.spec.networks:
        if net.name not in s.called:
            yield Found("unused-network", f"the network `{net.name}` is called nowhere", s.place(net.name), leave)


def unused_states(s: Subject) -> Iterator[Found]:
    """States that stand in nothing but their own equation, where observables say what is looked at."""
    spec = s.spec
    inside: set[str] = set()
    for expr in spec.derivatives:
        inside |= names(expr)
    if not any(d.name not in inside for d in spec.definitions):
        return
    owners: dict[str, set[str]] = {}  # name -> the states whose equations use it
    elsewhere: set[str] = set()
    for state, expr in zip(spec.states, spec.derivatives, strict=True):
        for name in names(expr):
            owners.setdefault(name, set()).add(state)
    for d in spec.definitions:
        elsewhere |= names(d.expr)
    for f in spec.functions:
        elsewhere |= names(f.body) - set(f.args)
    for event in spec.events:
        for part in (event.condition, *(expr for _, expr in event.assignments)):
            elsewhere |= set() if part is None else names(part)
        elsewhere |= set(spec.states) if event.terminate and event.condition is None else set()
    for state in spec.states:
        if state not in elsewhere and not owners.get(state, set()) - {state}:
            yield Found(
                "unused-state",
                f"the state `{state}` is in no other equation, observable or event",
                s.place(state),
                f"observe it, {_observed(s, state)}, or leave its equation out",
            )


def shadowed(s: Subject) -> Iterator[Found]:
    """Names of the model that hide `e`, `pi` or look like the time."""
    values = {name: "the number 2.718..." if name == "e" else "the number 3.14159..." for name in MATH_CONSTANTS}
    kinds = dict.fromkeys(s.spec.states, "state")
    kinds |= {p.name: "parameter" for p in s.parameters} | {c.name: "constant" for c in s.spec.constants}
    kinds |= {d.name: "observable" for d in s.spec.definitions} | {i.name: "input" for i in s.spec.inputs}
    for name, kind in kinds.items():
        if name in values:
            message = f"`{name}` is {_article(kind)} here and no longer {values[name]}"
            yield Found("shadowed-constant", message, s.place(name), "choose another name")
        elif name in _TIME_LIKE:
            message = f"`{name}` is {_article(kind)} here; the time is `t`"
            yield Found("shadowed-constant", message, s.place(name), "write t for the time, or choose another name")
    for f in s.spec.functions:
        for argument in f.args:
            if argument in values or argument == TIME:
                meaning = "the time" if argument == TIME else values[argument]
                message = f"in `{f.name}`, `{argument}` is an argument and no longer {meaning}"
                yield Found("shadowed-constant", message, s.place(f.name), "choose another name")


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def no_default(s: Subject) -> Iterator[Found]:
    """Parameters that must be given or fitted before anything runs."""
    for p in s.parameters:
        if p.default is None and p.name not in s.mixed:
            yield Found(
                "missing-default",
                f"the parameter `{p.name}` has no default",
                s.place(p.name),
                f"write param {_boxed(s, p.name)} = 1, or give it when solving",
            )


def events(s: Subject) -> Iterator[Found]:
    """Events whose condition never changes, and trains of times that end before they begin."""
    statements = [x for x in s.document.statements if isinstance(x, syntax.Event)]
    known = {c.name: c.value for c in s.spec.constants}
    for event, statement in zip(s.spec.events, statements, strict=True):
        if event.condition is not None and not s.varies(event.condition):
            message = "this event never fires: its condition depends on no state and not on the time"
            yield Found("event-never-fires", message, statement.span, "an event fires where its condition turns true")
        if event.kind == "every" and event.stop is not None:
            first, last = _number(event.start, known, 0.0), _number(event.stop, known, 0.0)
            if first is not None and last is not None and last < first:
                message = f"this event never fires: its times end at {last:g} and begin at {first:g}"
                yield Found("event-never-fires", message, statement.span, "write every 24 from 0 until 240: ...")


def _array(s: Subject, name: str) -> Array | None:
    return next((array for array in s.original.arrays if array.name == name), None)


def _observed(s: Subject, state: str) -> str:
    """How a state, or an array of states, becomes an observable."""
    array = _array(s, state)
    if array is None:
        return f"{state}_measured = {state}"
    indices = "ijklmnpq"[: len(array.bounds)]
    ranges = ", ".join(f"{i} in {low}..{high}" for i, (low, high) in zip(indices, array.bounds, strict=True))
    element = ", ".join(indices)
    return f"{state}_measured[{element}] = {state}[{element}] for {ranges}"


def _boxed(s: Subject, name: str) -> str:
    array = _array(s, name)
    return name if array is None else box(name, array.bounds)


def _number(expr: Expr | None, known: dict[str, float], missing: float) -> float | None:
    """The value of an expression of numbers and constants, else None."""
    from ..language.complaint import Complaint
    from ..model.constants import evaluate

    if expr is None:
        return missing
    if any(isinstance(n, Call) for n in postorder(expr)) or names(expr) - known.keys() - MATH_CONSTANTS.keys():
        return None
    try:
        return evaluate(expr, known, "a time", {})
    except Complaint:  # no finite number: not for this rule to say
        return None


def _names(part: Expr | syntax.Values) -> set[str]:
    if not isinstance(part, syntax.Values):
        return names(part)
    return {name for item in part.items for name in _names(item)}


def _ranges(statement: syntax.Statement) -> Iterator[Expr]:
    """The ends of the ranges and the subscripts of a statement about elements, and of the sums in it."""
    said: list[object] = [statement, *(statement.assignments if isinstance(statement, syntax.Event) else ())]
    for one in said:
        for bound in getattr(one, "ranges", ()):
            yield from (bound.first, bound.last, *(() if bound.step is None else (bound.step,)))
        for place in getattr(one, "subscripts", ()):
            yield from (place.first, place.last) if isinstance(place, Bound) else (place,)
        for expr in (getattr(one, name, None) for name in ("expr", "body", "subject")):
            if expr is not None:
                for node in postorder(expr):
                    if isinstance(node, Index):
                        yield from node.subscripts
                    elif isinstance(node, Reduce):
                        yield from (end for b in node.ranges for end in (b.first, b.last, b.step) if end is not None)
