"""Candidate terms: what an unknown function may be a sum of.

A library is a tuple of `Term`s over the formal arguments `_1, _2, ...` of the
unknown function.  A term is linear in its own coefficient and may hold one inner
constant `_k` (half saturation, rate), started from a few values in the range of
the data and refined with everything else through the solver.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError, UnknownNameError, suggest
from ..language import ast

INNER = "_k"


def formal(i: int) -> str:
    """Name of formal argument `i` (from 0) inside a term."""
    return f"_{i + 1}"


@dataclass(frozen=True)
class Term:
    """One candidate: `expr` over formal arguments (and `_k`).

    `family` groups terms for reports; `scale_of` is the argument whose typical
    size starts the inner constant, or None when there is none; `positive` says
    that the argument must not be negative for the term to make sense.  `limits`
    are the terms it turns into (up to a factor) when the inner constant is far
    above and far below the data.
    """

    expr: ast.Expr
    family: str
    scale_of: int | None = None
    positive: bool = False
    limits: tuple[ast.Expr | None, ast.Expr | None] = (None, None)
    order: int = 0  # for a large inner constant k the term is limits[0] / k**order
    tier: int = 1  # 1: simplest and tried first by the score's prior, 2, 3: need more evidence

    @property
    def has_inner(self) -> bool:
        """Does the term carry an inner constant?"""
        return self.scale_of is not None

    @property
    def constants(self) -> int:
        """Number of constants the term brings with it."""
        return 1 + self.has_inner


def _power(name: ast.Expr, exponent: int) -> ast.Expr:
    return name if exponent == 1 else ast.Binary("^", name, ast.Num(float(exponent)))


def _product(factors: Sequence[ast.Expr]) -> ast.Expr:
    value = factors[0]
    for factor in factors[1:]:
        value = ast.Binary("*", value, factor)
    return value


def _monomial(chosen: Sequence[int]) -> ast.Expr:
    """The product of the chosen arguments (with repetition), in one canonical form."""
    if not chosen:
        return ast.Num(1.0)
    return _product([_power(ast.Name(formal(i)), chosen.count(i)) for i in sorted(set(chosen))])


def polynomial(n_args: int, degree: int) -> list[Term]:
    """Monomials of total degree 0..degree, lowest first."""
    return [
        Term(_monomial(chosen), "polynomial", tier=1 if total <= 2 else 2)
        for total in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(n_args), total)
    ]


def saturating(n_args: int) -> list[Term]:
    """Michaelis-Menten `x/(k + x)`, Hill `x^2/(k^2 + x^2)`, and each times another argument (Holling II, III)."""
    k = ast.Name(INNER)
    terms = []
    for i in range(n_args):
        x = ast.Name(formal(i))
        shapes = [
            ast.Binary("/", x, ast.Binary("+", k, x)),
            ast.Binary("/", _power(x, 2), ast.Binary("+", _power(k, 2), _power(x, 2))),
        ]
        for order, shape in enumerate(shapes, start=1):
            terms.append(Term(shape, "saturating", i, True, (_monomial([i] * order), _monomial([])), order, 2))
            for j in range(n_args):
                if j != i:
                    product = ast.Binary("*", ast.Name(formal(j)), shape)
                    limits = (_monomial([i] * order + [j]), _monomial([j]))
                    terms.append(Term(product, "saturating", i, True, limits, order, 2))
    return terms


def trigonometric(n_args: int) -> list[Term]:
    """`sin(x)` and `cos(x)` of each argument."""
    return [
        Term(ast.Call(f, (ast.Name(formal(i)),)), "trigonometric", tier=2)
        for i in range(n_args)
        for f in ("sin", "cos")
    ]


def exponential(n_args: int) -> list[Term]:
    """`exp(-x/k)` of each argument."""
    terms = []
    for i in range(n_args):
        ratio = ast.Binary("/", ast.Name(formal(i)), ast.Name(INNER))
        terms.append(
            Term(ast.Call("exp", (ast.Unary("-", ratio),)), "exponential", i, limits=(_monomial([]), None), tier=3)
        )
    return terms


def absolute(n_args: int) -> list[Term]:
    """`x*abs(x)` of each argument: quadratic drag."""
    return [
        Term(ast.Binary("*", ast.Name(formal(i)), ast.Call("abs", (ast.Name(formal(i)),))), "absolute", tier=2)
        for i in range(n_args)
    ]


FAMILIES = ("polynomial", "saturating", "trigonometric", "exponential", "absolute")


WIDEST_ANGLE = 6 * math.pi
"""An argument that ranges further than this is not taken for an angle."""


def build(
    n_args: int, families: Sequence[str] | None = None, degree: int | None = None, widest: float | None = None
) -> tuple[Term, ...]:
    """The library for a function of `n_args` arguments.

    `families` is a subset of `FAMILIES`; by default polynomials and saturating
    terms, and trigonometric ones for functions of one or two arguments whose range
    (`widest`) could be that of an angle.  `degree`
    of the polynomials defaults to 5 for one argument, 3 for two or three, else 2.
    Raises UnknownNameError for a family that does not exist.
    """
    if families is None:
        families = ["polynomial", "saturating"] + (["trigonometric"] if n_args <= 2 else [])
        if n_args > 3:
            families.remove("saturating")
    for family in families:
        if family not in FAMILIES:
            hint = suggest(family, FAMILIES) or f"families are {', '.join(FAMILIES)}"
            raise UnknownNameError(f"`{family}` is not a family of candidate terms; {hint}")
        if widest is not None and widest > WIDEST_ANGLE:
            families = [f for f in families if f != "trigonometric"]
    if degree is None:
        degree = 5 if n_args == 1 else 3 if n_args <= 3 else 2
    if degree < 0:
        raise InputError(f"degree must not be negative, got {degree}")
    makers = {
        "saturating": saturating,
        "trigonometric": trigonometric,
        "exponential": exponential,
        "absolute": absolute,
    }
    terms: list[Term] = []
    for family in families:
        terms += polynomial(n_args, degree) if family == "polynomial" else makers[family](n_args)
    return tuple(terms)


def substitute(expr: ast.Expr, values: dict[str, ast.Expr]) -> ast.Expr:
    """`expr` with names replaced by expressions."""

    def combine(node: ast.Expr, parts: list[ast.Expr]) -> ast.Expr:
        if isinstance(node, ast.Name) and node.name in values:
            return values[node.name]
        return ast.rebuild(node, parts)

    return ast.fold(expr, combine)
