"""A gate's history as one SVG file by itself: a panel a measurement, its points, its levels and its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board.axes import Scale, axis_y
from harness.board.charts import corners_of
from harness.board.gate_history import describe_step, scale_of
from harness.board.markup import join, tag
from harness.board.wording import shorten

Json = Mapping[str, Any]

_WIDTH, _LEFT, _RIGHT = 960.0, 78.0, 936.0
_PANEL, _TOP, _PLOT = 206.0, 44.0, 128.0
_STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; color: #222; fill: currentColor }
.grid { stroke: #e3e3e3 } .end { text-anchor: end; font-size: 11px; fill: #666 }
.start { font-size: 11px; fill: #666 } .middle { text-anchor: middle } .name { font-weight: 600 }
.point { fill: #6b8cae } .regression { fill: #b3261e } .improvement { fill: #1b6e3c }
.level { stroke: #222; stroke-width: 2 } .step { stroke: #b3261e; stroke-dasharray: 4 3 }
.step.better { stroke: #1b6e3c } .said { font-size: 11px; text-anchor: end }
@media (prefers-color-scheme: dark) {
  svg { background: #16181b; color: #e6e6e6 } .grid { stroke: #33373c } .end, .start { fill: #a0a6ad }
  .point { fill: #7ea6d0 } .level { stroke: #e6e6e6 } .regression { fill: #ff8a80 }
  .improvement { fill: #7bd69b } .step { stroke: #ff8a80 } .step.better { stroke: #7bd69b }
}
"""


def render_history_svg(summary: Json) -> str:
    """Return the summary of `gate_history.summarize` as SVG: no script, no font or file from elsewhere.

    A dot is one report's candidate, larger where the gate called it a regression (a triangle up) or an
    improvement (a triangle down); a thick line the median between two steps.
    """
    panels = [_panel(series, index) for index, series in enumerate(summary["series"])]
    height = _PANEL * max(1, len(panels))
    if not panels:
        panels = [tag("text", "nothing measured yet", x=_WIDTH / 2, y=height / 2, class_="middle")]
    title = f"Gate history of {summary['entries']} reports"
    svg = tag(
        "svg",
        join([tag("title", title), tag("style", Markup(_STYLE)), *panels]),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:g} {height:g}",
        width=_WIDTH,
        height=height,
        role="img",
        aria_label=title,
    )
    return f"{svg}\n"


def _panel(series: Json, index: int) -> Markup:
    points = series["points"]
    scale, unit = scale_of(series["unit"], [point["value"] for point in points])
    values = [point["value"] * scale for point in points]
    top = index * _PANEL + _TOP
    bottom = top + _PLOT
    x = Scale(0.0, float(max(1, len(values) - 1)), _LEFT + 12, _RIGHT - 12)
    y = Scale(*_bounds(values), bottom, top)
    name = str(series["name"])
    return tag(
        "g",
        tag("title", name),
        tag("text", f"{shorten(name, 90)}, {unit}", x=_LEFT, y=top - 24, class_="name"),
        join(axis_y(y, _LEFT, _RIGHT)),
        join(
            [
                _dot(point, x(float(at)), y(value))
                for at, (point, value) in enumerate(zip(points, values, strict=True))
            ]
        ),
        join(_levels(series, values, x, y, scale)),
        join(_steps(series, x, top, bottom)),
        tag("text", _when(points[0]), x=_LEFT, y=bottom + 20, class_="start"),
        tag("text", _when(points[-1]), x=_RIGHT, y=bottom + 20, class_="end"),
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: at least 4 % of the value high, so that noise of a per mille looks like it."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.08, (0.04 * abs(high) - (high - low)) / 2, 1e-9)
    return low - room, high + room


def _dot(point: Json, across: float, down: float) -> Markup:
    title = tag("title", f"{_when(point)}: {point['value']:.6g}, {point['verdict']}")
    if point["verdict"] in ("regression", "improvement"):
        turn = -1 if point["verdict"] == "regression" else 1
        corners = [(across, down + 6 * turn), (across - 6, down - 5 * turn), (across + 6, down - 5 * turn)]
        return tag("polygon", title, points=corners_of(corners), class_=point["verdict"])
    return tag("circle", title, cx=across, cy=down, r=3.0, class_="point")


def _levels(series: Json, values: Sequence[float], x: Scale, y: Scale, scale: float) -> list[Markup]:
    """Draw the median of each stretch between steps; nothing where there is no step."""
    steps = series["steps"]
    if not steps:
        return []
    edges = [0, *(step["index"] for step in steps), len(values)]
    levels = [steps[0]["before"], *(step["after"] for step in steps)]
    return [
        tag(
            "line",
            x1=x(edges[at]),
            x2=x(edges[at + 1] - 1),
            y1=y(level * scale),
            y2=y(level * scale),
            class_="level",
        )
        for at, level in enumerate(levels)
    ]


def _steps(series: Json, x: Scale, top: float, bottom: float) -> list[Markup]:
    parts = []
    for step in series["steps"]:
        across = (x(step["index"] - 1) + x(step["index"])) / 2
        # More of a time or of memory is worse, more accuracy is not.
        better = (step["ratio"] > 1) == (series["kind"] == "accuracy")
        parts.append(
            tag("line", x1=across, x2=across, y1=top, y2=bottom, class_="step better" if better else "step")
        )
    if parts:
        said = "; ".join(describe_step(series, step) for step in series["steps"])
        parts.append(tag("text", shorten(said, 140), x=_RIGHT, y=top - 7, class_="said"))
    return parts


def _when(point: Json) -> str:
    return f"{str(point['at'])[:10]} {str(point['commit'] or point['label'])[:10]}"
