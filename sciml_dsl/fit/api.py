"""`fit`: a model and measurements in, a `Fit` out.

Puts the pieces of this room together: reads the data, makes the problem, chooses a
strategy, tries the starts, and judges the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FitError, InputError, UnknownNameError, suggest
from .experiment import prepare
from .lm import Minimum, minimise
from .matching import match, possible
from .problem import Problem
from .result import Fit, filled, initial_values
from .segments import cut, joined, oscillations
from .shooting import multiple_shooting
from .smooth import curve
from .starts import spread
from .train import train
from .uncertainty import Uncertainty, uncertainty
from .unknowns import Unknowns, find_unknowns

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]
Progress = Callable[[dict[str, Any]], None]

STRATEGIES = ("auto", "single", "multiple_shooting", "train")
POOR = 0.05  # share of a column's variance left unexplained from which "auto" tries multiple shooting
OSCILLATING = 3  # turning points from which data count as oscillating
RETRIES = 3  # further trainings when no number of starts was asked for and the first explains the data poorly
RESCUES = 8  # further starts that are tried when none was asked for and the first one fails


def fit(
    model: Model,
    data: Any,
    *,
    parameters: Iterable[str] | None = None,
    fixed: Iterable[str] | Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    u0: Mapping[str, Any] | str | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    starts: int | None = None,
    seed: int = 0,
    noise: str | Mapping[str, str] = "additive",
    sigma: Any = None,
    t0: float | None = None,
    strategy: str = "auto",
    method: str = "auto",
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 20_000,
    weights: bool | None = None,
    epochs: int = 200,
    polish: int = 1000,
    learning_rate: float = 0.01,
    weight_decay: float = 0.0,
    target: float = 0.0,
    segments: int | None = None,
    progress: Progress | None = None,
    max_time: float | None = None,
) -> Fit:
    """Estimate parameters, unknown initial values and network weights from measurements.

    Arguments:
        model: the model.
        data: a pandas `DataFrame` or mapping of arrays with a column `t` and columns named
            like states or observables (NaN: not measured), an `Experiment`, or a list of these;
            experiments share the estimated parameters.
        parameters: names to estimate; default all.
        fixed: names to keep at their defaults, or a mapping to the numbers to keep them at.
        start: where to start, `{"k": 2.0, "x(0)": 1.0}`; default the model's own values.
        u0: known initial values, `{"x": 1.0}`, or "estimate" in place of a number or of the
            mapping.  Default: what the model says stays (numbers, or expressions in the
            parameters); states without initial value are estimated for each experiment.
        bounds: (lower, upper) by name, `{"k": (0, 10), "x(0)": (0, None)}`, in place of the model's.
        starts: number of starts; the first is the model's own, the others are spread over
            the bounds.  Default one; more while simulations fail or a training explains the
            data poorly.
        seed: of the starts and of fresh network weights.
        noise: "additive", "proportional" or "log", for all columns or by column, see `noise.scale`.
        sigma: known standard deviations: a number, or by column a number, an array or the
            name of a column of the table; covariances are then absolute.
        t0: time of the initial values, see `experiment.start_time`.
        strategy: "single" (simulations from the initial values), "multiple_shooting" (for
            oscillating data), "train" (for network weights), "auto" (train where there are
            networks; else single, and multiple shooting where that explains the data poorly).
        method, rtol, atol, max_steps: of the solver; a simulation that needs more steps fails.
            Default tolerances 1e-8 and 1e-10, for network weights 1e-6 and 1e-8.
        weights: whether network weights are trained; default if the model has any.
        epochs, polish: gradient steps of Adam, and at most so many of L-BFGS after them.
        learning_rate, weight_decay, target: see `train.train`.
        segments: number of segments in multiple shooting; default by the data.
        progress: called with dicts `{"stage", "step", "total", "loss", "message"}`.
        max_time: seconds after which the best so far is returned; default unlimited.

    Returns:
        `Fit`.  A simulation that fails counts as an infinite loss.

    Raises:
        DataError: a table does not fit the model, or there are fewer numbers than unknowns.
        InputError, UnknownNameError: an option is wrong.
        FitError: no start gave a finite loss.

    Example:
        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1 in [0, 9]")
        >>> round(fit(m, {"t": [0, 1, 2], "x": [1.0, 0.5, 0.25]}).p["k"], 6)
        0.693147
    """
    began = perf_counter()
    if strategy not in STRATEGIES:
        hint = suggest(str(strategy), STRATEGIES) or f"one of {', '.join(STRATEGIES)}"
        raise UnknownNameError(f"strategy `{strategy}` is not known\n  hint: {hint}")
    if starts is not None and starts < 1:
        raise InputError(f"starts = {starts} must be at least 1")
    experiments = prepare(data, model, u0=u0, sigma=sigma, t0=t0)

    def unknowns_of(number: int) -> Unknowns:
        return find_unknowns(
            model, experiments, parameters=parameters, fixed=fixed, start=start, bounds=bounds, weights=weights,
            seed=seed + 1000 * number,
        )  # fmt: skip

    unknowns = unknowns_of(0)
    relative, absolute = (1e-6, 1e-8) if unknowns.n_weights else (1e-8, 1e-10)
    problem = Problem(
        model, experiments, unknowns, noise=noise, method=method, max_steps=max_steps,
        rtol=relative if rtol is None else rtol, atol=absolute if atol is None else atol,
    )  # fmt: skip
    _check(problem, strategy)
    run = _Run(
        problem,
        deadline=math.inf if max_time is None else began + max_time,
        progress=progress,
        options={
            "epochs": epochs, "polish": polish, "learning_rate": learning_rate, "weight_decay": weight_decay,
            "target": target,
        },
        segments=segments,
    )  # fmt: skip
    if problem.unknowns.n_weights:
        thetas = spread(problem, starts or 1 + RETRIES, seed)
        tail = problem.n - problem.unknowns.n_weights
        for k, theta in enumerate(thetas):
            if k:
                theta[tail:] = unknowns_of(k).start[tail:]
            run.train(k, theta)
            if run.out_of_time() or (
                starts is None and run.best is not None and not _explains_poorly(problem, run.best)
            ):
                break
    else:
        run.search(spread(problem, starts or 1, seed), "single" if strategy == "auto" else strategy)
        if starts is None and run.best is None:
            run.search(spread(problem, 1 + RESCUES, seed)[1:], "single" if strategy == "auto" else strategy)
        if strategy == "auto" and _may_shoot(problem) and (run.best is None or _explains_poorly(problem, run.best)):
            run.search(spread(problem, starts or 1, seed), "multiple_shooting")
    return run.result(began)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """One start's end."""

    theta: Floats
    loss: float
    converged: bool
    message: str
    history: tuple[float, ...]
    minimum: Minimum | None


class _Run:
    """The starts of one fit, their outcomes, and what is told to whoever watches."""

    def __init__(
        self,
        problem: Problem,
        *,
        deadline: float,
        progress: Progress | None,
        options: dict[str, Any],
        segments: int | None,
    ) -> None:
        self.problem, self.deadline, self.progress = problem, deadline, progress
        self.options, self.segments = options, segments
        self.best: _Outcome | None = None
        self.rows: list[dict[str, Any]] = []

    def out_of_time(self) -> bool:
        return perf_counter() > self.deadline

    def tell(self, stage: str, step: int, total: int | None, loss: float | None, message: str = "") -> None:
        if self.progress is not None:
            finite = loss if loss is not None and math.isfinite(loss) else None
            self.progress({"stage": stage, "step": step, "total": total, "loss": finite, "message": message})

    def keep(self, strategy: str, outcome: _Outcome) -> None:
        """Note an outcome, and whether it is the best."""
        failure = self.problem.failure
        finite = math.isfinite(outcome.loss)
        message = outcome.message if finite or failure is None else str(failure)
        self.rows.append({"start": len(self.rows), "strategy": strategy, "loss": outcome.loss, "message": message})
        if finite and (self.best is None or outcome.loss < self.best.loss):
            self.best = outcome

    def search(self, thetas: Floats, strategy: str) -> None:
        """Least squares from several starts."""
        count = len(thetas)
        size = max(1, self.problem.n_residuals)
        for k, theta in enumerate(thetas):
            history: list[float] = []
            stage = "fit" if count == 1 else f"start {k + 1} of {count}"

            def told(iteration: int, cost: float, stage: str = stage, history: list[float] = history) -> None:
                history.append(2.0 * cost / size)
                self.tell(stage, iteration, None, history[-1])

            def tied(step: int, cost: float, stage: str = stage) -> None:
                self.tell(stage, step, None, None, "multiple shooting")

            floor = 0.1 * self.problem.rtol
            if strategy == "multiple_shooting":
                found = multiple_shooting(
                    self.problem, theta, segments=self.segments, deadline=self.deadline, floor=floor,
                    progress=tied,
                )  # fmt: skip
            else:
                found = minimise(self.problem, theta, deadline=self.deadline, floor=floor, progress=told)
            loss = 2.0 * found.cost / size
            if math.isfinite(loss):
                history.append(loss)
            self.keep(strategy, _Outcome(found.x, loss, found.converged, found.message, tuple(history), found))
            self.tell(stage, found.iterations, None, loss, found.message)
            if self.out_of_time():
                return

    def train(self, number: int, theta: Floats) -> None:
        """Weights and parameters from one start: gradient matching, short windows, then the whole."""
        problem = self.problem
        label = "train" if number == 0 else f"train {number + 1}"
        history: list[float] = []

        def told(step: int, total: int, loss: float) -> None:
            self.tell(label, step, total, loss)

        loss = problem.loss(theta)
        if possible(problem):
            matched = match(problem, theta)
            matched_loss = problem.loss(matched)
            self.tell("match slopes", 1, 1, matched_loss)
            if matched_loss < loss or (not math.isfinite(loss) and oscillations(problem) >= OSCILLATING):
                theta, loss = matched, matched_loss
            if (not loss < POOR) and oscillations(problem) >= OSCILLATING:
                theta, loss = self.windows(matched, theta, loss)
        found = train(problem, theta, deadline=self.deadline, progress=told, **self.options)
        history += found.history
        self.keep("train", _Outcome(found.theta, found.loss, found.converged, found.message, tuple(history), None))

    def windows(self, matched: Floats, theta: Floats, loss: float) -> tuple[Floats, float]:
        """Train on ever longer pieces of the data from the matched point; the better of that and `theta`."""
        pieces = max(2, 2 * oscillations(self.problem))
        point = matched
        while not self.out_of_time():
            stage = f"{pieces} windows"

            def told(step: int, total: int, value: float, stage: str = stage) -> None:
                self.tell(stage, step, total, value)

            part = cut(self.problem, point, pieces, overlap=True)
            found = train(
                part.problem, part.theta, epochs=0, polish=100, deadline=self.deadline,
                weight_decay=self.options["weight_decay"],
                progress=told,
            )  # fmt: skip
            point = joined(self.problem, part, found.theta)
            if pieces <= 2:
                break
            pieces = -(-pieces // 2)
        reached = self.problem.loss(point)
        return (point, reached) if reached < loss else (theta, loss)

    def result(self, began: float) -> Fit:
        """The `Fit` of the best start, or the error that there is none."""
        import pandas as pd

        problem, best = self.problem, self.best
        if best is None:
            raise FitError(_no_start(self.rows))
        found = self.judged(best) if not problem.unknowns.n_weights else None
        return Fit(
            p=problem.parameters(best.theta),
            u0=initial_values(problem, best.theta),
            loss=best.loss,
            estimated=problem.unknowns.names,
            model=filled(problem, best.theta),
            data=tuple(e.table for e in problem.experiments),
            success=best.converged,
            message=best.message,
            history=best.history,
            starts=pd.DataFrame(self.rows),
            warnings=() if found is None else found.warnings,
            identifiable={} if found is None else found.identifiable,
            seconds=perf_counter() - began,
            _problem=problem,
            _theta=best.theta,
            _uncertainty=found,
        )

    def judged(self, best: _Outcome) -> Uncertainty:
        """What the data say about the estimates at the best point."""
        problem, unknowns, found = self.problem, self.problem.unknowns, best.minimum
        assert found is not None
        values = unknowns.natural(best.theta)
        slope = np.ones(problem.n)
        slope[unknowns.log] = values[unknowns.log]
        free = (best.theta > problem.lower) & (best.theta < problem.upper) & (slope != 0.0)
        return uncertainty(
            unknowns.names, values, found.residuals, found.jacobian / np.where(slope != 0.0, slope, 1.0), free,
            absolute=all(e.sigma is not None for e in problem.experiments),
        )  # fmt: skip


def _check(problem: Problem, strategy: str) -> None:
    unknowns = problem.unknowns
    if unknowns.n == 0:
        raise InputError(
            "there is nothing to estimate: all parameters and initial values are known\n"
            '  hint: declare a parameter with `param`, or estimate initial values with u0="estimate"'
        )
    estimates = unknowns.n - unknowns.n_weights
    if problem.n_residuals < estimates:
        example = problem.model.states[0]
        raise DataError(
            f"too few data: {problem.n_residuals} measured values cannot determine {estimates} unknowns "
            f"({', '.join(unknowns.names[:8])}{', ...' if estimates > 8 else ''})\n"
            f'  hint: keep some of them with fixed=[...], or give initial values, u0={{"{example}": 1.0}}'
        )
    if unknowns.n_weights and strategy not in ("auto", "train"):
        raise InputError(
            f'strategy="{strategy}" cannot train the weights of networks\n'
            '  hint: use strategy="train", or weights=False to keep them as they are'
        )
    if not unknowns.n_weights and strategy == "train":
        raise InputError('strategy="train" needs a model with network weights to train\n  hint: use strategy="auto"')


def _may_shoot(problem: Problem) -> bool:
    return not (problem.model.spec.events or problem.hidden) and oscillations(problem) >= OSCILLATING


def _explains_poorly(problem: Problem, best: _Outcome) -> bool:
    """Whether some column's misfit is far larger than both its noise and a share of its variance."""
    states = problem.states(best.theta)
    if states is None:
        return True
    place = {name: i for i, name in enumerate(problem.model.spec.states)}
    for experiment, u in zip(problem.experiments, states, strict=True):
        table = experiment.table
        for column in table.columns:
            y = table.column(column)
            measured = np.isfinite(y)
            if column not in place or np.count_nonzero(measured) < 5:
                continue
            error = float(np.mean((u[measured, place[column]] - y[measured]) ** 2))
            noise = curve(table.t, y).noise
            if error > max(POOR * float(np.var(y[measured])), 9.0 * noise**2):
                return True
    return False


def _no_start(rows: list[dict[str, Any]]) -> str:
    what = "the start" if len(rows) == 1 else f"none of {len(rows)} starts"
    verb = "gave no finite loss" if len(rows) == 1 else "gave a finite loss"
    return (
        f"{what} {verb}: {rows[0]['message']}\n"
        '  hint: start from values the model can be simulated with, start={"k": ...}, narrow the bounds, '
        "or allow more with max_steps=..."
    )


__all__ = ["STRATEGIES", "fit"]
