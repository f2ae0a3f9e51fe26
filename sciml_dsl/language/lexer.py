"""Text -> tokens, with what the grammar cannot know.

Takes the text and the patterns of the grammar's terminals; gives a flat list of
tokens.  Here it is decided where statements end (a newline or `;` outside
brackets, unless the line clearly goes on), which names are keywords at their
place (`param`, `at`, `in`, `end` ... are ordinary names elsewhere), and where a
number stands right before a name or parenthesis (`2x`).  Brackets are checked
here, so that a missing one is reported where it was opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from .ast import Span
from .complaint import Complaint, order_too_high
from .keywords import mark_statement, next_equation, reserved_statement
from .names import BUILTINS, MAX_ORDER, PRIMES, RESERVED_WORDS, normalise, split_dots, split_primes
from .superscripts import PATTERN, digits
from .tokens import OPERAND_END, Token

MAX_NESTING = 500

_ORDER = (
    "WS COMMENT NEWLINE NUMBER NAME PRIMED PRIME _DOTS FATARROW _ARROW COMPARE AUGMENT POW PLUS MINUS TIMES DIVIDE "
    "_EQ _COMMA _LPAR _RPAR _LSQB _RSQB _LBRACE _RBRACE SEMICOLON _COLON _QUERY _ROOT CBRT STIFF _MACRO"
).split()
_CLOSES = {"_RPAR": "_LPAR", "_RSQB": "_LSQB", "_RBRACE": "_LBRACE"}
_OPENS = frozenset(_CLOSES.values())
_GOES_ON_AFTER = frozenset(
    "PLUS MINUS TIMES DIVIDE POW COMPARE AND OR NOT _IF _THEN _ELSE _EQ AUGMENT _COMMA _COLON _QUERY _ARROW "
    "_DOTS FATARROW _ROOT CBRT COEFFICIENT STIFF _MACRO".split()
)
_GOES_ON_BEFORE = frozenset(
    "PLUS MINUS TIMES DIVIDE POW COMPARE AND OR _THEN _ELSE _EQ _QUERY _LBRACE _ARROW _DOTS".split()
)
_DECLARES = re.compile(r"(?:model|param|const|input|neural)[^\S\n]+[^\W\d]")
_LOOP = re.compile(r"for\s+[^\W\d]\w*\s+in\b")
_SKIPPED, _NAME, _PLAIN, _OPEN, _CLOSE, _OTHER = range(6)
_WAYS = {
    **dict.fromkeys("PLUS MINUS TIMES DIVIDE POW NUMBER COMPARE _COMMA _ARROW FATARROW".split(), _PLAIN),
    "WS": _SKIPPED, "COMMENT": _SKIPPED, "NAME": _NAME, "_LPAR": _OPEN, "_RPAR": _CLOSE,
}
"""What is done with a piece of text, by its kind: most need no more than to become a token."""
_BEFORE_OPERANDS = frozenset("when at every from until if then else and or not".split())
_JULIA_ONLY = {"&&": "AND", "||": "OR", "!": "NOT", "//": "DIVIDE"}
_DOTTED = ("*", "/", "^", "+", "-")
_BANG = re.compile(r"!\s*=\s*@ode_def")
_BLOCK_COMMENT = re.compile(r"#=|=#|#")


@dataclass(frozen=True)
class Scanner:
    """`pieces` finds every piece of a text, `kind` names the terminal of one: that is decided by its letters alone."""

    pieces: re.Pattern[str]
    kind: re.Pattern[str]


def scanner(patterns: Mapping[str, str]) -> Scanner:
    """Regular expressions out of the patterns of the grammar's terminals.

    A name is looked for before the same with primes, which is rarer, and read once for both.
    """
    found = {name: patterns[name] for name in _ORDER} | {"JULIA": r"&&|\|\||!(?!=)|//", "BAD": "."}
    found["NAME"] = f"(?>{found['NAME']})(?!{found['PRIME']})"
    order = list(_ORDER)
    order.insert(order.index("DIVIDE"), "JULIA")
    found |= {"SUPERSCRIPT": PATTERN, "BAR": r"\|"}
    order += ["SUPERSCRIPT", "BAR", "BAD"]
    return Scanner(
        re.compile("|".join(found[name] for name in order), re.DOTALL),
        re.compile("|".join(f"(?P<{name}>{found[name]})" for name in order), re.DOTALL),
    )


def tokenize(text: str, pattern: Scanner) -> list[Token]:
    """All tokens of `text`; every statement is followed by one `_SEP`.

    Raises `Complaint` for characters, brackets and numbers that cannot be meant.
    """
    lexer = _Lexer(text, pattern)
    try:
        return lexer.run()
    except Complaint as complaint:
        complaint.statement = lexer.statement(complaint.span.start)
        raise


class _Lexer:
    def __init__(self, text: str, pattern: Scanner) -> None:
        self.text = text
        self.pattern = pattern
        self.tokens: list[Token] = []
        self.words: dict[str, tuple[int, str, str]] = {}  # as written -> what to do, terminal and spelling
        self.open: list[Token] = []
        self.first = 0  # index of the first token of the statement
        self.macro: Token | None = None  # the @ode_def being read
        self.place = "native"  # native | header (@ode_def Name begin) | block | tail (behind end)
        self.line_ended = False
        self.started = False  # comments are understood

    def run(self) -> list[Token]:
        tokens, words, opened = self.tokens, self.words, self.open
        text = _without_block_comments(self.text)
        self.started = True
        pieces = self.pattern.pieces.findall(text)
        for piece, end in zip(pieces, accumulate(map(len, pieces)), strict=True):
            known = words.get(piece)
            if known is None:
                known = words[piece] = self.word(piece)
            way, kind, value = known
            if way == _SKIPPED:
                continue
            if kind == "NEWLINE":
                self.line_ended = not opened
                if opened and opened[-1].type == "BAR":
                    raise self.never_closed(opened[-1])
                continue
            token = Token(kind, value, end - len(piece), end)  # the same string for every place of a name
            if kind == "PRIMED" and len(value) > MAX_ORDER:
                base, order = split_primes(value)
                if order > MAX_ORDER:
                    raise order_too_high(base, split_primes(piece)[1], token.span)
            if way != _OTHER and not self.line_ended and tokens and tokens[-1].type != "NUMBER":
                # most tokens: nothing but their kind matters
                if way == _PLAIN or (way == _NAME and self.place == "native"):
                    tokens.append(token)
                    continue
                if way == _OPEN and len(opened) < MAX_NESTING:
                    opened.append(token)
                    tokens.append(token)
                    continue
                if way == _CLOSE and opened and opened[-1].type == "_LPAR":
                    opened.pop()
                    tokens.append(token)
                    continue
            if kind == "SEMICOLON":
                self.semicolon(token.start)
                continue
            if kind == "SUPERSCRIPT":
                self.superscript(token)
                continue
            if kind == "BAR" or (kind == "JULIA" and self.bars(token)):
                for at in range(token.start, token.end):
                    self.bar(Token("_LPAR", "|", at, at + 1))
                continue
            if kind == "JULIA":
                if value == "!" and _BANG.match(text, token.start) and tokens and tokens[-1].end == token.start:
                    continue  # lv! = @ode_def ...
                self.julia(token)
            elif kind == "BAD" and value == "." and self.place == "block" and text.startswith(_DOTTED, token.end):
                continue  # .* of numbers is *
            elif kind == "BAD":
                self.bad(token)
            elif kind == "PRIME":
                self.prime(token)
            self.start_line(token)
            self.add(token)
        self.finish()
        return self.tokens

    def start_line(self, token: Token) -> None:
        """The first token behind a line's end may begin a statement."""
        if self.line_ended:
            self.line_ended = False
            if not self.goes_on(token):
                self.end_statement(token.start)

    def statement(self, position: int) -> int | None:
        """Where the statement begins that cannot be read at `position`; None where nothing behind it can be read."""
        if not self.started or self.place not in ("native", "block") or position == getattr(self.macro, "start", None):
            return None
        line = self.text.rfind("\n", 0, position) + 1
        if self.open and self.open[0].start < line:
            return line  # a bracket of an earlier line is not closed, and the line is a statement of its own
        return self.tokens[self.first].start if self.first < len(self.tokens) else position

    def word(self, piece: str) -> tuple[int, str, str]:
        """(what to do with a piece, its terminal, its spelling)."""
        match = self.pattern.kind.match(piece)
        assert match is not None and match.lastgroup is not None
        kind, value = match.lastgroup, piece
        if kind == "NAME":
            kind, value = _word(piece)
            return _NAME, kind, value
        if kind == "PRIMED":
            base, order = split_primes(piece)
            value = normalise(base) + "'" * min(order, MAX_ORDER + 1)
        return _WAYS.get(kind, _OTHER), kind, value

    def goes_on(self, token: Token) -> bool:
        """Whether the statement before a newline continues with `token` on the next line."""
        if self.first == len(self.tokens) or self.place == "header":
            return True
        if self.tokens[-1].type == "_EQ" and _DECLARES.match(self.text, token.start):
            return False
        if self.tokens[-1].type in _GOES_ON_AFTER or token.type in _GOES_ON_BEFORE:
            return True
        return token.value == "for" and _LOOP.match(self.text, token.start) is not None

    def add(self, token: Token) -> None:
        tokens, kind = self.tokens, token.type
        last = tokens[-1] if tokens else None
        if kind in _OPENS:
            if len(self.open) >= MAX_NESTING:
                raise Complaint(
                    f"brackets are nested more than {MAX_NESTING} deep",
                    token.span,
                    "name the inner parts: part = ...",
                )
            self.open.append(token)
        elif kind in _CLOSES:
            self.close(token)
        if last is not None and last.type == "NUMBER" and last.end == token.start:
            self.adjacent(last, token)
        behind = last is not None and last.type == "_RPAR" and last.end == token.start
        if behind and kind == "NAME" and self.place == "block":  # Julia's (a + b)x and exp(-t)sin(t)
            tokens.append(Token("_GLUED", "", token.start, token.start))
        if kind == "NAME":
            if self.place == "header":
                kind = token.type = self.header_word(token)
            elif self.place == "block" and not self.open and token.value == "end":
                if self.first < len(tokens):
                    self.end_statement(token.start)
                token.type = "_END"
                self.place = "tail"
        elif kind == "_MACRO":
            if self.macro is not None and self.place != "native":
                raise Complaint("an @ode_def cannot stand inside another", token.span)
            self.macro = token
            self.place = "header"
        elif kind == "_EQ" and self.place == "tail":
            token.type = "EQUALS"
        tokens.append(token)
        if kind == "BEGIN":
            self.place = "block"
            self.first = len(tokens)

    def header_word(self, token: Token) -> str:
        if token.value == "begin":
            return "BEGIN"
        if self.tokens[-1].type == "_MACRO":
            return "NAME"
        raise Complaint("`begin` is missing behind @ode_def", token.span, "write @ode_def Name begin ... end a b c")

    def semicolon(self, start: int) -> None:
        if self.open:
            bracket = self.open[-1]
            if "\n" in self.text[bracket.start : start]:
                raise self.never_closed(bracket)
            raise Complaint(
                f"`;` inside `{bracket.value}`",
                Span(start, start + 1),
                f"close the `{bracket.value}` first, or separate with a comma",
            )
        if self.first < len(self.tokens):
            self.end_statement(start)

    def end_statement(self, position: int) -> None:
        """Close the statement that began at `self.first`: mark its keywords, add `_SEP`."""
        if self.place == "header":
            return
        if self.place != "tail":
            mark_statement(self.tokens, self.first, loops="for" in self.words)
            self.separate()
        else:
            self.place = "native"
        self.tokens.append(Token("_SEP", "", position, position))
        self.first = len(self.tokens)

    def separate(self) -> None:
        """`S(0) = 999, I(0) = 1`: commas between equations end statements as `;` does."""
        while "," in self.words:
            comma = next_equation(self.tokens, self.first)
            if comma is None:
                return
            self.tokens[comma] = Token("_SEP", ",", *self.tokens[comma].span)
            self.first = comma + 1
            mark_statement(self.tokens, self.first, loops="for" in self.words)

    def finish(self) -> None:
        end = len(self.text)
        if self.open:
            raise self.never_closed(self.open[-1])
        if self.place in ("header", "block"):
            assert self.macro is not None
            word = "begin" if self.place == "header" else "end"
            raise Complaint(
                f"this @ode_def has no `{word}`", self.macro.span, "write @ode_def Name begin ... end a b c"
            )
        if self.first < len(self.tokens):
            self.end_statement(end)

    # ------------------------------------------------------------ brackets and numbers

    def never_closed(self, bracket: Token) -> Complaint:
        return Complaint(f"this `{bracket.value}` is never closed", bracket.span)

    def close(self, token: Token) -> None:
        if not self.open:
            raise Complaint(f"`{token.value}` closes nothing: no bracket is open here", token.span)
        opening = self.open.pop()
        if opening.type != _CLOSES[token.type]:
            if "\n" in self.text[opening.start : token.start]:
                raise self.never_closed(opening)
            raise Complaint(
                f"`{token.value}` does not close the `{opening.value}` opened before it",
                token.span,
                "every bracket is closed by its own kind, innermost first",
            )

    def adjacent(self, number: Token, token: Token) -> None:
        """A number with something glued to it: `2x`, `2(x + y)`, `1.2.3`, `1_000`, `0x1F`."""
        if token.type == "NUMBER" and self.text[token.start] == "ℯ":
            number.type = "COEFFICIENT"
            return
        if token.type == "NUMBER":
            raise Complaint(
                f"`{number.value}{token.value}` is not a number",
                Span(number.start, token.end),
                "write it as 1.5 or 2e-3",
            )
        if token.type not in ("NAME", "PRIMED", "_LPAR", "_ROOT", "CBRT"):
            return
        whole = Span(number.start, token.end)
        if token.value.startswith("_"):
            digits = number.value + token.value.replace("_", "")
            raise Complaint(f"`{number.value}{token.value}` is not a number", whole, f"write {digits}")
        if number.value == "0" and re.fullmatch(r"[xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+", token.value):
            raise Complaint("numbers are decimal here", whole, f"write {int(number.value + token.value, 0)}")
        before = self.tokens[-2] if len(self.tokens) > 1 else None
        if before is not None and self.place == "native":
            if before.type in ("PLUS", "MINUS") and len(self.tokens) > 2 and self.tokens[-3].type == "POW":
                before = self.tokens[-3]
            if before.type == "POW" and self.tokens[self.first : -2] and self.tokens[-3].value == "d":
                pass  # d^2x/dt^2
            elif before.type in ("DIVIDE", "POW"):
                other = "(...)" if token.type == "_LPAR" else token.value
                sign = before.value
                called = self.tokens[-3].value if len(self.tokens) > 2 else ""
                if sign == "^" and token.type == "_LPAR" and called in BUILTINS:
                    raise Complaint(
                        f"`{called}^{number.value}(` is no power of a function here",
                        Span(self.tokens[-3].start, token.end),
                        f"write {called}(...)^{number.value}",
                    )
                raise Complaint(
                    f"`{before.value}{number.value}{token.value}` can be read in two ways",
                    Span(before.start, token.end),
                    f"write {sign}({number.value}*{other}), or {sign}{number.value}*{other}",
                )
        number.type = "COEFFICIENT"

    # ------------------------------------------------------------ characters

    def julia(self, token: Token) -> None:
        if self.place == "block":
            token.type = _JULIA_ONLY[token.value]
            return
        hints = {
            "&&": "write `and`",
            "||": "write `or`",
            "!": "write `not`",
            "//": "write `/`; for whole division write floor(a/b)",
        }
        raise Complaint(f"`{token.value}` is not an operator of this language", token.span, hints[token.value])

    def superscript(self, token: Token) -> None:
        """`(a + b)²`, `u[i]²`, `10⁻³`: a power.  Behind a letter it is part of the name."""
        last = self.tokens[-1] if self.tokens else None
        if last is None or self.line_ended or last.type not in OPERAND_END or last.end != token.start:
            token.value = token.value[-1]
            self.bad(token)
        sign = {"⁻": "MINUS", "⁺": "PLUS"}.get(token.value[0])
        at = token.start
        self.tokens.append(Token("POW", "^", at, at))
        if sign is not None:
            self.tokens.append(Token(sign, "-" if sign == "MINUS" else "+", at, at + 1))
            at += 1
        self.tokens.append(Token("NUMBER", digits(self.text[at : token.end]), at, token.end))

    def after_operand(self) -> bool:
        """Does an operand of the statement stand right before?"""
        return self.first < len(self.tokens) and self.tokens[-1].type in OPERAND_END

    def bars(self, token: Token) -> bool:
        """Is `||` two bars of absolute values?"""
        if token.value != "||" or self.place != "native":
            return False
        return bool(self.open and self.open[-1].type == "BAR") or not self.after_operand() or self.line_ended

    def bar(self, token: Token) -> None:
        """`|x|` is abs(x): a bar behind an operand closes, another one opens."""
        self.start_line(token)
        operand = self.after_operand()
        if operand and self.open and self.open[-1].type == "BAR":
            self.open.pop()
            token.type = "_RPAR"
            self.tokens.append(token)
            return
        operand = operand and self.tokens[-1].type != "NUMBER" and self.tokens[-1].value not in _BEFORE_OPERANDS
        if self.place != "native" or operand:
            self.bad(token)
        self.add(Token("NAME", "abs", token.start, token.start))
        self.add(token)
        self.open[-1] = Token("BAR", "|", token.start, token.end)

    def misplaced_prime(self, token: Token) -> Complaint:
        last = self.tokens[-1]
        name = self.tokens[self.first].value
        if last.type == "_RPAR" and self.tokens[self.first].type == "NAME":
            return Complaint("the prime stands behind the name", token.span, f"write {name}' = ...")
        return Complaint("this prime belongs to no name", token.span, _CHARACTERS["'"])

    def prime(self, token: Token) -> None:
        """The prime of `u[i]'`; elsewhere primes belong to the name before them."""
        if not self.tokens or self.tokens[-1].type != "_RSQB" or self.first == len(self.tokens):
            self.bad(token)
        order = split_primes(token.value)[1]
        if order > MAX_ORDER:
            raise order_too_high("u[i]", order, token.span)
        token.value = "'" * order

    def bad(self, token: Token) -> None:
        char = token.value[0]
        head = self.tokens[self.first] if self.first < len(self.tokens) else None
        if head is not None:
            reserved_statement(self.tokens, self.first, found=char)
            if char in PRIMES:
                raise self.misplaced_prime(token)
        raise Complaint(f"the character {_shown(char)} has no meaning here", token.span, _CHARACTERS.get(char))


def _word(text: str) -> tuple[str, str]:
    """(type, value) of a word: Newton's dots, `ẋ` and `θ̈`, are primes, and Julia's `ℯ` is a number."""
    value = normalise(text)
    if not text.isascii():
        if value == "ℯ":
            return "NUMBER", repr(math.e)
        base, order = split_dots(value)
        if order:
            return "PRIMED", base + "'" * order
    return RESERVED_WORDS.get(text, "NAME"), value


_CHARACTERS = {
    "&": "write `and`",
    "|": "write abs(x) or |x| for an absolute value, `or` between conditions",
    "¨": "write x'' for a second derivative",
    "¬": "write `not`",
    "∧": "write `and`",
    "∨": "write `or`",
    "%": "write mod(a, b) for a remainder; comments begin with `#`",
    "@": "the macros of this language are @ode_def Name begin ... end a b c, and @stiff before a term",
    '"': "names and numbers are written without quotes",
    "“": "names and numbers are written without quotes",
    "”": "names and numbers are written without quotes",
    "'": "a prime belongs right behind a name: x'",
    "`": "names are written without quotes",
    "$": "formulas are written without $",
    "\\": "write Greek letters as such (α) or spelled out (alpha), and functions without backslash",
    ".": "a dot belongs to a number (0.5); write x^2 and x*y without dots",
    "~": "write `=` between the two sides of an equation",
    "÷": "write `/`",
    "±": "choose a sign",
    "∞": "write inf",
    "∂": "write x' or dx/dt; partial derivatives are not part of this language",
    "∇": "spatial derivatives are not part of this language",
    "⩵": "write `==`",
    "∈": "write `in`: for i in 1..N",
    "…": "a range is written with two dots: 1..N",
    "≈": "write `=`",
    "–": "this is a dash; write the minus sign `-`",
    "—": "this is a dash; write the minus sign `-`",
    "∫": "write the integral as a state: I' = integrand; I(0) = 0",
    "∑": "write sum(u[i] for i in 1..N)",
    "∏": "write prod(u[i] for i in 1..N)",
}


def _shown(char: str) -> str:
    return f"`{char}`" if char.isprintable() else f"U+{ord(char):04X}"


def _without_block_comments(text: str) -> str:
    """`text` with Julia's `#= ... =#` replaced by spaces of the same length."""
    if "#=" not in text:
        return text
    parts: list[str] = []
    position = 0
    while True:
        start = text.find("#", position)
        if start < 0:
            break
        end = block_comment_end(text, start)
        if end is None:
            line = text.find("\n", start)
            line = len(text) if line < 0 else line
            parts.append(text[position:line])
            position = line
            continue
        parts.append(text[position:start])
        parts.append(" " * (end - start))
        position = end
    parts.append(text[position:])
    return "".join(parts)


def block_comment_end(text: str, start: int) -> int | None:
    """Where the comment `#= ... =#` at `start` ends; None where `#` opens a comment up to the end of its line."""
    if not text.startswith("#=", start) or _is_banner(text, start):
        return None
    return _end_of_block_comment(text, start)


def _is_banner(text: str, start: int) -> bool:
    """A line such as `#======== Equations` that opens no comment: nothing closes it."""
    return text.startswith("#==", start) and text.find("=#", start + 2) < 0


def _end_of_block_comment(text: str, start: int) -> int:
    depth = 0
    for match in _BLOCK_COMMENT.finditer(text, start):
        if match.group() == "#=":
            depth += 1
        elif match.group() == "=#":
            depth -= 1
            if depth == 0:
                return match.end()
    raise Complaint("this comment `#=` is never closed by `=#`", Span(start, start + 2))
