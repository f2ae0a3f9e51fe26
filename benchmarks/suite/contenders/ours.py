"""sciml_dsl: the public call, with "auto" and with the methods that fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suite.contenders import Run, Way
from suite.problem import Problem

LABEL, MODULE = "sciml_dsl", "sciml_dsl"

NOT_STIFF = ("tsit5", "vern7", "dop853", "vern9", "taylor")
STIFF = ("rodas5p", "radau", "ndf", "rodas4", "rosenbrock23", "kvaerno5", "kencarp4", "radauiia9")
LARGE = ("rodas5p", "radau", "ndf", "kencarp4")
"""What is tried from 100 states on."""


def solver(problem: Problem, method: str, cache: dict[str, Any]) -> Callable[[float], Run]:
    import sciml_dsl as sd

    model = cache.setdefault(problem.name, None) or sd.model(problem.text)
    cache[problem.name] = model

    def at(tolerance: float) -> Run:
        def run() -> Any:
            sol = model.solve(
                (0.0, problem.t1), method=method, rtol=tolerance, atol=tolerance * problem.floor, saveat=[problem.t1],
                max_steps=10_000_000,
            )  # fmt: skip
            if not sol.success:
                raise RuntimeError(sol.message)
            return sol.u[-1]

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    """ "auto", and every method of the registry that is meant for such a problem."""
    from sciml_dsl.solve.methods.registry import METHODS

    wanted = (STIFF if problem.n < 100 else LARGE) if problem.stiff else NOT_STIFF
    names = [name for name in wanted if name in METHODS]
    cache: dict[str, Any] = {}
    return [Way(name, lambda name=name: solver(problem, name, cache)) for name in ("auto", *names)]
