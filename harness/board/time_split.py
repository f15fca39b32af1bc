"""Where an arm's trials spent their time, phase by phase."""

from __future__ import annotations

from typing import Any

from harness.board.select import ArmTrials, number_at, numbers_at
from harness.board.statistics import mean_of

PARTS = ("build", "compile", "warm_up", "train", "data_wait", "evaluate")
"""In the order in which they come; waiting for data is within training, and taken out of it here."""


def time_split_of(trials: ArmTrials) -> dict[str, float | None] | None:
    """Return the mean seconds of each phase over an arm's good replicates, or None where no record tells any.

    They come from the accuracy trials, which may share the machine: they say where the time goes, not who is faster.
    `train` is without what was waited for data, so that the parts add up. A phase that no trial had is null.
    """
    good = trials.good.values()
    split = {name: _mean(numbers_at(good, "seconds", name)) for name in PARTS}
    if all(value is None for value in split.values()):
        return None
    if split["train"] is not None and split["data_wait"] is not None:
        waits = [number_at(record, "seconds", "data_wait") or 0.0 for record in good]
        trains = [number_at(record, "seconds", "train") for record in good]
        rest = [max(0.0, t - w) for t, w in zip(trains, waits, strict=True) if t is not None]
        split["train"] = mean_of(rest)
    return split


def trials_of(trials: ArmTrials) -> list[dict[str, Any]]:
    """Return an arm's trials by replicate, `{replicate, id, top1, status}`: what `harness reproduce` is handed."""
    last = dict(trials.attempts)
    return [
        {
            "replicate": replicate,
            "id": (record := trials.counted.get(replicate, last.get(replicate, {}))).get("trial"),
            "top1": number_at(record, "results", "test", "top1"),
            "status": record.get("status"),
        }
        for replicate in trials.planned
        if replicate in last
    ]


def _mean(values: list[float]) -> float | None:
    return mean_of(values) if values else None
