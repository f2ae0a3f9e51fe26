"""What a step in lanes and the loop around it say to each other: names of the rows of their memory.

Several trajectories of an ensemble are integrated side by side, each in a lane of vector
registers.  Their memory is a block of rows, one number for each lane in a row; the step is
generated code (`codegen.lanes`), the loop that fills lanes and empties them is compiled once
(`solve.lanes`).
"""

from __future__ import annotations

from dataclasses import dataclass

# What belongs to each lane; written by the step, but for ACTIVE.
(
    TIME,
    STEP_SIZE,  # to try next, not negative
    NEXT_OUTPUT,  # time of it; NO_OUTPUT times the direction where none is left
    OUTPUT_AFTER,  # and of the one after it
    LOG_PREVIOUS,  # logarithms of the last two errors
    LOG_BEFORE,
    AGAIN,  # not 0 where the next step repeats a rejected one
    STIFF_COUNT,
    CALM_COUNT,
    ACCEPTED,
    REJECTED,
    ACTIVE,  # 0 where a lane has no trajectory
    TIME_BEFORE,  # where the last step with several outputs began
    STEP_TAKEN,  # its length, with sign
) = range(14)
NOT_FINITE = 2.0  # in AGAIN: the rejected step was not finite

# What is the same for all, repeated in each lane.
(
    END,
    SIGN,  # of the direction
    LONGEST,
    SHORTEST,
    FLOOR,  # steps that are not longer are too small whatever the time
    MAX_STEPS,
) = range(14, 20)
CONTROL = 20  # N_CONTROL constants of the step size controller, in the order of methods/abi.py
N_FIXED = 29
NO_OUTPUT = 1e300

# Lanes that need attention, a word of bits for each reason, in the order of the words.
DONE, PASSED, STIFF, TOO_SMALL, EXHAUSTED = range(5)
N_REASONS = 5


@dataclass(frozen=True)
class Layout:
    """Where in the block the rows lie whose number depends on the model and the method."""

    n: int
    n_params: int
    degree: int

    @property
    def state(self) -> int:
        """Rows of u (n)."""
        return N_FIXED

    @property
    def slope(self) -> int:
        """Rows of f(t, u) (n), used by methods whose last stage is the next step's first."""
        return self.state + self.n

    @property
    def rtol(self) -> int:
        """Rows of the relative tolerances (n)."""
        return self.slope + self.n

    @property
    def atol(self) -> int:
        """Rows of the absolute tolerances (n)."""
        return self.rtol + self.n

    @property
    def polynomial(self) -> int:
        """Rows of the interpolant of the last step with several outputs in powers of theta (degree + 1, n)."""
        return self.atol + self.n

    @property
    def output(self) -> int:
        """Rows of the state at NEXT_OUTPUT (n)."""
        return self.polynomial + (self.degree + 1) * self.n

    @property
    def parameters(self) -> int:
        """Rows of p (n_params)."""
        return self.output + self.n

    @property
    def rows(self) -> int:
        """Of the block."""
        return self.parameters + self.n_params


@dataclass(frozen=True)
class LaneStep:
    """A model's own step of an explicit method in lanes.

    `step` is the address of `void step(double *block, int64 *reasons, int64 *stop)`: it makes steps in
    all lanes until one of them needs attention, or `stop` is not 0.  It evaluates the interpolants of lanes
    that passed NEXT_OUTPUT there, and keeps them where OUTPUT_AFTER was passed too.  `output` is the
    address of `void output(double *block)`: it evaluates what was kept, for the next output inside the
    same step.  `keepalive` owns the code.
    """

    step: int
    output: int
    lanes: int
    layout: Layout
    keepalive: object
