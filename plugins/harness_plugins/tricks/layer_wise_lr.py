"""Learning rates that fall from head to stem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from harness.contract import Context, Scale, Slots, Trick
from harness_plugins.tricks.layers import layers_of, refuse_one_layer


@dataclass(frozen=True)
class LayerWiseLr(Trick):
    """Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018, section 3.2.

    Discriminative fine-tuning: with L layers, counted from the stem, lr_L = lr and lr_(l - 1) = decay lr_l. So the
    head learns at the base rate, and each layer below at `decay` times the rate of the one above it, for the first
    layers of a trained network are general and need to change least. The paper has decay = 1 / 2.6 for a language
    model. Vision transformers are fine-tuned so since BEiT (Bao et al. 2022); the default, 0.75, is timm's, after
    it. Layers are the backbone's blocks, a norm between two with the one before it. For timm's ResNets and plain
    vision transformers they are those of its `param_groups_layer_decay`; other networks it divides otherwise.

    When not to use it: on a network that starts from nothing: its first layers would hardly be trained.

    Attributes:
        decay: Rate of a layer as a multiple of that of the layer above it.
    """

    identity: ClassVar[Mapping[str, object] | None] = {"decay": 1.0}
    observable: ClassVar[str] = "rate of the stem below that of the head, share of the base rate"

    decay: Annotated[float, Interval(gt=0, le=1)] = 0.75

    def scales(self, ctx: Context) -> Mapping[str, Scale]:
        """Return decay^(L - l) for the parameters of layer l.

        Raises:
            ValueError: Where the backbone is one block.
        """
        layers = layers_of(ctx)
        refuse_one_layer("layer-wise-lr", layers)
        return {
            name: Scale(lr=self.decay**above)
            for above, layer in enumerate(reversed(layers))
            for name in layer
        }

    def bind(self, ctx: Context) -> Slots:
        """Return the observable alone."""
        below = 1 - self.decay ** (len(layers_of(ctx)) - 1)
        return Slots(observe=lambda: below) if below else Slots()
