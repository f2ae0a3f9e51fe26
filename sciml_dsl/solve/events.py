"""Events inside the kernel: finding the first root in a step, firing, and timed events.

A `when` event fires where its root function crosses from negative to positive:
it is armed once the function has been seen negative, fires at the first sample
where it is not, and must be seen negative again before it can fire again.  So
nothing fires twice at the same root, and a condition that is already true at
the start does not fire.  State changes can make further conditions true; these
fire at once.  Events due at the same time go in order of definition, each
seeing the state the one before it left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .call import call
from .compiled import inner
from .dense import evaluate_step
from .forward import jump

KIND_WHEN = 0
KIND_AT = 1
KIND_EVERY = 2

SAMPLES = 5  # parts of a step in which sign changes are looked for; of interpolants above degree four, twice the degree
ROUNDS = 20  # rounds of events making further events true at one time
NOISE = 1e-10  # right after an event, a root function this small against the last step is at its root
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


@inner()
def locate(
    roots: int, t: float, h: float, p: Any, poly: Any, which: int,
    a: float, ga: float, b: float, gb: float, u: Any, g: Any,
) -> float:  # fmt: skip
    """Theta in (a, b] where root function `which` reaches zero, to the resolution of time.

    Needs ga < 0 <= gb.  The ITP method: I. F. D. Oliveira & R. H. C. Takahashi, ACM
    Transactions on Mathematical Software 47 (2020) 5: never slower than bisection,
    superlinear on smooth functions.  Returns the end of the bracket where g >= 0.
    """
    tolerance = max(2.3e-16, 2.3e-16 * abs(t) / abs(h))
    k1 = 0.2 / (b - a)
    limit = np.ceil(np.log2(max(1.0, (b - a) / (2.0 * tolerance)))) + 1.0
    iteration = 0
    while b - a > 2.0 * tolerance and gb != 0.0 and iteration < 200:
        middle = 0.5 * (a + b)
        radius = max(0.0, tolerance * 2.0 ** (limit - iteration) - 0.5 * (b - a))
        width = k1 * (b - a) ** 2
        falsi = (gb * a - ga * b) / (gb - ga)
        sigma = 1.0 if middle >= falsi else -1.0
        trial = falsi + sigma * width if width <= abs(middle - falsi) else middle
        x = trial if abs(trial - middle) <= radius else middle - sigma * radius
        if not a < x < b:
            x = middle
            if not a < x < b:
                break
        evaluate_step(poly, x, u)
        call(roots, t + x * h, u, p, g, 0)
        gx = g[which]
        if gx < 0.0:
            a = x
            ga = gx
        else:
            b = x
            gb = gx
        iteration += 1
    return b


@inner()
def pressed(
    roots: int, info: Any, t: float, delta: float, u: Any, slope: Any, p: Any, armed: Any, last: Any, scale: Any,
    point: Any, g: Any,
) -> bool:  # fmt: skip
    """Does an event that has just put its own condition on the edge turn true again at once?

    `when x < 0: x = 0` with x pressed downwards would have to fire without end: the
    condition is never seen false again, so no later crossing would show it.
    """
    count = 0
    for k in range(info.size // 2):
        if info[2 * k] == KIND_WHEN:
            if info[2 * k + 1] & 2 != 0 and armed[count] == 0 and abs(last[count]) <= NOISE * scale[count]:
                for i in range(u.size):
                    point[i] = u[i] + delta * slope[i]
                call(roots, t + delta, point, p, g, 0)
                if g[count] > 0.0 and g[count] > abs(last[count]):
                    return True
            count += 1
    return False


@inner()
def first_root(
    roots: int, t: float, h: float, p: Any, poly: Any, armed: Any, last: Any, scale: Any, u: Any, g: Any, fired: Any
) -> float:
    """First theta in (0, 1] at which an armed root function turns non-negative; 2.0 if none.

    `last` (n_roots) holds the values at theta = 0 and is moved along; `armed` is
    updated; `scale` gets the largest size seen; `fired` gets 1 for each root reached there.
    """
    count = last.size
    for r in range(count):
        scale[r] = abs(last[r])
    found = 2.0
    left = 0.0
    samples = SAMPLES if poly.shape[0] == 5 else 2 * (poly.shape[0] - 1)
    for sample in range(1, samples + 1):
        right = sample / samples
        evaluate_step(poly, right, u)
        call(roots, t + right * h, u, p, g, 0)
        crossing = False
        for r in range(count):
            fired[r] = 0
            scale[r] = max(scale[r], abs(g[r]))
            if armed[r] == 1 and g[r] >= 0.0:
                crossing = True
        if crossing:
            here = g.copy()
            place = np.empty(count)
            for r in range(count):
                place[r] = 2.0
                if armed[r] == 1 and here[r] >= 0.0:
                    if last[r] < 0.0:
                        place[r] = locate(roots, t, h, p, poly, r, left, last[r], right, here[r], u, g)
                    else:  # the value was NaN at the last sample
                        place[r] = right
                    found = min(found, place[r])
            for r in range(count):
                if place[r] <= 1.0 and same_time(t + place[r] * h, t + found * h):
                    fired[r] = 1
                    armed[r] = 0
            return found
        for r in range(count):
            last[r] = g[r]
            if g[r] < 0.0:
                armed[r] = 1
        left = right
    return found


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
    u: Any,
    p: Any,
    g: Any,
    columns: Any,
    s: Any,
    buffer: Any,
    before: Any,
    after: Any,
    work: Any,
    log_t: Any,
    log_k: Any,
    logged: int,
) -> Any:
    """Apply every event in `due`, and those whose condition they turn true, to `u` and `s`.

    The log must have room for ROUNDS entries of each event.  Returns (code, logged).
    """
    n = u.size
    count = due.size
    code = CONTINUE
    for _ in range(ROUNDS):
        acted = False
        for k in range(count):
            if due[k] == 0:
                continue
            due[k] = 0
            acted = True
            if columns.size > 0:
                call(fn[0], t, u, p, before, 0)
                call(fn[head + count + k], t, u, p, buffer, 0)
                for i in range(n):
                    u[i] = buffer[i]
                call(fn[0], t, u, p, after, 0)
                jump(buffer, n, columns, before, after, s, work)
                for i in range(s.size):
                    if not np.isfinite(s[i]):
                        code = NOT_FINITE
            else:
                call(fn[head + k], t, u, p, work, 0)
                for i in range(n):
                    u[i] = work[i]
            for i in range(n):
                if not np.isfinite(u[i]):
                    code = NOT_FINITE
            log_t[logged] = t
            log_k[logged] = k
            logged += 1
            if info[2 * k + 1] & 1 != 0 and code == CONTINUE:
                code = TERMINATE
        if not acted or code != CONTINUE:
            return code, logged
        if last.size > 0:
            call(fn[5], t, u, p, g, 0)
            r = 0
            for k in range(count):
                if info[2 * k] == KIND_WHEN:
                    scale[r] = max(scale[r], abs(g[r]))
                    if g[r] < -NOISE * scale[r]:
                        armed[r] = 1
                    elif armed[r] == 1 and g[r] >= 0.0:
                        armed[r] = 0
                        due[k] = 1
                    last[r] = g[r]
                    r += 1
    return CHATTERING, logged


@inner()
def next_times(info: Any, schedule: Any, t: float, upcoming: Any, count: Any) -> bool:
    """Set the first occurrence of each timed event at or after `t`; False if a schedule is invalid.

    `schedule` (4 numbers each): first time, period (0: once), last time, unused.  `upcoming`
    and `count` (n_timed) get the time and the number of the occurrence.
    """
    j = 0
    for k in range(info.size // 2):
        kind = info[2 * k]
        if kind == KIND_WHEN:
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
        if info[2 * k] == KIND_WHEN:
            continue
        if upcoming[j] <= t or same_time(upcoming[j], t):
            due[k] = 1
            any_due = True
            count[j] += 1
            upcoming[j] = occurrence(schedule, j, count[j])
        j += 1
    return any_due
