"""Learning curves of an arm: at every epoch the mean of its completed replicates, with its Student t interval."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from harness.board.columns import Moments, columns_of, each, moments_of
from harness.board.in_seconds import axis_of, with_alike_ends
from harness.board.measures import gradient_norms_of
from harness.board.select import ArmTrials
from harness.board.statistics import student_t_quantile
from harness.record.packed import CURVES, Rows, rows_of

_NUMBERS = frozenset({int, float})


def curves_of(trials: Mapping[str, ArmTrials], alpha: float = 0.05) -> dict[str, dict[str, Any]]:
    """Return by arm `epoch` and, for each curve, `mean`, `low` and `high` lists; null where no replicate has a value.

    `low` and `high` bound the t interval of the mean at level 1 - `alpha`, each epoch for itself; they are null where
    one replicate says nothing about spread, and where it is beyond any float.

    Where gradient norms were asked for, `gradient_norms` holds their means by layer.
    """
    rows = (with_alike_ends(own, rows_of(own.runs, "curves")) for own in trials.values())
    tables = (columns_of(_even(some), len(some.lengths)) for some in rows)
    found = {}
    for (arm, own), told in zip(trials.items(), each(moments_of, tables), strict=True):
        epochs = len(told) // len(CURVES)
        axes = [epoch for rest, _ in own.good_rests if _is_axis(epoch := rest["epoch"])]
        found[arm] = {
            "epoch": axis_of(axes),
            **{name: _curve(told[at * epochs :][:epochs], alpha) for at, name in enumerate(CURVES)},
        }
        if norms := gradient_norms_of(own.good_rests):
            found[arm]["gradient_norms"] = norms
    return found


def _is_axis(epochs: Any) -> bool:
    """Return whether every epoch is a number: charts have them as an axis."""
    return isinstance(epochs, list) and _NUMBERS.issuperset(map(type, epochs))


def _even(rows: Rows) -> bytes:
    """Return packed curves of one length: those of fewer epochs end in NaN."""
    if len(set(rows.lengths)) < 2:
        return rows.data
    width = max(rows.lengths) // len(CURVES)
    missing = array("d", [math.nan]).tobytes() * (width // 8)
    begins = accumulate((length // len(CURVES) for length in rows.lengths for _ in CURVES), initial=0)
    return b"".join([rows.data[begin:end] + missing[end - begin :] for begin, end in pairwise(begins)])


def _curve(told: Sequence[Moments], alpha: float) -> dict[str, list[float | None]]:
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
