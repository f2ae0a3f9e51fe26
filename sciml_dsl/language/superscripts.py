"""Superscripts as printed: `x²`, `10⁻³`, `(a + b)²` -> the power they stand for."""

from __future__ import annotations

import re

_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SUFFIX = re.compile(r"(?P<base>.*[^⁰¹²³⁴-⁹⁺⁻])(?P<sign>[⁺⁻]?)(?P<digits>[⁰¹²³⁴-⁹]{1,3})\Z", re.DOTALL)
PATTERN = r"[⁺⁻]?[⁰¹²³⁴-⁹]+"
"""Of a superscript behind a bracket, a prime or a number."""


def digits(text: str) -> str:
    """The figures of a superscript on the line: `²` -> `2`."""
    return text.translate(_DIGITS)


def split_superscript(name: str) -> tuple[str, int | None]:
    """A name and the power it is printed with.

    >>> split_superscript("x₁²"), split_superscript("c⁻¹"), split_superscript("Ca²⁺")
    (('x₁', 2), ('c', -1), ('Ca²⁺', None))
    """
    found = None if name.isascii() else _SUFFIX.match(name)
    if found is None:
        return name, None
    power = int(digits(found["digits"]))
    return found["base"], -power if found["sign"] == "⁻" else power
