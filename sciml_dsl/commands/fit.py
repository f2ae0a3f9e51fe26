"""`sciml-dsl fit`: estimate what a model leaves open from a table of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..files import check_output, write_text
from .console import (
    data_argument,
    echo_json,
    given,
    grid,
    json_option,
    load_model,
    model_argument,
    number,
    output_option,
    quiet_option,
)
from .progress import Progress


@click.command("fit")
@model_argument
@data_argument
@click.option("--starts", type=click.IntRange(min=1), help="How many starting points to try.")
@click.option("--seed", type=int, help="Seed of the random numbers; the same seed gives the same answer.")
@click.option("--fixed", multiple=True, metavar="NAME", help="Keep this parameter at its default; may be repeated.")
@click.option("--noise", help="additive (default), proportional or log.")
@click.option("--strategy", help="auto (default), single, multiple_shooting or train.")
@click.option("--method", help="Integration method: auto (default), tsit5 or rodas5p.")
@click.option("--max-time", type=float, help="Seconds after which the best so far is the result.")
@output_option("Write the fitted model to this file; NAME.py: as Python code with weights.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a figure to this file.")
@quiet_option
@json_option
def command(
    file: Path,
    data: Path,
    starts: int | None,
    seed: int | None,
    fixed: tuple[str, ...],
    noise: str | None,
    strategy: str | None,
    method: str | None,
    max_time: float | None,
    output: Path | None,
    plot: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Fit the model in FILE to the table in DATA."""
    from ..fit.table import check_table, read_table
    from ..model.inputs import without_inputs

    if output is not None:
        check_output(output, [file, data])
    if plot is not None:
        from ..plot import check_path

        check_path(plot)
    model = load_model(file)
    table = read_table(data)
    check_table(without_inputs(model.spec.inputs, table), model, name=str(data))  # before anything heavy is loaded
    options = given(
        starts=starts, seed=seed, fixed=fixed or None, noise=noise, strategy=strategy, method=method, max_time=max_time
    )
    with Progress(quiet) as progress:
        result = model.fit(table, progress=progress, **options)
    if output is not None:
        python = output.suffix.lower() == ".py"
        write_text(output, result.model.code("python" if python else "sciml"))
        if result.model.networks and not python:
            click.echo(f"note: {output} is without the weights of networks; -o NAME.py writes code with them", err=True)
    if plot is not None:
        result.plot(path=plot)
    if as_json:
        echo_json(
            {
                "success": result.success, "message": result.message, "loss": result.loss,
                "p": result.p, "u0": result.u0, "estimated": result.estimated,
                "standard_errors": result.standard_errors, "covariance": result.covariance,
                "rmse": result.rmse, "warnings": result.warnings, "seconds": result.seconds,
                "output": output and str(output), "plot": plot and str(plot),
            }
        )  # fmt: skip
    else:
        click.echo(_report(result))
        for path in (output, plot):
            if path is not None:
                click.echo(f"wrote {path}", err=True)
    return 0 if result.success else 1


def _report(result: Any) -> str:
    errors = result.standard_errors
    values = [*result.p.items(), *((f"{state}(0)", value) for state, value in result.u0.items())]
    rows = [
        [name, number(value, 8), number(errors.get(name), 3) if name in result.estimated else "fixed"]
        for name, value in values
    ]
    lines = [f"{'fitted' if result.success else 'not converged'}: {result.message}"]
    lines += [f"loss {number(result.loss)} in {result.seconds:.1f} s", ""]
    lines += [grid(["name", "estimate", "std. error"], rows), ""]
    lines += [f"rms error of {column}: {number(value, 4)}" for column, value in result.rmse.items()]
    lines += [f"note: {warning}" for warning in result.warnings]
    return "\n".join(lines)
