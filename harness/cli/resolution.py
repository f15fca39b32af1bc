"""What a plan can resolve, and what it would take to resolve something else: `harness plan`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.board.cells import cells_in_words
from harness.board.power import (
    detectable,
    replicates_for,
    replicates_for_equal,
    replicates_for_non_inferiority,
)
from harness.board.statistics import POWER
from harness.cli.earlier import nearest_spread, spread_of
from harness.suite.copies import is_baseline
from harness.suite.plan import Plan, needed_replicates

Json = dict[str, Any]

_MOST_CELLS = 20
"""Cells of a grid that are told one by one; of a larger grid none is."""


def resolution_of(
    plan: Plan, records: Mapping[str, Json], results: Path, wished_points: float | None
) -> Json | None:
    """Return the smallest difference that a plan finds in 80 % of runs, and the replicates that others take.

    Args:
        plan: The plan.
        records: By trial, its records that count.
        results: The results folder, for the deviation of other suites where the plan's arms have none yet.
        wished_points: A difference that should be found; None where nobody asks.

    Returns:
        None where nothing is compared. Numbers of points are null where no deviation is known or n is too small;
        those in units of the deviation leave the margin out. A number of replicates is null above 100,000.
    """
    family = sum(arm.compared and not is_baseline(arm, plan.baseline) for arm in plan.arms)
    if not family:
        return None
    n, alpha, margin = plan.replicates, plan.alpha, plan.margin_points
    spread = nearest_spread(plan, records, results)
    deviation = None if spread is None else spread.deviation
    told: Json = {
        "power": POWER,
        "alpha": alpha,
        "family": family,
        "replicates": n,
        "needed_replicates": needed_replicates(family, alpha),
        "deviation_points": deviation,
        "pairs": None if spread is None else spread.pairs,
        "source": None if spread is None else spread.source,
        "in_deviations": _finite(detectable(1.0, n, family, alpha)),
        "points": None if deviation is None else _finite(detectable(deviation, n, family, alpha, margin)),
        "cells": _by_cell(plan, records, family),
        "margin_points": margin,
        "equal": _equal(plan, family, deviation),
        "non_inferior": _non_inferior(plan, family, deviation),
        "wished": None if wished_points is None else _wished(wished_points, plan, family, deviation),
    }
    return told


def _by_cell(plan: Plan, records: Mapping[str, Json], family: int) -> list[Json]:
    """Return what each cell of a grid resolves by its own records: data sets differ in how much luck there is."""
    members: dict[str, set[str]] = {}
    for arm in plan.arms:
        if arm.compared and not arm.copy_of:
            members.setdefault(arm.against or plan.baseline, set()).add(arm.name)
    told, whole = [], plan.to_json()
    for base, names in members.items() if 1 < len(members) <= _MOST_CELLS else []:
        found = spread_of(whole, records, names)
        points = (
            detectable(found[0], plan.replicates, family, plan.alpha, plan.margin_points)
            if found
            else math.inf
        )
        told.append(
            {
                "baseline": base,
                "cell": dict(plan.arm(base).cell),
                "deviation_points": found[0] if found else None,
                "pairs": found[1] if found else None,
                "points": _finite(points),
            }
        )
    return told


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _equal(plan: Plan, family: int, deviation: float | None) -> Json:
    margin = plan.equal_margin_points
    count = None if deviation is None else replicates_for_equal(margin, deviation, family, plan.alpha)
    return {"margin_points": margin, "replicates": count}


def _non_inferior(plan: Plan, family: int, deviation: float | None) -> Json:
    margin = plan.non_inferiority_points
    count = (
        None if deviation is None else replicates_for_non_inferiority(margin, deviation, family, plan.alpha)
    )
    return {"margin_points": margin, "replicates": count}


def _wished(points: float, plan: Plan, family: int, deviation: float | None) -> Json:
    margin = plan.margin_points
    if points <= margin:
        reason = f"it is no more than the margin of {margin:.2g} points: no plan finds it in more than half of its runs"
        return {"points": points, "replicates": None, "reason": reason}
    if deviation is None:
        count = replicates_for(1.0, 1.0, family, plan.alpha)
        reason = (
            f"the deviation of paired differences is unknown; {count} where it is as large as the difference, "
            "and for a deviation k times as large about k² as many"
        )
        return {"points": points, "replicates": None, "reason": reason}
    count = replicates_for(points, deviation, family, plan.alpha, margin)
    return {"points": points, "replicates": count, "reason": "" if count else "it takes more than 100,000"}


def resolution_lines(told: Json | None) -> list[str]:
    """Return it in words."""
    if told is None:
        return ["nothing is compared with a baseline, so there is no difference to resolve"]
    lines = [_smallest(told)]
    cells = [one for one in told["cells"] if one["points"] is not None]
    shown = cells_in_words([one["cell"] for one in told["cells"]])
    named = dict(zip((one["baseline"] for one in told["cells"]), shown, strict=True))
    for one in cells:
        where = ", ".join(f"{key} {value}" for key, value in named[one["baseline"]].items())
        lines.append(
            f"  {one['points']:.2g} points at {where or one['baseline']} (a deviation of "
            f"{one['deviation_points']:.2g} points in {one['pairs']} pairs)"
        )
    if (wished := told["wished"]) is not None:
        lines.append(
            f"to resolve {wished['points']:g} points: "
            + (
                f"{wished['replicates']} replicates"
                if wished["replicates"]
                else f"unknown, {wished['reason']}"
            )
        )
    for key, words in (("equal", "“equal” within"), ("non_inferior", "non-inferior by")):
        if told["deviation_points"] is not None:
            count, margin = told[key]["replicates"], told[key]["margin_points"]
            lines.append(
                f"a verdict of {words} {margin:.2g} points takes {count or 'more than 100,000'} replicates"
            )
    return lines


def _smallest(told: Json) -> str:
    power = f"{100 * told['power']:g} % power"
    if told["in_deviations"] is None:
        return f"resolves nothing: {told['replicates']} replicates, and it takes {told['needed_replicates']}"
    relative = f"{told['in_deviations']:.3g} standard deviations of the paired differences"
    if told["points"] is None:
        return f"resolves {relative} at {power}; how many points that is, is unknown before the first records"
    return (
        f"resolves {told['points']:.2g} points at {power} (a deviation of {told['deviation_points']:.2g} points in "
        f"{told['pairs']} pairs, {told['source']})"
    )
