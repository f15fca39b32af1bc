"""From trials and timings to the tasks of children: jobs, headings, and what their records refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.launch.options import Options
from harness.launch.parents import Parents
from harness.launch.places import Place
from harness.launch.task import Member, Task
from harness.record import files
from harness.record.fingerprint import code, host, session
from harness.record.record import measured_in
from harness.record.store import Store
from harness.suite.plan import Job, Plan, Trial

Json = dict[str, Any]
Group = tuple[Trial, ...]
"""Replicates of one arm that one child trains: a trial by itself, but for a suite that asks for several at once."""


def groups_of(trials: Sequence[Trial], together: int) -> list[Group]:
    """Return the trials in groups of up to `together` replicates of an arm, as even as can be, in their order.

    A group stands where its first trial stood.
    """
    of_arm: dict[str, list[Trial]] = {}
    for trial in trials:
        of_arm.setdefault(trial.arm, []).append(trial)
    groups: dict[str, Group] = {}
    for members in of_arm.values():
        count = -(-len(members) // together)
        bounds = [round(number * len(members) / count) for number in range(count + 1)]
        for start, end in pairwise(bounds):
            groups[members[start].id] = tuple(members[start:end])
    return [groups[trial.id] for trial in trials if trial.id in groups]


class Tasks:
    """Makes the tasks of one run.

    Args:
        plan: The plan.
        store: Where its records are.
        data: By manifest hash, the folder of the prepared data.
        options: How the run is to go.
    """

    def __init__(self, plan: Plan, store: Store, data: Mapping[str, Path], options: Options) -> None:
        self._plan = plan
        self._store = store
        self._data = data
        self._options = options
        self._arms = {arm.name: arm for arm in plan.arms}
        self.parents = Parents(plan, store, options.weights)
        self._refs: dict[str, dict[str, str | None]] = {}

    def trial(
        self, group: Group, place: Place, width: Mapping[str, int], mode: Json | None, *, is_shared: bool
    ) -> Task:
        """Return the task of a trial, or of replicates at once.

        Args:
            group: The trial, or the replicates.
            place: Where it runs.
            width: `{jobs, jobs_per_device}` as it starts: the record's session names them.
            mode: How replicates are trained, where that is known and the suite asks for several at once.
            is_shared: Whether other trials may be on its device.
        """
        members = [self._member(trial, place, width) for trial in group]
        first = members[0]
        return Task(
            kind="together" if len(group) > 1 else "trial",
            function=self._options.together_function if len(group) > 1 else self._options.trial_function,
            members=tuple(members),
            store=self._store.root,
            stem=first.lock.parent / str(first.heading["attempt"]),
            place=place,
            mode=mode,
            is_shared=is_shared,
        )

    def timing(self, number: int, trial: Trial, place: Place) -> Task:
        """Return the task of an arm's timing in a round, by one of its trials."""
        arm = trial.arm
        path = self._store.timing_path(self._plan.hash, number, arm)
        files.make_folder(path.parent)
        member = Member(
            job=replace(self._job(trial, 0, path.parent, place.device), weights=None).to_json(),
            heading=self._heading(arm=arm, round=number),
            refs=self._shared_refs(arm, {"jobs": 1, "jobs_per_device": 1}),
            lock=path.parent / ".lock",
        )
        return Task(
            kind="timing",
            function=self._options.timing_function,
            members=(member,),
            store=self._store.root,
            stem=path.with_suffix(""),
            place=place,
        )

    def _member(self, trial: Trial, place: Place, width: Mapping[str, int]) -> Member:
        attempt = self._store.next_attempt(trial.id)
        folder = self._store.trial_folder(trial.id)
        files.make_folder(folder)
        files.remove_leftovers(folder)
        return Member(
            job=self._job(trial, attempt, folder, place.device).to_json(),
            heading=self._heading(
                arm=trial.arm,
                trial=trial.id,
                replicate=trial.replicate,
                attempt=attempt,
                place=place._asdict(),
            ),
            refs=self._shared_refs(trial.arm, width),
            lock=folder / ".lock",
        )

    def _job(self, trial: Trial, attempt: int, folder: Path, device: str) -> Job:
        arm = self._arms[trial.arm]
        return Job(
            trial=trial.id,
            arm=trial.arm,
            replicate=trial.replicate,
            attempt=attempt,
            seed=self._plan.seed,
            salt=arm.salt,
            recipe=arm.recipe,
            manifest=self._plan.manifests[arm.data or ""],
            data=str(self._data[arm.data or ""].resolve()),
            plugins=tuple(str(path) for path in self._options.plugins),
            device=device,
            folder=str(folder.resolve()),
            checkpoint_seconds=self._options.checkpoint_seconds,
            timing_seconds=float(self._plan.timing["seconds"]),
            data_root=None if self._options.data_root is None else str(self._options.data_root.resolve()),
            loader=self._plan.loader,
            measure=self._plan.measure,
            parents=self.parents.for_job(trial),
            weights=self.parents.weights_of(trial),
            measured=self._measured(trial),
        )

    def _measured(self, trial: Trial) -> Json:
        """Return what an earlier attempt measured for a budget in seconds: a trial takes as many steps again."""
        if (self._arms[trial.arm].recipe.get("budget") or {}).get("unit") != "seconds":
            return {}
        if trial.id in self._options.measured:
            return dict(self._options.measured[trial.id])
        return measured_in(self._store.good(trial.id))

    def _heading(self, **more: Any) -> Json:
        plan = self._plan
        return {"protocol": plan.protocol, "suite": plan.suite, "plan": plan.hash, **more}

    def _shared_refs(self, arm: str, width: Mapping[str, int]) -> dict[str, str | None]:
        share = self._store.share
        if arm not in self._refs:
            entry = self._arms[arm]
            manifest = self._plan.manifests.get(entry.data or "")
            self._refs[arm] = {
                "recipe": share(entry.recipe),
                "components": share(entry.components),
                "manifest": share(manifest) if manifest is not None else None,
                "host": share(host()),
                "code": share(code()),
            }
        return {**self._refs[arm], "session": share({**session(), **width})}
