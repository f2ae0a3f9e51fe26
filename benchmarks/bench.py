"""Times sciml_dsl against scipy, torchdiffeq and diffrax, side by side, in one run.

    python benchmarks/bench.py                     all cases
    python benchmarks/bench.py solve gradient      some
    python benchmarks/bench.py --quick --json

Tables go to the screen, `latest.json` and `latest.md` to benchmarks/results.  Exit
status 1 when a contender failed, 0 otherwise: a missed target is a result, not a failure.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):  # runs from a checkout, installed or not
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import click  # noqa: E402
from rich.console import Console  # noqa: E402

import report  # noqa: E402
from cases import NAMES, QUICK, Effort  # noqa: E402
from contest import Outcome  # noqa: E402
from machine import describe, use_cores  # noqa: E402


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[CASE]...")
@click.option("--quick", is_flag=True, help="Short measurements: to see that everything runs.")
@click.option("--seconds", type=click.FloatRange(min=0.01), help="Seconds of timing for each contender.")
@click.option("--cores", type=click.IntRange(min=1), default=2, show_default=True, help="Cores to run on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output instead of tables.")
@click.option("--stem", default="latest", show_default=True, help="Name of the files written, without ending.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=HERE / "results",
    help="Folder for the files written.",
)
def main(
    names: tuple[str, ...], quick: bool, seconds: float | None, cores: int, as_json: bool, stem: str, output: Path
) -> None:
    """Run the cases CASE (default: all)."""
    effort = QUICK if quick else Effort()
    if seconds is not None:
        effort = Effort(seconds, effort.processes, effort.models, effort.discoveries)
    used = use_cores(cores)
    os.environ.setdefault("OMP_NUM_THREADS", str(used))
    machine = describe(used) | {"effort": "quick" if quick else "full"}
    console, progress = Console(), Console(stderr=True)
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(names or NAMES):
        with progress.status(name) as status:
            outcome: Outcome = import_module(f"cases.{name}").run(
                effort, lambda text, name=name, status=status: status.update(f"{name}: {text}")
            )
        outcomes.append(outcome)
        paths = report.write(outcomes, machine, output, stem)  # after each: a run that is stopped keeps what it has
        if not as_json:
            report.show(outcome, console)
    if as_json:
        click.echo(json.dumps(report.as_data(outcomes, machine), ensure_ascii=False))
    else:
        for key, value in machine.items():
            console.print(f"{key}: {value}", style="dim", highlight=False)
        console.print("wrote " + " and ".join(str(path) for path in paths), style="dim", highlight=False)
    failed = [f"{o.name}: {row.library} {row.what}: {row.note}" for o in outcomes for row in o.rows if row.failed]
    for line in failed:
        click.echo(line, err=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
