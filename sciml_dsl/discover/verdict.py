"""What may be claimed: one of four verdicts, a confidence, and the reasons in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .search import Candidate

IDENTIFIED = "identified"
AMBIGUOUS = "ambiguous"
NOT_IDENTIFIABLE = "not identifiable"
NO_TERM = "no term needed"

RIVAL = 2 * math.log(10.0)
"""A different formula within this difference of the criterion is a rival (odds of ten to one)."""
LOOSE = 0.5
"""A constant whose standard error exceeds this share of it is not determined."""
PATTERN = 3.5
"""Standard deviations of the residuals' lag-one correlation that show a misfit."""


@dataclass(frozen=True)
class Verdict:
    """`word` is the verdict, `confidence` in [0, 1], `reasons` sentences for the user."""

    word: str
    confidence: float
    reasons: tuple[str, ...]


def judge(candidates: Sequence[Candidate], hidden: Sequence[str], *, enough: bool) -> Verdict:
    """Judge the best of `candidates` (sorted by score).

    `hidden` names unknown terms that no candidate could show in these data (every
    library term acts like a part that is already in the equations); `enough` says
    that there are more measurements than constants.
    """
    best = candidates[0]
    rivals = [c for c in candidates[1:] if not _contains(c, best)]
    others = [c for c in candidates[1:] if c.limit_of is None or set(c.limit_of) != set(best.support)]
    weights = [math.exp(-0.5 * min(c.score.value - best.score.value, 700.0)) for c in others]
    confidence = 1.0 / (1.0 + sum(weights))
    reasons: list[str] = []
    if not enough:
        return Verdict(NOT_IDENTIFIABLE, 0.0, ("there are fewer measurements than constants to determine",))
    if hidden:
        names = ", ".join(hidden)
        reasons.append(
            f"nothing in the library for {names} can be told apart from the known part of the equations; "
            "remove the known term it repeats, or measure where its inputs vary"
        )
        return Verdict(NOT_IDENTIFIABLE, 0.0, tuple(reasons))
    loose = [name for name, share in best.uncertainty if not share < LOOSE]
    if loose:
        reasons.append(f"the data do not determine {', '.join(loose)} (standard error above {LOOSE:.0%})")
        return Verdict(NOT_IDENTIFIABLE, confidence, tuple(reasons))
    if best.pattern > PATTERN:
        reasons.append(
            "the residuals still follow a pattern in time: no formula of this library explains everything, "
            "so widen it with `families=` or `degree=`"
        )
    close = [c for c in rivals if c.score.value - best.score.value < RIVAL]
    if close:
        reasons.append(
            f"{len(close)} other formula{'s' if len(close) > 1 else ''} explain the data about as well: "
            + "; ".join(c.text for c in close[:3])
        )
    if close or best.pattern > 2 * PATTERN:
        return Verdict(AMBIGUOUS, confidence, tuple(reasons))
    if not best.support:
        reasons.append("no candidate term improves the trajectories enough to pay for its constants")
        return Verdict(NO_TERM, confidence, tuple(reasons))
    reasons.append(_odds(best, rivals))
    return Verdict(IDENTIFIED, confidence, tuple(reasons))


def _odds(best: Candidate, rivals: Sequence[Candidate]) -> str:
    if not rivals:
        return "every other formula that came close contains this one with more terms"
    gap = min(c.score.value for c in rivals) - best.score.value
    if gap > 100.0:
        return "the next different formula is less likely by a factor above 1e20"
    return f"the next different formula is less likely by a factor of {math.exp(0.5 * gap):.3g}"


def _contains(rival: Candidate, best: Candidate) -> bool:
    """Does `rival` hold the best formula as a special case (terms added, or a term bent by one more constant)?

    Such a rival says nothing different: its extra constants just did not pay.
    """
    if set(best.support) <= rival.covers:
        return True
    return rival.limit_of is not None and set(rival.limit_of) == set(best.support)
