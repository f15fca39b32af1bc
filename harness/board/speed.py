"""Speed and memory, from the timing pass alone; the unit is the round."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from harness.board.select import Record, amount_at, amounts_at, numbers_at
from harness.board.statistics import mean_of, median_of
from harness.record.packed import MOST

MEMORY = ("allocated", "tree", "resident")
"""What stands for an arm's peak memory, the first that its timings hold: on a GPU what was allocated there, else
that of the process with its descendants, else, in records before there was that, of the process."""


ROUNDING = 0.005
"""Half of the last digit in which ratios are shown."""


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
    `images_per_second` is the geometric mean over the same rounds, so that the quotient of two speeds that are shown
    is the ratio beside them. Rounds in which a side was noisy are left out, unless there is no other. So an arm's may
    be others than its baseline's own: where the quotient is another number then, the ratio holds it, `quotient`.
    A ratio of noisy rounds alone says so, `noisy`, and has neither a smallest nor a largest: it is no measurement.
    `peak_memory_bytes` is the geometric mean over the rounds of its ratio as well, which no clock makes noisy.
    """
    kind = next((kind for kind in MEMORY if _middle(rounds, "peak_memory_bytes", kind) is not None), None)
    common = shown_rounds(rounds, baseline)
    own = common or _quiet(rounds.keys(), noisy_of(rounds, rounds))
    speed = _typical([rounds[number] for number in own])
    theirs = _typical([baseline[number] for number in shown_rounds(baseline, baseline)])
    is_noisy = rounds is not baseline and noisy_of(rounds, baseline).issuperset(common)
    ratio = _ratio(log_ratios(rounds, baseline, common), is_noisy=is_noisy)
    return {
        "images_per_second": speed,
        "images_per_second_ratio": ratio
        if ratio is None
        else ratio | _quotient(speed, theirs, ratio["mean"]),
        "evaluation_images_per_second": _middle(rounds, "evaluation_images_per_second"),
        "step_seconds": {
            "median": _middle(rounds, "step_seconds", "median"),
            "iqr": _spread(rounds),
        },
        "peak_memory_bytes": _memory(rounds, baseline, kind) if kind else None,
        "peak_memory_kind": kind,
        "timing_rounds": len(rounds),
    }


def ratio_stamps(row: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """Say where the ratio lies on the other side of 1 than the quotient of the speeds that are shown.

    They differ only where arm and baseline do not have the same rounds: one lacks some, or was noisy in them.
    """
    ratio, own, other = (
        row["images_per_second_ratio"],
        row["images_per_second"],
        base.get("images_per_second"),
    )
    if not ratio or not own or not other or (own / other - 1.0) * (ratio["mean"] - 1.0) >= 0:
        return []
    return [
        f"ratio by round: {ratio['mean']:.3f}× over the {ratio['rounds']} that both have, while the speeds shown, "
        f"each over its own, would give {own / other:.3f}×"
    ]


def noisy_of(own: Mapping[int, Record], base: Mapping[int, Record]) -> set[int]:
    """Return the rounds in which a side's steps varied by more than 5 %: their speed is never judged."""
    common = own.keys() & base.keys()
    return {number for number in common if True in (own[number].get("noisy"), base[number].get("noisy"))}


def shown_rounds(own: Mapping[int, Record], base: Mapping[int, Record]) -> list[int]:
    """Return the rounds of a ratio that is shown: of those that both have the quiet ones, or all where none is."""
    return _quiet(own.keys() & base.keys(), noisy_of(own, base))


def log_ratios(own: Mapping[int, Record], base: Mapping[int, Record], rounds: Iterable[int]) -> list[float]:
    """Return the logs of the ratios of images per second in some rounds that both have, where both were measured."""
    return [
        math.log(mine / other)
        for number in rounds
        if (mine := amount_at(own[number], "images_per_second"))
        and (other := amount_at(base[number], "images_per_second"))
    ]


def noisy_rounds(rounds: Mapping[int, Record]) -> int:
    """Return in how many rounds the steps' coefficient of variation was over 5 %."""
    return len(noisy_of(rounds, rounds))


def _quiet(rounds: Collection[int], noisy: Collection[int]) -> list[int]:
    return sorted(set(rounds) - set(noisy)) or sorted(rounds)


def _typical(timings: Iterable[Record]) -> float | None:
    logs = [math.log(speed) for speed in amounts_at(timings, "images_per_second") if speed]
    return math.exp(mean_of(logs)) if logs else None


def _quotient(speed: float | None, other: float | None, ratio: float) -> dict[str, float]:
    """Return the quotient of the speeds that are shown where it is not their ratio as that is written."""
    quotient = speed / other if speed and other else ratio
    return {"quotient": quotient} if abs(quotient - ratio) > ROUNDING else {}


def _memory(rounds: Mapping[int, Record], baseline: Mapping[int, Record], kind: str) -> float | None:
    sizes = {number: amount_at(timing, "peak_memory_bytes", kind) for number, timing in rounds.items()}
    known = {number: size for number, size in sizes.items() if size}
    paired = [
        size
        for n, size in known.items()
        if n in baseline and amount_at(baseline[n], "peak_memory_bytes", kind)
    ]
    values = paired or list(known.values())
    if len(set(values)) < 2:
        return next(iter(values), None)  # as it is: a GPU allocates the same bytes in every round
    return math.exp(mean_of([math.log(size) for size in sorted(values)]))


def _middle(rounds: Mapping[int, Record], *keys: str) -> float | None:
    values = [value for value in amounts_at(rounds.values(), *keys) if value]
    return median_of(values) if values else None


def _spread(rounds: Mapping[int, Record]) -> float | None:
    """Return the interquartile range of the steps: a difference of two times, so it may be next to nothing."""
    values = [iqr for iqr in numbers_at(rounds.values(), "step_seconds", "iqr") if 0.0 <= iqr <= MOST]
    return median_of(values) if values else None


def _ratio(logs: Sequence[float], *, is_noisy: bool) -> dict[str, Any] | None:
    if not logs:
        return None
    if is_noisy:
        return {
            "mean": math.exp(mean_of(logs)),
            "low": None,
            "high": None,
            "rounds": len(logs),
            "noisy": True,
        }
    return {
        "mean": math.exp(mean_of(logs)),
        "low": math.exp(min(logs)),
        "high": math.exp(max(logs)),
        "rounds": len(logs),
    }
