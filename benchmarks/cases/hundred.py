"""100 states, 400 entries of the Jacobian: from text to functions that can be called, beside the ways through sympy."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from cases import Effort
from contest import OURS, Outcome, Row, Target, fail, installed
from generated import ring
from measure import Timing, once
from truth import weighted_error

TITLE = "100 states: right-hand side and sparse Jacobian, ready to call"
SETTINGS = (
    "a ring of 100 states with quotients, exponentials and powers, 400 entries of the Jacobian; ours starts from text "
    "never seen before, peers from expressions of theirs that are there; median of several, numba once; error: of f "
    "and of all entries, |value - exact| / (1 + |exact|), exact by mpmath with 30 digits"
)
N = 100
MAIN = "text to f and sparse Jacobian"
TARGETS = (
    Target("20 x sympy lambdify(cse)", ratio=20.0, library="sympy", slack=1e9),
    Target("50 x sympy + numba", ratio=50.0, library="numba", slack=1e9),
    Target("faster than symengine + LLVM", ratio=1.0, library="symengine", tag="default", slack=1e9),
)


@contextmanager
def without_cache() -> Any:
    """Nothing is read from disk or kept there."""
    before = os.environ.get("SCIML_DSL_CACHE")
    os.environ["SCIML_DSL_CACHE"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["SCIML_DSL_CACHE"]
        else:
            os.environ["SCIML_DSL_CACHE"] = before


class Problem:
    """The equations as sympy, a point to evaluate them at, and what comes out to 30 digits."""

    def __init__(self) -> None:
        import mpmath
        import sympy

        import sciml_dsl as sd

        model = sd.model(ring(N))
        self.states = [sympy.Symbol(name) for name in model.states]
        self.parameters = [sympy.Symbol(name) for name in model.parameters]
        self.time = sympy.Symbol("t")
        self.equations = list(model.equations.values())
        draw = np.random.default_rng(0)
        self.u = draw.uniform(0.5, 1.5, N)
        self.p = np.array([model.defaults[name] for name in model.parameters], float)
        self.t = 0.3
        with mpmath.workdps(30):
            exact = sympy.lambdify(self.arguments, [*self.equations, *self.entries()], "mpmath")
            values = exact(mpmath.mpf(self.t), [mpmath.mpf(x) for x in self.u], [mpmath.mpf(x) for x in self.p])
            self.exact = np.array([float(v) for v in values])

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.time, self.states, self.parameters

    def entries(self) -> list[Any]:
        """The derivatives that are not zero, row by row."""
        import sympy

        place = {s: j for j, s in enumerate(self.states)}
        return [
            sympy.diff(e, s)
            for e in self.equations
            for s in sorted((s for s in e.free_symbols if s in place), key=place.__getitem__)
        ]

    def error(self, f: Any, values: Any) -> float:
        return weighted_error(np.concatenate([np.ravel(f), np.ravel(values)]), self.exact)


def ours(problem: Problem, count: int) -> tuple[Timing, float]:
    import sciml_dsl as sd

    seconds, error = [], 0.0
    with without_cache():
        for k in range(count + 1):
            text = ring(N, 0.5 + k / 1000)

            def job(text: str = text) -> Any:
                model = sd.model(text)
                return model.rhs("native"), model.jac("native", sparse=True)

            taken, (f, jac) = once(job)
            if k:  # the first warms up
                seconds.append(taken)
        p = problem.p.copy()
        value, matrix = f(problem.t, problem.u, p), jac(problem.t, problem.u, p)
        error = problem.error(value, matrix.data)
    return Timing.of(seconds), error


def ours_again(problem: Problem, count: int) -> tuple[Timing, float]:
    """The same text once more in another process's place: everything but the front end comes from disk."""
    import tempfile

    import sciml_dsl as sd

    before = os.environ.get("SCIML_DSL_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCIML_DSL_CACHE"] = folder
        try:
            seconds = []
            for k in range(count + 1):

                def job() -> Any:
                    model = sd.model(ring(N))
                    return model.rhs("native"), model.jac("native", sparse=True)

                taken, (f, jac) = once(job)
                if k:
                    seconds.append(taken)
        finally:
            if before is None:
                del os.environ["SCIML_DSL_CACHE"]
            else:
                os.environ["SCIML_DSL_CACHE"] = before
    error = problem.error(f(problem.t, problem.u, problem.p), jac(problem.t, problem.u, problem.p).data)
    return Timing.of(seconds), error


def by_sympy(problem: Problem, count: int) -> tuple[Timing, float]:
    import sympy

    def job() -> Any:
        entries = problem.entries()
        return (
            sympy.lambdify(problem.arguments, problem.equations, "math", cse=True),
            sympy.lambdify(problem.arguments, entries, "math", cse=True),
        )

    seconds = []
    for _ in range(min(count, 3)):
        sympy.core.cache.clear_cache()  # derivatives taken before would be remembered
        taken, (f, j) = once(job)
        seconds.append(taken)
    point = problem.t, problem.u.tolist(), problem.p.tolist()
    return Timing.of(seconds), problem.error(f(*point), j(*point))


def by_numba(problem: Problem, count: int) -> tuple[Timing, float]:
    import numba
    import sympy

    numba.njit(lambda u: u[0] + 1.0)(problem.u)  # numba's own start is not counted
    written = {s: sympy.Symbol(f"u[{i}]") for i, s in enumerate(problem.states)}
    written |= {s: sympy.Symbol(f"p[{i}]") for i, s in enumerate(problem.parameters)}
    names = [sympy.Symbol(name) for name in "tup"]
    point = problem.t, problem.u, problem.p

    def job() -> Any:
        entries = problem.entries()
        f = numba.njit(sympy.lambdify(names, [e.xreplace(written) for e in problem.equations], "math", cse=True))
        j = numba.njit(sympy.lambdify(names, [e.xreplace(written) for e in entries], "math", cse=True))
        return f(*point), j(*point)

    sympy.core.cache.clear_cache()
    taken, (value, values) = once(job)
    return Timing.of([taken]), problem.error(value, values)


def by_symengine(level: int) -> Callable[[Problem, int], tuple[Timing, float]]:
    def run(problem: Problem, count: int) -> tuple[Timing, float]:
        import symengine as se

        if not se.have_llvm:
            raise RuntimeError("this symengine was built without LLVM")
        equations = [se.sympify(e) for e in problem.equations]
        states = [se.Symbol(s.name) for s in problem.states]
        place = {s: j for j, s in enumerate(states)}
        arguments = [se.Symbol("t"), *states, *(se.Symbol(s.name) for s in problem.parameters)]

        def job() -> Any:
            entries = [
                e.diff(s)
                for e in equations
                for s in sorted((s for s in e.free_symbols if s in place), key=place.__getitem__)
            ]
            return tuple(
                se.Lambdify(arguments, out, backend="llvm", cse=True, opt_level=level) for out in (equations, entries)
            )

        seconds = []
        for _ in range(count):
            taken, (f, j) = once(job)
            seconds.append(taken)
        point = np.concatenate([[problem.t], problem.u, problem.p])
        return Timing.of(seconds), problem.error(f(point), j(point))

    return run


CONTENDERS: tuple[tuple[str, str, bool, Callable[[Problem, int], tuple[Timing, float]]], ...] = (
    (OURS, MAIN, True, ours),
    (OURS, "the same text again, machine code from the cache on disk", False, ours_again),
    ("sympy", "derivatives, lambdify(cse) of both", True, by_sympy),
    ("numba", "the same and njit of both", True, by_numba),
    ("symengine", "derivatives, Lambdify(backend llvm, cse), its default opt_level 3", True, by_symengine(3)),
    ("symengine", "the same, opt_level 0", True, by_symengine(0)),
)


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Every way, one after the other."""
    tell("reference")
    problem = Problem()
    rows = []
    count = max(5, effort.models // 6)
    for library, what, main, measure in CONTENDERS:
        row = Row(library, what, frozenset({"default"} if "default" in what else ()), main)
        rows.append(row)
        if not installed(library):
            row.note = "not installed"
            continue
        tell(f"{library}: {what}")
        try:
            row.timing, row.error = measure(problem, count)
        except Exception as failure:  # shown in the table
            fail(row, failure)
    return Outcome("hundred", TITLE, SETTINGS, rows, TARGETS)
