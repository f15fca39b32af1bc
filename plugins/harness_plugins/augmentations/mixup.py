"""Convex combinations of pairs of samples and of their targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.beta import beta_quantile


@dataclass(frozen=True)
class Mixup(Augmentation):
    """Replace every sample by a convex combination of itself and another of the batch.

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 1:
    `x' = λ x_i + (1 - λ) x_j`, `y' = λ y_i + (1 - λ) y_j`, λ ~ Beta(alpha, alpha). Image float (B, C, H, W);
    the targets become dense, float32 (B, K), and are exact. The partners j are a random permutation of the
    batch, as in the paper's code; λ is drawn for each sample, where that code draws one for the batch.

    The default is from the paper's range for ImageNet (0.1 to 0.4, section 3.1); it took 1 for CIFAR-10.
    Not for short budgets or underfit models: it regularises strongly, and needs more epochs to pay.

    Attributes:
        alpha: Strength: 0 mixes nothing, 1 draws λ uniformly.
    """

    alpha: Annotated[float, Ge(0)] = 0.2

    stage = Stage.MIX
    identity = {"alpha": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at alpha 0."""
        import torch

        if self.alpha == 0:
            return None
        quantile = beta_quantile(self.alpha, ctx.device)
        draws = ctx.draws("share and partner", 2)

        def mix(batch: Batch) -> Batch:
            draw = draws(batch.ids)
            share = quantile(draw[:, 0])
            # sorting one number a sample gives a permutation in which all orders are equally likely
            partner = draw[:, 1].argsort(stable=True)
            image, target = batch.image, batch.dense_target(ctx.num_classes)
            weight = share.to(image.dtype)[:, None, None, None]
            mixed = batch.with_image(torch.lerp(image[partner], image, weight))
            return mixed.with_target(torch.lerp(target[partner], target, share[:, None]))

        return mix
