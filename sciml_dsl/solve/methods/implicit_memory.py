"""Places in the memory of the implicit methods, doubles and integers of their own (`abi.AT_OWN`, `abi.AT_IOWN`).

Coefficients follow behind HEAD, then vectors of n doubles.
"""

from __future__ import annotations

# Doubles.
(
    FACTORED,  # h gamma of the factors, 0: there are none
    RATE,  # slowest convergence in the last step
    ETA,  # rate/(1 - rate) at the end of the last iteration
    LAST_H,
    LAST_ERROR,
    ITERATIONS,  # of the last step
) = range(6)
HEAD = 8

# Integers; those from STAGES on are set before an integration and survive a new start.
(
    HAVE_JACOBIAN,
    FRESH,  # the Jacobian belongs to the present state
    WANT_JACOBIAN,
    AGE,  # steps since the Jacobian was taken
    HAVE_HISTORY,
    STEPS,  # since the start, or at this order
    ORDER,
    NEXT_ORDER,
    EQUAL,  # steps of this size
    STAGES,
    DEGREE,
    FEWEST,  # stages
    MOST,
) = range(13)
IHEAD = 16
