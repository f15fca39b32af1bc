"""What is claimed of an arm, held against what was measured here.

A claim compares two arms, any two, by paired differences in points of accuracy or by paired ratios over the rounds of
the timing pass. The claims that the suite calls testable are a family of their own, declared before the run: sign-flip
tests with Holm over it, Student t intervals simultaneous over it (PROTOCOL.md).

*Reproduced*: significant with the claimed sign, beyond the margin, and the interval, which no longer holds 0, holds the
claimed effect or lies beyond it. *Weaker*: significant with that sign, and the interval above 0 and wholly below the
claim. *Contradicted*: significant with the other sign, or equal by two one-sided tests though more is claimed. Anything
else is *not resolved*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from harness.board import rows, wording
from harness.board.claim_verdict import beside_table, judge_claim
from harness.board.data import has_other_test
from harness.board.interim import none_completed, rounds_planned, wait_for_replicates, wait_for_rounds
from harness.board.proof import idle_tricks
from harness.board.refusals import OTHER_TEST
from harness.board.select import ArmTrials, Record, number_at
from harness.board.speed import noisy_of
from harness.board.speed_verdict import (
    SIZE,
    SPEED,
    judge_ratios,
    memory_ratios,
    non_inferior,
    short_of_steady,
    speed_ratios,
    too_few_pairs,
    too_few_rounds,
)
from harness.board.verdict import Comparison, Rules, compare
from harness.suite.plan import NON_INFERIORITY_POINTS, needed_replicates

Json = dict[str, Any]
Arms = Mapping[str, Json]
Rounds = Mapping[str, Mapping[int, Record]]

NOT_TESTABLE = "not testable"


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a board knows of its arms when it comes to the claims.

    Attributes:
        arms: The plan's arms by name.
        board_rows: Their rows.
        trials: Their trials.
        chances: The accuracy of guessing on their data, in points.
        rounds: Their completed timings by round.
        timed: In how many rounds there is a timing of them, whatever its status.
    """

    arms: Arms
    board_rows: Mapping[str, Json]
    trials: Mapping[str, ArmTrials]
    chances: Mapping[str, float]
    rounds: Rounds
    timed: Mapping[str, int]


_JUDGES: dict[str, Callable[..., dict[str, Comparison]]] = {
    "top1": compare,
    "images_per_second": partial(judge_ratios, margin=SPEED.margin),
    "peak_memory": partial(judge_ratios, margin=SIZE.margin),
}
"""By the metric of a claim, what compares its arms."""


def claims_family(plan: Mapping[str, Any]) -> int:
    """Return how many claims are tested together: those that the suite does not call untestable."""
    return max(1, sum(1 for claim in plan.get("claims") or [] if not claim.get("testable")))


def claims_of(plan: Mapping[str, Any], measured: Measured, rules: Rules) -> list[Json]:
    """Return the claims of a plan in its order; empty where it has none.

    Args:
        plan: The plan as JSON.
        measured: What the board has found so far.
        rules: What the plan fixed; the family here is that of the claims, not that of the arms.

    Returns:
        Each `{name, source, arm, against, metric, unit, claimed, measured, p, p_holm, verdict, reason}`, and `cell`
        where the arm is one of a grid's: the claim is tested there alone. `measured` is `{mean, low, high, count}` in
        the claim's unit or None. The verdict is None where none can be backed, and
        the reason says why.
    """
    claims, family, arms = plan.get("claims") or [], claims_family(plan), rules.family
    rules = replace(rules, family=family, needed=needed_replicates(family, rules.alpha))
    effects: dict[str, dict[int, list[float]]] = {metric: {} for metric in _JUDGES}
    refusals: dict[int, str] = {}
    untestable: dict[int, str] = {}
    for index, claim in enumerate(claims):
        if why := _untestable(plan, claim, measured):
            untestable[index] = why
            continue
        effects[claim["metric"]][index] = _effects(claim, measured)
        if why := _refusal(plan, claim, measured, effects[claim["metric"]][index], rules):
            refusals[index] = why
    comparisons = _compare(effects, refusals, rules)
    told = []
    for index, claim in enumerate(claims):
        comparison = comparisons.get(index)
        one = _told(claim, comparison, untestable.get(index), rules)
        if cell := measured.arms.get(claim["arm"], {}).get("cell"):
            one["cell"] = cell
        if comparison is not None and comparison.verdict is not None:
            if claim["metric"] == "images_per_second":
                one["reason"] += short_of_steady(number_at(plan, "timing", "seconds"))
            one["reason"] += beside_table(claim, comparison, measured.board_rows[claim["arm"]], arms)
        told.append(one)
    return told


def _compare(
    effects: Mapping[str, Mapping[int, Sequence[float]]], refusals: Mapping[int, str], rules: Rules
) -> dict[int, Comparison]:
    """Compare points, speeds and memory apart, each within the whole family: what the others hold counts as p = 1."""
    return {
        int(index): comparison
        for metric, judge in _JUDGES.items()
        for index, comparison in judge(
            {str(index): values for index, values in effects[metric].items()},
            {str(index): why for index, why in refusals.items() if index in effects[metric]},
            rules,
        ).items()
    }


def _untestable(plan: Mapping[str, Any], claim: Json, measured: Measured) -> str | None:
    """Return why a claim cannot be tested whatever the records say, or None."""
    if claim.get("testable"):
        return str(claim["testable"])
    if claim["metric"] == "top1":
        return None
    if not number_at(plan, "timing", "rounds"):
        return "the suite has no timing pass (timing.rounds = 0)"
    own, other = (measured.rounds.get(claim[key], {}) for key in ("arm", "against"))
    if claim["metric"] == "peak_memory" and own and other and not memory_ratios(own, other):
        return "the timings hold no peak memory"
    return None


def _effects(claim: Json, measured: Measured) -> list[float]:
    """Return arm minus against by replicate, in points, or the log ratios by round."""
    if claim["metric"] == "top1":
        return _differences(claim, measured)
    ratios = speed_ratios if claim["metric"] == "images_per_second" else memory_ratios
    return ratios(*(measured.rounds.get(claim[key], {}) for key in ("arm", "against")))


def _differences(claim: Json, measured: Measured) -> list[float]:
    sides = [claim["arm"], claim["against"]]
    if not all(side in measured.trials for side in sides):
        return []
    own, other = (measured.trials[side] for side in sides)
    if not own.good or not other.good:
        return []  # chance against chance is no measurement: as in the table, nothing is told of them
    return rows.paired(own, other, *(measured.chances[side] for side in sides))


def _refusal(
    plan: Mapping[str, Any], claim: Json, measured: Measured, effects: Sequence[float], rules: Rules
) -> str | None:
    """Return why a claim gets no verdict, or None."""
    if not plan.get("verdicts"):
        told = f"no verdict: {plan.get('verdicts_reason') or 'the plan asks for none'}"
        replicates = number_at(plan, "replicates")
        # The table's reason speaks of its own family; that of the claims may take more.
        is_short = replicates is not None and replicates < rules.needed
        theirs = f"; {wording.counted(rules.family, 'claim')} take {rules.needed} replicates"
        return told + theirs if is_short else told
    for side in (claim["arm"], claim["against"]):
        row = measured.board_rows.get(side)
        if row is None:
            return f'no verdict: arm "{side}" is not in this plan'
        if why := measured.arms[side].get("failure"):
            return f'no verdict: arm "{side}" was not run: {why}'
        if not row["replicates"]["good"]:
            return f'no verdict: arm "{side}" has no result'
        if rows.is_unstable(row):
            counts = row["replicates"]
            finished = counts["planned"] - counts["missing"]
            return f'no verdict: arm "{side}" is unstable: {counts["failed"]} of {finished} failed'
    own, other = claim["arm"], claim["against"]
    if has_other_test(plan, measured.arms[own], measured.arms[other]):
        return f"no verdict: {OTHER_TEST}"
    varied = {"varies": [one for arm in (own, other) for one in measured.arms[arm].get("varies") or []]}
    if rows.order_differs(varied, measured.trials[own], measured.trials[other]):
        return "no verdict: not comparable: order"
    if why := _no_op(own, other, measured) or _no_op(other, own, measured):
        return why
    if waits := wait_for_replicates(measured.board_rows, own, other):
        return waits
    return None if claim["metric"] == "top1" else _refused_ratio(plan, claim, measured, effects, rules)


def _no_op(arm: str, against: str, measured: Measured) -> str | None:
    """Return why an arm is no test of what it adds to another: none of it ever acted, or the bits are the other's."""
    row, other = measured.board_rows[arm], measured.board_rows[against]
    if idle := idle_tricks(row, other):
        return f'no verdict: arm "{arm}" is a no-op, {", ".join(idle)} never acted and nothing else differs'
    if row["against"] == against and rows.equals_baseline(row["stamps"]):
        return f'no verdict: arm "{arm}" is a no-op, its weights and outputs are those of "{against}", bit for bit'
    return None


def _refused_ratio(
    plan: Mapping[str, Any], claim: Json, measured: Measured, effects: Sequence[float], rules: Rules
) -> str | None:
    """Return why a claim on speed or memory gets no verdict: too few rounds, or accuracy that is lost."""
    sides = claim["arm"], claim["against"]
    planned = rounds_planned(plan)
    if waits := (
        wait_for_rounds(measured.timed, planned, *sides) or none_completed(measured.rounds, planned, *sides)
    ):
        return waits
    is_speed = claim["metric"] == "images_per_second"
    noisy = len(noisy_of(*(measured.rounds.get(side, {}) for side in sides))) if is_speed else 0
    if why := too_few_rounds(effects, noisy, rules, " claims"):
        return why
    told = number_at(plan, "non_inferiority_points")
    margin = NON_INFERIORITY_POINTS if told is None else told
    accuracy = non_inferior(_differences(claim, measured), margin, rules)
    if not accuracy["holds"]:
        found = too_few_pairs(accuracy, rules)
        return (
            f'no verdict: accuracy is not shown to be within {margin:g} points of "{claim["against"]}"{found}'
        )
    return None


def _told(claim: Json, comparison: Comparison | None, untestable: str | None, rules: Rules) -> Json:
    keys = ("name", "source", "arm", "against", "metric", "unit", "claimed")
    told = {key: claim.get(key) for key in keys}
    if comparison is None:
        nothing = {"measured": None, "p": None, "p_holm": None}
        return {**told, **nothing, "verdict": NOT_TESTABLE, "reason": untestable}
    verdict, reason = judge_claim(claim, comparison, rules)
    return {
        **told,
        "measured": _measured(claim["unit"], comparison),
        "p": comparison.p,
        "p_holm": comparison.p_holm,
        "verdict": verdict,
        "reason": reason,
    }


def _measured(unit: str, comparison: Comparison) -> Json | None:
    estimate = comparison.difference
    if estimate is None:
        return None
    numbers = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    if unit == "ratio":
        # A limit beyond any float (two rounds that differ wildly) is no limit.
        numbers = {key: None if x is None or x > 700.0 else math.exp(x) for key, x in numbers.items()}
    return {**numbers, "count": estimate.count}
