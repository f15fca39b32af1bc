"""Performance profiles over several data sets (Dolan and Moré 2002; Agarwal et al. 2021, equation 1)."""

from __future__ import annotations

from markupsafe import Markup

from harness.board.axes import WIDTH, Scale, axis_x, axis_y
from harness.board.chart_cells import named_colours
from harness.board.charts import COLOURS, Json, figure, path_of, points_of, swatch, thinned
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14, 32.0, 268.0
_GREY = "other"


def profiles(board: Json) -> Markup:
    """Draw, for each threshold of the score, the share of runs above it; a higher curve is the better arm.

    Colours are those of the learning curves: black is the baseline.
    """
    told = board.get("aggregate") or {}
    arms = [arm for arm in told.get("arms") or () if (arm.get("profile") or {}).get("share")]
    thresholds = told.get("thresholds") or []
    if not arms or len(thresholds) < 2 or thresholds[-1] <= thresholds[0]:
        return EMPTY
    x, y = Scale(thresholds[0], thresholds[-1], LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    share = tag("text", "share of runs above the score", x=8, y=TOP - 16, class_="axis")
    parts = [*axis_x(x, TOP, BOTTOM), *axis_y(y, LEFT, RIGHT), share]
    colours = named_colours(board)
    bands, lines = [], []
    for arm in sorted(arms, key=lambda arm: -colours.get(arm["arm"], COLOURS)):
        style, profile = _style(colours.get(arm["arm"])), arm["profile"]
        mean, low, high = (
            thinned(points_of(thresholds, profile.get(name) or [])) for name in ("share", "low", "high")
        )
        if arm["arm"] in colours and low:
            bands.append(
                tag("polygon", points=path_of(x, y, [*low, *reversed(high)]), class_=f"spread {style}")
            )
        lines.append(
            tag("polyline", tag("title", arm["arm"]), points=path_of(x, y, mean), class_=f"line {style}")
        )
    caption = (
        "Performance profiles: the share of runs above each score, mean over data sets; higher is better"
    )
    below = ((LEFT + RIGHT) / 2, 304.0, f"score, {told.get('score') or 'normalised'}")
    drawing = figure(WIDTH, 310.0, [*parts, *bands, *lines], caption, below)
    items = [
        tag("li", swatch(f"line {style}"), tag("span", arm["arm"]), data_series=style)
        for arm in arms
        if (style := _style(colours.get(arm["arm"]))) != _GREY
    ]
    return drawing + tag("ul", *items, class_="legend")


def _style(number: int | None) -> str:
    return _GREY if number is None else f"s{number}"
