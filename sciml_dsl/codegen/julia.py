"""Target "julia": a module whose functions fit `ODEFunction` of SciMLBase.

In-place functions with Julia's order of arguments, `f!(du, u, p, t)`,
`jac!(J, u, p, t)`, `tgrad!`, `paramjac!`, `jvp!(Jv, v, u, p, t)`; indices count
from 1.  Base and LinearAlgebra suffice, SpecialFunctions is loaded where the
model uses `erf`, `gamma` and the like.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from ..graph.integers import Affine
from . import chunks, layout
from . import julia_runtime as runtime
from .blocks import Body, write
from .identifiers import Identifiers, identifier
from .loop_blocks import LoopSyntax, write_loops
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, Piece, describe_loops, runs
from .printer import AND, ATOM, CHOICE, NEG, OR, POW, Printer, Text, within
from .program import Program, Routine, describe

if TYPE_CHECKING:
    from ..model.model import Model

_SAME = (
    "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "erf erfc gamma digamma abs sign floor ceil min max"
).split()
_SPECIAL = ("erf", "erfc", "gamma", "digamma", "logabsgamma")

NAMES = {"jacobian": "jac", "parameter_jacobian": "paramjac", "time_gradient": "tgrad"}
"""Routines that SciML calls otherwise."""


def julia_identifier(name: str) -> str:
    """The nearest identifier that Julia reads as written: letters, digits and underscores.

    Example
    -------
    >>> julia_identifier("θ'"), julia_identifier("x·ɛ")
    ('θ_prime', 'x__')
    """
    # Julia reads ɛ (U+025B) as ε and the middle dot as an operator
    kept = (c if c == "_" or (unicodedata.category(c) in _LETTERS and c != "ɛ") else "_" for c in identifier(name))
    return "".join(kept)


_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lo", "Nd", "Mn"})


class JuliaPrinter(Printer):
    FUNCTIONS: ClassVar[dict[str, str]] = {name: name for name in _SAME} | {"atan2": "atan", "lgamma": "logabsgamma"}
    HELPERS: ClassVar[dict[str, str]] = {"_try": runtime.TRY, "_input": runtime.INPUT}
    INFINITY, NAN = "Inf", "NaN"
    TRUE, FALSE = "true", "false"
    OTHERWISE = "else"
    CLOSE = "end"
    RAISES = True

    def __init__(self) -> None:
        super().__init__()
        self.special: set[str] = set()

    def use(self, name: str) -> None:
        super().use(name)
        if name in _SPECIAL:
            self.special.add(name)

    def leaf(self, kind: str, index: int) -> str:
        return super().leaf(kind, index).split("[")[0] + f"[{index + 1}]"

    def choose(self, cond: Text, a: Text, b: Text) -> Text:
        return self._join(f"{within(cond, OR)} ? {within(a, OR)} : {within(b, OR)}", CHOICE, cond, a, b)

    def boolean(self, op: str, args: Sequence[Text]) -> Text:
        if op == "not":
            return self._join(f"!{within(args[0], ATOM)}", NEG, *args, truth=True)
        level, sign = (AND, "&&") if op == "and" else (OR, "||")
        code = f"{within(args[0], level)} {sign} {within(args[1], level + 1)}"
        return self._join(code, level, *args, truth=True)

    def truth_to_number(self, text: Text) -> Text:
        return self.choose(text, Text("1.0"), Text("0.0"))

    def function(self, op: str, args: Sequence[Text]) -> Text:
        text = super().function(op, args)
        return text._replace(code=f"first({text.code})", depth=text.depth + 1) if op == "lgamma" else text

    def whole_power(self, a: Text, n: int) -> Text:
        return self._join(f"{within(a, ATOM)}^{n}", POW, a)

    def power(self, a: Text, b: Text) -> Text:
        return self._join(f"{within(a, ATOM)}^{within(b, ATOM)}", POW, a, b, raises=True)

    def remainder(self, a: Text, b: Text) -> Text:
        return self._join(f"mod({a.code}, {b.code})", ATOM, a, b)

    def branch(self, cond: str, first: bool) -> str:
        return f"{'if' if first else 'elseif'} {cond}"

    def network(self, name: str, k: int, inputs: Sequence[str], order: int) -> str:
        return f"{name}(w, [{', '.join(inputs)}], {order})"

    def projection(self, call: str, indices: tuple[int, ...], n_in: int) -> str:
        return f"{call}[{len(indices)}][{', '.join(str(i + 1) for i in indices)}]"

    def guard(self, text: Text) -> str:
        if not text.raises:
            return text.code
        self.use("_try")
        return f"_try(() -> {text.code})"


def source(model: Model) -> str:
    """A file with one Julia module for `model`.

    It defines STATES, PARAMETERS, OBSERVABLES, P0, U0 (where it is constant) and
    `f!(du, u, p, t)`, `jac!`, `paramjac!`, `tgrad!`, `jvp!(out, v, u, p, t)`, `vjp!`,
    `parameter_vjp!`, `jacobian_values!` (the `nzval` of a SparseMatrixCSC with colptr
    JACOBIAN_INDPTR and rowval JACOBIAN_INDICES), `hessian!`, `inverse_jacobian`,
    `w_factor!`, `initial(p)`, `observables(u, p, t)` and, for events, `roots!`,
    `event_times!`, `affect_0!` ...  Trained networks are contained with their weights.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> "function f!(out, u, p, t)" in source(sd.model("x' = -k*x; x(0) = 1; param k = 2"))
    True
    """
    printer = JuliaPrinter()
    words = {*runtime.WORDS, *(f"_{name}" for name in runtime.ACTIVATIONS), "_mlp", "_try"}
    title = Identifiers(spell=julia_identifier, words=words).claim(model.spec.name[:1].upper() + model.spec.name[1:])
    describing = describe_loops if model.spec.as_loops else describe
    program = describing(model, [title], Identifiers(spell=julia_identifier, words=words))
    functions: list[str] = []
    for routine in program.routines:
        if isinstance(program, LoopProgram):
            assert isinstance(routine, LoopRoutine)
            functions += ["", *_loop_function(program, routine, printer)]
        else:
            assert isinstance(routine, Routine)
            functions += ["", *_function(program, routine, printer)]
    networks = _networks(program, printer)
    lines = [*_head(program, title), f"module {title}", "", "using LinearAlgebra: inv, lu!"]
    if printer.special:
        lines.append(f"using SpecialFunctions: {', '.join(sorted(printer.special))}")
    lines += ["", *_data(program, printer)]
    for text in [*printer.helpers(), *networks]:
        lines += ["", *text.strip("\n").split("\n")]
    algebra = layout.with_mass(program, runtime.ALGEBRA, "W[i, i] += 1", "W[i, i] += MASS[i]")
    start = ["", "const U0 = initial(P0)"] if isinstance(program, LoopProgram) and program.fixed else []
    lines += [*functions, *_allocating(program), *start, *algebra.split("\n")]
    return layout.finish([*lines, f"end # {title}"])


def _head(program: Program | LoopProgram, title: str) -> list[str]:
    about = [
        f"ODEFunction({title}.f!; jac = {title}.jac!, tgrad = {title}.tgrad!, paramjac = {title}.paramjac!)",
        *(layout.WEIGHTS_INSIDE if program.weights is not None else []),
    ]
    shown = layout.docstring(program, about)[:-1]
    shown[0] = shown[0].removeprefix('"""')
    return [f"# {line}".rstrip() for line in shown]


def _string(value: str) -> str:
    shown = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in re.sub(r'([\\"$])', r"\\\1", value))
    return f'"{shown}"'


def _data(program: Program | LoopProgram, printer: JuliaPrinter) -> list[str]:
    system = program.system

    def array(name: str, kind: str, items: Sequence[str]) -> list[str]:
        return layout.wrapped(f"const {name} = {kind}", items, "", "[]")

    if isinstance(program, LoopProgram):
        lines = layout.wrapped("const STATES = String", _names(program.states), "", "[]")
        lines += layout.wrapped("const PARAMETERS = String", _names(program.parameters), "", "[]")
        lines += layout.wrapped("const OBSERVABLES = String", _names(program.observables), "", "[]")
        if program.system.constants:
            lines += array("CONSTANTS", "Float64", _numbers(printer, program.system.constants))
        lines += array("P0", "Float64", _numbers(printer, program.defaults))
    else:
        lines = array("STATES", "String", [_string(name) for name in program.system.states])
        lines += array("PARAMETERS", "String", [_string(name) for name in program.system.parameters])
        lines += array("OBSERVABLES", "String", [_string(name) for name in program.system.observable_names])
        lines += array("JACOBIAN_INDICES", "Int", [str(i + 1) for i in program.indices])
        lines += array("JACOBIAN_INDPTR", "Int", [str(i + 1) for i in program.indptr])
        if system.algebraic:
            lines += array("MASS", "Float64", layout.mass(program))
        lines += array("P0", "Float64", layout.numbers(printer, program.defaults))
        if program.initial is not None:
            lines += array("U0", "Float64", layout.numbers(printer, program.initial))
    if program.weights is not None:
        lines += array("WEIGHTS", "Float64", layout.numbers(printer, program.weights))
    if system.inputs:
        lines += array("INPUTS", "String", [_string(name) for name in system.inputs])
    if program.tables is not None:
        lines += array("TABLES", "Float64", layout.numbers(printer, program.tables))
    if system.events:
        lines += array("EVENTS", "String", [_string(event.kind) for event in system.events])
        lines += array("TERMINAL", "Bool", [str(event.terminate).lower() for event in system.events])
    return lines


def _names(pieces: Sequence[Piece]) -> list[str]:
    """Items of an array with the names of all elements, row by row."""
    items = []
    for piece in pieces:
        if isinstance(piece, str):
            items.append(_string(piece))
            continue
        letters = [f"i{k + 1}" for k in range(len(piece.bounds))]
        loops = " ".join(f"for {k} in {first}:{last}" for k, (first, last) in zip(letters, piece.bounds, strict=True))
        name = _string(piece.name)[:-1] + "[" + ",".join(f"$({k})" for k in letters) + ']"'
        items.append(f"({name} {loops})...")
    return items


def _numbers(printer: JuliaPrinter, values: Sequence[float]) -> list[str]:
    """Numbers to their last bit, long runs in short."""
    items: list[str] = []
    for value, count in runs(values):
        code = printer.number(value).code
        items += [f"fill({code}, {count})..."] if count > 8 else [code] * count
    return items


class JuliaSyntax(LoopSyntax):
    """Loops of Julia, whose positions begin at 1."""

    END = "end"
    BASE = 1
    WHOLE: ClassVar[dict[str, str]] = {
        "mod": "mod({0}, {1})",
        "div": "fld({0}, {1})",
        "mul": "({0})*({1})",
        "clamp": "clamp({0}, {1}, {2})",
    }

    def loop(self, name: str, first: str, last: Affine, last_text: Callable[[Affine], str]) -> str:
        return f"for {name} in {first}:{last_text(last)}"

    def place(self, codes: Sequence[str]) -> str:
        return f"out[{', '.join(codes)}]"

    def better(self, op: str, value: str, best: str) -> str:
        return f"{value} {'<' if op == 'min' else '>'} {best} || {value} != {value}"

    def when(self, cond: str, lines: Sequence[str]) -> list[str]:
        return [f"if {cond}", *(f"    {line}" for line in lines), "end"]

    def function(self, name: str, lines: Sequence[str], value: str) -> list[str]:
        return [f"{name} = () -> begin", *(f"    {line}" for line in lines), f"    return {value}", "end"]


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: JuliaPrinter) -> list[str]:
    inside = write_loops(program.system.graph, routine, printer, JuliaSyntax(printer), program.fresh_names())
    arguments = "out, p" if routine.timeless else "out, v, u, p, t" if routine.along else "out, u, p, t"
    arguments = "out" if routine.positions else arguments
    doc = routine.doc.replace("[i, j, k]", "out[i, j, k]").replace("from 0", "from 1")
    lines = [f'"""{doc}"""', f"function {NAMES.get(routine.name, routine.name)}!({arguments})"]
    lines += [f"    {program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in inside.leaves]
    if inside.networks:
        lines.append(_weights_line(program))
    if inside.inputs:
        lines.append(_tables_line(program))
    if routine.n_temps:
        kind = "eltype(p)" if routine.timeless else "promote_type(eltype(u), eltype(p))"
        lines.append(f"    temp = zeros(float({kind}), {routine.n_temps})")
    if routine.fill is not None:
        lines.append(f"    fill!(out, {printer.number(routine.fill).code})")
    return [*lines, *layout.indented(inside.lines), "    return nothing", "end"]


def _weights_line(program: Program | LoopProgram) -> str:
    n = program.system.n_params
    tail = f"view(p, {n + 1}:length(p))"
    return f"    w = {tail}" if program.weights is None else f"    w = length(p) > {n} ? {tail} : WEIGHTS"


def _tables_line(program: Program | LoopProgram) -> str:
    n = program.system.tables_at
    tail = f"view(p, {n + 1}:length(p))"
    fallback = f"length(p) > {n} ? {tail} : TABLES"
    return f"    tables = {tail if program.tables is None else fallback}"


def _function(program: Program, routine: Routine, printer: JuliaPrinter) -> list[str]:
    names = program.fresh_names()
    inside = write(program.system.graph, list(routine.entries.values()), printer, names)
    given = ["p"] if routine.timeless else ["v", "u", "p", "t"] if routine.along else ["u", "p", "t"]
    doc = routine.doc.replace("[i, j, k]", "out[i, j, k]")
    lines = [f'"""{doc}"""', f"function {NAMES.get(routine.name, routine.name)}!({', '.join(['out', *given])})"]
    leaves = {names.leaves[leaf]: f"{names.leaves[leaf]} = {printer.leaf(*leaf)}" for leaf in inside.leaves}
    fill = []
    if len(routine.entries) < math.prod(routine.shape):
        fill.append(f"    fill!(out, {printer.number(routine.fill).code})")
    if chunks.pays(inside, len(routine.entries)):
        parts, calls = _in_parts(routine, given, inside, leaves, fill, names.free)
        return [*parts, *lines, *calls, "    return nothing", "end"]
    lines += layout.indented(leaves.values())
    if inside.networks:
        lines.append(_weights_line(program))
    if inside.inputs:
        lines.append(_tables_line(program))
    lines += layout.indented(inside.lines) + fill
    for place, value in zip(routine.entries, inside.values, strict=True):
        lines.append(f"    out[{', '.join(str(i + 1) for i in place)}] = {value.code}")
    return [*lines, "    return nothing", "end"]


def _in_parts(
    routine: Routine, given: list[str], body: Body, leaves: dict[str, str], fill: list[str], free: Identifiers
) -> tuple[list[str], list[str]]:
    """(functions for the parts, the statements that call them and write the output last)."""
    parts, size = chunks.split(body.units, [value.code for value in body.values], list(leaves))
    scratch, places, k = free.fresh("scratch"), free.fresh(f"{routine.name}_places"), free.fresh("k")
    arguments = ", ".join([scratch, *given])
    kinds = ", ".join("typeof(t)" if name == "t" else f"eltype({name})" for name in given)
    lines: list[str] = []
    calls = [f"    {scratch} = zeros(float(promote_type({kinds})), {size})"]
    for part in parts:
        name = free.fresh(f"{routine.name}_part")
        inside = [leaves[leaf] for leaf in part.leaves]
        inside += [f"{x} = {scratch}[{seat + 1}]{' != 0.0' if truth else ''}" for x, seat, truth in part.imports]
        inside += part.lines
        inside += [
            f"{scratch}[{seat + 1}] = {f'{x} ? 1.0 : 0.0' if truth else x}" for x, seat, truth in part.exports
        ]  # fmt: skip
        inside += [f"{scratch}[{seat + 1}] = {code}" for seat, code in part.results]
        lines += [f"function {name}({arguments})", *layout.indented(inside), "    return nothing", "end", ""]
        calls.append(f"    {name}({arguments})")
    count = len(routine.entries)
    seat = k
    if (flat := layout.positions(routine, by_columns=True)) != list(range(count)):
        lines += [*layout.wrapped(f"const {places} = Int", [str(at + 1) for at in flat], "", "[]"), ""]
        seat = f"{places}[{k}]"
    return lines, [
        *calls, *fill, f"    for {k} in 1:{count}", f"        out[{seat}] = {scratch}[{k}]", "    end",
    ]  # fmt: skip


def _allocating(program: Program | LoopProgram) -> list[str]:
    """Forms that return new arrays, for what is not called in a loop."""
    lines = [
        "",
        '"""Initial values of the states for parameters p."""',
        "function initial(p)",
        "    out = similar(p, float(eltype(p)), length(STATES))",
        "    initial!(out, p)",
        "    return out",
        "end",
    ]
    if program.system.observables:
        lines += [
            "",
            '"""The observables at one time."""',
            "function observables(u, p, t)",
            "    out = similar(u, float(promote_type(eltype(u), eltype(p))), length(OBSERVABLES))",
            "    observables!(out, u, p, t)",
            "    return out",
            "end",
        ]
    return lines


def _networks(program: Program | LoopProgram, printer: JuliaPrinter) -> list[str]:
    system = program.system
    if not system.networks:
        return []
    used = {net.activation for net in system.networks}
    if "gelu" in used:
        printer.use("erfc")
    parts = [text for name, text in runtime.ACTIVATIONS.items() if name in used] + [runtime.MLP]
    for name, net, at in zip(program.names.networks, system.networks, system.weight_offsets, strict=True):
        widths = f"({', '.join(map(str, net.sizes))})"
        call = f"_mlp({widths}, _{net.activation}, w, {at - system.n_params}, x, order)"
        parts.append(f"# Network {layout.text(net.name)}\n{name}(w, x, order) = {call}\n")
    return parts
