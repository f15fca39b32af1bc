"""Square holes, clipped at the border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from harness.contract import Augmentation, Batch, Context, Stage


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Set a square of every image to zero, the training mean.

    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout". Image
    float (B, C, H, W). The centre is drawn for each sample from all H x W pixels, so the hole may lie partly
    outside: the paper found that to matter (section 3.2). With centre (r, c) the hole is the rows
    `r - size // 2` up to `r - size // 2 + size`, the last one not included, and the columns likewise.

    The default is the paper's for CIFAR-100; it took 16 for CIFAR-10 and 20 for SVHN, all 32x32. Not on small
    images without a smaller size: 8 is all of an 8x8 digit. Not where a small detail is what is asked for.

    Attributes:
        size: Side of the hole, in pixels.
    """

    size: Annotated[int, Ge(0)] = 8

    stage = Stage.CONTENT
    identity = {"size": 0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at size 0."""
        import torch
        from torch import Tensor

        if self.size == 0:
            return None
        draws = ctx.draws("centre", 2)

        def inside(draw: Tensor, extent: int) -> Tensor:
            """Return which of `extent` rows (or columns) each sample's hole covers, bool (B, extent)."""
            first = (draw * extent).long()[:, None] - self.size // 2
            place = torch.arange(extent, device=draw.device)
            return (place >= first) & (place < first + self.size)

        def cut(batch: Batch) -> Batch:
            image = batch.image
            draw = draws(batch.ids)
            rows = inside(draw[:, 0], image.shape[-2])
            columns = inside(draw[:, 1], image.shape[-1])
            hole = rows[:, None, :, None] & columns[:, None, None, :]
            return batch.with_image(image.masked_fill(hole, 0.0))

        return cut
