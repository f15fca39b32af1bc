"""What a searched parameter does: the validation accuracy of every setting against the value it had there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import WIDTH, Scale, axis_x, axis_y
from harness.board.charts import COLOURS, Json, Point, corners_of, figure, padded, series
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14, 14.0, 268.0
_LOWEST = 0.1
"""Share of the settings whose accuracies may lie below the axis: one that went astray would flatten all others."""


def value_chart(board: Json) -> Markup:
    """Draw the accuracy of every setting against its value of the parameter that most arms search.

    Lines join an arm's settings in the order of that value; their other values differ as well. Empty where no number
    is searched in at least one arm with two known results.

    Args:
        board: The board, its `tuning` as `board.tuning.tuning_of` makes it.
    """
    tuning = board.get("tuning") or {}
    path, is_log = _shared_path(tuning.get("space") or {})
    searches = tuning.get("arms") or {}
    points = {row["arm"]: _points(searches.get(row["arm"], ()), path) for row in board["rows"]}
    points = {arm: known for arm, known in points.items() if len(known) > 1}
    every = [point for known in points.values() for point in known]
    if not every or (is_log and min(value for value, _ in every) <= 0):
        return EMPTY
    place = math.log10 if is_log else float
    heights = sorted(height for _, height in every)
    lowest = heights[round(_LOWEST * (len(heights) - 1))]
    x = Scale(*padded(*_ends([place(value) for value, _ in every])), LEFT, RIGHT)
    y = Scale(*padded(lowest, heights[-1], heights), BOTTOM, TOP)
    parts = [*(_axis_log(x) if is_log else axis_x(x, TOP, BOTTOM)), *axis_y(y, LEFT, RIGHT)]
    numbers = series(board)
    for arm in sorted(points, key=lambda arm: -numbers.get(arm, COLOURS)):
        style = f"s{numbers[arm]}" if arm in numbers else "other"
        dots = [(x(place(value)), y(height), value, height) for value, height in points[arm]]
        line = corners_of([(across, down) for across, down, *_ in dots])
        parts.append(tag("polyline", tag("title", arm), points=line, class_=f"line thin {style}"))
        parts += [
            tag(
                "circle",
                tag("title", f"{arm}: {wording.decimal(height)} % at {value:.4g}"),
                cx=across,
                cy=down,
                r=3.2,
                class_=f"setting-dot {style}",
            )
            for across, down, value, height in (dots if style != "other" else ())
        ]
    scale = ", logarithmic" if is_log else ""
    below = "; what lies lower is drawn at the edge" if heights[0] < y.low else ""
    caption = f"Validation accuracy of every setting, %, by its {path}{scale}{below}"
    return figure(
        WIDTH, BOTTOM + 42, parts, caption, ((LEFT + RIGHT) / 2, BOTTOM + 36, wording.shorten(path, 56))
    )


def _shared_path(spaces: Mapping[str, Mapping[str, Any]]) -> tuple[str, bool]:
    """Return the key path of a range that most arms search, of equals the first by name, and whether it is
    logarithmic; an empty one where no range is searched.
    """
    ranges = [(path, domain) for space in spaces.values() for path, domain in space.items()]
    counts = Counter(path for path, domain in ranges if isinstance(domain, Mapping))
    if not counts:
        return "", False
    path = min(counts, key=lambda path: (-counts[path], path))
    domains = [domain for one, domain in ranges if one == path and isinstance(domain, Mapping)]
    return path, all(domain.get("log") for domain in domains)


def _points(outcomes: Sequence[Mapping[str, Any]], path: str) -> list[Point]:
    """Return (value, validation accuracy) of the settings that have both, in the order of the value."""
    known = [(one["setting"].get(path), one["validation_top1"]) for one in outcomes]
    return sorted(
        (float(value), height)
        for value, height in known
        if isinstance(value, (int, float)) and not isinstance(value, bool) and height is not None
    )


def _ends(values: Sequence[float]) -> tuple[float, float, Sequence[float]]:
    return min(values), max(values), values


def _axis_log(x: Scale) -> list[Markup]:
    """Return grid lines at 1, 2 and 5 times the powers of ten; at the powers alone where there are many."""
    decades = range(math.floor(x.low), math.ceil(x.high) + 1)
    factors = (1,) if x.high - x.low > 4 else (1, 2, 5)
    parts = []
    for decade in decades:
        for factor in factors:
            place = decade + math.log10(factor)
            if x.low <= place <= x.high:
                parts.append(tag("line", x1=x(place), x2=x(place), y1=TOP, y2=BOTTOM, class_="grid"))
                label = f"{factor * 10.0**decade:.6g}"
                parts.append(tag("text", label, x=x(place), y=BOTTOM + 17, class_="middle"))
    return parts
