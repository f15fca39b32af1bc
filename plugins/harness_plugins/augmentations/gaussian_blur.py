"""Images smoothed by a Gaussian whose width is drawn for each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.pixels import on_levels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GaussianBlur(Augmentation):
    """Smooth an image by a Gaussian, its standard deviation drawn for each sample.

    The weights of a pixel's neighbours at a distance of d pixels are proportional to exp(-d² / (2 sigma²)), along
    rows and columns apart, over `kernel` pixels; beyond the border the image is mirrored, the border not repeated.
    sigma is uniform from `smallest` to `largest`: torchvision's `GaussianBlur`, on whole levels. Image float
    (B, C, H, W). Defaults are those of Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
    Representations", appendix A: half of the images, 0.1 to 2 pixels, a kernel of a tenth of the side. They left it
    out on CIFAR-10, as such small images lose what they show.

    Not where texture or a fine edge is what is asked for.

    Attributes:
        probability: Chance that a sample is blurred.
        smallest, largest: Bounds of the standard deviation, in pixels.
        kernel: Pixels that a weight reaches over, odd; absent, a tenth of the shorter side, made odd, at least 3.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 0.5
    smallest: Annotated[float, Gt(0)] = 0.1
    largest: Annotated[float, Gt(0)] = 2.0
    kernel: Annotated[int, Ge(3)] | None = None

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise ValueError(f"smallest is {self.smallest}, more than largest, {self.largest}")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; it has to be odd, to have a middle")

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        if self.probability == 0:
            return None

        def blur(levels: Tensor, draw: Tensor) -> Tensor:
            height, width = levels.shape[-2:]
            radius = self._radius(height, width)
            sigma = self.smallest + draw[:, 0] * (self.largest - self.smallest)
            rows, columns = (smoothing(sigma, radius, side)[:, None] for side in (height, width))
            # (H, H) (H, W) (W, W) for each channel: the two directions are two products.
            return (rows @ levels @ columns.mT).round_().clamp_(0, 255)

        return on_levels(ctx, 1, blur, self.probability)

    def _radius(self, height: int, width: int) -> int:
        shorter = min(height, width)
        radius = max(1, shorter // 20) if self.kernel is None else self.kernel // 2
        if radius >= shorter:
            raise ValueError(
                f"kernel is {2 * radius + 1}, and images of {height} x {width} pixels take {2 * shorter - 1} at most, "
                "as they are mirrored at the border: make it smaller"
            )
        return radius


def smoothing(sigma: Tensor, radius: int, side: int) -> Tensor:
    """Return the matrices (B, side, side) that smooth a line of `side` pixels, mirrored at its ends.

    Args:
        sigma: Standard deviations in pixels, (B,).
        radius: How far the weights reach.
        side: Pixels, more than `radius`.
    """
    import torch

    distance = torch.arange(-radius, radius + 1, device=sigma.device)
    weight = torch.softmax(-((distance / sigma[:, None]) ** 2) / 2, 1)  # (B, 2 radius + 1)
    place = torch.arange(side, device=sigma.device)
    source = (place[:, None] + distance).abs()  # (side, 2 radius + 1), mirrored at the first pixel
    source = torch.where(source >= side, 2 * (side - 1) - source, source)
    # Which weights go from where to where: (2 radius + 1, side, side).
    reads = (source.T[:, :, None] == place).to(weight.dtype)
    return (weight @ reads.flatten(1)).view(-1, side, side)
