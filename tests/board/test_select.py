"""What attempts have in common is held once, and counted over all arms that have it."""

from __future__ import annotations

from harness.board.select import ArmTrials, rests_of
from harness.record.attempt import attempt_of


def test_what_several_arms_have_in_common_is_counted_over_all_of_them() -> None:
    one, other = (attempt_of({"status": "completed", "protocol": number}) for number in (1, 2))
    arms = [
        ArmTrials("a", (0, 1), [], {0: one, 1: one}),
        ArmTrials("b", (0, 1, 2), [], {0: other, 1: one, 2: one}),
    ]
    assert rests_of(arms) == [(one.rest, 4), (other.rest, 1)]
