"""Mirror top and bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.mirror import mirror


@dataclass(frozen=True)
class VerticalFlip(Augmentation):
    """Mirror an image top and bottom, with a draw for each sample.

    Image float (B, C, H, W): `x'[c, h, w] = x[c, H - 1 - h, w]` with the given probability; torchvision's
    `RandomVerticalFlip`, whose default is one half too. For images that have no up and down: from above, through
    a microscope, of surfaces.

    Not for photographs of scenes and objects, digits, letters, traffic signs.

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
            return batch.with_image(mirror(batch.image, mirrored, -2))

        return flip
