"""Rotate, shift, scale and shear; zeros move in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval, Lt

from harness.contract import Augmentation, Batch, Context, Stage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Affine(Augmentation):
    """Rotate, shear, scale and shift an image about its centre, by amounts drawn for each sample.

    Image float (B, C, H, W). torchvision's `RandomAffine` with bilinear interpolation: an output pixel p, measured
    from the centre in pixels, is read at `A^-1 (p - t)`, A = R(angle) Sh(shear) s; what lies outside is zero, the
    training mean. Angle and shear are uniform within plus and minus their bound, the shift along each axis within
    plus and minus its share of the side, the scale uniform from 1 - scale to 1 + scale. The default is about what
    AutoAugment's geometric operations do at middling strength (Cubuk et al. 2019, table 6).

    Not where orientation or size carry the meaning; not beside `rotation` or `translate`, which do parts of it.

    Attributes:
        degrees: Largest angle, either way.
        translate: Largest shift, as a share of height and width.
        scale: Largest change of size, as a share: 0.1 draws factors from 0.9 to 1.1.
        shear: Largest shear along the width, in degrees.
    """

    degrees: Annotated[float, Interval(ge=0, le=180)] = 15.0
    translate: Annotated[float, Interval(ge=0, le=1)] = 0.1
    scale: Annotated[float, Ge(0), Lt(1)] = 0.1
    shear: Annotated[float, Interval(ge=0, lt=90)] = 0.0

    stage = Stage.GEOMETRY
    identity = {"degrees": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None where nothing moves."""
        if not (self.degrees or self.translate or self.scale or self.shear):
            return None
        draws = ctx.draws("angle, down, right, scale and shear", 5)

        def move(batch: Batch) -> Batch:
            angle, down, right, scale, shear = (draws(batch.ids) * 2 - 1).unbind(1)
            height, width = batch.image.shape[-2:]
            moved = warp(
                batch.image,
                angle * math.radians(self.degrees),
                right * self.translate * width,
                down * self.translate * height,
                1 + scale * self.scale,
                shear * math.radians(self.shear),
            )
            return batch.with_image(moved)

        return move


def warp(image: Tensor, angle: Tensor, right: Tensor, down: Tensor, scale: Tensor, shear: Tensor) -> Tensor:
    """Return images moved by an affine map about their centre, bilinear, zero where they do not reach.

    Args:
        image: (B, C, H, W).
        angle: Clockwise as an image is seen, in radians, (B,).
        right, down: Shifts in pixels, (B,).
        scale: Factors, (B,).
        shear: Along the width, in radians, (B,).
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    # The inverse of R(angle) Sh(shear) scale, as torchvision's _get_inverse_affine_matrix works it out by hand.
    a, b = angle.cos() / scale, (-angle.cos() * shear.tan() - angle.sin()) / scale
    c, d = angle.sin() / scale, (-angle.sin() * shear.tan() + angle.cos()) / scale
    height, width = image.shape[-2:]
    # affine_grid counts in half sides, of width and height apart.
    across = [d, -b * (height / width), (b * down - d * right) / (width / 2)]
    along = [-c * (width / height), a, (c * right - a * down) / (height / 2)]
    theta = torch.stack(across + along, 1).view(-1, 2, 3)
    grid = affine_grid(theta.to(image.dtype), list(image.shape), align_corners=False)
    return grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
