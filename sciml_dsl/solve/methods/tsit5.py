"""Tsit5: explicit Runge-Kutta 5(4), seven stages, first same as last.

Ch. Tsitouras, Runge-Kutta pairs of order 5(4) satisfying only the first column
simplifying assumption, Computers & Mathematics with Applications 62 (2011)
770-775.  The tableau is data; below it stand the step, the step with forward
sensitivities, and the coefficients of the free fourth-order interpolant.

Rows of `k` (7, n) are stage derivatives; row 0 must hold f(t, u) on entry and
row 6 holds f(t + h, unew) on return.  `g` (n) returns the argument of stage 6,
which like stage 7 lies at t + h: the pair gives a free estimate of stiffness.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..call import call, call_along
from ..compiled import inner
from ..forward import derivative_columns
from .tsit5_tableau import A2, A3, A4, A5, A6, B, C, E

ORDER = 5
STAGES = 7
STABILITY = 3.5068  # the real stability interval is [-3.5068, 0]

# Interpolant: column q of row i multiplies theta**(q + 1) in the weight of stage i.
D1 = (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216)
D2 = (0.13169999999999998, -0.2234, 0.1017)  # from theta**2 on, as all below
D3 = (3.9302962368947516, -5.941033872131505, 2.490627285651253)
D4 = (-12.411077166933676, 30.33818863028232, -16.548102889244902)
D5 = (37.50931341651104, -88.1789048947664, 47.37952196281928)
D6 = (-27.896526289197286, 65.09189467479366, -34.87065786149661)
D7 = (1.5, -4.0, 2.5)


def _matrix(rows: tuple[tuple[float, ...], ...], width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    out = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


TABLEAU = _matrix(((), A2, A3, A4, A5, A6, B), 7)  # row s: stage s from stages before it
NODES = np.array(C)
INTERPOLANT = _matrix(tuple((0.0, *d) if len(d) == 3 else d for d in (D1, D2, D3, D4, D5, D6, D7)), 4)


@inner("contract", inline=True)
def step(f: int, t: float, h: float, u: Any, p: Any, k: Any, g: Any, unew: Any) -> None:
    """One step of size `h` from (t, u): fills rows 1..6 of `k`, `g` and `unew`."""
    n = u.size
    for i in range(n):
        g[i] = u[i] + h * (A2[0] * k[0, i])
    call(f, t + C[1] * h, g, p, k, n)
    for i in range(n):
        g[i] = u[i] + h * (A3[0] * k[0, i] + A3[1] * k[1, i])
    call(f, t + C[2] * h, g, p, k, 2 * n)
    for i in range(n):
        g[i] = u[i] + h * (A4[0] * k[0, i] + A4[1] * k[1, i] + A4[2] * k[2, i])
    call(f, t + C[3] * h, g, p, k, 3 * n)
    for i in range(n):
        g[i] = u[i] + h * (A5[0] * k[0, i] + A5[1] * k[1, i] + A5[2] * k[2, i] + A5[3] * k[3, i])
    call(f, t + C[4] * h, g, p, k, 4 * n)
    for i in range(n):
        g[i] = u[i] + h * (A6[0] * k[0, i] + A6[1] * k[1, i] + A6[2] * k[2, i] + A6[3] * k[3, i] + A6[4] * k[4, i])
    call(f, t + h, g, p, k, 5 * n)
    for i in range(n):
        unew[i] = u[i] + h * (
            B[0] * k[0, i] + B[1] * k[1, i] + B[2] * k[2, i] + B[3] * k[3, i] + B[4] * k[4, i] + B[5] * k[5, i]
        )
    call(f, t + h, unew, p, k, 6 * n)


@inner("contract", inline=True)
def fused_step(address: int, t: float, h: float, u: Any, p: Any, k: Any, work: Any, g: Any, unew: Any) -> None:
    """The same by the model's own function of a whole step; `k` has 9 rows, `work` (5, n) is overwritten."""
    n = u.size
    for i in range(n):
        work[0, i] = k[0, i]
    work[1, 0] = h
    call_along(address, t, u, p, work, k, n)
    for i in range(n):
        g[i] = k[7, i]
        unew[i] = k[8, i]


@inner("contract", "reassoc", inline=True)
def error(h: float, u: Any, unew: Any, k: Any, rtol: Any, atol: Any) -> float:
    """Root mean square of the local error over its tolerance."""
    n = u.size
    total = 0.0
    for i in range(n):
        e = h * (
            E[0] * k[0, i]
            + E[1] * k[1, i]
            + E[2] * k[2, i]
            + E[3] * k[3, i]
            + E[4] * k[4, i]
            + E[5] * k[5, i]
            + E[6] * k[6, i]
        )
        e /= atol[i] + rtol[i] * max(abs(u[i]), abs(unew[i]))
        total += e * e
    return float(np.sqrt(total / n))


@inner("contract", "reassoc")
def columns_error(h: float, k: Any, out: Any) -> None:
    """Local error `out` (n m) of the columns whose stage derivatives are `k` (7, n m)."""
    for i in range(out.size):
        total = 0.0
        for j in range(STAGES):
            total += E[j] * k[j, i]
        out[i] = h * total


@inner("contract", "reassoc", inline=True)
def stiffness(h: float, k: Any, g: Any, unew: Any, rtol: Any, atol: Any) -> float:
    """|h| times an estimate of the dominant eigenvalue, from two stages at t + h.

    Components count relative to their tolerance, or small fast ones would not be
    seen.  E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, IV.2.
    """
    numerator = 0.0
    denominator = 0.0
    for i in range(g.size):
        scale = 1.0 / (atol[i] + rtol[i] * abs(unew[i]))
        a = (k[6, i] - k[5, i]) * scale
        b = (unew[i] - g[i]) * scale
        numerator += a * a
        denominator += b * b
    if denominator > 0.0:
        return float(abs(h) * np.sqrt(numerator / denominator))
    return 0.0


@inner("contract")
def interpolant(h: float, u: Any, k: Any, poly: Any) -> None:
    """Coefficients (5, n) of u(t + theta h) = sum_q poly[q] theta**q."""
    for i in range(u.size):
        k1, k2, k3, k4, k5, k6, k7 = k[0, i], k[1, i], k[2, i], k[3, i], k[4, i], k[5, i], k[6, i]
        poly[0, i] = u[i]
        poly[1, i] = h * k1
        poly[2, i] = h * (D1[1] * k1 + D2[0] * k2 + D3[0] * k3 + D4[0] * k4 + D5[0] * k5 + D6[0] * k6 + D7[0] * k7)
        poly[3, i] = h * (D1[2] * k1 + D2[1] * k2 + D3[1] * k3 + D4[1] * k4 + D5[1] * k5 + D6[1] * k6 + D7[1] * k7)
        poly[4, i] = h * (D1[3] * k1 + D2[2] * k2 + D3[2] * k3 + D4[2] * k4 + D5[2] * k5 + D6[2] * k6 + D7[2] * k7)


@inner("contract")
def step_with_sensitivities(
    fjp: int,
    t: float,
    h: float,
    u: Any,
    p: Any,
    k: Any,
    g: Any,
    unew: Any,
    columns: Any,
    s: Any,
    ks: Any,
    gs: Any,
    snew: Any,
    buffer: Any,
) -> None:
    """The same step with S' = J S + df/dp along; `s` (n, m) and rows of `ks` (7, n m) are flat.

    `buffer` receives f, df/du and df/dp.  Row 0 of `ks` must hold S' at (t, u).
    """
    n = u.size
    size = s.size
    for stage in range(1, STAGES):
        for i in range(n):
            w = 0.0
            for j in range(stage):
                w += TABLEAU[stage, j] * k[j, i]
            g_i = u[i] + h * w
            if stage == STAGES - 1:
                unew[i] = g_i
            else:
                g[i] = g_i
        for i in range(size):
            w = 0.0
            for j in range(stage):
                w += TABLEAU[stage, j] * ks[j, i]
            gs[i] = s[i] + h * w
        call(fjp, t + NODES[stage] * h, unew if stage == STAGES - 1 else g, p, buffer, 0)
        for i in range(n):
            k[stage, i] = buffer[i]
        derivative_columns(buffer, n, columns, gs, ks, stage)
    for i in range(size):
        snew[i] = gs[i]
