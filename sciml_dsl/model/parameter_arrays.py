"""Arrays of parameters and constants: `param k[i] = 0.1*i for i in 1..3`, `const k[1..3] = 1`, `param k = [1, 2, 3]`.

Takes the statements about one name; gives the box of its elements and a
`Parameter` for each.  Numbers are computed for all elements of a statement at
once, column by column, and one by one only to say what is wrong.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import ModelError, NameModelError
from ..language import syntax
from ..language.ast import Binary, Bound, Call, Expr, IfElse, Name, Num, Unary, fold, names
from ..language.complaint import Complaint
from ..language.names import BUILTINS, MATH_CONSTANTS
from .arrays import Bounds, Gathered, Ranges, Said, check_count, complete, element_names, enclose
from .spec import Parameter, Range
from .subscripts import NOWHERE, affine
from .subscripts import evaluate as whole

MAX_COMPUTED = 20_000  # elements computed one by one

Column = list[float]
_PLAIN: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": math.pow,
}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
}


@dataclass
class ParameterArray:
    """The statements about one array of parameters or constants."""

    name: str
    kind: str = "parameter"  # or "constant"
    statements: list[syntax.Parameter] = field(default_factory=list)
    bounds: Bounds = ()
    _said: list[Said] = field(default_factory=list)

    def settle(self, ranges: Ranges) -> Bounds:
        """The box of the elements."""
        self._said = [self._elements(s, ranges) for s in self.statements]
        array = Gathered(self.name, self.kind, self._said)
        for said in self._said:
            said.evaluated = said.evaluated or ranges.evaluate(said)
            ranges.subscripts(said)
        self.bounds = array.bounds = enclose(array, ranges.constants)
        for s in self.statements:
            if isinstance(s.default, syntax.Values) and len(self.statements) > 1:
                raise Complaint(
                    f"`{self.name}` has a list of values and further values",
                    s.default.span,
                    "give all values in one list, or element by element",
                    NameModelError,
                )
        only = self.statements[0]
        single = len(self.statements) == 1 and array.size == 1 and not only.ranges and not _stretched(only)
        if single and not isinstance(only.default, syntax.Values):
            element = element_names(self.name, self.bounds)[0]
            whole_box = ", ".join(f"1..{last}" for _, last in self.bounds)
            raise Complaint(
                f"`{element}` is one element, and the array has no other",
                only.name.span or NOWHERE,
                f"write {self._word} {self.name}[{whole_box}] for an array, or give its other elements",
                ModelError,
            )
        complete(array, ranges.constants, "value", self._twice)
        return self.bounds

    @property
    def _word(self) -> str:
        return "param" if self.kind == "parameter" else "const"

    def _twice(self, element: str, said: Said) -> Complaint:
        return Complaint(f"`{element}` is declared twice", said.span, "give each element once", NameModelError)

    def _elements(self, s: syntax.Parameter, ranges: Ranges) -> Said:
        """The elements a statement speaks of."""
        span = s.name.span or NOWHERE
        shape = None
        if isinstance(s.default, syntax.Values):
            shape = list_shape(s.default)
            if s.ranges or (s.subscripts and not _stretched(s)):
                raise Complaint(
                    "a list gives the values of a whole array",
                    s.default.span,
                    f"write {self._word} {self.name} = [...]",
                    ModelError,
                )
        if not s.subscripts:
            if shape is None:
                hint = f"write {self._word} {self.name}[...] = ..."
                raise Complaint(f"`{self.name}` is an array elsewhere", span, hint, NameModelError)
            return _box(tuple((1, n) for n in shape), s)
        if not _stretched(s):
            subscripts = tuple(p for p in s.subscripts if not isinstance(p, Bound))
            if len(subscripts) < len(s.subscripts):
                raise Complaint(
                    "a stretch `1..N` and a single subscript do not go together", span, f"write {self.name}[1..N, 1..M]"
                )
            return Said(subscripts, s.ranges, Num(0.0), s.span)
        if s.ranges:
            raise Complaint(
                f"`{self.name}[1..N]` has its range already",
                span,
                f"write {self.name}[i] = ... for i in 1..N",
                ModelError,
            )
        box: list[tuple[int, int]] = []
        for place in s.subscripts:
            assert isinstance(place, Bound)
            ranges.ends(place, ())
            first, last = (whole(end, ranges.constants, {}) for end in (place.first, place.last))
            where = place.span or span
            if last < first:
                raise Complaint(f"the range {first}..{last} is empty", where, "the smaller end comes first", ModelError)
            check_count(last - first + 1, where)
            box.append((first, last))
        sizes = tuple(last - first + 1 for first, last in box)
        if shape is not None and shape != sizes:
            assert isinstance(s.default, syntax.Values)
            raise Complaint(
                f"the list has {by(shape)} values, and `{self.name}` has {by(sizes)} elements",
                s.default.span,
                None,
                ModelError,
            )
        return _box(tuple(box), s)

    # ------------------------------------------------------------ numbers

    def uses(self) -> set[str]:
        """The names that the values are computed from."""
        pending: list[Expr | syntax.Values] = [s.default for s in self.statements if s.default is not None]
        found: set[str] = set()
        while pending:
            item = pending.pop()
            if isinstance(item, syntax.Values):
                pending.extend(item.items)
            else:
                found |= names(item)
        return found

    def items(
        self, ranges: Ranges, kinds: dict[str, str], scalar: Callable[[syntax.Parameter], Parameter]
    ) -> list[Parameter]:
        """The elements with their numbers; `scalar` reads and checks the declaration of one."""
        labels = element_names(self.name, self.bounds)
        if len(self.statements) == 1 and isinstance(self.statements[0].default, syntax.Values):
            return self._listed(self.statements[0], labels, scalar)
        found: list[Parameter | None] = [None] * len(labels)
        for s, said in zip(self.statements, self._said, strict=True):
            indices = [r.name for r in said.evaluated]
            given = [expr for expr in (s.default, s.lower, s.upper) if expr is not None]
            assert not any(isinstance(expr, syntax.Values) for expr in given)
            positions = self._positions(said, ranges)
            if not any(names(expr) & set(indices) for expr in given if not isinstance(expr, syntax.Values)):
                one = scalar(replace(s, subscripts=(), ranges=()))
                for at in positions:
                    found[at] = Parameter(labels[at], one.default, one.lower, one.upper, one.log)
                continue
            for at, item in zip(positions, self._varying(s, said, ranges, labels, positions, scalar), strict=True):
                found[at] = item
        return [item for item in found if item is not None]

    def _listed(
        self, s: syntax.Parameter, labels: list[str], scalar: Callable[[syntax.Parameter], Parameter]
    ) -> list[Parameter]:
        assert isinstance(s.default, syntax.Values)
        flat: list[Expr] = []
        pending: list[Expr | syntax.Values] = [s.default]
        while pending:
            item = pending.pop()
            if isinstance(item, syntax.Values):
                pending.extend(reversed(item.items))
            else:
                flat.append(item)
        first: Parameter | None = None
        found: list[Parameter] = []
        for label, item in zip(labels, flat, strict=True):
            value = item.value if isinstance(item, Num) and first is not None else math.nan
            if first is not None and first.lower <= value <= first.upper and (value > 0.0 or not first.log):
                found.append(Parameter(label, value, first.lower, first.upper, first.log))
                continue
            first = scalar(replace(s, name=Name(label, s.name.span), default=item, subscripts=(), ranges=()))
            found.append(first)
        return found

    def _varying(
        self,
        s: syntax.Parameter,
        said: Said,
        ranges: Ranges,
        labels: list[str],
        positions: list[int],
        scalar: Callable[[syntax.Parameter], Parameter],
    ) -> list[Parameter]:
        indices = _columns(said.evaluated)
        count = len(positions)
        assert not isinstance(s.default, syntax.Values)
        plain = s.lower is None and s.upper is None and not s.log and s.default is not None
        if plain and s.default is not None and not names(s.default) & (ranges.kinds.keys() - ranges.constants.keys()):
            defaults = _column(s.default, ranges.constants, indices, count)
            if defaults is not None and all(map(math.isfinite, defaults)):
                return [Parameter(labels[at], value) for at, value in zip(positions, defaults, strict=True)]
        found: list[Parameter] = []
        for k, at in enumerate(positions):
            if k == MAX_COMPUTED:
                otherwise = f", or declare `{self.name}` without values and give them as p"
                raise Complaint(
                    f"the numbers of `{self.name}` cannot be computed for all {count:,} elements at once: some are "
                    "not finite, or bounds differ from element to element",
                    s.span,
                    "look at the ends of the range" + (otherwise if self.kind == "parameter" else ""),
                    ModelError,
                )
            point = {name: column[k] for name, column in indices.items()}
            one = replace(
                s,
                name=Name(labels[at], s.name.span),
                default=None if s.default is None else _put(s.default, point),
                lower=None if s.lower is None else _put(s.lower, point),
                upper=None if s.upper is None else _put(s.upper, point),
                subscripts=(),
                ranges=(),
            )
            found.append(scalar(one))
        return found

    def _positions(self, said: Said, ranges: Ranges) -> list[int]:
        """Where the elements of a statement stand in the array, in the order of its ranges."""
        indices = _columns(said.evaluated)
        count = math.prod(len(r) for r in said.evaluated)
        at: Column = [0.0] * count
        stride = 1
        for subscript, (first, last) in reversed(list(zip(said.subscripts, self.bounds, strict=True))):
            form = affine(subscript, ranges.constants, list(indices))
            if form is None:
                points = [{n: int(c[k]) for n, c in indices.items()} for k in range(count)]
                values = [float(whole(subscript, ranges.constants, point)) for point in points]
            else:
                values = [float(form[""])] * count
                for name, factor in form.items():
                    if name:
                        values = [v + factor * x for v, x in zip(values, indices[name], strict=True)]
            at = [a + (v - first) * stride for a, v in zip(at, values, strict=True)]
            stride *= last - first + 1
        return [int(a) for a in at]


def _stretched(s: syntax.Parameter) -> bool:
    return bool(s.subscripts) and all(isinstance(place, Bound) for place in s.subscripts)


def _box(bounds: Bounds, s: syntax.Parameter) -> Said:
    count = math.prod(last - first + 1 for first, last in bounds)
    check_count(count, s.span)
    ranges = tuple(Range(f"i{k}", first, last) for k, (first, last) in enumerate(bounds))
    return Said(tuple(Name(r.name) for r in ranges), (), Num(0.0), s.span, ranges)


def list_shape(values: syntax.Values) -> tuple[int, ...]:
    """Numbers of items along each dimension of a nested list; refuses ragged ones."""
    shape: list[int] = []
    level: list[syntax.Values] = [values]
    while True:
        sizes = {len(v.items) for v in level}
        nested = {isinstance(item, syntax.Values) for v in level for item in v.items}
        if len(sizes) != 1 or len(nested) != 1:
            problem = "is empty" if sizes == {0} else "has rows of different lengths"
            raise Complaint(
                f"this list {problem}",
                values.span,
                "write [1, 2, 3], or [[1, 2], [3, 4]] for two dimensions",
                ModelError,
            )
        shape.append(sizes.pop())
        if not nested.pop():
            return tuple(shape)
        level = [item for v in level for item in v.items if isinstance(item, syntax.Values)]


def by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _columns(ranges: tuple[Range, ...]) -> dict[str, Column]:
    """The values of each index over all points, the last range fastest."""
    if not ranges:
        return {}
    points = itertools.product(*([float(k) for k in range(r.first, r.last + 1)] for r in ranges))
    return dict(zip([r.name for r in ranges], map(list, zip(*points, strict=True)), strict=True))


def _column(expr: Expr, known: Mapping[str, float], indices: Mapping[str, Column], count: int) -> Column | None:
    """Values of a constant expression at all points, or None where it is not plain arithmetic or fails."""

    def combine(node: Expr, parts: list[Column | float | None]) -> Column | float | None:
        if any(part is None for part in parts):
            return None
        if isinstance(node, Num):
            return node.value
        if isinstance(node, Name):
            return indices[node.name] if node.name in indices else known.get(node.name, MATH_CONSTANTS.get(node.name))
        operation: Callable[..., float] | None = None
        if isinstance(node, Binary):
            operation = _PLAIN.get(node.op) or _COMPARE.get(node.op)
        elif isinstance(node, Unary) and node.op == "-":
            operation = _negative
        elif isinstance(node, IfElse):
            operation = _choose
        elif isinstance(node, Call):
            operation = BUILTINS.get(node.func, (0, None, None))[2]
        if operation is None:
            return None
        lists = [part if isinstance(part, list) else itertools.repeat(part) for part in parts]
        if not any(isinstance(part, list) for part in parts):
            return operation(*parts)
        return [float(operation(*values)) for values in zip(*lists, strict=False)]

    try:
        value = fold(expr, combine)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        return None
    return [value] * count if isinstance(value, float) else value


def _negative(x: float) -> float:
    return -x


def _choose(condition: float, a: float, b: float) -> float:
    return a if condition else b


def _put(expr: Expr | syntax.Values, point: Mapping[str, float]) -> Expr:
    assert not isinstance(expr, syntax.Values)

    def combine(node: Expr, parts: list[Expr]) -> Expr:
        from ..language.ast import rebuild

        if isinstance(node, Name) and node.name in point:
            return Num(point[node.name], node.span)
        return rebuild(node, parts)

    return fold(expr, combine)
