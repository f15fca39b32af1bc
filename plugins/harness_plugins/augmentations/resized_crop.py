"""A part of the image, brought back to its size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Interval

from harness.contract import Augmentation, Batch, Context, Stage


@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """Cut a rectangle drawn for each sample and bring it back to the image's size.

    Szegedy et al. 2015, "Going Deeper with Convolutions", section 6: the area is uniform from `smallest` to 1 of the
    image's, the logarithm of the aspect ratio uniform from -log(aspect) to log(aspect), the place uniform. Image
    float (B, C, H, W), sampled bilinearly. Where torchvision's `RandomResizedCrop` draws again until a rectangle
    fits, here a side that is too long is cut to the image's: keyed draws are drawn once. The paper's area begins at
    0.08, for 224 pixels; small images lose their object sooner, hence the default. The paper's aspect is 4/3.

    Not where the object is small in the image, nor for textures whose scale carries the meaning.

    Attributes:
        smallest: Least area, as a share of the image's.
        aspect: Largest ratio of the rectangle's sides, either way.
    """

    smallest: Annotated[float, Gt(0), Interval(le=1)] = 0.35
    aspect: Annotated[float, Ge(1)] = 4 / 3

    stage = Stage.GEOMETRY
    identity = {"smallest": 1.0, "aspect": 1.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None where nothing is cut."""
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        if self.smallest == 1 and self.aspect == 1:
            return None
        draws = ctx.draws("area, aspect, row and column", 4)

        def crop(batch: Batch) -> Batch:
            image = batch.image
            area, aspect, row, column = draws(batch.ids).unbind(1)
            area = self.smallest + area * (1 - self.smallest)
            ratio = ((aspect * 2 - 1) * math.log(self.aspect)).exp()
            # As shares of the sides: the ratio is of pixels.
            height, width = image.shape[-2:]
            tall = (area / ratio * (width / height)).sqrt().clamp(max=1.0)
            wide = (area * ratio * (height / width)).sqrt().clamp(max=1.0)
            none = torch.zeros_like(area)
            # In half sides from the centre; the rectangle's centre lies within what is left over.
            across, down = (column * 2 - 1) * (1 - wide), (row * 2 - 1) * (1 - tall)
            theta = torch.stack([wide, none, across, none, tall, down], 1).view(-1, 2, 3)
            grid = affine_grid(theta.to(image.dtype), list(image.shape), align_corners=False)
            return batch.with_image(
                grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
            )

        return crop
