from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from harness.contract import StepResult
from harness_plugins.tricks.ema import Ema


def test_the_average_is_that_of_torch_with_its_buffers(kit: Any) -> None:
    ctx = kit.context(kit.model())
    reference = AveragedModel(ctx.model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    reference.n_averaged.fill_(
        1
    )  # torch's first call copies; ours averages with the initial weights from the start
    slots = Ema(decay=0.9, warmup=False).bind(ctx)
    kit.run(ctx, slots, steps=8, after_step=lambda: reference.update_parameters(ctx.model))
    judged = slots.eval_model(ctx.model).state_dict()
    for key, expected in reference.module.state_dict().items():
        if expected.is_floating_point():
            torch.testing.assert_close(judged[key], expected, msg=key)
    assert int(judged["1.num_batches_tracked"]) == 8


def test_warm_up_follows_the_formula_by_hand() -> None:
    ema = Ema(decay=0.5)
    assert [ema.decay_at(step) for step in (0, 1, 2, 7, 8, 100)] == [1 / 10, 2 / 11, 3 / 12, 8 / 17, 0.5, 0.5]
    assert Ema(decay=0.5, warmup=False).decay_at(0) == 0.5


def test_one_weight_by_hand(kit: Any) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ctx = kit.context(model)
    slots = Ema(decay=0.999, warmup=True).bind(ctx)

    def move_to(value: float) -> Any:
        def update(closure: Any) -> StepResult:
            with torch.no_grad():
                model.weight.fill_(value)
            return StepResult(torch.zeros(()))

        return update

    slots.update(move_to(2.0))(None)  # 0.1 * 1 + 0.9 * 2 = 1.9
    ctx.step = 1
    slots.update(move_to(3.0))(None)  # 2/11 * 1.9 + 9/11 * 3 = 2.8
    assert float(slots.eval_model(model).weight) == pytest.approx(2.8)
    assert slots.observe() == pytest.approx(0.2 / 3)


def test_the_raw_model_trains_on_as_if_it_were_not_there(kit: Any) -> None:
    plain, plain_losses, _ = kit.train(None)
    ctx = kit.context(kit.model())
    slots = Ema(decay=0.9).bind(ctx)

    def judge_in_between() -> None:
        judged = slots.eval_model(ctx.model).eval()
        assert judged is not ctx.model
        with torch.no_grad():
            judged(kit.batch(99).image)
        assert ctx.model.training

    losses = kit.run(ctx, slots, after_step=judge_in_between)
    assert losses == plain_losses
    for key, value in ctx.model.state_dict().items():
        assert torch.equal(value, plain[key]), key
    assert not torch.equal(slots.eval_model(ctx.model)[0].weight, ctx.model[0].weight)


def test_a_skipped_update_does_not_move_the_average(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Ema(decay=0.5).bind(ctx)
    before = copy.deepcopy(slots.eval_model(ctx.model).state_dict())

    def skipped(closure: Any) -> StepResult:
        with torch.no_grad():
            ctx.model[0].weight.add_(1)
        return StepResult(torch.zeros(()), applied=False)

    slots.update(skipped)(None)
    assert torch.equal(slots.eval_model(ctx.model)[0].weight, before["0.weight"])


def test_restored_state_continues_bit_for_bit(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Ema(decay=0.9).bind(ctx)
    optimizer = torch.optim.SGD(ctx.model.parameters(), lr=0.05)
    kit.run(ctx, slots, steps=3, optimizer=optimizer)

    resumed = kit.context(copy.deepcopy(ctx.model))
    resumed_slots = Ema(decay=0.9).bind(resumed)
    for target, source in zip(resumed_slots.state["averages"], slots.state["averages"], strict=True):
        target.copy_(source)
    resumed.step = ctx.step

    kit.run(ctx, slots, steps=3, optimizer=optimizer)
    kit.run(resumed, resumed_slots, steps=3, optimizer=torch.optim.SGD(resumed.model.parameters(), lr=0.05))
    expected = slots.eval_model(ctx.model).state_dict()
    for key, value in resumed_slots.eval_model(resumed.model).state_dict().items():
        assert torch.equal(value, expected[key]), key
