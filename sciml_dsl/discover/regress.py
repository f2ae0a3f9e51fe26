"""Sparse regression of derivatives on candidate terms: which supports are worth a refit.

Takes a linear problem `target = always * p + candidates * c` sampled along smooth
trajectories, and searches small supports best-first (beam search over orthogonal
least squares; Chen, Billings & Luo, Int. J. Control 50 (1989) 1873-1896).  It
only proposes: constants and ranking come from refits through the solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

DEPENDENT = 1e-5
"""A candidate whose part outside the known part's own directions is below this share is redundant."""


@dataclass(frozen=True)
class LinearProblem:
    """`always` (N, q), `candidates` (N, J), `target` (N); rows already weighted.

    `owner` (J) says which library column a candidate is a variant of (inner
    constants give several); a support holds at most one variant of each.
    """

    always: Array
    candidates: Array
    target: Array
    owner: Indices


@dataclass(frozen=True)
class Proposal:
    """A support: positions in `candidates`, its residual sum of squares and coefficients."""

    support: tuple[int, ...]
    rss: float
    coefficients: Array


def project(problem: LinearProblem) -> tuple[Array, Array, Mask]:
    """(candidates, target) with the directions of `always` removed, and which candidates are redundant."""
    candidates, target = problem.candidates, problem.target
    size = np.linalg.norm(candidates, axis=0)
    if problem.always.shape[1]:
        scale = np.linalg.norm(problem.always, axis=0)
        basis, values, _ = np.linalg.svd(problem.always / np.where(scale > 0, scale, 1.0), full_matrices=False)
        basis = basis[:, values > 1e-9 * max(values[0], 1e-300)]
        candidates = candidates - basis @ (basis.T @ candidates)
        target = target - basis @ (basis.T @ target)
    left = np.linalg.norm(candidates, axis=0)
    redundant = ~np.isfinite(size) | ~(left > DEPENDENT * np.where(size > 0, size, np.inf))
    return candidates, target, redundant


def propose(problem: LinearProblem, *, largest: int, width: int = 60) -> list[Proposal]:
    """The best supports of every size from 0 to `largest`, at most `width` of each size.

    Deterministic; ties go to the earlier candidate.
    """
    candidates, target, redundant = project(problem)
    norms = np.linalg.norm(candidates, axis=0)
    unit = candidates / np.where(redundant, 1.0, np.where(norms > 0, norms, 1.0))
    unit[:, redundant] = 0.0
    gram, moment = unit.T @ unit, unit.T @ target
    total = float(target @ target)
    beam: list[tuple[float, tuple[int, ...]]] = [(total, ())]
    found = [Proposal((), total, np.zeros(0))]
    for _ in range(largest):
        best: dict[tuple[int, ...], float] = {}
        for _, support in beam:
            for j, rss in _extend(gram, moment, total, support, redundant, problem.owner):
                key = tuple(sorted((*support, j)))
                if rss < best.get(key, np.inf):
                    best[key] = rss
        beam = sorted((rss, support) for support, rss in best.items())[:width]
        if not beam:
            break
        for rss, support in beam:
            chosen = list(support)
            weights = np.linalg.solve(gram[np.ix_(chosen, chosen)], moment[chosen]) / norms[chosen]
            found.append(Proposal(support, rss, weights))
    return found


def _extend(
    gram: Array, moment: Array, total: float, support: tuple[int, ...], redundant: Mask, owner: Indices
) -> list[tuple[int, float]]:
    """(candidate, residual sum of squares) of every admissible extension of `support`."""
    allowed = ~redundant
    if support:
        chosen = list(support)
        allowed &= ~np.isin(owner, owner[chosen])
        try:
            inverse = np.linalg.inv(gram[np.ix_(chosen, chosen)])
        except np.linalg.LinAlgError:
            return []
        cross = gram[:, chosen]
        weights = inverse @ moment[chosen]
        rss = total - float(moment[chosen] @ weights)
        gain = moment - cross @ weights
        left = 1.0 - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    else:
        rss, gain, left = total, moment, np.ones(len(moment))
    allowed &= left > 1e-8
    reduction = np.where(allowed, gain**2 / np.where(allowed, left, 1.0), -np.inf)
    return [(int(j), max(rss - float(reduction[j]), 0.0)) for j in np.flatnonzero(allowed)]


def refit(problem: LinearProblem, support: tuple[int, ...]) -> tuple[Array, Array]:
    """(values of the `always` directions, coefficients of `support`) by least squares.

    A direction that acts on no slope (a parameter of initial values) has no value here: NaN.
    """
    matrix = np.hstack([problem.always, problem.candidates[:, list(support)]])
    scale = np.linalg.norm(matrix, axis=0)
    used = np.where(scale > 0, scale, 1.0)
    values = np.linalg.lstsq(matrix / used, problem.target, rcond=1e-10)[0] / used
    values[scale == 0] = np.nan
    q = problem.always.shape[1]
    return values[:q], values[q:]
