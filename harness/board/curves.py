"""Learning curves of an arm: at every epoch the mean of its completed replicates, with its Student t interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import mul
from typing import Any

from harness.board.measures import gradient_norms_of
from harness.board.select import Record, value_at
from harness.board.statistics import mean_of, student_t_quantile

_NUMBERS = frozenset({int, float})
CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")


def curves_of(records: Iterable[Record], alpha: float = 0.05) -> dict[str, Any]:
    """Return `epoch` and, for each curve, `mean`, `low` and `high` lists; null where no replicate has a value.

    `low` and `high` bound the t interval of the mean at level 1 - `alpha`, each epoch for itself; they are null where
    one replicate says nothing about spread, and where it is beyond any float.

    Where gradient norms were asked for, `gradient_norms` holds their means by layer.
    """
    records = list(records)
    found = [curves for record in records if isinstance(curves := value_at(record, "curves"), dict)]
    # Where every epoch is a number: charts have them as an axis.
    axes = [axis for curves in found if _NUMBERS.issuperset(map(type, axis := curves.get("epoch") or []))]
    epochs = max(axes, key=len, default=[])
    curves = {"epoch": list(epochs), **{name: _over_replicates(found, name, alpha) for name in CURVES}}
    norms = gradient_norms_of(records)
    return {**curves, "gradient_norms": norms} if norms else curves


def _over_replicates(found: list[dict[str, Any]], name: str, alpha: float) -> dict[str, list[float | None]]:
    mean: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for column in zip_longest(*(curves.get(name) or [] for curves in found)):
        values = _finite(column)
        middle = mean_of(values) if values else None
        half = _half_width(values, middle, alpha) if middle is not None and len(values) > 1 else None
        mean.append(middle)
        low.append(None if half is None or middle is None else middle - half)
        high.append(None if half is None or middle is None else middle + half)
    return {"mean": mean, "low": low, "high": high}


def _half_width(values: Sequence[float], mean: float, alpha: float) -> float | None:
    """Return half the t interval, as `statistics.estimate` does; written out, since a board has a million of these."""
    away = [value - mean for value in values]
    variance = sum(map(mul, away, away)) / (len(away) - 1)
    half = student_t_quantile(alpha / 2, len(away) - 1) * math.sqrt(variance / len(away))
    # Products of floats overflow to infinity. The loss of a run that explodes may be anything that is finite.
    return half if abs(mean) + half < math.inf else None


def _finite(column: tuple[Any, ...]) -> Sequence[float]:
    """Return the numbers of a column; nearly every column is numbers alone, and is taken as it is."""
    try:
        if math.isfinite(math.fsum(column)):
            return column
    except (TypeError, ValueError, OverflowError):  # null, opposite infinities, or too large a sum
        pass
    return [value for value in column if isinstance(value, (int, float)) and math.isfinite(value)]
