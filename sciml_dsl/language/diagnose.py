"""Why a text does not parse, in the user's words.

Takes the tokens, the index of the one the parser could not use, and the
terminals it could have used; gives a `Complaint`.  Mistakes that people bring
from other languages are recognised first; otherwise the message says what was
expected at that place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..errors import clipped, suggest
from .ast import Span
from .complaint import Complaint
from .keywords import INTERPOLATIONS
from .names import BUILTINS, RESERVED_WORDS
from .tokens import CLOSING, OPENING, OPERAND_END, Token

_OPERAND = frozenset({"NUMBER", "NAME", "PRIMED", "_LPAR", "COEFFICIENT", "_ROOT", "CBRT", "STIFF", "_MACRO"})
_ASSIGNS = frozenset({"_EQ", "EQUALS"})
_KEYWORDS = {kind: word for word, kind in RESERVED_WORDS.items()}
_EXPECTED = {
    "_EQ": "`=`",
    "EQUALS": "`=`",
    "_COLON": "`:`",
    "_RPAR": "`)`",
    "_RSQB": "`]`",
    "_LSQB": "`[`",
    "_LPAR": "`(`",
    "_RBRACE": "`}`",
    "_COMMA": "`,`",
    "_THEN": "`then`",
    "_ELSE": "`else`",
    "_IN": "`in [lower, upper]`",
    "BEGIN": "`begin`",
    "_END": "`end`",
    "_ARROW": "`->`",
    "_LBRACE": "`{`",
    "TERMINATE": "`terminate`",
    "AUGMENT": "`+=`",
    "_SEP": "the end of the statement",
}


class _Place:
    """The statement around the token that does not fit."""

    def __init__(self, tokens: list[Token], index: int, accepts: Collection[str]) -> None:
        self.tokens = tokens
        self.index = index
        self.accepts = accepts
        self.token = tokens[index] if index < len(tokens) else Token("_SEP", "", *(2 * (_end(tokens),)))
        first = index
        while first > 0 and tokens[first - 1].type not in ("_SEP", "BEGIN"):
            first -= 1
        self.head = tokens[first] if first < len(tokens) else self.token
        self.before = tokens[index - 1] if index > first else None
        self.after = tokens[index + 1] if index + 1 < len(tokens) else None
        last = index
        while last < len(tokens) and tokens[last].type != "_SEP":
            last += 1
        self.statement = tokens[first:last]
        self.seen = tokens[first:index]

    def has(self, kind: str) -> bool:
        return any(token.type == kind for token in self.statement)


def _end(tokens: list[Token]) -> int:
    return tokens[-1].end if tokens else 0


def diagnose(tokens: list[Token], index: int, accepts: Collection[str]) -> Complaint:
    """The complaint about `tokens[index]`, where only the terminals `accepts` could stand."""
    place = _Place(tokens, index, accepts)
    for rule in _RULES:
        complaint = rule(place)
        if complaint is not None:
            return complaint
    return _general(place)


def _foreign_statement(p: _Place) -> Complaint | None:
    """Statements of Python, Julia, C and their like."""
    head = p.head
    if head.type != "NAME" or p.before is not head:
        return None
    hint = _FOREIGN.get(head.value)
    if hint is None or p.token.type not in ("NAME", "PRIMED", "NUMBER", "_SEP", "_COLON", *_KEYWORDS):
        return None
    return Complaint(f"`{head.value}` is not a statement of this language", head.span, hint)


_FOREIGN = {
    "def": "write a function as f(a, b) = a*b",
    "function": "write a function as f(a, b) = a*b",
    "return": "write a function as f(a, b) = a*b, without `return`",
    "lambda": "write a function as f(a, b) = a*b",
    "import": "all functions of the language are built in; nothing is imported",
    "using": "all functions of the language are built in; nothing is imported",
    "for": "the range stands behind the equation: u[i]' = ... for i in 1..N",
    "while": "equations hold at all times; changes at moments are events: when x < 1: y += 1",
    "let": "leave `let` out: write name = expression",
    "var": "write x' = ... for a state, `param k = 1` for a parameter",
    "double": "types are not declared; write `param k = 1` or x' = ...",
    "float": "types are not declared; write `param k = 1` or x' = ...",
    "parameter": "write `param k = 1`",
    "parameters": "write `param a = 1, b = 2`",
    "params": "write `param a = 1, b = 2`",
    "constant": "write `const g = 9.81`",
    "constants": "write `const g = 9.81`",
    "state": "an equation x' = ... makes x a state; its initial value is x(0) = 1",
    "states": "an equation x' = ... makes x a state; its initial value is x(0) = 1",
    "variable": "an equation x' = ... makes x a state",
    "init": "write initial values as x(0) = 1",
    "initial": "write initial values as x(0) = 1",
    "network": "write `neural U(x, y) -> 1`",
    "nn": "write `neural U(x, y) -> 1`",
    "begin": "`begin ... end` belongs to @ode_def Name begin ... end a b c",
    "end": "`end` belongs to @ode_def Name begin ... end a b c",
    "event": "write `when x < 1: y += 1` or `at 5: y += 1`",
    "on": "write `when x < 1: y += 1` or `at 5: y += 1`",
}


def _input(p: _Place) -> Complaint | None:
    """`input u = cubic`, `input u (cubic)` and other things that do not stand behind the name of an input."""
    depth = sum((t.type in OPENING) - (t.type in CLOSING) for t in p.seen)
    if p.head.type != "_INPUT" or depth or p.token.type == "_SEP" or len(p.seen) < 2:
        return None
    name = p.seen[1].value
    words = [t.value for t in p.statement if t.value in INTERPOLATIONS]
    how = words[0] if words and words[0] != name else "cubic"
    return Complaint(
        f"{_found(p.token)} does not fit in the declaration of an input",
        p.token.span,
        f"write input {name} {how}, or with its data input {name} = [(0, 1), (5, 2)] {how}",
    )


def _event_without_colon(p: _Place) -> Complaint | None:
    if p.head.type == "NAME" and p.head.value in ("when", "at", "every") and not p.has("_COLON") and len(p.seen) == 1:
        return Complaint(
            f"the `:` of `{p.head.value}` is missing",
            p.head.span,
            {
                "when": "write when x < 0.1: y += 1",
                "at": "write at 5: A += 100",
                "every": "write every 24 from 0 until 240: A += dose",
            }[p.head.value],
        )
    return None


def _assignment_sign(p: _Place) -> Complaint | None:
    """`==`, `:=`, `<-` and `->` where `=` is meant; `=` where `==` is meant."""
    token, after = p.token, p.after
    event = p.head.type in ("_WHEN", "_AT", "_EVERY")
    if token.type == "_COLON" and after is not None and after.type == "_EQ":
        return Complaint("`:=` is not used here", Span(token.start, after.end), "write `=`")
    if token.type == "_EQ":
        if p.head.type in ("NAME", "PRIMED") and [t.type for t in p.seen[1:]] == ["_LPAR", "NAME"]:
            hint = f"write {p.head.value}(0) = ... for an initial value"
            return Complaint("`=` inside parentheses", token.span, hint)
        if event and not any(t.type == "_COLON" for t in p.seen):
            return Complaint("`=` inside a condition", token.span, "write `==` to compare, or a crossing such as x > 1")
        if any(t.type in ("_IF", "COMPARE", "AND", "OR") for t in p.seen):
            return Complaint("`=` inside an expression", token.span, "write `==` to compare")
        if any(t.type == "_EQ" for t in p.seen) and p.head.type not in ("_PARAM", "_CONST", "_NEURAL"):
            starts = _chain_of_starts(p)
            if starts is not None:
                return Complaint("a second `=` in one statement", token.span, starts)
            return Complaint(
                "a second `=` in one statement",
                token.span,
                "put every equation on a line of its own, or separate with `;`; compare with `==`",
            )
    if token.type == "_SEP" and not p.has("_EQ") and not event:
        for other in p.statement:
            if other.type == "COMPARE" and other.value == "==":
                return Complaint("`==` compares; it does not define", other.span, "write `=`")
    if token.type in ("_ARROW", "FATARROW") and p.head.type not in ("_NEURAL",):
        return Complaint(f"`{token.value}` has no meaning here", token.span, "write `=`")
    if token.type == "AUGMENT" and not event:
        return Complaint(
            f"`{token.value}` is only used in events", token.span, "write when x < 1: y += 1, or an equation y' = ..."
        )
    return None


def _chain_of_starts(p: _Place) -> str | None:
    """What to write for `x(0) = y(0) = 1`."""
    parts: list[list[str]] = [[]]
    for token in p.statement:
        if token.type == "_EQ":
            parts.append([])
        else:
            parts[-1].append(token.value)
    if not all(len(part) == 4 and part[1:] == ["(", "0", ")"] for part in parts[:-1]):
        return None
    value = "".join(parts[-1])
    return clipped("write " + "; ".join(f"{part[0]}(0) = {value}" for part in parts[:-1]), 200)


_STRAY = {
    "elseif": "write else if",
    "elif": "write else if",
    "where": "define the names on lines of their own: a = 1, or `param a = 1`",
    "with": "define the names on lines of their own: a = 1, or `param a = 1`",
    "crosses": "write when x > 1: ... for a crossing upwards, when x < 1: ... downwards",
    "until": "write every 24 from 0 until 240: A += dose",
}
"""Words that people write between operands, and what to write instead."""


def _begins_statement(p: _Place) -> bool:
    """Does `name =`, `name' =`, `name(...) =` or `name[...] =` stand here, behind a whole statement?"""
    if p.token.type not in ("NAME", "PRIMED") or not any(t.type in _ASSIGNS for t in p.seen):
        return False
    depth = 0
    for token in p.tokens[p.index + 1 :]:
        if token.type in _ASSIGNS and depth == 0:
            return True
        if token.type in ("_LPAR", "_LSQB"):
            depth += 1
        elif token.type in ("_RPAR", "_RSQB"):
            depth -= 1
        elif depth == 0 or token.type == "_SEP":
            return False
    return False


def _missing_sign(p: _Place) -> Complaint | None:
    """Two operands side by side."""
    before, token = p.before, p.token
    if before is None or before.type not in OPERAND_END or token.type not in _OPERAND:
        return None
    whole = Span(before.start, token.end)
    left, right = before.value, token.value
    if token.type == "NAME" and right in _STRAY:
        return Complaint(f"`{right}` has no meaning here", token.span, _STRAY[right])
    if before.type == "NAME" and before.value in BUILTINS:
        return Complaint(f"the argument of `{left}` stands in parentheses", whole, f"write {left}({right})")
    if [t.value for t in p.seen] == ["d", "/", "dt"]:
        return Complaint(
            "an operator is missing between these", whole, f"write d/dt({right}) = ..., or d{right}/dt = ..."
        )
    if before.value == "lambda" and p.has("_COLON"):
        return Complaint("functions are not written with `lambda`", before.span, "write f(a, b) = a*b")
    if p.head.type in ("_PARAM", "_CONST") and before.type == "NAME" and "_EQ" in p.accepts and token.type == "NUMBER":
        return Complaint("the `=` is missing", whole, f"write {left} = {right}")
    if p.head.type == "_MODEL":
        return Complaint("the name of a model is one word", whole, f"write model {left}_{right}")
    if p.head.type not in ("_PARAM", "_CONST") and _begins_statement(p):
        return Complaint(
            f"a statement ends before `{right}`, and nothing says so",
            token.span,
            "put `;`, `,` or a new line between two statements",
        )
    if p.head.type in ("_PARAM", "_CONST") and before.type != "_RSQB" and token.type == "NAME":
        if token.value == "in":
            return Complaint("bounds are written in brackets", token.span, "write param k = 1 in [0, 10]")
        return Complaint(
            f"`{left} {right}`: a comma or operator is missing",
            whole,
            "separate parameters by commas: param a = 1, b = 2",
        )
    if token.start > 0 and before.type == "NUMBER" and before.end < token.start:
        shown = f"{left}*{right}" if token.type != "_LPAR" else f"{left}*(...)"
        return Complaint("an operator is missing between these", whole, f"write {shown}")
    if before.type == "_RPAR" and token.type == "_LPAR":
        return Complaint("an operator is missing between `)` and `(`", whole, "write (...)*(...)")
    if len(p.seen) == 1 and before.type == "NAME":
        close = suggest(left, ["model", "param", "const", "input", "neural", "when", "at", "every"])
        if close is not None or not p.has("_EQ"):
            return Complaint(f"`{left} {right}` is not a statement", whole, close or _STATEMENTS)
    left = "(...)" if before.type == "_RPAR" else left
    right = "(...)" if token.type == "_LPAR" else right
    return Complaint("an operator is missing between these", whole, f"write {left}*{right} for a product")


_STATEMENTS = "write x' = ... for an equation, name = ... for a definition, `param k = 1` for a parameter"


def _no_equation(p: _Place) -> Complaint | None:
    """A statement that ends before its `=`."""
    if p.token.type != "_SEP" or "_EQ" not in p.accepts or p.has("_EQ"):
        return None
    if p.head.type == "PRIMED" and len(p.statement) == 1:
        return Complaint(f"`{p.head.value}` has no right-hand side", p.head.span, f"write {p.head.value} = ...")
    if p.head.type == "_CONST":
        return Complaint("a constant needs a value", p.head.span, "write const g = 9.81")
    if len(p.statement) == 1 and p.head.type == "NAME" and p.head.value == "end":
        return Complaint("this `end` belongs to no `begin`", p.head.span)
    if len(p.statement) == 1 and p.head.type == "NAME" and p.head.value == "terminate":
        return Complaint("`terminate` belongs to an event", p.head.span, "write when x < 0: terminate")
    start = p.statement[0].start if p.statement else p.token.start
    return Complaint(
        "this is not a statement: there is no `=`",
        Span(start, p.statement[-1].end if p.statement else start),
        _STATEMENTS,
    )


def _conditional(p: _Place) -> Complaint | None:
    """`if` without `then` or `else`, or in the middle of a sum."""
    token = p.token
    if token.type == "_IF":
        if p.before is not None and p.before.type in OPERAND_END and p.has("_ELSE") and not p.has("_THEN"):
            return Complaint("the condition stands first", token.span, "write if c then a else b")
        return Complaint(
            "`if` inside a larger expression", token.span, "put it in parentheses: 1 + (if c then a else b)"
        )
    open_if = any(t.type == "_IF" for t in p.seen)
    if open_if and "_THEN" in p.accepts and token.type in ("_COLON", "_SEP", "_ELSE"):
        return Complaint("`if` without `then`", token.span, "write if c then a else b")
    if open_if and "_ELSE" in p.accepts and token.type in ("_COLON", "_SEP"):
        return Complaint("`if ... then ...` without `else`", token.span, "an expression needs both: if c then a else b")
    return None


def _reserved_word(p: _Place) -> Complaint | None:
    """`if`, `and`, `not` ... used as a name."""
    word = _KEYWORDS.get(p.token.type)
    if word is None or "NAME" not in p.accepts or (p.token.type == "_IF" and "NUMBER" in p.accepts):
        return None
    return Complaint(f"`{word}` is a word of the language, not a name", p.token.span, "choose another name")


def _options(p: _Place) -> Complaint | None:
    if p.head.type == "_NEURAL":
        return Complaint(
            f"{_found(p.token)} does not fit in the declaration of a network",
            p.token.span,
            "write neural U(x, y) -> 1 { hidden = [16, 16], activation = tanh }",
        )
    if p.head.type == "_PARAM" and p.token.type in ("COMPARE", "_LPAR", "_COLON"):
        return Complaint(
            f"{_found(p.token)} does not fit in the declaration of a parameter",
            p.token.span,
            "write param k = 1 in [0, 10] log, separated by commas; default and bounds may be left out",
        )
    return None


def _literal(p: _Place) -> Complaint | None:
    if p.token.type == "_LSQB" and ("NAME" in p.accepts or p.before is not None):
        return Complaint(
            "a list has no meaning here",
            p.token.span,
            "lists are the values of arrays: param k = [1, 2, 3], const w = [1, 2], u(0) = [1, 2]; elements are u[i]",
        )
    if p.token.type == "_LBRACE":
        return Complaint(
            "`{` has no meaning here", p.token.span, "braces hold the options of `neural U(x) -> 1 { ... }`"
        )
    if p.token.type == "JULIA":
        return Complaint(f"`{p.token.value}` has no meaning here", p.token.span)
    return None


def _array(p: _Place) -> Complaint | None:
    """Elements, ranges and lists written as elsewhere."""
    token, before, after = p.token, p.before, p.after
    looping = any(t.type == "_FOR" for t in p.seen)
    if looping and token.type == "_COLON" and p.seen[-2].type == "_IN":
        end = f"{before.value}..{after.value}" if before is not None and after is not None else "1..N"
        return Complaint("a range is written with two dots", token.span, f"write {end}")
    if token.type == "_DOTS" and not looping:
        if p.head.type == "_PARAM":
            return Complaint("a range has no place here", token.span, "write param k[1..3] = 1")
        name = next((t.value for t in reversed(p.seen[:-2]) if t.type in ("NAME", "PRIMED")), "u")
        return Complaint(
            "a range has no place here",
            token.span,
            f"write one equation for all elements, {name}[i]' = ... for i in 1..N, or sum({name}[i] for i in 1..N)",
        )
    if before is not None and before.type in ("_RSQB", "PRIME") and token.type == "_LPAR":
        depth, start = 0, len(p.seen) - 1
        while start > 0 and (depth != 0 or p.seen[start].type in ("_RSQB", "PRIME")):
            depth += {"_RSQB": 1, "_LSQB": -1}.get(p.seen[start].type, 0)
            start -= 1
        name = p.seen[start].value
        return Complaint(
            "an element of an array is a value, not a function",
            Span(before.start, token.end),
            f"write {name}[...]*(...) for a product; initial values stand on the left, {name}[i](0) = ...",
        )
    return None


_RULES: tuple[Callable[[_Place], Complaint | None], ...] = (
    _foreign_statement,
    _input,
    _event_without_colon,
    _assignment_sign,
    _reserved_word,
    _conditional,
    _array,
    _options,
    _missing_sign,
    _no_equation,
    _literal,
)


def _found(token: Token) -> str:
    if token.type == "_SEP":
        return "the end of the statement"
    return f"`{token.value}`" if token.value else "this"


def _general(p: _Place) -> Complaint:
    wanted = []
    if "NAME" in p.accepts:
        wanted.append("a value" if "NUMBER" in p.accepts else "a name")
    elif "NUMBER" in p.accepts:
        wanted.append("a number")
    if "TIMES" in p.accepts and "_SEP" not in p.accepts:
        wanted.append("an operator")
    for kind, shown in _EXPECTED.items():
        if kind in p.accepts and shown not in wanted and not (kind == "_LPAR" and "NUMBER" in p.accepts):
            wanted.append(shown)
    expected = f"expected {_either(wanted)}" if wanted else None
    span = p.token.span
    if p.token.type == "_SEP" and p.before is not None:
        span = p.before.span
        return Complaint(
            "the statement ends too early" + (f" behind `{p.before.value}`" if p.before.value else ""), span, expected
        )
    return Complaint(f"{_found(p.token)} does not fit here", span, expected)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
