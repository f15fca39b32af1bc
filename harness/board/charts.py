"""The charts of the HTML report, as SVG written by hand: no library, no script, colours from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import WIDE, WIDTH, Scale, axis_x, axis_y
from harness.board.markup import EMPTY, join, tag

Json = Mapping[str, Any]
Point = tuple[float, float]

LETTER = 7.4
"""Pixels that a letter of a label takes, on the generous side: no font tells its widths here."""

COLOURS = 8
"""Series with a colour and dash pattern of their own; the rest is thin and grey."""


def forest(board: Json) -> Markup:
    """Draw each arm's difference from the baseline with its simultaneous interval, over the band of the margin."""
    rows = [row for row in board["rows"] if row["difference"] is not None]
    if not rows:
        return EMPTY
    margin = board["settings"]["margin_points"]
    names = [_shorten(row["arm"], 30) for row in rows]
    left, right, top, line = 24.0 + LETTER * max(map(len, names)), 196.0, 16.0, 28.0
    width, bottom = WIDE, 16.0 + 28.0 * len(rows)
    reach = _reach([_extent(row["difference"]) for row in rows], margin)
    x = Scale(-reach, reach, left, width - right)
    parts = [
        tag("rect", x=x(-margin), y=top, width=x(margin) - x(-margin), height=bottom - top, class_="band"),
        *axis_x(x, top, bottom, signed=True),
        tag("line", x1=x(0), x2=x(0), y1=top, y2=bottom, class_="zero"),
    ]
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = top + line * (index + 0.5)
        parts.append(
            tag(
                "g",
                tag("title", f"{row['arm']}: {row['reason']}"),
                tag("text", name, x=left - 14, y=y + 4, class_="end"),
                _whisker(row["difference"], x, y),
                tag(
                    "text", wording.interval(row["difference"]), x=width - right + 14, y=y + 4, class_="value"
                ),
                class_=_kind(row),
            )
        )
    caption = (
        f"Difference from {board['baseline']} in points of test accuracy; shaded: the margin of ±{margin:.2g}"
    )
    return figure(
        width,
        bottom + 42,
        parts,
        caption,
        ((left + width - right) / 2, bottom + 36, "Δ top-1, points"),
    )


def learning_curves(board: Json, name: str, label: str) -> Markup:
    """Draw a learning curve for each arm: the mean over replicates, with the range of the baseline's."""
    curves = {arm: board["curves"][arm] for arm in (row["arm"] for row in board["rows"])}
    lines = {arm: points_of(curve["epoch"], curve[name]["mean"]) for arm, curve in curves.items()}
    if not any(lines.values()):
        return EMPTY
    base = curves.get(board["baseline"])
    lowest, highest = (
        points_of(base["epoch"], base[name][bound]) if base else [] for bound in ("low", "high")
    )
    every = [point for points in lines.values() for point in points]
    epochs, values = [x for x, _ in every], [y for _, y in every]
    x = Scale(min(epochs), max(epochs) if max(epochs) > min(epochs) else min(epochs) + 1, 52.0, WIDTH - 14)
    y = Scale(*_padded(*_end_of(values, rising=name == "validation_top1"), values), 268.0, 14.0)
    parts = [*axis_x(x, 14.0, 268.0), *axis_y(y, 52.0, WIDTH - 14)]
    drawn = []
    if lowest:
        drawn.append(tag("polygon", points=path_of(x, y, [*lowest, *reversed(highest)]), class_="range"))
    numbers = series(board)
    for arm in sorted(lines, key=lambda arm: -numbers.get(arm, COLOURS)):
        style = f"line s{numbers[arm]}" if arm in numbers else "line other"
        drawn.append(tag("polyline", tag("title", arm), points=path_of(x, y, lines[arm]), class_=style))
    # An inner svg cuts off what leaves its frame, without an id that another chart could hold too.
    frame = tag("svg", *drawn, x=52, y=14, width=WIDTH - 66, height=254, viewBox=f"52 14 {WIDTH - 66:g} 254")
    caption = f"{label} by epoch, mean over replicates; shaded: range of {board['baseline']}"
    return figure(WIDTH, 310.0, [*parts, frame], caption, (300.0, 304.0, "epoch"))


def series(board: Json) -> dict[str, int]:
    """Return which arms have a colour: the baseline is 0, then the best by rank."""
    others = [row["arm"] for row in board["rows"] if not row["baseline"] and row["rank"] is not None]
    named = [board["baseline"], *others[: COLOURS - 1]]
    return {arm: index for index, arm in enumerate(named) if arm in board["curves"]}


def legend(board: Json) -> Markup:
    """Return the key to the learning curves, which wraps on a narrow screen."""
    items = [tag("li", swatch(f"line s{number}"), tag("span", arm)) for arm, number in series(board).items()]
    if rest := len(board["rows"]) - len(items):
        items.append(
            tag("li", swatch("line other"), tag("span", f"{rest} other arm{'s' if rest > 1 else ''}"))
        )
    return tag("ul", *items, class_="legend")


def scatter(board: Json) -> Markup:
    """Draw accuracy against training throughput; a dashed line joins the arms that no other beats in both."""
    rows = [row for row in board["rows"] if row["images_per_second"] and row["rank"] is not None]
    if not rows:
        return EMPTY
    speeds = [row["images_per_second"] for row in rows]
    # An arm that failed now and then would push all others into one corner: it sits on the lower edge.
    steady = [row["top1"] for row in rows if not row["replicates"]["failed"]] or [row["top1"] for row in rows]
    bounds = [
        bound for top1 in steady for bound in (top1["mean"], top1["low"], top1["high"]) if bound is not None
    ]
    room = (max(speeds) - min(speeds)) * 0.16 or max(speeds) * 0.1  # for the rightmost label
    x = Scale(max(0.0, min(speeds) - room / 4), max(speeds) + room, 52.0, WIDE - 14)
    y = Scale(*_padded(min(bounds), max(bounds), bounds), 296.0, 14.0)
    parts = [*axis_x(x, 14.0, 308.0), *axis_y(y, 52.0, WIDE - 14)]
    front = _front([(row["images_per_second"], row["top1"]["mean"]) for row in rows])
    parts.append(tag("polyline", points=path_of(x, y, front), class_="front"))
    order = sorted(rows, key=lambda row: -row["top1"]["mean"])
    taken: list[tuple[Point, float]] = []
    parts += [_dot(row, x, y) for row in order]
    parts += [_dot_name(row, x, y, taken) for row in order]
    caption = "Test accuracy against training throughput; dashed: arms that no other beats in both"
    return figure(WIDE, 350.0, parts, caption, (560.0, 344.0, "images per second, training"))


def _dot(row: Json, x: Scale, y: Scale) -> Markup:
    top1, across = row["top1"], x(row["images_per_second"])
    whisker = EMPTY
    if top1["low"] is not None and not row["replicates"]["failed"]:
        whisker = tag("line", x1=across, x2=across, y1=y(top1["low"]), y2=y(top1["high"]), class_="whisker")
    speed = wording.decimal(row["images_per_second"], 0)
    title = tag("title", f"{row['arm']}: {wording.with_half_width(top1)} % at {speed} images/s")
    dot = tag("circle", cx=across, cy=y(top1["mean"]), r=4.5, class_="dot")
    return tag("g", title, whisker, dot, class_=_kind(row))


def _dot_name(row: Json, x: Scale, y: Scale, taken: list[tuple[Point, float]]) -> Markup:
    across, height = x(row["images_per_second"]), y(row["top1"]["mean"])
    name = _shorten(row["arm"], 24)
    if row["top1"]["mean"] < y.low:
        name += f" ↓ {wording.decimal(row['top1']['mean'])}"
    width = LETTER * len(name)
    fits = across + 10 + width <= WIDE
    span = (across + 10, across + 10 + width) if fits else (across - 10 - width, across - 10)
    text_y = _free(span, height, taken) + 4
    return tag(
        "g", tag("text", name, x=span[0] if fits else span[1], y=text_y, class_=None if fits else "end")
    )


def figure(
    width: float, height: float, parts: list[Markup], caption: str, label_below: tuple[float, float, str]
) -> Markup:
    """Return a drawing with its caption; `label_below` is the place and the text of the label of the x axis."""
    across, down, label = label_below
    drawing = [*parts, tag("text", label, x=across, y=down, class_="middle axis")]
    svg = tag(
        "svg",
        join([tag("title", caption), *drawing]),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=caption,
    )
    return tag("figure", tag("div", svg, class_="scroll", tabindex="0"), tag("figcaption", caption))


def _whisker(value: Json, x: Scale, y: float) -> Markup:
    mean = tag("circle", cx=x(value["mean"]), cy=y, r=4.5, class_="dot")
    if value["low"] is None:
        return mean
    low, high = x(value["low"]), x(value["high"])
    parts = [tag("line", x1=low, x2=high, y1=y, y2=y, class_="whisker")]
    for bound, end, turn in ((value["low"], low, 1), (value["high"], high, -1)):
        if x.low <= bound <= x.high:
            parts.append(tag("line", x1=end, x2=end, y1=y - 4, y2=y + 4, class_="whisker"))
        else:  # an arrow: it goes on
            arrow = _corners([(end, y), (end + 7 * turn, y - 4), (end + 7 * turn, y + 4)])
            parts.append(tag("polygon", points=arrow, class_="dot"))
    return join([*parts, mean])


def _kind(row: Json) -> str:
    return "baseline" if row["baseline"] else (row["verdict"] or "none").replace(" ", "-")


def _extent(value: Json) -> float:
    return max(abs(float(value[bound] or 0.0)) for bound in ("mean", "low", "high"))


def _reach(extents: Sequence[float], margin: float) -> float:
    """Return the half-width of the axis: one arm that lies far out is cut off, so that the others can be read."""
    ordered = sorted(extents)
    near = 8 * max(ordered[(len(ordered) - 1) // 2], margin)
    return max(*(extent for extent in ordered if extent <= near), 2 * margin, 1e-6) * 1.08


def _padded(low: float, high: float, values: Sequence[float]) -> Point:
    """Return the bounds with a little air, never equal."""
    room = (high - low) * 0.06 or max(abs(value) for value in values) * 0.05 or 1.0
    return low - room, high + room


def _end_of(values: Sequence[float], *, rising: bool) -> Point:
    """Return the bounds of a curve without its first fifth: what tells arms apart is at the end."""
    ordered = sorted(values)
    cut = round(0.2 * (len(ordered) - 1))
    return (ordered[cut], ordered[-1]) if rising else (ordered[0], ordered[-1 - cut])


def points_of(epochs: Sequence[float], values: Sequence[float | None]) -> list[Point]:
    """Return the points of a curve that are known."""
    return [(float(epoch), value) for epoch, value in zip(epochs, values, strict=False) if value is not None]


def _front(points: Sequence[Point]) -> list[Point]:
    best, front = -math.inf, []
    for speed, accuracy in sorted(points, reverse=True):
        if accuracy > best:
            best = accuracy
            front.append((speed, accuracy))
    return front


def _free(span: Point, height: float, taken: list[tuple[Point, float]]) -> float:
    """Return a height for a label from `span[0]` to `span[1]`, moved down as far as labels in its way demand."""
    for (left, right), place in sorted(taken, key=lambda pair: pair[1]):
        if left < span[1] and span[0] < right and abs(place - height) < 13:
            height = place + 13
    taken.append((span, height))
    return height


def path_of(x: Scale, y: Scale, points: Sequence[Point]) -> str:
    """Return points as SVG has them, in pixels; those outside the axes stay outside."""
    return _corners([(x.beyond(across), y.beyond(up)) for across, up in points])


def _corners(points: Sequence[Point]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def swatch(style: str) -> Markup:
    """Return a short piece of a line, for a legend."""
    line = tag("line", x1=1, x2=27, y1=6, y2=6, class_=style)
    return tag("svg", line, viewBox="0 0 28 12", width=28, height=12, aria_hidden="true")


def _shorten(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
