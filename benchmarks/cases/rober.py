"""Robertson to t = 1e5 at rtol 1e-6: the time of the compiled part and of the whole call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Effort
from cases.robertson import TEXT, U0, P, jacobian, rhs
from contest import OURS, Call, Contender, Outcome, Row, Target, run_contest
from measure import Timing
from truth import integrate, weighted_error

TITLE = "Robertson: how fast is one stiff solve"
SETTINGS = "k = (0.04, 3e7, 1e4), t = 0..1e5, one output at the end, rtol 1e-6, atol 1e-10; error as of robertson"
T1, RTOL, ATOL = 1e5, 1e-6, 1e-10
TARGETS = (
    Target("compiled part under 40 µs", seconds=40e-6, row="compiled part"),
    Target("whole m.solve under 60 µs", seconds=60e-6, row="m.solve"),
)
METHODS = ("auto", "rosenbrock23", "rodas4", "rodas5p")


def ours(error: Callable[[Any], float], method: str) -> Call:
    import sciml_dsl as sd

    model = sd.model(TEXT)
    times = np.array([T1])

    def run() -> Any:
        return model.solve((0.0, T1), U0, P, method=method, rtol=RTOL, atol=ATOL, saveat=times)

    return Call(run, lambda sol: error(sol.u), lambda sol: float(sol.stats["seconds"]))


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Time every method of ours that there is; the compiled part is what the solution itself reports."""
    tell("reference")
    truth = integrate(rhs, U0, np.array([T1]), method="Radau", rtol=1e-12, atol=1e-20, scale=ATOL / RTOL, jac=jacobian)

    def error(values: Any) -> float:
        return weighted_error(values, truth.values, ATOL / RTOL)

    from sciml_dsl.solve.methods.registry import METHODS as KNOWN

    known = [method for method in METHODS if method == "auto" or method in KNOWN]
    names = {method: "m.solve" if method == "auto" else f'm.solve(method="{method}")' for method in known}
    contenders = [Contender(OURS, what, lambda method=method: ours(error, method)) for method, what in names.items()]
    rows = run_contest(contenders, effort.seconds, tell)
    for row in list(rows):
        if np.isfinite(row.kernel):
            inner = Row(OURS, f"compiled part, {row.what}", error=row.error)
            inner.timing = Timing.of([row.kernel])
            rows.append(inner)
    return Outcome("rober", TITLE, SETTINGS, rows, TARGETS, ["the fastest row of ours is judged, whatever its error"])
