"""One module for each case.  Each has `TITLE`, `SETTINGS`, `TARGETS` and `run(effort, tell) -> Outcome`."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("solve", "gradient", "spiral", "robertson", "startup", "compile", "discovery", "rober", "ensemble")


@dataclass(frozen=True)
class Effort:
    """How long to measure: `seconds` for each contender, `processes` started, `models` compiled."""

    seconds: float = 2.0
    processes: int = 5
    models: int = 60
    discoveries: int = 3


QUICK = Effort(seconds=0.3, processes=2, models=12, discoveries=1)
