"""Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class Adam(Optimizer):
    """torch.optim.Adam: Kingma and Ba, "Adam", ICLR 2015, algorithm 1, with the paper's defaults.

    Weight decay, off by default, is an L2 penalty added to the gradient, so that it is divided by the running
    scale as the gradient is.

    When not to use it: with weight decay, where `adamw` is meant almost always.

    Attributes:
        lr: Base rate, which the schedule scales.
        beta1: Decay of the running mean of the gradient.
        beta2: Decay of the running mean of its square.
        eps: Added to the root of the latter.
        weight_decay: Coefficient of an L2 penalty, weight_decay / 2 * |w|^2, on every parameter of the group.
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        import torch

        return torch.optim.Adam(
            groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, weight_decay=self.weight_decay
        )
