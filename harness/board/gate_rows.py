"""One measurement of the gate: from its samples to a verdict with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.board import wording
from harness.board.gate_ranks import needed_samples, rank_sum_p, signed_rank_p
from harness.board.gate_rules import GateRules
from harness.board.statistics import deviation_of, mean_of, median_of, student_t_tail

Json = Mapping[str, Any]

MOST_UNPAIRED = 20
"""Stored samples a side that are compared as they are; more are put together, neighbours by their median: those of
one process are not independent, and hundreds of them would make any difference significant."""

PROMISING = 0.05
"""Below this p-value a slowdown is likely enough to go on taking rounds, however noisy."""

_LARGEST = 1e100
"""Beyond this, and below its inverse, a number is no measurement: products and ratios of such leave the floats."""

# Croux and Rousseeuw 1992: by what the MAD of so few normal samples falls short; beyond nine, n / (n - 0.8).
_MAD_FACTORS = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
_MAD_TO_DEVIATION = 1.4826
_MAD_ERROR = (
    1.17  # relative standard error of a deviation from the MAD of n normal samples, times the root of n
)
_MEDIAN_TO_MEAN = math.sqrt(
    math.pi / 2
)  # standard error of a median of normal samples over that of their mean


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the samples scatter by themselves.

    Attributes:
        sample: Coefficient of variation of one sample, estimated from a MAD so that one hiccup does not decide it.
        ratio: The A/A MAD: of the median ratio of so many samples, were both sides the same.
    """

    sample: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What one series of samples says.

    Attributes:
        state: "hit" (worse), "better", "fine", "open" (more rounds may tell), "not measured".
        reason: One line.
        ratio: Candidate over base; None where there is none.
        threshold: Ratio - 1 from which a difference counts.
        p: Of the exact one-sided test that the candidate is worse.
        spread: None where nothing was measured.
        rounds_wanted: How many more rounds would be of use.
    """

    state: str
    reason: str
    ratio: float | None = None
    threshold: float | None = None
    p: float | None = None
    spread: Spread | None = None
    rounds_wanted: int = 0


def spread_of(base: Sequence[float], candidate: Sequence[float], *, paired: bool) -> Spread:
    """Estimate the noise within the sides; both hold positive numbers, `paired` ones of equal count.

    With rounds, the log ratios within a round are taken about their median: what a round's two samples share, a
    drift above all, is no noise of their ratio. Without, both sides' logs are taken about their own medians and
    pooled. The protocol's "A/A MAD" is read as that of what is compared, the median ratio of n samples: with the
    MAD of a single sample no number of rounds would make the threshold smaller, and at a noise of 2 % a slowdown
    of 5 % would pass one time in five.
    """
    if paired:
        logs = [math.log(new / old) for old, new in zip(base, candidate, strict=True)]
        mad = _mad(_about_median(logs), 1)
        return Spread(_MAD_TO_DEVIATION * mad / math.sqrt(2), _MEDIAN_TO_MEAN * mad / math.sqrt(len(logs)))
    sides = [_about_median([math.log(value) for value in side]) for side in (base, candidate)]
    mad = _mad([*sides[0], *sides[1]], 2)
    count = math.sqrt(1 / len(base) + 1 / len(candidate))
    return Spread(_MAD_TO_DEVIATION * mad, _MEDIAN_TO_MEAN * mad * count)


def _about_median(values: Sequence[float]) -> list[float]:
    middle = median_of(values)
    return [value - middle for value in values]


def _mad(residuals: Sequence[float], medians: int) -> float:
    """Return the median absolute residual about 0, for as few as come from `medians` samples' own medians."""
    count = max(2, len(residuals) // medians)
    factor = _MAD_FACTORS.get(count, count / (count - 0.8))
    return factor * median_of([abs(residual) for residual in residuals])


def unusable(samples: Json, side: str) -> str | None:
    """Name the samples of a side of a timing or a memory that are no positive number, or return None."""
    bad = [
        f"{side} sample {index} is {_shown(value)}"
        for index, value in enumerate(samples[side], 1)
        if not is_number(value) or value < 1 / _LARGEST
    ]
    return _listed(bad) if bad else None


def is_number(value: object) -> bool:
    """Return whether a value is a finite number that something may have measured."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def find_growth(samples: Json, kind: str, rules: GateRules, *, paired: bool) -> Finding:
    """Compare two sides of a time or a memory, where less is better.

    A hit needs the median ratio beyond the threshold and the exact test; "fine" needs the exact test to rule out
    a slowdown of `catch`. What is neither is open, and too noisy when no round is left to take.
    """
    if problem := unusable(samples, "base") or unusable(samples, "candidate"):
        return Finding("not measured", problem)
    base, candidate = _arranged(samples, paired=paired)
    if problem := _too_few(base, candidate, rules, paired=paired):
        return Finding("not measured", problem, rounds_wanted=_rounds_left(len(base), rules) if paired else 0)
    spread = spread_of(base, candidate, paired=paired)
    ratio = _median_ratio(base, candidate, paired=paired)
    floor = rules.time_threshold
    threshold = max(floor, rules.noise_factor * spread.ratio)
    if kind == "memory":
        floor = threshold = max(rules.memory_threshold, rules.memory_bytes / median_of(base))
    catch = rules.catch_factor * floor
    p = _p_above(base, candidate, 1.0, paired=paired)
    more = "slower" if kind == "time" else "more memory"
    change = _change(ratio, *(("slower", "faster") if kind == "time" else ("more memory", "less memory")))
    limit = f"the threshold of {_percent(threshold)}"

    def found(state: str, reason: str, rounds: int = 0) -> Finding:
        return Finding(state, f"{change}: {reason}", ratio, threshold, p, spread, rounds)

    if ratio > 1 + threshold and p < rules.alpha:
        return found("hit", f"beyond {limit}, exact rank test p = {p:.2g}")
    faster = _p_above(candidate, base, 1.0, paired=paired)
    if ratio < 1 / (1 + threshold) and faster < rules.alpha:
        return found("better", f"beyond {limit}, exact rank test p = {faster:.2g}")
    ruled_out = _p_above(candidate, base, 1 + catch, paired=paired)
    if ruled_out < rules.alpha and spread.sample <= rules.noisy:
        return found("fine", f"{_percent(catch)} {more} is ruled out, p = {ruled_out:.2g}")
    noise = f"one sample scatters by {_percent(spread.sample)}"
    if spread.sample > rules.noisy:
        reason = f"{noise}, over {_percent(rules.noisy)}: nothing can be called fine"
    else:
        reason = f"{_percent(catch)} {more} is not ruled out (p = {ruled_out:.2g}); {noise}"
    # More rounds make no sample less noisy: they are of use where the true noise may yet be low enough to call
    # something fine, or where there may be a slowdown, for a clear one shows through any noise.
    doubt = 2 * _MAD_ERROR / math.sqrt(len(base))
    of_use = paired and (spread.sample <= rules.noisy * (1 + doubt) or p < PROMISING)
    return found(
        "open", f"{reason}; {len(base)} samples a side", _rounds_left(len(base), rules) if of_use else 0
    )


def _arranged(samples: Json, *, paired: bool) -> tuple[list[float], list[float]]:
    sides = [float(value) for value in samples["base"]], [float(value) for value in samples["candidate"]]
    return sides if paired else (condense(sides[0]), condense(sides[1]))


def condense(values: Sequence[float]) -> list[float]:
    """Return at most `MOST_UNPAIRED` values: the medians of as many runs of neighbours, all about equally long."""
    groups = min(len(values), MOST_UNPAIRED)
    edges = [index * len(values) // groups for index in range(groups + 1)] if groups else [0]
    return [median_of(values[start:end]) for start, end in pairwise(edges)]


def _too_few(
    base: Sequence[float], candidate: Sequence[float], rules: GateRules, *, paired: bool
) -> str | None:
    if paired and len(base) != len(candidate):
        return f"{len(base)} base and {len(candidate)} candidate samples: not one of each a round"
    fewest = min(len(base), len(candidate))
    needed = max(rules.samples, needed_samples(rules.alpha, paired=paired))
    if fewest >= needed:
        return None
    why = f"with fewer the exact test cannot reach p < {rules.alpha:g}" if paired else "the protocol's least"
    return f"{fewest} samples a side, and {needed} are needed: {why}"


def _rounds_left(count: int, rules: GateRules) -> int:
    """Return how many rounds there are to the next look, 0 after the last."""
    return next((look - count for look in rules.looks if look > count), 0)


def _median_ratio(base: Sequence[float], candidate: Sequence[float], *, paired: bool) -> float:
    if paired:
        return median_of([new / old for old, new in zip(base, candidate, strict=True)])
    return median_of(candidate) / median_of(base)


def _p_above(low: Sequence[float], high: Sequence[float], factor: float, *, paired: bool) -> float:
    """Return the exact p-value that `factor` x `high` is no more than `low`: small where it is more."""
    if paired:
        return signed_rank_p(
            [math.log(factor * above / below) for below, above in zip(low, high, strict=True)]
        )
    return rank_sum_p(low, [factor * value for value in high])


def find_loss(samples: Json, margin: float, rules: GateRules) -> tuple[Finding, float | None]:
    """Compare two sides of an accuracy in points, paired by replicate; return the mean difference as well.

    A loss of more than the margin that a one-sided t test finds at `alpha` is a hit; "fine" needs the same test to
    rule out a loss of the margin (non-inferiority). No exact test: it could not fire below nine replicates.
    """
    for side in ("base", "candidate"):
        bad = [
            f"{side} replicate {at} is {_shown(v)}" for at, v in enumerate(samples[side]) if not is_number(v)
        ]
        if bad:
            return Finding("not measured", _listed(bad)), None
    base, candidate = samples["base"], samples["candidate"]
    if len(base) != len(candidate):
        reason = f"{len(base)} base and {len(candidate)} candidate replicates: they do not pair"
        return Finding("not measured", reason), None
    if len(base) < rules.accuracy_replicates:
        reason = (
            f"{wording.counted(len(base), 'paired replicate')}, and {rules.accuracy_replicates} are needed"
        )
        return Finding("not measured", reason), None
    # Rounded: 70.1 - 69.6 is not 69.1 - 68.6, and a loss of just the margin would be either.
    differences = [round(new - old, 12) for old, new in zip(base, candidate, strict=True)]
    mean, pairs = round(mean_of(differences), 12), wording.counted(len(differences), "paired replicate")
    change = f"{wording.signed(mean)} points over {pairs}"
    worse, better = _t_p(differences, 0.0, -1), _t_p(differences, 0.0, 1)
    kept = _t_p(differences, -margin, 1)
    limit = f"the margin of {margin:.3g} points"
    if mean < -margin and worse < rules.alpha:
        state, reason = "hit", f"{change}: beyond {limit}, one-sided t test p = {worse:.2g}"
    elif mean > margin and better < rules.alpha:
        state, reason = "better", f"{change}: beyond {limit}, one-sided t test p = {better:.2g}"
    elif not any(differences):
        state, reason = "fine", f"the same accuracy in all {pairs}"
    elif kept < rules.accuracy_alpha:
        state, reason = "fine", f"{change}: a loss of {limit} is ruled out, p = {kept:.2g}"
    else:
        state, reason = "open", f"{change}: a loss of {limit} is not ruled out, p = {kept:.2g}"
    return Finding(state, reason, None, margin, worse), mean


def _t_p(differences: Sequence[float], center: float, direction: int) -> float:
    """Return the one-sided p-value that the mean lies beyond `center` in `direction`."""
    if min(differences) == max(differences):
        return 0.0 if direction * (differences[0] - center) > 0 else 1.0
    distance = direction * (mean_of(differences) - center)
    deviation = deviation_of(differences) or 0.0  # at least two that differ: never 0
    return student_t_tail(distance * math.sqrt(len(differences)) / deviation, len(differences) - 1)


def _change(ratio: float, more: str, less: str) -> str:
    text = _percent(abs(ratio - 1))
    return "unchanged" if text == _percent(0.0) else f"{text} {more if ratio > 1 else less}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shown(value: object) -> str:
    return "absent" if value is None else wording.plain(str(value))[:40]


def _listed(parts: Sequence[str]) -> str:
    """Return the first three, and how many more there are."""
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return ", ".join(parts[:3]) + more
