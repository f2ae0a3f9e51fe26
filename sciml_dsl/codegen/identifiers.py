"""Names of a model -> identifiers of generated source.

A model may call its states `θ'`, `lambda`, `t` or `p`; generated code must not.
`Identifiers` hands out each identifier once, keeps the user's spelling where it
can, and never lets text of a model through that is not an identifier.
"""

from __future__ import annotations

import builtins
import keyword
import unicodedata
from collections.abc import Callable, Iterable

PYTHON_RESERVED = frozenset([*keyword.kwlist, *dir(builtins)])
"""Words that generated Python never uses as names: keywords and builtins."""

_PRIMES = {"'": "_prime", "′": "_prime", "’": "_prime", "″": "_prime_prime", "‴": "_prime_prime_prime"}


def identifier(name: str) -> str:
    """The nearest Python identifier to `name`, in the normal form Python itself uses (NFKC).

    Example
    -------
    >>> identifier("θ'"), identifier("2 b"), identifier("x₁"), identifier("🐁")
    ('θ_prime', '_2_b', 'x1', 'mouse')
    """
    for prime, word in _PRIMES.items():
        name = name.replace(prime, word)
    name = unicodedata.normalize("NFKC", name)
    name = "".join(c if ("_" + c).isidentifier() else _picture(c) for c in name)
    if not name.isidentifier():
        name = "_" + name
    # a second pass: replacing characters may have brought combining ones together
    return unicodedata.normalize("NFKC", name)


def _picture(char: str) -> str:
    """A pictograph by its name, anything else that no identifier holds as an underscore."""
    if not "\U0001f300" <= char <= "\U0001faff":
        return "_"
    return unicodedata.name(char, "_").lower().replace(" ", "_").replace("-", "_")


def ascii_identifier(name: str) -> str:
    """The nearest identifier of plain ASCII: Greek letters by their names, others by their code points.

    Example
    -------
    >>> ascii_identifier("θ'"), ascii_identifier("Δx₁"), ascii_identifier("ж")
    ('theta_prime', 'Deltax1', 'u0436')
    """
    spelled = "".join(c if c.isascii() else _spelled(c) for c in identifier(name))
    return spelled if spelled[:1].isalpha() else "x" + spelled


def _spelled(char: str) -> str:
    words = unicodedata.name(char, "").split()
    if words[:1] != ["GREEK"] or "LETTER" not in words[:-1]:
        return f"u{ord(char):04X}"
    word = next(w for w in words[words.index("LETTER") + 1 :] if w != "FINAL").lower()
    word = "lambda" if word == "lamda" else word  # Unicode's spelling
    return word.capitalize() if "CAPITAL" in words else word


class Identifiers:
    """Hands out identifiers, each at most once; `reserved` are never handed out.

    `spell` turns a name into an identifier of the language; `words` are the language's own.
    """

    def __init__(
        self,
        reserved: Iterable[str] = (),
        *,
        spell: Callable[[str], str] = identifier,
        words: Iterable[str] = PYTHON_RESERVED,
    ) -> None:
        self._taken = {*words, *reserved}
        self._spell = spell
        self._counts: dict[str, int] = {}

    def reserve(self, names: Iterable[str]) -> None:
        """Never hand these out."""
        self._taken.update(names)

    def claim(self, name: str) -> str:
        """An identifier for `name`: itself where possible, else with underscores or a number behind it."""
        wanted = self._spell(name)
        if wanted in self._taken:
            wanted += "_"
        base, k = wanted, 2
        while wanted in self._taken:
            wanted = f"{base}{k}"
            k += 1
        self._taken.add(wanted)
        return wanted

    def fresh(self, stem: str) -> str:
        """`stem1`, `stem2`, ...: the next one that is free."""
        while True:
            self._counts[stem] = count = self._counts.get(stem, 0) + 1
            name = f"{stem}{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def copy(self) -> Identifiers:
        """An independent continuation: what is taken here is taken there."""
        other = Identifiers(spell=self._spell)
        other._taken = set(self._taken)
        return other
