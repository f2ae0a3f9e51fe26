"""Numbers for whole arrays: `{"u": [1, 2, 3], "u[3]": 4}` by element, and back.

Takes values as users give them by the names of arrays or elements; gives them
element by element, columns of results under the name of their array, and
numbers as initial blocks with equal neighbours together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UnsupportedError
from ..language.ast import Name, Num, Unary
from .arrays import element_names
from .spec import Array, Block, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_BLOCKS = 5_000


def array_of(arrays: Sequence[Array], name: str, kind: str) -> Array | None:
    """The array of that name and kind among `arrays`."""
    return next((array for array in arrays if array.name == name and array.kind == kind), None)


def elements(array: Array, value: Any) -> Floats:
    """`value` for every element, flat: one number for all, or an array of the shape.

    Raises `InputError` where the shape differs or something is no number.
    """
    import numpy as np

    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`{array.name}` needs numbers, not {value!r}") from None
    if given.ndim == 0:
        return np.full(array.size, float(given))
    if given.shape != array.shape:
        raise InputError(
            f"`{array.name}` has the shape {array.shape}, and the values have {given.shape}; "
            f'for single elements write {{"{element_names(array.name, array.bounds)[0]}": ...}}'
        )
    return given.reshape(-1)


def by_element(values: Mapping[Any, Any], arrays: Sequence[Array], kind: str) -> dict[str, Any]:
    """A mapping with the names of arrays replaced by those of their elements; later items win."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        array = array_of(arrays, str(key), kind)
        if array is None:
            found[str(key)] = value
        else:
            found |= zip(element_names(array.name, array.bounds), elements(array, value).tolist(), strict=True)
    return found


def columns_by_element(values: Any, arrays: Sequence[Array], kind: str) -> Any:
    """Samples with the names of arrays replaced by those of their elements.

    Arguments: `values`, a mapping of names to numbers, or a list of such mappings
    (anything else is given back).  For an array the numbers may have its shape, the
    shape (B, *shape), or be one number, or one for each of B trajectories.
    """
    import numpy as np

    if isinstance(values, list) and all(isinstance(row, Mapping) for row in values):
        return [by_element(row, arrays, kind) for row in values]
    if not isinstance(values, Mapping):
        return values
    found: dict[str, Any] = {}
    for key, value in values.items():
        array = array_of(arrays, str(key), kind)
        if array is None:
            found[str(key)] = value
            continue
        labels = element_names(array.name, array.bounds)
        given = np.asarray(value, dtype=np.float64)
        if given.ndim == len(array.shape) + 1 and given.shape[1:] == array.shape:
            found |= zip(labels, given.reshape(len(given), -1).T, strict=True)
        elif given.ndim == 1 and given.shape != array.shape:
            found |= dict.fromkeys(labels, given)
        else:
            found |= zip(labels, elements(array, value).tolist(), strict=True)
    return found


def of_array(array: Array, columns: Floats) -> Floats:
    """The elements of an array out of columns (..., n): (..., *shape)."""
    chosen = columns[..., array.elements]
    return chosen.reshape(*columns.shape[:-1], *array.shape)


def initial_blocks(array: Array, values: Sequence[float]) -> Iterator[Block]:
    """Initial values as blocks: one for all where they are equal, else one for each stretch of equal neighbours."""
    letters = "ijklmnpq"[: len(array.bounds)]
    if all(value == values[0] for value in values):
        ranges = tuple(Range(c, first, last) for c, (first, last) in zip(letters, array.bounds, strict=True))
        yield Block(array.name, tuple(Name(c) for c in letters), ranges, number(values[0]), "initial")
        return
    *outer, (first, last) = array.bounds
    width = last - first + 1
    count = 0
    for row in range(0, len(values), width):
        head = []
        position = row // width
        for low, high in reversed(outer):
            position, offset = divmod(position, high - low + 1)
            head.append(number(float(low + offset)))
        start = row
        for at in range(row + 1, row + width + 1):
            if at < row + width and values[at] == values[start]:
                continue
            count += 1
            if count > MAX_BLOCKS:
                raise UnsupportedError(
                    f"`{array.name}` has more than {MAX_BLOCKS:,} different initial values to write down",
                    hint=f'give them when solving: m.solve(..., u0={{"{array.name}": values}})',
                )
            low, high = first + start - row, first + at - 1 - row
            if low == high:
                yield Block(array.name, (*head[::-1], number(float(low))), (), number(values[start]), "initial")
            else:
                inner = Range(letters[-1], low, high)
                subscripts = (*head[::-1], Name(inner.name))
                yield Block(array.name, subscripts, (inner,), number(values[start]), "initial")
            start = at


def number(value: float) -> Num | Unary:
    """A number as an expression; negative ones with their sign in front."""
    return Num(value) if value >= 0.0 else Unary("-", Num(-value))
