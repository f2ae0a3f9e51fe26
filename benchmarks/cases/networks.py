"""Mass-action networks from 100 to 10,000 states: time and memory from text to native f and sparse Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cases import Effort
from children import start
from contest import OURS, Outcome, Row, Target, Verdict, fail
from measure import Timing

TITLE = "Reaction networks: text to right-hand side and sparse Jacobian"
SIZES = ((100, 200), (1000, 2000), (10_000, 20_000), (1122, 24_388))
SETTINGS = (
    "mass-action networks drawn at random (128 rate constants; 1,122 states and 24,388 reactions is the size of the "
    "B-cell receptor model), each in a new process with nothing in the cache on disk; error: of f, and of 20 columns "
    "of the Jacobian, against sums over the reactions in extended precision, |value - exact| / (1 + |exact|)"
)
WHAT = "text to both, {n:,} states, {m:,} reactions"
CALL = "one call of f, {n:,} states, {m:,} reactions"
TARGETS = (
    Target("1,000 states under 2 s", seconds=2.0, row=WHAT.format(n=1000, m=2000)),
    Target("24,388 reactions under 20 s", seconds=20.0, row=WHAT.format(n=1122, m=24_388)),
    Target("24,388 reactions, f under 60 µs", seconds=60e-6, row=CALL.format(n=1122, m=24_388)),
)
GROWTH = 1.2

SOURCE = """
import json, resource, sys, time
sys.path.insert(0, {folder!r})
import numpy as np
from generated import network, ring
from native_call import seconds_a_call
import sciml_dsl as sd
import scipy.sparse
draw = np.random.default_rng(1)
sd.model(ring(60)).rhs("native")          # imports, parser tables, LLVM
made = network({n}, {m})
u, k = draw.uniform(0.5, 1.5, {n}), draw.uniform(0.5, 1.5, made.n_rates)
def peak():
    try:  # of this process alone; getrusage remembers the process that started it
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, began = peak(), time.perf_counter()
model = sd.model(made.text)
parsed = time.perf_counter()
f = model.rhs("native")
jac = model.jac("native", sparse=True)
ended = time.perf_counter()
used = peak() - before
exact = made.slopes(u, k)
error = float(np.max(np.abs(f(0.0, u, k) - exact) / (1 + np.abs(exact))))
matrix = jac(0.0, u, k).tocsc()
for j in draw.choice({n}, 20, replace=False).tolist():
    exact = made.slopes_by_state(u, k, j)
    error = max(error, float(np.max(np.abs(matrix[:, [j]].toarray()[:, 0] - exact) / (1 + np.abs(exact)))))
operations = sum(model.operations("f").values()) + sum(model.operations("jacobian_values").values())
print(json.dumps({{"now": time.time(), "seconds": ended - began, "parse": parsed - began, "error": error,
    "call": seconds_a_call(f, u, k), "kilobytes": used, "operations": operations, "entries": int(matrix.nnz),
    "characters": len(made.text)}}))
"""


def measured(n: int, m: int, count: int) -> list[dict[str, Any]]:
    """What `count` new processes say of one size."""
    from machine import ROOT

    source = SOURCE.format(folder=str(ROOT / "benchmarks"), n=n, m=m)
    return [start(source, {"SCIML_DSL_CACHE": ""}).answer for _ in range(count)]


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Every size in processes of its own."""
    rows: list[Row] = []
    notes: list[str] = []
    best: dict[tuple[int, int], dict[str, float]] = {}
    for n, m in SIZES:
        whole, call = Row(OURS, WHAT.format(n=n, m=m)), Row(OURS, CALL.format(n=n, m=m))
        rows += [whole, call]
        tell(whole.what)
        try:
            found = measured(n, m, 2 if n * m > 1e7 else max(3, effort.processes))
        except Exception as problem:  # shown in the table
            fail(whole, problem)
            call.note = "see above"
            continue
        whole.timing = Timing.of([one["seconds"] for one in found])
        call.timing = Timing.of([one["call"] for one in found])
        whole.error = call.error = max(one["error"] for one in found)
        first = found[0]
        best[n, m] = {key: min(one[key] for one in found) for key in ("seconds", "kilobytes", "operations", "call")}
        notes.append(
            f"{n:,} states, {m:,} reactions: {first['characters']:,} characters, {first['operations']:,} operations, "
            f"{first['entries']:,} entries, {best[n, m]['kilobytes'] / 1024:.0f} MB more than before, "
            f"{first['parse'] / first['seconds']:.0%} of the time for parsing and names"
        )
    return Outcome("networks", TITLE, SETTINGS, rows, TARGETS, notes, growth(best))


def growth(best: dict[tuple[int, int], dict[str, float]]) -> list[Verdict]:
    """Time and memory from 100 (memory: 1,000) to 10,000 states over the growth in operations."""
    verdicts = []
    for key, what, small in (("seconds", "time", SIZES[0]), ("kilobytes", "memory", SIZES[1])):
        text = f"{what} grows at most {GROWTH} x as fast as operations, {small[0]:,} to {SIZES[2][0]:,} states"
        target = Target(text, ratio=GROWTH)
        if small not in best or SIZES[2] not in best or not best[small][key]:
            verdicts.append(Verdict(target, math.nan, None, "not measured"))
            continue
        few, many = best[small], best[SIZES[2]]
        grown, work = many[key] / few[key], many["operations"] / few["operations"]
        measured = grown / work
        how = f"{grown:.0f} times {what} for {work:.0f} times operations"
        verdicts.append(Verdict(target, measured, measured <= GROWTH, how))
    return verdicts
