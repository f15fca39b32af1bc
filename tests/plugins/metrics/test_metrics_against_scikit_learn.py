from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from harness_plugins.metrics.balanced_accuracy import BalancedAccuracy
from harness_plugins.metrics.calibration_error import CalibrationError
from harness_plugins.metrics.top_k import TopK


def predictions(seed: int, count: int = 300, classes: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), target] += 1.0
    return logits, target


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_is_that_of_scikit_learn(seed: int, k: int) -> None:
    logits, target = predictions(seed)
    expected = 100 * top_k_accuracy_score(target.numpy(), logits.numpy(), k=k, labels=range(8))
    assert TopK(k).compute(logits, target) == pytest.approx(expected)


def test_top_k_of_all_classes_is_a_hundred_and_of_more_is_refused() -> None:
    logits, target = predictions(0)
    assert TopK(8).compute(logits, target) == 100
    with pytest.raises(ValueError, match="k = 9 needs as many classes; there are 8"):
        TopK(9).compute(logits, target)


@pytest.mark.parametrize("seed", range(3))
def test_balanced_accuracy_is_that_of_scikit_learn(seed: int) -> None:
    logits, target = predictions(seed)
    target[target == 3] = 0
    few = (target != 5) | (torch.arange(len(target)) % 7 == 0)
    logits, target = logits[few], target[few]
    expected = 100 * balanced_accuracy_score(target.numpy(), logits.argmax(1).numpy())
    assert BalancedAccuracy().compute(logits, target) == pytest.approx(expected)


def test_balanced_accuracy_by_hand() -> None:
    """Three of class 0, two right; one of class 1, wrong; none of class 2: (2/3 + 0) / 2."""
    logits = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert BalancedAccuracy().compute(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(100 / 3)


def logits_of_confidence(confidences: list[float]) -> torch.Tensor:
    """Two classes, the first one predicted with a given probability of 0.5 or more."""
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in confidences], dtype=torch.float32)


def test_calibration_error_by_hand() -> None:
    """Bins of a fifth. (0.4, 0.6]: 0.55 right, 0.57 wrong: |0.5 - 0.56| * 2/5. (0.6, 0.8]: 0.7 wrong: 0.7 * 1/5.

    (0.8, 1]: 0.9 right, 0.95 right: |1 - 0.925| * 2/5. Together 0.024 + 0.14 + 0.03 = 0.194.
    """
    logits = logits_of_confidence([0.55, 0.57, 0.7, 0.9, 0.95])
    target = torch.tensor([0, 1, 1, 0, 0])
    assert CalibrationError(bins=5).compute(logits, target) == pytest.approx(19.4, rel=1e-5)


def test_calibration_error_equals_a_loop_over_bins() -> None:
    logits, target = predictions(4, count=1000)
    confidence, predicted = logits.softmax(1).max(1)
    expected = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            accuracy = (predicted == target)[inside].float().mean()
            expected += float(inside.float().mean() * (accuracy - confidence[inside].mean()).abs())
    assert CalibrationError().compute(logits, target) == pytest.approx(100 * expected, rel=1e-4)


def test_a_confidence_of_one_falls_into_the_last_bin() -> None:
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0]])
    assert CalibrationError().compute(logits, torch.tensor([0, 1])) == pytest.approx(50)
