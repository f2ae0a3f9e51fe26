"""The parser's tables: built from the grammar once, then read from a cache on disk.

The grammar lies inside the installed package, or at the top of a checkout.
The cache holds plain data only (no code can be loaded from it), under a name
made of the grammar's and lark's version, with a checksum; anything wrong with
it and the tables are built again, which takes about 0.1 s.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import cache
from .lalr import Driver
from .lexer import Scanner, scanner
from .transform import Builder

if TYPE_CHECKING:
    from lark import Lark

_OPTIONS: dict[str, Any] = {"parser": "lalr", "lexer": "basic", "maybe_placeholders": True}
_FORMAT = 1  # change when the layout of the cached file changes


class Tables:
    """A parser, the loop that runs it, and the pattern its tokens are found by."""

    def __init__(self, lark: Lark) -> None:
        self.lark = lark
        self.driver = Driver(lark)
        self.pattern: Scanner = scanner({t.name: t.pattern.to_regexp() for t in lark.terminals})


@functools.cache
def tables() -> Tables:
    """The tables of this process: from the cache, else from the grammar."""
    import lark

    text = grammar_text()
    name = cache.key(str(_FORMAT), lark.__version__, str(sys.version_info[:2]), text)
    data = _read(name)
    if data is not None:
        with contextlib.suppress(KeyError, TypeError, AttributeError, IndexError, ValueError, AssertionError):
            loaded = lark.Lark.__new__(lark.Lark)
            return Tables(loaded._load(data, transformer=Builder()))
    built = lark.Lark(text, transformer=Builder(), **_OPTIONS)
    _write(name, built)
    return Tables(built)


def grammar_text() -> str:
    """The text of grammar/sciml.lark."""
    inside = resources.files("sciml_dsl") / "grammar" / "sciml.lark"
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "grammar" / "sciml.lark").read_text(encoding="utf-8")


class _PlainData(pickle.Unpickler):
    """Reads lists, dicts, strings and numbers; refuses every class and function."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in parser tables")


def _read(name: str) -> dict[str, Any] | None:
    payload = cache.read("grammar", name)
    if payload is None:
        return None
    try:
        data = _PlainData(io.BytesIO(payload)).load()
    except (pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return data if isinstance(data, dict) else None


def _write(name: str, lark: Lark) -> None:
    buffer = io.BytesIO()
    lark.save(buffer, exclude_options={"transformer"})
    cache.write("grammar", name, buffer.getvalue())
