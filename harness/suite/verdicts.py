"""Whether a plan can have verdicts, and from which difference on: fixed before the first trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.suite.copies import is_baseline
from harness.suite.load import Suite
from harness.suite.plan import Arm, needed_replicates

SMALLEST_MARGIN_POINTS = 0.1


def margin_points(suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the smallest difference that counts: the suite's, else 0.1 points or one test example."""
    if suite.margin is not None:
        return suite.margin
    counts: list[int] = [manifest["splits"]["test"]["count"] for manifest in manifests.values()]
    return max([SMALLEST_MARGIN_POINTS, *(100.0 / count for count in counts if count)])


def why_no_verdicts(suite: Suite, arms: Sequence[Arm], replicates: int) -> str:
    """Return why the plan may have no verdicts, or an empty string."""
    if not suite.verdicts:
        return "the suite is exploratory (verdicts = false)"
    baselines = [arm for arm in arms if is_baseline(arm, suite.baseline)]
    compared = [arm for arm in arms if arm.compared and not is_baseline(arm, suite.baseline)]
    if not compared:
        return "there is no arm to compare with the baseline"
    if all(arm.failure for arm in baselines):
        return "the baseline could not be resolved"
    needed = needed_replicates(len(compared), suite.alpha)
    if replicates >= needed:
        return ""
    return (
        f"with {replicates} replicates nothing could be significant: {len(compared)} arms against the baseline "
        f"at alpha {suite.alpha:g} take at least {needed}; {_what_to_change(replicates, needed, suite.alpha)}"
    )


def _what_to_change(replicates: int, needed: int, alpha: float) -> str:
    """Return in words what would let a plan have verdicts."""
    most = 0
    while needed_replicates(most + 1, alpha) <= replicates:
        most += 1
    fewer = f", or compare {most} arm{'s' * (most > 1)} at the most" if most else ""
    return f"set replicates = {needed}{fewer}"
