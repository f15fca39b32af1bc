"""Momentum whose every step is made orthogonal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients of x -> a x + b x^3 + c x^5: steep at nought, and between 0.7 and 1.2 after five rounds."""


@dataclass(frozen=True)
class Muon(Optimizer):
    """Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".

    v = momentum * v + g; u = g + momentum * v (Nesterov) or v; w -= lr * s * orthogonal(u). A filter bank
    (O, I, h, w) is taken as a matrix (O, I h w). orthogonal(u) = U S' V^T for u = U S V^T with S' near 1, by
    `iterations` rounds of a Newton-Schulz iteration on u / |u|. s = sqrt(max(1, rows / columns)), or 1 without
    `shape_scale`. Rate, momentum and iterations are Jordan's defaults. Airbench94_muon (lr 0.24, momentum 0.6, 3
    iterations, no `shape_scale`) keeps every matrix at the norm sqrt(rows) instead of decaying it: `unit_rows`.

    When not to use it: on anything but the inner matrices and filters; embeddings, heads, biases and norms belong to
    another optimizer (a second entry of the suite's list).

    Attributes:
        lr: Base rate, which the schedule scales.
        momentum: Share of the buffer that a step keeps.
        nesterov: Nesterov's momentum.
        weight_decay: Share of a weight that a step at rate 1 takes away.
        iterations: Rounds of the Newton-Schulz iteration.
        iteration_precision: What the rounds are computed in.
        shape_scale: Whether tall matrices take longer steps.
        unit_rows: Whether each weight is brought to the norm sqrt(rows) ahead of each step.
    """

    lr: Annotated[float, Gt(0)] = 0.02
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.95
    nesterov: bool = True
    weight_decay: Annotated[float, Ge(0)] = 0.0
    iterations: Annotated[int, Ge(1)] = 5
    iteration_precision: Literal["bf16", "fp32"] = "bf16"
    shape_scale: bool = True
    unit_rows: bool = False

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups.

        Raises:
            ValueError: For a parameter of fewer than two dimensions.
        """
        for group in groups:
            for weight in group["params"]:
                if weight.ndim < 2:
                    raise ValueError(
                        f"muon takes matrices and filters, not a parameter of shape {tuple(weight.shape)}; give it "
                        '`parameters = "matrices"` or "filters", and the rest to another optimizer'
                    )
        optimizer: TorchOptimizer = _orthogonal_momentum()(groups, self)
        return optimizer


def orthogonalise(matrices: Tensor, iterations: int) -> Tensor:
    """Return matrices (n, rows, columns) with their singular values brought near 1."""
    import torch

    first, third, fifth = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1) + 1e-7)[:, None, None]
    for _ in range(iterations):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        x = torch.baddbmm(x, polynomial, x, beta=first)
    return x.mT if tall else x


@cache
def _orthogonal_momentum() -> Any:
    """Return the class of the optimizer; made on first use, for torch is not imported before."""
    import torch

    class OrthogonalMomentum(torch.optim.Optimizer):
        """Muon over torch's parameter groups."""

        def __init__(self, groups: list[dict[str, Any]], settings: Muon) -> None:
            super().__init__(groups, {"lr": settings.lr, "weight_decay": settings.weight_decay})
            self.settings = settings

        @torch.no_grad()
        def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
            """Take one step; the gradients are there."""
            del closure  # torch's signature has it
            for group in self.param_groups:
                weights = [weight for weight in group["params"] if weight.grad is not None]
                if weights:
                    self._step(weights, group["lr"], group["weight_decay"])

        def _step(self, weights: list[Tensor], lr: float, weight_decay: float) -> None:
            settings = self.settings
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            buffers = [self._buffer(weight) for weight in weights]
            torch._foreach_mul_(buffers, settings.momentum)
            torch._foreach_add_(buffers, gradients)
            directions = (
                torch._foreach_add(gradients, buffers, alpha=settings.momentum)
                if settings.nesterov
                else buffers
            )
            if weight_decay:
                torch._foreach_mul_(weights, 1 - lr * weight_decay)
            if settings.unit_rows:
                factors = torch._foreach_norm(weights)
                torch._foreach_reciprocal_(factors)
                torch._foreach_mul_(factors, [len(weight) ** 0.5 for weight in weights])
                torch._foreach_mul_(weights, factors)
            for same in _by_shape(weights):
                self._add([weights[i] for i in same], [directions[i] for i in same], lr)

        def _add(self, weights: list[Tensor], directions: list[Tensor], lr: float) -> None:
            """Take the step of weights of one shape together: a few large products instead of many small ones."""
            matrices = torch.stack([direction.flatten(1) for direction in directions])
            half = self.settings.iteration_precision == "bf16"
            steps = orthogonalise(
                matrices.to(torch.bfloat16 if half else torch.float32), self.settings.iterations
            )
            rows, columns = matrices.shape[1:]
            scale = max(1.0, rows / columns) ** 0.5 if self.settings.shape_scale else 1.0
            steps = steps.to(weights[0].dtype).view(-1, *weights[0].shape)
            torch._foreach_add_(weights, list(steps.unbind()), alpha=-lr * scale)

        def _buffer(self, weight: Tensor) -> Tensor:
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(weight)
            buffer: Tensor = state["momentum"]
            return buffer

    return OrthogonalMomentum


def _by_shape(weights: list[Tensor]) -> list[list[int]]:
    """Return the places of the weights of each shape and type."""
    places: dict[object, list[int]] = defaultdict(list)
    for place, weight in enumerate(weights):
        places[weight.shape, weight.dtype].append(place)
    return list(places.values())
