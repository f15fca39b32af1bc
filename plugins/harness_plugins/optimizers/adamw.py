"""Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class AdamW(Optimizer):
    """torch.optim.AdamW: Loshchilov and Hutter, ICLR 2019, algorithm 2.

    w -= lr * weight_decay * w before the step of Adam. Betas and eps are Adam's (Kingma and Ba 2015), the
    decay of 0.01 is torch's default.

    When not to use it: on residual networks with a long budget, where `sgd` is as good or better.

    Attributes:
        lr: Base rate, which the schedule scales.
        beta1: Decay of the running mean of the gradient.
        beta2: Decay of the running mean of its square.
        eps: Added to the root of the latter.
        weight_decay: Share of a weight that a step at rate 1 takes away, on every parameter of the group.
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.01

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        import torch

        return torch.optim.AdamW(
            groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, weight_decay=self.weight_decay
        )
