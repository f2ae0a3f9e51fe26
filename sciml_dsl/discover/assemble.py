"""Models with candidate sums in the place of unknown terms.

`assemble` replaces every network by a sum `c1*term1 + c2*term2 + ...` of its
library, with one parameter for each coefficient (starting at 0) and inner
constant.  The result is an ordinary model: it is compiled once, and a support
(set of terms) is a choice of which coefficients are free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..language import ast
from ..model.expanded import written_out
from ..model.model import Model
from ..model.spec import Definition, ModelSpec
from ..model.terms import map_derivatives, map_expressions, network_calls
from .library import INNER, Term, formal, substitute

INNER_RANGE = 1e3
"""Inner constants stay within this factor of the typical size of their argument."""


@dataclass(frozen=True)
class Unknown:
    """One unknown scalar term: a network, or one output of a vector-valued one."""

    network: str
    index: int | None  # 1-based output of a vector-valued network
    args: tuple[ast.Expr, ...]  # of its first call

    @property
    def name(self) -> str:
        """The name it is reported under: "U" or "U[1]"."""
        return self.network if self.index is None else f"{self.network}[{self.index}]"

    def written(self, body: ast.Expr) -> ast.Expr:
        """A formula over formal arguments in the names of the model."""
        return substitute(body, {formal(i): arg for i, arg in enumerate(self.args)})


@dataclass(frozen=True)
class Column:
    """One candidate term of one unknown, with the parameters that carry it.

    `size` is the typical size of the argument its inner constant belongs to.
    """

    unknown: int
    term: Term
    coefficient: str
    inner: str | None
    size: float

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of the term."""
        return (self.coefficient,) if self.inner is None else (self.coefficient, self.inner)


@dataclass(frozen=True)
class Assembled:
    """A model with coefficients, and what each coefficient belongs to."""

    model: Model
    unknowns: tuple[Unknown, ...]
    columns: tuple[Column, ...]

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Bounds of the inner constants."""
        return {c.inner: (c.size / INNER_RANGE, c.size * INNER_RANGE) for c in self.columns if c.inner is not None}


def without_wrappers(model: Model) -> Model:
    """The model with functions that call networks written out, so that every call stands in the model's own names."""
    spec = model.spec
    networks = {net.name for net in spec.networks}
    bodies = {f.name: (f.args, f.body) for f in spec.functions}
    wrappers: set[str] = set()
    while True:
        new = {
            name
            for name, (_, body) in bodies.items()
            if name not in wrappers
            and any(isinstance(n, ast.Call) and n.func in networks | wrappers for n in ast.postorder(body))
        }
        if not new:
            break
        wrappers |= new
    if not wrappers:
        return model

    def written_out(expr: ast.Expr) -> ast.Expr:
        def combine(node: ast.Expr, parts: list[ast.Expr]) -> ast.Expr:
            if isinstance(node, ast.Call) and node.func in wrappers:
                args, body = bodies[node.func]
                return substitute(written_out(body), dict(zip(args, parts, strict=True)))
            return ast.rebuild(node, parts)

        return ast.fold(expr, combine)

    spec = map_expressions(spec, written_out)
    return Model(replace(spec, functions=tuple(f for f in spec.functions if f.name not in wrappers)))


def of_scalars(model: Model) -> Model:
    """The model with the elements of arrays as states of their own: formulas are looked for element by element."""
    return Model(written_out(model.spec, "discovering formulas")) if model.spec.loops else model


def find_unknowns(spec: ModelSpec) -> tuple[Unknown, ...]:
    """Every unknown term of a model, in order of first use."""
    return tuple(Unknown(name, index, sites[0].args) for (name, index), sites in network_calls(spec).items())


def with_probes(model: Model, unknowns: Sequence[Unknown]) -> tuple[Model, list[str], list[list[str]]]:
    """The model with observables for the value and the arguments of every unknown term.

    Returns (model, observable of each value, observables of each unknown's arguments).
    """
    taken = {*model.states, *model.parameters, *model.observables, *model.inputs}
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        while f"probe{count}" in taken:
            count += 1
        return f"probe{count}"

    definitions, values, arguments = [], [], []
    for unknown in unknowns:
        values.append(fresh())
        definitions.append(Definition(values[-1], ast.Call(unknown.network, unknown.args, unknown.index)))
        arguments.append([fresh() for _ in unknown.args])
        definitions += [Definition(name, arg) for name, arg in zip(arguments[-1], unknown.args, strict=True)]
    spec = replace(model.spec, definitions=(*model.spec.definitions, *definitions))
    return Model(spec), values, arguments


def assemble(
    model: Model,
    unknowns: Sequence[Unknown],
    libraries: Sequence[Sequence[Term]],
    sizes: Sequence[Sequence[float]],
) -> Assembled:
    """The model with all candidate terms.

    `libraries` has one library for each unknown, `sizes` the typical size of each of
    its arguments.
    """
    taken = {*model.states, *model.parameters, *model.observables, *model.inputs}
    taken |= {c.name for c in model.spec.constants} | {f.name for f in model.spec.functions}
    columns: list[Column] = []
    parameters: dict[str, float | None] = {}

    def fresh(stem: str, value: float) -> str:
        name = stem
        while name in taken:
            name += "_"
        taken.add(name)
        parameters[name] = value
        return name

    terms: dict[str, ast.Expr] = {}
    for k, (unknown, library) in enumerate(zip(unknowns, libraries, strict=True)):
        total: ast.Expr = ast.Num(0.0)
        for j, term in enumerate(library):
            coefficient = fresh(f"c{k + 1}_{j + 1}", 0.0)
            size = 1.0 if term.scale_of is None else sizes[k][term.scale_of]
            inner = fresh(f"k{k + 1}_{j + 1}", size) if term.has_inner else None
            columns.append(Column(k, term, coefficient, inner, size))
            values: dict[str, ast.Expr] = {} if inner is None else {INNER: ast.Name(inner)}
            piece = ast.Binary("*", ast.Name(coefficient), unknown.written(substitute(term.expr, values)))
            total = ast.Binary("+", total, piece) if j else piece
        terms[unknown.name] = total
    return Assembled(model.with_terms(terms, parameters), tuple(unknowns), tuple(columns))


def formula(terms: Sequence[tuple[Term, float, float | None]]) -> ast.Expr:
    """The sum of terms with numbers in, over formal arguments: (term, coefficient, inner constant)."""
    total: ast.Expr | None = None
    for term, coefficient, inner in terms:
        values: dict[str, ast.Expr] = {} if inner is None else {INNER: ast.Num(inner)}
        body = substitute(term.expr, values)
        negative = coefficient < 0
        size: ast.Expr = ast.Num(abs(coefficient))
        if negative and total is None:
            size = ast.Unary("-", size)
        piece = size if body == ast.Num(1.0) else _times(size, body)
        total = piece if total is None else ast.Binary("-" if negative else "+", total, piece)
    return ast.Num(0.0) if total is None else total


def _times(factor: ast.Expr, body: ast.Expr) -> ast.Expr:
    """factor * body, as a left-to-right product so that it prints without parentheses."""
    if isinstance(body, ast.Binary) and body.op == "*":
        return ast.Binary("*", _times(factor, body.left), body.right)
    return ast.Binary("*", factor, body)


def completed(
    model: Model,
    unknowns: Sequence[Unknown],
    formulas: Sequence[ast.Expr],
    parameters: Mapping[str, float],
    initial: Mapping[str, float],
) -> Model:
    """The completed model: formulas in place of unknown terms, fitted numbers as defaults.

    `initial` holds initial values that were estimated; others stay as written.
    """
    terms = {u.name: u.written(body) for u, body in zip(unknowns, formulas, strict=True)}
    done = model.with_terms(terms)
    done = Model(map_derivatives(done.spec, tidy))
    known = {name: value for name, value in parameters.items() if name in model.parameters and math.isfinite(value)}
    done = done.with_parameters(known)
    return done.with_initial(dict(initial)) if initial else done


def tidy(expr: ast.Expr) -> ast.Expr:
    """The same value with signs pulled into sums: `a + (-b*c + d)` becomes `a - b*c + d`."""

    def combine(node: ast.Expr, parts: list[ast.Expr]) -> ast.Expr:
        if isinstance(node, ast.Binary) and node.op in ("+", "-"):
            return _join(parts[0], node.op, parts[1])
        return ast.rebuild(node, parts)

    return ast.fold(expr, combine)


def _join(left: ast.Expr, op: str, right: ast.Expr) -> ast.Expr:
    """left op right, with the terms of `right` appended one by one."""
    terms: list[tuple[str, ast.Expr]] = []
    while isinstance(right, ast.Binary) and right.op in ("+", "-"):
        terms.append((right.op, right.right))
        right = right.left
    terms.append(("+", right))
    for sign, term in reversed(terms):
        bare = _without_sign(term)
        flipped = ((sign == "-") ^ (op == "-")) ^ (bare is not None)
        body = term if bare is None else bare
        if left == ast.Num(0.0):
            left = ast.Unary("-", body) if flipped else body
        elif body != ast.Num(0.0):
            left = ast.Binary("-" if flipped else "+", left, body)
    return left


def _without_sign(term: ast.Expr) -> ast.Expr | None:
    """`term` without its leading minus, or None where it has none."""
    if isinstance(term, ast.Unary) and term.op == "-":
        return term.arg
    if isinstance(term, ast.Binary) and term.op in ("*", "/"):
        bare = _without_sign(term.left)
        return None if bare is None else ast.Binary(term.op, bare, term.right)
    return None
