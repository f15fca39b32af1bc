"""Figures over three data sets or more, by hand and against scipy."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from harness.board import render
from harness.board.leaderboard import build
from harness.board.statistics import interquartile_mean

Json = dict[str, Any]
ARMS = ("plain", "mixup", "sam")


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def grid_of(inputs: Any, datasets: int) -> Any:
    """Return three arms on several data sets of 10, 20, 30 … classes, each a cell."""
    given = inputs(dict.fromkeys(ARMS, 0.0), replicates=8)
    draw = np.random.default_rng(0)
    arms, trials, records = given.plan["arms"], [], given.records
    given.plan |= {"arms": [], "trials": trials, "manifests": {}}
    given.records = []
    for number in range(datasets):
        suffix = f".{number}" if number else ""
        given.plan["manifests"][f"m{number}"] = {
            "classes": 10 * (number + 1),
            "splits": {"test": {"count": 1000, "digest": f"test{number}"}},
        }
        for index, arm in enumerate(arms):
            name = arm["name"] + suffix
            cell = {"dataset.name": f"d{number}"}
            given.plan["arms"].append(
                {**copy.deepcopy(arm), "name": name, "against": f"plain{suffix}", "cell": cell}
                | {"data": f"m{number}"}
            )
            for record in records[8 * index : 8 * index + 8]:
                made = copy.deepcopy(record)
                made |= {"arm": name, "trial": f"{name}/{record['replicate']}"}
                made["results"]["test"]["top1"] = float(
                    60 + 10 * number + [0, 3, 3 - 2 * number][index] + draw.normal(0, 0.5)
                )
                trials.append({"id": made["trial"], "arm": name, "replicate": record["replicate"]})
                given.records.append(made)
    return given


def scores_of(given: Any, arm: str, datasets: int) -> np.ndarray:
    """Return (data sets, replicates): 0 is guessing, 1 is perfect."""
    rows = []
    for number in range(datasets):
        chance = 100 / (10 * (number + 1))
        values = [r["results"]["test"]["top1"] for r in given.of(arm + (f".{number}" if number else ""))]
        rows.append([(value - chance) / (100 - chance) for value in values])
    return np.array(rows)


def test_figures_equal_numpys_and_scipys(inputs: Any) -> None:
    given = grid_of(inputs, 4)
    found = board_of(given)["aggregate"]
    assert [task["baseline"] for task in found["tasks"]] == ["plain", "plain.1", "plain.2", "plain.3"]
    scores = {arm: scores_of(given, arm, 4) for arm in ARMS}
    means = np.array([scores[arm].mean(axis=1) for arm in ARMS])
    ranks = stats.rankdata(-means, axis=0).mean(axis=1)
    told = {arm["arm"]: arm for arm in found["arms"]}
    assert set(told) == set(ARMS) and found["left_out"] == []
    for arm, rank in zip(ARMS, ranks, strict=True):
        middle = told[arm]["interquartile_mean"]
        assert middle["mean"] == pytest.approx(stats.trim_mean(scores[arm].ravel(), 0.25), abs=1e-12)
        assert middle["low"] < middle["mean"] < middle["high"]
        assert told[arm]["mean_rank"]["mean"] == pytest.approx(rank)
        assert told[arm]["mean_rank"]["low"] <= rank <= told[arm]["mean_rank"]["high"]
        share = [(scores[arm] > threshold).mean() for threshold in found["thresholds"]]
        assert told[arm]["profile"]["share"] == pytest.approx(share, abs=1e-12)
        assert told[arm]["mean_score"] == pytest.approx(scores[arm].mean())
    # sam is beyond plain on the first two data sets, and below on the last two.
    assert found["arms"][0]["arm"] == "mixup"
    width = told["mixup"]["interquartile_mean"]["high"] - told["mixup"]["interquartile_mean"]["low"]
    assert 0.0005 < width < 0.02


def test_two_data_sets_are_not_enough_nor_are_three_cells_with_one(inputs: Any) -> None:
    assert board_of(grid_of(inputs, 2))["aggregate"] is None
    given = grid_of(inputs, 3)
    assert board_of(given)["aggregate"] is not None
    for manifest in given.plan["manifests"].values():
        manifest["splits"]["test"]["digest"] = "one and the same"
    assert board_of(given)["aggregate"] is None


def test_an_arm_that_lacks_a_data_set_is_left_out_and_a_copy_takes_no_part(inputs: Any, failing: Any) -> None:
    given = grid_of(inputs, 3)
    for record in given.of("sam.2"):
        failing(record, "oom")
    found = board_of(given)["aggregate"]
    assert found["left_out"] == [{"arm": "sam", "reason": "no result in 1 of 3 tasks"}]
    assert {arm["arm"] for arm in found["arms"]} == {"plain", "mixup"}
    for arm in given.plan["arms"]:
        if arm["name"].startswith("mixup"):
            arm["copy_of"] = "plain"
    assert [arm["arm"] for arm in board_of(given)["aggregate"]["arms"]] == ["plain"]


def test_the_interquartile_mean_by_hand() -> None:
    # Eight values: two are cut at either end.
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]) == 3.5
    assert interquartile_mean([1.0, 2.0, 6.0]) == 3.0


def every_format(board: Json) -> list[str]:
    console = Console(width=4000, record=True)
    console.print(render.terminal(board))
    return [render.markdown(board), render.html(board), render.latex(board), console.export_text()]


@pytest.mark.parametrize("gone", ["failed", "without a record"])
def test_why_there_are_no_figures_stands_in_their_place(inputs: Any, failing: Any, gone: str) -> None:
    given = grid_of(inputs, 3)
    for record in [one for one in given.records if one["arm"].endswith(".1")]:
        if gone == "failed":
            failing(record, "oom")
        else:
            given.records.remove(record)
    board = board_of(given)
    reason = 'no arm has a result in all 3 data sets; there is none in that of "plain.1"'
    assert (board["aggregate"]["reason"], board["aggregate"]["arms"]) == (reason, [])
    assert [task["baseline"] for task in board["aggregate"]["tasks"]] == ["plain", "plain.1", "plain.2"]
    for text in every_format(board):
        assert "ver all" in text
        assert "No figures: no arm has a result in all 3 data sets; there is none in that of" in text


def test_arms_that_failed_in_different_data_sets_leave_none(inputs: Any, failing: Any) -> None:
    given = grid_of(inputs, 3)
    for arm in ("plain", "mixup.1", "sam.2"):
        for record in given.of(arm):
            failing(record, "oom")
    assert board_of(given)["aggregate"]["reason"] == "no arm has a result in all 3 data sets"


def test_no_replicate_in_common_is_said_with_its_data_set(inputs: Any) -> None:
    given = grid_of(inputs, 3)
    halves = {"plain.1": range(4), "mixup.1": range(4, 8)}
    given.records = [one for one in given.records if one["replicate"] in halves.get(one["arm"], range(8))]
    board = board_of(given)
    told = 'no replicate has a result of every arm in the data set of "plain.1"'
    assert board["aggregate"]["reason"] == told
    assert all("No figures: no replicate has a result of every arm" in text for text in every_format(board))
