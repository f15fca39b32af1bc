"""Learning curves of an arm: at every epoch the mean of its completed replicates, with its Student t interval."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from harness.board.columns import Columns, columns_of, moments_of
from harness.board.measures import gradient_norms_of
from harness.board.statistics import student_t_quantile
from harness.record.attempt import CURVES, Attempt

_NUMBERS = frozenset({int, float})


def curves_of(attempts: Iterable[Attempt], alpha: float = 0.05) -> dict[str, Any]:
    """Return `epoch` and, for each curve, `mean`, `low` and `high` lists; null where no replicate has a value.

    `low` and `high` bound the t interval of the mean at level 1 - `alpha`, each epoch for itself; they are null where
    one replicate says nothing about spread, and where it is beyond any float.

    Where gradient norms were asked for, `gradient_norms` holds their means by layer.
    """
    attempts = list(attempts)
    told = {id(one.rest): one.rest["epoch"] for one in attempts}.values()
    columns = columns_of(_even([one.curves for one in attempts]))
    epochs = len(columns) // len(CURVES)
    axes = [axis for axis in told if _is_axis(axis)]
    curves = {
        "epoch": list(max(axes, key=len, default=[])),
        **{
            name: _over_replicates(columns[place * epochs :][:epochs], alpha)
            for place, name in enumerate(CURVES)
        },
    }
    norms = gradient_norms_of(attempts)
    return {**curves, "gradient_norms": norms} if norms else curves


def _is_axis(epochs: Any) -> bool:
    """Return whether every epoch is a number: charts have them as an axis."""
    return isinstance(epochs, list) and _NUMBERS.issuperset(map(type, epochs))


def _even(rows: Sequence[bytes]) -> Sequence[bytes]:
    """Return packed curves of one length: those of fewer epochs end in NaN."""
    if len(set(map(len, rows))) < 2:
        return rows
    width = max(map(len, rows)) // len(CURVES)
    missing = array("d", [math.nan]).tobytes() * (width // 8)
    parts = [(row, len(row) // len(CURVES)) for row in rows]
    return [
        b"".join(row[n * size : (n + 1) * size] + missing[size:] for n in range(len(CURVES)))
        for row, size in parts
    ]


def _over_replicates(columns: Columns, alpha: float) -> dict[str, list[float | None]]:
    told = moments_of(columns)
    halves = [_half_width(*one, alpha) for one in told]
    pairs = [(one.mean, half) for one, half in zip(told, halves, strict=True)]
    return {
        "mean": [one.mean for one in told],
        "low": [None if mean is None or half is None else mean - half for mean, half in pairs],
        "high": [None if mean is None or half is None else mean + half for mean, half in pairs],
    }


def _half_width(count: int, mean: float | None, squares: float, alpha: float) -> float | None:
    """Return half the t interval, as `statistics.estimate` does."""
    if mean is None or count < 2:
        return None
    half = student_t_quantile(alpha / 2, count - 1) * math.sqrt(squares / (count - 1) / count)
    # The loss of a run that explodes may be anything that is finite.
    return half if abs(mean) + half < math.inf else None
