"""The linearly implicit Euler method extrapolated, in 40 digits: a second way to references of stiff problems.

It shares nothing with `collocation` but the equations: one-step, no iteration, the order from
Aitken-Neville's table.  P. Deuflhard, SIAM Review 27 (1985) 505-535; E. Hairer & G. Wanner,
Solving Ordinary Differential Equations II, IV.9.
"""

from __future__ import annotations

from typing import Any

from suite.collocation import compiled, graded
from suite.problem import Problem

COLUMNS = 14


def end_value(problem: Problem, per_decade: int, first: float = 1e-9) -> list[Any]:
    """State at `t1` with so many steps for each decade of time behind `first`."""
    from mpmath import eye, lu_solve, matrix, mp

    mp.dps = 40
    f, jacobian = compiled(problem)
    u = matrix([mp.mpf(repr(value)) for value in problem.u0])
    for h in graded(problem, per_decade, first):
        j = jacobian(list(u))
        table: list[Any] = []
        for parts in range(1, COLUMNS + 1):
            step = h / parts
            w, x = eye(problem.n) - step * j, u.copy()
            for _ in range(parts):
                x += lu_solve(w, step * matrix(f(list(x))))
            row = [x]
            for k, above in enumerate(table[-1] if table else []):
                row.append(row[k] + (row[k] - above) / (mp.mpf(parts) / (parts - k - 1) - 1))
            table.append(row)
        u = table[-1][-1]
    return list(u)
