"""Experiments: tables of measurements together with the conditions they were made under.

Takes what a user passes as data (a table, an `Experiment`, or several) and gives
`Prepared` experiments: checked arrays, the start time, and which initial values
and parameters are known there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, InputError, UnknownNameError, suggest
from ..model.inputs import Rows, check_span, kept_rows, read_rows, table_rows, tables, without_inputs
from ..model.interpolate import tail
from .table import TIME, Measurements, check_table

if TYPE_CHECKING:
    from ..model.model import Model

ESTIMATE = "estimate"
COMPUTE = "compute"
"""Of a state that follows from others by algebraic equations; the model's own value is the starting guess."""


@dataclass(frozen=True)
class Experiment:
    """One table of measurements and what is known about how it was made.

    Arguments:
        data: a pandas `DataFrame` or a mapping of arrays, with a column `t` and columns
            named like states or observables; NaN means not measured.
        u0: initial values known in this experiment, `{"x": 2.0}`; the word "estimate" in
            place of a number makes one unknown; "compute" lets one follow from the others
            (models with algebraic equations).
        p: parameters known in this experiment (a dose, a temperature); they are not
            estimated from it.
        name: what messages and results call it; by default its place in the list.
        sigma: standard deviation of the measurements: a number, or for each column a
            number, an array (T,) or the name of a column of the table.  Default: that of `fit`.
        weight: factor of this experiment's squared residuals, default 1.
        t0: time at which the initial values hold, default see `start_time`.
        inputs: data of the model's inputs where they are not columns of `data`: as in
            `Model.with_inputs`.

    Example:
        >>> table = {"t": [0, 1, 2], "x": [2.0, 1.2, 0.7]}
        >>> Experiment(table, u0={"x": 2.0}, p={"dose": 100.0}, name="high dose").name
        'high dose'
    """

    data: Any
    u0: Mapping[str, Any] | None = None
    p: Mapping[str, float] | None = None
    name: str | None = None
    sigma: Any = None
    weight: float = 1.0
    t0: float | None = None
    inputs: Any = None


@dataclass(frozen=True)
class Prepared:
    """An experiment as arrays.

    Attributes:
        name: its name.
        table: the checked measurements.
        t0: time of the initial values, not after the first measurement.
        initial: for each state its known number, None where the model's own expression
            holds, "estimate" or "compute".
        p: known parameters, index -> number.
        sigma: standard deviations, shape of `table.values`, or None.
        weight: factor of the squared residuals.
        inputs: rows of the model's inputs, name -> (t, values).
        tail: their tables, behind parameters and weights in `p`.
    """

    name: str
    table: Measurements
    t0: float
    initial: tuple[float | str | None, ...]
    p: Mapping[int, float] = field(default_factory=dict)
    sigma: NDArray[np.float64] | None = None
    weight: float = 1.0
    inputs: Mapping[str, Rows] = field(default_factory=dict)
    tail: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def prepare(
    data: Any, model: Model, *, u0: Mapping[str, Any] | str | None = None, sigma: Any = None, t0: float | None = None
) -> list[Prepared]:
    """Check everything a user gave as data.

    Arguments:
        data: a table, an `Experiment`, or a sequence of these.
        model: the model.
        u0: initial values for all experiments: a mapping from states to numbers or
            "estimate", "estimate" for all states, or None for the model's own.
        sigma: standard deviations where an experiment gives none; as in `Experiment`.
        t0: time of the initial values where an experiment gives none.

    Raises:
        DataError: a table does not fit the model.
        InputError: an option of an experiment is wrong.

    Example:
        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; param k = 1")
        >>> prepare({"t": [1, 2], "x": [1.0, 0.4]}, m)[0].initial
        ('estimate',)
    """
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        given = list(data)
        if not given:
            raise DataError("there are no data: the list of experiments is empty")
    else:
        given = [data]
    experiments = [e if isinstance(e, Experiment) else Experiment(e) for e in given]
    several = len(experiments) > 1
    result = []
    for k, experiment in enumerate(experiments, 1):
        name = experiment.name or (f"experiment {k}" if several else "")
        result.append(_prepare(experiment, name, model, u0, sigma, t0))
    names = [e.name for e in result]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two experiments are called `{name}`\n  hint: give each a name of its own")
    return result


def start_time(first: float, last: float, has_initial: bool) -> float:
    """Where the initial values hold if nobody says so.

    `x(0) = ...` in a model means time 0; so that is it for a table that begins after
    0, unless the wait from 0 to the first measurement is longer than the measurements
    themselves (calendar years): then, and where all initial values are estimated, it
    is the time of the first row.
    """
    if has_initial and 0.0 < first <= last - first:
        return 0.0
    return first


def _prepare(
    experiment: Experiment, name: str, model: Model, u0: Mapping[str, Any] | str | None, sigma: Any, t0: float | None
) -> Prepared:
    where = f"{name}: " if name else ""
    spec = model.spec
    wanted = sigma if experiment.sigma is None else experiment.sigma
    columns, deviations = _split(experiment.data, wanted, where)
    columns, inputs = _inputs(columns, experiment.inputs, model, where)
    table = check_table(columns, model, repeated_times=True, name=name or None)
    initial = _initial(model, (u0, experiment.u0), where)
    has_initial = any(
        isinstance(v, float) or (v is None and e is not None) for v, e in zip(initial, spec.initial, strict=True)
    )
    first, last = float(table.t[0]), float(table.t[-1])
    start = experiment.t0 if experiment.t0 is not None else t0
    if start is None:
        start = start_time(first, last, has_initial)
    elif not math.isfinite(start) or start > first:
        raise InputError(
            f"{where}t0 = {start:g} lies after the first measurement at t = {first:g}\n"
            "  hint: t0 is the time of the initial values; it comes before the data"
        )
    if not (math.isfinite(experiment.weight) and experiment.weight > 0):
        raise InputError(f"{where}weight = {experiment.weight} is not a positive number")
    indices = {p.name: i for i, p in enumerate(spec.parameters)}
    known: dict[int, float] = {}
    for key, value in (experiment.p or {}).items():
        if key not in indices:
            raise _unknown(f"{where}p: `{key}` is no parameter of the model", key, list(indices))
        known[indices[key]] = number(value, f"{where}p: `{key}`")
    found = tables(spec.inputs, inputs, where)
    check_span(spec.inputs, found, float(start), last, where)
    return Prepared(
        name,
        table,
        float(start),
        initial,
        known,
        _sigma(deviations, table, where),
        float(experiment.weight),
        inputs,
        tail(found) if found else np.empty(0),
    )


def _inputs(data: Any, given: Any, model: Model, where: str) -> tuple[Any, dict[str, Rows]]:
    """Take the columns of inputs out of the table; (the rest, rows of every input)."""
    inputs = model.spec.inputs
    rows = kept_rows(inputs)
    if given is not None:
        rows |= read_rows(inputs, given, where)
    if not inputs:
        return data, rows
    return without_inputs(inputs, data), rows | table_rows(inputs, data, where)


def _initial(model: Model, sources: tuple[Any, ...], where: str) -> tuple[float | str | None, ...]:
    states = model.spec.states
    values: dict[str, float | str | None] = {}
    follow, hidden = _following(model) if model.algebraic else (frozenset[str](), False)
    for state, expr in zip(states, model.spec.initial, strict=True):
        computed = state in model.algebraic or hidden  # without a number, found from the equations
        values[state] = ESTIMATE if expr is None and not computed else None
    for source in sources:
        if source is None:
            continue
        if isinstance(source, str):
            if source != ESTIMATE:
                raise InputError(f'{where}u0 = "{source}" is not understood\n  hint: a mapping, or u0="{ESTIMATE}"')
            values = {x: None if x in model.algebraic else COMPUTE if x in follow else ESTIMATE for x in states}
            continue
        if not isinstance(source, Mapping):
            raise InputError(
                f'{where}u0 is a {type(source).__name__}\n  hint: u0={{"{states[0]}": 1.0}} or u0="{ESTIMATE}"'
            )
        for key, value in source.items():
            if key not in values:
                raise _unknown(f"{where}u0: `{key}` is no state of the model", key, states)
            word = value if isinstance(value, str) and value in (ESTIMATE, COMPUTE) else None
            if word == COMPUTE and not model.algebraic:
                raise InputError(f'{where}u0: "compute" is for models with algebraic equations; this one has none')
            if word == ESTIMATE and key in model.algebraic:
                raise InputError(
                    f"{where}u0: `{key}` is computed from the algebraic equations, so its start cannot be estimated\n"
                    "  hint: give a number, from which it is searched; estimate states with a derivative"
                )
            values[key] = word or number(value, f"{where}u0: `{key}`")
    return tuple(values[s] for s in states)


def _following(model: Model) -> tuple[frozenset[str], bool]:
    """(states that follow from the others by hidden constraints, are there any hidden constraints?)."""
    system = model.system
    reduced = system._memory["family"].reduced
    chosen = set(system.algebraic) - set(reduced.unknowns)
    return frozenset(reduced.names[i] for i in chosen), bool(reduced.hidden)


def _split(data: Any, sigma: Any, where: str) -> tuple[Any, Any]:
    """Take columns that hold standard deviations out of the table."""
    if not isinstance(sigma, Mapping) or not any(isinstance(v, str) for v in sigma.values()):
        return data, sigma
    names = [str(c) for c in (data.columns if hasattr(data, "columns") else data)]
    taken, result = set(), {}
    for column, value in sigma.items():
        if not isinstance(value, str):
            result[column] = value
            continue
        if value not in names or value == TIME:
            raise DataError(f"{where}sigma: the table has no column `{value}`")
        taken.add(value)
        result[column] = np.asarray(data[value], dtype=float)
    return {n: data[n] for n in names if n not in taken}, result


def _sigma(sigma: Any, table: Measurements, where: str) -> NDArray[np.float64] | None:
    if sigma is None:
        return None
    out = np.full(table.values.shape, np.nan)
    if isinstance(sigma, Mapping):
        for key in sigma:
            if key not in table.columns:
                raise _unknown(f"{where}sigma: `{key}` is no measured column", key, table.columns)
        missing = [c for c in table.columns if c not in sigma]
        if missing:
            raise DataError(
                f"{where}sigma says nothing about column `{missing[0]}`\n"
                f'  hint: give all columns a standard deviation, sigma={{"{missing[0]}": 0.1, ...}}'
            )
        for j, column in enumerate(table.columns):
            value = np.asarray(sigma[column], dtype=float)
            if value.shape not in ((), table.t.shape):
                raise DataError(
                    f"{where}sigma of column `{column}` has shape {value.shape}, but the table has {table.t.size} rows"
                )
            out[:, j] = value
    else:
        out[:, :] = number(sigma, f"{where}sigma")
    bad = table.measured & ~(np.isfinite(out) & (out > 0))
    if bad.any():
        row, j = np.argwhere(bad)[0]
        raise DataError(
            f"{where}sigma of column `{table.columns[j]}` is {out[row, j]:g} in row {row + 1}\n"
            "  hint: standard deviations are positive"
        )
    return out


def number(value: Any, what: str) -> float:
    """`value` as a finite float, or an `InputError` that names it."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{what} is `{value}`, not a number") from None
    if not math.isfinite(result):
        raise InputError(f"{what} is {result}, not a finite number")
    return result


def _unknown(message: str, name: str, known: Sequence[str]) -> UnknownNameError:
    hint = suggest(str(name), known) or f"known are {', '.join(f'`{k}`' for k in known)}"
    return UnknownNameError(f"{message}\n  hint: {hint}")


__all__ = ["COMPUTE", "ESTIMATE", "Experiment", "Prepared", "prepare", "start_time"]
