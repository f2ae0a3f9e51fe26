"""What the commands share: options, numbers as text, tables, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..model.model import Model

F = TypeVar("F", bound=Callable[..., Any])


class Assignment(click.ParamType):
    """An option of the form `name=value` with a number as value; gives `(name, float)`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, equals, number = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"`{value}` is not of the form name=value, for instance k=0.5", param, ctx)
        try:
            return name.strip(), float(number)
        except ValueError:
            self.fail(f"`{number}` in `{value}` is not a number", param, ctx)


class Times(click.ParamType):
    """A spacing (one number) or a comma-separated list of times; gives a float or a list of floats."""

    name = "step|t1,t2,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | list[float]:
        if isinstance(value, (float, list)):
            return value
        try:
            numbers = [float(part) for part in str(value).split(",") if part.strip()]
        except ValueError:
            self.fail(f"`{value}` is neither a number nor a list of numbers such as 0,0.5,1", param, ctx)
        if not numbers:
            self.fail("no time given", param, ctx)
        return numbers if "," in str(value) else numbers[0]


def model_argument(command: F) -> F:
    """The argument FILE, a model."""
    return click.argument("file", type=click.Path(path_type=Path))(command)


def data_argument(command: F) -> F:
    """The argument DATA, a table of measurements."""
    return click.argument("data", type=click.Path(path_type=Path))(command)


_SOLVER = (
    click.option("-p", "--parameter", type=Assignment(), multiple=True, help="A parameter's value; may be repeated."),
    click.option("-u", "--initial", type=Assignment(), multiple=True, help="A state's initial value; may be repeated."),
    click.option("--method", help="A method's name, as tsit5, radau or rk4; default: auto."),
    click.option("--rtol", type=float, help="Relative tolerance."),
    click.option("--atol", type=float, help="Absolute tolerance."),
    click.option("--max-steps", type=int, help="Give up after so many steps."),
    click.option("--dt", type=float, help="The step of methods that estimate no error (rk4, euler, verlet, ...)."),
    click.option("--dtmax", type=float, help="Largest step."),
    click.option("--tstops", type=Times(), help="Times to step on exactly, t1,t2,..."),
    click.option("--positive", multiple=True, help="A state kept from falling below zero; may be repeated."),
    click.option("--linear-solver", help="Of implicit methods: dense, banded, sparse or krylov."),
    click.option("--inputs", type=click.Path(path_type=Path), help="CSV table of the model's inputs, with a column t."),
)


def solver_options(command: F) -> F:
    """The options of an integration, which the command takes as `**solver`; see `solver_arguments`."""
    for option in reversed(_SOLVER):
        command = option(command)
    return command


def solver_arguments(solver: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `solver_options` gave: ({p, u0, inputs} of the model, options of `solve`), those that were given."""
    own = dict(solver)
    model = given(p=dict(own.pop("parameter")), u0=dict(own.pop("initial")))
    inputs = own.pop("inputs")
    if inputs is not None:
        from ..fit.table import read_table

        model["inputs"] = read_table(inputs)
    tstops = own.pop("tstops")
    positive = own.pop("positive") or None
    return model, given(tstops=[tstops] if isinstance(tstops, float) else tstops, positive=positive, **own)


def json_option(command: F) -> F:
    """The option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")(command)


def quiet_option(command: F) -> F:
    """The option --quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress.")(command)


def output_option(what: str) -> Callable[[F], F]:
    """The option -o/--output."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=what)


def load_model(file: Path) -> Model:
    """The model in `file`."""
    import sciml_dsl

    model: Model = sciml_dsl.load(file)
    return model


def given(**options: Any) -> dict[str, Any]:
    """The options that the user gave, so that the rest keep the defaults of the Python API."""
    return {name: value for name, value in options.items() if value is not None and value != {}}


def echo_json(value: Any) -> None:
    """Print `value` as one JSON object on stdout; NaN and infinities become null."""
    click.echo(json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False))


def jsonable(value: Any) -> Any:
    """`value` with arrays as lists, formulas as text, and null for numbers JSON cannot hold."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if hasattr(value, "to_dict"):  # a pandas table, by columns
        return jsonable(value.to_dict())
    if hasattr(value, "tolist"):  # numpy arrays and numbers
        return jsonable(value.tolist())
    if isinstance(value, (Sequence, set, frozenset)):
        return [jsonable(v) for v in value]
    return str(value)


def number(value: float | None, digits: int = 6) -> str:
    """A number for reading."""
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}g}"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns of text under a header: the first `left` columns left-aligned, the others to the right."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = []
    for row in table:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def csv_text(columns: Mapping[str, Iterable[float]]) -> str:
    """Columns as CSV; numbers keep every bit, NaN is an empty cell."""
    lines = [",".join(_csv_cell(name) for name in columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join(_csv_number(v) for v in row))
    return "\n".join(lines) + "\n"


def _csv_number(value: Any) -> str:
    if isinstance(value, Integral):
        return str(int(value))
    return "" if value != value else repr(float(value))


def _csv_cell(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\n') else name
