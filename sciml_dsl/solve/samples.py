"""What users give for the many trajectories of an ensemble, as arrays.

Takes arrays, mappings of names to numbers or arrays, tables, or a sampler; gives how
many trajectories that makes, and numbers by name or a matrix, not yet checked against
a model's defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError
from ..model.named import by_name, is_series

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Given:
    """`columns` by name, each () or (B,); or `rows` (B, k) or (k,) in the model's order; or neither."""

    size: int | None = None  # None: the same for every trajectory
    columns: Mapping[str, Floats] | None = None
    rows: Floats | None = None

    def finite(self) -> Any:
        """What one trajectory gets, as `solve` takes it, of finite numbers where any trajectory has one.

        It stands for what is common to all: which names have numbers.
        """
        if self.columns is not None:
            return {name: _first_finite(column.reshape(-1)) for name, column in self.columns.items()}
        if self.rows is not None:
            return np.array([_first_finite(column) for column in np.atleast_2d(self.rows).T])
        return None


def _first_finite(values: Floats) -> float:
    fine = np.isfinite(values)
    return float(values[int(fine.argmax())])


def read(given: Any, what: str, names: Sequence[str]) -> Given:
    """`given` (`u0` or `p`: see `what`) but for a sampler, for a model with `names`.

    Raises `InputError` where it is not numbers, has a wrong shape, or different lengths.
    """
    if given is None:
        return Given()
    given = by_name(given, what)
    if type(given).__module__.partition(".")[0] == "pandas" and hasattr(given, "columns"):
        given = {str(name): given[name].to_numpy() for name in given.columns}
    if isinstance(given, Mapping):
        return _columns({str(name): _numbers(value, f"{what}: `{name}`") for name, value in given.items()}, what)
    if isinstance(given, Sequence) and given and not isinstance(given, (str, bytes)):
        given = [by_name(row, what) for row in given] if is_series(given[0]) else given
        if isinstance(given[0], Mapping):
            return _stacked(given, what)
    rows = _numbers(given, what)
    if rows.ndim == 1 and len(names) == 1 and rows.size != 1:
        rows = rows[:, None]
    if rows.ndim not in (1, 2) or rows.shape[-1] != len(names):
        raise InputError(
            f"{what}: expected an array (trajectories, {len(names)}), or {len(names)} numbers for all of them; "
            f"got shape {rows.shape}"
        )
    if rows.ndim == 2 and not len(rows):
        raise InputError(f"{what} has no rows: an ensemble needs at least one trajectory")
    return Given(len(rows) if rows.ndim == 2 else None, rows=np.ascontiguousarray(rows))


def _columns(columns: Mapping[str, Floats], what: str) -> Given:
    size: int | None = None
    first = ""
    for name, column in columns.items():
        if column.ndim > 1:
            raise InputError(f"{what}: `{name}` must be a number, or a number for each trajectory; got {column.shape}")
        if column.ndim == 1:
            if not column.size:
                raise InputError(f"{what}: `{name}` is empty: an ensemble needs at least one trajectory")
            if size is not None and size != column.size:
                raise InputError(f"{what}: `{first}` has {size} numbers and `{name}` has {column.size}")
            size, first = column.size, name
    return Given(size, columns=columns)


def _stacked(rows: Sequence[Mapping[Any, Any]], what: str) -> Given:
    """One mapping for each trajectory."""
    plain = [{str(name): value for name, value in row.items()} if isinstance(row, Mapping) else row for row in rows]
    for i, row in enumerate(plain):
        if not isinstance(row, dict) or set(row) != set(plain[0]):
            raise InputError(
                f"{what}: every trajectory must name the same as the first, {list(plain[0])}; "
                f"trajectory {i} gives {row!r}"
            )
    return _columns({name: _numbers([row[name] for row in plain], f"{what}: `{name}`") for name in plain[0]}, what)


def draw(u0: Any, p: Any, size: int, seed: int) -> tuple[list[Any] | None, list[Any] | None]:
    """What the samplers among `u0` and `p` draw: a mapping or a vector for each of `size` trajectories.

    Trajectory i draws from a generator of its own, seeded with (seed, i), `u0` first: it
    does not matter how many trajectories there are, nor who integrates them.
    """
    found: list[list[Any] | None] = [[] if callable(given) else None for given in (u0, p)]
    for i in range(size):
        generator = np.random.default_rng((seed, i))
        for drawn, sampler in zip(found, (u0, p), strict=True):
            if drawn is not None:
                drawn.append(by_name(sampler(generator), f"the sampler of {'p' if sampler is p else 'u0'}"))
    for name, drawn in zip(("u0", "p"), found, strict=True):
        if drawn is not None and not isinstance(drawn[0], (Mapping, Sequence, np.ndarray)):
            raise InputError(
                f"the sampler of {name} must give a mapping of names to numbers, or an array; it gave {drawn[0]!r}"
            )
    return found[0], found[1]


def common_size(u0: Given, p: Given, size: int | None) -> int:
    """How many trajectories; raises where that is not said, or said twice differently."""
    said = [(what, number) for what, number in (("u0", u0.size), ("p", p.size), ("size", size)) if number is not None]
    if not said:
        raise MissingValueError(
            "how many trajectories? give an array or a column with one number for each, or size=100 with a sampler"
        )
    for what, number in said[1:]:
        if number != said[0][1]:
            raise InputError(f"{said[0][0]} makes {said[0][1]} trajectories, but {what} makes {number}")
    return said[0][1]


def _numbers(value: Any, what: str) -> Floats:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: expected numbers, got {value!r}") from error
