"""What a problem of the suite is, and all of them.

A problem is written twice: `text` in our language, and `rhs` in plain Python, from which
every other library gets its equations (by tracing it with the library's own symbols).  A
test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REFERENCES = Path(__file__).resolve().parent / "references.json"


@dataclass(frozen=True)
class Problem:
    """One initial value problem, u' = rhs(u, phase), without explicit time.

    `stops`: times at which the right-hand side jumps; `phase` counts those that have passed.
    `floor`: the size below which a component counts as zero: atol = floor * rtol for every
    contender, and errors are relative to floor + |u|.  `compared`: components, () for all.
    `band`: lower and upper bandwidth where the Jacobian is banded.
    """

    name: str
    title: str
    text: str
    rhs: Callable[..., list[Any]]
    u0: tuple[float, ...]
    t1: float
    citation: str
    stiff: bool
    floor: float = 1.0
    stops: tuple[float, ...] = ()
    band: tuple[int, int] | None = None
    compared: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Number of states."""
        return len(self.u0)

    @property
    def ends(self) -> tuple[float, ...]:
        """Ends of the phases."""
        return (*self.stops, self.t1)

    def error(self, u: Any) -> float:
        """Largest |u - reference| / (floor + |reference|); NaN where `u` is not finite."""
        reference, found = np.asarray(self.reference), np.asarray(u, dtype=np.float64).reshape(-1)
        if found.shape != reference.shape or not np.isfinite(found).all():
            return float("nan")
        chosen = list(self.compared) or slice(None)
        return float(np.max((np.abs(found - reference) / (self.floor + np.abs(reference)))[chosen]))

    @property
    def reference(self) -> Floats:
        """State at `t1`."""
        return np.array(references()[self.name]["values"], dtype=np.float64)

    @property
    def uncertainty(self) -> float:
        """How far the reference can be trusted, in the norm of `error`."""
        return float(references()[self.name]["uncertainty"])


@cache
def references() -> dict[str, dict[str, Any]]:
    """What `references.py` found: values, uncertainty, how."""
    found: dict[str, dict[str, Any]] = json.loads(REFERENCES.read_text(encoding="utf-8"))
    return found


@cache
def problems() -> dict[str, Problem]:
    """All problems by name, small and nonstiff ones first."""
    from suite import chemistry, fields, motion

    every: Sequence[Problem] = (*motion.problems(), *chemistry.problems(), *fields.problems())
    return {problem.name: problem for problem in every}
