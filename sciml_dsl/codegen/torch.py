"""Target "torch": a file with a `torch.nn.Module` whose gradients are right.

Works on batches (last axis states or parameters), on any device and in the
floating-point type of `u`.  Both sides of a branch are evaluated; operations
that are undefined somewhere get harmless arguments where their side is not
taken, so no NaN enters a gradient.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from . import activations, layout
from .arrays import ArrayPrinter, write
from .blocks import Body
from .contexts import harmless
from .identifiers import Identifiers
from .loop_arrays import ArraySyntax, write_array_loops
from .loop_blocks import ARRAYS
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, describe_loops
from .printer import ATOM, Text, within
from .program import PUBLIC, Program, Routine, describe
from .torch_runtime import (
    ALGEBRA,
    ALWAYS,
    HELPERS,
    LOOP_HELPERS,
    LOOP_NAMES,
    MASS_FOR_EYE,
    MODULES,
    NETWORK,
    SUPPORT,
)

if TYPE_CHECKING:
    from ..model.model import Model

_SAME = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
    "abs sign floor ceil lgamma"
).split()

_HARMLESS: dict[str, tuple[float | None, ...]] = {
    "div": (None, 1.0),
    "mod": (None, 1.0),
    "pow": (1.0, None),
    "atan2": (None, 1.0),
    "asin": (0.0,),
    "acos": (0.0,),
    "atanh": (0.0,),
    "tan": (0.0,),
    "acosh": (2.0,),
}


class TorchPrinter(ArrayPrinter):
    FUNCTIONS: ClassVar[dict[str, str]] = (
        {name: f"torch.{name}" for name in _SAME}
        | {"min": "torch.minimum", "max": "torch.maximum", "cbrt": "_cbrt", "gamma": "_gamma"}
        | {name: f"torch.special.{name}" for name in ("erf", "erfc", "digamma")}
    )
    HELPERS: ClassVar[dict[str, str]] = HELPERS
    MASKED = True

    def function(self, op: str, args: Sequence[Text]) -> Text:
        return super().function(op, [self.tensor(a) for a in args])

    def tensor(self, text: Text) -> Text:
        """A number as a tensor of the type and device of the others."""
        return text if text.value is None else Text(f"_constant({text.code}, p)")

    def choose(self, cond: Text, a: Text, b: Text) -> Text:
        if a.value is not None and b.value is not None:
            a = self.tensor(a)
        return self._join(f"torch.where({cond.code}, {a.code}, {b.code})", ATOM, cond, a, b)

    def truth_to_number(self, text: Text) -> Text:
        return self._join(f"{within(text, ATOM)}.to(p.dtype)", ATOM, text)

    def power(self, a: Text, b: Text) -> Text:
        return self._join(f"torch.pow({a.code}, {b.code})", ATOM, a, b)

    def protect(self, op: str, args: Sequence[Text], mask: str) -> list[Text]:
        if harmless(op, [a.value for a in args]):
            return list(args)
        return [self._replaced(a, value, mask) for a, value in zip(args, _HARMLESS.get(op, (1.0,)), strict=True)]

    def _replaced(self, text: Text, value: float | None, mask: str) -> Text:
        if value is None or text.value is not None:
            return text
        number = self.as_number(text)
        return self._join(f"torch.where({mask}, {number.code}, {value})", ATOM, number)

    def input(self, k: int, time: Text, order: int) -> Text:
        self.use("_input")
        return self._join(f"_input(tables, {k}, {self.tensor(time).code}, {order}).to(p.dtype)", ATOM, time)

    def network(self, name: str, k: int, inputs: Sequence[str], order: int) -> str:
        return f"nets[{k}](_joined([{', '.join(inputs)}], u), {order})"


def source(model: Model) -> str:
    """A standalone file for `model`, using torch alone.

    It defines functions `f(t, u, p)`, `jacobian`, `parameter_jacobian`,
    `observables`, `initial`, and events, all on tensors u (..., n) and p (...,
    number of parameters, or with all weights behind them), and a
    `torch.nn.Module` named after the model (`MODULE`): `module(t, u)` is the
    right-hand side with the module's own parameters `module.p` and
    `module.networks`, ready for `torchdiffeq.odeint`.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> text = source(sd.model("x' = -k*x; x(0) = 1; param k = 2"))
    """
    printer = TorchPrinter()
    reserved = ["math", "torch", "MODULE", "Sin", "Gaussian", "_networks", *SUPPORT, *HELPERS, *activations.RESERVED]
    module = Identifiers([*reserved, *PUBLIC]).claim(_title(model.spec.name))
    program: Program | LoopProgram
    if model.spec.as_loops:
        program = describe_loops(model, [module, *reserved, *LOOP_NAMES])
        functions = [_loop_function(program, routine, printer) for routine in program.routines]
    else:
        program = describe(model, [module, *reserved])
        functions = [_function(program, routine, printer) for routine in program.routines]
    about = [
        "f(t, u, p) gives du/dt for tensors whose last axis are the states (u) and parameters (p);",
        f"{module}() is the same as a torch.nn.Module with parameters of its own.",
    ]
    lines = layout.docstring(program, [*layout.WEIGHTS_INSIDE[program.weights is None :], *about])
    lines += ["", "import math", "", "import torch", "", *layout.constants(program, printer)]
    lines += layout.constant_arrays(program, printer, "torch.tensor(", ", dtype=torch.float64)")
    lines += layout.wrapped("P0 = ", layout.python_numbers(program, printer, program.defaults))
    if isinstance(program, Program) and program.initial is not None:
        lines += layout.wrapped("U0 = ", layout.numbers(printer, program.initial))
    if program.weights is not None:
        lines += layout.wrapped("WEIGHTS = ", layout.numbers(printer, program.weights))
    if program.tables is not None:
        lines += layout.wrapped("TABLES = ", layout.numbers(printer, program.tables))
    helpers = [SUPPORT[name] for name in ALWAYS] + ([LOOP_HELPERS] if isinstance(program, LoopProgram) else [])
    helpers += [_tables(program)] if program.system.inputs else []
    for helper in [*helpers, *printer.helpers(), *_networks(program)]:
        lines += ["", "", *helper.strip("\n").split("\n")]
    for function in functions:
        lines += function.lines
    lines += ["", "", *layout.with_mass(program, ALGEBRA, *MASS_FOR_EYE).strip("\n").split("\n")]
    last = layout.one_of_each(program)
    if isinstance(program, LoopProgram) and program.fixed:
        last.append("U0 = initial(torch.tensor(P0, dtype=torch.float64))")
    lines += ["", "", *last] if last else []
    return layout.finish([*lines, *_module(program, functions, module)])


def _title(name: str) -> str:
    """The model's name as the name of a class."""
    return name[:1].upper() + name[1:] if name else "Model"


@dataclass(frozen=True)
class _Function:
    """A routine as source; with `networks`, `_name` takes the networks and `name` reads them from p."""

    routine: Routine | LoopRoutine
    lines: list[str]
    networks: bool


def _function(program: Program, routine: Routine, printer: TorchPrinter) -> _Function:
    body = write(program.system.graph, list(routine.entries.values()), printer, program.fresh_names())
    arguments = _arguments(routine)
    start = f"def _{routine.name}({arguments}, nets):" if body.networks else f"def {routine.name}({arguments}):"
    lines = ["", "", start, f'    """{routine.doc}"""']
    if not routine.timeless:
        lines += ["    t, p = _tensors(t, u, p)"]
    if routine.along:
        lines += ["    v = torch.as_tensor(v, dtype=u.dtype, device=u.device)"]
    lines += [f"    {program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in body.leaves]
    if body.inputs:
        lines += ["    tables = _tables(p)"]
    lines += layout.indented(body.lines)
    lines += layout.indented(_result(routine, body, printer))
    if body.networks:
        lines += _taking_networks(routine)
    return _Function(routine, lines, body.networks)


class TorchSyntax(ArraySyntax):
    """As `ArraySyntax`; what is read from temporary arrays is copied, because they go on changing."""

    CLAMP = "torch.clamp({0}, {1}, {2})"
    REDUCE: ClassVar[dict[str, str]] = {
        "sum": "torch.sum({0}, dim=-1)",
        "prod": "torch.prod({0}, dim=-1)",
        "min": "torch.amin({0}, dim=-1)",
        "max": "torch.amax({0}, dim=-1)",
        "argmin": "torch.argmin({0}, dim=-1)",
        "argmax": "torch.argmax({0}, dim=-1)",
    }
    BACKWARD = False

    def range(self, first: int, last: int) -> str:
        return f"torch.arange({first}, {last + 1}, device=p.device)"

    def number(self, code: str) -> str:
        return f"({code}).to(p.dtype)" if " " in code else f"{code}.to(p.dtype)"

    def read(self, vector: str, code: str) -> str:
        if vector == "const":
            return f"CONSTANTS.to(p)[..., {code}]"
        return f"{ARRAYS[vector]}[..., {code}]" + (".clone()" if vector == "temp" else "")

    def spread(self, value: str, count: int) -> str:
        return f"{value}.expand({value}.shape[:-1] + ({count},))"


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: TorchPrinter) -> _Function:
    body = write_array_loops(program.system.graph, routine, printer, TorchSyntax(), program.fresh_names())
    if routine.positions:
        lines = ["", "", f"def {routine.name}(p=torch.zeros(0)):", f'    """{routine.doc}"""']
        lines += [f"    out = torch.empty({routine.size}, dtype=torch.long, device=p.device)"]
        return _Function(routine, [*lines, *layout.indented(body.lines), "    return out"], False)
    arguments = _arguments(routine)
    start = f"def _{routine.name}({arguments}, nets):" if body.networks else f"def {routine.name}({arguments}):"
    lines = ["", "", start, f'    """{routine.doc}"""']
    if not routine.timeless:
        lines += ["    t, p = _tensors(t, u, p)"]
    if routine.along:
        lines += ["    v = torch.as_tensor(v, dtype=u.dtype, device=u.device)"]
    lines += [f"    {program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in body.leaves]
    lines += ["    tables = _tables(p)"] if body.inputs else []
    like = "p" if routine.timeless else "u, p, v, t=t" if routine.along else "u, p, t=t"
    lines.append(f"    out = _filled({printer.number(routine.fill or 0.0).code}, {routine.size}, {like})")
    if routine.n_temps:
        lines.append(f"    temp = _filled(0.0, {routine.n_temps}, {like})")
    shaped = "out" if len(routine.shape) == 1 else f"out.reshape(out.shape[:-1] + {routine.shape})"
    lines += [*layout.indented(body.lines), f"    return {shaped}"]
    if body.networks:
        lines += _taking_networks(routine)
    return _Function(routine, lines, body.networks)


def _taking_networks(routine: Routine | LoopRoutine) -> list[str]:
    """The form of a routine that reads the networks from p."""
    arguments = _arguments(routine)
    return [
        "",
        "",
        f"def {routine.name}({arguments}):",
        f'    """{routine.doc}"""',
        f"    return _{routine.name}({arguments}, _networks(p))",
    ]


def _arguments(routine: Routine | LoopRoutine) -> str:
    return "p" if routine.timeless else "t, u, p, v" if routine.along else "t, u, p"


def _result(routine: Routine, body: Body, printer: TorchPrinter) -> list[str]:
    """The values side by side; of a large matrix only those that are not zero."""
    like = "p" if routine.timeless else "u, p, v, t=t" if routine.along else "u, p, t=t"
    fill = printer.number(routine.fill).code
    values = dict(zip(routine.entries, (v.code for v in body.values), strict=True))
    size = math.prod(routine.shape)
    if len(routine.shape) == 1 or len(values) * 4 >= size or size <= 64:
        items = [values.get(place, fill) for place in itertools.product(*map(range, routine.shape))]
        return _call("return _stacked(", items, f"{routine.shape}, {like}")
    flat = [str(_flat(place, routine.shape)) for place in routine.entries]
    return [
        *_call("values = _stacked(", list(values.values()), f"({len(values)},), {like}"),
        *layout.wrapped("places = ", flat),
        f"return _scattered(values, places, {routine.shape}, {fill})",
    ]


def _flat(place: tuple[int, ...], shape: tuple[int, ...]) -> int:
    at = 0
    for index, size in zip(place, shape, strict=True):
        at = at * size + index
    return at


def _call(start: str, items: list[str], rest: str) -> list[str]:
    one = f"{start}[{', '.join(items)}], {rest})"
    if len(one) <= layout.WIDTH - 4:
        return [one]
    return [start, "    [", *(f"        {item}," for item in items), "    ],", f"    {rest},", ")"]


def _tables(program: Program | LoopProgram) -> str:
    n = program.system.tables_at
    own = ", else those of this file" if program.tables is not None else ""
    lines = ["def _tables(p):", f'    """The tables of the inputs: the tail of p{own}."""']
    if program.tables is not None:
        lines += [
            f"    if p.shape[-1] <= {n}:",
            "        return torch.tensor(TABLES, dtype=torch.float64, device=p.device)",
        ]
    return "\n".join([*lines, f"    return p[..., {n}:]"])


def _networks(program: Program | LoopProgram) -> list[str]:
    system = program.system
    if not system.networks:
        return []
    kinds = [net.activation for net in system.networks]
    parts = activations.used(activations.ARRAY["torch"], kinds)
    parts += [MODULES[kind][1] for kind in dict.fromkeys(kinds) if MODULES[kind][1]]
    parts += [SUPPORT[name] for name in NETWORK]
    lines = ["def _networks(p):", '    """The networks with their weights taken from the tail of p."""']
    n = system.n_params
    if isinstance(program, LoopProgram):
        lines += ["    if p.dim() > 1:"]
        lines += ['        raise ValueError("networks inside arrays take one set of weights, p with one axis")']
    if program.weights is not None:
        lines += [f"    w = p[..., {n}:]", f"    if p.shape[-1] == {n}:"]
        lines += ["        w = torch.tensor(WEIGHTS, dtype=p.dtype, device=p.device)"]
    else:
        lines += [f"    w = p[..., {n}:]"]
    lines.append("    return [")
    for net, at in zip(system.networks, system.weight_offsets, strict=True):
        lines.append(f"        _from_weights({net.sizes}, _{net.activation}, w, {at - n}),  # {layout.text(net.name)}")
    return [*parts, "\n".join([*lines, "    ]"])]


def _module(program: Program | LoopProgram, functions: Sequence[_Function], module: str) -> list[str]:
    """The class: its own parameters, and every routine as a method."""
    system = program.system
    lines = [
        "",
        "",
        f"class {module}(torch.nn.Module):",
        '    """The model as a module: `p` are its parameters'
        + (', `networks` its networks, in the order of NETWORKS."""' if system.networks else '."""'),
        "",
        "    def __init__(self, p=P0, dtype=torch.float64):",
        "        super().__init__()",
        "        self.p = torch.nn.Parameter(torch.as_tensor(p, dtype=dtype).clone())",
    ]
    if system.networks:
        lines.append("        self.networks = torch.nn.ModuleList([")
        for net in system.networks:
            lines.append(f"            _sequential({net.sizes}, {MODULES[net.activation][0]}, dtype),")
        lines.append("        ])")
        if program.weights is not None:
            lines += [
                "        weights = torch.tensor(WEIGHTS, dtype=dtype)",
                "        torch.nn.utils.vector_to_parameters(weights, self.networks.parameters())",
            ]
        lines += [
            "",
            "    def _own(self):",
            "        return [",
            *(
                f"            _from_module(self.networks[{k}], _{net.activation}),"
                for k, net in enumerate(system.networks)
            ),
            "        ]",
        ]
    for function in functions:
        routine = function.routine
        if isinstance(routine, LoopRoutine) and routine.positions:
            lines += ["", f"    def {routine.name}(self):", f'        """{routine.doc}"""']
            lines.append(f"        return {routine.name}(self.p)")
            continue
        arguments = "" if routine.timeless else "t, u, "
        first, last = ("v, ", ", v") if routine.along else ("", "")
        name = "forward" if routine.name == "f" else routine.name
        lines += ["", f"    def {name}(self, {arguments}{first}p=None):", f'        """{routine.doc}"""']
        if function.networks:
            lines += [
                f"        if p is not None and p.shape[-1] > {system.n_params}:",
                f"            return {routine.name}({arguments}p{last})",
                f"        return _{routine.name}({arguments}self.p if p is None else p{last}, self._own())",
            ]
        else:
            lines.append(f"        return {routine.name}({arguments}self.p if p is None else p{last})")
    return [*lines, "", "", f"MODULE = {module}"]
