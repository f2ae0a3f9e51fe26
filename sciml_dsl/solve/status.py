"""How an integration ended, as a number the kernel can return."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """End of an integration; only `SUCCESS` and `TERMINATED` carry a trustworthy result."""

    SUCCESS = 0  # the end time was reached
    TERMINATED = 1  # a terminating event ended it earlier
    MAX_STEPS = 2  # max_steps attempts were not enough
    DT_TOO_SMALL = 3  # the step size fell below the resolution of time
    NONFINITE = 4  # the right-hand side is NaN or infinite, however small the step
    UNSTABLE = 5  # the step size vanished while the state grew without bound
    EVENT_CHATTERING = 6  # an event fires without end within no time
    EVENT_INVALID = 7  # the time of an event is NaN or its period not positive
    INTERRUPTED = 8  # the user stopped it
    INCONSISTENT = 9  # the algebraic equations have no solution, or no single one, where it stopped
    LOST = 99  # of an ensemble: the worker that had this trajectory gave no result

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name if not spec or spec[-1] == "s" else int(self), spec)

    @property
    def ok(self) -> bool:
        """Whether the result may be used."""
        return self <= Status.TERMINATED
