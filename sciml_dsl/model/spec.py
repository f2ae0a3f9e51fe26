"""What a model is, as plain data.

`ModelSpec` is what the language and the sympy bridge produce and what every
later room reads: states with their equations, parameters, constants,
observables, functions, networks, initial values and events.  It is immutable
and picklable, and holds expressions as `language.ast` trees exactly as they
were written; nothing is substituted here.
"""

from __future__ import annotations

import math
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
    end).  `assignments` all read the state before the event.
    """

    kind: str  # "when" | "at" | "every"
    condition: Expr | None = None
    time: Expr | None = None
    period: Expr | None = None
    start: Expr | None = None
    stop: Expr | None = None
    assignments: tuple[tuple[str, Expr], ...] = ()
    terminate: bool = False


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A whole model; tuples keep the order of first appearance in the text."""

    name: str
    states: tuple[str, ...]
    derivatives: tuple[Expr, ...]  # one for each state
    initial: tuple[Expr | None, ...]  # one for each state; in parameters and constants
    parameters: tuple[Parameter, ...] = ()
    constants: tuple[Constant, ...] = ()
    definitions: tuple[Definition, ...] = ()
    functions: tuple[Function, ...] = ()
    networks: tuple[Network, ...] = ()
    events: tuple[Event, ...] = ()
    weights: tuple[tuple[str, tuple[float, ...]], ...] = field(default=(), repr=False)
    source: str | None = field(default=None, compare=False, repr=False)
    filename: str | None = field(default=None, compare=False, repr=False)

    @property
    def n_weights(self) -> int:
        """Length of the tail of weights behind the parameters."""
        return sum(net.n_weights for net in self.networks)
