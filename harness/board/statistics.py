"""The statistics behind a verdict: Holm, Student t, one-sided and two one-sided tests, P(A > B).

Written out because they fit on a page; the tests hold every function against `scipy.stats`. Sums are `math.fsum`,
exactly rounded, so no result depends on the order of the replicates.

Sources: PROTOCOL.md, "Replicates and the verdict"; Holm 1979; Schuirmann 1987 (two one-sided tests); Newcombe 2006
(interval of P(A > B)); Agarwal et al. 2021 (interquartile mean).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul

from harness.board.distributions import normal_quantile
from harness.board.distributions import student_t_quantile as student_t_quantile
from harness.board.distributions import student_t_tail as student_t_tail
from harness.board.sign_flip import DRAWS as DRAWS
from harness.board.sign_flip import EXACT_UP_TO
from harness.board.sign_flip import TIE as TIE
from harness.board.sign_flip import sign_flip_p as sign_flip_p
from harness.board.sign_flip import sign_flip_ps as sign_flip_ps

POWER = 0.8
GRAIN = 0.25
"""By how much more than a t test the sign-flip test needs where one pair of sign vectors alone is significant."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its Student t interval; the interval is None where one value says nothing about spread."""

    mean: float
    low: float | None
    high: float | None
    deviation: float | None
    count: int


def mean_of(values: Sequence[float]) -> float:
    """Return the mean, correctly rounded whatever the order of `values`."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # a plugin's metric may be anything that is finite
        return math.fsum(value / len(values) for value in values)


def median_of(values: Sequence[float]) -> float:
    """Return the median (the standard library's `statistics` takes 15 ms to import)."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def mean_if_any(values: Sequence[float]) -> float | None:
    """Return the mean, None of no values."""
    return mean_of(values) if values else None


def median_if_any(values: Sequence[float]) -> float | None:
    """Return the median, None of no values."""
    return median_of(values) if values else None


def deviation_of(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1), or None for fewer than two values or beyond any float."""
    if len(values) < 2:
        return None
    mean = mean_of(values)
    try:
        apart = [value - mean for value in values]
        deviation = math.sqrt(math.fsum(map(mul, apart, apart)) / (len(values) - 1))
    except OverflowError:
        return None
    return deviation if deviation < math.inf else None


def estimate(values: Sequence[float], alpha: float) -> Estimate | None:
    """Return the mean of `values` and its t interval at level 1 - `alpha`; None without values."""
    if not values:
        return None
    mean, deviation = mean_of(values), deviation_of(values)
    if deviation is None:
        return Estimate(mean, None, None, None, len(values))
    half = student_t_quantile(alpha / 2, len(values) - 1) * deviation / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, deviation, len(values))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given: monotone, at most 1."""
    adjusted, running = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def equivalence_p(differences: Sequence[float], margin: float) -> float | None:
    """Return the larger p-value of two one-sided t tests that the mean lies within ± `margin`."""
    deviation = deviation_of(differences)
    if deviation is None:
        return None
    room = margin - abs(mean_of(differences))
    if deviation == 0.0:
        return 0.0 if room > 0 else 1.0
    return student_t_tail(room * math.sqrt(len(differences)) / deviation, len(differences) - 1)


def non_inferiority_p(differences: Sequence[float], margin: float) -> float | None:
    """Return the p-value of the one-sided t test that the mean lies above - `margin`; None for fewer than two."""
    deviation = deviation_of(differences)
    if deviation is None:
        return None
    room = margin + mean_of(differences)
    if deviation == 0.0:
        return 0.0 if room > 0 else 1.0
    return student_t_tail(room * math.sqrt(len(differences)) / deviation, len(differences) - 1)


def detectable_difference(differences: Sequence[float], alpha: float, margin: float = 0.0) -> float | None:
    """Return the true difference that a sign-flip test at `alpha` would find in 80 % of such runs, in points.

    The deviation of the differences stands for the true one; see `resolvable`.
    """
    deviation = deviation_of(differences)
    return None if deviation is None else resolvable(deviation, len(differences), alpha, margin)


def resolvable(deviation: float, count: int, level: float, margin: float = 0.0) -> float | None:
    """Return the true difference that `count` pairs show to be beyond `margin` at `level` in 80 % of runs.

    (t(level / 2) + t(0.2)) deviation / sqrt(count), with the attainable level: the sign-flip test has p-values
    2 k / 2^n alone. Where few of them are below the level, it needs more than a t test, by a share of 0.25 k^-0.6:
    within a tenth of what `power.detectable` finds by simulation, for which a board has no time (a test holds one
    against the other). At levels below 0.001, such as those of more than 50 arms, it is up to 4 % low: 73 to 78 % of
    runs find it where 80 % should, with more than 16 pairs as with fewer; `power.detectable` is not. The mean that is
    measured has to reach the margin as well, which it does in half of all runs where the true difference is the
    margin itself.

    Returns:
        None where so few pairs could never be significant.
    """
    degrees, error = count - 1, deviation / math.sqrt(count)
    # Of more pairs there are more sign vectors than a float can count, and the share is 0 in any case.
    extremes = level * 2.0 ** min(degrees, 1000) * (1 + 1e-12)
    if extremes < 1.0:
        return None
    if count <= EXACT_UP_TO:
        level = math.floor(extremes) / 2.0**degrees
    beyond = student_t_quantile(1 - POWER, degrees) * error
    by_t = student_t_quantile(level / 2, degrees) * error + beyond
    return max(by_t * (1 + GRAIN * math.pow(math.floor(extremes), -0.6)), margin + beyond if margin else 0.0)


def probability_of_better(
    values: Sequence[float], others: Sequence[float], alpha: float
) -> tuple[float, float, float] | None:
    """Return P(a value > another) over all pairs, ties as one half, with its interval; None without either.

    The interval is Newcombe's method 5 (Statistics in Medicine 25, 2006, 559): Hanley and McNeil's variance with both
    sizes replaced by their mean, solved for the limits, so that it has a width even where every value is above every
    other. It takes the two sides to be independent; replicates that share a seed agree more, and it is then too wide.
    """
    if not values or not others:
        return None
    ordered = sorted(others)
    wins = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in values) / 2
    pairs, mean_size = len(values) * len(others), (len(values) + len(others)) / 2
    share, z = wins / pairs, normal_quantile(alpha / 2)

    def is_outside(limit: float) -> bool:
        grown = 1 + (mean_size - 1) * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        return (share - limit) ** 2 > z * z * limit * (1 - limit) * grown / pairs

    return share, _edge(0.0, share, is_outside), _edge(1.0, share, is_outside)


def _edge(outside: float, inside: float, is_outside: Callable[[float], bool]) -> float:
    """Return where `is_outside` ceases to hold between two numbers, by bisection."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if is_outside(middle):
            outside = middle
        else:
            inside = middle
    return (outside + inside) / 2


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean without the lowest and the highest quarter, both rounded down to whole values."""
    cut = len(values) // 4
    return mean_of(sorted(values)[cut : len(values) - cut])
