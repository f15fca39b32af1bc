"""What the families `timm:` and `torchvision:` share: stems for small images, and the order of blocks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

STEM_POOLS = ("maxpool", "stem.pool", "stem.pad", "features.pool0")
"""Where ResNet, ResNetV2 (padding with it) and DenseNet pool after the first convolution."""


def widen_stem(model: nn.Module, name: str) -> None:
    """Replace the first convolution, `name`, by a 3x3 one of stride 1, and drop the pooling after it.

    That is how residual networks are fitted to 32x32 images (He et al. 2016, section 4.2): the first stage
    then works at full resolution.

    Raises:
        ValueError: Where there is nothing to replace: no convolution, or one of stride 1 and no pooling.
    """
    from torch import nn

    old = model.get_submodule(name)
    pools = [pool for pool in STEM_POOLS if _has_submodule(model, pool)]
    if not isinstance(old, nn.Conv2d) or (max(old.stride) == 1 and not pools):
        raise ValueError("its stem has no stride to take away; leave small_input out")
    # the class is kept for convolutions that standardise their weights
    new = type(old)(old.in_channels, old.out_channels, 3, stride=1, padding=1, bias=old.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    model.set_submodule(name, new)
    for pool in pools:
        model.set_submodule(pool, nn.Identity())


def patch_size(height: int, width: int, largest: int = 16) -> int:
    """Return the largest size of square patches that tiles an image with at least 7 of them a side.

    32x32 pixels give 4, as is usual for transformers on CIFAR; 28x28 give 4, 64x64 give 8, 8x8 give 1.
    """
    fitting = [size for size in range(1, largest + 1) if not (height % size or width % size)]
    return max([size for size in fitting if min(height, width) // size >= 7], default=1)


def blocks_in_order(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (name, module) from stem to head: sequences opened, parts without parameters left out."""
    from torch import nn

    found: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            found += [(f"{name}.{inner}", part) for inner, part in child.named_children()]
        else:
            found.append((name, child))
    return [(name, module) for name, module in found if any(True for _ in module.parameters())]


def unknown_name(family: str, name: str, names: Iterable[str]) -> ValueError:
    """Return the error for a model that a family does not have, with the nearest names that it has."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    nearest = f"; did you mean {', '.join(f'{family}{match}' for match in close)}?" if close else ""
    return ValueError(f'there is no "{family}{name}"{nearest}')


def _has_submodule(model: nn.Module, name: str) -> bool:
    return any(path == name for path, _ in model.named_modules())
