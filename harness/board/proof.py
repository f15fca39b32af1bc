"""Whether what an arm adds to its baseline ever acted: the observables of its tricks (PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def idle_tricks(row: Json, baseline: Json) -> list[str]:
    """Return the observables of the tricks that an arm adds, where it adds nothing else and none of them ever acted.

    Its difference from the baseline, whatever it is, is then not theirs: a device that does not repeat its bits, or
    chance. Empty for an arm that also differs in something that has no observable (an augmentation, a rate), or in
    a trick that reports none.

    Args:
        row: Of the arm, with `recipe` and `observables`.
        baseline: Of what it is compared with.
    """
    own, other = row.get("recipe") or {}, baseline.get("recipe") or {}
    if _without_tricks(own) != _without_tricks(other):
        return []
    shared = list(other.get("tricks") or [])
    added = []
    for trick in own.get("tricks") or []:
        if trick in shared:
            shared.remove(trick)
        else:
            added.append(trick)
    # A trick of the baseline that is gone, or has other parameters, is a difference of its own.
    if shared or not added:
        return []
    names = added_observables(row, baseline)
    idle = [
        name for name in names if row["observables"][name]["low"] == 0.0 == row["observables"][name]["high"]
    ]
    return idle if len(idle) == len(names) == len(added) else []


def added_observables(row: Json, baseline: Json) -> list[str]:
    """Return the names under which an arm observes what its baseline does not."""
    return [name for name in row.get("observables") or {} if name not in (baseline.get("observables") or {})]


def _without_tricks(recipe: Json) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "tricks"}
