"""`Ensemble`: one model for many initial values and parameters, integrated over threads or workers.

Takes what `m.ensemble(...)` was given; gives an `EnsembleSolution`.  Over threads the
whole loop is native (`batch.py`); an executor gets parts of the ensemble as picklable
calls.  Which thread or worker integrates a trajectory never changes its numbers.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SciMLError, SolveError, SolveInterrupted, UnknownNameError
from ..model.array_values import columns_by_element
from .api import _ordered, _output_times, solve
from .batch import Batch, integrate_into
from .choice import check_method, is_method
from .consistent import InconsistentError
from .ensemble_solution import EnsembleSolution
from .integrate import Integrator
from .lanes import Lanes, lanes
from .prepare import Prepared, prepared, unknown
from .samples import Given, common_size, draw, read
from .status import Status

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]
Progress = Callable[[dict[str, Any]], None]

OUTPUTS = 101  # times of output where none are asked for
_PART = 256  # trajectories of a native call, at most: how often progress is told and work is shared out
_PARTS = 8  # parts for each thread or worker, at least, while there are enough trajectories


class Ensemble:
    """Many trajectories of one model; made by `m.ensemble(...)`.

    Arguments
    ---------
    u0, p : initial values and parameters: a mapping of names to numbers (the same for all) or
        arrays (B,), one number for each trajectory; a DataFrame whose columns are such names;
        an array (B, n), (B, n_params) in the model's order; or a sampler, a callable that takes
        a `numpy.random.Generator` and returns one trajectory's mapping or vector.  What is not
        named keeps the model's own; initial values written in parameters follow them.
    size : number of trajectories B, where `u0` and `p` do not say it.
    seed : of the samplers; trajectory i draws from `numpy.random.default_rng((seed, i))`.
    weights : flat weights by network name, in place of the model's, the same for all.

    Raises
    ------
    UnknownNameError, MissingValueError, InputError : what does not fit the model.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 0.5")
    >>> many = m.ensemble(p={"k": [0.5, 1.0, 2.0]})
    >>> sol = many.solve((0, 1), saveat=[0, 1], rtol=1e-9, atol=1e-12)
    >>> sol.u.shape, sol["x"][:, 1].round(6).tolist()
    ((3, 2, 1), [0.606531, 0.367879, 0.135335])
    """

    def __init__(
        self,
        model: Model,
        u0: Any = None,
        p: Any = None,
        *,
        size: int | None = None,
        seed: int = 0,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        if size is not None and (not isinstance(size, (int, np.integer)) or size < 1):
            raise InputError(f"size: expected a positive number of trajectories, got {size!r}")
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InputError(f"seed: expected an integer that is not negative, got {seed!r}")
        self.model = model
        ready = prepared(model)
        known_u0 = Given() if callable(u0) else self._read(u0, "u0", "state")
        known_p = Given() if callable(p) else self._read(p, "p", "parameter")
        if callable(u0) or callable(p):
            drawn_u0, drawn_p = draw(u0, p, common_size(known_u0, known_p, size), int(seed))
            known_u0 = known_u0 if drawn_u0 is None else self._read(drawn_u0, "the sampler of u0", "state")
            known_p = known_p if drawn_p is None else self._read(drawn_p, "the sampler of p", "parameter")
        self._u0, self._p = known_u0, known_p
        self.size = common_size(self._u0, self._p, size)
        self.p = _parameters(ready, self._p, weights, self.size)
        for name in self._u0.columns or ():
            _place(name, ready.state_index, "state")

    def _read(self, given: Any, what: str, kind: str) -> Given:
        names = self.model.states if kind == "state" else self.model.parameters
        arrays = self.model.spec.arrays
        return read(columns_by_element(given, arrays, kind) if arrays else given, what, names)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<Ensemble of {self.size} trajectories of {self.model.name}>"

    def u0(self, t0: float = 0.0) -> Floats:
        """Initial values (B, n) of trajectories that begin at `t0`."""
        return _initial(prepared(self.model), self._u0, self.p, t0, self.size)

    def solve(
        self,
        tspan: tuple[float, float],
        method: str = "auto",
        rtol: Any = 1e-6,
        atol: Any = 1e-9,
        saveat: Any = None,
        *,
        threads: int | None = None,
        executor: Any = None,
        part: int | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> EnsembleSolution:
        """Integrate every trajectory from `tspan[0]` to `tspan[1]`.

        Arguments
        ---------
        method, rtol, atol, and options such as max_steps, dtmax, dt0, tstops : as of `m.solve`.
        saveat : times of output, common to all: a spacing or an ordered array; None: 101 evenly
            spaced ones.  Each trajectory takes its own steps all the same.
        threads : how many; None: as many as there are cores for this process.
        executor : instead of threads of our own, anything with `submit(function, *arguments)`
            that gives futures: `concurrent.futures.ProcessPoolExecutor()`, a dask `Client`, ...
        part : trajectories that one thread or worker gets at a time; None: chosen.
        progress : called with `{"stage": "ensemble", "step": done, "total": B, ...}`.

        Returns
        -------
        EnsembleSolution.  Trajectories that fail are no exception: look at `success` and
        `failures`.

        Raises
        ------
        InputError : arguments that do not fit the model, before anything is integrated.
        SolveInterrupted : on Ctrl-C, or when `progress` raises KeyboardInterrupt; its `solution` is what
            was computed until then, the other trajectories having the status INTERRUPTED.
        """
        ready = prepared(self.model)
        try:
            t0, t1 = (float(t) for t in tspan)
        except (TypeError, ValueError) as error:
            raise InputError(f"the time span must be two numbers, (0, 10); got {tspan!r}") from error
        if not (math.isfinite(t0) and math.isfinite(t1)):
            raise InputError(f"the time span ({t0}, {t1}) must be finite")
        if options.pop("sensitivities", None) not in (None, False):
            raise InputError("an ensemble has no sensitivities; solve its trajectories one by one for them")
        times = np.linspace(t0, t1, OUTPUTS) if saveat is None else _output_times(saveat, t0, t1)
        options = {name: value for name, value in options.items() if value is not None}
        options |= {"method": method, "rtol": rtol, "atol": atol}
        ready.check_span(self.p[0], t0, t1)
        u0 = self.u0(t0)
        batch = Batch.empty(self.size, len(times), len(ready.states))
        job = _Job(self.model, (t0, t1), times, options)
        job.check(u0, self.p[0])
        job.prepare(u0, self.p[0])
        began = perf_counter()
        if executor is None:
            count = _threads(threads)
        elif threads is not None:
            raise InputError("give threads or an executor, not both: an executor has its own number of workers")
        else:
            count = _workers(executor)

        def solution(lost: dict[int, str]) -> EnsembleSolution:
            return EnsembleSolution(
                self.model, batch, times, span=(t0, t1), u0=u0, p=self.p, options=options, lost=lost,
                seconds=perf_counter() - began, workers=count,
            )  # fmt: skip

        try:
            if executor is None:
                _over_threads(job, batch, u0, self.p, count, part, progress)
                return solution({})
            return solution(_over_executor(job, batch, u0, self.p, executor, count, part, progress))
        except KeyboardInterrupt as error:
            rest = batch.status < 0
            never = rest & np.isnan(batch.t_end)
            batch.status[rest], batch.t_end[never], batch.u_end[never] = Status.INTERRUPTED, t0, u0[never]
            done = int((batch.status != Status.INTERRUPTED).sum())
            raise SolveInterrupted(f"interrupted after {done} of {self.size} trajectories", solution({})) from error


class _Job:
    """What every trajectory has in common; fills parts of a `Batch`."""

    def __init__(self, model: Model, span: tuple[float, float], times: Floats, options: dict[str, Any]) -> None:
        self.model, self.span, self.times, self.options = model, span, times, options
        self.lanes: Lanes | None = None

    @property
    def native(self) -> bool:
        """Whether the loop over trajectories can be native: the same arguments of the kernel fit all of them."""
        ready = prepared(self.model)
        one = type(ready.integrator) is Integrator and not ready.functions.n_switches
        return one and is_method(self.options["method"])

    def check(self, u0: Floats, p: Floats) -> None:
        """Raise what is wrong with the options, before any work; all `u0` (B, n), one `p`."""
        if is_method(self.options["method"]) or not isinstance(self.options["method"], str):
            check_method(self.options["method"])
            integrator = prepared(self.model).integrator
            if not isinstance(integrator, Integrator):
                integrator.choice(self.options["method"])
                return
            try:
                integrator.arguments(u0[0], p, *self.span, **self.for_kernel(u0))
            except TypeError as error:
                raise InputError(f"an ensemble cannot be solved with these options: {error}") from error

    def for_kernel(self, u0: Floats) -> dict[str, Any]:
        """The options as `Integrator.arguments` takes them: names as indices, times checked."""
        ready, options = prepared(self.model), {"by_tolerance": True, **self.options}
        for name, default in (("rtol", 1e-6), ("atol", 1e-9)):
            options[name] = ready.tolerance(options[name], default, name)
        for name, known in (("tstops", "tstops"), ("d_discontinuities", "restarts")):
            if name in options:
                options[known] = _ordered(options.pop(name), *self.span, name, sort=True)
        if options.get("positive", False) is not False:
            options["positive"] = ready.kept_positive(options["positive"], u0.min(axis=0))
        else:
            options.pop("positive", None)
        return options

    def prepare(self, u0: Floats, p: Floats) -> None:
        """Find what integrates; `check` has passed.  All `u0` (B, n), one `p`."""
        integrator = prepared(self.model).integrator
        if self.native:
            assert isinstance(integrator, Integrator)
            self.lanes = lanes(integrator, u0[0], p, *self.span, self.for_kernel(u0))

    def run(self, batch: Batch, u0: Floats, p: Floats, stop: NDArray[np.int64]) -> None:
        """Integrate from every row of `u0` and `p` into `batch`."""
        if self.lanes is not None:
            self.lanes.integrate_into(batch, u0, p, self.times, stop)
            return
        if self.native:
            integrator = prepared(self.model).integrator
            assert isinstance(integrator, Integrator)
            if self.model.inputs:  # all rows hold the same tables
                at = self.model.system.tables_at
                p = p.copy()
                p[:, at:] = integrator.one_sided(p[0], *self.span)[at:]
            integrate_into(batch, integrator, u0, p, *self.span, self.times, stop, **self.for_kernel(u0))
            return
        for i in range(len(u0)):
            if stop[0]:
                return
            try:
                found = solve(self.model, self.span, u0[i], p[i], saveat=self.times, **self.options)
            except InconsistentError:  # this start contradicts the algebraic equations; the others may not
                batch.status[i], batch.t_end[i], batch.u_end[i] = Status.INCONSISTENT, self.span[0], u0[i]
            else:
                batch.put(i, found.trajectory, self.times)


def _over_threads(
    job: _Job, batch: Batch, u0: Floats, p: Floats, count: int, part: int | None, progress: Progress | None
) -> None:
    stop = np.zeros(1, np.int64)
    size, done = len(u0), 0
    spans = list(_spans(size, count, part, _PART))
    if job.lanes is None and (count == 1 or len(spans) == 1):  # the kernel itself looks whether it is to stop
        for first, last in spans:
            job.run(batch.part(first, last), u0[first:last], p[first:last], stop)
            done = _tell(progress, done + last - first, size)
        return
    with ThreadPoolExecutor(min(count, len(spans))) as pool:
        waiting = {pool.submit(job.run, batch.part(a, b), u0[a:b], p[a:b], stop): b - a for a, b in spans}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    future.result()
                    done = _tell(progress, done + waiting.pop(future), size)
        except BaseException:
            stop[0] = 1
            for future in waiting:
                future.cancel()
            raise


def _over_executor(
    job: _Job, batch: Batch, u0: Floats, p: Floats, executor: Any, count: int, part: int | None,
    progress: Progress | None,
) -> dict[int, str]:  # fmt: skip
    """As over threads; returns why, for trajectories whose worker died, was killed or ran out of memory."""
    size, done = len(u0), 0
    payload = pickle.dumps(job.model)
    spans = list(_spans(size, count, part, size))
    lost: dict[int, str] = {}
    futures = [executor.submit(_part, payload, job.span, job.times, job.options, u0[a:b], p[a:b]) for a, b in spans]
    try:
        for (first, last), future in zip(spans, futures, strict=True):
            try:
                found = future.result()
            except SciMLError:
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {error}".rstrip(": ")
                lost |= dict.fromkeys(range(first, last), why)
                batch.status[first:last] = Status.LOST
            else:
                for mine, theirs in zip(batch.part(first, last), found, strict=True):
                    mine[...] = theirs
            done = _tell(progress, done + last - first, size)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    if len(lost) == size:
        raise SolveError(f"no worker of the executor gave a result; the first said: {lost[0]}")
    return lost


def _part(
    payload: bytes, span: tuple[float, float], times: Floats, options: dict[str, Any], u0: Floats, p: Floats
) -> Batch:
    """One part of an ensemble, in a worker."""
    model = _model(payload)
    batch = Batch.empty(len(u0), len(times), len(model.states))
    job = _Job(model, span, times, options)
    job.prepare(u0, p[0])
    job.run(batch, u0, p, np.zeros(1, np.int64))
    return batch


@lru_cache(maxsize=16)
def _model(payload: bytes) -> Model:
    """The model in a worker, compiled once for all parts that it gets."""
    model: Model = pickle.loads(payload)
    return model


def _spans(size: int, count: int, part: int | None, largest: int) -> Iterator[tuple[int, int]]:
    if part is None:
        part = max(1, min(largest, -(-size // (_PARTS * count))))
    elif not isinstance(part, (int, np.integer)) or part < 1:
        raise InputError(f"part: expected a positive number of trajectories, got {part!r}")
    return ((first, min(first + part, size)) for first in range(0, size, int(part)))


def _tell(progress: Progress | None, done: int, size: int) -> int:
    if progress is not None:
        message = f"{done} of {size} trajectories"
        progress({"stage": "ensemble", "step": done, "total": size, "loss": None, "message": message})
    return done


def _threads(asked: int | None) -> int:
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise InputError(f"threads: expected a positive number, got {asked!r}")
    return int(asked)


def _workers(executor: Any) -> int:
    if not callable(getattr(executor, "submit", None)):
        raise InputError(
            "executor: expected something with `submit`, such as concurrent.futures.ProcessPoolExecutor() "
            f"or a dask Client; got {executor!r}"
        )
    if callable(getattr(executor, "nthreads", None)):  # a dask Client: {worker: threads}
        return max(1, sum(executor.nthreads().values()))
    return int(getattr(executor, "_max_workers", None) or os.cpu_count() or 1)


def _parameters(ready: Prepared, given: Given, weights: Mapping[str, Any] | None, size: int) -> Floats:
    """Parameters, network weights and tables of inputs (B, ...)."""
    p = np.tile(ready.p(given.first(), weights), (size, 1))
    count = len(ready.parameters)
    if given.rows is not None:
        p[:, :count] = given.rows
    for name, column in (given.columns or {}).items():
        p[:, _place(name, ready.parameter_index, "parameter")] = column
    _check_finite(p[:, :count], ready.parameters, "the parameter `{}`")
    return p


def _initial(ready: Prepared, given: Given, p: Floats, t0: float, size: int) -> Floats:
    """Initial values (B, n)."""
    n = len(ready.states)
    if given.rows is not None:
        u0 = np.array(np.broadcast_to(given.rows, (size, n)))
    elif ready.constant_initial:
        u0 = np.tile(ready.u0(given.first(), p[0], t0), (size, 1))
    else:
        ready.u0(given.first(), p[0], t0)  # says what is missing
        u0 = np.array([ready.initial(row, t0)[0] for row in p])
    for name, column in (given.columns or {}).items():
        u0[:, _place(name, ready.state_index, "state")] = column
    unknown = np.isnan(u0) if ready.algebraic else False  # computed from the algebraic equations
    _check_finite(np.where(unknown, 0.0, u0), ready.states, "the initial value of `{}`")
    return u0


def _check_finite(values: Floats, names: tuple[str, ...], what: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        i, j = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(f"trajectory {i}: {what.format(names[j])} is {values[i, j]}; it must be a finite number")


def _place(name: str, index: Mapping[str, int], kind: str) -> int:
    if name not in index:
        raise UnknownNameError(unknown(name, tuple(index), kind))
    return index[name]
