"""A process that measures one library: requests on standard input, results on standard output, as lines of JSON.

A library that crashes takes only this process with it.  A request names a problem and
says how long it may take; the answer holds, for each way, points of tolerance, achieved
error and seconds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent.parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from suite.contenders import NotApplicable, Way  # noqa: E402
from suite.problem import Problem, problems  # noqa: E402

TOLERANCES = tuple(10.0**-k for k in range(3, 14))
QUICK = (1e-4, 1e-7, 1e-10)
ENOUGH = 1e-11
"""A way that achieved this error needs no tighter tolerance."""
LONGEST = 2.5
"""Seconds of one solve after which no tighter tolerance is tried."""


def seconds_of(run: Any, first: float, allowed: float) -> float:
    """Least seconds of a call: repeated until `allowed` seconds are spent; `first` is a call already timed."""
    best, spent = first, 0.0
    while spent < allowed:
        began = perf_counter()
        run()
        took = perf_counter() - began
        best, spent = min(best, took), spent + took
        if took > allowed:
            break
    return best


def measure(problem: Problem, way: Way, tolerances: tuple[float, ...], seconds: float) -> dict[str, Any]:
    """Points of one way within about `seconds`."""
    began = perf_counter()
    at = way.prepare()
    with contextlib.suppress(Exception):  # compiles what the first call compiles; a failure is met again below
        at(tolerances[0])()
    prepared = perf_counter() - began
    points: list[list[float]] = []
    notes: list[str] = []
    for tolerance in tolerances:
        try:
            run = at(tolerance)
            start = perf_counter()
            state = run()
            first = perf_counter() - start
            error = problem.error(state)
            if not math.isfinite(error):
                notes.append(f"{tolerance:g}: no finite result")
                continue
            least = seconds_of(run, first, min(0.08, seconds / 20.0))
            points.append([tolerance, error, least])
        except Exception as failure:
            notes.append(f"{tolerance:g}: {type(failure).__name__}: {failure}".splitlines()[0][:160])
            continue
        spent = perf_counter() - began - prepared
        if error < ENOUGH or first > LONGEST or spent > seconds:
            break
    return {"what": way.what, "points": points, "notes": notes, "prepared": prepared}


def answer(library: Any, request: dict[str, Any]) -> dict[str, Any]:
    """All ways of a library on one problem."""
    problem = problems()[request["problem"]]
    try:
        ways = library.ways(problem)
    except NotApplicable as reason:
        return {"ways": [], "note": str(reason)}
    tolerances = QUICK if request["quick"] else TOLERANCES
    found = []
    for way in ways:
        try:
            found.append(measure(problem, way, tolerances, request["seconds"] / len(ways)))
        except Exception as failure:
            note = f"{type(failure).__name__}: {failure}".splitlines()[0][:200]
            found.append({"what": way.what, "points": [], "notes": [note], "prepared": 0.0})
    return {"ways": found, "note": ""}


def main() -> None:
    """Serve until standard input ends."""
    warnings.simplefilter("ignore")
    library = import_module(f"suite.contenders.{sys.argv[1]}")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to standard error
    for line in sys.stdin:
        replies.write(json.dumps(answer(library, json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
