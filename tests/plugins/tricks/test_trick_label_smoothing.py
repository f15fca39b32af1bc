from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import CrossEntropyLoss
from torch.nn import functional as F

from harness_plugins.tricks.label_smoothing import LabelSmoothing


@pytest.mark.parametrize("smoothing", [0.05, 0.1, 0.5])
def test_the_loss_is_that_of_torch_with_label_smoothing(kit: Any, smoothing: float) -> None:
    batch = kit.batch(0)
    logits = torch.randn(
        len(batch), kit.classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    smoothed = LabelSmoothing(smoothing).bind(kit.context(kit.model())).batch(batch)
    expected = CrossEntropyLoss(label_smoothing=smoothing)(logits, batch.target)
    torch.testing.assert_close(F.cross_entropy(logits, smoothed.target.double()), expected, rtol=1e-6, atol=0)


def test_mixed_targets_are_smoothed_and_the_batch_given_stays_as_it_was(kit: Any) -> None:
    mixed = torch.tensor([[0.7, 0.3, 0.0, 0.0, 0.0]])
    batch = kit.batch(0).with_target(mixed)
    smoothed = LabelSmoothing(0.1).bind(kit.context(kit.model())).batch(batch)
    torch.testing.assert_close(smoothed.target, torch.tensor([[0.65, 0.29, 0.02, 0.02, 0.02]]))
    assert torch.equal(mixed, torch.tensor([[0.7, 0.3, 0.0, 0.0, 0.0]]))
    assert smoothed.image is batch.image


def test_the_observable_is_the_entropy_of_the_smoothed_targets(kit: Any) -> None:
    slots = LabelSmoothing(0.1).bind(kit.context(kit.model()))
    slots.batch(kit.batch(0))
    by_hand = -(0.92 * math.log(0.92) + 4 * 0.02 * math.log(0.02))
    assert slots.observe() == pytest.approx(by_hand, rel=1e-5)


def test_without_smoothing_nothing_asks_for_dense_targets(kit: Any) -> None:
    assert LabelSmoothing(0.0).bind(kit.context(kit.model())).batch is None
