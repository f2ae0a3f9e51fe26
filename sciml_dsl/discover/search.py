"""Refitting supports through the solver, and the search among them.

A support is a set of library columns.  `Search.refine` fits its constants, the
model's own parameters and the unknown initial values to the trajectories at once
and scores the result; `Search.improve` walks from the best supports to their
neighbours (one term dropped, added or exchanged) until none is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from ..codegen.sciml import expression
from ..fit.lm import minimise
from ..fit.problem import Problem
from ..language import ast
from . import score as scoring
from .assemble import Assembled, formula
from .regress import Array
from .score import Score

Support = tuple[int, ...]
Indices = np.ndarray[Any, np.dtype[np.int64]]

FAR = 30.0
"""An inner constant this many times above or below its argument's size no longer shapes its term."""
ADDITIONS = 5
"""Terms tried at each support after ranking by the residuals' projection on their sensitivities."""


@dataclass
class Candidate:
    """A fitted formula.

    `theta` is the point of the fit, `loss` the mean squared residual, `score` the
    criterion, `parts` the log-likelihood of each measured column.  `uncertainty` has
    (label, relative standard error) of its constants, `pattern` the residuals' largest
    lag-one correlation in standard deviations, `limit_of` the support it has become
    when inner constants no longer act, `covers` its columns and those they turn into
    for a large inner constant; these and `errors` are filled by `Search.examine`.
    """

    support: Support
    theta: Array = field(repr=False)
    loss: float
    score: Score
    parts: Array = field(repr=False)
    text: str = ""
    uncertainty: list[tuple[str, float]] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    pattern: float = 0.0
    limit_of: Support | None = None
    covers: frozenset[int] = frozenset()


class Search:
    """The search for the best support of one assembled model.

    `problem` is over all parameters of the assembled model.  `short` is the same over
    short stretches of the data that start from smoothed states: it has few local
    minima, so each new support is fitted to it first.  `deadline` is a value of
    `time.perf_counter()` after which no further support is tried.
    """

    def __init__(
        self,
        assembled: Assembled,
        problem: Problem,
        short: Problem | None = None,
        *,
        known_sigma: bool = False,
        deadline: float = math.inf,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.assembled, self.problem, self.short = assembled, problem, short
        self.known_sigma, self.deadline, self.progress = known_sigma, deadline, progress
        names = problem.unknowns.names
        self.place = {name: i for i, name in enumerate(names)}
        owned = {name for c in assembled.columns for name in c.names}
        self.always = np.array([i for i, name in enumerate(names) if name not in owned], dtype=np.int64)
        costs = [
            scoring.choice_costs([c.term.tier for c in assembled.columns if c.unknown == k])
            for k in range(len(assembled.unknowns))
        ]
        self.costs = [cost for part in costs for cost in part]
        self.measured_column, self.series = _layout(problem)
        self.weight = np.ones(len(np.unique(self.measured_column)))
        self.tried: dict[Support, Candidate] = {}
        self.redundant: set[int] = set()
        self._by_expr = {(c.unknown, c.term.expr): j for j, c in enumerate(assembled.columns)}

    # ------------------------------------------------------------ one support

    def active(self, support: Support) -> Indices:
        """Positions of θ that are free for a support: the model's own, then the support's constants."""
        own = [self.place[name] for j in support for name in self.assembled.columns[j].names]
        return np.concatenate([self.always, np.array(own, dtype=np.int64)])

    def point(self, support: Support, base: Array, values: Mapping[str, float]) -> Array:
        """θ with all coefficients zero but the support's, taken from `values` or `base`."""
        theta = base.copy()
        for j, column in enumerate(self.assembled.columns):
            if j not in support:
                theta[self.place[column.coefficient]] = 0.0
        for name, value in values.items():
            i = self.place.get(name)
            if i is not None and math.isfinite(value):
                theta[i] = min(max(value, self.problem.lower[i]), self.problem.upper[i])
        return theta

    def refine(self, support: Iterable[int], theta: Array, *, iterations: int = 40, exact: bool = False) -> Candidate:
        """Fit a support from `theta`; keeps and returns the best fit it ever had."""
        key = tuple(sorted(support))
        active = self.active(key)
        tolerance = {"ftol": 1e-12, "xtol": 1e-10} if exact else {"ftol": 1e-6, "xtol": 1e-6}
        starts = [theta]
        if not exact and self.short is not None:
            starts.insert(0, self._by_stretches(theta, active))
        best = self.tried.get(key)
        for start in starts:
            found = minimise(self.problem, start, active, floor=1e-9, max_iterations=iterations, **tolerance)
            candidate = self._judge(key, found.x, found.residuals)
            if best is None or candidate.score.value < best.score.value:
                self.tried[key] = best = candidate
        assert best is not None
        if self.progress is not None:
            self.progress(len(self.tried), min(c.loss for c in self.tried.values()))
        return best

    def _by_stretches(self, theta: Array, active: Indices) -> Array:
        """`theta` after a fit to the short stretches; initial values stay."""
        short = self.short
        assert short is not None
        shared = active[active < short.n]  # initial values stand behind the parameters, and are known here
        found = minimise(short, theta[: short.n], shared, ftol=1e-4, xtol=1e-4, max_iterations=15)
        if not math.isfinite(found.cost):
            return theta
        return np.concatenate([found.x, theta[short.n :]])

    def _judge(self, support: Support, theta: Array, residuals: Array) -> Candidate:
        parts = scoring.log_likelihood(residuals, self.measured_column, known_sigma=self.known_sigma)
        finite = bool(np.isfinite(residuals).all())
        loss = float(residuals @ residuals) / len(residuals) if finite else math.inf
        return Candidate(support, theta, loss, self._score(support, parts), parts)

    def _score(self, support: Support, parts: Array) -> Score:
        constants = sum(self.assembled.columns[j].term.constants for j in support)
        loglik = float(self.weight @ parts) if np.isfinite(parts).all() else -math.inf
        return scoring.score(loglik, self.problem.n_residuals, constants, self.always.size, self._choices(support))

    def weigh(self) -> bool:
        """Count each column's evidence at the independent share of the best formula's residuals.

        Scores everything anew; returns whether another formula is best now.
        """
        best = self.best(1)[0]
        if self.known_sigma or not math.isfinite(best.loss):
            return False
        residuals = self.problem.residuals(best.theta)
        kinds = np.unique(self.measured_column)
        for i, kind in enumerate(kinds):
            series = [residuals[rows] for rows in self.series if self.measured_column[rows[0]] == kind]
            self.weight[i] = scoring.independent_share(series)
        for candidate in self.tried.values():
            candidate.score = self._score(candidate.support, candidate.parts)
        return self.best(1)[0].support != best.support

    def _choices(self, support: Support) -> list[float]:
        """What choosing each term costs; a term that stands in another unknown already is cheap."""
        costs, seen = [], set()
        for j in support:
            column = self.assembled.columns[j]
            shape = self.assembled.unknowns[column.unknown].written(column.term.expr)
            costs.append(min(self.costs[j], scoring.REUSE) if shape in seen else self.costs[j])
            seen.add(shape)
        return costs

    # ------------------------------------------------------------ neighbours

    def improve(self, *, rounds: int = 8, beam: int = 3, largest: int = 8) -> None:
        """Local search from the best supports found so far."""
        expanded: set[Support] = set()
        for _ in range(rounds):
            fresh = [c for c in self.best(beam) if c.support not in expanded]
            if not fresh:
                return
            for candidate in fresh:
                expanded.add(candidate.support)
                self._neighbours(candidate, largest)
                if perf_counter() > self.deadline:
                    return

    def _neighbours(self, candidate: Candidate, largest: int) -> None:
        support = candidate.support
        for bent in support:
            self._straighten(candidate, bent)
        for dropped in support:
            rest = tuple(j for j in support if j != dropped)
            child = self._try(rest, self.point(rest, candidate.theta, {}))
            for added in self._additions(child, exclude=dropped):
                self._try((*rest, added), child.theta)
        if len(support) < largest:
            for added in self._additions(candidate, exclude=None):
                self._try((*support, added), candidate.theta)

    def _straighten(self, candidate: Candidate, bent: int) -> None:
        """Try the term that a bent one becomes for a large inner constant, with the same slope at the origin."""
        column = self.assembled.columns[bent]
        limit = column.term.limits[0]
        straight = None if limit is None else self._by_expr.get((column.unknown, limit))
        if straight is None or column.inner is None or straight in candidate.support:
            return
        support = tuple(straight if j == bent else j for j in candidate.support)
        middle = column.size + float(candidate.theta[self.place[column.inner]])
        slope = float(candidate.theta[self.place[column.coefficient]]) / middle**column.term.order
        name = self.assembled.columns[straight].coefficient
        if column.term.order:
            self._try(support, self.point(support, candidate.theta, {name: slope}))

    def _try(self, support: Iterable[int], theta: Array) -> Candidate:
        key = tuple(sorted(support))
        if key in self.tried or perf_counter() > self.deadline:
            return self.tried.get(key) or self._judge(key, theta, np.full(self.problem.n_residuals, np.inf))
        return self.refine(key, theta)

    def _additions(self, candidate: Candidate, exclude: int | None) -> list[int]:
        """Columns whose sensitivities explain most of what a fit leaves, best first."""
        if not math.isfinite(candidate.loss):
            return []
        inside = set(candidate.support)
        closed = inside | self.redundant | ({exclude} if exclude is not None else set())
        outside = [j for j in range(len(self.assembled.columns)) if j not in closed]
        if not outside:
            return []
        active = self.active(candidate.support)
        extra = np.array([self.place[self.assembled.columns[j].coefficient] for j in outside], dtype=np.int64)
        residuals, jacobian = self.problem.residuals_and_jacobian(candidate.theta, np.concatenate([active, extra]))
        if not np.isfinite(residuals).all() or not np.isfinite(jacobian).all():
            return []
        own, other = jacobian[:, : active.size], jacobian[:, active.size :]
        if own.size:
            scale = np.linalg.norm(own, axis=0)
            basis, values, _ = np.linalg.svd(own / np.where(scale > 0, scale, 1.0), full_matrices=False)
            basis = basis[:, values > 1e-9 * max(float(values[0]), 1e-300)]
            before = np.linalg.norm(other, axis=0)
            other = other - basis @ (basis.T @ other)
            residuals = residuals - basis @ (basis.T @ residuals)
        else:
            before = np.linalg.norm(other, axis=0)
        size = np.linalg.norm(other, axis=0)
        usable = size > 1e-6 * np.where(before > 0, before, 1.0)
        gain = np.where(usable, (other.T @ residuals) ** 2 / np.where(usable, size, 1.0) ** 2, -1.0)
        order = np.argsort(-gain, kind="stable")
        return [outside[i] for i in order[:ADDITIONS] if gain[i] > 0]

    def best(self, count: int) -> list[Candidate]:
        """The best supports tried so far."""
        return sorted(self.tried.values(), key=lambda c: (c.score.value, len(c.support), c.support))[:count]

    # ------------------------------------------------------------ the final list

    def examine(self, candidate: Candidate) -> None:
        """Fill in a candidate's text, uncertainty, residual pattern and limit."""
        active = self.active(candidate.support)
        residuals, jacobian = self.problem.residuals_and_jacobian(candidate.theta, active)
        candidate.text = self.text(candidate)
        candidate.pattern = self._pattern(residuals)
        candidate.limit_of = self._limit(candidate)
        candidate.covers = self._covers(candidate.support)
        names = self.problem.unknowns.names
        errors = _standard_errors(residuals, jacobian, self.measured_column, self.known_sigma)
        theta = candidate.theta
        candidate.errors = {names[i]: float(e) for i, e in zip(active, errors, strict=True)}
        for j in candidate.support:
            column = self.assembled.columns[j]
            unknown = self.assembled.unknowns[column.unknown]
            value = abs(theta[self.place[column.coefficient]])
            share = candidate.errors[column.coefficient] / value if value > 0 else math.inf
            label = expression(unknown.written(column.term.expr))
            candidate.uncertainty.append((f"the constant of {label} in {unknown.name}", share))

    def formulas(self, candidate: Candidate, digits: int | None = None) -> list[ast.Expr]:
        """The formula of every unknown over its formal arguments, numbers in (rounded to `digits`)."""

        def number(name: str) -> float:
            value = float(candidate.theta[self.place[name]])
            return value if digits is None else float(f"{value:.{digits}g}")

        result = []
        for k in range(len(self.assembled.unknowns)):
            terms = []
            for j in candidate.support:
                column = self.assembled.columns[j]
                if column.unknown == k:
                    inner = None if column.inner is None else number(column.inner)
                    terms.append((column.term, number(column.coefficient), inner))
            result.append(formula(terms))
        return result

    def text(self, candidate: Candidate) -> str:
        """The formulas in the model's names, four digits."""
        parts = []
        for unknown, body in zip(self.assembled.unknowns, self.formulas(candidate, digits=4), strict=True):
            parts.append(f"{unknown.name} = {expression(unknown.written(body))}")
        return ", ".join(parts)

    def _covers(self, support: Support) -> frozenset[int]:
        """The columns of a support and the simpler ones that they contain as a limit."""
        columns = self.assembled.columns
        limits = (self._by_expr.get((columns[j].unknown, e)) for j in support if (e := columns[j].term.limits[0]))
        return frozenset(support) | {j for j in limits if j is not None}

    def _limit(self, candidate: Candidate) -> Support | None:
        """The support this one has become where inner constants lie far outside the data, if any does."""
        changed, support = False, set()
        for j in candidate.support:
            column = self.assembled.columns[j]
            target = j
            if column.inner is not None:
                ratio = candidate.theta[self.place[column.inner]] / column.size
                limit = column.term.limits[0] if ratio > FAR else column.term.limits[1] if ratio < 1 / FAR else None
                known = self._by_expr.get((column.unknown, limit)) if limit is not None else None
                if known is not None:
                    target, changed = known, True
            support.add(target)
        return tuple(sorted(support)) if changed else None

    def _pattern(self, residuals: Array) -> float:
        """Largest lag-one correlation of the residuals of one column, in its standard deviations."""
        worst = 0.0
        for rows in self.series:
            part = residuals[rows]
            size = float(part @ part)
            if len(part) >= 8 and size / len(part) > (10 * scoring.FLOOR) ** 2:
                worst = max(worst, float(part[1:] @ part[:-1]) / size * math.sqrt(len(part)))
        return worst


def _layout(problem: Problem) -> tuple[Indices, list[Indices]]:
    """(measured column of every residual, rows of every experiment's column in order of time)."""
    names: list[str] = []
    for experiment in problem.experiments:
        names += [c for c in experiment.table.columns if c not in names]
    columns: list[Indices] = []
    series: list[Indices] = []
    at = 0
    for experiment in problem.experiments:
        local = np.array([names.index(c) for c in experiment.table.columns])
        part = local[np.nonzero(experiment.table.measured)[1]]
        series += [at + np.flatnonzero(part == c) for c in np.unique(part)]
        columns.append(part)
        at += len(part)
    return np.concatenate(columns), series


def _standard_errors(residuals: Array, jacobian: Array, columns: Indices, known_sigma: bool) -> Array:
    """Standard errors from the Gauss-Newton Hessian, each column with its own noise; inf where undetermined."""
    m = jacobian.shape[1]
    if m == 0:
        return np.zeros(0)
    weights = np.ones(len(residuals))
    if not known_sigma:
        kinds = np.unique(columns)
        for column in kinds:
            rows = columns == column
            free = max(1.0, rows.sum() - m / len(kinds))
            weights[rows] = 1.0 / math.sqrt(float(residuals[rows] @ residuals[rows]) / free + scoring.FLOOR**2)
    scaled = jacobian * weights[:, None]
    size = np.linalg.norm(scaled, axis=0)
    _, values, vt = np.linalg.svd(scaled / np.where(size > 0, size, 1.0), full_matrices=False)
    if len(values) < m or not np.isfinite(values).all():
        return np.full(m, np.inf)
    safe = np.where(values > 1e-9 * values[0], values, np.nan)
    variance = ((vt / safe[:, None]) ** 2).sum(axis=0)
    errors = np.sqrt(variance) / np.where(size > 0, size, np.nan)
    return np.where(np.isfinite(errors), errors, np.inf)


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates with a finite score, best first."""
    finite = (c for c in candidates if math.isfinite(c.score.value))
    return sorted(finite, key=lambda c: (c.score.value, len(c.support), c.support))
