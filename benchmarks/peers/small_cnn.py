"""A plugin file: a CNN so small that loading and looping, not arithmetic, decide how fast it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.contract import Backbone, DataInfo, RegistryView, hookimpl

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class SmallCnn(Backbone):
    """Patches of 4x4 pixels to 16 channels, a strided 3x3 convolution to 32, a linear head."""

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, 32, 32)."""
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(info.shapes["image"][0], 16, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, info.num_classes),
        )


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer the network."""
    registry.add("backbone", "peers-small-cnn", SmallCnn, summary="two strided convolutions and a head")
