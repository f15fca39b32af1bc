"""Any classifier of torchvision by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract import Backbone, DataInfo
from harness_plugins.backbones.small_input import blocks_in_order, unknown_name, widen_stem

if TYPE_CHECKING:
    from torch import nn
    from torch.nn import Module


@dataclass(frozen=True)
class TorchvisionModel(Backbone):
    """`torchvision.models.get_model(model)`, untrained, with the data's channels and classes.

    Most of torchvision's models shrink an image 32-fold and were made for 224x224 pixels. With `small_input`
    a stem of stride 2 or 4 becomes a 3x3 convolution of stride 1 without pooling (He et al. 2016, section
    4.2). Vision transformers are made for the data's image size and keep their patches of 16 or more pixels;
    for small patches take `timm:vit_…`. GoogLeNet and Inception come without their auxiliary heads.

    When not to use it: `small_input` on images beyond some 64 pixels, where the first stage becomes as dear
    as all others together.

    Attributes:
        model: torchvision's name, "resnet18".
        small_input: Adapt the stem to small images.
    """

    model: str
    small_input: bool = False

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, H, W).

        Raises:
            ValueError: Where torchvision has no such classifier, or cannot adapt it to the images.
        """
        from torchvision import models

        names = models.list_models(module=models)
        if self.model not in names:
            raise unknown_name("torchvision:", self.model, names)
        channels, height, width = info.shapes["image"]
        options: dict[str, Any] = {}
        if self.model in ("googlenet", "inception_v3"):
            options = {"aux_logits": False, "init_weights": True}
        if self.model.startswith("vit_"):
            options = {"image_size": height}
        try:
            model: Module = models.get_model(
                self.model, weights=None, num_classes=info.num_classes, **options
            )
            first = _adapt_channels(model, channels)
            if self.small_input:
                if self.model.startswith("vit_"):
                    raise ValueError("its patches are fixed; take a vision transformer of timm")
                widen_stem(model, first)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            small = " with small_input" if self.small_input else ""
            raise ValueError(
                f"torchvision:{self.model}{small} on images of {height}x{width}: {error}"
            ) from error
        return model

    def blocks(self, model: Module) -> list[tuple[str, Module]]:
        """Return (name, module) from stem to head: `conv1`, `layer1.0`, …, `fc`."""
        return blocks_in_order(model)


def _adapt_channels(model: Module, channels: int) -> str:
    """Make the first convolution take `channels` channels; return its name."""
    from torch import nn

    name, old = next(_convolutions(model))
    if old.in_channels != channels:
        new = nn.Conv2d(
            channels,
            old.out_channels,
            old.kernel_size,  # type: ignore[arg-type]
            stride=old.stride,  # type: ignore[arg-type]
            padding=old.padding,  # type: ignore[arg-type]
            bias=old.bias is not None,
        )
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        if new.bias is not None:
            nn.init.zeros_(new.bias)
        model.set_submodule(name, new)
    return name


def _convolutions(model: Module) -> Iterator[tuple[str, nn.Conv2d]]:
    from torch import nn

    return ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
