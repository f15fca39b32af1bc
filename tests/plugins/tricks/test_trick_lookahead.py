from __future__ import annotations

import copy
from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from harness.contract import StepResult
from harness_plugins.tricks.lookahead import Lookahead


def floating(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value for key, value in model.state_dict().items() if value.is_floating_point()}


def by_hand(kit: Any, steps: int, keep_after: dict[int, float]) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A loop as in the papers: after the steps named, slow = keep * slow + (1 - keep) * fast, and fast = slow."""
    model = kit.model()
    slow = {key: value.clone() for key, value in floating(model).items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps):
        batch = kit.batch(step)
        torch.manual_seed(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch.image), batch.target).backward()
        optimizer.step()
        if step + 1 in keep_after:
            keep = keep_after[step + 1]
            for key, fast in floating(model).items():
                slow[key] = keep * slow[key] + (1 - keep) * fast
                fast.copy_(slow[key])
    return model, slow


@pytest.mark.parametrize(
    ("trick", "keep_after"),
    [
        (Lookahead(), {5: 0.5, 10: 0.5}),
        (Lookahead(interval=4, alpha=0.25), {4: 0.75, 8: 0.75}),
        # 0.95^5 (t / T)^3 with T = 20
        (
            Lookahead(interval=5, alpha=1 - 0.95**5, growth=3.0),
            {5: 0.7737809375 / 64, 10: 0.7737809375 / 8},
        ),
    ],
    ids=["paper", "other", "growing"],
)
def test_it_follows_a_hand_written_loop(kit: Any, trick: Lookahead, keep_after: dict[int, float]) -> None:
    fast, slow = by_hand(kit, 11, keep_after)
    state, _, slots = kit.train(trick, steps=11)
    for key, expected in floating(fast).items():
        torch.testing.assert_close(state[key], expected, msg=key)
    judged = slots.eval_model(fast).state_dict()
    for key, expected in slow.items():
        torch.testing.assert_close(judged[key], expected, msg=key)
    assert int(judged["1.num_batches_tracked"]) == 11
    assert slots.observe() == 2


def test_on_parameters_alone_it_is_timms(kit: Any) -> None:
    def linear() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, kit.classes))

    theirs = linear()
    wrapped = timm.optim.Lookahead(torch.optim.SGD(theirs.parameters(), lr=0.1), alpha=0.4, k=3)
    for weight in theirs.parameters():
        weight.grad = torch.zeros_like(weight)
    wrapped.sync_lookahead()  # its slow weights are otherwise the fast ones of the first pull
    for step in range(7):
        batch = kit.batch(step)
        wrapped.zero_grad()
        nn.functional.cross_entropy(theirs(batch.image), batch.target).backward()
        wrapped.step()
    ctx = kit.context(linear())
    slots = Lookahead(interval=3, alpha=0.4).bind(ctx)
    kit.run(ctx, slots, steps=7, optimizer=torch.optim.SGD(ctx.model.parameters(), lr=0.1))
    for ours, other in zip(ctx.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours, other)


def test_what_is_judged_after_a_last_pull_is_what_was_trained(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Lookahead(interval=3, alpha=0.5).bind(ctx)
    kit.run(ctx, slots, steps=6)
    for key, value in floating(slots.eval_model(ctx.model)).items():
        assert torch.equal(value, ctx.model.state_dict()[key]), key
    kit.run(ctx, slots, steps=1)
    assert not torch.equal(slots.eval_model(ctx.model)[0].weight, ctx.model[0].weight)


def test_a_first_layer_made_after_binding_is_what_the_slow_weights_start_from(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Lookahead(interval=1, alpha=0.5).bind(ctx)
    with torch.no_grad():
        ctx.model[0].weight.fill_(0.25)

    def still(closure: Any) -> StepResult:
        return StepResult(torch.zeros(()))

    slots.update(still)(None)
    assert torch.equal(ctx.model[0].weight, torch.full_like(ctx.model[0].weight, 0.25))


def test_half_precision_beside_single_is_pulled_alike(kit: Any) -> None:
    model = kit.model()
    model[0].half()
    ctx = kit.context(model)
    slots = Lookahead(interval=1, alpha=0.5).bind(ctx)
    before = copy.deepcopy(model.state_dict())

    def move(closure: Any) -> StepResult:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(1.0)
        return StepResult(torch.zeros(()))

    slots.update(move)(None)
    for key, weight in model.named_parameters():
        assert weight.dtype == before[key].dtype
        torch.testing.assert_close(weight.float(), before[key].float() + 0.5, atol=2e-3, rtol=0)


def test_restored_state_continues_bit_for_bit(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Lookahead(interval=2).bind(ctx)
    optimizer = torch.optim.SGD(ctx.model.parameters(), lr=0.05)
    kit.run(ctx, slots, steps=3, optimizer=optimizer)
    resumed = kit.context(copy.deepcopy(ctx.model))
    resumed_slots = Lookahead(interval=2).bind(resumed)
    for name, tensors in resumed_slots.state.items():
        for target, source in zip(tensors, slots.state[name], strict=True):
            target.copy_(source)
    resumed.step = ctx.step
    kit.run(ctx, slots, steps=3, optimizer=optimizer)
    kit.run(resumed, resumed_slots, steps=3, optimizer=torch.optim.SGD(resumed.model.parameters(), lr=0.05))
    expected = slots.eval_model(ctx.model).state_dict()
    for key, value in resumed_slots.eval_model(resumed.model).state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert resumed_slots.observe() == slots.observe() == 3
