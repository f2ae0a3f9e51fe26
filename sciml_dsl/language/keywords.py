"""Which names are keywords, statement by statement.

A finished statement's tokens come in; names at a keyword's place change their
type.  Everywhere else the same words stay names: `at' = -k*at` is an equation
of a state called `at`.  Statements of constructions that are reserved but not
built are recognised here, because some of them (`S + I --β--> 2 I`) have signs
the grammar does not know.
"""

from __future__ import annotations

from ..errors import ReservedError
from .ast import Span
from .complaint import Complaint
from .tokens import CLOSING, OPENING, OPERAND_END, Token

_DECLARATIONS = {"model": "_MODEL", "param": "_PARAM", "const": "_CONST", "input": "_INPUT", "neural": "_NEURAL"}
INTERPOLATIONS = ("linear", "constant", "cubic")
_EVENTS = {"when": "_WHEN", "at": "_AT", "every": "_EVERY"}
_RESERVED = {
    "wiener": ("stochastic equations (`wiener`)", "leave the noise out, or write it as an input of known form in t"),
    "history": ("delay equations (`history`)", "replace the delay by a chain of states, x1' = (x - x1)/τ"),
    "jump": ("random jumps (`jump`)", "write their mean as a rate, or a fixed change as `at 5: S -= 1`"),
    "reaction": ("reactions", "write the rates out: S' = -β*S*I; I' = β*S*I"),
}


def mark_statement(tokens: list[Token], first: int, loops: bool = True) -> None:
    """Turn names of the statement `tokens[first:]` into keywords where they stand as such.

    `loops`: the text has the word `for`.
    """
    head = tokens[first]
    if loops:
        _mark_loops(tokens, first)
    if head.type == "NAME" and len(tokens) > first + 1:
        word, second = head.value, tokens[first + 1].type
        if word in _DECLARATIONS:
            if second in ("NAME", "PRIMED") or second in ("_IF", "AND", "OR", "NOT", "_THEN", "_ELSE"):
                head.type = _DECLARATIONS[word]
                if word == "param":
                    _mark_parameters(tokens, first)
                elif word == "input":
                    _mark_inputs(tokens, first)
        elif word in _EVENTS:
            colon = _colon(tokens, first)
            if colon is not None:
                head.type = _EVENTS[word]
                if word == "every":
                    _mark_every(tokens, first, colon)
                _mark_terminate(tokens, colon)
        elif word in _RESERVED:
            reserved_statement(tokens, first)


def next_equation(tokens: list[Token], first: int) -> int | None:
    """Index of the comma behind the equation `tokens[first:]` at which another one begins, if there is one."""
    if tokens[first].type not in _STARTS_EQUATION:
        return None
    depth = 0
    comma: int | None = None
    seen = False
    for i in range(first, len(tokens)):
        kind = tokens[i].type
        if kind in OPENING:
            depth += 1
        elif kind in CLOSING:
            depth -= 1
        elif depth == 0 and kind == "_COMMA" and seen and comma is None:
            comma = i
        elif depth == 0 and kind == "_EQ":
            if comma is not None:
                return comma
            seen = True
    return None


_STARTS_EQUATION = frozenset({"NAME", "PRIMED", "NUMBER", "COEFFICIENT", "_LPAR", "MINUS"})


def reserved_statement(tokens: list[Token], first: int, found: str | None = None) -> None:
    """Raise `ReservedError` if the statement uses a word kept for later.

    `found` is a character that cannot be read and ends the statement early.
    """
    head = tokens[first]
    if head.type != "NAME" or head.value not in _RESERVED:
        return
    second = tokens[first + 1].type if len(tokens) > first + 1 else None
    if second in ("_EQ", "AUGMENT", "_LPAR", None) and not (second is None and found):
        return
    if head.value == "jump" and second not in ("NAME", "PRIMED") and _colon(tokens, first) is None:
        return
    what, instead = _RESERVED[head.value]
    raise Complaint(f"{what} are not built yet", head.span, instead, ReservedError)


def _colon(tokens: list[Token], first: int) -> int | None:
    """Index of the `:` that ends an event's head, or None where this is no event."""
    if len(tokens) < first + 2:
        return None
    second = tokens[first + 1].type
    if second in ("_EQ", "AUGMENT"):
        return None
    depth = questions = 0
    for i in range(first + 1, len(tokens)):
        kind = tokens[i].type
        if kind in OPENING:
            depth += 1
        elif kind in CLOSING:
            depth -= 1
        elif depth == 0:
            if kind == "_EQ" and second == "_LPAR":
                return None
            if kind == "_QUERY":
                questions += 1
            elif kind == "_COLON":
                if not questions:
                    return i
                questions -= 1
    return None


def _mark_parameters(tokens: list[Token], first: int) -> None:
    depth = 0
    last = len(tokens) - 1
    for i in range(first + 2, len(tokens)):
        token = tokens[i]
        if token.type in OPENING:
            depth += 1
        elif token.type in CLOSING:
            depth -= 1
        elif depth == 0 and token.type == "NAME":
            before = tokens[i - 1].type
            after = tokens[i + 1] if i < last else None
            if token.value == "in" and before in OPERAND_END and after is not None:
                logarithmic = after.value == "log" and i + 2 <= last and tokens[i + 2].type == "_LSQB"
                if after.type == "_LSQB" or logarithmic:
                    token.type = "_IN"
                    if logarithmic:
                        after.type = "LOG"
            elif token.value == "log" and before in OPERAND_END and (after is None or after.type in ("_COMMA", "_FOR")):
                token.type = "LOG"


def _mark_inputs(tokens: list[Token], first: int) -> None:
    """`input T from column = [...] cubic hold`: what stands behind the name of each."""
    depth = 0
    for i in range(first + 2, len(tokens)):
        token, before = tokens[i], tokens[i - 1]
        if token.type in OPENING:
            depth += 1
        elif token.type in CLOSING:
            depth -= 1
        elif depth == 0 and token.type == "NAME" and before.type in (*OPERAND_END, "INTERPOLATION", "HOLD"):
            if token.value in INTERPOLATIONS:
                token.type = "INTERPOLATION"
            elif token.value == "hold":
                token.type = "HOLD"
            elif token.value == "from":
                token.type = "_FROM"


def _mark_every(tokens: list[Token], first: int, colon: int) -> None:
    depth = 0
    for i in range(first + 2, colon):
        token = tokens[i]
        if token.type in OPENING:
            depth += 1
        elif token.type in CLOSING:
            depth -= 1
        elif depth == 0 and token.type == "NAME" and tokens[i - 1].type in OPERAND_END:
            if token.value == "from":
                token.type = "_FROM"
            elif token.value == "until":
                token.type = "_UNTIL"


def _mark_terminate(tokens: list[Token], colon: int) -> None:
    for i in range(colon + 1, len(tokens)):
        token = tokens[i]
        if token.type == "NAME" and token.value == "terminate" and tokens[i - 1].type in ("_COLON", "_COMMA"):
            last = i + 1 == len(tokens)
            if last or tokens[i + 1].type == "_COMMA":
                token.type = "TERMINATE"


def _mark_loops(tokens: list[Token], first: int) -> None:
    """`for`, `in` and the commas between the ranges of `... for i in 1..N, j in 1..M`."""
    for i in range(first + 1, len(tokens) - 1):
        token = tokens[i]
        if not (token.type == "NAME" and token.value == "for" and tokens[i - 1].type in _BEFORE_FOR):
            continue
        if tokens[i + 1].type != "NAME":
            continue
        if not _is_range(tokens, i + 1):
            name = tokens[i + 1].value
            raise Complaint(
                f"the range of `{name}` is missing", Span(token.start, tokens[i + 1].end), f"write for {name} in 1..N"
            )
        token.type = "_FOR"
        tokens[i + 2].type = "_IN"
        depth = 0
        for j in range(i + 3, len(tokens)):
            kind = tokens[j].type
            if kind in OPENING:
                depth += 1
            elif kind in CLOSING:
                depth -= 1
                if depth < 0:
                    break
            elif kind == "_COMMA" and depth == 0:
                if not _is_range(tokens, j + 1):
                    break
                tokens[j].type = "_ALSO"
                tokens[j + 2].type = "_IN"


_BEFORE_FOR = OPERAND_END | {"LOG"}


def _is_range(tokens: list[Token], at: int) -> bool:
    """Whether `i in` stands there."""
    if at + 2 >= len(tokens) or tokens[at].type != "NAME":
        return False
    return tokens[at + 1].type == "NAME" and tokens[at + 1].value == "in" and tokens[at + 2].type != "_LSQB"
