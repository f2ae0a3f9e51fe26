"""Multi-layer perceptrons as LLVM loops: value, input derivatives, reverse sweep.

`definitions(network, k)` gives the IR text of four functions of network `k`:

    void @net{k}_0(ptr x, ptr w, ptr out)            out: y (n_out)
    void @net{k}_1(ptr x, ptr w, ptr out)            y, then dy/dx (n_out, n_in)
    void @net{k}_2(ptr x, ptr w, ptr out)            y, dy/dx, then d2y/dx2 (n_out, n_in, n_in)
    void @net{k}_vjp(ptr x, ptr w, ptr c, ptr dx, ptr dw)   dx = c^T dy/dx, dw += c^T dy/dw

Layers are loops, never unrolled into scalars, so size costs nothing to compile.
The exponential behind tanh, sigmoid, swish and rbf is branch-free arithmetic
(`MATH`), so that LLVM turns activation loops into vector code.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..model.spec import Network

REASSOC = "reassoc contract"


def number(value: float) -> str:
    """A double as LLVM's exact hexadecimal literal."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _exp_core() -> str:
    """exp and expm1 by reduction to |r| <= ln2/2 and a Taylor polynomial of degree 13 in r
    (truncation below 1e-17; Muller, "Elementary Functions" (2016), ch. 11)."""
    magic = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer in the low bits
    lines = ["  %lo = call double @llvm.maxnum.f64(double %x0, double " + number(-708.0) + ")"]
    lines += ["  %x1 = call double @llvm.minnum.f64(double %lo, double " + number(709.0) + ")"]
    lines += ["  %nan = fcmp uno double %x0, %x0", "  %x = select i1 %nan, double %x0, double %x1"]
    lines += [
        f"  %t = call double @llvm.fma.f64(double %x, double {number(1 / math.log(2.0))}, double {number(magic)})"
    ]
    lines += [f"  %k = fsub double %t, {number(magic)}"]
    ln2_hi, ln2_lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
    lines += [f"  %r1 = call double @llvm.fma.f64(double %k, double {number(-ln2_hi)}, double %x)"]
    lines += [f"  %r = call double @llvm.fma.f64(double %k, double {number(-ln2_lo)}, double %r1)"]
    lines += ["  %ti = bitcast double %t to i64", "  %ts = shl i64 %ti, 52"]
    lines += ["  %si = add i64 %ts, 4607182418800017408", "  %scale = bitcast i64 %si to double"]
    previous = number(1.0 / math.factorial(13))
    for degree in range(12, 0, -1):
        name = f"%q{degree}"
        lines.append(
            f"  {name} = call double @llvm.fma.f64(double {previous}, double %r, "
            f"double {number(1.0 / math.factorial(degree))})"
        )
        previous = name
    lines.append(f"  %q = fmul double {previous}, %r")  # exp(r) - 1
    return "\n".join(lines)


MATH = (
    "declare double @llvm.fma.f64(double, double, double)\n"
    "declare double @llvm.maxnum.f64(double, double)\n"
    "declare double @llvm.minnum.f64(double, double)\n"
    "define internal double @fast_exp(double %x0) alwaysinline {\n"
    + _exp_core()
    + "\n  %y = call double @llvm.fma.f64(double %scale, double %q, double %scale)\n  ret double %y\n}\n"
    + "define internal double @fast_expm1(double %x0) alwaysinline {\n"
    + _exp_core()
    + f"\n  %s1 = fsub double %scale, {number(1.0)}\n"
    + "  %y = call double @llvm.fma.f64(double %scale, double %q, double %s1)\n  ret double %y\n}\n"
    + "define internal double @fast_tanh(double %x) alwaysinline {\n"
    + "  %a = call double @llvm.fabs.f64(double %x)\n"
    + f"  %m = fmul double %a, {number(-2.0)}\n"
    + "  %e = call double @fast_expm1(double %m)\n"
    + f"  %d = fadd double %e, {number(2.0)}\n"
    + "  %n = fneg double %e\n  %q = fdiv double %n, %d\n"
    + "  %y = call double @llvm.copysign.f64(double %q, double %x)\n  ret double %y\n}\n"
    + "define internal double @fast_sigmoid(double %x) alwaysinline {\n"
    + "  %m = fneg double %x\n  %e = call double @fast_exp(double %m)\n"
    + f"  %d = fadd double %e, {number(1.0)}\n  %y = fdiv double {number(1.0)}, %d\n  ret double %y\n}}\n"
)
"""Vectorisable elementary functions; needs llvm.fabs and llvm.copysign declared."""


class _Body:
    """Writes the text of one function: fresh names, loads, stores, counted loops."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._fresh = itertools.count()
        self._block = "entry"

    def name(self) -> str:
        return f"%v{next(self._fresh)}"

    def emit(self, text: str) -> None:
        self.lines.append("  " + text)

    def value(self, text: str) -> str:
        name = self.name()
        self.emit(f"{name} = {text}")
        return name

    def alloca(self, count: int) -> str:
        return self.value(f"alloca [{max(count, 1)} x double], align 32")

    def offset(self, pointer: str, index: str) -> str:
        return self.value(f"getelementptr inbounds double, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: str) -> str:
        return self.value(f"load double, ptr {self.offset(pointer, index)}, align 8")

    def store(self, value: str, pointer: str, index: str) -> None:
        self.emit(f"store double {value}, ptr {self.offset(pointer, index)}, align 8")

    def binary(self, op: str, a: str, b: str) -> str:
        flags = REASSOC if op in ("fadd", "fmul", "fsub") else ""
        return self.value(f"{op} {flags} double {a}, {b}")

    def call(self, function: str, *args: str) -> str:
        return self.value(f"call double @{function}({', '.join('double ' + a for a in args)})")

    def index(self, row: str, width: int, column: str) -> str:
        """row * width + column as i64."""
        scaled = self.value(f"mul nuw nsw i64 {row}, {width}")
        return self.value(f"add nuw nsw i64 {scaled}, {column}")

    @contextmanager
    def loop(self, count: int) -> Iterator[str]:
        """`for i in range(count)`; count is at least 1."""
        number_ = next(self._fresh)
        head, done, i, after = f"loop{number_}", f"done{number_}", f"%i{number_}", f"%next{number_}"
        self.emit(f"br label %{head}")
        self.lines.append(f"{head}:")
        mark = len(self.lines)
        self.lines.append("")  # the phi needs the name of the last block of the body
        before, self._block = self._block, head
        yield i
        self.emit(f"{after} = add nuw nsw i64 {i}, 1")
        self.lines[mark] = f"  {i} = phi i64 [0, %{before}], [{after}, %{self._block}]"
        more = self.value(f"icmp ult i64 {after}, {count}")
        self.emit(f"br i1 {more}, label %{head}, label %{done}")
        self.lines.append(f"{done}:")
        self._block = done

    def reduce(self, count: int, start: str, term: Callable[[str], str]) -> str:
        """`start + sum(term(i) for i in range(count))`, reassociated so that it vectorises."""
        number_ = next(self._fresh)
        head, done, i, after = f"loop{number_}", f"done{number_}", f"%i{number_}", f"%next{number_}"
        total, following = f"%acc{number_}", f"%sum{number_}"
        self.emit(f"br label %{head}")
        self.lines.append(f"{head}:")
        self.emit(f"{i} = phi i64 [0, %{self._block}], [{after}, %{head}]")
        self.emit(f"{total} = phi double [{start}, %{self._block}], [{following}, %{head}]")
        self._block = head
        self.emit(f"{following} = fadd {REASSOC} double {total}, {term(i)}")
        self.emit(f"{after} = add nuw nsw i64 {i}, 1")
        more = self.value(f"icmp ult i64 {after}, {count}")
        self.emit(f"br i1 {more}, label %{head}, label %{done}")
        self.lines.append(f"{done}:")
        self._block = done
        return following


def _activation(b: _Body, kind: str, z: str, order: int) -> list[str]:
    """[value, first derivative, second derivative][: order + 1] of an activation at z."""
    one, two, half = number(1.0), number(2.0), number(0.5)

    def minus(a: str, c: str) -> str:
        return b.binary("fsub", a, c)

    def times(a: str, c: str) -> str:
        return b.binary("fmul", a, c)

    def plus(a: str, c: str) -> str:
        return b.binary("fadd", a, c)

    if kind == "identity":
        return [z, one, number(0.0)][: order + 1]
    if kind == "tanh":
        y = b.call("fast_tanh", z)
        d1 = minus(one, times(y, y)) if order else ""
        return [y, d1, times(times(number(-2.0), y), d1) if order > 1 else ""][: order + 1]
    if kind == "sigmoid":
        y = b.call("fast_sigmoid", z)
        d1 = times(y, minus(one, y)) if order else ""
        return [y, d1, times(d1, minus(one, times(two, y))) if order > 1 else ""][: order + 1]
    if kind == "softplus":
        size = b.call("llvm.fabs.f64", z)
        tail = b.call("log1p", b.call("fast_exp", b.value(f"fneg double {size}")))
        y = plus(b.call("llvm.maxnum.f64", z, number(0.0)), tail)
        d1 = b.call("fast_sigmoid", z) if order else ""
        return [y, d1, times(d1, minus(one, d1)) if order > 1 else ""][: order + 1]
    if kind == "relu":
        positive = b.value(f"fcmp ogt double {z}, {number(0.0)}")
        y = b.value(f"select i1 {positive}, double {z}, double {number(0.0)}")
        return [y, b.value(f"select i1 {positive}, double {one}, double {number(0.0)}"), number(0.0)][: order + 1]
    if kind == "gelu":
        cdf = times(half, plus(one, b.call("erf", times(z, number(math.sqrt(0.5))))))
        values = [times(z, cdf)]
        if order:
            squared = times(z, z)
            pdf = times(number(1.0 / math.sqrt(2.0 * math.pi)), b.call("fast_exp", times(squared, number(-0.5))))
            values.append(plus(cdf, times(z, pdf)))
            values.append(times(pdf, minus(two, squared)) if order > 1 else "")
        return values[: order + 1]
    if kind == "swish":
        s = b.call("fast_sigmoid", z)
        values = [times(z, s)]
        if order:
            slope = times(s, minus(one, s))
            values.append(plus(s, times(z, slope)))
            if order > 1:
                values.append(times(slope, plus(two, times(z, minus(one, times(two, s))))))
        return values
    if kind == "sin":
        y = b.call("llvm.sin.f64", z)
        return [y, b.call("llvm.cos.f64", z) if order else "", b.value(f"fneg double {y}") if order > 1 else ""][
            : order + 1
        ]
    if kind == "rbf":
        squared = times(z, z)
        y = b.call("fast_exp", b.value(f"fneg double {squared}"))
        values = [y]
        if order:
            values.append(times(times(number(-2.0), z), y))
            if order > 1:
                values.append(times(minus(times(number(4.0), squared), two), y))
        return values
    raise KeyError(f"unknown activation {kind!r}")


def _layers(network: Network) -> list[tuple[int, int, int, int]]:
    """(inputs, outputs, offset of W, offset of b) of every layer."""
    at, layers = 0, []
    for a, b in itertools.pairwise(network.sizes):
        layers.append((a, b, at, at + a * b))
        at += a * b + b
    return layers


def _forward(network: Network, k: int, order: int) -> str:
    b = _Body()
    layers = _layers(network)
    n_in, last = network.n_in, len(layers) - 1
    pairs = [(i, j) for i in range(n_in) for j in range(i, n_in)] if order > 1 else []
    slot = {pair: 1 + n_in + q for q, pair in enumerate(pairs)}
    streams = 1 + (n_in if order else 0) + len(pairs)
    source: list[str | None] = ["%x"] + [None] * (streams - 1)  # None: unit tangents or zero
    for level, (a, width, at_w, at_b) in enumerate(layers):
        target = [b.alloca(width) for _ in range(streams)]
        with b.loop(width) as r:
            row = b.index(r, a, str(at_w))
            bias = b.load("%w", b.value(f"add nuw nsw i64 {r}, {at_b}"))

            def product(pointer: str | None, stream: int, start: str, row: str = row, a: int = a) -> str:
                if pointer is None:  # first layer: tangent of input j is W[:, j]; second tangents are zero
                    if stream <= n_in:
                        return b.load("%w", b.value(f"add nuw nsw i64 {row}, {stream - 1}"))
                    return number(0.0)

                def term(c: str) -> str:
                    weight = b.load("%w", b.value(f"add nuw nsw i64 {row}, {c}"))
                    return b.binary("fmul", weight, b.load(pointer, c))

                return b.reduce(a, start, term)

            z = [product(source[s], s, bias if s == 0 else number(0.0)) for s in range(streams)]
            for s in range(streams):
                b.store(z[s], target[s], r)
        if level != last:
            # a loop of its own, over contiguous memory: this is the one that vectorises
            with b.loop(width) as r:
                z = [b.load(target[s], r) for s in range(streams)]
                values = _activation(b, network.activation, z[0], order)
                b.store(values[0], target[0], r)
                for j in range(n_in if order else 0):
                    b.store(b.binary("fmul", values[1], z[1 + j]), target[1 + j], r)
                for i, j in pairs:
                    bend = b.binary("fmul", values[2], b.binary("fmul", z[1 + i], z[1 + j]))
                    s = slot[i, j]
                    b.store(b.binary("fadd", bend, b.binary("fmul", values[1], z[s])), target[s], r)
        source = list(target)
    n_out = network.n_out
    for i in range(n_out):
        for s in range(streams):
            value = b.load(str(source[s]), str(i))
            if s == 0:
                b.store(value, "%out", str(i))
            elif s <= n_in:
                b.store(value, "%out", str(n_out + i * n_in + s - 1))
            else:
                j, l = pairs[s - 1 - n_in]
                base = n_out * (1 + n_in) + i * n_in * n_in
                b.store(value, "%out", str(base + j * n_in + l))
                if j != l:
                    b.store(value, "%out", str(base + l * n_in + j))
    return _function(f"net{k}_{order}", "ptr noalias readonly %x, ptr noalias readonly %w, ptr noalias %out", b)


def _reverse(network: Network, k: int) -> str:
    b = _Body()
    layers = _layers(network)
    last = len(layers) - 1
    inputs = ["%x"]  # values entering each layer
    slopes: list[str] = []
    for level, (a, width, at_w, at_b) in enumerate(layers[:-1]):
        value, slope = b.alloca(width), b.alloca(width)
        with b.loop(width) as r:
            row = b.index(r, a, str(at_w))
            bias = b.load("%w", b.value(f"add nuw nsw i64 {r}, {at_b}"))

            def term(c: str, row: str = row, pointer: str = inputs[level]) -> str:
                weight = b.load("%w", b.value(f"add nuw nsw i64 {row}, {c}"))
                return b.binary("fmul", weight, b.load(pointer, c))

            b.store(b.reduce(a, bias, term), value, r)
        with b.loop(width) as r:
            y, d1 = _activation(b, network.activation, b.load(value, r), 1)
            b.store(y, value, r)
            b.store(d1, slope, r)
        inputs.append(value)
        slopes.append(slope)
    cotangent = "%c"
    for level in range(last, -1, -1):
        a, width, at_w, at_b = layers[level]
        below = b.alloca(a) if level else "%dx"
        with b.loop(a) as c:
            b.store(number(0.0), below, c)
        with b.loop(width) as r:
            weight = b.load(cotangent, r)
            at = b.value(f"add nuw nsw i64 {r}, {at_b}")
            b.store(b.binary("fadd", b.load("%dw", at), weight), "%dw", at)
            row = b.index(r, a, str(at_w))
            with b.loop(a) as c:
                at = b.value(f"add nuw nsw i64 {row}, {c}")
                step = b.binary("fmul", weight, b.load(inputs[level], c))
                b.store(b.binary("fadd", b.load("%dw", at), step), "%dw", at)
                back = b.binary("fmul", weight, b.load("%w", at))
                b.store(b.binary("fadd", b.load(below, c), back), below, c)
        if level:
            with b.loop(a) as c:
                b.store(b.binary("fmul", b.load(below, c), b.load(slopes[level - 1], c)), below, c)
        cotangent = below
    return _function(
        f"net{k}_vjp",
        "ptr noalias readonly %x, ptr noalias readonly %w, ptr noalias readonly %c, ptr noalias %dx, ptr noalias %dw",
        b,
    )


def _function(name: str, arguments: str, b: _Body) -> str:
    body = "\n".join(b.lines)
    return f"define internal void @{name}({arguments}) {{\nentry:\n{body}\n  ret void\n}}\n"


def definitions(network: Network, k: int, needed: set[str]) -> str:
    """IR text of the functions of network `k` in `needed` ("0", "1", "2", "vjp")."""
    text = [_forward(network, k, int(level)) for level in sorted(needed - {"vjp"})]
    if "vjp" in needed:
        text.append(_reverse(network, k))
    return "\n".join(text)
