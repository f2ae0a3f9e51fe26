"""`parse`: text -> `Document`.

Tokens of the lexer run through lark's LALR tables (`lalr`), whose reductions
build the statements directly.  What goes wrong on the way becomes a
`SyntaxModelError` in the user's terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..collector import uncollected
from ..errors import SyntaxModelError
from .complaint import Complaint, all_errors
from .lalr import UnexpectedAt
from .lexer import tokenize
from .syntax import Definition, Document, Statement
from .tokens import Token

if TYPE_CHECKING:
    from .tables import Tables

MAX_CHARACTERS = 64_000_000


@uncollected
def parse(text: str, filename: str | None = None, *, tolerant: bool = False) -> Document:
    """Parse the text of a model; names are not looked up yet.

    Arguments: `text`, at most 64 million characters; `filename`, shown in errors;
    `tolerant`, what is wrong goes into the document's `problems` instead of being raised,
    and the other statements are there.  Returns the statements in their order.  Raises
    `SyntaxModelError` where the text does not follow the grammar, `ReservedError` for
    constructions that are not built yet; `errors` of it are all that were found.

    >>> parse("x' = -k*x; param k = 1").statements[0].order
    1
    """
    if not isinstance(text, str):
        raise SyntaxModelError(
            f"the text of a model must be a str, not {type(text).__name__}",
            hint="read a file with sciml_dsl.load(path)",
        )
    if len(text) > MAX_CHARACTERS:
        raise SyntaxModelError(
            f"the text has {len(text):,} characters; {MAX_CHARACTERS:,} is the most that is read", filename=filename
        )
    if text.startswith("\ufeff"):
        text = " " + text[1:]  # a byte order mark; offsets stay right
    from .tables import tables

    ready = tables()
    try:
        tokens = tokenize(text, ready.pattern)
        statements = read_statements(tokens, ready)
    except Complaint:
        if "@ode_def" in text:
            from .julia_script import around_macro

            julia = around_macro(text)
            if julia is not None:
                raise all_errors([julia], text, filename) from None
        from .recover import recover

        document = recover(text, filename, ready)
        if tolerant:
            return document
        raise all_errors(document.problems, text, filename) from None
    macro = "@ode_def" in text and any(token.type == "_MACRO" for token in tokens)
    return Document(tuple(statements), text, filename, macro)


def parse_expression(text: str) -> Document:
    """Parse one expression, `0.8*x*y`; the document holds one definition, of the name `term`.

    Raises `SyntaxModelError` where the text is anything else.
    """
    document = parse(f"term = {text}")
    if len(document.statements) != 1 or not isinstance(document.statements[0], Definition):
        raise SyntaxModelError("one expression is expected here", hint="write it without `=` and without `;`")
    return document


def read_statements(tokens: list[Token], ready: Tables) -> list[Statement]:
    try:
        return cast("list[Statement]", ready.driver.run(tokens))
    except UnexpectedAt as problem:
        from .diagnose import diagnose

        # lark's own parser is asked once more, up to the place, for what it could have taken there
        parser = ready.lark.parse_interactive()
        feed: Any = parser.parser_state.feed_token
        for token in tokens[: problem.index]:
            feed(token)
        complaint = diagnose(tokens, problem.index, parser.accepts())
        complaint.statement = tokens[min(problem.index, len(tokens) - 1)].start if tokens else None
        raise complaint from None
