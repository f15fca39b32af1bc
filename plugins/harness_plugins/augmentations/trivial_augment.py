"""One operation a sample, at a strength drawn for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.grouping import operation_layer
from harness_plugins.augmentations.pixels import GROUPED_PART_BYTES, on_levels
from harness_plugins.augmentations.strengths import WIDE, magnitudes, numbers_of, picked

if TYPE_CHECKING:
    from torch import Tensor

DRAWN = ("identity", *WIDE, "autocontrast", "equalize")


@dataclass(frozen=True)
class TrivialAugment(Augmentation):
    """Apply one operation, drawn for each sample from fourteen, at a magnitude drawn for it too.

    Müller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", algorithm 1 with the
    wide space: operation and bin of its strength are uniform, the sign a coin where the operation has two directions.
    Image float (B, C, H, W), C 3 or 1 (`color` then does nothing); worked on in whole pixel levels, and samples grouped
    by operation on the device (see `grouping.py`). Strengths and 31 bins are the paper's and torchvision's.

    Not on small images without care: shifts reach 32 pixels, which may leave nothing, and turns 135 degrees. Not where
    colour or orientation carry the meaning.

    Attributes:
        probability: Chance that a sample is augmented; 1 is the paper's.
        bins: Strengths that are drawn from, none and the strongest among them.
        fill: Level that moves in from outside, 0 (black, as in torchvision) to 255; the authors' code has 128.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 1.0
    bins: Annotated[int, Ge(2)] = 31
    fill: Annotated[int, Interval(ge=0, le=255)] = 0

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        if self.probability == 0:
            return None
        numbers, magnitude_of = numbers_of(DRAWN, ctx.device), magnitudes(WIDE, ctx.device)
        layer = operation_layer(ctx.device, "nearest", self.fill)

        def change(levels: Tensor, draw: Tensor) -> Tensor:
            operation = numbers[picked(draw[:, 0], len(DRAWN))]
            level = picked(draw[:, 1], self.bins).double() / (self.bins - 1)
            return layer(levels, operation, magnitude_of(operation, level, draw[:, 2], *levels.shape[-2:]))

        return on_levels(ctx, 3, change, self.probability, GROUPED_PART_BYTES)
