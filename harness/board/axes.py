"""Scales, ticks and axes of the charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.board import wording
from harness.board.markup import tag

WIDTH, WIDE, SLIM = 560.0, 1120.0, 360.0
DIGIT = 8.2
"""The pixels that a digit of a label takes at the most."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; what lies outside is put on the edge."""
        return self.beyond(min(max(value, self.low), self.high))

    def beyond(self, value: float) -> float:
        """Return the pixel of a value, also where it lies outside."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) within [low, high].

    None where the ends are as one, or lie farther apart than a float can tell: a page without grid lines, not none.
    """
    if not 0.0 < (high - low) / count < math.inf or 10 ** math.floor(math.log10((high - low) / count)) == 0.0:
        return []
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= count)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def axis_x(
    x: Scale, top: float, bottom: float, *, signed: bool = False, right: float | None = None
) -> list[Markup]:
    """Return vertical grid lines from `top` to `bottom` with their labels below.

    Args:
        x: The scale.
        top: Where the lines begin.
        bottom: Where they end.
        signed: Whether labels have a plus sign, too.
        right: Of the drawing: a label that would go on beyond it ends there.
    """
    parts = []
    values = ticks(x.low, x.high, 9 if x.end - x.start > WIDTH else 5)
    for value in values:
        label = (
            wording.signed(value, _digits(values))
            if signed and value
            else wording.decimal(value, _digits(values))
        )
        is_cut = right is not None and x(value) + len(label) * DIGIT / 2 > right
        place, anchor = (right, "end") if is_cut else (x(value), "middle")
        parts.append(tag("line", x1=x(value), x2=x(value), y1=top, y2=bottom, class_="grid"))
        parts.append(tag("text", label, x=place, y=bottom + 17, class_=anchor))
    return parts


def axis_y(y: Scale, left: float, right: float) -> list[Markup]:
    """Return horizontal grid lines from `left` to `right` with their labels at the left."""
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
