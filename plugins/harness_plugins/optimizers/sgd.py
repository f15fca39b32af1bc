"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class Sgd(Optimizer):
    """torch.optim.SGD: g += weight_decay * w; v = momentum * v + g; w -= lr * v.

    The rate stands outside the momentum buffer (unlike Sutskever et al. 2013) and there is no dampening, as
    in torch. With `nesterov` the step is momentum * v + g. Momentum 0.9 is what residual networks are trained
    with (He et al. 2016), together with a weight decay of 1e-4 to 5e-4, which here is off unless asked for.

    When not to use it: on transformers from scratch, where `adamw` is far ahead.

    Attributes:
        lr: Base rate, which the schedule scales.
        momentum: Share of the buffer that a step keeps.
        weight_decay: Coefficient of an L2 penalty, weight_decay / 2 * |w|^2, on every parameter of the group.
        nesterov: Nesterov's momentum; needs a momentum above 0.
    """

    lr: Annotated[float, Gt(0)]
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        import torch

        return torch.optim.SGD(
            groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )
