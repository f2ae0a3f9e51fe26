"""A slow evaluator of graph nodes in arbitrary precision: the second implementation tests compare with."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath

from sciml_dsl.graph.graph import Graph

_MP = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: mpmath.power(a, b),
    "neg": lambda a: -a,
    "abs": abs,
    "sign": mpmath.sign,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "min": min,
    "max": max,
    "mod": lambda a, b: a - b * mpmath.floor(a / b),
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "log2": lambda a: mpmath.log(a, 2),
    "log10": mpmath.log10,
    "sqrt": mpmath.sqrt,
    "cbrt": mpmath.cbrt,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "atan2": mpmath.atan2,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "gamma": mpmath.gamma,
    "lgamma": mpmath.loggamma,
    "digamma": mpmath.digamma,
    "lt": lambda a, b: mpmath.mpf(a < b),
    "le": lambda a, b: mpmath.mpf(a <= b),
    "gt": lambda a, b: mpmath.mpf(a > b),
    "ge": lambda a, b: mpmath.mpf(a >= b),
    "eq": lambda a, b: mpmath.mpf(a == b),
    "ne": lambda a, b: mpmath.mpf(a != b),
    "and": lambda a, b: mpmath.mpf(a != 0 and b != 0),
    "or": lambda a, b: mpmath.mpf(a != 0 or b != 0),
    "not": lambda a: mpmath.mpf(a == 0),
}


def evaluate(graph: Graph, nodes: Sequence[int], *, t=0, u=(), p=(), v=(), digits: int = 50) -> list[mpmath.mpf]:
    """Values of `nodes` with `digits` decimal digits; branches not taken are not evaluated."""
    with mpmath.workdps(digits):
        values: dict[int, mpmath.mpf] = {}
        leaves = {"state": u, "param": p, "seed": v}

        def value(node: int) -> mpmath.mpf:
            if node in values:
                return values[node]
            op, args = graph.op[node], graph.args[node]
            if op == "const":
                result = mpmath.mpf(graph.data[node])
            elif op == "t":
                result = mpmath.mpf(t)
            elif op in leaves:
                result = mpmath.mpf(leaves[op][graph.data[node]])
            elif op == "select":
                result = value(args[1] if value(args[0]) != 0 else args[2])
            else:
                result = _MP[op](*(value(a) for a in args))
            values[node] = result
            return result

        return [value(n) for n in nodes]
