"""The statistics against scipy.stats, brute force and hand-worked tables."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.board import statistics


def differences_of(seed: int, count: int, shift: float = 0.3) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(shift, 0.5) for _ in range(count)]


@pytest.mark.parametrize("count", [2, 5, 8, 10, 12])
def test_sign_flip_equals_scipy_permutation_test(count: int) -> None:
    values = differences_of(count, count)
    expected = stats.permutation_test(
        (np.array(values),),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
        alternative="two-sided",
    )
    assert statistics.sign_flip_p(values) == pytest.approx(float(expected.pvalue), abs=1e-12)


@settings(max_examples=60)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_sign_flip_equals_an_enumeration_in_whole_numbers(values: list[int]) -> None:
    nonzero = [value for value in values if value]
    observed = abs(sum(nonzero))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, nonzero, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(nonzero))
    ]
    expected = sum(total >= observed for total in sums) / len(sums)
    # Hundredths that are not exact in binary: ties have to be found all the same.
    assert statistics.sign_flip_p([value / 100 for value in values]) == expected


def test_ties_are_found_in_differences_of_accuracies() -> None:
    # 91.3 - 91.0 and the like are off by rounding; 3 differences of 0.3 and one of -0.3 in 4 pairs.
    values = [91.3 - 91.0, 92.6 - 92.3, 90.4 - 90.1, 88.1 - 88.4]
    assert len({abs(value) for value in values}) > 1
    # |sum| >= 2 units: both all-equal patterns (2) and the 4 + 4 patterns with one sign apart.
    assert statistics.sign_flip_p(values) == 10 / 16


def test_sixteen_differences_are_exact_and_all_of_one_sign_give_the_smallest_p() -> None:
    assert statistics.sign_flip_p([1.0 + index / 100 for index in range(16)]) == 2 / 2**16


def test_zero_differences_do_not_count() -> None:
    values = differences_of(3, 7)
    assert statistics.sign_flip_p([*values, 0.0, 0.0]) == statistics.sign_flip_p(values)
    assert statistics.sign_flip_p([0.0] * 10) == 1.0
    assert statistics.sign_flip_p([]) == 1.0


def test_the_test_keeps_its_level_under_the_null() -> None:
    draw = random.Random(1)
    rejected = sum(statistics.sign_flip_p([draw.gauss(0, 1) for _ in range(8)]) <= 0.05 for _ in range(2000))
    assert rejected / 2000 == pytest.approx(12 / 256, abs=4 * math.sqrt(0.047 * 0.953 / 2000))


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, made monotone: .04 .06 .06 .06.
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    # .001 · 3, .5 · 2 = 1 (at most 1), .9 stays at the running maximum.
    assert statistics.holm([0.5, 0.9, 0.001]) == pytest.approx([1.0, 1.0, 0.003])
    assert statistics.holm([0.02]) == [0.02]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float], alpha: float) -> None:
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = set()
    for rank, index in enumerate(order):
        if (len(p_values) - rank) * p_values[index] > alpha:
            break
        rejected.add(index)
    adjusted = statistics.holm(p_values)
    assert {index for index, value in enumerate(adjusted) if value <= alpha} == rejected


@pytest.mark.parametrize("count", [2, 3, 10, 57, 200])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 49, 0.2])
def test_interval_equals_scipy(count: int, alpha: float) -> None:
    values = differences_of(count, count)
    found = statistics.estimate(values, alpha)
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - alpha)
    assert found is not None
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.low == pytest.approx(expected.low, rel=1e-12, abs=1e-12)
    assert found.high == pytest.approx(expected.high, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 30, 199])
def test_student_t_equals_scipy(degrees: int) -> None:
    for t in (0.0, 1e-3, 0.1, 0.9, 1.0, 2.5, 12.0, 300.0, -0.4, -7.0):
        assert statistics.student_t_tail(t, degrees) == pytest.approx(
            stats.t.sf(t, degrees), rel=1e-11, abs=1e-300
        )
    for tail in (0.5, 0.4, 0.2, 0.025, 1e-3, 5e-6):
        assert statistics.student_t_quantile(tail, degrees) == pytest.approx(
            stats.t.isf(tail, degrees), rel=1e-12, abs=1e-12
        )


def test_student_t_equals_the_cauchy_distribution_in_closed_form() -> None:
    # Near 0, where scipy 1.17 is 1e-9 off.
    for t in (1e-8, 0.01, 1.0, 40.0):
        assert statistics.student_t_tail(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, rel=1e-13)


def test_one_value_has_no_interval_and_none_has_no_estimate() -> None:
    found = statistics.estimate([94.0], 0.05)
    assert found is not None and (found.mean, found.low, found.high) == (94.0, None, None)
    assert statistics.estimate([], 0.05) is None


@pytest.mark.parametrize("margin", [0.2, 0.6, 1.5])
def test_equivalence_equals_two_one_sided_tests_of_scipy(margin: float) -> None:
    values = differences_of(4, 10, shift=0.1)
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    assert statistics.equivalence_p(values, margin) == pytest.approx(max(above, below), rel=1e-11)


def test_equivalence_without_spread() -> None:
    assert statistics.equivalence_p([0.05] * 4, 0.1) == 0.0
    assert statistics.equivalence_p([0.15] * 4, 0.1) == 1.0
    assert statistics.equivalence_p([0.0], 0.1) is None


def test_detectable_difference_is_found_in_four_of_five_runs() -> None:
    draw = random.Random(3)
    found = 0
    for _ in range(600):
        noise = [draw.gauss(0, 1) for _ in range(10)]
        # The deviation that the formula is given is the true one here.
        unit = [(-1.0) ** index * math.sqrt(9 / 10) for index in range(10)]
        shift = statistics.detectable_difference(unit, 0.05)
        assert shift is not None
        found += statistics.sign_flip_p([value + shift for value in noise]) <= 0.05
    assert 0.74 < found / 600 < 0.88


def test_sums_do_not_depend_on_the_order() -> None:
    values = differences_of(7, 50)
    shuffled = random.Random(0).sample(values, len(values))
    assert statistics.estimate(values, 0.05) == statistics.estimate(shuffled, 0.05)
    assert statistics.median_of([3.0, 1.0, 2.0, 10.0]) == 2.5
