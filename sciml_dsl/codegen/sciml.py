"""Target "sciml": a model as text of the modelling language.

Takes a `ModelSpec`, gives text whose parsing gives an equal spec.  Numbers are
printed by `repr`, so no bit is lost; the weights of networks are not part of
the text.  A model read from Julia's @ode_def is printed in the native form.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..errors import UnsupportedError
from ..language.ast import Binary, Bound, Call, Expr, IfElse, Index, Name, Num, Reduce, Unary
from ..language.names import INFINITY, STIFF
from ..model.algebraic import implied
from ..model.algebraic_arrays import vanishing
from ..model.expanded import scalar_definitions
from ..model.spec import Array, Block, Event, Input, ModelSpec, Network, Parameter
from ..model.subscripts import text

_LEVEL = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "^": 8}
_CONDITIONAL, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGNED, _POWER, _ATOM = 0, 3, 4, 5, 6, 7, 8, 9


def emit(spec: ModelSpec) -> str:
    """The text of a model.

    Statements come in the order equations, observables, functions, initial
    values, parameters, constants, inputs, networks, events, each kind in the model's own
    order.  Raises `UnsupportedError` for numbers that text cannot hold (NaN).

    >>> from sciml_dsl.language.parse import parse
    >>> from sciml_dsl.model.resolve import resolve
    >>> print(emit(resolve(parse("x' = -(k*x); param k=2"))), end="")
    x' = -(k*x)
    <BLANKLINE>
    param k = 2
    """
    blocks: list[list[str]] = []
    if spec.name != "model":
        blocks.append([f"model {spec.name}"])
    blocks.append(_equations(spec))
    blocks.append(_definitions(spec))
    blocks.append([f"{f.name}({', '.join(f.args)}) = {expression(f.body)}" for f in spec.functions])
    blocks.append(_initial(spec))
    infinity = _infinity(spec) if any(math.isinf(b) for p in spec.parameters for b in (p.lower, p.upper)) else ""
    blocks.append(
        _parameters(spec, infinity)
        + _constants(spec)
    )
    blocks.append([line for given in spec.inputs for line in _input(given)])
    blocks.append([_network(net) for net in spec.networks if net.declared])
    blocks.append([_event(event) for event in spec.events])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def number(value: float) -> str:
    """A number as it is written: whole ones without a point, others by `repr`."""
    if not math.isfinite(value):
        raise UnsupportedError(f"{value!r} cannot be written in the text of a model")
    if value == int(value) and abs(value) < 1e15 and math.copysign(1.0, value) == (1.0 if value >= 0 else -1.0):
        return str(int(value))
    return repr(value)


def expression(expr: Expr) -> str:
    """An expression with the fewest parentheses that keep its tree."""
    out: list[str] = []
    stack: list[str | tuple[Expr, int]] = [(expr, _CONDITIONAL)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        node, least = item
        parts = _parts(node)
        if _level(node) < least:
            parts = ["(", *parts, ")"]
        stack.extend(reversed(parts))
    return "".join(out)


def _level(node: Expr) -> int:
    """How tightly the outermost operation of `node` binds, as in the grammar."""
    if isinstance(node, Binary):
        return _LEVEL.get(node.op, _COMPARISON)
    if isinstance(node, Unary):
        return _SIGNED if node.op == "-" else _NOT
    if isinstance(node, IfElse):
        return _CONDITIONAL
    if isinstance(node, Call) and node.func == STIFF:
        return _SIGNED
    if isinstance(node, Num) and math.copysign(1.0, node.value) < 0:
        return _SIGNED
    return _ATOM


def _parts(node: Expr) -> list[str | tuple[Expr, int]]:
    """The text of one node, with its children and how tightly each must bind."""
    if isinstance(node, Num):
        return [number(node.value)]
    if isinstance(node, Name):
        return [node.name]
    if isinstance(node, Call):
        return [*_call(node)]
    if isinstance(node, Index):
        return [f"{node.name}[{', '.join(map(text, node.subscripts))}]"]
    if isinstance(node, Reduce):
        return [f"{node.op}(", (node.body, _CONDITIONAL), *_ranges(node.ranges), ")"]
    if isinstance(node, Unary):
        if node.op == "not":
            return ["not ", (node.arg, _NOT)]
        if isinstance(node.arg, Unary) and node.arg.op == "-":
            return ["-", (node.arg, _SIGNED)]  # without parentheses, whose depth is limited
        return ["-", _unsigned(node.arg, _SIGNED)]
    if isinstance(node, IfElse):
        return ["if ", (node.cond, 1), " then ", (node.then, 1), " else ", (node.other, _CONDITIONAL)]
    op = node.op
    if op in ("+", "-"):
        return [(node.left, _SUM), f" {op} ", _unsigned(node.right, _PRODUCT)]
    if op in ("*", "/"):
        return [(node.left, _PRODUCT), op, _unsigned(node.right, _SIGNED)]
    if op == "^":
        return [(node.left, _ATOM), op, (node.right, _POWER)]
    if op in ("and", "or"):
        level = _LEVEL[op]
        return [(node.left, level), f" {op} ", (node.right, level + 1)]
    return [(node.left, _SUM), f" {op} ", (node.right, _SUM)]


def _call(node: Call) -> list[str | tuple[Expr, int]]:
    return [f"{node.func}(", *_listed(node.args), ")" if node.index is None else f")[{node.index}]"]


def _listed(items: tuple[Expr, ...]) -> list[str | tuple[Expr, int]]:
    parts: list[str | tuple[Expr, int]] = []
    for position, item in enumerate(items):
        parts += [", ", (item, _CONDITIONAL)] if position else [(item, _CONDITIONAL)]
    return parts


def _ranges(ranges: tuple[Bound, ...]) -> list[str]:
    parts: list[str] = []
    for position, bound in enumerate(ranges):
        first, last = text(bound.first), text(bound.last)
        parts.append(f"{', ' if position else ' for '}{bound.name} in {first}..{last}")
    return parts


def _unsigned(node: Expr, least: int) -> tuple[Expr, int]:
    """`node`, in parentheses where it would put two signs side by side."""
    leading = node
    while isinstance(leading, Binary) and leading.op in ("*", "/") and _level(leading) >= least:
        leading = leading.left
    marked = isinstance(leading, Call)
    return (node, _ATOM) if _level(leading) == _SIGNED and not marked else (node, least)


# ---------------------------------------------------------------- statements


def _said(block: Block, name: str, end: str = "") -> str:
    """`u[i]' = ... for i in 2..N-1`"""
    subscripts = ", ".join(map(text, block.subscripts))
    return f"{name}[{subscripts}]{end} = {expression(block.expr)}{_loops(block)}"


def _loops(block: Block) -> str:
    ranges = ", ".join(f"{r.name} in {r.first}..{r.last}" for r in block.ranges)
    return f" for {ranges}" if ranges else ""


def _starts(spec: ModelSpec, kind: str) -> dict[int, Array]:
    return {array.start: array for array in spec.arrays if array.kind == kind}


def _of(spec: ModelSpec, array: str, kind: str) -> list[Block]:
    return [block for block in spec.blocks if block.array == array and block.kind == kind]


def _order(spec: ModelSpec, array: Array) -> int:
    """How many arrays stand for one equation of higher order: `θ`, `θ'` for `θ[i]'' = ...`."""
    arrays = {a.name: a for a in spec.arrays}
    order, name = 1, array.name
    while True:
        above = arrays.get(name + "'")
        if above is None or above.bounds != array.bounds or above.start != array.start + order * array.size:
            return order
        blocks = _of(spec, name, "derivative")
        if any(block.expr != Index(name + "'", block.subscripts) for block in blocks):
            return order
        order, name = order + 1, name + "'"


def _definitions(spec: ModelSpec) -> list[str]:
    starts = _starts(spec, "observable")
    lines: list[str] = []
    position = 0
    while position < len(spec.definitions):
        array = starts.get(position)
        if array is not None:
            lines += [_said(block, array.name) for block in _of(spec, array.name, "definition")]
            position += array.size
            continue
        d = spec.definitions[position]
        lines.append(f"{d.name} = {expression(d.expr)}")
        position += 1
    return lines


def _initial(spec: ModelSpec) -> list[str]:
    starts = _starts(spec, "state")
    lines: list[str] = []
    position = 0
    while position < len(spec.states):
        array = starts.get(position)
        if array is not None:
            lines += [_said(block, array.name, "(0)") for block in _of(spec, array.name, "initial")]
            position += array.size
            continue
        expr = spec.initial[position]
        if expr is not None:
            lines.append(f"{spec.states[position]}(0) = {expression(expr)}")
        position += 1
    return lines


def _constants(spec: ModelSpec) -> list[str]:
    starts = _starts(spec, "constant")
    lines: list[str] = []
    position = 0
    while position < len(spec.constants):
        array = starts.get(position)
        if array is None:
            c = spec.constants[position]
            lines.append(f"const {c.name} = {number(c.value)}")
            position += 1
            continue
        items = tuple(Parameter(c.name, c.value) for c in spec.constants[array.elements])
        lines += ["const" + line.removeprefix("param") for line in _array_parameter(array, items, "")]
        position += array.size
    return lines


def _parameters(spec: ModelSpec, infinity: str) -> list[str]:
    starts = _starts(spec, "parameter")
    lines: list[str] = []
    position = 0
    while position < len(spec.parameters):
        array = starts.get(position)
        if array is not None:
            lines += _array_parameter(array, spec.parameters[array.elements], infinity)
            position += array.size
            continue
        lines.append(_parameter(spec.parameters[position], infinity))
        position += 1
    return lines


def _array_parameter(array: Array, items: tuple[Parameter, ...], infinity: str) -> list[str]:
    """One line where the elements share their bounds: `param k = [1, 2, 3]`, `param k[0..9] = 1 in [0, 2]`."""
    first = items[0]
    shared = all((p.lower, p.upper, p.log) == (first.lower, first.upper, first.log) for p in items)
    given = [p.default for p in items]
    if not shared or (None in given and any(value is not None for value in given)):
        if array.size == 1:
            return [_parameter(replace(first, name=f"{array.name}[{_box(array)}]"), infinity)]
        return [_parameter(p, infinity) for p in items]
    name = f"{array.name}[{_box(array)}]"
    if all(value == first.default for value in given):
        return [_parameter(replace(first, name=name), infinity)]
    if all(low == 1 for low, _ in array.bounds):
        name = array.name
    bounds = _parameter(replace(first, name="", default=None), infinity).removeprefix("param ")
    return [f"param {name} = {_nested([number(value) for value in given if value is not None], array.shape)}{bounds}"]


def _box(array: Array) -> str:
    return ", ".join(f"{low}..{high}" for low, high in array.bounds)


def _nested(values: list[str], shape: tuple[int, ...]) -> str:
    for width in reversed(shape):
        values = [f"[{', '.join(values[k : k + width])}]" for k in range(0, len(values), width)]
    return values[0]


def _equations(spec: ModelSpec) -> list[str]:
    lines = []
    position = 0
    starts = _starts(spec, "state")
    vanishes = vanishing(spec)
    while position < len(spec.states):
        array = starts.get(position)
        if array is not None:
            order = _order(spec, array)
            top = array.name + "'" * (order - 1)
            for block in _of(spec, top, "derivative"):
                if vanishes(block):
                    lines.append(f"0 = {expression(block.expr)}{_loops(block)}")
                else:
                    lines.append(_said(block, array.name, "'" * order))
            position += order * array.size
            continue
        state, order = spec.states[position], 1
        if state in spec.algebraic:
            lines.append(f"0 = {expression(spec.derivatives[position])}")
            position += 1
            continue
        if implied(spec, position):
            position += 1
            continue
        while position + order < len(spec.states) and (
            spec.states[position + order] == state + "'" * order
            and spec.derivatives[position + order - 1] == Name(state + "'" * order)
        ):
            order += 1
        lines.append(f"{state}{chr(39) * order} = {expression(spec.derivatives[position + order - 1])}")
        position += order
    return lines


def _infinity(spec: ModelSpec) -> str:
    """A name for infinity that the model does not use for something else."""
    taken = {p.name for p in spec.parameters} | {c.name for c in spec.constants} | {*spec.states}
    taken |= {array.name for array in spec.arrays} | {d.name for d in scalar_definitions(spec)}
    taken |= {f.name for f in spec.functions} | {net.name for net in spec.networks}
    taken |= {i.name for i in spec.inputs}
    free = [name for name in sorted(INFINITY) if name not in taken]
    if not free:
        raise UnsupportedError(f"the names {', '.join(sorted(INFINITY))} are all taken, and a bound is infinite")
    return free[-1]


def _parameter(p: Parameter, infinity: str) -> str:
    text = f"param {p.name}"
    if p.default is not None:
        text += f" = {number(p.default)}"
    if (p.lower, p.upper) != ((0.0 if p.log else -math.inf), math.inf):
        text += f" in [{_bound(p.lower, infinity)}, {_bound(p.upper, infinity)}]"
    return text + (" log" if p.log else "")


def _bound(value: float, infinity: str) -> str:
    if math.isinf(value):
        return infinity if value > 0 else f"-{infinity}"
    return number(value)


_ROW = 100  # columns of a line of data


def _input(given: Input) -> list[str]:
    text = f"input {given.name}"
    if given.column is not None:
        text += f" from {given.column}"
    how = ("" if given.interpolation == "linear" else f" {given.interpolation}") + (" hold" if given.hold else "")
    if given.data is None:
        return [text + how]
    rows = [f"({number(t)}, {number(y)})" for t, y in zip(*given.data, strict=True)]
    one = ", ".join(rows)
    if len(one) <= _ROW:
        return [f"{text} = [{one}]{how}"]
    lines, line = [f"{text} = ["], "   "
    for row in rows:
        if len(line) + len(row) + 2 > _ROW:
            lines.append(line)
            line = "   "
        line += f" {row},"
    return [*lines, line, f"]{how}"]


def _network(net: Network) -> str:
    inputs = ", ".join(f"x{i + 1}" for i in range(net.n_in))
    widths = ", ".join(map(str, net.hidden))
    return f"neural {net.name}({inputs}) -> {net.n_out} {{ hidden = [{widths}], activation = {net.activation} }}"


def event_head(event: Event) -> str:
    """When an event happens, as text: `when x < 1`, `every 24 from 0`."""
    if event.kind == "when":
        assert event.condition is not None
        head = f"when {expression(event.condition)}"
    elif event.kind == "at":
        assert event.time is not None
        head = f"at {expression(event.time)}"
    else:
        assert event.period is not None
        head = f"every {expression(event.period)}"
        if event.start is not None:
            head += f" from {expression(event.start)}"
        if event.stop is not None:
            head += f" until {expression(event.stop)}"
    return head


def _event(event: Event) -> str:
    actions = [_assignment(Name(name), expr) for name, expr in event.assignments]
    actions += [_assignment(Index(b.array, b.subscripts), b.expr) + _loops(b) for b in event.blocks]
    return f"{event_head(event)}: {', '.join(actions + (['terminate'] if event.terminate else []))}"


def _assignment(target: Name | Index, expr: Expr) -> str:
    if isinstance(expr, Binary) and expr.op in ("+", "-", "*", "/") and expr.left == target:
        return f"{expression(target)} {expr.op}= {expression(expr.right)}"
    return f"{expression(target)} = {expression(expr)}"
