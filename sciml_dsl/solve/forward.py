"""Forward sensitivities: what the columns S = du/dz need besides the method itself.

Each column belongs to a parameter (its index) or to an initial value (-1).
S (n, m) is kept flat, row by row.  S' = J S + df/dp[:, column]; at an event the
columns jump by the derivative of "reach the event, change the state, go on".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import inner


@inner("contract")
def derivative_columns(buffer: Any, n: int, columns: Any, s: Any, out: Any, row: int) -> None:
    """`out[row]` = J s + Jp[:, columns], where `buffer` holds f (n), J (n, n), Jp (n, n_params)."""
    m = columns.size
    n_params = (buffer.size - n - n * n) // n if n > 0 else 0
    start = n + n * n
    for i in range(n):
        base = i * m
        for c in range(m):
            index = columns[c]
            out[row, base + c] = buffer[start + i * n_params + index] if index >= 0 else 0.0
        for j in range(n):
            a = buffer[n + i * n + j]
            if a != 0.0:
                for c in range(m):
                    out[row, base + c] += a * s[j * m + c]


@inner("contract")
def add_second_order(buffer: Any, n: int, columns: Any, s: Any, out: Any, row: int) -> None:
    """`out[row]` += dJ s + dJp[:, columns], where `buffer` holds dJ (n, n), dJp (n, n_params)."""
    m = columns.size
    n_params = (buffer.size - n * n) // n if n > 0 else 0
    start = n * n
    for i in range(n):
        base = i * m
        for c in range(m):
            index = columns[c]
            if index >= 0:
                out[row, base + c] += buffer[start + i * n_params + index]
        for j in range(n):
            a = buffer[i * n + j]
            if a != 0.0:
                for c in range(m):
                    out[row, base + c] += a * s[j * m + c]


@inner()
def event_shift(buffer: Any, n: int, columns: Any, before: Any, s: Any, shift: Any) -> None:
    """How the time of an event moves with each column, into `shift` (m).

    dtau = -(g_u S + g_p)/(g_u f- + g_t), with `before` the right-hand side f- and
    `buffer` as of `jump`.  A root function that does not change in time turned by a jump of a measured
    input, whose time does not move.
    """
    m = columns.size
    n_params = (buffer.size - 3 * n - n * n - 1) // (n + 1)
    g_u = 2 * n + n * n + n * n_params
    g_p = g_u + n
    rate = buffer[g_p + n_params]
    for i in range(n):
        rate += buffer[g_u + i] * before[i]
    for c in range(m):
        index = columns[c]
        moved = buffer[g_p + index] if index >= 0 else 0.0
        for i in range(n):
            moved += buffer[g_u + i] * s[i * m + c]
        shift[c] = -moved / rate if moved != 0.0 and rate != 0.0 else 0.0


@inner()
def jump(buffer: Any, n: int, columns: Any, before: Any, after: Any, s: Any, shift: Any, work: Any) -> None:
    """Carry `s` (n, m) across an event whose time moves by `shift` (m), in place.

    `buffer` holds the outputs of `affect_jac`: h (n), h_u (n, n), h_p (n, np),
    h_t (n), g_u (n), g_p (np), g_t (1).  `before` and `after` are the right-hand
    sides on either side.  The columns become
    h_u (S + f- dtau) + h_p + h_t dtau - f+ dtau  (the saltation matrix; see
    M. di Bernardo et al., Piecewise-smooth Dynamical Systems, 2008, chapter 2).
    """
    m = columns.size
    n_params = (buffer.size - 3 * n - n * n - 1) // (n + 1)
    h_u = n
    h_p = h_u + n * n
    h_t = h_p + n * n_params
    for c in range(m):
        index = columns[c]
        moved = shift[c]
        for i in range(n):
            work[i] = s[i * m + c] + before[i] * moved
        for i in range(n):
            total = buffer[h_t + i] * moved - after[i] * moved
            if index >= 0:
                total += buffer[h_p + i * n_params + index]
            for j in range(n):
                total += buffer[h_u + i * n + j] * work[j]
            s[i * m + c] = total


LOOSE = 100.0
"""Columns of an explicit step may err by this many times the relative tolerance of the states."""


@inner("contract")
def columns_error(e: Any, s: Any, snew: Any, u: Any, p: Any, columns: Any, rtol: Any) -> float:
    """Root mean square of the local errors `e` (n m) of the sensitivities over their tolerance.

    A guard for explicit steps: at an equilibrium the states' own error vanishes
    whatever the step, while the sensitivities grow without bound past the method's
    stability limit.  A column counts relative to its largest entry, and to what an
    elasticity of one would be (largest state over parameter), because a column that
    begins at zero has no size of its own yet.
    """
    n, m = u.size, columns.size
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(u[i]))
    total = 0.0
    for j in range(m):
        size = 1.0
        if columns[j] >= 0:
            by = abs(p[columns[j]])
            size = largest / by if by > 0.0 else largest
        for i in range(n):
            size = max(size, max(abs(s[i * m + j]), abs(snew[i * m + j])))
        if size > 0.0:
            for i in range(n):
                r = e[i * m + j] / (LOOSE * rtol[i] * size)
                total += r * r
    return float(np.sqrt(total / (n * m)))
