"""What a solver needs of a model: addresses of native functions and their sizes.

`codegen.native` fills a `NativeFunctions`; the integration kernel and the
sensitivities read it.  Addresses are plain integers, 0 where a function does
not exist.  Their calling convention and the layout of each output are the
table "Graph -> native" in docs/design.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .lane_slots import LaneStep


@dataclass(frozen=True, slots=True)
class EventInfo:
    """What the solver must know of one event; index k is its place among the model's events.

    `kind` is "when", "at", "every" or "switch" (which changes the mode and in the way that `rule`
    says, instead of states; it is not among a solution's events).  `terminate` ends the
    integration after the state change.
    """

    kind: str
    terminate: bool = False
    resets: bool = False  # a `when` event that changes a state its own condition depends on
    rule: tuple[int, str] = (-1, "")
    twin: int = 0  # of the two events of one `==`: 1, the other way is the next event; -1, the one before


@dataclass(frozen=True, slots=True)
class NativeFunctions:
    """Addresses of the compiled functions of one model.

    Sizes: `n` states, `n_params` model parameters, `n_weights` network weights
    (the vector `p` has `n_params + n_weights` numbers, and behind them the tables of
    `n_inputs` inputs), `n_observables`.
    `events` are in order of definition; the outputs of `roots` belong to those of
    kind "when", the groups of `event_times` to the others, both in that order;
    `affect[k]` and `affect_jac[k]` belong to event k.  `keepalive` holds whatever
    owns the machine code.

    Example, with a function compiled by numba:

        from numba import cfunc, types
        c = cfunc(types.void(types.double, *[types.CPointer(types.double)] * 3))(decay)
        functions = NativeFunctions(n=1, n_params=1, f=c.address, keepalive=c)
    """

    n: int
    n_params: int
    f: int
    n_weights: int = 0
    n_observables: int = 0
    jac: int = 0
    dfdt: int = 0  # 0: the right-hand side does not depend on time
    fjp: int = 0
    djp: int = 0
    vjp: int = 0
    observables: int = 0
    observables_jac: int = 0
    initial: int = 0
    initial_slopes: str = "given"  # du0/dp behind u0 in `initial`; or left out, as "zero" or "missing" (too large)
    roots: int = 0
    event_times: int = 0
    tsit5: int = 0  # a whole step of Tsit5, for small models
    tsit5_vjp: int = 0  # its reverse sweep
    turns: int = 0  # times at which the right-hand side may jump: anchor and period of each family
    n_families: int = 0
    gaps: int = 0  # functions of time that change sign at further such times
    n_gaps: int = 0
    modes: int = 0  # the values that the last `n_modes` parameters take: conditions, signs and whole numbers
    n_modes: int = 0
    jac_indptr: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)  # pattern of df/du in CSR
    jac_indices: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    jac_values: int = 0  # its values in that order, and `jvp`: the part "sparse"
    jvp: int = 0
    n_inputs: int = 0
    f_stiff: int = 0  # terms marked @stiff, the part "stiff"; the Jacobian is then that of these terms
    f_nonstiff: int = 0  # and the rest
    mass: tuple[float, ...] = ()  # the diagonal mass matrix: 0 in algebraic rows; empty where all are 1
    watched: int = 0  # with algebraic equations the state unchanged: what happens where `System.watch` turns
    watched_jac: int = 0  # and its derivatives, as `affect_jac` of an event whose time nothing moves
    affect: tuple[int, ...] = ()
    affect_jac: tuple[int, ...] = ()
    events: tuple[EventInfo, ...] = ()
    extend: Callable[[str], NativeFunctions] | None = field(default=None, repr=False, compare=False)
    """Compiles a further part ("sparse", "stiff", "forward" or "adjoint") and gives all functions with it."""
    clipped: Callable[[tuple[int, ...]], NativeFunctions] | None = field(default=None, repr=False, compare=False)
    """`clipped(states)` gives the functions of equations that see these states as zero where they are below."""
    own_step: Callable[..., tuple[int, int]] | None = field(default=None, repr=False, compare=False)
    """`own_step(tableau, operations)` compiles a whole step of an explicit or Rosenbrock method and its
    interpolant; (0, 0) where that does not pay."""
    lanes: Callable[..., LaneStep | None] | None = field(default=None, repr=False, compare=False)
    """`lanes(tableau)` compiles a step of an explicit method for several trajectories side by side; None where
    the model is not one for that."""
    own_taylor: Callable[..., int] | None = field(default=None, repr=False, compare=False)
    """`own_taylor(order, operations=None)` compiles the model's Taylor series method of that order, gives its address.
    Without power series, or with more operations: 0 where their number is given, else an `UnsupportedError`."""
    written_factors: Callable[[bool], tuple[int, ...]] | None = field(default=None, repr=False, compare=False)
    """`written_factors(complex_too)` compiles the model's own LU of alpha - beta J: addresses for
    `solve.linear.layout`; () where that does not pay."""
    keepalive: object = field(default=None, repr=False, compare=False)
    states: tuple[str, ...] = field(default=(), compare=False)

    def state_name(self, i: int) -> str:
        """How messages call state `i`."""
        return f"`{self.states[i]}`" if self.states else f"state {i + 1}"

    @property
    def n_roots(self) -> int:
        """Number of `when` events and switches."""
        return sum(event.kind in ("when", "switch") for event in self.events)

    @property
    def n_timed(self) -> int:
        """Number of `at` and `every` events."""
        return len(self.events) - self.n_roots
