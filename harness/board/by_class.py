"""What an arm gets right class by class, what it takes for what, and whether its confidence is earned."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.board.columns import (
    Columns,
    Moments,
    columns_of,
    each,
    minus,
    moments_of,
    shares_of,
    sizes_of,
    sums_of,
    taking,
    totals_of,
    turned,
)
from harness.board.rows import shown
from harness.board.select import ArmTrials, value_at
from harness.board.statistics import estimate, student_t_quantile
from harness.record.packed import BINS, Run, rows_of

Json = dict[str, Any]
_Rates = tuple[list[int], Columns]
"""Replicates, and by class the per cent of its examples that each got right; NaN for a class without examples."""

AT_ONCE = 4096
"""Replicates whose bins are looked at together."""
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
    against = {name: str(arms[name].get("against") or plan.get("baseline")) for name in rates}
    runs = {name: trials[name].runs for name in rates}
    parts = zip(
        rates,
        each(moments_of, [columns for _, columns in rates.values()]),
        each(moments_of, [_differences(rates, name, other) for name, other in against.items()]),
        _reliabilities(runs.values(), alpha),
        strict=True,
    )
    told = {}
    for name, accuracy, difference, reliability in parts:
        found = {
            **_in_points("accuracy", "half_width", accuracy, alpha),
            **_in_points("difference", "difference_half_width", difference, alpha),
            "confusion": _confusion(runs[name], len(tests[arms[name]["data"]]["names"])),
            **reliability,
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


def _rates(trials: ArmTrials, counts: Sequence[Any]) -> _Rates:
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        return [], []
    replicates = list(trials.good)
    rows = rows_of(trials.runs, "class_correct")
    data, places = rows.of_length(len(counts) * array("i").itemsize)
    columns = shares_of(columns_of(data, len(places), "i"), counts) if places else []
    return [replicates[place] for place in places], columns


def _differences(rates: Mapping[str, _Rates], name: str, against: str) -> Columns:
    """Return an arm's rates less those of the arm that it is compared with, at the replicates that both have."""
    own, other = rates[name], rates.get(against, ([], []))
    if name == against or len(own[1]) != len(other[1]):
        return []
    return minus(_common(own, other), _common(other, own))


def _common(own: _Rates, other: _Rates) -> Columns:
    """Return the columns of one side at the replicates that both have."""
    if own[0] == other[0]:
        return own[1]
    wanted = set(other[0])
    return taking(own[1], [place for place, replicate in enumerate(own[0]) if replicate in wanted])


def _in_points(mean: str, half_width: str, told: Sequence[Moments], alpha: float) -> Json:
    """Return means and half-widths by class; None where there is no row, null for a class without examples."""
    count = max((one.size for one in told), default=0)
    if not count:
        return {mean: None, half_width: None}
    means = [_rounded(one.mean) for one in told]
    if len(told) > MOST_CLASSES or count < 2:
        return {mean: means, half_width: None}
    factor = student_t_quantile(alpha / 2, count - 1) / math.sqrt(count)
    halves = [None if one.mean is None else factor * math.sqrt(one.squares / (count - 1)) for one in told]
    return {mean: means, half_width: list(map(_rounded, halves))}


def _confusion(runs: Sequence[Run], classes: int) -> list[list[float]] | None:
    """Return the share of each class's examples that are taken for each class, over all good replicates."""
    whole = classes**2 * array("i").itemsize
    data, places = rows_of(runs, "confusion").of_length(whole)
    if not places:
        return None
    sums = totals_of(data, len(places))
    rows = [sums[start : start + classes] for start in range(0, classes**2, classes)]
    return [[round(one / (sum(row) or 1.0), 4) for one in row] for row in rows]


def _reliabilities(arms: Iterable[Sequence[Run]], alpha: float) -> Iterator[Json]:
    """Yield by arm confidence and accuracy by bin over its replicates, and the expected calibration error.

    The error is that of Naeini et al. 2015, the sum over bins of |accuracy - confidence| times the bin's share: of
    each replicate for itself, then the mean, since pooling would average the replicates' errors away.
    """
    for some in _few(arms):
        yield from _some_reliabilities(list(map(_bins, some)), alpha)


def _few(arms: Iterable[Sequence[Run]]) -> Iterator[list[Sequence[Run]]]:
    """Yield some arms at a time, of a few thousand replicates together: more would only take memory."""
    some, count = [], 0
    for runs in arms:
        some.append(runs)
        count += sum(end - first for _, first, end in runs)
        if count >= AT_ONCE:
            yield some
            some, count = [], 0
    yield some


def _some_reliabilities(tables: Sequence[Columns], alpha: float) -> Iterator[Json]:
    counts, correct, confidence = (
        [table[at * len(table) // len(BINS) :][: len(table) // len(BINS)] for table in tables]
        for at in range(len(BINS))
    )
    parts = zip(
        each(sums_of, tables),
        each(sums_of, [turned(sizes_of(minus(*pair))) for pair in zip(correct, confidence, strict=True)]),
        each(sums_of, map(turned, counts)),
        strict=True,
    )
    for sums, away, totals in parts:
        errors = [100.0 * size / total for size, total in zip(away, totals, strict=True)]
        bins = len(sums) // len(BINS)
        whole = math.fsum(sums[:bins])
        filled = [
            {
                "confidence": round(confident / count, 4),
                "accuracy": round(right / count, 4),
                "share": round(count / whole, 4),
            }
            for count, right, confident in zip(*(sums[at * bins :][:bins] for at in range(3)), strict=True)
            if count
        ]
        yield {
            "reliability": filled if errors else None,
            "calibration_error": shown(estimate(errors, alpha)),
        }


def _bins(runs: Sequence[Run]) -> Columns:
    """Return the columns of `Attempt.reliability`; a plugin may have other bins, as many as its first record says."""
    rows = rows_of(runs, "reliability")
    data, places = rows.of_length(next(filter(None, rows.lengths), 0))
    return columns_of(data, len(places))


def _rounded(value: float | None) -> float | None:
    """Return a value in ten-thousandths of a point, or None where the class has no example."""
    return None if value is None else round(value, 4) + 0.0
