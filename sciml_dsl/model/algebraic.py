"""Which names the algebraic equations `0 = ...` determine.

Takes the equations of a text and what every name is; gives the states that have
no derivative of their own.  Nobody declares them: they are the names that are
used and have neither an equation nor a value, and there must be as many of
them as there are algebraic equations.  `0 = m*x'' + k*x` determines `x''`, and
so makes x and x' states.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from ..errors import ModelError, NameModelError, suggest
from ..language.ast import Expr, Name, Reduce, Span, postorder
from ..language.complaint import Complaint
from ..language.names import BUILTINS, INFINITY, MATH_CONSTANTS, TIME, split_primes
from .problems import NOWHERE
from .scope import VALUES, Scope
from .spec import ModelSpec


@dataclass(frozen=True)
class Unknowns:
    """`chains`: states whose derivative is the next name (`x` of `x''`, then `x'`);
    `names`: what the algebraic equations determine; `places`: where each first stands."""

    chains: tuple[str, ...]
    names: tuple[str, ...]
    places: dict[str, Span]


def unknowns(
    scope: Scope,
    expressions: Iterable[tuple[Expr, frozenset[str]]],
    initial: Iterable[Name],
    equations: list[Span],
) -> Unknowns:
    """Find the unknowns of a model.

    Arguments: `expressions`, with the names local to each, in the order in which a
    model is printed; `initial`, the names that have an initial value; `equations`,
    the places of the algebraic equations.  Raises `Complaint` where there are too
    many or too few unknowns.
    """
    places = _undefined(scope, expressions)
    started = {name.name: name.span or NOWHERE for name in initial if name.name not in scope.kinds}
    for name, place in started.items():
        places.setdefault(name, place)
    highest: dict[str, int] = {}
    for name in places:
        base, order = split_primes(name)
        if f"{base}{chr(39) * order}" == name:
            highest[base] = max(highest.get(base, 0), order)
    chains, names = [], []
    for base, order in highest.items():
        # what has an initial value is no highest derivative: x'(0) = 0 starts x', which 0 = x'' + x determines
        chains += [base + "'" * k for k in range(order)]
        names.append(base + "'" * order)
        for k in range(order + 1):
            places.setdefault(base + "'" * k, places[base + "'" * order])
    count = len(equations)
    if len(names) > count:
        raise _too_many(scope, names, places, started, count)
    if len(names) < count:
        raise _too_few(names, equations)
    return Unknowns(tuple(chains), tuple(names), places)


def count(
    scope: Scope, expressions: Iterable[tuple[Expr, frozenset[str]]], initial: Iterable[Name], arrays: Set[str]
) -> int:
    """How many unknowns without subscripts there are: one for each name, whatever its derivatives.

    `arrays` are the names that stand with subscripts somewhere.
    """
    found = {split_primes(name)[0] for name in _undefined(scope, expressions) if name not in arrays}
    return len(found | {split_primes(n.name)[0] for n in initial if n.name not in scope.kinds})


def implied(spec: ModelSpec, position: int) -> bool:
    """Is x' = x' all that the equation of a state says, because `0 = ...` determines a higher derivative of it?"""
    name = spec.states[position]
    while spec.derivatives[position] == Name(name + "'"):
        name += "'"
        if name in spec.algebraic:
            return True
        if name not in spec.states:
            return False
        position = spec.states.index(name)
    return False


def _undefined(scope: Scope, expressions: Iterable[tuple[Expr, frozenset[str]]]) -> dict[str, Span]:
    """Names that are nothing yet, each with its first place."""
    found: dict[str, Span] = {}
    for expr, local in expressions:
        indices = {bound.name for node in postorder(expr) if isinstance(node, Reduce) for bound in node.ranges}
        for node in postorder(expr):
            if not isinstance(node, Name) or node.name in indices or node.name in local or node.name in found:
                continue
            name = node.name
            if name == TIME or name in scope.kinds or name in MATH_CONSTANTS or name in ("π", *INFINITY):
                continue
            base, order = split_primes(name)
            if order and base in scope.kinds:
                continue  # `x'` of a state with an equation of its own: explained where names are checked
            if name in BUILTINS:
                continue
            found[name] = node.span or NOWHERE
    return found


def _too_many(
    scope: Scope, names: list[str], places: dict[str, Span], started: dict[str, Span], count: int
) -> Complaint:
    known = [*(n for n, kind in scope.kinds.items() if kind in VALUES), TIME, "pi"]
    hints = {name: suggest(name, known) for name in names if name not in started}
    suspect = next((name for name, hint in hints.items() if hint), names[-1])
    listed = ", ".join(f"`{name}`" for name in names[:8]) + (", ..." if len(names) > 8 else "")
    message = (
        f"{len(names)} names have neither an equation nor a value ({listed}), and {_equations(count)} "
        f"can determine {'one' if count == 1 else count}"
    )
    hint = hints.get(suspect)
    declare = f"write `param {suspect} = 1`, or one more equation 0 = ..."
    return Complaint(
        message, places.get(suspect, NOWHERE), f"{hint[:-1]}; otherwise {declare}" if hint else declare, NameModelError
    )


def _too_few(names: list[str], equations: list[Span]) -> Complaint:
    listed = ", ".join(f"`{name}`" for name in names)
    message = f"{_equations(len(equations))} and {'only ' + listed if names else 'nothing'} left to determine by "
    message += "it" if len(equations) == 1 else "them"
    hint = (
        "each `0 = ...` determines one name that is used and has neither an equation nor a value: "
        "leave out another equation, or add an unknown such as a force λ to the equations it acts in"
    )
    return Complaint(message, equations[-1], hint, ModelError)


def _equations(count: int) -> str:
    return f"{count} algebraic equation{'' if count == 1 else 's'}"
