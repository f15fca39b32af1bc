"""What keeps an arm from a verdict, whatever its differences are: its stamps, its baseline, what is still to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board import rows
from harness.board.data import has_other_test
from harness.board.interim import wait_for_replicates
from harness.board.proof import idle_tricks
from harness.board.ranks import NO_VERDICT
from harness.board.select import ArmTrials
from harness.board.verdict import against_of

OTHER_TEST = "not comparable: test data"
Json = dict[str, Any]


def stamps_by_arm(
    plan: Mapping[str, Any],
    arms: Mapping[str, Json],
    board_rows: Mapping[str, Json],
    trials: Mapping[str, ArmTrials],
    baselines: Mapping[str, ArmTrials],
) -> dict[str, list[str]]:
    """Return by arm what a reader has to know before believing its accuracy; mark the arms that nobody compares."""
    stamps = {}
    for arm, told in arms.items():
        base = against_of(plan, told)
        stamps[arm] = rows.stamps_of(told, board_rows[arm], trials[arm], baselines[base])
        other = arms.get(base, {})
        if not told.get("compared", True):
            board_rows[arm]["compared"] = False
        elif has_other_test(plan, told, other):
            stamps[arm].append(OTHER_TEST)
        # A copy for calibration has streams of its own, on purpose.
        elif not told.get("copy_of") and rows.starts_elsewhere(told, other, trials[arm], baselines[base]):
            stamps[arm].append(f'starts from other weights than "{base}"')
    return stamps


def alike_of(plan: Mapping[str, Any], arms: Mapping[str, Json], against: Mapping[str, str]) -> dict[str, str]:
    """Return by arm what it is compared with example by example: itself where that was tested on other examples."""
    return {
        arm: arm if base in arms and has_other_test(plan, arms[arm], arms[base]) else base
        for arm, base in against.items()
    }


def why_no_verdicts(plan: Mapping[str, Any]) -> str | None:
    """Return why a plan has no verdicts, or None."""
    return None if plan.get("verdicts") else str(plan.get("verdicts_reason") or "the plan asks for none")


def refusals_of(
    plan: Mapping[str, Any],
    against: Mapping[str, str],
    board_rows: Mapping[str, Json],
    stamps: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Say for each arm why it gets no verdict, where that does not hang on its differences."""
    refusals = {}
    for arm, row in board_rows.items():
        base = against[arm]
        reason = next((stamp for stamp in stamps[arm] if stamp.startswith(NO_VERDICT)), None)
        if reason is None or reason.startswith("failed"):
            reason = "no replicate has a result" if row["top1"] is None else None
        if rows.equals_baseline(stamps[arm]):
            reason = reason or "a no-op, no bit differs from the baseline's"
        if idle := idle_tricks(row, board_rows.get(base, {})):
            reason = reason or f"a no-op, {', '.join(idle)} never acted and nothing else differs"
        reason = reason or why_no_verdicts(plan)
        if base not in board_rows or not board_rows[base]["replicates"]["good"]:
            reason = reason or f'the baseline "{base}" has no result'
        elif rows.is_unstable(board_rows[base]):
            reason = reason or f'the baseline "{base}" is unstable'
        if reason:
            refusals[arm] = f"no verdict: {reason}"
        elif waits := wait_for_replicates(board_rows, arm, base):
            refusals[arm] = waits
    return refusals
