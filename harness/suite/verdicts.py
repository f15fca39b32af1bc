"""Whether a plan can have verdicts, and from which difference on: fixed before the first trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.suite.copies import is_baseline
from harness.suite.load import Suite
from harness.suite.plan import STEADY_SECONDS, Arm, Plan, needed_replicates, needed_rounds

SMALLEST_MARGIN_POINTS = 0.1


def margin_points(suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the smallest difference that counts: the suite's, else 0.1 points or one test example."""
    if suite.margin is not None:
        return suite.margin
    counts: list[int] = [manifest["splits"]["test"]["count"] for manifest in manifests.values()]
    return max([SMALLEST_MARGIN_POINTS, *(100.0 / count for count in counts if count)])


def why_no_verdicts(suite: Suite, arms: Sequence[Arm], replicates: int) -> str:
    """Return why the plan may have no verdicts, or an empty string."""
    if not suite.verdicts:
        return "the suite is exploratory (verdicts = false)"
    baselines = [arm for arm in arms if is_baseline(arm, suite.baseline)]
    compared = [arm for arm in arms if arm.compared and not is_baseline(arm, suite.baseline)]
    if not compared:
        return "there is no arm to compare with the baseline"
    if all(arm.failure for arm in baselines):
        return "the baseline could not be resolved"
    needed = needed_replicates(len(compared), suite.alpha)
    if replicates >= needed:
        return ""
    return (
        f"with {replicates} replicates nothing could be significant: {len(compared)} arms against the baseline "
        f"at alpha {suite.alpha:g} take at least {needed}; {_what_to_change(replicates, needed, suite.alpha)}"
    )


def speed_outlook(plan: Plan) -> str:
    """Return whether a plan can have verdicts on speed and memory, and what it would take: `yes`, or `no, …`."""
    family = sum(arm.compared and not is_baseline(arm, plan.baseline) for arm in plan.arms)
    if not plan.verdicts:
        return "no, for the plan has none at all"
    return _rounds_outlook(plan, needed_rounds(max(1, family), plan.alpha))


def claims_outlook(plan: Plan) -> str:
    """Return whether the claims of a plan can have verdicts, and what it would take; empty where it has no claims.

    They are a family of their own: that of the arms may be smaller.
    """
    tested = [claim for claim in plan.claims if not claim.get("testable")]
    if not tested:
        return "none is called testable" if plan.claims else ""
    if not plan.verdicts:
        return "no, for the plan has none at all"
    many = f"{len(tested)} testable claim{'s' * (len(tested) > 1)}"
    needed = needed_replicates(len(tested), plan.alpha)
    if plan.replicates < needed:
        return f"no, {plan.replicates} replicates, {many} take {needed}: set replicates = {needed}"
    if all(claim["unit"] == "points" for claim in tested):
        return "yes"
    rounds = _rounds_outlook(plan, needed_rounds(len(tested), plan.alpha))
    some = (
        "" if all(claim["unit"] == "ratio" for claim in tested) else "of accuracy yes; of speed and memory "
    )
    return f"{some}{rounds}"


def _rounds_outlook(plan: Plan, needed: int) -> str:
    rounds, seconds = int(plan.timing["rounds"]), float(plan.timing["seconds"])
    if rounds < needed:
        has = f"{rounds} round{'s' * (rounds != 1)}, it takes {needed}"
        why = has if rounds else f"there is no timing pass, it takes {needed} rounds"
        return f"no, {why}: set [timing] rounds = {needed}" + _and_seconds(seconds)
    if seconds < STEADY_SECONDS:
        return (
            f"yes; a claim on speed takes {STEADY_SECONDS:g} s a round, this plan has {seconds:g}: "
            f"set [timing] seconds = {STEADY_SECONDS:g}"
        )
    return "yes"


def _and_seconds(seconds: float) -> str:
    return f" and seconds = {STEADY_SECONDS:g}" if seconds < STEADY_SECONDS else ""


def outlook_lines(plan: Plan) -> list[str]:
    """Return what a plan can say beside accuracy, in words: of speed and memory, and of its claims where it has any."""
    claims = claims_outlook(plan)
    if claims and (cell := next((arm.cell for arm in plan.arms if arm.cell), None)):
        # The suite's names are those of the first cell.
        where = ", ".join(f"{key} = {_value(value)}" for key, value in cell.items())
        claims += f"; each is tested in the first cell of the grid alone ({where})"
    lines = [f"speed verdicts: {speed_outlook(plan)}"] if plan.verdicts else []
    return [*lines, f"claim verdicts: {claims}"] if claims and plan.verdicts else lines


def _value(value: object) -> str:
    """Return a value of a grid as the suite writes it, of a component its name."""
    return str(value.get("name", value) if isinstance(value, Mapping) else value)


def _what_to_change(replicates: int, needed: int, alpha: float) -> str:
    """Return in words what would let a plan have verdicts."""
    most = 0
    while needed_replicates(most + 1, alpha) <= replicates:
        most += 1
    fewer = f", or compare {most} arm{'s' * (most > 1)} at the most" if most else ""
    return f"set replicates = {needed}{fewer}"
