"""Taylor series methods: orders, and the memory that the native method of a model (`codegen.taylor_method`) uses.

The order follows from the tolerance: p = 1 - ln(tol)/2 makes the work least for a solution that is analytic
(A. Jorba & M. Zou, Experimental Mathematics 14 (2005) 99-117, section 3.1).  Here it is two more: a step costs
something besides its coefficients, and the first neglected term is kept well below the tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWEST, HIGHEST = 4, 24

CURRENT, READY, RUN = range(3)
"""Integers: which of two expansions belongs to the step's beginning (0 or 1), whether it exists, and how many
steps in a row were as long as a decaying part allows."""
N_INTEGERS = 3


@dataclass(frozen=True)
class Slots:
    """Doubles of the method: two expansions of `size`, and from `given` on h, relative and absolute tolerances;
    then the size of the step `before`, and a third expansion, somewhere `inside` a step.

    An expansion is the coefficients (order + 1, n) and from `squares` on the sizes of the last two rows, the
    square of the error by the defect, the step `limit` and the `rate` |lambda| of a decaying part.
    """

    n: int
    order: int

    @property
    def squares(self) -> int:
        return (self.order + 1) * self.n

    @property
    def limit(self) -> int:
        return self.squares + 3

    @property
    def rate(self) -> int:
        return self.squares + 4

    @property
    def size(self) -> int:
        return self.squares + 5

    @property
    def given(self) -> int:
        return 2 * self.size

    @property
    def before(self) -> int:
        return self.given + 1 + 2 * self.n

    @property
    def inside(self) -> int:
        return self.before + 1

    @property
    def doubles(self) -> int:
        return self.inside + self.size


def order(tolerance: float) -> int:
    """The order for a relative tolerance.

    >>> [order(10.0**-k) for k in (3, 6, 9, 12, 15)]
    [7, 10, 14, 17, 21]
    """
    return min(HIGHEST, max(LOWEST, math.ceil(3.0 - math.log(tolerance) / 2.0)))


def stiff_at(order: int) -> float:
    """|h lambda| from which steps are held back by a decaying part of the solution.

    That part, as large as the tolerance, has terms |h lambda|^k/k!, and the last of them limits the step.
    """
    return 0.9 * math.exp(math.lgamma(order + 1.0) / order)
