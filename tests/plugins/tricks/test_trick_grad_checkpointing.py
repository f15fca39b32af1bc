from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from harness_plugins.tricks.grad_checkpointing import GradCheckpointing


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.3)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.dropout(torch.relu(self.norm(self.conv(image))))


def residual(blocks: int) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(*(Block() for _ in range(blocks)))
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), body, nn.Flatten(), nn.Linear(8 * 64, 5))


def with_checkpoints(kit: Any, model: nn.Module) -> tuple[nn.Module, Any]:
    ctx = kit.context(model)
    ctx.blocks = list(model.named_children())
    return GradCheckpointing().model(model, ctx), GradCheckpointing().bind(ctx)


def train(model: nn.Module, kit: Any, steps: int = 4) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        batch = kit.batch(step)
        loss = nn.functional.cross_entropy(model(batch.image), batch.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_weights_and_statistics_equal_those_without_it_bit_for_bit(kit: Any) -> None:
    plain = residual(3)
    checkpointed, slots = with_checkpoints(kit, residual(3))
    assert train(plain, kit) == train(checkpointed, kit)
    assert list(plain.state_dict()) == list(checkpointed.state_dict())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, checkpointed.state_dict()[name]), name
    assert slots.observe() == 3
    assert [block.computed_again for block in checkpointed[1]] == [4, 4, 4]  # once in each step


def kept_bytes(model: nn.Module, image: Tensor) -> int:
    """What autograd keeps between the passes, parameters aside."""
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(image).square().sum()
    total = sum(kept.values())
    loss.backward()
    return total


def test_less_is_kept_between_the_passes(kit: Any) -> None:
    image = kit.batch(0).image
    plain, checkpointed = residual(8), with_checkpoints(kit, residual(8))[0]
    # Of images (16, 8, 8, 8) in float32: a block keeps four, the convolution's input and output, relu's output and
    # the mask; under a checkpoint its input alone. The head keeps one more.
    size = 16 * 8 * 8 * 8 * 4
    assert kept_bytes(plain, image) == pytest.approx((8 * 4 + 1) * size, rel=0.03)
    assert kept_bytes(checkpointed, image) == pytest.approx((8 * 1 + 1) * size, rel=0.03)


def test_evaluation_is_not_computed_twice(kit: Any) -> None:
    model, slots = with_checkpoints(kit, residual(2))
    model.eval()
    with torch.no_grad():
        model(kit.batch(0).image)
    assert slots.observe() == 0


def test_a_copy_computes_with_its_own_weights(kit: Any) -> None:
    model, _ = with_checkpoints(kit, residual(2))
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not other(kit.batch(0).image).any()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
