"""A right-hand side as power series: what each of its nodes is, order by order, in time.

`decompose(graph, outputs, ...)` turns everything that varies along a solution into a `Program`: a list of
`Series`, each given by one of the few recurrences of automatic differentiation for which the
coefficient of order k follows from those of lower orders and, of earlier series, of order k.
Parameters and what is made of them alone is constant, whatever operations it takes.  The
recurrences are those of A. Griewank & A. Walther, Evaluating Derivatives (2nd ed., SIAM 2008),
chapter 13, tables 13.1 and 13.2, and of A. Jorba & M. Zou, Experimental Mathematics 14 (2005) 99-117.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import UnsupportedError
from .derivatives import jvp
from .graph import Graph
from .ops import CONDITIONS, INPUT, NETWORK_OPS

LARGEST_WHOLE = 64
"""Whole powers up to this one are products, which hold at zero too."""


@dataclass(frozen=True)
class Series:
    """One series a(t) = sum a_k h^k.

    `value` is the node of its coefficient of order 0.  `args` are positions of other series;
    `factor` is a node that does not vary.  With d(b)_j = j b_j, the coefficients of order k > 0 by `kind`:

        state     rhs_(k-1)/k, set by whoever integrates; `index` says which
        time      1 for k = 1
        constant  0
        add, sub  a_k + b_k, a_k - b_k
        shift     a_k (a constant was added), or -a_k where `index` is -1
        scale     factor * a_k
        mul       sum_(j=0..k) a_j b_(k-j)
        square    the same with b = a, each product once
        div       (a_k - sum_(j=1..k) b_j q_(k-j))/b_0; a is missing where it does not vary
        power     (factor * sum_(j=0..k-1) d(a)_(k-j) y_j - sum_(j=1..k-1) a_(k-j) d(y)_j)/(k a_0)
        root      (a_k - sum_(j=1..k-1) s_j s_(k-j))/(2 s_0), the square root
        integral  1/k sum_(j=1..k) d(a)_j g_(k-j): y' = g a'; args (a, g)
        quotient  (a_k - 1/k sum_(j=1..k-1) d(y)_j b_(k-j))/b_0: y' = a'/b; args (a, b)
        choice    a_k where the node `factor` is true, else b_k; it can turn between steps only

    In "integral" g may stand later in the list: only its lower orders are needed.
    """

    kind: str
    value: int
    args: tuple[int, ...] = ()
    factor: int = -1
    index: int = 0


@dataclass
class Program:
    """`series` in an order in which the coefficients of one order can be computed.

    `outputs[i]`: the series of output i, or -1 where it does not vary; then `values[i]` is all of it.
    """

    series: list[Series]
    outputs: list[int]
    values: list[int]


Names = Sequence[str]


def decompose(graph: Graph, outputs: Sequence[int], names: Names = (), method: str = "taylor") -> Program:
    """The series that `outputs` need.

    Arguments: `outputs`, nodes, the derivative of state i at place i; `names`, what messages call these
    states; `method`, for messages.  Nodes may be added to `graph`.

    Raises `UnsupportedError` for what has no Taylor series: networks, inputs, kinks and jumps (unless they
    depend on time alone, linearly: solvers step on such times), gamma functions.

    Example
    -------
    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> [s.kind for s in decompose(g, [g.mul(x, g.call("exp", x))]).series]
    ['state', 'integral', 'mul']
    """
    return _Decomposition(graph, outputs, names, method).program()


class _Decomposition:
    def __init__(self, graph: Graph, outputs: Sequence[int], names: Names, method: str) -> None:
        self.graph = graph
        self.outputs = outputs
        self.names = names
        self.method = method
        self.series: list[Series] = []
        self.at: dict[int, int] = {}  # node -> series; not there: constant
        self.known: dict[Series, int] = {}
        self.pairs: dict[tuple[str, int], int] = {}  # companions of sine, cosine and of their kin

    def program(self) -> Program:
        graph = self.graph
        for node in graph.reachable(self.outputs):
            self._node(node)
        return _used(self.series, [self.at.get(o, -1) for o in self.outputs], list(self.outputs))

    # ------------------------------------------------------------ making series

    def _new(self, kind: str, value: int, *args: int, factor: int = -1, index: int = 0) -> int:
        made = Series(kind, value, args, factor, index)
        if made not in self.known:
            self.known[made] = len(self.series)
            self.series.append(made)
        return self.known[made]

    def _value(self, s: int) -> int:
        return self.series[s].value

    def _square(self, a: int) -> int:
        v = self._value(a)
        return self._new("square", self.graph.mul(v, v), a)

    def _mul(self, a: int, b: int) -> int:
        if a == b:
            return self._square(a)
        return self._new("mul", self.graph.mul(self._value(a), self._value(b)), a, b)

    def _scale(self, a: int, factor: int) -> int:
        return self._new("scale", self.graph.mul(self._value(a), factor), a, factor=factor)

    def _plus(self, a: int, constant: float, sign: int = 1) -> int:
        """constant + a, or constant - a."""
        g, v = self.graph, self._value(a)
        value = g.add(g.const(constant), v) if sign > 0 else g.sub(g.const(constant), v)
        return self._new("shift", value, a, index=sign)

    def _negated(self, a: int) -> int:
        return self._new("shift", self.graph.neg(self._value(a)), a, index=-1)

    def _root(self, a: int) -> int:
        return self._new("root", self.graph.call("sqrt", self._value(a)), a)

    def _log(self, a: int) -> int:
        return self._new("quotient", self.graph.call("log", self._value(a)), a, a)

    def _later(self, kind: str, value: int, a: int) -> int:
        """An integral whose other argument is set by `_complete`."""
        self.series.append(Series(kind, value, (a, -1)))
        return len(self.series) - 1

    def _complete(self, s: int, g: int) -> int:
        known = self.series[s]
        self.series[s] = Series(known.kind, known.value, (known.args[0], g), known.factor, known.index)
        return s

    # ------------------------------------------------------------ nodes

    def _node(self, node: int) -> None:
        graph = self.graph
        op, args = graph.op[node], graph.args[node]
        if op == "state":
            self.at[node] = self._new("state", node, index=int(graph.data[node]))  # type: ignore[arg-type]
            return
        if op == "t":
            self.at[node] = self._new("time", node)
            return
        found = [self.at.get(a, -1) for a in args]
        if op in NETWORK_OPS or op == INPUT:
            raise self._refused(node)
        if all(s < 0 for s in found):
            return
        if op in CONDITIONS:
            if not self._in_time_alone(node):
                raise self._refused(node)
            return  # constant between the stops at which it turns
        if op == "select":
            if found[0] >= 0:
                raise self._refused(node)
            self.at[node] = self._choice(node, *args)
            return
        make = getattr(self, f"_op_{op}", None)
        if make is None:
            raise self._refused(node)
        self.at[node] = make(node, *found)

    def _in_time_alone(self, node: int) -> bool:
        """Does a condition turn only at times that `System.turns` knows?"""
        graph = self.graph
        if graph.op[node] in ("and", "or", "not"):
            return all(
                graph.op[a] in CONDITIONS or self.at.get(a, -1) < 0 for a in graph.args[node]
            )  # comparisons below were looked at before
        gap = graph.sub(*graph.args[node])
        below = graph.reachable([gap])
        if any(graph.op[n] == "state" for n in below):
            return False
        (rate,) = jvp(graph, [gap], {graph.leaf("t"): graph.const(1.0)})
        return graph.is_const(rate)

    def _choice(self, node: int, condition: int, a: int, b: int) -> int:
        args = [self.at[x] if x in self.at else self._new("constant", x) for x in (a, b)]
        return self._new("choice", node, *args, factor=condition)

    def _op_add(self, node: int, a: int, b: int) -> int:
        if a >= 0 and b >= 0:
            return self._new("add", node, a, b)
        return self._new("shift", node, max(a, b), index=1)

    def _op_sub(self, node: int, a: int, b: int) -> int:
        if a >= 0 and b >= 0:
            return self._new("sub", node, a, b)
        return self._new("shift", node, max(a, b), index=1 if a >= 0 else -1)

    def _op_neg(self, node: int, a: int) -> int:
        return self._new("shift", node, a, index=-1)

    def _op_mul(self, node: int, a: int, b: int) -> int:
        x, y = self.graph.args[node]
        if a >= 0 and b >= 0:
            return self._new("square", node, a) if a == b else self._new("mul", node, a, b)
        return self._new("scale", node, max(a, b), factor=y if a >= 0 else x)

    def _op_div(self, node: int, a: int, b: int) -> int:
        graph = self.graph
        if b < 0:
            return self._new("scale", node, a, factor=graph.div(graph.const(1.0), graph.args[node][1]))
        below = self.series[b]
        if a < 0 and below.kind == "power":  # one recurrence in place of two
            return self._scaled_power(node, below)
        return self._new("div", node, a, b)

    def _scaled_power(self, node: int, below: Series) -> int:
        graph = self.graph
        inverse = self._new(
            "power", graph.div(graph.const(1.0), below.value), *below.args, factor=graph.neg(below.factor)
        )  # fmt: skip
        above = graph.args[node][0]
        return inverse if graph.is_const(above, 1.0) else self._new("scale", node, inverse, factor=above)

    def _op_pow(self, node: int, a: int, b: int) -> int:
        graph = self.graph
        base, exponent = graph.args[node]
        if b >= 0:  # y = exp(b log(base))
            if a >= 0:
                inside = self._mul(self._log(a), b)
            else:
                inside = self._scale(b, graph.call("log", base))
            s = self._later("integral", node, inside)
            return self._complete(s, s)
        if graph.op[exponent] == "const":
            value = float(graph.data[exponent])  # type: ignore[arg-type]
            whole = int(abs(value))
            if whole == abs(value) and whole <= LARGEST_WHOLE:
                product = self._whole_power(a, whole)
                if value > 0:
                    return product
                return self._new("div", node, -1, product)
            if value == -0.5:
                return self._new("div", node, -1, self._root(a))
        return self._new("power", node, a, factor=exponent)

    def _whole_power(self, a: int, whole: int) -> int:
        power, square = -1, a
        while whole:
            if whole & 1:
                power = square if power < 0 else self._mul(power, square)
            whole >>= 1
            if whole:
                square = self._square(square)
        return power

    def _op_sqrt(self, node: int, a: int) -> int:
        return self._new("root", node, a)

    def _op_cbrt(self, node: int, a: int) -> int:
        return self._new("power", node, a, factor=self.graph.const(1.0 / 3.0))

    def _op_exp(self, node: int, a: int) -> int:
        s = self._later("integral", node, a)
        return self._complete(s, s)

    def _op_expm1(self, node: int, a: int) -> int:
        s = self._later("integral", node, a)
        return self._complete(s, self._plus(s, 1.0))

    def _op_log(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, a)

    def _op_log1p(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._plus(a, 1.0))

    def _scaled_log(self, node: int, a: int, base: float) -> int:
        graph = self.graph
        factor = graph.div(graph.const(1.0), graph.call("log", graph.const(base)))
        return self._new("scale", node, self._log(a), factor=factor)

    def _op_log2(self, node: int, a: int) -> int:
        return self._scaled_log(node, a, 2.0)

    def _op_log10(self, node: int, a: int) -> int:
        return self._scaled_log(node, a, 10.0)

    def _pair(self, node: int, a: int, even: str, odd: str, minus: bool) -> int:
        """sin and cos, or sinh and cosh: each is the integral of the other, for cos with a minus."""
        graph = self.graph
        argument = self.series[a].value
        key = (odd, a)
        if key not in self.pairs:
            s = self._later("integral", graph.call(odd, argument), a)
            c = self._later("integral", graph.call(even, argument), a)
            self._complete(s, c)
            self._complete(c, s)
            if minus:
                known = self.series[c]
                self.series[c] = Series("integral", known.value, known.args, index=-1)
            self.pairs[key], self.pairs[even, a] = s, c
        return self.pairs[graph.op[node], a]

    def _op_sin(self, node: int, a: int) -> int:
        return self._pair(node, a, "cos", "sin", True)

    _op_cos = _op_sin

    def _op_sinh(self, node: int, a: int) -> int:
        return self._pair(node, a, "cosh", "sinh", False)

    _op_cosh = _op_sinh

    def _op_tan(self, node: int, a: int) -> int:
        s = self._later("integral", node, a)
        return self._complete(s, self._plus(self._square(s), 1.0))

    def _op_tanh(self, node: int, a: int) -> int:
        s = self._later("integral", node, a)
        return self._complete(s, self._plus(self._square(s), 1.0, -1))

    def _op_asin(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._root(self._plus(self._square(a), 1.0, -1)))

    def _op_acos(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._negated(self._root(self._plus(self._square(a), 1.0, -1))))

    def _op_atan(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._plus(self._square(a), 1.0))

    def _op_asinh(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._root(self._plus(self._square(a), 1.0)))

    def _op_acosh(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._root(self._plus(self._square(a), -1.0)))

    def _op_atanh(self, node: int, a: int) -> int:
        return self._new("quotient", node, a, self._plus(self._square(a), 1.0, -1))

    def _op_atan2(self, node: int, y: int, x: int) -> int:
        """The angle turns as (x y' - y x')/(x^2 + y^2)."""
        graph = self.graph
        above, below = graph.args[node]
        squares = [self._square(s) for s in (x, y) if s >= 0]
        total = graph.add(graph.mul(below, below), graph.mul(above, above))
        r2 = self._new("add", total, *squares) if len(squares) == 2 else self._new("shift", total, *squares, index=1)
        parts = []
        for along, other, series, sign in ((y, below, x, 1.0), (x, above, y, -1.0)):
            if along < 0:
                continue
            parts.append((along, self._new("div", graph.div(other, total), series, r2), sign))
        if len(parts) == 1:
            along, rate, sign = parts[0]
            rate = self._negated(rate) if sign < 0 else rate
            return self._complete(self._later("integral", node, along), rate)
        zero = graph.const(0.0)
        turns = [self._complete(self._later("integral", zero, along), rate) for along, rate, _ in parts]
        return self._new("sub", node, *turns)

    def _erf(self, node: int, a: int, sign: float) -> int:
        graph = self.graph
        square = self._negated(self._square(a))
        bell = self._later("integral", graph.call("exp", self._value(square)), square)
        self._complete(bell, bell)
        rate = self._scale(bell, graph.const(sign * 1.1283791670955126))  # 2/sqrt(pi)
        return self._complete(self._later("integral", node, a), rate)

    def _op_erf(self, node: int, a: int) -> int:
        return self._erf(node, a, 1.0)

    def _op_erfc(self, node: int, a: int) -> int:
        return self._erf(node, a, -1.0)

    # ------------------------------------------------------------ what has no series

    def _refused(self, node: int) -> UnsupportedError:
        graph = self.graph
        op = graph.op[node]
        where = ""
        for i, output in enumerate(self.outputs):
            if i < len(self.names) and node in graph.reachable([output]):
                where = f" in the equation of `{self.names[i]}`"
                break
        what, hint = _reason(op)
        return UnsupportedError(
            f'method="{self.method}" expands the equations into power series, and {what}{where} has none', hint=hint
        )


def _used(series: list[Series], outputs: list[int], values: list[int]) -> Program:
    """The program without series that no output needs."""
    needed: set[int] = set()
    pending = [s for s in outputs if s >= 0]
    while pending:
        s = pending.pop()
        if s >= 0 and s not in needed:
            needed.add(s)
            pending.extend(series[s].args)
    places = {s: i for i, s in enumerate(sorted(needed))} | {-1: -1}
    kept = [replace(series[s], args=tuple(places[a] for a in series[s].args)) for s in sorted(needed)]
    return Program(kept, [places[s] for s in outputs], values)


def _reason(op: str) -> tuple[str, str]:
    """(what has no series, what to do instead)."""
    if op in NETWORK_OPS:
        return "a neural network", 'use method="vern9" or "auto"'
    if op == INPUT:
        return "a measured input", 'use method="vern7" or "auto"'
    if op in CONDITIONS or op == "select":
        return "a condition on states (`if`)", (
            'use method="vern9", or write the switch as an event, `when x < 1: ...`; '
            "conditions linear in t alone are fine"
        )
    if op in ("abs", "sign", "floor", "ceil", "min", "max", "mod"):
        return f"`{op}`, which has a kink or a jump,", 'use method="vern9", or write the switch as an event, `when ...`'
    return f"`{op}`", 'use method="vern9" or "auto"'
