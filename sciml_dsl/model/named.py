"""Values that carry names of their own: what a user gives, as a mapping where it is one in disguise.

Takes mappings, pandas Series and rows of tables, sequences; gives a mapping by name, or what
was given.  Refuses what would silently lose something: torch tensors with a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError


def is_series(given: Any) -> bool:
    """Whether `given` is a pandas Series, without importing pandas."""
    pandas = type(given).__module__.partition(".")[0] == "pandas"
    return pandas and hasattr(given, "index") and not hasattr(given, "columns")


def by_name(given: Any, what: str) -> Any:
    """`given` as a mapping where its values have names; everything else as it is.

    A Series whose labels are names counts as a mapping; one with the plain labels 0, 1, ... stands
    in the model's order.

    Raises `InputError` for a torch tensor, or a mapping to tensors, that wants a gradient.
    """
    if is_series(given):
        labels = list(given.index)
        if all(isinstance(label, str) for label in labels) and labels:
            given = dict(zip(labels, given.tolist(), strict=True))
        elif labels == list(range(len(labels))):
            return given.to_numpy()
        else:
            raise InputError(
                f"{what}: a Series needs names as its labels, or 0, 1, 2, ... for the model's order; "
                f"it has {labels[:5]}"
            )
    values = given.values() if isinstance(given, Mapping) else (given,)
    if any(getattr(value, "requires_grad", False) is True for value in values):
        raise InputError(
            f"{what} holds a torch tensor that wants a gradient, which numbers cannot carry; "
            "m.layer(...) is differentiable, or give tensor.detach()"
        )
    return given
