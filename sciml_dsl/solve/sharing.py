"""An ensemble's trajectories shared out over threads or an executor's workers, part by part.

Takes a `Work`: a job that fills parts of a `Batch`; returns why trajectories were lost, if any.
Tells how far it is, and leaves the rest undone when asked to: what is finished stays in the batch.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SciMLError, SolveError
from .batch import Batch
from .status import Status
from .watching import Bar, Stop

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]
Progress = Callable[[dict[str, Any]], Any]

_PART = 256  # trajectories of a native call, at most: how often progress is told and work is shared out
_LANES_PART = 1024  # the same in lanes, where a trajectory takes a tenth of the time, while nobody is told
_PARTS = 8  # parts for each thread or worker, at least, while there are enough trajectories


class Job(Protocol):
    """What every trajectory has in common; fills parts of a `Batch`, here or in a worker (it is picklable)."""

    model: Model
    times: Floats

    @property
    def blind(self) -> bool: ...

    def prepare(self, u0: Floats, p: Floats) -> None: ...

    def run(self, batch: Batch, u0: Floats, p: Floats, stop: Stop) -> None: ...


class Telling:
    """Progress of an ensemble, told to a callable; `progress` True: to a bar."""

    def __init__(self, progress: Progress | bool | None) -> None:
        if not (progress in (None, False, True) or callable(progress)):
            raise InputError(f"progress must be True, False or a callable, got {progress!r}")
        self._report = Bar() if progress is True else progress or None
        self.done = 0

    def __call__(self, finished: int, size: int) -> bool:
        """Tell that further trajectories are finished; gives True to stop."""
        self.done += finished
        if self._report is None:
            return False
        message = f"{self.done} of {size} trajectories"
        state = {"stage": "ensemble", "step": self.done, "total": size, "loss": None, "message": message}
        return self._report(state) is True

    @property
    def silent(self) -> bool:
        """Whether nobody is told."""
        return self._report is None

    def close(self) -> None:
        """Take down what is shown."""
        if isinstance(self._report, Bar):
            self._report.close()


@dataclass
class Work:
    """One solve of an ensemble: the job, where its results go, and how it is shared out.

    `count` threads or workers get `part` trajectories at a time (None: chosen); `lost` says
    why, of trajectories whose worker gave no result.
    """

    job: Job
    batch: Batch
    u0: Floats
    p: Floats
    count: int
    part: int | None
    telling: Telling
    lost: dict[int, str] = field(default_factory=dict)

    def spans(self, largest: int) -> list[tuple[int, int]]:
        """First and last (not included) trajectory of each part."""
        size, part = len(self.u0), self.part
        if part is None:
            part = max(1, min(largest, -(-size // (_PARTS * self.count))))
        elif not isinstance(part, (int, np.integer)) or part < 1:
            raise InputError(f"part: expected a positive number of trajectories, got {part!r}")
        return [(first, min(first + int(part), size)) for first in range(0, size, int(part))]

    def run(self, first: int, last: int, stop: Stop) -> None:
        """Integrate the trajectories first .. last - 1 here."""
        self.job.run(self.batch.part(first, last), self.u0[first:last], self.p[first:last], stop)


def over_threads(work: Work) -> dict[int, str]:
    """Share the trajectories out over threads of our own."""
    size, stop = len(work.u0), Stop()
    spans = work.spans(_LANES_PART if work.job.blind and work.telling.silent else _PART)
    if not work.job.blind and (work.count == 1 or len(spans) == 1):
        for first, last in spans:
            work.run(first, last, stop)
            if work.telling(last - first, size):
                break
        return work.lost
    with ThreadPoolExecutor(min(work.count, len(spans))) as pool:
        waiting = {pool.submit(work.run, first, last, stop): last - first for first, last in spans}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    future.result()
                    if work.telling(waiting.pop(future), size):
                        stop.now()
                        pool.shutdown(cancel_futures=True)
                        return work.lost
        except BaseException:
            stop.now()
            pool.shutdown(cancel_futures=True)
            raise
    return work.lost


def over_executor(work: Work, executor: Any) -> dict[int, str]:
    """As over threads; trajectories are lost whose worker died, was killed or ran out of memory."""
    size = len(work.u0)
    payload = pickle.dumps(work.job)
    futures: list[tuple[tuple[int, int], Any]] = []
    try:
        for first, last in work.spans(size):
            try:
                future = executor.submit(_part, payload, work.u0[first:last], work.p[first:last])
                futures.append(((first, last), future))
            except Exception as error:  # a pool that is broken or shut down takes no more work
                _lose(work, first, last, error)
        for (first, last), future in futures:
            try:
                found = future.result()
            except SciMLError:
                raise
            except Exception as error:
                _lose(work, first, last, error)
            else:
                for mine, theirs in zip(work.batch.part(first, last), found, strict=True):
                    mine[...] = theirs
            if work.telling(last - first, size):
                break
    finally:
        for _, future in futures:
            future.cancel()
    if len(work.lost) == size:
        raise SolveError(f"no worker of the executor gave a result; the first said: {work.lost[0]}")
    return work.lost


def _lose(work: Work, first: int, last: int, error: Exception) -> None:
    work.lost.update(dict.fromkeys(range(first, last), f"{type(error).__name__}: {error}".rstrip(": ")))
    work.batch.status[first:last] = Status.LOST


def _part(payload: bytes, u0: Floats, p: Floats) -> Batch:
    """One part of an ensemble, in a worker."""
    job = _job(payload)
    job.prepare(u0, p[0])
    batch = Batch.empty(len(u0), len(job.times), len(job.model.states))
    job.run(batch, u0, p, Stop())
    return batch


@lru_cache(maxsize=16)
def _job(payload: bytes) -> Any:
    """The job in a worker, its model compiled once for all parts that it gets."""
    return pickle.loads(payload)
