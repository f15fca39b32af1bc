"""Learning curves: the mean over replicates by epoch, with the t interval as a band; and whose they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

from harness.board.axes import WIDTH, Scale, axis_x, axis_y
from harness.board.chart_cells import colours_of
from harness.board.chart_key import drawn_arms, numbers_of, style_of
from harness.board.charts import (
    COLOURS,
    MOST_POINTS,
    Json,
    Point,
    figure,
    padded,
    path_of,
    points_of,
    thinned,
)
from harness.board.markup import EMPTY, tag

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14, 14.0, 268.0

CHARTS = (
    ("validation_top1", "Validation top-1, %"),
    ("validation_loss", "Validation loss, nats"),
    ("train_loss", "Training loss, nats"),
    ("learning_rate", "Learning rate"),
)


MOST_HIDDEN = 60
"""Points of a band that shows when a reader picks its arm: there may be fifty such arms."""
EARLY = "Early epochs are cut off in part, so that the end can be read"
OWN_LOSS = (
    "Each line is of the arm's own loss: what changes targets, inputs or the loss (mixup, label smoothing, "
    "distillation) makes it another quantity, not to be compared between arms"
)


def learning_curves(board: Json, name: str, label: str, among: Collection[str] | None = None) -> Markup:
    """Draw a learning curve for each arm, with bands; those of the grey ones are hidden until the script shows them.

    Empty where no arm has any.

    Args:
        board: The board.
        name: Of the curve, as the board has it.
        label: What it is.
        among: The arms of this chart; of all where there is but one.
    """
    curves = {arm: board["curves"][arm] for arm in drawn_arms(board, among)}
    lines = {arm: thinned(points_of(curve["epoch"], curve[name]["mean"])) for arm, curve in curves.items()}
    every = [point for points in lines.values() for point in points]
    if not every:
        return EMPTY
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    values = [y for _, y in every]
    x = Scale(first, max(last, first + 1), LEFT, RIGHT)
    y = Scale(*padded(*_bounds(values, name), values), BOTTOM, TOP)
    colours, numbers = colours_of(board), numbers_of(board)
    bands, drawn = [], []
    for arm in sorted(lines, key=lambda arm: -colours.get(arm, COLOURS)):
        style, number = style_of(arm, colours), numbers[arm]
        most = MOST_POINTS if arm in colours else MOST_HIDDEN
        if name != "learning_rate" and (edge := _edge(curves[arm], name, most)):
            bands.append(
                tag("polygon", points=path_of(x, y, edge), class_=f"spread {style}", data_arm=number)
            )
        line = path_of(x, y, lines[arm])
        drawn.append(tag("polyline", tag("title", arm), points=line, class_=f"line {style}", data_arm=number))
    # An inner svg cuts off what leaves its frame, without an id that another chart could hold too.
    width, height = RIGHT - LEFT, BOTTOM - TOP
    box = f"{LEFT:g} {TOP:g} {width:g} {height:g}"
    frame = tag("svg", *bands, *drawn, x=LEFT, y=TOP, width=width, height=height, viewBox=box)
    parts = [*axis_x(x, TOP, BOTTOM), *axis_y(y, LEFT, RIGHT), frame]
    shaded = f", shaded its {_level(board)} % interval" if bands else ""
    told = [f"{label} by epoch: mean over replicates{shaded}"]
    told += [EARLY] if any(not y.low <= value <= y.high for value in values) else []
    told += [OWN_LOSS] if name == "train_loss" and _have_own_losses(board, lines) else []
    return figure(WIDTH, 310.0, parts, ". ".join(told), ((LEFT + RIGHT) / 2, 304.0, "epoch"))


def _have_own_losses(board: Json, drawn: Collection[str]) -> bool:
    """Return whether some arm may train on another loss or other targets: which do, no plan tells."""
    told = [
        [(row.get("recipe") or {}).get(key) for key in ("tricks", "augmentations", "parents")]
        for row in board["rows"]
        if row["arm"] in drawn
    ]
    return any(one != told[0] for one in told)


def _edge(curve: Json, name: str, most: int) -> list[Point]:
    """Return the outline of a curve's band, there below and back above; empty where one replicate has none."""
    low = thinned(points_of(curve["epoch"], curve[name]["low"]), most)
    high = thinned(points_of(curve["epoch"], curve[name]["high"]), most)
    return [*low, *reversed(high)]


def _level(board: Json) -> str:
    return f"{100 * (1 - (board['settings'].get('alpha') or 0.05)):g}"


def _bounds(values: Sequence[float], name: str) -> Point:
    """Return the bounds of a curve without its first fifth, for what tells arms apart is at the end; a rate's whole."""
    ordered = sorted(values)
    cut = 0 if name == "learning_rate" else round(0.2 * (len(ordered) - 1))
    return (ordered[cut], ordered[-1]) if name == "validation_top1" else (ordered[0], ordered[-1 - cut])
