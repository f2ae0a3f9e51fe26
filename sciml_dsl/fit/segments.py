"""Cutting experiments into segments with unknown starts.

Takes a problem and gives another over the same parameters and weights, in which
every experiment is several shorter ones.  Short simulations cannot run far from
the data, so oscillating data stop being full of local minima.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .experiment import ESTIMATE, Prepared
from .problem import Problem
from .smooth import curve
from .table import Measurements

Floats = NDArray[np.float64]


class Cut(NamedTuple):
    """A problem over segments.

    Attributes:
        problem: the problem; θ has the parameters, the starts of all segments, the weights.
        theta: θ to begin with.
        owner: for each segment the experiment it is a piece of.
    """

    problem: Problem
    theta: Floats
    owner: tuple[int, ...]


def cut(problem: Problem, theta: Floats, pieces: int, *, overlap: bool) -> Cut:
    """Cut each experiment of `problem` into at most `pieces` segments of about equal numbers of rows.

    Arguments:
        problem, theta: a problem and a point of it.
        pieces: number of segments.
        overlap: whether a boundary's measurements count in both segments (True), or only
            in the later one, while the earlier one is simulated up to it (False).

    Returns:
        `Cut`.  Each start begins at the smoothed measurements; states that are not
        measured at the simulation with `theta`, or where that fails at their initial value.
    """
    spec = problem.model.spec
    unknowns = problem.unknowns
    simulated = problem.states(theta)
    at_start = problem.initial_states(theta)
    values = unknowns.natural(theta)
    first = unknowns.parameters.size
    known = {pair: first + j for j, pair in enumerate(unknowns.initial)}
    free = set(problem.free_states.tolist())  # what algebraic equations determine is only a guess
    segments: list[Prepared] = []
    owner: list[int] = []
    pairs: list[tuple[int, int]] = []
    start: list[float] = []
    lower: list[float] = []
    upper: list[float] = []
    for k, experiment in enumerate(problem.experiments):
        guess = _guess(problem, k, None if simulated is None else simulated[k], at_start[k])
        edges = _edges(experiment.table, pieces)
        for number, (a, b) in enumerate(itertools.pairwise(edges)):
            last = b == edges[-1]
            table = _piece(experiment.table, a, b, last or overlap)
            sigma = experiment.sigma
            if sigma is not None:
                sigma = sigma[a : a + table.t.size]
            segment = replace(
                experiment, name=f"{experiment.name}#{number + 1}", table=table, sigma=sigma,
            )  # fmt: skip
            if number:
                begin = tuple(ESTIMATE if s in free else float(guess[a, s]) for s in range(len(spec.states)))
                segment = replace(segment, t0=float(table.t[0]), initial=begin)
            for s in range(len(spec.states)):
                j = known.get((k, s))
                if number and s not in free:
                    continue
                if number:
                    start.append(float(guess[a, s]))
                elif j is not None:
                    start.append(float(values[j]))
                else:
                    continue
                pairs.append((len(segments), s))
                lower.append(-np.inf if j is None else float(unknowns.lower[j]))
                upper.append(np.inf if j is None else float(unknowns.upper[j]))
            segments.append(segment)
            owner.append(k)
    tail = unknowns.n - unknowns.n_weights

    def join(block: Floats, middle: list[float]) -> Floats:
        return np.concatenate([block[:first], np.array(middle), block[tail:]])

    low, high = join(unknowns.lower, lower), join(unknowns.upper, upper)
    cut_unknowns = replace(
        unknowns,
        names=(
            *unknowns.names[:first],
            *(f"{spec.states[s]}(0)[{segments[e].name}]" for e, s in pairs),
        ),
        initial=tuple(pairs),
        start=np.clip(join(values, start), low, high),
        lower=low,
        upper=high,
    )
    new = Problem(
        problem.model, segments, cut_unknowns, noise=problem.noise, method=problem.method, rtol=problem.rtol,
        atol=problem.atol, max_steps=problem.max_steps,
    )  # fmt: skip
    return Cut(new, new.start.copy(), tuple(owner))


def joined(problem: Problem, piece: Cut, theta: Floats) -> Floats:
    """θ of `problem` from a θ of its segments: starts of experiments from their first segments."""
    first = problem.unknowns.parameters.size
    firsts = {piece.owner.index(k): k for k in range(len(problem.experiments))}
    starts = {
        (firsts[e], s): theta[first + j] for j, (e, s) in enumerate(piece.problem.unknowns.initial) if e in firsts
    }
    tail = piece.problem.n - problem.unknowns.n_weights
    middle = [starts[pair] for pair in problem.unknowns.initial]
    whole = np.concatenate([theta[:first], np.array(middle), theta[tail:]])
    return np.minimum(np.maximum(whole, problem.lower), problem.upper)


def oscillations(problem: Problem) -> int:
    """Largest number of turning points of any measured column, after smoothing."""
    most = 0
    for experiment in problem.experiments:
        table = experiment.table
        for column in table.columns:
            y = table.column(column)
            if np.count_nonzero(np.isfinite(y)) < 6:
                continue
            smoothed = curve(table.t, y)
            t = np.linspace(table.t[0], table.t[-1], 400)
            path = smoothed(t)
            turns = np.flatnonzero(np.diff(np.sign(np.diff(path))) != 0) + 1
            levels = path[[0, *turns, -1]]
            heights = np.abs(np.diff(levels))
            large = heights > max(4.0 * smoothed.noise, 0.1 * np.ptp(path))
            most = max(most, int(np.count_nonzero(large)) - 1)
    return most


def _edges(table: Measurements, pieces: int) -> list[int]:
    """Rows at which segments begin, and the last row; each has at least two steps of time."""
    rows = table.t.size
    count = max(1, min(pieces, (rows - 1) // 2))
    edges = [round(k * (rows - 1) / count) for k in range(count + 1)]
    # replicates stay together: a segment begins at the first row of its time
    moved = [int(np.searchsorted(table.t, table.t[e], side="left")) for e in edges[:-1]]
    return sorted({0, *moved, rows - 1})


def _piece(table: Measurements, a: int, b: int, with_end: bool) -> Measurements:
    t, values = table.t[a : b + 1], table.values[a : b + 1].copy()
    if not with_end:
        values[-1] = np.nan
    return Measurements(t, table.columns, values)


def _guess(problem: Problem, k: int, simulated: Floats | None, at_start: Floats) -> Floats:
    """States (T, n) near the data at every row of experiment `k`."""
    table = problem.experiments[k].table
    guess = np.tile(at_start, (table.t.size, 1)) if simulated is None else simulated.copy()
    for s, name in enumerate(problem.model.spec.states):
        if name in table.columns:
            y = table.column(name)
            measured = np.isfinite(y)
            if np.count_nonzero(measured) >= 4:
                guess[:, s] = curve(table.t, y)(table.t)
            else:
                guess[:, s] = np.interp(table.t, table.t[measured], y[measured])
    return guess


__all__ = ["Cut", "cut", "joined", "oscillations"]
