"""What the rows of a linear input cost: `python benchmarks/inputs.py [--quick]`.

A first-order lag driven by a table, integrated from 0 to 100.  Each table twice: as it is, and
with a stop at every row (`tstops`), which is what each kink costs where it matters.  Errors are
against the exact solution row by row, in units of rtol times the largest value.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import sciml_dsl as sd

TAU = 2.0
MODEL = f"T' = (u - T)/{TAU}; T(0) = 0; input u"


def exact(t: Any, u: Any) -> Any:
    """T at the rows: every line between two rows has a solution in closed form."""
    out = np.zeros(t.size)
    for k in range(t.size - 1):
        h = t[k + 1] - t[k]
        slope = (u[k + 1] - u[k]) / h
        out[k + 1] = (out[k] - (u[k] - slope * TAU)) * math.exp(-h / TAU) + u[k + 1] - slope * TAU
    return out


def tables(rows: int) -> dict[str, Any]:
    t = np.linspace(0.0, 100.0, rows + 1)
    random = np.random.default_rng(0)
    return {
        "smooth": (t, np.sin(t) + 0.3 * np.cos(3.1 * t)),
        "random walk": (t, np.cumsum(random.normal(size=t.size)) * math.sqrt(100.0 / rows)),
    }


def best(run: Any, repetitions: int) -> tuple[float, Any]:
    least, result = math.inf, None
    for _ in range(repetitions):
        start = time.perf_counter()
        result = run()
        least = min(least, time.perf_counter() - start)
    return least, result


def main() -> None:
    repetitions = 3 if "--quick" in sys.argv else 20
    m = sd.model(MODEL)
    head = ("table", "rows", "rtol", "steps", "ms", "error", "all rows: ms", "error")
    print("{:<12} {:>7} {:>6} {:>7} {:>7} {:>6}   {:>12} {:>6}".format(*head))
    for rows in (1_000, 10_000, 100_000):
        for name, (t, u) in tables(rows).items():
            saveat = t[:: rows // 100]
            truth = exact(t, u)[:: rows // 100]
            for rtol in (1e-4, 1e-6):
                shown = []
                for tstops in (None, t[1:-1]):

                    options = {"rtol": rtol, "atol": rtol * 1e-2, "max_steps": 1_000_000, "tstops": tstops}
                    options |= {"inputs": {"u": (t, u)}, "saveat": saveat}

                    def run(options: Any = options) -> Any:
                        return m.solve((0.0, 100.0), **options)

                    seconds, sol = best(run, repetitions)
                    error = np.abs(sol["T"] - truth).max() / np.abs(truth).max() / rtol
                    shown.append((sol.stats["steps"], seconds * 1e3, error))
                (steps, ms, error), (_, all_ms, all_error) = shown
                line = f"{name:<12} {rows:>7} {rtol:>6.0e} {steps:>7} {ms:>7.2f} {error:>6.2f}"
                print(f"{line}   {all_ms:>12.2f} {all_error:>6.2f}")


if __name__ == "__main__":
    main()
