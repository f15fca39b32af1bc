"""The scatters say which arms have no place on the front and why, and no label leaves the drawing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.board.axes import SLIM, Scale, axis_x
from harness.board.chart_forest import forest
from harness.board.chart_scatter import MEMORY, scatter
from harness.board.charts import width_of
from harness.board.leaderboard import build

ARMS = {"plain": 0.0, "plain-aa": 0.0, "quiet": 0.5, "noisy": 3.0}
NOT_QUIET = "in no timing round were it and its baseline both quiet"
COPY = "it is a copy of the baseline"


def board_of(inputs: Any, noisy: set[str], *, copy: bool = False) -> Any:
    """Return a board of three rounds, in all of which the steps of some arms varied."""
    given = inputs(ARMS, rounds=3)
    if copy:
        given.plan["arms"][1]["copy_of"] = "plain"
    for timing in given.timings:
        timing["noisy"] = timing["arm"] in noisy
    return build(given.plan, given.records, given.timings, shared=given.shared)


def out_of(drawn: str) -> set[str]:
    """Return the arms whose marks are hollow for lack of a place."""
    marks = re.findall(r'<g class="([^"]*)"><title>([^:<]*): ', drawn)
    return {arm for classes, arm in marks if "out" in classes.split()}


def test_an_arm_that_was_noisy_is_hollow_and_the_caption_and_a_legend_say_why(inputs: Any) -> None:
    drawn = scatter(board_of(inputs, {"noisy"}))
    assert out_of(drawn) == {"noisy"}
    assert f"whatever it seems to beat, for {NOT_QUIET}" in drawn and COPY not in drawn
    assert "no place on the front</span>" in drawn.partition("</figure>")[2]
    # Memory does not hang on the clock.
    memory = scatter(board_of(inputs, {"noisy"}), MEMORY)
    assert out_of(memory) == set() and "no place" not in memory


def test_a_copy_is_hollow_for_being_one_and_in_both_scatters(inputs: Any) -> None:
    board = board_of(inputs, set(), copy=True)
    for drawn in (scatter(board), scatter(board, MEMORY)):
        assert out_of(drawn) == {"plain-aa"}
        assert f"whatever it seems to beat, for {COPY}" in drawn and NOT_QUIET not in drawn
    both = scatter(board_of(inputs, {"noisy"}, copy=True))
    assert out_of(both) == {"plain-aa", "noisy"}
    assert f"for {NOT_QUIET} or {COPY}" in both


def test_an_arm_whose_rounds_are_missing_has_no_place_either(inputs: Any) -> None:
    given = inputs(ARMS, rounds=3)
    given.timings = [
        timing
        for timing in given.timings
        if timing["round"] != {"noisy": 0, "plain": 1}.get(timing["arm"], 3)
    ]
    for timing in given.timings:
        timing["noisy"] = timing["arm"] == "noisy" and timing["round"] == 2
    drawn = scatter(build(given.plan, given.records, given.timings, shared=given.shared))
    assert out_of(drawn) == {"noisy"} and NOT_QUIET in drawn


@pytest.mark.parametrize("noisy", [set(), set(ARMS)])
def test_nothing_is_hollow_where_all_have_a_place_or_none_has(inputs: Any, noisy: set[str]) -> None:
    drawn = scatter(board_of(inputs, noisy))
    assert out_of(drawn) == set() and "no place" not in drawn and "Hollow" not in drawn


def test_a_caption_says_in_how_many_rounds_both_were_quiet(inputs: Any) -> None:
    given = inputs(ARMS, rounds=3)
    for timing in given.timings:
        timing["noisy"] = timing["round"] != 1
    drawn = scatter(build(given.plan, given.records, given.timings, shared=given.shared))
    assert "there are 3, of which an arm and its baseline were both quiet in 1 at the most. " in drawn


def ends_of_labels(drawn: str) -> list[tuple[float, float]]:
    """Return how far the labels below an axis reach at the most, in pixels."""
    found = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="(middle|end)">([+−\d.,]+)</text>', drawn)
    shares = {"middle": 0.5, "end": 1.0}
    return [
        (float(x) - shares[kind] * width_of(label), float(x) + (1 - shares[kind]) * width_of(label))
        for x, kind, label in found
    ]


@pytest.mark.parametrize("high", [3999.0, 4000.0, 4010.0, 4100.0, 12000.0])
def test_the_last_label_of_an_axis_stays_in_the_drawing(high: float) -> None:
    parts = axis_x(Scale(2000.0, high, 52.0, SLIM - 14.0), 14.0, 320.0, right=SLIM)
    ends = ends_of_labels("".join(parts))
    assert len(ends) > 2 and all(left >= 0 and right <= SLIM for left, right in ends)


def test_labels_of_the_charts_on_a_phone_stay_in_their_drawing(inputs: Any) -> None:
    for scale in (2.9, 3.5, 4.1, 5.3):  # each puts a tick near the right edge
        given = inputs(ARMS, rounds=3)
        for timing in given.timings:
            timing["images_per_second"] *= scale
        board = build(given.plan, given.records, given.timings, shared=given.shared)
        for drawn in (scatter(board, width=SLIM), forest(board, is_slim=True)):
            assert all(right <= SLIM for _, right in ends_of_labels(drawn))
