"""`sciml-dsl ensemble`: integrate a model for many parameters and initial values, from a table or ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, InputError, UnknownNameError, suggest
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
    quiet_option,
    solver_arguments,
    solver_options,
)
from .progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..model.model import Model

    Floats = NDArray[np.float64]

_FAILURES = 10  # failed trajectories that are named on the screen


class Values(click.ParamType):
    """An option of the form `name=first:last:count` or `name=a,b,c`; gives `(name, list of floats)`."""

    name = "name=first:last:count|a,b,c"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, list[float]]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"`{value}` is not of the form name=first:last:count or name=a,b,c, as k=0:1:11", param, ctx)
        try:
            if ":" not in text:
                return name.strip(), [float(part) for part in text.split(",")]
            first, last, count = text.split(":")
            points = int(count)
            if points < 1:
                raise ValueError
            step = (float(last) - float(first)) / max(points - 1, 1)
            return name.strip(), [float(first) + i * step for i in range(points - 1)] + [float(last)]
        except ValueError:
            self.fail(f"`{text}` in `{value}` is neither first:last:count nor a list of numbers", param, ctx)


@click.command("ensemble")
@model_argument
@click.option("--t0", type=float, default=0.0, show_default=True, help="Start time.")
@click.option("--t1", type=float, required=True, help="End time.")
@click.option("--saveat", type=Times(), help="Spacing of the output, or a list of times; default: 101 times.")
@click.option(
    "--table", type=click.Path(path_type=Path),
    help="CSV table with a row for each trajectory; columns are parameters, and states for initial values.",
)  # fmt: skip
@click.option("--vary", type=Values(), multiple=True, help="Values of a parameter or state; repeated: all pairs.")
@solver_options
@click.option("--threads", type=int, help="How many; default: all cores.")
@output_option("Write all trajectories to this CSV file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a fan chart to this file.")
@quiet_option
@json_option
def command(
    file: Path,
    t0: float,
    t1: float,
    saveat: float | list[float] | None,
    table: Path | None,
    vary: tuple[tuple[str, list[float]], ...],
    threads: int | None,
    output: Path | None,
    plot: Path | None,
    quiet: bool,
    as_json: bool,
    **solver: Any,
) -> int:
    """Integrate the model in FILE once for every row of a table, or for every combination of values."""
    if table is None and not vary:
        raise click.UsageError("say what varies: --vary k=0:1:11, or --table rows.csv")
    if output is not None:
        check_output(output, [file, *(path for path in (table, solver["inputs"]) if path is not None)])
    if plot is not None:
        from ..plot import check_path

        check_path(plot)
    model = load_model(file)
    varied = _combined([*([] if table is None else [_rows(table)]), *({name: values} for name, values in vary)])
    own, options = solver_arguments(solver)
    fixed: dict[str, dict[str, Any]] = {"p": own.pop("p", {}), "u0": own.pop("u0", {})}
    for name, values in varied.items():
        kind = "p" if name in model.parameters else "u0" if name in model.states else ""
        if not kind:
            raise UnknownNameError(_unknown(model, name))
        if name in fixed[kind]:
            raise InputError(f"`{name}` is given twice: for all, and varied")
        fixed[kind][name] = values
    many = model.ensemble(**given(**fixed), **own)
    options |= given(saveat=saveat, threads=threads)
    with Progress(quiet or as_json or len(many) < 1000) as progress:
        sol = many.solve((t0, t1), progress=None if quiet or as_json else progress, **options)
    if output is not None:
        long = sol.to_pandas()
        which = long["trajectory"].to_numpy(int)
        labels = {name if name in model.parameters else f"{name}(0)": values[which] for name, values in varied.items()}
        columns = {name: long[name].to_numpy() for name in long.columns}
        write_text(output, csv_text({"trajectory": which, **labels, **columns}))
    if plot is not None:
        sol.plot(path=plot)
    failures = sol.failures
    last = {name: sol.summary(name).iloc[-1].to_dict() for name in (*model.states, *model.observables)}
    if as_json:
        echo_json(
            {
                "model": model.name, "trajectories": len(sol), "success": bool(sol.success.all()),
                "failures": failures.to_dict("records"), "stats": sol.stats, "t": float(sol.t[-1]), "summary": last,
                "output": output and str(output), "plot": plot and str(plot),
            }
        )  # fmt: skip
    else:
        click.echo(f"{len(sol):,} trajectories at t = {number(float(sol.t[-1]))}\n")
        statistics = list(next(iter(last.values())))
        click.echo(grid(["", *statistics], [[name, *map(number, row.values())] for name, row in last.items()]))
        for path in (output, plot):
            if path is not None:
                click.echo(f"wrote {path}", err=True)
        for i, message in zip(failures["trajectory"][:_FAILURES], failures["message"], strict=False):
            click.echo(f"trajectory {i} failed: {message}", err=True)
        if len(failures) > _FAILURES:
            click.echo(f"... and {len(failures) - _FAILURES:,} more failed", err=True)
    return 0 if sol.success.all() else 1


def _rows(path: Path) -> Mapping[str, Any]:
    """The columns of a table of numbers."""
    import numpy as np
    import pandas as pd

    try:
        found = pd.read_csv(path, comment="#", skipinitialspace=True)
    except FileNotFoundError:
        raise DataError(f"there is no file `{path}`") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise DataError(f"{path}: not a table of numbers with commas between them: {problem}") from None
    if not len(found):
        raise DataError(f"{path}: the table has a header and no rows")
    columns = {}
    for name in found.columns:
        values = pd.to_numeric(found[name], errors="coerce").to_numpy(float)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            cell = found[name].iloc[int(bad[0])]
            raise DataError(f"{path}: row {bad[0] + 1}, column `{name}`: {cell} is not a finite number")
        columns[str(name).strip()] = values
    return columns


def _combined(factors: list[Mapping[str, Any]]) -> dict[str, Floats]:
    """Every row of each factor with every row of the others, the last changing fastest."""
    import numpy as np

    sizes = [len(next(iter(factor.values()))) for factor in factors]
    places = np.indices(sizes).reshape(len(sizes), -1)
    combined: dict[str, Floats] = {}
    for factor, rows in zip(factors, places, strict=True):
        for name, values in factor.items():
            if name in combined:
                raise InputError(f"`{name}` is varied twice")
            combined[name] = np.asarray(values, dtype=float)[rows]
    return combined


def _unknown(model: Model, name: str) -> str:
    known = (*model.parameters, *model.states)
    hint = suggest(name, known) or "it has " + ", ".join(f"`{k}`" for k in known[:20])
    return f"the model has no parameter or state `{name}`; {hint}"
