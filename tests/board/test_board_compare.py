"""Two results, arm by arm: who is a pair, which test, what may not be compared, and the same words as a board's."""

from __future__ import annotations

import copy
import math
import random
import statistics
from typing import Any

import numpy as np
import orjson
import pytest
from scipy import stats

from harness.board import two_sample
from harness.board.compare import Given, compare_results, has_compared
from harness.board.compare_render import render_markdown, render_text
from harness.board.compare_verdict import Row, Rules, judge_all
from harness.board.leaderboard import build

EFFECTS = {"plain": 0.0, "mixup": 0.5}


def given_of(inputs: Any, label: str = "a") -> Given:
    return Given(label, inputs.plan, inputs.records, inputs.timings, inputs.shared)


def compared(base: Any, candidate: Any) -> dict[str, Any]:
    return compare_results(given_of(base, "a"), given_of(candidate, "b"))


def arm_of(report: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(row for row in report["arms"] if row["arm"] == arm)


def shift(given: Any, points: float, noise: float = 0.0, seed: int = 1) -> None:
    draw = random.Random(seed)
    for record in given.records:
        record["results"]["test"]["top1"] += points + (draw.gauss(0, noise) if noise else 0.0)


def top1(given: Any, arm: str) -> list[float]:
    return [record["results"]["test"]["top1"] for record in given.of(arm)]


def test_a_result_equals_itself_bit_for_bit(inputs: Any) -> None:
    report = compared(inputs(EFFECTS), inputs(EFFECTS))
    for row in report["arms"]:
        assert row["accuracy"]["verdict"] == "equal"
        assert row["accuracy"]["bit_equal"] == {"equal": 10, "of": 10}
        assert row["speed"]["ratio"] == 1.0
        assert row["changed"] == []
    assert report["settings"]["family"] == 2


def test_paired_arms_get_the_verdict_of_a_board_with_the_base_as_baseline(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    shift(candidate, 0.6, noise=0.2)
    report = compared(base, candidate)
    for name in EFFECTS:
        row = arm_of(report, name)["accuracy"]
        differences = [b - a for a, b in zip(top1(base, name), top1(candidate, name), strict=True)]
        wanted = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        assert row["p"] == pytest.approx(wanted.pvalue, abs=1e-12)
        interval = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 2)
        assert (row["difference"]["low"], row["difference"]["high"]) == pytest.approx(
            tuple(interval), abs=1e-9
        )
        assert row["test"] == "paired sign-flip"
    # The board of a suite with the same numbers: base as `plain`, candidate as an arm, in a family of two.
    study = inputs({"plain": 0.0, "arm": 0.0, "none": 0.0})
    for arm, values in (("plain", top1(base, "plain")), ("arm", top1(candidate, "plain"))):
        for record, value in zip(study.of(arm), values, strict=True):
            record["results"]["test"]["top1"] = value
    board = build(study.plan, study.records, [], shared=study.shared)
    wanted_row = next(row for row in board["rows"] if row["arm"] == "arm")
    assert arm_of(report, "plain")["accuracy"]["verdict"] == wanted_row["verdict"] == "better"


def test_holm_is_over_the_arms_of_both_sides(inputs: Any) -> None:
    effects = dict.fromkeys(("plain", "b", "c", "d"), 0.0)
    base, candidate = inputs(effects), inputs(effects)
    shift(candidate, 0.2, noise=0.3)
    report = compared(base, candidate)
    raw = sorted((row["accuracy"]["p"], row["arm"]) for row in report["arms"])
    running = 0.0
    for rank, (p, name) in enumerate(raw):
        running = max(running, min(1.0, p * (4 - rank)))
        assert arm_of(report, name)["accuracy"]["p_holm"] == pytest.approx(running)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda given: given.plan.update(seed=7), "the suites' seeds differ"),
        (lambda given: given.plan["arms"][1].update(salt="other"), "their salts differ"),
        (lambda given: given.of("mixup")[0]["digests"].update(order="x"), "the order of the samples differs"),
        (
            lambda given: given.of("mixup")[0]["digests"].update(order=None),
            "nothing shows that both saw the samples in one order",
        ),
    ],
)
def test_what_shares_no_draws_is_tested_unpaired_and_says_so(inputs: Any, change: Any, why: str) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    shift(candidate, 0.7, noise=0.4)
    change(candidate)
    row = arm_of(compared(base, candidate), "mixup")["accuracy"]
    one, other = top1(base, "mixup"), top1(candidate, "mixup")
    assert row["test"] == f"unpaired permutation ({why})"
    exact = stats.permutation_test((other, one), _welch_t, n_resamples=np.inf, vectorized=True)
    assert row["p"] == pytest.approx(exact.pvalue, abs=1e-12)
    welch = stats.ttest_ind(other, one, equal_var=False)
    assert row["difference"]["mean"] == pytest.approx(statistics.fmean(other) - statistics.fmean(one))
    low, high = welch.confidence_interval(1 - 0.05 / 2)
    # Degrees of freedom are rounded down: a little wider than scipy's, never narrower.
    assert row["difference"]["low"] <= low + 1e-9
    assert row["difference"]["high"] >= high - 1e-9
    assert row["difference"]["high"] - high < 0.05 * (high - low)
    assert "unpaired" in row["reason"]


def test_the_two_sample_test_is_that_of_scipy_and_does_not_hang_on_the_order() -> None:
    draw = random.Random(3)
    for base, candidate in ((3, 4), (5, 5), (8, 6)):
        one = [draw.gauss(0, 1) for _ in range(base)]
        other = [draw.gauss(0.8, 1) for _ in range(candidate)]
        # scipy doubles the smaller tail; by distance from 0 both tails are counted as they are.
        found = [abs(_welch_t(np.array(x), np.array(y), 0)) for x, y in _dealings(one, other)]
        observed = abs(stats.ttest_ind(one, other, equal_var=False).statistic)
        share = sum(value >= observed - 1e-9 for value in found) / len(found)
        assert two_sample.permutation_p(one, other) == pytest.approx(share, abs=1e-12)
        if base == candidate:
            exact = stats.permutation_test((one, other), _welch_t, n_resamples=np.inf, vectorized=True)
            assert two_sample.permutation_p(one, other) == pytest.approx(exact.pvalue, abs=1e-12)
    many = [draw.gauss(0, 1) for _ in range(15)], [draw.gauss(1, 1) for _ in range(15)]
    drawn = two_sample.permutation_p(*many, seed=5)
    assert drawn == two_sample.permutation_p(many[0][::-1], many[1][::-1], seed=5)
    assert drawn == pytest.approx(stats.ttest_ind(*many).pvalue, abs=0.02)


def _welch_t(x: Any, y: Any, axis: int) -> Any:
    error = np.var(x, axis=axis, ddof=1) / x.shape[axis] + np.var(y, axis=axis, ddof=1) / y.shape[axis]
    return (np.mean(x, axis=axis) - np.mean(y, axis=axis)) / np.sqrt(error)


def test_sides_without_a_spread_and_of_one_value_have_a_p_value() -> None:
    # One dealing of 70 and its mirror part the values as they came.
    assert two_sample.permutation_p([90.0] * 4, [91.0] * 4) == 2 / 70
    assert two_sample.permutation_p([90.0] * 4, [90.0] * 4) == 1.0
    assert two_sample.permutation_p([90.1, 90.2, 90.3, 90.4], [90.2, 90.3]) == 1.0  # equal means
    # One value has no spread: its distance from the mean of the others, the third largest of 20.
    others = [float(value) for value in range(1, 20)]
    assert two_sample.permutation_p(others, [20.0]) == 2 / 20  # 20 and 1 lie equally far
    assert two_sample.permutation_p(others[:18], [25.0]) == 1 / 19


def test_a_level_that_ten_thousand_draws_cannot_reach_has_more() -> None:
    # A family of 1,000: above 200,000 ways 10,000 draws give no p below 1e-4, and 5e-5 is asked for.
    one, other = [90.0 + 0.01 * k for k in range(12)], [95.0 + 0.01 * k for k in range(12)]
    assert two_sample.permutation_p(one, other, 0, 5e-5) == 1 / 500_001
    assert two_sample.permutation_p(one, other) == 1 / 10_001


def test_a_family_of_hundreds_can_be_significant_above_16_pairs() -> None:
    # 10,000 draws have no p below 1e-4, and of 600 arms the first has to be below 8.3e-5.
    base = {replicate: 90.0 + 0.1 * (replicate % 3) for replicate in range(20)}
    better = {replicate: value + 1.0 + 0.01 * replicate for replicate, value in base.items()}
    rows = [
        Row("paired", [], (base, better), list(base), "", ""),
        Row("unpaired", [], (base, better), None, "other draws", ""),
    ]
    judged = judge_all(rows, Rules(alpha=0.05, margin=0.1, equal_margin=0.1, family=600, seed=0))
    assert [row.told["verdict"] for row in judged] == ["better", "better"]


def _dealings(one: list[float], other: list[float]) -> list[tuple[list[float], list[float]]]:
    import itertools

    values = [*one, *other]
    dealt = []
    for chosen in itertools.combinations(range(len(values)), len(one)):
        rest = [value for at, value in enumerate(values) if at not in chosen]
        dealt.append(([values[at] for at in chosen], rest))
    return dealt


def test_the_unpaired_test_keeps_its_level_and_small_sides_get_no_verdict(inputs: Any) -> None:
    draw = random.Random(11)
    hits = sum(
        two_sample.permutation_p([draw.gauss(0, 1) for _ in range(5)], [draw.gauss(0, 1) for _ in range(5)])
        <= 0.05
        for _ in range(400)
    )
    assert hits <= 35  # 20 wanted; 35 is beyond the 99.9 % point of Binomial(400, 0.05)
    base, candidate = inputs(EFFECTS, 3), inputs(EFFECTS, 3)
    shift(candidate, 50.0)
    for seed in (0, 7):
        candidate.plan["seed"] = seed
        row = arm_of(compared(base, candidate), "plain")["accuracy"]
        assert row["verdict"] is None
        assert "nothing could be significant" in row["reason"]
    assert two_sample.smallest_p(3, 3) == 2 / 20
    assert two_sample.smallest_p(3, 4) == 1 / 35


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (lambda plan: plan["arms"][1]["recipe"].update(batch_size=64), "world_size × batch_size"),
        (lambda plan: plan["arms"][1]["recipe"].update(budget={"unit": "epochs", "amount": 2}), "budget"),
        (lambda plan: plan["arms"][1]["recipe"].update(numerics={"precision": "bf16"}), "precision"),
        (lambda plan: plan["arms"][1]["recipe"].update(evaluation={"batch_size": 9}), "evaluation"),
        (lambda plan: plan.update(protocol=2), "protocol"),
        (lambda plan: plan["manifests"]["m"]["splits"]["test"].update(digest="z"), "split.test"),
    ],
)
def test_what_may_not_be_compared_is_named_and_gets_no_numbers(inputs: Any, change: Any, entry: str) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    for given in (base, candidate):
        for arm in given.plan["arms"]:
            arm["recipe"] |= {
                "budget": {"unit": "epochs", "amount": 24},
                "numerics": {"precision": "fp32"},
                "evaluation": {"batch_size": 500},
            }
    change(candidate.plan)
    for record in candidate.records:
        record["protocol"] = candidate.plan["protocol"]
    row = arm_of(compared(base, candidate), "mixup")["accuracy"]
    assert row["differs"] == [entry]
    assert (row["verdict"], row["difference"], row["p"]) == (None, None, None)
    assert row["reason"] == f"not comparable: {entry}"


def test_machines_that_differ_do_not_part_accuracy_but_part_speed(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    candidate.shared["host"] = copy.deepcopy(base.shared["host"])
    candidate.shared["host"]["accuracy"]["cpu"] = "Another CPU"
    candidate.shared["host"]["speed"]["cores"] = 64
    report = compared(base, candidate)
    row = arm_of(report, "mixup")
    assert row["accuracy"]["verdict"] == "equal"
    assert row["speed"]["differs"] == ["cpu", "speed.cores"]
    assert row["speed"]["ratio"] is None
    assert row["memory"]["ratio"] is None
    [note] = [note for note in report["notes"] if "different environments" in note]
    old = base.shared["host"]["accuracy"]["cpu"]
    assert note.endswith(f"may be the environment's: cpu {old} in the base, Another CPU in the candidate")


def test_speed_on_one_machine_is_shown_and_not_judged(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    for timing in candidate.timings:
        timing["images_per_second"] *= 2.0
        timing["peak_memory_bytes"]["resident"] *= 3
    row = arm_of(compared(base, candidate), "mixup")
    assert row["speed"]["ratio"] == pytest.approx(2.0)
    assert row["memory"]["ratio"] == pytest.approx(3.0)
    assert row["speed"]["verdict"] is None
    assert "not interleaved" in row["speed"]["reason"]
    for given in (base, candidate):
        given.timings.clear()
    assert arm_of(compared(base, candidate), "mixup")["speed"]["reason"] == "no timing of either side"


def test_arms_of_one_side_alone_and_failures_are_told(inputs: Any, failing: Any) -> None:
    base, candidate = inputs({"plain": 0.0, "old": 0.0}), inputs({"plain": 0.0, "new": 0.0})
    failing(candidate.of("plain")[0], "diverged")
    del candidate.records[1]
    report = compared(base, candidate)
    assert (report["only_base"], report["only_candidate"]) == (["old"], ["new"])
    row = arm_of(report, "plain")["accuracy"]
    assert row["stamps"] == ["candidate: 9 of 10 replicates", "candidate: 1 of 9 failed"]
    assert row["difference"]["count"] == 9
    # A replicate that the arm failed has chance accuracy.
    values = [10.0, *[r["results"]["test"]["top1"] for r in candidate.of("plain")[1:]]]
    assert row["candidate"]["mean"] == pytest.approx(statistics.fmean(values))


def test_a_candidate_that_always_failed_gets_no_verdict_as_on_a_board(inputs: Any, failing: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    for record in candidate.of("mixup"):
        failing(record, "crashed")
    row = arm_of(compared(base, candidate), "mixup")["accuracy"]
    assert (row["verdict"], row["reason"]) == (
        None,
        "no verdict: the candidate failed in all 10 replicates",
    )
    for record in candidate.of("mixup")[:1]:
        record.update(base.of("mixup")[record["replicate"]])
    assert arm_of(compared(base, candidate), "mixup")["accuracy"]["verdict"] == "worse"


@pytest.mark.parametrize("seed", [0, 7])
def test_what_would_be_found_reaches_the_margin_in_four_of_five_runs(inputs: Any, seed: int) -> None:
    # A true difference of the margin is measured beyond it in half of all runs only: t(0.2) errors more make 80 %.
    base, candidate = inputs({"plain": 0.0}), inputs({"plain": 0.0})
    shift(candidate, 0.0, noise=0.2)
    for given in (base, candidate):
        given.plan["margin_points"] = 5.0
    candidate.plan["seed"] = seed
    row = arm_of(compared(base, candidate), "plain")["accuracy"]
    one, other = np.array(top1(base, "plain")), np.array(top1(candidate, "plain"))
    if seed:
        welch = stats.ttest_ind(other, one, equal_var=False)
        degrees = math.floor(welch.df)
        error = math.sqrt(one.var(ddof=1) / 10 + other.var(ddof=1) / 10)
    else:
        degrees, error = 9, (other - one).std(ddof=1) / math.sqrt(10)
    assert row["detectable"] == pytest.approx(5.0 + stats.t.isf(0.2, degrees) * error, rel=1e-9)


def test_nothing_in_common_is_nothing_compared(inputs: Any) -> None:
    report = compared(inputs({"plain": 0.0}), inputs({"other": 0.0}))
    assert not has_compared(report)
    assert "nothing could be compared" in render_text(report)
    one = inputs(EFFECTS)
    one.records.clear()
    one.timings.clear()
    assert not has_compared(compared(one, inputs(EFFECTS)))
    assert has_compared(compared(inputs(EFFECTS), inputs(EFFECTS)))


def test_timings_without_a_single_trial_are_nothing_to_compare(inputs: Any) -> None:
    """Their speeds are shown beside each other, and no two passes are ever judged."""
    other = inputs(EFFECTS)
    other.records = []
    report = compared(inputs(EFFECTS), other)
    assert all(row["speed"]["ratio"] is not None for row in report["arms"])
    assert not has_compared(report)


def test_the_comparison_does_not_hang_on_the_order_of_the_records(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    shift(candidate, 0.1, noise=0.4)
    first = orjson.dumps(compared(base, candidate))
    for given in (base, candidate):
        random.Random(2).shuffle(given.records)
        random.Random(3).shuffle(given.timings)
    assert orjson.dumps(compared(base, candidate)) == first
    candidate.plan["seed"] = 5
    unpaired = orjson.dumps(compared(base, candidate))
    random.Random(4).shuffle(candidate.records)
    assert orjson.dumps(compared(base, candidate)) == unpaired


def test_what_has_changed_is_named(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    candidate.plan["arms"][1]["recipe"]["tricks"][0]["params"]["alpha"] = 0.4
    for given, digest in ((base, "1"), (candidate, "2")):
        given.plan["arms"][0]["components"] = [{"full_name": "harness-bench/sgd", "source_digest": digest}]
    report = compared(base, candidate)
    assert arm_of(report, "plain")["changed"] == ["the source of harness-bench/sgd is another"]
    assert arm_of(report, "mixup")["changed"] == [
        "tricks.mixup.params is {} there, None here",
        "tricks.mixup.params.alpha is None there, 0.4 here",
    ]


def test_names_cannot_break_out_of_text_and_markdown(inputs: Any) -> None:
    name = "x|y\n# <script>alert(1)</script> [a](javascript:b) \x1b[31m\u202e"
    given = inputs({name: 0.0, "b": 0.3})
    report = compared(given, given)
    text, markdown = render_text(report), render_markdown(report)
    assert "\x1b" not in text + markdown
    assert "\u202e" not in text + markdown
    assert "<script" not in markdown
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {len(line.replace("\\|", "").split("|")) for line in table} == {9}
    assert not any(line.startswith("#") for line in markdown.splitlines()[1:])


def test_unknown_numbers_are_never_zero(inputs: Any) -> None:
    base, candidate = inputs(EFFECTS), inputs(EFFECTS)
    for record in candidate.of("mixup"):
        record["results"]["test"]["top1"] = math.nan
    row = arm_of(compared(base, candidate), "mixup")["accuracy"]
    assert (
        row["candidate"] is None
    )  # completed without a result: counted as failed, and chance is no measurement
    assert "candidate: 10 of 10 failed" in row["stamps"]
    candidate.records[:] = candidate.of("plain")
    row = arm_of(compared(base, candidate), "mixup")["accuracy"]
    assert (row["candidate"], row["difference"], row["verdict"]) == (None, None, None)
    assert "no result on the candidate's side" in row["reason"]


def test_a_comparison_waits_for_the_planned_replicates_of_both_sides(inputs: Any) -> None:
    base, candidate = inputs({"plain": 0.0}), inputs({"plain": 0.0})
    for record in candidate.records:
        record["results"]["test"]["top1"] += 1.0

    def told(left: Any, right: Any) -> Any:
        sides = [Given(name, side.plan, side.records, [], {}) for name, side in (("a", left), ("b", right))]
        return compare_results(*sides)["arms"][0]["accuracy"]

    assert told(base, candidate)["verdict"] == "better"
    for short in (base, candidate):
        kept = list(short.records)
        short.records.pop()
        found = told(base, candidate)
        assert (found["verdict"], found["p"], found["difference"]["count"]) == (None, None, 9)
        assert found["reason"].startswith("no verdict: interim, 9 of 10 replicates; ")
        short.records[:] = kept
