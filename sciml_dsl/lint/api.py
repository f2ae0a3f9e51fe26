"""`lint`: a model in, its warnings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..language.ast import Binary, Call, postorder
from ..language.names import BUILTINS
from ..language.parse import parse
from ..model.notation import plain_document
from ..model.resolve import resolve
from ..model.spec import ModelSpec
from . import declared, ranges, writing
from .subject import NOWHERE, Found, Subject
from .warning import LintWarning, located


def lint(spec: ModelSpec) -> tuple[LintWarning, ...]:
    """What looks wrong in a model, in the order of the text.

    Arguments: `spec`, from text or sympy.  Places are those of the text the model
    was read from; for a model that came from sympy or was changed since, those of
    its own text (`str(model)`).  Returns a `LintWarning` for each finding, none where
    nothing looks wrong.  The codes are in `lint.warning.CODES`.

    >>> import sciml_dsl as sd
    >>> for warning in lint(sd.model("x' = -k*x; param k = 1, b = 2").spec):
    ...     print(warning.code, warning.line, warning.column)
    unused-parameter 1 25
    """
    subject = _subject(spec)
    found = [warning for rule in RULES for warning in rule(subject)]
    found.sort(key=lambda f: (f.span.start, f.code))
    return tuple(
        located(f.code, f.message, f.span, f.hint, subject.source, subject.spec.filename) for f in dict.fromkeys(found)
    )


def removable(s: Subject) -> Iterator[Found]:
    """Quotients whose 0/0 the compiled model replaces by its limit."""
    divides = calls = False
    for expr, _ in s.expressions():
        for node in postorder(expr):
            divides = divides or (isinstance(node, Binary) and node.op == "/")
            calls = calls or (isinstance(node, Call) and node.func in BUILTINS)
    if not (divides and calls):
        return
    from ..graph.build import repaired

    for node in repaired(s.spec):
        span = node.span or NOWHERE
        yield Found(
            "removable-singularity",
            f"`{s.shown(span)}` is 0/0 at one point; its limit is computed there, and a series close to it",
            span,
            "nothing needs mending here; programs that evaluate the formula as written need the same care",
        )


Rule = Callable[[Subject], Iterator[Found]]
RULES: tuple[Rule, ...] = (
    declared.unused,
    declared.unused_states,
    declared.shadowed,
    declared.no_default,
    declared.events,
    ranges.negative_arguments,
    ranges.zero_bounds,
    writing.terms,
    writing.equality,
    writing.division,
    removable,
)
"""Every rule; each looks at the whole model and yields what it finds."""


def _subject(spec: ModelSpec) -> Subject:
    """The model with the text that its places refer to."""
    if spec.source is not None:
        document = parse(spec.source, spec.filename)
        read = resolve(document)
        if read == replace(spec, weights=()):
            return Subject(read, plain_document(document))
    from ..codegen.sciml import emit

    text = emit(spec)
    document = parse(text, None)
    return Subject(resolve(document), document)
