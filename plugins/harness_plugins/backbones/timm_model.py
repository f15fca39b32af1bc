"""Any model of timm by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract import Backbone, DataInfo
from harness_plugins.backbones.small_input import blocks_in_order, patch_size, unknown_name, widen_stem

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class TimmModel(Backbone):
    """`timm.create_model(model)`, untrained, with the data's channels and classes (Wightman 2019).

    Most of timm's models shrink an image 32-fold and were made for 224x224 pixels. With `small_input` a stem
    of stride 2 or 4 becomes a 3x3 convolution of stride 1 without pooling (He et al. 2016, section 4.2), and
    a model that cuts an image into patches (ViT, DeiT, Swin) is made for the data's image size with
    patches of its size over 7 or less: 4 pixels of 32. Without it, those are made for the data's image size
    and keep their patches.

    When not to use it: `small_input` on images beyond some 64 pixels, where the first stage becomes as dear
    as all others together.

    Attributes:
        model: timm's name, "resnet18"; a tag of pretrained weights may follow but changes nothing.
        small_input: Adapt the stem to small images.
    """

    model: str
    small_input: bool = False

    def build(self, info: DataInfo) -> Module:
        """Return the network for images (C, H, W).

        Raises:
            ValueError: Where timm has no such model, or cannot adapt it to the images.
        """
        import timm
        from timm.models import get_pretrained_cfg

        if not timm.is_model(self.model):
            raise unknown_name("timm:", self.model, timm.list_models())
        channels, height, width = info.shapes["image"]
        settings = get_pretrained_cfg(self.model)
        first, fixed_size = settings.first_conv, settings.fixed_input_size
        options: dict[str, Any] = {}
        if fixed_size:
            options["img_size"] = (height, width)
            if self.small_input:
                options["patch_size"] = patch_size(height, width)
        try:
            model: Module = timm.create_model(
                self.model, pretrained=False, num_classes=info.num_classes, in_chans=channels, **options
            )
            if self.small_input and not fixed_size:
                if not isinstance(first, str):
                    raise ValueError("timm does not name one first convolution; leave small_input out")
                widen_stem(model, first)
        except (TypeError, ValueError, AssertionError, AttributeError) as error:
            # timm says with whichever of these that a model takes no such size
            small = " with small_input" if self.small_input else ""
            raise ValueError(f"timm:{self.model}{small} on images of {height}x{width}: {error}") from error
        return model

    def blocks(self, model: Module) -> list[tuple[str, Module]]:
        """Return (name, module) from stem to head: `conv1`, `layer1.0`, …, or `patch_embed`, `blocks.0`, …"""
        return blocks_in_order(model)
