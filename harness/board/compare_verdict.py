"""The verdicts of two results, arm by arm, in the words of a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.board import rows, two_sample, wording
from harness.board.digits import p_beside, points_beside
from harness.board.statistics import (
    Estimate,
    detectable_difference,
    equivalence_p,
    estimate,
    holm,
    sign_flip_p,
)
from harness.board.verdict import decide, points, still_contains
from harness.suite.plan import needed_replicates

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """What both sides are judged by."""

    alpha: float
    margin: float
    equal_margin: float
    family: int
    seed: int


@dataclass(slots=True)
class Row:
    """The accuracy of one arm on both sides, by replicate, and what the tests say of it."""

    arm: str
    differs: list[str]
    values: tuple[dict[int, float], dict[int, float]]
    pairs: list[int] | None
    unpaired: str
    refusal: str
    difference: Estimate | None = None
    p: float | None = None
    p_holm: float | None = None
    p_equal: float | None = None
    detectable: float | None = None
    told: Json = field(default_factory=dict)

    def differences(self) -> list[float]:
        """Return candidate minus base by pair."""
        return [self.values[1][at] - self.values[0][at] for at in self.pairs or ()]

    def samples(self) -> tuple[list[float], list[float]]:
        """Return the values of both sides, in the order of the replicates."""
        base, candidate = (list(dict(sorted(side.items())).values()) for side in self.values)
        return base, candidate


def judge_all(given: list[Row], rules: Rules) -> list[Row]:
    """Test every row that may be tested, adjust over the family, and enter verdict and reason; return the rows."""
    share = rules.alpha / rules.family
    for row in given:
        base, candidate = row.samples()
        if row.differs:
            pass
        elif row.pairs is not None:
            differences = row.differences()
            row.difference = estimate(differences, share)
            row.p_equal = equivalence_p(differences, rules.equal_margin)
            row.detectable = detectable_difference(differences, share, rules.margin)
            row.p = None if row.refusal else sign_flip_p(differences, rules.seed, share)
        else:
            row.difference = two_sample.difference_of(base, candidate, share)
            row.p_equal = two_sample.equivalence_p(base, candidate, rules.equal_margin)
            row.detectable = two_sample.detectable(base, candidate, share, rules.margin)
            row.p = None if row.refusal else two_sample.permutation_p(base, candidate, rules.seed, share)
    tested = [row for row in given if row.p is not None]
    # Arms without a verdict stay in the family: their p-values are taken to be 1.
    adjusted = holm([*(row.p or 0.0 for row in tested), *[1.0] * max(0, rules.family - len(tested))])
    for row, p_holm in zip(tested, adjusted, strict=False):
        row.p_holm = p_holm
    for row in given:
        verdict, reason = _judge(row, rules)
        difference = rows.shown(row.difference)
        row.told |= {
            "difference": difference,
            "test": _test(row) if row.p is not None else None,
            "p": row.p,
            "p_holm": row.p_holm,
            "p_equal": None if row.refusal else row.p_equal,
            "detectable": row.detectable,
            "verdict": verdict,
            "reason": reason,
        }
    return given


def _test(row: Row) -> str:
    return "paired sign-flip" if row.pairs is not None else f"unpaired permutation ({row.unpaired})"


def _judge(row: Row, rules: Rules) -> tuple[str | None, str]:
    """Return the verdict and its reason, in the words of a board."""
    if row.refusal or row.difference is None or row.p_holm is None:
        return None, row.refusal or "no verdict: nothing to compare"
    all_equal = row.pairs is not None and not any(row.differences())
    verdict = decide(
        row.difference.mean,
        row.p_holm,
        row.p_equal,
        rules.alpha,
        rules.family,
        rules.margin,
        all_equal=all_equal,
    )
    base, candidate = (len(side) for side in row.values)
    over = (
        f"{len(row.pairs)} pairs" if row.pairs is not None else f"{base} and {candidate} replicates, unpaired"
    )
    is_less, p = verdict not in ("better", "worse"), p_beside(row.p_holm, rules.alpha)
    points_apart, margin = points_beside(row.difference.mean, rules.margin, is_less=is_less)
    change = f"{points_apart} points over {over}"
    if not is_less:
        return verdict, (
            f"{change}, Holm p = {p} ≤ {rules.alpha:g}, beyond the margin of {margin}"
            f"{still_contains(row.difference, '0')}"
        )
    if all_equal:
        return verdict, f"all {len(row.pairs or ())} pairs have the same test accuracy"
    if verdict == "equal":
        return verdict, (
            f"within ±{rules.equal_margin:.2g} points by two one-sided tests over {over}, "
            f"p = {row.p_equal:.2g} ≤ {rules.alpha:g}/{rules.family}"
        )
    if row.p_holm <= rules.alpha:
        return verdict, f"significant (Holm p = {p}), yet {change} is less than the margin of {margin}"
    reason = f"{change}, Holm p = {p} > {rules.alpha:g}"
    if row.detectable:
        reason += f"; {points(row.detectable)} would be found in 4 of 5 such runs"
    return verdict, reason


def too_few(pairs: Sequence[int] | None, base: int, candidate: int, rules: Rules) -> str:
    """Return why so many values give no verdict; empty where they may.

    Args:
        pairs: The replicates that are pairs; None where the sides are not paired.
        base: How many values the base has.
        candidate: How many the candidate has.
        rules: What both are judged by.
    """
    level = rules.alpha / rules.family
    if pairs is not None:
        counts, smallest = wording.counted(len(pairs), "paired replicate"), min(1.0, 2.0 ** (1 - len(pairs)))
        needed = f"{needed_replicates(rules.family, rules.alpha)}"
    else:
        counts, smallest = f"{base} and {candidate} replicates", two_sample.smallest_p(base, candidate)
        needed = f"{two_sample.needed_each(level)} on each side"
    if smallest > level:
        why = f"nothing could be significant in a family of {rules.family}, which takes {needed}"
        return f"no verdict: with {counts} {why}"
    if pairs is None and not two_sample.suffices(base, candidate, level):
        why = f"the spread of the smaller side is hardly known, and it takes {two_sample.FEWEST} on each side"
        return f"no verdict: with {counts} that are no pairs {why}"
    return ""
