"""Gradient clipping by the global norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GradClip(Trick):
    """Pascanu et al., "On the Difficulty of Training Recurrent Neural Networks", ICML 2013, algorithm 1.

    Every gradient is multiplied by min(1, max_norm / (norm + 1e-6)), the norm being that of all gradients
    taken as one vector: `torch.nn.utils.clip_grad_norm_`. A bound of 1 is customary for transformers.

    When not to use it: with an optimizer that does not see the gradient's scale (Adam, Lion, LAMB), as if it
    were a learning rate; it then acts only by evening out steps.

    Attributes:
        max_norm: Bound on the norm.
    """

    stage: ClassVar[Stage] = Stage.CLIP
    # beyond any norm in single precision, and max_norm / 1e-6 is still finite in it: the factor is exactly 1
    identity: ClassVar[Mapping[str, object] | None] = {"max_norm": 1e30}
    observable: ClassVar[str] = "share of steps whose gradient was clipped"

    max_norm: Annotated[float, Gt(0)] = 1.0

    def bind(self, ctx: Context) -> Slots:
        """Return a `gradients` slot; how often it clipped is counted on the device."""
        import torch
        from torch.nn.utils import get_total_norm

        counts = torch.zeros(2, dtype=torch.int64, device=ctx.device)
        clipped, steps = counts.unbind()

        def clip(gradients: list[Tensor]) -> None:
            factor = (self.max_norm / (get_total_norm(gradients) + 1e-6)).clamp_(max=1.0)
            torch._foreach_mul_(gradients, factor)
            clipped.add_(factor < 1)
            steps.add_(1)

        def observe() -> float:
            return int(clipped) / max(int(steps), 1)

        return Slots(gradients=clip, state={"counts": [counts]}, observe=observe)
