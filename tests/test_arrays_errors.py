"""What is refused about arrays: the place, the class, the words and the hint of each error; and no hang."""

from __future__ import annotations

import pytest

import sciml_dsl as sd
from tests import marked as marked_place

U = "; u[i]' = 1 for i in 1..3"

# text with the place marked by ⟦ ⟧ (removed before parsing), class, part of the message, part of the hint
CASES = [
    ("u[i]' = u[i-1] for i in 2..⟦N⟧", sd.NameModelError, "`N` is not defined", "const N = 10"),
    ("x' = ⟦u[1]⟧", sd.NameModelError, "the array `u` is not defined", "for i in 1..N"),
    ("⟦y⟧ = x*i for i in 1..3", sd.SyntaxModelError, "no subscript", "y[i]"),
    ("u[i]' = ⟦u[i-1]⟧ for i in 1..5", sd.NameModelError, "for i = 1: `u[0]`", "u[1..5]"),
    ("u[i]' = ⟦u[i+1]⟧ for i in 1..100000", sd.NameModelError, "for i = 100000", "u[1..100000]"),
    ("u[i]' = 1 for i in 1..3; ⟦u[i]' = 2⟧ for i in 3..5", sd.NameModelError, "`u[3]` is given twice", "once"),
    ("⟦u[i]' = 1⟧ for i in 1..3; u[5]' = 2", sd.ModelError, "`u[4]` has no equation", "u[4]' = ..."),
    ("w[i,j]' = 1 for i in 1..3, j in 1..3; ⟦w[2,2]' = 2⟧", sd.NameModelError, "`w[2,2]` is given twice", ""),
    ("⟦w[i,j]' = 1⟧ for i in 1..2, j in 1..3; w[3,3]' = 2", sd.ModelError, "`w[3,1]` has no equation", ""),
    ("u[i]' = 1 for i in 1..⟦10^12⟧", sd.ModelError, "whole numbers made with", ""),
    ("const N = 10^12\nu[i]' = 1 for i in ⟦1..N⟧", sd.ModelError, "1,000,000,000,000 elements", "smaller N"),
    ("x' = ⟦sum(1 for i in 1..2000000000)⟧", sd.ModelError, "2,000,000,000 terms", "smaller N"),
    ("u[i]' = ⟦u⟧ for i in 1..3", sd.NameModelError, "say which element", "u[1]"),
    ("u[i]' = ⟦u[i,1]⟧ for i in 1..3", sd.NameModelError, "`u` has 1 subscript, not 2", "u[1..3]"),
    ("u[i]' = ⟦x[i]⟧ for i in 1..3; x' = 1", sd.NameModelError, "a state, not an array", "x[i]' = ..."),
    ("u[i]' = u[⟦x⟧] for i in 1..3; x' = 1", sd.NameModelError, "`x` is a state", "const"),
    ("u[i]' = u[⟦i/2⟧] for i in 1..3", sd.ModelError, "whole numbers made with +, -, * and mod", ""),
    ("u[i]' = u[⟦1.5⟧] for i in 1..3", sd.ModelError, "1.5 is not a whole number", ""),
    ("u[⟦i⟧]' = 1", sd.NameModelError, "`i` is not defined", "for i in 1..N"),
    ("u[i]' = 1 ⟦for i⟧ = 1:3", sd.SyntaxModelError, "the range of `i` is missing", "for i in 1..N"),
    ("u[i]' = 1 for i in ⟦3..1⟧", sd.ModelError, "empty", "smaller end"),
    ("u[i]' = 1 for i in 1..3, ⟦j⟧ in 1..3", sd.ModelError, "`j` does not appear", "sum"),
    ("⟦u[4](0) = 1⟧" + U, sd.NameModelError, "outside the array", "u[1..3]"),
    ("u[1](0) = 1; ⟦u(0) = 2⟧" + U, sd.NameModelError, "initial value of `u[1]` is given twice", ""),
    ("x' = 1; ⟦x[1](0) = 2⟧", sd.NameModelError, "without subscripts", "x(0)"),
    ("u[i](0) = ⟦u[i]⟧" + U, sd.ModelError, "depends on the state `u`", "parameters"),
    ("param ⟦k⟧[3] = 1; x' = k[3]", sd.ModelError, "is one element", "k[1..3]"),
    ("param k[1..3] = ⟦[1, 2]⟧; x' = k[3]", sd.ModelError, "2 values", ""),
    ("param k = ⟦[1, [2, 3]]⟧; x' = k[3]", sd.ModelError, "different lengths", ""),
    ("param k[i] = ⟦i⟧ in [0, 2] for i in 1..3; x' = k[1]", sd.ModelError, "default 3.0 of `k[3]`", ""),
    ("param k[i] = ⟦log(i-2)⟧ for i in 1..3; x' = k[1]", sd.ModelError, "`k[1]` is not a finite", ""),
    ("param k[1..3] = 1; x' = ⟦k[4]⟧", sd.NameModelError, "outside the array", "k[1..3]"),
    ("k[i] = 1 for i in 1..3; ⟦k⟧ = 2; x' = 1", sd.NameModelError, "`k` is defined twice", ""),
    ("u' = 1; ⟦u⟧[i]' = 2 for i in 1..3", sd.NameModelError, "`u` is defined twice", ""),
    ("param i = 1; u[i]' = 1 for ⟦i⟧ in 1..3", sd.NameModelError, "a parameter of the model", "letter"),
    ("u[i]' = sum(u[i] for ⟦i⟧ in 1..3) for i in 1..3", sd.NameModelError, "one inside the other", "letter"),
    ("u[t]' = 1 for ⟦t⟧ in 1..3", sd.NameModelError, "cannot be an index", "letter"),
    ("u[i]' = min(u[j] for ⟦j⟧ in 1..i-1) for i in 1..3", sd.ModelError, "no terms", "longer"),
    ("at 5: ⟦u⟧ = 2" + U, sd.NameModelError, "say which elements change", "u[i] = ... for i in 1..3"),
    ("at 5: ⟦u[4]⟧ = 2" + U, sd.NameModelError, "outside the array", ""),
    ("at ⟦5⟧: u[1] = 2, u[i] = 2 for i in 1..3" + U, sd.NameModelError, "`u[1]` is assigned twice", ""),
    ("⟦c⟧[1] = c[4]; c[i] = c[i-1] + 1 for i in 2..4; x' = c[1]", sd.ModelError, "depends on itself", "comes first"),
    ("x' = ⟦f⟧(u[i] for i in 1..3)" + U, sd.SyntaxModelError, "does not gather", "sum"),
    ("u[i]' = 1 for i in 1..3; ⟦u⟧[1]'' = 3", sd.NameModelError, "different orders", ""),
    ("u[i]' = 1 for i in 1⟦:⟧3", sd.SyntaxModelError, "two dots", "write 1..3"),
    ("u[1⟦..⟧3]' = 2", sd.SyntaxModelError, "a range has no place here", "u[i]' = ... for i in 1..N"),
    ("x' = u[1⟦](⟧0)" + U, sd.SyntaxModelError, "not a function", "u[...]*(...)"),
    ("const c = ⟦[1, [2]]⟧; x' = 1", sd.ModelError, "rows of different lengths", "write [1, 2, 3]"),
    ("y = ⟦[⟧1, 2]; x' = 1", sd.SyntaxModelError, "a list has no meaning here", "param k = [1, 2, 3]"),
    ("⟦for⟧ i in 1..3: u[i]' = 1", sd.SyntaxModelError, "`for` is not a statement", "behind the equation"),
    ("u[i]' = 1 for i ⟦∈⟧ 1..3", sd.SyntaxModelError, "`∈`", "`in`"),
    ("x' = ⟦sin[1]⟧", sd.NameModelError, "a function, not an array", ""),
    ("f(a) = ⟦a[1]⟧; x' = f(x)", sd.NameModelError, "an argument", ""),
    ("u[⟦mod(i, 0)⟧]' = 1 for i in 1..3", sd.ModelError, "may be zero", ""),
    ("⟦u[i]'⟧(t) = 1 for i in 1..3", sd.SyntaxModelError, "(t)", "leave"),
    ("⟦u[i]⟧(1) = 1", sd.SyntaxModelError, "initial value", "(0)"),
]


@pytest.mark.parametrize(("marked", "kind", "message", "hint"), CASES, ids=[c[0][:40] for c in CASES])
def test_errors(marked, kind, message, hint):
    marked_place.check(marked, kind, message, hint)
