"""Texts read with clear errors, files written whole or not at all.

Results go first into a temporary file beside their destination, which then
takes its name in one step: a crash or a full disk leaves the old file as it
was.  `check_output` finds out before long work whether that will be possible.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import InputError, clipped

MAX_BYTES = 256_000_000


def read_text(path: str | os.PathLike[str]) -> str:
    """The UTF-8 text in the file at `path`, line ends as they stand.

    Raises:
        InputError: there is no such file, it cannot be read, is not UTF-8, or has
            more than 256 million bytes.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f'a path is expected, not {type(path).__name__}\n  hint: write load("model.sciml")')
    shown = os.fspath(path)
    if not isinstance(shown, str):
        shown = os.fsdecode(shown)
    if "\0" in shown:
        raise InputError(f"`{clipped(shown)!r}` is not the name of a file: it holds a zero byte")
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"there is no file `{shown}`") from None
    except OSError as problem:
        raise InputError(f"the file `{shown}` cannot be read: {problem.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"the file `{shown}` is too large for a model (more than {MAX_BYTES:,} bytes)")
    return decoded(content, f"the file `{shown}`")


def decoded(content: bytes, what: str) -> str:
    """`content` as text, or an `InputError` naming `what` and the line that is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise InputError(f"{what} is not UTF-8 text (line {line}); save it as UTF-8") from None


def check_output(path: str | Path, inputs: Iterable[str | Path] = ()) -> Path:
    """`path` as a `Path`, or an `InputError` saying why no file can be written there.

    Arguments:
        path: where a result shall be written.
        inputs: files that are read in the same run; a result must not replace them.

    Example:
        >>> check_output("result.csv").name
        'result.csv'
    """
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise InputError(f"cannot write {path}: the directory {folder} {what}\n  hint: mkdir -p {folder}")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a directory\n  hint: name a file in it")
    if not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        raise InputError(f"cannot write {path}: no permission to write in {folder}")
    for given in inputs:
        if path.exists() and Path(given).exists() and path.samefile(given):
            raise InputError(f"cannot write {path}: that is the input {given}\n  hint: give the result another name")
    return path


def write_with(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file, then give it the name `path` in one step.

    Arguments:
        path: where the file shall stand; its directory must exist.
        write: called with the path of the temporary file, which has the same
            suffix; what it raises passes through, and nothing is left behind.

    Returns:
        `path`.

    Raises:
        InputError: the place cannot be written to.
    """
    path = check_output(path)
    target = path.resolve()  # a link keeps pointing where it did
    if target.exists() and not target.is_file():
        write(target)  # a device or a pipe: there is nothing to replace
        return path
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:  # a full disk, a name too long, a file system that takes no files
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` in UTF-8, whole or not at all.

    Example:
        >>> write_text("note.txt", "done").read_text()
        'done'
    """

    def fill(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    return write_with(path, fill)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
