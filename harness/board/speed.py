"""Speed and memory, from the timing pass alone; the unit is the round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.board.select import Record, number_at, numbers_at
from harness.board.statistics import mean_of, median_of

MEMORY = ("allocated", "tree", "resident")
"""What stands for an arm's peak memory, the first that its timings hold: on a GPU what was allocated there, else
that of the process with its descendants, else, in records before there was that, of the process."""


def rounds_of(timings: Iterable[Record]) -> dict[str, dict[int, Record]]:
    """Return the completed timings by arm and round."""
    rounds: dict[str, dict[int, Record]] = {}
    for timing in sorted(timings, key=lambda timing: str(timing.get("content_hash"))):
        if timing.get("status") == "completed":
            rounds.setdefault(str(timing.get("arm")), {})[int(timing.get("round") or 0)] = timing
    return rounds


def speed_of(rounds: Mapping[int, Record], baseline: Mapping[int, Record]) -> dict[str, Any]:
    """Return the speed columns of one arm; null where its timing pass is absent.

    `images_per_second_ratio` is the geometric mean of the ratios to the baseline in the same round, with the
    smallest and the largest: under a slow drift of the machine, only what ran in one round compares.
    """
    kind = next((kind for kind in MEMORY if _middle(rounds, "peak_memory_bytes", kind) is not None), None)
    return {
        "images_per_second": _middle(rounds, "images_per_second"),
        "images_per_second_ratio": _ratio(rounds, baseline),
        "evaluation_images_per_second": _middle(rounds, "evaluation_images_per_second"),
        "step_seconds": {
            "median": _middle(rounds, "step_seconds", "median"),
            "iqr": _middle(rounds, "step_seconds", "iqr"),
        },
        "peak_memory_bytes": _middle(rounds, "peak_memory_bytes", kind) if kind else None,
        "peak_memory_kind": kind,
        "timing_rounds": len(rounds),
    }


def noisy_rounds(rounds: Mapping[int, Record]) -> int:
    """Return in how many rounds the steps' coefficient of variation was over 5 %."""
    return sum(1 for timing in rounds.values() if timing.get("noisy") is True)


def _middle(rounds: Mapping[int, Record], *keys: str) -> float | None:
    values = numbers_at(rounds.values(), *keys)
    return median_of(values) if values else None


def _ratio(rounds: Mapping[int, Record], baseline: Mapping[int, Record]) -> dict[str, Any] | None:
    logs = []
    for number in sorted(rounds.keys() & baseline.keys()):
        own = number_at(rounds[number], "images_per_second")
        other = number_at(baseline[number], "images_per_second")
        if own and other and own > 0 and other > 0:
            logs.append(math.log(own / other))
    if not logs:
        return None
    return {
        "mean": math.exp(mean_of(logs)),
        "low": math.exp(min(logs)),
        "high": math.exp(max(logs)),
        "rounds": len(logs),
    }
