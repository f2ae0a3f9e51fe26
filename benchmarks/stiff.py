"""Work against achieved error on stiff problems: implicit methods here beside scipy's and CVODE.

    python benchmarks/stiff.py                       all problems
    python benchmarks/stiff.py hires pollu --seconds 0.1

Errors are those of published end values (tests/stiff_problems.py), times the shortest of many solves, in one
run.  scipy and CVODE (scikit-sundae, if it is installed) get right-hand side and Jacobian as compiled
functions; what Python adds to each of their calls is in their times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent / "tests", HERE.parent):  # runs from a checkout, installed or not
    sys.path.insert(0, str(folder))

import click  # noqa: E402
import numpy as np  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from stiff_problems import PROBLEMS, Problem  # noqa: E402

METHODS = ("auto", "rodas5p", "rodas4", "kencarp4", "kvaerno5", "radau", "ndf")
TOLERANCES = (1e-3, 1e-5, 1e-7, 1e-9, 1e-11)


def ours(problem: Problem, method: str, rtol: float) -> Callable[[], Any]:
    """A solve of this package."""
    model = problem.model()
    options = {"method": method, "rtol": rtol, "atol": rtol * problem.zero, "saveat": [problem.t1]}
    return lambda: model.solve((0, problem.t1), problem.u0, max_steps=1_000_000, **options)


class End:
    """What `Problem.error` reads of a solution of others."""

    def __init__(self, problem: Problem, model: Any, u: Any) -> None:
        self.success, self.t, self.names = True, [problem.t1], model.states
        self.u = dict(zip(model.states, u, strict=True))
        if model.observables:
            observed = model.solve((0, 1e-300), np.asarray(u), saveat=[0.0])
            self.u |= {name: observed[name][0] for name in model.observables}

    def __getitem__(self, name: str) -> list[float]:
        return [float(self.u[name])]


def others(problem: Problem, name: str, rtol: float) -> Callable[[], Any]:
    """A solve by scipy or CVODE."""
    model = problem.model()
    f, jac, p = model.rhs("numba").function, model.jac("numba").function, np.zeros(0)
    u0, atol = np.array(problem.u0, float), rtol * problem.zero

    def scipy() -> Any:
        with np.errstate(all="ignore"):
            found = solve_ivp(
                lambda t, u: f(t, u, p), (0, problem.t1), u0, name, rtol=rtol, atol=atol, jac=lambda t, u: jac(t, u, p)
            )
        return End(problem, model, found.y[:, -1]) if found.success else None

    def cvode() -> Any:
        from sksundae.cvode import CVODE

        def right(t: float, u: Any, du: Any) -> None:
            du[:] = f(t, u, p)

        def jacobian(t: float, u: Any, du: Any, out: Any) -> None:
            out[:, :] = jac(t, u, p)

        solver = CVODE(right, method="BDF", rtol=rtol, atol=atol, jacfn=jacobian, max_num_steps=1_000_000)
        found = solver.solve(np.array([0.0, problem.t1]), u0)
        return End(problem, model, found.y[-1]) if found.success else None

    return cvode if name == "CVODE" else scipy


def measured(problem: Problem, call: Callable[[], Any], seconds: float) -> str:
    """Error and time as text."""
    found = call()
    if found is None or not found.success:
        return "failed"
    best, spent = float("inf"), 0.0
    while spent < seconds:
        begin = perf_counter()
        call()
        took = perf_counter() - begin
        best, spent = min(best, took), spent + took
    return f"{problem.error(found):.0e} {best * 1e6:9.0f} us"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(PROBLEMS)))
@click.option("--seconds", default=0.2, show_default=True, help="Seconds of timing for each entry.")
@click.option("--methods", default=",".join(METHODS), show_default=True)
def main(names: tuple[str, ...], seconds: float, methods: str) -> None:
    """Print a table for each of the problems NAMES (all by default)."""
    rivals = ["Radau", "BDF"]
    try:
        import sksundae  # noqa: F401

        rivals.append("CVODE")
    except ImportError:
        click.echo("scikit-sundae is not installed: no CVODE", err=True)
    for name in names or PROBLEMS:
        problem = PROBLEMS[name]
        click.echo(f"\n{name}: relative error of the end value and time, for rtol = " + ", ".join(map(str, TOLERANCES)))
        for method in methods.split(","):
            row = [measured(problem, ours(problem, method, rtol), seconds) for rtol in TOLERANCES]
            click.echo(f"{method:12s}" + " | ".join(row))
        if len(problem.u0) > 100:
            continue  # their dense matrices would only show that ours are banded
        for rival in rivals:
            row = [measured(problem, others(problem, rival, rtol), seconds) for rtol in TOLERANCES]
            click.echo(f"{rival:12s}" + " | ".join(row))


if __name__ == "__main__":
    main()
