from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.contract import Batch, StepPlan
from harness_plugins.tricks.grad_accumulation import GradAccumulation


def test_the_plan_gets_that_many_parts_and_keeps_the_rest() -> None:
    assert GradAccumulation(4).plan(StepPlan()) == StepPlan(micro_batches=4)
    assert GradAccumulation(4).plan(StepPlan(2, (0.5,))) == StepPlan(8, (0.5,))


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_the_observable_is_the_number_of_parts_that_passes_saw(kit: Any, parts: int) -> None:
    slots = GradAccumulation(parts).bind(kit.context(kit.model()))
    batch = kit.batch(0)
    assert slots.batch(batch) is batch
    seen = []
    objective = slots.objective(lambda part: (torch.tensor(float(len(part))), seen.append(part)))
    for ids in batch.ids.tensor_split(parts):
        part = Batch({"image": batch.image[ids]}, batch.target[ids], ids)
        loss, _ = objective(part)
        assert float(loss) == len(ids)
        assert seen[-1] is part
    assert slots.observe() == parts


def test_a_batch_that_was_not_split_shows_as_nought(kit: Any) -> None:
    slots = GradAccumulation(4).bind(kit.context(kit.model()))
    batch = slots.batch(kit.batch(0))
    slots.objective(lambda part: (torch.zeros(()), torch.zeros(())))(batch)
    assert slots.observe() == 0
