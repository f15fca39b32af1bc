"""Rank intervals from all pairs, and the cells of a grid: each with a baseline, a ranking and fronts of its own."""

from __future__ import annotations

import copy
from itertools import combinations
from typing import Any

import pytest
from scipy import stats

from harness.board.leaderboard import build
from harness.suite.plan import needed_replicates

Json = dict[str, Any]


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


def top1_of(given: Any, arm: str) -> list[float]:
    return [record["results"]["test"]["top1"] for record in given.of(arm)]


def test_rank_intervals_equal_those_from_scipy_over_all_pairs(inputs: Any) -> None:
    effects = {"plain": 0.0, "best": 3.0, "good": 1.0, "alike": 1.02, "bad": -2.0}
    given = inputs(effects, replicates=10, noise=0.3)
    board = board_of(given)
    assert board["ranks"] == {"family": 10, "needed": 9, "reason": None}
    pairs = list(combinations(effects, 2))
    differences = {
        (a, b): [x - y for x, y in zip(top1_of(given, a), top1_of(given, b), strict=True)] for a, b in pairs
    }
    p_values = {
        pair: stats.permutation_test((values,), sum, permutation_type="samples", n_resamples=2000).pvalue
        for pair, values in differences.items()
    }
    significant: set[tuple[str, str]] = set()
    for step, pair in enumerate(sorted(pairs, key=lambda one: p_values[one])):
        if p_values[pair] * (len(pairs) - step) > 0.05:
            break
        significant.add(pair if sum(differences[pair]) > 0 else (pair[1], pair[0]))
    for arm in effects:
        above = sum(worse == arm for _, worse in significant)
        below = sum(better == arm for better, _ in significant)
        assert row_of(board, arm)["rank_interval"] == [1 + above, 5 - below]
    assert row_of(board, "best")["rank_interval"] == [1, 1]
    assert row_of(board, "good")["rank_interval"] == row_of(board, "alike")["rank_interval"] == [2, 3]


def test_too_few_replicates_for_all_pairs_leave_the_verdicts(inputs: Any) -> None:
    given = inputs({f"arm{index}": float(index) for index in range(6)}, replicates=8)
    board = board_of(given)
    # 15 pairs: 2^n >= 2 · 15 / .05 = 600 takes 10; five arms against the baseline take 8.
    assert needed_replicates(15, 0.05) == 10
    assert (board["ranks"]["family"], board["ranks"]["needed"]) == (15, 10)
    assert "take 10 replicates" in board["ranks"]["reason"] and "there are 8" in board["ranks"]["reason"]
    assert [row["rank_interval"] for row in board["rows"]] == [None] * 6
    assert row_of(board, "arm5")["verdict"] == "better"


def test_what_is_not_ranked_has_no_interval_and_a_plan_without_verdicts_none_at_all(
    inputs: Any, failing: Any
) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0, "dead": 0.0, "teacher": 5.0})
    for record in given.of("dead"):
        failing(record, "oom")
    given.plan["arms"][3]["compared"] = False
    board = board_of(given)
    assert board["ranks"]["family"] == 3  # plain, arm and dead; the teacher is not compared
    assert row_of(board, "arm")["rank_interval"] == [1, 1]
    assert row_of(board, "dead")["rank_interval"] is row_of(board, "teacher")["rank_interval"] is None
    given.plan |= {"verdicts": False, "verdicts_reason": "exploratory"}
    board = board_of(given)
    assert board["ranks"]["reason"] == "exploratory"
    assert row_of(board, "arm")["rank_interval"] is None


@pytest.mark.parametrize("dead", ["plain", "good"])
def test_the_pairs_of_an_unstable_arm_are_not_told_apart(inputs: Any, failing: Any, dead: str) -> None:
    given = inputs({"plain": 0.0, "good": 3.0, "best": 6.0})
    for record in given.of(dead)[:4]:
        failing(record, "diverged")
    board = board_of(given)
    left = "good" if dead == "plain" else "plain"
    assert any(stamp.startswith("unstable") for stamp in row_of(board, dead)["stamps"])
    assert row_of(board, dead)["rank"] == 3 and row_of(board, dead)["rank_interval"] is None
    # Of the three places the best may have the first two, since nobody knows where the unstable arm belongs.
    assert row_of(board, "best")["rank_interval"] == [1, 2]
    assert row_of(board, left)["rank_interval"] == [2, 3]
    assert board["ranks"]["reason"] is None and board["ranks"]["family"] == 3
    if dead == "plain":
        assert {row["verdict"] for row in board["rows"]} == {None}
    for record in given.of(left)[:4]:
        failing(record, "diverged")
    board = board_of(given)
    assert board["ranks"]["reason"] == "fewer than two arms are stable"
    assert {row["rank_interval"] for row in board["rows"]} == {None}


def grid_of(inputs: Any, effects: dict[str, float], levels: list[float]) -> Any:
    """Return a suite of several cells: in cell k every arm is `levels[k]` points better than in the first."""
    given = inputs(effects)
    alone = copy.deepcopy(given)
    for number, level in enumerate(levels):
        if number == 0:
            arms = given.plan["arms"]
        else:
            arms = copy.deepcopy(alone.plan["arms"])
            given.plan["arms"] += arms
        for arm in arms:
            old = arm["name"]
            if number:
                arm["name"] = f"{old}.{number}"
                extra = inputs({"plain": level, old: effects[old] + level}, seed=number).of(old)
                given.records += [
                    {**r, "arm": arm["name"], "trial": f"{arm['name']}/{r['replicate']}"} for r in extra
                ]
                given.plan["trials"] += [
                    {"id": f"{arm['name']}/{r['replicate']}", "arm": arm["name"], "replicate": r["replicate"]}
                    for r in extra
                ]
            arm |= {
                "against": "plain" if number == 0 else f"plain.{number}",
                "cell": {"batch_size": 32 * 2**number},
            }
    return given


def test_each_cell_has_its_baseline_and_the_family_spans_all_cells(inputs: Any) -> None:
    given = grid_of(inputs, {"plain": 0.0, "mixup": 1.0, "idle": 0.0}, [0.0, -20.0])
    board = board_of(given)
    assert [row["arm"] for row in board["rows"] if row["baseline"]] == ["plain", "plain.1"]
    assert board["settings"]["family"] == 4
    assert [(row["against"], row["rank"]) for row in board["rows"]] == [
        *(("plain", rank) for rank in (1, 2, 3)),
        *(("plain.1", rank) for rank in (1, 2, 3)),
    ]
    # Against the other cell's baseline it would be 19 points worse.
    far = row_of(board, "mixup.1")
    assert far["verdict"] == "better" and far["difference"]["mean"] == pytest.approx(1.0, abs=0.4)
    assert far["cell"] == {"batch_size": 64} and far["rank_interval"] == [1, 1]
    assert (
        row_of(board, "plain.1")["verdict"] is None and row_of(board, "plain.1")["reason"] == "the baseline"
    )
    differences = [a - b for a, b in zip(top1_of(given, "mixup.1"), top1_of(given, "plain.1"), strict=True)]
    expected = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 4)
    assert far["difference"]["low"] == pytest.approx(expected.low, abs=1e-9)
    assert board["ranks"]["family"] == 6


def test_a_dead_baseline_takes_the_verdicts_of_its_own_cell_alone(inputs: Any, failing: Any) -> None:
    given = grid_of(inputs, {"plain": 0.0, "mixup": 2.0}, [0.0, 0.0])
    for record in given.of("plain.1"):
        failing(record, "diverged")
    board = board_of(given)
    assert row_of(board, "mixup")["verdict"] == "better"
    row = row_of(board, "mixup.1")
    assert row["verdict"] is None and 'the baseline "plain.1"' in row["reason"]


def test_a_copy_is_a_member_of_the_family_whose_order_may_differ(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "plain-aa": 0.0, "arm": 0.0})
    for record in given.of("plain-aa"):
        record["digests"]["order"] += "salted"
    for record in given.of("arm"):
        record["digests"]["order"] += "other"
    given.plan["arms"][1] |= {"copy_of": "plain", "salt": "aa-1"}
    board = board_of(given)
    assert board["settings"]["family"] == 2
    assert row_of(board, "plain-aa")["verdict"] in ("equal", "not resolved")
    assert not any("order" in stamp for stamp in row_of(board, "plain-aa")["stamps"])
    assert "not comparable: order" in row_of(board, "arm")["stamps"]
