"""All complaints about a text that does not parse, and the statements that do.

A statement that cannot be read is blanked out, so that places stay what they are,
and the rest is read again, until nothing is wrong or enough is.  Names in what was
blanked out are remembered: whatever is said of them elsewhere cannot be judged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .ast import Span
from .complaint import MOST_ERRORS, Complaint
from .lexer import tokenize
from .names import normalise, split_dots, split_primes, words
from .parse import read_statements
from .syntax import Document
from .tokens import Token

if TYPE_CHECKING:
    from .tables import Tables

MAX_CHARACTERS = 2_000_000  # of a text that is read several times
_ENDS_OPEN = re.compile(r"[-+*/^=<>,(\[{]\s*\Z|\b(?:and|or|not|then|else)\s*\Z")
_MACRO_END = re.compile(r"\b(?:begin|end)\b")
_GOES_ON = re.compile(r"\s*(?:[-+*/^=<>)\]},]|(?:and|or|then|else)\b)")


def recover(text: str, filename: str | None, ready: Tables) -> Document:
    """The document of a text with errors: its `problems`, and the statements that could be read."""
    problems: list[Complaint] = []
    unclear: set[str] = set()
    left = text
    while True:
        tokens: list[Token] = []
        try:
            tokens = tokenize(left, ready.pattern)
            statements = read_statements(tokens, ready)
        except Complaint as complaint:
            problems.append(complaint)
            region = _statement(left, tokens, complaint)
            blank = region is None or not left[region.start : region.end].strip()
            torn = region is not None and "@ode_def" in text and _MACRO_END.search(left, region.start, region.end)
            if region is None or blank or torn or len(problems) >= MOST_ERRORS or len(text) > MAX_CHARACTERS:
                return Document((), text, filename, False, tuple(problems), frozenset(unclear), complete=False)
            cut = left[region.start : region.end]
            unclear |= _names(cut)
            left = left[: region.start] + re.sub(r"[^\n]", " ", cut) + left[region.end :]
            continue
        macro = any(token.type == "_MACRO" for token in tokens)
        return Document(tuple(statements), text, filename, macro, tuple(problems), frozenset(unclear))


def _statement(text: str, tokens: list[Token], complaint: Complaint) -> Span | None:
    """The statement that a complaint is about; None where the text cannot be read without it."""
    if not tokens:  # the lexer did not come to the end
        if complaint.statement is None:
            return None
        start, span = complaint.statement, complaint.span
        if start > span.start:  # a bracket was open from there on
            start = text.rfind("\n", 0, span.start) + 1
        if text[span.start : span.end] in ("(", "[", "{", "|"):  # never closed: only its own line is lost
            return Span(start, (text + "\n").index("\n", span.end))
        return Span(start, _end(text, span.end))
    place = complaint.span.start if complaint.statement is None else complaint.statement
    first = 0
    for at, token in enumerate(tokens):
        if token.type not in ("_SEP", "BEGIN"):
            continue
        if place <= token.start:
            part = tokens[first:at]
            if token.type == "BEGIN" or not part or any(t.type in ("_MACRO", "_END") for t in part):
                return None
            # what stands behind a comma may belong to it
            last = next(k for k in range(at, len(tokens)) if tokens[k].type == "_SEP" and not tokens[k].value)
            return Span(part[0].start, tokens[last - 1].end)
        first = at + 1
    return None


def _end(text: str, position: int) -> int:
    """Where a statement that goes over `position` seems to end."""
    while True:
        end = re.compile(r"[\n;]").search(text, position)
        if end is None:
            return len(text)
        stop = end.start()
        line = text[text.rfind("\n", 0, stop) + 1 : stop].partition("#")[0]
        if text[stop] == ";" or not (_ENDS_OPEN.search(line) or _GOES_ON.match(text, stop + 1)):
            return stop
        position = stop + 1


def _names(cut: str) -> set[str]:
    """What may have been meant to be defined there: every word, and `x` of `x'`, `ẋ` and `dx`."""
    found: set[str] = set()
    for word in words(cut):
        name = split_dots(normalise(split_primes(word)[0]))[0]
        found |= {word, name}
        if name.startswith("d") and len(name) > 1:
            found.add(name[1:])
    return found
