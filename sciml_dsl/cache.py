"""What the package keeps on disk because making it again takes time: parser tables, machine code.

Takes a key and bytes, gives the bytes back, or None.  Nothing here is needed for
an answer: a folder that cannot be read or written, a damaged file, a file of
somebody else only cost the time of making its content again.  An entry is
written whole or not at all (so any number of processes may share the folder),
carries its own key and a checksum, and is read only where nobody but its owner
could have written it.  The folder's size is bounded; what was not used for
longest goes first.

`SCIML_DSL_CACHE` names another folder, empty means none; `SCIML_DSL_CACHE_SIZE` is
the bound in megabytes (default 256).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

MAGIC = b"sciml_dsl cache 1\n"
SUFFIX = ".cached"
DEFAULT_MEGABYTES = 256.0
LARGEST_FILES = 4000
STALE = 3600.0
"""Seconds after which a file that was never finished is removed."""

_written = 0  # bytes since the folder's size was last looked at


def folder() -> Path | None:
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


def key(*parts: str | bytes) -> str:
    """A key made of everything an entry depends on.

    >>> key("a", "b") == key("ab"), len(key("a"))
    (False, 64)
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def read(kind: str, name: str) -> bytes | None:
    """The entry `name` (a key) of a `kind`, or None where there is none that can be trusted."""
    place = folder()
    if place is None:
        return None
    path = place / _filename(kind, name)
    try:
        # never through a link, which may lead into a folder of somebody else
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    try:
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or not _ours(found) or not _private(place):
                return None
            content = file.read()
    except OSError:
        return None
    payload = _unpack(kind, name, content)
    if payload is None:
        _remove(path)
    elif time.time() - found.st_mtime > STALE:
        with contextlib.suppress(OSError):
            os.utime(path)  # used: it goes last when room is made
    return payload


def write(kind: str, name: str, payload: bytes) -> bool:
    """Keep `payload` under `name`; whether that was possible."""
    place = folder()
    if place is None:
        return False
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _private(place):
            return False
        handle, temporary = tempfile.mkstemp(dir=place, prefix="unfinished-")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_pack(kind, name, payload))
        os.replace(temporary, place / _filename(kind, name))
    except OSError:
        _remove(Path(temporary))
        return False
    _make_room(place, len(payload))
    return True


def _filename(kind: str, name: str) -> str:
    if not (kind.isascii() and kind.isalpha() and name and set(name) <= set("0123456789abcdef")):
        raise ValueError(f"{kind!r}, {name!r} is no key")  # no text of a model ever becomes a path
    return f"{kind}-{name}{SUFFIX}"


def _pack(kind: str, name: str, payload: bytes) -> bytes:
    head = MAGIC + f"{kind} {name} {len(payload)}\n".encode()
    return head + hashlib.sha256(head + payload).digest() + payload


def _unpack(kind: str, name: str, content: bytes) -> bytes | None:
    """The payload of an entry that is whole and is the one asked for."""
    end = content.find(b"\n", len(MAGIC)) + 1
    head, digest, payload = content[:end], content[end : end + 32], content[end + 32 :]
    if head != MAGIC + f"{kind} {name} {len(payload)}\n".encode():
        return None
    return payload if hashlib.sha256(head + payload).digest() == digest else None


def _ours(found: os.stat_result) -> bool:
    """Written by this user or the administrator, and by nobody else."""
    if os.name != "posix":
        return True
    return found.st_uid in (os.geteuid(), 0) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _private(place: Path) -> bool:
    try:
        return _ours(os.stat(place))
    except OSError:
        return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def limit() -> float:
    """The most bytes the folder may hold."""
    try:
        megabytes = float(os.environ["SCIML_DSL_CACHE_SIZE"])
    except (KeyError, ValueError):
        megabytes = DEFAULT_MEGABYTES
    return max(megabytes, 0.0) * 1e6


def _make_room(place: Path, added: int) -> None:
    """Now and then: remove what was not used for longest until the folder is a quarter below its bound."""
    global _written
    if _written == 0 or _written + added > limit() / 16:
        _written = 0
        _evict(place)
    _written += max(added, 1)


def _evict(place: Path) -> None:
    bound, now = limit(), time.time()
    entries: list[tuple[float, int, Path]] = []
    try:
        with os.scandir(place) as files:
            for file in files:
                try:
                    found = file.stat(follow_symlinks=False)
                except OSError:
                    continue
                if file.name.startswith("unfinished-"):
                    if now - found.st_mtime > STALE:
                        _remove(Path(file.path))
                elif file.name.endswith(SUFFIX):
                    entries.append((found.st_mtime, found.st_size, Path(file.path)))
    except OSError:
        return
    total, count = sum(size for _, size, _ in entries), len(entries)
    if total <= bound and count <= LARGEST_FILES:
        return
    for _, size, path in sorted(entries):
        if total <= 0.75 * bound and count <= 0.75 * LARGEST_FILES:
            break
        _remove(path)
        total, count = total - size, count - 1
