"""Work against achieved error: fifteen problems, nine libraries, one run.

    python benchmarks/bench_solve.py                      everything, about fifteen minutes
    python benchmarks/bench_solve.py rober hires          some problems
    python benchmarks/bench_solve.py --quick              three tolerances: to see that everything runs
    python benchmarks/bench_solve.py --library ours --library sundials

Results are kept in benchmarks/results/solve, one file for each problem and library, and used
again by the next run while versions and sources are the same; a run that is interrupted or
out of time goes on where it was.  The tables go to the screen and to benchmarks/results.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # one core for everybody

import click  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markdown import Markdown  # noqa: E402

from machine import describe, use_cores  # noqa: E402
from suite import tables  # noqa: E402
from suite.contenders import LIBRARIES  # noqa: E402
from suite.problem import problems  # noqa: E402
from suite.run import run, versions  # noqa: E402


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(problems())), metavar="[PROBLEM]...")
@click.option("--library", "libraries", multiple=True, type=click.Choice(LIBRARIES), help="Only these libraries.")
@click.option("--quick", is_flag=True, help="Three tolerances, a second for each library and problem.")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=15.0, show_default=True, help="Time for the whole.")
@click.option("--fresh", is_flag=True, help="Measure everything again.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=HERE / "results",
    help="Folder of the results.",
)
def main(
    names: tuple[str, ...], libraries: tuple[str, ...], quick: bool, minutes: float, fresh: bool, output: Path
) -> None:
    """Solve the problems PROBLEM (default: all fifteen) by every library."""
    used = use_cores(2)
    chosen = tuple(dict.fromkeys(libraries)) or LIBRARIES
    machine = describe(used) | {
        "libraries": ", ".join(f"{name} {versions(name)}" for name in chosen if name != "ours"),
        "effort": "quick" if quick else "full",
    }
    with Console(stderr=True).status("starting") as status:
        results = run(
            tuple(dict.fromkeys(names)) or tuple(problems()), chosen, output / "solve", minutes=minutes, quick=quick,
            fresh=fresh, tell=status.update,
        )  # fmt: skip
    written = tables.write(results, machine, output)
    console = Console()
    console.print(Markdown(tables.markdown(results, machine)))
    console.print("wrote " + ", ".join(str(path) for path in written), style="dim", highlight=False)
    broken = [
        f"{name}: {found['label']}: {found['note']}"
        for name, row in results.items()
        for found in row.values()
        if found["note"].startswith(("its process ended", "no answer"))
    ]
    for line in broken:
        click.echo(line, err=True)
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
