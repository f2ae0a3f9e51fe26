"""`model.discover(data)` and `discover(table)`: from measurements to formulas.

The way: train the unknown terms as networks; sample the trained trajectories (and
smooth curves through the data); propose supports by sparse regression over a
library; refit their constants and the initial values through the solver; search
their neighbours; rank by trajectory likelihood with a complexity penalty; judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FitError, InputError, UnknownNameError
from ..fit import matching
from ..fit.experiment import Experiment, Prepared, prepare
from ..fit.problem import Problem
from ..fit.train import train
from ..fit.unknowns import find_unknowns
from ..model.model import Model
from . import library as libraries
from .assemble import Assembled, Unknown, assemble, completed, of_scalars, with_probes, without_wrappers
from .assemble import find_unknowns as find_terms
from .library import Term
from .regress import Array, project, propose, refit
from .result import Discovery
from .sample import Sample, from_curves, from_networks, linear_problem, probe
from .search import Candidate, Search, ranked
from .verdict import judge

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[dict[str, Any]], None]

POOR = 0.3
"""Share of the data's variance that a training may leave before it is tried again, from the beginning on."""
STRETCHES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Shares of the rows of that second training."""
STRETCH = 6
"""Rows of a stretch of data in the first fit of a support."""
PER_SIZE = 12
"""Supports of each size that the regression sends to the solver."""
LISTED = 25
"""Candidates that are refined to the end and reported."""


def discover(
    model: Model,
    data: Any,
    *,
    families: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    degree: int | Mapping[str, int] | None = None,
    max_terms: int = 5,
    noise: str | Mapping[str, str] = "additive",
    sigma: Any = None,
    u0: Mapping[str, Any] | str | None = None,
    fixed: Any = None,
    seed: int = 0,
    epochs: int = 200,
    polish: int = 200,
    method: str = "auto",
    rtol: float = 1e-7,
    atol: float = 1e-9,
    max_time: float | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Find formulas for every unknown term (network) of a model.

    Arguments
    ---------
    data: a table with a column `t` and columns named like states or observables, an
        `Experiment`, or several; NaN means not measured.
    families: families of candidate terms (`library.FAMILIES`), for all unknown terms or
        by name; default polynomials, saturating and (for one or two arguments)
        trigonometric terms.
    degree: highest degree of the polynomials; default 5, 3 or 2 for one, up to three,
        or more arguments.
    max_terms: most terms in the formula of one unknown.
    noise, sigma, u0, fixed: as of `fit`; `fixed` names parameters not to estimate.
    seed: of the networks' weights; the same seed gives the same answer.
    epochs, polish: steps of Adam and iterations of L-BFGS in training the networks.
    method, rtol, atol: of the solver.
    max_time: seconds after which the search ends with the best found; default none.
        (With a limit the answer may depend on the machine's speed.)
    progress: called with dicts of `stage`, `step`, `total`, `loss`, `message`.

    Returns
    -------
    Discovery

    Raises
    ------
    InputError: the model has no unknown term, or an option does not fit.
    DataError: the table does not fit the model or has too few measurements.
    FitError: no formula and no network could be simulated over the data.

    Example
    -------
    >>> import numpy as np, sciml_dsl as sd
    >>> t = np.linspace(0, 3, 31)
    >>> m = sd.model("x' = -0.5*x + NN(x); x(0) = 2")
    >>> data = {"t": t, "x": 2*np.exp(-0.5*t) / (1 + 0.4*2*(1 - np.exp(-0.5*t))/0.5)}
    >>> d = m.discover(data)
    >>> d.verdict
    'identified'
    """
    if not model.networks:
        raise InputError(
            "the model has no unknown term to discover\n"
            "  hint: write NN(x, y) where the equation is not known, or use fit"
        )
    if max_terms < 1:
        raise InputError(f"max_terms must be at least 1, got {max_terms}")
    if max_time is not None and not max_time > 0:
        raise InputError(f"max_time must be positive, got {max_time}")
    tell = progress or (lambda event: None)
    deadline = math.inf if max_time is None else perf_counter() + max_time
    given = without_wrappers(model)
    model = of_scalars(given)
    experiments = prepare(data, model, u0=u0, sigma=sigma)
    _enough(experiments)
    unknowns = find_terms(model.spec)
    options: dict[str, Any] = {"noise": noise, "method": method, "rtol": rtol, "atol": atol, "max_steps": 20_000}

    probed, values, arguments = with_probes(model, unknowns)
    network = Problem(probed, experiments, find_unknowns(probed, experiments, fixed=fixed, seed=seed), **options)
    theta, learned = _train(network, epochs, polish, deadline, tell)
    samples = [s for s in (learned, _curves(network, theta)) if s is not None]
    if not samples:
        raise FitError(
            f"the networks could not be trained: {network.failure}\n"
            "  hint: measure every state, give better initial values or bounds, or fewer unknown terms"
        )
    seen = [np.vstack(probe(probed, samples[0], network.weights(theta), names)) for names in arguments]
    sizes = [_sizes(values) for values in seen]
    terms = [_library(u, families, degree, float(np.ptp(v, axis=0).max())) for u, v in zip(unknowns, seen, strict=True)]
    candidates = assemble(model, unknowns, terms, sizes)
    coefficients = Problem(
        candidates.model,
        experiments,
        find_unknowns(candidates.model, experiments, fixed=fixed, bounds=candidates.bounds()),
        **{**options, "max_steps": 5_000},
    )
    search = Search(
        candidates,
        coefficients,
        _stretches(candidates, experiments, samples[0], fixed, options),
        known_sigma=all(e.sigma is not None for e in experiments),
        deadline=deadline,
        progress=lambda step, loss: tell(
            {"stage": "formulas", "step": step, "total": None, "loss": loss, "message": "refitting formulas"}
        ),
    )
    hidden = _propose(search, samples, network, theta, max_terms)
    search.improve(largest=max_terms * len(unknowns))
    best = _finish(search)
    if not best:
        raise FitError(
            f"no formula could be simulated over the data: {coefficients.failure}\n"
            "  hint: check the known part of the equations, the initial values and the bounds"
        )
    enough = coefficients.n_residuals > len(search.active(best[0].support))
    verdict = judge(best, hidden, enough=enough)
    tell({"stage": "done", "step": len(best), "total": len(best), "loss": best[0].loss, "message": verdict.word})
    samples_of = _samples(probed, learned, network.weights(theta), values, unknowns, search, best[0])
    return _result(given, search, best, verdict, experiments, samples_of, data)


# ---------------------------------------------------------------- stages


def _enough(experiments: Sequence[Prepared]) -> None:
    rows = sum(e.table.n_values for e in experiments)
    longest = max((e.table.t.size for e in experiments), default=0)
    if longest < 5:
        raise DataError(
            f"too few data: the longest table has {longest} rows ({rows} measurements), discovery needs at least 5\n"
            "  hint: measure more times, or write the term down and use fit"
        )


def _library(
    unknown: Unknown,
    families: Sequence[str] | Mapping[str, Sequence[str]] | None,
    degree: int | Mapping[str, int] | None,
    widest: float,
) -> tuple[Term, ...]:
    names = {unknown.name, unknown.network}
    mine = families
    if isinstance(families, Mapping):
        mine = next((families[n] for n in names if n in families), None)
    elif isinstance(families, str):
        mine = [families]
    power = next((degree[n] for n in names if n in degree), None) if isinstance(degree, Mapping) else degree
    return libraries.build(len(unknown.args), mine, power, widest)  # type: ignore[arg-type]


def _train(
    problem: Problem, epochs: int, polish: int, deadline: float, tell: Progress
) -> tuple[Array, list[Sample] | None]:
    """θ after training, and its trajectories (None where they fail)."""
    theta = problem.start.copy()
    if matching.possible(problem):
        tell({"stage": "networks", "step": 0, "total": None, "loss": None, "message": "matching slopes"})
        theta = matching.match(problem, theta)
    if problem.model.spec.events:
        return theta, from_networks(problem, theta)
    message = "training the unknown terms"
    tell({"stage": "networks", "step": 0, "total": epochs + polish, "loss": None, "message": message})
    options: dict[str, Any] = {"weight_decay": 1e-5, "deadline": deadline}
    result = train(
        problem,
        theta,
        epochs=epochs,
        polish=polish,
        **options,
        progress=lambda step, total, loss: tell(
            {"stage": "networks", "step": step, "total": total, "loss": loss, "message": message}
        ),
    )
    if not result.loss < POOR:
        for share in STRETCHES:  # first the beginning, then more and more of the data
            part = _first_rows(problem, share)
            grown = train(part, theta, epochs=epochs // 4 + 1, polish=polish // 4 + 1, **options)
            theta = grown.theta if math.isfinite(grown.loss) else theta
            told = {"stage": "networks", "step": 0, "total": None, "loss": grown.loss}
            tell(told | {"message": f"{message}, first {share:.0%} of the data"})
        again = train(problem, theta, epochs=epochs, polish=polish, **options)
        result = again if again.loss < result.loss or not math.isfinite(result.loss) else result
    if not math.isfinite(result.loss):
        return theta, None
    return result.theta, from_networks(problem, result.theta)


def _first_rows(problem: Problem, share: float) -> Problem:
    """The same problem over the first rows of every table."""
    cut = []
    for e in problem.experiments:
        count = max(3, round(share * e.table.t.size))
        table = replace(e.table, t=e.table.t[:count], values=np.ascontiguousarray(e.table.values[:count]))
        cut.append(replace(e, table=table, sigma=None if e.sigma is None else e.sigma[:count]))
    return Problem(
        problem.model,
        cut,
        problem.unknowns,
        noise=problem.noise,
        method=problem.method,
        rtol=problem.rtol,
        atol=problem.atol,
        max_steps=problem.max_steps,
    )


def _curves(problem: Problem, theta: Array) -> list[Sample] | None:
    return from_curves(problem, theta) if matching.measured(problem) else None


def _sizes(seen: Array) -> list[float]:
    """Typical size of every argument (columns of `seen`)."""
    rms = np.sqrt(np.mean(np.square(seen), axis=0))
    return [float(v) if np.isfinite(v) and v > 0 else 1.0 for v in rms]


def _stretches(
    candidates: Assembled, experiments: Sequence[Prepared], samples: Sequence[Sample], fixed: Any, options: Any
) -> Problem | None:
    """The data cut into stretches that start from the states of smooth trajectories; None for short tables, and
    where hidden constraints tie the states, which smooth trajectories do not satisfy."""
    model = candidates.model
    if model.algebraic and model.system._memory["family"].reduced.hidden:
        return None
    parts: list[Experiment] = []
    for experiment, sample in zip(experiments, samples, strict=True):
        table = experiment.table
        known = {model.parameters[i]: v for i, v in experiment.p.items()}
        for first in range(0, table.t.size - 2, STRETCH - 1):
            rows = slice(first, first + STRETCH)
            measured: Any = table.measured[rows, :].any(axis=0)
            if not measured.any():
                continue
            columns = {c: table.values[rows, i] for i, c in enumerate(table.columns) if measured[i]}
            start = {s: float(np.interp(table.t[first], sample.t, sample.u[:, i])) for i, s in enumerate(model.states)}
            parts.append(
                Experiment(
                    {"t": table.t[rows], **columns}, u0=start, p=known, name=str(len(parts)), t0=float(table.t[first]),
                    inputs=experiment.inputs or None,
                )
            )
    if len(parts) <= len(experiments):
        return None
    cut = prepare(parts, model)
    unknowns = find_unknowns(model, cut, fixed=fixed, bounds=candidates.bounds())
    return Problem(model, cut, unknowns, **{**options, "max_steps": 2_000, "rtol": 1e-5, "atol": 1e-7})


def _propose(
    search: Search, samples: Sequence[list[Sample]], network: Problem, theta: Array, max_terms: int
) -> list[str]:
    """Send the regression's supports through the solver; returns unknowns that nothing can show."""
    problem, assembled = search.problem, search.assembled
    names = network.unknowns.names[: network.unknowns.parameters.size]
    place = {name: i for i, name in enumerate(network.model.parameters)}
    free = [place[name] for name in names]
    starts = dict(zip(network.unknowns.names, network.unknowns.natural(theta), strict=False))
    seen: set[tuple[int, ...]] = set()
    shown: set[int] = set()
    queue: list[tuple[int, float, tuple[int, ...], dict[str, float]]] = []
    for source in samples:
        linear, variants = linear_problem(assembled, source, free)
        _, _, redundant = project(linear)
        alive = {variants[i].column for i in np.flatnonzero(~redundant)}
        shown |= {assembled.columns[j].unknown for j in alive}
        search.redundant |= set(range(len(assembled.columns))) - alive
        counts: dict[int, int] = {}
        limit = min(max_terms * len(assembled.unknowns), 8, max(1, linear.target.size // 4))
        for proposal in sorted(propose(linear, largest=limit), key=lambda q: (len(q.support), q.rss)):
            columns = [variants[i].column for i in proposal.support]
            per_unknown = [assembled.columns[j].unknown for j in columns]
            if any(per_unknown.count(k) > max_terms for k in set(per_unknown)):
                continue
            size = len(columns)
            if counts.get(size, 0) >= PER_SIZE:
                continue
            counts[size] = counts.get(size, 0) + 1
            always, weights = refit(linear, proposal.support)
            values = starts | {n: float(v) for n, v in zip(names, always, strict=True) if np.isfinite(v)}
            for i, weight in zip(proposal.support, weights, strict=True):
                column = assembled.columns[variants[i].column]
                values[column.coefficient] = float(weight)
                if column.inner is not None:
                    values[column.inner] = float(variants[i].inner or column.size)
            queue.append((size, proposal.rss, tuple(sorted(columns)), values))
    logs = {problem.unknowns.names[i] for i in problem.unknowns.log}
    for _, _, support, values in sorted(queue, key=lambda q: (q[0], q[1])):
        inside = {n: (math.log(v) if v > 0 else math.nan) if n in logs else v for n, v in values.items()}
        theta0 = search.point(support, problem.start, inside)
        if perf_counter() > search.deadline and seen:
            break
        seen.add(support)
        search.refine(support, theta0)
    search.redundant &= set(range(len(assembled.columns)))
    return [u.name for k, u in enumerate(assembled.unknowns) if k not in shown]


def _finish(search: Search) -> list[Candidate]:
    """Refine the best to the end and examine them."""
    for _ in range(3):
        for candidate in ranked(search.best(LISTED)):
            search.refine(candidate.support, candidate.theta, iterations=100, exact=True)
        if not (search.tried and search.weigh()):
            break
        search.improve(rounds=2)
    best = ranked(search.best(LISTED))
    for candidate in best:
        search.examine(candidate)
    return best


def _samples(
    probed: Model,
    learned: list[Sample] | None,
    weights: Array,
    values: Sequence[str],
    unknowns: Sequence[Unknown],
    search: Search,
    best: Candidate,
) -> dict[str, dict[str, Array]]:
    """Each term along the trained trajectories, as learned and as found."""
    if learned is None:
        return {}
    found = _probed_formulas(probed, unknowns, search, best)
    result = {}
    network = np.vstack(probe(probed, learned, weights, values))
    matched = [
        Sample(s.t, s.u, s.du, np.array([search.problem.parameters(best.theta)[n] for n in probed.parameters]), s.tail)
        for s in learned
    ]
    formulas = np.vstack(probe(found, matched, np.empty(0), values))
    for k, unknown in enumerate(unknowns):
        result[unknown.name] = {
            "t": np.concatenate([s.t for s in learned]),
            "network": network[:, k],
            "formula": formulas[:, k],
        }
    return result


def _probed_formulas(probed: Model, unknowns: Sequence[Unknown], search: Search, best: Candidate) -> Model:
    """The probed model with formulas in, so that its probes give the formulas' values."""
    bodies = search.formulas(best)
    return probed.with_terms({u.name: u.written(b) for u, b in zip(unknowns, bodies, strict=True)})


def _result(
    model: Model,
    search: Search,
    best: list[Candidate],
    verdict: Any,
    experiments: Sequence[Prepared],
    samples: Mapping[str, Mapping[str, Any]],
    data: Any,
) -> Discovery:
    import sympy

    from ..model.sympy_expr import to_sympy

    problem, first = search.problem, best[0]
    values = problem.parameters(first.theta)
    p = {name: values[name] for name in model.parameters}
    starts = problem.initial_states(first.theta)
    estimated = {problem.model.states[s] for _, s in problem.unknowns.initial}
    u0 = {s: float(starts[0][i]) for i, s in enumerate(model.states)}
    bodies = search.formulas(first)
    unknowns = search.assembled.unknowns
    initial = {s: u0[s] for s in model.states if s in estimated}
    done = completed(model, unknowns, bodies, p, initial)
    if model.inputs and len(experiments) == 1:
        done = done.with_inputs(dict(experiments[0].inputs))
    forcing = {name: sympy.Function(name)(sympy.Symbol("t")) for name in model.inputs}
    terms = {u.name: to_sympy(u.written(b), forcing) for u, b in zip(unknowns, bodies, strict=True)}
    numbers = {name: value for name, value in p.items() if math.isfinite(value)}
    equations = {name: expr.subs(numbers) for name, expr in done.equations.items()}
    solutions = [
        done.solve(
            (e.t0, float(e.table.t[-1])),
            u0=dict(zip(model.states, map(float, start), strict=True)),
            p={model.parameters[i]: v for i, v in e.p.items()} or None,
            rtol=problem.rtol,
            atol=problem.atol,
            inputs=e.inputs or None,
        )
        for e, start in zip(experiments, starts, strict=True)
    ]
    return Discovery(
        terms=terms,
        equations=equations,
        model=done,
        candidates=_table(best),
        verdict=verdict.word,
        confidence=verdict.confidence,
        message="; ".join(verdict.reasons),
        p=p,
        u0=u0,
        standard_errors=_errors(search, first),
        data=[_frame(e) for e in experiments],
        solutions=solutions,
        samples=samples,
    )


def _errors(search: Search, best: Candidate) -> dict[str, float]:
    """Standard errors by name: parameters, initial values, and `U: term` for constants of formulas."""
    from ..codegen.sciml import expression

    labels = {}
    for j in best.support:
        column = search.assembled.columns[j]
        unknown = search.assembled.unknowns[column.unknown]
        shape = expression(unknown.written(column.term.expr))
        labels[column.coefficient] = f"{unknown.name}: {shape}"
        if column.inner is not None:
            labels[column.inner] = f"{unknown.name}: inner constant of {shape}"
    return {labels.get(name, name): error for name, error in best.errors.items()}


def _table(best: Sequence[Candidate]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "formula": [c.text for c in best],
            "loss": [c.loss for c in best],
            "score": [c.score.value for c in best],
            "delta": [c.score.value - best[0].score.value for c in best],
            "complexity": [c.score.constants for c in best],
        }
    )


def _frame(experiment: Prepared) -> pd.DataFrame:
    import pandas as pd

    table = experiment.table
    return pd.DataFrame({"t": table.t} | {name: table.column(name) for name in table.columns})


# ---------------------------------------------------------------- nothing known


def discover_table(table: Any, **options: Any) -> Discovery:
    """Find the equations behind a table with nothing known.

    Every column but `t` is a state whose whole right-hand side is unknown: `x` gets
    the term `f_x` of all states.  Options are those of `Model.discover`.

    Example
    -------
    >>> import numpy as np, sciml_dsl as sd
    >>> t = np.linspace(0, 4, 41)
    >>> d = sd.discover({"t": t, "x": np.exp(-0.7*t)})
    >>> d.verdict
    'identified'
    """
    columns = [str(c) for c in (table.columns if hasattr(table, "columns") else table)]
    states = [c for c in columns if c != "t"]
    if "t" not in columns:
        raise UnknownNameError("the table has no column `t`\n  hint: rename the column of times to t")
    if not states:
        raise DataError("the table has no column besides `t`, so there is nothing to find an equation for")
    inputs = ", ".join(states)
    text = "\n".join(f"{s}' = f_{s}({inputs})" for s in states)
    networks = "\n".join(f"neural f_{s}({inputs}) -> 1 {{ hidden = [16] }}" for s in states)
    return discover(Model.from_text(f"model discovered\n\n{text}\n\n{networks}\n"), table, **options)


__all__ = ["discover", "discover_table"]
