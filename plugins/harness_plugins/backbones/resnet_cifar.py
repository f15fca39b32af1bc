"""The residual network for 32x32 images of He et al. 2016, section 4.2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from harness.contract import Backbone, DataInfo

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class ResNetCifar(Backbone):
    """He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.

    A 3x3 convolution, three stages of n = (depth - 2) / 6 basic blocks with `width`, 2 `width` and 4 `width`
    channels, each later stage at half the resolution, the mean over all positions, a linear head.
    Shortcuts are the paper's option A: where a stage begins, every second pixel, padded with zero channels,
    so that they have no parameters. Convolutions are initialised as in the paper (He et al. 2015, normal,
    fan-out). At width 16 it is the paper's family: depth 20 has 0.27 million parameters, depth 56 0.85; those
    depths and that width are theirs, the default depth of 8 is the harness's choice for a CPU.

    When not to use it: on images beyond some 64 pixels, where its full-resolution first stage costs too much.

    Attributes:
        depth: Layers with weights, 6n + 2: 8, 14, 20, 32, 44, 56, 110.
        width: Channels of the first stage.
        stem_stride: 1 as in the paper; 2 halves the image at once, for a quarter of the work.
    """

    depth: Annotated[int, Ge(8), Le(1202)] = 8
    width: Annotated[int, Ge(1), Le(1024)] = 16
    stem_stride: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        if (self.depth - 2) % 6:
            below = self.depth - (self.depth - 2) % 6
            raise ValueError(
                f"depth must be 6n + 2, not {self.depth}; the nearest are {below} and {below + 6}"
            )

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, H, W) of any size and number of channels."""
        from collections import OrderedDict

        from torch import nn

        block = _residual_block()
        channels = self.width
        layers: OrderedDict[str, Module] = OrderedDict(
            stem=nn.Sequential(
                nn.Conv2d(
                    info.shapes["image"][0], channels, 3, stride=self.stem_stride, padding=1, bias=False
                ),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
        )
        for stage in range(3):
            wide = self.width * 2**stage
            blocks = []
            for index in range((self.depth - 2) // 6):
                blocks.append(block(channels, wide, stride=2 if stage and not index else 1))
                channels = wide
            layers[f"stage{stage + 1}"] = nn.Sequential(*blocks)
        layers["head"] = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, info.num_classes)
        )
        model = nn.Sequential(layers)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return model


@cache
def _residual_block() -> type[Module]:
    """Return the class of the basic block; made on first use, for torch is not imported before."""
    from torch import nn
    from torch.nn import functional as F

    class ResidualBlock(nn.Module):
        """Two 3x3 convolutions with batch norm; the input is added before the last ReLU."""

        def __init__(self, channels: int, wide: int, *, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, wide, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(wide)
            self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(wide)
            self.stride = stride
            self.added_channels = wide - channels

        def forward(self, input: Tensor) -> Tensor:
            output = F.relu(self.norm1(self.conv1(input)), inplace=True)
            output = self.norm2(self.conv2(output))
            shortcut = input
            if self.stride > 1 or self.added_channels:
                low = self.added_channels // 2
                shortcut = F.pad(
                    input[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, low, self.added_channels - low)
                )
            return F.relu(output + shortcut, inplace=True)

    return ResidualBlock
