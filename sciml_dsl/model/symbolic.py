"""A model seen by sympy: equations, observables and Jacobians.

Takes a `ModelSpec`; gives sympy expressions in plain symbols named as in the
model, with functions and observables written out and constants as numbers.
Networks stay undefined functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sympy

from ..errors import UnsupportedError
from .dependencies import calls, free_names, order
from .expanded import written_out
from .spec import ModelSpec
from .sympy_expr import number, to_sympy

WHAT = "the sympy view"


def equations(spec: ModelSpec) -> dict[str, Any]:
    """`{state: right-hand side}` as sympy expressions."""
    with _shallow_enough():
        spec = written_out(spec, WHAT)
        names, functions = _environment(spec)
        rows = zip(spec.states, spec.derivatives, strict=True)
        return {state: to_sympy(expr, names, functions) for state, expr in rows}


def observables(spec: ModelSpec) -> dict[str, Any]:
    """`{observable: expression}` as sympy expressions."""
    spec = written_out(spec, WHAT)
    names, _ = _environment(spec)
    return {d.name: names[d.name] for d in spec.definitions}


def initial_values(spec: ModelSpec) -> dict[str, Any]:
    """`{state: initial value}` as sympy expressions, for the states that have one."""
    spec = written_out(spec, WHAT)
    names, functions = _environment(spec)
    return {
        state: to_sympy(expr, names, functions)
        for state, expr in zip(spec.states, spec.initial, strict=True)
        if expr is not None
    }


def jacobian(spec: ModelSpec) -> Any:
    """The matrix (n, n) of derivatives of the right-hand sides by the states."""
    return _matrix(list(equations(spec).values()), spec.states)


def parameter_jacobian(spec: ModelSpec) -> Any:
    """The matrix (n, np) of derivatives of the right-hand sides by the parameters."""
    return _matrix(list(equations(spec).values()), tuple(p.name for p in spec.parameters))


def _matrix(rows: list[Any], by: tuple[str, ...]) -> Any:
    # real stand-ins while differentiating, so that |x| has the derivative sign(x)
    with _shallow_enough():
        symbols = {s for row in rows for s in row.free_symbols} | {sympy.Symbol(name) for name in by}
    real = {s: sympy.Dummy(s.name, real=True) for s in symbols}
    back = {dummy: s for s, dummy in real.items()}
    with _shallow_enough():
        return sympy.Matrix(len(rows), len(by), _derivatives(rows, by, real, back))


def _derivatives(rows: list[Any], by: tuple[str, ...], real: dict[Any, Any], back: dict[Any, Any]) -> list[Any]:
    entries = [[row.xreplace(real).diff(real[sympy.Symbol(name)]).xreplace(back) for name in by] for row in rows]
    return [entry for row in entries for entry in row]


@contextmanager
def _shallow_enough() -> Iterator[None]:
    """sympy recurses into expressions: say so where one is nested too deeply for it."""
    try:
        yield
    except RecursionError:
        raise UnsupportedError(
            "an expression of this model is nested too deeply for sympy",
            hint="solving, fitting and code generation do not need sympy; `m.code(...)` and `m.jac(...)` work",
        ) from None


def _environment(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Callable[..., Any]]]:
    """Expressions for the names of constants and observables, and the model's functions as callables."""
    names: dict[str, Any] = {c.name: number(c.value) for c in spec.constants}
    for name in (*spec.states, *(p.name for p in spec.parameters)):
        names[name] = sympy.Symbol(name)
    for given in spec.inputs:
        names[given.name] = sympy.Function(given.name)(sympy.Symbol("t"))
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    functions: dict[str, Callable[..., Any]] = {}
    definitions = {d.name: d.expr for d in spec.definitions}
    sequence, _ = order({name: sorted(calls(body) & bodies.keys()) for name, (_, body) in bodies.items()})
    for name in sequence:
        functions[name] = _function(*bodies[name], names, functions)
    needs = {name: sorted(free_names(expr, bodies) & definitions.keys()) for name, expr in definitions.items()}
    for name in order(needs)[0]:
        names[name] = to_sympy(definitions[name], names, functions)
    return names, functions


def _function(args: tuple[str, ...], body: Any, names: dict[str, Any], functions: dict[str, Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        return to_sympy(body, {**names, **dict(zip(args, values, strict=True))}, functions)

    return apply
