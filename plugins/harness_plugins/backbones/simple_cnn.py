"""A small plain convolutional network: the quick model of suites that have to finish in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from harness.contract import Backbone, DataInfo

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class SimpleCnn(Backbone):
    """Blocks of convolution, batch norm and ReLU, then the mean over all positions and a linear head.

    Block i has `width * 2**(i - 1)` channels; between two blocks a max pooling halves the image. So any image
    of 4x4 pixels or more fits, and any number of channels. The layout is that of VGG (Simonyan and
    Zisserman 2015, section 2.1: 3x3 filters, twice the channels after a pooling) with batch norm (Ioffe and
    Szegedy 2015); width, depth and the default initialisation of torch are the harness's choice. At width 8
    a training step on 32 digits of 8x8 pixels takes about a millisecond of one core.

    When not to use it: to say something of a trick on a network that people use. `resnet-cifar` is that.

    Attributes:
        width: Channels of the first block.
        depth: Blocks.
    """

    width: Annotated[int, Ge(1), Le(1024)] = 16
    depth: Literal[2, 3] = 2

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, H, W) with H, W >= 4.

        Raises:
            ValueError: Where the images are smaller than 4x4.
        """
        from collections import OrderedDict

        from torch import nn

        channels, height, breadth = info.shapes["image"]
        if min(height, breadth) < 4:
            raise ValueError(f"simple-cnn needs images of 4x4 pixels or more, not {height}x{breadth}")
        layers: OrderedDict[str, Module] = OrderedDict()
        for index in range(self.depth):
            wide = self.width * 2**index
            # batch norm subtracts the mean, so a bias of the convolution would do nothing
            block = [
                nn.Conv2d(channels, wide, 3, padding=1, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU(inplace=True),
            ]
            if index:
                block.insert(0, nn.MaxPool2d(2))
            layers[f"block{index + 1}"] = nn.Sequential(*block)
            channels = wide
        layers["head"] = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, info.num_classes)
        )
        return nn.Sequential(layers)
