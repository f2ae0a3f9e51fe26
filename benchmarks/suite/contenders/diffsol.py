"""pydiffsol: the equations as DiffSL text, compiled by its JIT; BDF, ESDIRK34, TR-BDF2 and Tsit45."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.contenders import NotApplicable, Run, Way
from suite.problem import Problem

LABEL, MODULE = "pydiffsol", "pydiffsol"
LARGEST = 500


def text(problem: Problem) -> str:
    """DiffSL: states with initial values, and the right-hand sides as sympy prints them."""
    import sympy

    symbols = list(sympy.symbols([f"x{i}" for i in range(problem.n)]))
    start = "".join(f"  x{i} = {value!r},\n" for i, value in enumerate(problem.u0))
    right = "".join(f"  {written(sympy.sympify(e))},\n" for e in problem.rhs(symbols))
    return f"in_i {{ one = 1.0 }}\nu_i {{\n{start}}}\nF_i {{\n{right}}}\n"


def written(expression: Any) -> str:
    """An expression with powers as `pow`, numbers in full."""
    from sympy.printing.str import StrPrinter

    class Printer(StrPrinter):  # type: ignore[misc]
        def _print_Pow(self, expr: Any, rational: bool = False) -> str:
            base, exponent = expr.args
            if exponent == 2:
                one = self._print(base)
                return f"(({one})*({one}))"
            return f"pow({self._print(base)}, {self._print(exponent)})"

        def _print_Float(self, expr: Any) -> str:
            return repr(float(expr))

        def _print_Integer(self, expr: Any) -> str:
            return f"{int(expr)}.0"

        def _print_Rational(self, expr: Any) -> str:
            return repr(float(expr))

    return str(Printer().doprint(expression))


def diffsol(problem: Problem, method: str) -> Callable[[float], Run]:
    import pydiffsol

    matrix = pydiffsol.faer_sparse if problem.n > 40 else pydiffsol.nalgebra_dense
    ode = pydiffsol.Ode(
        text(problem), matrix_type=matrix, scalar_type=pydiffsol.f64, ode_solver=getattr(pydiffsol, method),
        linear_solver=pydiffsol.lu,
    )  # fmt: skip
    parameters, times = np.ones(1), np.array([problem.t1])

    def at(tolerance: float) -> Run:
        def run() -> Any:
            ode.rtol, ode.atol = tolerance, tolerance * problem.floor
            found = ode.solve_dense(parameters, times)
            return np.array(getattr(found, "ys", found)).reshape(problem.n, -1)[:, -1]

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    if problem.stops:
        raise NotApplicable("a right-hand side that jumps in time")
    if problem.n > LARGEST:
        raise NotApplicable(f"text of {problem.n} states")
    methods = ("bdf", "esdirk34") if problem.stiff else ("tsit45", "bdf")
    return [Way(method, lambda method=method: diffsol(problem, method)) for method in methods]
