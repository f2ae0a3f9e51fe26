"""exp, log, sin, cos, tanh and pow of many numbers at once, as LLVM loops over vectors.

A call of the C library costs more than the arithmetic around it, and compilers
do not gather calls out of straight-line code.  `llvm.py` does: it collects the
arguments of independent calls in an array, and the functions here replace an
array by its values:

    void @sciml_exp(ptr x, i64 n)             x[i] = exp(x[i]), likewise log, sin, cos, tanh
    void @sciml_pow(ptr x, ptr y, i64 n)      x[i] = pow(x[i], y[i])

`n` is a multiple of `LANES`.  Where all of `LANES` numbers lie in the range of the
short method, it is used; else the C library is called for each of them, so NaN,
infinities, subnormal and huge numbers come out as they always do.  Errors
stay below 1.2 ulp (the tests compare with mpmath).

The methods are reductions and Taylor polynomials, long enough that truncation does
not show: Muller, "Elementary Functions" (3rd ed., 2016), ch. 11; Cody and Waite,
"Software Manual for the Elementary Functions" (1980); double-double arithmetic as
in Dekker, Numer. Math. 18 (1971) 224.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from .llvm_network import number

if TYPE_CHECKING:
    from .jit import MachineCode

LANES = 8
UNARY = ("exp", "log", "sin", "cos", "tanh")
FUNCTIONS = (*UNARY, "pow")
"""Operations of the graph that have a vector form."""

V = f"<{LANES} x double>"
B = f"<{LANES} x i1>"

_MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest integer in the low bits
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # 33 bits, and the rest
# pi/2 in pieces of 33, 33 and 53 bits: small multiples of the first two are exact
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_EXP_TAIL = [1.0 / math.factorial(n) for n in range(2, 14)]  # of (exp(r) - 1 - r)/r^2
_LIBRARY = {"exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tanh": "tanh", "pow": "pow"}


class _Text:
    """Straight-line vector code under construction; values are names."""

    def __init__(
        self, lanes: int = LANES, prefix: str = "v", constant: Callable[[float], str] | None = None
    ) -> None:  # fmt: skip
        self.lines: list[str] = []
        self.lanes, self.prefix, self._constant = lanes, prefix, constant
        self.reals, self.integers, self.truths = (f"<{lanes} x {kind}>" for kind in ("double", "i64", "i1"))

    def emit(self, text: str) -> str:
        name = f"%{self.prefix}{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def splat(self, value: float) -> str:
        if self._constant is not None:
            return self._constant(value)
        return "<" + ", ".join([f"double {number(value)}"] * self.lanes) + ">"

    def whole(self, value: int) -> str:
        return "<" + ", ".join([f"i64 {value}"] * self.lanes) + ">"

    def _both(self, op: str, a: str, b: str, kind: str = "") -> str:
        return self.emit(f"{op} {kind or self.reals} {a}, {b}")

    def add(self, a: str, b: str) -> str:
        return self._both("fadd", a, b)

    def sub(self, a: str, b: str) -> str:
        return self._both("fsub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self._both("fmul", a, b)

    def div(self, a: str, b: str) -> str:
        return self._both("fdiv", a, b)

    def integer(self, op: str, a: str, b: str) -> str:
        return self._both(op, a, b, self.integers)

    def both(self, a: str, b: str) -> str:
        return self._both("and", a, b, self.truths)

    def less(self, a: str, b: str, how: str = "olt") -> str:
        return self.emit(f"fcmp {how} {self.reals} {a}, {b}")

    def fma(self, a: str, b: str, c: str) -> str:
        arguments = ", ".join(f"{self.reals} {x}" for x in (a, b, c))
        return self.emit(f"call {self.reals} @llvm.fma.v{self.lanes}f64({arguments})")

    def neg(self, a: str) -> str:
        return self.emit(f"fneg {self.reals} {a}")

    def abs(self, a: str) -> str:
        return self.emit(f"call {self.reals} @llvm.fabs.v{self.lanes}f64({self.reals} {a})")

    def select(self, cond: str, a: str, b: str) -> str:
        return self.emit(f"select {self.truths} {cond}, {self.reals} {a}, {self.reals} {b}")

    def bits(self, a: str) -> str:
        return self.emit(f"bitcast {self.reals} {a} to {self.integers}")

    def double(self, a: str) -> str:
        return self.emit(f"bitcast {self.integers} {a} to {self.reals}")

    def polynomial(self, x: str, coefficients: list[float]) -> str:
        """c[0] + c[1] x + ..., in pairs (Estrin), so that few steps wait for each other."""
        level = [self.splat(c) for c in coefficients]
        power = x
        while len(level) > 1:
            level = [
                self.fma(level[i + 1], power, level[i]) if i + 1 < len(level) else level[i]
                for i in range(0, len(level), 2)
            ]
            if len(level) > 1:
                power = self.mul(power, power)
        return level[0]


# ---------------------------------------------------------------- the methods
# Each takes names of vectors and gives (are all in range, value).


def _exp_parts(t: _Text, x: str, low: str | None = None) -> tuple[str, str, str]:
    """(2^k, r, exp(r) - 1) with x + low = k ln 2 + r and |r| <= ln2/2 (a little more)."""
    shifted = t.fma(x, t.splat(1 / math.log(2.0)), t.splat(_MAGIC))
    k = t.sub(shifted, t.splat(_MAGIC))
    r = t.fma(k, t.splat(-_LN2_HIGH), x)
    r = t.fma(k, t.splat(-_LN2_LOW), r)
    if low is not None:
        r = t.add(r, low)
    scale = t.double(t.integer("add", t.integer("shl", t.bits(shifted), t.whole(52)), t.whole(1023 << 52)))
    return scale, r, t.fma(t.mul(r, r), t.polynomial(r, _EXP_TAIL), r)


def _exp(t: _Text, x: str) -> tuple[str, str]:
    scale, _, q = _exp_parts(t, x)
    return t.less(t.abs(x), t.splat(708.0)), t.fma(scale, q, scale)


def _tanh(t: _Text, x: str) -> tuple[str, str]:
    """expm1(2|x|) / (expm1(2|x|) + 2) with the sign of x; what each step rounds off is carried along."""
    size = t.abs(x)
    twice = t.add(size, size)
    scale, r, q = _exp_parts(t, twice)
    shifted = t.fma(twice, t.splat(1 / math.log(2.0)), t.splat(_MAGIC))
    k = t.sub(shifted, t.splat(_MAGIC))
    before = t.fma(k, t.splat(-_LN2_HIGH), twice)
    r_low = t.fma(k, t.splat(-_LN2_LOW), t.sub(before, r))
    q_low = t.sub(t.mul(t.mul(r, r), t.polynomial(r, _EXP_TAIL)), t.sub(q, r))
    less_one = t.sub(scale, t.splat(1.0))  # exact
    grown = t.fma(scale, q, less_one)
    lost = t.fma(scale, q, t.sub(less_one, grown))
    lost = t.fma(scale, t.add(q_low, r_low), lost)
    below = t.add(grown, t.splat(2.0))
    below_low = t.add(t.sub(grown, t.sub(below, t.splat(2.0))), lost)
    inverse = t.div(t.splat(1.0), below)
    value = t.mul(grown, inverse)
    rest = t.add(t.fma(t.neg(value), below, grown), t.fma(t.neg(value), below_low, lost))
    value = t.fma(rest, inverse, value)
    sign = t.integer("and", t.bits(x), t.whole(-(1 << 63)))
    return t.less(size, t.splat(18.0)), t.double(t.integer("or", t.bits(value), sign))


def _split(t: _Text, x: str) -> tuple[str, str]:
    """(k, m) with x = 2^k m, sqrt(1/2) <= m < sqrt(2), for normal x > 0; k as a double."""
    root = 0x3FE6A09E667F3BCD  # sqrt(1/2)
    shifted = t.integer("sub", t.bits(x), t.whole(root))
    k = t.integer("ashr", shifted, t.whole(52))
    m = t.double(t.integer("sub", t.bits(x), t.integer("shl", k, t.whole(52))))
    magic = t.integer("add", k, t.bits(t.splat(_MAGIC)))
    return t.sub(t.double(magic), t.splat(_MAGIC)), m


def _normal(t: _Text, x: str) -> str:
    return t.both(t.less(t.splat(2.3e-308), x), t.less(x, t.splat(1.79e308)))


def _atanh_tail(t: _Text, z: str) -> str:
    """2 z/3 + 2 z^2/5 + ...: log((1 + s)/(1 - s)) is 2 s + s times this, z = s^2 <= 0.0295."""
    return t.mul(z, t.polynomial(z, [2.0 / (2 * n + 3) for n in range(11)]))


def _log(t: _Text, x: str) -> tuple[str, str]:
    k, m = _split(t, x)
    f = t.sub(m, t.splat(1.0))  # exact
    s = t.div(f, t.add(f, t.splat(2.0)))
    tail = _atanh_tail(t, t.mul(s, s))
    half = t.mul(t.splat(0.5), t.mul(f, f))
    # log(1 + f) = f - half + s (half + tail); the largest terms are added last
    low = t.fma(s, t.add(half, tail), t.mul(k, t.splat(_LN2_LOW)))
    value = t.fma(k, t.splat(_LN2_HIGH), t.sub(f, t.sub(half, low)))
    return _normal(t, x), value


def _log_twice(t: _Text, x: str) -> tuple[str, str]:
    """log(x) as a sum of two doubles, to about 2^-59 of it."""
    k, m = _split(t, x)
    f = t.sub(m, t.splat(1.0))
    d = t.add(f, t.splat(2.0))
    d_low = t.sub(f, t.sub(d, t.splat(2.0)))
    inverse = t.div(t.splat(1.0), d)
    s = t.mul(f, inverse)
    rest = t.fma(t.neg(s), d_low, t.fma(t.neg(s), d, f))
    s_low = t.mul(rest, inverse)
    twice = t.add(s, s)
    low = t.fma(s, _atanh_tail(t, t.mul(s, s)), t.add(s_low, s_low))
    high = t.mul(k, t.splat(_LN2_HIGH))  # exact: |k| has 11 bits
    total = t.add(high, twice)
    lost = t.sub(twice, t.sub(total, high))
    return total, t.add(low, t.fma(k, t.splat(_LN2_LOW), lost))


def _pow(t: _Text, x: str, y: str) -> tuple[str, str]:
    log, log_low = _log_twice(t, x)
    product = t.mul(y, log)
    low = t.fma(y, log_low, t.fma(y, log, t.neg(product)))
    scale, _, q = _exp_parts(t, product, low)
    # further out the error of the logarithm would show
    inside = t.both(_normal(t, x), t.less(t.abs(product), t.splat(32.0)))
    return inside, t.fma(scale, q, scale)


def _trigonometric(cosine: bool) -> Callable[[_Text, str], tuple[str, str]]:
    def method(t: _Text, x: str) -> tuple[str, str]:
        shifted = t.fma(x, t.splat(2.0 / math.pi), t.splat(_MAGIC))
        k = t.sub(shifted, t.splat(_MAGIC))
        first = t.fma(k, t.splat(-_HALF_PI[0]), x)
        second = t.fma(k, t.splat(-_HALF_PI[1]), first)
        low = t.fma(k, t.splat(-_HALF_PI[1]), t.sub(first, second))
        low = t.fma(k, t.splat(-_HALF_PI[2]), low)
        r = t.add(second, low)
        low = t.add(t.sub(second, r), low)
        z = t.mul(r, r)
        half = t.mul(t.splat(0.5), z)
        # sin(r + low) and cos(r + low) to first order in low
        odd = t.polynomial(z, [(-1) ** n / math.factorial(2 * n + 1) for n in range(1, 9)])
        sine = t.fma(t.mul(z, r), odd, t.mul(low, t.sub(t.splat(1.0), half)))
        sine = t.add(r, sine)
        even = t.polynomial(z, [(-1) ** n / math.factorial(2 * n) for n in range(2, 10)])
        one = t.sub(t.splat(1.0), half)
        left = t.sub(t.sub(t.splat(1.0), one), half)
        cos_low = t.fma(t.mul(z, z), even, t.sub(left, t.mul(r, low)))
        cos = t.add(one, cos_low)
        quadrant = t.bits(shifted)
        if cosine:
            quadrant = t.integer("add", quadrant, t.whole(1))
        swapped = t.emit(f"trunc {t.integers} {quadrant} to {t.truths}")  # odd quadrants
        value = t.select(swapped, cos, sine)
        sign = t.integer("shl", t.integer("and", quadrant, t.whole(2)), t.whole(62))
        value = t.double(t.integer("xor", t.bits(value), sign))
        return t.less(t.abs(x), t.splat(1e5)), value

    return method


_METHODS: dict[str, Callable[..., tuple[str, str]]] = {
    "exp": _exp,
    "log": _log,
    "sin": _trigonometric(False),
    "cos": _trigonometric(True),
    "tanh": _tanh,
    "pow": _pow,
}


# ---------------------------------------------------------------- functions


def _definition(name: str) -> str:
    binary = name == "pow"
    text = _Text()
    inside, value = _METHODS[name](text, *(["%x", "%y"] if binary else ["%x"]))
    load_y = ["  %py = getelementptr inbounds double, ptr %b, i64 %i", f"  %y = load {V}, ptr %py, align 8"]
    scalar_y = ["  %qy = getelementptr inbounds double, ptr %b, i64 %at", "  %sy = load double, ptr %qy, align 8"]
    lines = [
        f"define void @sciml_{name}(ptr noalias %a, {'ptr noalias %b, ' if binary else ''}i64 %n) {{",
        "entry:",
        "  %some = icmp sgt i64 %n, 0",
        "  br i1 %some, label %loop, label %done",
        "loop:",
        "  %i = phi i64 [0, %entry], [%next, %behind]",
        "  %px = getelementptr inbounds double, ptr %a, i64 %i",
        f"  %x = load {V}, ptr %px, align 8",
        *(load_y if binary else []),
        *text.lines,
        f"  %mask = bitcast {B} {inside} to i{LANES}",
        f"  %all = icmp eq i{LANES} %mask, -1",
        "  br i1 %all, label %fast, label %slow",
        "fast:",
        f"  store {V} {value}, ptr %px, align 8",
        "  br label %behind",
        "slow:",
        "  %j = phi i64 [0, %loop], [%after, %slow]",
        "  %at = add i64 %i, %j",
        "  %qx = getelementptr inbounds double, ptr %a, i64 %at",
        "  %sx = load double, ptr %qx, align 8",
        *(scalar_y if binary else []),
        f"  %r = call double @{_LIBRARY[name]}(double %sx{', double %sy' if binary else ''})",
        "  store double %r, ptr %qx, align 8",
        "  %after = add i64 %j, 1",
        f"  %last = icmp eq i64 %after, {LANES}",
        "  br i1 %last, label %behind, label %slow",
        "behind:",
        f"  %next = add i64 %i, {LANES}",
        "  %more = icmp slt i64 %next, %n",
        "  br i1 %more, label %loop, label %done",
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


def inline(
    name: str, lanes: int, prefix: str, constant: Callable[[float], str], *arguments: str
) -> tuple[list[str], str]:
    """Lines of IR, values named from `prefix`, and the one that holds the result, for arguments known to be in range.

    That is, for exp, |x| < 708, and for log, x positive and normal.  `constant` makes a vector of one number.
    """
    text = _Text(lanes, prefix, constant)
    _, value = _METHODS[name](text, *arguments)
    return text.lines, value


def in_lanes(name: str, lanes: int) -> str:
    """The IR of `<lanes x double> @lanes_{name}(<lanes x double>)`, of two vectors for pow, for other code to call.

    Each number comes out as if it were alone: only those out of range go to the C library.
    """
    arguments = ["%x", "%y"] if name == "pow" else ["%x"]
    text = _Text(lanes)
    inside, value = _METHODS[name](text, *arguments)
    given = ", ".join(f"{text.reals} {a}" for a in arguments)
    lines = [
        f"define internal {text.reals} @lanes_{name}({given}) nounwind {{",
        "entry:",
        *text.lines,
        f"  %mask = bitcast {text.truths} {inside} to i{lanes}",
        f"  %all = icmp eq i{lanes} %mask, -1",
        "  br i1 %all, label %fast, label %slow",
        "fast:",
        f"  ret {text.reals} {value}",
        "slow:",
        "  %j = phi i32 [0, %entry], [%after, %next]",
        f"  %r = phi {text.reals} [{value}, %entry], [%merged, %next]",
        f"  %good = extractelement {text.truths} {inside}, i32 %j",
        "  br i1 %good, label %next, label %alone",
        "alone:",
        *(f"  %s{a[1:]} = extractelement {text.reals} {a}, i32 %j" for a in arguments),
        f"  %one = call double @{_LIBRARY[name]}({', '.join(f'double %s{a[1:]}' for a in arguments)})",
        f"  %put = insertelement {text.reals} %r, double %one, i32 %j",
        "  br label %next",
        "next:",
        f"  %merged = phi {text.reals} [%r, %slow], [%put, %alone]",
        "  %after = add i32 %j, 1",
        f"  %last = icmp eq i32 %after, {lanes}",
        "  br i1 %last, label %done, label %slow",
        "done:",
        f"  ret {text.reals} %merged",
        "}",
    ]
    return "\n".join(lines) + "\n"


def module_text() -> str:
    """The IR of all functions."""
    parts = ['source_filename = "sciml_dsl_math"\n']
    parts += [f"declare double @{_LIBRARY[name]}(double)" for name in UNARY]
    parts += ["declare double @pow(double, double)"]
    parts += [f"declare {V} @llvm.fma.v{LANES}f64({V}, {V}, {V})", f"declare {V} @llvm.fabs.v{LANES}f64({V})"]
    return "\n".join([*parts, *(_definition(name) for name in FUNCTIONS)])


@cache
def library() -> MachineCode | None:
    """The compiled functions, known to LLVM by their names; None where the processor has no fused multiply-add."""
    import llvmlite.binding as llvm

    from .jit import MachineCode, has_fma

    if not has_fma():
        return None
    code = MachineCode(module_text(), loops=True)
    for name in FUNCTIONS:
        llvm.add_symbol(f"sciml_{name}", code.address(f"sciml_{name}"))
    return code


def call(name: str, *arrays: Any) -> None:
    """Replace the numpy array `arrays[0]` by its values, in place; its length is a multiple of `LANES`.

    For tests; generated code calls the functions directly.
    """
    import ctypes

    code = library()
    assert code is not None, "this processor has no fused multiply-add"
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
    kind = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * len(arrays)), ctypes.c_int64)
    kind(code.address(f"sciml_{name}"))(*pointers, len(arrays[0]))
