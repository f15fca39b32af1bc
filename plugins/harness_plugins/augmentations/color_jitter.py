"""Brightness, contrast, saturation and hue changed by amounts drawn for each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.operations import brightness, color, contrast
from harness_plugins.augmentations.pixels import on_levels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue of an image, in this order, by amounts of its own.

    Factors are uniform from max(0, 1 - strength) to 1 + strength: x f for brightness, x f + m (1 - f) with m the
    mean grey level for contrast, x f + g (1 - f) with g the pixel's own grey level for saturation. The hue is turned
    by -hue to hue of the colour circle, uniform. After each step levels are cut to 0 .. 255 and to whole ones, as
    torchvision's `ColorJitter` does on uint8; that draws the order as well, here it is fixed: so every step is one
    operation on the whole batch. Image float (B, C, H, W), C 3 or 1; with one channel saturation and hue do nothing.

    Defaults are those of Grill et al. 2020, "Bootstrap Your Own Latent", table 6. Not where colour carries the meaning:
    traffic signs, flowers, stained tissue.

    Attributes:
        brightness, contrast, saturation: Largest change of the factor.
        hue: Largest turn, as a share of the circle.
    """

    brightness: Annotated[float, Ge(0)] = 0.4
    contrast: Annotated[float, Ge(0)] = 0.4
    saturation: Annotated[float, Ge(0)] = 0.2
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.1

    stage = Stage.CONTENT
    identity = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None where all strengths are 0."""
        strengths = (self.brightness, self.contrast, self.saturation)
        if not any(strengths) and not self.hue:
            return None

        def jitter(levels: Tensor, draw: Tensor) -> Tensor:
            for change, strength, drawn in zip(
                (brightness, contrast, color), strengths, draw.unbind(1), strict=False
            ):
                if strength:
                    weakest = -min(1.0, strength)
                    levels = change(levels, weakest + drawn * (strength - weakest))
            return turn_hue(levels, (draw[:, 3] * 2 - 1) * self.hue) if self.hue else levels

        return on_levels(ctx, 4, jitter)


def turn_hue(image: Tensor, share: Tensor) -> Tensor:
    """Return images (B, 3, H, W), in levels, with their hue turned by a share of the circle (B,).

    The levels of a colour of hue h (in sixths of the circle), greatest level v and range c are
    `v - c clamp(min(k, 4 - k), 0, 1)` with `k = (n + h) mod 6` and n = 5, 3, 1 for red, green and blue.
    One channel has no hue.
    """
    import torch

    if image.shape[1] == 1:
        return image
    red, green, blue = image.unbind(1)
    value = image.amax(1)
    span = value - image.amin(1)
    divisor = span.clamp(min=1)  # levels are whole: where the range is 0 the hue has no part in the result
    hue = torch.where(value == green, 2 * span + blue - red, 4 * span + red - green)
    hue = torch.where(value == red, green - blue, hue).div_(divisor).add_(6 * share[:, None, None])
    n = 5 - 2 * torch.arange(3, device=image.device).view(1, 3, 1, 1)
    k = (hue[:, None] + n).remainder_(6)
    part = torch.minimum(k, 4 - k).clamp_(0, 1)
    turned = value[:, None] - span[:, None] * part
    # torchvision's step from [0, 1] to whole levels.
    return turned.mul_((256 - 1e-3) / 255).floor_()
