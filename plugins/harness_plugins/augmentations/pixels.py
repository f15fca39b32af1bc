"""Between normalised images and pixel levels 0 .. 255, for the photometric augmentations and the policies.

Their operations are defined on what PIL sees: whole levels. So an image is brought back to levels, rounded (a crop
that was interpolated lies between two), changed, and normalised again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.contract import Batch, Context
from harness_plugins.augmentations.grouping import changed_where

if TYPE_CHECKING:
    from torch import Tensor

    Change = Callable[[Tensor, Tensor], Tensor]


PART_BYTES, GROUPED_PART_BYTES = 2**20, 2**23
"""What of a batch is worked on at a time on a CPU, in bytes as float32. Small parts stay in its cache: colours of
512 images of CIFAR's size took half as long as in one part. Samples that are grouped by operation need larger
ones, as there are some ten groups in each: `rand-augment` took half as long again in parts of 2 MiB."""


def on_levels(
    ctx: Context, columns: int, change: Change, probability: float = 1.0, part_bytes: int = PART_BYTES
) -> Callable[[Batch], Batch]:
    """Return the function of a step that changes images in pixel levels.

    Images that are not drawn come out as they came in, bit for bit.

    Args:
        ctx: Gives the draws and the statistics that images are normalised by.
        columns: Draws a sample that `change` takes.
        change: (levels float32 (b, C, H, W) of its own, draws (b, columns)) -> levels (b, C, H, W).
        probability: Chance that a sample is changed.
        part_bytes: How much `change` is handed at a time on a CPU.
    """
    import torch

    draws = ctx.draws("whether, and how", 1 + columns)
    mean, std = (255 * each.float().view(1, -1, 1, 1) for each in (ctx.image_mean, ctx.image_std))
    # Used again in every step: pages of memory that is new each time cost more than what is written to them.
    workspace = torch.empty(0, device=ctx.device)

    def write_changed(image: Tensor, draw: Tensor, into: Tensor) -> None:
        # One layout whatever came in: kernels choose by strides, and a result may not depend on that.
        levels = workspace.resize_(image.shape)
        torch.addcmul(mean, image.float(), std, out=levels).round_().clamp_(0, 255)
        torch.sub(change(levels, draw[:, 1:]), mean, out=into).div_(std)

    def in_parts(image: Tensor, draw: Tensor) -> Tensor:
        size = len(image)
        if image.device.type == "cpu" and size:
            size = max(1, part_bytes * size // (4 * image.numel()))
        result = torch.empty_like(image, dtype=torch.float32)
        for part, drawn, into in zip(image.split(size), draw.split(size), result.split(size), strict=True):
            write_changed(part, drawn, into)
        return result.to(image.dtype)

    def step(batch: Batch) -> Batch:
        image, draw = batch.image, draws(batch.ids)
        if probability == 1:
            return batch.with_image(in_parts(image, draw))
        return batch.with_image(changed_where(draw[:, 0] < probability, in_parts, image, draw))

    return step
