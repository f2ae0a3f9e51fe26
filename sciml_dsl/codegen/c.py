"""Target "c": a C99 file that needs nothing but `math.h`.

Functions have the native calling convention, `void f(double t, const double
*u, const double *p, double *out)`, matrices row by row, so they can be handed
to a solver by address.  `p` are the parameters followed by all network
weights.  Nothing is allocated, and `out` is written last, so it may be `u`.
Target "cuda" is the same text with other qualifiers (`cuda.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..graph.integers import Affine
from . import c_runtime as runtime
from . import chunks, layout
from .blocks import Body, write
from .identifiers import Identifiers, ascii_identifier
from .loop_blocks import LoopSyntax, write_loops
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, describe_loops
from .printer import AND, ATOM, CHOICE, MUL, NEG, OR, Printer, Text, within
from .program import Program, Routine, describe

if TYPE_CHECKING:
    from ..model.model import Model

_SAME = (
    "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
    "erf erfc lgamma floor ceil pow"
).split()


LARGEST_ALGEBRA = 46_340
"""More states than this and there is no algebra with dense matrices: their places are no `int` any more."""


@dataclass(frozen=True)
class Dialect:
    """How functions are declared: `local` ones of the file's own, `public` ones others call,
    and `data`; `table` whether there is a table of the events' functions."""

    local: str
    public: str
    data: str
    table: bool
    parts: bool = False  # long functions in parts


C = Dialect(local="static", public="", data="", table=True, parts=True)


class CPrinter(Printer):
    FUNCTIONS: ClassVar[dict[str, str]] = {name: name for name in _SAME} | {
        "abs": "fabs",
        "gamma": "tgamma",
        "sign": "sign_of",
        "min": "smaller",
        "max": "larger",
        "digamma": "digamma",
    }
    HELPERS: ClassVar[dict[str, str]] = {**runtime.HELPERS, **runtime.LOOP_HELPERS}
    INFINITY, NAN = "INFINITY", "NAN"
    TRUE, FALSE = "1", "0"
    OTHERWISE = "} else {"
    CLOSE = "}"

    def __init__(self, program: Program | LoopProgram) -> None:
        super().__init__()
        self.program = program

    def choose(self, cond: Text, a: Text, b: Text) -> Text:
        return self._join(f"{within(cond, OR)} ? {within(a, OR)} : {within(b, CHOICE)}", CHOICE, cond, a, b)

    def boolean(self, op: str, args: Sequence[Text]) -> Text:
        if op == "not":
            return self._join(f"!{within(args[0], ATOM)}", NEG, *args, truth=True)
        level, sign = (AND, "&&") if op == "and" else (OR, "||")

        def side(text: Text, least: int) -> str:
            # compilers ask for parentheses around && inside ||
            return f"({text.code})" if op == "or" and text.level == AND else within(text, least)

        code = f"{side(args[0], level)} {sign} {side(args[1], level + 1)}"
        return self._join(code, level, *args, truth=True)

    def truth_to_number(self, text: Text) -> Text:
        return self.choose(text, Text("1.0"), Text("0.0"))

    def whole_power(self, a: Text, n: int) -> Text:
        if 2 <= n <= 4 and a.depth == 0:
            return self._join("*".join([within(a, ATOM)] * n), MUL, a)
        self.use("ipow")
        return self._join(f"ipow({a.code}, {n})", ATOM, a)

    def remainder(self, a: Text, b: Text) -> Text:
        self.use("modulo")
        return self._join(f"modulo({a.code}, {b.code})", ATOM, a, b)

    def input(self, k: int, time: Text, order: int) -> Text:
        self.use("input_value")
        return self._join(f"input_value(p + {self.program.system.tables_at}, {k}, {time.code}, {order})", ATOM, time)

    def assign(self, name: str, code: str, truth: bool = False) -> str:
        return f"const {'int' if truth else 'double'} {name} = {code};"

    def declare(self, name: str, truth: bool = False) -> list[str]:
        return [f"{'int' if truth else 'double'} {name};"]

    def put(self, name: str, code: str) -> str:
        return f"{name} = {code};"

    def branch(self, cond: str, first: bool) -> str:
        return f"{'' if first else '} else '}if ({cond}) {{"

    def network_call(self, result: str, name: str, k: int, inputs: Sequence[str], order: int) -> list[str]:
        system = self.program.system
        net = system.networks[k]
        size = net.n_in + net.n_out * (1 + net.n_in + net.n_in**2)
        return [
            f"double {result}[{size}] = {{{', '.join(inputs)}}};",
            f"{name}(p + {system.weight_offsets[k]}, {order}, {result});",
        ]

    def projection(self, call: str, indices: tuple[int, ...], n_in: int) -> str:
        column = (0, 1, 1 + n_in)[len(indices) - 1]
        for k, j in enumerate(reversed(indices[1:])):
            column += j * n_in**k
        return f"{call}[{n_in + indices[0] * (1 + n_in + n_in**2) + column}]"


def source(model: Model, wanted: Collection[str] | None = None) -> str:
    """A standalone C99 file for `model`; link it with `-lm`.

    It defines N_STATES, N_PARAMETERS, N_WEIGHTS ..., the arrays STATES, PARAMETERS,
    OBSERVABLES (names, UTF-8), P0 (defaults, then trained weights), U0, and what
    target "python" does as functions `f(t, u, p, out)`; `jvp` and its like take `v`
    before `out`, `initial` and `event_times` only `p, out`.  Names of the model that C
    cannot have are spelled in ASCII.  Long functions are written in parts.  `wanted`: only these
    routines, without the linear algebra.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> "void f(double t, const double *u" in source(sd.model("x' = -k*x; x(0) = 1; param k = 2"))
    True
    """
    program = prepare(model, wanted=wanted)
    lines = [*head(program, "Compile with: cc -O3 -std=c99 -fPIC -shared model.c -lm"), "", "#include <math.h>"]
    return layout.finish([*lines, *memory(program), "", *body(program, C)])


def prepare(
    model: Model, reserved: Sequence[str] = (), wanted: Collection[str] | None = None
) -> Program | LoopProgram:
    """The program of a model in identifiers of C."""
    free = Identifiers(spell=ascii_identifier, words=runtime.WORDS)
    if model.spec.as_loops:
        loops = describe_loops(model, [*runtime.OWN, "malloc", "free", *runtime.LOOP_HELPERS, *reserved], free)
        if wanted is None:
            return loops
        return replace(loops, routines=tuple(r for r in loops.routines if r.name in wanted))
    return describe(model, [*runtime.OWN, *reserved], free, wanted)


def memory(program: Program | LoopProgram) -> list[str]:
    """The header that temporary arrays need, if there are any."""
    if isinstance(program, LoopProgram) and any(routine.n_temps for routine in program.routines):
        return ["#include <stdlib.h>"]
    return []


def body(program: Program | LoopProgram, dialect: Dialect) -> list[str]:
    """Everything behind the includes."""
    printer = CPrinter(program)
    functions: list[str] = []
    for routine in program.routines:
        if isinstance(program, LoopProgram):
            assert isinstance(routine, LoopRoutine)
            functions += ["", *_loop_function(program, routine, printer, dialect)]
        else:
            assert isinstance(routine, Routine)
            functions += ["", *_function(program, routine, printer, dialect)]
    lines = _data(program, printer, dialect)
    parts = printer.helpers() + _networks(program)
    lines += [line for part in parts for line in ["", *_declared(part, dialect)]]
    if any("static APART" in line for line in functions):
        lines += ["", *runtime.APART.strip("\n").split("\n")]
    lines += functions
    whole = isinstance(program, LoopProgram) or "jacobian" in {routine.name for routine in program.routines}
    if whole and program.system.n <= LARGEST_ALGEBRA:
        algebra = layout.with_mass(
            program, runtime.ALGEBRA, "(i%(n + 1) == 0 ? 1.0 : 0.0)", "(i%(n + 1) == 0 ? MASS[i%n] : 0.0)"
        )
        lines += ["", *_declared(algebra, dialect)]
    count = len(program.system.events)
    if count and dialect.table:
        kind = "void (*const AFFECTS[])(double, const double *, const double *, double *)"
        lines += ["", f"{kind} = {{{', '.join(f'affect_{k}' for k in range(count))}}};"]
    return lines


def _declared(part: str, dialect: Dialect) -> list[str]:
    public = f"{dialect.public} " if dialect.public else ""
    return part.strip("\n").replace("PUBLIC_ ", public).replace("LOCAL", dialect.local).split("\n")


def head(program: Program | LoopProgram, how: str) -> list[str]:
    """The comment at the top: the layout of the arrays."""
    about = [
        "f(t, u, p, out) writes du/dt; matrices are written row by row.",
        "p holds the parameters and behind them all weights." if program.system.networks else how,
        *([how] if program.system.networks else []),
    ]
    shown = [line.strip('"') for line in layout.docstring(program, about)]
    lines = [_comment(line) for line in shown]
    return [f"/* {lines[0]}", *(f" * {line}".rstrip() for line in lines[1:-1]), " */"]


def _comment(text: str) -> str:
    """`text` as it may stand inside a comment."""
    return text.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *").replace("?", "_")


def _string(value: str) -> str:
    """A literal of the UTF-8 bytes of `value`; everything but letters, digits and blanks as octal numbers."""
    plain = {*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ "}
    shown = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in value.encode())
    return f'"{shown}"'


def _array(start: str, items: Iterable[str], nothing: str) -> list[str]:
    """An array; C has none of length 0, so an empty one has one element that says nothing."""
    return layout.wrapped(f"{start} = ", list(items) or [nothing], ";", "{}")


def _data(program: Program | LoopProgram, printer: CPrinter, dialect: Dialect) -> list[str]:
    system = program.system
    loops = isinstance(program, LoopProgram)
    sizes = {
        "STATES": system.n,
        "PARAMETERS": system.n_params,
        "WEIGHTS": system.n_weights,
        "OBSERVABLES": program.system.n_observables if loops else len(system.observables),  # type: ignore[union-attr]
        "NONZEROS": program.n_values if loops else len(program.indices),  # type: ignore[union-attr]
        "EVENTS": len(system.events),
    }
    lines = ["enum {", *(f"    N_{name} = {size}," for name, size in sizes.items())]
    lines[-1] = lines[-1].rstrip(",")
    lines += ["};", ""]
    text, number, whole = (f"{dialect.data}const {kind}" for kind in ("char *const", "double", "int"))
    if isinstance(program, LoopProgram):
        lines += [
            "/* Names in order; an array stands for all its elements, row by row: u[1..100] for u[1], u[2] ... */"
        ]
    groups = zip(("STATES", "PARAMETERS", "OBSERVABLES"), layout.labels(program), strict=True)
    for name, names in groups:
        lines += _array(f"{text} {name}[]", map(_string, names), "0")
    if dialect.table and isinstance(program, LoopProgram) and program.system.constants:
        lines += _constants(program, printer)
    lines += _array(f"{number} P0[]", layout.numbers(printer, program.whole), "0.0")
    if isinstance(program, Program):
        if program.initial is not None:
            lines += _array(f"{number} U0[]", layout.numbers(printer, program.initial), "0.0")
        lines += [
            "/* Where the numbers of jacobian_values stand: compressed sparse columns, rows and columns from 0. */"
        ]
        lines += _array(f"{whole} JACOBIAN_INDICES[]", map(str, program.indices), "0")
        lines += _array(f"{whole} JACOBIAN_INDPTR[]", map(str, program.indptr), "0")
    if system.inputs:
        lines += _array(f"{text} INPUTS[]", map(_string, system.inputs), "0")
    if system.algebraic:
        lines += _array(f"{number} MASS[]", layout.mass(program), "0.0")
    if system.events:
        lines += _array(f"{text} EVENTS[]", (_string(event.kind) for event in system.events), "0")
        lines += _array(f"{whole} TERMINAL[]", (str(int(event.terminate)) for event in system.events), "0")
    return lines


def _constants(program: LoopProgram, printer: CPrinter) -> list[str]:
    return _array("static const double CONSTANTS[]", layout.numbers(printer, program.system.constants), "0.0")


def _function(program: Program, routine: Routine, printer: CPrinter, dialect: Dialect) -> list[str]:
    inside = write(program.system.graph, list(routine.entries.values()), printer, program.fresh_names())
    arguments = ["const double *p"] if routine.timeless else ["double t", "const double *u", "const double *p"]
    arguments += ["const double *v"] if routine.along else []
    public = f"{dialect.public} " if dialect.public else ""
    opening = [f"/* {routine.doc} */", f"{public}void {routine.name}({', '.join(arguments)}, double *out)", "{"]
    leaves = {
        program.names.leaves[kind, i]: f"const double {program.names.leaves[kind, i]} = {printer.leaf(kind, i)};"
        for kind, i in inside.leaves
    }
    fill = []
    if len(routine.entries) < math.prod(routine.shape):
        number = printer.number(routine.fill).code
        fill = [f"    for (long i_ = 0; i_ < {math.prod(routine.shape)}; i_++)", f"        out[i_] = {number};"]
    places = layout.positions(routine)
    if dialect.parts and chunks.pays(inside, len(places)):
        parts, body = _in_parts(routine.name, arguments, inside, leaves, places, fill)
        return [*parts, *opening, *body, "}"]
    lines = layout.indented([*leaves.values(), *inside.lines]) + fill
    lines += [f"    out[{at}] = {value.code};" for at, value in zip(places, inside.values, strict=True)]
    return [*opening, *lines, "}"]


def _in_parts(
    name: str, arguments: list[str], inside: Body, leaves: dict[str, str], places: list[int], fill: list[str]
) -> tuple[list[str], list[str]]:
    """(functions for the parts, the statements that call them and write the output last)."""
    parts, size = chunks.split(inside.units, [value.code for value in inside.values], list(leaves))
    lines: list[str] = []
    passed = ", ".join(argument.split()[-1].lstrip("*") for argument in arguments)
    calls = [f"    double s_[{size}];"]
    for k, part in enumerate(parts):
        lines += [f"static APART void {name}_part{k}({', '.join(arguments)}, double *s_)", "{"]
        lines += layout.indented(leaves[leaf] for leaf in part.leaves)
        for variable, seat, truth in part.imports:
            value = f"int {variable} = s_[{seat}] != 0.0" if truth else f"double {variable} = s_[{seat}]"
            lines.append(f"    const {value};")
        lines += layout.indented(part.lines)
        lines += [f"    s_[{seat}] = {variable};" for variable, seat, _ in part.exports]
        lines += [f"    s_[{seat}] = {code};" for seat, code in part.results]
        lines += ["}", ""]
        calls.append(f"    {name}_part{k}({passed}, s_);")
    if places == list(range(len(places))):
        calls += [*fill, f"    for (long i_ = 0; i_ < {len(places)}; i_++)", "        out[i_] = s_[i_];"]
        return lines, calls
    table = layout.indented(layout.wrapped("static const int places_[] = ", list(map(str, places)), ";", "{}"))
    calls += [*fill, f"    for (long i_ = 0; i_ < {len(places)}; i_++)", "        out[places_[i_]] = s_[i_];"]
    return lines, [calls[0], *table, *calls[1:]]


class CSyntax(LoopSyntax):
    """Loops of C."""

    END = "}"
    FLAT = True
    LAZY = False
    WHOLE: ClassVar[dict[str, str]] = {
        "mod": "whole_mod({0}, {1})",
        "div": "whole_div({0}, {1})",
        "mul": "({0})*({1})",
        "clamp": "whole_clamp({0}, {1}, {2})",
    }

    def loop(self, name: str, first: str, last: Affine, last_text: Callable[[Affine], str]) -> str:
        return f"for (long {name} = {first}; {name} <= {last_text(last)}; {name}++) {{"

    def number(self, code: str) -> str:
        return f"(double)({code})" if " " in code or "*" in code else f"(double){code}"

    def variable(self, name: str, code: str) -> str:
        return f"double {name} = {code};"

    def counter(self, name: str, start: int) -> str:
        return f"long {name} = {start};"

    def change(self, name: str, code: str) -> str:
        return f"{name} = {code};"

    def add(self, target: str, code: str) -> str:
        return f"{target} += {code};"

    def better(self, op: str, value: str, best: str) -> str:
        return f"{value} {'<' if op == 'min' else '>'} {best} || {value} != {value}"

    def when(self, cond: str, lines: Sequence[str]) -> list[str]:
        return [f"if ({cond}) {{", *(f"    {line}" for line in lines), "}"]


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: CPrinter, dialect: Dialect) -> list[str]:
    inside = write_loops(program.system.graph, routine, printer, CSyntax(printer), program.fresh_names())
    for name in runtime.LOOP_HELPERS:
        if any(f"{name}(" in line for line in inside.lines):
            printer.use(name)
    arguments = ["const double *p"] if routine.timeless else ["double t", "const double *u", "const double *p"]
    arguments += ["const double *v"] if routine.along else []
    arguments = ["int *out"] if routine.positions else [*arguments, "double *out"]
    public = f"{dialect.public} " if dialect.public else ""
    lines = [f"/* {routine.doc} */", f"{public}void {routine.name}({', '.join(arguments)})", "{"]
    lines += [f"    const double {program.names.leaves[k, i]} = {printer.leaf(k, i)};" for k, i in inside.leaves]
    if not dialect.table and any("CONSTANTS[" in line for line in inside.lines):
        lines += layout.indented(_constants(program, printer))  # code on a device reads no arrays of the host
    temps = routine.n_temps
    if temps:
        lines += [
            f"    double *temp = (double *)malloc({temps}*sizeof(double));",
            "    if (!temp) {",
            f"        for (long i_ = 0; i_ < {routine.size}; i_++)",
            "            out[i_] = NAN;",
            "        return;",
            "    }",
        ]
        if routine.zeroed is not None:
            lines += [f"    for (long i_ = {routine.zeroed}; i_ < {temps}; i_++)", "        temp[i_] = 0.0;"]
    if routine.fill is not None:
        fill = printer.number(routine.fill).code
        lines += [f"    for (long i_ = 0; i_ < {routine.size}; i_++)", f"        out[i_] = {fill};"]
    lines += layout.indented(inside.lines)
    lines += ["    free(temp);"] if temps else []
    return [*lines, "}"]


def _networks(program: Program | LoopProgram) -> list[str]:
    system = program.system
    used = {net.activation for net in system.networks}
    parts = [text for name, text in runtime.ACTIVATIONS.items() if name in used]
    for name, net in zip(program.names.networks, system.networks, strict=True):
        words = {
            "SHOWN": _comment(layout.text(net.name)),
            "WIDTHS": "-".join(map(str, net.sizes)),
            "LISTED": ", ".join(map(str, net.sizes)),
            "ACTIVATION": net.activation,
            "NAME": name,
            "LAYERS": str(len(net.sizes) - 1),
            "WIDEST": str(max(net.sizes)),
            "STRIDE": str(1 + net.n_in + net.n_in**2),
            "OUTPUTS": str(net.n_out),
            "N": str(net.n_in),
        }
        parts.append(re.sub(r"@(\w+?)@", lambda found, words=words: words[found[1]], runtime.NETWORK))  # type: ignore[misc]
    return parts
