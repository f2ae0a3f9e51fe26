"""Coefficients of a solution's power series as nodes of a graph, every order written out.

`coefficients(program, graph, n, order)` unrolls the recurrences of `graph.taylor`.  What is exactly zero (constants,
and time above its first order) is never written.
"""

from __future__ import annotations

from ..graph.graph import Graph
from ..graph.taylor import Program, Series

Coefficient = int | None
"""A node, or None for a coefficient that is zero whatever the state."""


def coefficients(program: Program, graph: Graph, n: int, order: int) -> list[list[Coefficient]]:
    """Rows k = 0..order of the coefficients of the `n` states; row 0 is the states."""
    return _Unrolled(program, graph, n, order).rows()


def operations(program: Program, order: int) -> int:
    """About how many operations `coefficients` writes out."""
    products = sum(_PRODUCTS.get(series.kind, 0.0) for series in program.series)
    return int(order * (len(program.series) + products * (order + 1) / 2))


_PRODUCTS = {"mul": 1.0, "square": 0.5, "div": 1.0, "power": 2.0, "root": 0.5, "integral": 1.0, "quotient": 1.0}


class _Unrolled:
    """Every coefficient as older * something + newest * a number made once: between a coefficient of
    order k and those made of it lies one multiplication and addition, whatever the operation."""

    def __init__(self, program: Program, graph: Graph, n: int, order: int) -> None:
        self.program = program
        self.graph = graph
        self.n = n
        self.order = order
        self.known: list[list[Coefficient]] = [[s.value] for s in program.series]

    def rows(self) -> list[list[Coefficient]]:
        graph, program = self.graph, self.program
        rows: list[list[Coefficient]] = [[graph.leaf("state", i) for i in range(self.n)]]
        for k in range(self.order):
            if k:
                for s, series in enumerate(program.series):
                    self.known[s].append(self._next(series, s, k, rows))
            rows.append([self._scaled(self._output(i, k), 1.0 / (k + 1)) for i in range(self.n)])
        return rows

    def _output(self, i: int, k: int) -> Coefficient:
        s = self.program.outputs[i]
        if s >= 0:
            return self.known[s][k]
        return self.program.values[i] if k == 0 else None

    # ------------------------------------------------------------ sums

    def _scaled(self, a: Coefficient, factor: float) -> Coefficient:
        return None if a is None else self.graph.mul(self.graph.const(factor), a)

    def _times(self, a: Coefficient, b: Coefficient) -> Coefficient:
        return None if a is None or b is None else self.graph.mul(a, b)

    def _add(self, a: Coefficient, b: Coefficient) -> Coefficient:
        if a is None or b is None:
            return b if a is None else a
        return self.graph.add(a, b)

    def _sub(self, a: Coefficient, b: Coefficient) -> Coefficient:
        if b is None:
            return a
        return self.graph.neg(b) if a is None else self.graph.sub(a, b)

    def _convolution(self, a: list[Coefficient], b: list[Coefficient], k: int) -> Coefficient:
        """sum_(j=1..k-1) a_j b_(k-j): nothing of order k.  Two chains, products of old coefficients first."""
        chains: list[Coefficient] = [None, None]
        turn = 0
        for j in sorted(range(1, k), key=lambda j: max(j, k - j)):
            product = self._times(a[j], b[k - j])
            if product is not None:
                chains[turn] = self._add(chains[turn], product)
                turn = 1 - turn if k > 4 else 0
        return self._add(chains[0], chains[1])

    def _half(self, a: list[Coefficient], k: int) -> Coefficient:
        """The same for b = a, each product once."""
        middle = self._times(a[k // 2], a[k // 2]) if k % 2 == 0 else None
        doubled = [self._scaled(c, 2.0) for c in a[:k]]
        total = middle
        for j in range((k - 1) // 2, 0, -1):
            total = self._add(total, self._times(doubled[j], a[k - j]))
        return total

    def _weighted(self, a: list[Coefficient], k: int) -> list[Coefficient]:
        """j a_j for j < k."""
        return [self._scaled(c, float(j)) if j else None for j, c in enumerate(a[:k])]

    def _inverse(self, s: int, factor: float = 1.0) -> int:
        """One over `factor` times the value of series s."""
        graph = self.graph
        inverse = graph.div(graph.const(1.0), self.program.series[s].value)
        return inverse if factor == 1.0 else graph.mul(graph.const(1.0 / factor), inverse)

    def _by(self, a: Coefficient, inverse: int) -> Coefficient:
        """a times `inverse`, and no division in its place."""
        if a is None or self.graph.is_const(inverse):
            return self._times(a, inverse)
        return self.graph._make("mul", (a, inverse))

    # ------------------------------------------------------------ one coefficient

    def _next(self, series: Series, s: int, k: int, rows: list[list[Coefficient]]) -> Coefficient:
        """Coefficient k > 0 of series s."""
        graph, kind, known = self.graph, series.kind, self.known
        if kind == "state":
            return rows[k][series.index]
        if kind == "time":
            return graph.const(1.0) if k == 1 else None
        if kind == "constant":
            return None
        own = known[s]
        nothing: list[Coefficient] = [None] * (k + 1)
        a = known[series.args[0]] if series.args[0] >= 0 else nothing
        b = known[series.args[-1]]
        if kind == "add":
            return self._add(a[k], b[k])
        if kind == "sub":
            return self._sub(a[k], b[k])
        if kind == "shift":
            return a[k] if series.index > 0 else self._sub(None, a[k])
        if kind == "scale":
            return self._times(series.factor, a[k])
        if kind == "mul":
            older = self._add(self._convolution(a, b, k), self._times(b[0], a[k]))
            return self._add(older, self._times(a[0], b[k]))
        if kind == "square":
            return self._add(self._half(a, k), self._times(self._scaled(a[0], 2.0), a[k]))
        if kind == "div":
            inverse = self._inverse(series.args[1])
            older = self._sub(self._by(a[k], inverse), self._by(self._convolution(b, own, k), inverse))
            return self._sub(older, self._times(self._by(own[0], inverse), b[k]))
        if kind == "power":
            inverse = self._inverse(series.args[0])
            rising = self._times(series.factor, self._convolution(self._weighted(a, k), own, k))
            older = self._sub(rising, self._convolution(a, self._weighted(own, k), k))
            slope = self._by(self._times(series.factor, own[0]), inverse)
            return self._add(self._by(self._scaled(older, 1.0 / k), inverse), self._times(slope, a[k]))
        if kind == "root":
            inverse = self._inverse(s, 2.0)
            return self._sub(self._by(a[k], inverse), self._by(self._half(own, k), inverse))
        if kind == "integral":
            sign = -1.0 if series.index < 0 else 1.0
            older = self._scaled(self._convolution(self._weighted(a, k), b, k), sign / k)
            return self._add(older, self._times(self._scaled(b[0], sign), a[k]))
        if kind == "quotient":
            inverse = self._inverse(series.args[1])
            older = self._scaled(self._convolution(self._weighted(own, k), b, k), 1.0 / k)
            return self._sub(self._by(a[k], inverse), self._by(older, inverse))
        if kind == "choice":
            zero = graph.const(0.0)
            left, right = (zero if c is None else c for c in (a[k], b[k]))
            chosen = graph.select(series.factor, left, right)
            return None if graph.is_const(chosen, 0.0) else chosen
        raise AssertionError(f"series of kind {kind!r} have no recurrence")
