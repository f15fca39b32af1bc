"""What an arm's parents cost: beside its own cost, for without them it is not to be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board.select import ArmTrials, numbers_at, value_at
from harness.board.statistics import median_if_any
from harness.record.packed import MOST_FLOPS

Json = dict[str, Any]

COSTS = ("training_flops", "train_seconds")


def parents_of(arm: str, arms: Mapping[str, Json], trials: ArmTrials, board_rows: Mapping[str, Json]) -> Json:
    """Return what a row says of its parents; nothing where the arm needs none.

    Args:
        arm: The arm's name.
        arms: The plan's arms by name.
        trials: Its trials.
        board_rows: The rows of all arms so far.

    Returns:
        `parents`: by role `{arm or file, training_flops, train_seconds}`, as the arm's own records have it, the median
        over replicates. `parents_cost`: both in all, of every arm that it needs, directly or not, each once; None where
        a file is among them, of which nobody knows the cost.
    """
    needed = _parents(arms[arm])
    if not needed:
        return {}
    rests = [one.rest for one in trials.good.values()]
    told = {
        role: {
            **{key: parent[key] for key in ("arm", "file") if key in parent},
            **{
                cost: median_if_any(
                    [x for x in numbers_at(rests, "parents", role, cost) if 0.0 <= x <= MOST_FLOPS]
                )
                for cost in COSTS
            },
        }
        for role, parent in sorted(needed.items())
    }
    above, has_file = _ancestors(arm, arms)
    cost = {
        key: None if has_file else _sum([board_rows.get(name, {}).get(key) for name in above])
        for key in COSTS
    }
    return {"parents": told, "parents_cost": cost}


def _parents(arm: Json) -> Mapping[str, Json]:
    found: Mapping[str, Json] = value_at(arm.get("recipe"), "parents") or {}
    return found


def _ancestors(arm: str, arms: Mapping[str, Json]) -> tuple[list[str], bool]:
    """Return the names of all arms that an arm needs, and whether it or one of them needs a file."""
    above: set[str] = set()
    waiting, has_file = [arm], False
    while waiting:
        for parent in _parents(arms.get(waiting.pop(), {})).values():
            name = parent.get("arm")
            has_file = has_file or name is None
            if name is not None and name not in above:
                above.add(name)
                waiting.append(name)
    return sorted(above), has_file


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
