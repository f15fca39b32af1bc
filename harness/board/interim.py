"""Why a verdict has to wait: what the plan has is not all there yet.

The floor and the level of a test are those of the planned replicates. A board that is looked at after every replicate,
from the floor on, announces a difference that is none in up to 18 % of runs at a level of 5 % (simulated: one arm, 20
replicates): optional stopping. So an unfinished comparison shows its difference and interval, and no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.board.select import ArmTrials, Record
from harness.board.wording import counted

Json = Mapping[str, Any]


def wait_for_replicates(rows: Mapping[str, Json], arm: str, against: str) -> str | None:
    """Return why two arms are not compared yet, or None. A replicate that failed is there; one that is missing is not.

    Args:
        rows: By arm, with `replicates`.
        arm: One side.
        against: The other.
    """
    for side in (arm, against):
        counts = rows[side]["replicates"] if side in rows else {"missing": 0}
        if counts["missing"]:
            whose = "" if side == arm else f' of "{side}"'
            return _waits(counts["planned"] - counts["missing"], counts["planned"], f"replicates{whose}")
    return None


def wait_for_planned(trials: ArmTrials) -> str | None:
    """Return why an arm's trials are not compared with those of another result yet, or None."""
    if len(trials.counted) >= len(trials.planned):
        return None
    return _waits(len(trials.counted), len(trials.planned), "replicates")


def wait_for_rounds(measured: Mapping[str, int], planned: int, arm: str, against: str) -> str | None:
    """Return why the speeds of two arms are not compared yet, or None. A round that failed is there.

    Args:
        measured: By arm, in how many rounds there is a timing of it, whatever its status.
        planned: Rounds of the plan.
        arm: One side.
        against: The other.
    """
    for side in (arm, against):
        if (there := measured.get(side, 0)) < planned:
            whose = "" if side == arm else f' of "{side}"'
            return _waits(there, planned, f"timing rounds{whose}")
    return None


def none_completed(rounds: Mapping[str, object], planned: int, arm: str, against: str) -> str | None:
    """Return why the speeds of two arms cannot be compared, or None: every round of one of them failed.

    Args:
        rounds: By arm, the rounds that completed.
        planned: Rounds of the plan.
        arm: One side.
        against: The other.
    """
    for side in (arm, against) if planned else ():
        if not rounds.get(side):
            return f'no verdict: no timing round of "{side}" completed'
    return None


def waits_by_arm(
    plan: Json,
    arms: Mapping[str, Json],
    against: Mapping[str, str],
    measured: Mapping[str, int],
    rounds: Mapping[str, object],
) -> dict[str, str]:
    """Return, by arm, why its speed and its memory are not compared yet.

    Nothing of a timing pass that has not begun, which `not_timed` says once, and nothing of an arm that is not run.

    Args:
        plan: The plan as JSON.
        arms: Its arms by name.
        against: By arm, what it is compared with.
        measured: By arm, in how many rounds there is a timing of it, whatever its status.
        rounds: By arm, those that completed.
    """
    if not measured:
        return {}
    planned = rounds_planned(plan)
    return {
        arm: why
        for arm, base in against.items()
        if not arms[arm].get("failure")
        and (
            why := wait_for_rounds(measured, planned, arm, base) or none_completed(rounds, planned, arm, base)
        )
    }


def not_timed(plan: Json, measured: Mapping[str, int]) -> list[str]:
    """Return what a board says of a timing pass that has not begun; nothing where the plan has none."""
    planned = rounds_planned(plan)
    if measured or not planned:
        return []
    return [f"not timed yet: 0 of {counted(planned, 'timing round')}, so nothing is said of speed and memory"]


def rounds_measured(timings: Iterable[Record]) -> dict[str, int]:
    """Return by arm in how many rounds there is a timing of it, whatever its status."""
    found: dict[str, set[int]] = {}
    for timing in timings:
        found.setdefault(str(timing.get("arm")), set()).add(int(timing.get("round") or 0))
    return {arm: len(rounds) for arm, rounds in found.items()}


def rounds_planned(plan: Json) -> int:
    """Return how many timing rounds a plan has; 0 where it has no timing pass."""
    timing = plan.get("timing") or {}
    return int(timing.get("rounds") or 0)


def unfinished(rows: Mapping[str, Json], arms: Sequence[str]) -> set[str]:
    """Return which of some arms lack replicates."""
    return {arm for arm in arms if rows[arm]["replicates"]["missing"]}


def _waits(there: int, planned: int, what: str) -> str:
    every = "timing rounds" if what.startswith("timing") else "replicates"
    return f"no verdict: interim, {there} of {planned} {what}; verdicts are given when all planned {every} are there"


def stamps_beside(row: Json) -> list[str]:
    """Return a row's stamps without the one that its reason says already: `7 of 8 replicates`."""
    return [stamp for stamp in row["stamps"] if f"interim, {stamp};" not in row["reason"]]
