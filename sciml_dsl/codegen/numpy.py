"""Target "numpy": a file that computes whole batches of states at once.

The last axis of `u` are the states and the last axis of `p` the parameters;
all axes before them are batch axes and broadcast, with `t` too.  Both sides of
a branch are evaluated and one is picked.  float32, float64 and complex numbers
(for complex-step derivatives) keep their type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from . import activations, layout
from .arrays import ArrayPrinter, write
from .blocks import Body
from .loop_arrays import NUMPY_HELPERS, ArraySyntax, write_array_loops
from .loop_blocks import LoopBody
from .loop_program import LoopRoutine
from .loop_source import LoopProgram, describe_loops
from .printer import ATOM, NEG, POW, Printer, Text, within
from .program import Program, Routine, describe

if TYPE_CHECKING:
    from ..model.model import Model

_HELPERS = {
    "_total": '''
def _total(function, pole):
    """`function` of the module math for arrays; `pole` where it has no finite value."""

    def value(x):
        try:
            return function(x)
        except (ArithmeticError, ValueError):
            return pole

    return np.vectorize(value, otypes=[float])
''',
    "_erf": "\n_erf = np.vectorize(math.erf, otypes=[float])\n",
    "_erfc": "\n_erfc = np.vectorize(math.erfc, otypes=[float])\n",
    "_gamma": "\n_gamma = _total(math.gamma, math.inf)\n",
    "_lgamma": "\n_lgamma = _total(math.lgamma, math.inf)\n",
    "_digamma": '''
def _digamma(x):
    """Logarithmic derivative of the gamma function (recurrence, reflection, asymptotic series)."""
    low = np.less(x, 0.5)
    z = np.where(low, 1.0 - x, x)
    total = np.where(low, -math.pi/np.tan(math.pi*x), 0.0)
    for k in range(8):
        total = total - 1.0/(z + k)
    z = z + 8.0
    y = 1.0/(z*z)
    series = y*(1/12 - y*(1/120 - y*(1/252 - y*(1/240 - y*(1/132 - y*(691/32760 - y/12))))))
    return total + np.log(z) - 0.5/z - series
''',
}

_HELPERS["_input"] = '''
def _input(tables, k, t, order):
    """Input number k at the times t, or its derivative of that order; NaN outside its table."""
    if tables.shape[-1] <= k:
        raise ValueError("p holds no tables of the inputs")
    shape = np.broadcast_shapes(np.shape(t), tables.shape[:-1])
    tables, t = np.broadcast_to(tables, shape + tables.shape[-1:]), np.broadcast_to(t, shape)

    def number(i):
        return np.take_along_axis(tables, i[..., None], -1)[..., 0].real

    begin = np.asarray(tables[..., k].real, int)
    m = np.asarray(number(begin), int)
    low, high = np.zeros_like(m), m
    while np.any(high - low > 1):
        middle = (low + high)//2
        left = number(begin + 3 + middle) <= t.real
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    s = t - number(begin + 3 + low)
    c0, c1, c2, c3 = (number(begin + 3 + m + 4*low + i) for i in range(4))
    if order == 0:
        value = c0 + s*(c1 + s*(c2 + s*c3))
    else:
        value = (c1 + s*(2.0*c2 + 3.0*s*c3), 2.0*c2 + 6.0*c3*s, 6.0*c3)[order - 1]
    return np.where((number(begin + 1) <= t.real) & (t.real <= number(begin + 2)), value, math.nan)
'''

_SAME = "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan sinh cosh tanh abs sign floor ceil".split()


class NumpyPrinter(ArrayPrinter):
    FUNCTIONS: ClassVar[dict[str, str]] = (
        {name: f"np.{name}" for name in _SAME}
        | {f"a{name}": f"np.arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
        | {"min": "np.minimum", "max": "np.maximum", "atan2": "np.arctan2"}
        | {name: f"_{name}" for name in ("erf", "erfc", "gamma", "lgamma", "digamma")}
    )
    HELPERS = _HELPERS

    def use(self, name: str) -> None:
        super().use(name)
        if name in ("_gamma", "_lgamma"):
            super().use("_total")

    def choose(self, cond: Text, a: Text, b: Text) -> Text:
        return self._join(f"np.where({cond.code}, {a.code}, {b.code})", ATOM, cond, a, b)

    def truth_to_number(self, text: Text) -> Text:
        return self._join(f"np.where({text.code}, 1.0, 0.0)", ATOM, text)

    def power(self, a: Text, b: Text) -> Text:
        return self._join(f"{within(a, ATOM)}**{within(b, NEG)}", POW, a, b)

    def network(self, name: str, k: int, inputs: Sequence[str], order: int) -> str:
        return f"{name}({self.weights}, [{', '.join(inputs)}], {order})"


_ARRAYS = '''
def _floats(x):
    """x as an array of floating-point (or complex) numbers."""
    x = np.asarray(x)
    return x if x.dtype.kind in "fc" else x.astype(float)


def _filled(value, shape, *arrays, t=0.0):
    """An array of batch axes, broadcast from t and all axes of `arrays` but their last, followed by `shape`."""
    batch = np.broadcast_shapes(np.shape(t), *(a.shape[:-1] for a in arrays))
    return np.full(batch + shape, value, np.result_type(*arrays))
'''

_ALGEBRA = '''
def inverse_jacobian(t, u, pDEFAULT):
    """The inverse of df/du, shape (..., n, n); raises numpy.linalg.LinAlgError where it has none."""
    return np.linalg.inv(jacobian(t, u, p))


def w_factor(t, u, p, gamma):
    """LU factorisation with row exchanges of W = I - gamma df/du: (factors (..., n, n), pivots (..., n))."""
    matrix = jacobian(t, u, p)
    n = matrix.shape[-1]
    lu = np.eye(n, dtype=matrix.dtype) - np.asarray(gamma)[..., None, None]*matrix
    pivots = np.zeros(lu.shape[:-1], dtype=np.intp)
    for k in range(n):
        best = k + np.argmax(np.abs(lu[..., k:, k]), axis=-1)
        pivots[..., k] = best
        at = best[..., None, None]
        row, other = lu[..., k, :].copy(), np.take_along_axis(lu, at, axis=-2)[..., 0, :]
        np.put_along_axis(lu, at, row[..., None, :], axis=-2)
        lu[..., k, :] = other
        lu[..., k + 1:, k] /= lu[..., k, None, k]
        lu[..., k + 1:, k + 1:] -= lu[..., k + 1:, k, None]*lu[..., k, None, k + 1:]
    return lu, pivots


def w_solve(lu, pivots, b):
    """The solution x (..., n) of W x = b from the factors of `w_factor`."""
    batch = np.broadcast_shapes(pivots.shape, np.shape(b))
    x = np.array(np.broadcast_to(b, batch), dtype=np.result_type(lu, b))
    pivots = np.broadcast_to(pivots, batch)
    n = x.shape[-1]
    for k in range(n):
        at = pivots[..., k, None]
        row, other = x[..., k].copy(), np.take_along_axis(x, at, axis=-1)[..., 0]
        np.put_along_axis(x, at, row[..., None], axis=-1)
        x[..., k] = other
    for i in range(n):
        x[..., i] -= np.sum(lu[..., i, :i]*x[..., :i], axis=-1)
    for i in reversed(range(n)):
        x[..., i] = (x[..., i] - np.sum(lu[..., i, i + 1:]*x[..., i + 1:], axis=-1))/lu[..., i, i]
    return x
'''

_MLP = '''
def _mlp(widths, activation, w, at, inputs, order):
    """(value, Jacobian, Hessian) of a multi-layer perceptron, as far as `order` asks.

    Its weights begin at w[..., at].  Derivatives are carried along from layer to layer.
    """
    value = np.stack(np.broadcast_arrays(*inputs), axis=-1)
    n = value.shape[-1]
    jac = np.broadcast_to(np.eye(n), value.shape + (n,)) if order > 0 else None
    hess = np.zeros(value.shape + (n, n)) if order > 1 else None
    for layer in range(len(widths) - 1):
        n_in, n_out = widths[layer], widths[layer + 1]
        matrix = w[..., at:at + n_out*n_in].reshape(w.shape[:-1] + (n_out, n_in))
        at += n_out*n_in
        value = np.einsum("...ij,...j->...i", matrix, value) + w[..., at:at + n_out]
        at += n_out
        if order > 0:
            jac = np.einsum("...ij,...jk->...ik", matrix, jac)
        if order > 1:
            hess = np.einsum("...ij,...jkl->...ikl", matrix, hess)
        if layer + 2 < len(widths):
            value, s1, s2 = activation(value)
            if order > 1:
                outer = jac[..., :, None]*jac[..., None, :]
                hess = s2[..., None, None]*outer + s1[..., None, None]*hess
            if order > 0:
                jac = s1[..., None]*jac
    return value, jac, hess
'''


def source(model: Model) -> str:
    """A standalone file for `model`, using numpy and `math`.

    It defines what target "python" does, for arrays: `f(t, u, p)` takes u
    (..., n) and p (..., number of parameters) and gives (..., n); `jacobian`
    gives (..., n, n).

    Example
    -------
    >>> import sciml_dsl as sd
    >>> text = source(sd.model("x' = -k*x; x(0) = 1; param k = 2"))
    """
    printer = NumpyPrinter()
    reserved = ["math", "np", "_floats", "_filled", "_mlp", *NumpyPrinter.HELPERS, *activations.RESERVED]
    loops = bool(model.spec.as_loops)
    if loops:
        reserved += ["_turns", "_seats", "_carried", "_gathered", "_first", "_added"]
    program = describe_loops(model, reserved) if loops else describe(model, reserved)
    functions: list[str] = []
    for routine in program.routines:
        if isinstance(program, LoopProgram):
            assert isinstance(routine, LoopRoutine)
            functions += _loop_function(program, routine, printer)
        else:
            assert isinstance(routine, Routine)
            functions += _function(program, routine, printer)
    kinds = [net.activation for net in program.system.networks]
    if "gelu" in kinds:
        printer.use("_erfc")
    about = ["f(t, u, p) gives du/dt for arrays whose last axis are the states (u) and parameters (p)."]
    lines = layout.docstring(program, [*layout.WEIGHTS_INSIDE[program.weights is None :], *about])
    lines += ["", "import math", "", "import numpy as np", "", *layout.constants(program, printer)]
    lines += data(program, printer, "np.array(")
    for helper in [_ARRAYS, *([NUMPY_HELPERS] if loops else []), *printer.helpers()]:
        lines += ["", "", *helper.strip("\n").split("\n")]
    for text in [*activations.used(activations.ARRAY["numpy"], kinds), *([_MLP.strip("\n")] if kinds else [])]:
        lines += ["", "", *text.split("\n")]
    lines += _networks(program) + functions
    algebra = layout.with_mass(program, _ALGEBRA, "np.eye(n, dtype=matrix.dtype)", "np.diag(MASS).astype(matrix.dtype)")
    lines += ["", "", *algebra.strip("\n").replace("DEFAULT", "=P0" if program.complete else "").split("\n")]
    last = layout.one_of_each(program)
    if isinstance(program, LoopProgram) and program.fixed:
        last.append("U0 = initial(P0)")
    return layout.finish([*lines, *(["", "", *last] if last else [])])


def data(program: Program | LoopProgram, printer: Printer, array: str, end: str = ")") -> list[str]:
    """P0, U0 and WEIGHTS as arrays, as far as the model has them."""
    lines = layout.constant_arrays(program, printer, array, end)
    lines += layout.wrapped(f"P0 = {array}", layout.python_numbers(program, printer, program.defaults), end)
    if isinstance(program, Program) and program.initial is not None:
        lines += layout.wrapped(f"U0 = {array}", layout.numbers(printer, program.initial), end)
    if program.weights is not None:
        lines += layout.wrapped(f"WEIGHTS = {array}", layout.numbers(printer, program.weights), end)
    if program.tables is not None:
        lines += layout.wrapped(f"TABLES = {array}", layout.numbers(printer, program.tables), end)
    return lines


def _networks(program: Program | LoopProgram) -> list[str]:
    system = program.system
    lines: list[str] = []
    for name, net, at in zip(program.names.networks, system.networks, system.weight_offsets, strict=True):
        lines += [
            "",
            "",
            f"def {name}(w, inputs, order):",
            f'    """Network {layout.text(net.name)}: (outputs, Jacobian, Hessian) at its inputs, up to `order`."""',
            f"    return _mlp({net.sizes}, _{net.activation}, w, {at - system.n_params}, inputs, order)",
        ]
    return lines


def _function(program: Program, routine: Routine, printer: NumpyPrinter) -> list[str]:
    graph = program.system.graph
    nodes = list(routine.entries.values())
    body = write(graph, nodes, printer, program.fresh_names())
    default = "=P0" if program.complete else ""
    arguments = f"p{default}" if routine.timeless else "t, u, p, v" if routine.along else f"t, u, p{default}"
    lines = ["", "", f"def {routine.name}({arguments}):", f'    """{routine.doc}"""']
    if routine.timeless:
        lines += ["    p = _floats(p)"]
    else:
        lines += ["    t, u, p = np.asarray(t), _floats(u), _floats(p)"]
        lines += ["    v = _floats(v)"] if routine.along else []
    lines += layout.indented(_unpack(program, body, printer))
    arrays = "p" if routine.timeless else "u, p, v, t=t" if routine.along else "u, p, t=t"
    fill = printer.number(routine.fill).code
    inside = [*body.lines, f"out = _filled({fill}, {routine.shape}, {arrays})"]
    for place, value in zip(routine.entries, body.values, strict=True):
        inside.append(f"out[..., {', '.join(str(i) for i in place)}] = {value.code}")
    if any(graph.op[node] == "select" for node in graph.reachable(nodes)):
        # the side that is not taken may well be undefined
        inside = ['with np.errstate(all="ignore"):', *layout.indented(inside)]
    return [*lines, *layout.indented(inside), "    return out"]


def _loop_function(program: LoopProgram, routine: LoopRoutine, printer: NumpyPrinter) -> list[str]:
    graph = program.system.graph
    printer.weights = "w"
    body = write_array_loops(graph, routine, printer, ArraySyntax(), program.fresh_names())
    default = "=P0" if program.complete else ""
    arguments = f"p{default}" if routine.timeless else "t, u, p, v" if routine.along else f"t, u, p{default}"
    arguments = "" if routine.positions else arguments
    lines = ["", "", f"def {routine.name}({arguments}):", f'    """{routine.doc}"""']
    if routine.positions:
        lines += [f"    out = np.empty({routine.size}, dtype=np.int64)"]
        return [*lines, *layout.indented(body.lines), "    return out"]
    if routine.timeless:
        lines += ["    p = _floats(p)"]
    else:
        lines += ["    t, u, p = np.asarray(t), _floats(u), _floats(p)"]
        lines += ["    v = _floats(v)"] if routine.along else []
    lines += layout.indented(_unpack(program, body, printer))
    arrays = "p" if routine.timeless else "u, p, v, t=t" if routine.along else "u, p, t=t"
    fill = printer.number(routine.fill or 0.0).code
    lines += [f"    out = _filled({fill}, ({routine.size},), {arrays})"]
    if routine.n_temps:
        lines += [f"    temp = _filled(0.0, ({routine.n_temps},), {arrays})"]
    inside = body.lines
    if any(graph.op[node] == "select" for node in graph.reachable(routine.nodes)):
        inside = ['with np.errstate(all="ignore"):', *layout.indented(inside)]
    shaped = "out" if len(routine.shape) == 1 else f"out.reshape(out.shape[:-1] + {routine.shape})"
    return [*lines, *layout.indented(inside), f"    return {shaped}"]


def _unpack(program: Program | LoopProgram, body: Body | LoopBody, printer: Printer) -> list[str]:
    lines = [f"{program.names.leaves[kind, i]} = {printer.leaf(kind, i)}" for kind, i in body.leaves]
    if body.networks:
        n = program.system.n_params
        fallback = "" if program.weights is None else f" if p.shape[-1] > {n} else WEIGHTS"
        lines.append(f"w = p[..., {n}:]{fallback}")
    if body.inputs:
        n = program.system.tables_at
        fallback = "" if program.tables is None else f" if p.shape[-1] > {n} else TABLES"
        lines.append(f"tables = p[..., {n}:]{fallback}")
    return lines
