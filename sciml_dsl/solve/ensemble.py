"""`Ensemble`: one model for many initial values and parameters, integrated over threads or workers.

Takes what `m.ensemble(...)` was given; gives an `EnsembleSolution`.  Over threads the
whole loop is native (`batch.py`); an executor gets parts of the ensemble as picklable
calls.  Which thread or worker integrates a trajectory never changes its numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SolveInterrupted, UnknownNameError
from ..model.array_values import columns_by_element
from .api import solve
from .batch import Batch, integrate_into
from .choice import check_method, is_method
from .consistent import InconsistentError
from .ensemble_solution import EnsembleSolution
from .integrate import Integrator
from .lanes import Lanes, lanes
from .methods.registry import SUNDIALS, is_fixed
from .options import check_names, ordered, output_times, precision, steps, time_span, tolerances
from .options import number as checked_number
from .prepare import Prepared, prepared, unknown
from .samples import Given, common_size, draw, read
from .sharing import Progress, Telling, Work, over_executor, over_threads
from .status import Status
from .watching import Stop

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]

OUTPUTS = 101  # times of output where none are asked for


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
    inputs : data of the model's inputs as of `m.solve`, the same for all.

    Raises
    ------
    UnknownNameError, MissingValueError, InputError : what does not fit the model.  A trajectory whose
    numbers are NaN or infinite is a failure of that trajectory only, unless all are.

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
        inputs: Any = None,
    ) -> None:
        if size is not None and (not isinstance(size, (int, np.integer)) or size < 1):
            raise InputError(f"size: expected a positive number of trajectories, got {size!r}")
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InputError(f"seed: expected an integer that is not negative, got {seed!r}")
        self.model = model
        ready = prepared(model)
        known_u0 = Given() if callable(u0) else self._read(u0, "u0", "state")
        known_p = Given() if callable(p) else self._read(p, "p", "parameter")
        self._drawn = callable(u0) or callable(p)
        if self._drawn:
            drawn_u0, drawn_p = draw(u0, p, common_size(known_u0, known_p, size), int(seed))
            known_u0 = known_u0 if drawn_u0 is None else self._read(drawn_u0, "the sampler of u0", "state")
            known_p = known_p if drawn_p is None else self._read(drawn_p, "the sampler of p", "parameter")
        self._u0, self._p = known_u0, known_p
        self.size = common_size(self._u0, self._p, size)
        self.seed = int(seed)
        _check_size(self.size, len(ready.parameters) + len(ready.states), "their parameters and initial values")
        self.p = _parameters(ready, self._p, weights, inputs, self.size)
        for name in self._u0.columns or ():
            _place(name, ready.state_index, "state")

    def _read(self, given: Any, what: str, kind: str) -> Given:
        names = self.model.states if kind == "state" else self.model.parameters
        arrays = self.model.spec.arrays
        return read(columns_by_element(given, arrays, kind) if arrays else given, what, names)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        drawn = f", seed {self.seed}" if self._drawn else ""
        return f"<Ensemble of {self.size} trajectories of {self.model.name}{drawn}>"

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
        progress: Progress | bool | None = None,
        **options: Any,
    ) -> EnsembleSolution:
        """Integrate every trajectory from `tspan[0]` to `tspan[1]`.

        Arguments
        ---------
        method, rtol, atol, and the options max_steps, dtmax, dtmin, dt0, dt, tstops, d_discontinuities,
            positive, controller, linear_solver, dtype, initialization : as of `m.solve`.
        saveat : times of output, common to all: a spacing or an ordered array; None: 101 evenly
            spaced ones.  Each trajectory takes its own steps all the same.
        threads : how many; None: as many as there are cores for this process.
        executor : instead of threads of our own, anything with `submit(function, *arguments)`
            that gives futures: `concurrent.futures.ProcessPoolExecutor()`, a dask `Client`, ...
        part : trajectories that one thread or worker gets at a time; None: chosen.
        progress : True shows a bar once it takes longer than half a second; a callable is told
            `{"stage": "ensemble", "step": done, "total": B, ...}`, and stops the rest by returning True.

        Returns
        -------
        EnsembleSolution.  Trajectories that fail are no exception: look at `success` and
        `failures`.

        Raises
        ------
        InputError : arguments that do not fit the model, before anything is integrated.
        SolveInterrupted : Ctrl-C (it is a KeyboardInterrupt); its `solution` has the trajectories that
            were finished, and how far the others came.
        """
        ready = prepared(self.model)
        t0, t1 = time_span(tspan)
        _check_names(options)
        times = np.linspace(t0, t1, OUTPUTS) if saveat is None else output_times(saveat, t0, t1)
        single = precision(options.pop("dtype", None) or "float64")
        options = {name: value for name, value in options.items() if value is not None}
        options |= {"method": method, "rtol": rtol, "atol": atol}
        ready.check_span(self.p[0], t0, t1)
        u0 = self.u0(t0)
        invalid = _invalid(ready, u0, self.p)
        if len(invalid) == self.size:
            raise InputError(invalid[0])
        shape = f"{len(ready.states):,} states at {len(times):,} times"
        _check_size(self.size, len(times) * len(ready.states), shape)
        job = _Job(self.model, (t0, t1), times, options)
        chosen = np.delete(np.arange(self.size), list(invalid)) if invalid else slice(None)
        job.check(u0[chosen], self.p[chosen][0])
        job.prepare(u0[chosen], self.p[chosen][0])
        if executor is not None and threads is not None:
            raise InputError("give threads or an executor, not both: an executor has its own number of workers")
        count = _threads(threads) if executor is None else _workers(executor)
        batch = Batch.empty(self.size - len(invalid), len(times), len(ready.states))
        work = Work(job, batch, u0[chosen], self.p[chosen], count, part, Telling(progress))
        began = perf_counter()
        try:
            lost = over_threads(work) if executor is None else over_executor(work, executor)
        except KeyboardInterrupt as error:
            raised: KeyboardInterrupt | None = error
            lost = work.lost
        else:
            raised = None
        finally:
            work.telling.close()
        if invalid:
            batch, lost = _spread(batch, chosen, self.size, u0, t0, lost, invalid)
        batch.status[batch.status < 0] = Status.INTERRUPTED
        found = EnsembleSolution(
            self.model, batch if single == "float64" else batch._replace(u=batch.u.astype(single)), times,
            span=(t0, t1), u0=u0, p=self.p, options=options, lost=lost, seconds=perf_counter() - began, workers=count,
        )  # fmt: skip
        if raised is not None:
            done = int((batch.status != Status.INTERRUPTED).sum())
            raise SolveInterrupted(
                f"interrupted after {done} of {self.size} trajectories; see `solution` of this exception",
                found,
            ) from raised
        return found


class _Job:
    """What every trajectory has in common; fills parts of a `Batch`."""

    def __init__(self, model: Model, span: tuple[float, float], times: Floats, options: dict[str, Any]) -> None:
        self.model, self.span, self.times, self.options = model, span, times, options
        self.lanes: Lanes | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "lanes": None}  # machine code: a worker makes its own

    @property
    def blind(self) -> bool:
        """Whether native code here does not look for Ctrl-C itself, so that another thread has to wait for it."""
        return self.lanes is not None

    @property
    def native(self) -> bool:
        """Whether the loop over trajectories can be native: the same arguments of the kernel fit all of them."""
        ready = prepared(self.model)
        one = type(ready.integrator) is Integrator and not ready.functions.n_gaps
        return one and is_method(self.options["method"])

    def check(self, u0: Floats, p: Floats) -> None:
        """Raise what is wrong with the options, before any work; all `u0` (B, n), one `p`."""
        if self.options["method"] in SUNDIALS:
            return
        check_method(self.options["method"])
        if "dt" in self.options and not is_fixed(self.options["method"]):
            raise InputError(f'method="{self.options["method"]}" chooses its steps; give dt0 or dtmax in place of dt')
        given = self.for_kernel(u0)
        integrator = prepared(self.model).integrator
        if not isinstance(integrator, Integrator):
            integrator.choice(self.options["method"])
            return
        integrator.arguments(u0[0], p, *self.span, **given)

    def for_kernel(self, u0: Floats) -> dict[str, Any]:
        """The options as `Integrator.arguments` takes them: names as indices, times checked."""
        ready, options = prepared(self.model), {"by_tolerance": True, **self.options}
        smallest = np.nanmin(np.abs(u0), axis=0) if not ready.algebraic else np.ones(len(ready.states))
        options["rtol"], options["atol"] = tolerances(
            options["rtol"], options["atol"], ready.tolerance, ready.states, smallest
        )
        for name, least in (("dtmax", {"infinite": True}), ("dtmin", {"zero": True}), ("dt0", {}), ("dt", {})):
            if name in options:
                options[name] = checked_number(options[name], name, **least)
        if "max_steps" in options:
            options["max_steps"] = steps(options["max_steps"])
        for name, known in (("tstops", "tstops"), ("d_discontinuities", "restarts")):
            if name in options:
                options[known] = ordered(options.pop(name), *self.span, name, sort=True)
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
            integrator = integrator.plain
            self.lanes = lanes(integrator, u0[0], p, *self.span, self.for_kernel(u0))

    def run(self, batch: Batch, u0: Floats, p: Floats, stop: Stop) -> None:
        """Integrate from every row of `u0` and `p` into `batch`."""
        if self.lanes is not None:
            self.lanes.integrate_into(batch, u0, p, self.times, stop.flag)
            return
        if self.native:
            integrator = prepared(self.model).integrator
            assert isinstance(integrator, Integrator)
            integrator = integrator.plain
            if self.model.inputs:  # all rows hold the same tables
                at = self.model.system.tables_at
                p = p.copy()
                p[:, at:] = integrator.one_sided(p[0], *self.span)[at:]
            options = self.for_kernel(u0) | {"watcher": stop}
            integrate_into(batch, integrator, u0, p, *self.span, self.times, stop.flag, **options)
            return
        watched: dict[str, Any] = {}
        if self.options["method"] not in SUNDIALS:
            watched["progress"] = lambda state: bool(stop.flag[0])
        for i in range(len(u0)):
            if stop.flag[0]:
                return
            try:
                found = solve(self.model, self.span, u0[i], p[i], saveat=self.times, **watched, **self.options)
            except InconsistentError:  # this start contradicts the algebraic equations; the others may not
                batch.status[i], batch.t_end[i], batch.u_end[i] = Status.INCONSISTENT, self.span[0], u0[i]
            else:
                batch.put(i, found.trajectory, self.times)


def _threads(asked: int | None) -> int:
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise InputError(f"threads: expected a positive number, got {asked!r}")
    return int(asked)


def _workers(executor: Any) -> int:
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise InputError(
            "executor: expected something with `submit`, such as concurrent.futures.ProcessPoolExecutor() "
            f"or a dask Client; got {executor!r}"
        )
    if callable(getattr(executor, "nthreads", None)):  # a dask Client: {worker: threads}
        return max(1, sum(executor.nthreads().values()))
    return int(getattr(executor, "_max_workers", None) or os.cpu_count() or 1)


def _parameters(
    ready: Prepared, given: Given, weights: Mapping[str, Any] | None, inputs: Any, size: int
) -> Floats:
    """Parameters, network weights and tables of inputs (B, ...); NaN and infinities of single trajectories stay."""
    p = np.tile(ready.p(given.finite(), weights, inputs), (size, 1))
    count = len(ready.parameters)
    if given.rows is not None:
        p[:, :count] = given.rows
    for name, column in (given.columns or {}).items():
        p[:, _place(name, ready.parameter_index, "parameter")] = column
    return p


def _initial(ready: Prepared, given: Given, p: Floats, t0: float, size: int) -> Floats:
    """Initial values (B, n)."""
    n = len(ready.states)
    if given.rows is not None:
        u0 = np.array(np.broadcast_to(given.rows, (size, n)))
    elif ready.constant_initial:
        u0 = np.tile(ready.u0(given.finite(), p[0], t0), (size, 1))
    else:
        finite = np.isfinite(p).all(axis=1)
        ready.u0(given.finite(), p[int(finite.argmax())], t0)  # says what is missing
        u0 = np.array([ready.initial(row, t0)[0] for row in p])
    for name, column in (given.columns or {}).items():
        u0[:, _place(name, ready.state_index, "state")] = column
    return u0


def _invalid(ready: Prepared, u0: Floats, p: Floats) -> dict[int, str]:
    """Trajectories that cannot begin, as a number of theirs is NaN or infinite, and why."""
    unknown = np.isnan(u0) if ready.algebraic else False  # computed from the algebraic equations
    found: dict[int, str] = {}
    for values, names, what in (
        (p[:, : len(ready.parameters)], ready.parameters, "the parameter `{}`"),
        (np.where(unknown, 0.0, u0), ready.states, "the initial value of `{}`"),
    ):
        for i, j in np.argwhere(~np.isfinite(values)).tolist():
            words = f"trajectory {i}: {what.format(names[j])} is {values[i, j]}; it must be a finite number"
            found.setdefault(i, words)
    return found


def _spread(
    batch: Batch, chosen: Any, size: int, u0: Floats, t0: float, lost: dict[int, str], invalid: dict[int, str]
) -> tuple[Batch, dict[int, str]]:
    """The batch of the chosen trajectories among all, the others failed at the start; why, by number."""
    whole = Batch.empty(size, batch.u.shape[1], batch.u.shape[2])
    whole.status[:], whole.t_end[:], whole.u_end[:] = Status.NONFINITE, t0, u0
    for mine, theirs in zip(whole, batch, strict=True):
        mine[chosen] = theirs
    return whole, {int(chosen[i]): why for i, why in lost.items()} | invalid


_OPTIONS = (
    "max_steps", "dtmax", "dtmin", "dt0", "dt", "tstops", "d_discontinuities", "positive", "controller",
    "linear_solver", "dtype", "initialization",
)  # fmt: skip


def _check_names(options: Mapping[str, Any]) -> None:
    """Raise for options of `solve` that an ensemble has not."""
    for name, value in options.items():
        if name == "sensitivities":
            if value not in (None, False):
                raise InputError("an ensemble has no sensitivities; solve its trajectories one by one for them")
        elif name in ("u0", "p", "weights", "inputs"):
            raise InputError(f"{name} belongs to the ensemble: m.ensemble({name}=...).solve(...)")
        else:
            check_names((name,), _OPTIONS, "the solve of an ensemble")


def _check_size(size: int, numbers: int, what: str) -> None:
    """Raise where `numbers` for each trajectory would not fit into the memory of this machine."""
    wanted = 8 * size * numbers
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 1 << 40
    if 2 * wanted > memory:  # there are copies on the way
        raise InputError(
            f"{size:,} trajectories with {what} are {wanted / 2**30:,.0f} GiB, too much for the memory of this machine "
            f"({memory / 2**30:,.0f} GiB); ask for fewer output times (saveat), or solve the ensemble in parts"
        )


def _place(name: str, index: Mapping[str, int], kind: str) -> int:
    if name not in index:
        raise UnknownNameError(unknown(name, tuple(index), kind))
    return index[name]
