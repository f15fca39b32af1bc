"""Normalisation without a learned scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.contract import Context, Slots, Trick

if TYPE_CHECKING:
    from torch.nn import Module, Parameter


@dataclass(frozen=True)
class FreezeNormScale(Trick):
    """Page 2018, "How to Train Your ResNet 5: Hyperparameters": batch norm's scales stay at 1, its biases are trained.

    Every batch, group, instance and layer norm's `weight` is set to 1 and takes no gradient. Before a ReLU or a
    GELU a scale for each channel does little that the next layer cannot, and without one the rate of the biases
    can be set by itself. In Jordan 2024 (arXiv 2404.00498) they learn 64 times as fast as the filters: an
    optimizer entry of their own, `parameters = "*norm*"`.

    When not to use it: on transformers, and on residual networks that start their last scales at nought.
    """

    observable: ClassVar[str] = "scales that are 1 and take no gradient"

    def model(self, model: Module, ctx: Context) -> Module:
        """Return the model with its scales set and frozen.

        Raises:
            ValueError: Where no normalisation layer has a scale.
        """
        import torch

        del ctx
        scales = _scales(model)
        if not scales:
            raise ValueError(
                "freeze-norm-scale: no normalisation layer of the backbone has a scale; leave it out"
            )
        with torch.no_grad():
            for scale in scales:
                scale.fill_(1.0).requires_grad_(False)
        return model

    def bind(self, ctx: Context) -> Slots:
        """Return a slot that only counts."""

        def observe() -> float:
            return float(
                sum(bool((scale == 1).all()) and not scale.requires_grad for scale in _scales(ctx.model))
            )

        return Slots(observe=observe)


def _scales(model: Module) -> list[Parameter]:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    kinds = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    norms = (module for module in model.modules() if isinstance(module, kinds))
    return [norm.weight for norm in norms if norm.weight is not None]
