"""What the implicit methods share: weights, norms, factors that are kept, and the Newton iteration of one stage.

A stage solves M z = h f(t, base + gamma z) by Newton's method with W = M - h gamma J.  Jacobian and
factors serve over stages and steps.  How fast the iteration converged decides whether the
Jacobian is taken anew; with many states a step size that changed a little keeps the
factors, and the correction 2/(1 + ratio) makes up for it.  E. Hairer & G. Wanner, Solving
Ordinary Differential Equations II, IV.8; A. C. Hindmarsh et al., SUNDIALS, ACM Transactions on
Mathematical Software 31 (2005) 363-396, section 2.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..call import call_at
from ..compiled import inner
from ..linear.by_address import evaluate_jacobian, factor, solve
from ..vectors import residual, view
from .abi import AT_ATOL, AT_IOWN, AT_MASS, AT_OWN, AT_RTOL, COUNT_F, COUNT_NEWTON_FAIL, HAS_MASS, N
from .implicit_memory import AGE, ETA, FACTORED, FRESH, HAVE_JACOBIAN, HEAD, RATE, STAGES, STEPS, WANT_JACOBIAN

ITERATIONS_OF_STAGE = 8
OLDEST = 50  # steps after which the Jacobian is taken anew in any case
FEW = 30  # states up to which factors are cheaper than a slow iteration
DRIFT = 0.25  # with more, how far h gamma may drift from that of the factors
EPS = float(np.finfo(np.float64).eps)


@inner()
def forget(ints: Any, work: Any, iwork: Any) -> None:
    """The state jumped, or this is the first step: nothing is known."""
    own, iown = ints[AT_OWN], ints[AT_IOWN]
    for k in range(HEAD):
        work[own + k] = 0.0
    for k in range(STAGES):
        iwork[iown + k] = 0
    work[own + ETA] = 1.0


@inner("contract")
def set_weights(x: Any, at_x: int, ints: Any, work: Any, at: int) -> None:
    """1 / (atol + rtol |x|) to work[at:]."""
    n = ints[N]
    rtol, atol = view(work, ints[AT_RTOL], n), view(work, ints[AT_ATOL], n)
    state, weights = view(x, at_x, n), view(work, at, n)
    for i in range(n):
        weights[i] = 1.0 / (atol[i] + rtol[i] * abs(state[i]))


@inner("contract", "reassoc")
def error_norm(u: Any, ints: Any, work: Any, at: int, new: int) -> float:
    """Root mean square of work[at:] over the tolerance at the larger of old and new state."""
    n = ints[N]
    rtol, atol = view(work, ints[AT_RTOL], n), view(work, ints[AT_ATOL], n)
    e, after = view(work, at, n), view(work, new, n)
    total = 0.0
    for i in range(n):
        x = e[i] / (atol[i] + rtol[i] * max(abs(u[i]), abs(after[i])))
        total += x * x
    return float(np.sqrt(total / n))


@inner("contract")
def times_mass(ints: Any, work: Any, at: int) -> None:
    """work[at:] = M work[at:]."""
    if ints[HAS_MASS] != 0:
        mass = ints[AT_MASS]
        for i in range(ints[N]):
            work[at + i] *= work[mass + i]


@inner("contract")
def slope_from(ints: Any, work: Any, at: int) -> None:
    """f at work[at:] becomes u' = f/m; 0 where the equation is algebraic and u' is not known."""
    if ints[HAS_MASS] != 0:
        mass = ints[AT_MASS]
        for i in range(ints[N]):
            m = work[mass + i]
            work[at + i] = work[at + i] / m if m != 0.0 else 0.0


@inner()
def prepare(fn: Any, t: float, x: Any, at_x: int, hgamma: float, p: Any, ints: Any, work: Any, iwork: Any) -> bool:
    """A Jacobian (at t, x[at_x:] if one is due) and factors of M - hgamma J; False if singular."""
    own, iown = ints[AT_OWN], ints[AT_IOWN]
    if iwork[iown + HAVE_JACOBIAN] == 0 or iwork[iown + WANT_JACOBIAN] != 0:
        evaluate_jacobian(fn, t, x, at_x, p, ints, work, iwork)
        iwork[iown + HAVE_JACOBIAN] = 1
        iwork[iown + WANT_JACOBIAN] = 0
        iwork[iown + FRESH] = 1
        iwork[iown + AGE] = 0
        work[own + FACTORED] = 0.0
    drift = DRIFT if ints[N] > FEW else 0.0
    if work[own + FACTORED] == 0.0 or abs(hgamma / work[own + FACTORED] - 1.0) > drift:
        work[own + FACTORED] = hgamma
        if not factor(1.0, hgamma, fn, p, ints, work, iwork):
            work[own + FACTORED] = 0.0
            return False
    return True


@inner()
def quiet(ints: Any, work: Any) -> float:
    """With algebraic equations: the size of a correction that is rounding, in weighted norm; else 0.

    There one small correction is no convergence.  Beside an exponential function a Jacobian taken elsewhere
    may be too large by many powers of ten, and what one step leaves of an equation the next ones inherit;
    so the rate must be seen, from two corrections.
    """
    if ints[HAS_MASS] == 0:
        return 0.0
    smallest = 1.0
    for i in range(ints[N]):
        smallest = min(smallest, work[ints[AT_RTOL] + i])
    return float(8.0 * EPS / smallest)


@inner()
def once_more(hgamma: float, ints: Any, work: Any, iwork: Any) -> bool:
    """After an iteration that failed: ask for what was not up to date; False where all of it was."""
    own, iown = ints[AT_OWN], ints[AT_IOWN]
    ints[COUNT_NEWTON_FAIL] += 1
    work[own + ETA] = 1.0
    if iwork[iown + FRESH] == 0:
        iwork[iown + WANT_JACOBIAN] = 1
        return True
    if work[own + FACTORED] != hgamma:
        work[own + FACTORED] = 0.0
        return True
    return False


@inner()
def after_step(slow: float, ints: Any, work: Any, iwork: Any) -> None:
    """The state moved on: the Jacobian is no longer that of the state, and due anew if convergence was slow."""
    own, iown = ints[AT_OWN], ints[AT_IOWN]
    iwork[iown + FRESH] = 0
    iwork[iown + AGE] += 1
    iwork[iown + STEPS] += 1
    if work[own + RATE] > slow or iwork[iown + AGE] >= OLDEST:
        iwork[iown + WANT_JACOBIAN] = 1


@inner("contract", "reassoc")
def _move(correction: float, step: Any, gamma: float, base: Any, weights: Any, z: Any, arg: Any) -> float:
    """z += correction * step, arg = base + gamma z; the sum of squares of the weighted change of arg."""
    total = 0.0
    for i in range(weights.size):
        change = correction * step[i]
        z[i] += change
        arg[i] = base[i] + gamma * z[i]
        change *= gamma * weights[i]
        total += change * change
    return float(total)


@inner("contract")
def newton(
    f: int, fn: Any, t: float, h: float, gamma: float, base: int, z: int, arg: int, res: int, weights: int,
    kappa: float, p: Any, ints: Any, work: Any, iwork: Any,
) -> bool:  # fmt: skip
    """Solve M z = h f(t, base + gamma z) from the guess at work[z:]; the argument ends up at work[arg:].

    `kappa`: how small the error of the iteration must be beside the tolerance.  False where it does not
    converge, or not fast enough to be worth it.
    """
    n, own = ints[N], ints[AT_OWN]
    correction = 2.0 / (1.0 + h * gamma / work[own + FACTORED])
    mass = view(work, ints[AT_MASS], n if ints[HAS_MASS] != 0 else 0)
    eta = max(work[own + ETA], EPS) ** 0.8
    noise = quiet(ints, work)
    previous = 0.0
    known, increment, argument = view(work, base, n), view(work, z, n), view(work, arg, n)
    right, scale = view(work, res, n), view(work, weights, n)
    for i in range(n):
        argument[i] = known[i] + gamma * increment[i]
    for iteration in range(ITERATIONS_OF_STAGE):
        call_at(f, t, work, arg, p, work, res)
        ints[COUNT_F] += 1
        residual(h, right, mass, 1.0, increment, right)
        if not solve(fn, p, ints, work, iwork, res):
            return False
        size = np.sqrt(_move(correction, right, gamma, known, scale, increment, argument) / n)
        if not np.isfinite(size):
            return False
        if iteration > 0:
            rate = size / previous
            if rate >= 0.95 and size > noise:
                return False
            work[own + RATE] = max(work[own + RATE], rate)
            eta = rate / (1.0 - rate) if rate < 0.95 else 0.0
            left = ITERATIONS_OF_STAGE - 1 - iteration
            if eta * size > kappa and eta * size * rate ** (left - 1) > kappa:
                return False
        if eta * size <= kappa and (iteration > 0 or noise == 0.0 or size <= noise):
            work[own + ETA] = eta
            return True
        previous = size
    return False
