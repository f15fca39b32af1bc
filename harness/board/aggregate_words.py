"""The figures over all data sets as people read them; the same words in every format that has no charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board import wording

HEADINGS = ("arm", "mean rank", "interquartile mean")


def aggregate_rows(board: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`, by mean rank: plain text, to be escaped by whoever shows it."""
    arms = (board.get("aggregate") or {}).get("arms") or []
    return [
        (wording.plain(arm["arm"]), estimate(arm["mean_rank"]), estimate(arm["interquartile_mean"], 3))
        for arm in arms
    ]


def task_words(board: Mapping[str, Any]) -> str:
    """Return the data sets in words, without their key where they have but one: `subset of cifar10; digits`."""
    tasks = board["aggregate"]["tasks"]
    words = [
        wording.plain(next(iter(task["cell"].values()))) if len(task["cell"]) == 1 else wording.cell(task)
        for task in tasks
    ]
    return "; ".join(one or wording.plain(task["baseline"]) for one, task in zip(words, tasks, strict=True))


def estimate(value: Mapping[str, Any] | None, digits: int = 2) -> str:
    """Return `1.33 [1.00, 2.00]`."""
    if value is None:
        return wording.ABSENT
    mean, low, high = (wording.decimal(value[key], digits) for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def aggregate_title(board: Mapping[str, Any]) -> str:
    """Return `Over all 3 data sets`."""
    return f"Over all {len(board['aggregate']['tasks'])} data sets"


def aggregate_notes(board: Mapping[str, Any]) -> list[str]:
    """Return what the figures are, and which arms have none, or why there are no figures; a sentence each."""
    told = board["aggregate"]
    if "reason" in told:
        return [f"Data sets: {task_words(board)}.", f"No figures: {wording.plain(told['reason'])}."]
    least = min(task["replicates"] for task in told["tasks"])
    notes = [
        f"Data sets: {task_words(board)}.",
        f"Score: {told['score']}; 0 is guessing, 1 is perfect. Rank 1 is the highest mean score of a data set.",
        "The interquartile mean is that of the middle half of an arm's scores in all data sets and replicates.",
        f"Brackets: {100 * told['level']:g} %, by a bootstrap over {least} replicates of each data set, for each "
        "figure by itself; no verdict rests on them.",
    ]
    return notes + [
        f"{wording.plain(one['arm'])} is left out: {wording.plain(one['reason'])}."
        for one in told["left_out"]
    ]
