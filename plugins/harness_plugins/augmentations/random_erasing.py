"""A rectangle of every image set to zero or to noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Interval

from harness.contract import Augmentation, Batch, Context, Stage

if TYPE_CHECKING:
    from torch import Tensor

ATTEMPTS = 10
"""Rectangles drawn for a sample, of which the first that fits is taken: torchvision's number."""


@dataclass(frozen=True)
class RandomErasing(Augmentation):
    """Set a rectangle of an image to zero, the training mean.

    Zhong et al. 2020, "Random Erasing Data Augmentation", algorithm 1: with the given probability, the area is
    uniform from `smallest` to `largest` of the image's, the ratio of its sides log-uniform from `aspect` to
    1 / aspect (torchvision's; the paper's is uniform), the place uniform, whole pixels. A rectangle that does not
    fit is drawn again, ten times at most. Image float (B, C, H, W). Defaults are the paper's and torchvision's.

    Not where a small detail is what is asked for. `cutout` is the simpler kin: squares of one size.

    Attributes:
        probability: Chance that a sample is erased.
        smallest: Least area, as a share of the image's.
        largest: Largest area.
        aspect: Least ratio of height to width; the largest is its inverse.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 0.5
    smallest: Annotated[float, Interval(gt=0, le=1)] = 0.02
    largest: Annotated[float, Interval(gt=0, le=1)] = 0.33
    aspect: Annotated[float, Gt(0), Interval(le=1)] = 0.3

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise ValueError(f"smallest is {self.smallest}, more than largest, {self.largest}")

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        if self.probability == 0:
            return None
        draws = ctx.draws("whether, row, column, areas and aspects", 3 + 2 * ATTEMPTS)

        def erase(batch: Batch) -> Batch:
            image = batch.image
            height, width = image.shape[-2:]
            draw = draws(batch.ids)
            tall, wide = self._rectangle(draw[:, 3:], height, width)
            tall = tall * (draw[:, 0] < self.probability)
            rows = _covered(draw[:, 1], tall, height)
            columns = _covered(draw[:, 2], wide, width)
            return batch.with_image(
                image.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0.0)
            )

        return erase

    def _rectangle(self, draw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return height and width, int64 (B,) each, of the first rectangle that fits, 0 where none does."""
        area = (self.smallest + draw[:, :ATTEMPTS] * (self.largest - self.smallest)) * (height * width)
        ratio = ((draw[:, ATTEMPTS:] * 2 - 1) * -math.log(self.aspect)).exp()
        tall, wide = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
        fits = (tall < height) & (wide < width)
        first = fits.byte().argmax(1, keepdim=True)
        some = fits.any(1)
        return tall.gather(1, first)[:, 0] * some, wide.gather(1, first)[:, 0] * some


def _covered(draw: Tensor, length: Tensor, extent: int) -> Tensor:
    """Return which of `extent` rows (or columns) each rectangle covers, bool (B, extent)."""
    import torch

    first = (draw * (extent - length + 1)).long()
    place = torch.arange(extent, device=draw.device)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
