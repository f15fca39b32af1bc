"""Focal loss: easy samples weigh less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FocalLoss(Trick):
    """Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4, over K classes; gamma 2 is theirs.

    loss = -(1 - p_t)^gamma log p_t with p the softmax of the logits (B, K) and t the target's class, averaged over
    the batch. For dense targets (B, K), out of mixing or smoothing, the sum over classes weighted by the target, each
    class with its own factor; with one-hot rows the two agree. Losses of arms with and without it do not compare.

    When not to use it: on balanced data that is fitted well, where it costs a little accuracy; it makes probabilities
    less sure, which can better or worsen their calibration (Mukhoti et al. 2020).

    Attributes:
        gamma: Focus; at 0 it is cross-entropy.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    identity: ClassVar[Mapping[str, object] | None] = {"gamma": 0.0}
    observable: ClassVar[str] = "mean factor of the first batch's samples, share"

    gamma: Annotated[float, Ge(0)] = 2.0

    def bind(self, ctx: Context) -> Slots:
        """Return a `loss` slot; none at gamma 0, where it is the plain cross-entropy."""
        import torch

        if not self.gamma:
            return Slots()
        # held by checkpoints, for a resumed trial never sees the first batch
        mean = torch.zeros((), device=ctx.device)
        seen = False
        least = torch.finfo(torch.float32).tiny

        def over_targets(by_class: Tensor, target: Tensor) -> Tensor:
            if target.ndim == 1:
                return by_class.gather(1, target[:, None]).mean()
            return (by_class * target).sum(1).mean()

        def loss(logits: Tensor, target: Tensor) -> Tensor:
            nonlocal seen
            log_p = torch.log_softmax(logits, 1)
            # kept off nought, where a power below 1 is infinitely steep: a sure sample's gradient would be NaN
            factor = (1 - log_p.exp()).clamp_min(least) ** self.gamma
            if ctx.step == 0 and not seen:
                mean.copy_(over_targets(factor.detach(), target))
                seen = True
            return -over_targets(factor * log_p, target)

        return Slots(loss=loss, state={"mean": [mean]}, observe=lambda: float(mean))
