"""The policies that a search found, by data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.auto_augment_policies import CIFAR10, IMAGENET, SVHN
from harness_plugins.augmentations.grouping import operation_layer
from harness_plugins.augmentations.pixels import GROUPED_PART_BYTES, on_levels
from harness_plugins.augmentations.strengths import MODERATE, magnitudes, numbers_of, picked

if TYPE_CHECKING:
    from torch import Tensor

POLICIES = {"cifar10": CIFAR10, "imagenet": IMAGENET, "svhn": SVHN}
STRENGTHS = 10
"""Strengths that the search chose from: 0, none, to 9, the strongest."""


@dataclass(frozen=True)
class AutoAugment(Augmentation):
    """Apply one of a policy's 25 pairs of operations, drawn for each sample.

    Cubuk et al. 2019, "AutoAugment: Learning Augmentation Strategies from Data", tables 7 to 9: of the drawn pair each
    operation is applied with its probability, at its strength, its sign a coin where it has two directions. Image
    float (B, C, H, W), C 3 or 1 (`color` then does nothing); worked on in whole pixel levels, and samples grouped by
    operation on the device (see `grouping.py`). Magnitudes are torchvision's reading of the paper: brightness, color,
    contrast and sharpness go either way, where the paper's go from weak to strong, and shifts are shares of the side.

    On CIFAR-10 the paper has crop and flip before it and `cutout` with size 16 after. Not with a policy found on
    other kinds of images: the one for SVHN inverts digits and shears them far. Not for short budgets.

    Attributes:
        policy: The data that it was found on.
        probability: Chance that a sample is augmented; 1 is the paper's.
        fill: Level that moves in from outside, 0 (black, as in torchvision) to 255; the authors' ImageNet code has 128.
    """

    policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10"
    probability: Annotated[float, Interval(ge=0, le=1)] = 1.0
    fill: Annotated[int, Interval(ge=0, le=255)] = 0

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        import torch

        if self.probability == 0:
            return None
        policy = sub_policies(POLICIES[self.policy])
        # By place in the pair, then by pair.
        numbers = [numbers_of(tuple(pair[place][0] for pair in policy), ctx.device) for place in (0, 1)]
        chances, levels_of = (
            torch.tensor(
                [[pair[place][k] for pair in policy] for place in (0, 1)], dtype=kind, device=ctx.device
            )
            for k, kind in ((1, torch.float32), (2, torch.float64))
        )
        magnitude_of = magnitudes(MODERATE, ctx.device)
        layer = operation_layer(ctx.device, "nearest", self.fill)

        def change(levels: Tensor, draw: Tensor) -> Tensor:
            pair = picked(draw[:, 0], len(policy))
            for place in (0, 1):
                whether, sign = draw[:, 1 + place], draw[:, 3 + place]
                # The operation of number 0 is the identity.
                operation = numbers[place][pair] * (whether < chances[place][pair])
                level = levels_of[place][pair]
                levels = layer(levels, operation, magnitude_of(operation, level, sign, *levels.shape[-2:]))
            return levels

        return on_levels(ctx, 5, change, self.probability, GROUPED_PART_BYTES)


def sub_policies(policy: str) -> list[tuple[tuple[str, float, float], ...]]:
    """Return a policy's pairs of (operation, probability, strength in 0 .. 1)."""

    def step(text: str) -> tuple[str, float, float]:
        name, chance, strength = text.split()
        return name, float(chance), 0.0 if strength == "-" else int(strength) / (STRENGTHS - 1)

    return [tuple(step(text) for text in line.split(", ")) for line in policy.strip().splitlines()]
