"""Fine-tuning that begins with the head and lets one block after the other in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Interval, MinLen

from harness.contract import Context, Slots, Trick
from harness_plugins.tricks.layers import layers_of, refuse_one_layer

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True)
class GradualUnfreeze(Trick):
    """Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018, section 3.2.

    At first the head alone is trained. At each of `shares` of the budget the next layer below joins in, and at the
    last of them all that are left: as in the authors' fastai examples, the head, two layers, three, all, in four equal
    parts, which is the default. Layers are those of `layer-wise-lr`. A frozen parameter gets no gradient, no
    step and no weight decay; its optimizer's state begins when it joins in. An optimizer that counts steps for a group
    as a whole (timm's Lamb) corrects its first moments as if it had been there all the time.

    Batch norm in frozen layers goes on as in training: it normalises by the batch's own statistics and moves its
    running ones, since those are no parameters. So the function of a frozen layer is not quite fixed, and on other
    data than it was trained on its running statistics drift to the new data's.

    When not to use it: on a network that starts from nothing, whose head would learn from noise.

    Attributes:
        shares: Of the budget, rising; at each a further layer is trained.
    """

    identity: ClassVar[Mapping[str, object] | None] = None
    observable: ClassVar[str] = "parameters that joined in, number"

    shares: Annotated[tuple[Share, ...], MinLen(1)] = (0.25, 0.5, 0.75)

    def __post_init__(self) -> None:
        if list(self.shares) != sorted(set(self.shares)):
            raise ValueError("shares must rise from one to the next")

    def bind(self, ctx: Context) -> Slots:
        """Return what is frozen at step 0, and what joins in when.

        Raises:
            ValueError: Where the backbone has fewer layers below its head than there are shares.
        """
        layers = layers_of(ctx)
        refuse_one_layer("gradual-unfreeze", layers)
        below: list[list[Tensor]] = [list(layer.values()) for layer in reversed(layers[:-1])]
        if len(below) < len(self.shares):
            raise ValueError(
                f"gradual-unfreeze: shares has {len(self.shares)} entries, and the backbone has {len(below)} layers "
                "below its head; give no more than that"
            )
        last = len(self.shares) - 1
        joining = [*below[:last], [parameter for layer in below[last:] for parameter in layer]]
        frozen = [parameter for layer in below for parameter in layer if parameter.requires_grad]

        def observe() -> float:
            return float(sum(parameter.numel() for parameter in frozen if parameter.requires_grad))

        return Slots(
            freezes={0.0: frozen},
            unfreezes=dict(zip(self.shares, joining, strict=True)),
            observe=observe,
        )
