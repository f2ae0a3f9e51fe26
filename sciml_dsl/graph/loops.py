"""ModelSpec with arrays -> LoopSystem: statements about many elements stay loops.

The counterpart of `build.lower`, which writes every element out.  The body of a
loop is a node over elements of vectors at whole-number expressions of the loop's
indices (`integers`); sums and their like are `reduce` nodes.  The size of the
result does not depend on how many elements the arrays have.  `loop_build` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ..model.spec import Array, ModelSpec, Network
from . import integers
from .graph import Graph
from .integers import Affine, LoopIndex
from .tail import Shape

if TYPE_CHECKING:
    from .loop_build import LoopBuilder


@dataclass(frozen=True)
class Nest:
    """`vector[at] = node` for all turns of the loops, outermost first; without loops once."""

    loops: tuple[LoopIndex, ...]
    at: Affine
    node: int


@dataclass(frozen=True)
class LoopEvent:
    """As `EventNodes`; `changes` are the elements that become something else."""

    kind: str
    root: int
    first: int
    period: int
    last: int
    changes: tuple[Nest, ...]
    terminate: bool
    source: int
    holds: int = -1
    twin: int = 0


@dataclass
class LoopSystem(Shape):
    """A model as loops.  Vectors: "state", "param", "seed", "const" with the numbers `constants`, and
    "temp", whose first `n_temps` numbers the nests `temporaries` fill, in this order, before anything reads them.

    `stage` says for the position of a temporary the number of nodes that existed when its
    array was complete: what it is made of is older, what reads it is younger.
    """

    name: str
    graph: Graph
    n: int
    n_params: int
    n_observables: int
    networks: tuple[Network, ...]
    arrays: tuple[Array, ...]
    rhs: tuple[Nest, ...]
    observables: tuple[Nest, ...]
    initial: tuple[Nest, ...]
    temporaries: tuple[Nest, ...]
    n_temps: int
    events: tuple[LoopEvent, ...]
    inputs: tuple[str, ...]
    builder: LoopBuilder = field(repr=False)
    constants: tuple[float, ...] = ()
    _memory: dict[Any, Any] = field(default_factory=dict, repr=False)
    algebraic: ClassVar[tuple[int, ...]] = ()  # models with algebraic equations are written out

    @cached_property
    def jacobian_pattern(self) -> tuple[Any, Any]:
        """(indptr, indices) of df/du in CSR, columns sorted."""
        from .loop_pattern import jacobian

        found = jacobian(self)
        return found.indptr, found.indices

    def inlined(self, leaf: int, loops: Sequence[LoopIndex]) -> int:
        """The expression that the element of a temporary array stands for, inside `loops`."""
        return self.builder.written_out(leaf, loops)

    def stage(self, at: Affine) -> int:
        """See the class: for an element of a temporary array at `at`."""
        return self.builder.stage(at)


def lower_loops(spec: ModelSpec) -> LoopSystem:
    """The loops of a model with arrays.

    Raises `UnsupportedError` for an observable whose elements are defined by each
    other (`c[i] = c[i-1] + u[i]`).

    Example
    -------
    >>> import sciml_dsl as sd
    >>> text = "const N = 1000; u[i]' = u[i-1] - u[i] for i in 2..N; u[1]' = -u[1]; u(0) = 1"
    >>> len(lower_loops(sd.model(text).spec).rhs)
    2
    """
    from .loop_build import LoopBuilder

    return LoopBuilder(spec).loops()


def points(loops: Sequence[LoopIndex]) -> dict[LoopIndex, Any]:
    """The value of each index at every turn of the nested loops, as arrays in the order of the turns.

    Loops with fixed ends are a grid; ends that depend on outer indices are enumerated.
    """
    import numpy as np

    found: dict[LoopIndex, Any] = {}
    count = 1
    for loop in loops:
        first = np.broadcast_to(np.asarray(integers.value(loop.first, found), dtype=np.int64), (count,))
        last = np.broadcast_to(np.asarray(integers.value(loop.last, found), dtype=np.int64), (count,))
        sizes = np.maximum(last - first + 1, 0)
        if count and (sizes == sizes[:1]).all():
            size = int(sizes[0]) if count else 0
            found = {k: np.repeat(v, size) for k, v in found.items()}
            found[loop] = (first[:, None] + np.arange(size)[None, :]).reshape(-1)
        else:
            ends = np.cumsum(sizes)
            found = {k: np.repeat(v, sizes) for k, v in found.items()}
            found[loop] = np.arange(int(ends[-1]) if count else 0) - np.repeat(ends - sizes - first, sizes)
        count = found[loop].size
    return found


def turns(loops: Sequence[LoopIndex]) -> int:
    """How many turns nested loops take, at most: products of the widest ranges."""
    return math.prod(max(0, integers.interval(loop.last)[1] - integers.interval(loop.first)[0] + 1) for loop in loops)


def count(loops: Sequence[LoopIndex]) -> int:
    """How many turns nested loops take, exactly."""
    if all(loop.first.is_constant and loop.last.is_constant for loop in loops):
        return turns(loops)
    return int(next(iter(points(loops).values())).size)
