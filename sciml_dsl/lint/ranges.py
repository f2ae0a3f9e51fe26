"""Between which bounds a value can lie: interval arithmetic over expressions.

States that start at or above zero and whose equations do not lead below it are
known to stay there (the flow on the face x = 0 points inwards; Hirsch & Smith,
"Monotone Dynamical Systems", 2005, sec. 3.1).  Parameters lie within their
bounds, or where none are given on the side of zero of their default.  Ranges
are rounded like ordinary doubles: they guide warnings, and prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ..language.ast import Binary, Call, Expr, IfElse, Name, Num, Unary, fold, names, postorder
from ..language.names import BUILTINS, MATH_CONSTANTS, STIFF, TIME
from ..model.dependencies import free_names
from .subject import NOWHERE, Found, Subject

Range = tuple[float, float, bool]
"""Lower end, upper end, and whether a state takes part."""

_INF = math.inf
_INCREASING = {"exp", "expm1", "cbrt", "atan", "arctan", "sinh", "tanh", "asinh", "erf", "floor", "ceil", "sign"}
_ROOTS = {"sqrt": 0.0, "log": 0.0, "ln": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0}


def negative_arguments(s: Subject) -> Iterator[Found]:
    """Roots, logarithms and broken powers of states that may become negative."""
    if not _asks(s):
        return
    ranges = Ranges(s, _stay_positive(s))
    bad: dict[int, Expr] = {}
    for expr in _evaluated(s):
        ranges.value(expr, {}, bad)
    guards = _guards(s) if bad else {}
    for node in sorted(bad.values(), key=lambda n: n.span.start if n.span else 0):
        argument = node.args[0] if isinstance(node, Call) else node.left if isinstance(node, Binary) else node
        if names(argument) & guards.get(id(node), set()):
            continue
        span = node.span or NOWHERE
        inside = s.shown(argument.span)
        if isinstance(node, Call) and node.func != "pow":
            what = "root" if node.func == "sqrt" else "log"
            word = "root" if what == "root" else "logarithm"
            limit = "below -1" if node.func == "log1p" else "negative"
            yield Found(
                f"possibly-negative-{what}",
                f"the {word} of `{inside}`, which may become {limit}: the result is then not a number",
                span,
                f"write {node.func}(max({inside}, 0))"
                if what == "root"
                else f"write {node.func}(max({inside}, 1e-12))",
            )
        else:
            yield Found(
                "possibly-negative-power",
                f"a broken power of `{inside}`, which may become negative: the result is then not a number",
                span,
                f"write max({inside}, 0) for the base",
            )


def zero_bounds(s: Subject) -> Iterator[Found]:
    """Divisions by parameters that may be zero within their bounds."""
    loose = {
        p.name: p
        for p in s.parameters
        if p.lower <= 0.0 <= p.upper and not p.log and (math.isfinite(p.lower) or math.isfinite(p.upper))
    }
    if not loose:
        return
    told: set[str] = set()
    for expr, local in s.expressions():
        for node in postorder(expr):
            if not (isinstance(node, Binary) and node.op == "/"):
                continue
            for factor in _factors(node.right):
                name = factor.name
                if name in loose and name not in local and name not in told:
                    told.add(name)
                    p = loose[name]
                    yield Found(
                        "division-by-zero-bound",
                        f"division by `{name}`, whose bounds [{p.lower:g}, {p.upper:g}] contain 0",
                        factor.span or node.span or NOWHERE,
                        f"let the bounds begin above 0: param {name} in [1e-6, {p.upper:g}]",
                    )


def _factors(node: Expr) -> Iterator[Name]:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, Name):
            yield node
        elif isinstance(node, Binary) and node.op == "*":
            stack += [node.right, node.left]
        elif isinstance(node, Binary) and node.op == "^":
            stack.append(node.left)
        elif isinstance(node, Unary):
            stack.append(node.arg)


def _asks(s: Subject) -> bool:
    """Whether anything could be outside its domain at all."""
    for expr, _ in s.expressions():
        for node in postorder(expr):
            if isinstance(node, Call) and (node.func in _ROOTS or node.func == "pow"):
                return True
            if isinstance(node, Binary) and node.op == "^" and not _whole(node.right):
                return True
    return False


def _evaluated(s: Subject) -> Iterator[Expr]:
    """Every expression that is evaluated as it stands; bodies of functions are at their calls."""
    spec = s.spec
    yield from spec.derivatives
    yield from (d.expr for d in spec.definitions)
    for event in spec.events:
        if event.condition is not None:
            yield event.condition
        yield from (expr for _, expr in event.assignments)


def _guards(s: Subject) -> dict[int, set[str]]:
    """Node -> names that a condition around it speaks about: `if x > 0 then sqrt(x) else 0` is meant."""
    found: dict[int, set[str]] = {}
    for expr, _ in s.expressions():
        for node in postorder(expr):
            if isinstance(node, IfElse):
                cond, arms = node.cond, (node.then, node.other)
            elif isinstance(node, Call) and node.func == "ifelse":
                cond, arms = node.args[0], (node.args[1], node.args[2])
            else:
                continue
            about = names(cond)
            for arm in arms:
                for below in postorder(arm):
                    if isinstance(below, (Call, Binary)):
                        found.setdefault(id(below), set()).update(about)
    return found


def _stay_positive(s: Subject) -> frozenset[str]:
    """The states that are known not to become negative."""
    spec = s.spec
    free = Ranges(s, frozenset())
    positive = {
        state
        for state, initial in zip(spec.states, spec.initial, strict=True)
        if initial is None or free.value(initial, {})[0] >= 0.0
    }
    equations = dict(zip(spec.states, spec.derivatives, strict=True))
    changes = [(state, expr) for event in spec.events for state, expr in event.assignments]
    readers: dict[str, list[str]] = {}  # name -> states whose equations use it
    for state, expr in equations.items():
        for name in free_names(expr, s.bodies):
            readers.setdefault(name, []).append(state)
    ranges = Ranges(s, frozenset(positive))
    pending = list(reversed(spec.states))
    while pending:
        state = pending.pop()
        if state not in positive:
            continue
        inward = ranges.at_zero(state, equations[state])[0] >= 0.0
        if inward and all(ranges.value(expr, {})[0] >= 0.0 for name, expr in changes if name == state):
            continue
        positive.remove(state)
        ranges.release(state)
        for name in (state, *s.dependents(state)):
            pending += readers.get(name, [])
        pending += [name for name, _ in changes]
    return frozenset(positive)


class Ranges:
    """The ranges of expressions of one model, given which states are never negative."""

    def __init__(self, s: Subject, positive: frozenset[str]) -> None:
        self.subject = s
        self.known: dict[str, Range] = {name: (v, v, False) for name, v in MATH_CONSTANTS.items()}
        self.known[TIME] = (0.0, _INF, False)
        for c in s.spec.constants:
            self.known[c.name] = (c.value, c.value, False)
        for p in s.spec.parameters:
            lower, upper = p.lower, p.upper
            if lower == -_INF and upper == _INF:
                lower, upper = (-_INF, 0.0) if p.default is not None and p.default < 0.0 else (0.0, _INF)
            self.known[p.name] = (lower, upper, False)
        for state in s.spec.states:
            self.known[state] = (0.0 if state in positive else -_INF, _INF, True)
        for given in s.spec.inputs:
            negative = given.data is not None and min(given.data[1]) < 0.0
            self.known[given.name] = (-_INF if negative else 0.0, _INF, False)
        self.definitions = {d.name: d.expr for d in s.spec.definitions}
        self.bodies = s.bodies
        self.loose = {p.name for p in s.spec.parameters if not _fixed_whole(p.default, p.lower, p.upper)}
        self.memory: dict[object, Range] = {}

    def value(self, expr: Expr, local: Mapping[str, Range], bad: dict[int, Expr] | None = None) -> Range:
        """The range of `expr`; nodes that may leave their domain because of a state are entered in `bad`."""
        for name in sorted(names(expr) - local.keys()):
            self.define(name)

        def combine(node: Expr, parts: list[Range]) -> Range:
            if isinstance(node, Num):
                return (node.value, node.value, False)
            if isinstance(node, Name):
                return local[node.name] if node.name in local else self.known[node.name]
            state = any(part[2] for part in parts)
            if bad is not None and parts and parts[0][2] and self.leaves(node, parts):
                bad[id(node)] = node
            if isinstance(node, Call) and node.func in self.bodies:
                args, body = self.bodies[node.func]
                key = (node.func, tuple(parts), bad is None)
                if key not in self.memory:
                    self.memory[key] = self.value(body, dict(zip(args, parts, strict=True)), bad)
                return self.memory[key]
            lower, upper = self.combined(node, parts)
            if math.isnan(lower) or math.isnan(upper):
                lower, upper = -_INF, _INF
            return (lower, upper, state)

        return fold(expr, combine)

    def at_zero(self, state: str, expr: Expr) -> Range:
        """The range of `expr` where `state` is zero."""
        kept = {name: self.known.pop(name) for name in self.subject.dependents(state) if name in self.known}
        kept[state] = self.known[state]
        self.known[state] = (0.0, 0.0, True)
        self.memory.clear()
        found = self.value(expr, {})
        for name in self.subject.dependents(state):
            self.known.pop(name, None)
        self.known.update(kept)
        self.memory.clear()
        return found

    def release(self, state: str) -> None:
        """Let `state` have any sign from here on."""
        for name in self.subject.dependents(state):
            self.known.pop(name, None)
        self.known[state] = (-_INF, _INF, True)
        self.memory.clear()

    def define(self, name: str) -> None:
        """Find the ranges of an observable and of those it needs."""
        pending = [name]
        while pending:
            name = pending[-1]
            if name in self.known or name not in self.definitions:
                pending.pop()
                continue
            needed = free_names(self.definitions[name], self.bodies)
            needs = [n for n in needed if n in self.definitions and n not in self.known]
            if needs:
                pending += needs
            else:
                self.known[name] = self.value(self.definitions[name], {})
                pending.pop()

    def leaves(self, node: Expr, parts: list[Range]) -> bool:
        """Whether the first argument of `node` may lie outside where it is defined."""
        if isinstance(node, Call) and node.func in _ROOTS:
            return parts[0][0] < _ROOTS[node.func]
        power = (isinstance(node, Binary) and node.op == "^") or (isinstance(node, Call) and node.func == "pow")
        if not power or parts[0][0] >= 0.0:
            return False
        exponent = node.right if isinstance(node, Binary) else node.args[1]  # type: ignore[union-attr]
        if _whole(exponent):
            return False
        return not (isinstance(exponent, Name) and parts[1][0] == parts[1][1] and parts[1][0].is_integer()) and not (
            isinstance(exponent, Name) and exponent.name in self.known and exponent.name not in self.loose
            and not parts[1][2]
        )  # fmt: skip

    # ------------------------------------------------------------ operations

    def combined(self, node: Expr, parts: list[Range]) -> tuple[float, float]:
        if isinstance(node, Unary):
            return (-parts[0][1], -parts[0][0]) if node.op == "-" else (0.0, 1.0)
        if isinstance(node, IfElse):
            return _hull(parts[1], parts[2])
        a = parts[0][:2] if parts else (-_INF, _INF)
        if isinstance(node, Binary):
            return _binary(node, a, parts[1][:2])
        if not isinstance(node, Call):
            return -_INF, _INF
        return _call(node, a, parts)


def _binary(node: Binary, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    op = node.op
    if op == "+":
        return a[0] + b[0], a[1] + b[1]
    if op == "-":
        return (0.0, 0.0) if node.left == node.right else (a[0] - b[1], a[1] - b[0])
    if op == "*":
        if node.left == node.right:
            return _power(a, 2.0)
        return _hulls([_times(x, y) for x in a for y in b])
    if op == "/":
        return _hulls([_times(x, y) for x in a for y in _reciprocal(b)])
    if op == "^":
        return _power(a, b[0]) if b[0] == b[1] else ((0.0, _INF) if a[0] >= 0.0 else (-_INF, _INF))
    return 0.0, 1.0


def _call(node: Call, a: tuple[float, float], parts: list[Range]) -> tuple[float, float]:
    name = node.func
    if name == STIFF:
        return a
    if name == "ifelse":
        return _hull(parts[1], parts[2])
    if name in ("min", "max"):
        pick = min if name == "min" else max
        return pick(p[0] for p in parts), pick(p[1] for p in parts)
    if name == "pow":
        b = parts[1]
        return _power(a, b[0]) if b[0] == b[1] else ((0.0, _INF) if a[0] >= 0.0 else (-_INF, _INF))
    if name == "abs":
        return (0.0 if a[0] <= 0.0 <= a[1] else min(abs(a[0]), abs(a[1]))), max(abs(a[0]), abs(a[1]))
    if name in ("sin", "cos"):
        return -1.0, 1.0
    if name == "sqrt":
        return (0.0 if a[0] <= 0.0 else math.sqrt(a[0])), (_INF if a[1] == _INF else math.sqrt(max(a[1], 0.0)))
    if name in ("cosh", "gamma") or name == "erfc":
        return (0.0, _INF) if name != "gamma" or a[0] >= 0.0 else (-_INF, _INF)
    if name in ("log", "ln", "log2", "log10"):
        return (0.0 if a[0] >= 1.0 else -_INF), _INF
    if name == "log1p":
        return (0.0 if a[0] >= 0.0 else -_INF), _INF
    if name == "mod":
        return (0.0, parts[1][1]) if parts[1][0] >= 0.0 else (-_INF, _INF)
    if name in _INCREASING:
        return _at(name, a[0]), _at(name, a[1])
    return -_INF, _INF


def _at(name: str, x: float) -> float:
    """An increasing function, also at infinity."""
    if math.isinf(x):
        ends = {"exp": (0.0, _INF), "expm1": (-1.0, _INF), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0), "sign": (-1.0, 1.0)}
        ends |= dict.fromkeys(("atan", "arctan"), (-math.pi / 2, math.pi / 2))
        return ends.get(name, (-_INF, _INF))[x > 0]
    function = BUILTINS[name][2]
    assert function is not None
    try:
        return float(function(x))
    except OverflowError:
        return math.copysign(_INF, x)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0.0 or y == 0.0 else x * y


def _reciprocal(b: tuple[float, float]) -> tuple[float, float]:
    if b[0] < 0.0 < b[1] or b == (0.0, 0.0):
        return -_INF, _INF
    return (-_INF if b[1] == 0.0 else 1.0 / b[1]), (_INF if b[0] == 0.0 else 1.0 / b[0])


def _power(a: tuple[float, float], exponent: float) -> tuple[float, float]:
    even = exponent.is_integer() and exponent % 2 == 0
    if a[0] >= 0.0 or even:
        if exponent < 0.0:
            return 0.0, _INF
        low, high = (0.0 if a[0] <= 0.0 <= a[1] else min(abs(a[0]), abs(a[1]))), max(abs(a[0]), abs(a[1]))
        return _raised(low, exponent), _raised(high, exponent)
    return -_INF, _INF


def _raised(x: float, exponent: float) -> float:
    try:
        return math.pow(x, exponent)
    except OverflowError:
        return _INF


def _hull(a: Range, b: Range) -> tuple[float, float]:
    return min(a[0], b[0]), max(a[1], b[1])


def _hulls(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _whole(node: Expr) -> bool:
    """Whether an exponent is a whole number."""
    while isinstance(node, Unary) and node.op == "-":
        node = node.arg
    return isinstance(node, Num) and node.value.is_integer()


def _fixed_whole(default: float | None, lower: float, upper: float) -> bool:
    """Whether a parameter is a whole number that nobody says may change."""
    return default is not None and default.is_integer() and math.isinf(lower) and math.isinf(upper)
