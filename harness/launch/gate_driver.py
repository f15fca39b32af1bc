"""What one sample of a gate runs: this file, by its path, with the code of one side on the import path.

The side may be a commit that knows nothing of gates. So this file imports no neighbour of its own, and of the
side only what has long been public: `suite.load`, `prepare`, `expand`, `Job`, `time_arm`, `run_trial` and `host`.

It reads one request (a line of JSON) from its standard input, and writes messages (lines of JSON) to its
standard output, the last one of kind "answer" or "error". It ends with whoever holds its input open.

Two samples of one round can share their time: with `turns` in the request, the process stops at each edge that
`time_arm` reports (the end of the build, of the warm-up, and of each window of steady steps), says "waits", and
goes on when a further line comes. So what a neighbour does to the machine for a second or two hits both sides.
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

_SCHEDULER = Path("/proc/thread-self/schedstat")
"""Of this thread: nanoseconds on a core, nanoseconds ready and waiting for one, time slices."""

_TIMING_MODULES = ("harness.engine.windows", "harness.engine.timing")
"""Where the lengths of a window and of a report's pause stand: now, and in commits before windows had a module."""

TURN_SECONDS = 0.05
"""About as long as a neighbour keeps a core; so the two sides of a round meet the same of it."""


def main() -> None:
    """Answer the request, and end."""
    # A plugin may print: what it prints goes to the log.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: Mapping[str, Any]) -> None:
        messages.write(json.dumps(message) + "\n")
        messages.flush()

    request = json.loads(sys.stdin.readline())
    turns = threading.Semaphore(0)
    threading.Thread(target=_hear, args=(turns,), daemon=True).start()
    request["take_turn"] = turns.acquire if request.get("turns") else None
    try:
        answer = {"open": _open, "time": _time, "trial": _trial}[request["kind"]](request, tell)
        tell({"kind": "answer", **answer, "stray": _stray_files(request)})
    except BaseException as error:  # a plugin may call sys.exit
        said = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-8000:]}
        tell({"kind": "error", **said, "exit_code": getattr(error, "exit_code", None)})
    sys.stdout.flush()
    # Threads of a plugin's, and what an interpreter does as it ends, are nobody's measure.
    os._exit(0)


def _hear(turns: threading.Semaphore) -> None:
    """Count the turns that come in; end with whoever gave them."""
    while sys.stdin.readline():
        turns.release()
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
    for name, resolved in suite.arms.items():
        if resolved.failure is None and (name in wanted or name == suite.baseline):
            prepared = prepare(resolved.recipe["dataset"], suite.registry, root, default_cache())
            manifests[name] = prepared.manifest
            folders[prepared.manifest["hash"]] = prepared.folder
    plan = expand(suite, manifests, arms=wanted, replicates=request["replicates"])
    arms = {}
    for arm in plan.arms:
        if arm.name in wanted:
            data = folders.get(arm.data or "")
            failure = _needs_others(suite.arms[arm.name]) or arm.failure
            jobs = [] if data is None or failure else _jobs(plan, arm, data, suite.plugins.values(), request)
            arms[arm.name] = {"failure": failure, "recipe": arm.recipe, "jobs": jobs}
    return {
        "harness": harness.__file__,
        "suite": plan.suite,
        "all_arms": list(suite.arms),
        "arms": arms,
        "host": host(),
    }


def _needs_others(arm: Any) -> str | None:
    """Return why an arm is no gate's: it cannot be sampled without another arm's weights."""
    roles = sorted(arm.recipe.get("parents", {}))
    if not roles:
        return None
    told = f"it needs another trial's model ({', '.join(roles)})"
    return f"{told}, and a gate trains nothing ahead; leave it out with --arms"


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
    """Measure one arm's speed and memory once; `turns` are the stretches of steady steps between two reports.

    Each has its steps, its wall seconds, and of these the seconds in which the step was ready to run and
    another process had the core: of a busy machine that is most of the noise, and no part of the code's time.
    """
    from harness.engine import timing
    from harness.suite.plan import Job

    turns: list[Json] = []
    began, is_steady = _Stretch(), False

    def report(message: Mapping[str, Any]) -> None:
        nonlocal began, is_steady
        phase = message.get("name")
        # What comes after the steady windows (the step on one batch, evaluation) reports steps of its own.
        if is_steady:
            # How many steps the last one took is known at the end alone.
            turns.append({"until_step": message.get("step"), **began.end()})
        if phase is not None:
            is_steady = phase == "steady"
        # It has just begun to build: both sides may do that at a time.
        if request["take_turn"] is None or phase == "build":
            tell(message)
        else:
            tell({"kind": "waits"})
            request["take_turn"]()
        began = _Stretch()

    if request["take_turn"] is not None:
        _shorten_turns()
    measured = timing.time_arm(Job.from_json(request["job"]), report=report)
    return {"timing": measured, "turns": _with_steps(turns, measured.get("steady_steps") or 0)}


class _Stretch:
    """Wall seconds, and seconds of waiting for a core, from now on."""

    def __init__(self) -> None:
        self._delay = _delay_seconds()
        self._began = time.perf_counter()

    def end(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._began
        return {"seconds": seconds, "delay_seconds": _delay_seconds() - self._delay}


def _with_steps(turns: list[Json], total: int) -> list[Json]:
    """Put the count of each turn's steps in place of the number of its last; without those that took none."""
    counted, before = [], 0
    for turn in turns:
        until = turn.pop("until_step") or total
        if until > before:
            counted.append({"steps": until - before, **turn})
        before = until
    return counted


def _shorten_turns() -> None:
    """Have the side report after each window: the shorter the turns, the more alike what both sides meet.

    All that was measured counts, once: a gate has a way of its own with noise.
    """
    wanted = {"REPORT_SECONDS": 0.0, "WINDOW_SECONDS": TURN_SECONDS, "WINDOW_SHARE": 0.0, "TRIES": 1}
    for module in (sys.modules.get(name) for name in _TIMING_MODULES):
        for name, value in wanted.items():
            if isinstance(getattr(module, name, None), int | float):
                setattr(module, name, value)


def _delay_seconds() -> float:
    """Return for how long this thread has waited for a core so far; 0 where the system does not tell."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


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
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = [Path(file) for file in named if file]
    return sorted(
        str(file)
        for file in files
        if file != Path(__file__)
        and file.is_relative_to(checkout)
        and not any(file.is_relative_to(one) for one in apart)
    )


if __name__ == "__main__":
    main()
