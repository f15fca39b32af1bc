"""The order of the rows, and how far each rank is certain.

A rank by mean says nothing of chance. A rank interval does: from all pairs of arms in a cell, each tested by sign-flip
and Holm over all pairs of the board, an arm of m stands in [1 + number significantly better, m - number significantly
worse] (PROTOCOL.md, "Replicates and the verdict").

An unstable arm has a rank but no rank interval, as an unstable baseline gives no verdicts: its pairs are not tested,
and may fall out either way in the intervals of the others. So does one of which planned replicates are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.board.interim import unfinished
from harness.board.rows import is_unstable, paired_values
from harness.board.select import ArmTrials
from harness.board.sign_flip import pair_flip_ps
from harness.board.statistics import holm
from harness.board.verdict import Rules
from harness.suite.plan import needed_replicates

Json = dict[str, Any]

NO_VERDICT = ("not run", "failed", "not comparable")
"""How the stamps begin that keep an arm from a verdict and from a rank."""

MOST_PAIRS = 2000
"""More take seconds, and as many replicates that nobody has them."""


def is_ranked(row: Json) -> bool:
    """Return whether an arm has a place among the others."""
    if row["top1"] is None or not row.get("compared", True):
        return False
    return not any(stamp.startswith(NO_VERDICT) for stamp in row["stamps"])


def ranked(rows: Mapping[str, Json], against: Mapping[str, str]) -> list[Json]:
    """Return the rows with their ranks: cell after cell, by mean accuracy, equal means sharing a rank.

    What cannot be ranked comes last in its cell. A suite without a grid is one cell.
    """
    found: list[Json] = []
    for members in cells_of(rows, against).values():
        placed = sorted(
            (rows[arm] for arm in members if is_ranked(rows[arm])),
            key=lambda row: (-row["top1"]["mean"], row["arm"]),
        )
        for position, row in enumerate(placed, start=1):
            above = placed[position - 2] if position > 1 else None
            tied = above is not None and above["top1"]["mean"] == row["top1"]["mean"]
            row["rank"] = above["rank"] if above is not None and tied else position
        rest = sorted(arm for arm in members if not is_ranked(rows[arm]))
        found += [*placed, *({**rows[arm], "rank": None} for arm in rest)]
    return found


def cells_of(arms: Iterable[str], against: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the arms by the baseline that they share, in the order of the plan."""
    cells: dict[str, list[str]] = {}
    for arm in arms:
        cells.setdefault(against[arm], []).append(arm)
    return cells


def rank_intervals(
    rows: Mapping[str, Json],
    trials: Mapping[str, ArmTrials],
    chances: Mapping[str, float],
    against: Mapping[str, str],
    rules: Rules,
    no_verdicts: str | None,
) -> tuple[Json, dict[str, list[int]]]:
    """Return what the board says of its ranks, and by arm the first and last rank that it may have.

    Args:
        rows: By arm, with their stamps.
        trials: By arm.
        chances: By arm, the accuracy of guessing, which a failed replicate has.
        against: By arm, its baseline.
        rules: What the plan fixed.
        no_verdicts: Why the plan has no verdicts, or None.

    Returns:
        `{family, needed, reason}`: how many pairs there are, how many replicates it takes to tell any of them apart,
        and why there are no intervals, or null. Without a reason, each ranked arm has an interval, apart from those
        that are stamped unstable or lack replicates.
    """
    cells = cells_of((arm for arm in rows if rows[arm].get("compared", True)), against)
    # Pairs that cannot be tested stay in the family that the plan declared.
    family = sum(len(members) * (len(members) - 1) // 2 for members in cells.values())
    needed = needed_replicates(max(family, 1), rules.alpha)
    told: Json = {"family": family, "needed": needed, "reason": None}
    values = {
        arm: paired_values(trials[arm], chances[arm])
        for members in cells.values()
        for arm in members
        if is_ranked(rows[arm])
    }
    lacking = unfinished(rows, list(values))
    stable = {
        arm: found for arm, found in values.items() if arm not in lacking and not is_unstable(rows[arm])
    }
    reason = no_verdicts or _why_not(family, needed, [len(one) for one in values.values()])
    if not reason and len(stable) < 2 <= len(values):
        reason = "fewer than two arms are stable" + (" and have all their replicates" if lacking else "")
    if reason:
        return {**told, "reason": reason}, {}
    better = _significantly_better(cells, stable, family, needed, rules)
    intervals = {}
    for members in cells.values():
        placed = [arm for arm in members if arm in values]
        for arm in (one for one in placed if one in stable):
            above = sum(1 for other in placed if (other, arm) in better)
            below = sum(1 for other in placed if (arm, other) in better)
            intervals[arm] = [1 + above, len(placed) - below]
    return told, intervals


def _why_not(family: int, needed: int, counts: Sequence[int]) -> str | None:
    if not family:
        return "there is one arm"
    if family > MOST_PAIRS:
        return f"{family} pairs of arms are more than the {MOST_PAIRS} that are tested against each other"
    most = sorted(counts)[-2] if len(counts) > 1 else 0
    if most < needed:
        return (
            f"{family} pairs of arms take {needed} replicates before any two could be told apart; there are {most}, "
            "which is enough for verdicts against the baseline at the most"
        )
    return None


def _significantly_better(
    cells: Mapping[str, Sequence[str]],
    values: Mapping[str, Mapping[int, float]],
    family: int,
    needed: int,
    rules: Rules,
) -> set[tuple[str, str]]:
    """Return the pairs (better, worse) that Holm over all pairs leaves significant."""
    p_values: dict[tuple[str, str], float] = {}
    for members in cells.values():
        arms = {arm: values[arm] for arm in members if arm in values}
        p_values |= pair_flip_ps(arms, needed, rules.seed, rules.alpha / family)
    adjusted = holm([*p_values.values(), *[1.0] * (family - len(p_values))])
    return {pair for pair, p in zip(p_values, adjusted, strict=False) if p <= rules.alpha}
