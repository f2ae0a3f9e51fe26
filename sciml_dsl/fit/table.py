"""Tables of measurements: read from a file, and checked against a model.

`read_table` takes a CSV file and gives a pandas `DataFrame`; `check_table`
takes a `DataFrame` or a mapping of arrays and gives `Measurements`, plain
arrays that every later step may rely on.  A table has a column `t` and columns
named like states or observables of the model; NaN (an empty cell) means "not
measured".  Whatever does not fit is a `DataError` that names row and column.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

TIME = "t"
_TIME_WORDS = frozenset(
    "time times year years yr day days date hour hours h min minute minutes sec second seconds".split()
)
_MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "-", ".", "?"])


class HasColumns(Protocol):
    """What `check_table` needs of a model: the names that may head a column."""

    @property
    def states(self) -> tuple[str, ...]: ...

    @property
    def observables(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """A checked table.

    Attributes:
        t: times, shape `(T,)`, finite and increasing, in the model's unit of time.
        columns: the measured states and observables, in the order of the table.
        values: shape `(T, len(columns))`; NaN where nothing was measured, finite elsewhere.
    """

    t: NDArray[np.float64]
    columns: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Where there is a measurement, shape `(T, len(columns))`."""
        return ~np.isnan(self.values)

    @property
    def n_values(self) -> int:
        """How many numbers were measured."""
        return int(np.count_nonzero(self.measured))

    def column(self, name: str) -> NDArray[np.float64]:
        """The values of one column, shape `(T,)`."""
        return self.values[:, self.columns.index(name)]


_NO_NUMBER = "leave the cell empty where nothing was measured, or a column of words out of the table"


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV file of measurements.

    Cells are separated by commas, semicolons or tabs (whichever the header uses;
    beside semicolons and tabs a decimal comma is understood).  Lines that begin
    with `#` and empty lines are skipped, blanks around names and numbers are
    dropped.  An empty cell, `NA` or `NaN` becomes NaN: not measured.

    Arguments:
        path: the file, UTF-8.

    Returns:
        A `DataFrame` of floats with a column `t`, columns in the order of the file.

    Raises:
        DataError: the file is missing, empty or not text; there is no column `t`, a name
            appears twice, or a cell is not a number.  It names line and column.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("growth.csv").write_text("# days, grams\\nt; x\\n0; 1,5\\n1;\\n2; 2,5\\n")
        >>> read_table("growth.csv")["x"].tolist()
        [1.5, nan, 2.5]
    """
    import pandas as pd

    path = Path(path)
    lines = [(n, line) for n, line in enumerate(_text(path).splitlines(), 1) if _has_content(line)]
    if not lines:
        raise DataError(f"{path}: the table is empty\n  hint: the first line names the columns, for instance `t,x,y`")
    delimiter = _delimiter(lines[0][1])
    reader = csv.reader(io.StringIO("\n".join(line for _, line in lines)), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: not a table: {error}") from None
    if len(rows) != len(lines):
        raise DataError(f"{path}: a quoted cell runs over several lines\n  hint: write each row on one line")
    numbers = [n for n, _ in lines]
    names = rows[0]
    if len(names) > 1 and names[-1] == "" and all(len(r) < len(names) or r[-1] == "" for r in rows):
        names = names[:-1]  # a separator at the end of each line
        rows = [r[: len(names)] for r in rows]
    _check_names(names, where=f"{path}:{numbers[0]}: ")
    if len(rows) == 1:
        raise DataError(f"{path}: the table has a header and no rows")
    columns: list[list[float]] = [[] for _ in names]
    for number, row in zip(numbers[1:], rows[1:], strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{path}:{number}: {len(row)} cells, but the header names {len(names)} columns ({', '.join(names)})\n"
                "  hint: leave a cell empty where nothing was measured, but keep its separator"
            )
        for name, column, cell in zip(names, columns, row, strict=True):
            column.append(_number(cell, delimiter != ",", f"{path}:{number}: column `{name}`"))
    return pd.DataFrame(dict(zip(names, (np.array(c) for c in columns), strict=True)))


def check_table(
    data: pd.DataFrame | Mapping[str, Any],
    model: HasColumns,
    *,
    min_rows: int = 1,
    repeated_times: bool = False,
    name: str | None = None,
) -> Measurements:
    """Check a table against a model and give it as arrays.

    Arguments:
        data: a pandas `DataFrame`, or a mapping from column names to arrays of shape
            `(T,)`, with a column `t` and columns named like states or observables.
        model: the model (anything with `states` and `observables`).
        min_rows: the least number of rows with a measurement; fewer is an error.
        repeated_times: accept equal times in neighbouring rows (replicates); by
            default times increase strictly.
        name: what messages call the table, for instance the file or experiment.

    Returns:
        `Measurements`.

    Raises:
        DataError: the table is empty, has no column `t`, its times are NaN, infinite or
            not increasing, a column is unknown to the model, holds something that is no
            number or nothing at all, columns differ in length, or rows are too few.

    Example:
        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
        >>> check_table({"t": [0, 1, 2], "x": [1.0, None, 0.1]}, m).n_values
        2
    """
    where = f"{name}: " if name else ""
    columns = _columns(data, where)
    _check_names(list(columns), where)
    t = columns.pop(TIME)
    if not columns:
        raise DataError(f"{where}the table has only the column `t`\n  hint: {_columns_hint(model)}")
    if t.size == 0:
        raise DataError(f"{where}the table is empty: it has columns but no rows")
    known = (*model.states, *model.observables)
    for column, values in columns.items():
        if column not in known:
            hint = suggest(column, known) or _columns_hint(model)
            raise DataError(
                f"{where}column `{column}` is neither a state nor an observable of the model\n"
                f"  hint: {hint} Rename the column, or drop it if it was not meant to be fitted."
            )
        if values.shape != t.shape:
            raise DataError(f"{where}column `{column}` has {values.size} rows, but `t` has {t.size}")
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise DataError(f"{where}column `{column}` is infinite in row {row + 1}\n  hint: NaN means not measured")
        if np.isnan(values).all():
            raise DataError(f"{where}column `{column}` holds no measurement\n  hint: remove it from the table")
    _check_times(t, repeated_times, where)
    values = np.column_stack(list(columns.values()))
    rows = int(np.count_nonzero(~np.isnan(values).all(axis=1)))
    if rows < min_rows:
        raise DataError(f"{where}too few data: {rows} rows hold a measurement, at least {min_rows} are needed")
    return Measurements(t, tuple(columns), values)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: this is a directory, not a table") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})\n"
            "  hint: save the table as CSV in UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _has_content(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped.strip(",;\t ")) and not stripped.startswith("#")


def _delimiter(header: str) -> str:
    for delimiter in ("\t", ";", ","):
        if delimiter in header:
            return delimiter
    return ","


def _number(cell: str, decimal_comma: bool, where: str) -> float:
    if cell.casefold() in _MISSING:
        return math.nan
    text = cell.replace(",", ".") if decimal_comma and cell.count(",") == 1 and "." not in cell else cell
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: `{cell}` is not a number\n  hint: {_NO_NUMBER}") from None
    if "_" in text or math.isinf(value):
        raise DataError(f"{where}: `{cell}` is not a finite number\n  hint: {_NO_NUMBER}")
    return value


def _check_names(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if not name:
            raise DataError(f"{where}column {position} has no name")
        if name in seen:
            raise DataError(f"{where}column `{name}` appears twice")
        seen.add(name)
    if TIME in seen:
        return
    shown = ", ".join(f"`{n}`" for n in names[:8]) + (", ..." if len(names) > 8 else "")
    likely = next((n for n in names if n.casefold() == TIME or n.casefold() in _TIME_WORDS), None)
    if likely:
        hint = f"rename the column `{likely}` to `t`"
    elif all(_is_number(n) for n in names):
        hint = "the first line must name the columns, for instance `t,x,y`"
    else:
        hint = "the column of times is called `t`"
    raise DataError(f"{where}there is no column `t` (columns: {shown or 'none'})\n  hint: {hint}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(data: Any, where: str) -> dict[str, NDArray[np.float64]]:
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # a DataFrame, without importing pandas
        names = [str(c).strip() for c in data.columns]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise DataError(f"{where}column `{twice}` appears twice")
        if TIME not in names and data.index.name == TIME:
            raise DataError(f"{where}`t` is the index of the table, not a column\n  hint: pass `data.reset_index()`")
        return {n: _floats(data.iloc[:, i], n, where) for i, n in enumerate(names)}
    if isinstance(data, Mapping):
        return {str(n).strip(): _floats(v, str(n), where) for n, v in data.items()}
    raise DataError(
        f"{where}data is a {type(data).__name__}, not a table\n"
        '  hint: pass a pandas DataFrame or a dict of arrays, {"t": [...], "x": [...]}, or read a file with read_table'
    )


def _floats(values: Any, name: str, where: str) -> NDArray[np.float64]:
    kind = np.asarray(values).dtype.kind
    if kind in "mMc":
        what = "complex numbers" if kind == "c" else "dates or durations"
        raise DataError(f"{where}column `{name}` holds {what}\n  hint: convert it to real numbers in the model's units")
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return _floats_one_by_one(values, name, where)
    if array.ndim != 1:
        raise DataError(f"{where}column `{name}` has shape {array.shape}, not one value a row")
    return array


def _floats_one_by_one(values: Any, name: str, where: str) -> NDArray[np.float64]:
    """The slow way, which finds the cell that is not a number and turns None and pandas' NA into NaN."""
    result = []
    for row, value in enumerate(list(values), 1):
        if value is None or str(value) in {"<NA>", "NaT"}:
            result.append(math.nan)
            continue
        try:
            result.append(float(value))
        except (TypeError, ValueError):
            raise DataError(
                f"{where}column `{name}`, row {row}: `{value}` is not a number\n  hint: NaN means not measured"
            ) from None
    return np.array(result, dtype=np.float64)


def _check_times(t: NDArray[np.float64], repeated: bool, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(t))
    if bad.size:
        what = "NaN (empty)" if np.isnan(t[bad[0]]) else "infinite"
        raise DataError(f"{where}the time in row {bad[0] + 1} is {what}\n  hint: every row needs its time `t`")
    step = np.diff(t)
    back = np.flatnonzero(step < 0)
    if back.size:
        i = int(back[0])
        raise DataError(
            f"{where}times must increase, but `t` goes back from {t[i]:g} in row {i + 1} "
            f"to {t[i + 1]:g} in row {i + 2}\n"
            "  hint: sort the table by `t`; give repeated runs as separate experiments"
        )
    equal = np.flatnonzero(step == 0)
    if equal.size and not repeated:
        i = int(equal[0])
        raise DataError(
            f"{where}times must increase, but t = {t[i]:g} stands in rows {i + 1} and {i + 2}\n"
            "  hint: average replicates, or give them as separate experiments"
        )


def _columns_hint(model: HasColumns) -> str:
    names = [*model.states, *model.observables]
    shown = ", ".join(f"`{n}`" for n in names[:12]) + (", ..." if len(names) > 12 else "")
    return f"columns may be called {shown}."
