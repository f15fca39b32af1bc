"""`harness plan`: what a run would do, without doing it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.cli.output import say, say_json
from harness.cli.running import Ready, Settings, disk_bytes, make_ready
from harness.launch.parents import Parents
from harness.record.store import Reading, Store
from harness.suite.plan import Plan, needed_replicates


def show_plan(path: Path, settings: Settings, as_json: bool) -> int:
    """Show the plan of a suite, as text or as JSON."""
    ready = make_ready(path, settings)
    summary = summarise(ready, Store(settings.results / ready.suite.name), settings.jobs)
    if as_json:
        say_json(summary)
        return 0
    say(f"{summary['suite']}: {len(summary['arms'])} arms × {summary['replicates']} replicates")
    for arm in summary["arms"]:
        words = ["baseline"] * (arm["name"] == summary["baseline"]) + ["not compared"] * (not arm["compared"])
        words += [f"{role} {one}" for role, one in arm["parents"].items()]
        mark = f" ({', '.join(words)})" if words else ""
        state = (
            f"cannot be resolved: {arm['failure']}"
            if arm["failure"]
            else f"{arm['reused']} of {arm['trials']} have a record"
        )
        again = f", {arm['again']} trained again: the weights are gone" if arm["again"] else ""
        say(f"  {arm['name']}{mark}: {state}{again}")
    counts = f"{summary['trials']} trials, {summary['reused']} reused, {summary['missing'] + summary['again']} to run"
    say(f"{counts}; {summary['timings']} timings")
    hours = summary["hours"]
    left = (
        "unknown before the first trial"
        if hours is None
        else f"about {hours:.2g} h at {summary['jobs']} trials at a time"
    )
    if summary["together"] > 1:
        say(f"up to {summary['together']} replicates of an arm at once, where a probe finds that it pays")
    say(f"time: {left}; disk: about {summary['disk_bytes'] / 1e6:,.0f} MB")
    say(
        f"a verdict takes at least {summary['needed_replicates']} replicates; this plan has {summary['replicates']}"
    )
    say("verdicts: yes" if summary["verdicts"] else f"verdicts: no, {summary['verdicts_reason']}")
    say(f"margin: {summary['margin_points']:g} points; plan {summary['hash']}")
    return 0


def summarise(ready: Ready, store: Store, jobs: int) -> dict[str, Any]:
    """Return what a run of the plan amounts to, as JSON."""
    plan = ready.plan
    reading = store.read(plan.to_json())
    good = reading.good()
    width = jobs or os.cpu_count() or 1
    missing = sum(trial.id not in good for trial in plan.trials)
    seconds = [r["seconds"]["total"] for r in good.values() if (r.get("seconds") or {}).get("total")]
    again = _trained_again(plan, store, reading)
    arms = []
    for arm in plan.arms:
        trials = [trial.id for trial in plan.trials if trial.arm == arm.name]
        reused = sum(trial in good for trial in trials)
        parents = {
            role: one.get("arm") or f"file {one['file']}"
            for role, one in arm.recipe.get("parents", {}).items()
        }
        told = {
            "compared": arm.compared,
            "parents": parents,
            "again": again[arm.name],
            "failure": arm.failure,
        }
        arms.append({"name": arm.name, "trials": len(trials), "reused": reused, **told})
    compared = max(1, sum(arm.compared for arm in plan.arms) - 1)
    return {
        "suite": plan.suite,
        "hash": plan.hash,
        "baseline": plan.baseline,
        "replicates": plan.replicates,
        "needed_replicates": needed_replicates(compared, plan.alpha),
        "arms": arms,
        "trials": len(plan.trials),
        "reused": len(plan.trials) - missing,
        "missing": missing,
        "again": again.total(),
        "timings": int(plan.timing["rounds"]) * sum(arm.failure is None for arm in plan.arms),
        "set_aside": len(reading.set_aside),
        "jobs": width,
        "together": plan.together,
        "hours": (missing + again.total()) * fmean(seconds) / width / 3600 if seconds else None,
        "disk_bytes": disk_bytes(ready, store, jobs),
        "verdicts": plan.verdicts,
        "verdicts_reason": plan.verdicts_reason,
        "margin_points": plan.margin_points,
    }


def _trained_again(plan: Plan, store: Store, reading: Reading) -> Counter[str]:
    """Return, by arm, how many trials with a record run again: their weights are gone, and a child needs them."""
    statuses = {trial: record["status"] for trial, record in reading.good().items()}
    missing = [trial for trial in plan.trials if trial.id not in statuses]
    rounds = Counter(timing["arm"] for timing in reading.timings)
    untimed = [arm.name for arm in plan.arms if not arm.failure and rounds[arm.name] < plan.timing["rounds"]]
    parents = Parents(plan, store, {})
    timed = (parents.timed_trial(arm, statuses, [trial.id for trial in missing]) for arm in untimed)
    again = parents.with_gone(missing, [trial for trial in timed if trial is not None], statuses)
    return Counter(trial.arm for trial in again if trial.id in statuses)
