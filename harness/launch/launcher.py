"""Runs what a plan still lacks: the trials, several at a time, then the timing pass, one at a time."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.launch.options import Options, RunSummary, default_jobs, devices, resolve_device
from harness.launch.pool import Ending, Pool
from harness.launch.process import Server, Task
from harness.launch.progress import Lines, Progress
from harness.launch.stop import Stop
from harness.launch.worker import now
from harness.record import files
from harness.record.fingerprint import code, host, session
from harness.record.record import AGAIN, dead_outcome, dead_timing, timing_record, trial_record
from harness.record.store import Store
from harness.suite.plan import Job, Plan, Trial

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
    trials = launch.missing_trials()
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
        self._data = data
        self._options = options
        self._progress = progress
        self._notify = notify
        self._arms = {arm.name: arm for arm in plan.arms}
        self._device = resolve_device(options.device)
        self._server = Server([*options.warm, *options.preload])
        self._refs: dict[str, dict[str, str | None]] = {}
        self._submitted = 0
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
        self._notify("harness_suite_started", suite=self._json, trials=trials)
        self._progress.begin("trials", len(trials))
        width = self._options.jobs or default_jobs(self._plan, self._device)
        queue = deque(trials)

        def ended(trial: Trial, task: Task, ending: Ending) -> None:
            if self._trial_ended(trial, task, ending):
                queue.appendleft(trial)

        self._pool(stop, width, patient=True).run(queue, self._trial_task, ended)

    def time(self, stop: Stop) -> None:
        """Run the timing pass: nothing else runs meanwhile."""
        timings = self.missing_timings()
        if timings:
            self._progress.begin("timings", len(timings))
            self._pool(stop, 1, patient=False).run(deque(timings), self._timing_task, self._timing_ended)

    def summary(self) -> RunSummary:
        """Return what it came to."""
        ids = {trial.id for trial in self._plan.trials}
        completed = sum(status == "completed" for status in self._statuses.values())
        # Of an interrupted run nothing is said of the trials that had no turn.
        ended = len(self._statuses) if self.interrupted else len(ids)
        unresolved = sum(arm.failure is not None for arm in self._plan.arms) * self._plan.replicates
        return RunSummary(self._ended, self._reused, ended - completed + unresolved, self.interrupted)

    def _pool(self, stop: Stop, width: int, *, patient: bool) -> Pool[Any]:
        return Pool(
            self._server,
            stop,
            width=width,
            timeout_seconds=self._options.timeout_seconds,
            patient=patient,
            heard=lambda task, message: self._progress.message(_label(task.heading), message),
        )

    def _shared_refs(self, arm: str) -> dict[str, str | None]:
        if arm not in self._refs:
            entry = self._arms[arm]
            share = self._store.share
            manifest = self._plan.manifests.get(entry.data or "")
            self._refs[arm] = {
                "recipe": share(entry.recipe),
                "components": share(entry.components),
                "manifest": share(manifest) if manifest is not None else None,
                "host": share(host()),
                "code": share(code()),
                "session": share(session()),
            }
        return self._refs[arm]

    def _trial_task(self, trial: Trial) -> Task:
        attempt = self._store.next_attempt(trial.id)
        folder = self._store.trial_folder(trial.id)
        files.make_folder(folder)
        files.remove_leftovers(folder)
        job = self._job(trial, attempt, folder)
        return Task(
            kind="trial",
            function=self._options.trial_function,
            job=job.to_json(),
            heading=self._heading(arm=trial.arm, trial=trial.id, replicate=trial.replicate, attempt=attempt),
            refs=self._shared_refs(trial.arm),
            store=self._store.root,
            lock=folder / ".lock",
            stem=folder / str(attempt),
        )

    def _timing_task(self, key: tuple[int, str]) -> Task:
        number, name = key
        path = self._store.timing_path(self._json["hash"], number, name)
        files.make_folder(path.parent)
        # The unit is the round; every round times the same replicate, so that rounds differ by the machine alone.
        trial = next(trial for trial in self._plan.trials if trial.arm == name)
        return Task(
            kind="timing",
            function=self._options.timing_function,
            job=self._job(trial, 0, path.parent).to_json(),
            heading=self._heading(arm=name, round=number),
            refs=self._shared_refs(name),
            store=self._store.root,
            lock=path.parent / ".lock",
            stem=path.with_suffix(""),
        )

    def _job(self, trial: Trial, attempt: int, folder: Path) -> Job:
        arm = self._arms[trial.arm]
        names = devices(self._device)
        self._submitted += 1
        return Job(
            trial=trial.id,
            arm=trial.arm,
            replicate=trial.replicate,
            attempt=attempt,
            seed=self._plan.seed,
            salt="",
            recipe=arm.recipe,
            manifest=self._plan.manifests[arm.data or ""],
            data=str(self._data[arm.data or ""].resolve()),
            plugins=tuple(str(path) for path in self._options.plugins),
            device=names[self._submitted % len(names)],
            folder=str(folder.resolve()),
            checkpoint_seconds=self._options.checkpoint_seconds,
            timing_seconds=float(self._plan.timing["seconds"]),
            data_root=None if self._options.data_root is None else str(self._options.data_root.resolve()),
            loader=self._plan.loader,
            measure=self._plan.measure,
        )

    def _heading(self, **more: Any) -> Json:
        return {
            "protocol": self._json["protocol"],
            "suite": self._json["suite"],
            "plan": self._json["hash"],
            **more,
        }

    def _trial_ended(self, trial: Trial, task: Task, ending: Ending) -> bool:
        """Enter how a trial ended; return whether it is to run again now."""
        attempt = task.heading["attempt"]
        record = next((r for r in self._store.attempts(trial.id) if r["attempt"] == attempt), None)
        if record is None and ending.status == "stopped":
            self._progress.finished(_label(task.heading), "stopped", ending.seconds)
            return False
        if record is None:
            status = "lost" if ending.status == "done" else ending.status
            record = self._write_dead(trial, task, status, ending)
        else:
            self._told(trial, record, ending.seconds)
        if record["status"] not in AGAIN:
            return False
        self._again[trial.id] += 1
        return self._again[trial.id] <= _RETRIES

    def _write_dead(self, trial: Trial, task: Task, status: str, ending: Ending) -> Json:
        record = trial_record(
            dead_outcome(status, ending.culprit),
            heading=task.heading,
            refs={**task.refs, "initial_parameters": None, "pipeline": None},
            started_at=task.started_at,
            finished_at=now(),
        )
        self._store.write_trial(record)
        self._told(trial, record, ending.seconds)
        return record

    def _told(self, trial: Trial, record: Json, seconds: float) -> None:
        if record["status"] not in AGAIN:
            self._statuses[trial.id] = record["status"]
            self._ended += 1
        detail = (record["culprit"] or {}).get("error") or ""
        self._progress.finished(_label(record), record["status"], seconds, detail.partition("\n")[0][:200])
        self._notify("harness_trial_finished", trial=trial, record=record)

    def _timing_ended(self, _: tuple[int, str], task: Task, ending: Ending) -> None:
        label = _label(task.heading)
        if ending.status in ("stopped", "lost"):
            # By the machine's fault: nothing is written, and the same command times it.
            self._progress.finished(label, ending.status, ending.seconds)
            return
        if ending.status != "done":
            timing = dead_timing(ending.status, ending.culprit)
            heading, refs = task.heading, task.refs
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
