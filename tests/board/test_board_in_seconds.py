"""Boards of budgets in seconds: trials of unlike lengths are one study, and the reader is told what that means."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.board import render
from harness.board.compare import Given, compare_results
from harness.board.curves import curves_of
from harness.board.equal_compute import equal_compute_of
from harness.board.in_seconds import NOTE, axis_of, continues, is_in_seconds
from harness.board.leaderboard import build
from harness.board.select import ArmTrials
from harness.record.attempt import attempt_of
from harness.record.packed import CURVES

Json = dict[str, Any]


def board_of(given: Any, **options: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared, **options)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


def order_of(replicate: int, epochs: int) -> str:
    return " ".join(f"{replicate:08x}{epoch:08x}" for epoch in range(epochs))


@pytest.fixture
def given(inputs: Any) -> Any:
    """Two arms of a minute each: `slow` comes to fewer epochs, and each replicate to others than the rest."""
    made = inputs({"plain": 0.0, "slow": 0.4}, replicates=10, epochs=8)
    for arm in made.plan["arms"]:
        arm["recipe"]["budget"] = {"unit": "seconds", "amount": 60}
    for record in made.records:
        whole = 8 if record["arm"] == "plain" else 4
        trained = whole - 1 + (record["replicate"] + 1) / 16  # within its last epoch
        for name, curve in record["curves"].items():
            record["curves"][name] = curve[:whole]
        record["curves"]["epoch"][-1] = trained
        record["budget"] |= {"epochs": trained, "training_flops": 1e9 * trained}
        record["digests"]["order"] = order_of(record["replicate"], whole)
    return made


def test_the_board_says_what_such_a_budget_means(given: Any) -> None:
    board = board_of(given)
    assert board["stamps"].count(NOTE) == 1
    for words in ("not reproducible", "not resumable", "what else runs there"):
        assert words in NOTE
    # 7 + 1/16 to 7 + 10/16, and 3 + 1/16 to 3 + 10/16.
    assert "60 s of training: 7.06 to 7.62 epochs" in row_of(board, "plain")["stamps"]
    assert "60 s of training: 3.06 to 3.62 epochs" in row_of(board, "slow")["stamps"]
    assert row_of(board, "slow")["trained_epochs"] == {"median": 3 + 5.5 / 16, "least": 3.0625, "most": 3.625}
    for made in (render.markdown(board), render.html(board)):
        assert "60 s of training" in made
    assert "not resumable" in render.markdown(board) and "not resumable" in render.html(board)


def test_a_board_of_another_unit_says_nothing_of_it(inputs: Any) -> None:
    made = inputs({"plain": 0.0, "arm": 0.4})
    for arm in made.plan["arms"]:
        arm["recipe"]["budget"] = {"unit": "epochs", "amount": 24}
    board = board_of(made)
    assert NOTE not in board["stamps"]
    assert not any("trained_epochs" in row or row["stamps"] for row in board["rows"])


def test_arms_of_unlike_lengths_saw_one_order_and_get_a_verdict(given: Any) -> None:
    row = row_of(board_of(given), "slow")
    assert "not comparable: order" not in row["stamps"]
    assert row["verdict"] is not None and row["difference"]["count"] == 10


def test_another_order_is_still_told(given: Any) -> None:
    # In the second epoch of one replicate alone, which both sides took.
    record = given.of("slow")[3]
    epochs = record["digests"]["order"].split(" ")
    record["digests"]["order"] = " ".join([epochs[0], "0" * 16, *epochs[2:]])
    row = row_of(board_of(given), "slow")
    assert "not comparable: order" in row["stamps"]
    assert row["verdict"] is None


def test_one_order_is_the_beginning_of_another_by_whole_digests_alone() -> None:
    assert continues("ab cd", "ab cd") and continues("ab cd ef", "ab cd") and continues("ab", "ab cd")
    assert not continues("ab cd", "ab ce")
    assert not continues("ab c", "ab cd")  # half a digest is another digest
    assert not continues("a" * 32, "b" * 32)


def test_two_results_compare_as_pairs_where_one_went_on_for_longer(given: Any) -> None:
    other = copy.deepcopy(given)
    for record in other.records:
        record["digests"]["order"] += " " + "f" * 16
    sides = [
        Given(label, one.plan, one.records, [], one.shared) for label, one in (("a", given), ("b", other))
    ]
    report = compare_results(*sides)
    for row in report["arms"]:
        assert (row["accuracy"]["verdict"], row["accuracy"]["bit_equal"]) == (
            "equal",
            {"equal": 10, "of": 10},
        )
        assert "unpaired" not in row["accuracy"]["reason"]
    assert f"base: {NOTE}" in report["notes"] and f"candidate: {NOTE}" in report["notes"]


def test_trials_of_another_machine_are_not_pooled(given: Any) -> None:
    """A faster machine takes more steps in a minute: its accuracy is another."""
    host = copy.deepcopy(given.shared["host"])
    host["speed"]["cores"] = 64
    given.shared["other"] = host
    for record in given.records:
        if record["replicate"] >= 6:
            record["refs"]["host"] = "other"
    board = board_of(given)
    assert row_of(board, "slow")["replicates"]["good"] == 6
    assert [group["trials"] for group in board["comparability"]["accuracy"]] == [12, 8]
    for arm in given.plan["arms"]:
        arm["recipe"]["budget"] = {"unit": "epochs", "amount": 8}
    assert row_of(board_of(given), "slow")["replicates"]["good"] == 10


def attempts(*ends: tuple[list[float], list[float]]) -> ArmTrials:
    good = {
        at: attempt_of({"curves": {"epoch": epochs, **dict.fromkeys(CURVES, values)}})
        for at, (epochs, values) in enumerate(ends)
    }
    return ArmTrials("arm", tuple(good), [], good, good)


def test_a_curve_holds_the_epochs_that_are_whole() -> None:
    arm = attempts(([1, 2, 2.7], [4.0, 2.0, 1.7]), ([1, 2, 3, 3.1], [6.0, 4.0, 3.0, 2.9]))
    told = curves_of({"arm": arm})["arm"]
    assert told["epoch"] == [1, 2, 3]
    # At 2.7 epochs the first replicate was not where the second was at 3.
    assert told["validation_loss"]["mean"] == [5.0, 3.0, 3.0]


def test_a_common_end_within_an_epoch_stays() -> None:
    arm = attempts(([1, 2, 2.5], [4.0, 2.0, 1.0]), ([1, 2, 2.5], [6.0, 4.0, 3.0]))
    told = curves_of({"arm": arm})["arm"]
    assert told["epoch"] == [1, 2, 2.5]
    assert told["train_loss"]["mean"] == [5.0, 3.0, 2.0]
    assert axis_of([[0.4], [0.6]]) == []
    assert curves_of({"arm": attempts(([0.4], [1.0]), ([0.6], [2.0]))})["arm"]["train_loss"]["mean"] == []


def test_equal_compute_is_read_by_the_epochs_that_were_trained() -> None:
    """A baseline of 8 epochs at 1e9 FLOPs each, and an arm of 4 at twice that: the same time, unlike lengths."""
    curves = {"epoch": [1, 2, 3, 4, 5], "validation_top1": {"mean": [50.0, 60.0, 70.0, 75.0, 78.0]}}
    base_curves = {"epoch": [*range(1, 10)], "validation_top1": {"mean": [40.0 + 5 * e for e in range(9)]}}
    row = {
        "training_flops": 9e9,
        "trained_epochs": {"median": 4.5, "least": 4.2, "most": 5.3},
        "validation_top1": 77.0,
    }
    base = {
        "training_flops": 8e9,
        "trained_epochs": {"median": 8.0, "least": 7.9, "most": 9.1},
        "validation_top1": 74.5,
    }
    found = equal_compute_of(row, base, curves, base_curves)
    # 8e9 FLOPs are the arm's first four epochs, and the baseline's whole training, which ended at 74.5.
    assert found == {
        "at_arm": None,  # 9e9: the baseline in the middle never spent so much, though one replicate did
        "at_baseline": {"training_flops": 8e9, "arm": 75.0, "baseline": 74.5},
    }
    found = equal_compute_of(
        row | {"training_flops": 4.5e9, "validation_top1": 77.0}, base, curves, base_curves
    )
    # 4.5e9 at 1e9 an epoch each: half-way between the baseline's fourth epoch (55) and its fifth (60).
    assert found is not None and found["at_baseline"] is None
    assert found["at_arm"] == {"training_flops": 4.5e9, "arm": 77.0, "baseline": pytest.approx(57.5)}


@pytest.mark.parametrize("axis", [["a", "b"], [1, None], [[1.0]], [], None, 7], ids=repr)
def test_a_curve_without_an_axis_of_numbers_says_nothing_of_how_far_its_trial_came(
    given: Any, axis: Any
) -> None:
    given.of("slow")[9]["curves"]["epoch"] = axis
    row = row_of(board_of(given), "slow")
    assert row["trained_epochs"] == {"median": 3.3125, "least": 3.0625, "most": 3 + 9 / 16}


def test_a_curve_without_an_axis_keeps_its_values() -> None:
    whole = attempts(([1, 2, 2.7], [4.0, 2.0, 1.7]), ([1, 2, 3, 3.1], [6.0, 4.0, 3.0, 2.9]))
    bare = attempt_of({"curves": {**{name: [5.0, 3.0, 1.0] for name in CURVES}, "epoch": None}})
    good = {**whole.good, 2: bare}
    told = curves_of({"arm": ArmTrials("arm", tuple(good), [], good, good)})["arm"]
    assert told["epoch"] == [1, 2, 3]
    assert told["validation_loss"]["mean"] == [5.0, 3.0, 2.0]


def test_one_arm_in_seconds_makes_accuracies_hang_on_the_machine() -> None:
    budgets = ({"unit": "epochs", "amount": 8}, {"unit": "seconds", "amount": 60})
    arms = [{"name": name, "recipe": {"budget": one}} for name, one in zip("ab", budgets, strict=True)]
    assert is_in_seconds({"arms": arms}) and not is_in_seconds({"arms": arms[:1]})
