"""What one sample of a gate runs: this file, by its path, with the code of one side on the import path.

The side may be a commit that knows nothing of gates. So this file imports no neighbour of its own, and of the
side only what has long been public: `suite.load`, `prepare`, `expand`, `Job`, `time_arm`, `run_trial` and `host`.

It reads one request (a line of JSON) from its standard input, and writes messages (lines of JSON) to its
standard output, the last one of kind "answer" or "error". It ends with whoever holds its input open.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Tell = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Answer the request, and end."""
    # A plugin may print: what it prints goes to the log.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: Mapping[str, Any]) -> None:
        messages.write(json.dumps(message) + "\n")
        messages.flush()

    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_asker, daemon=True).start()
    try:
        answer = {"open": _open, "time": _time, "trial": _trial}[request["kind"]](request, tell)
        tell({"kind": "answer", **answer, "stray": _stray_files(request)})
    except BaseException as error:  # a plugin may call sys.exit
        said = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-8000:]}
        tell({"kind": "error", **said, "exit_code": getattr(error, "exit_code", None)})
    sys.stdout.flush()
    # Threads of a plugin's, and what an interpreter does as it ends, are nobody's measure.
    os._exit(0)


def _end_with_asker() -> None:
    sys.stdin.read()
    os._exit(1)


def _open(request: Json, tell: Tell) -> Json:
    """Resolve the suite as this side does, with its data prepared: its arms, and a job for each replicate."""
    import harness
    from harness.record.fingerprint import host
    from harness.suite.expand import expand
    from harness.suite.load import load
    from harness.suite.prepare import default_cache, prepare

    tell({"kind": "phase", "name": "prepare"})
    suite = load(Path(request["suite"]), allow=os.environ.get("HARNESS_PLUGINS"), keep_going=True)
    wanted = [name for name in request["arms"] or suite.arms if name in suite.arms]
    root = None if request["data"] is None else Path(request["data"])
    manifests, folders = {}, {}
    for name, arm in suite.arms.items():
        if arm.failure is None and (name in wanted or name == suite.baseline):
            prepared = prepare(arm.recipe["dataset"], suite.registry, root, default_cache())
            manifests[name] = prepared.manifest
            folders[prepared.manifest["hash"]] = prepared.folder
    plan = expand(suite, manifests, arms=wanted, replicates=request["replicates"])
    arms = {}
    for arm in plan.arms:
        if arm.name in wanted:
            jobs = [] if arm.failure else _jobs(plan, arm, folders[arm.data], suite.plugins.values(), request)
            arms[arm.name] = {"failure": arm.failure, "recipe": arm.recipe, "jobs": jobs}
    return {
        "harness": harness.__file__,
        "suite": plan.suite,
        "all_arms": list(suite.arms),
        "arms": arms,
        "host": host(),
    }


def _jobs(plan: Any, arm: Any, folder: Path, plugins: Any, request: Json) -> list[Json]:
    """Return an arm's jobs, as the launcher would make them."""
    import dataclasses

    from harness.suite.plan import Job

    # What a later version hands from the plan to the job (loader, measures, …) has one name in both.
    known = {field.name for field in dataclasses.fields(Job)}
    job = {name: value for name, value in plan.to_json().items() if name in known}
    if "measure" in job:
        job["measure"] = {**job["measure"], "latency": False}  # nothing of a gate's, and it takes a second
    job |= {
        "arm": arm.name,
        "attempt": 0,
        "salt": "",
        "recipe": arm.recipe,
        "manifest": plan.manifests[arm.data],
        "data": str(folder.resolve()),
        "plugins": [str(path) for path in plugins],
        "device": request["device"],
        "folder": "",
        "checkpoint_seconds": 1e9,
        "timing_seconds": float(plan.timing["seconds"]),
        "data_root": request["data"],
    }
    ids = {trial.replicate: trial.id for trial in plan.trials if trial.arm == arm.name}
    jobs = [{**job, "trial": ids[number], "replicate": number} for number in sorted(ids)]
    # Through the side's own class: what it does not know falls away, what it lacks fails here.
    return [Job.from_json(one).to_json() for one in jobs]


def _time(request: Json, tell: Tell) -> Json:
    """Measure one arm's speed and memory once; with the processor time of the steady state."""
    from harness.engine.timing import time_arm
    from harness.suite.plan import Job

    edges: dict[str, float] = {}

    def report(message: Mapping[str, Any]) -> None:
        if message.get("kind") == "phase":
            edges[str(message["name"])] = time.process_time()
        tell(message)

    timing = time_arm(Job.from_json(request["job"]), report=report)
    steady = edges.get("evaluate", 0.0) - edges["steady"] if "steady" in edges else None
    return {"timing": timing, "steady_cpu_seconds": steady}


def _trial(request: Json, tell: Tell) -> Json:
    """Train and judge one replicate of an arm."""
    from harness.engine.trial import run_trial
    from harness.suite.plan import Job

    outcome = run_trial(Job.from_json(request["job"]), report=tell, stop=lambda: False)
    kept = {name: outcome.get(name) for name in ("status", "culprit", "results", "seconds", "memory")}
    for split in (kept["results"] or {}).values():
        if split:
            split.pop("correct_bits", None)
    return {"trial": kept}


def _stray_files(request: Json) -> list[str]:
    """Return the loaded modules that are not this side's but the checkout's: the wrong code was measured."""
    checkout, tree = Path(request["checkout"]), Path(request["tree"])
    apart = [tree, Path(sys.prefix), Path(sys.base_prefix)]
    files = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
    return sorted(
        str(file)
        for file in files
        if file != Path(__file__)
        and file.is_relative_to(checkout)
        and not any(file.is_relative_to(one) for one in apart)
    )


if __name__ == "__main__":
    main()
