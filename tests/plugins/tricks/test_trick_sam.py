from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import StepResult
from harness_plugins.tricks.sam import Sam


def test_one_step_on_a_quadratic_by_hand(kit: Any) -> None:
    """loss = 2 u^2 + v^2 / 2 at (3, -5): g = (12, -5), |g| = 13, with rho = 1.3 e = (1.2, -0.5).

    The gradient at (4.2, -5.5) is (16.8, -5.5); a step of 0.1 leads to (1.32, -4.45).
    """
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -5.0]]))

    def quadratic(model: nn.Module, batch: Any) -> torch.Tensor:
        u, v = model.weight[0]
        return 2 * u**2 + v**2 / 2

    ctx = kit.context(model)
    slots = Sam(rho=1.3).bind(ctx)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = kit.run(ctx, slots, steps=1, optimizer=optimizer, loss=quadratic)
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[1.32, -4.45]]))
    assert losses == [30.5]
    rise = (2 * 4.2**2 + 5.5**2 / 2) - 30.5
    assert slots.observe() == pytest.approx(rise, rel=1e-6)


def test_a_run_equals_the_usual_two_step_implementation(kit: Any) -> None:
    weights, losses, _ = kit.train(Sam(rho=0.1), steps=4)

    model = kit.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    reference_losses = []
    for step in range(4):
        batch = kit.batch(step)
        statistics = {key: value.clone() for key, value in model.named_buffers()}
        torch.manual_seed(step)
        loss = nn.functional.cross_entropy(model(batch.image), batch.target)
        loss.backward()
        for key, value in model.named_buffers():
            value.copy_(statistics[key])
        norm = torch.stack([p.grad.norm(2) for p in model.parameters()]).norm(2)
        old = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad * (0.1 / norm))
        optimizer.zero_grad()
        torch.manual_seed(step)
        nn.functional.cross_entropy(model(batch.image), batch.target).backward()
        with torch.no_grad():
            for p, value in zip(model.parameters(), old, strict=True):
                p.copy_(value)
        optimizer.step()
        optimizer.zero_grad()
        reference_losses.append(float(loss.detach()))
    assert losses == reference_losses
    for key, value in model.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-5, atol=1e-7, msg=key)


def test_the_optimizer_steps_from_the_very_bits_it_would_have_stepped_from(kit: Any) -> None:
    ctx = kit.context(kit.model())
    before = [p.detach().clone() for p in ctx.model.parameters()]
    seen: list[torch.Tensor] = []

    def closure(*, ascent: bool = False) -> torch.Tensor:
        ctx.model.zero_grad()
        loss = ctx.model(kit.batch(0).image).square().mean()
        loss.backward()
        seen.append(ctx.model[0].weight.detach().clone())
        return loss.detach()

    def inner(closure: Any) -> StepResult:
        result = StepResult(closure())
        for p, value in zip(ctx.model.parameters(), before, strict=True):
            assert p.detach().numpy().tobytes() == value.numpy().tobytes()
        return result

    Sam(rho=0.3).bind(ctx).update(inner)(closure)
    assert torch.equal(seen[0], before[0])
    assert not torch.equal(seen[1], before[0])


def test_parameters_without_a_gradient_are_left_alone(kit: Any) -> None:
    ctx = kit.context(kit.model())
    ctx.model[0].requires_grad_(False)
    frozen = ctx.model[0].weight.clone()
    optimizer = torch.optim.SGD([p for p in ctx.model.parameters() if p.requires_grad], lr=0.05)
    kit.run(ctx, Sam().bind(ctx), steps=2, optimizer=optimizer)
    assert torch.equal(ctx.model[0].weight, frozen)


def test_a_gradient_of_nought_gives_a_plain_step(kit: Any) -> None:
    ctx = kit.context(kit.model())
    slots = Sam().bind(ctx)
    before = ctx.model[0].weight.detach().clone()
    kit.run(ctx, slots, steps=1, loss=lambda model, batch: (model(batch.image) * 0).sum())
    assert torch.equal(ctx.model[0].weight, before)
    assert slots.observe() == 0
