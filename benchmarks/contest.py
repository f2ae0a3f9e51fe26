"""A case and its contenders: who runs, how they are timed, which targets are met.

Takes `Contender`s, each able to prepare one call of its library; gives `Row`s
with time and achieved error, and `Verdict`s on the `Target`s.  A library that is
not installed, or a call that fails, is a row that says so.
"""

from __future__ import annotations

import importlib.util
import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from measure import Timing, once, repeats_for, side_by_side

OURS = "sciml_dsl"
COMPARABLE = 100.0
"""A peer with more than this many times the error of our best main row is shown, but no ratio is taken to it."""


@dataclass(frozen=True)
class Call:
    """A prepared call: `run()` is timed, `error(run())` is its achieved error.

    `kernel`: seconds that the library itself reports for its compiled part, from a result.
    """

    run: Callable[[], Any]
    error: Callable[[Any], float]
    kernel: Callable[[Any], float] | None = None


@dataclass(frozen=True)
class Contender:
    """One library used one way.  `prepare` imports it and compiles what can be compiled beforehand.

    `tags` are words a `Target` may ask for ("same method").  A contender that is not
    `main` is one of ours at another tolerance, compared only with peers more accurate
    than the main ones.
    """

    library: str
    what: str
    prepare: Callable[[], Call]
    tags: frozenset[str] = frozenset()
    main: bool = True


@dataclass
class Row:
    """A line of the table; `timing` is None where `note` says why."""

    library: str
    what: str
    tags: frozenset[str] = frozenset()
    main: bool = True
    timing: Timing | None = None
    error: float = math.nan
    kernel: float = math.nan
    note: str = ""
    failed: bool = False
    details: str = field(default="", repr=False)


@dataclass(frozen=True)
class Target:
    """A ratio to reach over a library (or over all: `library=None`), or seconds not to exceed.

    `slack`: our error may be this many times the peer's.  `tag`: only peers with this tag.
    """

    text: str
    ratio: float = math.nan
    seconds: float = math.nan
    library: str | None = None
    tag: str | None = None
    slack: float = 3.0
    row: str = ""  # only rows of ours whose `what` begins so; default all


@dataclass(frozen=True)
class Verdict:
    """What came of a target: the measured ratio or seconds, and how it was taken."""

    target: Target
    measured: float
    reached: bool | None  # None: nothing to compare with
    how: str


@dataclass
class Outcome:
    """All of one case."""

    name: str
    title: str
    settings: str
    rows: list[Row]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    judged: Sequence[Verdict] = ()  # on targets that no comparison of rows decides

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict for each target, then those the case gave itself."""
        return [*(judge(target, self.rows) for target in self.targets), *self.judged]


def installed(library: str) -> bool:
    """Whether a library can be imported, without importing it."""
    return importlib.util.find_spec(library) is not None


def run_contest(contenders: Sequence[Contender], seconds: float, tell: Callable[[str], None]) -> list[Row]:
    """Prepare, check and time all contenders, side by side.

    Arguments: `seconds` of timing for each; `tell`, told what is being done.
    """
    rows, calls, timed = [], [], []
    for contender in contenders:
        row = Row(contender.library, contender.what, contender.tags, contender.main)
        rows.append(row)
        if not installed(contender.library):
            row.note = "not installed"
            continue
        tell(f"preparing {contender.library}: {contender.what}")
        try:
            call = contender.prepare()
            _, result = once(call.run)
            row.error = float(call.error(result))
            if call.kernel is not None:
                repeats_for(call.run)
                row.kernel = median(call.kernel(call.run()) for _ in range(200))
        except Exception as problem:  # shown in the table; the command then ends with status 1
            fail(row, problem)
            continue
        if not math.isfinite(row.error):
            row.note, row.failed = "failed: its answer is not a number", True
            continue
        calls.append(call.run)
        timed.append(row)
    tell(f"timing {len(calls)} contenders in turns")
    for row, timing in zip(timed, side_by_side(calls, seconds), strict=True):
        row.timing = timing
    return rows


def fail(row: Row, problem: BaseException) -> None:
    """Mark a row as failed."""
    said = " ".join(str(problem).split())
    said = said if len(said) <= 160 else "… " + said[-160:]
    row.note, row.failed = f"failed: {type(problem).__name__}: {said}", True
    row.details = "".join(traceback.format_exception(problem))


def seconds_of(row: Row) -> float:
    """Median seconds of a timed row."""
    return row.timing.median if row.timing else math.inf


def fastest(rows: Sequence[Row]) -> Row | None:
    """The fastest timed row, or None."""
    timed = [row for row in rows if row.timing]
    return min(timed, key=seconds_of) if timed else None


def judge(target: Target, rows: Sequence[Row]) -> Verdict:
    """Compare our rows with the peers a target names.

    For every peer, our fastest row with no more than `slack` times its error counts;
    the verdict is the smallest of these ratios.  Peers `COMPARABLE` times less accurate
    than our best main row are left out.
    """
    ours = [row for row in rows if row.library == OURS and row.timing]
    if target.row:
        ours = [row for row in ours if row.what.startswith(target.row)]
    best = fastest([row for row in ours if row.main])
    if best is None:
        return Verdict(target, math.nan, None, "nothing of ours was measured")
    if not math.isnan(target.seconds):
        measured = seconds_of(best)
        return Verdict(target, measured, measured <= target.seconds, best.what)
    peers = [
        row
        for row in rows
        if row.timing
        and row.library != OURS
        and (target.library is None or row.library == target.library)
        and (target.tag is None or target.tag in row.tags)
    ]
    if not peers:
        return Verdict(target, math.nan, None, "no peer was measured")
    accuracy = min((row.error for row in ours if row.main), default=math.nan)
    close = [row for row in peers if not row.error > COMPARABLE * accuracy]
    if not close:
        return Verdict(target, math.nan, None, "no peer came within two digits of our accuracy")
    found: list[tuple[float, bool, Row, Row]] = []
    for peer in close:
        good = [row for row in ours if not row.error > target.slack * peer.error]
        mine = fastest([row for row in good if row.main]) or fastest(good)
        fair = mine is not None
        mine = mine or best
        found.append((seconds_of(peer) / seconds_of(mine), fair, peer, mine))
    ratio, fair, peer, mine = min(found, key=lambda item: item[0])
    all_fair = all(item[1] for item in found)
    how = f"{mine.what} (error {mine.error:.1e}) against {peer.library} {peer.what} (error {peer.error:.1e})"
    if not fair:
        how += "; our error is larger"
    return Verdict(target, ratio, ratio >= target.ratio and all_fair, how)
