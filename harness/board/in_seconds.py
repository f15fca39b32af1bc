"""Arms whose budget is in seconds: each trial takes as many steps as went into them on its machine.

So the trials of an arm, and the arms, end after unlike numbers of steps. What is equal is the time, and the order of
the samples as far as two trials both went; what a board says by epoch or by FLOPs has to know where each ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.select import ArmTrials, number_at, value_at
from harness.board.statistics import median_of
from harness.record.packed import CURVES, Rows

Json = dict[str, Any]

NOTE = (
    "budget in seconds: each trial takes as many steps as go into it by a measurement of its own step, which hangs on "
    "the machine and on what else runs there: not reproducible from the suite alone, not resumable (what is stopped "
    "begins anew), and an arm that does nothing is not told by its bits"
)
_DOUBLE = 8


def seconds_of(arm: Mapping[str, Any]) -> float | None:
    """Return the seconds that an arm's trials are given, or None where its budget is in another unit."""
    budget = value_at(arm.get("recipe"), "budget")
    return number_at(budget, "amount") if value_at(budget, "unit") == "seconds" else None


def is_in_seconds(plan: Mapping[str, Any]) -> bool:
    """Return whether any arm's budget is in seconds: accuracies of other machines are then others."""
    return any(seconds_of(arm) is not None for arm in plan.get("arms", []))


def notes_of(plan: Mapping[str, Any]) -> list[str]:
    """Return what a reader has to know of the whole board."""
    return [NOTE] if is_in_seconds(plan) else []


def trained_of(arm: Mapping[str, Any], trials: ArmTrials) -> Json:
    """Return `{"trained_epochs": {median, least, most}}` of an arm's good trials; nothing for other budgets."""
    if seconds_of(arm) is None:
        return {}
    epochs = [float(axis[-1]) for one in trials.good.values() if _is_axis(axis := one.rest["epoch"])]
    if not epochs:
        return {"trained_epochs": None}
    return {"trained_epochs": {"median": median_of(epochs), "least": min(epochs), "most": max(epochs)}}


def stamps_of(arm: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return how far an arm's trials came."""
    seconds, trained = seconds_of(arm), row.get("trained_epochs")
    if seconds is None or not trained:
        return []
    ends = list(dict.fromkeys(f"{trained[end]:.3g}" for end in ("least", "most")))
    return [f"{seconds:g} s of training: {' to '.join(ends)} epochs"]


def continues(one: str, other: str) -> bool:
    """Return whether one order of samples is the beginning of the other: the digests of their epochs, one by one."""
    shorter, longer = sorted((one, other), key=len)
    return f"{longer} ".startswith(f"{shorter} ")


def with_alike_ends(trials: ArmTrials, rows: Rows) -> Rows:
    """Return packed curves without the last entries that stand at unlike places in an epoch.

    Args:
        trials: An arm's.
        rows: The curves of the good ones.
    """
    if _end_alike([rest["epoch"] for rest, _ in trials.good_rests]):
        return rows
    parts: list[bytes] = []
    lengths: list[int] = []
    begin = 0
    for one, length in zip(trials.good.values(), rows.lengths, strict=True):
        each = length // len(CURVES)
        kept = min(each, _DOUBLE * len(axis)) if (axis := _whole(one.rest["epoch"])) is not None else each
        parts += [rows.data[at : at + kept] for at in range(begin, begin + length, each or 1)]
        lengths.append(kept * len(CURVES))
        begin += length
    return Rows(b"".join(parts), lengths)


def axis_of(axes: Sequence[Sequence[float]]) -> list[float]:
    """Return the epochs of the longest curve, without an end that others do not share."""
    is_alike = _end_alike(axes)
    known: list[Sequence[float]] = [axis if is_alike else _whole(axis) or [] for axis in axes]
    longest = max(known, key=len, default=())
    return list(longest)


def to_the_end(
    epochs: Sequence[Any], accuracies: Sequence[Any], trained: Mapping[str, float], last: float | None
) -> tuple[list[Any], list[Any]]:
    """Return a curve over whole epochs up to where its arm's trials end, in the median, with what they came to there.

    Args:
        epochs: Of the mean curve; longer trials have more.
        accuracies: At their ends.
        trained: As `trained_of` returns it.
        last: Accuracy at the end of the training.
    """
    end = trained["median"]
    points = [(e, value) for e, value in zip(epochs, accuracies, strict=True) if e < end]
    return [*(e for e, _ in points), end], [*(value for _, value in points), last]


def _is_axis(epochs: Any) -> bool:
    return isinstance(epochs, list) and bool(epochs) and all(type(one) in (int, float) for one in epochs)


def _whole(epochs: Any) -> list[float] | None:
    """Return the whole epochs of an axis, None where it is none."""
    if not _is_axis(epochs):
        return None
    return list(epochs) if float(epochs[-1]).is_integer() else list(epochs[:-1])


def _end_alike(axes: Sequence[Any]) -> bool:
    """Return whether every axis is the beginning of the longest, as those of one budget are."""
    known = [axis for axis in axes if _is_axis(axis)]
    longest: list[float] = max(known, key=len, default=[])
    return all(axis == longest[: len(axis)] for axis in known)
