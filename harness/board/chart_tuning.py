"""What a search brought: the best validation accuracy so far against the number of settings tried, an arm a line."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import WIDTH, Scale, axis_y
from harness.board.charts import COLOURS, Json, Point, corners_of, figure, padded, series
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14, 14.0, 268.0
_MOST_LABELS = 11


def search_curves(board: Json) -> Markup:
    """Draw the best validation accuracy of each arm's search so far; empty where no setting of any arm has one.

    Args:
        board: The board, its `tuning` as `board.tuning.tuning_of` makes it.
    """
    searches = (board.get("tuning") or {}).get("arms") or {}
    stairs = {row["arm"]: best_so_far(searches.get(row["arm"], ())) for row in board["rows"]}
    stairs = {arm: steps for arm, steps in stairs.items() if steps}
    if not stairs:
        return EMPTY
    count = max(len(outcomes) for outcomes in searches.values())
    heights = [height for steps in stairs.values() for _, height in steps]
    x = Scale(1.0, float(max(count, 2)), LEFT, RIGHT)
    y = Scale(*padded(min(heights), max(heights), heights), BOTTOM, TOP)
    numbers = series(board)
    parts = [*_axis_x(x, count), *axis_y(y, LEFT, RIGHT)]
    for arm in sorted(stairs, key=lambda arm: -numbers.get(arm, COLOURS)):
        style = f"s{numbers[arm]}" if arm in numbers else "other"
        parts += _line(arm, stairs[arm], searches[arm], x, y, style)
    caption = (
        "Best validation accuracy among the settings tried so far, %; a dot: the setting that was chosen"
    )
    below = ((LEFT + RIGHT) / 2, BOTTOM + 36, "settings tried")
    return figure(WIDTH, BOTTOM + 42, parts, caption, below)


def best_so_far(outcomes: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return (settings tried, best validation accuracy so far) for each number of settings from the first known one."""
    steps: list[Point] = []
    for tried, outcome in enumerate(outcomes, 1):
        known = [height for _, height in steps[-1:]]
        if outcome["validation_top1"] is not None:
            known.append(outcome["validation_top1"])
        if known:
            steps.append((float(tried), max(known)))
    return steps


def _line(
    arm: str,
    steps: Sequence[Point],
    outcomes: Sequence[Mapping[str, Any]],
    x: Scale,
    y: Scale,
    style: str,
) -> list[Markup]:
    """Return a staircase that rises where a setting was better, and a dot on the one that is the best."""
    # A corner where it rises, and its end: what lies level between them is drawn by the line itself.
    corners = [steps[0]]
    for before, after in itertools.pairwise(steps):
        if after[1] > before[1]:
            corners += [(after[0], before[1]), after]
    chosen = corners[-1]
    corners.append(steps[-1])
    points = corners_of([(x(across), y(up)) for across, up in corners])
    told = f"{arm}: {wording.decimal(chosen[1])} % after {chosen[0]:g} of {len(outcomes)} settings"
    line = tag("polyline", tag("title", told), points=points, class_=f"line {style}")
    dot = tag(
        "circle", tag("title", told), cx=x(chosen[0]), cy=y(chosen[1]), r=4.0, class_=f"setting-dot {style}"
    )
    return [line, dot] if style != "other" else [line]


def _axis_x(x: Scale, count: int) -> list[Markup]:
    """Return a grid line and a label for each number of settings, or for so many of them as there is room for."""
    step = next(
        factor * 10**power for power in range(9) for factor in (1, 2, 5) if count / (factor * 10**power) < 11
    )
    values = sorted({1, *range(step, count + 1, step)})
    if len(values) > 1 and values[1] - values[0] < step / 2:
        del values[1]
    parts = []
    for value in values[:_MOST_LABELS]:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=TOP, y2=BOTTOM, class_="grid"))
        parts.append(tag("text", value, x=x(value), y=BOTTOM + 17, class_="middle"))
    return parts
