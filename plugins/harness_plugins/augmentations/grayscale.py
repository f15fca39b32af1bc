"""Colour taken out of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.operations import grey
from harness_plugins.augmentations.pixels import on_levels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grayscale(Augmentation):
    """Replace the three channels by their grey level, with a draw for each sample.

    grey = 0.2989 R + 0.587 G + 0.114 B on pixel levels, cut to whole ones, in all three channels: torchvision's
    `RandomGrayscale`, whose default of one sample in ten this is; Chen et al. 2020, "A Simple Framework for
    Contrastive Learning of Visual Representations", take two in ten. Image float (B, C, H, W) with C 3; images of
    one channel are grey already, and nothing happens to them.

    Not where colour carries the meaning: traffic signs, flowers, stained tissue.

    Attributes:
        probability: Chance that a sample becomes grey.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 0.1

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        if self.probability == 0:
            return None

        def fade(levels: Tensor, draw: Tensor) -> Tensor:
            del draw
            return levels if levels.shape[1] == 1 else grey(levels).expand_as(levels)

        return on_levels(ctx, 0, fade, self.probability)
