"""One file for each library.  Each has `LABEL`, `MODULE` (what must be importable) and `ways(problem)`.

A `Way` is one manner of using the library: `prepare()` compiles what can be compiled and
gives `at(tolerance)`, which gives the call to be timed; the call returns the state at t1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIBRARIES = ("ours", "sundials", "casadi_cvodes", "roadrunner", "scipy_ivp", "heyoka_taylor", "diffsol", "diffrax_jit",
             "torch_odeint")  # fmt: skip
OURS = "ours"
CVODE = ("sundials", "casadi_cvodes", "roadrunner")
"""Those that run CVODE or CVODES."""

Run = Callable[[], Any]


@dataclass(frozen=True)
class Way:
    """One manner of using a library on one problem."""

    what: str
    prepare: Callable[[], Callable[[float], Run]]


class NotApplicable(Exception):
    """The library has nothing for this problem; the message says why."""
