"""LAMB: Adam with a trust ratio for each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class Lamb(Optimizer):
    """You et al., "Large Batch Optimization for Deep Learning", ICLR 2020, algorithm 2, by timm.

    With Adam's corrected moments, r = m / (sqrt(v) + eps) + weight_decay w, and for each parameter tensor
    w -= lr |w| / |r| r; where the weight decay is 0 the trust ratio is left out, as timm does. timm bounds the norm
    of the whole gradient by 1 ahead of it, as NVIDIA's does; here only where `max_norm` is given. For batches of
    thousands of images. The other defaults are timm's.

    When not to use it: with ordinary batches, where `adamw` needs less tuning.

    Attributes:
        lr: Base rate, which the schedule scales.
        beta1: Share of the first moment that a step keeps.
        beta2: Share of the second moment that a step keeps.
        eps: Added to the root of the second moment.
        weight_decay: Weight decay, inside the trust ratio.
        max_norm: Bound of the norm of the whole gradient.
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-6
    weight_decay: Annotated[float, Ge(0)] = 0.01
    max_norm: Annotated[float, Gt(0)] | None = None

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        from timm.optim import Lamb as TimmLamb

        optimizer: TorchOptimizer = TimmLamb(
            groups,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_norm,
        )
        return optimizer
