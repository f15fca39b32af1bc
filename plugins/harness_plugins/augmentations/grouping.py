"""Each sample's own operation, applied to all samples that drew it: what the automatic policies share.

torchvision draws one operation for a whole batch. Here every sample has its own, and how the batch is divided
depends on the device:

* On a CPU by groups: the samples of an operation are gathered, changed and put back. Every sample is worked on once
  a layer, and asking how large a group is costs nothing there.
* Elsewhere by masks: each operation is worked out for the whole batch and taken where it was drawn. How large a group
  is, only the device knows; asking would make the host wait for all that is queued, in every step. The price
  is arithmetic: ten operations for one, of which the five geometric ones share one warp.

Both give the same numbers, because no operation looks at more than its own sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness_plugins.augmentations.operations import (
    GEOMETRIC,
    PHOTOMETRIC,
    Interpolation,
    inverse_matrices,
    warp,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Change = Callable[[Tensor, Tensor], Tensor]

    Layer = Callable[[Tensor, Tensor, Tensor], Tensor]

OPERATIONS = ("identity", *GEOMETRIC, *PHOTOMETRIC)
"""What the numbers in a drawn choice stand for."""

FIRST_PHOTOMETRIC = 1 + len(GEOMETRIC)


def gathers(device: torch.device) -> bool:
    """Return whether samples are gathered by what was drawn, rather than all worked on and chosen from."""
    return device.type == "cpu"


def changed_where(drawn: Tensor, change: Change, image: Tensor, draw: Tensor) -> Tensor:
    """Return images (B, C, H, W), those that are drawn changed, the others bit for bit as they were.

    Args:
        drawn: bool (B,).
        change: (images, draws) -> images.
        image: (B, C, H, W).
        draw: What `change` takes for each sample, (B, n).
    """
    import torch

    if not gathers(image.device):
        return torch.where(drawn[:, None, None, None], change(image, draw), image)
    rows = drawn.nonzero()[:, 0]
    return image.index_copy(0, rows, change(image[rows], draw[rows])) if len(rows) else image


def operation_layer(device: torch.device, interpolation: Interpolation, fill: float) -> Layer:
    """Return the function (levels (B, C, H, W), operation int64 (B,), magnitude (B,)) -> levels.

    It may write into the levels that it is given.

    Args:
        device: Where it will run.
        interpolation: How geometric operations read between pixels.
        fill: The level that moves in from outside.
    """
    import torch

    def move(image: Tensor, magnitude: Tensor, operation: Tensor) -> Tensor:
        inverse = inverse_matrices(operation - 1, magnitude, *image.shape[-2:])
        return warp(image, inverse, interpolation, fill)

    # Used again in every step: pages of memory that is new each time cost more than the copy into it.
    workspace = torch.empty(0)

    def change_groups(image: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
        # Sorted, a group is a slice: two copies of the batch, whatever the number of groups.
        operation, order = operation.sort(stable=True)
        magnitude = magnitude[order]
        ordered = torch.index_select(image, 0, order, out=workspace.resize_(image.shape))
        counts: list[int] = operation.bincount(minlength=len(OPERATIONS)).tolist()
        first = counts[0]
        moved = first + sum(counts[1:FIRST_PHOTOMETRIC])
        if moved > first:
            part = slice(first, moved)
            ordered[part] = move(ordered[part], magnitude[part], operation[part])
        first = moved
        for count, change in zip(counts[FIRST_PHOTOMETRIC:], PHOTOMETRIC.values(), strict=True):
            if count:
                part = slice(first, first + count)
                ordered[part] = change(ordered[part], magnitude[part])
            first += count
        return torch.index_select(ordered, 0, order.argsort(), out=image)

    def change_all(image: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
        moved = (operation >= 1) & (operation < FIRST_PHOTOMETRIC)
        result = torch.where(moved[:, None, None, None], move(image, magnitude, operation), image)
        for number, change in enumerate(PHOTOMETRIC.values(), FIRST_PHOTOMETRIC):
            changed = change(image, magnitude)
            result = torch.where((operation == number)[:, None, None, None], changed, result)
        return result

    return change_groups if gathers(device) else change_all
