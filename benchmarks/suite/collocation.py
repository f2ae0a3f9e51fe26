"""Radau IIA of five stages (order 9) in 40 digits, for references of stiff problems that no explicit method reaches.

Steps are equal in log t.  E. Hairer & G. Wanner, Solving Ordinary Differential Equations
II, IV.5 and IV.8; the coefficients are computed here from the collocation conditions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from suite.problem import Problem

STAGES = 5


def coefficients(stages: int) -> tuple[list[Any], Any]:
    """Nodes c and matrix A of Radau IIA.

    >>> c, a = coefficients(2)
    >>> [round(float(x), 6) for x in c], round(float(a[0, 0]), 6)
    ([0.333333, 1.0], 0.416667)
    """
    from mpmath import matrix, mp, polyroots

    # The nodes are the roots of the (s-1)-th derivative of x^(s-1) (x - 1)^s.
    poly = [mp.mpf(1)]
    for _ in range(stages):
        poly = [a - b for a, b in zip([*poly, 0], [0, *poly], strict=True)]
    poly += [mp.mpf(0)] * (stages - 1)
    for _ in range(stages - 1):
        top = len(poly) - 1
        poly = [value * (top - k) for k, value in enumerate(poly[:-1])]
    c = sorted(mp.re(root) for root in polyroots(poly, maxsteps=500, extraprec=400))
    a = matrix(stages, stages)
    for j in range(stages):
        lagrange = [mp.mpf(1)]  # coefficients by rising powers
        for k in range(stages):
            if k != j:
                scale = 1 / (c[j] - c[k])
                lagrange = [
                    scale * (low - c[k] * high)
                    for low, high in zip([mp.mpf(0), *lagrange], [*lagrange, mp.mpf(0)], strict=True)
                ]
        for i in range(stages):
            a[i, j] = sum(value * c[i] ** (k + 1) / (k + 1) for k, value in enumerate(lagrange))
    return c, a


def compiled(problem: Problem) -> tuple[Any, Any]:
    """Right-hand side and Jacobian of a list of states, for mpmath; the decimal numbers of the text are exact."""
    import sympy

    symbols = sympy.symbols([f"u{i}" for i in range(problem.n)])
    exact = {}  # not their nearest doubles
    rates = [sympy.sympify(e) for e in problem.rhs(list(symbols))]
    for e in rates:
        for number in e.atoms(sympy.Float):
            exact[number] = sympy.Rational(repr(float(number)))
    rates = [e.xreplace(exact) for e in rates]
    f = sympy.lambdify([symbols], rates, "mpmath")
    return f, sympy.lambdify([symbols], sympy.Matrix(rates).jacobian(symbols), "mpmath")


def graded(problem: Problem, per_decade: int, first: float) -> list[Any]:
    """Step sizes: one to `first`, then equal ones in log t."""
    from mpmath import mp

    t1 = mp.mpf(problem.t1)
    count = int(mp.ceil(per_decade * mp.log10(t1 / mp.mpf(first))))
    times = [mp.mpf(0), *(mp.mpf(first) * (t1 / mp.mpf(first)) ** (mp.mpf(k) / count) for k in range(count + 1))]
    return [end - start for start, end in pairwise(times)]


def end_value(problem: Problem, per_decade: int, first: float = 1e-9) -> list[Any]:
    """State at `t1` with so many steps for each decade of time behind `first`."""
    from mpmath import matrix, mp

    mp.dps = 40
    n, s = problem.n, STAGES
    _, a = coefficients(s)
    f, jacobian = compiled(problem)
    u = [mp.mpf(repr(value)) for value in problem.u0]
    t = mp.mpf(0)
    for h in graded(problem, per_decade, first):
        t += h
        j = jacobian(u)
        w = matrix(s * n, s * n)
        for i in range(s):
            for k in range(s):
                for row in range(n):
                    for column in range(n):
                        w[i * n + row, k * n + column] = (1 if (i, row) == (k, column) else 0) - h * a[i, k] * j[
                            row, column
                        ]
        factors, order = mp.LU_decomp(w)
        z = [mp.mpf(0)] * (s * n)  # stage values less u
        for _ in range(200):
            slopes = [f([u[r] + z[i * n + r] for r in range(n)]) for i in range(s)]
            residual = matrix(s * n, 1)
            for i in range(s):
                for r in range(n):
                    residual[i * n + r] = h * sum(a[i, k] * slopes[k][r] for k in range(s)) - z[i * n + r]
            step = mp.U_solve(factors, mp.L_solve(factors, residual, order))
            z = [value + step[m] for m, value in enumerate(z)]
            small = max(abs(step[m]) / (abs(u[m % n]) + abs(z[m]) + mp.mpf(10) ** -300) for m in range(s * n))
            if small < mp.mpf(10) ** -28:
                break
        else:
            raise RuntimeError(f"{problem.name}: Newton's iteration did not converge at t = {float(t):g}")
        u = [u[r] + z[(s - 1) * n + r] for r in range(n)]
    return u
