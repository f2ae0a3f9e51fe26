"""All complaints about a model while its names are resolved.

`Problems.attempt` does one piece of work and keeps its complaint instead of raising
it, unless that only follows from an earlier one: from a statement that could not be
read, or from a name that is already known to have no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import ModelError
from ..language.ast import Span
from ..language.complaint import MOST_ERRORS, Complaint, all_errors
from ..language.names import normalise, split_dots, split_primes, words
from ..language.syntax import Document

P = ParamSpec("P")
R = TypeVar("R")

NOWHERE = Span(0, 0)
_ELEMENT = re.compile(r"[^\s()\[\]+\-*/^=<>,:;]+\s*(?:\[.*\]|\(.*\))?['′’″‴]*", re.DOTALL)


class Enough(Exception):
    """Nothing further is to be found, or there are too many problems to look on."""


class Problems:
    """The complaints about one document so far, and the names whose meaning they leave open.

    A model that is not made of text has no places: there the first complaint is raised.
    """

    def __init__(self, document: Document) -> None:
        self.source = document.source
        self.filename = document.filename
        self.found: list[Complaint] = list(document.problems)
        self.unclear: set[str] = set(document.unclear)
        if not document.complete:
            raise self.error()

    def attempt(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The result of the work, or None where there is a complaint about it."""
        try:
            return work(*args, **kwargs)
        except Complaint as complaint:
            self.report(complaint)
            return None

    def report(self, complaint: Complaint) -> None:
        """Keep a complaint, unless it follows from what is known to be wrong."""
        if self.source is None:
            raise complaint
        if not self._follows(complaint):
            self.found.append(complaint)
            if len(self.found) >= MOST_ERRORS:
                raise Enough

    def without_meaning(self, complaint: Complaint) -> bool:
        """Report that a name means nothing; True where the work may go on as if it did."""
        if complaint.about is None or complaint.about in self.unclear or self.source is None:
            return False
        self.report(complaint)
        self.unclear.add(complaint.about)
        return True

    def _follows(self, complaint: Complaint) -> bool:
        """Is all that is complained of a name, or an element or call of it, that has no clear meaning?"""
        if not self.unclear or self.source is None:
            return False
        place = self.source[complaint.span.start : complaint.span.end].strip()
        if not _ELEMENT.fullmatch(place):
            return False
        head = words(place)[:1]
        if not head:
            return False
        name = normalise(head[0])
        return bool({name, split_primes(name)[0], split_dots(name)[0]} & self.unclear)

    def error(self) -> ModelError:
        """The error that stands for all complaints."""
        if self.source is None or all(complaint.span == NOWHERE for complaint in self.found):
            first = self.found[0]
            return first.kind(first.message, hint=first.hint, filename=self.filename)
        return all_errors([c for c in self.found if c.span != NOWHERE], self.source, self.filename)
