"""An error that knows its place but not yet its text.

Raised while tokens and trees are made, where the source is not at hand;
`located` turns it into the `ModelError` the user sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ModelError, SyntaxModelError
from .ast import Span
from .names import MAX_ORDER

MOST_ERRORS = 20
"""Of one text, so many errors are looked for."""


class Complaint(Exception):
    """`message` and `hint` in the user's terms, at `span`, to become an error of class `kind`.

    `about` is the name that has no meaning, where that is all that is wrong: the search for
    further errors goes on as if it had one.  `statement` is a place in the statement that could
    not be read, where the parser knows it better than `span` says.
    """

    def __init__(
        self,
        message: str,
        span: Span,
        hint: str | None = None,
        kind: type[ModelError] = SyntaxModelError,
        about: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint
        self.kind = kind
        self.about = about
        self.statement: int | None = None

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


def order_too_high(name: str, order: int, span: Span) -> Complaint:
    """A derivative of more orders than a model may have states for."""
    return Complaint(
        f"a derivative of order {order:,}: {MAX_ORDER} is the highest",
        span,
        f"every order is a state of its own; write a chain of so many as an array, {name}[i]' = {name}[i+1]"
        if "[" not in name
        else "every order is a state of its own; write a chain of so many as an array of one more dimension",
    )


def all_errors(complaints: Sequence[Complaint], source: str, filename: str | None) -> ModelError:
    """The error that stands for all complaints about a text, in the order of their places."""
    places = {(c.span, c.message): c for c in sorted(complaints, key=lambda c: c.span)}
    errors = [complaint.located(source, filename) for complaint in places.values()]
    enough = len(complaints) >= MOST_ERRORS
    return ModelError.together(errors, f"{len(errors)} errors are shown; there may be more" if enough else "")
