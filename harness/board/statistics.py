"""The statistics behind a verdict: exact sign-flip, Holm, Student t, one-sided and two one-sided tests, P(A > B).

Written out because they fit on a page; the tests hold every function against `scipy.stats`. Sums are `math.fsum`,
exactly rounded, so no result depends on the order of the replicates.

Sources: PROTOCOL.md, "Replicates and the verdict"; Holm 1979; Schuirmann 1987 (two one-sided tests); Phipson and
Smyth 2010 (the +1 of a Monte Carlo p-value); Newcombe 2006 (interval of P(A > B)); Agarwal et al. 2021
(interquartile mean).
"""

from __future__ import annotations

import hashlib
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.board.distributions import normal_quantile
from harness.board.distributions import student_t_quantile as student_t_quantile
from harness.board.distributions import student_t_tail as student_t_tail

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EXACT_UP_TO = 16
DRAWS = 10_000
POWER = 0.8
GRAIN = 0.25
"""By how much more than a t test the sign-flip test needs where one pair of sign vectors alone is significant."""
# Two sums of the same differences, added in another order, may differ in their last bits and are still a tie.
TIE = 1e-9


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


def deviation_of(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1), or None for fewer than two values or beyond any float."""
    if len(values) < 2:
        return None
    mean = mean_of(values)
    try:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
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


def sign_flip_p(differences: Sequence[float], seed: int = 0, level: float = 1.0) -> float:
    """Return the p-value of `sign_flip_ps` for one arm."""
    return sign_flip_ps([differences], seed, level)[0]


def sign_flip_ps(arms: Sequence[Sequence[float]], seed: int = 0, level: float = 1.0) -> list[float]:
    """Return the two-sided p-values of the sign-flip tests that paired differences are symmetric about 0.

    Exact over all 2^n signs up to n = 16 non-zero differences; beyond, 10,000 draws keyed by `seed`, where the
    observed signs count as one more draw. A difference of zero has no sign and is left out.

    Args:
        arms: By arm, one number a pair. Arms are tested apart; together they share the drawing of signs.
        seed: Keys the draws.
        level: What a p-value is compared with at first. Where 10,000 draws could never reach it (a family of more than
            500 arms), there are as many times 10,000 as it takes.
    """
    p_values = [1.0] * len(arms)
    drawn: dict[int, list[tuple[int, Sequence[float], float]]] = {}
    for index, differences in enumerate(arms):
        # Sorted, so that equal differences in any order meet the same draws.
        sizes = array("d", sorted(abs(difference) for difference in differences if difference != 0.0))
        observed = abs(math.fsum(differences)) - TIE * math.fsum(sizes)
        if sizes and len(sizes) <= EXACT_UP_TO:
            p_values[index] = _exact_share(sizes, observed)
        elif sizes:
            drawn.setdefault(len(sizes), []).append((index, sizes, observed))
    parts = max(1, math.ceil((1 / level - 1) / DRAWS))
    for members in drawn.values():
        indices, sizes_of, observed_of = zip(*members, strict=True)
        for index, share in zip(indices, _drawn_shares(sizes_of, observed_of, seed, parts), strict=True):
            p_values[index] = share
    return p_values


def _exact_share(sizes: Sequence[float], observed: float) -> float:
    """Return the share of all sign vectors whose sum is at least `observed` away from 0.

    Every sum is one of the left half's plus one of the right half's, so sorting the right half's makes the count
    2^(n/2) bisections.
    """
    half = len(sizes) // 2
    left, right = _signed_sums(sizes[:half]), sorted(_signed_sums(sizes[half:]))
    count = 0
    for value in left:
        above = max(bisect_left(right, observed - value), bisect_right(right, -observed - value))
        count += len(right) - above + bisect_right(right, -observed - value)
    return count / 2.0 ** len(sizes)


def _signed_sums(sizes: Sequence[float]) -> list[float]:
    sums = [0.0]
    for size in sizes:
        sums = [total + sign for sign in (size, -size) for total in sums]
    return sums


def _drawn_shares(
    sizes: Sequence[Sequence[float]], observed: Sequence[float], seed: int, parts: int
) -> list[float]:
    # Only here: a board of 16 replicates or fewer needs no numpy and is there 0.2 s sooner.
    import numpy as np

    columns, least = np.asarray(sizes).T, np.asarray(observed)
    extreme = np.zeros(len(sizes), dtype=np.int64)
    for part in range(parts):
        signs = _signs(seed, len(columns), part)
        # A thousand at a time: what is held at once stays small for thousands of replicates or arms.
        for start in range(0, DRAWS, 1000):
            sums = signs[start : start + 1000].astype(np.float64) @ columns
            extreme += np.count_nonzero(np.abs(sums) >= least, axis=0)
    return [(int(count) + 1) / (parts * DRAWS + 1) for count in extreme]


@lru_cache(maxsize=2)
def _signs(seed: int, count: int, part: int) -> npt.NDArray[np.int8]:
    """Return signs, int8 (DRAWS, `count`) of -1 and 1, from Philox under a key of their own."""
    import numpy as np

    name = f"board/sign-flip/{seed}/{count}" + (f"/{part}" if part else "")
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(DRAWS * count // 64 + 1)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: DRAWS * count]
    return (bits.astype(np.int8) * np.int8(2) - np.int8(1)).reshape(DRAWS, count)


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
    against the other). The mean that is measured has to reach the margin as well, which it does in half of all runs
    where the true difference is the margin itself.

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
