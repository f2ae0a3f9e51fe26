"""100 states, 400 entries of the Jacobian: from text to functions that can be called, beside the ways through sympy."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort, cache_in
from contest import OURS, Outcome, Row, Target, fail, installed
from generated import ring
from measure import Timing, once
from truth import weighted_error

TITLE = "100 states: right-hand side and sparse Jacobian, ready to call"
SETTINGS = (
    "a ring of 100 states with quotients, exponentials and powers, 400 entries of the Jacobian; ours starts from text "
    "never seen before, peers from expressions of theirs that are there; in turns, median, numba once; error: of f "
    "and of all entries, |value - exact| / (1 + |exact|), exact by mpmath with 30 digits"
)
N = 100
MAIN = "text to f and sparse Jacobian"
TARGETS = (
    Target("20 x sympy lambdify(cse)", ratio=20.0, library="sympy", slack=1e9),
    Target("50 x sympy + numba", ratio=50.0, library="numba", slack=1e9),
    Target("faster than symengine + LLVM", ratio=1.0, library="symengine", tag="default", slack=1e9),
)


class Problem:
    """The equations as sympy, a point to evaluate them at, and what comes out to 30 digits."""

    def __init__(self, folder: str) -> None:
        import mpmath
        import sympy

        import sciml_dsl as sd

        self.folder = folder
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


Job = Callable[[int], Any]
"""Makes (f, Jacobian) for the k-th time."""
Check = Callable[[Any], float]
"""The error of what a job made."""


def ours(problem: Problem) -> tuple[Job, Check]:
    import sciml_dsl as sd

    def job(k: int) -> Any:
        model = sd.model(ring(N, 0.5 + k / 1000))
        return model.rhs("native"), model.jac("native", sparse=True)

    return job, lambda made: problem.error(
        made[0](problem.t, problem.u, problem.p), made[1](problem.t, problem.u, problem.p).data
    )


def ours_again(problem: Problem) -> tuple[Job, Check]:
    """The same text each time: machine code comes from disk."""
    job, check = ours(problem)

    def again(k: int) -> Any:
        with cache_in(problem.folder):
            return job(0)

    again(0)
    return again, check


def by_sympy(problem: Problem) -> tuple[Job, Check]:
    import sympy

    def job(k: int) -> Any:
        entries = problem.entries()
        return (
            sympy.lambdify(problem.arguments, problem.equations, "math", cse=True),
            sympy.lambdify(problem.arguments, entries, "math", cse=True),
        )

    point = problem.t, problem.u.tolist(), problem.p.tolist()
    return job, lambda made: problem.error(made[0](*point), made[1](*point))


def by_numba(problem: Problem) -> tuple[Job, Check]:
    import numba
    import sympy

    numba.njit(lambda u: u[0] + 1.0)(problem.u)  # numba's own start is not counted
    written = {s: sympy.Symbol(f"u[{i}]") for i, s in enumerate(problem.states)}
    written |= {s: sympy.Symbol(f"p[{i}]") for i, s in enumerate(problem.parameters)}
    names = [sympy.Symbol(name) for name in "tup"]
    point = problem.t, problem.u, problem.p

    def job(k: int) -> Any:
        entries = problem.entries()
        f = numba.njit(sympy.lambdify(names, [e.xreplace(written) for e in problem.equations], "math", cse=True))
        j = numba.njit(sympy.lambdify(names, [e.xreplace(written) for e in entries], "math", cse=True))
        return f(*point), j(*point)

    return job, lambda made: problem.error(*made)


def by_symengine(level: int) -> Callable[[Problem], tuple[Job, Check]]:
    def prepare(problem: Problem) -> tuple[Job, Check]:
        import symengine as se

        if not se.have_llvm:
            raise RuntimeError("this symengine was built without LLVM")
        equations = [se.sympify(e) for e in problem.equations]
        states = [se.Symbol(s.name) for s in problem.states]
        place = {s: j for j, s in enumerate(states)}
        arguments = [se.Symbol("t"), *states, *(se.Symbol(s.name) for s in problem.parameters)]

        def job(k: int) -> Any:
            entries = [
                e.diff(s)
                for e in equations
                for s in sorted((s for s in e.free_symbols if s in place), key=place.__getitem__)
            ]
            return tuple(
                se.Lambdify(arguments, out, backend="llvm", cse=True, opt_level=level) for out in (equations, entries)
            )

        point = np.concatenate([[problem.t], problem.u, problem.p])
        return job, lambda made: problem.error(made[0](point), made[1](point))

    return prepare


CONTENDERS: tuple[tuple[str, str, bool, int, Callable[[Problem], tuple[Job, Check]]], ...] = (
    # library, what, main, most rounds it takes part in
    (OURS, MAIN, True, 100, ours),
    (OURS, "the same text again, machine code from the cache on disk", False, 100, ours_again),
    ("sympy", "derivatives, lambdify(cse) of both", True, 5, by_sympy),
    ("numba", "the same and njit of both", True, 1, by_numba),
    ("symengine", "derivatives, Lambdify(backend llvm, cse), its default opt_level 3", True, 100, by_symengine(3)),
    ("symengine", "the same, opt_level 0", True, 100, by_symengine(0)),
)


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """All ways in turns, round by round, so that a busy machine slows all of them."""
    import gc

    import sympy

    rows = [
        Row(library, what, frozenset({"default"} if "default" in what else ()), main)
        for library, what, main, _, _ in CONTENDERS
    ]
    seconds: list[list[float]] = [[] for _ in CONTENDERS]
    with tempfile.TemporaryDirectory() as folder, cache_in(""):
        tell("reference")
        problem = Problem(folder)
        jobs: list[tuple[Job, Check] | None] = []
        for row, (library, what, _, _, prepare) in zip(rows, CONTENDERS, strict=True):
            jobs.append(None)
            if not installed(library):
                row.note = "not installed"
                continue
            tell(f"preparing {library}: {what}")
            try:
                jobs[-1] = prepare(problem)
            except Exception as failure:  # shown in the table
                fail(row, failure)
        ours(problem)[0](999)  # imports and LLVM's own start
        for k in range(max(5, effort.models // 6)):
            for place, (library, what, _, most, _) in enumerate(CONTENDERS):
                job = jobs[place]
                if job is None or k >= most:
                    continue
                tell(f"{library}: {what}, round {k + 1}")
                sympy.core.cache.clear_cache()  # derivatives taken before would be remembered
                gc.collect()
                try:
                    taken, made = once(lambda run=job[0], k=k: run(k))
                    if k == 0:
                        rows[place].error = job[1](made)
                    seconds[place].append(taken)
                except Exception as failure:  # shown in the table
                    fail(rows[place], failure)
                    jobs[place] = None
    for row, found in zip(rows, seconds, strict=True):
        if found and not row.failed:
            row.timing = Timing.of(found)
    return Outcome("hundred", TITLE, SETTINGS, rows, TARGETS)
