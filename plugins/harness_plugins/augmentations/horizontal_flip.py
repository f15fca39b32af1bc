"""Mirror left and right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.mirror import mirror


@dataclass(frozen=True)
class HorizontalFlip(Augmentation):
    """Mirror an image left and right, with a draw for each sample.

    Image float (B, C, H, W): `x'[c, h, w] = x[c, h, W - 1 - w]` with the given probability. The default of
    one half is everyone's (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural
    Networks", section 4.1; He et al. 2016, section 4.2).

    Not where left and right carry the meaning: digits, letters, traffic signs, medical images.

    Attributes:
        probability: Chance that a sample is mirrored, from 0 to 1.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 0.5

    stage = Stage.GEOMETRY
    identity = {"probability": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        if self.probability == 0:
            return None
        draws = ctx.draws("mirrored", 1)

        def flip(batch: Batch) -> Batch:
            mirrored = draws(batch.ids)[:, 0] < self.probability
            return batch.with_image(mirror(batch.image, mirrored, -1))

        return flip
