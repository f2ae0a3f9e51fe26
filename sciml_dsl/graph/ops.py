"""The operations of the expression graph: arity, value, partial derivatives.

One table, read by every other part: constant folding uses `evaluate`, the
derivative sweeps use `PARTIALS`, code targets check that they print every
name in it.  A partial is a function `(graph, args, node) -> partial per
argument`, where None stands for a derivative that is zero everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Graph

Partial = Callable[["Graph", tuple[int, ...], int], tuple["int | None", ...]]

# ---------------------------------------------------------------- values


def _div(a: float, b: float) -> float:
    return a / b


def _sign(x: float) -> float:
    return 0.0 if x == 0.0 else math.copysign(1.0, x)


def _digamma(x: float) -> float:
    if x <= 0.0 and x == math.floor(x):
        raise ValueError("digamma at a pole")
    total = 0.0
    if x < 0.5:
        return _digamma(1.0 - x) - math.pi / math.tan(math.pi * x)
    while x < 8.0:
        total -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return total + math.log(x) - 0.5 / x - series


EVALUATE: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _div,
    "pow": lambda a, b: math.pow(a, b),
    "neg": lambda a: -a,
    "abs": abs,
    "sign": _sign,
    "floor": lambda a: float(math.floor(a)),
    "ceil": lambda a: float(math.ceil(a)),
    "min": lambda a, b: min(a, b),
    "max": lambda a, b: max(a, b),
    "mod": lambda a, b: a - b * math.floor(a / b),
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": math.atanh,
    "erf": math.erf,
    "erfc": math.erfc,
    "gamma": math.gamma,
    "lgamma": math.lgamma,
    "digamma": _digamma,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "and": lambda a, b: float(a != 0.0 and b != 0.0),
    "or": lambda a, b: float(a != 0.0 or b != 0.0),
    "not": lambda a: float(a == 0.0),
    "select": lambda c, a, b: a if c != 0.0 else b,
}
"""Every scalar operation with its value in IEEE doubles (Python's `math`)."""

CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
"""Operations whose value is a truth value (1.0 or 0.0)."""

COMMUTATIVE = frozenset({"add", "mul", "min", "max", "eq", "ne", "and", "or"})

BRANCHES = frozenset({"select", "min", "max"})
"""Operations that choose one argument: their derivative chooses too, so that a
NaN in the branch not taken never leaks (0 * NaN)."""

LEAVES = frozenset({"const", "t", "state", "param", "seed", "element", "index", "local"})
NETWORK_OPS = frozenset({"netcall", "net", "net_jac", "net_hess", "net_vjp", "net_vjp_in"})

FUNCTIONS: dict[str, tuple[str, int]] = {
    name: (name, 1)
    for name in (
        "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
        "erf erfc gamma lgamma digamma abs sign floor ceil"
    ).split()
} | {
    "ln": ("log", 1),
    "arcsin": ("asin", 1),
    "arccos": ("acos", 1),
    "arctan": ("atan", 1),
    "mod": ("mod", 2),
    "atan2": ("atan2", 2),
    "pow": ("pow", 2),
}
"""Names of the language's built-in functions of fixed arity -> (operation, arity).
`min` and `max` take two or more arguments and `ifelse` three; `graph.build` lowers them."""


INPUT = "input"
"""A measured forcing: a piecewise polynomial of its argument, whose numbers are the tail of `p`.
Its payload is (number of the input, order of the derivative)."""


def evaluate(op: str, *args: float) -> float | None:
    """The value of `op` at numbers, or None where it has no finite value."""
    try:
        value = EVALUATE[op](*args)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- partial derivatives


def _pow(g: Graph, a: tuple[int, ...], node: int) -> tuple[int | None, ...]:
    base, exponent = a
    left = g.mul(exponent, g.pow(base, g.sub(exponent, g.const(1.0))))
    if g.is_const(exponent):
        return left, None
    # x^y log(x) tends to 0 at x = 0 for y > 0; without the guard it would be 0 * -inf
    right = g.select(g.call("gt", base, g.const(0.0)), g.mul(node, g.call("log", base)), g.const(0.0))
    return left, right


def _square(g: Graph, x: int) -> int:
    return g.mul(x, x)


def _trigamma(g: Graph, x: int) -> int:
    """The derivative of digamma as an expression of the graph, by recurrence to
    x + 8, asymptotic series there, reflection below 1/2 (Abramowitz & Stegun 6.4.6, 6.4.7, 6.4.12)."""

    def right(z: int) -> int:
        shifted = g.add(z, g.const(8.0))
        total = g.const(0.0)
        for k in range(8):
            total = g.add(total, g.div(g.const(1.0), _square(g, g.add(z, g.const(float(k))))))
        y = g.div(g.const(1.0), _square(g, shifted))
        series = g.const(7 / 6)
        for c in (-691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
            series = g.add(g.const(c), g.mul(y, series))
        head = g.add(g.div(g.const(1.0), shifted), g.mul(g.const(0.5), y))
        return g.add(total, g.add(head, g.div(g.mul(y, series), shifted)))

    below = g.call("lt", x, g.const(0.5))
    sine = g.call("sin", g.mul(g.const(math.pi), x))
    reflected = g.sub(g.div(g.const(math.pi**2), _square(g, sine)), right(g.sub(g.const(1.0), x)))
    return g.select(below, reflected, right(g.select(below, g.const(1.0), x)))


_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)

PARTIALS: dict[str, Partial] = {
    "add": lambda g, a, n: (g.const(1.0), g.const(1.0)),
    "sub": lambda g, a, n: (g.const(1.0), g.const(-1.0)),
    "mul": lambda g, a, n: (a[1], a[0]),
    "div": lambda g, a, n: (g.div(g.const(1.0), a[1]), g.neg(g.div(n, a[1]))),
    "pow": _pow,
    "neg": lambda g, a, n: (g.const(-1.0),),
    "abs": lambda g, a, n: (g.call("sign", a[0]),),
    "sign": lambda g, a, n: (None,),
    "floor": lambda g, a, n: (None,),
    "ceil": lambda g, a, n: (None,),
    "mod": lambda g, a, n: (g.const(1.0), g.neg(g.call("floor", g.div(a[0], a[1])))),
    "exp": lambda g, a, n: (n,),
    "expm1": lambda g, a, n: (g.call("exp", a[0]),),
    "log": lambda g, a, n: (g.div(g.const(1.0), a[0]),),
    "log1p": lambda g, a, n: (g.div(g.const(1.0), g.add(g.const(1.0), a[0])),),
    "log2": lambda g, a, n: (g.div(g.const(1.0 / math.log(2.0)), a[0]),),
    "log10": lambda g, a, n: (g.div(g.const(1.0 / math.log(10.0)), a[0]),),
    "sqrt": lambda g, a, n: (g.div(g.const(0.5), n),),
    "cbrt": lambda g, a, n: (g.div(g.const(1.0 / 3.0), _square(g, n)),),
    "sin": lambda g, a, n: (g.call("cos", a[0]),),
    "cos": lambda g, a, n: (g.neg(g.call("sin", a[0])),),
    "tan": lambda g, a, n: (g.add(g.const(1.0), _square(g, n)),),
    "asin": lambda g, a, n: (g.div(g.const(1.0), g.call("sqrt", g.sub(g.const(1.0), _square(g, a[0])))),),
    "acos": lambda g, a, n: (g.div(g.const(-1.0), g.call("sqrt", g.sub(g.const(1.0), _square(g, a[0])))),),
    "atan": lambda g, a, n: (g.div(g.const(1.0), g.add(g.const(1.0), _square(g, a[0]))),),
    "atan2": lambda g, a, n: (
        g.div(a[1], g.add(_square(g, a[0]), _square(g, a[1]))),
        g.neg(g.div(a[0], g.add(_square(g, a[0]), _square(g, a[1])))),
    ),
    "sinh": lambda g, a, n: (g.call("cosh", a[0]),),
    "cosh": lambda g, a, n: (g.call("sinh", a[0]),),
    "tanh": lambda g, a, n: (g.sub(g.const(1.0), _square(g, n)),),
    "asinh": lambda g, a, n: (g.div(g.const(1.0), g.call("sqrt", g.add(_square(g, a[0]), g.const(1.0)))),),
    # two roots, not sqrt(x^2 - 1): for x < -1 the derivative of acosh must be NaN like its value
    "acosh": lambda g, a, n: (
        g.div(
            g.const(1.0),
            g.mul(g.call("sqrt", g.sub(a[0], g.const(1.0))), g.call("sqrt", g.add(a[0], g.const(1.0)))),
        ),
    ),
    "atanh": lambda g, a, n: (g.div(g.const(1.0), g.sub(g.const(1.0), _square(g, a[0]))),),
    "erf": lambda g, a, n: (g.mul(g.const(_TWO_OVER_ROOT_PI), g.call("exp", g.neg(_square(g, a[0])))),),
    "erfc": lambda g, a, n: (g.mul(g.const(-_TWO_OVER_ROOT_PI), g.call("exp", g.neg(_square(g, a[0])))),),
    "gamma": lambda g, a, n: (g.mul(n, g.call("digamma", a[0])),),
    "lgamma": lambda g, a, n: (g.call("digamma", a[0]),),
    "digamma": lambda g, a, n: (_trigamma(g, a[0]),),
}
"""Partial derivatives of every differentiable operation that is not a branch.
(Truth values and branches are handled by `derivatives`.)"""
