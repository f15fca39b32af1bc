from __future__ import annotations

from typing import Any

import pytest
import torch

from harness_plugins.tricks.grad_clip import GradClip


def gradients(seed: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for shape in ((4, 3, 3, 3), (4,), (10, 4), ())]


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 5.0, 1e6])
def test_gradients_come_out_as_torch_clips_them(kit: Any, max_norm: float) -> None:
    ours, theirs = gradients(0), gradients(0)
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in theirs]
    for parameter, gradient in zip(parameters, theirs, strict=True):
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    GradClip(max_norm).bind(kit.context(kit.model())).gradients(ours)
    for mine, parameter in zip(ours, parameters, strict=True):
        assert torch.equal(mine, parameter.grad)


def test_a_gradient_of_norm_five_is_cut_to_one_by_hand(kit: Any) -> None:
    pair = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    GradClip(1.0).bind(kit.context(kit.model())).gradients(pair)
    torch.testing.assert_close(torch.cat([part.flatten() for part in pair]), torch.tensor([0.6, 0.8]))


def test_the_observable_counts_the_clipped_share_and_survives_a_restart(kit: Any) -> None:
    slots = GradClip(1.0).bind(kit.context(kit.model()))
    for scale in (1e-3, 1.0, 1.0, 1e-3):
        slots.gradients(gradients(0, scale))
    assert slots.observe() == 0.5
    resumed = GradClip(1.0).bind(kit.context(kit.model()))
    for name, tensors in slots.state.items():
        for target, source in zip(resumed.state[name], tensors, strict=True):
            target.copy_(source)
    resumed.gradients(gradients(0, 1.0))
    assert resumed.observe() == pytest.approx(3 / 5)


def test_a_gradient_of_nought_stays_nought(kit: Any) -> None:
    zeros = [torch.zeros(3)]
    GradClip(1.0).bind(kit.context(kit.model())).gradients(zeros)
    assert torch.equal(zeros[0], torch.zeros(3))
