"""How long a plan's trials take and how much memory: from records of like trials, or from a probe. `harness plan`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.board.select import amount_at, amounts_at, is_good
from harness.board.wording import duration
from harness.cli.earlier import Earlier, distance, earlier_runs
from harness.record.fingerprint import host
from harness.suite.plan import Arm, Plan

Json = dict[str, Any]

_MADE_ALIKE = ("backbone", "numerics")
"""Recipe keys without which a step costs something else altogether."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one trial of an arm takes.

    Attributes:
        seconds: From its start to its record.
        host_bytes: Peak resident memory; None where nobody measured it.
        device_bytes: Peak of the GPU's allocator; None on a CPU.
        source: "records", "like", "probe", or of a budget in seconds "budget".
        told: Whose it is, in words.
    """

    seconds: float
    host_bytes: float | None
    device_bytes: float | None
    source: str
    told: str

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {
            "seconds": self.seconds,
            "host_bytes": self.host_bytes,
            "device_bytes": self.device_bytes,
            "source": self.source,
            "told": self.told,
        }


def costs_of(plan: Plan, records: Mapping[str, Json], results: Path) -> dict[str, Cost]:
    """Return, by arm, what one of its trials takes, as far as records tell.

    An arm's own records come first; else those of the arm with the nearest recipe, of this suite or another, that has
    the same backbone, numerics and image shape, scaled by the training samples.
    """
    own = _own(plan, records)
    lacking = [arm for arm in plan.arms if arm.failure is None and arm.name not in own]
    if not lacking:
        return own
    seen = _seen_here(plan, own, records) + [
        one for run in earlier_runs(results) for one in _seen_elsewhere(run, plan.suite)
    ]
    found = {arm.name: _like(arm, plan, seen) for arm in lacking}
    return own | {name: cost for name, cost in found.items() if cost is not None}


def seconds_of(arm: Arm) -> float | None:
    """Return the seconds that a trial of an arm is given to train, None where its budget is in another unit."""
    budget = arm.recipe["budget"]
    return float(budget["amount"]) if budget["unit"] == "seconds" else None


def training_samples(plan: Plan, arm: Arm, images_per_second: float = 0.0) -> float:
    """Return how many samples a trial of an arm trains on; of a budget in seconds that hangs on its speed."""
    unit, amount = arm.recipe["budget"]["unit"], float(arm.recipe["budget"]["amount"])
    if unit == "seconds":
        return amount * images_per_second
    if unit == "samples":
        return amount
    if unit == "steps":
        return amount * float(arm.recipe["batch_size"])
    count = plan.manifests[arm.data or ""]["splits"]["train"]["count"]
    return amount * float(count - round(count * arm.recipe["dataset"]["validation"]))


def evaluated_samples(plan: Plan, arm: Arm, images_per_second: float = 0.0) -> float:
    """Return how many samples a trial of an arm is judged on: validation at each epoch's end, test once."""
    splits = plan.manifests[arm.data or ""]["splits"]
    held_out = round(splits["train"]["count"] * arm.recipe["dataset"]["validation"])
    epochs = training_samples(plan, arm, images_per_second) / max(1, splits["train"]["count"] - held_out)
    return float(splits["test"]["count"] + held_out * max(1.0, epochs))


@dataclass(frozen=True, slots=True)
class _Seen:
    """An arm that was run: what its trials took, by which a like arm is judged."""

    recipe: Mapping[str, Any]
    shape: Sequence[int]
    samples: float
    records: Sequence[Json]
    told: str


def _own(plan: Plan, records: Mapping[str, Json]) -> dict[str, Cost]:
    return {
        name: _cost(of_arm, 1.0, "records", "its own records")
        for name, of_arm in _by_arm(plan.to_json()["trials"], records).items()
    }


def _by_arm(trials: Sequence[Json], records: Mapping[str, Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for trial in trials:
        record = records.get(trial["id"])
        if record is not None and is_good(record) and amount_at(record, "seconds", "total"):
            found.setdefault(trial["arm"], []).append(record)
    return found


def _cost(records: Sequence[Json], samples_ratio: float, source: str, told: str) -> Cost:
    """Return what trials took on the average; what goes with the samples is scaled, building and compiling is not."""
    seconds = []
    for record in records:
        total = amount_at(record, "seconds", "total") or 0.0
        fixed = sum(amount_at(record, "seconds", key) or 0.0 for key in ("build", "compile", "warm_up"))
        seconds.append(min(fixed, total) + max(0.0, total - fixed) * samples_ratio)
    return Cost(
        statistics.fmean(seconds),
        _largest(records, "peak_tree_bytes", "peak_resident_bytes"),
        _largest(records, "peak_reserved_bytes", "peak_allocated_bytes"),
        source,
        told,
    )


def _largest(records: Sequence[Json], *keys: str) -> float | None:
    for key in keys:
        if values := amounts_at(records, "memory", key):
            return max(values)
    return None


def _seen_here(plan: Plan, own: Mapping[str, Cost], records: Mapping[str, Json]) -> list[_Seen]:
    by_arm = _by_arm(plan.to_json()["trials"], records)
    return [
        _Seen(
            arm.recipe, shape_of(plan.manifests[arm.data or ""]), _trained_on(plan, arm, by_arm[arm.name]),
            by_arm[arm.name], f"arm {arm.name}",
        )
        for arm in plan.arms
        if arm.name in own
    ]  # fmt: skip


def _seen_elsewhere(run: Earlier, suite: str) -> list[_Seen]:
    arms = {arm["name"]: arm for arm in run.plan["arms"]}
    found = []
    for name, records in _by_arm(run.plan["trials"], run.records).items():
        manifest = run.plan["manifests"].get(arms[name]["data"]) or {}
        samples = amount_at(records[0], "budget", "samples")
        if samples and manifest:
            machine = (run.shared(records[0], "host") or {}).get("speed")
            where = f"arm {name}" if run.name == suite else f"arm {name} of suite {run.name}"
            elsewhere = (
                "" if machine == host()["speed"] else ", on another machine or another state of this one"
            )
            found.append(_Seen(arms[name]["recipe"], shape_of(manifest), samples, records, where + elsewhere))
    return found


def shape_of(manifest: Mapping[str, Any]) -> Sequence[int]:
    """Return the shape of a data set's images."""
    shape: Sequence[int] = manifest.get("modalities", {}).get("image", {}).get("shape", ())
    return shape


def is_alike(arm: Arm, shape: Sequence[int], recipe: Mapping[str, Any], other: Sequence[int]) -> bool:
    """Return whether an arm with images of a shape has the backbone, numerics and image shape of another recipe."""
    return list(shape) == list(other) and all(recipe.get(key) == arm.recipe[key] for key in _MADE_ALIKE)


def _trained_on(plan: Plan, arm: Arm, records: Sequence[Json]) -> float:
    """Return how many samples an arm's trials trained on: of a budget in seconds by its records."""
    if seconds_of(arm) is None:
        return training_samples(plan, arm)
    return amount_at(records[0], "budget", "samples") or 1.0


def _like(arm: Arm, plan: Plan, seen: Sequence[_Seen]) -> Cost | None:
    """Return the cost of an arm by the nearest one that was run; None where none is like it."""
    shape = shape_of(plan.manifests[arm.data or ""])
    alike = [one for one in seen if is_alike(arm, shape, one.recipe, one.shape)]
    seconds = seconds_of(arm)
    if not alike:
        told = "their budget in seconds says, without building, measuring and judging"
        return None if seconds is None else Cost(seconds, None, None, "budget", told)
    nearest = min(alike, key=lambda one: distance(arm.recipe, one.recipe))
    if seconds is not None:
        took = [amount_at(record, "seconds", "train") or seconds for record in nearest.records]
        ratio, by = seconds / statistics.fmean(took), "training seconds"
    else:
        ratio, by = training_samples(plan, arm) / nearest.samples, "training samples"
    return _cost(nearest.records, ratio, "like", f"records of {nearest.told}, by {by}")


def total_hours(
    costs: Mapping[str, Cost], to_run: Mapping[str, int], width: int
) -> tuple[float | None, list[str]]:
    """Return the hours of the trials that are to run, and the arms of which nothing is known and that are left out.

    Args:
        costs: By arm.
        to_run: By arm, how many trials.
        width: Trials at a time.

    Returns:
        No hours where nothing is known of any arm.
    """
    running = {arm: count for arm, count in to_run.items() if count}
    unknown = [arm for arm in running if arm not in costs]
    if running and len(unknown) == len(running):
        return None, unknown
    seconds = sum(count * costs[arm].seconds for arm, count in running.items() if arm in costs)
    return seconds / width / 3600, unknown


def hours_words(hours: float) -> str:
    """Return hours as such, or what is less than a tenth of one in the unit that suits it."""
    return f"{hours:.2g} h" if hours >= 0.1 else duration(3600 * hours)


def memory_of(costs: Mapping[str, Cost]) -> Json:
    """Return the largest peaks of one trial: `{host_bytes, device_bytes}`, null where nobody measured."""
    peaks: Json = {}
    for key in ("host_bytes", "device_bytes"):
        values = [value for cost in costs.values() if (value := getattr(cost, key)) is not None]
        peaks[key] = max(values, default=None)
    return peaks
