"""Whether a trial's memory grows from epoch to epoch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

EPOCHS = 20
"""Epochs over which growth is told, and the fewest from which it can be."""
LIMIT = 0.01
"""More growth than this share over `EPOCHS` epochs is a leak (issue 3)."""
SETTLING = 0.2
"""Share of the epochs, from the first, that does not count: caches fill and allocators take what they need."""
_MOST_POINTS = 64


def growth(samples: Sequence[int | None]) -> dict[str, Any] | None:
    """Return how memory grew over like points of a trial's epochs.

    The slope is Theil and Sen's, the median over all pairs, of each half of the settled epochs, and of the two
    the smaller: a leak goes on, while an allocator that once took more shows in one half alone.

    Args:
        samples: Bytes at each epoch's end.

    Returns:
        `{bytes_per_epoch, growth_share, epochs}`: the slope, its growth over 20 epochs as a share of the first
        settled sample, and the epochs that were looked at; None where they are fewer than 20.
    """
    known = [value for value in samples if value is not None]
    if len(known) < EPOCHS or len(known) < len(samples):
        return None
    settled = known[round(SETTLING * len(known)) :]
    middle = len(settled) // 2
    slope = min(_slope(settled[:middle]), _slope(settled[middle:]))
    share = slope * EPOCHS / settled[0] if settled[0] else 0.0
    return {"bytes_per_epoch": slope, "growth_share": share, "epochs": len(known)}


def leak_of(grown: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Return the growth that is a leak, the device's first, with its `kind`; None where there is none."""
    for kind in ("allocated", "resident"):
        found = grown.get(kind)
        if found is not None and found["growth_share"] > LIMIT:
            return {"kind": kind, **found}
    return None


def _slope(values: Sequence[int]) -> float:
    stride = -(-len(values) // _MOST_POINTS)
    points = list(enumerate(values))[::stride]
    return statistics.median((y - b) / (x - a) for (a, b), (x, y) in combinations(points, 2))
