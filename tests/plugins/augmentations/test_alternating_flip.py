from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.contract import Batch
from harness_plugins.augmentations.alternating_flip import AlternatingFlip


class Epochs:
    """Only what the augmentation may use: one table for the trial, and the epoch."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.epoch = 0

    def draws(self, name: str, n: int, per: str = "epoch") -> Callable[[Tensor], Tensor]:
        assert (n, per) == (1, "trial")
        return lambda ids: self.table[ids]


def sides(epochs: int) -> Tensor:
    """Whether each of 16 samples is mirrored in each epoch, bool (epochs, 16), in whatever batch it falls."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(16, 3, 4, 6, generator=generator)
    ctx: Any = Epochs(torch.rand(16, 1, generator=generator))
    flip = AlternatingFlip().bind(ctx)
    found = []
    for epoch in range(epochs):
        ctx.epoch = epoch
        order = torch.randperm(16, generator=generator)
        seen = torch.zeros(16, dtype=torch.bool)
        for ids in order.split(8):
            result = flip(Batch({"image": image[ids]}, ids, ids)).image
            as_it_was = (result == image[ids]).flatten(1).all(1)
            mirrored = (result == torch.flip(image[ids], [-1])).flatten(1).all(1)
            assert bool((as_it_was ^ mirrored).all())
            seen[ids] = mirrored
        found.append(seen)
    return torch.stack(found)


def test_every_image_is_seen_both_ways_in_two_epochs_and_never_the_same_way_twice_in_a_row() -> None:
    found = sides(6)
    for epoch in range(5):
        assert bool((found[epoch] ^ found[epoch + 1]).all())
    assert torch.equal(found[0], found[2]) and torch.equal(found[0], found[4])


def test_the_first_epochs_sides_are_a_coin_for_each_image() -> None:
    assert 0 < int(sides(1).sum()) < 16
    ctx: Any = Epochs(torch.rand(4000, 1, generator=torch.Generator().manual_seed(0)))
    image = torch.zeros(4000, 1, 1, 2)
    image[..., 0] = 1
    flip = AlternatingFlip().bind(ctx)
    mirrored = flip(Batch({"image": image}, torch.zeros(4000), torch.arange(4000))).image[..., 1].sum()
    assert abs(float(mirrored) - 2000) < 105  # 3.3 standard deviations, p = .001
