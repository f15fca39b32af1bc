"""Learning curves of an arm: at every epoch the mean of its completed replicates, with its Student t interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import mul
from typing import Any

from harness.board.measures import gradient_norms_of
from harness.board.select import Record, value_at
from harness.board.statistics import student_t_quantile

CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")


def curves_of(records: Iterable[Record], alpha: float = 0.05) -> dict[str, Any]:
    """Return `epoch` and, for each curve, `mean`, `low` and `high` lists; null where no replicate has a value.

    `low` and `high` bound the t interval of the mean at level 1 - `alpha`, each epoch for itself; they are null where
    one replicate says nothing about spread.

    Where gradient norms were asked for, `gradient_norms` holds their means by layer.
    """
    records = list(records)
    found = [curves for record in records if isinstance(curves := value_at(record, "curves"), dict)]
    epochs = max((curves.get("epoch") or [] for curves in found), key=len, default=[])
    curves = {"epoch": list(epochs), **{name: _over_replicates(found, name, alpha) for name in CURVES}}
    norms = gradient_norms_of(records)
    return {**curves, "gradient_norms": norms} if norms else curves


def _over_replicates(found: list[dict[str, Any]], name: str, alpha: float) -> dict[str, list[float | None]]:
    mean: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for column in zip_longest(*(curves.get(name) or [] for curves in found)):
        values = _finite(column)
        middle = math.fsum(values) / len(values) if values else None
        half = _half_width(values, middle, alpha) if middle is not None and len(values) > 1 else None
        mean.append(middle)
        low.append(None if half is None or middle is None else middle - half)
        high.append(None if half is None or middle is None else middle + half)
    return {"mean": mean, "low": low, "high": high}


def _half_width(values: Sequence[float], mean: float, alpha: float) -> float:
    """Return half the t interval, as `statistics.estimate` does; written out, since a board has a million of these."""
    away = [value - mean for value in values]
    variance = sum(map(mul, away, away)) / (len(away) - 1)
    return student_t_quantile(alpha / 2, len(away) - 1) * math.sqrt(variance / len(away))


def _finite(column: tuple[Any, ...]) -> Sequence[float]:
    """Return the numbers of a column; nearly every column is numbers alone, and is taken as it is."""
    try:
        if math.isfinite(math.fsum(column)):
            return column
    except (TypeError, ValueError, OverflowError):  # null, opposite infinities, or too large a sum
        pass
    return [value for value in column if isinstance(value, (int, float)) and math.isfinite(value)]
