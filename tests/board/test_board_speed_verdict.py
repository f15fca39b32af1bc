"""Verdicts on speed and memory, and accuracy at equal compute: hand-worked rounds, and scipy on the logs."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from harness.board import render
from harness.board.equal_compute import equal_compute_of
from harness.board.leaderboard import build
from harness.board.rows import BIT_EQUAL
from harness.board.speed_verdict import SPEED, _reason, non_inferior
from harness.board.statistics import Estimate, non_inferiority_p
from harness.board.verdict import Comparison, Rules

Json = dict[str, Any]
NOISE = [0.0041, -0.0032, 0.0023, -0.0011, 0.0029, -0.0043, 0.0007, -0.0019]


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


def timed(inputs: Any, factors: dict[str, float], rounds: int = 8, **keys: Any) -> Any:
    """Return a suite whose arms run at `factors` times the baseline's pace, and are equally accurate within noise."""
    given = inputs({"plain": 0.0, **dict.fromkeys(factors, 0.3)}, rounds=rounds, noise=0.05, **keys)
    for timing in given.timings:
        number, arm = timing["round"], timing["arm"]
        drift = 1 + 0.03 * number
        jitter = 0.0 if arm == "plain" else NOISE[number % 8] * (1 + 0.1 * len(arm))
        timing["images_per_second"] = 4000.0 * drift * factors.get(arm, 1.0) * math.exp(jitter)
    return given


def test_the_ratio_equals_scipys_on_the_logs_of_the_rounds(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.2, "alike": 1.0, "slow": 0.5})
    board = board_of(given)
    rates = {
        arm: np.array([t["images_per_second"] for t in given.timings if t["arm"] == arm])
        for arm in ("plain", "quick", "alike", "slow")
    }
    verdicts = {arm: row_of(board, arm)["speed_verdict"] for arm in rates}
    assert verdicts["plain"] is None
    assert [verdicts[arm]["verdict"] for arm in ("quick", "alike", "slow")] == ["faster", "equal", "slower"]
    for arm in ("quick", "alike", "slow"):
        logs = np.log(rates[arm] / rates["plain"])
        expected = stats.ttest_1samp(logs, 0).confidence_interval(1 - 0.05 / 3)
        ratio = verdicts[arm]["ratio"]
        assert [ratio[key] for key in ("mean", "low", "high")] == pytest.approx(
            np.exp([logs.mean(), expected.low, expected.high]), rel=1e-12
        )
        p = stats.permutation_test((logs,), np.sum, permutation_type="samples", n_resamples=1000).pvalue
        assert verdicts[arm]["p"] == pytest.approx(p, abs=1e-12)
        assert verdicts[arm]["rounds"] == 8
    # Two are at 2/256, the least that eight rounds give: 3 · 2/256, then 2 · 2/256 made monotone.
    assert verdicts["quick"]["p_holm"] == verdicts["slow"]["p_holm"] == pytest.approx(6 / 256)
    assert "images per second × 0.500 over 8 rounds" in verdicts["slow"]["reason"]


def test_the_terminal_tells_who_is_faster_and_smaller_and_why(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.2, "alike": 1.0})
    for timing in given.timings:
        timing["peak_memory_bytes"] = {"resident": 500e6 if timing["arm"] == "alike" else 600e6}
    console = Console(width=400, file=io.StringIO())
    console.print(render.terminal(board_of(given)))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "faster: images per second × 1.200 over 8 rounds, Holm p = 0.016" in told
    assert "smaller: peak memory × 0.833 over 8 rounds" in told
    assert told.count("images per second ×") == told.count("peak memory ×") == 1


def test_an_arm_must_be_non_inferior_first(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5})
    verdict = row_of(board_of(given), "quick")["speed_verdict"]
    assert verdict["non_inferior"]["holds"] is True and verdict["non_inferior"]["margin"] == 0.2
    base = [record["results"]["test"]["top1"] for record in given.of("plain")]
    for index, (record, value) in enumerate(zip(given.of("quick"), base, strict=True)):
        record["results"]["test"]["top1"] = value - 0.3 + (0.1 if index % 2 else -0.1)
    verdict = row_of(board_of(given), "quick")["speed_verdict"]
    assert (verdict["verdict"], verdict["p"]) == (None, None)
    assert "0.2 points below the baseline's" in verdict["reason"]
    assert verdict["ratio"]["mean"] == pytest.approx(1.5, rel=0.01)  # shown, and not judged
    # What the suite says it may lose, fixed before the run.
    given.plan["non_inferiority_points"] = 0.5
    verdict = row_of(board_of(given), "quick")["speed_verdict"]
    assert verdict["verdict"] == "faster"
    differences = [-0.3 + (0.1 if index % 2 else -0.1) for index in range(10)]
    expected = stats.ttest_1samp(differences, -0.5, alternative="greater").pvalue
    assert verdict["non_inferior"]["p"] == pytest.approx(expected, abs=1e-12)


def test_non_inferiority_without_spread_and_without_pairs() -> None:
    assert non_inferiority_p([-0.1] * 5, 0.2) == 0.0
    assert non_inferiority_p([-0.3] * 5, 0.2) == 1.0
    assert non_inferiority_p([0.0], 0.2) is None


def test_too_few_rounds_give_no_verdict_and_say_how_many_it_takes(inputs: Any) -> None:
    given = timed(inputs, {"quick": 2.0, "other": 1.0}, rounds=3)
    verdict = row_of(board_of(given), "quick")["speed_verdict"]
    assert verdict["verdict"] is None
    assert "3 timing rounds, and a family of 2 takes 7" in verdict["reason"]


def test_noisy_rounds_are_left_out_of_speed_and_not_of_memory(inputs: Any) -> None:
    given = timed(inputs, {"quick": 2.0})
    for timing in given.timings:
        if timing["arm"] == "plain" and timing["round"] < 3:
            timing["noisy"] = True
    row = row_of(board_of(given), "quick")
    assert row["speed_verdict"]["verdict"] is None
    assert "5 timing rounds beside 3 noisy ones" in row["speed_verdict"]["reason"]
    assert row["memory_verdict"]["rounds"] == 8


def test_memory_is_smaller_larger_or_equal(inputs: Any) -> None:
    given = timed(inputs, {"small": 1.0, "large": 1.0, "same": 1.0})
    sizes = {"plain": 1000.0, "small": 600.0, "large": 1500.0, "same": 1000.0}
    for timing in given.timings:
        timing["peak_memory_bytes"] = {"resident": 1.0, "tree": None, "allocated": sizes[timing["arm"]]}
    board = board_of(given)
    told = {arm: row_of(board, arm)["memory_verdict"] for arm in sizes}
    assert told["plain"] is None
    assert [told[arm]["verdict"] for arm in ("small", "large", "same")] == ["smaller", "larger", "equal"]
    assert told["small"]["ratio"]["mean"] == pytest.approx(0.6)
    assert "peak memory × 0.600" in told["small"]["reason"]


def test_a_difference_of_less_than_a_hundredth_is_no_speed_up(inputs: Any) -> None:
    given = timed(inputs, {"hair": 1.0})
    for timing in given.timings:
        if timing["arm"] == "hair":
            timing["images_per_second"] = (
                4000.0 * (1 + 0.03 * timing["round"]) * 1.008 * math.exp(NOISE[timing["round"]])
            )
    told = row_of(board_of(given), "hair")["speed_verdict"]
    assert told["p_holm"] < 0.05
    assert told["verdict"] in ("equal", "not resolved")


@pytest.mark.parametrize(
    ("size", "verdict"), [(0.98, "equal"), (1.025, "equal"), (0.96, "smaller"), (1.04, "larger")]
)
def test_memory_within_three_per_cent_is_none_saved(inputs: Any, size: float, verdict: str) -> None:
    """Copies of one arm lie 1 % apart in every round: the test alone would call that a difference."""
    given = timed(inputs, {"arm": 1.0})
    for timing in given.timings:
        own = 600e6 * (size if timing["arm"] == "arm" else 1.0) * (1 + 0.001 * (timing["round"] % 3))
        timing["peak_memory_bytes"] = {"resident": own, "tree": None}
    told = row_of(board_of(given), "arm")["memory_verdict"]
    assert told["p_holm"] == 2 / 2**8
    assert told["verdict"] == verdict
    assert "3%" in told["reason"]


def test_input_bound_is_said_in_the_reason_and_stamped(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.3})
    for timing in given.timings:
        timing |= {"input_bound": timing["arm"] == "quick", "data_wait_share": 0.4}
    row = row_of(board_of(given), "quick")
    assert row["speed_verdict"]["verdict"] == "faster"
    assert "input-bound (quick)" in row["speed_verdict"]["reason"]
    assert any(stamp.startswith("input-bound") for stamp in row["stamps"])


def test_without_timings_there_is_none_and_without_verdicts_the_plans_reason(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.3})
    given.plan |= {"verdicts": False, "verdicts_reason": "exploratory"}
    told = row_of(board_of(given), "quick")["speed_verdict"]
    assert (told["verdict"], told["reason"]) == (None, "no verdict: exploratory")
    given.timings = []
    row = row_of(board_of(given), "quick")
    assert row["speed_verdict"] is row["memory_verdict"] is None


def test_equal_compute_reads_the_curves_where_they_reach() -> None:
    # The arm spends twice as much an epoch: its second epoch cost what all four of the baseline's did.
    curves = {"epoch": [1, 2, 3, 4], "validation_top1": {"mean": [50.0, 60.0, 70.0, 80.0]}}
    base_curves = {"epoch": [1, 2, 3, 4], "validation_top1": {"mean": [40.0, 65.0, 68.0, 72.0]}}
    found = equal_compute_of({"training_flops": 8e9}, {"training_flops": 4e9}, curves, base_curves)
    assert found == {
        "at_arm": None,  # the baseline never spent so much
        "at_baseline": {"training_flops": 4e9, "arm": 60.0, "baseline": 72.0},
    }
    # An arm of three quarters of the cost an epoch: its end is at the baseline's third epoch.
    found = equal_compute_of({"training_flops": 3e9}, {"training_flops": 4e9}, curves, base_curves)
    assert found == {
        "at_arm": {"training_flops": 3e9, "arm": 80.0, "baseline": 68.0},
        "at_baseline": None,
    }
    # Between two epochs in proportion: 2.5e9 is half-way from the second to the third.
    found = equal_compute_of({"training_flops": 2.5e9}, {"training_flops": 4e9}, curves, base_curves)
    assert found is not None and found["at_arm"]["baseline"] == pytest.approx(66.5)


def test_an_arm_with_the_bits_of_its_baseline_is_not_held_against_another_place_in_the_schedule() -> None:
    curves = {"epoch": [1, 2], "validation_top1": {"mean": [50.0, 60.0]}}
    row = {"training_flops": 8e9, "stamps": [f"exact: {BIT_EQUAL}, with checkpoints at work"]}
    assert equal_compute_of(row, {"training_flops": 4e9}, curves, curves) is None
    row["stamps"] = ["noisy: 1 of 3 timing rounds"]
    assert equal_compute_of(row, {"training_flops": 4e9}, curves, curves) is not None


def test_what_an_arm_needs_of_others_is_spent_before_its_first_epoch() -> None:
    curves = {"epoch": [1, 2, 3, 4], "validation_top1": {"mean": [50.0, 60.0, 70.0, 80.0]}}
    base_curves = {"epoch": [1, 2, 3, 4], "validation_top1": {"mean": [40.0, 65.0, 68.0, 72.0]}}
    # A student of 1e9 FLOPs whose teacher took 2e9: three epochs of the baseline, not one.
    row = {"training_flops": 1e9, "parents_cost": {"training_flops": 2e9}}
    found = equal_compute_of(row, {"training_flops": 4e9}, curves, base_curves)
    assert found == {"at_arm": {"training_flops": 3e9, "arm": 80.0, "baseline": 68.0}, "at_baseline": None}
    # Both teacher and student within the baseline's: 2e9 + 3e9 spent evenly, 4e9 is two thirds along the student's.
    row["training_flops"] = 3e9
    found = equal_compute_of(row, {"training_flops": 4e9}, curves, base_curves)
    assert found is not None and found["at_arm"] is None
    assert found["at_baseline"]["arm"] == pytest.approx(50 + 10 * (2 / 3 * 4 - 1))
    # Nobody knows what a file took.
    row["parents_cost"] = {"training_flops": None}
    assert equal_compute_of(row, {"training_flops": 4e9}, curves, base_curves) is None


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"epoch": [], "validation_top1": {"mean": []}},
        {"epoch": [1, 2], "validation_top1": {"mean": [1.0, None]}},
        {"epoch": [1, 1], "validation_top1": {"mean": [1.0, 2.0]}},
        {"epoch": ["a", "b"], "validation_top1": {"mean": [1.0, 2.0]}},
    ],
)
def test_equal_compute_is_null_where_curves_are_absent_or_damaged(curves: Json) -> None:
    good = {"epoch": [1, 2], "validation_top1": {"mean": [1.0, 2.0]}}
    row = {"training_flops": 1e9}
    assert equal_compute_of(row, row, curves, good) is None
    assert equal_compute_of(row, row, good, curves) is None
    assert equal_compute_of({"training_flops": None}, row, good, good) is None


def test_two_pairs_of_accuracy_show_nothing_to_be_kept(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5})
    base = {record["replicate"]: record["results"]["test"]["top1"] for record in given.of("plain")}
    for record in given.of("quick"):
        record["results"]["test"]["top1"] = base[record["replicate"]]
        if record["replicate"] >= 2:
            record["changes"] = ["os.environ"]
    told = row_of(board_of(given), "quick")["speed_verdict"]
    # Two equal pairs have no spread, and a t test without spread is as sure as one can be.
    assert told["non_inferior"] == {"p": 0.0, "margin": 0.2, "pairs": 2, "holds": False}
    assert (told["verdict"], told["p"]) == (None, None)
    assert told["reason"].endswith("than 0.2 points below the baseline's (2 pairs, and it takes 6)")


def test_while_planned_rounds_are_missing_a_verdict_waits(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5, "other": 1.2}, rounds=9)
    last = given.timings.pop(
        next(i for i, t in enumerate(given.timings) if (t["arm"], t["round"]) == ("quick", 8))
    )
    board = board_of(given)
    told = row_of(board, "quick")
    wanted = "no verdict: interim, 8 of 9 timing rounds; verdicts are given when all planned timing rounds are there"
    for key in ("speed_verdict", "memory_verdict"):
        assert (told[key]["verdict"], told[key]["reason"], told[key]["p"]) == (None, wanted, None)
    assert told["speed_verdict"]["ratio"]["mean"] == pytest.approx(1.5, rel=0.01)  # shown
    assert row_of(board, "other")["speed_verdict"]["verdict"] == "faster"
    # A round that failed is there.
    given.timings.append(last | {"status": "oom", "images_per_second": None})
    assert row_of(board_of(given), "quick")["speed_verdict"]["verdict"] == "faster"


def test_a_speed_verdict_takes_seven_rounds_whatever_the_family_and_tells_of_short_ones(inputs: Any) -> None:
    told = row_of(board_of(timed(inputs, {"quick": 1.5}, rounds=6)), "quick")["speed_verdict"]
    assert told["verdict"] is None and "6 timing rounds, and a family of 1 takes 7" in told["reason"]
    given = timed(inputs, {"quick": 1.5}, rounds=7)
    given.plan["timing"]["seconds"] = 5.0
    told = row_of(board_of(given), "quick")["speed_verdict"]
    assert told["verdict"] == "faster" and "steady" not in told["reason"]
    given.plan["timing"]["seconds"] = 1.0
    row = row_of(board_of(given), "quick")
    assert row["speed_verdict"]["verdict"] == "faster"
    assert row["speed_verdict"]["reason"].endswith(
        "; 1 s of steady state a round, a claim takes 5 ([timing] seconds = 5)"
    )
    assert "steady" not in row["memory_verdict"]["reason"]  # what was allocated does not hang on the seconds


def test_a_verdict_beside_an_interval_that_holds_no_difference_says_so(inputs: Any) -> None:
    # Seven rounds of one sign: p = 2/128 whatever their size; with one far off the t interval holds 1.
    given = timed(inputs, {"quick": 1.0}, rounds=7)
    for timing in given.timings:
        factor = [1.02] * 6 + [2.0]
        timing["images_per_second"] = 1000.0 * (factor[timing["round"]] if timing["arm"] == "quick" else 1.0)
    told = row_of(board_of(given), "quick")["speed_verdict"]
    assert told["verdict"] == "faster" and told["ratio"]["low"] < 1.0
    assert told["reason"].endswith("; the t interval, which is simultaneous, still contains 1")
    for record, other in zip(given.of("quick"), given.of("plain"), strict=True):
        gained = 20.0 if record["replicate"] == 0 else 0.5
        record["results"]["test"]["top1"] = other["results"]["test"]["top1"] - 15.0 + gained
        other["results"]["test"]["top1"] -= 15.0
    row = row_of(board_of(given), "quick")
    assert row["verdict"] == "better" and row["difference"]["low"] < 0.0
    assert row["reason"].endswith("; the t interval, which is simultaneous, still contains 0")


def test_equal_in_speed_is_meant_within_a_hundredth_and_not_within_the_points_of_accuracy(
    inputs: Any,
) -> None:
    """Jitter of 4 % a round: the interval is far wider than a hundredth, and far narrower than 0.25 points."""
    given = timed(inputs, {"alike": 1.0})
    for timing in given.timings:
        if timing["arm"] == "alike":
            timing["images_per_second"] *= math.exp(10 * NOISE[timing["round"]])
    told = row_of(board_of(given), "alike")["speed_verdict"]
    assert told["ratio"]["high"] > 1.02 and told["ratio"]["low"] < 0.98
    assert told["verdict"] == "not resolved"


def test_the_timings_of_a_baseline_that_are_gone_are_missed_and_not_the_plan_s(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5, "slow": 0.7})
    given.plan["claims"] = [
        {"name": "a", "source": "s", "arm": "quick", "against": "plain", "metric": "images_per_second"}
        | {"testable": None, "unit": "ratio", "claimed": 1.5}
    ]
    given.timings = [timing for timing in given.timings if timing["arm"] != "plain"]
    board = board_of(given)
    row, wanted = row_of(board, "quick"), 'no verdict: interim, 0 of 8 timing rounds of "plain"; '
    assert row["timing_rounds"] == 8
    for told in (row["speed_verdict"], row["memory_verdict"], board["claims"][0]):
        assert told["verdict"] is None and told["reason"].startswith(wanted)
    assert not any("timing" in stamp for stamp in board["stamps"])
    assert wanted.replace('"', "&#34;") in render.html(board) and "0 of 8 timing rounds of" in render.csv(
        board
    )


def test_rounds_of_an_arm_that_are_gone_are_told_of_in_its_row_alone(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5, "slow": 0.7})
    given.timings = [timing for timing in given.timings if timing["arm"] != "slow"]
    board = board_of(given)
    assert row_of(board, "slow")["speed_verdict"]["reason"].startswith(
        "no verdict: interim, 0 of 8 timing rounds;"
    )
    assert row_of(board, "quick")["speed_verdict"]["verdict"] == "faster"


def test_a_baseline_of_which_every_round_failed_is_no_plan_of_too_few_rounds(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.5})
    for timing in given.timings:
        timing["status"] = "oom" if timing["arm"] == "plain" else timing["status"]
    told = row_of(board_of(given), "quick")["speed_verdict"]
    assert told["reason"] == 'no verdict: no timing round of "plain" completed'


@pytest.mark.parametrize("rounds", [0, 8])
def test_a_timing_pass_that_has_not_begun_is_told_once_and_no_pass_at_all_is_not(
    inputs: Any, rounds: int
) -> None:
    given = timed(inputs, {"quick": 1.5, "slow": 0.7})
    given.plan["timing"] = {**given.plan["timing"], "rounds": rounds}
    given.timings = []
    board = board_of(given)
    stamp = "not timed yet: 0 of 8 timing rounds, so nothing is said of speed and memory"
    assert board["stamps"] == ([stamp] if rounds else [])
    assert all(row["speed_verdict"] is row["memory_verdict"] is None for row in board["rows"])


IMPOSSIBLE = [1.7e308, 1e-323, 1e-320, 1e16, 1e-10, 0.0, -4.0]


@pytest.mark.parametrize("number", IMPOSSIBLE)
@pytest.mark.parametrize("arm", ["plain", "quick"])
def test_a_timing_that_cannot_be_is_as_one_that_is_not_a_number(inputs: Any, arm: str, number: float) -> None:
    """The round counts for neither side, and the others keep their verdicts: 7 of 8 are enough."""
    boards = []
    for value in (number, math.nan):
        given = timed(inputs, {"quick": 1.5})
        for timing in given.timings:
            timing["peak_memory_bytes"] = {"tree": 6e8 if timing["arm"] == "plain" else 9e8}
        broken = next(one for one in given.timings if one["arm"] == arm)
        broken |= {"images_per_second": value, "peak_memory_bytes": {"tree": value}}
        broken |= {"evaluation_images_per_second": value, "step_seconds": {"median": value, "iqr": 0.0}}
        boards.append(board_of(given))
    row = row_of(boards[0], "quick")
    assert [row[key]["verdict"] for key in ("speed_verdict", "memory_verdict")] == ["faster", "larger"]
    assert [row[key]["rounds"] for key in ("speed_verdict", "memory_verdict")] == [7, 7]
    assert render.json(boards[0]) == render.json(boards[1])


@pytest.mark.parametrize("metric", ["images_per_second", "peak_memory"])
def test_rounds_as_far_apart_as_any_can_be_are_judged_and_drawn(inputs: Any, metric: str) -> None:
    given = timed(inputs, {"wild": 1.0, "b": 1.0, "c": 1.0})
    for timing in given.timings:
        timing["peak_memory_bytes"] = {"resident": 6e8}
        if timing["arm"] == "wild":
            size = 1e15 if timing["round"] % 2 else 1e-9
            timing |= (
                {"images_per_second": size}
                if metric != "peak_memory"
                else {"peak_memory_bytes": {"resident": size}}
            )
    one = {
        "source": "s",
        "arm": "wild",
        "against": "plain",
        "testable": None,
        "unit": "ratio",
        "claimed": 2.0,
    }
    given.plan["claims"] = [{"name": name, "metric": metric, **one} for name in "abc"]
    board = board_of(given)
    told = row_of(board, "wild")["memory_verdict" if metric == "peak_memory" else "speed_verdict"]
    assert told["ratio"]["low"] < 1e-9 and told["verdict"] == "not resolved"
    assert board["claims"][0]["measured"]["low"] < 1e-9
    assert render.html(board) and "000,000,000,000,000,000,000" not in render.markdown(board)


@pytest.mark.parametrize("size", [-5.0, 0.0])
def test_a_memory_that_can_not_be_is_no_round(inputs: Any, size: float) -> None:
    given = timed(inputs, {"quick": 1.2})
    for timing in given.timings:
        timing["peak_memory_bytes"] = {"resident": 600e6}
    next(one for one in given.timings if one["arm"] == "quick")["peak_memory_bytes"]["resident"] = size
    assert row_of(board_of(given), "quick")["memory_verdict"]["rounds"] == 7


def test_accuracy_is_kept_at_the_level_that_is_shared_by_the_family() -> None:
    differences = [-0.1 + 0.01 * number for number in (-19, 10, 8, -12, 14, 3, -9, 5)]
    p = stats.ttest_1samp(differences, -0.2, alternative="greater").pvalue
    assert 0.05 / 3 < p < 0.05
    for family, holds in ((1, True), (3, False)):
        told = non_inferior(differences, 0.2, Rules(0.05, family, 0.25, 0.25, 6, 0))
        assert told["holds"] is holds and told["p"] == pytest.approx(p)


def test_which_side_is_input_bound_is_said_of_most_rounds(inputs: Any) -> None:
    given = timed(inputs, {"quick": 1.3})
    for most, told in ((4, ""), (5, "; input-bound (plain): ")):
        for timing in given.timings:
            timing["input_bound"] = timing["arm"] == "plain" and timing["round"] < most
        reason = row_of(board_of(given), "quick")["speed_verdict"]["reason"]
        assert told in reason and ("input-bound" in reason) is bool(told)


def test_what_would_be_found_is_told_as_a_ratio() -> None:
    found = Comparison(
        Estimate(0.0, -0.1, 0.1, 0.1, 8), 8, 0.5, 0.5, None, math.log(1.05), "not resolved", "r"
    )
    assert _reason(found, SPEED, Rules(0.05, 1, 0.01, 0.01, 6, 0)).endswith(
        "; × 1.050 would be found in 4 of 5"
    )
