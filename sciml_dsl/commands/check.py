"""`sciml-dsl check`: read a model, resolve its names, say what it is, and warn of what looks wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import suggest
from ..lint.warning import CODES
from ..model.introspect import headings, without_initial
from .console import echo_json, json_option, load_model, model_argument, number

if TYPE_CHECKING:
    from ..model.spec import Input, ModelSpec, Network, Parameter


@click.command("check")
@model_argument
@click.option("--strict", is_flag=True, help="Exit with status 1 where there is a warning.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave warnings of this code out; may be repeated.")
@json_option
def command(file: Path, strict: bool, ignore: tuple[str, ...], as_json: bool) -> int:
    """Read the model in FILE and say what it is, or what to mend.

    Warnings go to stderr as file:line:column with their code; with --json they are in the object.
    """
    for code in ignore:
        if code not in CODES:
            hint = suggest(code, CODES) or f"codes are {', '.join(CODES)}"
            raise click.UsageError(f"there is no warning `{code}`\n  hint: {hint}")
    model = load_model(file)
    warnings = [warning for warning in model.lint() if warning.code not in ignore]
    if as_json:
        echo_json({**summary(model.spec, file), "warnings": [warning.to_dict() for warning in warnings]})
    else:
        click.echo(text(model.spec))
        for warning in warnings:
            click.echo(str(warning), err=True)
    return 1 if strict and warnings else 0


def summary(spec: ModelSpec, file: Path) -> dict[str, Any]:
    """What the model consists of, for JSON; arrays element by element."""
    unset = set(without_initial(spec))
    return {
        "ok": True,
        "file": str(file),
        "name": spec.name,
        "states": [{"name": name, "initial": name not in unset} for name in spec.states],
        "parameters": [
            {"name": p.name, "default": p.default, "lower": p.lower, "upper": p.upper, "log": p.log}
            for p in spec.parameters
        ],
        "constants": {c.name: c.value for c in spec.constants},
        "inputs": [
            {"name": i.name, "interpolation": i.interpolation, "hold": i.hold, "column": i.column or i.name,
             "rows": None if i.data is None else len(i.data[0])}
            for i in spec.inputs
        ],
        "observables": list(spec.observables),
        "arrays": {a.name: {"kind": a.kind, "bounds": a.bounds} for a in spec.arrays},
        "functions": [f.name for f in spec.functions],
        "networks": [
            {
                "name": n.name, "inputs": n.n_in, "outputs": n.n_out, "hidden": n.hidden,
                "activation": n.activation, "weights": n.n_weights, "declared": n.declared,
            }
            for n in spec.networks
        ],
        "events": [e.kind for e in spec.events],
    }  # fmt: skip


def text(spec: ModelSpec) -> str:
    """What the model consists of, for reading."""
    lines = [f"{spec.name}: ok"]

    def add(title: str, entries: list[str], count: int | None = None) -> None:
        if entries:
            lines.append(f"  {title + ' ' + str(count or len(entries)):<16}{', '.join(entries)}")

    parameters = tuple(p.name for p in spec.parameters)
    add("states", list(headings(spec, spec.states, "state")), len(spec.states))
    shown = [_parameter(spec, name, k) for name, k in headings(spec, parameters, "parameter").items()]
    add("parameters", shown, len(parameters))
    constants = tuple(c.name for c in spec.constants)
    values = [_constant(spec, name, k) for name, k in headings(spec, constants, "constant").items()]
    add("constants", values, len(constants))
    add("inputs", [_input(i) for i in spec.inputs])
    add("observables", list(headings(spec, spec.observables, "observable")), len(spec.observables))
    add("functions", [f"{f.name}({', '.join(f.args)})" for f in spec.functions])
    add("networks", [_network(n) for n in spec.networks])
    add("events", [e.kind for e in spec.events])
    unset = without_initial(spec, boxes=True)
    if unset:
        lines.append(f"  note: no initial value in the text for {', '.join(unset)}")
    open_ones = {p.name for p in spec.parameters if p.default is None}
    open_parameters = [
        name for name, k in headings(spec, parameters, "parameter").items() if parameters[k] in open_ones
    ]
    if open_parameters:
        lines.append(f"  note: no default in the text for {', '.join(open_parameters)}")
    return "\n".join(lines)


def _parameter(spec: ModelSpec, name: str, position: int) -> str:
    """One parameter, or an array as its first elements."""
    p = spec.parameters[position]
    array = next((a for a in spec.arrays if a.kind == "parameter" and a.start == position), None)
    if array is None:
        return _bounded(p, name if p.default is None else f"{name} = {number(p.default)}")
    values = [q.default for q in spec.parameters[array.elements]]
    if len(set(values)) == 1:
        return _bounded(p, name if p.default is None else f"{name} = {number(p.default)}")
    first = ", ".join("-" if value is None else number(value) for value in values[:3])
    shown = f"{name} = [{first}{', ...' if len(values) > 3 else ''}]"
    alike = all((q.lower, q.upper) == (p.lower, p.upper) for q in spec.parameters[array.elements])
    return _bounded(p, shown) if alike else shown


def _constant(spec: ModelSpec, name: str, position: int) -> str:
    """One constant, or an array as its first elements."""
    array = next((a for a in spec.arrays if a.kind == "constant" and a.start == position), None)
    if array is None:
        return f"{name} = {number(spec.constants[position].value)}"
    values = [c.value for c in spec.constants[array.elements]]
    if len(set(values)) == 1:
        return f"{name} = {number(values[0])}"
    return f"{name} = [{', '.join(map(number, values[:3]))}{', ...' if len(values) > 3 else ''}]"


def _bounded(p: Parameter, shown: str) -> str:
    if math.isinf(p.lower) and math.isinf(p.upper):
        return shown
    return f"{shown} in [{number(p.lower)}, {number(p.upper)}]{' log' if p.log else ''}"


def _input(i: Input) -> str:
    how = f"{i.interpolation}{' hold' if i.hold else ''}"
    column = f" from {i.column}" if i.column is not None else ""
    return f"{i.name}{column} ({how}{'' if i.data is None else f', {len(i.data[0])} rows'})"


def _network(n: Network) -> str:
    return f"{n.name} ({'-'.join(str(size) for size in n.sizes)} {n.activation}, {n.n_weights} weights)"
