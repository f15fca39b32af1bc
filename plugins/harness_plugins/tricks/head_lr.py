"""A learning rate of its own for the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from harness.contract import Context, Scale, Slots, Trick
from harness_plugins.tricks.layers import layers_of, refuse_one_layer

if TYPE_CHECKING:
    from torch.nn import Parameter


@dataclass(frozen=True)
class HeadLr(Trick):
    """The base rate is multiplied by `factor` for the last block's parameters, the head's.

    For fine-tuning: a fresh head has everything to learn, and what is below it little. Girshick et al. 2014 trained
    all layers at a tenth of the rate of pre-training, lest they lose it; ten times the others' rate for the new layer
    is the setting of Caffe's example "Fine-tuning for style recognition" (Jia et al. 2014), and the default.

    When not to use it: on a network that starts from nothing as a whole.

    Attributes:
        factor: Of the base rate, for the head.
    """

    identity: ClassVar[Mapping[str, object] | None] = {"factor": 1.0}
    observable: ClassVar[str] = "parameters of the head at a rate of their own, number"

    factor: Annotated[float, Gt(0)] = 10.0

    def scales(self, ctx: Context) -> Mapping[str, Scale]:
        """Return the head's factor.

        Raises:
            ValueError: Where the backbone is one block.
        """
        return dict.fromkeys(self._head(ctx), Scale(lr=self.factor))

    def bind(self, ctx: Context) -> Slots:
        """Return the observable alone."""
        if self.factor == 1:
            return Slots()
        count = float(sum(parameter.numel() for parameter in self._head(ctx).values()))
        return Slots(observe=lambda: count)

    def _head(self, ctx: Context) -> dict[str, Parameter]:
        layers = layers_of(ctx)
        refuse_one_layer("head-lr", layers)
        return layers[-1]
