"""`harness plan --probe`: some steps of every arm, timed one arm after another; arms of equal recipes once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.board.select import number_at
from harness.cli.checking import stand_in_job
from harness.cli.forecast import Cost, evaluated_samples, training_samples
from harness.cli.output import complain
from harness.cli.running import Ready, Settings
from harness.cli.timing_cost import round_seconds
from harness.launch.options import resolve_device
from harness.registry.digests import digest_json
from harness.suite.plan import Arm, Job

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


def probe(ready: Ready, settings: Settings) -> dict[str, Probed]:
    """Return, by arm, what one of its trials would take by a timing of its own step; said where an arm failed.

    A model that an arm needs of another trial is one with random weights here: a step costs the same. Arms whose
    recipes are equal, as those of copies are, are timed once.
    """
    alike: dict[str, list[Arm]] = {}
    for arm in ready.plan.arms:
        if arm.failure is None:
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
    steps, judged = (number_at(timing, key) for key in ("images_per_second", "evaluation_images_per_second"))
    round_takes = round_seconds(timing, float(ready.plan.timing["seconds"]))
    if timing["status"] != "completed" or not steps or not judged or round_takes is None:
        culprit = timing.get("culprit") or {}
        complain(f"probe: arm {arm.name}: {timing['status']}: {culprit.get('error') or timing.get('error')}")
        return None
    fixed = sum(number_at(timing, "seconds", key) or 0.0 for key in ("build", "compile", "warmup"))
    seconds = training_samples(ready.plan, arm, steps) / steps
    seconds += evaluated_samples(ready.plan, arm, steps) / judged
    cost = Cost(
        fixed + seconds,
        number_at(timing, "peak_memory_bytes", "tree") or number_at(timing, "peak_memory_bytes", "resident"),
        number_at(timing, "peak_memory_bytes", "reserved"),
        "probe",
        f"a probe of {timing['steady_steps']} steps",
    )
    return Probed(cost, round_takes, timing["parameters"])
