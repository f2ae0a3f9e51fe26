"""The Pygments lexer and the TextMate grammar: every character of every model has a colour."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, _TokenType

from sciml_dsl.language.highlight import SciMLLexer
from sciml_dsl.language.names import BUILTINS
from tests.test_language_fuzz import STATEMENTS

ROOT = Path(__file__).parent.parent
GRAMMAR = json.loads((ROOT / "grammar" / "sciml.tmLanguage.json").read_text(encoding="utf-8"))
TEXTS = {p.stem: p.read_text(encoding="utf-8") for p in sorted((ROOT / "examples").glob("*.sciml"))}
TEXTS |= {f"statement {i}": text for i, text in enumerate(STATEMENTS)}
TEXTS["arrays"] = (
    "u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 for i in 2..N-1  # rows\nθ[i, j]'' = 1 for i in 1..N, j in 1..N\n"
    "param k[1..3] = 1 in [0, 2] log, A[i] = i log for i in 1..3\ns = sum(u[i] for i in 1..N)/prod(k[i] for i in 1..3)"
)
TEXTS["printed"] = (
    "x' = (a + b)²*|x| - ||x|-1|³ + 10⁻³*sin²(x) + piecewise(x < 1, 2, 3), y' = heaviside(t); x(0) = 1, y(0) = 2\n"
    "@ode_def A begin\n d🐁 = -🐁*🐈\n 🐈' = 🐁\nend"
)
TEXTS["signs"] = (
    "input u = [(0, 1), (2, -3)] constant hold, T from temp cubic\n"
    "x'' = √(y)·2 − z^-2 ≥ 1 ? a : b\nd(x)/dt = !(a && b) || c // d  #= in #= deep =# =# + x₁⁺\n#==== banner"
)


def pygments(text: str) -> list[tuple[_TokenType, str]]:
    return [(kind, part) for kind, part in SciMLLexer(ensurenl=False, stripnl=False).get_tokens(text) if part.strip()]


@pytest.mark.parametrize("name", [n for n in TEXTS if n != "signs"])
def test_pygments_knows_every_character(name):
    tokens = list(SciMLLexer(ensurenl=False, stripnl=False).get_tokens(TEXTS[name]))
    assert "".join(part for _, part in tokens) == TEXTS[name]
    assert not [part for kind, part in tokens if kind in Error]


def test_pygments_tells_what_is_what():
    text = (
        "model Prey  # why\nx' = 2α*x - NN(x, y)/exp(t)\nparam α = 1.5e-3 in [0, inf] log\n"
        "  neural U(a) -> 1 { hidden = [4] }\nwhen x <= 0.1: y += 1, terminate\nat' = -at*log(end)"
    )
    found = pygments(text)
    for kind, part in [
        (Keyword.Declaration, "model"), (Name.Class, "Prey"), (Comment.Single, "# why"), (Name.Variable, "x'"),
        (Number, "2"), (Name, "α"), (Name.Function.Magic, "NN"), (Name.Builtin, "exp"), (Name.Constant, "t"),
        (Keyword.Declaration, "param"), (Number, "1.5e-3"), (Keyword, "in"), (Name.Constant, "inf"), (Keyword, "log"),
        (Name.Function, "U"), (Operator, "->"), (Name.Attribute, "hidden"), (Keyword, "when"), (Operator, "<="),
        (Operator, "+="), (Keyword, "terminate"), (Name.Variable, "at'"), (Name, "at"), (Name.Builtin, "log"),
        (Name, "end"),
    ]:  # fmt: skip
        assert (kind, part) in found, (kind, part)


def test_pygments_block_comments_and_julia():
    found = pygments("@ode_def A begin\n dx = -k*x #= one\n two =# + 1\nend k")
    assert [part for kind, part in found if kind is Keyword] == ["@ode_def", "begin", "end"]
    assert "".join(part for kind, part in found if kind is Comment.Multiline) == "#= one\n two =#"


def test_arrays_in_colour():
    found = pygments(TEXTS["arrays"])
    keywords = [part for kind, part in found if kind is Keyword]
    assert keywords == ["for", "in", "for", "in", "in", "in", "log", "log", "for", "in", "for", "in", "for", "in"]
    assert [part for kind, part in found if kind is Name.Variable] == ["u", "'", "θ", "''"]
    assert [part for kind, part in found if kind is Name.Builtin] == ["sum", "prod"]
    pieces = textmate(TEXTS["arrays"])
    assert [part for scope, part in pieces if scope.startswith("variable.other.derivative")] == ["u", "'", "θ", "''"]
    assert [part for scope, part in pieces if scope == "keyword.control.sciml"].count("for") == 5
    assert [part for scope, part in pieces if scope == "support.function.reduction.sciml"] == ["sum", "prod"]


def test_entry_point_leads_to_the_lexer():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["sciml"].partition(":")
    assert getattr(import_module(module), name) is SciMLLexer


# ---------------------------------------------------------------- a small reader of TextMate grammars


def textmate(text: str) -> list[tuple[str, str]]:
    """(scope, text) pieces line by line, as an editor finds them: the first pattern that matches earliest wins."""

    def rules(patterns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for rule in patterns:
            if "include" in rule:
                inner = GRAMMAR["repository"][rule["include"][1:]]
                found += rules(inner["patterns"]) if "begin" not in inner else [inner]
            else:
                found.append(rule)
        return found

    pieces: list[tuple[str, str]] = []
    stack: list[dict[str, Any]] = []
    for line in text.split("\n"):
        at = 0
        while at < len(line):
            inside = stack[-1] if stack else None
            active = rules(inside["patterns"] if inside else GRAMMAR["patterns"])
            best: tuple[int, int, re.Match[str], dict[str, Any] | None] | None = None
            if inside and (end := re.compile(inside["end"]).search(line, at)):
                best = (end.start(), -1, end, None)
            for order, rule in enumerate(active):
                match = re.compile(rule.get("match") or rule["begin"]).search(line, at)
                if match and match.end() > match.start() and (best is None or (match.start(), order) < best[:2]):
                    best = (match.start(), order, match, rule)
            scope = inside["name"] if inside else "none"
            if best is None:
                pieces.append((scope, line[at:]))
                break
            start, _, match, rule = best
            if start > at:
                pieces.append((scope, line[at:start]))
            if rule is None:
                pieces.append((scope, match.group()))
                stack.pop()
            elif "begin" in rule:
                pieces.append((rule["name"], match.group()))
                stack.append(rule)
            elif "captures" in rule:
                for number, capture in rule["captures"].items():
                    pieces.append((capture["name"], match.group(int(number))))
            else:
                pieces.append((rule["name"], match.group()))
            at = match.end()
    return pieces


@pytest.mark.parametrize("name", TEXTS)
def test_textmate_knows_every_character(name):
    pieces = textmate(TEXTS[name])
    assert not [part for scope, part in pieces if scope == "none" and part.strip()]
    assert "".join("".join(part for _, part in pieces).split()) == "".join(TEXTS[name].split())


def test_textmate_tells_what_is_what():
    pieces = textmate("param k = 1 in [0, 2]\nx' = exp(t)*NN(x) #= a\n b =#\nwhen x <= 1: y += 1\nat' = -at  # note")
    for scope, part in [
        ("keyword.declaration", "param"), ("keyword.other", "in"), ("variable.other.derivative", "x'"),
        ("support.function", "exp"), ("constant.language", "t"), ("entity.name.function.network", "NN"),
        ("comment.block", " b "), ("keyword.control.event", "when"), ("variable.other.derivative", "at'"),
        ("variable.other", "at"), ("comment.line.number-sign", "# note"), ("constant.numeric", "2"),
    ]:  # fmt: skip
        assert (f"{scope}.sciml", part) in pieces, (scope, part)


def test_textmate_lists_every_builtin():
    (rule,) = [r for r in GRAMMAR["repository"]["expressions"]["patterns"] if r["name"] == "support.function.sciml"]
    assert all(re.match(rule["match"], f"{name}(x)") for name in BUILTINS)


def test_the_grammar_ships_with_the_package():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["force-include"] == {"grammar": "sciml_dsl/grammar"}
