"""How long the timing pass of a plan takes: from earlier timings, or from a probe. `harness plan`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.board.select import amount_at
from harness.cli.earlier import distance, earlier_runs
from harness.cli.forecast import is_alike, shape_of
from harness.suite.plan import Plan

Json = dict[str, Any]

COMPUTE_SHARE = 0.5
"""Of the steady seconds, for which compute alone is measured (`engine.timing`, which this floor may not import)."""
STEADY_STEPS = 40
"""Steps of either at the least (`engine.windows`)."""


@dataclass(frozen=True, slots=True)
class TimingPass:
    """What is left of a plan's timing pass.

    Attributes:
        seconds: What it takes; None where nothing is known of any arm that is left, 0 where none is.
        without: The arms that are left, and of which nothing is known.
    """

    seconds: float | None
    without: Sequence[str]


def rounds_left(plan: Plan, timings: Sequence[Json]) -> Counter[str]:
    """Return, by arm, how many rounds of a plan's timing pass are still to come."""
    done = Counter(name for name, _ in {(one["arm"], one["round"]) for one in timings})
    rounds = int(plan.timing["rounds"])
    return Counter({arm.name: max(0, rounds - done[arm.name]) for arm in plan.arms if arm.failure is None})


def timing_pass(rounds: Mapping[str, int], seconds: Mapping[str, float]) -> TimingPass:
    """Return what the rounds that are left take: one at a time, for each has the machine to itself.

    Args:
        rounds: By arm, how many are left.
        seconds: By arm, what one takes; arms of which nothing is known are left out.
    """
    left = {arm: count for arm, count in rounds.items() if count}
    without = [arm for arm in left if arm not in seconds]
    if left and len(without) == len(left):
        return TimingPass(None, without)
    return TimingPass(sum(count * seconds[arm] for arm, count in left.items() if arm in seconds), without)


def timing_seconds(plan: Plan, timings: Sequence[Json], results: Path) -> dict[str, float]:
    """Return, by arm, what one round takes by its own timings, else by those of the nearest arm that was timed.

    Args:
        plan: The plan.
        timings: Those that it has.
        results: The results folder, for the timings of other plans and suites.
    """
    asked = float(plan.timing["seconds"])
    seen = [*_seen(plan.to_json(), timings, asked)]
    found = {one.arm: one.seconds for one in seen}
    lacking = [arm for arm in plan.arms if arm.failure is None and arm.name not in found]
    if not lacking or not int(plan.timing["rounds"]):
        return found
    for run in earlier_runs(results):
        read = run.store.read({**run.plan, "trials": []}).timings
        seen += _seen(run.plan, read, asked)
    for arm in lacking:
        shape = shape_of(plan.manifests[arm.data or ""])
        alike = [one for one in seen if is_alike(arm, shape, one.recipe, one.shape)]
        if alike:
            found[arm.name] = min(alike, key=lambda one: distance(arm.recipe, one.recipe)).seconds
    return found


def round_seconds(timing: Mapping[str, Any], asked: float) -> float | None:
    """Return how long a timing would take that is asked for `asked` steady seconds; None where it did not end well.

    What does not hang on that is as long as it was: from start to record, or all phases of a timing without those
    times. The steady windows last as long as is asked of them, or 40 steps, and come as often as they came: a noisy
    timing is taken again. Of a probe they come once, for its windows are too short to tell how noisy longer ones are.
    """
    parts = told if isinstance(told := timing.get("seconds"), dict) else {}
    step, alone = amount_at(timing, "step_seconds", "median"), amount_at(timing, "compute_images_per_second")
    speed = amount_at(timing, "images_per_second")
    if timing.get("status") != "completed" or not step or not alone or not speed:
        return None
    whole = _seconds_between(timing.get("started_at"), timing.get("finished_at"))
    if whole is not None:
        tries = max(1, len(told)) if isinstance(told := timing.get("tries"), list) else 1
    else:
        whole = sum(amount_at(parts, key) or 0.0 for key in parts)
        tries = 1
    alone_step = step * speed / alone  # of one batch: images a second stand in the ratio of the steps
    steady, compute = (amount_at(timing, "seconds", key) or 0.0 for key in ("steady", "compute"))
    will = tries * max(asked, STEADY_STEPS * step) + max(COMPUTE_SHARE * asked, STEADY_STEPS * alone_step)
    return max(0.0, whole - tries * steady - compute) + will


def _seconds_between(started: Any, finished: Any) -> float | None:
    """Return the seconds between two times, None where either is absent or no time: a neighbour may say anything."""
    try:
        return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """An arm that was timed: what a round of it takes where as many steady seconds are asked for as the plan's."""

    arm: str
    recipe: Mapping[str, Any]
    shape: Sequence[int]
    seconds: float


def _seen(plan: Mapping[str, Any], timings: Sequence[Json], asked: float) -> Iterator[_Seen]:
    by_arm: dict[str, list[float]] = {}
    for timing in timings:
        if (seconds := round_seconds(timing, asked)) is not None:
            by_arm.setdefault(timing["arm"], []).append(seconds)
    arms = {arm["name"]: arm for arm in plan["arms"]}
    for name, found in by_arm.items():
        manifest = plan["manifests"].get(arms[name].get("data")) if name in arms else None
        if manifest:
            yield _Seen(name, arms[name]["recipe"], shape_of(manifest), statistics.fmean(found))
