"""What the timing rounds of a copy say of its speed and its memory, and why nothing where they do not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.select import Record
from harness.board.speed import noisy_of
from harness.board.speed_verdict import speed_ratios
from harness.board.statistics import mean_of, sign_flip_p
from harness.board.verdict import Rules
from harness.board.wording import counted
from harness.suite.plan import needed_rounds

Json = dict[str, Any]


def ratio_of(logs: Sequence[float], rules: Rules, margin: float) -> Json | None:
    """Return what a copy's log ratios to its original say, one a round; None where they are too few to say it.

    Not the row's own verdict: that waits for the copy to be non-inferior in accuracy, which says nothing of clocks.
    """
    if len(logs) < needed_rounds(1, rules.alpha):
        return None
    mean, p = mean_of(logs), sign_flip_p(logs, rules.seed)
    differs = p <= rules.alpha and abs(mean) >= math.log1p(margin)
    return {"ratio": math.exp(mean), "p": p, "rounds": len(logs), "differs": differs}


def why_no_speed(
    own: Mapping[int, Record], base: Mapping[int, Record], planned: int, rules: Rules
) -> str | None:
    """Return why nothing is said of a copy's speed, or None."""
    quiet, needed = len(speed_ratios(own, base)), needed_rounds(1, rules.alpha)
    if (least := min(len(own), len(base))) < planned:
        return f"{least} of {planned} rounds are there"
    if quiet >= needed:
        return None
    noisy = len(noisy_of(own, base))
    if not noisy:
        return f"{counted(planned, 'round')}, and it takes {needed}"
    return (
        f"all {noisy} rounds noisy"
        if not quiet
        else f"{quiet} of {planned} rounds quiet, and it takes {needed}"
    )


def not_judged(copies: Sequence[Json]) -> list[str]:
    """Return of whose speed nothing is said, and why: "calibrated" is of accuracy alone then."""
    without = Counter(copy["speed_reason"] for copy in copies if copy["speed_reason"])
    if len(copies) == 1:
        return [f"its speed was not judged: {why}" for why in without]
    return [
        f"the speed of {count} of {len(copies)} copies was not judged: {why}"
        for why, count in without.items()
    ]
