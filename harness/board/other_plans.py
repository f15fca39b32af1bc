"""What a board says of trials that were run under another plan than its own: their records name the one they had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board.select import ArmTrials, rests_of
from harness.board.wording import counted

Json = dict[str, Any]


def run_under_others(
    plan: Mapping[str, Any],
    trials: Mapping[str, ArmTrials],
    against: Mapping[str, str],
    history: Mapping[str, Any] | None,
) -> Json | None:
    """Return the board's `run_under_other_plans`; None where there are none, or no more than the log has told of.

    The plan that a trial was run under was stored before it. Of any other plan its record shows nothing: the record
    may have been merged in, or the plan be one of several that were stored at once and chosen from after a look. No
    clock is asked.

    Args:
        plan: The board's plan.
        trials: By arm.
        against: By arm, the one that it is compared with; a baseline with itself.
        history: What `record.history.history_of` found of the plan.
    """
    own = (None, plan.get("hash"))
    compared = {str(arm["name"]) for arm in plan.get("arms", []) if arm.get("compared", True)}
    judged = [trials[arm] for arm, base in against.items() if arm != base and arm in compared]
    if all(rest["plan"] in own for rest, _ in rests_of(judged)):
        return None
    # Two arms with equal recipes share their trials.
    plans = {one.trial: one.rest["plan"] for arm in judged for one in arm.counted.values()}
    others = sum(made not in own for made in plans.values())
    if history is not None and others <= history["judged_there"]:
        return None
    return {"judged": len(plans), "others": others}


def others_stamps(found: Mapping[str, Any] | None) -> list[str]:
    """Return the stamp of such a board, in one line; none for any other."""
    if found is None:
        return []
    return [
        f"run under another plan: {found['others']:,} of {counted(found['judged'], 'trial')} of the arms that are "
        "compared; they do not show that this plan (its arms, replicates, level, margins and claims) was fixed "
        "before them"
    ]
