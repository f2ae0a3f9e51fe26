"""The formatter: the text of a model, laid out one way.

Takes text that parses, gives text with the same tokens: only blanks, line ends
and empty statements change.  Line breaks, comments, the grouping by blank
lines, the spelling of names and operators, and the dialect (@ode_def stays
@ode_def) are the author's.  The result is read again and compared with the
input before it is given back.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from ..errors import SciMLError
from .lexer import block_comment_end, tokenize
from .parse import parse
from .tables import tables
from .tokens import CLOSING, OPENING, OPERAND_END, Token

INDENT = "  "  # of the lines of an @ode_def
CONTINUED = "    "  # of the further lines of a statement
_TIGHT = frozenset({"TIMES", "DIVIDE", "POW", "FATARROW", "EQUALS"})
_GLUED_AFTER = _TIGHT | {"_LPAR", "_LSQB", "_ROOT", "CBRT", "COEFFICIENT", "_GLUED", "_DOTS"}
_GLUED_BEFORE = _TIGHT | {"_GLUED", "_RPAR", "_RSQB", "_COMMA", "_ALSO", "_DOTS", "PRIME"}
_SIGNS = frozenset({"PLUS", "MINUS"})
_ENDS_RANGE = frozenset({"_ALSO", "_COMMA", "_FOR", "_COLON"})
_CLOSING_LINE = CLOSING | {"BEGIN"}  # tokens that, first in their line, stand where the statement began
_GAP = re.compile(r"\n|;|#")


def format_text(text: str, filename: str | None = None) -> str:
    """`text` laid out: one space around `=`, `+`, `-` and comparisons, none around `*`, `/`, `^`.

    Arguments: `text` of a model in any dialect; `filename`, shown in errors.
    Returns the text with one line feed at its end; formatting it again changes
    nothing.  Blank lines come singly, comments behind statements on consecutive
    lines stand below each other, lines of an @ode_def are indented by two
    columns, further lines of a statement by four.  No line is broken or joined.
    Raises `SyntaxModelError` or `ReservedError` where the text does not parse.

    >>> print(format_text("x'=-k *x+ 1   #decay\\n\\n\\nparam k=2 in[0,3]"), end="")
    x' = -k*x + 1  #decay
    <BLANKLINE>
    param k = 2 in [0, 3]
    """
    parse(text, filename)
    if text.startswith("\ufeff"):
        text = text[1:]
    tokens = tokenize(text, tables().pattern)
    result = _written(_lines(_pieces(text, tokens)))
    if _content(result) != _content(text):
        raise SciMLError(
            "the formatter would have changed what this text says, so it changed nothing; please report it"
        )
    return result


def _content(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """What a text says: its tokens and its comments."""
    tokens = tokenize(text, tables().pattern)
    comments = [piece.text for piece in _pieces(text, tokens) if piece.kind in ("line", "block")]
    return [(token.type, token.value) for token in tokens], comments


# ---------------------------------------------------------------- pieces


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token or what stands between two; `space` is what separates a token from the one before in its line."""

    kind: str  # "token" | "newline" | "semicolon" | "line" (a comment to the end of its line) | "block" (#= ... =#)
    text: str = ""
    space: str = ""
    type: str = ""
    continued: bool = False  # the statement began before this piece
    in_block: bool = False  # between `begin` and `end`


def _gap(text: str, start: int, stop: int) -> list[_Piece]:
    """What stands between two tokens, blanks left out."""
    pieces: list[_Piece] = []
    while (match := _GAP.search(text, start, stop)) is not None:
        at, start = match.start(), match.end()
        if match.group() == "\n":
            pieces.append(_Piece("newline"))
        elif match.group() == ";":
            pieces.append(_Piece("semicolon"))
        else:
            end = block_comment_end(text, at)
            kind = "line" if end is None else "block"
            if end is None:
                end = text.find("\n", at, stop)
                end = stop if end < 0 else end
            pieces.append(_Piece(kind, text[at:end].rstrip()))
            start = end
    return pieces


def _pieces(text: str, tokens: list[Token]) -> list[_Piece]:
    """All tokens and comments of `text`, each knowing whether it continues a statement."""
    pieces: list[_Piece] = []
    spacing = _Spacing()
    position, begun, block = 0, False, False
    for token in tokens:
        if token.type == "_SEP":
            if token.value:  # the comma between two equations
                gap = _gap(text, position, token.start)
                pieces += [replace(piece, continued=begun, in_block=block) for piece in gap]
                pieces.append(_Piece("semicolon", token.value))
                position = token.end
            begun = False
            spacing = _Spacing()
            continue
        closes = token.type == "_END"
        begun = begun and not closes
        gap = _gap(text, position, token.start)
        pieces += [replace(piece, continued=begun, in_block=block) for piece in gap]
        block = block and not closes
        raw = text[token.start : token.end]
        piece = _Piece("token", raw, spacing.before(token, raw), token.type, begun, block)
        pieces.append(piece)
        position, begun = token.end, True
        if token.type == "BEGIN":
            begun, block = False, True
            spacing = _Spacing()
    return pieces + _gap(text, position, len(text))


class _Spacing:
    """What stands before each token of one statement."""

    def __init__(self) -> None:
        self.last = ""  # type of the token before
        self.glued = False  # the token before is a sign or `!` of what follows
        self.depth = 0
        self.loop = False  # behind `for`
        self.questions: list[int] = []  # depth of each `?` whose `:` is to come
        self.whole: list[int] = []  # depths at which subscripts and ranges began: no blanks around + and - there

    def before(self, token: Token, raw: str) -> str:
        kind, last = token.type, self.last
        sign = kind in _SIGNS and last not in OPERAND_END
        ternary = kind == "_COLON" and bool(self.questions) and self.questions[-1] == self.depth
        if self.whole and self.whole[-1] == self.depth and kind in _ENDS_RANGE:
            self.whole.pop()
        space = self._between(last, kind, ternary)
        if kind in OPENING:
            self.depth += 1
            if kind == "_LSQB" and last in ("NAME", "PRIMED"):
                self.whole.append(self.depth)
        elif kind in CLOSING:
            if self.whole and self.whole[-1] == self.depth:
                self.whole.pop()
            self.depth -= 1
        elif kind == "_IN" and self.loop:
            self.whole.append(self.depth)
        elif kind == "_QUERY":
            self.questions.append(self.depth)
        elif ternary:
            self.questions.pop()
        self.loop = self.loop or kind == "_FOR"
        self.glued = sign or raw == "!"
        self.last = kind
        return space

    def _between(self, last: str, kind: str, ternary: bool) -> str:
        if last == "_LBRACE" or kind == "_RBRACE":
            return "" if last == "_LBRACE" and kind == "_RBRACE" else " "
        if not last or self.glued or last in _GLUED_AFTER or kind in _GLUED_BEFORE:
            return ""
        if kind == "_COLON":
            return " " if ternary else ""
        if self.whole and last != "_IN" and (kind in _SIGNS or last in _SIGNS):
            return ""
        if kind == "_LPAR" and (last in ("NAME", "PRIMED", "PRIME") or last == "_RSQB"):
            return ""
        if kind == "_LSQB" and last in ("NAME", "PRIMED", "_RPAR"):
            return ""
        return " "


# ---------------------------------------------------------------- lines


@dataclass
class _Line:
    """A line to be written: `code`, and behind it a `comment`; both empty for a blank line."""

    indent: str = ""
    code: str = ""
    comment: str = ""
    continued: bool = False
    first: str = ""  # type of the first token
    last: str = ""  # type of the last token

    @property
    def blank(self) -> bool:
        return not self.code and not self.comment


def _lines(pieces: list[_Piece]) -> list[_Line]:
    lines: list[_Line] = []
    start = 0
    for position, piece in enumerate([*pieces, _Piece("newline")]):
        if piece.kind == "newline":
            lines.append(_line(pieces[start:position], piece.continued))
            start = position + 1
    kept: list[_Line] = []
    for position, line in enumerate(lines):
        if line.blank:
            after = next((other for other in lines[position + 1 :] if not other.blank), None)
            if not kept or kept[-1].blank or kept[-1].last == "BEGIN" or line.continued:
                continue
            if after is None or after.first == "_END":
                continue
        kept.append(line)
    return kept


def _line(pieces: list[_Piece], continued: bool) -> _Line:
    if not pieces:
        return _Line(continued=continued)
    head = pieces[0]
    line = _Line(INDENT if head.in_block else "", continued=head.continued)
    if head.continued and head.type not in _CLOSING_LINE:
        line.indent += CONTINUED
    last_token = max((i for i, piece in enumerate(pieces) if piece.kind == "token"), default=-1)
    owed = ""  # what must stand before the next piece of code
    for position, piece in enumerate(pieces):
        if piece.kind == "line":
            line.comment = piece.text
        elif piece.kind == "semicolon":
            if piece.text:  # a comma between equations stays, at the end of a line too
                line.code += piece.text
                owed = " "
            elif line.last and position < last_token and not owed.startswith(";"):
                owed = "; "
        elif piece.kind == "block":
            line.code += (owed or " " if line.code else "") + piece.text
            owed = " "
        else:
            line.code += (owed or piece.space or (" " if not piece.continued else "")) if line.code else ""
            line.code += piece.text
            line.first, line.last, owed = line.first or piece.type, piece.type, ""
    return line


def _written(lines: list[_Line]) -> str:
    out: list[str] = []
    position = 0
    while position < len(lines):
        stop = position
        while stop < len(lines) and lines[stop].code and lines[stop].comment and "\n" not in lines[stop].code:
            stop += 1
        stop = max(stop, position + 1)
        group = lines[position:stop]
        width = max(_width(line.indent + line.code) for line in group)
        for line in group:
            text = line.indent + line.code
            if line.comment and line.code:
                text += " " * (width - _width(text) if len(group) > 1 else 0) + "  "
            out.append(text + line.comment if not line.blank else "")
        position = stop
    return "\n".join(out) + "\n" if out else ""


def _width(text: str) -> int:
    """Columns `text` takes on a screen."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
