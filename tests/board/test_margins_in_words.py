"""Every format names the margins that were tested: of a difference, equality, accuracy kept, speed and memory."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.chart_forest import forest
from harness.board.leaderboard import build

EQUALITY = "margin 0.5 points; equal: within 2 points."
PACES = "Speed and memory: of arms shown to lose less than 1.5 points, with margins of 1 % and 3 %."


def board_with(inputs: Any, *, equal: float | None = None, rounds: int = 0) -> Any:
    """Return a board whose arm "same" is equal within 2 points, and 1.25 times as fast where it was timed."""
    given = inputs({"plain": 0.0, "same": 0.0, "lower": -8.0}, rounds=rounds)
    given.plan |= {"margin_points": 0.5, "non_inferiority_points": 1.5}
    given.plan |= {} if equal is None else {"equal_margin_points": equal}
    for timing in given.timings:
        timing |= {"images_per_second": 125.0 if timing["arm"] == "same" else 100.0, "noisy": False}
    return build(given.plan, given.records, given.timings, shared=given.shared)


def formats_of(board: Any) -> dict[str, str]:
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(render.terminal(board))
    texts = {
        "terminal": console.file.getvalue(),  # type: ignore[attr-defined]
        "markdown": render.markdown(board),
        "latex": render.latex(board).replace(r"\,\%", " %"),
        "html": re.sub("<[^>]*>", "", render.html(board)),
    }
    return {name: re.sub(r"\s+", " ", text) for name, text in texts.items()}


def test_the_margin_of_equality_is_named_where_it_is_another(inputs: Any) -> None:
    for name, text in formats_of(board_with(inputs, equal=2.0)).items():
        assert EQUALITY in text, name
    for name, text in formats_of(board_with(inputs)).items():
        assert "margin 0.5 points." in text and "equal: within" not in text, name


def test_what_verdicts_on_speed_rest_on_is_named_where_there_are_some(inputs: Any) -> None:
    board = board_with(inputs, equal=2.0, rounds=8)
    (row,) = [row for row in board["rows"] if row["arm"] == "same"]
    assert row["speed_verdict"]["verdict"] == "faster"
    for name, text in formats_of(board).items():
        assert PACES in text, name
    for name, text in formats_of(board_with(inputs, equal=2.0, rounds=3)).items():
        assert "Speed and memory: of arms" not in text, name


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"accuracy"}, "$=$ equal (accuracy within 2 points)"),
        ({"speed"}, "$=$ equal (speed within 1 %)"),
        ({"accuracy", "memory"}, "$=$ equal (accuracy within 2 points, memory within 3 %)"),
    ],
)
def test_the_legend_of_the_latex_table_says_within_what_each_quantity_is_equal(
    inputs: Any, of: set[str], told: str
) -> None:
    board = board_with(inputs, equal=2.0, rounds=8)
    for row in board["rows"]:
        for quantity, holder in (
            ("accuracy", row),
            ("speed", row["speed_verdict"] or {}),
            ("memory", row["memory_verdict"] or {}),
        ):
            if holder.get("verdict"):
                holder["verdict"] = "equal" if quantity in of and row["arm"] == "same" else "not resolved"
    text = formats_of(board)["latex"]
    assert told in text and "within the margin" not in text


def bands(drawn: str) -> list[tuple[float, float]]:
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="[\d.]+" class="band">', drawn)
    return [(float(left), float(left) + float(width)) for left, width in found]


@pytest.mark.parametrize("is_slim", [False, True])
def test_the_forest_shades_both_margins_and_says_which_is_which(inputs: Any, is_slim: bool) -> None:
    drawn = forest(board_with(inputs, equal=2.0), is_slim=is_slim)
    (left, right), (inner_left, inner_right) = bands(drawn)
    # 2 points are four times half a point, about the same middle.
    assert right - left == pytest.approx(4 * (inner_right - inner_left), abs=0.1)
    assert (left + right) / 2 == pytest.approx((inner_left + inner_right) / 2, abs=0.1)
    assert "shaded dark: ±0.5, which better or worse exceeds; light: ±2, within which = lies" in drawn


def test_the_forest_has_one_band_where_there_is_one_margin_and_room_for_a_wide_one(inputs: Any) -> None:
    drawn = forest(board_with(inputs))
    assert len(bands(drawn)) == 1 and "shaded: the margin of ±0.5" in drawn
    narrow = forest(board_with(inputs, equal=0.25))
    assert "shaded light: ±0.5, which better or worse exceeds; dark: ±0.25, within which = lies" in narrow
    # Wider than any interval: the whole band is on the axis.
    (left, right), _ = bands(forest(board_with(inputs, equal=30.0)))
    frame = re.search(r'<line x1="([\d.]+)" x2="[\d.]+" y1="16" [^>]*class="zero"', drawn)
    assert frame is not None and right - left < 1120 and left > 0
