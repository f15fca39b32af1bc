"""Who divides the speeds that a board shows gets the ratio beside them, or is told why not."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.leaderboard import build
from harness.board.wording import speed, times


def board_of(given: Any) -> Any:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def formats_of(board: Any) -> dict[str, str]:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(render.terminal(board))
    return {
        "terminal": capture.get(),
        "markdown": render.markdown(board),
        "latex": render.latex(board).replace(r"\dag{}", "†"),
        "html": re.sub("<[^>]*>", "", render.html(board)),
    }


def speeds_given(inputs: Any, noisy: set[tuple[str, int]]) -> Any:
    """Return two arms of three rounds; the machine is twice as fast in each round as in the one before."""
    given = inputs({"plain": 0.0, "arm": 0.0}, rounds=3)
    rates = {"plain": [100.0, 200.0, 400.0], "arm": [110.0, 220.0, 440.0]}
    for timing in given.timings:
        timing["images_per_second"] = rates[timing["arm"]][timing["round"]]
        timing["noisy"] = (timing["arm"], timing["round"]) in noisy
    return given


def row_of(board: Any, arm: str) -> Any:
    return next(row for row in board["rows"] if row["arm"] == arm)


def test_a_quotient_that_is_another_number_is_marked_in_every_format(inputs: Any) -> None:
    # The arm counts in rounds 0 and 1, its baseline in all three: 155.6 and 200 images/s, and yet 1.10 times as fast.
    board = board_of(speeds_given(inputs, {("arm", 2)}))
    assert row_of(board, "arm")["images_per_second_ratio"]["quotient"] == pytest.approx(110 * 2**0.5 / 200)
    for name, text in formats_of(board).items():
        assert "†" in re.search(r"156[^\n]{0,30}1\.10.*", text)[0], name  # type: ignore[index]
        assert "their quotient is another number" in re.sub(r"\s+", " ", text), name
        assert text.count("†") == 2, name  # the row's, and the footnote's
    title = re.search('title="(ratio to the baseline by round: 1.10× to [^"]*)"', render.html(board))
    assert title is not None and title[1].endswith("each over its own rounds, would give 0.78×")


@pytest.mark.parametrize("noisy", [set(), {("plain", 2)}, {("arm", n) for n in range(3)}])
def test_no_mark_stands_where_the_quotient_is_the_ratio(inputs: Any, noisy: set[tuple[str, int]]) -> None:
    # A noisy round of the baseline counts for neither; where an arm has no quiet one, all count.
    board = board_of(speeds_given(inputs, noisy))
    assert "quotient" not in row_of(board, "arm")["images_per_second_ratio"]
    assert not any("†" in text for text in formats_of(board).values())


def test_what_is_not_marked_is_the_quotient_as_it_is_written(inputs: Any) -> None:
    draw, marks = random.Random(0), 0
    for _ in range(60):
        given = inputs({"plain": 0.0, "arm": 0.0}, replicates=2, rounds=4, epochs=1)
        for timing in given.timings:
            timing["noisy"] = draw.random() < 0.4
            timing["images_per_second"] *= draw.uniform(0.97, 1.03)
        board = board_of(given)
        row, base = row_of(board, "arm"), row_of(board, "plain")
        quotient = row["images_per_second"] / base["images_per_second"]
        is_near = abs(quotient - row["images_per_second_ratio"]["mean"]) <= 0.005
        assert ("†" in speed(row)) is not is_near
        assert times(row["images_per_second_ratio"]["mean"]) in speed(row)
        marks += not is_near
    assert 5 < marks < 55


def test_a_mark_beside_noisy_rounds_alone_says_nothing_of_rounds_that_count(inputs: Any) -> None:
    # The baseline was quiet in its first round, and the arm in none: its ratio is over all three, 1.10, of 220 to 100.
    given = speeds_given(inputs, {*(("arm", n) for n in range(3)), ("plain", 1), ("plain", 2)})
    board = board_of(given)
    assert {"noisy", "quotient"} < row_of(board, "arm")["images_per_second_ratio"].keys()
    for name, text in formats_of(board).items():
        told = re.sub(r"\s+", " ", text.replace(r"$\approx$", "≈"))
        assert re.search(r"≈1\.10[^ ]{1,20}†", told), name
        assert "† By round, over the same rounds of arm and baseline" in told, name
        assert "≈ Not judged: in every round that arm and baseline share one or both were noisy" in told, name
        assert "rounds that count" not in told, name


def test_an_interval_that_two_rounds_leave_next_to_open_has_no_digits(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5}, rounds=2)
    for timing, rate in zip(given.timings, (100.0, 100.0, 100.0, 30.0), strict=True):
        timing["images_per_second"] = rate
    page = render.html(board_of(given))
    # The mean of the logs is ln 0.3 / 2; t(1) is 12.7 at 0.05, so the ends lie 12.7 × 0.602 from it.
    assert "0.55× [&lt;0.01, &gt;100]" in page
