"""libroadrunner: the problem as SBML with a rate rule for each state, compiled by its LLVM, integrated by CVODE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from suite.contenders import NotApplicable, Run, Way
from suite.problem import Problem

LABEL, MODULE = "CVODE (libroadrunner)", "roadrunner"
LARGEST = 150


def sbml(problem: Problem, phase: int) -> str:
    """An SBML document; sympy writes the mathematics."""
    import sympy
    from sympy.printing.mathml import mathml

    names = [f"u{i}x" for i in range(problem.n)]  # sympy would make a subscript of a number at the end
    symbols = list(sympy.symbols(names))
    values = "".join(
        f'<parameter id="{name}" value="{value!r}" constant="false"/>'
        for name, value in zip(names, problem.u0, strict=True)
    )
    rules = "".join(
        f'<rateRule variable="{name}"><math xmlns="http://www.w3.org/1998/Math/MathML">{mathml(sympy.sympify(e))}'
        "</math></rateRule>"
        for name, e in zip(names, problem.rhs(symbols, phase), strict=True)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" '
        f'version="1"><model id="m"><listOfParameters>{values}</listOfParameters><listOfRules>{rules}</listOfRules>'
        "</model></sbml>"
    )


def cvode(problem: Problem) -> Callable[[float], Run]:
    import roadrunner

    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_FATAL)
    models = [roadrunner.RoadRunner(sbml(problem, phase)) for phase in range(len(problem.ends))]
    names = [f"u{i}x" for i in range(problem.n)]  # sympy would make a subscript of a number at the end
    for model in models:
        model.timeCourseSelections = ["time", *names]

    def at(tolerance: float) -> Run:
        for model in models:
            integrator = model.getIntegrator()
            integrator.setValue("relative_tolerance", tolerance)
            integrator.setValue("absolute_tolerance", tolerance * problem.floor)
            integrator.setValue("maximum_num_steps", 10_000_000)
            integrator.setValue("stiff", problem.stiff)

        def run() -> Any:
            t, u = 0.0, None
            for end, model in zip(problem.ends, models, strict=True):
                model.resetAll()
                if u is not None:
                    for name, value in zip(names, u, strict=True):
                        model[name] = value
                u = np.array(model.simulate(t, end, 2))[-1, 1:]
                t = end
            return u

        return run

    return at


def ways(problem: Problem) -> list[Way]:
    if problem.n > LARGEST:
        raise NotApplicable(f"its compiler takes too long for {problem.n} states")
    return [Way("bdf" if problem.stiff else "adams", lambda: cvode(problem))]
