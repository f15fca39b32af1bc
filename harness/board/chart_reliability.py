"""Reliability: how often an arm is right when it says that it is so sure (DeGroot and Fienberg 1983)."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import WIDTH, Scale, axis_x, axis_y
from harness.board.chart_cells import colours_of
from harness.board.chart_key import drawn_arms, numbers_of, style_of
from harness.board.charts import (
    COLOURS,
    Json,
    figure,
    mark,
    path_of,
    shortened,
    whisker,
    width_of,
)
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14, 14.0, 400.0
SMALLEST_SHARE = 0.002
"""A bin of fewer examples than that shows nothing but luck."""

MOST_ARMS = 60


def reliable_arms(board: Json, among: Collection[str] | None = None) -> list[str]:
    """Return the arms that have a line: of those with curves the best whose records tell their confidence."""
    arms = (board.get("by_class") or {}).get("arms", {})
    return [arm for arm in drawn_arms(board, among) if arms.get(arm, {}).get("reliability")][:MOST_ARMS]


def reliability(board: Json, among: Collection[str] | None = None) -> Markup:
    """Draw accuracy against confidence, in colour as the learning curves; the diagonal is what is earned.

    Args:
        board: The board.
        among: The arms of this chart; of all where there is but one.
    """
    arms = (board.get("by_class") or {}).get("arms", {})
    drawn = reliable_arms(board, among)
    numbers = {arm: number for arm, number in colours_of(board).items() if arm in drawn}
    if not numbers:
        return EMPTY
    x, y = Scale(0.0, 100.0, LEFT, RIGHT), Scale(0.0, 100.0, BOTTOM, TOP)
    parts = [
        *axis_x(x, TOP, BOTTOM),
        *axis_y(y, LEFT, RIGHT),
        tag("line", x1=x(0), x2=x(100), y1=y(0), y2=y(100), class_="front"),
        tag("text", "too sure", x=RIGHT - 10, y=BOTTOM - 12, class_="end hint"),
        tag("text", "not sure enough", x=LEFT + 10, y=TOP + 18, class_="hint"),
    ]
    places = numbers_of(board)
    for arm in sorted(drawn, key=lambda arm: -numbers.get(arm, COLOURS)):
        bins = [one for one in arms[arm]["reliability"] if one["share"] >= SMALLEST_SHARE]
        points = [(100 * one["confidence"], 100 * one["accuracy"]) for one in bins]
        title = tag("title", arm)
        style, line = style_of(arm, numbers), path_of(x, y, points)
        parts.append(tag("polyline", title, points=line, class_=f"line {style}", data_arm=places[arm]))
    caption = "Accuracy of the test examples of each bin of confidence, %, all good replicates together"
    return figure(WIDTH, BOTTOM + 42, parts, caption, ((LEFT + RIGHT) / 2, BOTTOM + 36, "confidence, %"))


def calibration_errors(board: Json, among: Collection[str] | None = None) -> Markup:
    """Draw each arm's expected calibration error with its interval; of the arms of one chart, all by default."""
    arms = (board.get("by_class") or {}).get("arms", {})
    told = [
        (row, error)
        for row in board["rows"]
        if (among is None or row["arm"] in among)
        and (error := arms.get(row["arm"], {}).get("calibration_error"))
    ]
    told = told[:MOST_ARMS]
    if not told:
        return EMPTY
    names = shortened([row["arm"] for row, _ in told], 24)
    left, line, right = 24.0 + max(map(width_of, names)), 22.0, 104.0
    bottom = TOP + line * len(told)
    highest = max(error["high"] or error["mean"] for _, error in told)
    x = Scale(0.0, highest * 1.05 or 1.0, left, WIDTH - right)
    parts = axis_x(x, TOP, bottom)
    for index, ((row, error), name) in enumerate(zip(told, names, strict=True)):
        y = TOP + line * (index + 0.5)
        parts.append(
            tag(
                "g",
                tag("title", f"{row['arm']}: {wording.with_half_width(error)} points"),
                tag("text", name, x=left - 12, y=y + 4, class_="end"),
                whisker(error["low"], error["high"], x, y),
                mark({**row, "verdict": None}, x(error["mean"]), y),
                tag("text", wording.with_half_width(error), x=WIDTH - right + 12, y=y + 4, class_="value"),
                class_="baseline" if row["baseline"] else "neutral",
            )
        )
    caption = (
        "Expected calibration error, points: mean over replicates; less is better. Nothing here is tested"
    )
    return figure(WIDTH, bottom + 42, parts, caption, ((left + WIDTH - right) / 2, bottom + 36, "points"))
