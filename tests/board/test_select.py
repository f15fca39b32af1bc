"""What attempts have in common is held once, and counted over all arms that have it."""

from __future__ import annotations

from harness.board.select import ArmTrials, counted_rests, rests_of
from harness.record.attempt import attempt_of


def test_what_several_arms_have_in_common_is_counted_over_all_of_them() -> None:
    one, other = (attempt_of({"status": "completed", "protocol": number}) for number in (1, 2))
    arms = [
        ArmTrials("a", (0, 1), [], {0: one, 1: one}),
        ArmTrials("b", (0, 1, 2), [], {0: other, 1: one, 2: one}),
    ]
    assert rests_of(arms) == [(one.rest, 4), (other.rest, 1)]


def test_what_the_good_ones_have_in_common_leaves_out_what_only_others_have() -> None:
    fine = attempt_of({"status": "completed", "protocol": 1, "results": {"test": {"top1": 90.0}}})
    diverged = attempt_of({"status": "diverged", "protocol": 2})
    counted = {0: fine, 1: diverged, 2: fine}
    arm = ArmTrials("a", (0, 1, 2), [], counted, {0: fine, 2: fine})
    assert arm.good_rests == [(fine.rest, 2)] == counted_rests([fine, fine])
    assert arm.counted_rests == [(fine.rest, 2), (diverged.rest, 1)]
