"""What is no measurement, or no fair pair, is not shown as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.board.compare import Given, compare_results
from harness.board.html_verdicts import costs
from harness.board.leaderboard import build


def test_accuracies_at_equal_compute_come_with_what_makes_them_unfair(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0})
    board = build(made.plan, made.records, made.timings)
    for row in board["rows"]:
        row["equal_compute"] = None
    assert "inside its schedule" not in costs(board)
    point = {"training_flops": 1e9, "arm": 52.64, "baseline": 40.71}
    next(row for row in board["rows"] if row["arm"] == "a")["equal_compute"] = {
        "at_arm": point,
        "at_baseline": None,
    }
    text = costs(board)
    assert "52.64" in text and "40.71" in text
    assert "inside its schedule" in text and "not tested" in text


@pytest.mark.parametrize("side", ["base", "candidate"])
def test_a_comparison_shows_no_number_of_a_side_that_failed_in_all_replicates(
    inputs: Callable[..., Any], failing: Callable[..., None], side: str
) -> None:
    given = {name: inputs({"plain": 0.0, "a": 1.0}) for name in ("base", "candidate")}
    for record in given[side].of("a"):
        failing(record, "diverged")
    report = compare_results(
        *(Given(name, one.plan, one.records, one.timings, one.shared) for name, one in given.items())
    )
    told = {row["arm"]: row["accuracy"] for row in report["arms"]}
    assert told["a"][side] is None and told["a"]["difference"] is None and told["a"]["verdict"] is None
    assert told["a"]["base" if side == "candidate" else "candidate"] is not None
    assert told["plain"]["verdict"] == "equal"


def test_too_few_replicates_of_a_comparison_name_the_number_that_would_do(inputs: Callable[..., Any]) -> None:
    base, paired, unpaired = (inputs({"plain": 0.0, "a": 1.0}, 3) for _ in range(3))
    unpaired.plan["seed"] = 7
    for one, told in (
        # Two arms: ceil(log2(2 * 2 / 0.05)); unpaired the first n at which 2 / C(2 n, n) is below 0.05 / 2.
        (paired, "with 3 paired replicates nothing could be significant in a family of 2, which takes 7"),
        (
            unpaired,
            "with 3 and 3 replicates nothing could be significant in a family of 2, which takes 5 on each side",
        ),
    ):
        report = compare_results(
            *(Given(name, x.plan, x.records, x.timings, x.shared) for name, x in (("a", base), ("b", one)))
        )
        assert {row["accuracy"]["reason"] for row in report["arms"]} == {f"no verdict: {told}"}
