"""What an arm gets right class by class, what it takes for what, and whether its confidence is earned."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from operator import sub
from typing import Any

from harness.board.columns import Column, squares_about, table_of, totals_of
from harness.board.rows import shown
from harness.board.select import ArmTrials, value_at
from harness.board.statistics import estimate, mean_of, student_t_quantile
from harness.record.attempt import BINS, Attempt

Json = dict[str, Any]
Arms = Mapping[str, Json]

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


def _rates(trials: ArmTrials, counts: Sequence[Any]) -> dict[int, bytes]:
    """Return by replicate the per cent of each class that is right, packed; a class without examples is NaN."""
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        return {}
    found = {}
    for replicate, one in trials.good.items():
        right = array("i", one.class_correct or b"")
        if len(right) == len(counts):
            shares = [100.0 * r / n if n else math.nan for r, n in zip(right, counts, strict=True)]
            found[replicate] = array("d", shares).tobytes()
    return found


def _accuracy(own: Mapping[int, bytes], alpha: float) -> Json:
    mean, half = _over_replicates(table_of(list(own.values())), alpha)
    return {"accuracy": mean, "half_width": half}


def _difference(own: Mapping[int, bytes], other: Mapping[int, bytes], alpha: float) -> Json:
    same = sorted(one for one in own.keys() & other.keys() if len(own[one]) == len(other[one]))
    mine, theirs = (table_of([side[one] for one in same]) for side in (own, other))
    columns = [array("d", map(sub, *pair)) for pair in zip(mine, theirs, strict=True)]
    mean, half = _over_replicates(columns, alpha)
    return {"difference": mean, "difference_half_width": half}


def _over_replicates(
    columns: Sequence[Column], alpha: float
) -> tuple[list[float | None] | None, list[float | None] | None]:
    """Return means and half-widths by column; None where there is no row, null for a class without examples."""
    if not columns:
        return None, None
    count = len(columns[0])
    means = [mean_of(column) for column in columns]
    if len(columns) > MOST_CLASSES or count < 2:
        return list(map(_rounded, means)), None
    factor = student_t_quantile(alpha / 2, count - 1) / math.sqrt(count)
    deviations = (
        math.sqrt(squares_about(column, mean) / (count - 1))
        for column, mean in zip(columns, means, strict=True)
    )
    return list(map(_rounded, means)), [_rounded(factor * one) for one in deviations]


def _confusion(good: Sequence[Attempt], classes: int) -> list[list[float]] | None:
    """Return the share of each class's examples that are taken for each class, over all good replicates."""
    whole = classes**2 * array("i").itemsize
    tables = [one.confusion for one in good if one.confusion and len(one.confusion) == whole]
    if not tables:
        return None
    sums = totals_of(tables, "i")
    rows = [sums[start : start + classes] for start in range(0, classes**2, classes)]
    return [[round(one / (sum(row) or 1.0), 4) for one in row] for row in rows]


def _reliability(good: Sequence[Attempt], alpha: float) -> Json:
    """Return confidence and accuracy by bin over all good replicates, and the expected calibration error.

    The error is that of Naeini et al. 2015, the sum over bins of |accuracy - confidence| times the bin's share: of
    each replicate for itself, then the mean, since pooling would average the replicates' errors away.
    """
    tables = [one.reliability for one in good if one.reliability]
    # All of one arm have as many bins; of a plugin's own the first says how many.
    tables = [table for table in tables if len(table) == len(tables[0])]
    if not tables:
        return {"reliability": None, "calibration_error": None}
    sums = totals_of(tables, "d")
    bins = len(sums) // len(BINS)
    total = math.fsum(sums[:bins])
    return {
        "reliability": [
            {
                "confidence": round(confidence / count, 4),
                "accuracy": round(correct / count, 4),
                "share": round(count / total, 4),
            }
            for count, correct, confidence in zip(*(sums[n * bins :][:bins] for n in range(3)), strict=True)
            if count
        ],
        "calibration_error": shown(estimate([100.0 * _error(table) for table in tables], alpha)),
    }


def _error(table: bytes) -> float:
    values = array("d", table)
    bins = len(values) // len(BINS)
    count, correct, confidence = values[:bins], values[bins : 2 * bins], values[2 * bins :]
    return math.fsum(map(abs, map(sub, correct, confidence))) / math.fsum(count)


def _rounded(value: float) -> float | None:
    """Return a value in ten-thousandths of a point, or None where the class has no example."""
    return None if math.isnan(value) else round(value, 4) + 0.0
