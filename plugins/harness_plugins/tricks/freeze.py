"""The first blocks of the backbone are not trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Interval

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Freeze(Trick):
    """Keep the parameters of the first blocks as they are, and train the rest.

    Yosinski et al., "How transferable are features in deep neural networks?", 2014: the first layers of a trained
    network are general. Either so many blocks, from the stem on and as the backbone names them, or a share of the
    layers that hold parameters, counted from the input. Frozen parameters get no gradient, no step and no weight
    decay. Batch norm in them goes on as in training, as its statistics are no parameters: it normalises by the batch's
    own and moves the running ones, so that what a frozen block gives is not quite fixed.

    When not to use it: on a network that starts from nothing: its first layers would stay noise.

    Attributes:
        blocks: Blocks from the stem on.
        share: Share of the layers with parameters, in place of blocks.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    identity: ClassVar[Mapping[str, object] | None] = {"blocks": 0, "share": 0.0}
    observable: ClassVar[str] = "parameters frozen, number"

    blocks: Annotated[int, Ge(0)] = 0
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.0

    def __post_init__(self) -> None:
        if self.blocks and self.share:
            raise ValueError("blocks and share are two ways to say how much is frozen: give one")

    def bind(self, ctx: Context) -> Slots:
        """Return what is frozen from step 0 on.

        Raises:
            ValueError: Where nothing is left to train.
        """
        frozen = self._parameters(ctx)
        if not frozen:
            return Slots()
        count = float(sum(parameter.numel() for parameter in frozen))
        return Slots(freezes={0.0: frozen}, observe=lambda: count)

    def _parameters(self, ctx: Context) -> list[Tensor]:
        named = ctx.blocks
        if self.blocks and self.blocks >= len(named):
            names = ", ".join(name for name, _ in named)
            raise ValueError(f"blocks is {self.blocks}, and the backbone has {len(named)}: {names}")
        modules = [module for _, module in named[: self.blocks]]
        if self.share:
            layers = [module for module in ctx.model.modules() if list(module.parameters(recurse=False))]
            count = round(self.share * len(layers))
            if count == len(layers):
                raise ValueError(
                    f"share is {self.share}, which of the backbone's {count} layers leaves none to train"
                )
            modules = layers[:count]
        return [parameter for module in modules for parameter in module.parameters()]
