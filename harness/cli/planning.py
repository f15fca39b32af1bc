"""`harness plan`: what a run would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.board.cells import cells_in_words
from harness.board.in_seconds import notes_of
from harness.board.wording import counted
from harness.cli.disk import Searched, disk_bytes, parameter_counts
from harness.cli.forecast import costs_of, hours_words, memory_of, total_hours
from harness.cli.output import complain, say, say_json
from harness.cli.resolution import resolution_lines, resolution_of
from harness.cli.running import Ready, Settings, make_ready
from harness.cli.timing_cost import rounds_left, timing_pass, timing_seconds
from harness.cli.tuning import outlook, outlook_line, search_left, with_hours
from harness.launch.parents import Parents
from harness.record.files import refuse_file
from harness.record.limits import usable_cores
from harness.record.reading import Reading
from harness.record.store import Store
from harness.suite.copies import is_baseline
from harness.suite.plan import Plan, needed_replicates
from harness.suite.verdicts import claims_outlook, outlook_lines, speed_outlook

_MOST_LINES = 100
"""Arms that are shown one by one; a grid may have thousands, and `--json` names them all."""


def show_plan(
    path: Path,
    settings: Settings,
    as_json: bool,
    resolve_points: float | None = None,
    with_probe: bool = False,
) -> int:
    """Show the plan of a suite, as text or as JSON.

    Args:
        path: The suite file.
        settings: The options.
        as_json: Whether programs read it.
        resolve_points: A difference for which the replicates are wanted.
        with_probe: Whether to time some steps of each arm that is left to run and has no record.
    """
    refuse_file(settings.results)
    ready = make_ready(path, settings)
    store = Store(settings.results / ready.suite.name)
    search = search_left(ready, store)
    ready, tuning = outlook(ready, store)
    arms, replicates = counted(len(ready.plan.arms), "arm"), counted(ready.plan.replicates, "replicate")
    head = f"{ready.plan.suite}: {arms} × {replicates}"
    if tuning is None and not as_json:
        say(head)  # of a grid of thousands the rest takes seconds
    summary = summarise(ready, store, settings, resolve_points, with_probe, search)
    summary["tuning"] = tuning = with_hours(tuning, summary)
    if as_json:
        say_json(summary)
        return 0
    if tuning is not None:
        say(outlook_line(tuning))
        say(head)
    cells = iter(cells_in_words([arm["cell"] for arm in summary["arms"]]))
    for arm in summary["arms"][:_MOST_LINES]:
        words = ["baseline"] * arm["baseline"] + ["not compared"] * (not arm["compared"])
        words += [f"{key} {value}" for key, value in next(cells).items()]
        words += [f"{role} {one}" for role, one in arm["parents"].items()]
        mark = f" ({', '.join(words)})" if words else ""
        state = (
            f"cannot be resolved: {arm['failure']}"
            if arm["failure"]
            else f"{arm['reused']} of {arm['trials']} have a record"
        )
        again = f", {arm['again']} trained again: the weights are gone" if arm["again"] else ""
        say(f"  {arm['name']}{mark}: {state}{again}")
    if len(summary["arms"]) > _MOST_LINES:
        say(f"  and {len(summary['arms']) - _MOST_LINES} more")
    counts = f"{summary['trials']} trials, {summary['reused']} reused, {summary['missing'] + summary['again']} to run"
    say(f"{counts}; {summary['timings']} timings, {summary['timings_missing']} to run")
    if summary["together"] > 1:
        say(f"up to {summary['together']} replicates of an arm at once, where a probe finds that it pays")
    costs = (*notes_of({"arms": [{"recipe": arm.recipe} for arm in ready.plan.arms]}), *_cost_lines(summary))
    for line in (*costs, *resolution_lines(summary["resolution"])):
        say(line)
    say(
        f"a verdict takes at least {summary['needed_replicates']} replicates; this plan has {summary['replicates']}"
    )
    say("verdicts: yes" if summary["verdicts"] else f"verdicts: no, {summary['verdicts_reason']}")
    for line in outlook_lines(ready.plan):
        say(line)
    say(f"margin: {summary['margin_points']:.2g} points; plan {summary['hash']}")
    return 0


def _cost_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what the run takes, in words, and where that is known from."""
    hours, without = summary["hours"], summary["hours_without"]
    if not summary["missing"] + summary["again"] + summary["timings_missing"]:
        if not (summary["tuning"] or {}).get("missing"):
            return ["time: none, nothing is left to run", *_memory_lines(summary)]
        disk = f"disk: about {summary['disk_bytes'] / 1e6:,.0f} MB"
        return [f"time: none beside the search, where no other setting wins; {disk}", *_memory_lines(summary)]
    left = (
        "unknown before the first trial (--probe times some steps of each arm)"
        if hours is None
        else f"about {hours_words(hours)} at {counted(summary['jobs'], 'trial')} at a time"
    )
    if hours is not None and without:
        left += f", without {len(without)} arms of which nothing is known ({', '.join(without[:5])})"
    if hours is not None and summary["timing_hours"]:
        left += f", {hours_words(summary['timing_hours'])} of it for the timing pass, one at a time"
        if any((arm["cost"] or {}).get("source") == "probe" for arm in summary["arms"]):
            left += ", longer where rounds come out noisy and are measured again"  # records know how often
    if hours is not None and (untimed := summary["timing_hours_without"]):
        left += f", without the timings of {counted(len(untimed), 'arm')} of which nothing is known"
    time = f"time: {left}; disk: about {summary['disk_bytes'] / 1e6:,.0f} MB"
    return [time, *_memory_lines(summary)]


def _memory_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what memory a trial takes, in words, and whose records or probes told of arms that have none."""
    peaks = {"host": summary["memory"]["host_bytes"], "GPU": summary["memory"]["device_bytes"]}
    told = [f"{value / 1e6:,.0f} MB on the {where}" for where, value in peaks.items() if value is not None]
    memory = f"up to {' and '.join(told)} a trial" if told else "unknown before the first trial"
    costs = [arm["cost"] for arm in summary["arms"] if arm["cost"] and arm["cost"]["source"] != "records"]
    sources = dict.fromkeys(cost["told"] for cost in costs)
    return [
        f"memory: {memory}",
        *([f"arms without a record are taken to be as {'; '.join(list(sources)[:5])}"] if sources else []),
    ]


def summarise(
    ready: Ready,
    store: Store,
    settings: Settings,
    resolve_points: float | None,
    with_probe: bool,
    search: Searched | None = None,
) -> dict[str, Any]:
    """Return what a run of the plan amounts to, as JSON; arguments as of `show_plan`, and what is left of a search."""
    plan = ready.plan
    reading = store.read(plan.to_json())
    good = reading.good()
    width = settings.jobs or usable_cores()
    missing = sum(trial.id not in good for trial in plan.trials)
    costs = costs_of(plan, good, settings.results)
    timed = timing_seconds(plan, reading.timings, settings.results)
    parameters = parameter_counts(plan, good)
    again = _trained_again(plan, store, reading)
    by_arm: dict[str, list[str]] = {arm.name: [] for arm in plan.arms}
    for trial in plan.trials:
        by_arm[trial.arm].append(trial.id)
    to_run = (
        Counter({name: sum(one not in good for one in trials) for name, trials in by_arm.items()}) + again
    )
    rounds = rounds_left(plan, reading.timings)
    if with_probe:
        from harness.cli.probing import probe, why_none, worth_probing

        arms_to_probe = worth_probing(plan, costs, timed, to_run, rounds)
        if not arms_to_probe:
            complain(why_none(to_run, rounds))
        for name, one in probe(ready, settings, arms_to_probe).items():
            if name not in costs or costs[name].source != "records":
                costs[name] = one.cost
            timed[name], parameters[name] = one.timing_seconds, one.parameters
    hours, without = total_hours(costs, to_run, width)
    timing = timing_pass(rounds, timed)
    arms = []
    for arm in plan.arms:
        trials = by_arm[arm.name]
        reused = sum(trial in good for trial in trials)
        parents = {
            role: one.get("arm") or f"file {one['file']}"
            for role, one in arm.recipe.get("parents", {}).items()
        }
        told = {
            "baseline": is_baseline(arm, plan.baseline),
            "cell": dict(arm.cell),
            "compared": arm.compared,
            "parents": parents,
            "again": again[arm.name],
            "failure": arm.failure,
            "cost": costs[arm.name].to_json() if arm.name in costs else None,
        }
        arms.append({"name": arm.name, "trials": len(trials), "reused": reused, **told})
    compared = max(1, sum(arm.compared and not is_baseline(arm, plan.baseline) for arm in plan.arms))
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
        "timings_missing": rounds.total(),
        "set_aside": len(reading.set_aside),
        "jobs": width,
        "together": plan.together,
        "hours": None if hours is None else hours + (timing.seconds or 0.0) / 3600,
        "hours_without": without,
        "timing_hours": None if timing.seconds is None else timing.seconds / 3600,
        "timing_hours_without": timing.without,
        "memory": memory_of(costs),
        "disk_bytes": disk_bytes(plan, good, rounds, settings.jobs, parameters, search),
        "verdicts": plan.verdicts,
        "verdicts_reason": plan.verdicts_reason,
        "speed_verdicts": speed_outlook(plan),
        "claim_verdicts": claims_outlook(plan) or None,
        "margin_points": plan.margin_points,
        "resolution": resolution_of(plan, good, settings.results, resolve_points),
    }


def _trained_again(plan: Plan, store: Store, reading: Reading[dict[str, Any]]) -> Counter[str]:
    """Return, by arm, how many trials with a record run again: their weights are gone, and a child needs them."""
    statuses = {trial: record["status"] for trial, record in reading.good().items()}
    missing = [trial for trial in plan.trials if trial.id not in statuses]
    rounds = Counter(timing["arm"] for timing in reading.timings)
    untimed = [arm.name for arm in plan.arms if not arm.failure and rounds[arm.name] < plan.timing["rounds"]]
    parents = Parents(plan, store, {})
    hoped = {trial.id for trial in missing}
    timed = (parents.timed_trial(arm, statuses, hoped) for arm in untimed)
    again = parents.with_gone(missing, [trial for trial in timed if trial is not None], statuses)
    return Counter(trial.arm for trial in again if trial.id in statuses)
