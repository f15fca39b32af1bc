from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from harness_plugins.tricks.freeze import Freeze
from harness_plugins.tricks.swa import Swa


def context(kit: Any, model: nn.Module, total: int = 12, per_epoch: int = 3) -> Any:
    ctx = kit.context(model)
    ctx.total_steps, ctx.steps_per_epoch = total, per_epoch
    ctx.training_batches = lambda count: (kit.batch(100 + index) for index in range(count))
    return ctx


def test_swa_is_torchs_average_at_epochs_ends_with_its_batch_norm_pass(kit: Any) -> None:
    model = kit.model()
    ctx = context(kit, model)
    slots = Swa(start=0.5, batches=4).bind(ctx)
    theirs = AveragedModel(model)

    def after_step() -> None:
        if ctx.step in (9, 12):  # the ends of epochs 3 and 4; half of the budget is step 6
            theirs.update_parameters(model)

    kit.run(ctx, slots, steps=12, after_step=after_step)
    assert slots.observe() == 2
    torch.manual_seed(0)  # dropout in the pass
    judged = slots.eval_model(model)
    torch.manual_seed(0)
    update_bn((kit.batch(100 + index).image for index in range(4)), theirs)
    for name, tensor in theirs.module.state_dict().items():
        assert torch.allclose(judged.state_dict()[name].to(tensor.dtype), tensor, atol=1e-6), name


def test_before_the_first_average_the_raw_weights_are_judged(kit: Any) -> None:
    model = kit.model()
    slots = Swa(start=0.9).bind(context(kit, model))
    assert slots.eval_model(model) is model
    assert slots.observe() == 0


def test_judging_leaves_the_raw_model_alone(kit: Any) -> None:
    model = kit.model()
    ctx = context(kit, model)
    slots = Swa(start=0.0, batches=2).bind(ctx)
    kit.run(ctx, slots, steps=3)
    before = copy.deepcopy(model.state_dict())
    slots.eval_model(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def blocks() -> nn.Sequential:
    stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    body = nn.Sequential(nn.Flatten(), nn.Linear(144, 6))
    return nn.Sequential(stem, body, nn.Linear(6, 5))


@pytest.mark.parametrize(
    ("trick", "frozen"),
    [
        (Freeze(blocks=1), {"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"}),
        # Four layers hold parameters: half of them are the convolution and its norm.
        (Freeze(share=0.5), {"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"}),
        (Freeze(share=0.25), {"0.0.weight", "0.0.bias"}),
        (Freeze(), set()),
    ],
)
def test_freeze_fixes_the_first_parameters_and_counts_them(kit: Any, trick: Freeze, frozen: set[str]) -> None:
    ctx = kit.context(blocks())
    ctx.blocks = list(ctx.model.named_children())
    slots = trick.bind(ctx)
    names = {id(parameter): name for name, parameter in ctx.model.named_parameters()}
    given = slots.freezes or {0.0: []}
    assert list(given) == [0.0]
    assert {names[id(parameter)] for parameter in given[0.0]} == frozen
    if frozen:
        assert slots.observe() == sum(p.numel() for n, p in ctx.model.named_parameters() if n in frozen)
    else:
        assert slots.observe is None


def test_freeze_refuses_to_leave_nothing_and_to_be_told_twice(kit: Any) -> None:
    ctx = kit.context(blocks())
    ctx.blocks = list(ctx.model.named_children())
    with pytest.raises(ValueError, match="blocks is 3, and the backbone has 3: 0, 1, 2"):
        Freeze(blocks=3).bind(ctx)
    with pytest.raises(ValueError, match=r"share is 0.95, which of the backbone's 4 layers leaves none"):
        Freeze(share=0.95).bind(ctx)
    with pytest.raises(ValueError, match="give one"):
        Freeze(blocks=1, share=0.5)
