"""Where an arm's trials spent their time, phase by phase."""

from __future__ import annotations

from typing import Any

from harness.board.select import ArmTrials, known
from harness.board.statistics import mean_if_any, mean_of
from harness.record.attempt import SECONDS


def time_split_of(trials: ArmTrials) -> dict[str, float | None] | None:
    """Return the mean seconds of each phase over an arm's good replicates, or None where no record tells any.

    They come from the accuracy trials, which may share the machine: they say where the time goes, not who is faster.
    `train` is without what was waited for data, so that the parts add up. A phase that no trial had is null.
    """
    columns = dict(
        zip(SECONDS, zip(*(one.seconds for one in trials.good.values()), strict=True), strict=False)
    )
    split = {name: mean_if_any(known(columns.get(name, ()))) for name in SECONDS}
    if all(value is None for value in split.values()):
        return None
    if split["train"] is not None and split["data_wait"] is not None:
        pairs = zip(columns["train"], columns["data_wait"], strict=True)
        split["train"] = mean_of(
            [max(0.0, train - (wait or 0.0)) for train, wait in pairs if train is not None]
        )
    return split


def trials_of(trials: ArmTrials) -> list[dict[str, Any]]:
    """Return an arm's trials by replicate, `{replicate, id, top1, status}`: what `harness reproduce` is handed."""
    told = dict(trials.others) | trials.counted
    return [
        {"replicate": replicate, "id": one.trial, "top1": one.top1, "status": one.status}
        for replicate in trials.planned
        if (one := told.get(replicate)) is not None
    ]
