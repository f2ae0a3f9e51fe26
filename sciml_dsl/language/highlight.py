"""Colours for models: a Pygments lexer, found by Pygments under the name `sciml`.

Takes text, gives Pygments tokens; Sphinx, Jupyter, `rich` and others colour code
blocks with it.  What is a keyword follows `language.keywords`: `at`, `in`, `end`
... are names away from their places.  Editors use grammar/sciml.tmLanguage.json,
which says the same in TextMate's form.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, Whitespace

from .names import BUILTINS, INFINITY, MATH_CONSTANTS, PIECES, STEPS
from .superscripts import PATTERN

_NAME = (
    r"(?![\xb2\xb3\xb9\u2070-\u208e])(?:[^\W\d]|[\U0001F300-\U0001FAFF])"
    r"[\w\u0300-\u036f\u207a-\u207e\u208a-\u208e\u221e\ufe0f\U0001F300-\U0001FAFF]*"
)
_HOW = "(?:linear|constant|cubic|hold)"
_PRIME = "['′’″‴]"


class SciMLLexer(RegexLexer):
    """Models of sciml_dsl, in the native form and as Julia's `@ode_def`.

    >>> from pygments.token import Name
    >>> (Name.Variable, "x'") in list(SciMLLexer().get_tokens("x' = -k*x"))
    True
    """

    name = "SciML model"
    aliases: ClassVar[list[str]] = ["sciml"]
    filenames: ClassVar[list[str]] = ["*.sciml"]
    mimetypes: ClassVar[list[str]] = ["text/x-sciml"]

    tokens: ClassVar[dict[str, object]] = {
        "root": [
            (r"#=", Comment.Multiline, "comment"),
            (r"#[^\n]*", Comment.Single),
            (r"@ode_def(?:_bare|_all|_nojac|_noinvjac|_nohes|_noinvhes)?(?!\w)", Keyword),
            (r"@stiff(?!\w)", Keyword.Pseudo),
            (r"(?<![^\n;])([^\S\n]*)(model)([^\S\n]+)(" + _NAME + ")",
             bygroups(Whitespace, Keyword.Declaration, Whitespace, Name.Class)),
            (r"(?<![^\n;])([^\S\n]*)(param|const|input)(?=[^\S\n]+[^\W\d])", bygroups(Whitespace, Keyword.Declaration)),
            (r"(?<![^\n;])([^\S\n]*)(neural)([^\S\n]+)(" + _NAME + ")",
             bygroups(Whitespace, Keyword.Declaration, Whitespace, Name.Function)),
            (r"(?<![^\n;])([^\S\n]*)(when|at|every)(?=[^\S\n]*[^\s=+\-*/](?:[^\n=]*:|[^\n]*[<>=]=[^\n]*:))",
             bygroups(Whitespace, Keyword)),
            (r"[^\S\n]+|\n", Whitespace),
            (r"\b(from|until)(?=\s+[^=\s])", Keyword),
            (r"(?<=[\w\]] )" + _HOW + r"(?=\s*(?:,|;|#|$|\n|=\s*\[)|\s+(?:" + _HOW + r"|from)\b)", Keyword),
            (r"\bin(?=\s*(?:log\s*)?\[)", Keyword),
            (r"\blog(?=\s*(?:\[|,|;|#|$|\n)|[^\S\n]+for\b)", Keyword),
            (r"\b(begin|end)(?=\s|;|$)(?!\s*=)", Keyword),
            (r"\bterminate\b(?!\s*[=(])", Keyword),
            (r"\bfor(?=[^\S\n]+[^\W\d]\w*[^\S\n]+in\b)", Keyword),
            (r"\bin(?=[^\S\n]+[^\s=+*/)\]][^\n]*?\.\.)", Keyword),
            (r"\b(?:if|then|else)\b", Keyword),
            (r"\b(?:and|or|not)\b", Operator.Word),
            (r"\b(hidden|activation)(?=\s*=)", Name.Attribute),
            (words(sorted({*BUILTINS, *PIECES, *STEPS}), prefix=r"\b", suffix=r"(?=\s*\()"), Name.Builtin),
            (r"\bNN(?:[0-9₀-₉]*|_\w+)(?=\s*\()", Name.Function.Magic),
            (r"d\(" + _NAME + r"\)/dt\b|\bd" + _NAME + r"/dt\b", Name.Variable),
            (_NAME + _PRIME + "+", Name.Variable),
            (r"\b(sum|prod)(?=\s*\([^\n]*\bfor\b)", Name.Builtin),
            (_NAME + r"(?=[^\S\n]*\[[^\[\]\n]*\][^\S\n]*" + _PRIME + ")", Name.Variable),
            (r"(?<=[\])\s])" + _PRIME + "+", Name.Variable),
            (_NAME + r"(?=\s*\()", Name.Function),
            (words(sorted(INFINITY | MATH_CONSTANTS.keys() | {"t"}), prefix=r"\b", suffix=r"\b(?![\u0300-\u036f])"),
             Name.Constant),
            (_NAME, Name),
            (r"(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", Number),
            (r"\.\.|=>|->|[<>=!]=|&&|//|\*\*|[+\-*/]=|[-+*/^=<>≤≥≠·⋅×∗−√∛?!]", Operator),
            (PATTERN, Number),
            (r"[()\[\]{},:;|]", Punctuation),
        ],
        "comment": [
            (r"#=", Comment.Multiline, "#push"),
            (r"=#", Comment.Multiline, "#pop"),
            (r"[^#=]+|[#=]", Comment.Multiline),
        ],
    }  # fmt: skip
