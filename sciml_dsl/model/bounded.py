"""Functions of plain numbers in sympy, kept within the range of doubles.

Sympy computes `10^10^10` and `gamma(1e9)` exactly, to the last of billions of
digits.  A model computes in doubles, where such numbers are infinite, and so
do the functions here; small exact results stay exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

_EXACT = 1024  # exponents and arguments up to this size are left to sympy


def power(base: Any, exponent: Any) -> Any:
    """`base^exponent`.

    Example:
        >>> import sympy
        >>> power(sympy.Integer(10), sympy.Integer(10) ** 10)
        oo
        >>> power(sympy.Symbol("x"), sympy.Integer(2000))
        x**2000
    """
    if not (exponent.is_Number and exponent.is_real is not False and _large(exponent)):
        return base**exponent
    if base.is_Number:
        return _doubles(base, exponent)
    if base.is_Mul and base.args[0].is_Number:  # sympy takes the number out: (2x)^n = 2^n x^n
        return _doubles(base.args[0], exponent) * base.func(*base.args[1:]) ** exponent
    return base**exponent


def floating(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` of one argument, in floating point where a large whole number would be worked out exactly."""

    def bounded(x: Any) -> Any:
        return function(sympy.Float(x) if x.is_Integer and abs(x) > _EXACT else x)

    return bounded


def _large(exponent: Any) -> bool:
    return bool(abs(exponent) > _EXACT)


def _doubles(base: Any, exponent: Any) -> Any:
    """A power of two numbers as Python's doubles have it, infinite where they overflow."""
    try:
        value = float(base) ** float(exponent)
    except OverflowError:
        odd = exponent.is_Integer and exponent.is_odd
        return sympy.S.NegativeInfinity if base.is_negative and odd else sympy.oo
    except ZeroDivisionError:
        return sympy.oo  # as in doubles
    return sympy.sympify(value)
