"""The search before a run: rounds of trials, what they came to on the validation split, and the plan with the winners.

Every trial of it is a trial like any other, run by the same launcher into the same results folder, under plans of
their own. So a search that was interrupted goes on where it stood, and one that is over runs nothing again: what was
tried, and what won, is read from the records each time. Test results stand in those records too; nothing here reads
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from harness.launch.options import RunSummary
from harness.launch.tree_search import need_optuna, startup_trials, suggest
from harness.record.store import Store
from harness.suite.expand import expand
from harness.suite.load import Suite, SuiteArm
from harness.suite.plan import Plan, Trial
from harness.suite.search import (
    Setting,
    edge_keys,
    quasi_random_settings,
    search_suite,
    space_json,
    trial_name,
    tuned_suite,
)

Json = dict[str, Any]

_INTERRUPTED = 130
_FAILED = 5


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial of an arm's search, over its replicates.

    Attributes:
        number: From 0, the arm's own setting.
        setting: By key path.
        status: "completed", or how the first replicate ended that did not complete.
        validation_top1: Mean over the replicates, in points; None where one of them has none.
        train_seconds: Of all replicates; None where none is known.
        training_flops: Of all replicates; None where none is known.
        trials: Ids of the replicates' trials.
    """

    number: int
    setting: Setting
    status: str
    validation_top1: float | None
    train_seconds: float | None
    training_flops: float | None
    trials: tuple[str, ...]

    def to_json(self) -> Json:
        """Return it as the plan holds it."""
        return {
            "k": self.number,
            "setting": dict(self.setting),
            "status": self.status,
            "validation_top1": self.validation_top1,
            "train_seconds": self.train_seconds,
            "training_flops": self.training_flops,
            "trials": list(self.trials),
        }


def tried(
    number: int, setting: Setting, trials: Sequence[str], records: Sequence[Mapping[str, Any]]
) -> Tried:
    """Return what the records of a setting's replicates say of it: their validation results, and what they cost."""
    values = [_validation_top1(record) for record in records]
    failed = [str(record["status"]) for record in records if record["status"] != "completed"]
    is_known = not failed and all(value is not None for value in values)
    return Tried(
        number,
        setting,
        failed[0] if failed else "completed",
        fmean(value for value in values if value is not None) if is_known else None,
        _sum([(record.get("seconds") or {}).get("train") for record in records]),
        _sum([(record.get("budget") or {}).get("training_flops") for record in records]),
        tuple(trials),
    )


def _validation_top1(record: Mapping[str, Any]) -> float | None:
    value = ((record.get("results") or {}).get("validation") or {}).get("top1")
    return None if value is None else float(value)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def best(outcomes: Sequence[Tried]) -> Tried:
    """Return the winner: the highest validation accuracy, of equal ones the earliest; a failure is below all others."""
    return max(outcomes, key=lambda one: (_score(one), -one.number))


def _score(one: Tried) -> float:
    return -1.0 if one.validation_top1 is None else one.validation_top1


class Search:
    """The search of a suite, as far as records lead.

    Args:
        suite: The suite; it tunes.
        base: Its plan with every arm at its own setting: which arms, how many replicates, which data.
        store: Where the records are.
    """

    def __init__(self, suite: Suite, base: Plan, store: Store) -> None:
        self._suite = suite
        self._base = base
        self._store = store
        self._trials = int(suite.tuning["trials"])
        self._arms = [suite.arms[arm.name] for arm in base.arms if _is_tuned(suite, arm.name, arm.failure)]
        self._settings: dict[str, list[Setting]] = {}
        self._ids: dict[tuple[str, int], list[str]] = {}
        self._records: dict[str, Json] = {}

    def rounds(self) -> Iterator[Plan]:
        """Yield the plans of the search, one after another; the next one needs the records of those before it."""
        is_sequential = self._suite.tuning["method"] == "tpe"
        first = min(self._trials, startup_trials(self._trials)) if is_sequential else self._trials
        for arm in self._arms:
            self._settings[arm.name] = [
                *quasi_random_settings(arm, first, self._suite.seed, self._suite.registry)
            ]
        yield self._plan(range(first))
        for number in range(first, self._trials):
            for arm in self._arms:
                self._settings[arm.name].append(self._suggested(arm))
            yield self._plan([number])

    def missing(self, plan: Plan) -> int:
        """Return how many trials of a plan have no record that counts."""
        return sum(self._record(trial.id) is None for trial in _distinct(plan))

    def whole(self) -> Plan:
        """Return the plan of all rounds so far."""
        return self._plan(range(len(next(iter(self._settings.values()), []))))

    def arms(self) -> list[str]:
        """Return the names of the arms that are tuned."""
        return [arm.name for arm in self._arms]

    def missing_of_all(self) -> int:
        """Return how many trials of the search are to be run yet, those among them that nobody knows so far."""
        for plan in self.rounds():
            if missing := self.missing(plan):
                done = sum(
                    self._record(one) is not None for key in self._tuned_keys() for one in self._ids[key]
                )
                return max(missing, self.count() - done)
        return 0

    def known(self) -> tuple[Plan, int]:
        """Return the plan of all rounds that records lead to, and how many trials the rounds after them have."""
        next((plan for plan in self.rounds() if self.missing(plan)), None)
        return self.whole(), self.count() - len(self._tuned_keys()) * int(self._suite.tuning["replicates"])

    def count(self) -> int:
        """Return how many trials the search has in all, its replicates counted."""
        return self._trials * len(self._arms) * int(self._suite.tuning["replicates"])

    def final(self) -> Plan:
        """Return the suite's plan with the winners; every round has its records."""
        suite, base = self._suite, self._base
        outcomes = {arm.name: self._tried(arm.name) for arm in self._arms}
        tuned = {arm.name: self._told(arm, outcomes[arm.name]) for arm in self._arms}
        names = [arm.name for arm in base.arms if arm.name in suite.arms]
        manifests = {name: manifest for name in names if (manifest := self._manifest(name))}
        chosen = [_exactly(suite.arms[name]) for name in names]
        plan = expand(tuned_suite(suite, tuned), manifests, arms=chosen, replicates=base.replicates)
        tuning = {
            **suite.tuning,
            "plan": self.whole().hash,
            "space": {arm.name: space_json(arm.space) for arm in self._arms},
            "arms": {name: [one.to_json() for one in many] for name, many in outcomes.items()},
        }
        return replace(plan, tuning=tuning).hashed()

    def _tuned_keys(self) -> list[tuple[str, int]]:
        return [(arm.name, number) for arm in self._arms for number in range(len(self._settings[arm.name]))]

    def _suggested(self, arm: SuiteArm) -> Setting:
        before = [(one.setting, _score(one)) for one in self._tried(arm.name)]
        return suggest(arm, before, self._suite.seed)

    def _told(self, arm: SuiteArm, outcomes: Sequence[Tried]) -> Json:
        winner = best(outcomes)
        return {
            "setting": dict(winner.setting),
            "k": winner.number,
            "trials": len(outcomes),
            "train_seconds": _sum([one.train_seconds for one in outcomes]),
            "training_flops": _sum([one.training_flops for one in outcomes]),
            "validation_top1": winner.validation_top1,
            "edge": edge_keys(arm, winner.setting, self._suite.registry),
        }

    def _tried(self, arm: str) -> list[Tried]:
        outcomes = []
        for number, setting in enumerate(self._settings[arm]):
            ids = self._ids[arm, number]
            records = [record for one in ids if (record := self._record(one)) is not None]
            outcomes.append(tried(number, setting, ids, records))
        return outcomes

    def _plan(self, numbers: Sequence[int]) -> Plan:
        chosen = {name: {k: many[k] for k in numbers} for name, many in self._settings.items()}
        suite = search_suite(self._suite, chosen)
        of_trial = {trial_name(name, k): (name, k) for name in self._suite.arms for k in range(self._trials)}
        manifests = {
            made: manifest
            for made in suite.arms
            if (manifest := self._manifest(of_trial[made][0])) is not None
        }
        names = [trial_name(name, k) for name, many in chosen.items() for k in many]
        plan = expand(suite, manifests, arms=names, copies=0)
        plan = replace(plan, tuning={"is_search": True}).hashed()
        for key in {of_trial[trial.arm] for trial in plan.trials}:
            self._ids[key] = [trial.id for trial in plan.trials if trial.arm == trial_name(*key)]
        return plan

    def _manifest(self, arm: str) -> Mapping[str, Any] | None:
        known = {one.name: one.data for one in self._base.arms}
        return self._base.manifests[data] if (data := known.get(arm)) else None

    def _record(self, trial: str) -> Json | None:
        if trial not in self._records and (record := self._store.good(trial)) is not None:
            self._records[trial] = record
        return self._records.get(trial)


def _is_tuned(suite: Suite, arm: str, failure: str | None) -> bool:
    return failure is None and arm in suite.arms and bool(suite.arms[arm].space)


def _exactly(arm: SuiteArm) -> str:
    """Return the name that means this arm alone: in a grid, that of the first cell's means every cell's."""
    return f"{arm.name}.0" if arm.cell and arm.plain == arm.name else arm.name


def _distinct(plan: Plan) -> list[Trial]:
    return list({trial.id: trial for trial in plan.trials}.values())


def tune(
    suite: Suite,
    base: Plan,
    store: Store,
    launch: Callable[[Plan], RunSummary],
    say: Callable[[str], None],
) -> tuple[Plan | None, int]:
    """Run what is missing of a suite's search, with the store's lock held by the caller.

    Args:
        suite: The suite; it tunes.
        base: Its plan with every arm at its own setting.
        store: Where plans and records are.
        launch: Runs what is missing of a plan.
        say: Tells how it goes.

    Returns:
        The plan with the winners, and 0; or None and the exit code, where it did not come to its end.

    Raises:
        HarnessError: Where the method needs a library that is not installed, or a component refuses a setting.
    """
    if suite.tuning["method"] == "tpe":
        need_optuna()
    search = Search(suite, base, store)
    for plan in search.rounds():
        if not (missing := search.missing(plan)):
            continue
        say(f"tuning: {missing} of {search.count()} trials are run now")
        store.write_plan(plan.to_json(), is_latest=False)
        if launch(plan).interrupted:
            return None, _INTERRUPTED
        if lost := search.missing(plan):
            say(f"tuning: {lost} trials were lost to the machine; the same command runs them again")
            return None, _FAILED
    store.write_plan(search.whole().to_json(), is_latest=False)
    return search.final(), 0
