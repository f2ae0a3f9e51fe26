"""The parser's tables: built from the grammar once, then read from a cache on disk.

The grammar lies inside the installed package, or at the top of a checkout.
The cache holds plain data only (no code can be loaded from it), under a name
made of the grammar's and lark's version, with a checksum; anything wrong with
it and the tables are built again, which takes about 0.1 s.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pickle
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .lalr import Driver
from .lexer import scanner
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
        self.pattern: re.Pattern[str] = scanner({t.name: t.pattern.to_regexp() for t in lark.terminals})


@functools.cache
def tables() -> Tables:
    """The tables of this process: from the cache, else from the grammar."""
    import lark

    text = grammar_text()
    key = hashlib.sha256(f"{_FORMAT} {lark.__version__} {sys.version_info[:2]} {text}".encode()).hexdigest()[:24]
    folder = cache_folder()
    path = None if folder is None else folder / f"grammar-{key}.tables"
    data = None if path is None else _read(path)
    if data is not None:
        with contextlib.suppress(KeyError, TypeError, AttributeError, IndexError, ValueError, AssertionError):
            loaded = lark.Lark.__new__(lark.Lark)
            return Tables(loaded._load(data, transformer=Builder()))
    built = lark.Lark(text, transformer=Builder(), **_OPTIONS)
    if path is not None:
        _write(path, built)
    return Tables(built)


def grammar_text() -> str:
    """The text of grammar/sciml.lark."""
    inside = resources.files("sciml_dsl") / "grammar" / "sciml.lark"
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "grammar" / "sciml.lark").read_text(encoding="utf-8")


def cache_folder() -> Path | None:
    """Where this user's caches of the package lie; `SCIML_DSL_CACHE` overrides it, empty means none."""
    chosen = os.environ.get("SCIML_DSL_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "sciml_dsl" if base and os.path.isabs(base) else None


class _PlainData(pickle.Unpickler):
    """Reads lists, dicts, strings and numbers; refuses every class and function."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in parser tables")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:32], content[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    try:
        data = _PlainData(io.BytesIO(payload)).load()
    except (pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return data if isinstance(data, dict) else None


def _write(path: Path, lark: Lark) -> None:
    """Put the tables in their place in one move; a folder that cannot be written only costs time."""
    buffer = io.BytesIO()
    lark.save(buffer, exclude_options={"transformer"})
    payload = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
