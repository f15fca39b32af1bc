"""Faster or slower, smaller or larger: verdicts on what the timing pass measured.

First the arm must be non-inferior in accuracy: a one-sided t test that it loses less than the plan's margin. Then its
log ratios to the baseline, paired by round, are tested as accuracies are: sign-flip, Holm over the declared family, t
interval simultaneous over the family (PROTOCOL.md, "Speed and memory"). An arm that is not non-inferior keeps its place
in the family. Speed and memory are a family each. Rounds in which a side was noisy tell nothing of its speed and are
left out of it; the memory that they took is what it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.board.digits import p_beside, ratio_within
from harness.board.select import Record, amount_at
from harness.board.speed import MEMORY, log_ratios, noisy_of
from harness.board.statistics import non_inferiority_p
from harness.board.verdict import Comparison, Rules, compare, still_contains
from harness.board.wording import counted
from harness.suite.plan import STEADY_SECONDS, needed_rounds

Json = dict[str, Any]
Rounds = Mapping[int, Record]

MARGIN = 0.01
"""A ratio of speeds nearer to 1 is no reason to choose an arm; "equal" is what two one-sided tests put nearer to 1."""
MEMORY_MARGIN = 0.03
"""The same of memory, as PROTOCOL.md has it for gates. Where a process puts what it holds is its own affair, and alike
in every round: two copies of one arm lay 1.1 % apart on a CPU, round after round, which no test takes for chance."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the verdicts on one quantity are called.

    Attributes:
        measure: The quantity, in a reason.
        more: Of an arm that has significantly more of it than the baseline.
        less: Of one that has less.
        margin: What a ratio has to be off 1.
    """

    measure: str
    more: str
    less: str
    margin: float


SPEED = Words("images per second", "faster", "slower", MARGIN)
SIZE = Words("peak memory", "larger", "smaller", MEMORY_MARGIN)


def speed_verdicts(
    rounds: Mapping[str, Rounds],
    against: Mapping[str, str],
    differences: Mapping[str, Sequence[float]],
    refusals: Mapping[str, str],
    rules: Rules,
    non_inferiority_points: float,
    interim: Mapping[str, str] | None = None,
    steady_seconds: float | None = None,
) -> dict[str, Json]:
    """Return by arm `speed_verdict` and `memory_verdict`; both null of a baseline, and where nothing was timed.

    Args:
        rounds: The completed timings by arm and round.
        against: By arm, its baseline.
        differences: By compared arm, its differences in accuracy from the baseline, in points.
        refusals: By arm, why it gets no verdict at all.
        rules: What the plan fixed.
        non_inferiority_points: What accuracy an arm may lose.
        interim: By arm, why its rounds are not judged: not all of them are there yet, or none completed.
        steady_seconds: What the plan gives a round, at the least; None where it does not say.
    """
    told: dict[str, Json] = {arm: {"speed_verdict": None, "memory_verdict": None} for arm in against}
    accuracy = {
        arm: non_inferior(values, non_inferiority_points, rules) for arm, values in differences.items()
    }
    waits = interim or {}
    for words in (SPEED, SIZE):
        ratios, noisy = {}, {}
        for arm in differences:
            own, base = rounds.get(arm, {}), rounds.get(against[arm], {})
            ratios[arm] = speed_ratios(own, base) if words is SPEED else memory_ratios(own, base)
            noisy[arm] = len(noisy_of(own, base)) if words is SPEED else 0
        held = {
            arm: refusals.get(arm)
            or waits.get(arm)
            or too_few_rounds(ratios[arm], noisy[arm], rules, "")
            or _not_shown(accuracy[arm], rules)
            for arm in ratios
        }
        key = "speed_verdict" if words is SPEED else "memory_verdict"
        for arm, comparison in judge_ratios(
            ratios, {a: why for a, why in held.items() if why}, rules, words.margin
        ).items():
            if arm in waits or (rounds.get(arm) and rounds.get(against[arm])):
                told[arm][key] = {
                    **_told(comparison, words, rules, held[arm]),
                    "non_inferior": accuracy[arm],
                }
                if words is SPEED and (bound := _input_bound(arm, rounds, against[arm])):
                    told[arm][key]["reason"] += bound
                if words is SPEED and told[arm][key]["verdict"]:
                    told[arm][key]["reason"] += short_of_steady(steady_seconds)
    return told


def short_of_steady(seconds: float | None) -> str:
    """Return the end of a reason where a plan's rounds are shorter than a claim on speed takes; else nothing."""
    if seconds is None or seconds >= STEADY_SECONDS:
        return ""
    return (
        f"; {seconds:g} s of steady state a round, a claim takes {STEADY_SECONDS:g} "
        f"([timing] seconds = {STEADY_SECONDS:g})"
    )


def judge_ratios(
    ratios: Mapping[str, Sequence[float]], refusals: Mapping[str, str], rules: Rules, margin: float
) -> dict[str, Comparison]:
    """Compare arms with their baselines in the logs of their ratios, one a round.

    Args:
        ratios: By arm of the family, its log ratios.
        refusals: By arm, why it gets no verdict.
        rules: What the plan fixed for accuracy; of it the level and the family hold here.
        margin: What a ratio has to be off 1.
    """
    least, needed = math.log1p(margin), needed_rounds(rules.family, rules.alpha)
    return compare(ratios, refusals, replace(rules, margin=least, equal_margin=least, needed=needed))


def non_inferior(differences: Sequence[float], margin: float, rules: Rules) -> Json:
    """Return `{p, margin, pairs, holds}`: whether an arm is shown to lose less than `margin` points of accuracy.

    With fewer pairs than any verdict on accuracy takes it is not, whatever they say: two equal pairs have no spread.
    """
    p = non_inferiority_p(differences, margin)
    enough = len(differences) >= rules.needed
    holds = None if p is None else enough and p <= rules.alpha / rules.family
    return {"p": p, "margin": margin, "pairs": len(differences), "holds": holds}


def too_few_rounds(ratios: Sequence[float], noisy: int, rules: Rules, what: str) -> str | None:
    """Return why so many ratios give no verdict on speed or memory, or None; `what` the family is of, as ` claims`."""
    needed = needed_rounds(rules.family, rules.alpha)
    if len(ratios) >= needed:
        return None
    without = f" beside {noisy} noisy ones" if noisy else ""
    return (
        f"no verdict: {counted(len(ratios), 'timing round')}{without}, and a family of {rules.family}{what} "
        f"takes {needed} (timing.rounds)"
    )


def _not_shown(accuracy: Json, rules: Rules) -> str | None:
    if accuracy["holds"]:
        return None
    least = f"no verdict: accuracy is not shown to be better than {accuracy['margin']:g} points below the baseline's"
    return least + too_few_pairs(accuracy, rules)


def too_few_pairs(accuracy: Json, rules: Rules) -> str:
    """Return in brackets why accuracy is not shown to be kept: the pairs are too few, or the p-value; or nothing."""
    if accuracy["pairs"] < rules.needed:
        return f" ({counted(accuracy['pairs'], 'pair')}, and it takes {rules.needed})"
    return "" if accuracy["p"] is None else f" (p = {accuracy['p']:.2g})"


def _told(comparison: Comparison, words: Words, rules: Rules, refusal: str | None) -> Json:
    names = {"better": words.more, "worse": words.less}
    estimate = comparison.difference
    ratio = estimate and {
        "mean": math.exp(estimate.mean),
        "low": None if estimate.low is None else _exp(estimate.low),
        "high": None if estimate.high is None else _exp(estimate.high),
    }
    return {
        "verdict": names.get(comparison.verdict or "", comparison.verdict),
        "ratio": ratio,
        "p": comparison.p,
        "p_holm": comparison.p_holm,
        "rounds": 0 if estimate is None else estimate.count,
        "reason": refusal or _reason(comparison, words, rules),
    }


def _exp(log: float) -> float | None:
    """Return the ratio of a limit; None where two rounds that differ put it beyond any float."""
    return math.exp(log) if log < 700.0 else None


def _reason(comparison: Comparison, words: Words, rules: Rules) -> str:
    if comparison.difference is None or comparison.p_holm is None:
        return comparison.reason
    rounds = comparison.difference.count
    ratio = math.exp(comparison.difference.mean)
    size = f"{words.measure} × {ratio:.3f} over {rounds} rounds"
    p = f"Holm p = {p_beside(comparison.p_holm, rules.alpha)}"
    if comparison.verdict in ("better", "worse"):
        return f"{size}, {p} ≤ {rules.alpha:g}, beyond {words.margin:.0%}{still_contains(comparison.difference, '1')}"
    if comparison.verdict == "equal":
        return f"{size}, within {words.margin:.0%} by two one-sided tests"
    if comparison.p_holm <= rules.alpha:
        size = f"{words.measure} × {ratio_within(ratio, words.margin)} over {rounds} rounds"
        return f"{size}, significant ({p}), yet nearer to 1 than {words.margin:.0%}"
    detectable = None if comparison.detectable is None else _exp(comparison.detectable)
    found = "" if detectable is None else f"; × {detectable:.3f} would be found in 4 of 5"
    return f"{size}, {p} > {rules.alpha:g}{found}"


def speed_ratios(own: Rounds, base: Rounds) -> list[float]:
    """Return the log ratios of images per second in the rounds where neither side was noisy."""
    return log_ratios(own, base, sorted((own.keys() & base.keys()) - noisy_of(own, base)))


def memory_ratios(own: Rounds, base: Rounds) -> list[float]:
    """Return the log ratios of peak memory, of the first kind that both sides hold in some round."""
    common = sorted(own.keys() & base.keys())
    for kind in MEMORY:
        pairs = [
            (amount_at(own[n], "peak_memory_bytes", kind), amount_at(base[n], "peak_memory_bytes", kind))
            for n in common
        ]
        logs = [math.log(mine / other) for mine, other in pairs if mine and other]
        if logs:
            return logs
    return []


def _input_bound(arm: str, rounds: Mapping[str, Rounds], baseline: str) -> str:
    """Say where a ratio is that of the loaders: data is what was waited for in most rounds of a side."""
    bound = [
        name
        for name in (arm, baseline)
        if 2 * sum(timing.get("input_bound") is True for timing in rounds.get(name, {}).values())
        > len(rounds.get(name, {}))
    ]
    return (
        f"; input-bound ({', '.join(bound)}): the ratio is of loading, not of the step alone" if bound else ""
    )
