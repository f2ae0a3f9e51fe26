"""`EnsembleSolution`: the trajectories of an ensemble with the names of their model.

Takes a `Batch` of plain arrays; gives states and observables by name, statistics over
the trajectories, and which of them failed and why.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UnknownNameError, suggest
from ..model.array_values import array_of, of_array
from .api import solve
from .batch import Batch
from .integrate import Trajectory
from .prepare import prepared
from .solution import STATS, Solution
from .status import Status

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..model.model import Model

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class EnsembleSolution:
    """What `Ensemble.solve` gives: B trajectories at T common times.

    Attributes
    ----------
    t : (T,) times of output.
    u : (B, T, n) states.  Where a trajectory ended early, by a terminating event or by a failure,
        its rows after that are NaN; `success` tells the one from the other.
    u0, p : (B, n), (B, n_params + n_weights and the tables of inputs), what each began with.
    success : (B,) whether the end, or a terminating event, was reached.
    status, t_end : (B,) how each ended (numbers of `Status`), and the time reached.
    u_end : (B, n) state at `t_end`.
    states, observables, parameters : names.

    `sol["x"]` (B, T) is a state or observable; `sol.trajectory(i)` a `Solution` of one.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = a*x^2; x(0) = 1; param a = 0.1")
    >>> sol = m.ensemble(p={"a": [0.1, 0.2, 1.0]}).solve((0, 2), saveat=[0, 1, 2], rtol=1e-9)
    >>> sol.success.tolist(), [status.name for status in map(Status, sol.status)][2]
    ([True, True, False], 'UNSTABLE')
    >>> sol.summary("x")["count"].tolist()
    [3, 2, 2]
    """

    def __init__(
        self,
        model: Model,
        batch: Batch,
        times: Floats,
        *,
        span: tuple[float, float],
        u0: Floats,
        p: Floats,
        options: dict[str, Any],
        lost: dict[int, str],
        seconds: float = 0.0,
        workers: int = 1,
    ) -> None:
        self.model = model
        self.t = times
        self.u = batch.u
        self.u0 = u0
        self.p = p
        self.status = batch.status
        self.t_end = batch.t_end
        self.u_end = batch.u_end
        self.states = model.states
        self.parameters = model.parameters
        self.observables = model.observables
        self._counts = batch.counts
        self._span = span
        self._options = options
        self._lost = lost
        self._seconds = seconds
        self._workers = workers
        self._observed: Floats | None = None

    # ------------------------------------------------------------ how it ended

    @property
    def success(self) -> NDArray[np.bool_]:
        """(B,) whether the end, or a terminating event, was reached."""
        reached: NDArray[np.bool_] = self.status <= int(Status.TERMINATED)
        return reached

    @property
    def failures(self) -> pd.DataFrame:
        """The trajectories that failed: columns `trajectory`, `status`, `t_end`, `message`."""
        import pandas

        bad = np.flatnonzero(~self.success).tolist()
        return pandas.DataFrame(
            {
                "trajectory": bad,
                "status": [Status(self.status[i]).name for i in bad],
                "t_end": self.t_end[bad],
                "message": [self.message(i) for i in bad],
            }
        )

    def message(self, i: int) -> str:
        """How trajectory `i` ended, in words, with what to do about a failure."""
        i = self._index(i)
        if self.status[i] != Status.LOST and i in self._lost:
            return self._lost[i]
        if self.status[i] == Status.LOST:
            return f"its worker gave no result ({self._lost[i]}); solve again, with smaller parts or fewer workers"
        if self.status[i] == Status.INTERRUPTED and np.isnan(self.t_end[i]):
            return "not begun when the ensemble was interrupted"
        return self._solution(i).message

    @property
    def stats(self) -> dict[str, Any]:
        """What the solver did, summed over the trajectories; `seconds` of the whole, `workers` or threads."""
        totals = dict(zip(STATS, map(int, self._counts.sum(axis=0)), strict=True))
        return {**totals, "seconds": self._seconds, "workers": self._workers}

    # ------------------------------------------------------------ values

    def __len__(self) -> int:
        return len(self.u)

    def __getitem__(self, name: str) -> Floats:
        """A state or observable of every trajectory at the times `t`, shape (B, T); NaN after an early end.

        An array has (B, T, N) or (B, T, N, M).

        Raises `UnknownNameError` for a name that is neither.
        """
        for kind in ("state", "observable"):
            array = array_of(self.model.spec.arrays, name, kind)
            if array is not None:
                return of_array(array, self.u if kind == "state" else self._all_observables())
        if name in self.states:
            return self.u[:, :, self.states.index(name)]
        if name in self.observables:
            return self._all_observables()[:, :, self.observables.index(name)]
        known = (*self.states, *self.observables)
        hint = suggest(str(name), known)
        raise UnknownNameError(
            f"the solution has no `{name}`; " + (hint or "it has " + ", ".join(f"`{k}`" for k in known[:20]))
        )

    def trajectory(self, i: int) -> Solution:
        """The `Solution` of trajectory `i`, integrated again: dense, with its events, observables and message."""
        i = self._index(i)
        return solve(self.model, self._span, self.u0[i], self.p[i], saveat=self.t, **self._options)

    def _index(self, i: int) -> int:
        size = len(self)
        if not isinstance(i, (int, np.integer)) or not -size <= i < size:
            raise InputError(f"there is no trajectory {i!r}; there are {size}, counted from 0")
        return int(i) % size

    def _solution(self, i: int) -> Solution:
        """A `Solution` of what is kept of trajectory `i`."""
        none, no = np.empty(0), np.empty(0, np.int64)
        rows = np.isfinite(self.u[i]).all(axis=1)
        kept: dict[str, Any] = dict.fromkeys(Trajectory._fields, none) | {
            "status": int(self.status[i]),
            "t_end": float(self.t_end[i]),
            "counts": self._counts[i],
            "t": self.t[rows],
            "u": self.u[i][rows],
            "event_k": no,
            "u_end": self.u_end[i],
            "note": "",
        }
        return Solution(
            Trajectory(**kept), self.states, span=self._span, u0=self.u0[i], p=self.p[i],
            parameters=self.parameters, method=self._options["method"], arrays=self.model.spec.arrays,
        )  # fmt: skip

    def _all_observables(self) -> Floats:
        if self._observed is None:
            observe = prepared(self.model).observe
            found = np.full((*self.u.shape[:2], len(self.observables)), np.nan)
            if observe is not None:
                for i, (u, p) in enumerate(zip(self.u, self.p, strict=True)):
                    rows = ~np.isnan(u[:, 0])
                    found[i, rows] = observe(self.t[rows], np.ascontiguousarray(u[rows]), p)
            self._observed = found
        return self._observed

    # ------------------------------------------------------------ over the trajectories

    def summary(self, name: str | None = None, quantiles: Sequence[float] = QUANTILES) -> pd.DataFrame:
        """Statistics over the trajectories at each time.

        Arguments: `name`, only this state or observable; `quantiles` between 0 and 1.
        Returns a table indexed by `t` with columns `mean`, `std` (with B - 1), a column for
        each quantile ("5%"), and `count`, how many trajectories have got so far: those that
        ended before count no longer, whether by an event or by a failure.  Without `name` the
        columns have two levels, name and statistic.
        """
        import pandas

        levels = [float(q) for q in quantiles]
        if not all(0.0 <= q <= 1.0 for q in levels):
            raise InputError(f"quantiles must lie between 0 and 1, got {list(quantiles)}")
        index = pandas.Index(self.t, name="t")
        if name is not None:
            return pandas.DataFrame(_statistics(self[name], levels), index=index)
        names = (*self.states, *self.observables)
        return pandas.concat(
            {name: pandas.DataFrame(_statistics(self[name], levels), index=index) for name in names},
            axis=1, names=["name", "statistic"],
        )  # fmt: skip

    def to_pandas(self) -> pd.DataFrame:
        """A long table with columns `trajectory`, `t`, the states and the observables; no rows after an early end."""
        import pandas

        size, times = self.u.shape[:2]
        columns: dict[str, Any] = {
            "trajectory": np.repeat(np.arange(size), times),
            "t": np.tile(self.t, size),
            **{name: self.u[:, :, k].reshape(-1) for k, name in enumerate(self.states)},
            **{name: self._all_observables()[:, :, k].reshape(-1) for k, name in enumerate(self.observables)},
        }
        rows = ~np.isnan(self.u[:, :, 0]).reshape(-1)
        return pandas.DataFrame({name: column[rows] for name, column in columns.items()})

    def plot(self, names: Sequence[str] | str | None = None, **options: Any) -> Figure:
        """Draw the spread of states over time as a fan; options as of `sciml_dsl.plot.ensemble`."""
        from ..plot import ensemble

        return ensemble(self, names, **options)

    def __repr__(self) -> str:
        failed = int((~self.success).sum())
        names = ", ".join(self.states[:6]) + (", ..." if len(self.states) > 6 else "")
        return f"<EnsembleSolution: {names} of {len(self)} trajectories at {len(self.t)} times; " + (
            f"{failed} failed>" if failed else "none failed>"
        )


def _statistics(values: Floats, quantiles: Sequence[float]) -> dict[str, Any]:
    """Of (B, T) along the first axis, leaving out NaN."""
    count = (~np.isnan(values)).sum(axis=0)
    with warnings.catch_warnings():  # of times that nobody reached: NaN is the answer
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanstd(values, axis=0, ddof=1)
        whole = count.size == 0 or int(count.min()) == len(values)
        levels = (np.quantile if whole else np.nanquantile)(values, quantiles, axis=0)
        return {
            "mean": np.nanmean(values, axis=0),
            "std": spread,
            **{f"{100 * q:g}%": level for q, level in zip(quantiles, levels, strict=True)},
            "count": count,
        }
