"""Working memory and result arrays of the kernel, in groups that are passed on as wholes.

Shapes: n states, m sensitivity columns.  What an integration does not use has
size zero.  Result arrays can be replaced by larger ones, where the number of steps
is not known before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiled import inner


class Problem(NamedTuple):
    """What is integrated: the arguments of `kernel.integrate`."""

    fn: Any
    info: Any
    options: Any
    times: Any
    p: Any
    rtol: Any
    atol: Any
    control: Any  # (4, N_CONTROL)
    saveat: Any
    tstops: Any
    columns: Any


class Explicit(NamedTuple):
    """State and stages.  `k` holds the slope at (t, u) in row 0."""

    u: Any  # (n)
    unew: Any  # (n)
    g: Any  # (n) argument of a stage
    k: Any  # (9, n)
    poly: Any  # (degree + 1, n)


class Implicit(NamedTuple):
    """What Rosenbrock steps and the switch between methods need."""

    k: Any  # (8, n)
    ft: Any  # (n)
    jacobian: Any  # (n, n)
    w: Any  # (n, n)
    pivots: Any  # (n)
    vector: Any  # (n) power iteration
    work: Any  # (n)


class External(NamedTuple):
    """Methods by address; row or part 0 is the chosen one, 1 the one "auto" changes to."""

    reals: Any  # (2, N_REALS)
    ints: Any  # (2, N_INTS)
    work: Any
    iwork: Any
    starts: Any  # where the second one's part of work and iwork begins


class Columns(NamedTuple):
    """Forward sensitivities; matrices (n, m) are flat."""

    s: Any
    snew: Any
    gs: Any
    ks: Any  # (8, n m)
    spoly: Any  # (5, n m)
    buffer: Any  # f, df/du, df/dp
    start: Any  # the same at (t, u)
    second: Any  # directional derivatives of df/du, df/dp
    direction: Any  # (n + 1)


class Events(NamedTuple):
    """State of the events."""

    due: Any
    armed: Any
    fired: Any
    roots: Any  # values at t, then whether the conditions hold
    roots_work: Any
    scale: Any  # largest size of each root function in the last step, see `fire`
    schedule: Any
    upcoming: Any
    occurrences: Any
    jump: Any
    before: Any
    after: Any
    shift: Any  # (m) how the time of an event moves
    families: Any  # (2 F) anchor and period of the times at which the equations turn by themselves
    log_t: Any
    log_k: Any


class Output(NamedTuple):
    """Results; `t`, `u`, `s` in rows, the others by step."""

    t: Any
    u: Any
    s: Any
    starts: Any
    lengths: Any
    polys: Any
    record_u: Any
    record_k: Any


@inner()
def put_row(out: Output, row: int, t: float, u: Any, s: Any) -> None:
    """Write one row of results."""
    out.t[row] = t
    for i in range(u.size):
        out.u[row, i] = u[i]
    for i in range(s.size):
        out.s[row, i] = s[i]


@inner()
def put_step(
    out: Output, step: int, t: float, h: float, u: Any, k: Any, poly: Any, keep_dense: bool, record: bool
) -> None:
    """Write one step."""
    out.starts[step] = t
    out.lengths[step] = h
    n = u.size
    if keep_dense:
        for q in range(poly.shape[0]):
            for i in range(n):
                out.polys[step, q, i] = poly[q, i]
    if record:
        for i in range(n):
            out.record_u[step, i] = u[i]
        for j in range(7):
            for i in range(n):
                out.record_k[step, j, i] = k[j, i]


@inner()
def _copy(a: Any, b: Any) -> None:
    source, target = a.reshape(-1), b.reshape(-1)
    for i in range(source.size):
        target[i] = source[i]


@inner()
def pack(flat: Any, at: int, values: Any) -> int:
    """Write `values` (a vector) to `flat[at:]`; returns where they end."""
    for i in range(values.size):
        flat[at + i] = values[i]
    return at + int(values.size)


@inner()
def more_rows(out: Output) -> Output:
    """The same with room for twice as many rows."""
    size = 2 * out.t.size + 8
    t, u, s = np.empty(size), np.empty((size, out.u.shape[1])), np.empty((size, out.s.shape[1]))
    _copy(out.t, t)
    _copy(out.u, u)
    _copy(out.s, s)
    return Output(t, u, s, out.starts, out.lengths, out.polys, out.record_u, out.record_k)


@inner()
def more_steps(out: Output) -> Output:
    """The same with room for twice as many steps."""
    size = 2 * out.starts.size + 8
    n = out.u.shape[1]
    starts, lengths = np.empty(size), np.empty(size)
    polys = np.empty((size if out.polys.shape[0] > 0 else 0, out.polys.shape[1], n))
    record_u = np.empty((size if out.record_u.shape[0] > 0 else 0, n))
    record_k = np.empty((size if out.record_k.shape[0] > 0 else 0, 7, n))
    _copy(out.starts, starts)
    _copy(out.lengths, lengths)
    _copy(out.polys, polys)
    _copy(out.record_u, record_u)
    _copy(out.record_k, record_k)
    return Output(out.t, out.u, out.s, starts, lengths, polys, record_u, record_k)


@inner()
def more_log(events: Events, room: int) -> Events:
    """The same with room for more fired events."""
    size = 2 * events.log_t.size + room
    log_t, log_k = np.empty(size), np.empty(size, np.int64)
    _copy(events.log_t, log_t)
    _copy(events.log_k, log_k)
    return Events(
        events.due,
        events.armed,
        events.fired,
        events.roots,
        events.roots_work,
        events.scale,
        events.schedule,
        events.upcoming,
        events.occurrences,
        events.jump,
        events.before,
        events.after,
        events.shift,
        events.families,
        log_t,
        log_k,
    )


@inner()
def new_implicit(n: int, inside: bool) -> Implicit:
    """Room for implicit steps of size `n` (0 for none); matrices only for those made `inside` the loop."""
    m = n if inside else 0
    if n == 0:
        nothing, no_rows = np.empty(0), np.empty((0, 0))
        return Implicit(no_rows, nothing, no_rows, no_rows, np.empty(0, np.int64), nothing, nothing)
    return Implicit(
        np.empty((8, n)),
        np.zeros(n),
        np.empty((m, m)),
        np.empty((m, m)),
        np.empty(m, np.int64),
        np.ones(n),
        np.empty(n),
    )
