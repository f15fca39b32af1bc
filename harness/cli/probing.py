"""`harness plan --probe`: some steps of each arm that has no record, one after another; arms of equal recipes once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.board.select import amount_at
from harness.cli.checking import stand_in_job
from harness.cli.forecast import Cost, evaluated_samples, training_samples
from harness.cli.output import complain
from harness.cli.running import Ready, Settings
from harness.cli.timing_cost import round_seconds
from harness.launch.options import resolve_device
from harness.registry.digests import digest_json
from harness.suite.plan import Arm, Job, Plan

_CHILD = "from harness.cli.probe_child import main; main()"
_STEADY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe of an arm tells.

    Attributes:
        cost: Of one of its trials.
        timing_seconds: Of one round of the timing pass.
        parameters: Of its model.
    """

    cost: Cost
    timing_seconds: float
    parameters: int


def worth_probing(
    plan: Plan,
    costs: Mapping[str, Cost],
    timed: Mapping[str, float],
    to_run: Counter[str],
    rounds: Counter[str],
) -> list[Arm]:
    """Return the arms that a probe tells more of than is known: what is left of them is forecast by no own record.

    Args:
        plan: The plan.
        costs: By arm, what one of its trials takes, as far as records tell.
        timed: By arm, the seconds of one round of the timing pass, likewise.
        to_run: By arm, how many trials are left.
        rounds: By arm, how many rounds are left.
    """

    def is_open(arm: Arm) -> bool:
        is_measured = arm.name in costs and costs[arm.name].source == "records"
        is_left = bool(to_run[arm.name] or rounds[arm.name])
        return is_left and not (is_measured and (arm.name in timed or not rounds[arm.name]))

    return [arm for arm in plan.arms if arm.failure is None and is_open(arm)]


def why_none(to_run: Counter[str], rounds: Counter[str]) -> str:
    """Return why nothing is probed, where no arm is worth it."""
    is_left = to_run.total() or rounds.total()
    return f"probe: none, {'every arm that is left to run has a record' if is_left else 'nothing is left to run'}"


def probe(ready: Ready, settings: Settings, arms: Sequence[Arm]) -> dict[str, Probed]:
    """Return, by arm, what one of its trials would take by a timing of its own step; said where an arm failed.

    A model that an arm needs of another trial is one with random weights here: a step costs the same. Arms whose
    recipes are equal, as those of copies are, are timed once.
    """
    alike: dict[str, list[Arm]] = {}
    for arm in arms:
        alike.setdefault(digest_json([arm.recipe, arm.data]), []).append(arm)
    groups = list(alike.values())
    timings = _time([_job(ready, group[0], settings) for group in groups])
    found: dict[str, Probed] = {}
    for group, timing in zip(groups, timings, strict=True):
        one = _probed(ready, group[0], timing)
        if one is not None:
            found |= {arm.name: one for arm in group}
    return found


def _job(ready: Ready, arm: Arm, settings: Settings) -> Job:
    return replace(
        stand_in_job(ready, arm, resolve_device(settings.device)),
        timing_seconds=_STEADY_SECONDS,
        data_root=None if settings.data is None else str(settings.data),
        loader=ready.plan.loader,
        measure={**ready.plan.measure, "latency": False},
    )


def _time(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return the timing of each job, from a child that imports torch once for all of them."""
    if not jobs:
        return []
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input="".join(json.dumps(job.to_json()) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=False,
    )
    answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.strip().rpartition("\n")[2]
    return answers + [{"status": "crashed", "error": said}] * (len(jobs) - len(answers))


def _probed(ready: Ready, arm: Arm, timing: dict[str, Any]) -> Probed | None:
    steps, judged = (amount_at(timing, key) for key in ("images_per_second", "evaluation_images_per_second"))
    round_takes = round_seconds(timing, float(ready.plan.timing["seconds"]))
    if timing["status"] != "completed" or not steps or not judged or round_takes is None:
        culprit = timing.get("culprit") or {}
        complain(f"probe: arm {arm.name}: {timing['status']}: {culprit.get('error') or timing.get('error')}")
        return None
    fixed = sum(amount_at(timing, "seconds", key) or 0.0 for key in ("build", "compile", "warmup"))
    seconds = training_samples(ready.plan, arm, steps) / steps
    seconds += evaluated_samples(ready.plan, arm, steps) / judged
    cost = Cost(
        fixed + seconds,
        amount_at(timing, "peak_memory_bytes", "tree") or amount_at(timing, "peak_memory_bytes", "resident"),
        amount_at(timing, "peak_memory_bytes", "reserved"),
        "probe",
        f"a probe of {timing['steady_steps']} steps",
    )
    return Probed(cost, round_takes, timing["parameters"])
