"""Optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer:
    """Base of every optimizer plugin. It has a field `lr`, the base rate that the schedule scales."""

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return a torch optimizer over `groups`, torch's parameter groups.

        Raises:
            ValueError: Where it cannot take a parameter that is in `groups`, naming its shape.
        """
        raise NotImplementedError
