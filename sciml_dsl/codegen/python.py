"""Target "python": a file that needs nothing but `math`.

Numbers and lists only, so it runs wherever Python runs and reads like the
model.  Values are Python floats: where they overflow or leave a function's
domain, `math` raises (OverflowError, ValueError, ZeroDivisionError); branches
that are not taken never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from . import activations, layout
from .blocks import Body, write
from .loop_blocks import LoopBody, LoopSyntax, write_loops
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, describe_loops
from .printer import Printer, Text
from .program import Program, Routine, describe

if TYPE_CHECKING:
    from ..model.model import Model

_DIGAMMA = '''
def _digamma(x):
    """Logarithmic derivative of the gamma function (recurrence, reflection, asymptotic series)."""
    if x < 0.5:
        return _digamma(1.0 - x) - math.pi/math.tan(math.pi*x)
    total = 0.0
    while x < 8.0:
        total -= 1.0/x
        x += 1.0
    y = 1.0/(x*x)
    series = y*(1/12 - y*(1/120 - y*(1/252 - y*(1/240 - y*(1/132 - y*(691/32760 - y/12))))))
    return total + math.log(x) - 0.5/x - series
'''

_SIGN = '''
def _sign(x):
    """-1, 0 or 1."""
    return 0.0 if x == 0.0 else math.copysign(1.0, x)
'''

_TRY = '''
def _try(value):
    """value(), or NaN where it is undefined: for numbers that a branch may turn out not to need."""
    try:
        return value()
    except (ArithmeticError, ValueError):
        return math.nan
'''

_INPUT = '''
def _input(tables, k, t, order):
    """Input number k at time t, or its derivative of that order; raises ValueError outside its table."""
    if len(tables) <= k:
        raise ValueError("p holds no tables of the inputs")
    at = int(tables[k])
    m = int(tables[at])
    if not tables[at + 1] <= t <= tables[at + 2]:
        raise ValueError(f"t = {t} is outside the table of input {k}")
    at += 3
    low, high = 0, m
    while high - low > 1:
        middle = (low + high)//2
        if tables[at + middle] <= t:
            low = middle
        else:
            high = middle
    s = t - tables[at + low]
    c0, c1, c2, c3 = tables[at + m + 4*low:at + m + 4*low + 4]
    if order == 0:
        return c0 + s*(c1 + s*(c2 + s*c3))
    return (c1 + s*(2.0*c2 + 3.0*s*c3), 2.0*c2 + 6.0*c3*s, 6.0*c3)[order - 1]
'''

_PLAIN = (
    "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
    "erf erfc gamma lgamma pow floor ceil"
).split()
SMALL = 36
"""A matrix with at most this many elements is written out; of a larger one only what is not zero."""


class PythonPrinter(Printer):
    FUNCTIONS: ClassVar[dict[str, str]] = {name: f"math.{name}" for name in _PLAIN} | {
        "abs": "abs",
        "min": "min",
        "max": "max",
        "sign": "_sign",
        "digamma": "_digamma",
    }
    HELPERS: ClassVar[dict[str, str]] = {"_digamma": _DIGAMMA, "_sign": _SIGN, "_try": _TRY, "_input": _INPUT}
    RAISES = True

    def function(self, op: str, args: Sequence[Text]) -> Text:
        text = super().function(op, args)
        # `math` gives whole numbers as ints
        return self.truth_to_number(text) if op in ("floor", "ceil") else text

    def guard(self, text: Text) -> str:
        if not text.raises:
            return text.code
        self.use("_try")
        return f"_try(lambda: {text.code})"


def source(model: Model) -> str:
    """A standalone Python file for `model`, using only the standard module `math`.

    It defines STATES, PARAMETERS, OBSERVABLES, default parameters P0, initial
    values (U0, and `initial(p)`), `f(t, u, p)`, `jacobian`, `parameter_jacobian`,
    `observables`, `time_gradient`, `jvp`, `vjp`, `parameter_vjp`, `jacobian_values`
    (with JACOBIAN_INDICES, JACOBIAN_INDPTR), `hessian`, `inverse_jacobian`, `w_factor`,
    `w_solve` and, for events, `roots`, `event_times` and `AFFECTS`.  Trained
    networks are contained with their weights; without them, `p` must end with the
    weights.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> print(source(sd.model("x' = -k*x; x(0) = 1; param k = 2")))  # doctest: +SKIP
    """
    printer = PythonPrinter()
    describing = describe_loops if model.spec.as_loops else describe
    program = describing(model, ["math", "matrix", "_mlp", *PythonPrinter.HELPERS, *activations.RESERVED])
    functions: list[str] = []
    for routine in program.routines:
        if isinstance(program, LoopProgram):
            assert isinstance(routine, LoopRoutine)
            functions += ["", "", *_loop_function(program, routine, printer)]
        else:
            assert isinstance(routine, Routine)
            functions += ["", "", *_function(program, routine, printer)]
    about = ["f(t, u, p) gives du/dt as a list; needs only the module math."]
    lines = layout.docstring(program, [*layout.WEIGHTS_INSIDE[program.weights is None :], *about])
    lines += ["", "import math", "", *layout.constants(program, printer)]
    lines += layout.constant_arrays(program, printer)
    lines += layout.wrapped("P0 = ", layout.python_numbers(program, printer, program.defaults))
    if isinstance(program, Program) and program.initial is not None:
        lines += layout.wrapped("U0 = ", layout.numbers(printer, program.initial))
    if program.weights is not None:
        lines += layout.wrapped("WEIGHTS = ", layout.numbers(printer, program.weights))
    if program.tables is not None:
        lines += layout.wrapped("TABLES = ", layout.numbers(printer, program.tables))
    for helper in printer.helpers():
        lines += ["", "", *helper.strip("\n").split("\n")]
    lines += _networks(program) if program.system.networks else []
    lines += functions
    factor = layout.with_mass(program, _FACTOR, "float(i == j) -", "(MASS[i] if i == j else 0.0) -")
    for text in (factor, _INVERSE.replace("DEFAULT", "=P0" if program.complete else "")):
        lines += ["", "", *text.strip("\n").split("\n")]
    last = layout.one_of_each(program)
    if isinstance(program, LoopProgram) and program.fixed:
        last.append("U0 = initial(P0)")
    return layout.finish([*lines, *(["", "", *last] if last else [])])


def _function(program: Program, routine: Routine, printer: Printer) -> list[str]:
    nodes = list(routine.entries.values())
    body = write(program.system.graph, nodes, printer, program.fresh_names())
    default = "=P0" if program.complete else ""
    arguments = f"p{default}" if routine.timeless else "t, u, p, v" if routine.along else f"t, u, p{default}"
    lines = [f"def {routine.name}({arguments}):", f'    """{routine.doc}"""']
    lines += layout.indented(unpack(program, body, printer))
    lines += layout.indented(body.lines)
    values = dict(zip(routine.entries, (v.code for v in body.values), strict=True))
    return lines + layout.indented(_result(routine, values, printer))


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: Printer) -> list[str]:
    body = write_loops(program.system.graph, routine, printer, LoopSyntax(printer), program.fresh_names())
    default = "=P0" if program.complete else ""
    arguments = f"p{default}" if routine.timeless else "t, u, p, v" if routine.along else f"t, u, p{default}"
    lines = [f"def {routine.name}({'' if routine.positions else arguments}):", f'    """{routine.doc}"""']
    lines += layout.indented(unpack(program, body, printer))
    fill = "0" if routine.positions else printer.number(routine.fill or 0.0).code
    made = f"[{fill}]*{routine.shape[-1]}"
    for count in reversed(routine.shape[:-1]):
        made = f"[{made} for _ in range({count})]"
    lines.append(f"    out = {made}")
    if routine.n_temps:
        lines.append(f"    temp = [0.0]*{routine.n_temps}")
    return [*lines, *layout.indented(body.lines), "    return out"]


def unpack(program: Program | LoopProgram, body: Body | LoopBody, printer: Printer) -> list[str]:
    """Local variables for the states and parameters a function reads."""
    lines = [f"{program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in body.leaves]
    if body.networks:
        n = program.system.n_params
        fallback = "" if program.weights is None else f" if len(p) > {n} else WEIGHTS"
        lines.append(f"w = p[{n}:]{fallback}")
    if body.inputs:
        n = program.system.tables_at
        fallback = "" if program.tables is None else f" if len(p) > {n} else TABLES"
        lines.append(f"tables = p[{n}:]{fallback}")
    return lines


def _result(routine: Routine, values: dict[tuple[int, ...], str], printer: Printer) -> list[str]:
    fill = printer.number(routine.fill).code
    if len(routine.shape) == 1:
        items = [values.get((i,), fill) for i in range(routine.shape[0])]
        return _listed("return [", items)
    if len(routine.shape) == 3:
        n = routine.shape[0]
        lines = [f"matrix = [[[{fill}]*{n} for _ in range({n})] for _ in range({n})]"]
        lines += [f"matrix[{i}][{j}][{k}] = {value}" for (i, j, k), value in values.items()]
        return [*lines, "return matrix"]
    rows, columns = routine.shape
    if rows * columns <= SMALL:
        lines = ["return ["]
        for i in range(rows):
            lines += ["    " + line for line in _listed("[", [values.get((i, j), fill) for j in range(columns)], "],")]
        return [*lines, "]"]
    lines = [f"matrix = [[{fill}]*{columns} for _ in range({rows})]"]
    lines += [f"matrix[{i}][{j}] = {value}" for (i, j), value in values.items()]
    return [*lines, "return matrix"]


def _listed(start: str, items: list[str], end: str = "]") -> list[str]:
    one = start + ", ".join(items) + end
    if len(one) <= layout.WIDTH - 8:
        return [one]
    return [start, *(f"    {item}," for item in items), end]


_FACTOR = '''
def w_factor(t, u, p, gamma):
    """LU factorisation with row exchanges of W = I - gamma df/du: (factors, pivots), for `w_solve`."""
    matrix = jacobian(t, u, p)
    n = len(matrix)
    lu = [[float(i == j) - gamma*matrix[i][j] for j in range(n)] for i in range(n)]
    pivots = []
    for k in range(n):
        best = max(range(k, n), key=lambda i: abs(lu[i][k]))
        lu[k], lu[best] = lu[best], lu[k]
        pivots.append(best)
        for i in range(k + 1, n):
            factor = lu[i][k] = lu[i][k]/lu[k][k]
            if factor != 0.0:
                for j in range(k + 1, n):
                    lu[i][j] -= factor*lu[k][j]
    return lu, pivots


def w_solve(lu, pivots, b):
    """The solution x of W x = b from the factors of `w_factor`."""
    x = list(b)
    n = len(x)
    for k in range(n):
        x[k], x[pivots[k]] = x[pivots[k]], x[k]
    for i in range(n):
        x[i] -= sum(lu[i][j]*x[j] for j in range(i))
    for i in reversed(range(n)):
        x[i] = (x[i] - sum(lu[i][j]*x[j] for j in range(i + 1, n)))/lu[i][i]
    return x
'''

_INVERSE = '''
def inverse_jacobian(t, u, pDEFAULT):
    """The inverse of df/du; raises ZeroDivisionError where it has none."""
    left = jacobian(t, u, p)
    n = len(left)
    right = [[float(i == j) for j in range(n)] for i in range(n)]
    for k in range(n):
        best = max(range(k, n), key=lambda i: abs(left[i][k]))
        for rows in (left, right):
            rows[k], rows[best] = rows[best], rows[k]
        pivot = left[k][k]
        for rows in (left, right):
            rows[k] = [x/pivot for x in rows[k]]
        for i in range(n):
            factor = left[i][k]
            if i != k and factor != 0.0:
                for rows in (left, right):
                    rows[i] = [x - factor*y for x, y in zip(rows[i], rows[k])]
    return right
'''

_MLP = '''
def _mlp(widths, activation, w, at, x, order):
    """(value, Jacobian, Hessian) of a multi-layer perceptron at x, as far as `order` asks.

    Its weights begin at w[at].  Derivatives are carried along from layer to layer.
    """
    n = len(x)
    value = list(x)
    jac = [[float(i == j) for j in range(n)] for i in range(n)] if order > 0 else []
    hess = [[[0.0]*n for _ in range(n)] for _ in range(n)] if order > 1 else []
    for layer in range(len(widths) - 1):
        n_in, n_out = widths[layer], widths[layer + 1]
        rows = [w[at + i*n_in:at + (i + 1)*n_in] for i in range(n_out)]
        at += n_out*n_in
        value = [sum(a*b for a, b in zip(row, value)) + w[at + i] for i, row in enumerate(rows)]
        at += n_out
        if order > 0:
            jac = [[sum(row[k]*jac[k][j] for k in range(n_in)) for j in range(n)] for row in rows]
        if order > 1:
            hess = [
                [[sum(row[k]*hess[k][i][j] for k in range(n_in)) for j in range(n)] for i in range(n)]
                for row in rows
            ]
        if layer + 2 < len(widths):
            slopes = [activation(z) for z in value]
            value = [s[0] for s in slopes]
            if order > 1:
                hess = [
                    [[s[2]*a[i]*a[j] + s[1]*h[i][j] for j in range(n)] for i in range(n)]
                    for s, a, h in zip(slopes, jac, hess)
                ]
            if order > 0:
                jac = [[s[1]*d for d in a] for s, a in zip(slopes, jac)]
    return value, jac, hess
'''


def _networks(program: Program | LoopProgram) -> list[str]:
    """Activations, the perceptron, and one function for each network."""
    system = program.system
    lines: list[str] = []
    for text in [*activations.used(activations.SCALAR, (net.activation for net in system.networks)), _MLP.strip("\n")]:
        lines += ["", "", *text.split("\n")]
    for name, net, at in zip(program.names.networks, system.networks, system.weight_offsets, strict=True):
        lines += [
            "",
            "",
            f"def {name}(w, x, order):",
            f'    """Network {layout.text(net.name)}: (outputs, Jacobian, Hessian) at the inputs x, up to `order`."""',
            f"    return _mlp({net.sizes}, _{net.activation}, w, {at - system.n_params}, x, order)",
        ]
    return lines
