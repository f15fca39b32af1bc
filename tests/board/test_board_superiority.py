"""P(A > B), what a plan resolves, and p-values, intervals and Holm to 1e-12."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.board import power, statistics
from harness.board.distributions import normal_quantile, student_t_quantile, student_t_tail
from harness.board.leaderboard import build


def test_p_values_and_intervals_equal_scipys_to_twelve_digits() -> None:
    draw = np.random.default_rng(5)
    for n in (2, 3, 6, 10, 13, 40):
        values = draw.normal(0.2, 1, n).tolist()
        found = statistics.estimate(values, 0.05 / 7)
        expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 7)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-12)
        above = stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
        below = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
        assert statistics.equivalence_p(values, 0.5) == pytest.approx(max(above, below), abs=1e-12)
        assert statistics.non_inferiority_p(values, 0.5) == pytest.approx(above, abs=1e-12)
        if n <= 13:
            exact = stats.permutation_test(
                (values,), np.sum, permutation_type="samples", n_resamples=np.inf
            ).pvalue
            assert statistics.sign_flip_p(values) == pytest.approx(exact, abs=1e-12)
    for tail in (0.5, 0.3, 0.025, 1e-6):
        assert normal_quantile(tail) == pytest.approx(stats.norm.isf(tail), abs=1e-12)
    for degrees in (1.5, 7.25, 431.0625):
        assert student_t_tail(2.1, degrees) == pytest.approx(stats.t.sf(2.1, degrees), abs=1e-12)
        assert student_t_quantile(0.01, degrees) == pytest.approx(stats.t.isf(0.01, degrees), abs=1e-11)


def test_holm_by_a_table_worked_by_hand() -> None:
    # p times 5, 4, 3, 2, 1 in ascending order: .010 · 5 = .050; .012 · 4 = .048, raised to .050; .020 · 3 = .060;
    # .030 · 2 = .060; .700. The first two are significant at .05, the rest are not.
    adjusted = statistics.holm([0.020, 0.700, 0.010, 0.030, 0.012])
    assert adjusted == pytest.approx([0.060, 0.700, 0.050, 0.060, 0.050], abs=1e-12)


def test_draws_reach_the_level_of_a_large_family() -> None:
    draw = np.random.default_rng(0)
    values = (1.0 + 0.1 * draw.random(20)).tolist()  # all positive: the true p is 2 / 2^20
    assert statistics.sign_flip_p(values, 3) == 1 / 10_001
    # 2,000 arms at .05: 2.5e-5 is out of reach of 10,000 draws, and a million have 25 beyond it.
    p = statistics.sign_flip_p(values, 3, 0.05 / 2000)
    assert p * 1_000_001 == pytest.approx(round(p * 1_000_001), abs=1e-6)
    assert p == pytest.approx(2 / 2**20, abs=5e-6)


@pytest.mark.parametrize("family", [1, 2, 5, 20])
@pytest.mark.parametrize("count", [6, 7, 8, 10, 12, 16, 20, 33, 60])
@pytest.mark.parametrize("margin", [0.0, 0.6])
def test_what_a_board_says_it_resolves_is_what_a_plan_promises(
    count: int, family: int, margin: float
) -> None:
    promised = power.detectable(2.0, count, family, 0.05, margin)
    found = statistics.resolvable(2.0, count, 0.05 / family, margin)
    if math.isinf(promised):
        assert found is None
    else:
        assert found == pytest.approx(promised, rel=0.115)


def test_a_margin_has_to_be_reached_as_well() -> None:
    # 400 pairs find .14 deviations; but a true difference of the margin is measured as more in every other run only.
    assert statistics.resolvable(1.0, 400, 0.05) == pytest.approx(0.1403, abs=1e-3)
    beyond = stats.t.isf(0.2, 399) / 20
    assert statistics.resolvable(1.0, 400, 0.05, 0.5) == pytest.approx(0.5 + beyond)
    normal = stats.norm.isf(0.025) + stats.norm.isf(0.2)
    assert statistics.resolvable(1.0, 10_000, 0.05) == pytest.approx(normal / 100, rel=1e-3)
    assert statistics.detectable_difference([1.0, 2.0, 4.0], 0.05) is None


def test_probability_of_better_counts_all_pairs() -> None:
    # 9 pairs: 3 beats 1 and 2, ties with 3; 2 beats 1, ties with 2; 5 beats all: 2.5 + 1.5 + 3 = 7.
    found = statistics.probability_of_better([3.0, 2.0, 5.0], [1.0, 2.0, 3.0], 0.05)
    assert found is not None and found[0] == pytest.approx(7 / 9)
    statistic = stats.mannwhitneyu([3.0, 2.0, 5.0], [1.0, 2.0, 3.0]).statistic
    assert found[0] == pytest.approx(statistic / 9)
    assert statistics.probability_of_better([], [1.0], 0.05) is None


def test_the_interval_of_probability_solves_newcombes_equation() -> None:
    own, other = [float(x) for x in (4, 7, 9, 12, 3, 8)], [float(x) for x in (2, 6, 7, 1, 5)]
    found = statistics.probability_of_better(own, other, 0.05)
    assert found is not None
    share, n = found[0], (6 + 5) / 2
    for limit in found[1:]:
        variance = limit * (1 - limit) / 30
        variance *= 1 + (n - 1) * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        assert abs(share - limit) == pytest.approx(1.959963984540054 * math.sqrt(variance), rel=1e-9)
    mirrored = statistics.probability_of_better(other, own, 0.05)
    assert mirrored == pytest.approx((1 - found[0], 1 - found[2], 1 - found[1]))
    # Where all are above all others, it still has a width.
    above = statistics.probability_of_better([5.0, 6.0, 7.0], [1.0, 2.0, 3.0], 0.05)
    assert above is not None and above[0] == 1.0 == pytest.approx(above[2]) and 0.3 < above[1] < 0.8


def test_the_interval_of_probability_covers_the_truth() -> None:
    draw = random.Random(2)
    truth = stats.norm.cdf(1.0 / math.sqrt(2))
    covered = 0
    for _ in range(600):
        own = [draw.gauss(1.0, 1) for _ in range(10)]
        other = [draw.gauss(0.0, 1) for _ in range(10)]
        found = statistics.probability_of_better(own, other, 0.05)
        assert found is not None
        covered += found[1] <= truth <= found[2]
    assert covered / 600 > 0.92


def test_a_row_tells_the_probability_that_it_is_better(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "far": 9.0, "alike": 0.0}, noise=0.2)
    board = build(given.plan, given.records, [], shared=given.shared)
    told = {row["arm"]: row["p_better"] for row in board["rows"]}
    assert told["plain"] is None
    assert told["far"]["mean"] == 1.0 and told["far"]["low"] > 0.5
    assert told["alike"]["low"] < 0.5 < told["alike"]["high"]
