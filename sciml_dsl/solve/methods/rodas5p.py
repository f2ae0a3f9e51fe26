"""Rodas5P: Rosenbrock-Wanner 5(4), eight stages, L-stable, stiffly accurate.

G. Steinebach, Construction of Rosenbrock-Wanner method Rodas5P and numerical
benchmarks within the Julia Differential Equations package, BIT Numerical
Mathematics 63 (2023) 27.  In the form without products by the Jacobian
(E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, IV.7):

    W k_i = f(t + c_i h, u + sum_j a_ij k_j) + sum_j c_ij k_j / h + h d_i df/dt,
    W = I/(h gamma) - J,   unew = u + sum_j a_8j k_j + k_8,   local error = k_8.

With sensitivities a diagonal mass matrix may stand in the places of I and before the
sum of c_ij: its zeros make equations without derivative algebraic.
Rows of `k` (8, n) are these increments.  J and df/dt are exact and taken once
for each step, which is what lets the same factors carry exact sensitivities.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..call import call, call_along
from ..compiled import inner
from ..forward import add_second_order, derivative_columns
from ..linear.dense import factorise, solve_columns, solve_row
from . import rodas5p_tableau
from .rodas5p_tableau import (
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    A8,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    D0,
    D1,
    D2,
    D3,
    D4,
    GAMMA,
    NODES1,
    NODES2,
    NODES3,
    NODES4,
)  # fmt: skip

ORDER = 5
STAGES = 8

NODES, D = np.array(rodas5p_tableau.NODES), np.array(rodas5p_tableau.D)
H = np.array(rodas5p_tableau.H)


def _matrix(rows: tuple[tuple[float, ...], ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    out = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


A = _matrix(((), A2, A3, A4, A5, A6, A7, A8))
COUPLING = _matrix(((), C2, C3, C4, C5, C6, C7, C8))  # c_ij


@inner("contract")
def factorise_shifted(jacobian: Any, h: float, mass: Any, w: Any, pivots: Any) -> bool:
    """LU factors of M/(h gamma) - J in `w` (n, n), False if singular; M is the diagonal `mass`, I where it is empty."""
    n = w.shape[0]
    diagonal = 1.0 / (h * GAMMA)
    for i in range(n):
        for j in range(n):
            w[i, j] = -jacobian[i, j]
        w[i, i] += diagonal if mass.size == 0 else diagonal * mass[i]
    return bool(factorise(w, pivots))


@inner("contract", inline=True)
def step(
    f: int, t: float, h: float, u: Any, p: Any, slopes: Any, ft: Any, w: Any, pivots: Any, k: Any, g: Any, unew: Any
) -> None:
    """One step of size `h` from (t, u) with slopes[0] = f(t, u), ft = df/dt there and the factors `w`.

    Written out stage by stage: with few states the loops over stages would cost more than the work.
    """
    n = u.size
    inverse = 1.0 / h
    for i in range(n):
        k[0, i] = slopes[0, i] + (h * D0) * ft[i]
    solve_row(w, pivots, k, 0)
    for i in range(n):
        g[i] = u[i] + A2[0] * k[0, i]
    call(f, t + NODES1 * h, g, p, k, 1 * n)
    for i in range(n):
        k[1, i] += (C2[0] * k[0, i]) * inverse + (h * D1) * ft[i]
    solve_row(w, pivots, k, 1)
    for i in range(n):
        g[i] = u[i] + A3[0] * k[0, i] + A3[1] * k[1, i]
    call(f, t + NODES2 * h, g, p, k, 2 * n)
    for i in range(n):
        k[2, i] += (C3[0] * k[0, i] + C3[1] * k[1, i]) * inverse + (h * D2) * ft[i]
    solve_row(w, pivots, k, 2)
    for i in range(n):
        g[i] = u[i] + A4[0] * k[0, i] + A4[1] * k[1, i] + A4[2] * k[2, i]
    call(f, t + NODES3 * h, g, p, k, 3 * n)
    for i in range(n):
        k[3, i] += (C4[0] * k[0, i] + C4[1] * k[1, i] + C4[2] * k[2, i]) * inverse + (h * D3) * ft[i]
    solve_row(w, pivots, k, 3)
    for i in range(n):
        g[i] = u[i] + A5[0] * k[0, i] + A5[1] * k[1, i] + A5[2] * k[2, i] + A5[3] * k[3, i]
    call(f, t + NODES4 * h, g, p, k, 4 * n)
    for i in range(n):
        total = C5[0] * k[0, i] + C5[1] * k[1, i]
        total += C5[2] * k[2, i] + C5[3] * k[3, i]
        k[4, i] += total * inverse + (h * D4) * ft[i]
    solve_row(w, pivots, k, 4)
    for i in range(n):
        g[i] = u[i] + A6[0] * k[0, i] + A6[1] * k[1, i] + A6[2] * k[2, i] + A6[3] * k[3, i] + A6[4] * k[4, i]
    call(f, t + h, g, p, k, 5 * n)
    for i in range(n):
        k[5, i] += (C6[0] * k[0, i] + C6[1] * k[1, i] + C6[2] * k[2, i] + C6[3] * k[3, i] + C6[4] * k[4, i]) * inverse
    solve_row(w, pivots, k, 5)
    for i in range(n):  # row 7 of A is row 6 and one more increment
        g[i] += k[5, i]
    call(f, t + h, g, p, k, 6 * n)
    for i in range(n):
        total = C7[0] * k[0, i] + C7[1] * k[1, i] + C7[2] * k[2, i]
        total += C7[3] * k[3, i] + C7[4] * k[4, i] + C7[5] * k[5, i]
        k[6, i] += total * inverse
    solve_row(w, pivots, k, 6)
    for i in range(n):  # row 8 of A is row 7 and one more increment
        g[i] += k[6, i]
    call(f, t + h, g, p, k, 7 * n)
    for i in range(n):
        total = C8[0] * k[0, i] + C8[1] * k[1, i] + C8[2] * k[2, i] + C8[3] * k[3, i]
        total += C8[4] * k[4, i] + C8[5] * k[5, i] + C8[6] * k[6, i]
        k[7, i] += total * inverse
    solve_row(w, pivots, k, 7)
    for i in range(n):
        unew[i] = g[i] + k[STAGES - 1, i]


@inner("contract", "reassoc")
def error(u: Any, unew: Any, k: Any, rtol: Any, atol: Any) -> float:
    """Root mean square of the local error over its tolerance."""
    n = u.size
    total = 0.0
    for i in range(n):
        e = k[STAGES - 1, i] / (atol[i] + rtol[i] * max(abs(u[i]), abs(unew[i])))
        total += e * e
    return float(np.sqrt(total / n))


@inner("contract")
def interpolant(u: Any, unew: Any, k: Any, poly: Any) -> None:
    """Coefficients (5, n) of u(t + theta h) = sum_q poly[q] theta**q."""
    for i in range(u.size):
        x = 0.0
        y = 0.0
        z = 0.0
        for j in range(STAGES):
            x += H[0, j] * k[j, i]
            y += H[1, j] * k[j, i]
            z += H[2, j] * k[j, i]
        poly[0, i] = u[i]
        poly[1, i] = unew[i] - u[i] + x
        poly[2, i] = y - x
        poly[3, i] = z - y
        poly[4, i] = -z


@inner("contract")
def step_with_sensitivities(
    fjp: int,
    djp: int,
    t: float,
    h: float,
    u: Any,
    p: Any,
    start: Any,
    ft: Any,
    mass: Any,
    w: Any,
    pivots: Any,
    k: Any,
    g: Any,
    unew: Any,
    columns: Any,
    s: Any,
    ks: Any,
    gs: Any,
    snew: Any,
    buffer: Any,
    second: Any,
    direction: Any,
) -> None:
    """The same step, differentiated exactly: columns `s` (n, m) ride along.

    Differentiating W k_i = r_i gives W dk_i = dr_i + dJ k_i; by symmetry of second
    derivatives dJ k_i + h d_i d(df/dt) is one directional derivative of (J, df/dp)
    along (k_i, h d_i), which `djp` supplies.  `start` holds f, J and df/dp at (t, u);
    `mass` (n) is the diagonal of the mass matrix, empty where that is I.
    """
    n = u.size
    m = columns.size
    size = n * m
    inverse = 1.0 / h
    for stage in range(STAGES):
        slope = h * D[stage]
        if stage == 0:
            for i in range(n):
                k[0, i] = start[i] + slope * ft[i]
            derivative_columns(start, n, columns, s, ks, 0)
        else:
            for i in range(n):
                total = u[i]
                for j in range(stage):
                    total += A[stage, j] * k[j, i]
                g[i] = total
            for i in range(size):
                total = s[i]
                for j in range(stage):
                    total += A[stage, j] * ks[j, i]
                gs[i] = total
            call(fjp, t + NODES[stage] * h, g, p, buffer, 0)
            for i in range(n):
                total = 0.0
                for j in range(stage):
                    total += COUPLING[stage, j] * k[j, i]
                if mass.size > 0:
                    total *= mass[i]
                k[stage, i] = buffer[i] + total * inverse + slope * ft[i]
            derivative_columns(buffer, n, columns, gs, ks, stage)
            for i in range(n):
                by = inverse if mass.size == 0 else inverse * mass[i]
                if by != 0.0:
                    for c in range(i * m, (i + 1) * m):
                        total = 0.0
                        for j in range(stage):
                            total += COUPLING[stage, j] * ks[j, c]
                        ks[stage, c] += total * by
        solve_row(w, pivots, k, stage)
        for i in range(n):
            direction[i] = k[stage, i]
        direction[n] = slope
        call_along(djp, t, u, p, direction, second, 0)
        add_second_order(second, n, columns, s, ks, stage)
        solve_columns(w, pivots, ks, stage, m)
    for i in range(n):
        unew[i] = g[i] + k[STAGES - 1, i]
    for i in range(size):
        snew[i] = gs[i] + ks[STAGES - 1, i]
