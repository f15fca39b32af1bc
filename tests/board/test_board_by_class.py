"""Class by class: against arithmetic by hand, scipy's t interval, and records that hold none of it."""

import math
from typing import Any

import pytest
import scipy.stats

from harness.board.by_class import MOST_CLASSES, by_class_of
from harness.board.leaderboard import build
from harness.board.select import placed_in, select
from harness.record.attempt import attempts_of

NAMES = ["cat", "dog", "eel"]
COUNTS = [4, 4, 2]


def told(right: list[int], confusion: Any = None, reliability: Any = None) -> dict[str, Any]:
    return {"class_correct": right, "confusion": confusion, "reliability": reliability}


def classed(inputs: Any, **tests: list[dict[str, Any]]) -> Any:
    """Return inputs of three classes whose arms' test results hold these, by replicate."""
    given = inputs(dict.fromkeys(tests, 0.0), replicates=len(next(iter(tests.values()))))
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = NAMES
    manifest["splits"]["test"]["class_counts"] = COUNTS
    for arm, results in tests.items():
        for record, result in zip(given.of(arm), results, strict=True):
            record["results"]["test"] |= result
    return given


def by_class(given: Any) -> Any:
    return by_class_of(
        given.plan, select(given.plan, placed_in(given.plan, attempts_of(given.records)))[0], 0.05
    )


def test_accuracy_and_its_paired_difference_are_those_of_scipy(inputs: Any) -> None:
    plain = [told([1, 4, 2]), told([2, 4, 1]), told([2, 3, 0])]
    arm = [told([3, 4, 2]), told([3, 2, 1]), told([4, 3, 0])]
    found = by_class(classed(inputs, plain=plain, arm=arm))
    assert found["classes"] == {"m": {"names": NAMES, "test": COUNTS}}
    own = found["arms"]["arm"]
    assert own["data"] == "m"
    assert own["accuracy"] == pytest.approx([1000 / 12, 75.0, 50.0], abs=1e-4)
    # Cats: 75 - 25, 75 - 50, 100 - 50 points.
    differences = [50.0, 25.0, 50.0]
    low, high = scipy.stats.t.interval(0.95, 2, sum(differences) / 3, scipy.stats.sem(differences))
    assert own["difference"][0] == pytest.approx(sum(differences) / 3, abs=1e-4)
    assert own["difference_half_width"][0] == pytest.approx((high - low) / 2, abs=1e-4)
    assert own["difference"][2] == own["difference_half_width"][2] == 0.0
    assert found["arms"]["plain"]["difference"] is None


def test_an_arm_is_held_against_the_baseline_of_its_cell(inputs: Any) -> None:
    given = classed(
        inputs,
        plain=[told([0, 0, 0])] * 2,
        other=[told([2, 2, 2])] * 2,
        arm=[told([3, 2, 1])] * 2,
    )
    given.plan["arms"][2]["against"] = "other"
    assert by_class(given)["arms"]["arm"]["difference"] == [25.0, 0.0, -50.0]


def test_a_confusion_is_a_share_of_each_true_class_over_all_replicates(inputs: Any) -> None:
    first = [3, 1, 0, 0, 4, 0, 1, 1, 0]
    second = [1, 3, 0, 0, 4, 0, 0, 0, 2]
    given = classed(inputs, plain=[told([3, 4, 0], first), told([1, 4, 2], second)])
    confusion = by_class(given)["arms"]["plain"]["confusion"]
    assert confusion == [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]


def test_reliability_pools_the_bins_and_averages_the_errors(inputs: Any) -> None:
    # First replicate: all right at 0.8, an error of 20 points; second: half right at 0.6, 10 points.
    one = {"count": [0, 10], "correct": [0, 10], "confidence": [0.0, 8.0]}
    two = {"count": [10, 0], "correct": [5, 0], "confidence": [6.0, 0.0]}
    found = by_class(classed(inputs, plain=[told([4, 4, 2], None, one), told([2, 2, 1], None, two)]))
    own = found["arms"]["plain"]
    assert own["reliability"] == [
        {"confidence": 0.6, "accuracy": 0.5, "share": 0.5},
        {"confidence": 0.8, "accuracy": 1.0, "share": 0.5},
    ]
    assert own["calibration_error"]["mean"] == pytest.approx(15.0)


@pytest.mark.parametrize(
    "damage",
    [
        {"class_correct": None},
        {"class_correct": [1, 2]},
        {"class_correct": [1, math.nan, 2]},
        {"class_correct": ["1", 2, 3]},
        {"class_correct": [1, 2, 3], "confusion": [1] * 8},
        {"class_correct": [1, 2, 3], "reliability": {"count": [1], "correct": []}},
        {"class_correct": [1, 2, 3], "reliability": {"count": [0], "correct": [0], "confidence": [0]}},
        {"class_correct": [1, 2, 3], "reliability": 3},
    ],
)
def test_a_record_of_another_shape_is_left_out(inputs: Any, damage: dict[str, Any]) -> None:
    good = told([1, 2, 2])
    given = classed(inputs, plain=[good, {**good, **damage}])
    own = by_class(given)["arms"]["plain"]
    assert own["confusion"] is None and own["reliability"] is None
    assert own["accuracy"][0] == (25.0 if len(damage) == 1 else pytest.approx(25.0))


def test_a_class_without_examples_is_absent_and_not_0(inputs: Any) -> None:
    given = classed(inputs, plain=[told([1, 2, 0])], arm=[told([1, 3, 0])])
    given.plan["manifests"]["m"]["splits"]["test"]["class_counts"] = [4, 4, 0]
    own = by_class(given)["arms"]["arm"]
    assert own["accuracy"] == [25.0, 75.0, None] and own["difference"] == [0.0, 25.0, None]


def test_older_records_hold_nothing_and_very_many_classes_no_intervals(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    assert build(given.plan, given.records, given.timings)["by_class"] is None
    count = MOST_CLASSES + 1
    given = classed(inputs, plain=[told([1] * count)] * 3)
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = [str(index) for index in range(count)]
    manifest["splits"]["test"]["class_counts"] = [2] * count
    own = by_class(given)["arms"]["plain"]
    assert own["accuracy"] == [50.0] * count and own["half_width"] is None
