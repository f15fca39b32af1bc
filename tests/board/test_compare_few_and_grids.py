"""`compare`: no unpaired verdict from a side of which hardly anything is known; arms of two grids by their cells."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from harness.board import two_sample
from harness.board.compare import Given, compare_results
from harness.board.compare_arms import labels_of
from harness.board.compare_render import render_markdown, render_text

Json = dict[str, Any]
Inputs = Callable[..., Any]


def compared(base: Any, candidate: Any) -> Json:
    return compare_results(
        *(Given(name, x.plan, x.records, x.timings, x.shared) for name, x in (("a", base), ("b", candidate)))
    )


@pytest.mark.parametrize("sides", [(40, 1), (1, 40), (40, 4), (4, 20)])
def test_no_unpaired_verdict_where_a_side_has_fewer_than_five(inputs: Inputs, sides: tuple[int, int]) -> None:
    # The smallest p is 1 / 41, 1 / 135,751 and 1 / 10,626: it would not refuse a family of one.
    base, candidate = inputs({"plain": 0.0}, sides[0]), inputs({"plain": -4.0}, sides[1], seed=5)
    [row] = compared(base, candidate)["arms"]
    told = row["accuracy"]
    assert (told["verdict"], told["p"], told["p_equal"]) == (None, None, None)
    assert told["difference"]["mean"] == pytest.approx(-4.0, abs=1.5)
    assert told["reason"] == (
        f"no verdict: with {sides[0]} and {sides[1]} replicates that are no pairs the spread of the smaller side is "
        "hardly known, and it takes 5 on each side"
    )


def test_five_on_the_smaller_side_are_enough(inputs: Inputs) -> None:
    base, candidate = inputs({"plain": 0.0}, 40), inputs({"plain": -4.0}, 5, seed=5)
    [row] = compared(base, candidate)["arms"]
    assert row["accuracy"]["verdict"] == "worse"


def test_pairs_need_no_more_than_before(inputs: Inputs) -> None:
    base, candidate = inputs({"plain": 0.0}, 40), inputs({"plain": -4.0}, 6)
    [row] = compared(base, candidate)["arms"]
    assert (row["accuracy"]["verdict"], row["accuracy"]["test"]) == ("worse", "paired sign-flip")


def test_what_suffices_has_five_values_a_side_and_a_p_that_is_small_enough() -> None:
    assert [two_sample.suffices(40, few, 0.05) for few in (1, 4, 5)] == [False, False, True]
    # 2 / C(10, 5) = 1 / 126, and 1 / C(45, 5) = 1 / 1,221,759
    assert [two_sample.suffices(5, 5, 1 / 126), two_sample.suffices(5, 5, 1 / 127)] == [True, False]
    assert two_sample.suffices(40, 5, 1e-6)


def in_cells(given: Any, rates: tuple[float, float], key: str = "optimizer.lr") -> Any:
    """Make a grid of the arms of `inputs`: the first two are of one cell, the others of the next."""
    for number, arm in enumerate(given.plan["arms"]):
        arm["cell"] = {key: rates[number // 2]}
        arm["against"] = given.plan["arms"][2 * (number // 2)]["name"]
        arm["recipe"]["optimizer"] = [{"name": "sgd", "params": {"lr": rates[number // 2]}}]
    return given


def two_grids(inputs: Inputs, rates: tuple[float, float]) -> tuple[Any, Any]:
    """Return grids over 0.1 and 0.2, and over `rates`; whatever ran at 0.2 is three points better."""
    names = ("plain", "mixup", "plain.1", "mixup.1")
    made = []
    for own in ((0.1, 0.2), rates):
        effects = {name: 3.0 * (own[number // 2] == 0.2) for number, name in enumerate(names)}
        made.append(in_cells(inputs(effects), own))
    for timing in made[1].timings:
        timing["images_per_second"] = 1000.0 * (2 if timing["arm"] == "mixup" else 1)
    return made[0], made[1]


def test_arms_of_two_grids_are_matched_by_their_cells(inputs: Inputs) -> None:
    base, candidate = two_grids(inputs, (0.2, 0.02))
    report = compared(base, candidate)
    assert [row["arm"] for row in report["arms"]] == ["plain.1", "mixup.1"]
    for row, name in zip(report["arms"], ("plain", "mixup"), strict=True):
        assert row["cell"] == {"optimizer.lr": 0.2} and row["candidate_arm"] == name
        # By name 0.2 would stand against 0.02, three points apart.
        assert abs(row["accuracy"]["difference"]["mean"]) < 1.0
        assert not any("lr" in change for change in row["changed"])
    assert report["arms"][1]["speed"]["candidate"] == pytest.approx(2000.0)
    assert report["only_base"] == ["plain (optimizer.lr = 0.1)", "mixup (optimizer.lr = 0.1)"]
    assert report["only_candidate"] == ["plain.1 (optimizer.lr = 0.02)", "mixup.1 (optimizer.lr = 0.02)"]
    assert report["settings"]["family"] == 2
    for text in (render_text(report, 1000), render_markdown(report).replace("\\", "")):
        assert "cell: optimizer.lr = 0.2, plain in the candidate" in text
        assert "arms of the base alone: plain (optimizer.lr = 0.1), mixup (optimizer.lr = 0.1)" in text


def test_two_grids_in_one_order_are_compared_arm_by_arm_with_the_cell_in_words(inputs: Inputs) -> None:
    report = compared(*two_grids(inputs, (0.1, 0.2)))
    assert [row["arm"] for row in report["arms"]] == ["plain", "mixup", "plain.1", "mixup.1"]
    assert not any("candidate_arm" in row for row in report["arms"])
    assert "    cell: optimizer.lr = 0.1\n" in render_text(report, 1000)
    assert (report["only_base"], report["only_candidate"]) == ([], [])


def test_a_grid_beside_a_suite_without_one_is_matched_by_name(inputs: Inputs) -> None:
    base, candidate = two_grids(inputs, (0.1, 0.2))
    for arm in base.plan["arms"]:
        del arm["cell"]
    report = compared(base, candidate)
    assert [row["arm"] for row in report["arms"]] == ["plain", "mixup", "plain.1", "mixup.1"]
    assert not any("cell" in row for row in report["arms"])


def test_an_arm_whose_own_name_ends_in_a_number_keeps_it(inputs: Inputs) -> None:
    # Cell 0 has `plain` and `v1.5`, cell 1 `plain.1` and `v1.5.1`.
    names = ("plain", "v1.5", "plain.1", "v1.5.1")
    base = in_cells(inputs(dict.fromkeys(names, 0.0)), (0.1, 0.2))
    candidate = in_cells(inputs(dict.fromkeys(names, 0.0)), (0.2, 0.1))
    matched = {row["arm"]: row["candidate_arm"] for row in compared(base, candidate)["arms"]}
    assert matched == {"plain.1": "plain", "v1.5.1": "v1.5", "plain": "plain.1", "v1.5": "v1.5.1"}


def test_grids_over_other_keys_have_no_arm_in_common(inputs: Inputs) -> None:
    names = ("plain", "mixup", "plain.1", "mixup.1")
    base = in_cells(inputs(dict.fromkeys(names, 0.0)), (0.1, 0.2))
    candidate = in_cells(inputs(dict.fromkeys(names, 0.0)), (0.1, 0.2), "optimizer.momentum")
    report = compared(base, candidate)
    assert report["arms"] == []
    assert "mixup (optimizer.momentum = 0.1)" in report["only_candidate"]


def test_the_order_of_the_records_of_matched_grids_tells_nothing(inputs: Inputs) -> None:
    base, candidate = two_grids(inputs, (0.2, 0.02))
    first = compared(base, candidate)
    for given in (base, candidate):
        random.Random(2).shuffle(given.records)
        random.Random(3).shuffle(given.timings)
    assert compared(base, candidate) == first


def test_a_cell_is_the_same_however_its_settings_are_ordered() -> None:
    base = [{"name": "plain", "cell": {"batch_size": 32, "optimizer.lr": 0.1}}]
    candidate = [{"name": "plain", "cell": {"optimizer.lr": 0.1, "batch_size": 32}}]
    assert labels_of(base, candidate) == ({"plain": "plain"}, {"plain": "plain"})
