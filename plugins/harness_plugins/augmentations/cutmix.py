"""A box of another sample, targets by area."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.beta import beta_quantile

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CutMix(Augmentation):
    """Paste a box of another sample of the batch into every sample, and mix the targets by area.

    Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    equations 1 and 2: `x' = M x_i + (1 - M) x_j`, `y' = λ y_i + (1 - λ) y_j`. Image float (B, C, H, W); the
    targets become dense, float32 (B, K). Drawn for each sample: λ ~ Beta(alpha, alpha), and the box's centre
    from all H x W pixels; its height is H sqrt(1 - λ) and its width W sqrt(1 - λ), rounded down, and what
    lies outside the image is cut off. As in the paper's code, the target's λ is then the share of pixels
    that stayed, counted exactly. The partners j are a random permutation of the batch.

    The default, λ uniform, is the paper's. Every batch is mixed, as it was on ImageNet; on CIFAR half were.
    Not for short budgets or underfit models, nor for images whose object is small: a box may hold none of it.
    Refused beside `ricap` and a second `cutmix`: areas tell a target only where each image is of one piece. `mixup`,
    which weighs all pixels alike, may stand before it or after it, and targets stay exact.

    Attributes:
        alpha: Spread of λ: 0 mixes nothing, 1 draws it uniformly.
    """

    alpha: Annotated[float, Ge(0)] = 1.0

    stage = Stage.MIX
    provides = frozenset({"targets by area"})
    conflicts = provides
    identity = {"alpha": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at alpha 0."""
        import torch

        if self.alpha == 0:
            return None
        quantile = beta_quantile(self.alpha, ctx.device)
        draws = ctx.draws("share, partner, row and column", 4)

        def mix(batch: Batch) -> Batch:
            draw = draws(batch.ids)
            side = (1 - quantile(draw[:, 0])).sqrt()
            # sorting one number a sample gives a permutation in which all orders are equally likely
            partner = draw[:, 1].argsort(stable=True)
            image, target = batch.image, batch.dense_target(ctx.num_classes)
            height, width = image.shape[-2:]
            rows = covered(draw[:, 2], side, height)
            columns = covered(draw[:, 3], side, width)
            box = rows[:, None, :, None] & columns[:, None, None, :]
            pasted = (rows.sum(1) * columns.sum(1) / (height * width))[:, None]
            mixed = batch.with_image(torch.where(box, image[partner], image))
            return mixed.with_target(torch.lerp(target, target[partner], pasted))

        return mix


def covered(draw: Tensor, side: Tensor, extent: int) -> Tensor:
    """Return which of `extent` rows (or columns) each sample's box covers, bool (B, extent).

    Args:
        draw: Uniform numbers (B,) for the box's centre.
        side: The box's side as a share of the extent, (B,).
        extent: Height or width of the image, in pixels.
    """
    import torch

    length = (side * extent).long()
    first = (draw * extent).long() - length // 2
    place = torch.arange(extent, device=draw.device)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
