"""`harness check`: every arm takes one step on fake data, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.cli.output import complain, say, say_json
from harness.cli.running import Ready, Settings, make_ready
from harness.launch.options import resolve_device
from harness.suite.parents import parent_arms, parent_entry
from harness.suite.plan import Arm, Job

_CHILD = "from harness.cli.check_child import main; main()"


def check_suite(path: Path, data: Path | None, arms: str | None, device: str, as_json: bool) -> int:
    """Check every arm of a suite, and return 1 where one does not work."""
    ready = make_ready(path, Settings(Path("results"), data, arms, None, 0, device, True, 0.0))
    waiting = [arm for arm in ready.plan.arms if arm.failure is None]
    found: list[dict[str, Any]] = [
        {"arm": arm.name, "error": arm.failure, "warnings": []} for arm in ready.plan.arms if arm.failure
    ]
    found += _check([stand_in_job(ready, arm, resolve_device(device)) for arm in waiting])
    found.sort(key=lambda one: [arm.name for arm in ready.plan.arms].index(one["arm"]))
    if as_json:
        say_json([{**one, "status": "failed" if one["error"] else "ok"} for one in found])
    for one in [] if as_json else found:
        say(f"{one['arm']}: {one['error'] or 'ok'}")
        for warning in one["warnings"]:
            say(f"  warning: {warning}")
    failed = sum(one["error"] is not None for one in found)
    if failed:
        complain(f"{failed} of {len(found)} arms do not work")
    return 1 if failed else 0


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
