"""signSGD (Bernstein et al. 2018): the update takes the sign of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GradientSign(Trick):
    """g <- scale * sign(g)."""

    scale: Annotated[float, Gt(0)] = 0.01

    stage = Stage.GRADIENT

    def bind(self, ctx: Context) -> Slots:
        """Fill the gradients slot."""
        import torch

        del ctx

        def sign(gradients: list[Tensor]) -> None:
            torch._foreach_sign_(gradients)
            torch._foreach_mul_(gradients, self.scale)

        return Slots(gradients=sign)
