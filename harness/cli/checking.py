"""`harness check`: every arm takes one step on fake data, in a process of its own; a tuned one at its ends too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.board.in_seconds import notes_of
from harness.cli.output import complain, say, say_json
from harness.cli.running import Ready, Settings, make_ready
from harness.launch.options import resolve_device
from harness.suite.key_paths import with_values
from harness.suite.parents import parent_arms, parent_entry
from harness.suite.plan import Arm, Job
from harness.suite.search import Setting, end_settings, told
from harness.suite.verdicts import outlook_lines

_CHILD = "from harness.cli.check_child import main; main()"


def check_suite(path: Path, data: Path | None, arms: str | None, device: str, as_json: bool) -> int:
    """Check every arm of a suite, and return 1 where one does not work.

    An arm that is tuned is checked at its own setting, and at both ends of what its search may try.
    """
    ready = make_ready(path, Settings(Path("results"), data, arms, None, 0, device, True, 0.0))
    waiting = [arm for arm in ready.plan.arms if arm.failure is None]
    found: list[dict[str, Any]] = [
        {"arm": arm.name, "error": arm.failure, "warnings": []} for arm in ready.plan.arms if arm.failure
    ]
    jobs = [one for arm in waiting for one in _jobs(ready, arm, resolve_device(device))]
    for (_, setting), answer in zip(jobs, _check([job for job, _ in jobs]), strict=True):
        found.append(answer if setting is None else {**answer, "setting": setting})
    order = [arm.name for arm in ready.plan.arms]
    found.sort(key=lambda one: order.index(one["arm"]))
    if as_json:
        say_json([{**one, "status": "failed" if one["error"] else "ok"} for one in found])
    for one in [] if as_json else found:
        where = f", tuning at {told(one['setting'])}" if "setting" in one else ""
        say(f"{one['arm']}{where}: {one['error'] or 'ok'}")
        for warning in one["warnings"]:
            say(f"  warning: {warning}")
    for line in outlook_lines(ready.plan):
        if ": yes" not in line:
            complain(line)
    for note in notes_of({"arms": [{"recipe": arm.recipe} for arm in ready.plan.arms]}):
        complain(note)
    if ready.suite.tuning:
        complain("tuning: each arm was checked at its own setting and at both ends of what is searched")
    failed = len({one["arm"] for one in found if one["error"] is not None})
    if failed:
        complain(f"{failed} of {len(order)} arms do not work")
    return 1 if failed else 0


def _jobs(ready: Ready, arm: Arm, device: str) -> Iterator[tuple[Job, Setting | None]]:
    """Yield the job of an arm at its own setting, and those at the ends of what its search may try."""
    job, registry = stand_in_job(ready, arm, device), ready.suite.registry
    yield job, None
    searched = ready.suite.arms.get(arm.name)
    if ready.suite.tuning and searched is not None:
        for setting in end_settings(searched, job.recipe, registry):
            yield replace(job, recipe=with_values(job.recipe, setting, registry)[0]), setting


def stand_in_job(ready: Ready, arm: Arm, device: str) -> Job:
    """Return the job of an arm whose parents were not trained yet: models with random weights stand in for them."""
    name = arm.data or ""
    # Arms have no weights yet: models with random ones stand in. Files are what they are.
    parents = {
        role: {"weights": str(ready.suite.weights[one["file"]].path.resolve()), "digest": one["digest"]}
        if "file" in one
        else {**parent_entry(ready.plan, one["arm"]), "weights": None}
        for role, one in arm.recipe.get("parents", {}).items()
    }
    needed = {one for other in ready.plan.arms for one in parent_arms(other.recipe).values()}
    return Job(
        trial="check",
        arm=arm.name,
        replicate=0,
        attempt=0,
        seed=ready.plan.seed,
        salt="",
        recipe=arm.recipe,
        manifest=ready.plan.manifests[name],
        data=str(ready.data[name].resolve()),
        plugins=tuple(str(file) for file in ready.suite.plugins.values()),
        device=device,
        folder=os.devnull,
        checkpoint_seconds=0.0,
        parents=parents,
        weights=os.devnull if arm.name in needed else None,
    )


def _check(jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
    """Check one arm after another in a child; where an arm takes it down, a new child does the rest."""
    waiting = list(jobs)
    while waiting:
        lines = "".join(json.dumps(job.to_json()) + "\n" for job in waiting)
        done = subprocess.run(
            [sys.executable, "-c", _CHILD], input=lines, capture_output=True, text=True, check=False
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        yield from answers
        waiting = waiting[len(answers) :]
        if waiting:
            end = done.stderr.strip().rpartition("\n")[2]
            text = f"the process exited with code {done.returncode}" + (f": {end}" if end else "")
            yield {"arm": waiting.pop(0).arm, "error": text, "warnings": []}
