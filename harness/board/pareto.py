"""The Pareto fronts: arms that no other beats in accuracy and in speed, or in accuracy and in memory.

A clock that trembles puts any arm on a front of means, and so does an allocator. So speeds, and memory alike, are equal
here where the timing rounds do not tell them apart: by less than 1 %, or by so little that the t interval of their
paired ratios holds 1. Accuracies are compared by their means, as the ranks are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from harness.board.select import Record
from harness.board.speed import log_ratios, noisy_of, shown_rounds
from harness.board.speed_verdict import SIZE, SPEED, memory_ratios
from harness.board.statistics import estimate

Json = dict[str, Any]
Rounds = Mapping[str, Mapping[int, Record]]
Ahead = Callable[[str, str], float]
"""By how much the first of two arms is ahead of the other in speed or in memory: above 0 where it is, 0 where they
are equal."""


def with_pareto(rows: Sequence[Json], rounds: Rounds, alpha: float, copies: Collection[str]) -> list[Json]:
    """Return the rows, each with `pareto: {"speed", "memory"}`: whether it is on the front; null where it has no place.

    Only ranked rows take part, and of those no copy of a baseline: a choice of arms is no choice of names. Of speed no
    arm without a round in which both it and its baseline were quiet. In a grid each cell has fronts of its own, as it
    has a baseline of its own.

    Args:
        rows: With `rank`, `top1`, `images_per_second` and `peak_memory_bytes`.
        rounds: By arm, its completed timings by round.
        alpha: Level of the intervals of ratios.
        copies: The arms that are copies of a baseline.
    """
    shown = [row for row in rows if row["arm"] not in copies]

    def has_quiet_round(row: Json) -> bool:
        own, base = rounds.get(row["arm"], {}), rounds.get(row.get("against") or row["arm"], {})
        return not own or bool((own.keys() & base.keys()) - noisy_of(own, base))

    def is_faster(one: str, other: str) -> float:
        own, base = rounds.get(one, {}), rounds.get(other, {})
        return told_apart(log_ratios(own, base, shown_rounds(own, base)), alpha, SPEED.margin)

    def is_smaller(one: str, other: str) -> float:
        return -told_apart(memory_ratios(rounds.get(one, {}), rounds.get(other, {})), alpha, SIZE.margin)

    quiet = [row for row in shown if has_quiet_round(row)]
    if all(row.get("against") == row["arm"] for row in quiet):
        quiet = []  # the baseline alone is no front
    speeds = _on_front(quiet, "images_per_second", is_faster)
    memories = _on_front(shown, "peak_memory_bytes", is_smaller)
    return [
        {**row, "pareto": {"speed": speeds.get(row["arm"]), "memory": memories.get(row["arm"])}}
        for row in rows
    ]


def copies_of(plan: Mapping[str, Any]) -> set[str]:
    """Return the arms of a plan that are copies of a baseline."""
    return {str(arm["name"]) for arm in plan.get("arms", []) if arm.get("copy_of")}


def told_apart(logs: Sequence[float], alpha: float, margin: float) -> float:
    """Return the mean log ratio; 0 where it is within the margin or its t interval holds 0, or there is none."""
    ratio = estimate(logs, alpha)
    if ratio is None or ratio.low is None or ratio.high is None or ratio.low <= 0.0 <= ratio.high:
        return 0.0
    return 0.0 if abs(ratio.mean) < math.log1p(margin) else ratio.mean


def _on_front(rows: Iterable[Json], column: str, ahead: Ahead) -> dict[str, bool]:
    """Return by arm whether it is on the front of its cell."""
    cells: dict[bytes, dict[str, float]] = {}
    for row in rows:
        if row.get("rank") is not None and row["top1"] is not None and row.get(column):
            key = orjson.dumps(row.get("cell"), option=orjson.OPT_SORT_KEYS)
            cells.setdefault(key, {})[row["arm"]] = row["top1"]["mean"]
    return {arm: is_on for members in cells.values() for arm, is_on in front(members, ahead).items()}


def front(accuracies: Mapping[str, float], ahead: Ahead) -> dict[str, bool]:
    """Return by arm whether it is on the front: no arm on it is better in one coordinate and no worse in the other.

    From the most accurate down, each against those on the front so far, for "equal" does not pass on: of three arms
    each 0.9 % faster than the one before, the third is faster than the first. An arm that is off keeps nothing off.

    Args:
        accuracies: By arm, larger being better.
        ahead: Of the other coordinate.
    """
    on: list[str] = []
    for _, group in _by_accuracy(accuracies):
        # Of equal accuracies, first those that none of the others is ahead of.
        left = [arm for arm in group if not any(ahead(other, arm) > 0.0 for other in group)]
        on += [arm for arm in left if not any(ahead(arm, other) <= 0.0 for other in on)]
    return {arm: arm in on for arm in accuracies}


def _by_accuracy(accuracies: Mapping[str, float]) -> list[tuple[float, list[str]]]:
    """Return the arms that share an accuracy together, the best first."""
    groups: dict[float, list[str]] = {}
    for arm, accuracy in sorted(accuracies.items(), key=lambda pair: (-pair[1], pair[0])):
        groups.setdefault(accuracy, []).append(arm)
    return list(groups.items())
