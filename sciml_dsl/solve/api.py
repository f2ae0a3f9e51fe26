"""`solve`: a model, a time span and options in, a `Solution` out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SolveInterrupted
from .integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory, nothing
from .methods import registry
from .methods.registry import Controller, is_taylor
from .options import FINEST, Asked, number, ordered, output_times, precision, steps, time_span, tolerances
from .prepare import Given, Prepared, prepared
from .solution import Solution
from .status import Status
from .sundials import METHODS as SUNDIALS
from .watching import Report, Watcher

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]
_NO_SERIES = (int(Status.NONFINITE), int(Status.DT_TOO_SMALL))  # how a run ends where the solution has no power series
_DENSE_STATES = 200  # with more, interpolants are made when `sol(t)` asks for them: they are five times the output,
# and so are those that cost evaluations


def solve(
    model: Model,
    tspan: tuple[float, float],
    u0: Given = None,
    p: Given = None,
    method: str = "auto",
    rtol: float | Sequence[float] | Mapping[str, float] = 1e-6,
    atol: float | Sequence[float] | Mapping[str, float] = 1e-9,
    saveat: float | Sequence[float] | Floats | None = None,
    *,
    max_steps: int = 100_000,
    dtmax: float = math.inf,
    dtmin: float = 0.0,
    dt0: float | None = None,
    dt: float | None = None,
    tstops: Sequence[float] | Floats | None = None,
    d_discontinuities: Sequence[float] | Floats | None = None,
    positive: bool | str | Sequence[str] = False,
    controller: str | Controller | None = None,
    progress: bool | Report = False,
    dtype: Any = "float64",
    sensitivities: bool | str | Sequence[str] | None = None,
    weights: Mapping[str, Any] | None = None,
    linear_solver: str = "auto",
    inputs: Any = None,
    initialization: str = "check",
) -> Solution:
    """Integrate a model from `tspan[0]` to `tspan[1]` (which may lie before it).

    Arguments
    ---------
    u0, p : initial values and parameters: a mapping of some names to numbers, the others keep
        the model's own; or all of them in the model's order.
    method : "auto" chooses by tolerance and changes to an implicit method and back as stiffness
        comes and goes; or a name from `sciml_dsl.solve.methods.registry.METHODS`.
        "cvode_bdf", "cvode_adams" and "ida" are SUNDIALS' (extra `sundials`).
    rtol, atol : tolerances of the local error: one number, one for each state, or a mapping
        of some states to numbers (the others keep 1e-6 and 1e-9).  One of the two may be 0.
    saveat : times of output, a spacing (the end is always included) or an ordered array
        inside the span; None: every step.  At an event's time the value after the event.
    max_steps : attempted steps before giving up (with SUNDIALS' methods: steps taken).
    dtmax, dtmin : largest and smallest step; a step that would have to be smaller ends the
        integration with `DT_TOO_SMALL`.
    dt0 : first step; None: chosen.
    dt : the step of methods that estimate no error ("rk4", "euler", symplectic ones).
    tstops : times to step on exactly; the right-hand side may jump there.
    d_discontinuities : the same, and the step size is chosen anew behind each.
    positive : states kept from falling below zero: True for all, or names.  A step that ends
        below zero by more than `atol` is rejected, one by less is set to zero there.
        L. F. Shampine, S. Thompson, J. A. Kierzenka & G. D. Byrne, Non-negative solutions of
        ODEs, Applied Mathematics and Computation 170 (2005) 556-569.
    controller : of the step size, in place of the method's own: "i", "pi", "pid", or a `Controller`.
    progress : True shows a bar once an integration takes longer than half a second; a callable
        gets a dict (see docs/design.md), and stops the integration by returning True.
    dtype : "float32", also `numpy.float32`, gives results in single precision (half the memory); steps are taken
        in double precision all the same.
    sensitivities : names of parameters and initial values (`"x(0)"`), or True for all
        parameters: the solution then has `sensitivities` (T, n, m).  Exact derivatives of
        the steps taken; step sizes are controlled by the states alone.
    weights : flat weights by network name, in place of the model's.
    linear_solver : of implicit methods: "dense", "banded", "sparse" or "krylov"; "auto" chooses
        from the number of states and the pattern of the Jacobian.
    inputs : data of the model's inputs: a table with a column `t` and a column for each, or
        a mapping from inputs to (times, values), in place of those kept with the model.
        The solver steps on their jumps and kinks.
    initialization : of models with equations `0 = ...`: "check" refuses initial values that contradict
        them; "project" moves the states to the nearest values that fit.

    Returns
    -------
    Solution.  A failed integration is no exception: look at `success` and `message`.

    Raises
    ------
    UnknownNameError, MissingValueError, InputError : arguments that do not fit the model.
    SolveInterrupted : Ctrl-C (it is a KeyboardInterrupt); its `solution` is what was computed.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 0.5")
    >>> sol = solve(m, (0, 2), p={"k": 1.0}, saveat=[1, 2], rtol=1e-9, atol=1e-12)
    >>> [round(float(x), 6) for x in sol["x"]]
    [0.367879, 0.135335]
    """
    ready = prepared(model)
    t0, t1 = time_span(tspan)
    values = ready.p(p, weights, inputs)
    ready.check_span(values, t0, t1)
    start = ready.u0(u0, values, t0)
    times = EMPTY if saveat is None else output_times(saveat, t0, t1)
    if (
        method not in SUNDIALS and type(rtol) is float and type(atol) is float
        and FINEST <= rtol < math.inf and 0.0 < atol < math.inf and type(max_steps) is int and 0 < max_steps < 1 << 62
        and tstops is None and dt0 is None and dt is None and sensitivities is None and d_discontinuities is None
        and controller is None and positive is False and progress is False and dtmin == 0.0 and dtmax == math.inf
        and dtype == "float64" and initialization == "check" and isinstance(ready.integrator, Integrator)
    ):  # fmt: skip
        plain = (method, rtol, atol, max_steps, linear_solver)
        return _plainly(ready, ready.integrator, start, values, t0, t1, times, saveat is None, plain)
    max_steps = steps(max_steps)
    dtmax, dtmin = number(dtmax, "dtmax", infinite=True), number(dtmin, "dtmin", zero=True)
    first_step = 0.0 if dt0 is None else number(dt0, "dt0")
    relative, absolute = tolerances(rtol, atol, ready.tolerance, ready.states, start)
    stops = EMPTY if tstops is None else ordered(tstops, t0, t1, "tstops", sort=True)
    restarts = EMPTY
    if d_discontinuities is not None:
        restarts = ordered(d_discontinuities, t0, t1, "d_discontinuities", sort=True)
    single = precision(dtype)
    if dt is not None:
        dt = number(dt, "dt")
        if not registry.is_fixed(method):
            raise InputError(
                f'dt is the step of methods that estimate no error, such as "rk4"; method="{method}" chooses its '
                "steps: give dt0 for the first one, dtmax for the largest"
            )
    if method in SUNDIALS:
        _not_for_sundials(
            method, model, sensitivities=sensitivities, dtmin=dtmin, dt=dt, positive=positive, controller=controller,
            progress=progress, dtype=dtype if single != "float64" else None,
            initialization=initialization if initialization != "check" and not model.spec.algebraic else None,
        )  # fmt: skip
        from .sundials.api import solve as by_sundials

        return by_sundials(
            ready, method, t0, t1, start, values, None if saveat is None else times, np.append(stops, restarts),
            rtol=relative, atol=absolute, max_steps=max_steps, dtmax=dtmax, dt0=first_step, linear_solver=linear_solver,
            initialization=initialization,
        )  # fmt: skip
    names: tuple[str, ...] = ()
    s0, columns = EMPTY, NO_COLUMNS
    integrator = ready.integrator
    if sensitivities is not None and sensitivities is not False:
        names, s0, columns = ready.columns(sensitivities, values, t0, u0)
        if names:
            integrator = ready.forward
    every_step = saveat is None
    options: dict[str, Any] = {
        "method": method,
        "rtol": relative,
        "atol": absolute,
        "tstops": stops,
        "max_steps": max_steps,
        "dt0": first_step,
        "dtmax": dtmax,
        "linear_solver": linear_solver,
        "by_tolerance": True,
    }
    if model.spec.algebraic:
        options["initialization"] = initialization
    elif initialization != "check":
        raise InputError("initialization is for models with algebraic equations; this one has none")
    choice = integrator.choice(method, Integrator.aim(relative, absolute), bool(names), linear_solver, True)
    kept = ready.kept_positive(positive, start) if positive is not False else ()
    if kept:
        options["positive"] = kept
    if dtmin != 0.0:
        options["dtmin"] = dtmin
    if dt is not None:
        options["dt"] = dt
    if restarts.size:
        options["restarts"] = restarts
    if controller is not None:
        options["controller"] = controller
    watcher = Watcher(progress, t0, t1) if progress is not False else None

    def named(trajectory: Trajectory, seconds: float) -> Solution:
        end = t1 if trajectory.status != Status.INTERRUPTED else trajectory.t_end
        return Solution(
            trajectory,
            ready.states,
            span=(t0, t1),
            u0=start,
            p=values,
            parameters=ready.parameters,
            observables=ready.observables,
            sensitivity_names=names,
            event_sources=ready.event_sources,
            event_words=ready.event_words,
            observe=ready.observe,
            densely=lambda: (integrator if not names else ready.integrator).run(
                start, values, t0, end, dense=True, **options
            ),
            refine=ready.refine,
            seconds=seconds,
            method=method,
            by_address=choice.by_address,
            positive=kept,
            dtype=single,
            arrays=ready.arrays,
            asked=Asked(relative, absolute, dtmin),
        )

    def run() -> Trajectory:
        return integrator.run(
            start,
            values,
            t0,
            t1,
            saveat=times,
            s0=s0,
            columns=columns,
            save_steps=every_step,
            dense=every_step and start.size <= _DENSE_STATES and choice.free_interpolant,
            watcher=watcher,
            **options,
        )

    began = perf_counter()
    try:
        trajectory = run()
        if trajectory.status in _NO_SERIES and choice.by_address[0] == "taylor" and not is_taylor(method):
            assert isinstance(integrator, Integrator)  # the series may not exist where the equations are finite
            integrator = integrator.plain
            choice = integrator.choice(method, Integrator.aim(relative, absolute), bool(names), linear_solver, True)
            trajectory = run()
    except SolveInterrupted as stop:
        raise _interruption(named(stop.solution, perf_counter() - began)) from None
    finally:
        if watcher is not None:
            watcher.close()
    return named(trajectory, perf_counter() - began)


def _not_for_sundials(method: str, model: Model, *, sensitivities: Any, **refused: Any) -> None:
    """Raise for what was asked of a SUNDIALS method and only our own do."""
    if sensitivities not in (None, False):
        raise InputError(f'method="{method}" carries no sensitivities; use "auto", "tsit5" or "rodas5p"')
    for name, value in refused.items():
        if value:
            raise InputError(f'method="{method}" takes no {name}; use one of the methods of this package')


def _plainly(
    ready: Prepared, integrator: Integrator, start: Floats, values: Floats, t0: float, t1: float, times: Floats,
    every_step: bool, options: tuple[str, float, float, int, str],
) -> Solution:  # fmt: skip
    """`solve` with nothing out of the ordinary: the same, with as little around the integration as possible."""
    key = (every_step, integrator.hot, integrator.series, options)
    kept = ready.again.get(key)
    if kept is None:
        if len(ready.again) > 100:  # ever new tolerances
            ready.again.clear()
        kept = ready.again[key] = _shared(ready, integrator, every_step, options)
    dense, shared, arguments = kept
    began = perf_counter()
    try:
        if arguments is not None:
            trajectory = integrator.call_again(arguments, start, values, t0, t1, times)
        else:
            trajectory = integrator.run_again(start, values, t0, t1, times, every_step, dense, *options)
            ready.again[key] = (dense, shared, integrator.kept_arguments(every_step, dense, *options))
        stopped = False
    except SolveInterrupted as stop:
        trajectory, stopped = stop.solution, True
    if trajectory.status in _NO_SERIES and shared.by_series and not is_taylor(options[0]):  # f may well be finite there
        return _plainly(ready, integrator.plain, start, values, t0, t1, times, every_step, options)
    found = Solution.alike(
        shared,
        trajectory,
        (t0, t1),
        start,
        values,
        perf_counter() - began,
        lambda: integrator.run_again(
            start, values, t0, trajectory.t_end if stopped else t1, EMPTY, False, True, *options
        ),
    )
    if stopped:
        raise _interruption(found)
    return found


def _shared(
    ready: Prepared, integrator: Integrator, every_step: bool, options: tuple[str, float, float, int, str]
) -> tuple[bool, Solution, list[Any] | None]:
    """(whether interpolants are kept, what solutions of such runs have in common, the kernel's arguments or None)."""
    method, rtol, atol, _, linear_solver = options
    choice = integrator.choice(method, rtol, False, linear_solver, True)
    n = len(ready.states)
    alike = Solution(
        nothing(n),
        ready.states,
        span=(0.0, 0.0),
        u0=EMPTY,
        p=EMPTY,
        parameters=ready.parameters,
        observables=ready.observables,
        event_sources=ready.event_sources,
        event_words=ready.event_words,
        observe=ready.observe,
        method=method,
        by_address=choice.by_address,
        arrays=ready.arrays,
        asked=Asked(rtol, atol),
    )
    return every_step and n <= _DENSE_STATES and choice.free_interpolant, alike, None


def _interruption(found: Solution) -> SolveInterrupted:
    return SolveInterrupted(f"{found.message}; what was computed is `solution` of this exception", found)
