"""The forest plot: each arm's difference from what it is compared with, cell by cell of a grid."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.board import method_words, wording
from harness.board.axes import SLIM, WIDE, Scale, axis_x
from harness.board.charts import (
    Json,
    Point,
    cell_words,
    figure,
    kind_of,
    mark,
    padded,
    shortened,
    whisker,
    width_of,
)
from harness.board.markup import EMPTY, tag

TOP, LINE, RIGHT = 16.0, 26.0, 214.0
SLIM_LINE, SLIM_EDGE = 42.0, 14.0
"""On a phone names and numbers stand above their bar, which has the width of the screen."""
ACROSS_ZERO = (
    "A bar across 0 beside ▲ or ▼: the verdict is of the sign-flip test with Holm's steps, the bar the simultaneous "
    "t interval, which is another procedure and wider here"
)


def forest(board: Json, *, is_slim: bool = False) -> Markup:
    """Draw each arm's difference from its baseline with its simultaneous interval, over the bands of the margins.

    Where equality was tested against a margin of its own there are two bands, and the narrower is the darker.

    Args:
        board: The board.
        is_slim: Whether it is for a phone.
    """
    cells = _by_cell([row for row in board["rows"] if row["difference"] is not None])
    rows = [row for _, group in cells for row in group]
    if not rows:
        return EMPTY
    margin, equal = board["settings"]["margin_points"], method_words.equal_margin(board["settings"])
    headed = len(cells) > 1
    arms, length = [row["arm"] for row in rows], 18 if is_slim else 30
    names = dict(zip(arms, shortened(arms, length), strict=True))
    line, width = (SLIM_LINE, SLIM) if is_slim else (LINE, WIDE)
    left = SLIM_EDGE if is_slim else 24.0 + max(map(width_of, names.values()))
    right = width - (SLIM_EDGE if is_slim else RIGHT)
    bottom = TOP + line * (len(rows) + headed * len(cells))
    x = Scale(*_bounds([row["difference"] for row in rows], margin, equal), left, right)
    bands = [
        tag("rect", x=x(-half), y=TOP, width=x(half) - x(-half), height=bottom - TOP, class_="band")
        for half in sorted({margin, equal}, reverse=True)
    ]
    parts = [
        *bands,
        *axis_x(x, TOP, bottom, signed=True, right=width),
        tag("line", x1=x(0), x2=x(0), y1=TOP, y2=bottom, class_="zero"),
    ]
    y = TOP + line / 2
    for name, group in cells:
        if headed:
            against = group[0].get("against") or board["baseline"]
            words = wording.shorten(f"{name or 'no cell'} · against {against}", 46 if is_slim else 140)
            parts.append(tag("g", tag("text", words, x=8, y=y + 6, class_="cell")))
            y += line
        for row in group:
            parts.append(_line(row, names[row["arm"]], x, y, is_slim=is_slim))
            y += line
    whom = "the baseline of its cell" if headed else board["baseline"]
    caption = f"Difference from {whom} in points of test accuracy; {_shaded(margin, equal)}"
    if any(_is_decided_across_zero(row) for row in rows):
        caption += f". {ACROSS_ZERO}"
    below = ((left + right) / 2, bottom + 36, "Δ top-1, points")
    return figure(width, bottom + 42, parts, caption, below)


def _shaded(margin: float, equal: float) -> str:
    """Say what the bands are: what a difference has to exceed, and what an equal arm has to stay within."""
    if margin == equal:
        return f"shaded: the margin of ±{margin:.2g}"
    dark, light = ("dark", "light") if margin < equal else ("light", "dark")
    return f"shaded {dark}: ±{margin:.2g}, which better or worse exceeds; {light}: ±{equal:.2g}, within which = lies"


def _line(row: Json, name: str, x: Scale, y: float, *, is_slim: bool) -> Markup:
    difference = row["difference"]
    sign = f"{wording.MARKS[row['verdict']]} " if row["verdict"] else ""
    numbers = sign + wording.interval(difference)
    if is_slim:
        texts = [
            tag("text", name, x=x.start, y=y - 5),
            tag("text", numbers, x=x.end, y=y - 5, class_="value end"),
        ]
        y += 9
    else:
        texts = [
            tag("text", name, x=x.start - 14, y=y + 4, class_="end"),
            tag("text", numbers, x=x.end + 14, y=y + 4, class_="value"),
        ]
    return tag(
        "g",
        tag("title", f"{row['arm']}: {row['reason']}"),
        whisker(difference["low"], difference["high"], x, y),
        mark(row, x(difference["mean"]), y),
        *texts,
        class_=kind_of(row),
    )


def _by_cell(rows: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """Return the rows by cell, in the order in which the ranks meet them."""
    groups: dict[str, list[Json]] = {}
    for row in rows:
        groups.setdefault(cell_words(row.get("cell")), []).append(row)
    return list(groups.items())


def _is_decided_across_zero(row: Json) -> bool:
    low, high = row["difference"]["low"], row["difference"]["high"]
    return row["verdict"] in ("better", "worse") and low is not None and low < 0 < high


def _bounds(differences: Sequence[Json], margin: float, equal: float) -> Point:
    """Return the ends of the axis: those of the intervals with 0 and the margins, so that no half stands empty."""
    ends = [float(one[bound] or 0.0) for one in differences for bound in ("mean", "low", "high")]
    least = max(1.5 * margin, 1.1 * equal)
    reach = max(_reach([_extent(one) for one in differences], margin), least)
    low, high = max(-reach, min(*ends, -least)), min(reach, max(*ends, least))
    return padded(low, high, [low, high])


def _extent(value: Json) -> float:
    return max(abs(float(value[bound] or 0.0)) for bound in ("mean", "low", "high"))


def _reach(extents: Sequence[float], margin: float) -> float:
    """Return the half-width of the axis: one arm that lies far out is cut off, so that the others can be read."""
    ordered = sorted(extents)
    near = 8 * max(ordered[(len(ordered) - 1) // 2], margin)
    return max(*(extent for extent in ordered if extent <= near), 2 * margin, 1e-6)
