"""An error that knows its place but not yet its text.

Raised while tokens and trees are made, where the source is not at hand;
`located` turns it into the `ModelError` the user sees.
"""

from __future__ import annotations

from ..errors import ModelError, SyntaxModelError
from .ast import Span


class Complaint(Exception):
    """`message` and `hint` in the user's terms, at `span`, to become an error of class `kind`."""

    def __init__(
        self, message: str, span: Span, hint: str | None = None, kind: type[ModelError] = SyntaxModelError
    ) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint
        self.kind = kind

    def located(self, source: str, filename: str | None) -> ModelError:
        """The error with file, line, column and caret."""
        return self.kind(
            self.message,
            hint=self.hint,
            source=source,
            start=self.span.start,
            end=self.span.end,
            filename=filename,
        )
