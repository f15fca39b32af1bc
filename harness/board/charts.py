"""What the charts of the HTML report have in common, as SVG written by hand: no library, no script, no colours here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board.axes import Scale
from harness.board.markup import EMPTY, join, tag
from harness.board.wording import shorten
from harness.record.packed import MOST

Json = Mapping[str, Any]
Point = tuple[float, float]

_WIDE, _NARROW = frozenset("MWmw@%…→←↓—"), frozenset("iljtfrI.,:;'|!-()[] ")

COLOURS = 8
"""Series with a colour and dash pattern of their own; the rest is thin and grey."""

MOST_POINTS = 120
"""Points of a curve: a chart is 500 pixels wide, and what lies closer together cannot be told apart."""


def figure(
    width: float,
    height: float,
    parts: list[Markup],
    caption: str,
    label_below: tuple[float, float, str] | None,
    class_: str | None = None,
) -> Markup:
    """Return a drawing with its caption; `label_below` is the place and the text of the label of the x axis."""
    drawing = list(parts)
    if label_below is not None:
        across, down, label = label_below
        drawing.append(tag("text", label, x=across, y=down, class_="middle axis"))
    svg = tag(
        "svg",
        join([tag("title", caption), *drawing]),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=caption,
    )
    held = tag("div", svg, class_="scroll", tabindex="0", role="group", aria_label="Chart")
    return tag("figure", held, tag("figcaption", caption), class_=class_)


def by_screen(broad: Markup, slim: Markup) -> Markup:
    """Return a drawing for a usual screen and the same for a phone; the page shows the one that fits."""
    if not broad:
        return EMPTY
    return tag("div", tag("div", broad, class_="broad"), tag("div", slim, class_="slim"))


def kind_of(row: Json) -> str:
    """Return the class of a row's marks: `baseline`, its verdict, or `none`."""
    return "baseline" if row["baseline"] else (row["verdict"] or "none").replace(" ", "-")


def mark(row: Json, x: float, y: float) -> Markup:
    """Return the mark of a row's verdict: its shape says what its colour says."""
    shapes: dict[str, list[tuple[float, float]]] = {
        "baseline": [(0, -6), (6, 0), (0, 6), (-6, 0)],
        "better": [(0, -5.5), (5.5, 4.5), (-5.5, 4.5)],
        "worse": [(0, 5.5), (5.5, -4.5), (-5.5, -4.5)],
        "equal": [(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)],
    }
    if (corners := shapes.get(kind_of(row))) is None:
        return tag("circle", cx=x, cy=y, r=4.5, class_="dot")
    return tag("polygon", points=corners_of([(x + dx, y + dy) for dx, dy in corners]), class_="dot")


def series(board: Json) -> dict[str, int]:
    """Return which arms have a colour: the baseline is 0, then those with a verdict, then the best by rank.

    Of more with a verdict than there are colours, those that differ most have one. Colours go by rank.
    """
    others = [row for row in board["rows"] if not row["baseline"] and row["rank"] is not None]
    chosen = sorted(others, key=by_verdict)[: COLOURS - 1]
    names = {row["arm"] for row in chosen}
    named = [board["baseline"], *(row["arm"] for row in others if row["arm"] in names)]
    return {arm: index for index, arm in enumerate(named) if arm in board["curves"]}


def by_verdict(row: Json) -> tuple[bool, float]:
    """Order those with a verdict first, by the size of their difference; a sort leaves the rest as they stand."""
    is_open = row["verdict"] in (None, "not resolved")
    return is_open, 0.0 if is_open else -abs(row["difference"]["mean"])


def legend(board: Json) -> Markup:
    """Return the key to the arms' colours, which wraps on a narrow screen."""
    items = [
        tag("li", swatch(f"line s{number}"), tag("span", arm), data_series=f"s{number}")
        for arm, number in series(board).items()
    ]
    if rest := len(board["rows"]) - len(items):
        items.append(
            tag("li", swatch("line other"), tag("span", f"{rest} other arm{'s' if rest > 1 else ''}"))
        )
    return tag("ul", *items, class_="legend")


def swatch(style: str) -> Markup:
    """Return a short piece of a line, for a legend."""
    line = tag("line", x1=1, x2=27, y1=6, y2=6, class_=style)
    return tag("svg", line, viewBox="0 0 28 12", width=28, height=12, aria_hidden="true")


def whisker(low: float | None, high: float | None, x: Scale, y: float) -> Markup:
    """Return an interval as a line with ends; an end beyond the axis is an arrow: it goes on."""
    if low is None or high is None:
        return EMPTY
    left, right = x(low), x(high)
    parts = [tag("line", x1=left, x2=right, y1=y, y2=y, class_="whisker")]
    for bound, end, turn in ((low, left, 1), (high, right, -1)):
        if x.low <= bound <= x.high:
            parts.append(tag("line", x1=end, x2=end, y1=y - 4, y2=y + 4, class_="whisker"))
        else:
            arrow = corners_of([(end, y), (end + 7 * turn, y - 4), (end + 7 * turn, y + 4)])
            parts.append(tag("polygon", points=arrow, class_="dot"))
    return join(parts)


def padded(low: float, high: float, values: Sequence[float]) -> Point:
    """Return the bounds with a little air, never equal."""
    room = (high - low) * 0.06 or max(abs(value) for value in values) * 0.05 or 1.0
    return low - room, high + room


def points_of(epochs: Sequence[float], values: Sequence[float | None]) -> list[Point]:
    """Return the points of a curve that are known; a loss may be anything that is finite, and an axis may not."""
    return [
        (float(epoch), value)
        for epoch, value in zip(epochs, values, strict=False)
        if value is not None and abs(value) <= MOST and abs(epoch) <= MOST
    ]


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return at most so many points, evenly spaced in number, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def path_of(x: Scale, y: Scale, points: Sequence[Point]) -> str:
    """Return points as SVG has them, in pixels; those outside the axes stay outside."""
    return corners_of([(x.beyond(across), y.beyond(up)) for across, up in points])


def corners_of(points: Sequence[Point]) -> str:
    """Return pixels as the `points` of a polygon or polyline."""
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def width_of(label: str) -> float:
    """Return the pixels that a label takes at the most, roughly: no font tells its widths here."""
    return sum(map(_width_of_letter, label))


def _width_of_letter(letter: str) -> float:
    if letter in _NARROW:
        return 5.2
    if letter in _WIDE or ord(letter) > 0x2E80:  # from there on scripts are as wide as they are high
        return 13.0
    return 9.4 if letter.isupper() else 8.2


def shortened(names: Sequence[str], length: int) -> list[str]:
    """Return names of at most so many letters each, such that different ones stay different.

    A name loses its end; where that would make two of them one, its middle; where that is the same too, all that
    those share at the beginning. What even then is the same is numbered.
    """
    short = {name: shorten(name, length) for name in names}
    for group in _alike(short):
        short |= {name: _without_middle(name, length) for name in group}
    for group in _alike(short):
        shared = _shared_letters(group)
        short |= {name: shorten("…" + name[max(0, shared - length // 4) :], length) for name in group}
    left = [name for group in _alike(short) for name in group]
    short |= {name: _numbered(name, number, length) for number, name in enumerate(left, 1)}
    return [short[name] for name in names]


def _alike(short: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of names that are written alike."""
    groups: dict[str, list[str]] = {}
    for name, written in short.items():
        groups.setdefault(written, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _without_middle(name: str, length: int) -> str:
    tail = length // 2
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def _shared_letters(names: Sequence[str]) -> int:
    """Return with how many letters all the names begin alike."""
    columns = zip(*names, strict=False)  # as far as the shortest goes
    return sum(1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, columns))


def _numbered(name: str, number: int, length: int) -> str:
    end = f"…{number}"
    return name[: length - len(end)] + end


def cell_words(cell: Json | None) -> str:
    """Return a grid's cell in words: `batch_size 128, optimizer.lr 0.1`; empty where there is no grid."""
    return ", ".join(f"{key} {value}" for key, value in (cell or {}).items())
