"""How long a model that was never seen takes to become native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from cases import Effort, cache_in
from cases.lotka_volterra import jax_setup
from contest import OURS, Outcome, Row, Target, fail, installed
from measure import Timing
from truth import integrate, weighted_error

TITLE = "A new model's own compile"
SETTINGS = (
    "distinct models from seven textbook families (2 to 12 states, constants drawn anew), each compiled once in a "
    "warm process; error: of the solution to t = 2 at rtol = atol = 1e-8, worst of all models"
)
NATIVE = "text to native callables"
TARGETS = (Target("under 50 ms", seconds=0.05, row=NATIVE),)
T1, TOLERANCE = 2.0, 1e-8
PEER_MODELS = 7
"""Peers compile one model of each family only: they take a second each."""

FAMILIES = (
    "x' = {a}*x - {b}*x*y; y' = -{c}*y + {d}*x*y; x(0) = 1; y(0) = 1",
    "x' = {a}*10*(y - x); y' = x*(28*{b} - z) - y; z' = x*y - {c}*z; x(0) = 1; y(0) = 0; z(0) = 0",
    "S' = -{a}*S*I; I' = {a}*S*I - {b}*I; R' = {b}*I; S(0) = 0.99; I(0) = 0.01; R(0) = 0",
    "v' = v - v^3/3 - w + {a}*0.5; w' = 0.08*(v + 0.7*{b} - 0.8*w); v(0) = -1; w(0) = 1",
    "x' = {a} + x^2*y - (3*{b} + 1)*x; y' = 3*{b}*x - x^2*y; x(0) = 1; y(0) = 3",
    "A' = -{a}*A; C' = {a}*A - {b}*C/({c} + C) - {d}*C + 0.3*P; P' = {d}*C - 0.3*P; A(0) = 5; C(0) = 0; P(0) = 0",
    "; ".join(
        f"m{i}' = {{a}}*5/(1 + p{(i + 4) % 6 + 1}^2) - {{b}}*m{i}; p{i}' = {{c}}*(m{i} - p{i}) + {{d}}*sin(t)/10"
        f"; m{i}(0) = {i}/4; p{i}(0) = 0.1"
        for i in range(1, 7)
    ),
)


def texts(count: int) -> list[str]:
    """`count` different models, family after family."""
    random = np.random.default_rng(0)
    return [
        FAMILIES[k % len(FAMILIES)].format(**dict(zip("abcd", random.uniform(0.5, 1.5, 4).tolist(), strict=True)))
        for k in range(count)
    ]


def timed(jobs: Sequence[Callable[[], Any]]) -> tuple[Timing, list[Any]]:
    """Each job once, after one warm-up by the first; the results."""
    jobs[0]()
    seconds, results = [], []
    for job in jobs:
        began = perf_counter()
        results.append(job())
        seconds.append(perf_counter() - began)
    return Timing.of(seconds), results


def ours(row: Row, build: Callable[[str], Any], models: Sequence[str]) -> list[Any]:
    row.timing, results = timed([lambda text=text: build(text) for text in models])
    return results


def native(text: str) -> Any:
    """Text to the functions every solve needs: f, Jacobian, time derivative, initial values."""
    import sciml_dsl as sd
    from sciml_dsl.codegen.native import functions

    return functions(sd.model(text))


def native_with_derivatives(text: str) -> Any:
    """The same with what forward sensitivities and the adjoint need."""
    import sciml_dsl as sd
    from sciml_dsl.codegen.native import functions

    return functions(sd.model(text), forward=True, adjoint=True)


def solved(text: str) -> Any:
    import sciml_dsl as sd

    return sd.model(text).solve((0.0, T1), rtol=TOLERANCE, atol=TOLERANCE, saveat=[T1])


def parsed(text: str) -> Any:
    import sciml_dsl as sd

    return sd.model(text)


def sympy_of(text: str) -> tuple[list[Any], list[Any], list[float]]:
    """States and right-hand sides as sympy, initial values as numbers: what peers start from."""
    import sympy

    import sciml_dsl as sd

    model = sd.model(text)
    start = model.solve((0.0, 1e-12), saveat=[0.0]).u[0].tolist()
    return [sympy.Symbol(name) for name in model.states], list(model.equations.values()), start


def reference_ends(models: Sequence[str]) -> list[Any]:
    """Solutions at T1 by scipy, from sympy's own numpy functions."""
    import sympy

    found = []
    for text in models:
        states, equations, start = sympy_of(text)
        f = sympy.lambdify((sympy.Symbol("t"), states), equations, "numpy")
        found.append(integrate(f, start, np.array([T1]), rtol=1e-12, atol=1e-12).values[-1])
    return found


def numba_job(text: str) -> Callable[[], Any]:
    """f and its Jacobian: sympy derivatives, lambdify with common subexpressions, numba."""
    import numba
    import sympy

    states, equations, start = sympy_of(text)
    u0 = np.array(start)

    def job() -> Any:
        jacobian = sympy.Matrix(equations).jacobian(states)
        arguments = (sympy.Symbol("t"), states)
        f = numba.njit(sympy.lambdify(arguments, equations, "math", cse=True))
        j = numba.njit(sympy.lambdify(arguments, list(jacobian), "math", cse=True))
        point = tuple(u0.tolist())
        return f(0.0, point), j(0.0, point)

    return job


def diffrax_job(text: str) -> Callable[[], Any]:
    """jit and first call of the whole solve; the right-hand side is there before."""
    import sympy

    jax, jnp, dfx = jax_setup()
    states, equations, start = sympy_of(text)
    f = sympy.lambdify((sympy.Symbol("t"), states), equations, "jax")
    u0 = jnp.asarray(start)

    def job() -> Any:
        @jax.jit
        def solve(u0: Any) -> Any:
            return dfx.diffeqsolve(
                dfx.ODETerm(lambda t, u, args: jnp.stack([jnp.asarray(v, float) for v in f(t, u)])), dfx.Tsit5(),
                0.0, T1, None, u0, stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
            ).ys[-1]  # fmt: skip

        return np.asarray(solve(u0))

    return job


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Compile every model once in every way, with nothing from the cache on disk."""
    with cache_in(""):
        return compiled(effort, tell)


def compiled(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """As `run`, with the cache as it is."""
    models, few = texts(effort.models), texts(PEER_MODELS)
    tell("reference")
    ends = reference_ends(models)
    rows = []
    for what, build, main in (
        (NATIVE, native, True),
        ("text to model (parsed and checked)", parsed, False),
        ("text to native callables, sensitivities and adjoint too", native_with_derivatives, False),
        ("text to first solution", solved, False),
    ):
        tell(what)
        row = Row(OURS, what, main=main)
        rows.append(row)
        try:
            results = ours(row, build, models)
        except Exception as problem:  # shown in the table
            fail(row, problem)
            continue
        if build is solved:
            row.error = max(weighted_error(sol.u[-1], end) for sol, end in zip(results, ends, strict=True))
    for library, what, prepare in (
        ("numba", "sympy derivatives, lambdify(cse), njit of f and Jacobian", numba_job),
        ("diffrax", "jit and first solve, Tsit5", diffrax_job),
    ):
        row = Row(library, what)
        rows.append(row)
        if not installed(library):
            row.note = "not installed"
            continue
        tell(f"{library}: {what}")
        try:
            row.timing, results = timed([prepare(text) for text in few])
        except Exception as problem:  # shown in the table
            fail(row, problem)
            continue
        if library == "diffrax":
            row.error = max(weighted_error(u, end) for u, end in zip(results, ends, strict=False))
    return Outcome("compile", TITLE, SETTINGS, rows, TARGETS)
