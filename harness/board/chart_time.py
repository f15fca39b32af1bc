"""Where a trial's time goes: a bar for each arm, its phases one after another."""

from __future__ import annotations

from markupsafe import Markup

from harness.board import wording
from harness.board.axes import WIDE, Scale, axis_x
from harness.board.charts import Json, figure, shortened, width_of
from harness.board.markup import EMPTY, tag
from harness.record.attempt import SECONDS

TOP, LINE, RIGHT = 16.0, 24.0, 96.0
MOST_ARMS = 200
WORDS = {
    "build": "build, data included",
    "compile": "compile",
    "warm_up": "warm-up",
    "train": "train",
    "data_wait": "wait for data",
    "evaluate": "evaluate",
}


def time_split(board: Json) -> Markup:
    """Draw each arm's mean seconds by phase as a stacked bar; empty where no record tells them."""
    told = [(row, split) for row in board["rows"] if (split := row.get("time_split"))][:MOST_ARMS]
    totals = [sum(filter(None, split.values())) for _, split in told]
    if not told or max(totals) <= 0:
        return EMPTY
    names = shortened([row["arm"] for row, _ in told], 30)
    left = 24.0 + max(map(width_of, names))
    bottom = TOP + LINE * len(told)
    x = Scale(0.0, max(totals) * 1.02, left, WIDE - RIGHT)
    parts = axis_x(x, TOP, bottom)
    for index, ((row, split), name, total) in enumerate(zip(told, names, totals, strict=True)):
        y, start, bars = TOP + LINE * (index + 0.5), 0.0, []
        for part in SECONDS:
            if seconds := split[part]:
                title = tag(
                    "title",
                    f"{row['arm']}, {WORDS[part]}: {wording.duration(seconds)} ({seconds / total:.1%})",
                )
                width = x(start + seconds) - x(start)
                bar = tag("rect", title, x=x(start), y=y - 8, width=width, height=16, class_=f"part {part}")
                bars.append(bar)
                start += seconds
        written = tag("text", tag("title", row["arm"]), name, x=left - 12, y=y + 4, class_="end")
        value = tag("text", wording.duration(total), x=WIDE - RIGHT + 12, y=y + 4, class_="value")
        parts.append(tag("g", written, *bars, value))
    caption = (
        "Mean seconds of a good trial, from the accuracy trials; speed is judged by the timing pass alone"
    )
    drawing = figure(WIDE, bottom + 42, parts, caption, ((left + WIDE - RIGHT) / 2, bottom + 36, "seconds"))
    used = [part for part in SECONDS if any(split[part] for _, split in told)]
    items = [tag("li", _swatch(part), tag("span", WORDS[part])) for part in used]
    return drawing + tag("ul", *items, class_="legend")


def _swatch(part: str) -> Markup:
    bar = tag("rect", x=0, y=0, width=14, height=12, class_=f"part {part}")
    return tag("svg", bar, viewBox="0 0 14 12", width=14, height=12, aria_hidden="true")
