"""Rotate about the centre; zeros move in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.affine import warp


@dataclass(frozen=True)
class Rotation(Augmentation):
    """Rotate an image about its centre, by an angle drawn for each sample.

    Image float (B, C, H, W), the size kept; bilinear, zero (the training mean) where the image does not reach, as
    torchvision's `RandomRotation` with bilinear interpolation. The angle is uniform from -degrees to degrees.
    15 degrees is the usual choice for small real sets.

    Not where orientation carries the meaning: a 6 turned half round is a 9.

    Attributes:
        degrees: Largest angle, either way.
    """

    degrees: Annotated[float, Interval(ge=0, le=180)] = 15.0

    stage = Stage.GEOMETRY
    identity = {"degrees": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at 0 degrees."""
        import torch

        if self.degrees == 0:
            return None
        draws = ctx.draws("angle", 1)

        def rotate(batch: Batch) -> Batch:
            angle = (draws(batch.ids)[:, 0] * 2 - 1) * math.radians(self.degrees)
            none, one = torch.zeros_like(angle), torch.ones_like(angle)
            return batch.with_image(warp(batch.image, angle, none, none, one, none))

        return rotate
