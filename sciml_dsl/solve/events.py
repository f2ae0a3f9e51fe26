"""Events inside the kernel: finding the first root in a step, firing, timed events, switches.

`roots` gives for every `when` event a root function g and, behind them, whether its
condition holds (1 or 0).  A `when` event fires where its condition turns true: it is armed
once the condition has been seen false, fires at the first time at which it is true, and
must be false again before it can fire again.  So nothing fires twice at the same root, and
a condition that is already true at the start does not fire.  State changes can make further
conditions true; these fire at once.  Events due at the same time go in order of definition,
each seeing the state the one before it left.

A switch is a condition in the equations themselves, whose value stands in `p` as a mode
while steps are made; it "fires" where the mode and the condition no longer agree, and
changes the mode instead of the state (`graph.switching`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner
from .dense import evaluate_step
from .forward import event_shift, jump
from .slots import (
    KIND_AT,
    KIND_EVERY,
    KIND_SWITCH,
    KIND_WHEN,
    RULE_BITS,
    RULE_SIGN,
    RULE_TRUTH,
    RULE_UP,
)

# What is known of a root function: its condition held when last seen; it did not, so that it may fire;
# its event has just put it on the edge, from where it leads away.
WAITING, ARMED, LEAVING = range(3)
STUCK = 2  # of `fired`
DONE = -1  # of `due`, while events fire

SAMPLES = 5  # parts of a step in which sign changes are looked for; of interpolants above degree four, twice the degree
ROUNDS = 20  # rounds of events making further events true at one time
NOISE = 1e-10  # right after its event, a root function this small against the last step is on the edge
CLOSE = 1e-10  # root events closer than this (relative to time) count towards chattering
CLOSE_LIMIT = 5

CONTINUE = 0
TERMINATE = 1
CHATTERING = 2
NOT_FINITE = 3


@inner(inline=True)
def same_time(a: float, b: float) -> bool:
    """Whether two times differ by rounding only."""
    return a == b or abs(a - b) < 1.8e-15 * max(abs(a), abs(b))


@inner(inline=True)
def beside(t: float, towards: float) -> float:
    """A time just beside `t`, further away than what counts as the same time.

    Conditions in time alone are sure to have turned there, whatever their own rounding.
    """
    near = t + 2e-15 * abs(t) if towards > t else t - 2e-15 * abs(t)
    return near if near != t else np.nextafter(t, towards)


@inner()
def locate(
    roots: int, t: float, h: float, p: Any, poly: Any, which: int,
    a: float, ga: float, b: float, gb: float, u: Any, g: Any,
) -> float:  # fmt: skip
    """Theta in (a, b] where condition `which` turns true, to the resolution of time.

    It must be false at a and true at b; root functions that jump or are zero on an interval
    are no obstacle, because the condition itself decides.  The ITP method: I. F. D. Oliveira &
    R. H. C. Takahashi, ACM Transactions on Mathematical Software 47 (2020) 5: never slower
    than bisection, superlinear on smooth functions.  Returns the end of the bracket where it is true.
    """
    count = g.size // 2
    tolerance = max(2.3e-16, 2.3e-16 * abs(t) / abs(h))
    k1 = 0.2 / (b - a)
    limit = np.ceil(np.log2(max(1.0, (b - a) / (2.0 * tolerance)))) + 1.0
    iteration = 0
    while b - a > 2.0 * tolerance and iteration < 200:
        middle = 0.5 * (a + b)
        radius = max(0.0, tolerance * 2.0 ** (limit - iteration) - 0.5 * (b - a))
        width = k1 * (b - a) ** 2
        falsi = (gb * a - ga * b) / (gb - ga)
        if not a <= falsi <= b:
            falsi = middle
        sigma = 1.0 if middle >= falsi else -1.0
        trial = falsi + sigma * width if width <= abs(middle - falsi) else middle
        x = trial if abs(trial - middle) <= radius else middle - sigma * radius
        if not a < x < b:
            x = middle
            if not a < x < b:
                break
        evaluate_step(poly, x, u)
        call(roots, t + x * h, u, p, g, 0)
        if g[count + which] == 0.0:
            a = x
            ga = g[which]
        else:
            b = x
            gb = g[which]
        iteration += 1
    return b


@inner()
def escape(
    roots: int, t: float, h: float, p: Any, poly: Any, which: int, a: float, b: float, u: Any, g: Any
) -> float:
    """Theta in (a, b) at which condition `which` is false, where its root function is smallest; 2.0 if there is none.

    For excursions shorter than the samples: bounces that end within the first part of a step.
    """
    count = g.size // 2
    for _ in range(90):  # by thirds: the function falls, then rises
        third = (b - a) / 3.0
        left, right = a + third, b - third
        if not a < left < right < b:
            break
        evaluate_step(poly, left, u)
        call(roots, t + left * h, u, p, g, 0)
        at_left = g[which]
        if g[count + which] == 0.0:
            return left
        evaluate_step(poly, right, u)
        call(roots, t + right * h, u, p, g, 0)
        if g[count + which] == 0.0:
            return right
        if g[which] < at_left:
            a = left
        else:
            b = right
    return 2.0


@inner()
def settle(
    roots: int, info: Any, side: float, delta: float, u: Any, slope: Any, p: Any, armed: Any, last: Any, scale: Any,
    point: Any, g: Any,
) -> bool:  # fmt: skip
    """Decide what comes of events that left their own condition true but on the edge; True where one is pressed.

    The direction decides, not the size.  Where the root function rose before the event and
    does not after it, the event leads away (`LEAVING`): should the function rise again without the
    condition having been false, the event had no effect (`STUCK`).  Where it still rises, the
    condition simply stays true; unless the event has put itself there, as `when x <= 0:
    x = 0` does with x pressed downwards: that would fire without end.
    """
    count = armed.size
    r = 0
    for k in range(info.size // 2):
        if info[2 * k] == KIND_WHEN or info[2 * k] == KIND_SWITCH:
            if scale[r] >= 0.0 and last[count + r] != 0.0 and armed[r] == WAITING and abs(last[r]) <= scale[r]:
                for i in range(u.size):
                    point[i] = u[i] + delta * slope[i]
                call(roots, side + delta, point, p, g, 0)
                if g[r] <= last[r]:
                    armed[r] = LEAVING
                elif info[2 * k] == KIND_WHEN and info[2 * k + 1] & 2 != 0:
                    return True
            r += 1
    return False


@inner()
def first_root(
    roots: int, t: float, h: float, p: Any, poly: Any, armed: Any, last: Any, scale: Any, u: Any, g: Any, fired: Any
) -> float:
    """First theta in [0, 1] at which an armed condition turns true; 2.0 if none.

    `last` (2 n_roots) holds the outputs of `roots` at theta = 0 and is moved along; `armed` is
    updated; `scale` gets the largest size seen; `fired` gets 1 for each root reached there, 2
    for one that should have led away from its edge and did not.
    """
    count = armed.size
    for r in range(count):
        scale[r] = abs(last[r])
    found = 2.0
    left = 0.0
    before = 0.0  # the sample before `left`
    samples = SAMPLES if poly.shape[0] == 5 else 2 * (poly.shape[0] - 1)
    for sample in range(1, samples + 1):
        right = sample / samples
        evaluate_step(poly, right, u)
        call(roots, t + right * h, u, p, g, 0)
        crossing = False
        for r in range(count):
            fired[r] = 0
            scale[r] = max(scale[r], abs(g[r]))
            if g[count + r] != 0.0 and (armed[r] == ARMED or (armed[r] == LEAVING and g[r] > last[r])):
                crossing = True
        if crossing:
            here = g.copy()
            place = np.empty(count)
            what = np.ones(count, np.int64)
            for r in range(count):
                place[r] = 2.0
                if here[count + r] == 0.0:
                    continue
                if armed[r] == ARMED:
                    if last[r] == last[r]:
                        place[r] = locate(roots, t, h, p, poly, r, left, last[r], right, here[r], u, g)
                    else:  # the value was NaN at the last sample
                        place[r] = right
                elif armed[r] == LEAVING and here[r] > last[r]:
                    away = escape(roots, t, h, p, poly, r, before, right, u, g)
                    if away < 2.0:
                        place[r] = locate(roots, t, h, p, poly, r, away, g[r], right, here[r], u, g)
                    else:
                        place[r] = left
                        what[r] = STUCK
                found = min(found, place[r])
            for r in range(count):
                if place[r] <= 1.0 and same_time(t + place[r] * h, t + found * h):
                    fired[r] = what[r]
                    armed[r] = WAITING
            return found
        for r in range(count):
            last[r] = g[r]
            last[count + r] = g[count + r]
            if g[count + r] == 0.0 and g[r] == g[r]:
                armed[r] = ARMED
        before = left
        left = right
    return found


@inner()
def turned(
    roots: int, info: Any, side: float, u: Any, p: Any, armed: Any, last: Any, g: Any, due: Any, timed: bool
) -> bool:
    """Mark in `due` what has turned true across a stop, by time alone; `side` is just behind the stop.

    Where events at given times are due (`timed`), `when` events wait for what these make of the state.
    """
    count = armed.size
    any_due = False
    call(roots, side, u, p, g, 0)
    r = 0
    for k in range(info.size // 2):
        if info[2 * k] == KIND_WHEN or info[2 * k] == KIND_SWITCH:
            if g[count + r] == 0.0:
                if g[r] == g[r]:
                    armed[r] = ARMED
            elif armed[r] == ARMED and (not timed or info[2 * k] == KIND_SWITCH):
                armed[r] = WAITING
                due[k] = 1
                any_due = True
            last[r] = g[r]
            last[count + r] = g[count + r]
            r += 1
    return any_due


@inner()
def change_mode(flags: int, p: Any) -> None:
    """What a switch does: the other value of its mode."""
    at = flags >> RULE_BITS
    rule = flags & 3
    if rule == RULE_TRUTH:
        p[at] = 1.0 - p[at]
    elif rule == RULE_SIGN:
        p[at] = -p[at]
    elif rule == RULE_UP:
        p[at] += 1.0
    else:
        p[at] -= 1.0


@inner()
def fire(
    fn: Any,
    head: int,
    info: Any,
    due: Any,
    armed: Any,
    last: Any,
    scale: Any,
    t: float,
    side: float,
    delta: float,
    u: Any,
    p: Any,
    g: Any,
    columns: Any,
    s: Any,
    buffer: Any,
    before: Any,
    after: Any,
    shift: Any,
    work: Any,
    log_t: Any,
    log_k: Any,
    logged: int,
) -> Any:
    """Apply every event in `due`, and those whose condition they turn true, to `u` and `s`.

    `side` is the time at which conditions are looked at: just behind `t` where something turns
    by time alone; `delta` a time short against the last step.  `scale` is left with the size below
    which a root function counts as on the edge, negative for events that did not fire or
    whose root function did not rise when they did.  Events that others turn
    true have no time of their own: it moves with that of the event before.
    The two events of `x == 0` do not turn each other true: right after a crossing, the other way is not seen yet.
    The log must have room for ROUNDS entries of each event.  Returns (code, logged).
    """
    n = u.size
    count = due.size
    n_roots = armed.size
    code = CONTINUE
    if n_roots > 0:
        call(fn[5], side, u, p, last, 0)
        call(fn[0], t, u, p, before, 0)
        for i in range(n):
            after[i] = u[i] + delta * before[i]
        call(fn[5], side + delta, after, p, g, 0)
        r = 0
        for k in range(count):
            if info[2 * k] == KIND_WHEN or info[2 * k] == KIND_SWITCH:
                rose = due[k] != 0 and g[r] > last[r]
                scale[r] = max(NOISE * abs(scale[r]), 4.0 * abs(last[r])) if rose else -1.0
                r += 1
    for number in range(ROUNDS):
        acted = False
        for k in range(count):
            if due[k] <= 0:
                continue
            due[k] = DONE
            acted = True
            switch = info[2 * k] == KIND_SWITCH
            if columns.size > 0:
                call(fn[0], t, u, p, before, 0)
                call(fn[head + count + k], t, u, p, buffer, 0)
                if number == 0:
                    event_shift(buffer, n, columns, before, s, shift)
                if switch:
                    change_mode(info[2 * k + 1], p)
                for i in range(n):
                    u[i] = buffer[i]
                call(fn[0], t, u, p, after, 0)
                jump(buffer, n, columns, before, after, s, shift, work)
                for i in range(s.size):
                    if not np.isfinite(s[i]):
                        code = NOT_FINITE
            elif switch:
                change_mode(info[2 * k + 1], p)
            else:
                call(fn[head + k], t, u, p, work, 0)
                for i in range(n):
                    u[i] = work[i]
            for i in range(n):
                if not np.isfinite(u[i]):
                    code = NOT_FINITE
            if not switch:
                log_t[logged] = t
                log_k[logged] = k
                logged += 1
                if info[2 * k + 1] & 1 != 0 and code == CONTINUE:
                    code = TERMINATE
        if not acted or code != CONTINUE:
            for k in range(count):
                due[k] = 0
            return code, logged
        if n_roots > 0:
            call(fn[5], side, u, p, g, 0)
            r = 0
            for k in range(count):
                if info[2 * k] == KIND_WHEN or info[2 * k] == KIND_SWITCH:
                    twin = 0
                    if info[2 * k] == KIND_WHEN:
                        twin = ((info[2 * k + 1] & 4) - (info[2 * k + 1] & 8) // 2) // 4
                    if g[n_roots + r] == 0.0:
                        if g[r] == g[r] and (twin == 0 or due[k + twin] != DONE):
                            armed[r] = ARMED
                    elif armed[r] == ARMED:
                        armed[r] = WAITING
                        due[k] = 1
                    elif armed[r] == LEAVING and g[r] > last[r]:
                        armed[r] = WAITING
                    last[r] = g[r]
                    last[n_roots + r] = g[n_roots + r]
                    r += 1
    for k in range(count):
        due[k] = 0
    return CHATTERING, logged


@inner()
def next_of_family(anchor: float, period: float, t: float, sign: float) -> float:
    """The next of the times anchor + k period behind `t`, in the direction of `sign`; infinite if there is none.

    A period of 0 means the anchor alone.  Periods below the resolution of time are passed over.
    """
    if not (np.isfinite(anchor) and np.isfinite(period)):
        return sign * np.inf
    if period == 0.0:
        return anchor if sign * (anchor - t) > 0.0 and not same_time(anchor, t) else sign * np.inf
    period = abs(period)
    if period < 1e-13 * max(abs(t), abs(anchor)):
        return sign * np.inf
    number = sign * np.floor(sign * (t - anchor) / period)
    for _ in range(4):
        time = anchor + number * period
        if sign * (time - t) > 0.0 and not same_time(time, t):
            return time
        number += sign
    return sign * np.inf


@inner()
def next_times(info: Any, schedule: Any, t: float, upcoming: Any, count: Any) -> bool:
    """Set the first occurrence of each timed event at or after `t`; False if a schedule is invalid.

    `schedule` (4 numbers each): first time, period (0: once), last time, unused.  `upcoming`
    and `count` (n_timed) get the time and the number of the occurrence.
    """
    j = 0
    for k in range(info.size // 2):
        kind = info[2 * k]
        if kind not in (KIND_AT, KIND_EVERY):
            continue
        first = schedule[4 * j]
        period = schedule[4 * j + 1]
        if not (np.isfinite(first) and 0.0 <= period < np.inf) or (kind == KIND_EVERY and period == 0.0):
            return False
        number = 0
        if period > 0.0 and first < t:
            number = int(np.floor((t - first) / period))
            while first + number * period < t and not same_time(first + number * period, t):
                number += 1
        count[j] = number
        upcoming[j] = occurrence(schedule, j, number)
        if upcoming[j] < t and not same_time(upcoming[j], t):
            upcoming[j] = np.inf
        j += 1
    return True


@inner()
def occurrence(schedule: Any, j: int, number: int) -> float:
    """Time of one occurrence of a timed event, infinite after its last."""
    first = schedule[4 * j]
    period = schedule[4 * j + 1]
    if period == 0.0:
        return float(first) if number == 0 else np.inf
    time = first + number * period
    last = schedule[4 * j + 2]
    if time > last and not same_time(time, last):
        return np.inf
    return float(time)


@inner()
def collect_due(info: Any, schedule: Any, t: float, upcoming: Any, count: Any, due: Any) -> bool:
    """Mark in `due` the timed events of time `t` and move each to its next occurrence."""
    any_due = False
    j = 0
    for k in range(info.size // 2):
        if info[2 * k] == KIND_WHEN or info[2 * k] == KIND_SWITCH:
            continue
        if upcoming[j] <= t or same_time(upcoming[j], t):
            due[k] = 1
            any_due = True
            count[j] += 1
            upcoming[j] = occurrence(schedule, j, count[j])
        j += 1
    return any_due
