"""What an arm gets right class by class, what it takes for what, and whether its confidence is earned."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import add, mul, sub, truediv
from typing import Any

from harness.board.rows import shown
from harness.board.select import ArmTrials, Record, value_at
from harness.board.statistics import deviation_of, estimate, mean_of, student_t_quantile

Json = dict[str, Any]
Arms = Mapping[str, Json]

_HUNDRED = repeat(100.0)
MOST_CLASSES = 200
"""Above so many classes there are no half-widths: the board is to stay readable by a program, too."""


def by_class_of(plan: Mapping[str, Any], trials: Mapping[str, ArmTrials], alpha: float) -> Json | None:
    """Return what the records say of single classes, or None where no good record says it.

    Intervals are Student's t over replicates, each for itself: with many classes some lie off 0 by luck alone.

    Args:
        plan: The plan as JSON.
        trials: Each arm's trials.
        alpha: Level of the intervals.

    Returns:
        `classes`: by data hash, `names` and `test` (examples a class). `arms`: by arm, `data`, `accuracy` (per cent by
        class) with `half_width`, `difference` (points from the arm that it is compared with, by replicate) with
        `difference_half_width`, `confusion` (shares; rows are targets) or None, `reliability`
        (`[{confidence, accuracy, share}]`, filled bins alone) and `calibration_error` (mean over replicates, points).
    """
    arms = {str(arm["name"]): arm for arm in plan.get("arms", [])}
    tests = {digest: _test_of(manifest) for digest, manifest in (plan.get("manifests") or {}).items()}
    rates = {
        name: _rates(trials[name], tests[arm["data"]]["test"])
        for name, arm in arms.items()
        if arm.get("data") in tests
    }
    told = {}
    for name, own in rates.items():
        good = list(trials[name].good.values())
        against = str(arms[name].get("against") or plan.get("baseline"))
        found = {
            **_accuracy(own, alpha),
            **_difference(own, rates.get(against, {}) if against != name else {}, alpha),
            "confusion": _confusion(good, len(tests[arms[name]["data"]]["names"])),
            **_reliability(good, alpha),
        }
        if any(found.values()):
            told[name] = {"data": arms[name]["data"], **found}
    used = sorted({arm["data"] for arm in told.values()})
    return {"classes": {digest: tests[digest] for digest in used}, "arms": told} if told else None


def _test_of(manifest: Json) -> Json:
    names, counts = manifest.get("classes"), value_at(manifest, "splits", "test", "class_counts")
    return {
        "names": list(map(str, names)) if isinstance(names, list) else [],
        "test": counts if isinstance(counts, list) else [],
    }


def _rates(trials: ArmTrials, counts: Sequence[Any]) -> dict[int, list[float]]:
    """Return by replicate the per cent of each class that is right; a class without examples is left at NaN."""
    found = {}
    if not _are_numbers(counts, len(counts)):
        return {}
    has_all = all(counts)
    for replicate, record in trials.good.items():
        right = value_at(record, "results", "test", "class_correct")
        if not _are_numbers(right, len(counts)):
            continue
        if has_all:
            found[replicate] = list(map(truediv, map(mul, _HUNDRED, right), counts))
        else:
            found[replicate] = [100.0 * r / n if n else math.nan for r, n in zip(right, counts, strict=True)]
    return found


def _accuracy(own: Mapping[int, Sequence[float]], alpha: float) -> Json:
    mean, half = _over_replicates(list(own.values()), alpha)
    return {"accuracy": mean, "half_width": half}


def _difference(
    own: Mapping[int, Sequence[float]], other: Mapping[int, Sequence[float]], alpha: float
) -> Json:
    common = sorted(own.keys() & other.keys())
    same = [replicate for replicate in common if len(own[replicate]) == len(other[replicate])]
    rows = [list(map(sub, own[one], other[one])) for one in same]
    mean, half = _over_replicates(rows, alpha)
    return {"difference": mean, "difference_half_width": half}


def _over_replicates(
    rows: Sequence[Sequence[float]], alpha: float
) -> tuple[list[float | None] | None, list[float | None] | None]:
    """Return means and half-widths by column; None where there is no row, null for a class without examples."""
    if not rows:
        return None, None
    columns = list(zip(*rows, strict=True))
    means = [_rounded(mean_of(column)) for column in columns]
    if len(columns) > MOST_CLASSES or len(rows) < 2:
        return means, None
    factor = student_t_quantile(alpha / 2, len(rows) - 1) / math.sqrt(len(rows))
    return means, [_rounded(factor * (deviation_of(column) or 0.0)) for column in columns]


def _confusion(good: Sequence[Record], classes: int) -> list[list[float]] | None:
    """Return the share of each class's examples that are taken for each class, over all good replicates."""
    sums = [0.0] * classes**2
    found = False
    for record in good:
        counts = value_at(record, "results", "test", "confusion")
        if classes and _are_numbers(counts, classes**2):
            sums = list(map(add, sums, counts))
            found = True
    if not found:
        return None
    rows = [sums[start : start + classes] for start in range(0, classes**2, classes)]
    return [[round(one / (sum(row) or 1.0), 4) for one in row] for row in rows]


def _reliability(good: Sequence[Record], alpha: float) -> Json:
    """Return confidence and accuracy by bin over all good replicates, and the expected calibration error.

    The error is that of Naeini et al. 2015, the sum over bins of |accuracy - confidence| times the bin's share: of
    each replicate for itself, then the mean, since pooling would average the replicates' errors away.
    """
    bins = [told for record in good if (told := _bins_of(record)) is not None]
    if not bins:
        return {"reliability": None, "calibration_error": None}
    pooled = [tuple(map(math.fsum, zip(*column, strict=True))) for column in zip(*bins, strict=True)]
    total = math.fsum(count for count, _, _ in pooled)
    errors = [100.0 * _error(told) for told in bins]
    return {
        "reliability": [
            {
                "confidence": round(confidence / count, 4),
                "accuracy": round(correct / count, 4),
                "share": round(count / total, 4),
            }
            for count, correct, confidence in pooled
            if count
        ],
        "calibration_error": shown(estimate(errors, alpha)),
    }


def _bins_of(record: Record) -> list[tuple[float, float, float]] | None:
    told = value_at(record, "results", "test", "reliability")
    columns = [value_at(told, name) for name in ("count", "correct", "confidence")]
    if not isinstance(columns[0], (list, array)) or not all(
        _are_numbers(one, len(columns[0])) for one in columns
    ):
        return None
    bins = list(zip(*columns, strict=True))
    return bins if sum(columns[0]) > 0 else None


def _error(bins: Sequence[tuple[float, float, float]]) -> float:
    counts, correct, confidence = zip(*bins, strict=True)
    return math.fsum(map(abs, map(sub, correct, confidence))) / math.fsum(counts)


def _are_numbers(values: object, length: int) -> bool:
    """Return whether this is a list of so many finite numbers: a record may be of any age and shape."""
    if not isinstance(values, (list, array)) or not len(values) == length > 0:
        return False
    if isinstance(values, array) and values.typecode == "i":  # whole numbers: all are finite
        return True
    try:
        plain = isinstance(values, array) or bool not in map(type, values)
        return plain and math.isfinite(math.fsum(values))
    except (TypeError, OverflowError):
        return False


def _rounded(value: float) -> float | None:
    """Return a value in ten-thousandths of a point, or None where the class has no example."""
    return None if math.isnan(value) else round(value, 4) + 0.0
