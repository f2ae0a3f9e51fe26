"""The result of a fit.

`Fit` holds what was estimated, how well the data determine it, and the model
with everything filled in; tables, predictions and the figure are made when asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..language.ast import Expr, Num, Unary
from ..model.inputs import as_data
from ..model.model import Model
from .problem import Problem
from .table import Measurements
from .uncertainty import Uncertainty

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..solve.solution import Solution

Floats = NDArray[np.float64]

FINE = 300  # points of a solution's grid, beside the times of the measurements


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit found.

    Attributes:
        p: every parameter of the model, estimated or not.
        u0: initial values by state; for several experiments by experiment, then state.
        loss: mean of the squared residuals, each in units of its noise (see `fit`):
            with the default noise the share of the data's variance left unexplained.
        estimated: names of what was estimated, `x(0)` for initial values.
        model: the model with parameters, initial values and weights filled in (initial
            values and conditions of the first experiment, where there are several).
        data: one `Measurements` for each experiment.
        success: whether the minimiser converged.
        message: how it ended.
        history: losses of the best start, iteration by iteration.
        starts: a table with a row for each start: `start`, `strategy`, `loss`, `message`.
        warnings: sentences about estimates the data do not determine, or on bounds.
        identifiable: for each estimate whether the data determine it; empty when
            network weights were trained.
        seconds: time the fit took.
    """

    p: dict[str, float]
    u0: dict[str, Any]
    loss: float
    estimated: tuple[str, ...]
    model: Model
    data: tuple[Measurements, ...]
    success: bool
    message: str
    history: tuple[float, ...]
    starts: pd.DataFrame
    warnings: tuple[str, ...]
    identifiable: dict[str, bool]
    seconds: float
    _problem: Problem = field(repr=False)
    _theta: Floats = field(repr=False)
    _uncertainty: Uncertainty | None = field(repr=False)

    @cached_property
    def covariance(self) -> pd.DataFrame | None:
        """Covariance of the estimates, labelled by name, linearised at the minimum.

        Estimates on a bound and those the data do not determine are left out (see
        `identifiable`); None when network weights were trained or nothing is left.
        """
        import pandas as pd

        found = self._uncertainty
        if found is None or not found.names:
            return None
        return pd.DataFrame(found.covariance, index=list(found.names), columns=list(found.names))

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Square roots of the covariance's diagonal by name, without what has no covariance."""
        found = self._uncertainty
        if found is None:
            return {}
        return {n: math.sqrt(v) for n, v in zip(found.names, np.diag(found.covariance), strict=True)}

    @cached_property
    def residuals(self) -> Floats:
        """Residuals in units of the noise, experiment by experiment and row by row, shape (number of values,)."""
        return self._problem.residuals(self._theta)

    @cached_property
    def predictions(self) -> list[Floats]:
        """For each experiment the model's values in the shape of its table, (T, columns)."""
        result = []
        for table, solution in zip(self.data, self.solutions, strict=True):
            rows = np.searchsorted(solution.t, table.t)
            result.append(np.column_stack([np.asarray(solution[c])[rows] for c in table.columns]))
        return result

    @cached_property
    def rmse(self) -> dict[str, float]:
        """Root mean squared error of each column in its own unit."""
        squares: dict[str, list[Floats]] = {}
        for table, predicted in zip(self.data, self.predictions, strict=True):
            for j, column in enumerate(table.columns):
                error = (predicted - table.values)[:, j]
                squares.setdefault(column, []).append(error[np.isfinite(table.values[:, j])] ** 2)
        return {c: float(np.sqrt(np.mean(np.concatenate(s)))) for c, s in squares.items()}

    @cached_property
    def solutions(self) -> list[Solution]:
        """The fitted model's solution for each experiment, on a grid fine enough to draw."""
        problem = self._problem
        n_params = problem.n_params
        result = []
        for experiment, (u0, p) in zip(problem.experiments, problem.inputs(self._theta), strict=True):
            end = float(experiment.table.t[-1])
            times = np.unique(np.concatenate([np.linspace(experiment.t0, end, FINE), experiment.table.t]))
            result.append(
                self.model.solve(
                    (experiment.t0, end),
                    u0=u0.tolist(),
                    p=p[:n_params].tolist(),
                    method=problem.method,
                    rtol=problem.rtol,
                    atol=problem.atol,
                    saveat=times,
                    max_steps=problem.max_steps,
                    inputs=experiment.inputs or None,
                )
            )
        return result

    def to_pandas(self) -> pd.DataFrame:
        """One row for each measurement: `experiment`, `t`, `column`, `measured`, `predicted`, `residual`.

        `residual` is in units of the noise, as in `residuals`.
        """
        import pandas as pd

        parts = []
        at = 0
        for experiment, table, predicted in zip(self._problem.experiments, self.data, self.predictions, strict=True):
            rows, columns = np.nonzero(table.measured)
            parts.append(
                pd.DataFrame(
                    {
                        "experiment": experiment.name,
                        "t": table.t[rows],
                        "column": np.array(table.columns, dtype=object)[columns],
                        "measured": table.values[rows, columns],
                        "predicted": predicted[rows, columns],
                        "residual": self.residuals[at : at + rows.size],
                    }
                )
            )
            at += rows.size
        return pd.concat(parts, ignore_index=True)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Measurements as points and the fitted model as lines; written to `path` if given."""
        from ..plot import fit

        return fit(self, path=path)

    def summary(self) -> str:
        """Estimates with standard errors, the errors of each column, and warnings, as text."""
        values = dict(zip(self.estimated, self._problem.unknowns.natural(self._theta), strict=False))
        lines = [f"{'fitted' if self.success else 'not converged'}: {self.message}; loss {self.loss:.6g}"]
        width = max((len(n) for n in values), default=0)
        for name, value in values.items():
            error = self.standard_errors.get(name)
            lines.append(f"  {name:<{width}} = {value:.8g}" + ("" if error is None else f"  ± {error:.2g}"))
        if self._problem.unknowns.n_weights:
            names = ", ".join(self.model.networks)
            lines.append(f"  {self._problem.unknowns.n_weights} weights of {names}")
        lines += [f"  rms error of {c}: {v:.4g}" for c, v in self.rmse.items()]
        lines += [f"  note: {w}" for w in self.warnings]
        return "\n".join(lines)

    __str__ = summary

    def __repr__(self) -> str:
        state = "success" if self.success else "not converged"
        return f"<Fit {self.model.name}: {state}, loss {self.loss:.6g}, {len(self.estimated)} estimates>"


def filled(problem: Problem, theta: Floats) -> Model:
    """The problem's model with the values of `theta` in place of defaults, initial values and weights."""
    spec = problem.model.spec
    values = problem.parameters(theta)
    first = problem.experiments[0]
    if len(problem.experiments) == 1:
        values |= {spec.parameters[i].name: v for i, v in first.p.items()}
    parameters = tuple(
        replace(p, default=v, lower=min(p.lower, v), upper=max(p.upper, v)) if math.isfinite(v) else p
        for p in spec.parameters
        for v in (values[p.name],)
    )
    u0 = problem.initial_states(theta)[0]
    initial = tuple(
        old if given is None else _literal(float(u0[s]))
        for s, (old, given) in enumerate(zip(spec.initial, first.initial, strict=True))
    )
    weights = problem.weights(theta)
    blocks = []
    at = 0
    for net in spec.networks:
        blocks.append((net.name, tuple(float(w) for w in weights[at : at + net.n_weights])))
        at += net.n_weights
    inputs = spec.inputs
    if len(problem.experiments) == 1:
        inputs = tuple(replace(i, data=as_data(first.inputs[i.name])) for i in inputs)
    return Model(replace(spec, parameters=parameters, initial=initial, weights=tuple(blocks), inputs=inputs))


def initial_values(problem: Problem, theta: Floats) -> dict[str, Any]:
    """Initial values by state, or for several experiments by experiment and state."""
    states = problem.model.spec.states
    named = {
        e.name: dict(zip(states, (float(v) for v in u0), strict=True))
        for e, u0 in zip(problem.experiments, problem.initial_states(theta), strict=True)
    }
    return dict(named) if len(named) > 1 else next(iter(named.values()))


def _literal(value: float) -> Expr:
    return Num(value) if value >= 0.0 else Unary("-", Num(-value))


__all__ = ["Fit", "filled", "initial_values"]
