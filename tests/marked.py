"""Texts with the wrong place between ⟦ and ⟧, and the check that the error points at just that."""

from __future__ import annotations

import pytest

import sciml_dsl as sd


def check(marked: str, kind: type[Exception], message: str, hint: str) -> None:
    """Read the text: it must be refused by `kind` with these words, at the marked place, with a caret as wide as it."""
    start = marked.index("⟦")
    text = marked.replace("⟦", "").replace("⟧", "")
    with pytest.raises(sd.ModelError) as caught:
        sd.model(text, "my.sciml")
    error = caught.value
    assert type(error) is kind, error
    assert message in error.message, error
    assert hint in (error.hint or ""), error
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    assert (error.line, error.column) == (line, column), error
    assert f"my.sciml:{line}:{column}: " in str(error)
    caret = next(row for row in str(error).split("\n") if set(row.split("| ")[-1].strip()) == {"^"})
    width = marked.index("⟧") - start - 1
    assert caret.count("^") == width or "\n" in marked, error
