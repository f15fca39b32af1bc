"""An image mixed with several chains of operations on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Interval

from harness.contract import Augmentation, Batch, Context, Stage
from harness_plugins.augmentations.grouping import operation_layer
from harness_plugins.augmentations.pixels import GROUPED_PART_BYTES, on_levels
from harness_plugins.augmentations.strengths import Range, magnitudes, numbers_of, picked

if TYPE_CHECKING:
    import torch
    from torch import Tensor

RANGES = {
    "shear-x": Range(0, 0.3, signed=True),
    "shear-y": Range(0, 0.3, signed=True),
    "translate-x": Range(0, 1 / 3, signed=True, of_side=True),
    "translate-y": Range(0, 1 / 3, signed=True, of_side=True),
    "rotate": Range(0, 30, signed=True, whole="down"),
    "posterize": Range(4, 0, whole="down"),
    "solarize": Range(256, 0),
}
"""The operations of the authors' code; what CIFAR-10-C tests (brightness, contrast, colour, sharpness) is left out."""

DRAWN = ("autocontrast", "equalize", *RANGES)
LONGEST, MILDEST, STRONGEST = 3, 0.1, 10
TABLE_INTERVALS = 8192


@dataclass(frozen=True)
class AugMix(Augmentation):
    """Mix an image with `width` chains of operations on it, everything drawn for each sample.

    Hendrycks et al. 2020, "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty", algorithm 1:
    `x' = (1 - m) x + m sum_i w_i chain_i(x)`, w ~ Dirichlet(alpha, .., alpha), m ~ Beta(alpha, alpha); a chain is
    `depth` operations from nine, all equally likely, or 1, 2 or 3, each at a strength uniform from 0.1 to `severity`
    of 10. Image float (B, C, H, W), C 3 or 1; the operations work on whole pixel levels, the mixture is not rounded.
    Samples are grouped by operation on the device (see `grouping.py`), all chains at once. Operations, strengths and
    defaults are those of the authors' code for CIFAR (1 instead of 3 is its `severity` for ImageNet).

    The paper's Jensen-Shannon term, which compares predictions for two such mixtures, is no part of an augmentation.
    It works several times as much as `rand-augment`. Not where only accuracy on clean data counts.

    Attributes:
        probability: Chance that a sample is mixed; 1 is the paper's.
        severity: Greatest strength of an operation.
        width: Chains.
        depth: Operations in a chain; absent, 1, 2 or 3, drawn for each chain.
        alpha: Evenness of the weights: large ones make all chains count alike, and as much as the image.
        fill: Level that moves in from outside, 0 (black, as in the authors' code) to 255.
    """

    probability: Annotated[float, Interval(ge=0, le=1)] = 1.0
    severity: Annotated[float, Interval(ge=MILDEST, le=STRONGEST)] = 3.0
    width: Annotated[int, Ge(1)] = 3
    depth: Annotated[int, Ge(1)] | None = None
    alpha: Annotated[float, Gt(0)] = 1.0
    fill: Annotated[int, Interval(ge=0, le=255)] = 0

    stage = Stage.CONTENT
    identity = {"probability": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None at probability 0."""
        import torch

        if self.probability == 0:
            return None
        width, deepest = self.width, self.depth or LONGEST
        numbers, magnitude_of = numbers_of(DRAWN, ctx.device), magnitudes(RANGES, ctx.device)
        layer = operation_layer(ctx.device, "bilinear", self.fill)
        share_of = beta_table(self.alpha, self.alpha, ctx.device)
        # A Dirichlet's weights, one after another: each takes a Beta-distributed share of what is left.
        takes = [beta_table(self.alpha, left * self.alpha, ctx.device) for left in range(width - 1, 0, -1)]

        def change(levels: Tensor, draw: Tensor) -> Tensor:
            chains = levels.repeat(width, 1, 1, 1)  # chain by chain
            # (draws of a chain, width B): its depth, then operation, strength and sign of each step
            drawn = torch.cat(draw[:, width:].chunk(width, 1)).unbind(1)
            depth = (
                picked(drawn[0], LONGEST) + 1 if self.depth is None else torch.full_like(drawn[0], deepest)
            )
            for place in range(deepest):
                kind, strength, sign = drawn[1 + 3 * place : 4 + 3 * place]
                # The operation of number 0 is the identity.
                operation = numbers[picked(kind, len(DRAWN))] * (place < depth)
                level = (MILDEST + strength.double() * (self.severity - MILDEST)) / STRONGEST
                chains = layer(chains, operation, magnitude_of(operation, level, sign, *levels.shape[-2:]))
            left = share_of(draw[:, 0])
            mixture = levels * (1 - left)[:, None, None, None]
            for number, chain in enumerate(chains.chunk(width)):
                weight = left * takes[number](draw[:, 1 + number]) if number < width - 1 else left
                mixture += chain * weight[:, None, None, None]
                left = left - weight
            return mixture

        columns = width + width * (1 + 3 * deepest)
        return on_levels(ctx, columns, change, self.probability, GROUPED_PART_BYTES // width)


def beta_table(a: float, b: float, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the quantile function of Beta(a, b): uniform numbers (B,) in [0, 1) to float32 (B,), linear in a table."""
    import numpy as np
    import torch
    from scipy.special import betaincinv

    nodes = betaincinv(a, b, np.linspace(0.0, 1.0, TABLE_INTERVALS + 1))
    table = torch.from_numpy(nodes.astype(np.float32)).to(device)

    def quantile(uniform: Tensor) -> Tensor:
        place = uniform * TABLE_INTERVALS
        below = place.long()
        return torch.lerp(table[below], table[below + 1], place - below)

    return quantile
