"""Initial weights of networks, without torch.

Takes a `model.spec.Network` and a seed, gives the flat weight vector every
other room uses: layer by layer the matrix `W` (row by row, one row for each
output), then the bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.spec import Network

Floats = NDArray[np.float64]


def initial_weights(network: Network, seed: int = 0, last_scale: float = 1.0) -> Floats:
    """Fresh weights of `network`, the same for the same seed.

    Matrices are Glorot-uniform (X. Glorot, Y. Bengio, "Understanding the difficulty
    of training deep feedforward neural networks", AISTATS 2010): uniform within
    ±sqrt(6/(inputs + outputs)); biases are zero.

    Arguments: `seed` of a numpy generator; `last_scale` multiplies the last layer's
    matrix, so that 0.1 or less starts near "no unknown term".
    Returns an array of shape (network.n_weights,).

    Example
    -------
    >>> initial_weights(Network("U", 2, hidden=(3,))).shape
    (13,)
    """
    generator = np.random.default_rng(seed)
    parts = []
    pairs = list(zip(network.sizes, network.sizes[1:], strict=False))
    for k, (n_in, n_out) in enumerate(pairs):
        bound = np.sqrt(6.0 / (n_in + n_out))
        matrix = generator.uniform(-bound, bound, n_out * n_in)
        parts += [matrix * (last_scale if k + 1 == len(pairs) else 1.0), np.zeros(n_out)]
    return np.concatenate(parts)


def layers(network: Network, flat: Any) -> list[tuple[Floats, Floats]]:
    """The flat weights as (W (n_out, n_in), b (n_out)) for each layer.

    Raises `InputError` when the number of weights is not the network's.
    """
    weights = np.asarray(flat, dtype=np.float64).ravel()
    if len(weights) != network.n_weights:
        raise InputError(f"the network `{network.name}` has {network.n_weights} weights, not {len(weights)}")
    found, at = [], 0
    for n_in, n_out in zip(network.sizes, network.sizes[1:], strict=False):
        matrix = weights[at : at + n_in * n_out].reshape(n_out, n_in)
        at += n_in * n_out
        found.append((matrix, weights[at : at + n_out]))
        at += n_out
    return found
