"""Quotients whose 0/0 has a limit: x/(1 - exp(-x)), sin(x)/x, (exp(-a*t) - exp(-b*t))/(b - a).

Takes numerator and denominator of a division while a model is lowered; gives
the same quotient with its limit at the singular point, or None where there is
no such point.  Both sides are written as power series in one quantity z (exact
rational coefficients) times products of everything else.  Where the series of
the denominator begins with z^m and that of the numerator not before, the
quotient is a power series again: it takes over for |z| below a window, and the
division as written stays outside.  Values and first and second derivatives so
keep about 12 digits on both sides of the window's edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from .graph import Graph

Monomial = tuple[tuple[int, int], ...]
"""Powers of nodes: sorted (node, exponent)."""
Form = dict[Monomial, Fraction]
"""A Laurent polynomial in nodes."""
Series = tuple[Fraction, ...]
Element = dict[Monomial, Series]
"""Products of nodes, each times a power series in z."""

_ONE: Monomial = ()
_SHORT = 7  # coefficients that decide whether there is a limit
_LONG = 48  # coefficients known of each function
_TERMS = 26  # coefficients a window may need
_BUDGET = 48  # nodes looked at in one division
_DEPTH = 14
_SIZE = 8  # terms of a sum


def _factorial_series(first: int, step: int, sign: int) -> Callable[[int], Fraction]:
    def coefficient(n: int) -> Fraction:
        k, rest = divmod(n - first, step)
        return Fraction(0) if n < first or rest else Fraction(sign**k, math.factorial(n))

    return coefficient


def _odd(rule: Callable[[int], Fraction]) -> Callable[[int], Fraction]:
    return lambda n: rule(n // 2) if n % 2 else Fraction(0)


def _central(k: int) -> Fraction:
    return Fraction(math.comb(2 * k, k), 4**k * (2 * k + 1))


def _half(n: int) -> Fraction:
    value = Fraction(1)
    for k in range(n):
        value *= (Fraction(1, 2) - k) / (k + 1)
    return value


_COEFFICIENTS: dict[str, Callable[[int], Fraction]] = {
    "exp": _factorial_series(0, 1, 1),
    "expm1": _factorial_series(1, 1, 1),
    "sin": _factorial_series(1, 2, -1),
    "cos": _factorial_series(0, 2, -1),
    "sinh": _factorial_series(1, 2, 1),
    "cosh": _factorial_series(0, 2, 1),
    "log1p": lambda n: Fraction((-1) ** (n + 1), n) if n else Fraction(0),
    "atan": _odd(lambda k: Fraction((-1) ** k, 2 * k + 1)),
    "atanh": _odd(lambda k: Fraction(1, 2 * k + 1)),
    "asin": _odd(_central),
    "asinh": _odd(lambda k: (-1) ** k * _central(k)),
    "erf": _odd(lambda k: Fraction(2 / math.sqrt(math.pi)) * Fraction((-1) ** k, math.factorial(k) * (2 * k + 1))),
    "sqrt1p": _half,
}
_QUOTIENTS = {"tan": ("sin", "cos"), "tanh": ("sinh", "cosh")}
_SHIFTED = {"log": "log1p", "sqrt": "sqrt1p"}  # functions expanded about 1
FUNCTIONS = frozenset(_COEFFICIENTS) - {"sqrt1p"} | _QUOTIENTS.keys() | _SHIFTED.keys()
"""Operations whose power series about 0 (log and sqrt: about 1) is known."""


@cache
def _series(name: str) -> Series:
    """Coefficients of a function about 0 (Abramowitz & Stegun, ch. 4 and 7)."""
    if name in _QUOTIENTS:
        above, below = _QUOTIENTS[name]
        return _quotient(_series(above), _series(below))
    return tuple(_COEFFICIENTS[name](n) for n in range(_LONG))


@lru_cache(256)
def _product(a: Series, b: Series) -> Series:
    out = [Fraction(0)] * len(a)
    for i, x in enumerate(a):
        if x:
            for j in range(len(a) - i):
                if b[j]:
                    out[i + j] += x * b[j]
    return tuple(out)


@lru_cache(256)
def _quotient(a: Series, b: Series) -> Series:
    """Coefficients of a/b, where b[0] is not zero."""
    out: list[Fraction] = []
    for n, value in enumerate(a):
        rest = value - sum((out[k] * b[n - k] for k in range(n) if b[n - k] and out[k]), Fraction(0))
        out.append(rest / b[0])
    return tuple(out)


def _valuation(series: Series) -> int:
    return next((n for n, c in enumerate(series) if c), len(series))


def _times(a: Monomial, b: Monomial, sign: int = 1) -> Monomial:
    powers = dict(a)
    for node, k in b:
        powers[node] = powers.get(node, 0) + sign * k
    return tuple(sorted((node, k) for node, k in powers.items() if k))


@dataclass(frozen=True)
class _Quantity:
    """What vanishes: the argument of a function, less 1 for log and sqrt, or a difference of two exponents."""

    form: Form
    node: int
    shifted: bool = False
    less: int | None = None

    def build(self, g: Graph) -> int:
        if self.shifted:
            return g.sub(self.node, g.const(1.0))
        return self.node if self.less is None else g.sub(self.node, self.less)


class Removable:
    """Looks for removable singularities among the divisions of one graph.

    Example
    -------
    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> g.op[Removable(g).divide(g.call("sin", x), x)]
    'select'
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._forms: dict[int, Form] = {}
        self.conditions: set[int] = set()  # nodes that decide between the series and the quotient

    def divide(self, above: int, below: int) -> int | None:
        """The quotient with its limit at the singular point, or None where none is known.

        Costs a bounded number of steps, whatever the size of the graph.
        """
        for z in self._candidates(above, below):
            if _Expansion(self, z, _SHORT).quotient(above, below) is None:
                continue
            exact = _Expansion(self, z, _LONG).quotient(above, below)
            if exact is not None:
                return self._build(above, below, z, exact)
        return None

    # ------------------------------------------------------------ the quantity that vanishes

    def _candidates(self, above: int, below: int) -> list[_Quantity]:
        """The arguments of known functions in either side, and differences of exponents."""
        g = self.graph
        found: list[_Quantity] = []
        exponents: list[int] = []
        stack, seen = [above, below], 0
        while stack and seen < _BUDGET:
            node = stack.pop()
            seen += 1
            op, args = g.op[node], g.args[node]
            if op in ("add", "sub", "mul", "div", "neg", "pow"):
                stack.extend(args)
            elif op in FUNCTIONS:
                shifted = op in _SHIFTED
                form = _plus(self.form(args[0]), {_ONE: Fraction(1)}, -1) if shifted else self.form(args[0])
                if _varies(form) and not any(_ratio(form, other.form) for other in found):
                    found.append(_Quantity(form, args[0], shifted))
                if op == "exp" and args[0] not in exponents:
                    exponents.append(args[0])
        for i, a in enumerate(exponents[:4]):
            for b in exponents[:i]:
                form = _plus(self.form(a), self.form(b), -1)
                if _varies(form):
                    found.append(_Quantity(form, a, less=b))
        return found

    def form(self, node: int, depth: int = 0) -> Form:
        """`node` as a Laurent polynomial; what is none, or too long, counts as one quantity."""
        known = self._forms.get(node)
        if known is not None:
            return known
        found = self._expand(node, depth) if depth < _DEPTH else None
        if found is None or len(found) > _SIZE:
            found = {((node, 1),): Fraction(1)}
        self._forms[node] = found
        return found

    def _expand(self, node: int, depth: int) -> Form | None:
        g, args = self.graph, self.graph.args[node]
        op = g.op[node]
        if op == "const":
            value = _written(g, node)
            return None if value is None else {_ONE: value} if value else {}
        if op == "neg":
            return _plus({}, self.form(args[0], depth + 1), -1)
        if op in ("add", "sub"):
            return _plus(self.form(args[0], depth + 1), self.form(args[1], depth + 1), 1 if op == "add" else -1)
        if op in ("mul", "div"):
            a, b = self.form(args[0], depth + 1), self.form(args[1], depth + 1)
            if op == "div":
                if len(b) != 1:
                    return None
                ((mono, c),) = b.items()
                b = {_times(_ONE, mono, -1): 1 / c}
            if len(a) * len(b) > _SIZE:
                return None
            out: Form = {}
            for m, c in a.items():
                out = _plus(out, {_times(m, k): c * d for k, d in b.items()})
            return out
        return None

    # ------------------------------------------------------------ the repaired quotient

    def _build(self, above: int, below: int, z: _Quantity, exact: _Quotient) -> int:
        g = self.graph
        node = z.build(g)
        window, terms = _window(exact)
        parts = [g.mul(self._monomial(m), _polynomial(g, node, series[:terms])) for m, series in exact.parts.items()]
        inside = g.call("lt", g.call("abs", node), g.const(window))
        self.conditions.add(inside)
        return g.select(inside, g.sum(parts), g.div(above, below))

    def _monomial(self, mono: Monomial) -> int:
        g = self.graph
        sides = [g.const(1.0), g.const(1.0)]
        for node, k in mono:
            for _ in range(abs(k)):
                sides[k < 0] = g.mul(sides[k < 0], node)
        return g.div(*sides)


# ---------------------------------------------------------------- series of nodes


@dataclass(frozen=True)
class _Quotient:
    """Products of nodes with their power series; `order`, how fast the denominator vanished."""

    parts: Element
    order: int


class _Expansion:
    """Nodes as power series in `z`, to `length` coefficients."""

    def __init__(self, owner: Removable, z: _Quantity, length: int) -> None:
        self.owner, self.graph = owner, owner.graph
        self.z, self.length = z, length
        self.known: dict[int, Element | None] = {}
        self.seen = 0

    def quotient(self, above: int, below: int) -> _Quotient | None:
        """`above/below` where both vanish with z and the quotient stays finite; else None."""
        bottom = self.of(below)
        if bottom is None or len(bottom) != 1:
            return None
        ((mono, series),) = bottom.items()
        order = _valuation(series)
        if not 0 < order <= _SHORT - 2:
            return None
        top = self.of(above)
        if not top or any(_valuation(s) < order for s in top.values()):
            return None
        rest = series[order:]
        parts = {_times(m, mono, -1): _quotient(s[order:], rest) for m, s in top.items()}
        return _Quotient(parts, order)

    def of(self, node: int, depth: int = 0) -> Element | None:
        """`node` as products times series; None where there are too many of them."""
        if node not in self.known:
            self.seen += 1
            found = self._expand(node, depth) if self.seen <= _BUDGET and depth < _DEPTH else None
            self.known[node] = None if found is None or len(found) > _SIZE else found
        return self.known[node]

    def _expand(self, node: int, depth: int) -> Element | None:
        g, args = self.graph, self.graph.args[node]
        op = g.op[node]
        form = self.owner.form(node)
        ratio = _ratio(form, self.z.form)
        if ratio is not None:
            mono, c = ratio
            return {mono: self._power(1, c)}
        if op == "const":
            value = _written(g, node)
            if value is None:
                return self._atom(node)
            return {_ONE: self._power(0, value)} if value else {}
        if op in ("neg", "add", "sub", "mul", "div"):
            parts = [self.of(a, depth + 1) for a in args]
            if parts[0] is None or parts[-1] is None:
                return None
            return self._combine(op, parts[0], parts[-1])
        if op == "pow":
            return self._integer_power(node, depth)
        if op in FUNCTIONS:
            return self._function(node, op, args[0])
        return self._atom(node)

    def _combine(self, op: str, a: Element, b: Element) -> Element | None:
        if op in ("neg", "add", "sub"):
            out = {} if op == "neg" else dict(a)
            sign = 1 if op == "add" else -1
            for m, s in b.items():
                old = out.get(m, (Fraction(0),) * self.length)
                out[m] = tuple(x + sign * y for x, y in zip(old, s, strict=True))
            return {m: s for m, s in out.items() if any(s)}
        if op == "div":
            if len(b) != 1:
                return None
            ((mono, series),) = b.items()
            if not series[0]:
                return None
            b = {_times(_ONE, mono, -1): _quotient(self._power(0, Fraction(1)), series)}
        if len(a) * len(b) > _SIZE:
            return None
        out = {}
        for m, s in a.items():
            for k, r in b.items():
                key, value = _times(m, k), _product(s, r)
                out[key] = tuple(x + y for x, y in zip(out[key], value, strict=True)) if key in out else value
        return out

    def _integer_power(self, node: int, depth: int) -> Element | None:
        g = self.graph
        base, exponent = g.args[node]
        value = _written(g, exponent) if g.op[exponent] == "const" else None
        if value is None or value.denominator != 1 or not 1 <= value <= 6:
            return self._atom(node)
        found = factor = self.of(base, depth + 1)
        for _ in range(int(value) - 1):
            if found is None or factor is None:
                return None
            found = self._combine("mul", found, factor)
        return found

    def _function(self, node: int, op: str, argument: int) -> Element:
        form = self.owner.form(argument)
        if op in _SHIFTED:
            form = _plus(form, {_ONE: Fraction(1)}, -1)
        mono: Monomial = _ONE
        if op == "exp" and self.z.less is not None:  # exp(a) = exp(b) exp(a - b)
            form = _plus(form, self.owner.form(self.z.less), -1)
            mono = ((self.graph.call("exp", self.z.less), 1),)
        if not form:
            ratio: tuple[Monomial, Fraction] | None = (_ONE, Fraction(0))
        else:
            ratio = _ratio(form, self.z.form)
        if ratio is None or ratio[0] != _ONE:
            return self._atom(node)
        scale, coefficients = Fraction(1), []
        for c in _series(_SHIFTED.get(op, op))[: self.length]:
            coefficients.append(c * scale)
            scale *= ratio[1]
        return {mono: tuple(coefficients)}

    def _atom(self, node: int) -> Element:
        return {((node, 1),): self._power(0, Fraction(1))}

    def _power(self, n: int, c: Fraction) -> Series:
        return (Fraction(0),) * n + (c,) + (Fraction(0),) * (self.length - n - 1)


# ---------------------------------------------------------------- forms


def _written(g: Graph, node: int) -> Fraction | None:
    """A number as it reads in decimal (0.1 is one tenth), None where it is infinite."""
    value = g.data[node]
    assert isinstance(value, float)
    return Fraction(repr(value)) if math.isfinite(value) else None


def _plus(a: Form, b: Form, sign: int = 1) -> Form:
    out = dict(a)
    for m, c in b.items():
        total = out.get(m, Fraction(0)) + sign * c
        if total:
            out[m] = total
        else:
            out.pop(m, None)
    return out


def _varies(form: Form) -> bool:
    return any(m != _ONE for m in form)


def _ratio(form: Form, other: Form) -> tuple[Monomial, Fraction] | None:
    """The product of nodes by which `form` is `other`, or None."""
    if len(form) != len(other) or not form:
        return None
    if len(form) == 1:
        ((m, c),), ((k, d),) = form.items(), other.items()
        ratio = _times(m, k, -1)
        return (ratio, c / d) if _shares(m, k) else None
    for m, c in form.items():
        k, d = next(iter(other.items()))
        ratio = _times(m, k, -1)
        if all(form.get(_times(ratio, key)) == value * c / d for key, value in other.items()):
            return ratio, c / d
    return None


def _shares(m: Monomial, k: Monomial) -> bool:
    """Whether some node stands above the line in both with the same exponent, so that both vanish with it."""
    return any(power > 0 and (node, power) in k for node, power in m)


# ---------------------------------------------------------------- numbers


def _window(found: _Quotient) -> tuple[float, int]:
    """The bound of |z| below which the series stands in, and how many of its terms that takes."""
    width = 0.25 if found.order == 1 else 0.5
    while True:
        needed = max(_needed(series, width) for series in found.parts.values())
        if needed <= _TERMS:
            return width, needed
        width /= 2


def _needed(series: Series, width: float) -> int:
    """Terms after which the second derivative of the rest is lost in rounding."""
    sizes = [abs(float(c)) * width**n for n, c in enumerate(series)]
    least = 2e-17 * next(s for s in sizes if s)
    return 1 + max(n for n, size in enumerate(sizes) if size * max(1, n * n) > least)


def _polynomial(g: Graph, z: int, series: Series) -> int:
    """Horner's rule; in z^2 where every other coefficient is zero."""
    first = _valuation(series)
    series = series[first:]
    step = 2 if not any(series[1::2]) else 1
    power = g.mul(z, z) if step == 2 else z
    total = g.const(0.0)
    for c in reversed(series[::step]):
        total = g.add(g.const(float(c)), g.mul(power, total))
    for _ in range(first):
        total = g.mul(z, total)
    return total
