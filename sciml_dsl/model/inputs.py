"""What users give for a model's inputs -> the rows of each, checked.

Takes a table with a column `t` (DataFrame or mapping of columns), or a mapping
from inputs to pairs (t, values); gives times and values by input, and the tail of
`p` that generated code reads (`interpolate`).  A NaN or empty cell was not
measured and is interpolated over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, InputError, MissingValueError, UnknownNameError, suggest
from .interpolate import EVER, Table, table, tail
from .spec import Input

Floats = NDArray[np.float64]
Rows = tuple[Floats, Floats]

TIME = "t"


def read_rows(inputs: Sequence[Input], given: Any, where: str = "") -> dict[str, Rows]:
    """The rows of the inputs that `given` says something about.

    Arguments: `given`, a table with a column `t` and a column for at least one input (other
    columns are left alone), or a mapping from input names to a pair (t, values), a pandas
    Series over the time, or a number (the same at all times); `where` begins every message.

    Raises: `UnknownNameError` for names no input has, `DataError` for rows that are no
    function of time.

    >>> read_rows([Input("u")], {"u": ([0, 1], [2.0, 3.0])})["u"][1].tolist()
    [2.0, 3.0]
    """
    if not inputs:
        raise UnknownNameError(f"{where}the model has no inputs; declare one with `input u`")
    names = [i.name for i in inputs]
    columns = given.columns if hasattr(given, "columns") else given if isinstance(given, Mapping) else None
    if columns is None:
        raise InputError(
            f"{where}inputs are a table with a column `t`, or a mapping "
            f'{{"{names[0]}": (times, values)}}, not a {type(given).__name__}'
        )
    labels = {str(c): c for c in columns}
    if TIME in labels:
        present = [i for i in inputs if (i.column or i.name) in labels]
        if not present:
            wanted = inputs[0].column or inputs[0].name
            hint = suggest(wanted, [*labels]) or f"its columns are {', '.join(f'`{c}`' for c in labels)}"
            raise UnknownNameError(f"{where}the table has no column `{wanted}` for the input `{names[0]}`; {hint}")
        t = _numbers(given[labels[TIME]], f"{where}column `t`")
        return {i.name: checked(i, t, _column(given, labels, i, where), where) for i in present}
    if hasattr(given, "columns"):
        raise DataError(f"{where}the table of inputs has no column `t`")
    found: dict[str, Rows] = {}
    for key, value in given.items():
        name = str(key)
        if name not in names:
            hint = suggest(name, names) or f"the inputs are {', '.join(f'`{n}`' for n in names)}"
            raise UnknownNameError(f"{where}the model has no input `{name}`; {hint}")
        found[name] = checked(inputs[names.index(name)], *_pair(name, value, where), where)
    return found


def table_rows(inputs: Sequence[Input], given: Any, where: str = "") -> dict[str, Rows]:
    """The rows of the inputs that a table of measurements has columns for; nothing where it has none."""
    columns = given.columns if hasattr(given, "columns") else given if isinstance(given, Mapping) else ()
    labels = {str(c) for c in columns}
    if TIME not in labels or not any((i.column or i.name) in labels for i in inputs):
        return {}
    return read_rows(inputs, given, where)


def without_inputs(inputs: Sequence[Input], given: Any) -> Any:
    """A table without the columns of inputs."""
    taken = {i.column or i.name for i in inputs}
    names = [str(c) for c in (given.columns if hasattr(given, "columns") else given)]
    return {name: given[name] for name in names if name not in taken} if taken & set(names) else given


def _column(given: Any, labels: Mapping[str, Any], i: Input, where: str) -> Floats:
    name = i.column or i.name
    return _numbers(given[labels[name]], f"{where}column `{name}`")


def _pair(name: str, value: Any, where: str) -> Rows:
    what = f"{where}the input `{name}`"
    if callable(value):
        raise InputError(f"{what} is a function\n  hint: write it as a formula in t in the model, or sample it")
    if hasattr(value, "index") and hasattr(value, "to_numpy") and not hasattr(value, "columns"):
        return _numbers(value.index, what), _numbers(value, what)
    if isinstance(value, (int, float)) or getattr(value, "ndim", 1) == 0:
        number = float(_numbers([value], what)[0])
        return np.array([-EVER, EVER]), np.array([number, number])
    try:
        t, y = value
    except (TypeError, ValueError):
        raise InputError(f'{what} needs a pair of times and values, {{"{name}": (times, values)}}') from None
    return _numbers(t, f"{what}: times"), _numbers(y, f"{what}: values")


def _numbers(values: Any, what: str) -> Floats:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what} must hold numbers") from None
    if array.ndim != 1:
        raise DataError(f"{what} must be one row of numbers, not of shape {array.shape}")
    return array


def checked(i: Input, t: Floats, y: Floats, where: str = "") -> Rows:
    """Times and values without what was not measured; increasing times, or a `DataError`."""
    what = f"{where}the input `{i.name}`"
    if t.size != y.size:
        raise DataError(f"{what} has {t.size} times and {y.size} values")
    if not np.isfinite(t).all():
        raise DataError(f"{what}: a time is not a finite number")
    if np.isinf(y).any():
        raise DataError(f"{what} has an infinite value at t = {t[np.isinf(y)][0]:g}")
    kept = ~np.isnan(y)
    t, y = t[kept], y[kept]
    if not t.size:
        raise DataError(f"{what} has no measured value")
    gap = np.diff(t)
    if (gap < 0).any():
        row = int(np.argmax(gap < 0))
        order = f"{t[row + 1]:g} follows {t[row]:g}"
        raise DataError(f"{what}: the times must increase, but {order}\n  hint: sort the rows")
    same = gap == 0
    if same.any():  # repeated measurements at one time agree about an input
        different = same & (np.diff(y) != 0)
        if different.any():
            raise DataError(
                f"{what} has two values at t = {t[int(np.argmax(different))]:g}\n"
                "  hint: an input is one function of time; for steps write `input "
                f"{i.name} constant` and one row for each step"
            )
        first = np.concatenate([[True], ~same])
        t, y = t[first], y[first]
    return np.ascontiguousarray(t), np.ascontiguousarray(y)


def kept_rows(inputs: Iterable[Input]) -> dict[str, Rows]:
    """The rows kept with the model."""
    return {i.name: (np.array(i.data[0]), np.array(i.data[1])) for i in inputs if i.data is not None}


def tables(inputs: Sequence[Input], rows: Mapping[str, Rows], where: str = "") -> list[Table]:
    """One table for each input.  Raises `MissingValueError` for one without rows, `DataError` for too few."""
    found = []
    for i in inputs:
        if i.name not in rows:
            column = i.column or i.name
            raise MissingValueError(
                f"{where}no data for the input `{i.name}`; give a table with the columns `t` and `{column}`, "
                f'inputs={{"{i.name}": (times, values)}}, or keep them with the model: m.with_inputs(...)'
            )
        t, y = rows[i.name]
        if t.size < 2 and i.interpolation != "constant" and not i.hold:
            raise DataError(
                f"{where}the input `{i.name}` has one row; {i.interpolation} interpolation needs two\n"
                f"  hint: `input {i.name} constant`, or `input {i.name} {i.interpolation} hold`"
            )
        found.append(table(i, t, y))
    return found


def input_tail(inputs: Sequence[Input], rows: Mapping[str, Rows], where: str = "") -> Floats:
    """The tail of `p` for these rows; empty for a model without inputs."""
    return tail(tables(inputs, rows, where)) if inputs else np.empty(0)


def check_span(inputs: Sequence[Input], found: Sequence[Table], t0: float, t1: float, where: str = "") -> None:
    """Raise `DataError` where the time span leaves a table."""
    low, high = min(t0, t1), max(t0, t1)
    for i, piece in zip(inputs, found, strict=True):
        if piece.first <= low and high <= piece.last:
            continue
        knots = piece.knots[np.abs(piece.knots) < EVER]
        covered = f"from t = {knots[0]:g}" + ("" if piece.last == EVER else f" to {knots[-1]:g}")
        side = "before" if low < piece.first else "behind"
        raise DataError(
            f"{where}the input `{i.name}` has data {covered}, but is needed from {low:g} to {high:g}\n"
            f"  hint: add rows {side} these, or write `input {i.name}"
            f"{'' if i.interpolation == 'linear' else ' ' + i.interpolation} hold` to hold its end values"
        )


def as_data(rows: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rows as a spec keeps them."""
    t, y = rows
    return tuple(map(float, t)), tuple(map(float, y))
