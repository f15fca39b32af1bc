"""Convolutions that start by passing their input on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.contract import Context, Slots, Trick

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class DiracInit(Trick):
    """Zagoruyko and Komodakis 2017, "DiracNets", as Jordan 2024 (arXiv 2404.00498, section 3.2) has it.

    In a convolution from C channels, filter i < C starts as the identity on channel i: 1 at the centre of that
    channel, 0 elsewhere (`torch.nn.init.dirac_` on the first C filters). The other filters keep their own
    initialisation, and all are trained. What has no centre (a side of even size, as in a 2x2 stem) or is grouped
    stays as it is. So a plain network starts as one that passes its input through, as a residual network does.

    When not to use it: on residual networks, whose shortcuts do the same.
    """

    observable: ClassVar[str] = "convolutions that started as the identity on their first channels"

    def model(self, model: Module, ctx: Context) -> Module:
        """Return the model, its convolutions initialised anew; nothing is drawn.

        Raises:
            ValueError: Where there is no convolution that has a centre.
        """
        import torch

        del ctx
        convolutions = _centred_convolutions(model)
        if not convolutions:
            raise ValueError(
                "dirac-init: the backbone has no ungrouped convolution with odd sides; leave it out"
            )
        with torch.no_grad():
            for convolution in convolutions:
                weight = convolution.weight
                torch.nn.init.dirac_(weight[: weight.shape[1]])
        return model

    def bind(self, ctx: Context) -> Slots:
        """Return a slot that only counts."""
        started = 0
        for convolution in _centred_convolutions(ctx.model):
            filters = convolution.weight.detach()[: convolution.weight.shape[1]]
            # each has one 1, and nothing else
            started += int((filters.flatten(1).sum(1) == 1).all() & (filters.count_nonzero() == len(filters)))
        return Slots(observe=lambda: float(started))


def _centred_convolutions(model: Module) -> list[Any]:
    from torch import nn

    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and module.groups == 1
        and all(side % 2 for side in module.kernel_size)
    ]
