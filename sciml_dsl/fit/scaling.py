"""Units for training: variables in which weights and parameters are all of order one.

Takes a model and its data; gives a linear map between θ and scaled variables.  A
network of raw states (hares in thousands, concentrations of 1e-6) trains badly;
here its first layer is seen in units of the data it is fed with, and its last in
units of the slopes it should explain.  The weights stay those of an ordinary network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..codegen.native import compile_system
from ..nn.weights import initial_weights
from ..solve.observe import observe
from .smooth import curve

if TYPE_CHECKING:
    from ..model.model import Model
    from ..model.spec import Network
    from .experiment import Prepared

Floats = NDArray[np.float64]

POINTS = 50  # points of each experiment's smoothed curves
FIRST_OUTPUT = 0.1  # size of a fresh network's output, in units of the slopes


@dataclass(frozen=True, eq=False)
class NetworkUnits:
    """Where a network's inputs lie, how far they spread, and how large its outputs should be.

    `at` is the place of its first weight among all weights of the model.
    """

    network: Network
    at: int
    centre: Floats  # (n_in,)
    spread: Floats  # (n_in,)
    output: Floats  # (n_out,)

    def to_weights(self, v: Floats) -> None:
        """Scaled variables into weights, in place; `v` holds all weights of the model."""
        first, bias, last = self._views(v)
        first /= self.spread
        bias -= first @ self.centre
        last *= self._outputs

    def from_weights(self, v: Floats) -> None:
        """The inverse, in place."""
        first, bias, last = self._views(v)
        last /= self._outputs
        bias += first @ self.centre
        first *= self.spread

    def pull_back(self, g: Floats) -> None:
        """A gradient by the weights into one by the scaled variables, in place."""
        first, bias, last = self._views(g)
        last *= self._outputs
        first -= bias[:, None] * self.centre
        first /= self.spread

    @property
    def _outputs(self) -> Floats:
        return np.concatenate([np.repeat(self.output, self.network.sizes[-2]), self.output])

    def _views(self, v: Floats) -> tuple[Floats, Floats, Floats]:
        """Writable views: matrix and bias of the first layer, everything of the last."""
        n_in, width = self.network.sizes[:2]
        split, end = self.at + n_in * width, self.at + self.network.n_weights
        last = (self.network.sizes[-2] + 1) * self.network.n_out
        return v[self.at : split].reshape(width, n_in), v[split : split + width], v[end - last : end]


@dataclass(frozen=True, eq=False)
class Units:
    """The map between θ (n,) and scaled variables z (n,).

    `size` (n,) divides each position of θ (1 for weights); `networks` go on from there.
    """

    size: Floats
    n_weights: int
    networks: tuple[NetworkUnits, ...] = ()

    def theta(self, z: Floats) -> Floats:
        """θ of scaled variables."""
        theta = z * self.size
        for units in self.networks:
            units.to_weights(theta[theta.size - self.n_weights :])
        return theta

    def z(self, theta: Floats) -> Floats:
        """Scaled variables of θ."""
        z = theta / self.size
        for units in self.networks:
            units.from_weights(z[z.size - self.n_weights :])
        return z

    def gradient(self, by_theta: Floats) -> Floats:
        """Gradient by z from a gradient by θ."""
        g = by_theta * self.size
        for units in self.networks:
            units.pull_back(g[g.size - self.n_weights :])
        return g


def fresh_weights(units: Sequence[NetworkUnits], given: dict[str, tuple[float, ...]], seed: int) -> Floats:
    """All weights of a model: those it has (`given`), and fresh ones in the data's units for other networks."""
    weights = np.zeros(sum(u.network.n_weights for u in units))
    for k, unit in enumerate(units):
        net = unit.network
        block = slice(unit.at, unit.at + net.n_weights)
        if net.name in given:
            weights[block] = given[net.name]
        else:
            weights[block] = initial_weights(net, seed + k, FIRST_OUTPUT)
            unit.to_weights(weights)
    return weights


def network_units(model: Model, experiments: Sequence[Prepared], p: Floats) -> tuple[NetworkUnits, ...]:
    """Units of every network of a model.

    Arguments:
        model: the model.
        experiments: prepared experiments; states they measure are smoothed and passed
            through the networks' arguments.
        p: parameters and weights, for arguments that depend on them.

    Returns:
        One `NetworkUnits` for each network.  Where an argument depends on a state that is
        not measured, centre 0 and spread 1; where no slope is known, output 1.
    """
    system = model.system
    graph = system.graph
    calls = [node for node in _reachable(model, system.rhs) if graph.op[node] == "netcall"]
    arguments = [a for node in calls for a in graph.args[node]]
    inputs, slopes = _samples(model, experiments, p, arguments)
    reached = [set(_reachable(model, (node,))) for node in system.rhs[: slopes.size]]
    result = []
    at = 0
    for k, net in enumerate(system.networks):
        own = [i for i, node in enumerate(calls) if graph.data[node] == k]
        columns: list[list[Floats]] = [[] for _ in range(net.n_in)]
        place = 0
        for i, node in enumerate(calls):
            for j in range(len(graph.args[node])):
                if i in own:
                    columns[j].append(inputs[:, place + j])
            place += len(graph.args[node])
        centre, spread = np.zeros(net.n_in), np.ones(net.n_in)
        for j, parts in enumerate(columns):
            values = np.concatenate(parts) if parts else np.empty(0)
            if values.size and np.isfinite(values).all():
                centre[j] = float(values.mean())
                size = float(values.std())
                spread[j] = size if size > 1e-6 * abs(centre[j]) and size > 0.0 else abs(centre[j]) or 1.0
        output = np.ones(net.n_out)
        for out in range(net.n_out):
            nodes = {graph.net(calls[i], out) for i in own}
            sizes = [slopes[s] for s, seen in enumerate(reached) if seen & nodes and np.isfinite(slopes[s])]
            sizes = [size for size in sizes if size > 0.0]
            if sizes:
                output[out] = float(np.median(sizes))
        result.append(NetworkUnits(net, at, centre, spread, output))
        at += net.n_weights
    return tuple(result)


def _samples(model: Model, experiments: Sequence[Prepared], p: Floats, nodes: Sequence[int]) -> tuple[Floats, Floats]:
    """Values (points, nodes) along the smoothed data, NaN where unknown, and the RMS slope of each state.

    Of the unknowns of algebraic equations it is the RMS value: the size of an equation's terms.
    """
    states = model.spec.states
    system = replace(
        model.system, observables=tuple(nodes), observable_names=tuple(f"a{i}" for i in range(len(nodes))), _memory={}
    )
    native = compile_system(system)
    values, slopes = [], []
    for e in experiments:
        t = np.linspace(float(e.table.t[0]), float(e.table.t[-1]), POINTS)
        u, du = np.full((POINTS, len(states)), np.nan), np.full((POINTS, len(states)), np.nan)
        for s, name in enumerate(states):
            if name in e.table.columns and np.count_nonzero(np.isfinite(e.table.column(name))) >= 4:
                smoothed = curve(e.table.t, e.table.column(name))
                u[:, s] = smoothed(t)
                du[:, s] = u[:, s] if name in model.algebraic else smoothed.derivative(t)
        full = p.copy()
        for index, value in e.p.items():
            full[index] = value
        full = np.concatenate([full, e.tail])
        if nodes:
            values.append(observe(native.observables, len(nodes), t, u, full))
        slopes.append(du)
    squares = np.concatenate(slopes) ** 2
    known = np.isfinite(squares).any(axis=0)
    rms = np.full(len(states), np.nan)
    rms[known] = np.sqrt(np.nanmean(squares[:, known], axis=0))
    return np.concatenate(values) if values else np.empty((0, 0)), rms


def _reachable(model: Model, roots: Sequence[int]) -> list[int]:
    """Nodes a result depends on, in order."""
    graph = model.system.graph
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(graph.args[node])
    return sorted(seen)


__all__ = ["NetworkUnits", "Units", "fresh_weights", "network_units"]
