"""Training of network weights, together with parameters: Adam, then L-BFGS, by the discrete adjoint.

Takes a problem and a θ; gives the best θ seen and the history of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import Problem

Floats = NDArray[np.float64]

PENALTY = 1e6  # what L-BFGS is told instead of an infinite loss, in units of the first loss
LBFGS_MEMORY = 30
RESTARTS = 10
PATIENCE = 10  # iterations of L-BFGS over which progress is judged


@dataclass(frozen=True, eq=False)
class Trained:
    """The end of a training.

    Attributes:
        theta: the best point seen (n,).
        loss: its mean squared residual, without penalty; infinite if none was finite.
        history: best loss after each epoch.
        converged: whether L-BFGS met a criterion of convergence or `target` was reached.
        message: what ended it.
    """

    theta: Floats
    loss: float
    history: tuple[float, ...]
    converged: bool
    message: str


def train(
    problem: Problem,
    theta: Floats,
    *,
    active: NDArray[np.int64] | None = None,
    epochs: int = 300,
    polish: int = 500,
    learning_rate: float = 0.01,
    weight_decay: float = 0.0,
    clip: float = 10.0,
    target: float = 0.0,
    tolerance: float = 1e-4,
    deadline: float = math.inf,
    progress: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Minimise the mean squared residual over θ[active].

    Arguments:
        problem: the problem; its adjoint gradient is used.
        theta: start (n,).
        active: positions of θ that may change; default all.
        epochs: steps of Adam (one epoch is one gradient over all data).
        polish: at most so many iterations of L-BFGS after them.
        learning_rate: of Adam's first step, falling to a tenth by a cosine; in the
            units of `Unknowns.units`.
        weight_decay: penalty on the mean square of the weights, in the same units.
        clip: longest gradient Adam sees.
        target: loss at which to stop.
        tolerance: L-BFGS has converged when ten iterations reduce the loss by less than this share.
        deadline: value of `time.perf_counter()` at which to stop.
        progress: called with (epoch, epochs in all, best loss).

    Returns:
        `Trained`.  A step to an infinite loss is taken back and the learning rate halved.

    D. P. Kingma & J. Ba, Adam (2015); R. H. Byrd, P. Lu, J. Nocedal & C. Zhu, A limited
    memory algorithm for bound constrained optimization, SIAM J. Sci. Comput. 16 (1995) 1190.

    Example:
        >>> import sciml_dsl as sd
        >>> from sciml_dsl.fit.problem import problem
        >>> m = sd.model("x' = NN(x); x(0) = 1")
        >>> q = problem(m, {"t": [0, 1, 2], "x": [1.0, 0.5, 0.25]})
        >>> train(q, q.start, epochs=20).loss < 1e-3
        True
    """
    return _Training(problem, theta, active, weight_decay, target, deadline, epochs + polish, progress).run(
        epochs, polish, learning_rate, clip, tolerance
    )


class _Stop(Exception):
    """Ends a training from inside the minimiser's callback."""

    def __init__(self, message: str, converged: bool) -> None:
        super().__init__(message)
        self.converged = converged


class _Training:
    def __init__(
        self,
        problem: Problem,
        theta: Floats,
        active: NDArray[np.int64] | None,
        weight_decay: float,
        target: float,
        deadline: float,
        total: int,
        progress: Callable[[int, int, float], None] | None,
    ) -> None:
        self.problem, self.theta = problem, np.array(theta, dtype=float)
        self.active = np.arange(problem.n) if active is None else active
        self.units = problem.unknowns.units()
        self.low = (problem.lower / self.units.size)[self.active]
        self.high = (problem.upper / self.units.size)[self.active]
        self.z = self.units.z(self.theta)
        self.decay, self.target, self.deadline = weight_decay, target, deadline
        self.total, self.progress = total, progress
        first_weight = problem.n - problem.unknowns.n_weights
        self.is_weight = self.active >= first_weight
        self.best = np.clip(self.z[self.active], self.low, self.high)
        self.best_value = self.best_loss = math.inf
        self.history: list[float] = []
        self.values: list[float] = []

    def function(self, z: Floats) -> tuple[float, Floats]:
        """Penalised loss and gradient in scaled variables; remembers the best point."""
        self.z[self.active] = z
        loss, by_theta = self.problem.loss_and_gradient(self.units.theta(self.z))
        gradient = self.units.gradient(by_theta)[self.active]
        value = loss
        if self.decay and math.isfinite(loss):
            w = z[self.is_weight]
            value += self.decay * float(w @ w) / max(1, w.size)
            gradient[self.is_weight] += 2.0 * self.decay * w / max(1, w.size)
        if value < self.best_value:
            self.best, self.best_value, self.best_loss = z.copy(), value, loss
        return value, gradient

    def epoch(self) -> None:
        self.history.append(self.best_loss)
        if self.progress is not None:
            self.progress(len(self.history), self.total, self.best_loss)
        if self.best_loss <= self.target:
            raise _Stop("the target was reached", True)
        if perf_counter() > self.deadline:
            raise _Stop("out of time", False)

    def progressed(self, tolerance: float) -> None:
        """One iteration of L-BFGS; ends it when ten of them gained too little."""
        self.epoch()
        self.values.append(self.best_value)
        if len(self.values) > PATIENCE and self.values[-1 - PATIENCE] * (1.0 - tolerance) <= self.best_value:
            raise _Stop("the loss no longer falls", True)

    def run(self, epochs: int, polish: int, rate: float, clip: float, tolerance: float) -> Trained:
        converged, message = False, f"{epochs} epochs of Adam"
        try:
            self.adam(epochs, rate, clip)
            if polish > 0 and math.isfinite(self.best_value):
                converged, message = self.lbfgs(polish, tolerance)
        except _Stop as stop:
            message, converged = str(stop), stop.converged
        self.z[self.active] = self.best
        return Trained(self.units.theta(self.z), self.best_loss, tuple(self.history), converged, message)

    def adam(self, epochs: int, rate: float, clip: float) -> None:
        z = self.best.copy()
        value, gradient = self.function(z)
        mean, square, taken = np.zeros(z.size), np.zeros(z.size), 0
        for k in range(epochs):
            if not math.isfinite(value):
                if not math.isfinite(self.best_value):
                    return  # the start itself fails
                z, rate = self.best.copy(), 0.5 * rate
                value, gradient = self.function(z)
                mean[:], square[:], taken = 0.0, 0.0, 0
            length = float(np.sqrt(gradient @ gradient))
            if length == 0.0:
                return
            if length > clip:
                gradient = gradient * (clip / length)
            taken += 1
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            now = rate * (0.55 + 0.45 * math.cos(math.pi * k / epochs))
            step = mean / (1.0 - 0.9**taken) / (np.sqrt(square / (1.0 - 0.999**taken)) + 1e-8)
            z = np.minimum(np.maximum(z - now * step, self.low), self.high)
            value, gradient = self.function(z)
            self.epoch()

    def lbfgs(self, iterations: int, tolerance: float) -> tuple[bool, str]:
        from scipy.optimize import minimize

        big = PENALTY * max(self.best_value, 1.0)

        def function(z: Floats) -> tuple[float, Floats]:
            value, gradient = self.function(z)
            return (value, gradient) if math.isfinite(value) else (big, np.zeros(z.size))

        limit = len(self.history) + iterations
        for _ in range(RESTARTS):
            # an abnormal end of the line search (noise of the solver's steps) is met by forgetting the curvature
            before, left = self.best_value, limit - len(self.history)
            found = minimize(
                function, self.best.copy(), jac=True, method="L-BFGS-B",
                bounds=list(zip(self.low, self.high, strict=True)), callback=lambda _: self.progressed(tolerance),
                options={
                    "maxiter": left, "maxfun": 4 * left, "maxcor": LBFGS_MEMORY, "ftol": 0.0, "gtol": 1e-12,
                },
            )  # fmt: skip
            if found.status == 0:
                return True, "the loss no longer falls"
            if len(self.history) >= limit:
                break
            if self.best_value > before * (1.0 - tolerance):
                return True, "the loss no longer falls"
        return False, f"no convergence in {iterations} iterations of L-BFGS"


__all__ = ["Trained", "train"]
