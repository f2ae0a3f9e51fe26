"""Networks of a model as ordinary torch modules, and weights to and fro.

`build` makes a `torch.nn.Sequential` for a `model.spec.Network`, `flatten` and
`load` exchange its weights with the flat vector that the solvers use, `check`
says whether a user's own module is the network the model declares.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..model.spec import Network
from .weights import initial_weights

Floats = NDArray[np.float64]


class Sin(torch.nn.Module):
    """The activation sin(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


class Gaussian(torch.nn.Module):
    """The activation exp(-x*x), called `rbf` in the language."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-x * x)


def activation(name: str) -> torch.nn.Module:
    """A new torch module for an activation of the language.

    `softplus` is exact to the last bit (torch's own default is linear above 20), `gelu` the one with erf.
    """
    modules: dict[str, Any] = {
        "tanh": torch.nn.Tanh,
        "sigmoid": torch.nn.Sigmoid,
        "softplus": lambda: torch.nn.Softplus(threshold=40.0),
        "relu": torch.nn.ReLU,
        "gelu": torch.nn.GELU,
        "swish": torch.nn.SiLU,
        "sin": Sin,
        "rbf": Gaussian,
        "identity": torch.nn.Identity,
    }
    module: torch.nn.Module = modules[name]()
    return module


def build(
    network: Network, weights: ArrayLike | None = None, dtype: torch.dtype = torch.float64, seed: int = 0
) -> torch.nn.Sequential:
    """The network as `torch.nn.Sequential` of Linear layers and activations.

    Arguments: `weights` flat, (network.n_weights,), default `initial_weights(network, seed)`.
    Raises `InputError` when their number is wrong.

    Example
    -------
    >>> net = build(Network("U", 2, hidden=(5,)))
    >>> net(torch.zeros(7, 2, dtype=torch.float64)).shape
    torch.Size([7, 1])
    """
    layers: list[torch.nn.Module] = []
    for n_in, n_out in zip(network.sizes, network.sizes[1:], strict=False):
        layers += [torch.nn.Linear(n_in, n_out, dtype=dtype), activation(network.activation)]
    module = torch.nn.Sequential(*layers[:-1])
    return load(module, initial_weights(network, seed) if weights is None else weights)


def flatten(module: torch.nn.Module) -> Floats:
    """The module's weights as one float64 array: for each layer W row by row, then b."""
    parts = [p.detach().cpu().to(torch.float64).reshape(-1).numpy() for p in module.parameters()]
    return np.concatenate(parts) if parts else np.empty(0)


def load(module: Any, flat: ArrayLike) -> Any:
    """Set the module's weights from a flat array (in place, keeping type and device); returns the module.

    Raises `InputError` when their number is wrong.
    """
    values = np.asarray(flat, dtype=np.float64).ravel()
    parameters = list(module.parameters())
    count = sum(p.numel() for p in parameters)
    if len(values) != count:
        raise InputError(f"the module has {count} weights, not {len(values)}")
    at = 0
    with torch.no_grad():
        for p in parameters:
            p.copy_(torch.from_numpy(values[at : at + p.numel()].reshape(p.shape).copy()))
            at += p.numel()
    return module


def check(network: Network, module: torch.nn.Module) -> None:
    """Raise `InputError` unless `module` is the network the model declares.

    It must hold `Linear` layers of the declared widths in order, each with a bias,
    and compute what the network computes with these weights (tried at 16 points,
    which finds another activation, dropout, or layers in another order).

    Example
    -------
    >>> check(Network("U", 2, hidden=(5,)), torch.nn.Sequential(
    ...     torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)))
    """
    expected = f"the network `{network.name}` is {_shape(network.sizes)} with {network.activation}"
    linear = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    sizes = (linear[0].in_features, *(m.out_features for m in linear)) if linear else ()
    if sizes != network.sizes:
        found = f"has layers {_shape(sizes)}" if linear else "has no torch.nn.Linear layers"
        raise InputError(f"{expected}, but the module {found}")
    if any(m.bias is None for m in linear):
        raise InputError(f"{expected}, but a layer of the module has no bias; leave bias=True")
    count = sum(p.numel() for p in module.parameters())
    if count != network.n_weights:
        raise InputError(f"{expected}, with {network.n_weights} weights, but the module has {count}")
    first = next(module.parameters())
    own = build(network, flatten(module), dtype=first.dtype).to(first.device)
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (16, network.n_in))
    x = torch.from_numpy(points).to(first.dtype).to(first.device)
    with torch.no_grad():
        got, wanted = module(x), own(x)
    tolerance = 1e3 * torch.finfo(first.dtype).eps
    if got.shape != wanted.shape or not torch.allclose(got, wanted, rtol=tolerance, atol=tolerance):
        raise InputError(
            f"{expected}, but the module computes something else with the same weights\n"
            f"  hint: use the activation {type(activation(network.activation)).__name__} between the layers, "
            "none after the last, and eval() mode"
        )


def _shape(sizes: tuple[int, ...]) -> str:
    return "-".join(str(size) for size in sizes)
