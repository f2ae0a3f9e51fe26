"""The token: a terminal of the grammar with its text and place."""

from __future__ import annotations

from .ast import Span

OPERAND_END = frozenset({"NUMBER", "NAME", "PRIMED", "_RPAR", "_RSQB", "PRIME"})
"""Terminals an operand may end with."""

OPENING = frozenset({"_LPAR", "_LSQB", "_LBRACE"})
CLOSING = frozenset({"_RPAR", "_RSQB", "_RBRACE"})


class Token:
    """What lark's parser needs of a token (`type`), what we need of it, and nothing else."""

    __slots__ = ("end", "start", "type", "value")

    def __init__(self, type: str, value: str, start: int, end: int) -> None:
        self.type = type
        self.value = value
        self.start = start
        self.end = end

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    def __repr__(self) -> str:
        return f"Token({self.type}, {self.value!r}, {self.start}, {self.end})"
