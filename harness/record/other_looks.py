"""What earlier plans of a folder compared beside what a plan judges: other arms, or its own by another seed.

Each such look is a verdict that might have come out better; the family of the plan does not count it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.registry.digests import digest_json


@dataclass(frozen=True, slots=True)
class _Pair:
    """An arm and the one that it is compared with.

    Attributes:
        recipes: Hash of both recipes.
        own: Its trials by replicate.
        base: Those of the other.
    """

    recipes: str
    own: Mapping[int, str]
    base: Mapping[int, str]

    def was_seen(self, recorded: Collection[str]) -> bool:
        """Return whether of any replicate both sides have a record: one side alone shows no difference."""
        return any(
            trial in recorded and self.own.get(number) in recorded for number, trial in self.base.items()
        )


def count_other_arms(
    plan: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]], recorded: Collection[str]
) -> int:
    """Return how many arms that a plan does not compare were compared with baseline trials that it compares with.

    Args:
        plan: The plan as JSON.
        earlier: Other plans of its folder.
        recorded: The trials, of theirs, that have a record.
    """
    judged = {trial for pair in _pairs(plan) for trial in pair.own.values()}
    bases = {trial for pair in _pairs(plan) for trial in pair.base.values()}
    seen = bases.intersection(recorded)
    return len(
        {
            pair.own[min(pair.own)]
            for one in earlier
            for pair in _pairs(one)
            if judged.isdisjoint(pair.own.values())
            and not seen.isdisjoint(pair.base.values())
            and pair.was_seen(recorded)
        }
    )


def count_other_seeds(
    plan: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]], recorded: Collection[str]
) -> int:
    """Return with how many other seeds pairs of arms of equal recipes were run; the arguments are as above."""
    recipes = {pair.recipes for pair in _pairs(plan)}
    return len(
        {
            one.get("seed")
            for one in earlier
            if one.get("seed") != plan.get("seed")
            and any(pair.recipes in recipes and pair.was_seen(recorded) for pair in _pairs(one))
        }
    )


def _pairs(plan: Mapping[str, Any]) -> Iterator[_Pair]:
    """Yield what a plan compares, without the copies of a baseline: nobody looks for one that comes out well."""
    trials: dict[str, dict[int, str]] = {}
    for trial in plan["trials"]:
        trials.setdefault(trial["arm"], {})[trial["replicate"]] = trial["id"]
    recipes: dict[str, Any] = {arm["name"]: arm.get("recipe") for arm in plan["arms"]}
    for arm in plan["arms"]:
        name, base = arm["name"], str(arm.get("against") or plan.get("baseline"))
        if arm.get("compared", True) and name != base and not arm.get("copy_of"):
            yield _Pair(
                digest_json([recipes[name], recipes.get(base)]), trials.get(name, {}), trials.get(base, {})
            )
