"""Order conditions of Runge-Kutta methods by rooted trees, in rational or high-precision arithmetic.

J. C. Butcher, Numerical Methods for Ordinary Differential Equations, 3rd edition, section 31.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np

Tree = tuple[Any, ...]  # a tree is the sorted tuple of the trees at its root


@cache
def trees(order: int) -> tuple[Tree, ...]:
    """All rooted trees of an order."""
    if order == 1:
        return ((),)
    found = set()

    def grow(rest: int, largest: int, branches: tuple[Tree, ...]) -> None:
        if rest == 0:
            found.add(tuple(sorted(branches)))
            return
        for size in range(min(rest, largest), 0, -1):
            for count in range(1, rest // size + 1):
                for chosen in combinations_with_replacement(trees(size), count):
                    grow(rest - size * count, size - 1, branches + chosen)

    grow(order - 1, order - 1, ())
    return tuple(sorted(found))


def size(tree: Tree) -> int:
    """Number of vertices."""
    return 1 + sum(map(size, tree))


def density(tree: Tree) -> int:
    """gamma(tree)."""
    return size(tree) * prod(map(density, tree))


def weights(tree: Tree, a: np.ndarray, known: dict[Tree, np.ndarray]) -> np.ndarray:
    """Elementary weight of each stage; `a` (s, s), numbers of any kind."""
    if tree not in known:
        value = np.array([a.dtype.type(1)] * len(a)) if a.dtype != object else np.array([1] * len(a), dtype=object)
        for branch in tree:
            value = value * a.dot(weights(branch, a, known))
        known[tree] = value
    return known[tree]


def matrix(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """A square matrix of long doubles from the rows of a tableau."""
    out = np.zeros((len(rows), len(rows)), dtype=np.longdouble)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def defects(
    a: np.ndarray, b: Sequence[float], order: int, theta: float = 1.0, scale: Sequence[float] | None = None
) -> dict[int, float]:
    """For each order up to `order` the largest residual of sum_i b_i Phi_i = theta**k / gamma.

    Residuals count relative to the sum with all coefficients made positive, so coefficients
    rounded to doubles leave some 1e-16; `scale`, how large b is so, where it is itself a sum.
    """
    known: dict[Tree, np.ndarray] = {}
    sizes: dict[Tree, np.ndarray] = {}
    b_row = np.zeros(len(a), dtype=a.dtype)
    b_row[: len(b)] = b
    b_size = abs(b_row) if scale is None else np.array(scale)
    worst = {}
    for k in range(1, order + 1):
        exact = a.dtype.type(theta) ** k
        worst[k] = max(
            abs(float(b_row.dot(weights(tree, a, known)) - exact / density(tree)))
            / float(1 + b_size.dot(weights(tree, abs(a), sizes)))
            for tree in trees(k)
        )
    return worst
