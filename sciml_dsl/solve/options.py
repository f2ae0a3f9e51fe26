"""The arguments of `solve` that are numbers and times, checked.

Takes what a user wrote; gives floats, integers and arrays the integrator can rely on, or
an `InputError` that names the argument, what it was and what it should be.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, suggest
from .integrate import EMPTY, vector
from .observe import in_order

Floats = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
FINEST = 10.0 * EPS
"""The smallest relative tolerance, but for 0: with less, rounding alone exceeds it."""
_NONE = 1e-290
"""What stands in for an absolute tolerance of 0, so that a state that stays at 0 has no error there."""
_MOST_STEPS = 1 << 62
_MOST_TIMES = 100_000_000
_NO_TIMES = (str, bytes, Mapping, set)


class Asked(NamedTuple):
    """What a solution's message may have to explain: the limits it was computed under."""

    rtol: float | Floats = 1e-6
    atol: float | Floats = 1e-9
    dtmin: float = 0.0


_ELSEWHERE = {
    "reltol": "rtol", "abstol": "atol", "tol": "rtol", "t_eval": "saveat", "save_at": "saveat", "ts": "saveat",
    "max_step": "dtmax", "hmax": "dtmax", "first_step": "dt0", "h0": "dt0", "tcrit": "tstops", "maxiters": "max_steps",
    "nsteps": "max_steps", "mxstep": "max_steps", "solver": "method", "alg": "method", "params": "p",
    "parameters": "p", "y0": "u0", "x0": "u0", "initial": "u0",
}  # fmt: skip
"""What other packages call an argument of `solve`."""


def arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of what a function takes by keyword, but for its first argument."""
    return tuple(inspect.signature(function).parameters)[1:]


def check_names(given: Iterable[str], known: Sequence[str], what: str) -> None:
    """Raise `InputError` for a keyword that `what` does not have, with the one that was meant."""
    for name in given:
        if name not in known:
            near = _ELSEWHERE.get(name.lower())
            hint = f"write {near}=" if near in known else suggest(name, known) or "it takes " + ", ".join(known)
            raise InputError(f"{what} has no argument `{name}`; {hint}")


def time_span(given: Any) -> tuple[float, float]:
    """`tspan` as two finite numbers."""
    try:
        if isinstance(given, (str, bytes)):
            raise TypeError
        t0, t1 = given
        t0, t1 = float(t0), float(t1)
    except (TypeError, ValueError) as error:
        raise InputError(f"the time span must be two numbers, (0, 10); got {given!r}") from error
    if not (math.isfinite(t0) and math.isfinite(t1)):
        raise InputError(f"the time span ({t0}, {t1}) must be finite")
    return t0, t1


def number(given: Any, name: str, *, zero: bool = False, infinite: bool = False) -> float:
    """`given` as a positive number; `zero` and `infinite` say whether it may be these as well."""
    try:
        if isinstance(given, (str, bytes, bool)):
            raise TypeError
        value = float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be a number, got {given!r}") from error
    if not (value > 0.0 or (zero and value == 0.0)) or (value == math.inf and not infinite):
        wanted = "0 or positive" if zero else "positive"
        raise InputError(f"{name} must be {wanted}{'' if infinite else ' and finite'}, got {value:g}")
    return value


def steps(given: Any) -> int:
    """`max_steps` as a positive integer; whole numbers written as floats (1e6) count."""
    whole = not isinstance(given, bool) and isinstance(given, (int, np.integer))
    if not whole and isinstance(given, (float, np.floating)) and math.isfinite(given) and float(given).is_integer():
        whole = True
    if not whole or int(given) < 1:
        raise InputError(f"max_steps must be a positive whole number, got {given!r}")
    if int(given) > _MOST_STEPS:
        raise InputError(f"max_steps may be {_MOST_STEPS:,} at most, got {given!r}")
    return int(given)


def tolerances(
    rtol: Any, atol: Any, by_name: Callable[[Any, float, str], Any], states: tuple[str, ...], u0: Floats
) -> tuple[float | Floats, float | Floats]:
    """Relative and absolute tolerances, each one number or one for each state.

    Arguments: `by_name` makes a vector of a mapping of states; `u0`, the initial values.
    """
    found: list[float | Floats] = []
    for name, given, default in (("rtol", rtol, 1e-6), ("atol", atol, 1e-9)):
        if isinstance(given, (str, bytes)) or given is None:
            raise InputError(f"{name} must be a number, one for each state, or a mapping of states, got {given!r}")
        values = vector(by_name(given, default, name) if isinstance(given, Mapping) else given, None, name)
        if values.size not in (1, len(states)):
            raise InputError(f"{name}: expected one number or {len(states)} (one for each state), got {values.size}")
        if not (np.all(np.isfinite(values)) and np.all(values >= 0.0)):
            raise InputError(f"{name} must be finite and not negative, got {given!r}")
        if name == "rtol" and np.any((values > 0.0) & (values < FINEST)):
            raise InputError(
                f"rtol = {values[(values > 0.0) & (values < FINEST)][0]:g} is below the rounding of double precision; "
                f"the smallest is {FINEST:.2g}, or 0 for absolute tolerances alone"
            )
        found.append(values if values.size > 1 else float(values[0]))
    absolute = np.broadcast_to(found[1], (len(states),))
    if not absolute.all():
        open_ones = (absolute == 0.0) & ((np.broadcast_to(found[0], absolute.shape) == 0.0) | (u0 == 0.0))
        if open_ones.any():
            i = int(np.flatnonzero(open_ones)[0])
            why = f"`{states[i]}` starts at 0" if u0[i] == 0.0 else "rtol is 0 too"
            raise InputError(f"atol = 0 leaves no tolerance at all for `{states[i]}`: {why}; give a positive atol")
        found[1] = np.where(absolute == 0.0, _NONE, absolute)
    return found[0], found[1]


def output_times(saveat: Any, t0: float, t1: float) -> Floats:
    """The times of output that `saveat` asks for: a spacing, or an ordered array inside the span."""
    scalar = type(saveat) is not list and (
        isinstance(saveat, (int, float)) or (not isinstance(saveat, _NO_TIMES) and np.ndim(saveat) == 0)
    )
    if scalar:
        spacing = number(saveat, "saveat: the spacing")
        count = math.floor(abs(t1 - t0) / spacing * (1.0 + 1e-12)) + 1
        if count > _MOST_TIMES:
            raise InputError(f"saveat: a spacing of {spacing:g} means {count:,} times; choose a larger one")
        times = t0 + math.copysign(spacing, t1 - t0) * np.arange(count, dtype=np.float64)
        if abs(times[-1] - t1) <= 1e-9 * spacing:
            times[-1] = t1
            return times
        return np.append(times, t1)
    return ordered(saveat, t0, t1, "saveat")


def at_ends(times: Floats, low: float, high: float) -> Floats:
    """`times` with those that lie outside [low, high] by rounding alone put on its ends."""
    slack = 4.0 * EPS * max(abs(low), abs(high))
    return np.where(
        (times < low) & (times >= low - slack), low, np.where((times > high) & (times <= high + slack), high, times)
    )


def ordered(given: Any, t0: float, t1: float, what: str, sort: bool = False) -> Floats:
    """Times of the argument `what`, in the order from t0 to t1 (`sort`: put in that order)."""
    if isinstance(given, _NO_TIMES):
        raise InputError(f"{what} must be numbers, such as [0, 0.5, 1], got {given!r}")
    times = vector(given, None, what)
    if times.size == 0:
        return EMPTY
    if not sort and in_order(times, t0, t1):
        return times
    if np.isnan(times).any():
        raise InputError(f"{what} contains NaN")
    backward = t1 < t0
    low, high = (t1, t0) if backward else (t0, t1)
    times = at_ends(times, low, high)
    if sort:
        times = np.unique(times)
        times = np.ascontiguousarray(times[::-1]) if backward else times
    elif not (np.diff(times) * (-1.0 if backward else 1.0) >= 0.0).all():
        if backward:
            raise InputError(
                f"{what} must be decreasing, as the span runs from {t0:g} down to {t1:g}; turn it round: {what}[::-1]"
            )
        raise InputError(f"{what} must be increasing; use numpy.sort")
    outside = times[~((times >= low) & (times <= high))]
    if outside.size:
        raise InputError(f"{what} has {outside[0]:.16g}, outside the time span ({t0:.16g}, {t1:.16g})")
    return times


def precision(given: Any) -> str:
    """`dtype` as "float64" or "float32"."""
    try:
        name = np.dtype(given).name if given is not None else ""
    except TypeError:
        name = ""
    if name not in ("float64", "float32"):
        raise InputError(f'dtype must be "float64" or "float32", got {given!r}')
    return name
