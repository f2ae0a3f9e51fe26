"""`Solution`: a trajectory with the names of its model.

Takes a `Trajectory` of plain arrays; gives states and observables by name,
values between the steps, what the solver did, and what went wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UnknownNameError, suggest
from ..model.array_values import array_of, of_array
from ..model.spec import Array
from .dense import evaluate
from .integrate import Trajectory
from .options import EPS, Asked, at_ends
from .status import Status
from .sundials import METHODS as SUNDIALS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

STATS = (
    "steps",
    "rejected",
    "f_evaluations",
    "jacobian_evaluations",
    "factorisations",
    "switches",
    "tsit5_steps",
    "rodas5p_steps",
    "events",
)
_BY_ADDRESS = len(STATS)  # then: steps of the method by address and its partner, linear solves, Newton failures


class Solution:
    """What `solve` gives.

    Attributes
    ----------
    t : (T,) times of output.  Without `saveat` every accepted step, and an event's time twice
        (the states before and after it); with `saveat` the value at an event's time is the one
        after the event.  A failed or terminated integration ends early.
    u : (T, n) states.
    states, observables, parameters : names.
    arrays : the arrays of the model, with their bounds and places among states and observables.
    p : parameters, then network weights.
    sensitivities : (T, n, m) derivatives of the states by `sensitivity_names`, or None.

    `sol["x"]` is a state or observable at `t`; `sol(t)` interpolates with the method's own polynomials.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> sol = sd.model("x' = -x; x(0) = 1").solve((0, 1), rtol=1e-9, atol=1e-12)
    >>> round(float(sol(1.0)[0]), 6), sol.success
    (0.367879, True)
    """

    def __init__(
        self,
        trajectory: Trajectory,
        states: tuple[str, ...],
        *,
        span: tuple[float, float],
        u0: Floats,
        p: Floats,
        parameters: tuple[str, ...] = (),
        observables: tuple[str, ...] = (),
        sensitivity_names: tuple[str, ...] = (),
        event_sources: tuple[int, ...] = (),
        event_words: Callable[[float, Floats, Floats], list[str]] | None = None,
        observe: Callable[[Floats, Floats, Floats], Floats] | None = None,
        densely: Callable[[], Trajectory] | None = None,
        seconds: float = 0.0,
        method: str = "auto",
        refine: Callable[[Floats, Floats, Floats], Floats] | None = None,
        by_address: tuple[str, str] = ("", ""),
        positive: tuple[int, ...] = (),
        dtype: str = "float64",
        arrays: tuple[Array, ...] = (),
        asked: Asked | None = None,
    ) -> None:
        self.t = trajectory.t
        self.dtype = dtype
        if dtype != "float64":  # the doubles are not kept
            trajectory = trajectory._replace(u=trajectory.u.astype(dtype), s=trajectory.s.astype(dtype))
        self.u = trajectory.u
        self._p = p
        self.states = states
        self.parameters = parameters
        self.observables = observables
        self.sensitivity_names = sensitivity_names
        self.method = method
        self._by_address = by_address
        self._positive = positive
        self.arrays = arrays
        self._trajectory = trajectory
        self._span = span
        self._u0 = u0
        self._event_sources = event_sources
        self._event_words = event_words
        self._observe = observe
        self._densely = densely
        self._refine = refine
        self._asked = asked
        self._seconds = seconds
        self._observed: Floats | None = None

    @classmethod
    def alike(
        cls, other: Solution, trajectory: Trajectory, span: tuple[float, float], u0: Floats, p: Floats, seconds: float,
        densely: Callable[[], Trajectory],
    ) -> Solution:  # fmt: skip
        """One of the same model and options as `other`, whose numbers are these; for a small model this matters."""
        made = cls.__new__(cls)
        known = made.__dict__
        known.update(other.__dict__)
        known["t"], known["u"], known["_trajectory"] = trajectory.t, trajectory.u, trajectory
        known["_span"], known["_u0"], known["_p"], known["_seconds"] = span, u0, p, seconds
        known["_densely"] = densely
        return made

    @property
    def p(self) -> Floats:
        """Parameters in the model's order, then network weights (a copy)."""
        return self._p.copy()

    # ------------------------------------------------------------ how it ended

    @property
    def status(self) -> Status:
        """How the integration ended."""
        return Status(self._trajectory.status)

    @property
    def by_series(self) -> bool:
        """Whether the steps are those of a power series."""
        return self._by_address[0] == "taylor"

    @property
    def success(self) -> bool:
        """Whether the end, or a terminating event, was reached."""
        return self._trajectory.ok

    @property
    def trajectory(self) -> Trajectory:
        """The plain arrays behind this solution."""
        return self._trajectory

    @property
    def t_end(self) -> float:
        """Time that was reached."""
        return self._trajectory.t_end

    @property
    def stats(self) -> dict[str, Any]:
        """What the solver did: steps, evaluations, switches between methods, seconds."""
        numbers = [int(count) for count in self._trajectory.counts[: _BY_ADDRESS + 4]]
        counts: dict[str, Any] = dict(zip(STATS, numbers, strict=False))
        first, partner, solves, failures = (*numbers[_BY_ADDRESS:], 0, 0, 0, 0)[:4]  # an ensemble keeps fewer
        for name, steps in zip(self._by_address, (first, partner), strict=True):
            if name:
                counts[f"{name}_steps"] = steps
        if solves:
            counts |= {"linear_solves": solves, "newton_failures": failures}
        return {**counts, "seconds": self._seconds}

    @property
    def message(self) -> str:
        """How the integration ended, in words, with what to do about a failure."""
        status, at = self.status, f"t = {self.t_end:g}"
        if status == Status.SUCCESS:
            return f"reached t = {self._span[1]:g} in {self.stats['steps']} steps"
        if status == Status.TERMINATED:
            return f"ended by an event at {at}"
        below = [self.states[i] for i in self._positive if self._trajectory.u_end[i] < 0.0]
        if below and self._just_fired():
            return (
                f"{self._last_event()} takes `{below[0]}` below zero at {at}, where positive= keeps it; "
                f"let it stop at zero, {below[0]} = max(0, ...)"
            )
        pressed = [self.states[i] for i in self._positive if self._trajectory.u_end[i] == 0.0]
        if status in (Status.MAX_STEPS, Status.DT_TOO_SMALL) and pressed:
            return (
                f"stuck at {at}: the equations lead `{pressed[0]}` below zero, where positive= keeps it; "
                "correct the equations, or end the integration there with an event"
            )
        if status == Status.MAX_STEPS and 2 * len(self._trajectory.event_t) > self._attempts():
            return (
                f"gave up at {at} after max_steps = {self._attempts()} steps, of which "
                f"{len(self._trajectory.event_t)} ended at an event, the last of them {self._last_event()}; "
                "raise max_steps, or check how often it is meant to happen"
            )
        unreachable = self._unreachable() if status in (Status.MAX_STEPS, Status.DT_TOO_SMALL) else ""
        if unreachable:
            return f"stuck at {at} after {self._attempts()} steps: {unreachable}"
        if status == Status.MAX_STEPS:
            advice = (
                'the model may be stiff, use method="auto" or "rodas5p"'
                if self.method == "tsit5"
                else "raise max_steps, loosen rtol and atol, or look for fast oscillations"
            )
            return f"gave up at {at} after max_steps = {self._attempts()} steps; {advice}"
        if status == Status.UNSTABLE:
            return (
                f"the solution blows up at {at}: {self._growth()}; "
                "end the time span earlier, or check signs and parameters"
            )
        if status == Status.NONFINITE and self._just_fired() and not np.isfinite(self._trajectory.u_end).all():
            return (
                f"the state change of {self._last_event()} gives NaN or infinity at {at} "
                f"({self._where_not_finite()})"
            )
        if status == Status.NONFINITE and self.by_series and np.isfinite(self._trajectory.u_end).all():
            return (
                f"the power series of the solution does not exist at {at} ({self._where_not_finite()}), as where a "
                "root or a power has the argument 0; or the equations give NaN or infinity there: "
                'use method="auto" or "vern9"'
            )
        if status == Status.NONFINITE:
            return (
                f"the equations give NaN or infinity at {at} ({self._where_not_finite()}); "
                "look for a division by zero, a logarithm or root of a negative number"
            )
        if status == Status.DT_TOO_SMALL and self._asked is not None and self._asked.dtmin > 0.0:
            return (
                f"at {at} a step smaller than dtmin = {self._asked.dtmin:g} would be needed; lower dtmin, or loosen "
                "rtol and atol"
            )
        if status == Status.DT_TOO_SMALL:
            return (
                f"the step size became too small at {at}: {self._growth()}; the right-hand side may jump "
                "there (make it an event, or name the time in tstops), or the tolerances are out of reach"
            )
        if status == Status.INTERRUPTED:
            return f"interrupted at {at}"
        if self._trajectory.note:
            return self._trajectory.note
        if status == Status.INCONSISTENT:
            return (
                f"at {at} the algebraic equations have no solution, or no single one; look for an event that "
                "contradicts them, or for the point where they stop determining their unknowns"
            )
        if status == Status.EVENT_CHATTERING and not self._just_fired():
            return (
                f"a condition in the equations (a comparison, sign, floor or mod) turns back and forth at {at}: the "
                "solution slides along its boundary, where sensitivities by switching end; end the time span earlier, "
                "or smooth the condition"
            )
        if status == Status.EVENT_CHATTERING:
            return (
                f"an event fires again and again at {at} without time passing ({self._last_event()}); "
                "let its state change lead away from its condition, or end with `terminate`"
            )
        return self._invalid_events()

    def _invalid_events(self) -> str:
        general = "the time of an event is not a number, or the period of an `every` event is not positive"
        if self._event_words is None:
            return general
        words = self._event_words(self._span[0], self._u0, self._p)
        bad = [text for text in words if text.endswith(("no time", "no period"))]
        return "; ".join(bad) if bad else general

    def _just_fired(self) -> bool:
        """Was an event the last thing that happened?"""
        times = self._trajectory.event_t
        return bool(times.size) and bool(abs(times[-1] - self.t_end) <= 1e-12 * abs(self.t_end))

    def _attempts(self) -> int:
        rejected = 0 if self.method in SUNDIALS else self._trajectory.counts[1]  # which do not count steps they repeat
        return int(self._trajectory.counts[0] + rejected)

    def _unreachable(self) -> str:
        """Which tolerance lies below the rounding of its state, in words; empty for none."""
        if self._asked is None:
            return ""
        sizes = np.abs(self._trajectory.u_end)
        allowed = np.asarray(self._asked.atol) + np.asarray(self._asked.rtol) * sizes
        below = allowed < 4.0 * EPS * np.maximum(sizes, np.abs(self._u0))
        if not below.any():
            return ""
        i = int(np.argmax(below))
        return (
            f"the error allowed for `{self.states[i]}` ({np.broadcast_to(allowed, sizes.shape)[i]:.2g}) lies below its "
            "rounding in double precision; raise rtol or atol"
        )

    def _growth(self) -> str:
        start, end = np.abs(self._u0), np.abs(self._trajectory.u_end)
        ratio = np.where(np.isfinite(end), end, np.inf) / (1.0 + np.where(np.isfinite(start), start, 0.0))
        i = int(np.argmax(ratio))
        end_value = f"{self._trajectory.u_end[i]:.4g}"
        if math.isnan(self._u0[i]):  # computed from algebraic equations
            return f"`{self.states[i]}` is {end_value}"
        return f"`{self.states[i]}` went from {self._u0[i]:.4g} to {end_value}"

    def _where_not_finite(self) -> str:
        values = self._trajectory.u_end
        bad = [name for name, value in zip(self.states, values, strict=True) if not np.isfinite(value)]
        if bad:
            return "in " + ", ".join(f"`{name}`" for name in bad[:5])
        return ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.states[:4], values, strict=False)) + (
            ", ..." if len(self.states) > 4 else ""
        )

    def _last_event(self) -> str:
        if not self.events:
            return "an event"
        k = self.events[-1][1]
        if self._event_words is None:
            return f"event {k}"
        return self._event_words(self._span[0], self._u0, self._p)[k].partition(", first at ")[0]

    @property
    def events(self) -> list[tuple[float, int]]:
        """Events that fired: (time, number of the event in the order of definition, from 0; messages count alike)."""
        times, indices = self._trajectory.event_t.tolist(), self._trajectory.event_k.tolist()
        if self._event_sources:
            indices = [self._event_sources[k] for k in indices]
        return list(zip(times, indices, strict=True))

    # ------------------------------------------------------------ values

    @property
    def sensitivities(self) -> Floats | None:
        """(T, n, m) derivatives of the states by `sensitivity_names`; None when not asked for."""
        m = len(self.sensitivity_names)
        if m == 0:
            return None
        return self._trajectory.s.reshape(len(self.t), len(self.states), m)

    def __getitem__(self, name: str) -> Floats:
        """A state or observable at the times `t`, shape (T,); an array has (T, N) or (T, N, M); "t" is the times.

        Raises `UnknownNameError` for a name that is neither.
        """
        if not isinstance(name, str):
            raise InputError(f"sol[...] takes the name of a state or observable, got {name!r}; sol.to_pandas() has all")
        if name in self.states or array_of(self.arrays, name, "state"):
            return self._named(name, self.u, self.states, "state")
        if name in self.observables or array_of(self.arrays, name, "observable"):
            return self._named(name, self._all_observed(), self.observables, "observable")
        if name == "t":
            return self.t
        known = (*self.states, *self.observables)
        hint = suggest(str(name), known)
        raise UnknownNameError(
            f"the solution has no `{name}`; " + (hint or "it has " + ", ".join(f"`{k}`" for k in known[:20]))
        )

    def _named(self, name: str, values: Floats, names: tuple[str, ...], kind: str) -> Floats:
        """The column of a name, or the columns of an array."""
        array = array_of(self.arrays, name, kind)
        return values[:, names.index(name)] if array is None else of_array(array, values)

    def _all_observed(self) -> Floats:
        if self._observed is None:
            self._observed = self._observables(self.t, self.u)
        return self._observed

    def _observables(self, t: Floats, u: Floats) -> Floats:
        if self._observe is None:
            raise InputError("the observables of this solution cannot be evaluated away from its model")
        states = np.ascontiguousarray(u, dtype=np.float64)
        return self._observe(np.ascontiguousarray(t), states, self._p).astype(self.dtype, copy=False)

    def __call__(self, t: Any, name: str | None = None) -> Floats:
        """States at any time of the integrated range, by dense output.

        Arguments: `t`, a number or array (K,); `name`, only this state or observable.
        Returns (n,) for a number, (K, n) for an array; () and (K,) with `name`.  At an
        event's time the value after the event.  If steps were not stored (with `saveat`),
        the integration is repeated once to store them.

        Raises `InputError` outside the range, `UnknownNameError` for an unknown name.
        """
        try:
            times = np.asarray(t, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"sol(t) takes times, got {t!r}; a name comes second: sol(1.5, 'x')") from error
        first, last = self._span[0], self.t_end
        low, high = min(first, last), max(first, last)
        flat = at_ends(times.reshape(-1), low, high)
        if flat.size and not (flat.min() >= low and flat.max() <= high):
            raise InputError(
                f"the solution covers t = {low:.16g} .. {high:.16g}; it was asked at "
                f"{flat[np.argmax(~((flat >= low) & (flat <= high)))]:.16g}"
            )
        values = self._interpolated(flat)
        if name is not None:
            if name in self.states or array_of(self.arrays, name, "state"):
                values = self._named(name, values, self.states, "state")
            elif name in self.observables or array_of(self.arrays, name, "observable"):
                values = self._named(name, self._observables(flat, values), self.observables, "observable")
            else:
                self[name]
        shaped: Floats = values.reshape(times.shape + values.shape[1:])
        return shaped

    def _interpolated(self, times: Floats) -> Floats:
        trajectory = self._trajectory
        if trajectory.starts.size == 0 and trajectory.counts[0] > 0:
            if self._densely is None:
                raise InputError("the steps of this solution were not stored")
            dense = self._densely()
            trajectory = trajectory._replace(starts=dense.starts, lengths=dense.lengths, polys=dense.polys)
            self._trajectory = trajectory
        if trajectory.starts.size == 0:  # no time passed
            return np.repeat(trajectory.u_end[None, :], times.size, axis=0)
        values = evaluate(trajectory.starts, trajectory.lengths, trajectory.polys, times)
        if self._refine is not None:
            values = self._refine(np.ascontiguousarray(times), values, self._p)
        values[times == trajectory.t_end] = trajectory.u_end
        if self._positive:
            kept = list(self._positive)
            values[:, kept] = np.maximum(values[:, kept], 0.0)
        return values.astype(self.dtype, copy=False)

    # ------------------------------------------------------------ elsewhere

    def to_pandas(self) -> pd.DataFrame:
        """A table with column `t`, the states and the observables (of arrays, element by element)."""
        import pandas

        columns = [self.t[:, None], self.u]
        if self.observables:
            columns.append(self._all_observed())
        return pandas.DataFrame(np.hstack(columns), columns=["t", *self.states, *self.observables])

    def plot(self, names: Sequence[str] | str | None = None, **options: Any) -> Figure:
        """Draw the states, or `names`, against time; options as of `sciml_dsl.plot.solution`."""
        from ..plot import solution

        return solution(self, names, **options)

    def __getstate__(self) -> dict[str, Any]:
        if self.observables and self._observed is None and self._observe is not None:
            self._observed = self._observables(self.t, self.u)
        if self._densely is not None and len(self.t):
            self._interpolated(self.t[:0])
        return {**self.__dict__, "_observe": None, "_densely": None, "_refine": None, "_event_words": None}

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        names = ", ".join(self.states[:6]) + (", ..." if len(self.states) > 6 else "")
        return f"<Solution {self.status.name.lower()}: {names} at {len(self.t)} times; {self.message}>"
