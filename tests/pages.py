"""Fenced blocks of Markdown pages: found, run, and given back with what they print.

A page is one session: its Python blocks share names, and files one block writes the next may
read.  The info string says what a block is:

    python          run; an error of the package is printed as `Kind: message`
    sciml           a complete model, read
    sciml part      some statements, only parsed
    sciml error     a text that must be refused; its message is what it prints
    console         commands behind `$ `, `sciml-dsl ...`; other lines are what they print
    slow            (behind one of these) takes long; not run among the fast tests

A `text` block right behind a block holds what it prints.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sciml_dsl as sd
from sciml_dsl.cli import main
from sciml_dsl.language.parse import parse

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
RUNNABLE = ("python", "sciml", "console")


@dataclass(frozen=True)
class Block:
    """One block: its info string in words, its text, line, and the output that the page shows."""

    words: tuple[str, ...]
    text: str
    line: int
    expected: str | None

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def slow(self) -> bool:
        return "slow" in self.words


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that can be run."""
    source = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(source))
    result = []
    for match, after in zip_longest(found, found[1:]):
        words = tuple(match[1].split())
        if not words or words[0] not in RUNNABLE:
            continue
        expected = None
        if after is not None and after[1].strip() == "text" and not source[match.end() : after.start()].strip():
            expected = after[2]
        result.append(Block(words, match[2], source.count("\n", 0, match.start()) + 2, expected))
    return result


def run(page: Path, *, slow: bool) -> Iterator[tuple[Block, str, str]]:
    """Run a page in the current directory; gives (block, expected, got) one by one."""
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.slow and not slow:
            continue
        if block.kind == "python":
            yield block, block.expected or "", _python(block, page, names)
        elif block.kind == "console":
            for command, expected in _commands(block.text):
                yield block, expected, _command(command)
        else:
            yield block, block.expected or "", _model(block)


def agrees(expected: str, got: str) -> bool:
    """Whether output is what the page shows; `...` there stands for anything, blanks do not count."""
    return doctest.OutputChecker().check_output(expected, got, _FLAGS)


def _python(block: Block, page: Path, names: dict[str, Any]) -> str:
    out = io.StringIO()
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    with contextlib.redirect_stdout(out):
        try:
            exec(code, names)
        except sd.SciMLError as error:
            if block.expected is None:
                raise
            print(f"{type(error).__name__}: {error}")
    return out.getvalue()


def _model(block: Block) -> str:
    if "part" in block.words:
        parse(block.text)
        return ""
    try:
        sd.model(block.text)
    except sd.ModelError as error:
        if "error" not in block.words:
            raise
        return f"{error}\n"
    assert "error" not in block.words, f"line {block.line}: this text should be refused"
    return ""


def _commands(text: str) -> Iterator[tuple[str, str]]:
    command, shown = None, []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, "\n".join(shown)
            command, shown = line[2:], []
        else:
            shown.append(line)
    if command is not None:
        yield command, "\n".join(shown)


def _command(line: str) -> str:
    program, *args = shlex.split(line)
    assert program == "sciml-dsl", line
    out, status = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main.main(args)
        except SystemExit as end:
            status = int(end.code or 0)
    return out.getvalue() + (f"exit status {status}\n" if status else "")
