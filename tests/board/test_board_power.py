import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import optimize, stats

from harness.board.power import (
    AIM,
    detectable,
    equal_power,
    non_inferior_power,
    replicates_for,
    replicates_for_equal,
    replicates_for_non_inferiority,
    t_power,
)
from harness.board.statistics import equivalence_p, sign_flip_p


@pytest.mark.parametrize("n", [3, 6, 10, 33, 200, 5000])
@pytest.mark.parametrize(("tail", "noncentrality"), [(0.025, 0.0), (0.005, 2.0), (0.00125, 4.5)])
def test_power_of_the_t_test_is_the_tail_of_the_noncentral_t(
    n: int, tail: float, noncentrality: float
) -> None:
    expected = stats.nct.sf(stats.t.isf(tail, n - 1), n - 1, noncentrality)
    assert t_power(n, tail, noncentrality / math.sqrt(n)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("n", "family"), [(25, 1), (40, 5), (1000, 20)])
def test_what_many_replicates_resolve_is_that_of_the_t_test(n: int, family: int) -> None:
    critical = stats.t.isf(0.05 / family / 2, n - 1)
    effect = optimize.brentq(lambda e: stats.nct.sf(critical, n - 1, e * math.sqrt(n)) - 0.8, 1e-6, 5.0)
    assert detectable(0.5, n, family, 0.05) == pytest.approx(0.5 * effect, rel=1e-6)


@pytest.mark.parametrize(("n", "family"), [(6, 1), (8, 5), (9, 10), (10, 20)])
def test_at_the_floor_all_differences_must_agree(n: int, family: int) -> None:
    # One pair of sign vectors is significant: all differences of one sign. P(Z > -e)^n = 0.8, and a little more.
    effect = -statistics.NormalDist().inv_cdf(1 - AIM ** (1 / n))
    assert detectable(1.0, n, family, 0.05) == pytest.approx(effect, rel=0.02)


@pytest.mark.parametrize(("n", "family"), [(7, 1), (10, 5), (12, 10)])
def test_the_sign_flip_test_finds_what_is_promised_in_80_percent_of_runs(n: int, family: int) -> None:
    effect = detectable(0.3, n, family, 0.05)
    runs = np.random.default_rng(5).normal(effect, 0.3, (2000, n))
    found = sum(sign_flip_p(run.tolist()) <= 0.05 / family for run in runs)
    # Four standard errors of a share of 2,000 runs, and the error of the promise itself.
    assert found / 2000 == pytest.approx(0.8, abs=0.045)


def test_the_drawn_test_above_16_replicates_finds_it_too() -> None:
    effect = detectable(1.0, 18, 10, 0.05)
    runs = np.random.default_rng(6).normal(effect, 1.0, (400, 18))
    found = sum(sign_flip_p(run.tolist()) <= 0.005 for run in runs)
    assert found / 400 == pytest.approx(0.8, abs=0.09)


def test_the_margin_has_to_be_reached_as_well() -> None:
    # Where noise is small, finding it is no matter, and the mean lies above the margin in 80 % of runs.
    assert detectable(0.01, 30, 3, 0.05, margin=1.0) == pytest.approx(
        1.0 + 0.01 / math.sqrt(30) * statistics.NormalDist().inv_cdf(0.8), rel=1e-6
    )
    above = 0.01 / math.sqrt(12) * statistics.NormalDist().inv_cdf(AIM)
    assert detectable(0.01, 12, 3, 0.05, margin=1.0) == pytest.approx(1.0 + above, abs=2e-4)
    assert detectable(1.0, 10, 3, 0.05, margin=0.0) <= detectable(1.0, 10, 3, 0.05, margin=0.5)


def test_below_the_floor_nothing_is_found() -> None:
    assert detectable(0.5, 5, 1, 0.05) == math.inf
    assert detectable(0.0, 6, 1, 0.05, margin=0.1) == 0.1


@pytest.mark.parametrize(("difference", "family"), [(0.6, 5), (0.25, 1), (0.2, 20)])
def test_a_wished_difference_takes_the_fewest_replicates_that_find_it(difference: float, family: int) -> None:
    n = replicates_for(difference, 0.5, family, 0.05)
    assert n is not None
    assert detectable(0.5, n, family, 0.05) <= difference < detectable(0.5, n - 1, family, 0.05)


def test_what_no_number_of_replicates_finds() -> None:
    assert replicates_for(0.1, 0.5, 5, 0.05, margin=0.1) is None  # at the margin: half of all runs
    assert replicates_for(1e-4, 1.0, 5, 0.05) is None  # more than 100,000
    assert replicates_for(0.1, 0.0, 1, 0.05) == 6
    assert replicates_for_equal(0.1, 0.0, 3, 0.05) == 7
    assert replicates_for_non_inferiority(1e-4, 1.0, 1, 0.05) is None


def test_power_of_equal_is_that_of_simulated_runs() -> None:
    runs = np.random.default_rng(7).normal(0.0, 1.0, (20_000, 12))
    means, errors = runs.mean(1), runs.std(1, ddof=1) / math.sqrt(12)
    within = np.abs(means) + stats.t.isf(0.01, 11) * errors <= 0.9
    assert equal_power(12, 0.01, 0.9) == pytest.approx(within.mean(), abs=0.012)
    assert (equivalence_p(runs[0].tolist(), 0.9) <= 0.01) == within[0]  # the same rule as the board's


def test_power_of_non_inferiority_is_the_noncentral_t() -> None:
    expected = stats.nct.sf(stats.t.isf(0.01, 19), 19, 0.7 * math.sqrt(20))
    assert non_inferior_power(20, 0.01, 0.7) == pytest.approx(expected, abs=1e-7)
    n = replicates_for_non_inferiority(0.2, 0.5, 5, 0.05)
    assert n is not None
    powers = [stats.nct.sf(stats.t.isf(0.01, k - 1), k - 1, 0.4 * math.sqrt(k)) for k in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]


def test_equal_takes_more_than_non_inferiority_and_both_grow_with_the_family() -> None:
    counts = {
        (rule.__name__, family): rule(0.2, 0.4, family, 0.05)
        for rule, family in itertools.product((replicates_for_equal, replicates_for_non_inferiority), (1, 10))
    }
    assert counts["replicates_for_equal", 1] > counts["replicates_for_non_inferiority", 1]  # type: ignore[operator]
    assert counts["replicates_for_equal", 10] > counts["replicates_for_equal", 1]  # type: ignore[operator]
