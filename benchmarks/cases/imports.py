"""How long it takes until something happens: importing the package, `sciml-dsl check` as a whole process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cases import Effort
from children import start
from contest import OURS, Outcome, Row, Target, fail
from measure import Timing

TITLE = "Importing and checking"
SETTINGS = "new Python processes; `check` reads a predator-prey model, warnings included"
IMPORT, CHECK = "import sciml_dsl", "sciml-dsl check model.sciml, whole process"
TARGETS = (Target("import under 60 ms", seconds=0.06, row=IMPORT), Target("check under 300 ms", seconds=0.3, row=CHECK))

SOURCE = """
import json, time
began = time.perf_counter()
import sciml_dsl
print(json.dumps({"now": time.time(), "seconds": time.perf_counter() - began}))
"""
EMPTY = "import json, time; print(json.dumps({'now': time.time()}))"
MODEL = """
model PredatorPrey
x' = a*x - b*x*y
y' = -c*y + d*x*y
x(0) = 1; y(0) = 1
param a = 1.5, b = 1, c = 3, d = 1
"""


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Processes in turns; one before them warms the disk."""
    import os

    from machine import ROOT

    rows = [Row(OURS, IMPORT), Row(OURS, CHECK), Row("python", "an empty process, to compare")]
    taken: list[list[float]] = [[], [], []]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.sciml"
        model.write_text(MODEL)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        for round_ in range(-1, 2 * effort.processes):
            tell(f"process {round_ + 2}")
            try:
                seconds = [start(SOURCE).answer["seconds"]]
                began = time.perf_counter()
                command = [sys.executable, "-m", "sciml_dsl.cli", "check", str(model)]
                subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": path})
                seconds += [time.perf_counter() - began, start(EMPTY).seconds]
            except (RuntimeError, subprocess.CalledProcessError) as problem:
                for row in rows:
                    fail(row, problem)
                break
            if round_ >= 0:
                for found, one in zip(taken, seconds, strict=True):
                    found.append(one)
    for row, found in zip(rows, taken, strict=True):
        if found:
            row.timing = Timing.of(found)
    return Outcome("imports", TITLE, SETTINGS, rows, TARGETS)
