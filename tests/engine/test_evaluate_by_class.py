"""What a record holds by class and by confidence, against scikit-learn and the calibration metric."""

import numpy as np
import pytest
import torch

from harness.engine.evaluate import CONFUSION_CLASSES, by_class
from harness.registry.discovery import discover

metrics = pytest.importorskip("sklearn.metrics")


def judged(classes: int, count: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    generator = np.random.default_rng(classes)
    target = generator.integers(0, classes, count)
    logits = generator.normal(0, 2, (count, classes)).astype(np.float32)
    logits[np.arange(count), target] += 2
    guesses = logits.argmax(1)
    return logits, guesses, target, by_class(logits, guesses, target)


@pytest.mark.parametrize("classes", [2, 10, CONFUSION_CLASSES])
def test_confusions_are_those_of_scikit_learn(classes: int) -> None:
    _, guesses, target, told = judged(classes)
    expected = metrics.confusion_matrix(target, guesses, labels=range(classes))
    assert np.array_equal(np.reshape(told["confusion"], (classes, classes)), expected)
    assert told["class_correct"] == expected.diagonal().tolist()


def test_many_classes_keep_their_hits_alone() -> None:
    _, guesses, target, told = judged(CONFUSION_CLASSES + 1)
    assert told["confusion"] is None
    assert told["class_correct"] == [int(((guesses == target) & (target == k)).sum()) for k in range(33)]


def test_bins_of_confidence_give_the_calibration_error_of_the_metric() -> None:
    logits, _, target, told = judged(10)
    metric = discover(allow="first-party")
    normal, _ = metric.validate("metric", {"name": "calibration-error"}, "metrics[0]")
    expected = metric.build("metric", normal).compute(torch.from_numpy(logits), torch.from_numpy(target))
    bins = told["reliability"]
    gaps = np.abs(np.subtract(bins["correct"], bins["confidence"])).sum() / len(target)
    assert 100 * gaps == pytest.approx(expected, abs=1e-3)
    assert sum(bins["count"]) == len(target)


def test_a_certain_guess_is_in_the_last_bin_and_no_number_in_the_first() -> None:
    logits = np.array([[1000, 0], [np.nan, 0], [0, 0]], dtype=np.float32)
    told = by_class(logits, np.array([0, 0, 1]), np.array([0, 1, 1]))
    count = told["reliability"]["count"]
    assert (count[14], count[0], count[7]) == (1, 1, 1)
