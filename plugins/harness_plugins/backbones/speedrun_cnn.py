"""The eight-layer network of the CIFAR-10 speedruns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Interval

from harness.contract import Backbone, DataInfo

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

PATCH = 2
"""Height and width of the stem's filters."""

Width = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class SpeedrunCnn(Backbone):
    """Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, section 3.1 and appendix A.

    A 2x2 convolution with a bias and two filters for each pixel of a patch (24 of RGB), GELU; three blocks of 3x3
    convolution, max pooling that halves the image, batch norm, GELU, 3x3 convolution, batch norm, GELU; the
    largest value of each channel over all positions, and a linear head without bias whose output is multiplied by
    `head_scale`. No layer but the stem has a bias beside its batch norm's. All defaults are the paper's. What else
    belongs to its recipe are components of their own: `whitened-stem`, `dirac-init`, `freeze-norm-scale`.

    When not to use it: on images far beyond 32x32, since the last pooling forgets where things are, or with small
    batches, since batch norm then forgets within a few steps (`norm_momentum`).

    Attributes:
        widths: Channels of the three blocks.
        norm_momentum: Share of a batch's statistics in the running ones, as torch counts it (the paper: 1 - 0.6).
        norm_eps: Added to the variance by batch norm.
        head_scale: Factor on the logits.
        head_std: Standard deviation that the head's initial weights are scaled to; torch's own where it is left out.
    """

    widths: tuple[Width, Width, Width] = (64, 256, 256)
    norm_momentum: Annotated[float, Interval(gt=0, le=1)] = 0.4
    norm_eps: Annotated[float, Gt(0)] = 1e-12
    head_scale: Annotated[float, Gt(0)] = 1 / 9
    head_std: Annotated[float, Gt(0)] | None = None

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, H, W) with H, W >= 9.

        Raises:
            ValueError: Where the images are smaller than that, and nothing is left after three poolings.
        """
        from collections import OrderedDict

        import torch
        from torch import nn

        channels, *sides = info.shapes["image"]
        left = tuple((side - PATCH + 1) // 8 for side in sides)
        if min(left) < 1:
            raise ValueError(
                f"speedrun-cnn needs images of {7 + PATCH}x{7 + PATCH} pixels or more, not {sides[0]}x{sides[1]}"
            )
        layers: OrderedDict[str, Module] = OrderedDict(
            stem=nn.Conv2d(channels, 2 * channels * PATCH**2, PATCH), activation=nn.GELU()
        )
        wide = 2 * channels * PATCH**2
        nn.init.zeros_(layers["stem"].get_parameter("bias"))
        for index, width in enumerate(self.widths, start=1):
            layers[f"block{index}"] = self._block(wide, width)
            wide = width
        head = _scaled_linear()(wide, info.num_classes, self.head_scale)
        if self.head_std is not None:
            with torch.no_grad():
                weight = head.get_parameter("weight")
                weight.mul_(self.head_std / weight.std())
        layers["pool"] = nn.Sequential(nn.MaxPool2d(left), nn.Flatten())
        layers["head"] = head
        return nn.Sequential(layers)

    def _block(self, channels: int, width: int) -> Module:
        from collections import OrderedDict

        from torch import nn

        def norm() -> Module:
            return nn.BatchNorm2d(width, eps=self.norm_eps, momentum=self.norm_momentum)

        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False),
                pool=nn.MaxPool2d(2),
                norm1=norm(),
                activation1=nn.GELU(),
                conv2=nn.Conv2d(width, width, 3, padding=1, bias=False),
                norm2=norm(),
                activation2=nn.GELU(),
            )
        )


@cache
def _scaled_linear() -> type[Module]:
    """Return the class of the head; made on first use, for torch is not imported before."""
    from torch import nn

    class ScaledLinear(nn.Linear):
        """A linear layer without bias, its output times a constant."""

        def __init__(self, channels: int, classes: int, scale: float) -> None:
            super().__init__(channels, classes, bias=False)
            self.scale = scale

        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * self.scale

    return ScaledLinear
