"""Arrays of one model, from its statements to bounds, checked blocks and parameters.

`enter` takes the statements about elements while the resolver goes through the
text; `settle` finds the box of each array once the constants are known; `blocks`
and `parameters` give what the spec holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..errors import NameModelError
from ..language import syntax
from ..language.ast import Bound, Expr, Index, Name, Span
from ..language.complaint import Complaint
from .array_values import number
from .arrays import (
    Bounds,
    Cover,
    Gathered,
    Ranges,
    Said,
    check_count,
    complete,
    element_names,
    enclose,
    plural,
    spread,
)
from .expanded import Definitions, Expanded
from .parameter_arrays import ParameterArray, by, list_shape
from .scope import Scope
from .spec import Array, Block, Definition, ModelSpec, Parameter
from .subscripts import NOWHERE, box

Claim = Callable[[Name, str], None]
Twice = Callable[[str, Name, "Span | None"], Complaint]


class ArrayStatements:
    """What a text says of elements.

    `claim` makes a name a state, parameter or observable, or refuses it; `twice`
    makes the complaint about something given again.
    """

    def __init__(self, scope: Scope, claim: Claim, twice: Twice) -> None:
        self.scope = scope
        self.claim = claim
        self.twice = twice
        self.gathered: dict[str, Gathered] = {}
        self.initial: dict[str, list[syntax.Initial]] = {}
        self.parameters: dict[str, ParameterArray] = {}

    # ------------------------------------------------------------ entering statements

    def enter(self, statement: syntax.Statement) -> bool:
        """Take the statement if it is about elements."""
        if isinstance(statement, syntax.Parameter):
            known = statement.name.name in self.parameters
            if not (known or statement.subscripts or statement.ranges or isinstance(statement.default, syntax.Values)):
                return False
            self.parameter(statement)
            return True
        if isinstance(statement, syntax.Constant):
            known = statement.name.name in self.parameters
            if not (known or statement.subscripts or statement.ranges or isinstance(statement.value, syntax.Values)):
                return False
            self.parameter(as_parameter(statement), "constant")
            return True
        if isinstance(statement, syntax.Derivative) and statement.subscripts:
            self.derivative(statement)
        elif isinstance(statement, syntax.Definition) and statement.subscripts:
            self.definition(statement)
        elif isinstance(statement, syntax.Initial) and statement.subscripts:
            self.initial_value(statement)
        else:
            return False
        return True

    def derivative(self, s: syntax.Derivative) -> None:
        """`u[i]' = ...`; of higher order, the arrays `u`, `u'` ... below it."""
        base = s.name.name
        known = self.gathered.get(base)
        if known is None:
            for k in range(s.order):
                self.claim(Name(base + "'" * k, s.name.span), "state")
                self.gathered[base + "'" * k] = Gathered(base + "'" * k, "state", order=s.order - k)
            known = self.gathered[base]
        elif known.kind != "state":
            self.claim(s.name, "state")
        if known.order != s.order:
            first = "'" * known.order
            raise Complaint(
                f"the equations of `{base}` are of different orders: `{base}[...]{first}` elsewhere",
                s.name.span or NOWHERE,
                "all elements of an array have equations of the same order",
                NameModelError,
            )
        for k in range(1, s.order):
            above = Index(base + "'" * k, s.subscripts, s.name.span)
            self.gathered[base + "'" * (k - 1)].said.append(Said(s.subscripts, s.ranges, above, s.span))
        self.gathered[base + "'" * (s.order - 1)].said.append(Said(s.subscripts, s.ranges, s.expr, s.span))

    def definition(self, s: syntax.Definition) -> None:
        """`flux[i] = ...`"""
        name = s.name.name
        known = self.gathered.get(name)
        if known is None or known.kind != "observable":
            self.claim(s.name, "observable")
            known = self.gathered[name] = Gathered(name, "observable")
        known.said.append(Said(s.subscripts, s.ranges, s.expr, s.span))

    def initial_value(self, s: syntax.Initial) -> None:
        """`u[i](0) = ...`"""
        self.initial.setdefault(s.name.name, []).append(s)

    def parameter(self, s: syntax.Parameter, kind: str = "parameter") -> None:
        """`param k[i] = ...`, `param k[1..3]`, `param k = [1, 2, 3]`, and the same with `const`."""
        name = s.name.name
        known = self.parameters.get(name)
        if known is None or known.kind != kind:
            self.claim(s.name, kind)
            known = self.parameters[name] = ParameterArray(name, kind)
        known.statements.append(s)

    # ------------------------------------------------------------ boxes

    def settle(self, constants: dict[str, float]) -> None:
        """Evaluate ranges, find the box of every array and see that its elements fill it."""
        self.scope.constants = constants
        self.constants = constants
        self.ranges = Ranges(
            constants,
            self.scope.kinds,
            lambda name: self.scope.describe(name) if name in self.scope.kinds else None,
        )
        arrays = self.scope.arrays
        problems = self.scope.problems
        for parameter in self.parameters.values():
            bounds = problems.attempt(parameter.settle, self.ranges)
            if bounds is not None:
                arrays[parameter.name] = bounds
        for array in self.gathered.values():
            if problems.attempt(self._settled, array):
                arrays[array.name] = array.bounds
        problems.unclear |= (self.parameters.keys() | self.gathered.keys()) - arrays.keys()
        check_count(sum(math.prod(last - first + 1 for first, last in bounds) for bounds in arrays.values()), NOWHERE)

    def _settled(self, array: Gathered) -> bool:
        for said in array.said:
            said.evaluated = self.ranges.evaluate(said)
            self.ranges.subscripts(said)
        array.bounds = enclose(array, self.constants)
        what = "equation" if array.kind == "state" else "definition"
        complete(array, self.constants, what, self._twice(f"the {what} of"))
        return True

    def _twice(self, what: str) -> Callable[[str, Said], Complaint]:
        def complaint(element: str, said: Said) -> Complaint:
            return Complaint(
                f"{what} `{element}` is given twice",
                said.span,
                "change the ranges so that each element is given once",
                NameModelError,
            )

        return complaint

    # ------------------------------------------------------------ checked blocks

    def blocks(self, check: Callable[[Expr, tuple[Bound, ...]], Expr]) -> list[Block]:
        """Equations and definitions, array by array, their expressions checked."""
        found: list[Block] = []
        for array in self.gathered.values():
            if array.name not in self.scope.arrays:
                continue
            kind = "derivative" if array.kind == "state" else "definition"
            for said in array.said:
                checked = self.scope.problems.attempt(check, said.expr, said.bounds())
                found.append(said.block(array.name, kind, checked or said.expr))
        return found

    def initial_blocks(
        self, whole: dict[str, syntax.Initial], check: Callable[[Expr, str, tuple[Bound, ...]], Expr]
    ) -> list[Block]:
        """Initial values of arrays; `whole` are those of names without subscripts, `u(0) = 0`."""
        found: list[Block] = []
        taken = set(self.scope.kinds)
        for array in self.gathered.values():
            if array.kind != "state" or array.name not in self.scope.arrays:
                continue
            statements = self.initial.get(array.name, [])
            if array.name in whole:
                statements = sorted([whole[array.name], *statements], key=lambda s: s.span.start)
            cover = Cover(array.name, array.bounds, self.constants)
            for s in statements:
                for one in self.scope.problems.attempt(_each, array, s) or ():
                    block = self.scope.problems.attempt(self._initial, array, one, cover, taken, check)
                    found += [] if block is None else [block]
        return found

    def _initial(
        self,
        array: Gathered,
        s: syntax.Initial,
        cover: Cover,
        taken: set[str],
        check: Callable[[Expr, str, tuple[Bound, ...]], Expr],
    ) -> Block:
        if s.subscripts and len(s.subscripts) != len(array.bounds):
            raise Complaint(
                f"`{array.name}` has {plural(len(array.bounds), 'subscript')}, not {len(s.subscripts)}",
                s.span,
                f"its elements are {box(array.name, array.bounds)}",
                NameModelError,
            )
        said = Said(s.subscripts, s.ranges, s.expr, s.span)
        said.evaluated = self.ranges.evaluate(said)
        said = spread(said, array.bounds, tuple(taken))
        self.ranges.subscripts(said)
        self.inside(Index(array.name, said.subscripts, s.span), said)
        position = cover.add(said)
        if position is not None:
            raise self._twice("the initial value of")(cover.element(position), said)
        what = f"the initial value of `{array.name}`"
        return said.block(array.name, "initial", check(said.expr, what, said.bounds()))

    def no_array(self, name: str, s: syntax.Initial) -> Complaint:
        """The complaint about `x[1](0) = ...` where x is a scalar."""
        return Complaint(f"`{name}` is a state without subscripts", s.span, f"write {name}(0) = ...", NameModelError)

    def inside(self, element: Index, said: Said) -> None:
        """Refuse elements on the left that the array does not have."""
        self.scope.check_element(element, said.bounds())

    def assignment(self, s: syntax.Assignment, check: Callable[..., Expr]) -> Block:
        """`u[3] += 1`, `u[i] = 0 for i in 1..N` in an event."""
        if not s.subscripts:
            bounds = self.scope.arrays[s.name.name]
            index = ", ".join("ijklmnpq"[: len(bounds)])
            ranges = ", ".join(f"{k} in {first}..{last}" for k, (first, last) in zip("ijklmnpq", bounds, strict=False))
            raise Complaint(
                f"`{s.name.name}` is an array; say which elements change",
                s.span,
                f"write {s.name.name}[{index}] = ... for {ranges}",
                NameModelError,
            )
        said = Said(s.subscripts, s.ranges, s.expr, s.span)
        said.evaluated = self.ranges.evaluate(said)
        self.ranges.subscripts(said)
        self.inside(Index(s.name.name, s.subscripts, s.span), said)
        return said.block(s.name.name, "assignment", check(said.expr, ranges=said.bounds()))

    def check_once(self, blocks: Iterable[Block], span: Span) -> None:
        """Refuse an event that changes an element twice."""
        covers: dict[str, Cover] = {}
        for block in blocks:
            cover = covers.setdefault(
                block.array, Cover(block.array, self.gathered[block.array].bounds, self.constants)
            )
            position = cover.add(Said(block.subscripts, (), block.expr, span, block.ranges))
            if position is not None:
                raise Complaint(
                    f"`{cover.element(position)}` is assigned twice in one event",
                    span,
                    "put both changes in one",
                    NameModelError,
                )

    # ------------------------------------------------------------ what the spec holds

    def placed(
        self,
        spec: ModelSpec,
        derivatives: dict[str, Expr],
        initial: dict[str, Expr | None],
        definitions: dict[str, Definition],
        blocks: list[Block],
    ) -> ModelSpec:
        """`spec` of the scalars with the arrays put among them."""
        kinds = self.scope.kinds
        states, rows, of_states = self._lay_out([n for n, kind in kinds.items() if kind == "state"], "state")
        names, places, of_observables = self._lay_out(
            [n for n, kind in kinds.items() if kind == "observable"], "observable"
        )
        of_parameters, of_constants = (
            self._lay_out([n for n, kind in kinds.items() if kind == wanted], wanted)[2]
            for wanted in ("parameter", "constant")
        )
        known, count = spec.constants, len(states)
        equations = [block for block in blocks if block.kind == "derivative"]
        starts = [block for block in blocks if block.kind == "initial"]
        defined = [block for block in blocks if block.kind == "definition"]
        by_state = {rows[name]: expr for name, expr in derivatives.items()}
        at_start = {rows[name]: expr for name, expr in initial.items()}
        return replace(
            spec,
            states=tuple(states),
            derivatives=Expanded(count, by_state, of_states, equations, known),
            initial=Expanded(count, at_start, of_states, starts, known),
            definitions=Definitions(
                len(names), {places[name]: d for name, d in definitions.items()}, of_observables, defined, known
            ),
            arrays=(*of_states, *of_parameters, *of_observables, *of_constants),
            blocks=(*equations, *starts, *defined),
        )

    def _lay_out(self, names: Sequence[str], kind: str) -> tuple[list[str], dict[str, int], list[Array]]:
        """Names of all elements in order, positions of the scalars, and the arrays among them."""
        flat: list[str] = []
        scalars: dict[str, int] = {}
        arrays: list[Array] = []
        for name in names:
            bounds: Bounds | None = self.scope.arrays.get(name)
            if bounds is None:
                scalars[name] = len(flat)
                flat.append(name)
            else:
                arrays.append(Array(name, kind, bounds, len(flat)))
                flat += element_names(name, bounds)
        return flat, scalars, arrays

    def expressions(self, name: str) -> list[Expr]:
        """What the text says of an array."""
        return [said.expr for said in self.gathered[name].said]

    def parameter_items(
        self, name: str, kinds: dict[str, str], scalar: Callable[[syntax.Parameter], Parameter]
    ) -> list[Parameter]:
        """The elements of an array of parameters or constants, in order."""
        return self.parameters[name].items(self.ranges, kinds, scalar)


def as_parameter(s: syntax.Constant) -> syntax.Parameter:
    """An array of constants, said as one of parameters: the values are computed alike."""
    return syntax.Parameter(s.name, s.value, None, None, False, s.span, subscripts=s.subscripts, ranges=s.ranges)


def _each(array: Gathered, s: syntax.Initial) -> list[syntax.Initial]:
    """An initial value; a list of them, `u(0) = [1, 2, 3]`, element by element."""
    if s.values is None:
        return [s]
    shape = tuple(last - first + 1 for first, last in array.bounds)
    given = list_shape(s.values)
    if given != shape:
        raise Complaint(
            f"the list has {by(given)} values, and `{array.name}` has {by(shape)} elements",
            s.values.span,
            f"its elements are {box(array.name, array.bounds)}",
        )
    level: list[Expr | syntax.Values] = [s.values]
    for _ in shape:
        level = [item for values in level if isinstance(values, syntax.Values) for item in values.items]
    points = itertools.product(*(range(first, last + 1) for first, last in array.bounds))
    return [
        syntax.Initial(s.name, item, item.span or s.span, tuple(number(float(k)) for k in point))
        for item, point in zip(level, points, strict=True)
        if not isinstance(item, syntax.Values)
    ]
