"""The exact rank tests of the gate: one-sided, ties allowed, in whole numbers.

Two tests, because there are two designs. Samples of two commits are taken in rounds, one of each side: whatever
the machine did in that round, a drift or a noisy neighbour, is in both, and Wilcoxon's signed-rank test on the
within-round log ratios needs nothing but that either side could have run first. Samples of two stored files have
no rounds in common: there the rank-sum test (Mann and Whitney) compares all of one side with all of the other.

Both are permutation tests given the observed ranks (mid-ranks where values are equal), so they are exact with
ties too. Ranks are doubled to keep them whole. Sources: Wilcoxon 1945; Mann and Whitney 1947; Streitberg and
Röhmel 1986 (the shift algorithm); the tests hold them against `scipy.stats` and against plain enumeration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return P(W+ at least as large as observed) where each difference is as likely negative as positive.

    Small where `differences` lie above 0. Zeros have no sign and are left out; without any other it is 1.
    """
    given = [difference for difference in differences if difference != 0.0]
    ranks = _doubled_ranks([abs(difference) for difference in given])
    observed = sum(rank for rank, difference in zip(ranks, given, strict=True) if difference > 0)
    counts = _signed_sums(tuple(sorted(ranks)))
    return sum(counts[observed:]) / (1 << len(given))


def rank_sum_p(base: Sequence[float], candidate: Sequence[float]) -> float:
    """Return P(rank sum of `candidate` at least as large as observed) where both sides are one population.

    Small where `candidate` lies above `base`; 1 where either is empty.
    """
    ranks = _doubled_ranks([*base, *candidate])
    observed = sum(ranks[len(base) :])
    counts = _chosen_sums(tuple(sorted(ranks)), len(candidate))
    return sum(counts[observed:]) / math.comb(len(ranks), len(candidate))


def smallest_p(base_count: int, candidate_count: int, *, paired: bool) -> float:
    """Return the smallest p-value that so many samples can give: above the level, the test can never fire."""
    if paired:
        return 0.5 ** min(base_count, candidate_count)
    return 1.0 / math.comb(base_count + candidate_count, candidate_count)


def needed_samples(alpha: float, *, paired: bool) -> int:
    """Return the fewest samples a side with which a p-value below `alpha` is possible."""
    count = 1
    while smallest_p(count, count, paired=paired) >= alpha:
        count += 1
    return count


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value, from 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for index in order[start : end + 1]:
            ranks[index] = start + end + 2
        start = end + 1
    return ranks


@lru_cache(maxsize=256)
def _signed_sums(ranks: tuple[int, ...]) -> list[int]:
    """Return by sum how many of all subsets of `ranks` have it."""
    counts = [1] + [0] * sum(ranks)
    reach = 0
    for rank in ranks:
        reach += rank
        for total in range(reach, rank - 1, -1):
            counts[total] += counts[total - rank]
    return counts


@lru_cache(maxsize=256)
def _chosen_sums(ranks: tuple[int, ...], size: int) -> list[int]:
    """Return by sum how many of the subsets of `ranks` with `size` members have it."""
    most = sum(ranks[len(ranks) - size :])
    counts = [[1] + [0] * most] + [[0] * (most + 1) for _ in range(size)]
    for taken, rank in enumerate(ranks, 1):
        for members in range(min(taken, size), 0, -1):
            fewer, these = counts[members - 1], counts[members]
            for total in range(rank, most + 1):
                if fewer[total - rank]:
                    these[total] += fewer[total - rank]
    return counts[size]
