"""Names of the language: what a name may look like, and which names are taken.

Built-in functions with their arities stand here too, with their values in
Python's `math` for constant expressions such as `param k = sqrt(2)/3`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable

RESERVED_WORDS = {"if": "_IF", "then": "_THEN", "else": "_ELSE", "and": "AND", "or": "OR", "not": "NOT"}
"""Words that are never names, with their terminal of the grammar."""

TIME = "t"
STIFF = "@stiff"
"""The mark of a term that is to be integrated implicitly: `Call(STIFF, (term,))`, of the value of its term."""

MAX_ORDER = 100
"""The highest order of a derivative: each order below is a state of its own, named with as many primes."""

MATH_CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
INFINITY = frozenset({"inf", "Inf", "Infinity"})

PRIMES = {"'": 1, "′": 1, "’": 1, "″": 2, "‴": 3}
_NAME = re.compile(
    r"(?![\xb2\xb3\xb9\u2070-\u208e])(?:[^\W\d]|[\U0001F300-\U0001FAFF])"
    r"[\w\u0300-\u036f\u207a-\u207e\u208a-\u208e\u221e\ufe0f\U0001F300-\U0001FAFF]*"
)
_LOOKALIKES = str.maketrans({"µ": "μ", "ɛ": "ε"})  # MICRO SIGN, LATIN OPEN E: typed for Greek, as in Julia

Builtin = tuple[int, "int | None", "Callable[..., float] | None"]


def _sign(x: float) -> float:
    return 0.0 if x == 0.0 else math.copysign(1.0, x)


BUILTINS: dict[str, Builtin] = {
    "exp": (1, 1, math.exp),
    "expm1": (1, 1, math.expm1),
    "log": (1, 1, math.log),
    "ln": (1, 1, math.log),
    "log1p": (1, 1, math.log1p),
    "log2": (1, 1, math.log2),
    "log10": (1, 1, math.log10),
    "sqrt": (1, 1, math.sqrt),
    "cbrt": (1, 1, math.cbrt),
    "sin": (1, 1, math.sin),
    "cos": (1, 1, math.cos),
    "tan": (1, 1, math.tan),
    "asin": (1, 1, math.asin),
    "acos": (1, 1, math.acos),
    "atan": (1, 1, math.atan),
    "arcsin": (1, 1, math.asin),
    "arccos": (1, 1, math.acos),
    "arctan": (1, 1, math.atan),
    "sinh": (1, 1, math.sinh),
    "cosh": (1, 1, math.cosh),
    "tanh": (1, 1, math.tanh),
    "asinh": (1, 1, math.asinh),
    "acosh": (1, 1, math.acosh),
    "atanh": (1, 1, math.atanh),
    "erf": (1, 1, math.erf),
    "erfc": (1, 1, math.erfc),
    "gamma": (1, 1, math.gamma),
    "lgamma": (1, 1, math.lgamma),
    "digamma": (1, 1, None),
    "abs": (1, 1, abs),
    "sign": (1, 1, _sign),
    "floor": (1, 1, math.floor),
    "ceil": (1, 1, math.ceil),
    "mod": (2, 2, lambda a, b: a - b * math.floor(a / b)),
    "atan2": (2, 2, math.atan2),
    "pow": (2, 2, math.pow),
    "min": (2, None, min),
    "max": (2, None, max),
    "ifelse": (3, 3, lambda c, a, b: a if c else b),
}
"""Built-in functions: fewest arguments, most arguments (None = any), value at numbers."""

ELSEWHERE = {
    "hill": "x^n/(K^n + x^n)",
    "δ": "an event: at 1: x += 1",
    "dirac": "an event: at 1: x += 1",
    "DiracDelta": "an event: at 1: x += 1",
    "random": "a parameter; random numbers are not part of this language",
    "rand": "a parameter; random numbers are not part of this language",
    "ceiling": "ceil(x)",
    "round": "floor(x + 0.5)",
    "fabs": "abs(x)",
    "power": "x^y",
    "square": "x^2",
    "abs2": "x^2",
    "exp2": "2^x",
    "exp10": "10^x",
    "step": "heaviside(x), or if x > 0 then 1 else 0",
    "where": "if condition then value else other",
    "sigmoid": "1/(1 + exp(-x))",
    "logistic": "1/(1 + exp(-x))",
    "softplus": "log(1 + exp(x))",
    "relu": "max(x, 0)",
    "sin⁻¹": "asin(x)",
    "cos⁻¹": "acos(x)",
    "tan⁻¹": "atan(x)",
    "sec": "1/cos(x)",
    "csc": "1/sin(x)",
    "cot": "1/tan(x)",
    "tg": "tan(x)",
    "loggamma": "lgamma(x)",
    "sgn": "sign(x)",
    "Abs": "abs(x)",
    "Max": "max(x, y)",
    "Min": "min(x, y)",
    "Exp": "exp(x)",
    "Log": "log(x)",
    "lg": "log10(x)",
    "rem": "mod(x, y)",
}
"""Functions of other languages and what to write here."""


PIECES = ("piecewise", "Piecewise")
STEPS = ("heaviside", "Heaviside")
"""Functions that are read as conditionals."""


def normalise(name: str) -> str:
    """One spelling for names that look the same (NFC; the micro sign is μ)."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", name).translate(_LOOKALIKES)


def is_name(text: str) -> bool:
    """Whether `text` can be written as a plain name of the language, as it stands."""
    plain = _NAME.fullmatch(text) is not None and text not in RESERVED_WORDS and normalise(text) == text
    return plain and (text.isascii() or (text != "ℯ" and split_dots(text)[1] == 0))


def words(text: str) -> list[str]:
    """Everything in a text that looks like a name."""
    return _NAME.findall(text)


def split_primes(name: str) -> tuple[str, int]:
    """The base name and the order of derivative: `θ''` -> ("θ", 2)."""
    base = name.rstrip("".join(PRIMES))
    return base, sum(PRIMES[c] for c in name[len(base) :])


def split_dots(name: str) -> tuple[str, int]:
    """Newton's notation: `ẋ` -> ("x", 1), `θ̈` -> ("θ", 2); two dots on a Latin vowel are an umlaut.

    >>> split_dots("ẋ₁"), split_dots("ö")
    (('x₁', 1), ('ö', 0))
    """
    parts = unicodedata.normalize("NFD", name)
    for mark, order in (("\u0307", 1), ("\u0308", 2)):
        at = parts.find(mark)
        if at > 0 and parts.count(mark) == 1 and not (order == 2 and parts[at - 1] in "aeiouyAEIOUY"):
            return unicodedata.normalize("NFC", parts[:at] + parts[at + 1 :]), order
    return name, 0


def is_implicit_network(name: str) -> bool:
    """Whether a call of `name` is a network that needs no declaration: NN, NN1, NN2, NN_prey ..."""
    return re.fullmatch(r"NN(?:[0-9₀-₉]*|_\w+)", name) is not None
