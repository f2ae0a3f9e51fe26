"""Operations of the graph -> text of expressions, with as few parentheses as are right.

`Printer` knows what all targets share: infix operations, their precedence,
numbers; and how Python writes statements, which others replace.  A target's
own printer (in its file) gives the names of functions, how to choose between
two values, and what it needs beside them.
Rounding is kept: `a + (b + c)` is not written without its parentheses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

CHOICE, OR, AND, NOT, COMPARE, BIT_OR, BIT_AND, ADD, MOD, MUL, NEG, POW, ATOM = range(13)
"""Precedence of an expression's outermost operation, loosest first."""


class Text(NamedTuple):
    """Source of one expression: `level` is its precedence, `depth` its nesting,
    `raises` whether evaluating it can raise, `truth` whether it is a boolean,
    `value` the number it is, if it is one."""

    code: str
    level: int = ATOM
    depth: int = 0
    raises: bool = False
    truth: bool = False
    value: float | None = None


def within(text: Text, level: int) -> str:
    """The code, in parentheses where its operation binds looser than `level`."""
    return text.code if text.level >= level else f"({text.code})"


_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LARGEST_POWER = 64


class Printer:
    """Prints one operation given the texts of its arguments.

    Class attributes a target sets: `FUNCTIONS` operation -> callable, `INFINITY`
    and `NAN`, `RAISES` whether functions of numbers may raise, `HELPERS` the
    source of functions that the target lacks, which are recorded in `used`.
    """

    FUNCTIONS: ClassVar[Mapping[str, str]] = {}
    HELPERS: ClassVar[Mapping[str, str]] = {}
    INFINITY = "math.inf"
    NAN = "math.nan"
    TRUE, FALSE = "True", "False"
    RAISES = False

    def __init__(self) -> None:
        self.used: dict[str, None] = {}

    # ------------------------------------------------------------ what targets may change

    def leaf(self, kind: str, index: int) -> str:
        """How a state, parameter or direction is read from its array."""
        array = {"state": "u", "param": "p", "seed": "v"}[kind]
        return f"{array}[{index}]"

    def choose(self, cond: Text, a: Text, b: Text) -> Text:
        """`a` where `cond` holds, else `b`."""
        code = f"{within(a, OR)} if {within(cond, OR)} else {within(b, CHOICE)}"
        return self._join(code, CHOICE, cond, a, b)

    def boolean(self, op: str, args: Sequence[Text]) -> Text:
        """`and`, `or`, `not` of truth values."""
        if op == "not":
            return self._join(f"not {within(args[0], NOT)}", NOT, *args, truth=True)
        level = AND if op == "and" else OR
        code = f"{within(args[0], level)} {op} {within(args[1], level + 1)}"
        return self._join(code, level, *args, truth=True)

    def truth_to_number(self, text: Text) -> Text:
        return Text(f"float({text.code})", ATOM, text.depth + 1, text.raises)

    def power(self, a: Text, b: Text) -> Text:
        """Powers that are not small whole numbers."""
        return self.function("pow", (a, b))

    def whole_power(self, a: Text, n: int) -> Text:
        """Small whole powers."""
        return self._join(f"{within(a, ATOM)}**{n}", POW, a, raises=self.RAISES)

    def remainder(self, a: Text, b: Text) -> Text:
        """The remainder with the sign of `b`."""
        # looser than a product: -(a % b) is not -a % b
        return self._join(f"{within(a, MUL)} % {within(b, NEG + 1)}", MOD, a, b, raises=self.RAISES)

    def network(self, name: str, k: int, inputs: Sequence[str], order: int) -> str:
        """A call of network number `k`: (value, Jacobian, Hessian), as far as `order` asks."""
        comma = "," if len(inputs) == 1 else ""
        return f"{name}(w, ({', '.join(inputs)}{comma}), {order})"

    def projection(self, call: str, indices: tuple[int, ...], n_in: int) -> str:
        """One number of a network's call: (output), (output, input) or (output, input, input)."""
        return f"{call}[{len(indices) - 1}]" + "".join(f"[{i}]" for i in indices)

    def input(self, k: int, time: Text, order: int) -> Text:
        """Input number `k` at a time, or its derivative of `order`, from the tables at the end of p."""
        self.use("_input")
        return self._join(f"_input(tables, {k}, {time.code}, {order})", ATOM, time, raises=self.RAISES)

    def network_call(self, result: str, name: str, k: int, inputs: Sequence[str], order: int) -> list[str]:
        """Statements that make `result` hold a call of network number `k`."""
        return [self.assign(result, self.network(name, k, inputs, order))]

    def assign(self, name: str, code: str, truth: bool = False) -> str:
        """The statement that makes a new variable."""
        return f"{name} = {code}"

    def declare(self, name: str, truth: bool = False) -> list[str]:
        """What must stand before a branch whose arms set the variable `name`."""
        return []

    def put(self, name: str, code: str) -> str:
        """The statement that sets a variable that is declared."""
        return f"{name} = {code}"

    def branch(self, cond: str, first: bool) -> str:
        """The line that opens a branch: the first of a chain, or a further one."""
        return f"{'if' if first else 'elif'} {cond}:"

    OTHERWISE = "else:"
    CLOSE: str | None = None

    def guard(self, text: Text) -> str:
        """The code of a value that may turn out not to be needed: it must not raise."""
        return text.code

    def function(self, op: str, args: Sequence[Text]) -> Text:
        name = self.FUNCTIONS[op]
        self.use(name)
        return self._join(f"{name}({', '.join(a.code for a in args)})", ATOM, *args, raises=self.RAISES)

    # ------------------------------------------------------------ what they share

    def use(self, name: str) -> None:
        """Record a helper function that the source must contain."""
        if name in self.HELPERS:
            self.used[name] = None

    def helpers(self) -> list[str]:
        """Source of every helper used, in a fixed order."""
        return [self.HELPERS[name] for name in self.HELPERS if name in self.used]

    def number(self, value: float) -> Text:
        if math.isnan(value):
            return Text(self.NAN, value=value)
        if math.isinf(value):
            return Text(self.INFINITY if value > 0 else f"-{self.INFINITY}", ATOM if value > 0 else NEG, value=value)
        negative = math.copysign(1.0, value) < 0
        return Text(repr(value), NEG if negative else ATOM, value=value)

    def as_number(self, text: Text) -> Text:
        return self.truth_to_number(text) if text.truth else text

    def as_truth(self, text: Text) -> Text:
        return text if text.truth else self._join(f"{within(text, COMPARE + 1)} != 0.0", COMPARE, text, truth=True)

    def apply(self, op: str, args: Sequence[Text]) -> Text:
        """The text of `op(args)`; booleans become numbers where numbers are needed."""
        if op in ("and", "or", "not"):
            return self.boolean(op, [self.as_truth(a) for a in args])
        if op == "select":
            return self.choose(self.as_truth(args[0]), self.as_number(args[1]), self.as_number(args[2]))
        return self._arithmetic(op, [self.as_number(a) for a in args])

    def _arithmetic(self, op: str, args: list[Text]) -> Text:
        a, b = args[0], args[-1]
        if op in ("add", "sub"):
            return self._sum(op, a, b)
        if op == "mul":
            return self._join(f"{within(a, MUL)}*{within(b, NEG + 1)}", MUL, a, b)
        if op == "div":
            return self._join(f"{within(a, MUL)}/{within(b, NEG + 1)}", MUL, a, b, raises=self.RAISES)
        if op == "mod":
            return self.remainder(a, b)
        if op == "neg":
            if a.code.startswith("-"):
                return self._join(f"-({a.code})", NEG, a)
            return self._join(f"-{within(a, MUL)}", min(NEG, max(a.level, MUL)), a)
        if op in _COMPARISONS:
            code = f"{within(a, COMPARE + 1)} {_COMPARISONS[op]} {within(b, COMPARE + 1)}"
            return self._join(code, COMPARE, a, b, truth=True)
        if op == "pow":
            whole = b.value is not None and b.value.is_integer() and abs(b.value) <= _LARGEST_POWER
            if whole and b.value is not None:
                return self.whole_power(a, int(b.value))
            return self.power(a, b)
        return self.function(op, args)

    def _sum(self, op: str, a: Text, b: Text) -> Text:
        sign = "+" if op == "add" else "-"
        right = within(b, MUL)
        if right.startswith("-"):  # a + -b is a - b, to the last bit
            sign, right = ("-" if sign == "+" else "+"), right[1:]
        return self._join(f"{within(a, ADD)} {sign} {right}", ADD, a, b)

    @staticmethod
    def _join(code: str, level: int, *args: Text, raises: bool = False, truth: bool = False) -> Text:
        depth = 1 + max((a.depth for a in args), default=0)
        return Text(code, level, depth, raises or any(a.raises for a in args), truth)
