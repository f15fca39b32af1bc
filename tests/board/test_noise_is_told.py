"""A ratio of noisy rounds, and a test that did not try all signs, are not shown as what they are not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.chart_scatter import MEMORY, scatter
from harness.board.leaderboard import build
from harness.board.method_words import method


def board_of(given: Any) -> Any:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def formats_of(board: Any) -> dict[str, str]:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(render.terminal(board))
    texts = {
        "terminal": capture.get(),
        "markdown": render.markdown(board),
        "latex": render.latex(board).replace(r"$\approx$", "≈").replace(r"$\times$", "×"),
        "html": re.sub("<[^>]*>", "", render.html(board)),
    }
    return {name: re.sub(r"\s+", " ", text) for name, text in texts.items()}


def with_noise(given: Any, rounds: set[int]) -> Any:
    for timing in given.timings:
        timing["images_per_second"] = 125.0 if timing["arm"] == "plain-aa" else 100.0
        timing["noisy"] = timing["round"] in rounds
    return given


def with_copy(given: Any) -> Any:
    given.plan["arms"][1]["copy_of"] = "plain"
    given.plan["timing"]["rounds"] = len({timing["round"] for timing in given.timings})
    return given


def row_of(board: Any, arm: str) -> Any:
    return next(row for row in board["rows"] if row["arm"] == arm)


def test_a_ratio_of_noisy_rounds_alone_is_marked_where_it_stands_and_has_no_interval(inputs: Any) -> None:
    board = board_of(with_noise(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=3), {0, 1, 2}))
    ratio = row_of(board, "plain-aa")["images_per_second_ratio"]
    assert ratio == {"mean": pytest.approx(1.25), "low": None, "high": None, "rounds": 3, "noisy": True}
    for name, text in formats_of(board).items():
        assert re.search(r"125 \(?≈1\.25×", text), name
        assert "in every round that arm and baseline share one or both were noisy" in text, name
    assert 'title="not judged: in all 3 rounds it or its baseline was noisy"' in render.html(board)


def test_one_quiet_round_is_a_measurement(inputs: Any) -> None:
    board = board_of(with_noise(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=3), {0, 1}))
    ratio = row_of(board, "plain-aa")["images_per_second_ratio"]
    assert ratio == dict.fromkeys(["mean", "low", "high"], pytest.approx(1.25)) | {"rounds": 1}
    assert not any("≈" in text for text in formats_of(board).values())


@pytest.mark.parametrize(
    ("rounds", "noisy", "told"),
    [
        (3, {0, 1, 2}, "its speed was not judged: all 3 rounds noisy"),
        (7, {0, 6}, "its speed was not judged: 5 of 7 rounds quiet, and it takes 7"),
        (5, set(), "its speed was not judged: 5 rounds, and it takes 7"),
        (1, set(), "its speed was not judged: 1 round, and it takes 7"),
    ],
)
def test_calibrated_says_that_no_speed_was_judged(
    inputs: Any, rounds: int, noisy: set[int], told: str
) -> None:
    given = with_copy(with_noise(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=rounds), noisy))
    calibration = board_of(given)["calibration"]
    assert calibration["verdict"] == "calibrated"
    assert told in calibration["reason"]


def test_where_the_speed_of_a_copy_is_judged_nothing_more_is_said_of_it(inputs: Any) -> None:
    given = with_copy(with_noise(inputs({"plain": 0.0, "plain-aa": 0.0}, rounds=8), {3}))
    calibration = board_of(given)["calibration"]
    assert calibration["copies"][0]["speed"]["rounds"] == 7
    assert calibration["copies"][0]["speed_reason"] is None
    assert "not judged" not in calibration["reason"]


def test_exact_is_said_of_the_test_only_where_all_signs_were_tried(inputs: Any) -> None:
    few = board_of(inputs({"plain": 0.0, "a": 1.0}, replicates=16, rounds=0))
    assert "exact sign-flip on paired replicates" in method(few)
    many = board_of(inputs({"plain": 0.0, "a": 1.0}, replicates=17, rounds=0))
    assert "sign-flip by drawn signs on paired replicates" in method(many)
    assert "exact" not in method(many)


def test_an_arm_with_few_pairs_that_differ_is_tested_exactly_beside_one_with_many(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "a": 1.0, "b": 0.0}, replicates=20, rounds=0)
    for own, other in list(zip(given.of("b"), given.of("plain"), strict=True))[:10]:
        own["results"] = other["results"]
    assert "sign-flip (with more than 16 pairs that differ by drawn signs, else exact)" in method(
        board_of(given)
    )


def test_where_nothing_is_compared_there_is_no_word_of_verdicts_and_families(inputs: Any) -> None:
    given = inputs({"plain": 0.0}, rounds=0)
    given.plan |= {"verdicts": False, "verdicts_reason": "there is no arm to compare with the baseline"}
    assert method(board_of(given)) == "± and brackets: 95 % Student t."
    given = inputs({"plain": 0.0, "a": 1.0}, rounds=0)
    given.plan |= {"verdicts": False, "verdicts_reason": "only tried"}
    assert method(board_of(given)) == "± and brackets: 95 % Student t; those of Δ hold for all arms at once."


def test_a_page_without_a_copy_says_what_was_not_checked(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "a": 1.0}, rounds=0))
    texts = formats_of(board)
    for name in ("terminal", "markdown"):
        assert "not checked: the suite has no A/A copy (aa = true)" in texts[name]
    assert "not checked the suite has no A/A copy (aa = true)" in texts["html"]


def test_noisy_speeds_make_no_front_and_the_chart_says_so(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "plain-aa": 0.0, "a": 0.5}, rounds=3)
    noisy = board_of(with_noise(given, {0, 1, 2}))
    assert [row["pareto"]["speed"] for row in noisy["rows"]] == [None] * 3
    assert "No front is drawn: in no round were an arm and its baseline both quiet" in scatter(noisy)
    assert 'class="front"' not in scatter(noisy)
    assert "No front" not in scatter(noisy, MEMORY)  # memory does not hang on the clock
    quiet = board_of(with_noise(given, {0, 1}))
    assert any(row["pareto"]["speed"] for row in quiet["rows"])
    assert "Dashed: the front" in scatter(quiet) and 'class="front"' in scatter(quiet)


def test_an_arm_that_was_quiet_beside_a_noisy_baseline_is_no_front_of_its_own(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "a": 0.5}, rounds=3)
    for timing in given.timings:
        timing["noisy"] = timing["arm"] == "plain"
    assert [row["pareto"]["speed"] for row in board_of(given)["rows"]] == [None, None]


@pytest.mark.parametrize(("margin", "is_told"), [(100 / 360, True), (0.5, False)])
def test_a_margin_of_one_example_says_whose_where_there_are_several_test_sets(
    inputs: Any, margin: float, is_told: bool
) -> None:
    given = inputs({"plain": 0.0, "a": 1.0}, rounds=0)
    given.plan["margin_points"] = margin
    assert "one example of" not in method(board_of(given))  # of a single data set nobody has to ask
    small = given.plan["manifests"]["m"] | {"hash": "s", "dataset": "small"}
    small["splits"] = small["splits"] | {"test": {"count": 360, "digest": "c"}}
    given.plan["manifests"]["s"] = small
    given.plan["arms"][1]["data"] = "s"
    told = " points (one example of the smallest test set, 360 images, for all)."
    assert (told in method(board_of(given))) == is_told
