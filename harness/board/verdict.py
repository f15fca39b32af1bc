"""From paired differences to a verdict with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board.digits import p_beside, points_beside
from harness.board.statistics import (
    Estimate,
    detectable_difference,
    equivalence_p,
    estimate,
    holm,
    sign_flip_ps,
)
from harness.board.wording import counted
from harness.suite.plan import needed_replicates

DEFAULT_ALPHA = 0.05
SMALLEST_MARGIN = 0.1  # points


@dataclass(frozen=True, slots=True)
class Rules:
    """What the plan fixed before the run.

    Attributes:
        alpha: Level of the family.
        family: Number of arms that are compared with a baseline, over all cells of a grid, failed ones included.
        margin: Smallest difference that matters, in points.
        equal_margin: What "equal" has to stay within, in points.
        needed: Fewest non-zero differences with which significance is possible.
        seed: The suite's; keys the drawn signs.
    """

    alpha: float
    family: int
    margin: float
    equal_margin: float
    needed: int
    seed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm against its baseline; differences are arm minus baseline, in points.

    Attributes:
        difference: Mean with an interval simultaneous over the family; None without pairs.
        nonzero: How many pairs differ.
        p: Of the sign-flip test; None where no verdict is given.
        p_holm: The same after Holm over the family.
        p_equal: Of the two one-sided tests; significant at alpha / family.
        detectable: What true difference would be found, and to be beyond the margin, in 80 % of such runs.
        verdict: "better", "worse", "equal", "not resolved", or None.
        reason: One line.
    """

    difference: Estimate | None
    nonzero: int
    p: float | None
    p_holm: float | None
    p_equal: float | None
    detectable: float | None
    verdict: str | None
    reason: str


def against_of(plan: Mapping[str, Any], arm: Mapping[str, Any]) -> str:
    """Return the arm that an arm is compared with: the plan's baseline, or that of its cell, which names itself."""
    return str(arm.get("against") or plan.get("baseline"))


def rules_of(plan: Mapping[str, Any], test_count: int) -> Rules:
    """Read the rules from a plan; `test_count` is the number of test examples, 0 where it is not known."""
    alpha = float(plan.get("alpha") or DEFAULT_ALPHA)
    others = [arm for arm in plan.get("arms", []) if arm["name"] != against_of(plan, arm)]
    family = max(1, sum(1 for arm in others if arm.get("compared", True)))
    margin = plan.get("margin_points")
    if margin is None:
        margin = max(SMALLEST_MARGIN, 100.0 / test_count if test_count else 0.0)
    equal_margin = plan.get("equal_margin_points", plan.get("equal_margin"))
    return Rules(
        alpha=alpha,
        family=family,
        margin=float(margin),
        equal_margin=float(margin if equal_margin is None else equal_margin),
        needed=needed_replicates(family, alpha),
        seed=int(plan.get("seed") or 0),
    )


def compare(
    differences: Mapping[str, Sequence[float]], refusals: Mapping[str, str], rules: Rules
) -> dict[str, Comparison]:
    """Compare every arm with its baseline.

    Args:
        differences: By arm, one number a paired replicate, in points.
        refusals: By arm, why it gets no verdict; an arm that is not here may have one.
        rules: What the plan fixed.
    """
    refusals = {
        **{arm: short for arm, values in differences.items() if (short := _too_few(values, rules))},
        **refusals,
    }
    tested = [arm for arm in differences if arm not in refusals]
    share = rules.alpha / rules.family
    found = sign_flip_ps([differences[arm] for arm in tested], rules.seed, share)
    p_values = dict(zip(tested, found, strict=True))
    # Arms without a verdict stay in the family that was declared: their p-values are taken to be 1.
    filled = [*p_values.values(), *[1.0] * (rules.family - len(tested))]
    adjusted = dict(zip(tested, holm(filled), strict=False))
    return {
        arm: _compare_one(values, p_values.get(arm), adjusted.get(arm), refusals.get(arm), rules)
        for arm, values in differences.items()
    }


def _too_few(differences: Sequence[float], rules: Rules) -> str | None:
    if len(differences) >= rules.needed:
        return None
    return (
        f"no verdict: {counted(len(differences), 'paired replicate')}, and a family of {rules.family} "
        f"needs {rules.needed} before any difference could be significant"
    )


def _compare_one(
    differences: Sequence[float], p: float | None, p_holm: float | None, refusal: str | None, rules: Rules
) -> Comparison:
    share = rules.alpha / rules.family
    difference = estimate(differences, share)
    nonzero = sum(1 for value in differences if value != 0.0)
    detectable = detectable_difference(differences, share, rules.margin)
    p_equal = None if refusal else equivalence_p(differences, rules.equal_margin)
    verdict: str | None = None
    reason = refusal or ""
    if difference is not None and p_holm is not None and not refusal:
        verdict, reason = _judge(difference, nonzero, p_holm, p_equal, detectable, rules)
    return Comparison(difference, nonzero, p, p_holm, p_equal, detectable, verdict, reason)


def decide(
    mean: float,
    p_holm: float,
    p_equal: float | None,
    alpha: float,
    family: int,
    margin: float,
    *,
    all_equal: bool,
) -> str:
    """Return "better", "worse", "equal" or "not resolved", of a board's arm and of a comparison's alike.

    Args:
        mean: Mean difference, in points.
        p_holm: That there is none, after Holm over the family.
        p_equal: Of the two one-sided tests; significant at alpha / family.
        alpha: Level of the family.
        family: How many are tested.
        margin: Smallest difference that matters, in points.
        all_equal: Whether every pair has one and the same accuracy.
    """
    # A mean of exactly the margin may come out a rounding error below it.
    if p_holm <= alpha and abs(mean) >= margin * (1 - 1e-9):
        return "better" if mean > 0 else "worse"
    if all_equal or (p_equal is not None and p_equal <= alpha / family):
        return "equal"
    return "not resolved"


def _judge(
    difference: Estimate,
    nonzero: int,
    p_holm: float,
    p_equal: float | None,
    detectable: float | None,
    rules: Rules,
) -> tuple[str, str]:
    """Return the verdict and its reason."""
    pairs, p = difference.count, p_beside(p_holm, rules.alpha)
    verdict = decide(
        difference.mean, p_holm, p_equal, rules.alpha, rules.family, rules.margin, all_equal=nonzero == 0
    )
    is_less = verdict not in ("better", "worse")
    change, margin = points_beside(difference.mean, rules.margin, is_less=is_less)
    if not is_less:
        return verdict, (
            f"{change} points over {pairs} pairs, Holm p = {p} ≤ {rules.alpha:g}, "
            f"beyond the margin of {margin}{still_contains(difference, '0')}"
        )
    if nonzero == 0:
        return verdict, f"all {pairs} pairs have the same test accuracy"
    if verdict == "equal":
        return verdict, (
            f"within ±{rules.equal_margin:.2g} points by two one-sided tests over {pairs} pairs, "
            f"p = {p_equal:.2g} ≤ {rules.alpha:g}/{rules.family}"
        )
    if p_holm <= rules.alpha:
        return verdict, f"significant (Holm p = {p}), yet {change} points is less than the margin of {margin}"
    reason = f"Holm p = {p} > {rules.alpha:g} over {pairs} pairs"
    if nonzero < rules.needed:
        reason += f", of which {nonzero} differ and {rules.needed} would have to"
    if detectable:
        reason += f"; {points(detectable)} would be found in 4 of 5 such runs"
    return verdict, reason


def still_contains(difference: Estimate, nothing: str) -> str:
    """Return the end of a reason where the interval of a significant difference holds no difference; else nothing.

    Args:
        difference: Of points, or of log ratios.
        nothing: No difference, as the reader sees it: "0" or "1".
    """
    if difference.low is None or difference.high is None or not difference.low <= 0.0 <= difference.high:
        return ""
    return f"; the t interval, which is simultaneous, still contains {nothing}"


def points(value: float) -> str:
    """Return a number of points in two digits: `1 point`, `0.31 points`."""
    text = f"{value:.2g}"
    return f"{text} point" if text == "1" else f"{text} points"
