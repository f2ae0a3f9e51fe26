"""Every error a user of sciml_dsl can meet.

    SciMLError                      base of all
    ├── ModelError (ValueError)     the model itself is wrong; has file, line, column, hint
    │   ├── SyntaxModelError        the text does not follow the grammar
    │   ├── NameModelError          a name is not defined, defined twice, or not a function
    │   ├── ReservedError           a construction of the language that is not built yet
    │   └── UnsupportedError        a target or method cannot express this model
    ├── InputError (ValueError)     arguments of a call do not fit the model
    │   ├── MissingValueError       an initial value or parameter has no number
    │   ├── UnknownNameError        a key or column names nothing in the model
    │   └── DataError               a table is empty, NaN in time, not increasing, too short
    └── SolveError (RuntimeError)   an integration failed where its result was required
        ├── NonFiniteError          an equation or loss became NaN or infinite
        └── FitError                no start of a fit gave a finite loss
    KeyboardInterrupt
    └── SolveInterrupted            Ctrl-C during an integration; `solution` has what was computed

Messages say what is wrong in the user's terms, where, and what to write
instead (`hint`).  The command line prints them without a traceback and exits
with status 2.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any


class SciMLError(Exception):
    """Base of every error of this package."""


class SolveInterrupted(KeyboardInterrupt):
    """The user interrupted an integration (Ctrl-C); `solution` is what was computed until then, or None."""

    def __init__(self, message: str = "interrupted", solution: Any = None) -> None:
        super().__init__(message)
        self.solution = solution


class ModelError(SciMLError, ValueError):
    """The model is wrong.  Raised while text or sympy expressions are read.

    Arguments: `message` (what is wrong), `hint` (what to write instead), and the
    place: `source` text with `start` and `end` offsets, and `filename`.
    `line` and `column` count from 1.

    A text may hold several errors: `errors` are all that were found, in the order of
    the text, each by itself.  The error raised is the first of them; printed, it shows all.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        source: str | None = None,
        start: int | None = None,
        end: int | None = None,
        filename: str | None = None,
    ) -> None:
        self.message = message
        self.hint = hint
        self.filename = filename
        self.line: int | None = None
        self.column: int | None = None
        shown = message
        if source is not None and start is not None:
            start = max(0, min(start, len(source)))
            self.line = source.count("\n", 0, start) + 1
            first = source.rfind("\n", 0, start) + 1
            self.column = start - first + 1
            last = source.find("\n", first)
            last = len(source) if last < 0 else last
            shown = self._with_caret(message, source[first:last], start - first, (end or start + 1) - first)
        elif filename is not None:
            shown = f"{filename}: {message}"
        if hint:
            shown = f"{shown}\n  hint: {hint}"
        super().__init__(shown)
        self._all: tuple[ModelError, ...] = ()

    @property
    def errors(self) -> tuple[ModelError, ...]:
        """All errors found in the text, in its order; of a single error, that one."""
        return self._all or (self,)

    @classmethod
    def together(cls, errors: Sequence[ModelError], note: str = "") -> ModelError:
        """One error that stands for several: it is the first of them and prints all; `note` ends the text."""
        if len(errors) == 1 and not note:
            return errors[0]
        first = errors[0]
        error = _rebuild(type(first), ("\n\n".join([*map(str, errors), *([note] if note else [])]),), first.__dict__)
        error._all = tuple(errors)
        return error

    def _with_caret(self, message: str, line: str, start: int, end: int) -> str:
        left = max(0, start - 60)  # a window, so a very long line stays readable
        end = max(start + 1, min(end, len(line)))
        window = line[left : left + 100]
        before = "".join(c if c == "\t" else " " * _width(c) for c in line[left:start])
        carets = "^" * max(1, sum(_width(c) for c in line[start : min(end, left + 100)]))
        number = str(self.line)
        margin = " " * len(number)
        place = f"{self.filename or '<model>'}:{self.line}:{self.column}"
        return f"{place}: {message}\n {number} | {window}\n {margin} | {before}{carets}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(cls: type[ModelError], args: tuple[object, ...], state: dict[str, object]) -> ModelError:
    error = cls.__new__(cls)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class SyntaxModelError(ModelError):
    """The text does not follow the grammar."""


class NameModelError(ModelError):
    """A name is undefined, defined twice, or used as what it is not."""


class ReservedError(ModelError):
    """A construction reserved by the language that is not built yet."""


class UnsupportedError(ModelError):
    """A target or method cannot express this model."""


class InputError(SciMLError, ValueError):
    """Arguments of a call do not fit the model."""


class MissingValueError(InputError):
    """An initial value or a parameter has no number."""


class UnknownNameError(InputError):
    """A key, option or column names nothing known."""


class DataError(InputError):
    """A table cannot be used: empty, NaN or non-increasing time, wrong column, too few rows."""


class SolveError(SciMLError, RuntimeError):
    """An integration failed where its result was required."""


class NonFiniteError(SolveError):
    """An equation, a gradient or a loss became NaN or infinite."""


class FitError(SolveError):
    """No start of a fit gave a finite loss."""


def clipped(text: str, most: int = 80) -> str:
    """`text` as a message quotes it: of a long one, its beginning and its end.

    >>> clipped("x" * 1000, 20), clipped("short")
    ('xxxxxxxxxxx...xxxxxx', 'short')
    """
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 3]}...{text[-tail:]}"


def suggest(name: str, known: Iterable[str]) -> str | None:
    """A did-you-mean hint for `name` among `known`, or None when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    if not close:
        return None
    return "did you mean " + " or ".join(f"`{c}`" for c in close) + "?"
