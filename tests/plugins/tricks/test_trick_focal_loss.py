from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from harness_plugins.tricks.focal_loss import FocalLoss


def test_it_is_the_papers_equation_worked_by_hand(kit: Any) -> None:
    # Softmax of (log 1, log 3) is (1/4, 3/4): (1 - 3/4)^2 * -log(3/4) and (1 - 1/4)^2 * -log(1/4).
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]])
    slots = FocalLoss(2.0).bind(kit.context(kit.model()))
    expected = ((1 / 4) ** 2 * -math.log(3 / 4) + (3 / 4) ** 2 * -math.log(1 / 4)) / 2
    assert float(slots.loss(logits, torch.tensor([1, 0]))) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_of_two_classes_it_is_torchvisions(kit: Any, gamma: float) -> None:
    """A softmax over (0, z) is a sigmoid of z."""
    z = torch.randn(50, generator=torch.Generator().manual_seed(0))
    target = (torch.arange(50) % 2).long()
    slots = FocalLoss(gamma).bind(kit.context(kit.model()))
    ours = slots.loss(torch.stack([torch.zeros(50), z], 1), target)
    theirs = sigmoid_focal_loss(z, target.float(), alpha=-1, gamma=gamma, reduction="mean")
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_one_hot_targets_give_what_indices_give(kit: Any) -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    target = torch.arange(8) % 5
    slots = FocalLoss().bind(kit.context(kit.model()))
    assert torch.allclose(slots.loss(logits, target), slots.loss(logits, torch.eye(5)[target]))


def test_the_observable_is_the_mean_factor_and_gamma_nought_is_nothing(kit: Any) -> None:
    slots = FocalLoss(1.0).bind(kit.context(kit.model()))
    assert slots.observe() == 0
    slots.loss(torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64))
    assert slots.observe() == pytest.approx(0.8)  # every class has a fifth
    assert FocalLoss(0.0).bind(kit.context(kit.model())).loss is None


def test_the_observable_is_of_the_targets_classes_alone(kit: Any) -> None:
    # p of the classes is (1/4, 3/4): the target's factor is 1 - 3/4, and a dense target weighs both.
    logits = torch.tensor([[0.0, math.log(3.0)]])
    for target, expected in ((torch.tensor([1]), 1 / 4), (torch.tensor([[0.1, 0.9]]), 0.1 * 3 / 4 + 0.9 / 4)):
        slots = FocalLoss(1.0).bind(kit.context(kit.model()))
        slots.loss(logits, target)
        assert slots.observe() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("target", [torch.tensor([0]), torch.tensor([1]), torch.tensor([[0.9, 0.1, 0.0]])])
def test_a_sample_that_is_surely_known_has_a_gradient(kit: Any, gamma: float, target: torch.Tensor) -> None:
    """1 - p is 0 in single precision, and the slope of its root is infinite there."""
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    loss = FocalLoss(gamma).bind(kit.context(kit.model())).loss(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    if target.ndim == 1 and target[0] == 1:
        # -log p_t = 40 and p_t = e^-40: the plain cross-entropy's gradient, to rounding
        assert torch.allclose(gradient, torch.tensor([[1.0, -1.0, 0.0]]), atol=1e-5)
