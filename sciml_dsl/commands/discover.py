"""`sciml-dsl discover`: from a model with unknown terms and a table to formulas, a figure and a completed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import InputError
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

_SHOWN = 8  # candidates listed


@click.command("discover")
@model_argument
@data_argument
@click.option("--seed", type=int, help="Seed of the random numbers; the same seed gives the same answer.")
@click.option("--degree", type=click.IntRange(min=1), help="Highest degree of polynomial terms.")
@click.option("--max-terms", type=click.IntRange(min=1), help="Most terms in the formula of one unknown; default: 5.")
@click.option("--noise", help="additive (default), proportional or log.")
@click.option("--method", help="Integration method: auto (default), tsit5 or rodas5p.")
@click.option("--max-time", type=float, help="Seconds after which the best so far is the result.")
@output_option("Write the completed model to this file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Where to write the figure; default: out/<FILE>.png.")
@click.option("--no-plot", is_flag=True, help="Write no figure.")
@quiet_option
@json_option
def command(
    file: Path,
    data: Path,
    seed: int | None,
    degree: int | None,
    max_terms: int | None,
    noise: str | None,
    method: str | None,
    max_time: float | None,
    output: Path | None,
    plot: Path | None,
    no_plot: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Find formulas for the unknown terms of the model in FILE from the table in DATA.

    Every network of the model is an unknown term.  The exit status is 1 when the data do not identify a formula.
    """
    from ..fit.table import check_table, read_table
    from ..model.inputs import without_inputs

    if output is not None:
        check_output(output, [file, data])
    model = load_model(file)
    if not model.networks:
        raise InputError(
            f"{file}: the model has no unknown term to discover\n"
            "  hint: write NN(x, y) where the equation is not known, or use `sciml-dsl fit`"
        )
    table = read_table(data)
    check_table(without_inputs(model.spec.inputs, table), model, name=str(data))  # before anything heavy is loaded
    figure = None if no_plot else _figure_path(file, plot)
    options = given(seed=seed, degree=degree, max_terms=max_terms, noise=noise, method=method, max_time=max_time)
    with Progress(quiet) as progress:
        result = model.discover(table, progress=progress, **options)
    text = result.model.code("sciml")
    if output is not None:
        write_text(output, text)
    if figure is not None:
        result.plot(path=figure)
    if as_json:
        echo_json(
            {
                "verdict": result.verdict, "confidence": result.confidence, "message": result.message,
                "terms": result.terms, "equations": result.equations, "p": result.p, "u0": result.u0,
                "standard_errors": result.standard_errors,
                "candidates": result.candidates.to_dict(orient="records"), "model": text,
                "output": output and str(output), "plot": figure and str(figure),
            }
        )  # fmt: skip
    else:
        click.echo(_report(result, text))
        for path in (figure, output):
            if path is not None:
                click.echo(f"wrote {path}")
    return 1 if result.verdict == "not identifiable" else 0


def _figure_path(file: Path, plot: Path | None) -> Path | None:
    """Where the figure goes; without --plot it is left out, and said so, when matplotlib is missing."""
    from ..plot import check_path

    if plot is not None:
        return check_path(plot)
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        click.echo("no figure: it needs matplotlib (pip install 'sciml-dsl[plot]')", err=True)
        return None
    folder = Path("out")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the directory out/ for the figure: {error.strerror}\n  hint: --plot PATH or --no-plot"
        ) from None
    return check_path(folder / f"{file.stem}.png")


def _report(result: Any, text: str) -> str:
    lines = ["", *(f"{name} = {_formula(term)}" for name, term in result.terms.items()), ""]
    lines += [f"{name}' = {_formula(expression)}" for name, expression in result.equations.items()]
    lines += ["", f"verdict     {result.verdict}", f"confidence  {_confidence(result.confidence)}"]
    if result.message:
        lines.append(str(result.message))
    lines += ["", "candidates, best first", _candidates(result.candidates), "", "completed model", ""]
    lines += [("    " + line).rstrip() for line in text.strip().splitlines()]
    return "\n".join([*lines, ""])


def _formula(expression: Any) -> str:
    """A formula with its numbers to five digits; the completed model has them all."""
    atoms = getattr(expression, "atoms", None)
    if atoms is None:
        return str(expression)
    import sympy

    return str(expression.xreplace({f: sympy.Float(f, 5) for f in atoms(sympy.Float)}))


def _confidence(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, float) else str(value)


def _candidates(table: Any) -> str:
    names = [str(c) for c in table.columns]
    words = [c for c in names if table[c].dtype.kind not in "fiub"]
    order = words + [c for c in names if c not in words]
    rows = [[_cell(value) for value in row] for row in table[order].head(_SHOWN).itertuples(index=False)]
    more = f"\n  ... and {len(table) - _SHOWN} more" if len(table) > _SHOWN else ""
    return grid(order, rows, left=len(words)) + more


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return number(value, 5)
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
