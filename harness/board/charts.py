"""The charts of the HTML report, as SVG written by hand: no library, no script, colours from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.markup import EMPTY, join, tag

Json = Mapping[str, Any]
Point = tuple[float, float]

WIDTH = 560.0
COLOURS = 8
"""Series with a colour and dash pattern of their own; the rest is thin and grey."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; what lies outside is put on the edge."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) within [low, high]."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= count)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def forest(board: Json) -> Markup:
    """Draw each arm's difference from the baseline with its simultaneous interval, over the band of the margin."""
    rows = [row for row in board["rows"] if row["difference"] is not None]
    if not rows:
        return EMPTY
    margin = board["settings"]["margin_points"]
    names = [_shorten(row["arm"], 26) for row in rows]
    left, right, top, line = 20.0 + 7.2 * max(map(len, names)), 178.0, 16.0, 28.0
    width, bottom = 860.0, 16.0 + 28.0 * len(rows)
    reach = _reach([_extent(row["difference"]) for row in rows], margin)
    x = Scale(-reach, reach, left, width - right)
    parts = [
        tag("rect", x=x(-margin), y=top, width=x(margin) - x(-margin), height=bottom - top, class_="band"),
        *_axis_x(x, top, bottom, signed=True),
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
    return _figure(
        width,
        bottom + 42,
        parts,
        caption,
        x_label=((left + width - right) / 2, bottom + 36, "Δ top-1, points"),
    )


def learning_curves(board: Json, name: str, label: str) -> Markup:
    """Draw a learning curve for each arm: the mean over replicates, with the range of the baseline's."""
    curves = {arm: board["curves"][arm] for arm in (row["arm"] for row in board["rows"])}
    lines = {arm: _points(curve["epoch"], curve[name]["mean"]) for arm, curve in curves.items()}
    if not any(lines.values()):
        return EMPTY
    base = curves.get(board["baseline"])
    lowest, highest = (_points(base["epoch"], base[name][bound]) if base else [] for bound in ("low", "high"))
    every = [point for points in lines.values() for point in points]
    epochs, values = [x for x, _ in every], [y for _, y in every]
    x = Scale(min(epochs), max(epochs) if max(epochs) > min(epochs) else min(epochs) + 1, 52.0, WIDTH - 14)
    low, high = _padded(_quantile(values, 0.02), _quantile(values, 0.98), values)
    y = Scale(low, high, 268.0, 14.0)
    parts = [*_axis_x(x, 14.0, 268.0), *_axis_y(y, 52.0, WIDTH - 14)]
    if lowest:
        outline = [(x(a), y(b)) for a, b in [*lowest, *reversed(highest)]]
        parts.append(tag("polygon", points=_path(outline), class_="range"))
    numbers = series(board)
    for arm in sorted(lines, key=lambda arm: -numbers.get(arm, COLOURS)):
        style = f"line s{numbers[arm]}" if arm in numbers else "line other"
        path = _path([(x(a), y(b)) for a, b in lines[arm]])
        parts.append(tag("polyline", tag("title", arm), points=path, class_=style))
    return _figure(
        WIDTH, 310.0, parts, f"{label} by epoch, mean over replicates", x_label=(300.0, 304.0, "epoch")
    )


def series(board: Json) -> dict[str, int]:
    """Return which arms have a colour: the baseline is 0, then the best by rank."""
    others = [row["arm"] for row in board["rows"] if not row["baseline"] and row["rank"] is not None]
    named = [board["baseline"], *others[: COLOURS - 1]]
    return {arm: index for index, arm in enumerate(named) if arm in board["curves"]}


def legend(board: Json) -> Markup:
    """Return the key to the learning curves, which wraps on a narrow screen."""
    items = [tag("li", _swatch(f"line s{number}"), tag("span", arm)) for arm, number in series(board).items()]
    if len(board["rows"]) > len(items):
        items.append(
            tag("li", _swatch("line other"), tag("span", f"{len(board['rows']) - len(items)} other arms"))
        )
    return tag("ul", *items, class_="legend")


def scatter(board: Json) -> Markup:
    """Draw accuracy against training throughput; a dashed line joins the arms that no other beats in both."""
    rows = [row for row in board["rows"] if row["images_per_second"] and row["rank"] is not None]
    if not rows:
        return EMPTY
    speeds = [row["images_per_second"] for row in rows]
    # An arm that failed now and then would push all others into one corner: it sits on the lower edge.
    means = sorted(row["top1"]["mean"] for row in rows)
    ends = [
        bound
        for row in rows
        if (bound := row["top1"]["low"]) is not None and row["replicates"]["failed"] == 0
    ]
    ends += [
        row["top1"]["high"]
        for row in rows
        if row["top1"]["high"] is not None and row["replicates"]["failed"] == 0
    ]
    low, high = _padded(min(ends or means), max(ends or means), means)
    x_low, x_high = _padded(min(speeds), max(speeds), speeds)
    x, y = Scale(max(0.0, x_low), x_high, 52.0, WIDTH - 14), Scale(low, high, 268.0, 14.0)
    parts = [*_axis_x(x, 14.0, 268.0), *_axis_y(y, 52.0, WIDTH - 14)]
    front = _front([(row["images_per_second"], row["top1"]["mean"]) for row in rows])
    parts.append(tag("polyline", points=_path([(x(a), y(b)) for a, b in front]), class_="front"))
    heights: list[Point] = []
    for row in sorted(rows, key=lambda row: -row["top1"]["mean"]):
        across, height = x(row["images_per_second"]), y(row["top1"]["mean"])
        label = _free(across, height, heights)
        on_left = across > WIDTH * 0.66
        bounds = row["top1"]
        whisker = EMPTY
        if bounds["low"] is not None:
            whisker = tag(
                "line", x1=across, x2=across, y1=y(bounds["low"]), y2=y(bounds["high"]), class_="whisker"
            )
        title = f"{row['arm']}: {wording.with_half_width(bounds)} % at {wording.decimal(row['images_per_second'], 0)} images/s"
        name = tag(
            "text",
            _shorten(row["arm"], 24),
            x=across + (-9.0 if on_left else 9.0),
            y=label + 4,
            class_="end" if on_left else None,
        )
        dot = tag("circle", cx=across, cy=height, r=4.5, class_="dot")
        parts.append(tag("g", tag("title", title), whisker, dot, name, class_=_kind(row)))
    return _figure(
        WIDTH,
        310.0,
        parts,
        "Test accuracy against training throughput",
        x_label=(300.0, 304.0, "images per second, training"),
    )


def _figure(
    width: float, height: float, parts: list[Markup], caption: str, x_label: tuple[float, float, str]
) -> Markup:
    across, down, label = x_label
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
            arrow = _path([(end, y), (end + 7 * turn, y - 4), (end + 7 * turn, y + 4)])
            parts.append(tag("polygon", points=arrow, class_="dot"))
    return join([*parts, mean])


def _kind(row: Json) -> str:
    return "baseline" if row["baseline"] else (row["verdict"] or "none").replace(" ", "-")


def _extent(value: Json) -> float:
    return max(abs(value["mean"]), abs(value["low"] or 0.0), abs(value["high"] or 0.0))


def _reach(extents: Sequence[float], margin: float) -> float:
    """Return the half-width of the axis: one arm that lies far out is cut off, so that the others can be read."""
    ordered = sorted(extents)
    middle = ordered[(len(ordered) - 1) // 2]
    return float(max(min(ordered[-1], 4 * middle), 2 * margin, 1e-6) * 1.08)


def _padded(low: float, high: float, values: Sequence[float]) -> Point:
    """Return the bounds with a little air, never equal."""
    room = (high - low) * 0.06 or max(abs(value) for value in values) * 0.05 or 1.0
    return low - room, high + room


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def _points(epochs: Sequence[float], values: Sequence[float | None]) -> list[Point]:
    return [(float(epoch), value) for epoch, value in zip(epochs, values, strict=False) if value is not None]


def _front(points: Sequence[Point]) -> list[Point]:
    best, front = -math.inf, []
    for speed, accuracy in sorted(points, reverse=True):
        if accuracy > best:
            best = accuracy
            front.append((speed, accuracy))
    return front


def _free(across: float, height: float, taken: list[Point]) -> float:
    """Return a height for a label, moved down as far as labels near it demand."""
    for other, place in sorted(taken, key=lambda pair: pair[1]):
        if abs(other - across) < 130 and abs(place - height) < 13:
            height = place + 13
    taken.append((across, height))
    return height


def _axis_x(x: Scale, top: float, bottom: float, *, signed: bool = False) -> list[Markup]:
    parts = []
    values = ticks(x.low, x.high)
    for value in values:
        label = (
            wording.signed(value, _digits(values))
            if signed and value
            else wording.decimal(value, _digits(values))
        )
        parts.append(tag("line", x1=x(value), x2=x(value), y1=top, y2=bottom, class_="grid"))
        parts.append(tag("text", label, x=x(value), y=bottom + 17, class_="middle"))
    return parts


def _axis_y(y: Scale, left: float, right: float) -> list[Markup]:
    parts = []
    values = ticks(y.low, y.high)
    for value in values:
        parts.append(tag("line", x1=left, x2=right, y1=y(value), y2=y(value), class_="grid"))
        parts.append(
            tag("text", wording.decimal(value, _digits(values)), x=left - 8, y=y(value) + 4, class_="end")
        )
    return parts


def _digits(values: Sequence[float]) -> int:
    """Return how many decimals tell neighbouring ticks apart."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _swatch(style: str) -> Markup:
    line = tag("line", x1=1, x2=27, y1=6, y2=6, class_=style)
    return tag("svg", line, viewBox="0 0 28 12", width=28, height=12, aria_hidden="true")


def _shorten(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
