"""Whether a board can be believed: its A/A copies, its runs split by time, slot and device, its resolution.

A copy of the baseline under streams of its own must not come out better or worse, and what a trial's place in time
or on the machine does to its result must not show (PROTOCOL.md, "A/A calibration").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from harness.board import speed_verdict
from harness.board.band import upper_end
from harness.board.copy_speed import not_judged, ratio_of, why_no_speed
from harness.board.interim import rounds_planned
from harness.board.permutation import LEVEL, Labels, Split, split_p, whole_columns
from harness.board.rows import equals_baseline
from harness.board.select import ArmTrials, Record, amount_at, number_at, value_at
from harness.board.speed_verdict import memory_ratios, speed_ratios
from harness.board.statistics import mean_of, median_of
from harness.board.verdict import Rules

Json = dict[str, Any]
T = TypeVar("T")


def calibration_of(
    plan: Mapping[str, Any],
    splits: Sequence[Json],
    rows: Mapping[str, Json],
    rounds: Mapping[str, Mapping[int, Record]],
    rules: Rules,
) -> Json:
    """Return what a board says of itself.

    Args:
        plan: The plan as JSON.
        splits: What `splits_of` found.
        rows: By arm, the rows of the board with their verdicts.
        rounds: By arm and round, the timings.
        rules: What the plan fixed.

    Returns:
        `{verdict, reason, resolution_points, copies, accuracy, speed, memory, splits}`. `resolution_points` is the
        median over the arms of the difference that their pairs would find in 80 % of such runs, in points, at least
        the margin. `accuracy`, `speed` and `memory` are `{copies, beyond, band}`: how many copies were judged, how
        many of them are different, and how many may be; null where none was.
    """
    copies = [
        _copy(arm["name"], arm["copy_of"], rows[arm["name"]], rounds, rounds_planned(plan), rules)
        for arm in plan.get("arms", [])
        if arm.get("copy_of")
    ]
    accuracy = _counted(copies, lambda copy: _is_different(copy, len(copies), rules), rules)
    speed = _counted(copies, lambda copy: copy["speed"] and copy["speed"]["differs"], rules)
    memory = _counted(copies, lambda copy: copy["memory"] and copy["memory"]["differs"], rules)
    verdict, reason = _judge(copies, {ACCURACY: accuracy, SPEED: speed, MEMORY: memory}, splits)
    found = [value for row in rows.values() if (value := number_at(row, "difference", "detectable"))]
    return {
        "verdict": verdict,
        "reason": reason,
        "resolution_points": median_of([max(value, rules.margin) for value in found]) if found else None,
        "copies": copies,
        "accuracy": accuracy,
        "speed": speed,
        "memory": memory,
        "splits": splits,
    }


def _copy(
    name: str,
    original: str,
    row: Json,
    rounds: Mapping[str, Mapping[int, Record]],
    planned: int,
    rules: Rules,
) -> Json:
    own, base = rounds.get(name, {}), rounds.get(original, {})
    is_whole = min(len(own), len(base)) >= planned
    return {
        "arm": name,
        "copy_of": original,
        "verdict": row["verdict"],
        "difference": number_at(row, "difference", "mean"),
        "p": number_at(row, "difference", "p"),
        "identical": equals_baseline(row["stamps"]),
        # As any verdict, it waits until all rounds are there.
        "speed": ratio_of(speed_ratios(own, base), rules, speed_verdict.SPEED.margin) if is_whole else None,
        "memory": ratio_of(memory_ratios(own, base), rules, speed_verdict.SIZE.margin) if is_whole else None,
        "speed_reason": why_no_speed(own, base, planned, rules) if planned else None,
    }


def _is_different(copy: Json, count: int, rules: Rules) -> bool | None:
    """Return whether a copy came out better or worse; None where it got no verdict.

    One copy is judged as every arm is, within the family. Several are judged each as if it were the only one, for
    Holm over all of them would hide what they show.
    """
    if copy["verdict"] is None or count == 1:
        return copy["verdict"] and copy["verdict"] in ("better", "worse")
    # A mean of exactly the margin may come out a rounding error below it.
    return bool(copy["p"] <= rules.alpha and abs(copy["difference"]) >= rules.margin * (1 - 1e-9))


def _counted(copies: Sequence[Json], differs: Callable[[Json], bool | None], rules: Rules) -> Json | None:
    judged = {copy["arm"]: told for copy in copies if (told := differs(copy)) is not None}
    groups = Counter(copy["copy_of"] for copy in copies if copy["arm"] in judged)
    if not judged:
        return None
    band = upper_end(sorted(groups.values()), rules.alpha)
    return {"copies": len(judged), "beyond": sum(judged.values()), "band": band}


def splits_of(
    trials: Mapping[str, ArmTrials], rounds: Mapping[str, Mapping[int, Record]], seed: int
) -> list[Json]:
    """Return whether runs differ by when and where they ran.

    Trials are split by time, slot and device, by their residuals of test accuracy in points; timing rounds by time.
    Of the trials those replicates take part in which every arm has a run, less the arm's mean over them. An arm that
    has fewer than half as many runs as another takes no part: its gaps would take the others' replicates with them.
    """
    most = max((len(arm.top1) for arm in trials.values()), default=0)
    runs = {name: arm for name, arm in sorted(trials.items()) if len(arm.top1) >= max(2, most / 2)}
    whole = whole_columns({name: arm.top1 for name, arm in runs.items()})
    residuals, starts, devices, slots = {}, {}, {}, {}
    for name, arm in runs.items():
        # Without a whole replicate the runs are handed on as they are, and the test says why it is none.
        taken = whole or list(arm.top1)
        own = [arm.good[replicate] for replicate in taken]
        values = [arm.top1[replicate] for replicate in taken]
        mean = mean_of(values)
        residuals[name] = dict(zip(taken, [value - mean for value in values], strict=True))
        starts[name] = _known(taken, [_started(one.started_at) for one in own])
        named = {id(rest): _names_of(rest["place"]) for rest, _ in arm.good_rests}
        told = [named[id(one.rest)] for one in own]
        devices[name] = _known(taken, [device for device, _ in told])
        slots[name] = _known(taken, [slot for _, slot in told])
    return [
        _told("time", split_p(residuals, _halves(starts), f"{seed}"), "no time of start", "one moment"),
        _told("slot", split_p(residuals, slots, f"{seed}"), "no slot", "one slot"),
        _told("device", split_p(residuals, devices, f"{seed}"), "no device", "one device"),
        _round_split(rounds, seed),
    ]


def _known(replicates: Sequence[int], values: Sequence[T | None]) -> dict[int, T]:
    """Return by replicate the values that are there."""
    return {
        replicate: value for replicate, value in zip(replicates, values, strict=True) if value is not None
    }


def _names_of(place: Any) -> tuple[str | None, str | None]:
    """Return how the device and the slot of a run are called; None where its record does not tell."""
    device, slot = value_at(place, "device"), value_at(place, "slot")
    if not device:
        return None, None
    return device, f"{device} slot {slot}" if isinstance(slot, int) else None


def _started(text: str | None) -> datetime | float | None:
    """Return a moment in what is compared fastest: seconds since 1970, where its zone is known."""
    try:
        moment = datetime.fromisoformat(str(text))
        return moment if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _halves(starts: Mapping[str, Mapping[int, Any]]) -> Labels:
    """Return which runs began in the first half of their arm's; runs that began at one time are not torn apart.

    An arm's own half: residuals are less the arm's mean, so arms that ran one after the other are compared with
    nothing but themselves.
    """
    found = {}
    try:
        for arm, own in starts.items():
            middle = sorted(own.values())[len(own) // 2] if own else None
            found[arm] = {at: "first half" if start < middle else "second half" for at, start in own.items()}
    except TypeError:  # times with and without a zone
        return {}
    return found


def _round_split(rounds: Mapping[str, Mapping[int, Record]], seed: int) -> Json:
    """Return the timing rounds split in halves: what of the speeds pairing by round does not remove.

    A residual is the logarithm of an arm's images per second less the mean of its round and that of its arm: a
    drift that all arms share is gone, as it is from the ratios that are judged.
    """
    logs = {
        arm: {
            number: math.log(speed)
            for number, timing in timings.items()
            if (speed := amount_at(timing, "images_per_second"))
        }
        for arm, timings in sorted(rounds.items())
    }
    logs = {arm: own for arm, own in logs.items() if own}
    whole = whole_columns(logs)
    if len(logs) < 2 or len(whole) < 2:
        return _told("round", Split(), "no timing of two arms in two rounds", "")
    by_round = {number: mean_of([own[number] for own in logs.values()]) for number in whole}
    residuals = {}
    for arm, own in logs.items():
        left = {number: own[number] - by_round[number] for number in whole}
        mean = mean_of(list(left.values()))
        residuals[arm] = {number: value - mean for number, value in left.items()}
    labels = _halves({arm: {number: number for number in own} for arm, own in residuals.items()})
    # Residuals of a round add up to 0 over its arms: each arm by itself, then all of them together.
    return _told("round", split_p(residuals, labels, f"{seed}/round", by_row=True), "no timing", "one round")


def _told(by: str, split: Split, absent: str, alone: str) -> Json:
    reason = split.reason
    if not split.groups:
        reason = reason or f"not tested: {absent} in the records"
    elif len(split.groups) == 1:
        reason = f"not tested: {alone}"
    return {
        "by": by,
        "groups": [
            {"name": name, "count": count, "mean": mean} for name, (count, mean) in split.groups.items()
        ],
        "p": split.p,
        "least_p": split.least,
        "differs": split.p <= LEVEL if split.p is not None and (split.least or 0.0) <= LEVEL else None,
        "reason": reason,
    }


ACCURACY = "better or worse"
SPEED = f"faster or slower by {100 * speed_verdict.SPEED.margin:g} % or more"
MEMORY = f"smaller or larger by {100 * speed_verdict.SIZE.margin:g} % or more"
_KEYS = {SPEED: "speed", MEMORY: "memory"}
_TOLD: Mapping[str, Callable[[Json], bool]] = {
    f"do not differ at {LEVEL:g}": lambda split: split["differs"] is False,
    "are too few to tell": lambda split: split["p"] is not None and split["differs"] is None,
}


def _judge(
    copies: Sequence[Json], found: Mapping[str, Json | None], splits: Sequence[Json]
) -> tuple[str | None, str]:
    """Return the verdict on the board and its reason.

    Args:
        copies: What was found of each.
        found: In words what copies may differ in, how many do.
        splits: What `splits_of` found.
    """
    accuracy = found[ACCURACY]
    # Whatever their number: PROTOCOL.md asks of every copy that its verdict is "not resolved", and Holm over the family
    # keeps that any of them fails it below alpha. Of one copy `_count` says so.
    differing = [copy for copy in copies if len(copies) > 1 and copy["verdict"] in ("better", "worse")]
    same = [copy["arm"] for copy in copies if copy["identical"]]
    wrong = [
        f"the copy {name} equals its baseline bit for bit: its salt reached nothing" for name in same[:1]
    ]
    wrong += [f"the copy {copy['arm']} came out {copy['verdict']}" for copy in differing]
    told = []
    if not copies:
        told.append("not checked: the suite has no A/A copy (aa = true)")
    elif accuracy is None:
        told.append("the copies got no verdict")
    for words, counted in found.items():
        if counted is not None:
            (wrong if counted["beyond"] > counted["band"] else told).append(_count(copies, counted, words))
    told += not_judged(copies)
    for split in splits:
        if split["differs"]:
            wrong.append(f"runs split by {split['by']} differ, p = {split['p']:.2g} ≤ {LEVEL:g}")
    if wrong:
        return "not calibrated", "; ".join([*wrong, *told])
    for text, wanted in _TOLD.items():
        if names := [split["by"] for split in splits if wanted(split)]:
            told.append(f"runs split by {', '.join(names)} {text}")
    return ("calibrated" if accuracy is not None else None), "; ".join(told)


def _count(copies: Sequence[Json], counted: Json, words: str) -> str:
    if len(copies) == 1:
        (copy,) = copies
        if words == ACCURACY:
            return f"the copy {copy['arm']} came out {copy['verdict']}"
        ratio = copy[key := _KEYS[words]]
        return f"its {key} came out × {ratio['ratio']:.3f}, p = {ratio['p']:.2g}"
    beyond = f"{counted['beyond']} of {counted['copies']} copies are {words}, each judged by itself"
    return f"{beyond}; up to {counted['band']} may be"
