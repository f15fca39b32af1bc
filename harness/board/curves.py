"""Learning curves of an arm: at every epoch the mean, lowest and highest of its completed replicates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from harness.board.measures import gradient_norms_of
from harness.board.select import Record, value_at

CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")


def curves_of(records: Iterable[Record]) -> dict[str, Any]:
    """Return `epoch` and, for each curve, `mean`, `low` and `high` lists; null where no replicate has a value.

    Where gradient norms were asked for, `gradient_norms` holds their means by layer.
    """
    records = list(records)
    found = [curves for record in records if isinstance(curves := value_at(record, "curves"), dict)]
    epochs = max((curves.get("epoch") or [] for curves in found), key=len, default=[])
    curves = {"epoch": list(epochs), **{name: _over_replicates(found, name) for name in CURVES}}
    norms = gradient_norms_of(records)
    return {**curves, "gradient_norms": norms} if norms else curves


def _over_replicates(found: list[dict[str, Any]], name: str) -> dict[str, list[float | None]]:
    mean: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for column in zip_longest(*(curves.get(name) or [] for curves in found)):
        values = _finite(column)
        mean.append(math.fsum(values) / len(values) if values else None)
        low.append(min(values, default=None))
        high.append(max(values, default=None))
    return {"mean": mean, "low": low, "high": high}


def _finite(column: tuple[Any, ...]) -> Sequence[float]:
    """Return the numbers of a column; nearly every column is numbers alone, and is taken as it is."""
    try:
        if math.isfinite(math.fsum(column)):
            return column
    except (TypeError, ValueError, OverflowError):  # null, opposite infinities, or too large a sum
        pass
    return [value for value in column if isinstance(value, (int, float)) and math.isfinite(value)]
