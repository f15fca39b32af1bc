"""One row of the board: what an arm's records and timings say, apart from the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.in_seconds import continues
from harness.board.select import FAILED_BY_ARM, ArmTrials, known, number_at, value_at
from harness.board.statistics import (
    Estimate,
    estimate,
    mean_if_any,
    mean_of,
    median_if_any,
    probability_of_better,
)
from harness.record.attempt import SECONDS, Attempt

Json = dict[str, Any]

UNSTABLE = 0.1
BIT_EQUAL = "weights and outputs equal the baseline's, bit for bit"
_TRAIN = SECONDS.index("train")
ORDER_DECLARED = ("data", "dataset", "sampler", "order", "batch_size", "budget")

_MAKES_WEIGHTS = ("backbone", "parents")
"""Of a recipe, beside the data: what decides the weights that a trick finds."""


def test_top1(trials: ArmTrials, chance: float) -> dict[int, float]:
    """Return test accuracy by replicate, in points; a replicate that the arm itself failed has chance accuracy."""
    top1 = trials.top1
    if len(top1) == len(trials.counted):  # nearly always
        return dict(top1)
    return {replicate: top1.get(replicate, chance) for replicate in trials.counted}


def shown(value: Estimate | None) -> Json | None:
    """Return an estimate as JSON."""
    if value is None:
        return None
    half = None if value.high is None else (value.high - (value.low or 0.0)) / 2
    return {
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "half_width": half,
        "deviation": value.deviation,
        "count": value.count,
    }


def row_of(arm: Json, trials: ArmTrials, chance: float, alpha: float) -> Json:
    """Return the columns of one arm that need neither the baseline nor the timings."""
    good = list(trials.good.values())
    failed = len(trials.counted) - len(good)
    statuses = Counter(one.status for one in trials.counted.values())
    stopped = Counter(one.status for one in _unfinished(trials).values())
    missing = len(trials.planned) - len(trials.counted) - sum(stopped.values())
    return {
        "arm": trials.name,
        "replicates": {
            "planned": len(trials.planned),
            "good": len(good),
            "failed": failed,
            "missing": len(trials.planned) - len(trials.counted),
        },
        "failure_rate": failed / len(trials.counted) if trials.counted else None,
        "statuses": dict(
            sorted({**statuses, **stopped, **({"missing": missing} if missing else {})}.items())
        ),
        "attempts": len(trials.counted) + len(trials.others),
        # Chance accuracy stands for single failures; an arm that has nothing but failures has no accuracy.
        "top1": shown(estimate(list(test_top1(trials, chance).values()), alpha)) if good else None,
        "nll": shown(estimate(known([one.nll for one in good]), alpha)),
        "metrics": {
            name: shown(estimate(known([number_at(one.rest, "metrics", name) for one in good]), alpha))
            for name in _names(trials, "metrics")
        },
        "validation_top1": mean_if_any(known([one.validation_top1 for one in good])),
        "parameters": median_if_any(known([one.parameters for one in good])),
        "training_flops": median_if_any(known([one.training_flops for one in good])),
        "train_seconds": mean_if_any(known([one.seconds[_TRAIN] for one in good])),
        "observables": _observables(trials),
        "varies": list(arm.get("varies") or []),
        "recipe": arm.get("recipe"),
        "components": arm.get("components"),
    }


def stamps_of(arm: Json, row: Json, trials: ArmTrials, baseline: ArmTrials) -> list[str]:
    """Return what a reader has to know before believing the row; what makes it a no-op in one stamp."""
    counts = row["replicates"]
    finished = counts["planned"] - counts["missing"]
    stamps: list[str] = []
    no_op: list[str] = []
    if arm.get("failure"):
        stamps.append(f"not run: {arm['failure']}")
    if counts["missing"]:
        stamps.append(f"{finished} of {counts['planned']} replicates")
    if counts["failed"] and counts["failed"] == finished:
        stamps.append(f"failed: all {finished} replicates, {_causes(row, trials)}")
    elif is_unstable(row):
        stamps.append(f"unstable: {counts['failed']} of {finished} failed")
    if changes := sorted(
        {str(change) for at in trials.changed for change in trials.counted[at].rest["changes"]}
    ):
        stamps.append("changed global state: " + "; ".join(changes))
    if trials.name != baseline.name and arm.get("compared", True):
        if is_no_op(trials, baseline):
            # One that the baseline has as well proves nothing of what the arm adds.
            theirs = _names(baseline, "observables")
            acted = [n for n, value in row["observables"].items() if value["low"] > 0.0 and n not in theirs]
            # What saves memory and recomputes (checkpointing) is to change no bit: its observable tells that it is on.
            if acted:
                stamps.append(f"exact: {BIT_EQUAL}, with {', '.join(acted)} at work")
            else:
                no_op.append(BIT_EQUAL)
        # A copy for calibration has streams of its own, on purpose.
        if not arm.get("copy_of") and order_differs(arm, trials, baseline):
            stamps.append("not comparable: order")
    zeros = [name for name, value in row["observables"].items() if value["low"] == 0.0 == value["high"]]
    no_op += (
        [f"{' and '.join(zeros)} {'was' if len(zeros) == 1 else 'were'} 0 in every replicate"]
        if zeros
        else []
    )
    return [*stamps, f"no-op: {'; '.join(no_op)}"] if no_op else stamps


def _causes(row: Json, trials: ArmTrials) -> str:
    """Return how an arm's replicates failed: `diverged`, or `diverged 3, oom 2`."""
    causes = Counter(
        "no finite test accuracy" if one.status == "completed" else one.status
        for replicate, one in sorted(trials.counted.items())
        if replicate not in trials.good
    )
    return ", ".join(
        cause if count == row["replicates"]["failed"] else f"{cause} {count}"
        for cause, count in causes.items()
    )


def equals_baseline(stamps: Sequence[str]) -> bool:
    """Return whether a row's stamps say that weights and outputs are the baseline's and nothing was at work."""
    return any(stamp.startswith(f"no-op: {BIT_EQUAL}") for stamp in stamps)


def is_unstable(row: Json) -> bool:
    """Return whether more than one counted replicate in ten failed by the arm's own doing."""
    return bool(row["failure_rate"] is not None and row["failure_rate"] > UNSTABLE)


def is_no_op(trials: ArmTrials, baseline: ArmTrials) -> bool:
    """Return whether final weights and evaluation outputs equal the baseline's in every common replicate."""
    own, other = trials.good, baseline.good
    common = own.keys() & other.keys()
    return bool(common) and all(
        (one := own[replicate]).final_weights is not None
        and one.evaluation_outputs is not None
        and one.final_weights == (two := other[replicate]).final_weights
        and one.evaluation_outputs == two.evaluation_outputs
        for replicate in common
    )


def order_differs(arm: Json, trials: ArmTrials, baseline: ArmTrials) -> bool:
    """Return whether an arm saw other data in another order than the baseline, without having declared it.

    One that only went on for longer, with a budget in seconds, did not. Where a digest is absent, nothing shows that
    the order was the same.
    """
    if any(str(key).split(".")[0] in ORDER_DECLARED for key in arm.get("varies") or []):
        return False
    own, other = trials.good, baseline.good
    return any(
        (one := own[replicate].order) is None
        or (two := other[replicate].order) is None
        or (one != two and not continues(one, two))
        for replicate in own.keys() & other.keys()
    )


def starts_elsewhere(arm: Json, other: Json, trials: ArmTrials, baseline: ArmTrials) -> bool:
    """Return whether an arm starts from other weights than its baseline, with one backbone and one data set.

    A trick may do so on purpose (`dirac-init`). The verdict is then on what it starts from as well.
    """
    recipe, base = arm.get("recipe") or {}, other.get("recipe") or {}
    if arm.get("data") != other.get("data") or any(
        recipe.get(key) != base.get(key) for key in _MAKES_WEIGHTS
    ):
        return False
    own, theirs = _initial(trials), _initial(baseline)
    return any(own[replicate] != theirs[replicate] for replicate in own.keys() & theirs.keys())


def _initial(trials: ArmTrials) -> dict[int, str]:
    """Return by replicate the hash of all parameters' digests before the first step, where the record has it."""
    found = {at: (one.rest["refs"] or {}).get("initial_parameters") for at, one in trials.good.items()}
    return {at: digest for at, digest in found.items() if digest is not None}


def paired(trials: ArmTrials, baseline: ArmTrials, chance: float, baseline_chance: float) -> list[float]:
    """Return arm minus baseline by replicate, in points, where both have a record that may take part."""
    own, other = paired_values(trials, chance), paired_values(baseline, baseline_chance)
    return [own[replicate] - other[replicate] for replicate in sorted(own.keys() & other.keys())]


def paired_values(trials: ArmTrials, chance: float) -> dict[int, float]:
    """Return test accuracy by replicate, in points, of those that may take part in a comparison."""
    top1, changed = test_top1(trials, chance), trials.changed
    return (
        {replicate: value for replicate, value in top1.items() if replicate not in changed}
        if changed
        else top1
    )


def better_of(
    trials: ArmTrials, baseline: ArmTrials, chance: float, baseline_chance: float, alpha: float
) -> Json | None:
    """Return P(a replicate of the arm is more accurate than one of its baseline) with its interval."""
    found = probability_of_better(
        list(paired_values(trials, chance).values()),
        list(paired_values(baseline, baseline_chance).values()),
        alpha,
    )
    return None if found is None else dict(zip(("mean", "low", "high"), found, strict=True))


def failures_of(trials: ArmTrials) -> list[Json]:
    """Return every attempt that did not complete, machine-caused ones included, with its culprit."""
    failed = [each for each in (*trials.counted.items(), *trials.others) if each[1].status != "completed"]
    return [
        {
            "trial": one.trial,
            "arm": trials.name,
            "replicate": replicate,
            "attempt": one.number,
            "status": one.status,
            "counted": one.status in FAILED_BY_ARM,
            "culprit": _culprit(one.rest["culprit"]),
        }
        for replicate, one in sorted(failed, key=lambda each: (each[0], each[1].ended))
    ]


def _culprit(culprit: Any) -> Json | None:
    if not isinstance(culprit, dict):
        return None
    # The innermost frames are what a reader needs; a recursion's traceback would be most of the board.
    return {**culprit, "traceback": str(culprit.get("traceback") or "")[-4000:]}


def _unfinished(trials: ArmTrials) -> dict[int, Attempt]:
    """Return the last attempt of every replicate that only the machine has stopped."""
    return {replicate: one for replicate, one in trials.others if replicate not in trials.counted}


def _names(trials: ArmTrials, table: str) -> list[str]:
    return sorted({str(name) for rest, _ in trials.good_rests for name in rest[table] or {}})


def _observables(trials: ArmTrials) -> Mapping[str, Json]:
    """Return each trick's observable over the replicates: what it is called, mean, lowest, highest."""
    found: dict[str, Json] = {}
    for trick in _names(trials, "observables"):
        told = [value_at(one.rest, "observables", trick) for one in trials.good.values()]
        if values := known([number_at(one, "value") for one in told]):
            found[trick] = {
                "name": str(next((name for one in told if (name := value_at(one, "name"))), "")),
                "mean": mean_of(values),
                "low": min(values),
                "high": max(values),
            }
    return found
