"""`sciml-dsl fmt`: lay out the text of models one way."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..files import decoded, read_text, write_text
from .console import echo_json, json_option

_STDIN = "-"


@click.command("fmt")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--check", is_flag=True, help="Write nothing; exit with status 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@json_option
def command(files: tuple[Path, ...], check: bool, diff: bool, as_json: bool) -> int:
    """Format the models in FILES in place; `-` formats stdin to stdout.

    Only blanks and blank lines change: comments, line breaks, names and the dialect stay as written.
    Where one of the files cannot be parsed, none is changed.
    """
    if as_json and Path(_STDIN) in files:
        raise click.UsageError("--json goes with files, not with `-`")
    texts = [_read(file) for file in dict.fromkeys(files)]
    results = [(file, old, _format(old, file)) for file, old in zip(dict.fromkeys(files), texts, strict=True)]
    changed = [(file, old, new) for file, old, new in results if old != new]
    for file, old, new in results:
        if diff and old != new:
            click.echo(_diff(file, old, new), nl=False, err=as_json)
        elif str(file) == _STDIN and not (check or diff):
            click.echo(new, nl=False)
        elif old != new and not (check or diff):
            write_text(file, new)
    if as_json:
        echo_json({"files": [{"file": str(file), "changed": old != new} for file, old, new in results]})
    elif not (diff and not check):
        word = "would change" if check else "formatted"
        for file, _, _ in changed:
            if str(file) != _STDIN or check:
                click.echo(f"{word} {_shown(file)}", err=True)
    return 1 if check and changed else 0


def _read(file: Path) -> str:
    if str(file) != _STDIN:
        return read_text(file)
    return decoded(sys.stdin.buffer.read(), "stdin")


def _format(text: str, file: Path) -> str:
    from ..language.format import format_text

    return format_text(text, _shown(file))


def _diff(file: Path, old: str, new: str) -> str:
    import difflib

    before, after = (text.splitlines(keepends=True) for text in (old, new))
    lines = difflib.unified_diff(before, after, f"{_shown(file)}", f"{_shown(file)} (formatted)")
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _shown(file: Path) -> str:
    return "<stdin>" if str(file) == _STDIN else str(file)
