"""Accuracy against what it costs, with the Pareto front: arms that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import SLIM, WIDE, Scale, axis_x, axis_y
from harness.board.charts import (
    Json,
    Point,
    cell_words,
    corners_of,
    figure,
    kind_of,
    mark,
    padded,
    shortened,
    width_of,
)
from harness.board.markup import EMPTY, tag

LEFT, EDGE, TOP, BOTTOM = 52.0, 14.0, 14.0, 320.0
FRONT = (
    "Dashed: the front of arms that no other beats in both; what is nearer than the measurement resolves counts as "
    "equal"
)
NO_FRONT = "No front is drawn: in no round were an arm and its baseline both quiet"
OUT = "Hollow with a dotted edge: has no place on the front, whatever it seems to beat"
NOT_QUIET = "in no timing round were it and its baseline both quiet"
MOST_NAMES, SLIM_NAMES = 40, (12, 14)
"""Arms whose names are written; every mark tells its own when it is pointed at. On a phone fewer, and shorter ones."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What accuracy is drawn against.

    Attributes:
        column: The row's key.
        front: Its key in the row's `pareto`.
        verdict: The row's key of the verdict on it, whose ratio has an interval.
        unit: What a unit of the axis is in units of the column.
        more_is_better: Whether the front is at the right.
        label: The label of the axis.
        caption: What the chart shows.
    """

    column: str
    front: str
    verdict: str
    unit: float
    more_is_better: bool
    label: str
    caption: str


SPEED = Cost(
    "images_per_second",
    "speed",
    "speed_verdict",
    1.0,
    True,
    "images per second, training →",
    "Test accuracy against training throughput",
)
MEMORY = Cost(
    "peak_memory_bytes",
    "memory",
    "memory_verdict",
    2.0**20,
    False,
    "← peak memory, MiB",
    "Test accuracy against peak memory of the timing pass",
)


def scatter(board: Json, cost: Cost = SPEED, *, width: float = WIDE) -> Markup:
    """Draw accuracy against a cost; a dashed line is the front. Empty where nothing was timed.

    Args:
        board: The board.
        cost: What accuracy is drawn against.
        width: Of the drawing, in pixels.
    """
    rows = [row for row in board["rows"] if row[cost.column] and row["rank"] is not None]
    if not rows:
        return EMPTY
    places = [row[cost.column] / cost.unit for row in rows]
    # An arm that failed now and then would push all others into one corner: it sits on the lower edge.
    steady = [row["top1"] for row in rows if not row["replicates"]["failed"]] or [row["top1"] for row in rows]
    bounds = [
        bound for top1 in steady for bound in (top1["mean"], top1["low"], top1["high"]) if bound is not None
    ]
    ranges = {row["arm"]: _range(row, cost, board["settings"]["needed_replicates"]) for row in rows}
    ends = [*places, *(end for found in ranges.values() if found for end in found)]
    room = (max(ends) - min(ends)) * 0.08 or max(ends) * 0.1
    x = Scale(max(0.0, min(ends) - room), max(ends) + room, LEFT, width - EDGE)
    y = Scale(*padded(min(bounds), max(bounds), bounds), BOTTOM, TOP)
    parts = [*axis_x(x, TOP, BOTTOM, right=width), *axis_y(y, LEFT, x.end), *_fronts(rows, cost, x, y)]
    placed = {row["arm"] for row in rows if (row.get("pareto") or {}).get(cost.front) is not None}
    # Where nobody has a place there is no front that a mark could seem to beat.
    out = [row for row in rows if row["arm"] not in placed] if placed else []
    parts += [
        _dot(row, ranges[row["arm"]], cost, x, y, is_out=bool(placed) and row["arm"] not in placed)
        for row in rows
    ]
    dots = [(x(place), y(row["top1"]["mean"])) for row, place in zip(rows, places, strict=True)]
    parts += _names(rows, cost, dots, y.low, x.end)
    caption = ". ".join([cost.caption, _about_ranges(board, cost, ranges), FRONT if placed else NO_FRONT])
    caption += f". {_why_out(out, cost)}" if out else ""
    below = ((LEFT + x.end) / 2, BOTTOM + 38, cost.label)
    return figure(width, BOTTOM + 46, parts, caption, below) + (_legend() if out else EMPTY)


def _why_out(rows: Sequence[Json], cost: Cost) -> str:
    """Say why arms have no place on the front, nor behind it: a reader may see them beat it."""
    unmeasured = [row for row in rows if cost is SPEED and _lacks_quiet_rounds(row)]
    reasons = [NOT_QUIET] if unmeasured else []
    reasons += ["it is a copy of the baseline"] if len(unmeasured) < len(rows) else []
    return f"{OUT}, for {' or '.join(reasons)}"


def _lacks_quiet_rounds(row: Json) -> bool:
    """Return whether no round of an arm without a place on the front of speed was quiet; else it is a copy."""
    ratio = row["images_per_second_ratio"]
    return bool(row["baseline"] or ratio is None or "noisy" in ratio)


def _legend() -> Markup:
    """Return the key to the marks of arms without a place."""
    circle = tag("circle", cx=7, cy=6, r=4.5, class_="dot")
    swatch = tag(
        "svg",
        tag("g", circle, class_="none out"),
        viewBox="0 0 14 12",
        width=14,
        height=12,
        aria_hidden="true",
    )
    return tag("ul", tag("li", swatch, tag("span", "no place on the front")), class_="legend")


def _fronts(rows: Iterable[Json], cost: Cost, x: Scale, y: Scale) -> list[Markup]:
    """Return the edge of what the front's arms beat, a staircase for each cell of a grid."""
    cells: dict[str, list[Point]] = {}
    for row in rows:
        if (row.get("pareto") or {}).get(cost.front):
            point = (x(row[cost.column] / cost.unit), y(row["top1"]["mean"]))
            cells.setdefault(cell_words(row.get("cell")), []).append(point)
    return [
        tag(
            "polyline", points=corners_of(_stairs(sorted(points), cost.more_is_better, x.end)), class_="front"
        )
        for points in cells.values()
    ]


def _stairs(points: Sequence[Point], more_is_better: bool, right: float) -> list[Point]:
    if more_is_better:
        corners = [(LEFT, points[0][1])]
        for (across, down), (_, below) in zip(points, [*points[1:], (right, BOTTOM)], strict=True):
            corners += [(across, down), (across, below)]
        return corners
    corners = [(points[0][0], BOTTOM)]
    for (across, down), (further, _) in zip(points, [*points[1:], (right, TOP)], strict=True):
        corners += [(across, down), (further, down)]
    return corners


def _range(row: Json, cost: Cost, needed: int) -> Point | None:
    """Return the interval of the ratio to the baseline, about the arm's own mark; None for fewer rounds than needed."""
    told = row.get(cost.verdict) or {}
    ratio = told.get("ratio") or {}
    if told.get("rounds", 0) < needed or ratio.get("low") is None or ratio.get("high") is None:
        return None
    middle = row[cost.column] / cost.unit / ratio["mean"]
    return middle * ratio["low"], middle * ratio["high"]


def _about_ranges(board: Json, cost: Cost, ranges: Mapping[str, Point | None]) -> str:
    """Say what the bars are, and why there is none across where there is none."""
    settings, up = board["settings"], "Bars: the interval of the accuracy"
    if any(ranges.values()):
        return f"{up}, and across that of the ratio to the baseline, which holds for all arms at once"
    needed, few = settings["needed_replicates"], settings.get("timing_rounds") or 0
    counted = max((int((row.get(cost.verdict) or {}).get("rounds") or 0) for row in board["rows"]), default=0)
    what = "quiet" if cost is SPEED else "measured"
    of_them = f", of which an arm and its baseline were both {what} in {counted} at the most"
    told = f"there are {few}{of_them if 0 < counted < few else ''}"
    return f"{up}; across there is none, which takes {needed} timing rounds for this family: {told}"


def _dot(row: Json, across_range: Point | None, cost: Cost, x: Scale, y: Scale, *, is_out: bool) -> Markup:
    top1, across = row["top1"], x(row[cost.column] / cost.unit)
    whisker = EMPTY
    if top1["low"] is not None and not row["replicates"]["failed"]:
        whisker = tag("line", x1=across, x2=across, y1=y(top1["low"]), y2=y(top1["high"]), class_="whisker")
    if across_range is not None:
        left, right, level = x(across_range[0]), x(across_range[1]), y(top1["mean"])
        whisker += tag("line", x1=left, x2=right, y1=level, y2=level, class_="whisker thin")
    speed, memory = wording.decimal(row["images_per_second"], 0), wording.memory(row["peak_memory_bytes"])
    numbers = f"{wording.with_half_width(top1)} % at {speed} images/s, {memory}"
    title = tag("title", f"{row['arm']}: {numbers}; {wording.verdict(row)}")
    return tag(
        "g",
        title,
        whisker,
        mark(row, across, y(top1["mean"])),
        class_=kind_of(row) + (" out" if is_out else ""),
    )


def _names(
    rows: Sequence[Json], cost: Cost, dots: Sequence[Point], lowest: float, right: float
) -> list[Markup]:
    """Return the names beside their marks: the baseline's and the front's first, then the best by rank."""

    def order(pair: tuple[Json, Point]) -> tuple[bool, bool]:
        return (not pair[0]["baseline"], not (pair[0].get("pareto") or {}).get(cost.front))

    taken = [(across - 6, down - 6, across + 6, down + 6) for across, down in dots]
    most, length = (MOST_NAMES, 24) if right > SLIM else SLIM_NAMES
    chosen = sorted(zip(rows, dots, strict=True), key=order)[:most]
    names = shortened([row["arm"] for row, _ in chosen], length)
    return [
        _name(row, name, cost, dot, taken, lowest, right)
        for (row, dot), name in zip(chosen, names, strict=True)
    ]


Box = tuple[float, float, float, float]


def _name(
    row: Json, name: str, cost: Cost, dot: Point, taken: list[Box], lowest: float, right: float
) -> Markup:
    if row["top1"]["mean"] < lowest:
        name += f" ↓ {wording.decimal(row['top1']['mean'])}"
    (across, down), width = dot, width_of(name) * (1.1 if _is_on_front(row, cost) else 1.0)
    left, middle = _free(across, down, width, taken, right)
    taken.append((left, middle - 6.5, left + width, middle + 6.5))
    lead = EMPTY
    if abs(middle - down) > 14:
        # It had to move away: a thin line says whose name it is.
        near = left - 2 if left > across else min(left + width + 2, across)
        lead = tag("line", x1=across, x2=near, y1=down, y2=middle, class_="lead")
    at_left = left + width <= across
    classes = [*(["end"] if at_left else []), *(["on-front"] if _is_on_front(row, cost) else [])]
    text_x = left + width if at_left else left
    written = tag("text", name, x=text_x, y=middle + 4, class_=" ".join(classes) or None)
    return tag("g", tag("title", row["arm"]), lead, written)


def _is_on_front(row: Json, cost: Cost) -> bool:
    return bool((row.get("pareto") or {}).get(cost.front))


def _free(across: float, down: float, width: float, taken: Sequence[Box], right: float) -> Point:
    """Return left edge and middle of the nearest free place for a name: right of its mark, left, then up and down."""
    lefts = [left for left in (across + 10, across - 10 - width) if LEFT <= left <= right + 12 - width]
    lefts = lefts or [max(2.0, min(across + 10, right + EDGE - 2 - width))]
    for step in range(2 * MOST_NAMES):
        for middle in (down - 6.75 * step, down + 6.75 * step):
            if not TOP <= middle <= BOTTOM:
                continue
            for left in lefts:
                box = (left, middle - 6.5, left + width, middle + 6.5)
                if not any(_meet(box, other) for other in taken):
                    return left, middle
    return lefts[0], down


def _meet(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
