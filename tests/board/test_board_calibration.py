"""What a board says of itself: its copies, its runs split by time, slot, device and round, its resolution."""

from __future__ import annotations

import copy
import io
import itertools
import math
import random
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.board import permutation, render
from harness.board.band import binomial_end, upper_end
from harness.board.leaderboard import build
from harness.board.permutation import split_p
from harness.board.wording import calibration

Json = dict[str, Any]


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def with_copy(given: Any, *names: str) -> Any:
    for arm in given.plan["arms"]:
        if arm["name"] in names:
            arm |= {"copy_of": "plain", "salt": "aa-1", "recipe": given.plan["arms"][0]["recipe"]}
    for record in given.records:
        if record["arm"] in names:
            record["observables"] = {}
            record["digests"]["order"] += record["arm"]  # streams of its own
    return given


def placed(given: Any, slots: int = 1) -> Any:
    """Blocks one after the other, nine seconds a trial, on the slots in turn."""
    start = datetime(2026, 1, 1)
    for number, record in enumerate(sorted(given.records, key=lambda record: record["replicate"])):
        record["started_at"] = (start + timedelta(seconds=9 * number)).isoformat() + "Z"
        record["place"] = {"device": "cpu", "slot": number % slots}
    return given


def split_by(board: Json, by: str) -> Json:
    return next(split for split in board["calibration"]["splits"] if split["by"] == by)


def shift(records: list[Json], points: float) -> None:
    for record in records:
        record["results"]["test"]["top1"] += points


def test_a_copy_that_does_not_come_out_calibrates_the_board(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "mixup": 1.0, "plain-aa": 0.0}, rounds=0), "plain-aa")
    board = board_of(given)
    told = board["calibration"]
    row = next(row for row in board["rows"] if row["arm"] == "plain-aa")
    assert row["stamps"] == []  # the order that is its own is no fault of a copy
    assert told["verdict"] == "calibrated"
    assert told["reason"] == f"the copy plain-aa came out {row['verdict']}"
    assert told["accuracy"] == {"copies": 1, "beyond": 0, "band": 0}
    (one,) = told["copies"]
    assert (one["arm"], one["verdict"], one["identical"], one["speed"]) == (
        "plain-aa", row["verdict"], False, None,
    )  # fmt: skip
    assert (one["difference"], one["p"]) == (row["difference"]["mean"], row["difference"]["p"])


def test_a_copy_that_is_better_does_not(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "mixup": 1.0, "plain-aa": 0.9}, rounds=0), "plain-aa")
    told = board_of(given)["calibration"]
    assert told["verdict"] == "not calibrated"
    assert told["reason"] == "the copy plain-aa came out better"


def test_without_a_copy_there_is_no_verdict_and_the_resolution_is_the_median_of_the_arms(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "a": 0.1, "b": 0.2, "c": 0.3}, rounds=0)
    given.plan["margin_points"] = 0.01
    board = board_of(given)
    told = board["calibration"]
    assert (told["verdict"], told["reason"], told["copies"]) == (
        None, "not checked: the suite has no A/A copy (aa = true)", [],
    )  # fmt: skip
    found = sorted(row["difference"]["detectable"] for row in board["rows"] if row["difference"])
    assert told["resolution_points"] == found[1]
    given.plan["margin_points"] = found[1] + 0.5  # nothing below the margin is ever called different
    assert board_of(given)["calibration"]["resolution_points"] >= found[1] + 0.5


def test_a_copy_without_a_verdict_says_nothing(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.0}, 3, rounds=0), "plain-aa")
    given.plan |= {"verdicts": False, "verdicts_reason": "3 replicates, 6 needed"}
    told = board_of(given)["calibration"]
    assert (told["verdict"], told["reason"]) == (None, "the copies got no verdict")


def test_a_copy_that_equals_its_baseline_bit_for_bit_never_got_its_salt(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=0), "plain-aa")
    for own, other in zip(given.of("plain-aa"), given.of("plain"), strict=True):
        own["digests"], own["results"] = other["digests"], other["results"]
    told = board_of(given)["calibration"]
    assert told["verdict"] == "not calibrated"
    assert "its salt reached nothing" in told["reason"]


def test_several_copies_are_judged_each_by_itself_and_counted(inputs: Any) -> None:
    names = [f"plain-aa-{number}" for number in range(1, 11)]
    given = with_copy(inputs({"plain": 0.0, **dict.fromkeys(names, 0.0)}, rounds=0, noise=0.3), *names)
    board = board_of(given)
    base = [record["results"]["test"]["top1"] for record in given.of("plain")]
    expected = 0
    for name in names:
        differences = np.array([record["results"]["test"]["top1"] for record in given.of(name)]) - base
        signs = np.array(list(itertools.product([1, -1], repeat=10)))
        p = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
        expected += p <= 0.05 and abs(differences.mean()) >= 0.25
    assert board["calibration"]["accuracy"] == {"copies": 10, "beyond": expected, "band": 3}
    for name in names[:4]:
        shift(given.of(name), 1.0)
    told = board_of(given)["calibration"]
    assert told["accuracy"]["beyond"] >= 4
    assert told["verdict"] == "not calibrated"
    assert "of 10 copies are better or worse, each judged by itself; up to 3 may be" in told["reason"]


def test_no_copy_may_have_a_verdict_whatever_the_band_allows(inputs: Any) -> None:
    # Of two copies of two baselines one may be beyond by itself; as a verdict of the board none may be.
    given = with_copy(inputs({"plain": 0.0, "aa-1": 0.0, "aa-2": 0.0}, rounds=0, noise=0.3), "aa-1", "aa-2")
    shift(given.of("aa-1"), 1.0)
    told = board_of(given)["calibration"]
    assert [copy["verdict"] for copy in told["copies"]] == ["better", "not resolved"]
    assert told["accuracy"]["beyond"] == 1 <= told["accuracy"]["band"]
    assert told["verdict"] == "not calibrated"
    assert told["reason"].startswith("the copy aa-1 came out better; 1 of 2 copies are better or worse")


def test_the_speed_of_a_copy_waits_for_all_rounds(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=9), "plain-aa")
    assert board_of(given)["calibration"]["speed"]["copies"] == 1
    given.timings.pop()
    assert board_of(given)["calibration"]["speed"] is None


def test_a_copy_at_another_speed_does_not_calibrate(inputs: Any) -> None:
    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=8), "plain-aa")
    rates = {
        (t["arm"], t["round"]): 1000 * (1 + 0.03 * t["round"]) * (1 + 0.002 * (-1) ** t["round"])
        for t in given.timings
    }
    for timing in given.timings:
        timing["images_per_second"] = rates["plain", timing["round"]]
        if timing["arm"] != "plain":
            timing["images_per_second"] *= 1 + 0.001 * (-1) ** timing["round"]
    told = board_of(given)["calibration"]
    assert told["verdict"] == "calibrated"
    assert told["speed"] == {"copies": 1, "beyond": 0, "band": 0}
    for timing in given.timings:
        if timing["arm"] != "plain":
            timing["images_per_second"] *= 1.02
    told = board_of(given)["calibration"]
    assert told["verdict"] == "not calibrated"
    assert told["copies"][0]["speed"]["p"] == 2 / 2**8
    assert told["copies"][0]["speed"]["ratio"] == pytest.approx(1.02, abs=1e-3)


@pytest.mark.parametrize(("size", "verdict"), [(0.989, "calibrated"), (0.95, "not calibrated")])
def test_a_copy_of_another_size_does_not_calibrate(inputs: Any, size: float, verdict: str) -> None:
    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=8), "plain-aa")
    for timing in given.timings:
        own = 600e6 * (1.0 if timing["arm"] == "plain" else size)
        timing["peak_memory_bytes"] = {"resident": own, "tree": None}
        timing["images_per_second"] = 1000.0 + timing["round"]
    told = board_of(given)["calibration"]
    assert told["verdict"] == verdict
    assert told["copies"][0]["memory"] == {
        "ratio": pytest.approx(size),
        "p": 2 / 2**8,
        "rounds": 8,
        "differs": verdict != "calibrated",
    }
    assert f"its memory came out × {size:.3f}, p = 0.0078" in told["reason"]


@pytest.mark.parametrize("slow", [False, True])
def test_runs_of_the_second_half_that_are_all_worse_are_found(inputs: Any, slow: bool) -> None:
    given = placed(inputs({"plain": 0.0, "mixup": 1.0, "plain-aa": 0.0}, rounds=0), 2)
    with_copy(given, "plain-aa")
    if slow:
        shift([record for record in given.records if record["replicate"] >= 5], -3.0)
    told = board_of(given)["calibration"]
    split = split_by(board_of(given), "time")
    assert split["differs"] is slow
    assert (told["verdict"] == "not calibrated") is slow
    assert ("split by time differ, p = 0.0079" in told["reason"]) is slow
    assert [group["count"] for group in split["groups"]] == [15, 15]
    # By hand: a trial's accuracy less its arm's mean, averaged over replicates 0 to 4.
    means = []
    for arm in ("plain", "mixup", "plain-aa"):
        top1 = [record["results"]["test"]["top1"] for record in given.of(arm)]
        means += [value - sum(top1) / 10 for value in top1[:5]]
    assert split["groups"][0]["mean"] == pytest.approx(sum(means) / 15)


def test_a_slot_whose_runs_are_worse_is_found(inputs: Any) -> None:
    given = placed(inputs({"plain": 0.0, "mixup": 1.0}, rounds=0), 2)
    draw = random.Random(0)
    for record in given.records:
        record["place"]["slot"] = draw.randrange(2)
    assert split_by(board_of(given), "slot")["differs"] is False
    shift([record for record in given.records if record["place"]["slot"]], -2.0)
    split = split_by(board_of(given), "slot")
    assert split["differs"] is True
    assert [group["name"] for group in split["groups"]] == ["cpu slot 0", "cpu slot 1"]
    assert split_by(board_of(given), "device")["reason"] == "not tested: one device"


def test_records_of_before_there_were_places_are_not_split_by_them(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "mixup": 1.0}, rounds=0))
    told = {split["by"]: (split["p"], split["reason"]) for split in board["calibration"]["splits"]}
    assert told["slot"] == (None, "not tested: no slot in the records")
    assert told["device"] == (None, "not tested: no device in the records")
    assert told["time"] == (None, "not tested: one moment")
    assert told["round"][0] is None


def test_a_time_that_cannot_be_read_is_an_absence(inputs: Any) -> None:
    given = placed(inputs({"plain": 0.0, "mixup": 1.0}, rounds=0))
    given.records[0]["started_at"] = "yesterday"
    given.records[1]["started_at"] = None
    assert sum(group["count"] for group in split_by(board_of(given), "time")["groups"]) == 18
    given.records[2]["started_at"] = "2026-01-01T00:00:00"  # without a zone: not comparable with the others
    assert split_by(board_of(given), "time")["p"] is None


def test_few_replicates_are_said_to_be_too_few(inputs: Any) -> None:
    given = with_copy(placed(inputs({"plain": 0.0, "plain-aa": 0.0}, 6, rounds=0)), "plain-aa")
    shift([record for record in given.records if record["replicate"] >= 3], -9.0)
    split = split_by(board_of(given), "time")
    assert split["p"] == split["least_p"] == 2 / math.comb(6, 3)
    assert split["differs"] is None
    assert split["reason"] == "with 6 replicates in these groups no p is below 0.1"
    assert "runs split by time are too few to tell" in board_of(given)["calibration"]["reason"]


def test_a_drift_that_all_arms_share_is_no_difference_between_rounds_but_one_arms_is(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "a": 0.0, "b": 0.0}, rounds=10)  # 3 % a round, all arms alike
    assert split_by(board_of(given), "round")["differs"] is False
    for timing in given.timings:
        if timing["arm"] == "a" and timing["round"] >= 5:
            timing["images_per_second"] *= 0.9
    split = split_by(board_of(given), "round")
    assert (split["differs"], split["p"]) == (True, 2 / math.comb(10, 5))


def test_the_order_of_the_records_changes_nothing(inputs: Any) -> None:
    given = with_copy(placed(inputs({"plain": 0.0, "mixup": 1.0, "plain-aa": 0.0}, 16), 3), "plain-aa")
    first = render.json(board_of(given))
    random.Random(3).shuffle(given.records)
    random.Random(4).shuffle(given.timings)
    assert render.json(board_of(given)) == first


def split_of(residuals: Any, labels: Any, key: str, *, by_row: bool = False) -> Any:
    """`split_p` of tables with a cell for each pair of arm and replicate."""
    nested: Any = ({}, {})
    for found, cells in zip(nested, (residuals, labels), strict=True):
        for (arm, replicate), value in cells.items():
            found.setdefault(arm, {})[replicate] = value
    return split_p(*nested, key, by_row=by_row)


def table(arms: int, replicates: int, seed: int, luck: float = 1.0) -> dict[tuple[str, int], float]:
    """Residuals of arms whose replicates share their luck."""
    draw = np.random.default_rng(seed)
    values = luck * draw.normal(size=replicates) + 0.3 * draw.normal(size=(arms, replicates))
    values -= values.mean(axis=1, keepdims=True)
    return {(f"arm{a}", r): float(values[a, r]) for a in range(arms) for r in range(replicates)}


def test_every_order_of_the_replicates_is_counted() -> None:
    """Against all 720 orders, gone through by hand."""
    residuals = table(3, 6, 0)
    draw = random.Random(0)
    labels = {cell: draw.choice("xyz") for cell in residuals}
    values = np.array([[residuals[f"arm{a}", r] for r in range(6)] for a in range(3)])
    groups = np.array([[labels[f"arm{a}", r] for r in range(6)] for a in range(3)])

    def between(table: Any) -> float:
        return sum(table[groups == name].sum() ** 2 / (groups == name).sum() for name in "xyz")

    found = [between(values[:, order]) for order in itertools.permutations(range(6))]
    split = split_of(residuals, labels, "key")
    assert split.p == pytest.approx(np.mean(np.array(found) >= between(values) - 1e-12), abs=1e-12)
    assert split.least == pytest.approx(np.mean(np.array(found) >= max(found) - 1e-12), abs=1e-12)


def test_one_arm_in_two_halves_is_the_two_sample_permutation_test() -> None:
    residuals = table(1, 11, 1)
    labels = {cell: "first" if cell[1] < 5 else "second" for cell in residuals}
    values = [residuals["arm0", r] for r in range(11)]

    def between(x: Any, y: Any) -> float:
        return sum(x) ** 2 / len(x) + sum(y) ** 2 / len(y)

    oracle = stats.permutation_test(
        (values[:5], values[5:]), between, n_resamples=10**6, alternative="greater"
    )
    assert split_of(residuals, labels, "key").p == pytest.approx(oracle.pvalue, abs=1e-12)


def test_replicates_whose_arms_share_their_luck_do_not_seem_to_differ() -> None:
    """At .01, over 300 tables without any effect; single runs in place of replicates would fail by far."""
    labels = {(f"arm{a}", r): "first" if r < 5 else "second" for a in range(8) for r in range(10)}
    hits = naive = 0
    for seed in range(300):
        residuals = table(8, 10, seed)
        hits += (split_of(residuals, labels, "key").p or 1.0) <= 0.01
        halves = [
            [v for cell, v in residuals.items() if labels[cell] == name] for name in ("first", "second")
        ]
        naive += stats.ttest_ind(*halves).pvalue <= 0.01
    # The largest of 252 splits and its mirror: exactly 2 in 252.
    assert hits <= stats.binom.ppf(0.999, 300, 2 / 252)
    assert naive > 60


def test_drawn_orders_keep_the_level_and_agree_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    hits = 0
    for seed in range(60):
        residuals = table(4, 12, seed)
        labels = {cell: draw.choice("xy") for cell in residuals}
        split = split_of(residuals, labels, f"{seed}")
        hits += (split.p or 1.0) <= 0.1
    assert hits <= stats.binom.ppf(0.999, 60, 0.1)
    by_python = [split_of(residuals, labels, "key", by_row=by_row) for by_row in (False, True)]
    monkeypatch.setattr(permutation, "PYTHON_UP_TO", 0)
    by_numpy = [split_of(residuals, labels, "key", by_row=by_row) for by_row in (False, True)]
    assert by_python == by_numpy
    assert split_of(residuals, labels, "another key").p != by_python[0].p


def test_orders_of_many_replicates_are_dealt_evenly_and_keep_the_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """numpy's are other orders than Python's: two draws of one p-value, no further apart than that."""
    deals = permutation._many_deals(5, "key")
    assert deals.shape == (permutation.DRAWS + 1, 5) and deals[-1].tolist() == [0, 1, 2, 3, 4]
    assert {tuple(sorted(order)) for order in deals.tolist()} == {(0, 1, 2, 3, 4)}
    _, counts = np.unique(deals[:-1], axis=0, return_counts=True)
    assert len(counts) == 120 and stats.chisquare(counts).pvalue > 1e-4
    hits = 0
    for seed in range(60):
        residuals = table(4, 12, seed)
        draw = random.Random(seed)
        labels = {cell: draw.choice("xy") for cell in residuals}
        monkeypatch.setattr(permutation, "DRAWN_UP_TO", 150)
        by_python = split_of(residuals, labels, "key").p
        monkeypatch.setattr(permutation, "DRAWN_UP_TO", 0)
        dealt = split_of(residuals, labels, "key").p
        assert by_python is not None and dealt is not None
        error = math.sqrt(2 * by_python * (1 - by_python) / permutation.DRAWS)
        assert abs(dealt - by_python) < 4.5 * error + 0.002
        hits += dealt <= 0.1
    assert hits <= stats.binom.ppf(0.999, 60, 0.1)


def test_runs_without_a_label_take_no_part() -> None:
    residuals = table(2, 8, 0)
    labels = {cell: "x" if cell[1] % 2 else "y" for cell in residuals if cell != ("arm0", 3)}
    assert sum(count for count, _ in split_of(residuals, labels, "key").groups.values()) == 15
    assert split_of(residuals, {}, "key").groups == {}


def test_replicates_that_lack_a_run_take_no_part(inputs: Any) -> None:
    given = placed(inputs({"plain": 0.0, "mixup": 1.0, "cutout": 0.5}, 12, rounds=0), 2)
    lost = [("mixup", 3), ("mixup", 7), ("cutout", 7), ("cutout", 11)]
    given.records[:] = [one for one in given.records if (one["arm"], one["replicate"]) not in lost]
    split = split_by(board_of(given), "time")
    # As if the replicates 3, 7 and 11 had not been run at all.
    given.records[:] = [one for one in given.records if one["replicate"] not in (3, 7, 11)]
    assert split == split_by(board_of(given), "time")
    assert [group["count"] for group in split["groups"]] == [12, 15]
    means = []
    for arm in ("plain", "mixup", "cutout"):
        top1 = [record["results"]["test"]["top1"] for record in given.of(arm)]
        means += [value - sum(top1) / 9 for value in top1[:4]]
    assert split["groups"][0]["mean"] == pytest.approx(sum(means) / 12)


def test_an_arm_with_few_runs_leaves_the_others_theirs_and_no_whole_replicate_is_told(inputs: Any) -> None:
    given = placed(inputs({"plain": 0.0, "mixup": 1.0, "late": 0.0}, 12, rounds=0), 2)
    given.records[:] = [one for one in given.records if one["arm"] != "late" or one["replicate"] < 5]
    assert [group["count"] for group in split_by(board_of(given), "time")["groups"]] == [12, 12]
    given.records[:] = [
        one
        for one in given.records
        if one["arm"] != "late" and one["replicate"] % 2 == (one["arm"] == "plain")
    ]
    split = split_by(board_of(given), "time")
    assert (split["p"], split["groups"]) == (None, [])
    assert split["reason"] == "not tested: there is no replicate in which every arm has a run"


def test_tables_with_gaps_keep_the_level() -> None:
    """Time splits of tables in which 30 % of the runs are missing: at .05, over 400 of them.

    With the arm's mean in place of what is missing, it is 56 of them.
    """
    hits = tested = 0
    draw = np.random.default_rng(7)
    for seed in range(400):
        runs = {cell: value for cell, value in table(3, 14, seed).items() if draw.random() > 0.3}
        means = {arm: np.mean([v for cell, v in runs.items() if cell[0] == arm]) for arm, _ in runs}
        residuals = {cell: float(value - means[cell[0]]) for cell, value in runs.items()}
        labels = {cell: "first" if cell[1] < 7 else "second" for cell in residuals}
        split = split_of(residuals, labels, f"{seed}")
        tested += split.p is not None
        hits += split.p is not None and split.p <= 0.05
    assert tested > 320
    assert hits <= stats.binom.ppf(0.999, 400, 0.05)


def test_the_band_of_copies_that_have_a_baseline_each_is_binomial() -> None:
    for count in (2, 5, 10, 20, 40):
        # Scipy's quantile is the smallest count with at most 5 % beyond it.
        assert binomial_end(count, 0.05) == stats.binom.ppf(0.95, count, 0.05)
    assert binomial_end(1, 0.05) == 0


def test_copies_that_share_a_baseline_spread_wider_and_the_band_knows() -> None:
    draw = np.random.default_rng(0)
    reach = math.sqrt(2) * stats.norm.ppf(0.975)
    for count in (2, 10, 20):
        copies, baselines = draw.normal(size=(200_000, count)), draw.normal(size=(200_000, 1))
        beyond = (np.abs(copies - baselines) > reach).sum(axis=1)
        assert beyond.mean() / count == pytest.approx(0.05, abs=0.001)
        end = upper_end([count], 0.05)
        assert (beyond > end).mean() <= 0.051
        assert (beyond > end - 1).mean() > 0.049
    # Over that many copies of one baseline the binomial would cry wolf.
    assert (beyond > binomial_end(20, 0.05)).mean() > 0.07
    assert upper_end([1, 1, 1], 0.05) == binomial_end(3, 0.05)
    assert upper_end([], 0.05) == 0


def test_the_line_stands_in_terminal_and_markdown(inputs: Any) -> None:
    from rich.console import Console

    from harness.board.render_terminal import terminal

    given = with_copy(inputs({"plain": 0.0, "plain-aa": 0.9}, rounds=0), "plain-aa")
    board = board_of(given)
    line = calibration(board)
    points = board["calibration"]["resolution_points"]
    assert line == (
        f"Resolution: {points:.2f} points, the median over arms. Not calibrated: the copy plain-aa came out better."
    )
    console = Console(width=1000, record=True, file=io.StringIO())
    console.print(terminal(board))
    assert line in console.export_text()
    assert line in render.markdown(board)
    assert calibration({"calibration": None}) == calibration({}) == ""


def test_a_board_without_any_result_says_nothing(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0}, rounds=0)
    given.records = []
    board = board_of(given)
    assert board["calibration"]["resolution_points"] is None
    assert calibration(board) == ""


def idle_board(given: Any, **changes: Any) -> Json:
    for arm in given.plan["arms"]:
        arm["recipe"] = {"batch_size": 32, "tricks": []}
    given.plan["arms"][1]["recipe"] = {
        "batch_size": 32,
        "tricks": [{"name": "clip", "params": {}}],
        **changes,
    }
    for record in given.of("arm"):
        record["observables"] = {"trick clip": {"name": "share clipped", "value": 0.0}}
    return board_of(given)


def test_an_arm_whose_only_trick_never_acted_is_never_better(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0}, rounds=0)
    row = next(row for row in idle_board(given)["rows"] if row["arm"] == "arm")
    assert row["verdict"] is None
    assert row["reason"] == "no verdict: a no-op, trick clip never acted and nothing else differs"
    assert row["stamps"] == ["no-op: trick clip was 0 in every replicate"]
    # It fired once: the difference may be its doing.
    given.of("arm")[4]["observables"]["trick clip"]["value"] = 0.1
    row = next(row for row in board_of(given)["rows"] if row["arm"] == "arm")
    assert (row["verdict"], row["stamps"]) == ("better", [])
    # Something else differs as well: the trick is stamped, and the arm is judged.
    board = idle_board(copy.deepcopy(given), augmentations=[{"name": "mixup", "params": {}}])
    row = next(row for row in board["rows"] if row["arm"] == "arm")
    assert (row["verdict"], row["stamps"]) == ("better", ["no-op: trick clip was 0 in every replicate"])


def test_what_the_baseline_observes_as_well_is_no_proof_of_what_an_arm_adds(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.0}, rounds=0)
    for own, other in zip(given.of("arm"), given.of("plain"), strict=True):
        own["digests"], own["results"] = other["digests"], other["results"]
        own["observables"] = other["observables"] = {"trick ema": {"name": "distance", "value": 0.2}}
    row = next(row for row in board_of(given)["rows"] if row["arm"] == "arm")
    assert row["stamps"] == ["no-op: weights and outputs equal the baseline's, bit for bit"]
    assert row["verdict"] is None and row["reason"].startswith("no verdict: a no-op, no bit differs")
    for own in given.of("arm"):
        own["observables"] = {**own["observables"], "trick checkpointing": {"name": "n", "value": 3.0}}
    row = next(row for row in board_of(given)["rows"] if row["arm"] == "arm")
    assert row["stamps"] == [
        "exact: weights and outputs equal the baseline's, bit for bit, with trick checkpointing at work"
    ]


def test_a_no_op_is_stamped_in_every_output(inputs: Any) -> None:
    from rich.console import Console

    from harness.board.render_terminal import terminal

    board = idle_board(inputs({"plain": 0.0, "arm": 1.0}, rounds=0))
    console = Console(width=1000, record=True, file=io.StringIO())
    console.print(terminal(board))
    stamp = "no-op: trick clip was 0 in every replicate"
    outputs = [render.markdown(board), render.json(board), render.html(board), console.export_text()]
    assert all(stamp in text for text in outputs)
    assert stamp in render.csv(board)


def split_of_row(values: list[float], labels: str, key: str = "k") -> permutation.Split:
    return split_p({"a": dict(enumerate(values))}, {"a": dict(enumerate(labels))}, key)


def test_sums_that_are_equal_but_for_their_last_bits_are_ties() -> None:
    # Tenths are no binary fractions: added in another order, equal sums differ in their last bits.
    for values, labels in (([-4, 5, 0, 2, 3], "xyyyz"), ([3, 4, -3, 1, 2, -4], "zyxzyy")):
        whole = split_of_row([float(value) for value in values], labels)
        assert split_of_row([0.1 * value for value in values], labels).p == whole.p


@pytest.mark.parametrize("width", [20, 200])
def test_of_drawn_orders_there_are_1999_and_each_key_has_its_own(width: int) -> None:
    # 10,000 orders are more than exact ones may be: of 20 in two halves there are 184,756.
    apart = split_of_row(
        [number / width + (number >= width / 2) for number in range(width)],
        "x" * (width // 2) + "y" * (width // 2),
    )
    assert (apart.p, apart.least) == (1 / 2000, 1 / 2000)
    draw = random.Random(1)
    values = [draw.gauss(0, 1) for _ in range(width)]
    assert len({split_of_row(values, "xy" * (width // 2), key).p for key in ("one", "two", "three")}) > 1


def test_an_arm_without_any_run_takes_no_replicate_from_the_others() -> None:
    assert permutation.whole_columns({"a": {0: 1.0, 2: 1.0, 1: 0.0}, "b": {}, "c": {2: 1.0, 1: 0.0}}) == [
        1,
        2,
    ]
    assert permutation.whole_columns({"a": {}, "b": {}}) == permutation.whole_columns({}) == []
