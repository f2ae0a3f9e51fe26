"""Pieces of source that targets share: docstring, data, wrapping.

Text of a model reaches generated source only here, as string literals, and in
`identifiers`, as identifiers; neither can end the literal or name it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .loop_source import LoopProgram, label, python_names, runs
from .printer import Printer
from .program import Program, Routine

WIDTH = 110

TABLES_INSIDE = "The model's own tables are in this file."
WEIGHTS_INSIDE = ["Where p holds the parameters only, the weights in this file are used."]


def text(value: str) -> str:
    """`value` as it may stand inside a triple-quoted string."""
    shown = "".join(c if c.isprintable() else " " for c in value)
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def wrapped(start: str, items: Sequence[str], end: str = "", brackets: str = "()") -> list[str]:
    """`start(item, item, ...)end` over as many lines as it takes."""
    opening, closing = brackets[0], brackets[1]
    one = ", ".join(items) + ("," if len(items) == 1 and brackets == "()" else "")
    if len(start) + len(one) + len(end) + 2 <= WIDTH:
        return [f"{start}{opening}{one}{closing}{end}"]
    lines = [start + opening]
    row = "   "
    for item in items:
        if len(row) + len(item) + 2 > WIDTH and row.strip():
            lines.append(row)
            row = "   "
        row += f" {item},"
    return [*lines, row, closing + end]


def numbers(printer: Printer, values: Iterable[float]) -> list[str]:
    """Each number to its last bit."""
    return [printer.number(v).code for v in values]


def python_numbers(program: Program | LoopProgram, printer: Printer, values: Sequence[float]) -> list[str]:
    """As `numbers`; of a model with arrays, whose parameters may be many, long runs in short."""
    if isinstance(program, Program):
        return numbers(printer, values)
    items: list[str] = []
    for value, count in runs(values):
        code = printer.number(value).code
        items += [f"*[{code}]*{count}"] if count > 8 else [code] * count
    return items


def constant_arrays(program: Program | LoopProgram, printer: Printer, start: str = "", end: str = "") -> list[str]:
    """The numbers of arrays of constants, which loops read by their place."""
    values = program.system.constants if isinstance(program, LoopProgram) else ()
    return wrapped(f"CONSTANTS = {start}", python_numbers(program, printer, values), end) if values else []


def strings(values: Iterable[str]) -> list[str]:
    return [repr(v) for v in values]


def docstring(program: Program | LoopProgram, about: Sequence[str]) -> list[str]:
    """The module's docstring: the model's name, the layout of its arrays, and `about`."""
    system = program.system
    kind = "differential-algebraic" if system.algebraic else "ordinary differential"
    lines = [f'"""{text(program.name)}: a system of {system.n} {kind} equations.', ""]
    states, parameters, observables = labels(program)
    lines += _listed("u  (states)", states)
    lines += _listed("p  (parameters)", parameters)
    if observables:
        lines += _listed("observables", observables)
    for net, at in zip(system.networks, system.weight_offsets, strict=True):
        widths = " -> ".join(str(width) for width in net.sizes)
        lines.append(f"network {text(net.name)}: {widths}, {net.activation}, weights p[{at}:{at + net.n_weights}]")
    if system.networks:
        lines += [
            "",
            "The parameters are followed by the weights of every network, layer by layer:",
            "the matrix (row by row), then the bias, as in torch.nn.Linear.",
        ]
    if system.inputs:
        lines += _listed("inputs", system.inputs)
        behind = "weights" if system.networks else "parameters"
        lines += [
            "",
            f"Behind the {behind} p holds the tables of the inputs, from p[{system.tables_at}] on: for each input",
            "where its table begins (counted from there), then the tables.  A table is: the number m of its knots,",
            "the first and last time at which it may be asked, m knots, and m times four coefficients of powers of",
            "(t - knot), constant first, that hold up to the next knot.",
        ]
        if program.tables is not None:
            lines.append(TABLES_INSIDE)
    return [*lines, "", *about, '"""']


def labels(program: Program | LoopProgram) -> tuple[list[str], list[str], list[str]]:
    """What stands in u, p and the observables, in order; arrays with their ranges."""
    if isinstance(program, LoopProgram):
        groups = (program.states, program.parameters, program.observables)
        return tuple([label(piece) for piece in pieces] for pieces in groups)  # type: ignore[return-value]
    system = program.system
    return list(system.states), list(system.parameters), list(system.observable_names)


def _listed(title: str, names: Sequence[str]) -> list[str]:
    lines, row = [], f"{title}: "
    for k, name in enumerate(names):
        item = text(name) + (", " if k + 1 < len(names) else "")
        if len(row) + len(item) > WIDTH:
            lines.append(row.rstrip())
            row = "    "
        row += item
    return [*lines, row.rstrip()]


def constants(program: Program | LoopProgram, printer: Printer) -> list[str]:
    """STATES, PARAMETERS, OBSERVABLES, the Jacobian's pattern, and what describes the events."""
    system = program.system
    if isinstance(program, LoopProgram):
        lines = wrapped("STATES = ", python_names(program.states))
        lines += wrapped("PARAMETERS = ", python_names(program.parameters))
        lines += wrapped("OBSERVABLES = ", python_names(program.observables))
    else:
        lines = wrapped("STATES = ", strings(program.system.states))
        lines += wrapped("PARAMETERS = ", strings(program.system.parameters))
        lines += wrapped("OBSERVABLES = ", strings(program.system.observable_names))
    if system.networks:
        lines += wrapped("NETWORKS = ", strings(net.name for net in system.networks))
    if system.inputs:
        lines += wrapped("INPUTS = ", strings(system.inputs))
    if isinstance(program, Program):
        lines += wrapped("JACOBIAN_INDICES = ", [str(i) for i in program.indices])
        lines += wrapped("JACOBIAN_INDPTR = ", [str(i) for i in program.indptr])
        if system.algebraic:
            lines += wrapped("MASS = ", mass(program))
    if system.events:
        lines += wrapped("EVENTS = ", strings(event.kind for event in system.events))
        lines += wrapped("TERMINAL = ", [str(event.terminate) for event in system.events])
    return lines


def mass(program: Program | LoopProgram) -> list[str]:
    """The diagonal of the mass matrix: 0 in the rows of algebraic equations."""
    return ["0.0" if i in program.system.algebraic else "1.0" for i in range(program.system.n)]


def with_mass(program: Program | LoopProgram, code: str, identity: str, mass: str) -> str:
    """Linear algebra with W = I - gamma df/du, or with MASS for I where there are algebraic equations."""
    if not program.system.algebraic:
        return code
    assert identity in code
    return code.replace(identity, mass).replace("W = I - gamma df/du", "W = MASS - gamma df/du")


def positions(routine: Routine, by_columns: bool = False) -> list[int]:
    """Where the entries of a routine stand in its array, from 0: row by row, or the first index fastest."""
    found = []
    for place in routine.entries:
        at = 0
        pairs = list(zip(place, routine.shape, strict=True))
        for index, size in reversed(pairs) if by_columns else pairs:
            at = at * size + index
        found.append(at)
    return found


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    margin = "    " * levels
    return [margin + line if line else line for line in lines]


def one_of_each(program: Program | LoopProgram) -> list[str]:
    """`AFFECTS = (affect_0, ...)` when there are events."""
    count = len(program.system.events)
    return wrapped("AFFECTS = ", [f"affect_{k}" for k in range(count)]) if count else []


def finish(lines: Sequence[str]) -> str:
    """The lines as a file."""
    return "\n".join(lines).rstrip("\n") + "\n"
