"""Smooth trajectories with their slopes, and the linear regression they pose.

Two sources: the trajectories of the model with trained networks, and smooth
curves through the measurements where every state is measured.  Candidate columns
are the derivatives of the right-hand side with respect to the coefficients,
evaluated natively, so unknown terms may stand anywhere in the equations.  Those of
algebraic equations are taken as written: in the place of slopes stands zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codegen.native import compile_system, functions
from ..fit.problem import Problem
from ..fit.smooth import curve
from ..model.model import Model
from ..solve.algebraic import integrator as algebraic_integrator
from ..solve.integrate import Integrator
from ..solve.observe import observe
from ..solve.problem import NativeFunctions
from .assemble import Assembled
from .regress import Array, LinearProblem

POINTS = 240
"""Points at which slopes are compared, over all experiments."""
INNER_STARTS = (0.3, 1.0, 3.0)
"""Inner constants tried in the regression, in units of their argument's typical size."""


@dataclass(frozen=True)
class Sample:
    """One experiment's smooth trajectory: `t` (N), `u` (N, n), slopes `du` (N, n), the parameters `p`, and
    the tables of inputs that stand behind parameters and weights."""

    t: Array
    u: Array
    du: Array
    p: Array
    tail: Array


def _grid(problem: Problem, k: int) -> Array:
    table = problem.experiments[k].table
    count = max(30, POINTS // len(problem.experiments))
    return np.linspace(float(table.t[0]), float(table.t[-1]), count)


def as_written(model: Model, forward: bool = False) -> NativeFunctions:
    """Native functions of a model; of one with algebraic equations before its index is reduced."""
    if not model.algebraic:
        return functions(model, forward=forward)
    return compile_system(model.system._memory["family"].original, forward=forward)


def _vanishing(model: Model) -> list[int]:
    """The states in whose place an algebraic equation stands."""
    return [model.states.index(name) for name in model.algebraic]


def from_networks(problem: Problem, theta: Array) -> list[Sample] | None:
    """Trajectories of the model with networks at a trained `theta`, or None if one fails."""
    model = problem.model
    native = as_written(model)
    integrator = algebraic_integrator(model) if model.algebraic else Integrator(native)
    samples = []
    for k, (u0, p) in enumerate(problem.inputs(theta)):
        t = _grid(problem, k)
        if not np.isfinite(u0).all():
            return None
        run = integrator.run(
            u0, p, problem.experiments[k].t0, float(t[-1]), saveat=t, rtol=1e-7, atol=1e-9, max_steps=problem.max_steps
        )
        if not run.ok or run.u.shape[0] != t.size or not np.isfinite(run.u).all():
            return None
        u = np.ascontiguousarray(run.u)
        du = observe(native.f, native.n, t, u, p)
        du[:, _vanishing(model)] = 0.0
        samples.append(Sample(t, u, du, p[: problem.n_params], problem.experiments[k].tail))
    return samples


def from_curves(problem: Problem, theta: Array) -> list[Sample]:
    """Smooth curves through the measurements; every state must be measured."""
    samples = []
    for k, (_, p) in enumerate(problem.inputs(theta)):
        t, table = _grid(problem, k), problem.experiments[k].table
        curves = [curve(table.t, table.column(name)) for name in problem.model.states]
        u = np.ascontiguousarray(np.column_stack([c(t) for c in curves]))
        du = np.column_stack([c.derivative(t) for c in curves])
        du[:, _vanishing(problem.model)] = 0.0
        samples.append(Sample(t, u, du, p[: problem.n_params], problem.experiments[k].tail))
    return samples


def probe(model: Model, samples: Sequence[Sample], weights: Array, names: Sequence[str]) -> list[Array]:
    """Values (N, len(names)) of observables of a model along samples."""
    native = functions(model)
    index = [model.observables.index(name) for name in names]
    result = []
    for sample in samples:
        p = np.concatenate([sample.p, weights, sample.tail])
        result.append(observe(native.observables, native.n_observables, sample.t, sample.u, p)[:, index])
    return result


@dataclass(frozen=True)
class Variant:
    """A regression column: which library column, and its inner constant (None without)."""

    column: int
    inner: float | None


def linear_problem(
    assembled: Assembled, samples: Sequence[Sample], free: Sequence[int]
) -> tuple[LinearProblem, list[Variant]]:
    """The regression of slopes on candidate terms along `samples`.

    `free` are positions (among the parameters of the original model) whose values are
    unknown too; they are the columns that every support contains.
    """
    model = assembled.model
    native = as_written(model, forward=True)
    n, n_params = native.n, native.n_params
    place = {name: i for i, name in enumerate(model.parameters)}
    variants: list[Variant] = []
    rounds: list[tuple[float, list[int]]] = []  # inner constants in units of their size, columns read off
    with_inner = [j for j, c in enumerate(assembled.columns) if c.inner is not None]
    plain = [j for j, c in enumerate(assembled.columns) if c.inner is None]
    for i, factor in enumerate(INNER_STARTS):
        read = plain + with_inner if i == 0 else with_inner
        rounds.append((factor, read))
        variants += [
            Variant(j, None if assembled.columns[j].inner is None else factor * assembled.columns[j].size) for j in read
        ]
    spread = _spread(samples)
    for i in _vanishing(model):  # no slope to compare with: the size of the terms that are known
        p = np.concatenate([np.zeros(n_params), samples[0].tail])
        p[: samples[0].p.size] = samples[0].p
        size = np.sqrt(np.mean(observe(native.f, n, samples[0].t, samples[0].u, p)[:, i] ** 2))
        spread[i] = size if 0.0 < size < np.inf else 1.0
    always, targets = [], []
    blocks: list[list[Array]] = [[] for _ in rounds]
    for sample in samples:
        p = np.concatenate([np.zeros(n_params), sample.tail])
        p[: sample.p.size] = sample.p
        weight = np.tile(1.0 / spread, sample.t.size)
        for i, (factor, read) in enumerate(rounds):
            for j in with_inner:
                column = assembled.columns[j]
                p[place[str(column.inner)]] = factor * column.size
            values = observe(native.fjp, n + n * n + n * n_params, sample.t, sample.u, p)
            slopes = values[:, n + n * n :].reshape(sample.t.size * n, n_params)
            at = [place[assembled.columns[j].coefficient] for j in read]
            blocks[i].append(slopes[:, at] * weight[:, None])
            if i == 0:
                known = slopes[:, list(free)]
                target = sample.du.reshape(-1) - values[:, :n].reshape(-1) + known @ sample.p[list(free)]
                always.append(known * weight[:, None])
                targets.append(target * weight)
    candidates = np.hstack([np.vstack(block) for block in blocks])
    owner = np.array([v.column for v in variants])
    target = np.concatenate(targets)
    basis = np.vstack(always)
    rows = np.isfinite(target) & np.isfinite(basis).all(axis=1)
    candidates = candidates[rows]
    candidates[:, ~np.isfinite(candidates).all(axis=0)] = 0.0  # a term that has no value here is no candidate
    return LinearProblem(basis[rows], candidates, target[rows], owner), variants


def _spread(samples: Sequence[Sample]) -> Any:
    """Typical size of the slope of every state."""
    size = np.sqrt(np.mean(np.concatenate([s.du for s in samples]) ** 2, axis=0))
    return np.where(size > 0, size, 1.0)
