"""Noise models: what one unit of residual means for each measurement.

Takes prepared experiments; gives for each an array of divisors and which columns
are compared on a logarithmic scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UnknownNameError, suggest
from .experiment import Prepared

NOISE = ("additive", "proportional", "log")
SMALLEST_SHARE = 1e-3  # proportional noise never falls below this share of a column's RMS


@dataclass(frozen=True)
class Scaling:
    """How one experiment's residuals are formed.

    `values` (T, k): measurements, their logarithms in log columns, 0 where none.
    `weights` (T, k): factors of the residuals, 0 where nothing was measured.
    `log` (k): 1 where model and data are compared by their logarithms.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    log: NDArray[np.int64]


def scale(experiments: Sequence[Prepared], noise: str | Mapping[str, str] = "additive") -> list[Scaling]:
    """Residual scaling of each experiment.

    Arguments:
        experiments: prepared experiments.
        noise: "additive" (residual (h - y)/sigma; without sigma the standard deviation
            of the column over all experiments stands in, its RMS if it is constant),
            "proportional" ((h - y)/|y|, or over sigma |y|) or "log" (log h - log y, over
            sigma), or a mapping from columns to these.

    Raises:
        UnknownNameError: a word or column is not known.
        DataError: a column with log noise holds a number that is not positive.

    Example:
        >>> import sciml_dsl as sd
        >>> from sciml_dsl.fit.experiment import prepare
        >>> m = sd.model("x' = -k*x; param k = 1")
        >>> scale(prepare({"t": [0, 1], "x": [1.0, 3.0]}, m))[0].weights.tolist()
        [[1.0], [1.0]]
    """
    columns = list(dict.fromkeys(c for e in experiments for c in e.table.columns))
    kinds = _kinds(noise, columns)
    size = {c: _size(np.concatenate([_measured(e, c) for e in experiments])) for c in columns}
    result = []
    for experiment in experiments:
        table = experiment.table
        measured = table.measured
        values, weights = np.where(measured, table.values, 0.0), np.zeros(table.values.shape)
        for j, column in enumerate(table.columns):
            rows = measured[:, j]
            y = table.values[rows, j]
            spread, rms = size[column]
            sigma = None if experiment.sigma is None else experiment.sigma[rows, j]
            kind = kinds[column]
            if kind == "log":
                if (y <= 0).any():
                    row = int(np.flatnonzero(rows)[np.flatnonzero(y <= 0)[0]])
                    raise DataError(
                        f"column `{column}` is {table.values[row, j]:g} in row {row + 1}, which has no logarithm\n"
                        '  hint: noise="log" needs positive measurements; use "additive" for this column'
                    )
                values[rows, j] = np.log(y)
                divisor: Any = 1.0 if sigma is None else sigma
            elif kind == "proportional":
                divisor = np.maximum(np.abs(y), SMALLEST_SHARE * rms) * (1.0 if sigma is None else sigma)
            else:
                divisor = spread if sigma is None else sigma
            weights[rows, j] = np.sqrt(experiment.weight) / divisor
        log = np.array([kinds[c] == "log" for c in table.columns], dtype=np.int64)
        result.append(Scaling(np.ascontiguousarray(values), weights, log))
    return result


def _measured(experiment: Prepared, column: str) -> NDArray[np.float64]:
    if column not in experiment.table.columns:
        return np.empty(0)
    y = experiment.table.column(column)
    return y[~np.isnan(y)]


def _size(y: NDArray[np.float64]) -> tuple[float, float]:
    """(standard deviation, root mean square), neither of them zero."""
    rms = float(np.sqrt(np.mean(y * y))) or 1.0
    spread = float(np.std(y))
    return (spread if spread > 1e-12 * rms else rms), rms


def _kinds(noise: str | Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    given = dict.fromkeys(columns, noise) if isinstance(noise, str) else dict(noise)
    for column, kind in given.items():
        if column not in columns:
            hint = suggest(column, columns) or f"measured are {', '.join(columns)}"
            raise UnknownNameError(f"noise: `{column}` is no measured column\n  hint: {hint}")
        if kind not in NOISE:
            raise UnknownNameError(f"noise `{kind}` is not known\n  hint: one of {', '.join(NOISE)}")
    return {c: given.get(c, "additive") for c in columns}


__all__ = ["NOISE", "Scaling", "scale"]
