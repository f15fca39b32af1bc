"""What earlier runs in a results folder say of a plan: how long like trials took, how far paired trials lay apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.board.select import number_at
from harness.errors import StoreError
from harness.record.reading import names_in
from harness.record.store import Store
from harness.suite.plan import Plan

Json = dict[str, Any]

MOST_TRIALS = 400
"""Read of each suite: the first ones of its plan, which are whole replicates."""
LEAST_PAIRS = 3
"""With fewer a standard deviation says next to nothing."""

_ASKED_FOR = {"arms", "baseline", "manifests", "trials"}
"""Of a plan: what a forecast reads."""
_FAR = {"dataset": 100, "backbone": 30, "budget": 10, "tricks": 3}
"""How far apart a difference in one key puts two recipes; in any other key it is 1. Tricks change what a step costs."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A suite that was run.

    Attributes:
        name: Its folder's name.
        plan: Its latest plan.
        records: By trial, those that count.
        shared: Reads what a record refers to; None where it is gone.
    """

    name: str
    plan: Json
    records: Mapping[str, Json]
    store: Store

    def shared(self, record: Json, key: str) -> Json | None:
        """Return the table that a record refers to; None where it is gone, or is no table."""
        try:
            value = self.store.shared(record["refs"].get(key) or "")
        except StoreError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far paired trials lay apart.

    Attributes:
        deviation: Standard deviation of an arm's differences from its baseline, in points; pooled over arms.
        pairs: How many there were.
        source: Whose they are, in words.
    """

    deviation: float
    pairs: int
    source: str


def earlier_runs(results: Path) -> Iterator[Earlier]:
    """Yield the suites that a results folder holds, in the order of their names.

    What of them is damaged or cannot be read is left out.
    """
    for name in sorted(names_in(f"{results}")):
        store = Store(results / name)
        try:
            plan = store.read_plan()
        except StoreError:  # most often no suite's folder
            continue
        if _ASKED_FOR - plan.keys():  # intact, and not of this program
            continue
        trials = [trial["id"] for trial in plan["trials"][:MOST_TRIALS]]
        found = {trial: store.good(trial) for trial in dict.fromkeys(trials)}
        records = {trial: record for trial, record in found.items() if record is not None}
        if records:
            yield Earlier(name, plan, records, store)


def distance(recipe: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    """Return how far apart two recipes are: 0 for equal ones; of lists, each entry that one side alone has counts."""
    return sum(
        _FAR.get(key, 1) * _entries_apart(recipe.get(key), other.get(key))
        for key in dict.fromkeys((*recipe, *other))
        if recipe.get(key) != other.get(key)
    )


def _entries_apart(own: Any, other: Any) -> int:
    if not isinstance(own, list) or not isinstance(other, list):
        return 1
    apart = sum(one not in other for one in own) + sum(one not in own for one in other)
    return max(1, apart)


def spread_of(
    plan: Mapping[str, Any], records: Mapping[str, Json], arms: set[str]
) -> tuple[float, int] | None:
    """Return the pooled deviation of paired differences over some arms of a plan, and how many pairs there are.

    Each arm has its own mean difference: deviation^2 = sum of squares about the arms' means / (pairs - arms).
    """
    top1: dict[tuple[str, int], float] = {}
    for trial in plan["trials"]:
        value = number_at(records.get(trial["id"], {}), "results", "test", "top1")
        if value is not None:
            top1[trial["arm"], trial["replicate"]] = value
    squares, degrees, pairs = 0.0, 0, 0
    for arm in plan["arms"]:
        against = arm.get("against") or plan["baseline"]
        if arm["name"] not in arms or arm["name"] == against:
            continue
        differences = [
            value - top1[against, replicate]
            for (name, replicate), value in top1.items()
            if name == arm["name"] and (against, replicate) in top1
        ]
        if len(differences) >= LEAST_PAIRS:
            mean = math.fsum(differences) / len(differences)
            squares += math.fsum((one - mean) ** 2 for one in differences)
            degrees += len(differences) - 1
            pairs += len(differences)
    return (math.sqrt(squares / degrees), pairs) if degrees else None


def nearest_spread(plan: Plan, records: Mapping[str, Json], results: Path) -> Spread | None:
    """Return how far paired trials lie apart: of this plan's own arms, else of the nearest suite."""
    compared = {arm.name for arm in plan.arms if arm.compared and not arm.copy_of}
    own = spread_of(plan.to_json(), records, compared)
    if own is not None:
        return Spread(*own, "earlier records of these arms")
    recipe = plan.arm(plan.baseline).recipe
    nearest: tuple[int, Spread] | None = None
    for run in earlier_runs(results):
        arms = {arm["name"]: arm for arm in run.plan["arms"] if arm.get("compared", True)}
        theirs = arms.get(run.plan["baseline"], {}).get("recipe") or {}
        found = spread_of(run.plan, run.records, set(arms))
        if found is not None:
            far = distance(recipe, theirs)
            if nearest is None or far < nearest[0]:
                nearest = far, Spread(*found, f"the nearest records: {_whose(run.name, recipe, theirs)}")
    return nearest[1] if nearest else None


def _whose(suite: str, recipe: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    names = [
        f"another {key}" for key in ("dataset", "backbone", "budget") if recipe.get(key) != other.get(key)
    ]
    return f"suite {suite}" + (f" ({', '.join(names)})" if names else "")
