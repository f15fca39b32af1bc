"""Whether a record fits the place where it stands: what the plan says of that trial, the record must say too.

A seal tells that a record is as it was written. One that was written for another suite or replicate, that names
neither the recipe nor the data it was made with, or that was not judged on every test example once, is intact all the
same, and counts for nothing here. The arm's name
is not asked for: an id does not contain it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STRANGER = "belongs to no plan of this folder"
"""Why the folder of a trial is set aside that neither the plan nor an earlier one of the same folder has."""


class Places:
    """What a plan says of the records of its trials.

    Attributes:
        plan: Its hash.
        suite: The suite's name.
        trials: The replicate of each trial, by its id, arm by arm: boards ask one arm's records one after the other,
            and those that were read together lie together in memory. Two arms with equal recipes share trials.
        test_counts: How many test examples the data of each trial has, by its id; None where the plan does not say.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan, self.suite = plan["hash"], plan.get("suite")
        by_arm: dict[str, list[Mapping[str, Any]]] = {}
        for trial in plan["trials"]:
            by_arm.setdefault(str(trial.get("arm")), []).append(trial)
        self.trials = {trial["id"]: trial.get("replicate") for arm in sorted(by_arm) for trial in by_arm[arm]}
        counts = {str(arm.get("name")): _test_count(plan, arm) for arm in plan.get("arms") or ()}
        self.test_counts = {trial["id"]: counts.get(str(trial.get("arm"))) for trial in plan["trials"]}
        has_recipes = any(arm.get("recipe") for arm in plan.get("arms") or ())
        self._refs = (
            *(("recipe",) if has_recipes else ()),
            *(("manifest",) if plan.get("manifests") else ()),
        )

    def misfit(self, record: Mapping[str, Any]) -> str | None:
        """Return in what a trial's record contradicts the plan, or None."""
        if record.get("suite") != self.suite:
            return _of_another("suite", record.get("suite"), self.suite)
        replicate = self.trials[record["trial"]]
        if record.get("replicate") != replicate:
            return _of_another("replicate", record.get("replicate"), replicate)
        if absent := [name for name in self._refs if record["refs"].get(name) is None]:
            return f"it names no {' and no '.join(absent)}: with what it was made is not known"
        wanted, test = self.test_counts[record["trial"]], (record.get("results") or {}).get("test")
        if wanted is not None and test and (found := test.get("count")) != wanted:
            return f"judged on other test examples: it says {found!r} of them, the plan's data has {wanted}"
        return None

    def misfit_of_timing(self, timing: Mapping[str, Any]) -> str | None:
        """Return in what a timing contradicts the plan, or None."""
        for name, wanted in (("suite", self.suite), ("plan", self.plan)):
            if timing.get(name) != wanted:
                return _of_another(name, timing.get(name), wanted)
        return None


def _test_count(plan: Mapping[str, Any], arm: Mapping[str, Any]) -> Any:
    manifest = (plan.get("manifests") or {}).get(arm.get("data")) or {}
    return ((manifest.get("splits") or {}).get("test") or {}).get("count")


def _of_another(name: str, found: object, wanted: object) -> str:
    return f"of another {name}: it says {found!r}, the plan {wanted!r}"
