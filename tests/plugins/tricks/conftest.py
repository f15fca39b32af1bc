"""A context and a hand-written loop, so that tricks are tried without the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract import Batch, Slots, StepResult, Trick

CLASSES = 5


@dataclass
class FakeContext:
    model: nn.Module
    num_classes: int = CLASSES
    total_steps: int = 20
    steps_per_epoch: int = 10
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    step: int = 0

    @property
    def progress(self) -> float:
        return self.step / self.total_steps

    def draws(self, name: str, n: int) -> Any:
        raise AssertionError("no trick here draws")

    def step_draws(self, name: str, n: int) -> Any:
        raise AssertionError("no trick here draws")

    def generator(self, name: str) -> torch.Generator:
        raise AssertionError("no trick here draws")


def make_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(256, CLASSES),
    )


def make_batch(step: int) -> Batch:
    generator = torch.Generator().manual_seed(100 + step)
    return Batch(
        {"image": torch.randn(16, 1, 8, 8, generator=generator)},
        torch.randint(CLASSES, (16,), generator=generator),
        torch.arange(16),
    )


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch.image), batch.target)


def run_steps(
    ctx: FakeContext,
    slots: Slots,
    *,
    steps: int = 6,
    optimizer: torch.optim.Optimizer | None = None,
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy,
    after_step: Callable[[], None] = lambda: None,
) -> list[float]:
    """The contract's step: batch slot, closure, gradients slot, optimizer, with the update slot around it."""
    model = ctx.model
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    losses = []

    def inner(closure: Any) -> StepResult:
        value = closure()
        if slots.gradients:
            slots.gradients([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.step()
        return StepResult(value)

    update = slots.update(inner) if slots.update else inner
    for _ in range(steps):
        batch = make_batch(ctx.step)
        if slots.batch:
            batch = slots.batch(batch)

        def closure(*, ascent: bool = False, batch: Batch = batch) -> Tensor:
            torch.manual_seed(ctx.step)
            for norm in norms:
                norm.track_running_stats = not ascent
            optimizer.zero_grad()
            value = loss(model, batch)
            value.backward()
            return value.detach()

        model.train()
        losses.append(float(update(closure).loss))
        ctx.step += 1
        after_step()
    return losses


@dataclass
class Kit:
    """What the tests of tricks work with."""

    context: Callable[[nn.Module], FakeContext] = FakeContext
    model: Callable[[], nn.Module] = make_model
    batch: Callable[[int], Batch] = make_batch
    run: Callable[..., list[float]] = run_steps
    classes: int = CLASSES

    def train(self, trick: Trick | None, steps: int = 6) -> tuple[dict[str, Tensor], list[float], Slots]:
        """Return the weights and buffers after some steps, the losses, and the slots."""
        ctx = self.context(self.model())
        slots = trick.bind(ctx) if trick else Slots()
        losses = self.run(ctx, slots, steps=steps)
        return ctx.model.state_dict(), losses, slots


@pytest.fixture
def kit() -> Kit:
    return Kit()
