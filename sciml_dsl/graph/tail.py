"""What a model written out and a model as loops have in common: the layout of `p`, and the colouring."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..model.spec import Network

if TYPE_CHECKING:
    from .colouring import Colouring


class Shape:
    """`p` holds the parameters, then the weights of every network in order, then the tables of the inputs."""

    networks: tuple[Network, ...]
    if TYPE_CHECKING:

        @property
        def n(self) -> int: ...
        @property
        def n_params(self) -> int: ...
        @cached_property
        def jacobian_pattern(self) -> tuple[Any, Any]: ...

    @property
    def n_weights(self) -> int:
        """Number of network weights."""
        return sum(net.n_weights for net in self.networks)

    @property
    def tables_at(self) -> int:
        """Where the tables of the inputs begin in `p`."""
        return self.n_params + self.n_weights

    @cached_property
    def weight_offsets(self) -> tuple[int, ...]:
        """Where each network's weights begin in `p`."""
        offsets, at = [], self.n_params
        for net in self.networks:
            offsets.append(at)
            at += net.n_weights
        return tuple(offsets)

    @cached_property
    def colouring(self) -> Colouring:
        """Colours of the states: those of one colour share no equation."""
        from .colouring import colour

        return colour(*self.jacobian_pattern, self.n)
