"""Mirror left and right, every other epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.mirror import mirror


@dataclass(frozen=True)
class AlternatingFlip(Augmentation):
    """Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, section 3.6.

    Image float (B, C, H, W): a coin for each sample says whether it is mirrored in the first epoch; in every epoch
    after it is what it was not in the one before. So two epochs on end show both sides of every image, where
    `horizontal-flip` shows half of them twice the same way.

    Not where left and right carry the meaning: digits, letters, traffic signs, medical images; nor together with
    `horizontal-flip`, which would undo it.
    """

    stage = Stage.GEOMETRY

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls."""
        draws = ctx.draws("side in the first epoch", 1, per="trial")

        def flip(batch: Batch) -> Batch:
            mirrored = (draws(batch.ids)[:, 0] < 0.5) ^ bool(ctx.epoch % 2)
            return batch.with_image(mirror(batch.image, mirrored, -1))

        return flip
