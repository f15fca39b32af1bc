"""Nesterov SGD whose rate, momentum and decay can be set one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Interval

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class DecoupledSgd(Optimizer):
    """Page 2018, "How to Train Your ResNet 5", with the constants of Jordan 2024, arXiv 2404.00498, appendix A.

    torch.optim.SGD with Nesterov's momentum m, of rate r = lr / (examples * (1 + 1 / (1 - m))) and L2 coefficient
    weight_decay * examples / lr. So a gradient that stays the same moves a weight by nearly as much whatever m is (the
    exact factor is 1 / (1 - m); the recipe's is kept, so that its numbers can be), and a step takes about
    `weight_decay` of a weight whatever `lr` and m are. The schedule scales both. The recipe: with
    `sum-loss` and 1,024 samples a batch, lr 11.5, `examples` 1024 and weight_decay 0.0153, and for batch norm's biases
    64 times the rate at the same decay (lr 736).

    When not to use it: to compare with published settings of torch's SGD; `sgd` takes those as they are.

    Attributes:
        lr: Base rate for momentum of any size, which the schedule scales, per `examples` samples.
        examples: Samples that a gradient is summed over: 1 for the mean loss, with `sum-loss` what `lr` is meant for.
        momentum: Share of the buffer that a step keeps.
        weight_decay: Share of a weight that a step at the base rate takes away.
    """

    lr: Annotated[float, Gt(0)]
    examples: Annotated[int, Ge(1)] = 1
    momentum: Annotated[float, Interval(gt=0, lt=1)] = 0.85
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        import torch

        return torch.optim.SGD(
            groups,
            lr=self.lr / (self.examples * (1 + 1 / (1 - self.momentum))),
            momentum=self.momentum,
            weight_decay=self.weight_decay * self.examples / self.lr,
            nesterov=True,
        )
