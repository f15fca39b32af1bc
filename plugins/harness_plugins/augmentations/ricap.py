"""Four samples patched into one, targets by area."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.beta import beta_quantile


@dataclass(frozen=True)
class Ricap(Augmentation):
    """Patch crops of four samples of the batch together, and mix the targets by area.

    Takahashi et al. 2018, "RICAP: Random Image Cropping and Patching Data Augmentation for Deep CNNs", section 3.
    Drawn for each sample: the boundary, w = round(W w') and h = round(H h') with w', h' ~ Beta(beta, beta), and for
    each of the four patches (w, h), (W - w, h), (w, H - h), (W - w, H - h) where in its image it is cut, uniform
    over all places that fit. The first patch's image is the sample's own, the other three come from random
    permutations of the batch. The targets become dense, float32 (B, K): the sum of W_k H_k / (W H) y_k, the areas
    counted in whole pixels. Image float (B, C, H, W).

    The paper draws the boundary once a batch; a draw for each sample has the same distribution for every one of
    them. beta = 0.3 is the paper's choice for CIFAR and ImageNet.

    Not for images whose object is small, nor for short budgets. Refused beside `cutmix` and a second `ricap`: areas
    tell a target only where each image is of one piece. `mixup`, which weighs all pixels alike, may stand before it
    or after it, and targets stay exact.

    Attributes:
        beta: Spread of the boundary: small keeps it near an edge, 1 draws it uniformly.
    """

    beta: Annotated[float, Gt(0)] = 0.3

    stage = Stage.MIX
    provides = frozenset({"targets by area"})
    conflicts = provides
    # No value of beta leaves a batch as it was.
    identity = None

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        """Return the function that a step calls."""
        import torch

        quantile = beta_quantile(self.beta, ctx.device)
        draws = ctx.draws("boundary, three partners, four rows and four columns", 13)

        def patch(batch: Batch) -> Batch:
            image, target = batch.image, batch.dense_target(ctx.num_classes)
            count, _, height, width = image.shape
            draw = draws(batch.ids)
            share = quantile(draw[:, :2])
            boundary_row = (share[:, 0] * height).round().long()[:, None]
            boundary_column = (share[:, 1] * width).round().long()[:, None]
            row, column = (torch.arange(n, device=image.device)[None] for n in (height, width))
            below, right = row >= boundary_row, column >= boundary_column  # (B, H), (B, W)
            own = torch.arange(count, device=image.device)
            partners = torch.cat([own[:, None], draw[:, 2:5].argsort(dim=0, stable=True)], 1)  # (B, 4)

            # Patch k = 2 below + right is read from its image at a place that lies within it.
            tall = torch.cat([boundary_row, boundary_row, height - boundary_row, height - boundary_row], 1)
            wide = torch.cat([boundary_column, width - boundary_column] * 2, 1)
            top = (draw[:, 5:9] * (height - tall + 1)).long()
            left = (draw[:, 9:13] * (width - wide + 1)).long()
            number = below[:, :, None] * 2 + right[:, None, :] * 1  # (B, H, W)

            def chosen(of_patches: torch.Tensor) -> torch.Tensor:
                return of_patches.gather(1, number.flatten(1)).view(count, height, width)

            source_row = chosen(top) + (row - below * boundary_row)[:, :, None]
            source_column = chosen(left) + (column - right * boundary_column)[:, None, :]
            patched = image.permute(0, 2, 3, 1)[chosen(partners), source_row, source_column]
            area = (tall * wide / (height * width))[:, :, None]
            mixed = (target[partners] * area).sum(1)
            # Rows of channels are what was gathered: the layout that came is given back.
            like = torch.empty_like(image)
            return batch.with_image(like.copy_(patched.permute(0, 3, 1, 2))).with_target(mixed)

        return patch
