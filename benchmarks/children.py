"""Fresh Python processes, timed from the moment they are started.

Takes source text for `python -c`; it must end by printing one line of JSON with
`now` (`time.time()` when its work was done).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from machine import ROOT

LIMIT = 600.0
"""Seconds after which a process counts as hung."""


@dataclass(frozen=True)
class Child:
    """`seconds` from start to `now`; `answer`, the JSON object it printed."""

    seconds: float
    answer: dict[str, Any]


def start(source: str, environment: Mapping[str, str] | None = None) -> Child:
    """Run `source` in a new Python process of this environment.

    Raises `RuntimeError` with the end of its traceback when it fails.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    env = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # a package that was used once is not compiled again
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        said = done.stderr.strip()
        raise RuntimeError(said[said.rfind("\n  File ") + 1 :] or "it ended without a message")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return Child(float(answer["now"]) - began, answer)
