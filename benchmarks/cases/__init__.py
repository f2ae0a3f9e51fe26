"""One module for each case.  Each has `TITLE`, `SETTINGS`, `TARGETS` and `run(effort, tell) -> Outcome`."""

from __future__ import annotations

from dataclasses import dataclass

COMPILING = ("compile", "hundred", "networks", "cells", "machine_code", "imports")
"""What `make bench-compile` runs."""
NAMES = ("solve", "gradient", "spiral", "robertson", "startup", *COMPILING, "discovery")


@dataclass(frozen=True)
class Effort:
    """How long to measure: `seconds` for each contender, `processes` started, `models` compiled."""

    seconds: float = 2.0
    processes: int = 5
    models: int = 60
    discoveries: int = 3


QUICK = Effort(seconds=0.3, processes=2, models=12, discoveries=1)
