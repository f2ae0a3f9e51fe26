"""Target "numba": a file whose functions are compiled by `numba.njit`.

Every function comes twice: `f_into(t, u, p, out)` writes into an array and
allocates nothing (networks and functions in parts take scratch memory), `f(t, u, p)`
returns a new one.  Division by zero gives infinity or NaN, as in C.  Long functions are
written in parts (`chunks`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from . import activations, chunks, layout
from .blocks import Body, write
from .identifiers import Identifiers
from .loop_blocks import LoopSyntax, write_loops
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, describe_loops
from .printer import ATOM, Printer, Text
from .program import Program, Routine, describe
from .python import PythonPrinter

if TYPE_CHECKING:
    from ..model.model import Model

NJIT = '@njit(error_model="numpy")'

LONGEST = 4000
"""Lines a function may have before it is taken apart: numba's own cost is near to linear, and each part adds to it.
(500 states took 14 s whole and 17 s in parts, 1,000 states 44 s and 30 s.)"""

_DIGAMMA = f'''
{NJIT}
def _digamma(x):
    """Logarithmic derivative of the gamma function (recurrence, reflection, asymptotic series)."""
    total = 0.0
    if x < 0.5:
        total = -math.pi/math.tan(math.pi*x)
        x = 1.0 - x
    while x < 8.0:
        total -= 1.0/x
        x += 1.0
    y = 1.0/(x*x)
    series = y*(1/12 - y*(1/120 - y*(1/252 - y*(1/240 - y*(1/132 - y*(691/32760 - y/12))))))
    return total + math.log(x) - 0.5/x - series
'''

_NUMPY = "cbrt sign floor ceil log2 expm1".split()


_INPUT = f'''
{NJIT}
def _input(p, tables, k, t, order):
    """Input number k at time t, or its derivative of that order; NaN outside its table.

    The tables of all inputs begin at p[tables].
    """
    at = tables + int(p[tables + k])
    m = int(p[at])
    if not (p[at + 1] <= t and t <= p[at + 2]):
        return math.nan
    at += 3
    low, high = 0, m
    while high - low > 1:
        middle = (low + high)//2
        if p[at + middle] <= t:
            low = middle
        else:
            high = middle
    s = t - p[at + low]
    at += m + 4*low
    if order == 0:
        return p[at] + s*(p[at + 1] + s*(p[at + 2] + s*p[at + 3]))
    if order == 1:
        return p[at + 1] + s*(2.0*p[at + 2] + 3.0*s*p[at + 3])
    if order == 2:
        return 2.0*p[at + 2] + 6.0*p[at + 3]*s
    return 6.0*p[at + 3]
'''


class NumbaPrinter(Printer):
    FUNCTIONS: ClassVar[dict[str, str]] = {**PythonPrinter.FUNCTIONS, **{name: f"np.{name}" for name in _NUMPY}}
    HELPERS: ClassVar[dict[str, str]] = {"_digamma": _DIGAMMA, "_input": _INPUT}

    def __init__(self, tables_at: int) -> None:
        super().__init__()
        self.tables_at = tables_at

    def input(self, k: int, time: Text, order: int) -> Text:
        self.use("_input")
        return self._join(f"_input(p, {self.tables_at}, {k}, {time.code}, {order})", ATOM, time)

    def truth_to_number(self, text: Text) -> Text:
        return self.choose(text, Text("1.0"), Text("0.0"))

    def network(self, name: str, k: int, inputs: Sequence[str], order: int) -> str:
        comma = "," if len(inputs) == 1 else ""
        return f"{name}(p, ({', '.join(inputs)}{comma}), {order})"

    def projection(self, call: str, indices: tuple[int, ...], n_in: int) -> str:
        column = (0, 1, 1 + n_in)[len(indices) - 1]
        for k, j in enumerate(reversed(indices[1:])):
            column += j * n_in**k
        return f"{call}[{indices[0]}, {column}]"


def source(model: Model) -> str:
    """A standalone file for `model`, using numba and numpy.

    It defines what target "python" does, with arrays for lists, and for each
    function a form that writes into `out`: `f_into(t, u, p, out)`.  `p` is a
    float64 array: all parameters, then all weights (P0 when the model has them).

    Example
    -------
    >>> import sciml_dsl as sd
    >>> text = source(sd.model("x' = -k*x; x(0) = 1; param k = 2"))
    """
    loops = bool(model.spec.as_loops)
    printer = NumbaPrinter((model.loops if loops else model.system).tables_at)
    describing = describe_loops if loops else describe
    program = describing(model, ["math", "np", "njit", "_mlp", *NumbaPrinter.HELPERS, *activations.RESERVED])
    functions: list[str] = []
    for routine in program.routines:
        if isinstance(program, LoopProgram):
            assert isinstance(routine, LoopRoutine)
            functions += _loop_function(program, routine, printer)
        else:
            assert isinstance(routine, Routine)
            functions += _function(program, routine, printer)
    lines = layout.docstring(
        program,
        [
            "f(t, u, p) gives du/dt, f_into(t, u, p, out) writes it; u, p and out are float64 arrays.",
            "All functions are compiled by numba when they are first called.",
        ],
    )
    lines += ["", "import math", "", "import numpy as np", "from numba import njit", ""]
    lines += layout.constants(program, printer)
    lines += layout.constant_arrays(program, printer, "np.array(", ")")
    lines += layout.wrapped("P0 = np.array(", layout.python_numbers(program, printer, program.whole), ")")
    if isinstance(program, Program) and program.initial is not None:
        lines += layout.wrapped("U0 = np.array(", layout.numbers(printer, program.initial), ")")
    for helper in printer.helpers():
        lines += ["", "", *helper.strip("\n").split("\n")]
    lines += _networks(program) if program.system.networks else []
    lines += functions
    algebra = layout.with_mass(program, _ALGEBRA, "lu[k, k] += 1.0", "lu[k, k] += MASS[k]")
    lines += ["", "", *algebra.strip("\n").split("\n")]
    affects = layout.one_of_each(program)
    return layout.finish([*lines, *(["", "", *affects] if affects else [])])


def _function(program: Program, routine: Routine, printer: Printer) -> list[str]:
    nodes = list(routine.entries.values())
    names = program.fresh_names()
    body = write(program.system.graph, nodes, printer, names)
    arguments = "p" if routine.timeless else "t, u, p, v" if routine.along else "t, u, p"
    leaves = {names.leaves[leaf]: f"{names.leaves[leaf]} = {printer.leaf(*leaf)}" for leaf in body.leaves}
    lines = ["", "", NJIT, f"def {routine.name}_into({arguments}, out):", f'    """{routine.doc}"""']
    fill = []
    if len(routine.entries) < math.prod(routine.shape):
        fill.append(f"    out[:] = {printer.number(routine.fill).code}")
    if chunks.pays(body, len(routine.entries), LONGEST):
        parts, calls = _in_parts(routine, arguments, body, leaves, fill, names.free)
        return [*parts, *lines, *calls, *_allocating(routine, arguments)]
    if (body.networks or body.inputs) and not routine.timeless:
        lines.append("    t = float(t)")
    lines += layout.indented([*leaves.values(), *body.lines]) + fill
    for place, value in zip(routine.entries, body.values, strict=True):
        lines.append(f"    out[{', '.join(str(i) for i in place)}] = {value.code}")
    return [*lines, *_allocating(routine, arguments)]


def _in_parts(
    routine: Routine, arguments: str, body: Body, leaves: dict[str, str], fill: list[str], free: Identifiers
) -> tuple[list[str], list[str]]:
    """(functions for the parts, the statements that call them and write the output last)."""
    parts, size = chunks.split(body.units, [value.code for value in body.values], list(leaves))
    scratch, places, k = free.fresh("scratch"), free.fresh(f"{routine.name}_places"), free.fresh("k")
    lines: list[str] = []
    calls = [f"    {scratch} = np.empty({size})"]
    for part in parts:
        name = free.fresh(f"{routine.name}_part")
        lines += ["", "", NJIT, f"def {name}({arguments}, {scratch}):"]
        inside = [leaves[leaf] for leaf in part.leaves]
        inside += [f"{x} = {scratch}[{seat}]{' != 0.0' if truth else ''}" for x, seat, truth in part.imports]
        inside += part.lines
        inside += [f"{scratch}[{seat}] = {f'1.0 if {x} else 0.0' if truth else x}" for x, seat, truth in part.exports]
        inside += [f"{scratch}[{seat}] = {code}" for seat, code in part.results]
        lines += layout.indented(inside)
        calls.append(f"    {name}({arguments}, {scratch})")
    count = len(routine.entries)
    flat = layout.positions(routine)
    if len(routine.shape) == 1 and flat == list(range(count)):
        return lines, [*calls, *fill, f"    out[:] = {scratch}[:{count}]"]
    lines += ["", "", *layout.wrapped(f"{places} = np.array(", list(map(str, flat)), ")")]
    return lines, [
        *calls, *fill, f"    for {k} in range({count}):", f"        out.flat[{places}[{k}]] = {scratch}[{k}]",
    ]  # fmt: skip


def _allocating(routine: Routine | LoopRoutine, arguments: str, kind: str = "") -> list[str]:
    """The form that returns a new array."""
    shape = routine.shape[0] if len(routine.shape) == 1 else routine.shape
    return [
        "",
        "",
        NJIT,
        f"def {routine.name}({arguments}):",
        f'    """{routine.doc}"""',
        f"    out = np.empty({shape}{kind})",
        f"    {routine.name}_into({', '.join(filter(None, [arguments, 'out']))})",
        "    return out",
    ]


class NumbaSyntax(LoopSyntax):
    LAZY = False

    def place(self, codes: Sequence[str]) -> str:
        return f"out[{', '.join(codes)}]"


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: Printer) -> list[str]:
    body = write_loops(program.system.graph, routine, printer, NumbaSyntax(printer), program.fresh_names())
    arguments = "p" if routine.timeless else "t, u, p, v" if routine.along else "t, u, p"
    arguments = "" if routine.positions else arguments
    lines = ["", "", NJIT, f"def {routine.name}_into({', '.join(filter(None, [arguments, 'out']))}):"]
    lines.append(f'    """{routine.doc}"""')
    if body.networks and not routine.timeless:
        lines.append("    t = float(t)")
    lines += layout.indented(f"{program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in body.leaves)
    if routine.fill is not None:
        lines.append(f"    out[:] = {printer.number(routine.fill).code}")
    if routine.n_temps:
        lines.append(f"    temp = np.zeros({routine.n_temps})")
    kind = ", np.int64" if routine.positions else ""
    return [*lines, *layout.indented(body.lines), "    return", *_allocating(routine, arguments, kind)]


_ALGEBRA = f'''
{NJIT}
def inverse_jacobian(t, u, p):
    """The inverse of df/du; infinite or NaN where it has none."""
    left = jacobian(t, u, p)
    n = len(left)
    out = np.eye(n)
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(left[i, k]) > abs(left[best, k]):
                best = i
        pivot = left[best, k]
        for j in range(n):
            left[k, j], left[best, j] = left[best, j], left[k, j]
            out[k, j], out[best, j] = out[best, j], out[k, j]
        for j in range(n):
            left[k, j] /= pivot
            out[k, j] /= pivot
        for i in range(n):
            factor = left[i, k]
            if i != k and factor != 0.0:
                for j in range(n):
                    left[i, j] -= factor*left[k, j]
                    out[i, j] -= factor*out[k, j]
    return out


{NJIT}
def w_factor(t, u, p, gamma):
    """LU factorisation with row exchanges of W = I - gamma df/du: (factors, pivots), for `w_solve`."""
    lu = -gamma*jacobian(t, u, p)
    n = len(lu)
    pivots = np.zeros(n, np.int64)
    for k in range(n):
        lu[k, k] += 1.0
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(lu[i, k]) > abs(lu[best, k]):
                best = i
        pivots[k] = best
        for j in range(n):
            lu[k, j], lu[best, j] = lu[best, j], lu[k, j]
        for i in range(k + 1, n):
            lu[i, k] /= lu[k, k]
            for j in range(k + 1, n):
                lu[i, j] -= lu[i, k]*lu[k, j]
    return lu, pivots


{NJIT}
def w_solve(lu, pivots, b):
    """The solution x of W x = b from the factors of `w_factor`."""
    x = b.copy()
    n = len(x)
    for k in range(n):
        x[k], x[pivots[k]] = x[pivots[k]], x[k]
    for i in range(n):
        for j in range(i):
            x[i] -= lu[i, j]*x[j]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            x[i] -= lu[i, j]*x[j]
        x[i] /= lu[i, i]
    return x
'''

_MLP = f'''
{NJIT}
def _mlp(widths, activation, w, at, x, order):
    """A multi-layer perceptron at x, whose weights begin at w[at].

    Gives one row for each output: the value, then its first derivatives by the n inputs if
    `order` > 0, then its n*n second derivatives if `order` > 1.  A layer's matrix acts on
    every column alike.
    """
    n = len(x)
    columns = 1 if order == 0 else 1 + n if order == 1 else 1 + n + n*n
    rows = np.zeros((n, columns))
    for i in range(n):
        rows[i, 0] = x[i]
        if order > 0:
            rows[i, 1 + i] = 1.0
    for layer in range(len(widths) - 1):
        n_in, n_out = widths[layer], widths[layer + 1]
        bias = at + n_out*n_in
        out = np.zeros((n_out, columns))
        for i in range(n_out):
            out[i, 0] = w[bias + i]
            for k in range(n_in):
                weight = w[at + i*n_in + k]
                for c in range(columns):
                    out[i, c] += weight*rows[k, c]
            if layer + 2 < len(widths):
                y, s1, s2 = activation(out[i, 0])
                out[i, 0] = y
                for c in range(1 + n, columns):
                    a, b = divmod(c - 1 - n, n)
                    out[i, c] = s2*out[i, 1 + a]*out[i, 1 + b] + s1*out[i, c]
                for c in range(1, min(columns, 1 + n)):
                    out[i, c] *= s1
        rows = out
        at = bias + n_out
    return rows
'''


def _networks(program: Program | LoopProgram) -> list[str]:
    """Activations, the perceptron, and one function for each network."""
    system = program.system
    lines: list[str] = []
    for text in activations.used(activations.SCALAR, (net.activation for net in system.networks)):
        lines += ["", "", NJIT, *text.split("\n")]
    lines += ["", "", *_MLP.strip("\n").split("\n")]
    for name, net, at in zip(program.names.networks, system.networks, system.weight_offsets, strict=True):
        lines += [
            "",
            "",
            NJIT,
            f"def {name}(p, x, order):",
            f'    """Network {layout.text(net.name)}: see _mlp."""',
            f"    return _mlp({net.sizes}, _{net.activation}, p, {at}, x, order)",
        ]
    return lines
