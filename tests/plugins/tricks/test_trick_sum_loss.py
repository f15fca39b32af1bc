from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import StepResult
from harness_plugins.tricks.sum_loss import SumLoss


def test_gradients_are_those_of_torchs_summed_loss_and_the_record_holds_the_mean(kit: Any) -> None:
    model = kit.model().eval()
    batch = kit.batch(0)
    slots = SumLoss().bind(kit.context(model))

    def mean_objective(part: Any) -> Any:
        logits = model(part.image)
        return nn.functional.cross_entropy(logits, part.target), logits

    seen = slots.batch(batch)
    loss, _ = slots.objective(mean_objective)(seen)
    loss.backward()
    ours = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    expected = nn.functional.cross_entropy(model(batch.image), batch.target, reduction="sum")
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for gradient, weight in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, weight.grad)
    result = slots.update(lambda closure: StepResult(loss.detach(), applied=False))(None)
    assert float(result.loss) == pytest.approx(float(expected.detach()) / 16)
    assert result.applied is False
    assert slots.observe() == 16


def test_parts_of_a_batch_weighted_by_their_share_add_up_to_the_whole_sum(kit: Any) -> None:
    model = kit.model().eval()
    batch = kit.batch(0)
    slots = SumLoss().bind(kit.context(model))
    slots.batch(batch)

    def mean_objective(rows: Any) -> Any:
        logits = model(batch.image[rows])
        return nn.functional.cross_entropy(logits, batch.target[rows]), logits

    parts = [torch.arange(0, 6), torch.arange(6, 16)]
    total = sum(slots.objective(mean_objective)(rows)[0] * len(rows) / 16 for rows in parts)
    expected = nn.functional.cross_entropy(model(batch.image), batch.target, reduction="sum")
    torch.testing.assert_close(total, expected)


def test_half_precision_weights_get_gradients_that_the_mean_loses(kit: Any) -> None:
    weight = torch.zeros(1, 2, dtype=torch.float16, requires_grad=True)
    # the gradient of the mean is half of this: less than half of the least number, 6e-8
    image = torch.full((1024, 1), 4.5e-8, dtype=torch.float16)
    target = torch.zeros(1024, dtype=torch.long)

    class Sized:
        def __len__(self) -> int:
            return 1024

    def mean_objective(part: Any) -> Any:
        logits = (image @ weight).float()
        return nn.functional.cross_entropy(logits, target), logits

    mean_objective(None)[0].backward()
    of_mean = weight.grad.clone()
    weight.grad = None
    slots = SumLoss().bind(kit.context(nn.Linear(1, 1)))
    slots.batch(Sized())
    slots.objective(mean_objective)(None)[0].backward()
    assert torch.equal(of_mean, torch.zeros(1, 2, dtype=torch.float16))
    assert float(weight.grad[0, 1]) == pytest.approx(1024 * 0.5 * float(image[0, 0]), rel=0.02)
