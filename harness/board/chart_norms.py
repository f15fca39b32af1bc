"""The chart of an arm's gradient norms, layer by layer, where a suite asks for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board.axes import WIDTH, Scale, axis_x
from harness.board.charts import COLOURS, figure, path_of, points_of, swatch
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 62.0, WIDTH - 14, 14.0, 208.0
MOST_DECADES = 8


def gradient_norms(curves: Mapping[str, Any]) -> Markup:
    """Draw the mean gradient norm of each layer by epoch, on a logarithmic axis; empty where there is none.

    Args:
        curves: An arm's curves, as the board holds them.
    """
    norms: Mapping[str, Sequence[float | None]] = curves.get("gradient_norms") or {}
    lines = {
        layer: [(epoch, math.log10(norm)) for epoch, norm in points_of(curves["epoch"], values) if norm > 0]
        for layer, values in norms.items()
    }
    lines = {layer: points for layer, points in lines.items() if points}
    if not lines:
        return EMPTY
    epochs = [epoch for points in lines.values() for epoch, _ in points]
    heights = [height for points in lines.values() for _, height in points]
    x = Scale(min(epochs), max(max(epochs), min(epochs) + 1), LEFT, RIGHT)
    # What has all but died away is cut off: the rest could not be told apart.
    low, high = max(min(heights), max(heights) - MOST_DECADES), max(heights)
    y = Scale(low - 0.05, max(high, low + 0.3) + 0.05, BOTTOM, TOP)
    styles = _styles(list(lines))
    drawn = [
        tag(
            "polyline",
            tag("title", layer),
            points=path_of(x, y, lines[layer]),
            class_=f"line {styles[layer]}",
        )
        for layer in sorted(lines, key=lambda layer: styles[layer] != "other")
    ]
    frame = tag("svg", *drawn, x=LEFT, y=TOP, width=RIGHT - LEFT, height=BOTTOM - TOP, viewBox=_box())
    parts = [*axis_x(x, TOP, BOTTOM), *_axis_y(y), frame]
    caption = "Gradient norm of each layer by epoch, mean over steps and replicates; logarithmic"
    drawing = figure(WIDTH, BOTTOM + 42, parts, caption, ((LEFT + RIGHT) / 2, BOTTOM + 36, "epoch"))
    return tag("div", drawing, tag("div", _legend(styles)), class_="pair")


def _styles(layers: list[str]) -> dict[str, str]:
    """Give colours to as many layers as there are, from the first to the last; the rest is grey."""
    count = min(COLOURS, len(layers))
    chosen = [layers[round(index * (len(layers) - 1) / max(1, count - 1))] for index in range(count)]
    return {layer: f"s{chosen.index(layer)}" if layer in chosen else "other" for layer in layers}


def _axis_y(y: Scale) -> list[Markup]:
    decades = range(math.floor(y.low), math.ceil(y.high) + 1)
    factors = (1,) if y.high - y.low > 2 else (1, 2, 5)
    heights = [
        (factor * 10.0**decade, decade + math.log10(factor)) for decade in decades for factor in factors
    ]
    parts = []
    for norm, height in heights:
        if y.low <= height <= y.high:
            parts.append(tag("line", x1=LEFT, x2=RIGHT, y1=y(height), y2=y(height), class_="grid"))
            parts.append(tag("text", f"{norm:g}", x=LEFT - 8, y=y(height) + 4, class_="end"))
    return parts


def _legend(styles: Mapping[str, str]) -> Markup:
    items = [
        tag("li", swatch(f"line {style}"), tag("span", layer))
        for layer, style in styles.items()
        if style != "other"
    ]
    if rest := len(styles) - len(items):
        items.append(
            tag("li", swatch("line other"), tag("span", f"{rest} other layer{'s' if rest > 1 else ''}"))
        )
    return tag("ul", *items, class_="legend")


def _box() -> str:
    return f"{LEFT:g} {TOP:g} {RIGHT - LEFT:g} {BOTTOM - TOP:g}"
