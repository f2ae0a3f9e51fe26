"""Arrays: a diffusion model of N cells from text to native functions, whatever N is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort, cache_in
from contest import OURS, Outcome, Row, Target, fail
from measure import Timing, once
from truth import weighted_error

TITLE = "Arrays of cells: text to the right-hand side"
SIZES = (1000, 10_000, 100_000)
SETTINGS = (
    "diffusion with a reaction on a line of N cells, nothing in the cache on disk, one number of the text another "
    "each time; error: of f, against numpy on whole arrays, |value - exact| / (1 + |exact|)"
)
WHAT = "text to f, {n:,} cells"
TARGETS = (Target("100,000 cells under 1 s", seconds=1.0, row=WHAT.format(n=100_000)),)


def text(n: int, rate: float) -> str:
    return f"""
const N = {n}
param D = 0.1, h = 0.01, k = {rate!r}
u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 - k*u[i]^2 for i in 2..N-1
u[1]' = 0
u[N]' = 0
u[i](0) = sin(pi*i/N) for i in 1..N
"""


def exact(u: Any, p: Any) -> Any:
    diffusion, h, k = p
    found = np.zeros_like(u)
    found[1:-1] = diffusion * (u[:-2] - 2 * u[1:-1] + u[2:]) / h**2 - k * u[1:-1] ** 2
    return found


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Every size several times in this process."""
    import sciml_dsl as sd
    from sciml_dsl.errors import UnsupportedError

    rows = []
    with cache_in(""):
        sd.model(text(20, 0.5)).rhs("native")
        for n in SIZES:
            row = Row(OURS, WHAT.format(n=n))
            rows.append(row)
            tell(row.what)
            seconds = []
            draw = np.random.default_rng(n)
            u = draw.uniform(0.5, 1.5, n)
            try:
                for k in range(effort.processes):
                    taken, f = once(lambda n=n, k=k: sd.model(text(n, 0.3 + k / 100)).rhs("native"))
                    seconds.append(taken)
                p = np.array([0.1, 0.01, 0.4])
                row.error = weighted_error(f(0.0, u, p), exact(u, p))
            except UnsupportedError as refusal:
                row.note = f"refused: {refusal.message}"
                continue
            except Exception as problem:  # shown in the table
                fail(row, problem)
                continue
            row.timing = Timing.of(seconds)
    return Outcome("cells", TITLE, SETTINGS, rows, TARGETS)
