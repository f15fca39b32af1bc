from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.contract import Batch
from harness_plugins.tricks.whitened_stem import WhitenedStem


def correlated_images(count: int, channels: int = 3, side: int = 9) -> Tensor:
    """Neighbouring pixels and channels that look alike, as in photographs."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(count, channels, side + 2, side + 2, generator=generator)
    smooth = nn.functional.avg_pool2d(noise, 3, 1) * 3
    return smooth + 0.5 * smooth.roll(1, dims=1)


def context(kit: Any, model: nn.Module, images: Tensor, batch_size: int) -> Any:
    """The contract's `training_batches`: full batches, beginning anew after the last."""

    def training_batches(count: int) -> Iterator[Batch]:
        full = len(images) // batch_size
        for index in range(count):
            start = index % full * batch_size
            rows = torch.arange(start, start + batch_size)
            yield Batch({"image": images[rows]}, torch.zeros(batch_size, dtype=torch.long), rows)

    ctx = kit.context(model)
    ctx.training_batches = training_batches
    ctx.steps_per_epoch = len(images) // batch_size
    return ctx


def whiten(kit: Any, data: Tensor, stem: nn.Conv2d, **settings: Any) -> Any:
    ctx = context(kit, nn.Sequential(stem, nn.Flatten()), data, batch_size=8)
    slots = WhitenedStem(**settings).bind(ctx)
    slots.phase()
    return ctx, slots


def second_moments(outputs: Tensor) -> Tensor:
    columns = outputs.transpose(0, 1).flatten(1).double()
    return columns @ columns.T / columns.shape[1]


def test_the_stems_outputs_have_the_identity_as_second_moments_over_the_patches(kit: Any) -> None:
    images = correlated_images(40)
    stem = nn.Conv2d(3, 24, 2)
    before = second_moments(nn.functional.conv2d(images, stem.weight.detach()))
    _, slots = whiten(kit, images, stem, images=40, eps=1e-9)
    moments = second_moments(nn.functional.conv2d(images, stem.weight.detach()))
    one = torch.eye(12, dtype=torch.float64)
    torch.testing.assert_close(
        moments, torch.cat((torch.cat((one, -one)), torch.cat((-one, one))), 1), atol=2e-3, rtol=0
    )
    assert float((before - torch.eye(24)).abs().max()) > 0.1
    assert slots.observe() == pytest.approx(1.0, abs=1e-3)


def test_the_leading_filter_is_the_direction_in_which_patches_vary_most(kit: Any) -> None:
    images = correlated_images(40)
    stem = nn.Conv2d(3, 6, 2)
    whiten(kit, images, stem, images=40, eps=0.01)
    patches = torch.cat([images[:, :, i : i + 8, j : j + 8].unsqueeze(2) for i in (0, 1) for j in (0, 1)], 2)
    columns = patches.flatten(1, 2).transpose(0, 1).flatten(1).double()
    # against the singular values of the patches themselves
    directions, values, _ = torch.linalg.svd(columns / columns.shape[1] ** 0.5, full_matrices=False)
    for index in range(3):
        expected = directions[:, index] / (values[index] ** 2 + 0.01).sqrt()
        expected = expected * expected[expected.abs().argmax()].sign()
        found = stem.weight.detach()[index].flatten().double()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
        assert torch.equal(stem.weight[index + 3], -stem.weight[index])


def test_patches_come_from_as_many_images_as_asked_for(kit: Any) -> None:
    images = correlated_images(40)
    stem, other, all_of_them = (nn.Conv2d(3, 24, 2) for _ in range(3))
    whiten(kit, images, stem, images=12)
    changed = images.clone()
    changed[12:] *= 7
    whiten(kit, changed, other, images=12)
    assert torch.equal(stem.weight, other.weight)
    whiten(kit, images, all_of_them, images=5000)  # more than there are: every one once
    fewer = nn.Conv2d(3, 24, 2)
    whiten(kit, images, fewer, images=40)
    assert torch.equal(all_of_them.weight, fewer.weight)


def test_the_filters_are_frozen_at_once_and_the_bias_at_its_share_of_the_budget(kit: Any) -> None:
    stem = nn.Conv2d(3, 24, 2)
    ctx, slots = whiten(kit, correlated_images(16), stem, images=8, bias_share=0.3)
    assert slots.freezes == {0.0: [stem.weight], 0.3: [stem.bias]}
    assert whiten(kit, correlated_images(16), stem, images=8, bias_share=1)[1].freezes == {0.0: [stem.weight]}
    made = stem.weight.detach().clone()
    ctx.step = 6  # at another trick's boundary nothing is made anew
    slots.phase()
    assert torch.equal(stem.weight, made)


def test_a_stem_that_cannot_hold_the_filters_is_refused(kit: Any) -> None:
    for stem in (nn.Conv2d(3, 26, 2), nn.Conv2d(3, 5, 2)):
        with pytest.raises(
            ValueError, match=rf"{stem.out_channels} filters of 3x2x2; expected an even number up to 24"
        ):
            WhitenedStem().bind(kit.context(nn.Sequential(stem)))
    with pytest.raises(ValueError, match="does not begin with an ungrouped 2-D convolution"):
        WhitenedStem().bind(kit.context(nn.Sequential(nn.Linear(3, 3))))
