"""LU of alpha - beta J for one pattern, written out as machine code: no loops, no indices, no row exchanges.

Takes the pattern and the order of elimination of `fused_rosenbrock`; gives LLVM IR of
four functions of the calling convention, for implicit methods that keep their factors:

    written_factor(alpha, J (n n), p, (imaginary, beta), factors)      factors[0] is 1 where they serve, else 0
    written_solve(0, factors, p, b (n), in place)
    written_factor_complex, written_solve_complex                      the same for alpha + i imaginary

Pivots lie on the diagonal, which is not always good.  `written_factor` therefore solves one
system and looks at what is left of it, row by row, as a Rosenbrock step of a model's own does.
The complex factors belong to the same J and a shift of about the same modulus whose imaginary part
keeps pivots from cancelling; they go by the verdict on the real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph.system import System
from .fused_rosenbrock import LARGEST_STATES, ROUNDING, elimination
from .llvm_network import number

LARGEST = 1200
"""Multiplications of a factorisation up to which it is written out; those of complex numbers count four times."""

Value = Any
"""A name in LLVM's text, or a pair of them: real and imaginary part."""


class _Body:
    """Lines of one function, with arithmetic of real numbers or of pairs."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.lines: list[str] = []

    def line(self, text: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def two(self, operation: str, a: str, b: str) -> str:
        return self.line(f"{operation} contract double {a}, {b}")

    def load(self, pointer: str, place: int) -> str:
        return self.line(f"load double, ptr {self.seat(pointer, place)}, align 8")

    def seat(self, pointer: str, place: int) -> str:
        return self.line(f"getelementptr double, ptr {pointer}, i64 {place}")

    def store(self, value: str, pointer: str, place: int) -> None:
        seat = self.seat(pointer, place)
        self.lines.append(f"  store double {value}, ptr {seat}, align 8")

    def get(self, pointer: str, place: int) -> Value:
        """Entry `place` of an array of real or complex numbers."""
        values = [self.load(pointer, self.parts * place + k) for k in range(self.parts)]
        return values[0] if self.parts == 1 else tuple(values)

    def put(self, value: Value, pointer: str, place: int) -> None:
        for k, part in enumerate([value] if self.parts == 1 else value):
            self.store(part, pointer, self.parts * place + k)

    def multiply(self, a: Value, b: Value) -> Value:
        if self.parts == 1:
            return self.two("fmul", a, b)
        (x, y), (u, v) = a, b
        real = self.two("fsub", self.two("fmul", x, u), self.two("fmul", y, v))
        return real, self.two("fadd", self.two("fmul", x, v), self.two("fmul", y, u))

    def subtract(self, a: Value, b: Value) -> Value:
        if self.parts == 1:
            return self.two("fsub", a, b)
        return tuple(self.two("fsub", x, y) for x, y in zip(a, b, strict=True))

    def less(self, a: Value, b: Value, c: Value) -> Value:
        """a - b c, in an order that fuses."""
        if self.parts == 1:
            return self.two("fsub", a, self.two("fmul", b, c))
        (x, y), (p, q), (u, v) = a, b, c
        x = self.two("fsub", x, self.two("fmul", p, u))
        y = self.two("fsub", y, self.two("fmul", p, v))
        return self.two("fadd", x, self.two("fmul", q, v)), self.two("fsub", y, self.two("fmul", q, u))

    def inverse(self, a: Value) -> Value:
        one = number(1.0)
        if self.parts == 1:
            return self.two("fdiv", one, a)
        x, y = a
        size = self.two("fdiv", one, self.two("fadd", self.two("fmul", x, x), self.two("fmul", y, y)))
        return self.two("fmul", x, size), self.two("fmul", self.line(f"fneg double {y}"), size)

    def size(self, a: Value) -> str:
        parts = [a] if self.parts == 1 else list(a)
        sizes = [self.line(f"call double @llvm.fabs.f64(double {x})") for x in parts]
        return sizes[0] if self.parts == 1 else self.two("fadd", *sizes)

    def text(self, name: str, arguments: str) -> str:
        return f"define void @{name}({arguments}) {{\nentry:\n" + "\n".join(self.lines) + "\n  ret void\n}\n"


class Written:
    """The pattern of the factors and where each of them lies: `count` numbers behind the first one."""

    def __init__(self, n: int, entries: Sequence[tuple[int, int]], order: Sequence[int], rows: Any) -> None:
        self.n, self.entries, self.order = n, list(entries), list(order)
        self.down: list[list[int]] = []  # rows below each pivot, columns right of it
        self.across: list[list[int]] = []
        for position, k in enumerate(order):
            later = order[position + 1 :]
            self.down.append([i for i in later if k in rows[i]])
            self.across.append([j for j in later if j in rows[k]])
        self.count = n + sum(map(len, self.down)) + sum(map(len, self.across))

    @property
    def multiplications(self) -> int:
        """Of one factorisation."""
        return sum(len(d) * (len(a) + 1) for d, a in zip(self.down, self.across, strict=True))

    def factor(self, name: str, parts: int) -> str:
        """IR of the factorisation."""
        body = _Body(parts)
        beta = body.load("%v", 1)
        shift: Value = "%t" if parts == 1 else ("%t", body.load("%v", 0))
        w: dict[tuple[int, int], Value] = {(i, i): shift for i in range(self.n)}
        for i, j in self.entries:
            scaled = body.two("fmul", beta, body.load("%u", i * self.n + j))
            if parts == 1:
                w[i, j] = body.two("fsub", "%t", scaled) if i == j else body.line(f"fneg double {scaled}")
            else:
                re = body.two("fsub", "%t", scaled) if i == j else body.line(f"fneg double {scaled}")
                w[i, j] = (re, shift[1] if i == j else number(0.0))
        work, inverses, factors = dict(w), {}, {}
        for k, down, across in zip(self.order, self.down, self.across, strict=True):
            inverses[k] = body.inverse(work[k, k])
            for i in down:
                factor = factors[i, k] = body.multiply(work[i, k], inverses[k])
                for j in across:
                    if (i, j) in work:
                        work[i, j] = body.less(work[i, j], factor, work[k, j])
                    else:
                        product = body.multiply(factor, work[k, j])
                        parts_ = [product] if parts == 1 else list(product)
                        negative = [body.line(f"fneg double {x}") for x in parts_]
                        work[i, j] = negative[0] if parts == 1 else tuple(negative)
        place = 1
        for k, down, across in zip(self.order, self.down, self.across, strict=True):
            for value in (inverses[k], *(factors[i, k] for i in down), *(work[k, j] for j in across)):
                body.put(value, "%out", place)
                place += 1
        if parts == 1:
            x = {i: w[i, i] for i in range(self.n)}
            self._substitute(body, x, inverses, factors, work)
            body.store(self._served(body, w, x), "%out", 0)
        else:
            body.store(number(1.0), "%out", 0)
        return body.text(name, "double %t, ptr noalias %u, ptr noalias %p, ptr noalias %v, ptr noalias %out")

    def _substitute(self, body: _Body, x: dict[int, Value], inverses: Any, factors: Any, upper: Any) -> None:
        for k, down in zip(self.order, self.down, strict=True):
            for i in down:
                x[i] = body.less(x[i], factors[i, k], x[k])
        for k, across in zip(reversed(self.order), reversed(self.across), strict=True):
            for j in across:
                x[k] = body.less(x[k], upper[k, j], x[j])
            x[k] = body.multiply(x[k], inverses[k])

    def _served(self, body: _Body, w: dict[tuple[int, int], Value], x: dict[int, Value]) -> str:
        """1 where every row of W x = diagonal of W holds up to rounding; 0 else, also for NaN."""
        good = "1"
        rows: dict[int, list[int]] = {i: [] for i in range(self.n)}
        for i, j in w:
            rows[i].append(j)
        for i in range(self.n):
            left, scale = w[i, i], body.size(w[i, i])
            for j in rows[i]:
                product = body.multiply(w[i, j], x[j])
                left = body.subtract(left, product)
                scale = body.two("fadd", scale, body.size(product))
            bound = body.two("fmul", number(ROUNDING), scale)
            fine = body.line(f"fcmp ole double {body.size(left)}, {bound}")
            good = body.line(f"and i1 {good}, {fine}")
        return body.line(f"uitofp i1 {good} to double")

    def solve(self, name: str, parts: int) -> str:
        """IR of forward and back substitution."""
        body = _Body(parts)
        x = {i: body.get("%out", i) for i in range(self.n)}
        place = 1
        inverses: dict[int, int] = {}
        factors: dict[tuple[int, int], int] = {}
        upper: dict[tuple[int, int], int] = {}
        for k, down, across in zip(self.order, self.down, self.across, strict=True):
            inverses[k] = place
            factors |= {(i, k): place + 1 + q for q, i in enumerate(down)}
            upper |= {(k, j): place + 1 + len(down) + q for q, j in enumerate(across)}
            place += 1 + len(down) + len(across)
        for k, down in zip(self.order, self.down, strict=True):
            for i in down:
                x[i] = body.less(x[i], body.get("%u", factors[i, k]), x[k])
        for k, across in zip(reversed(self.order), reversed(self.across), strict=True):
            for j in across:
                x[k] = body.less(x[k], body.get("%u", upper[k, j]), x[j])
            x[k] = body.multiply(x[k], body.get("%u", inverses[k]))
        for i in range(self.n):
            body.put(x[i], "%out", i)
        return body.text(name, "double %t, ptr noalias readonly %u, ptr noalias %p, ptr noalias %out")


def written(system: System) -> Written | None:
    """The factors of a model's W; None where writing them out does not pay, or with algebraic equations."""
    if system.algebraic or not 1 < system.n <= LARGEST_STATES:
        return None
    order, rows = elimination(system)
    found = Written(system.n, list(system.jacobian), order, rows)
    return found if found.multiplications <= LARGEST else None


def text(pattern: Written, complex_too: bool) -> str:
    """LLVM IR of all functions."""
    parts = [pattern.factor("written_factor", 1), pattern.solve("written_solve", 1)]
    if complex_too:
        parts += [pattern.factor("written_factor_complex", 2), pattern.solve("written_solve_complex", 2)]
    return "declare double @llvm.fabs.f64(double)\n\n" + "\n".join(parts)
