"""`sciml-dsl solve`: integrate a model and show, write or draw its trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import NonFiniteError
from ..files import check_output, write_text
from .console import (
    Times,
    csv_text,
    echo_json,
    given,
    grid,
    json_option,
    load_model,
    model_argument,
    number,
    output_option,
    solver_arguments,
    solver_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 20  # rows of the table on the screen


@click.command("solve")
@model_argument
@click.option("--t0", type=float, default=0.0, show_default=True, help="Start time.")
@click.option("--t1", type=float, required=True, help="End time.")
@click.option("--saveat", type=Times(), help="Spacing of the output, or a list of times; default: every step.")
@solver_options
@output_option("Write the trajectory to this CSV file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a figure to this file.")
@json_option
def command(
    file: Path,
    t0: float,
    t1: float,
    saveat: float | list[float] | None,
    output: Path | None,
    plot: Path | None,
    as_json: bool,
    **solver: Any,
) -> int:
    """Integrate the model in FILE from t0 to t1."""
    if output is not None:
        check_output(output, [file, *([] if solver["inputs"] is None else [solver["inputs"]])])
    if plot is not None:
        from ..plot import check_path

        check_path(plot)
    model = load_model(file)
    own, options = solver_arguments(solver)
    sol = model.solve((t0, t1), **own, **given(saveat=saveat), **options)
    if not sol.success and "finite" in _status(sol):
        raise NonFiniteError(sol.message)
    columns = {"t": sol.t, **{name: sol.u[:, k] for k, name in enumerate(model.states)}}
    columns |= {name: sol[name] for name in model.observables}
    if output is not None:
        write_text(output, csv_text(columns))
    if plot is not None:
        sol.plot(path=plot)
    if as_json:
        echo_json(
            {
                "model": model.name, "status": _status(sol), "success": sol.success, "message": sol.message,
                "stats": sol.stats, "columns": columns, "output": output and str(output), "plot": plot and str(plot),
            }
        )  # fmt: skip
    else:
        click.echo(_table(columns))
        for path in (output, plot):
            if path is not None:
                click.echo(f"wrote {path}", err=True)
        if not sol.success:
            click.echo(f"failed: {sol.message}", err=True)
    return 0 if sol.success else 1


def _status(sol: Any) -> str:
    return str(getattr(sol.status, "name", sol.status)).lower()


def _table(columns: Mapping[str, Any]) -> str:
    rows = [[number(float(v), 8) for v in row] for row in zip(*columns.values(), strict=True)]
    if len(rows) > _SHOWN:
        half = _SHOWN // 2
        rows = [*rows[:half], ["..."] * len(columns), *rows[-half:]]
    return grid(list(columns), rows, left=0)
