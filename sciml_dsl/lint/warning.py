"""A warning as data, and the table of all codes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ModelError
from ..language.ast import Span

CODES = {
    "ambiguous-division": "a division that is easily read in another way: `1/2x`, `x^1/2`",
    "cancelling-terms": "two terms that cancel: `x - x`, `x/x`",
    "division-by-zero-bound": "division by a parameter whose bounds contain 0",
    "event-never-fires": "an event whose condition never changes, or whose times are none",
    "float-equality": "`==` or `!=` between numbers that vary, inside an expression",
    "missing-default": "a parameter without a default",
    "possibly-negative-log": "the logarithm of something that may become negative",
    "possibly-negative-power": "a power with an exponent that is not whole, of something that may become negative",
    "possibly-negative-root": "the root of something that may become negative",
    "removable-singularity": "a 0/0 with a limit, which is computed as that limit",
    "repeated-term": "the same term twice in one sum",
    "shadowed-constant": "a name that hides `e`, `pi` or the time `t`",
    "unused-argument": "an argument that its function does not use",
    "unused-constant": "a constant used nowhere",
    "unused-function": "a function called nowhere",
    "unused-network": "a declared network called nowhere",
    "unused-input": "an input used nowhere",
    "unused-parameter": "a parameter used nowhere",
    "unused-state": "a state in no other equation, observable or event, in a model that says what it observes",
}
"""Every code with what it stands for."""


@dataclass(frozen=True, slots=True)
class LintWarning:
    """Something that is allowed and looks wrong.

    Attributes: `code`, one of `CODES`; `message`, what is wrong; `hint`, what to
    write instead (or None); `line` and `column`, counted from 1; `start` and `end`,
    character offsets in the text; `filename` (or None).  `str()` shows it with the
    line and a caret.
    """

    code: str
    message: str
    hint: str | None
    line: int
    column: int
    start: int
    end: int
    filename: str | None
    shown: str

    def __str__(self) -> str:
        return self.shown

    def to_dict(self) -> dict[str, Any]:
        """The attributes as a dict, for JSON."""
        values = asdict(self)
        del values["shown"]
        return values


def located(code: str, message: str, span: Span, hint: str | None, source: str, filename: str | None) -> LintWarning:
    """The warning at `span` of `source`."""
    assert code in CODES
    # the line and caret are those of an error
    place = ModelError(
        f"warning: {message} [{code}]", hint=hint, source=source, start=span.start, end=span.end, filename=filename
    )
    assert place.line is not None and place.column is not None
    return LintWarning(code, message, hint, place.line, place.column, span.start, span.end, filename, str(place))
