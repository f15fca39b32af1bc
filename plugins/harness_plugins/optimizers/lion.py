"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class Lion(Optimizer):
    """Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2, by timm.

        w -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay w);  m = beta2 m + (1 - beta2) g

    Every coordinate moves by the rate itself, so it wants a third to a tenth of Adam's, and three to ten times its
    weight decay (the paper's section 5). Betas are the paper's, the rate is that of the
    authors' code.

    When not to use it: with small batches (the paper's section 4.6 sees gains from 64 on).

    Attributes:
        lr: Base rate, which the schedule scales.
        beta1: Share of the momentum in the sign.
        beta2: Share of the momentum that a step keeps.
        weight_decay: Decoupled weight decay, times the rate.
    """

    lr: Annotated[float, Gt(0)] = 1e-4
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.99
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        from timm.optim import Lion as TimmLion

        optimizer: TorchOptimizer = TimmLion(
            groups, lr=self.lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay
        )
        return optimizer
