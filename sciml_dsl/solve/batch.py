"""Many integrations in one native call: the kernel, once for each trajectory, without the interpreter lock.

Takes an `Integrator`, initial values (B, n) and parameters (B, ...); gives a `Batch`
of arrays.  The kernel comes in by its address and is not compiled again.  Every
trajectory chooses its own steps, so its numbers are those of a solve of its own,
whoever else is in the batch.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import float64, int64, njit, types, void
from numpy.typing import NDArray

from .integrate import AT_OPTIONS, AT_RESULTS, AT_U0, Integrator, Trajectory
from .slots import N_COUNTS as ALL_COUNTS
from .slots import ROWS
from .status import Status
from .watching import raise_caught

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_INTERRUPTED = int(Status.INTERRUPTED)
N_COUNTS = 9  # statistics of a trajectory, in the order of `solution.STATS`


class Batch(NamedTuple):
    """B trajectories at T common times; rows after an early end are NaN."""

    u: Floats  # (B, T, n)
    status: Indices  # (B,)
    t_end: Floats  # (B,) time reached
    u_end: Floats  # (B, n) state there
    counts: Indices  # (B, N_COUNTS)

    @classmethod
    def empty(cls, size: int, times: int, n: int) -> Batch:
        """Room for `size` trajectories, none of them integrated."""
        return cls(
            np.full((size, times, n), np.nan),
            np.full(size, -1, np.int64),
            np.full(size, np.nan),
            np.full((size, n), np.nan),
            np.zeros((size, N_COUNTS), np.int64),
        )

    def part(self, first: int, last: int) -> Batch:
        """The trajectories first .. last - 1, as views."""
        return Batch._make(array[first:last] for array in self)  # type: ignore[arg-type]

    def put(self, i: int, trajectory: Trajectory, times: Floats) -> None:
        """Write trajectory `i` where it was integrated by itself."""
        rows = min(len(trajectory.t), len(times))
        while rows and trajectory.t[rows - 1] != times[rows - 1]:  # the end of an early ended one is no output time
            rows -= 1
        self.u[i, :rows] = trajectory.u[:rows]
        self.status[i], self.t_end[i], self.u_end[i] = trajectory.status, trajectory.t_end, trajectory.u_end
        count = min(N_COUNTS, len(trajectory.counts))
        self.counts[i, :count] = trajectory.counts[:count]


@cache
def _loop(kernel: Any) -> Any:
    """The loop over trajectories, for a kernel of this signature; kept on disk by numba."""
    signature = kernel.nopython_signatures[0]
    arguments = signature.args
    head, tail = types.Tuple(arguments[:AT_U0]), types.Tuple(arguments[AT_U0 + 2 : AT_RESULTS])
    matrix = float64[:, ::1]

    @njit(  # type: ignore[untyped-decorator]
        [
            void(
                types.FunctionType(signature), head, tail, matrix, matrix, float64[::1],
                float64[:, :, ::1], int64[::1], float64[::1], matrix, int64[:, ::1], int64[::1],
            )
        ],
        error_model="numpy",
        nogil=True,
        cache=True,
    )  # fmt: skip
    def run(
        integrate: Any, head: Any, tail: Any, u0: Any, p: Any, times: Any,
        u: Any, status: Any, t_end: Any, u_end: Any, counts: Any, stop: Any,
    ) -> None:  # fmt: skip
        all_counts, ends = np.zeros(ALL_COUNTS, np.int64), np.zeros(2)
        rows_t, rows_u = np.empty(times.size + 1), np.empty((times.size + 1, u0.shape[1]))
        for i in range(u0.shape[0]):
            if stop[0] != 0:
                return
            for j in range(all_counts.size):
                all_counts[j] = 0
            integrate(*(head + (u0[i], p[i]) + tail + (all_counts, ends, rows_t, rows_u, u_end[i])))
            for row in range(min(all_counts[ROWS], times.size)):
                if rows_t[row] == times[row]:
                    for j in range(u.shape[2]):
                        u[i, row, j] = rows_u[row, j]
            for j in range(N_COUNTS):
                counts[i, j] = all_counts[j]
            t_end[i] = ends[1]
            status[i] = int(ends[0])
            if status[i] == _INTERRUPTED:
                return

    return run


def integrate_into(
    batch: Batch,
    integrator: Integrator,
    u0: Floats,
    p: Floats,
    t0: float,
    t1: float,
    times: Floats,
    stop: Indices,
    **options: Any,
) -> None:
    """Integrate every row of `u0` (B, n) and `p` (B, ...) with one native call and fill `batch`.

    Arguments: `times` (T,) of output, options as of `Integrator.arguments`; `stop` (1,), set
    from another thread to something other than 0 to leave the rest undone.
    """
    if not len(u0):
        return
    arguments = integrator.arguments(u0[0], p[0], t0, t1, saveat=times, **options)
    kernel = integrator.kernel
    _loop(kernel)(
        kernel, arguments[:AT_U0], arguments[AT_U0 + 2 :], np.ascontiguousarray(u0), np.ascontiguousarray(p),
        times, *batch, stop,
    )  # fmt: skip
    raise_caught(arguments[AT_OPTIONS])
