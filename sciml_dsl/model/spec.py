"""What a model is, as plain data.

`ModelSpec` is what the language and the sympy bridge produce and what every
later room reads: states with their equations, parameters, constants,
observables, functions, networks, initial values and events.  It is immutable
and picklable, and holds expressions as `language.ast` trees exactly as they
were written; nothing is substituted here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..language.ast import Expr


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number to be given or estimated; `default` is None when the text gives none."""

    name: str
    default: float | None = None
    lower: float = -math.inf
    upper: float = math.inf
    log: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that is never estimated (`const g = 9.81`)."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Input:
    """A measured forcing: a function of time that is given as a table.

    `interpolation` between the rows: "linear", "constant" (the value of the row before) or
    "cubic"; `hold`: outside the table its first or last value.  `column` is what the table
    calls it where that differs; `data` holds the times and values kept with the model, if any.
    """

    name: str
    interpolation: str = "linear"
    hold: bool = False
    column: str | None = None
    data: tuple[tuple[float, ...], tuple[float, ...]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Definition:
    """An observable: any definition that is not a derivative, `total = x + y`."""

    name: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the model, `mm(s, V, K) = V*s/(K + s)`."""

    name: str
    args: tuple[str, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class Network:
    """An unknown term: a multi-layer perceptron.

    The flat weight vector is, layer by layer, the matrix `W` (row-major, shape
    `(n_out_layer, n_in_layer)`) followed by the bias `b`: the order of
    `torch.nn.Linear.parameters()`.  The last layer is linear.
    """

    name: str
    n_in: int
    n_out: int = 1
    hidden: tuple[int, ...] = (16, 16)
    activation: str = "tanh"  # tanh | sigmoid | softplus | relu | gelu | swish | sin | rbf | identity
    declared: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer widths, inputs first."""
        return (self.n_in, *self.hidden, self.n_out)

    @property
    def n_weights(self) -> int:
        """Number of weights and biases."""
        return sum(a * b + b for a, b in zip(self.sizes, self.sizes[1:], strict=False))


@dataclass(frozen=True, slots=True)
class Event:
    """A state change at a root (`when`), a time (`at`) or a train of times (`every`).

    `when`: `condition` is a comparison `left op right`; the event fires where it
    turns true.  `at`: `time`.  `every`: `period`, `start`, `stop` (None = without
    end).  `assignments` all read the state before the event, and so do `blocks`,
    which change elements of arrays: `u[3] += 1`, `u[i] = 0 for i in 1..N`.
    """

    kind: str  # "when" | "at" | "every"
    condition: Expr | None = None
    time: Expr | None = None
    period: Expr | None = None
    start: Expr | None = None
    stop: Expr | None = None
    assignments: tuple[tuple[str, Expr], ...] = ()
    terminate: bool = False
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """`name in first..last`, both ends included; never empty."""

    name: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Array:
    """An array of states, parameters, observables or constants: a box of elements, the last subscript fastest.

    `bounds` are (first, last) for each dimension, both included.  `start` is the
    position of the first element in `spec.states`, `spec.parameters`, `spec.definitions`
    or `spec.constants`.  Elements are named `u[1]`, `w[2,3]`.
    """

    name: str
    kind: str  # "state" | "parameter" | "observable" | "constant"
    bounds: tuple[tuple[int, int], ...]
    start: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return tuple(last - first + 1 for first, last in self.bounds)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def elements(self) -> slice:
        """Where the elements stand among the states, parameters or observables."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True, slots=True)
class Block:
    """What a statement says of elements of an array: `u[i]' = expr for i in 2..N-1`.

    `kind` is "derivative", "initial", "definition" or, in an event, "assignment".
    `subscripts` are integer expressions of the ranges' indices; without
    ranges the block is one element.  The blocks of one array and kind give every
    element at most one expression, derivatives and definitions exactly one.
    """

    array: str
    subscripts: tuple[Expr, ...]
    ranges: tuple[Range, ...]
    expr: Expr
    kind: str


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A whole model; sequences keep the order of first appearance in the text.

    The elements of arrays stand among states, parameters and definitions one by
    one; `arrays` says where.  What the text says of them is in `blocks`; the
    items of `derivatives`, `initial` and `definitions` for them are made from
    the blocks when looked at, with `u[3]` as a plain name.  Expressions of
    scalars, functions and events hold `Index` and `Reduce` nodes as written.

    `algebraic` names the states without a derivative of their own, which equations
    `0 = ...` determine; their item in `derivatives` is what has to vanish.
    """

    name: str
    states: tuple[str, ...]
    derivatives: Sequence[Expr]  # one for each state
    initial: Sequence[Expr | None]  # one for each state; in parameters and constants
    parameters: tuple[Parameter, ...] = ()
    constants: tuple[Constant, ...] = ()
    definitions: Sequence[Definition] = ()
    functions: tuple[Function, ...] = ()
    networks: tuple[Network, ...] = ()
    events: tuple[Event, ...] = ()
    algebraic: tuple[str, ...] = ()
    weights: tuple[tuple[str, tuple[float, ...]], ...] = field(default=(), repr=False)
    arrays: tuple[Array, ...] = ()
    blocks: tuple[Block, ...] = ()
    loops: bool = False  # there are arrays, or expressions with `Reduce` nodes
    recursive: bool = False  # elements of observables are made of other elements of their own array
    inputs: tuple[Input, ...] = ()
    source: str | None = field(default=None, compare=False, repr=False)
    filename: str | None = field(default=None, compare=False, repr=False)

    @property
    def as_loops(self) -> bool:
        """Is the model computed in loops?  With arrays, unless algebraic equations or recurrences write it out."""
        return not self.algebraic and not self.recursive and any(array.kind != "constant" for array in self.arrays)

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of the definitions, those of array elements too."""
        named = getattr(self.definitions, "names", None)
        return tuple(d.name for d in self.definitions) if named is None else named

    @property
    def n_weights(self) -> int:
        """Length of the tail of weights behind the parameters."""
        return sum(net.n_weights for net in self.networks)
