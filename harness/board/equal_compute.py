"""Accuracy at equal compute: an arm that trains with twice the FLOPs is met by the baseline's curve, and the other way.

A trick that adds passes (SAM, distillation) is compared at equal epochs; a reader wants to know as well what the
baseline had reached at the same cost. The cost of an arm that needs others (a teacher, weights to begin with) is its
own and theirs: theirs is spent before its first epoch. Curves are of the validation split, and inside a schedule: an
accuracy half-way along a cosine is below what a run of half the length would reach, so these columns are shown and
never tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.board.in_seconds import to_the_end
from harness.board.rows import BIT_EQUAL

Json = dict[str, Any]

SLACK = 1e-6
"""Two budgets that differ by rounding alone are the same budget."""


def equal_compute_of(
    row: Json, base: Json, curves: Mapping[str, Any], base_curves: Mapping[str, Any]
) -> Json | None:
    """Return accuracy on the validation split at equal training FLOPs.

    Args:
        row: The arm's row, with `training_flops` and, where it needs other arms, `parents_cost`.
        base: Its baseline's.
        curves: The arm's curves, over replicates.
        base_curves: The baseline's.

    Returns:
        `at_arm` and `at_baseline`, each `{training_flops, arm, baseline}` with accuracies in points, at the FLOPs that
        the arm spent and at those that the baseline did; one is null where the other's curve does not reach so far.
        None where either's FLOPs or curve are not known, and of an arm with the bits of its baseline: of one training
        two accuracies at unlike places in the schedule say nothing.
    """
    if any(BIT_EQUAL in stamp for stamp in row.get("stamps") or ()):
        return None
    own_points = _points(row, curves)
    base_points = _points(base, base_curves)
    if not own_points or not base_points:
        return None
    places = {"at_arm": own_points[-1][0], "at_baseline": base_points[-1][0]}
    return {
        name: {"training_flops": flops, "arm": own, "baseline": other}
        if (own := _at(own_points, flops)) is not None and (other := _at(base_points, flops)) is not None
        else None
        for name, flops in places.items()
    }


def _points(row: Json, curves: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return (FLOPs spent, accuracy) at each epoch's end; FLOPs are taken to be spent evenly, after the parents'."""
    flops, before = row.get("training_flops"), 0.0
    if "parents_cost" in row:
        before = row["parents_cost"]["training_flops"]
        if before is None:
            return []
    epochs = curves.get("epoch") or []
    accuracies = (curves.get("validation_top1") or {}).get("mean") or []
    trained = row.get("trained_epochs")
    if trained and len(epochs) == len(accuracies):
        epochs, accuracies = to_the_end(epochs, accuracies, trained, row.get("validation_top1"))
    numbers = all(isinstance(value, (int, float)) for value in (*epochs, *accuracies))
    if not flops or not epochs or not numbers or len(epochs) != len(accuracies):
        return []
    rises = all(early < late for early, late in pairwise([0, *epochs]))
    return (
        [(before + flops * e / epochs[-1], value) for e, value in zip(epochs, accuracies, strict=True)]
        if rises
        else []
    )


def _at(points: Sequence[tuple[float, float]], flops: float) -> float | None:
    """Return the accuracy at `flops`, between two epochs in proportion; None outside of the curve."""
    if flops > points[-1][0] * (1 + SLACK) or flops < points[0][0] * (1 - SLACK):
        return None
    for (start, before), (end, after) in pairwise(points):
        if flops <= end:
            return before + (after - before) * max(0.0, flops - start) / (end - start)
    return points[-1][1]
