"""The board: what counts, what is compared, and the verdicts that it refuses."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

import orjson
import pytest
from scipy import stats

from harness.board import render
from harness.board.leaderboard import build

SIX = {"plain": 0.0, "mixup": 1.0, "smoothing": 0.5, "sam": 0.02, "ema": 0.05, "slow": -2.0}


def board_of(given: Any) -> dict[str, Any]:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def row_of(board: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(row for row in board["rows"] if row["arm"] == arm)


def set_top1(records: list[dict[str, Any]], values: list[float]) -> None:
    for record, value in zip(records, values, strict=True):
        record["results"]["test"]["top1"] = value


def test_equal_input_gives_equal_bytes_whatever_the_order(inputs: Any) -> None:
    given = inputs(SIX)
    first = render.json(board_of(given))
    random.Random(0).shuffle(given.records)
    random.Random(1).shuffle(given.timings)
    assert render.json(board_of(given)) == first
    assert orjson.loads(first)["rows"][0]["arm"] == "mixup"


def test_build_changes_nothing_that_it_is_given(inputs: Any) -> None:
    given = inputs(SIX)
    before = copy.deepcopy((given.plan, given.records, given.timings, given.shared))
    board_of(given)
    assert before == (given.plan, given.records, given.timings, given.shared)


def test_verdicts_follow_scipy_and_holm(inputs: Any) -> None:
    given = inputs(SIX)
    board = board_of(given)
    base = [record["results"]["test"]["top1"] for record in given.of("plain")]
    raw = {}
    for arm in list(SIX)[1:]:
        differences = [r["results"]["test"]["top1"] - b for r, b in zip(given.of(arm), base, strict=True)]
        row = row_of(board, arm)
        # The simultaneous interval: Bonferroni over five arms.
        expected = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 5)
        assert row["difference"]["low"] == pytest.approx(expected.low, abs=1e-9)
        assert row["difference"]["high"] == pytest.approx(expected.high, abs=1e-9)
        raw[arm] = row["difference"]["p"]
    ordered = sorted(raw, key=lambda arm: raw[arm])
    running = 0.0
    for rank, arm in enumerate(ordered):
        running = max(running, min(1.0, raw[arm] * (5 - rank)))
        assert row_of(board, arm)["difference"]["p_holm"] == pytest.approx(running)
    assert [row_of(board, arm)["verdict"] for arm in ("mixup", "slow", "sam")] == [
        "better",
        "worse",
        "not resolved",
    ]
    assert all(row["reason"] for row in board["rows"])
    assert [row["rank"] for row in board["rows"]] == [1, 2, 3, 4, 5, 6]
    means = [row["top1"]["mean"] for row in board["rows"]]
    assert means == sorted(means, reverse=True)


def test_significant_but_smaller_than_the_margin_is_not_better(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "tiny": 0.0})
    set_top1(given.of("plain"), [90.0 + i for i in range(10)])
    set_top1(given.of("tiny"), [90.2 + i + 0.001 * i for i in range(10)])
    given.plan["margin_points"] = 0.3
    given.plan["equal_margin_points"] = 0.1
    row = row_of(board_of(given), "tiny")
    assert row["difference"]["p_holm"] < 0.05
    assert row["verdict"] == "not resolved"
    assert "margin of 0.3" in row["reason"]


def test_equal_takes_two_one_sided_tests_inside_the_margin(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "same": 0.0})
    set_top1(given.of("plain"), [90.0 + i for i in range(10)])
    set_top1(given.of("same"), [90.0 + i + (0.02 if i % 2 else -0.02) for i in range(10)])
    assert row_of(board_of(given), "same")["verdict"] == "equal"
    given.plan["margin_points"] = 0.01  # two one-sided tests cannot reach that
    assert row_of(board_of(given), "same")["verdict"] == "not resolved"


def test_a_difference_of_exactly_the_margin_matters(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    set_top1(given.of("plain"), [91.0 + i for i in range(8)] + [80.0, 81.0])
    set_top1(given.of("arm"), [91.3 + i for i in range(8)] + [80.3, 81.3])
    given.plan["margin_points"] = 0.3
    assert row_of(board_of(given), "arm")["verdict"] == "better"


def test_the_default_margin_is_a_tenth_of_a_point_or_one_test_example(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    del given.plan["margin_points"]
    assert board_of(given)["settings"]["margin_points"] == pytest.approx(100 / 899)
    given.plan["manifests"]["m"]["splits"]["test"]["count"] = 10_000
    assert board_of(given)["settings"]["margin_points"] == 0.1


@pytest.mark.parametrize("status", ["diverged", "oom", "timeout", "crashed", "failed"])
def test_a_replicate_that_the_arm_failed_has_chance_accuracy_and_no_time(
    inputs: Any, failing: Any, status: str
) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    failing(given.of("arm")[4], status)
    given.of("arm")[4]["seconds"] = {"train": 1e9}
    board = board_of(given)
    row = row_of(board, "arm")
    values = [record["results"]["test"]["top1"] for i, record in enumerate(given.of("arm")) if i != 4] + [
        10.0
    ]
    assert row["top1"]["mean"] == pytest.approx(sum(values) / 10)
    assert row["train_seconds"] < 10
    assert row["failure_rate"] == 0.1
    assert not any("unstable" in stamp for stamp in row["stamps"])  # 1 in 10 is not more than 1 in 10
    assert row["difference"]["count"] == 10
    assert row["statuses"] == {"completed": 9, status: 1}
    [failure] = board["failures"]
    assert (failure["arm"], failure["replicate"], failure["status"]) == ("arm", 4, status)
    assert failure["culprit"]["plugin"] == "harness_plugins.tricks.sam"


def test_more_than_one_failure_in_ten_is_unstable_and_all_is_unranked(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "wild": 0.5, "dead": 0.5})
    for record in [*given.of("wild")[:2], *given.of("dead")]:
        failing(record, "diverged")
    board = board_of(given)
    assert "unstable: 2 of 10 failed" in row_of(board, "wild")["stamps"]
    dead = row_of(board, "dead")
    assert (dead["rank"], dead["verdict"], board["rows"][-1]["arm"]) == (None, None, "dead")
    assert dead["stamps"] == ["failed: all 10 replicates, diverged"]
    # It has no accuracy, and lies nowhere from the baseline; the reason does not say its stamp again.
    assert (dead["top1"], dead["difference"], dead["p_better"]) == (None, None, None)
    assert dead["reason"] == "no verdict: no replicate has a result"


def test_nothing_lies_apart_from_a_baseline_without_a_result(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    for record in given.of("plain")[:7]:
        failing(record, "diverged")
    set_top1(given.of("plain")[7:], [math.nan] * 3)
    board = board_of(given)
    plain, arm = row_of(board, "plain"), row_of(board, "arm")
    assert plain["stamps"] == ["failed: all 10 replicates, diverged 7, no finite test accuracy 3"]
    assert plain["top1"] is arm["difference"] is arm["p_better"] is None
    assert board["calibration"]["resolution_points"] is None
    assert (arm["verdict"], arm["reason"]) == (None, 'no verdict: the baseline "plain" has no result')
    assert arm["top1"]["count"] == 10


def test_an_unstable_baseline_backs_no_verdict(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    for record in given.of("plain")[:2]:
        failing(record, "oom")
    row = row_of(board_of(given), "arm")
    assert row["verdict"] is None and "unstable" in row["reason"]
    assert row["difference"]["mean"] > 10  # shown, and not believed


@pytest.mark.parametrize("status", ["lost", "preempted"])
def test_what_the_machine_stopped_never_counts(inputs: Any, failing: Any, status: str) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    clean = row_of(board_of(given), "arm")
    again = copy.deepcopy(given.of("arm")[2])
    given.of("arm")[2]["attempt"] = 1
    failing(again, status)
    given.records.append(again)
    board = board_of(given)
    row = row_of(board, "arm")
    assert {**row, "attempts": 10} == clean
    assert row["attempts"] == 11
    assert [(failure["attempt"], failure["counted"]) for failure in board["failures"]] == [(0, False)]
    # Without a later attempt the replicate is missing, not failed.
    given.records = [
        record for record in given.records if record["trial"] != "arm/2" or record["status"] == status
    ]
    row = row_of(board_of(given), "arm")
    assert row["replicates"] == {"planned": 10, "good": 9, "failed": 0, "missing": 1}
    assert row["stamps"] == ["9 of 10 replicates"]
    assert row["statuses"] == {"completed": 9, status: 1}


def test_a_second_try_of_a_finished_trial_does_not_count(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    failing(given.of("arm")[0], "diverged")
    lucky = copy.deepcopy(given.of("arm")[1])
    lucky |= {"trial": "arm/0", "replicate": 0, "attempt": 1}
    given.records.append(lucky)
    assert row_of(board_of(given), "arm")["replicates"]["failed"] == 1


def test_pairs_are_by_replicate_and_too_few_give_no_verdict(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0, "other": 2.0})
    for record in given.records:  # what a plugin changed is there, and takes no part
        if record["trial"] in ("arm/0", "arm/1", "plain/2", "plain/3"):
            record["changes"] = ["os.environ"]
    board = board_of(given)
    row = row_of(board, "arm")
    assert row["difference"]["count"] == 6
    assert row["verdict"] is None  # a family of two needs seven
    assert "6 paired replicates" in row["reason"] and "needs 7" in row["reason"]
    assert row_of(board, "other")["verdict"] == "better"  # eight pairs


def test_while_planned_replicates_are_missing_a_verdict_waits(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0, "other": 2.0}, 20, rounds=8)
    whole = board_of(given)
    assert {row_of(whole, arm)["verdict"] for arm in ("arm", "other")} == {"better"}
    assert all(row["rank_interval"] for row in whole["rows"])
    given.records = [one for one in given.records if one["arm"] != "arm" or one["replicate"] < 19]
    board = board_of(given)
    row = row_of(board, "arm")
    wanted = "interim, 19 of 20 replicates; verdicts are given when all planned replicates are there"
    assert (row["verdict"], row["reason"]) == (None, f"no verdict: {wanted}")
    assert row["difference"]["count"] == 19 and row["difference"]["low"] > 0  # shown
    assert (row["difference"]["p"], row["rank_interval"]) == (None, None)
    assert (row["speed_verdict"]["verdict"], row["speed_verdict"]["reason"]) == (None, row["reason"])
    # The arm that is complete is judged, and neither's place against the missing one is told.
    assert (row_of(board, "other")["verdict"], row_of(board, "other")["rank_interval"]) == ("better", [1, 2])
    # A replicate that the arm failed is there; one of the baseline that is missing keeps all of them waiting.
    lost = copy.deepcopy(given.of("arm")[0]) | {"trial": "arm/19", "replicate": 19, "attempt": 0}
    failing(lost, "diverged")
    given.records.append(lost)
    assert row_of(board_of(given), "arm")["verdict"] is not None
    given.records.remove(given.of("plain")[3])
    board = board_of(given)
    assert {row["verdict"] for row in board["rows"]} == {None}
    assert '19 of 20 replicates of "plain"; ' in row_of(board, "other")["reason"]


def test_looking_at_every_replicate_announces_no_more_than_looking_at_the_end(inputs: Any) -> None:
    # Optional stopping: of 20 planned replicates, a difference that is none is looked for from the 6th on.
    def announced(given: Any, count: int) -> bool:
        seen = [record for record in given.records if record["replicate"] < count]
        board = build(given.plan, seen, [], shared=given.shared)
        return row_of(board, "arm")["verdict"] in ("better", "worse")

    early = 0
    for seed in range(12):
        given = inputs({"plain": 0.0, "arm": 0.0}, 20, rounds=0, seed=seed, epochs=1)
        given.plan["margin_points"] = 1e-9
        early += any(announced(given, count) for count in range(6, 20))
    assert early == 0


def test_arms_without_a_verdict_stay_in_the_family(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0, "absent": 0.0})
    given.records = [record for record in given.records if record["arm"] != "absent"]
    board = board_of(given)
    difference = row_of(board, "arm")["difference"]
    assert difference["p_holm"] == pytest.approx(2 * difference["p"])
    assert row_of(board, "absent")["rank"] is None
    assert row_of(board, "absent")["top1"] is None


def test_a_plan_without_verdicts_gets_none(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0}, replicates=3)
    given.plan |= {"verdicts": False, "verdicts_reason": "3 replicates, 6 needed"}
    board = board_of(given)
    assert board["verdicts"] is False
    row = row_of(board, "arm")
    assert (row["verdict"], row["difference"]["p"]) == (None, None)
    assert "3 replicates, 6 needed" in row["reason"]


def test_a_no_op_is_reported(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "nothing": 0.0, "idle": 0.3})
    for own, other in zip(given.of("nothing"), given.of("plain"), strict=True):
        own["digests"], own["results"] = dict(other["digests"]), other["results"]
        own["observables"] = {}
    for record in given.of("idle"):
        record["observables"] = {"ema": {"name": "distance", "value": 0.0}}
    board = board_of(given)
    assert row_of(board, "nothing")["stamps"] == [
        "no-op: weights and outputs equal the baseline's, bit for bit"
    ]
    nothing = row_of(board, "nothing")
    wanted = "no verdict: a no-op, no bit differs from the baseline's"
    assert (nothing["verdict"], nothing["reason"]) == (None, wanted)
    assert nothing["speed_verdict"]["reason"] == wanted
    assert row_of(board, "idle")["stamps"] == ["no-op: ema was 0 in every replicate"]
    # Both at once are one stamp.
    for record in given.of("nothing"):
        record["observables"] = {"clip": {"name": "share", "value": 0.0}}
    assert row_of(board_of(given), "nothing")["stamps"] == [
        "no-op: weights and outputs equal the baseline's, bit for bit; clip was 0 in every replicate"
    ]
    # An observable that fired in every replicate tells it from a trick that changes no bit.
    for record in given.of("nothing"):
        record["observables"] = {"grad-checkpointing": {"name": "segments", "value": 12.0}}
    exact = row_of(board_of(given), "nothing")
    assert exact["stamps"] == [
        "exact: weights and outputs equal the baseline's, bit for bit, with grad-checkpointing at work"
    ]
    assert exact["verdict"] == "equal"
    # One replicate that differs: it is none.
    given.of("nothing")[3]["digests"]["final_weights"] = "other"
    assert row_of(board_of(given), "nothing")["stamps"] == []


def test_arms_with_equal_recipes_share_their_trials(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "copy": 0.0})
    given.records = given.of("plain")
    for trial in given.plan["trials"]:
        trial["id"] = f"plain/{trial['replicate']}"
    # The store reads the trial of either arm.
    given.records += copy.deepcopy(given.records)
    row = row_of(board_of(given), "copy")
    assert (row["replicates"]["good"], row["attempts"]) == (10, 10)
    assert row["difference"]["mean"] == 0.0
    assert row["stamps"][0].startswith("no-op")
    assert row["verdict"] is None and row["reason"].startswith("no verdict: a no-op, ")


def test_changed_global_state_takes_the_verdict(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0})
    for record in given.of("arm")[:5]:
        record["changes"] = ["torch.backends.cudnn.benchmark"]
    row = row_of(board_of(given), "arm")
    assert row["verdict"] is None
    assert row["difference"]["count"] == 5
    assert row["top1"]["count"] == 10
    assert "changed global state: torch.backends.cudnn.benchmark" in row["stamps"]


def test_another_order_of_the_data_is_not_comparable_unless_declared(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0})
    given.of("arm")[6]["digests"]["order"] = "another"
    row = row_of(board_of(given), "arm")
    assert (row["verdict"], row["rank"]) == (None, None)
    assert "not comparable: order" in row["stamps"]
    given.plan["arms"][1]["varies"] = ["batch_size"]
    row = row_of(board_of(given), "arm")
    assert (row["verdict"], row["varies"], row["stamps"]) == ("better", ["batch_size"], [])


def test_other_test_data_is_not_comparable(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 2.0})
    other = copy.deepcopy(given.plan["manifests"]["m"])
    given.plan["manifests"]["n"] = other
    given.plan["arms"][1] |= {"data": "n", "varies": ["dataset"]}
    assert row_of(board_of(given), "arm")["verdict"] == "better"  # other training data, the same test set
    other["splits"]["test"]["digest"] = "elsewhere"
    row = row_of(board_of(given), "arm")
    assert (row["verdict"], row["stamps"]) == (None, ["not comparable: test data"])


def test_speed_is_paired_by_round(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0}, rounds=3)
    rates = {"plain": [100.0, 200.0, 400.0], "arm": [110.0, 210.0, 360.0]}
    for timing in given.timings:
        timing["images_per_second"] = rates[timing["arm"]][timing["round"]]
    board = board_of(given)
    row, base = row_of(board, "arm"), row_of(board, "plain")
    assert row["images_per_second"] == pytest.approx(float(stats.gmean([110, 210, 360])))
    ratio = row["images_per_second_ratio"]
    assert ratio["mean"] == pytest.approx(float(stats.gmean([1.1, 1.05, 0.9])))
    # The speeds that are shown and the ratio beside them are one statement.
    assert row["images_per_second"] / base["images_per_second"] == pytest.approx(ratio["mean"], rel=1e-12)
    assert (ratio["low"], ratio["high"], ratio["rounds"]) == (pytest.approx(0.9), pytest.approx(1.1), 3)
    assert row["peak_memory_kind"] == "resident"
    # A noisy round is left out of both, as it is of the verdict.
    given.timings[-1]["noisy"] = True
    row = row_of(board_of(given), "arm")
    assert row["images_per_second"] == pytest.approx(math.sqrt(110 * 210))
    assert row["images_per_second_ratio"]["mean"] == pytest.approx(math.sqrt(1.1 * 1.05))
    assert row["images_per_second_ratio"]["rounds"] == 2
    # The baseline has its three rounds, and is slower in the two: who divides is told.
    assert row["stamps"] == [
        "noisy: 1 of 3 timing rounds",
        "ratio by round: 1.075× over the 2 that both have, while the speeds shown, each over its own, "
        "would give 0.760×",
    ]
    for timing in given.timings:  # where nothing else is known, noisy rounds are shown, and not judged
        timing["noisy"] = True
    row = row_of(board_of(given), "arm")
    assert row["images_per_second_ratio"]["rounds"] == 3


def test_memory_on_a_gpu_is_what_was_allocated(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    for timing in given.timings:
        timing["peak_memory_bytes"] = {"resident": 9e9, "allocated": 1e9, "reserved": 2e9}
    row = row_of(board_of(given), "arm")
    assert (row["peak_memory_bytes"], row["peak_memory_kind"]) == (1e9, "allocated")


def test_without_a_timing_pass_there_is_no_speed(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    given.timings = [
        timing | {"status": "oom"} if timing["arm"] == "arm" else timing for timing in given.timings
    ]
    row = row_of(board_of(given), "arm")
    names = (
        "images_per_second",
        "images_per_second_ratio",
        "evaluation_images_per_second",
        "peak_memory_bytes",
    )
    assert [row[name] for name in names] == [None] * 4


def test_environments_are_told_apart_and_speed_is_not_pooled(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    other = copy.deepcopy(given.shared["host"])
    other["accuracy"]["libraries"]["torch"] = "2.10.0"
    given.shared["host2"] = other
    given.records[3]["refs"] = {**given.records[3]["refs"], "host": "host2"}
    assert board_of(given)["stamps"] == [
        "mixed hosts: trials ran in 2 environments (torch: 2.9.0 and 2.10.0)",
        "shown: accuracy of A CPU (2 cores), torch 2.9.0 (19 trials) and of A CPU (2 cores), torch 2.10.0 (1 trial); "
        "speed and memory of A CPU (2 cores), torch 2.9.0 (6 timings)",
    ]
    assert row_of(board_of(given), "arm")["images_per_second"] is not None
    given.timings[0]["refs"] = {"host": "host2"}
    board = board_of(given)
    assert board["stamps"][-1].startswith("speed and memory: 1 of 6 timings left out")
    assert row_of(board, "arm")["images_per_second"] is not None
    assert (row_of(board, "plain")["timing_rounds"], row_of(board, "arm")["timing_rounds"]) == (2, 3)
    assert row_of(board, "arm")["images_per_second_ratio"]["rounds"] == 2
    # Another host name alone is the same environment; hosts that cannot be resolved are told apart by hash.
    given.shared["host2"] = {**given.shared["host"], "shown": {"host": "another"}}
    assert board_of(given)["stamps"] == []
    assert build(given.plan, given.records, [])["stamps"] == [
        "mixed hosts: trials ran in 2 environments",
        "not timed yet: 0 of 3 timing rounds, so nothing is said of speed and memory",
    ]


def test_records_of_other_trials_and_protocols_are_left_out_and_counted(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0})
    given.records[0]["protocol"] = 2
    given.records.append({**given.records[1], "trial": "stranger"})
    board = board_of(given)
    assert row_of(board, "plain")["replicates"]["missing"] == 1
    assert board["stamps"] == [
        "records of no trial of this plan, left out: 1",
        "records of another protocol version, left out: 1",
    ]


def test_curves_are_the_mean_over_replicates(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0}, epochs=5)
    given.of("arm")[0]["curves"]["train_loss"][2] = math.nan
    curve = board_of(given)["curves"]["arm"]["train_loss"]
    columns = list(zip(*(record["curves"]["train_loss"] for record in given.of("arm")), strict=True))
    assert curve["mean"][1] == pytest.approx(sum(columns[1]) / 10)
    assert curve["mean"][2] == pytest.approx(sum(columns[2][1:]) / 9)
    interval = stats.t.interval(0.95, 9, stats.tmean(columns[4]), stats.sem(columns[4]))
    assert (curve["low"][4], curve["high"][4]) == pytest.approx(interval, abs=1e-12)


DAMAGES: dict[str, Any] = {
    "no records": lambda given: given.records.clear(),
    "no arms": lambda given: given.plan.update(arms=[], trials=[]),
    "no baseline in the plan": lambda given: given.plan.update(baseline="gone"),
    "no baseline records": lambda given: given.records.__delitem__(slice(0, 10)),
    "one replicate": lambda given: given.records.__delitem__(slice(1, 10)),
    "NaN accuracy": lambda given: set_top1(given.of("plain"), [math.nan] * 10),
    "no results at all": lambda given: [record.update(results=None) for record in given.records],
    "records of the schema alone": lambda given: [
        record.update(dict.fromkeys(record.keys() - {"trial", "status", "protocol", "attempt"}))
        for record in given.records
    ],
    "dead trials": lambda given: [
        record.update(dict.fromkeys(("results", "digests", "curves", "budget")) | {"status": "crashed"})
        for record in given.records
    ],
    "an arm that could not be built": lambda given: given.plan["arms"][0].update(failure="no such trick"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_study_still_gives_a_board_and_no_verdict(inputs: Any, damage: str) -> None:
    given = inputs({"plain": 0.0, "arm": 3.0})
    DAMAGES[damage](given)
    board = board_of(given)
    for format_ in (render.json, render.csv, render.markdown, render.html):
        assert format_(board)
    if damage != "an arm that could not be built":
        assert {row["verdict"] for row in board["rows"]} <= {None}
    assert "NaN" not in render.json(board)

    def no_nan(value: Any) -> None:
        for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            assert not (isinstance(entry, float) and not math.isfinite(entry))
            no_nan(entry)

    no_nan(board)


def test_an_arm_that_was_not_run_is_a_row_with_its_reason(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    given.plan["arms"][1]["failure"] = "trick torn: no module named x"
    given.plan["trials"] = [trial for trial in given.plan["trials"] if trial["arm"] != "arm"]
    row = row_of(board_of(given), "arm")
    assert row["stamps"] == ["not run: trick torn: no module named x"]
    assert (row["rank"], row["verdict"]) == (None, None)
