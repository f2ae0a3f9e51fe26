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
@click.option("--method", help="Integration method: auto, tsit5 or rodas5p.")
@output_option("Write the fitted model to this file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a figure to this file.")
@quiet_option
@json_option
def command(
    file: Path,
    data: Path,
    starts: int | None,
    seed: int | None,
    method: str | None,
    output: Path | None,
    plot: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Fit the model in FILE to the table in DATA."""
    from ..fit.table import check_table, read_table

    if output is not None:
        check_output(output)
    if plot is not None:
        from ..plot import check_path

        check_path(plot)
    model = load_model(file)
    table = read_table(data)
    check_table(table, model, name=str(data))  # before anything heavy is loaded
    with Progress(quiet) as progress:
        result = model.fit(table, progress=progress, **given(starts=starts, seed=seed, method=method))
    if output is not None:
        write_text(output, result.model.code("sciml"))
    if plot is not None:
        result.plot(path=plot)
    if as_json:
        echo_json(
            {
                "success": result.success, "message": result.message, "loss": result.loss,
                "p": result.p, "u0": result.u0, "covariance": result.covariance,
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
    deviation = standard_deviations(result)
    rows = [
        [name, number(value, 8), number(deviation.get(name), 3)]
        for name, value in [*result.p.items(), *((f"{k}(0)", v) for k, v in result.u0.items())]
    ]
    head = "fitted" if result.success else "not fitted"
    return f"{head}: {result.message}\nloss {number(result.loss)}\n" + grid(
        ["parameter", "estimate", "std. error"], rows
    )


def standard_deviations(result: Any) -> dict[str, float]:
    """Square roots of the covariance's diagonal, by name; empty when there is no covariance."""
    covariance = result.covariance
    if covariance is None:
        return {}
    return {str(n): float(v) ** 0.5 if v >= 0 else float("nan") for n, v in _diagonal(covariance)}


def _diagonal(covariance: Any) -> list[tuple[str, float]]:
    return [(name, covariance.loc[name, name]) for name in covariance.columns]
