"""What an arm gets right class by class, what it takes for what, and whether its confidence is earned."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.columns import (
    Columns,
    columns_of,
    minus,
    moments_of,
    shares_of,
    sizes_by_row,
    sums_of,
    taking,
    totals_of,
)
from harness.board.rows import shown
from harness.board.select import ArmTrials, value_at
from harness.board.statistics import estimate, student_t_quantile
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
            **_difference(own, rates.get(against, ([], [])) if against != name else ([], []), alpha),
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


def _rates(trials: ArmTrials, counts: Sequence[Any]) -> tuple[list[int], Columns]:
    """Return replicates, and by class the per cent of it that each got right; NaN for a class without examples."""
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        return [], []
    length = len(counts) * array("i").itemsize
    rows = {at: row for at, one in trials.good.items() if (row := one.class_correct) and len(row) == length}
    return list(rows), shares_of(columns_of(list(rows.values()), "i"), counts) if rows else []


def _accuracy(own: tuple[list[int], Columns], alpha: float) -> Json:
    mean, half = _over_replicates(own[1], alpha)
    return {"accuracy": mean, "half_width": half}


def _difference(own: tuple[list[int], Columns], other: tuple[list[int], Columns], alpha: float) -> Json:
    is_like = len(own[1]) == len(other[1]) > 0
    columns = minus(_common(own, other), _common(other, own)) if is_like else []
    mean, half = _over_replicates(columns, alpha)
    return {"difference": mean, "difference_half_width": half}


def _common(own: tuple[list[int], Columns], other: tuple[list[int], Columns]) -> Columns:
    """Return the columns of one side at the replicates that both have."""
    if own[0] == other[0]:
        return own[1]
    wanted = set(other[0])
    return taking(own[1], [place for place, replicate in enumerate(own[0]) if replicate in wanted])


def _over_replicates(
    columns: Columns, alpha: float
) -> tuple[list[float | None] | None, list[float | None] | None]:
    """Return means and half-widths by column; None where there is no row, null for a class without examples."""
    if not len(columns) or not len(columns[0]):
        return None, None
    told, count = moments_of(columns), len(columns[0])
    means = [_rounded(one.mean) for one in told]
    if len(columns) > MOST_CLASSES or count < 2:
        return means, None
    factor = student_t_quantile(alpha / 2, count - 1) / math.sqrt(count)
    halves = [None if one.mean is None else factor * math.sqrt(one.squares / (count - 1)) for one in told]
    return means, list(map(_rounded, halves))


def _confusion(good: Sequence[Attempt], classes: int) -> list[list[float]] | None:
    """Return the share of each class's examples that are taken for each class, over all good replicates."""
    whole = classes**2 * array("i").itemsize
    tables = [one.confusion for one in good if one.confusion and len(one.confusion) == whole]
    if not tables:
        return None
    sums = totals_of(tables)
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
    columns = columns_of(tables)
    bins = len(columns) // len(BINS)
    counts, correct, confidence = columns[:bins], columns[bins : 2 * bins], columns[2 * bins :]
    sums = [sums_of(part) for part in (counts, correct, confidence)]
    away, totals = sizes_by_row(minus(correct, confidence)), sizes_by_row(counts)
    errors = [100.0 * size / total for size, total in zip(away, totals, strict=True)]
    total = math.fsum(sums[0])
    return {
        "reliability": [
            {
                "confidence": round(confident / count, 4),
                "accuracy": round(right / count, 4),
                "share": round(count / total, 4),
            }
            for count, right, confident in zip(*sums, strict=True)
            if count
        ],
        "calibration_error": shown(estimate(errors, alpha)),
    }


def _rounded(value: float | None) -> float | None:
    """Return a value in ten-thousandths of a point, or None where the class has no example."""
    return None if value is None else round(value, 4) + 0.0
