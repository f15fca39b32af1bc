"""Operations drawn at random, all at one strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Self

from annotated_types import Ge, Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.grouping import operation_layer
from harness_plugins.augmentations.pixels import GROUPED_PART_BYTES, on_levels
from harness_plugins.augmentations.strengths import MODERATE, magnitudes, numbers_of, picked

if TYPE_CHECKING:
    from torch import Tensor

DRAWN = ("identity", *MODERATE, "autocontrast", "equalize")


@dataclass(frozen=True)
class RandAugment(Augmentation):
    """Apply `num_ops` operations in turn, each drawn for each sample from fourteen, all at one magnitude.

    Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space", section 3.
    Operations are drawn with replacement, all equally likely: identity, shear x and y, translate x and y, rotate,
    brightness, color, contrast, sharpness, posterize, solarize, autocontrast, equalize. The magnitude is
    `magnitude / (bins - 1)` of the strongest, its sign a coin where the operation has two directions. Image float
    (B, C, H, W), C 3 or 1 (`color` then does nothing); worked on in whole pixel levels, and samples grouped by
    operation on the device (see `grouping.py`). Strengths and defaults are torchvision's; the paper takes
    `num_ops = 3, magnitude = 4` (of 30) for Wide-ResNet-28-10 on CIFAR-10 and `2, 9` for ResNet-50 on ImageNet.

    At magnitude 0 autocontrast and equalize still act, so doing nothing is `num_ops = 0`; a part of the strength
    (`progressive`) is a part of the magnitude. Not where colour or orientation carry the meaning, nor for short
    budgets.

    Attributes:
        num_ops: Operations that each sample goes through.
        magnitude: Which of the bins, from 0.
        bins: Strengths between none and the strongest.
        fill: Level that moves in from outside, 0 (black, as in torchvision) to 255; the authors' ImageNet code has 128.
    """

    num_ops: Annotated[int, Ge(0)] = 2
    magnitude: Annotated[int, Ge(0)] = 9
    bins: Annotated[int, Ge(2)] = 31
    fill: Annotated[int, Interval(ge=0, le=255)] = 0

    stage = Stage.CONTENT
    identity = {"num_ops": 0}

    def __post_init__(self) -> None:
        if self.magnitude >= self.bins:
            raise ValueError(
                f"magnitude is {self.magnitude}; with bins = {self.bins} it is at most {self.bins - 1}"
            )

    def at(self, strength: float) -> Self:
        """Return it at a part of its magnitude; nothing at 0."""
        if strength == 0:
            return replace(self, num_ops=0)
        return replace(self, magnitude=round(strength * self.magnitude))

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None without operations."""
        if self.num_ops == 0:
            return None
        numbers, magnitude_of = numbers_of(DRAWN, ctx.device), magnitudes(MODERATE, ctx.device)
        layer = operation_layer(ctx.device, "nearest", self.fill)
        level = self.magnitude / (self.bins - 1)

        def change(levels: Tensor, draw: Tensor) -> Tensor:
            for drawn in draw.split(2, 1):
                operation = numbers[picked(drawn[:, 0], len(DRAWN))]
                magnitude = magnitude_of(operation, level, drawn[:, 1], *levels.shape[-2:])
                levels = layer(levels, operation, magnitude)
            return levels

        return on_levels(ctx, 2 * self.num_ops, change, part_bytes=GROUPED_PART_BYTES)
