"""Pad, then crop back at a random place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from harness.contract import Augmentation, Batch, Context, Stage


@dataclass(frozen=True)
class PaddedCrop(Augmentation):
    """Pad every side, then crop back to the old size at a place drawn for each sample.

    Image float (B, C, H, W), padded to (B, C, H + 2p, W + 2p); row and column of the crop are drawn from
    0 .. 2p each, all equally likely. Padding of 4 pixels is that of He et al. 2016, "Deep Residual Learning
    for Image Recognition", section 4.2, for 32x32. They padded with zeros (`mode = "zeros"`; here zero is the
    training mean, as the images are normalised). The default mirrors the image at its edge instead, the edge
    itself not repeated, as the fast CIFAR-10 recipes do (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds").

    Not where the place in the image carries the meaning. Mirroring needs `padding` below height and width.

    Attributes:
        padding: Pixels added to each side.
        mode: What is added: "reflect" mirrors the image, "zeros" adds the training mean.
    """

    padding: Annotated[int, Ge(0)] = 4
    mode: Literal["reflect", "zeros"] = "reflect"

    stage = Stage.GEOMETRY
    identity = {"padding": 0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at padding 0."""
        import torch
        from torch.nn.functional import pad

        if self.padding == 0:
            return None
        sides = (self.padding,) * 4
        pad_mode = "reflect" if self.mode == "reflect" else "constant"
        draws = ctx.draws("row and column", 2)

        def crop(batch: Batch) -> Batch:
            image = batch.image
            height, width = image.shape[-2:]
            row, column = (draws(batch.ids) * (2 * self.padding + 1)).long().unbind(1)
            sample = torch.arange(len(batch), device=image.device)
            # a view of all (2p+1)^2 crops of each sample, of which one is copied: no index for each pixel
            crops = pad(image, sides, mode=pad_mode).unfold(2, height, 1).unfold(3, width, 1)
            return batch.with_image(crops[sample, :, row, column])

        return crop
