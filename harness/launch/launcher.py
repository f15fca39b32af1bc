"""Runs what a plan still lacks: the trials, several at a time, then the timing pass, one at a time."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.launch.modes import Modes
from harness.launch.options import Options, RunSummary, make_places, resolve_device
from harness.launch.places import Place
from harness.launch.pool import Ending, Pool
from harness.launch.process import Server
from harness.launch.progress import Lines, Progress
from harness.launch.stop import Stop
from harness.launch.task import Member, Task
from harness.launch.tasks import Group, Tasks, groups_of
from harness.launch.worker import now
from harness.record.record import (
    AGAIN,
    dead_outcome,
    dead_timing,
    timing_record,
    told_parents,
    trial_record,
)
from harness.record.store import Store
from harness.suite.plan import Plan, Trial

Json = dict[str, Any]
_RETRIES = 2
"""How often a trial that the machine ended is run again within one run."""


Notify = Callable[..., None]
"""`notify(hook name, **arguments)`: calls the plugins' hooks, whatever they do."""


def run(
    plan: Plan,
    store: Store,
    *,
    data: Mapping[str, Path],
    options: Options | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> RunSummary:
    """Run what is missing of a plan, with the store's lock held by the caller.

    Args:
        plan: The plan, already written.
        store: Where its records are.
        data: By manifest hash, the folder of the prepared data.
        options: How to go about it.
        progress: What shows it.
        notify: Calls the plugins' hooks.

    Raises:
        StoreError: Where the disk refuses a record; those before it stand.
    """
    launch = _Launch(plan, store, data, options or Options(), progress or Lines(), notify or _nobody)
    trials = launch.trials_to_run()
    if trials or launch.missing_timings({trial.id for trial in trials}):
        with Stop() as stop:
            launch.run(trials, stop)
            if not stop.requests:
                launch.time(stop)
            launch.interrupted = stop.requests > 0
    return launch.summary()


def _nobody(name: str, **arguments: Any) -> None:
    del name, arguments


class _Launch:
    """One run: its settings, and what it has counted so far."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        data: Mapping[str, Path],
        options: Options,
        progress: Progress,
        notify: Notify,
    ) -> None:
        self._plan = plan
        self._json = plan.to_json()
        self._store = store
        self._options = options
        self._progress = progress
        self._notify = notify
        self._tasks = Tasks(plan, store, data, options)
        self._parents = self._tasks.parents
        self._places = make_places(plan, options, resolve_device(options.device))
        self._modes = Modes(plan.together)
        self._server = Server([*options.warm, *options.preload])
        self._again: Counter[str] = Counter()
        self._ended = 0
        reading = store.read(self._json)
        self._statuses = {trial: record["status"] for trial, record in reading.good().items()}
        self._timed = {(record["round"], record["arm"]) for record in reading.timings}
        self._reused = len(self._statuses)
        self.interrupted = False

    def missing_trials(self) -> list[Trial]:
        """Return the trials without a record that counts, each id once, in the order to run them."""
        first: dict[str, Trial] = {}
        for trial in self._plan.trials:
            first.setdefault(trial.id, trial)
        return [trial for trial in first.values() if trial.id not in self._statuses]

    def trials_to_run(self) -> list[Trial]:
        """Return the missing trials, and those whose weights are gone and needed: they are trained again."""
        missing = self.missing_trials()
        hoped = {trial.id for trial in missing}
        arms = {arm for _, arm in self.missing_timings(hoped)}
        timed = (self._parents.timed_trial(arm, self._statuses, hoped) for arm in sorted(arms))
        trials = self._parents.with_gone(missing, [t for t in timed if t is not None], self._statuses)
        for trial in trials:
            self._statuses.pop(trial.id, None)
        return trials

    def missing_timings(self, hoped: Collection[str] = ()) -> list[tuple[int, str]]:
        """Return the (round, arm) without a timing, in the order to run them.

        Args:
            hoped: Trials that are about to run; an arm is timed when any of its trials has completed.
        """
        timed = {t.arm for t in self._plan.trials if t.id in hoped or self._statuses.get(t.id) == "completed"}
        names = [arm.name for arm in self._plan.arms if arm.name in timed and not arm.failure]
        timings = []
        for number in range(int(self._plan.timing["rounds"])):
            order = list(names)
            random.Random(f"{self._plan.hash} {number}").shuffle(order)
            timings += [(number, name) for name in order if (number, name) not in self._timed]
        return timings

    def run(self, trials: Sequence[Trial], stop: Stop) -> None:
        """Run trials."""
        if not trials:
            return
        self._parents.prepare(trials)
        self._notify("harness_suite_started", suite=self._json, trials=trials)
        self._progress.begin("trials", len(trials))
        for layer in self._parents.layers(trials):
            if not stop.requests:
                self._run_layer([trial for trial in layer if self._is_ready(trial)], stop)

    def _is_ready(self, trial: Trial) -> bool:
        """Whether a trial's parents are there; one whose parent has failed fails with it."""
        is_ready, why = self._parents.look(trial, self._statuses)
        if why is not None:
            width = {"jobs": self._places.jobs, "jobs_per_device": 1}
            task = self._tasks.trial((trial,), Place(self._options.device, 0), width, None, is_shared=False)
            self._write_dead(trial, task, task.members[0], Ending("failed", why, 0.0))
        return is_ready

    def _run_layer(self, trials: Sequence[Trial], stop: Stop) -> None:
        queue = deque(groups_of(trials, self._plan.together))

        def ended(group: Group, task: Task, ending: Ending) -> None:
            again = [*self._group_ended(group, task, ending), *queue]
            queue.clear()
            queue.extend(one for waiting in again for one in self._modes.split(waiting))

        pool = self._pool(stop, lambda one: self._places.find(self._is_alone(one)) is not None, patient=True)
        pool.run(queue, self._trial_task, ended)

    def time(self, stop: Stop) -> None:
        """Run the timing pass: nothing else runs meanwhile."""
        timed = {arm: self._parents.timed_trial(arm, self._statuses) for _, arm in self.missing_timings()}
        ready = {arm: t for arm, t in timed.items() if t and self._parents.look(t, self._statuses)[0]}
        timings = [(number, ready[arm]) for number, arm in self.missing_timings() if arm in ready]
        if timings:
            self._progress.begin("timings", len(timings))
            # Each has the machine to itself.
            pool = self._pool(stop, lambda _: self._places.is_empty(), patient=False)
            pool.run(deque(timings), self._timing_task, self._timing_ended)

    def summary(self) -> RunSummary:
        """Return what it came to."""
        ids = {trial.id for trial in self._plan.trials}
        completed = sum(status == "completed" for status in self._statuses.values())
        # Of an interrupted run nothing is said of the trials that had no turn.
        ended = len(self._statuses) if self.interrupted else len(ids)
        unresolved = sum(arm.failure is not None for arm in self._plan.arms) * self._plan.replicates
        return RunSummary(self._ended, self._reused, ended - completed + unresolved, self.interrupted)

    def _pool(self, stop: Stop, admits: Callable[[Any], bool], *, patient: bool) -> Pool[Any]:
        return Pool(
            self._server,
            stop,
            admits=admits,
            timeout_seconds=self._options.timeout_seconds,
            patient=patient,
            heard=self._heard,
            say=self._progress.say,
        )

    def _heard(self, task: Task, message: Mapping[str, Any]) -> None:
        if message.get("kind") == "room":
            self._places.learn(task.place.device, message)
        elif message.get("kind") == "mode":
            self._modes.learn(task.heading["arm"], len(task.members), message["mode"])
        self._progress.message(_label(task.heading), message)

    def _is_alone(self, group: Group) -> bool:
        """Whether a trial was lost once, for want of memory it may be: it then has its device to itself."""
        return any(self._again[trial.id] for trial in group)

    def _trial_task(self, group: Group) -> Task:
        is_alone = self._is_alone(group)
        place = self._places.take(is_alone)
        width = {"jobs": self._places.jobs, "jobs_per_device": self._places.per_device(place.device)}
        is_shared = not is_alone and self._places.is_shared(place.device)
        return self._tasks.trial(group, place, width, self._modes.of(group), is_shared=is_shared)

    def _timing_task(self, key: tuple[int, Trial]) -> Task:
        return self._tasks.timing(*key, self._places.take(alone=True))

    def _group_ended(self, group: Group, task: Task, ending: Ending) -> list[Group]:
        """Enter how a child ended; return what is to run again now."""
        self._places.leave(task.place)
        missing = [
            (trial, member)
            for trial, member in zip(group, task.members, strict=True)
            if not self._was_written(trial, member, ending.seconds)
        ]
        if missing and len(group) > 1 and ending.status not in ("stopped", "lost"):
            # What goes wrong in a stack is nobody's result: each replicate's own trial will tell.
            mode = self._modes.give_up(group, tuple(trial for trial, _ in missing), ending)
            self._progress.say(f"{group[0].arm}: replicates are trained one by one: {mode['reason']}")
            return [(trial,) for trial, _ in missing]
        for trial, member in missing:
            if ending.status == "stopped":
                self._progress.finished(_label(member.heading), "stopped", ending.seconds)
            else:
                self._write_dead(trial, task, member, ending)
        again = [
            trial for trial in group if self._statuses.get(trial.id) is None and ending.status != "stopped"
        ]
        self._again.update(trial.id for trial in again)
        again = [trial for trial in again if self._again[trial.id] <= _RETRIES]
        return groups_of(again, len(group))

    def _was_written(self, trial: Trial, member: Member, seconds: float) -> bool:
        attempt = member.heading["attempt"]
        record = next((r for r in self._store.attempts(trial.id) if r["attempt"] == attempt), None)
        if record is not None:
            self._told(trial, record, seconds)
        return record is not None

    def _write_dead(self, trial: Trial, task: Task, member: Member, ending: Ending) -> None:
        outcome = dead_outcome("lost" if ending.status == "done" else ending.status, ending.culprit)
        record = trial_record(
            {**outcome, "mode": task.mode, **told_parents(member.job["parents"])},
            heading=member.heading,
            refs={**member.refs, "initial_parameters": None, "pipeline": None},
            started_at=task.started_at,
            finished_at=now(),
        )
        self._store.write_trial(record)
        self._told(trial, record, ending.seconds)

    def _told(self, trial: Trial, record: Json, seconds: float) -> None:
        if record["status"] not in AGAIN:
            self._statuses[trial.id] = record["status"]
            self._ended += 1
        detail = (record["culprit"] or {}).get("error") or ""
        self._progress.finished(_label(record), record["status"], seconds, detail.partition("\n")[0][:200])
        self._notify("harness_trial_finished", trial=trial, record=record)

    def _timing_ended(self, _: tuple[int, Trial], task: Task, ending: Ending) -> None:
        self._places.leave(task.place)
        label = _label(task.heading)
        if ending.status in ("stopped", "lost"):
            # By the machine's fault: nothing is written, and the same command times it.
            self._progress.finished(label, ending.status, ending.seconds)
            return
        if ending.status != "done":
            timing = dead_timing(ending.status, ending.culprit)
            heading, refs = task.heading, task.members[0].refs
            record = timing_record(
                timing, heading=heading, refs=refs, started_at=task.started_at, finished_at=now()
            )
            self._store.write_timing(record)
        status = "completed" if ending.status == "done" else ending.status
        self._progress.finished(label, status, ending.seconds)


def _label(heading: Mapping[str, Any]) -> str:
    if "round" in heading:
        return f"{heading['arm']} round {heading['round']}"
    return f"{heading['arm']} #{heading['replicate']}"
