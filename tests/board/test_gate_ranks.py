"""The gate's exact tests against scipy and against plain enumeration."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from scipy import stats

from harness.board.gate_ranks import needed_samples, rank_sum_p, signed_rank_p, smallest_p


@pytest.mark.parametrize("count", [1, 4, 9, 17, 30])
def test_signed_ranks_agree_with_scipy(count: int) -> None:
    draw = random.Random(count)
    for shift in (-1.0, 0.0, 0.7):
        differences = [draw.gauss(shift, 1.0) for _ in range(count)]
        expected = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("base", "candidate"), [(1, 1), (3, 5), (7, 7), (12, 9), (20, 20)])
def test_rank_sums_agree_with_scipy(base: int, candidate: int) -> None:
    draw = random.Random(base)
    for shift in (-1.0, 0.0, 0.7):
        low = [draw.gauss(0.0, 1.0) for _ in range(base)]
        high = [draw.gauss(shift, 1.0) for _ in range(candidate)]
        expected = stats.mannwhitneyu(high, low, alternative="greater", method="exact").pvalue
        assert rank_sum_p(low, high) == pytest.approx(expected, rel=1e-12)


def test_signed_ranks_with_ties_equal_the_enumeration_of_all_signs() -> None:
    draw = random.Random(1)
    for _ in range(30):
        differences = [draw.choice((-2.0, -1.0, 0.0, 1.0, 1.0, 2.0, 3.0)) for _ in range(8)]
        given = [value for value in differences if value]
        ranks = stats.rankdata([abs(value) for value in given])
        observed = sum(rank for rank, value in zip(ranks, given, strict=True) if value > 0)
        sums = [
            sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
            for signs in itertools.product((0, 1), repeat=len(given))
        ]
        assert signed_rank_p(differences) == sum(total >= observed for total in sums) / len(sums)


def test_rank_sums_with_ties_equal_the_enumeration_of_all_choices() -> None:
    draw = random.Random(2)
    for _ in range(30):
        base = [draw.choice((1.0, 2.0, 3.0)) for _ in range(4)]
        candidate = [draw.choice((1.0, 2.0, 3.0, 4.0)) for _ in range(5)]
        ranks = stats.rankdata([*base, *candidate])
        observed = sum(ranks[4:])
        sums = [sum(ranks[index] for index in chosen) for chosen in itertools.combinations(range(9), 5)]
        assert rank_sum_p(base, candidate) == sum(total >= observed for total in sums) / len(sums)


def test_nothing_is_no_evidence() -> None:
    assert signed_rank_p([]) == signed_rank_p([0.0, 0.0]) == 1.0
    assert rank_sum_p([], [1.0]) == rank_sum_p([1.0], []) == rank_sum_p([2.0] * 7, [2.0] * 7) == 1.0


def test_the_smallest_p_is_that_of_complete_separation() -> None:
    assert smallest_p(7, 7, paired=False) == rank_sum_p(list(range(7)), list(range(10, 17))) == 1 / 3432
    assert smallest_p(7, 7, paired=True) == signed_rank_p([1.0] * 7) == 1 / 128


def test_how_many_samples_the_level_of_the_gate_needs() -> None:
    # 1/2^8 = .0039 and 1/2^9 = .00195; 1/C(10,5) = .00397 and 1/C(12,6) = .00108.
    assert needed_samples(0.002, paired=True) == 9
    assert needed_samples(0.002, paired=False) == 6


def test_both_tests_keep_their_level_under_a_drift_that_both_sides_share() -> None:
    draw = random.Random(3)
    hits = {"signed": 0, "sum": 0}
    for _ in range(2000):
        level = [0.1 * index for index in range(10)]
        base = [value + draw.gauss(0.0, 0.05) for value in level]
        candidate = [value + draw.gauss(0.0, 0.05) for value in level]
        differences = [new - old for old, new in zip(base, candidate, strict=True)]
        hits["signed"] += signed_rank_p(differences) < 0.05
        hits["sum"] += rank_sum_p(base, candidate) < 0.05
    # The 99.9 % bound of a binomial with 2,000 draws at .05.
    assert all(count <= 2000 * 0.05 + 3.1 * math.sqrt(2000 * 0.05 * 0.95) for count in hits.values())
    assert hits["signed"] > 40
