"""The Pareto fronts: arms that no other beats in accuracy and in speed, or in accuracy and in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

Json = dict[str, Any]
Point = tuple[float, float]


def with_pareto(rows: Sequence[Json]) -> list[Json]:
    """Return the rows, each with `pareto: {"speed", "memory"}`: whether it is on the front; null where it has no place.

    Only ranked rows take part. In a grid each cell has fronts of its own, as it has a baseline of its own. Fronts are
    of means: two arms next to each other may not be told apart by any test.
    """
    speeds = _on_front(rows, "images_per_second", 1.0)
    memories = _on_front(rows, "peak_memory_bytes", -1.0)
    return [
        {**row, "pareto": {"speed": speeds.get(row["arm"]), "memory": memories.get(row["arm"])}}
        for row in rows
    ]


def _on_front(rows: Iterable[Json], column: str, sign: float) -> dict[str, bool]:
    """Return by arm whether it is on the front of its cell; `sign` is -1 where less of `column` is better."""
    cells: dict[bytes, dict[str, Point]] = {}
    for row in rows:
        if row.get("rank") is not None and row["top1"] is not None and row.get(column):
            key = orjson.dumps(row.get("cell"), option=orjson.OPT_SORT_KEYS)
            cells.setdefault(key, {})[row["arm"]] = (sign * row[column], row["top1"]["mean"])
    return {arm: is_on for points in cells.values() for arm, is_on in front(points).items()}


def front(points: dict[str, Point]) -> dict[str, bool]:
    """Return whether no other point is at least as good in both coordinates and better in one; larger is better."""
    told: dict[str, bool] = {}
    best, level = float("-inf"), None
    for name, point in sorted(points.items(), key=lambda pair: pair[1], reverse=True):
        # From the best first coordinate down: what follows has to be better in the second, or be the same point.
        told[name] = point[1] > best or point == level
        if point[1] > best:
            best, level = point[1], point
    return told
