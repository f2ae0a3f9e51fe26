"""The statements of a text, in the order they were written.

`language.parse` gives a `Document`; `model.resolve` turns it into a
`ModelSpec`.  Nothing is checked here beyond the grammar: names may be unknown,
and statements may contradict each other.  Names of derivatives carry their
order apart: `θ'' = ...` is `Derivative("θ", 2, ...)`.  What a statement says of
elements of an array, `u[i]' = ... for i in 2..N-1`, it holds as `subscripts` and
`ranges`; both are empty for scalars.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ast import Bound, Expr, Name, Span
from .complaint import Complaint


@dataclass(frozen=True, slots=True)
class ModelName:
    """`model PredatorPrey`"""

    name: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Values:
    """A list of numbers, `[1, 2, 3]` or `[[1, 2], [3, 4]]`, of an array of parameters or constants."""

    items: tuple[Expr | Values, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Parameter:
    """One item of `param k = 1 in [0, 2] log`; `listed` where it stands behind the `end` of @ode_def.

    Among the `subscripts` of an array parameter, `k[1..3]` is a `Bound` without a name.
    """

    name: Name
    default: Expr | Values | None
    lower: Expr | None
    upper: Expr | None
    log: bool
    span: Span
    listed: bool = False
    subscripts: tuple[Expr | Bound, ...] = ()
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """One item of `const g = 9.81`; of arrays as for `Parameter`."""

    name: Name
    value: Expr | Values
    span: Span
    subscripts: tuple[Expr | Bound, ...] = ()
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """One item of `input T from temperature = [(0, 20), (5, 25)] cubic hold`."""

    name: Name
    column: str | None
    rows: tuple[tuple[Expr, Expr], ...] | None
    interpolation: str | None  # None: nothing said
    hold: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Option:
    """`hidden = [16, 16]` or `activation = tanh` of a network."""

    name: Name
    value: float | str | tuple[float, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Network:
    """`neural U(x, y) -> 1 { hidden = [16, 16], activation = tanh }`"""

    name: Name
    inputs: tuple[Expr, ...]
    outputs: float | None
    options: tuple[Option, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Derivative:
    """`x' = ...`, `dx/dt = ...`, `d(x)/dt = ...`, or `dx = ...` inside @ode_def."""

    name: Name
    order: int
    expr: Expr
    span: Span
    subscripts: tuple[Expr, ...] = ()
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """`total = x + y`"""

    name: Name
    expr: Expr
    span: Span
    subscripts: tuple[Expr, ...] = ()
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpacking:
    """`p, q = U(x, y)`"""

    names: tuple[Name, ...]
    expr: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Function:
    """`mm(s, V, K) = V*s/(K + s)`"""

    name: Name
    args: tuple[Name, ...]
    body: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Initial:
    """`x(0) = 0.44`, `θ'(0) = 0` (the name then ends in a prime); `values`, of `u(0) = [1, 2]`, in place of `expr`."""

    name: Name
    expr: Expr
    span: Span
    subscripts: tuple[Expr, ...] = ()
    ranges: tuple[Bound, ...] = ()
    values: Values | None = None


@dataclass(frozen=True, slots=True)
class Algebraic:
    """`0 = x^2 + y^2 - L^2`, `0 = u[i+1] - u[i] for i in 1..N`; `expr` is what has to vanish."""

    expr: Expr
    span: Span
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Implicit:
    """`x' + 2*y' = -x`: an equation that is not solved for a derivative; `expr` is left side less right side.

    Derivatives in it are written with primes."""

    expr: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Assignment:
    """`y += 1` in an event, already written out as `y = y + 1`."""

    name: Name
    expr: Expr
    span: Span
    subscripts: tuple[Expr, ...] = ()
    ranges: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """`when cond: ...`, `at time: ...`, `every period from start until stop: ...`."""

    kind: str  # "when" | "at" | "every"
    subject: Expr  # the condition, time or period
    start: Expr | None
    stop: Expr | None
    assignments: tuple[Assignment, ...]
    terminate: bool
    span: Span


Statement = (
    ModelName
    | Parameter
    | Constant
    | Input
    | Network
    | Derivative
    | Definition
    | Unpacking
    | Function
    | Initial
    | Event
    | Algebraic
    | Implicit
)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text: its statements and the text itself, which errors point into.

    `macro` is True where the text contains an @ode_def block.  `problems` are complaints about
    statements that could not be read and are left out, `unclear` the names that stand in these:
    what is said of them elsewhere cannot be judged.  `complete` is False where reading had to
    stop before the end.
    """

    statements: tuple[Statement, ...]
    source: str | None
    filename: str | None = None
    macro: bool = False
    problems: tuple[Complaint, ...] = ()
    unclear: frozenset[str] = frozenset()
    complete: bool = True
