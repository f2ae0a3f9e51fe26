"""One module for each case.  Each has `TITLE`, `SETTINGS`, `TARGETS` and `run(effort, tell) -> Outcome`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

COMPILING = ("compile", "hundred", "networks", "cells", "machine_code", "imports")
"""What `make bench-compile` runs."""
NAMES = ("solve", "gradient", "spiral", "robertson", "startup", *COMPILING, "discovery", "rober", "ensemble")


@dataclass(frozen=True)
class Effort:
    """How long to measure: `seconds` for each contender, `processes` started, `models` compiled."""

    seconds: float = 2.0
    processes: int = 5
    models: int = 60
    discoveries: int = 3


QUICK = Effort(seconds=0.3, processes=2, models=12, discoveries=1)


@contextmanager
def cache_in(folder: str) -> Iterator[None]:
    """What is compiled is kept in `folder`; nowhere where it is empty."""
    before = os.environ.get("SCIML_DSL_CACHE")
    os.environ["SCIML_DSL_CACHE"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["SCIML_DSL_CACHE"]
        else:
            os.environ["SCIML_DSL_CACHE"] = before
