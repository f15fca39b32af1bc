"""AdaBound: Adam whose step sizes close in on that of gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@dataclass(frozen=True)
class AdaBound(Optimizer):
    """Luo et al., "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", ICLR 2019, algorithm 2.

    At step t, from 1, with Adam's moments m and v and its corrected rate a = lr sqrt(1 - beta2^t) / (1 - beta1^t):

        w -= clip(a / (sqrt(v) + eps), f (1 - 1 / (gamma t + 1)), f (1 + 1 / (gamma t))) m

    f is `final_lr` times what the schedule makes of the rate, as in the authors' code. So it begins as Adam and ends
    as gradient descent at `final_lr`. The weight decay is an L2 penalty, in the gradient. Defaults are the authors'.

    When not to use it: where runs are so short that the bounds never close; with few steps take a larger `gamma`.

    Attributes:
        lr: Base rate of the Adam that it starts as, which the schedule scales.
        final_lr: Rate of the gradient descent that it ends as.
        gamma: How fast the bounds close, per step.
        beta1: Share of the first moment that a step keeps.
        beta2: Share of the second moment that a step keeps.
        eps: Added to the root of the second moment.
        weight_decay: Coefficient of an L2 penalty.
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    final_lr: Annotated[float, Gt(0)] = 0.1
    gamma: Annotated[float, Gt(0), Lt(1)] = 1e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups."""
        return _stepper(groups, self)


def _stepper(groups: list[dict[str, Any]], settings: AdaBound) -> TorchOptimizer:
    import torch

    class Stepper(torch.optim.Optimizer):
        def step(self, closure: Any = None) -> Any:
            del closure
            with torch.no_grad():
                for group in self.param_groups:
                    for step, weights in _by_step(group["params"], self.state).items():
                        _update(weights, step, self.state, group, settings)

    rate = settings.lr
    return Stepper(groups, {"lr": rate, "base_lr": rate, "weight_decay": settings.weight_decay})


def _by_step(parameters: list[Any], state: Any) -> dict[int, list[Any]]:
    """Return the weights that have a gradient by how many they have had: fewer where they were frozen for a while."""
    import torch

    weights: dict[int, list[Any]] = {}
    for weight in parameters:
        if weight.grad is None:
            continue
        own = state[weight]
        if not own:
            own |= {"step": 0, "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        own["step"] += 1
        weights.setdefault(own["step"], []).append(weight)
    return weights


def _update(weights: list[Any], step: int, state: Any, group: dict[str, Any], settings: AdaBound) -> None:
    import torch

    gradients: Any = [weight.grad for weight in weights]
    if group["weight_decay"]:
        gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
    means = [state[weight]["mean"] for weight in weights]
    squares = [state[weight]["square"] for weight in weights]
    torch._foreach_lerp_(means, gradients, 1 - settings.beta1)
    torch._foreach_mul_(squares, settings.beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - settings.beta2)

    rate = group["lr"] * math.sqrt(1 - settings.beta2**step) / (1 - settings.beta1**step)
    final = settings.final_lr * group["lr"] / group["base_lr"]
    sizes = torch._foreach_sqrt(squares)
    torch._foreach_add_(sizes, settings.eps)
    torch._foreach_reciprocal_(sizes)
    torch._foreach_mul_(sizes, rate)
    torch._foreach_clamp_min_(sizes, final * (1 - 1 / (settings.gamma * step + 1)))
    torch._foreach_clamp_max_(sizes, final * (1 + 1 / (settings.gamma * step)))
    torch._foreach_addcmul_(weights, sizes, means, -1.0)
