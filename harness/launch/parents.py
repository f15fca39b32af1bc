"""What the trials of a plan need of each other: in what order they run, and where the weights are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.record import files
from harness.record.record import culprit
from harness.record.store import Store
from harness.registry.digests import digest_file
from harness.suite.parents import layers_of, parent_arms, parent_entry
from harness.suite.plan import Plan, Trial

Json = dict[str, Any]


class Parents:
    """The graph of one plan, for a run that holds the store's lock.

    Args:
        plan: The plan.
        store: Where its records and weights are.
        weights_files: Where the files are that the suite names, by the names that it writes.
    """

    def __init__(self, plan: Plan, store: Store, weights_files: Mapping[str, Path]) -> None:
        self._plan = plan
        self._store = store
        self._files = weights_files
        self._recipes = {arm.name: arm.recipe for arm in plan.arms}
        self._trials = {(trial.arm, trial.replicate): trial for trial in plan.trials}
        self._of_arm: dict[str, list[Trial]] = {}
        for trial in plan.trials:
            self._of_arm.setdefault(trial.arm, []).append(trial)
        self._needed = {name for recipe in self._recipes.values() for name in parent_arms(recipe).values()}
        self._known: dict[str, tuple[tuple[int, int], Json | None]] = {}

    def prepare(self, trials: Iterable[Trial]) -> None:
        """Make the folder of the weights before trials run that are to write some, and clear it of half a file.

        Raises:
            StoreError: Where the disk refuses, or a file stands there.
        """
        folder = self._store.weights_path("any").parent
        if any(trial.arm in self._needed for trial in trials):
            files.make_folder(folder)
            files.remove_leftovers(folder)

    def of(self, trial: Trial) -> dict[str, Trial]:
        """Return, by role, the trials whose models a trial needs: those of its own replicate."""
        parents = parent_arms(self._recipes[trial.arm])
        return {role: self._trials[arm, trial.replicate] for role, arm in parents.items()}

    def layers(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """Return trials in layers: each needs trials of earlier layers alone, and keeps its order within."""
        named = map(frozenset, layers_of(self._recipes))
        layers = [[trial for trial in trials if trial.arm in names] for names in named]
        return [layer for layer in layers if layer]

    def weights_of(self, trial: Trial) -> str | None:
        """Return where a trial is to write its own model's weights; None where nobody needs them."""
        if trial.arm not in self._needed:
            return None
        return str(self._store.weights_path(trial.id).resolve())

    def writer(self, trial: Trial) -> Json | None:
        """Return the record of the attempt that wrote the weights that are there.

        None where they are gone, or are not what any attempt wrote.
        """
        path = self._store.weights_path(trial.id)
        if not path.is_file():
            return None
        state = (path.stat().st_mtime_ns, path.stat().st_size)
        known, record = self._known.get(trial.id, (None, None))
        if known != state or record is None:
            digest = digest_file(path)
            attempts = reversed(self._store.attempts(trial.id))
            record = next(
                (one for one in attempts if (one.get("weights") or {}).get("digest") == digest), None
            )
            self._known[trial.id] = (state, record)
        return record

    def with_gone(
        self, missing: Sequence[Trial], timed: Iterable[Trial], statuses: Mapping[str, str]
    ) -> list[Trial]:
        """Return trials that are missing, with those that have to be trained again because their weights are gone.

        Args:
            missing: Trials without a record.
            timed: Trials that are about to be timed.
            statuses: How trials ended, by id.
        """
        again = {trial.id: trial for trial in missing}
        waiting = [*missing, *timed]
        while waiting:
            for parent in self.of(waiting.pop()).values():
                completed = statuses.get(parent.id) == "completed"
                if completed and parent.id not in again and self.writer(parent) is None:
                    again[parent.id] = parent
                    waiting.append(parent)
        return list(again.values())

    def look(self, trial: Trial, statuses: Mapping[str, str]) -> tuple[bool, Json | None]:
        """Return whether a trial can run now; where it never can, a culprit that names role, arm and status."""
        is_ready = True
        for role, parent in self.of(trial).items():
            status = statuses.get(parent.id)
            if status is not None and status != "completed":
                error = f'its {role}, arm "{parent.arm}" replicate {parent.replicate}, ended as {status}'
                return False, culprit(error)
            is_ready = is_ready and status == "completed" and self.writer(parent) is not None
        return is_ready, None

    def timed_trial(
        self, arm: str, statuses: Mapping[str, str], hoped: Collection[str] = frozenset()
    ) -> Trial | None:
        """Return the trial of an arm that is timed: the first whose parents have completed, or are about to run."""

        def is_fit(parent: Trial) -> bool:
            return parent.id in hoped or statuses.get(parent.id) == "completed"

        return next((t for t in self._of_arm.get(arm, ()) if all(map(is_fit, self.of(t).values()))), None)

    def for_job(self, trial: Trial) -> dict[str, Json]:
        """Return what a job says of its parents, by role."""
        told: dict[str, Json] = {}
        for role, parent in self._recipes[trial.arm].get("parents", {}).items():
            if "file" in parent:
                path = self._files[parent["file"]].resolve()
                told[role] = {"file": parent["file"], "digest": parent["digest"], "weights": str(path)}
                continue
            of_role = self.of(trial)[role]
            record = self.writer(of_role) or {}
            told[role] = {
                **parent_entry(self._plan, parent["arm"]),
                "trial": of_role.id,
                "weights": str(self._store.weights_path(of_role.id).resolve()),
                "digest": (record.get("weights") or {}).get("digest"),
                "training_flops": (record.get("budget") or {}).get("training_flops"),
                "train_seconds": (record.get("seconds") or {}).get("train"),
            }
        return told
