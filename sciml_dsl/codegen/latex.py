"""Target "latex": the equations as they would stand in a paper.

Takes the model as written (`ModelSpec`), so observables and functions stay
what they are; gives one `aligned` environment: equations, definitions, initial
values, numbers, events.  Needs amsmath, or MathJax or KaTeX as in a notebook.
"""

from __future__ import annotations

import re
import unicodedata
from contextvars import ContextVar
from dataclasses import dataclass

from ..language.ast import Binary, Call, Expr, IfElse, Index, Name, Num, Reduce, Unary, fold
from ..language.names import STIFF
from ..model.algebraic import implied
from ..model.algebraic_arrays import vanishing
from ..model.expanded import Expanded, scalar_definitions
from ..model.spec import Block, Event, Input, ModelSpec

_LISTED = 8  # elements of an array parameter that are shown

CHOICE, LOGIC, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(8)

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega"
).split()
_CAPITAL = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
_COMMANDS = {name: f"\\{name}" for name in (*_GREEK, *_CAPITAL)} | {"epsilon": "\\varepsilon", "omicron": "o"}
_SPECIAL = {c: f"\\{c}" for c in "{}$#%&_"} | {"\\": "\\backslash ", "^": "\\hat{\\ }", "~": "\\sim ", '"': "''"}

_FUNCTIONS = {name: f"\\{name}" for name in "exp log ln sin cos tan sinh cosh tanh min max".split()} | {
    "asin": "\\arcsin",
    "acos": "\\arccos",
    "atan": "\\arctan",
    "arcsin": "\\arcsin",
    "arccos": "\\arccos",
    "arctan": "\\arctan",
    "gamma": "\\Gamma",
    "lgamma": "\\ln\\Gamma",
    "digamma": "\\psi",
    "log2": "\\log_{2}",
    "log10": "\\log_{10}",
    "sign": "\\operatorname{sgn}",
}
_AROUND = {
    "sqrt": ("\\sqrt{", "}"),
    "cbrt": ("\\sqrt[3]{", "}"),
    "abs": ("\\left|", "\\right|"),
    "floor": ("\\left\\lfloor ", "\\right\\rfloor "),
    "ceil": ("\\left\\lceil ", "\\right\\rceil "),
}
_COMPARISONS = {"<": "<", "<=": "\\le", ">": ">", ">=": "\\ge", "==": "=", "!=": "\\ne"}


@dataclass(frozen=True, slots=True)
class _Tex:
    code: str
    level: int = ATOM
    rows: str | None = None  # of a branch: its lines, so that branches in its last one join it


_LITERAL: ContextVar[frozenset[str]] = ContextVar("literal", default=frozenset())
"""Names that would look like another one of their model: they are printed letter by letter."""


def _alike(spec: ModelSpec) -> frozenset[str]:
    """Of names that `name` prints alike (`a_b`, `a__b`; `k1`, `k_1`; `α`, `alpha`), all but one."""
    names = {n.rstrip("'").partition("[")[0]: None for n in (*spec.states, *spec.observables)}
    for things in (spec.parameters, spec.constants, spec.inputs, spec.networks, spec.functions, spec.arrays):
        names |= {thing.name.partition("[")[0]: None for thing in things}
    names |= {argument: None for function in spec.functions for argument in function.args}
    names |= {bound.name: None for block in spec.blocks for bound in block.ranges}
    groups: dict[str, list[str]] = {}
    for one in names:
        groups.setdefault(name(one), []).append(one)
    # the one that stays is that with letters of its own, else the first
    return frozenset(n for group in groups.values() for n in sorted(group, key=str.isascii)[1:])


def name(text: str) -> str:
    """A name of the model: Greek letters as such, digits at the end and what follows `_` as an index.

    Example
    -------
    >>> name("k1"), name("α"), name("θ'"), name("k_on"), name("total")
    ('k_{1}', '\\\\alpha', "\\\\theta'", 'k_{\\\\mathrm{on}}', '\\\\mathrm{total}')
    """
    literal = _LITERAL.get()
    if literal:
        bare = text.rstrip("'")
        if bare in literal:
            shown = "".join(_SPECIAL.get(c, c) for c in bare)
            return f"\\mathtt{{{shown}}}" + text[len(bare) :]
    text = unicodedata.normalize("NFKC", text.replace("’", "'").replace("″", "''").replace("′", "'"))
    base = text.rstrip("'")
    primes = "'" * (len(text) - len(base))
    head, _, rest = base.partition("_")
    found = re.fullmatch(r"(\D+?)(\d+)", head)
    if found:
        head, rest = found[1], found[2] + ("," + rest if rest else "")
    if not head:
        head, rest = base, ""
    index = ",".join(_word(part) for part in re.split(r"[_,]+", rest) if part)
    return _word(head) + (f"_{{{index}}}" if index else "") + primes


def _word(text: str) -> str:
    """One piece of a name: a symbol, a number, or upright letters."""
    if len(text) == 1 and not text.isascii():
        words = unicodedata.name(text, "").split()
        if words[:1] == ["GREEK"] and words[-2:-1] == ["LETTER"]:
            letter = {"LAMDA": "LAMBDA"}.get(words[-1], words[-1])
            text = letter.capitalize() if "CAPITAL" in words else letter.lower()
    if text in _COMMANDS:
        return _COMMANDS[text]
    if (len(text) == 1 and text.isalpha()) or text.isdigit():
        return text
    shown = "".join(_SPECIAL.get(c, c if c.isprintable() else "\\ ") for c in text)
    return f"\\mathrm{{{shown}}}"


def number(value: float) -> str:
    """A number to its last digit: 3, 0.5, 1.2 \\cdot 10^{-5}."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "\\infty", "-inf": "-\\infty"}.get(repr(value), "\\mathrm{NaN}")
    digits, _, exponent = repr(value).partition("e")
    digits = digits.removesuffix(".0")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return power if digits == "1" else f"-{power}" if digits == "-1" else f"{digits} \\cdot {power}"


def expression(expr: Expr) -> str:
    """The LaTeX of one expression."""
    return fold(expr, _combine).code


def _within(part: _Tex, level: int) -> str:
    return part.code if part.level >= level else f"\\left({part.code}\\right)"


def _combine(node: Expr, parts: list[_Tex]) -> _Tex:
    if isinstance(node, Num):
        code = number(node.value)
        return _Tex(code, PRODUCT if "cdot" in code else POWER if "^" in code else ATOM)
    if isinstance(node, Name):
        return _Tex(name(node.name))
    if isinstance(node, Unary):
        if node.op == "not":
            return _Tex(f"\\neg {_within(parts[0], ATOM)}", POWER)
        return _Tex(f"-{_within(parts[0], PRODUCT)}", SIGN)
    if isinstance(node, IfElse):
        return _choice(parts)
    if isinstance(node, Binary):
        return _binary(node.op, *parts)
    if isinstance(node, Index):
        return _Tex(_indexed(name(node.name), ", ".join(part.code for part in parts)))
    if isinstance(node, Reduce):
        return _reduction(node, parts)
    return _call(node, parts)


def _indexed(base: str, subscripts: str) -> str:
    """`base` with subscripts, behind those it has: the prime of a derivative stands outside."""
    head = base.rstrip("'")
    primes = base[len(head) :]
    if head.endswith("}") and "_{" in head:
        return f"{head[:-1]},{subscripts}}}{primes}"
    return f"{head}_{{{subscripts}}}{primes}"


def _reduction(node: Reduce, parts: list[_Tex]) -> _Tex:
    signs = []
    for k, bound in enumerate(node.ranges):
        first, last = parts[2 * k].code, parts[2 * k + 1].code
        if node.op in ("sum", "prod"):
            signs.append(f"\\{node.op}_{{{name(bound.name)}={first}}}^{{{last}}}")
        else:
            signs.append(f"{first} \\le {name(bound.name)} \\le {last}")
    if node.op in ("sum", "prod"):
        return _Tex(f"{' '.join(signs)} {_within(parts[-1], PRODUCT)}", SUM)
    return _Tex(f"\\{node.op}_{{{', '.join(signs)}}} {_within(parts[-1], ATOM)}", PRODUCT)


def _choice(parts: list[_Tex]) -> _Tex:
    cond, then, other = parts
    rows = f"{then.code} & \\text{{if }} {cond.code} \\\\ "
    rows += other.rows if other.rows is not None else f"{other.code} & \\text{{otherwise}}"
    return _Tex(f"\\begin{{cases}} {rows} \\end{{cases}}", CHOICE, rows)


def _binary(op: str, a: _Tex, b: _Tex) -> _Tex:
    if op in ("+", "-"):
        return _Tex(f"{_within(a, SUM)} {op} {_unsigned(b)}", SUM)
    if op == "*":
        left, right = _within(a, PRODUCT), _unsigned(b)
        between = " \\cdot " if right[:1].isdigit() else " \\, "
        return _Tex(left + between + right, PRODUCT)
    if op == "/" and a.level == SIGN:  # -g/l: the sign stands before the fraction
        return _Tex(f"-\\frac{{{a.code[1:].strip()}}}{{{b.code}}}", PRODUCT)
    if op == "/":
        return _Tex(f"\\frac{{{a.code}}}{{{b.code}}}", PRODUCT)
    if op == "^":
        base = a.code if a.level == ATOM and "'" not in a.code[-1:] else f"\\left({a.code}\\right)"
        return _Tex(f"{base}^{{{b.code}}}", POWER)
    if op in _COMPARISONS:
        return _Tex(f"{_within(a, SUM)} {_COMPARISONS[op]} {_within(b, SUM)}", COMPARE)
    word = "\\land" if op == "and" else "\\lor"
    return _Tex(f"{_within(a, COMPARE)} {word} {_within(b, COMPARE)}", LOGIC)


def _unsigned(part: _Tex) -> str:
    """`part` as it may stand behind an operator."""
    code = _within(part, PRODUCT)
    return f"\\left({code}\\right)" if code.startswith("-") else code


def _call(node: Call, parts: list[_Tex]) -> _Tex:
    if node.func == "ifelse" and len(parts) == 3:
        return _choice(parts)
    if node.func == STIFF:
        return parts[0]
    if node.func in _AROUND and len(parts) == 1:
        start, end = _AROUND[node.func]
        return _Tex(f"{start}{parts[0].code}{end}")
    if node.func == "pow":
        return _binary("^", *parts)
    called = _FUNCTIONS.get(node.func) or _operator(node.func)
    index = "" if node.index is None else f"_{{{node.index}}}"
    return _Tex(f"{called}{index}\\left({', '.join(part.code for part in parts)}\\right)")


def _operator(func: str) -> str:
    shown = name(func)
    found = re.fullmatch(r"\\mathrm\{(.*)\}", shown)
    return f"\\operatorname{{{found[1]}}}" if found else shown


# ---------------------------------------------------------------- the page


def emit(spec: ModelSpec, most: int | None = None) -> str:
    """The model as one `aligned` environment, to stand between `\\[` and `\\]`.

    `most`: rows at most; what is left out is counted in the last one.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> print(emit(sd.model("θ'' = -g/l*sin(θ); θ(0) = 1; θ'(0) = 0; param g = 9.81, l = 2").spec))
    \\begin{aligned}
    \\frac{\\mathrm{d}^{2}\\theta}{\\mathrm{d}t^{2}} &= -\\frac{g}{l} \\, \\sin\\left(\\theta\\right) \\\\
    \\theta(0) &= 1 \\\\
    \\theta'(0) &= 0 \\\\
    g &= 9.81 \\\\
    l &= 2
    \\end{aligned}
    <BLANKLINE>
    """
    token = _LITERAL.set(_alike(spec))
    try:
        return _emit(spec, most)
    finally:
        _LITERAL.reset(token)


def _emit(spec: ModelSpec, most: int | None) -> str:
    rows = _equations(spec)
    rows += [(f"{name(i.name)}(t)", _input(i)) for i in spec.inputs]
    rows += [(name(d.name), expression(d.expr)) for d in scalar_definitions(spec)]
    rows += [_element(block) for block in spec.blocks if block.kind == "definition"]
    for function in spec.functions:
        arguments = ", ".join(map(name, function.args))
        rows.append((f"{_operator(function.name)}\\left({arguments}\\right)", expression(function.body)))
    initial = spec.initial.given.items() if isinstance(spec.initial, Expanded) else enumerate(spec.initial)
    rows += [(f"{name(spec.states[k])}(0)", expression(value)) for k, value in initial if value is not None]
    rows += [_element(block, end="(0)") for block in spec.blocks if block.kind == "initial"]
    rows += _parameters(spec)
    rows += [(name(c.name), number(c.value)) for c in spec.constants]
    lines = [f"{left} &= {right}" for left, right in rows]
    lines += [f"& {_event(event)}" for event in spec.events]
    if most is not None and len(lines) > most:
        left_out = len(lines) - most + 1
        lines = [*lines[: most - 1], f"& \\;\\vdots \\quad \\text{{({left_out:,} more rows)}}"]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}\n"


def _input(given: Input) -> str:
    how = {"linear": "linear", "constant": "piecewise constant", "cubic": "cubic spline"}[given.interpolation]
    return f"\\text{{{how}, from data}}"


def _element(block: Block, end: str = "") -> tuple[str, str]:
    """Both sides of what is said of elements, the ranges behind the right one."""
    left = expression(Index(block.array, block.subscripts))
    return left + end, expression(block.expr) + _ranges(block)


def _ranges(block: Block) -> str:
    ranges = ", \\ ".join(f"{name(r.name)} = {r.first}, \\ldots, {r.last}" for r in block.ranges)
    return f", \\quad {ranges}" if ranges else ""


def _parameters(spec: ModelSpec) -> list[tuple[str, str]]:
    """Numbers of parameters; arrays as a list, the first few elements of long ones."""
    rows = []
    starts = {array.start: array for array in spec.arrays if array.kind == "parameter"}
    position = 0
    while position < len(spec.parameters):
        array = starts.get(position)
        if array is None:
            p = spec.parameters[position]
            rows += [] if p.default is None else [(name(p.name), number(p.default))]
            position += 1
            continue
        values = [p.default for p in spec.parameters[position : position + min(array.size, _LISTED + 1)]]
        given = [number(value) for value in values if value is not None]
        if given:
            shown = ", ".join(given[:_LISTED]) + (", \\ldots" if len(given) > _LISTED else "")
            rows.append((name(array.name), f"\\left({shown}\\right)"))
        position += array.size
    return rows


def _equations(spec: ModelSpec) -> list[tuple[str, str]]:
    rows = []
    position = 0
    starts = {array.start: array for array in spec.arrays if array.kind == "state"}
    vanishes = vanishing(spec)
    while position < len(spec.states):
        array = starts.get(position)
        if array is not None:
            for block in spec.blocks:
                if block.array == array.name and block.kind == "derivative":
                    element = expression(Index(block.array, block.subscripts))
                    left = "0" if vanishes(block) else f"\\frac{{\\mathrm{{d}}{element}}}{{\\mathrm{{d}}t}}"
                    rows.append((left, expression(block.expr) + _ranges(block)))
            position += array.size
            continue
        state, order = spec.states[position], 1
        if state in spec.algebraic:
            rows.append(("0", expression(spec.derivatives[position])))
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
        power = f"^{{{order}}}" if order > 1 else ""
        left = f"\\frac{{\\mathrm{{d}}{power}{name(state)}}}{{\\mathrm{{d}}t{power}}}"
        rows.append((left, expression(spec.derivatives[position + order - 1])))
        position += order
    return rows


def _event(event: Event) -> str:
    if event.kind == "when":
        assert event.condition is not None
        head = f"\\text{{when }} {expression(event.condition)}"
    elif event.kind == "at":
        assert event.time is not None
        head = f"\\text{{at }} t = {expression(event.time)}"
    else:
        assert event.period is not None
        head = f"\\text{{every }} {expression(event.period)}"
        head += "" if event.start is None else f" \\text{{ from }} {expression(event.start)}"
        head += "" if event.stop is None else f" \\text{{ until }} {expression(event.stop)}"
    actions = [f"{name(target)} \\leftarrow {expression(value)}" for target, value in event.assignments]
    for block in event.blocks:
        element = expression(Index(block.array, block.subscripts))
        actions.append(f"{element} \\leftarrow {expression(block.expr)}{_ranges(block)}")
    actions += ["\\text{terminate}"] if event.terminate else []
    return head + ": \\; " + ", \\; ".join(actions)
