"""`sciml-dsl code`: print a model as standalone source of a target language."""

from __future__ import annotations

from pathlib import Path

import click

from ..files import check_output, write_text
from .console import echo_json, json_option, load_model, model_argument, output_option


@click.command("code")
@model_argument
@click.option("--target", default="python", show_default=True, help="python, numba, torch, sciml, ...")
@output_option("Write the code to this file instead of stdout.")
@json_option
def command(file: Path, target: str, output: Path | None, as_json: bool) -> None:
    """Print the model in FILE as standalone source code."""
    if output is not None:
        check_output(output, [file])
    source = load_model(file).code(target)
    if output is not None:
        write_text(output, source if source.endswith("\n") else source + "\n")
    if as_json:
        echo_json({"target": target, "output": None if output is None else str(output), "code": source})
    elif output is not None:
        click.echo(f"wrote {output}", err=True)
    else:
        click.echo(source, nl=not source.endswith("\n"))
