"""Weight decay that falls from head to stem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from harness.contract import Context, Scale, Slots, Trick
from harness_plugins.tricks.layers import layers_of, refuse_one_layer


@dataclass(frozen=True)
class LayerWiseDecay(Trick):
    """With L layers, counted from the stem, wd_L = wd and wd_(l - 1) = decay wd_l.

    For fine-tuning: weight decay draws every layer towards nought, and so away from what was trained before, as
    Li et al., "Explicit Inductive Bias for Transfer Learning", ICML 2018, say of it. The less of it a layer gets, the
    earlier it stands and the more general what it holds is; the head, which is new, gets all. Layers are those of
    `layer-wise-lr`. The form is that of its rates; it and the default, which is the same, are the harness's choice.

    When not to use it: on a network that starts from nothing, or with an optimizer without weight decay.

    Attributes:
        decay: Weight decay of a layer as a multiple of that of the layer above it.
    """

    identity: ClassVar[Mapping[str, object] | None] = {"decay": 1.0}
    observable: ClassVar[str] = "weight decay of the stem below that of the head, share"

    decay: Annotated[float, Interval(ge=0, le=1)] = 0.75

    def scales(self, ctx: Context) -> Mapping[str, Scale]:
        """Return decay^(L - l) for the parameters of layer l.

        Raises:
            ValueError: Where the backbone is one block.
        """
        layers = layers_of(ctx)
        refuse_one_layer("layer-wise-decay", layers)
        return {
            name: Scale(weight_decay=self.decay**above)
            for above, layer in enumerate(reversed(layers))
            for name in layer
        }

    def bind(self, ctx: Context) -> Slots:
        """Return the observable alone."""
        below = 1 - self.decay ** (len(layers_of(ctx)) - 1)
        return Slots(observe=lambda: below) if below else Slots()
