"""Label smoothing: a share of the target spread over all classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from harness.contract import Batch, Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelSmoothing(Trick):
    """Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7; 0.1 is the paper's.

    target = (1 - smoothing) * y + smoothing / K for K classes, on the targets as they come out of mixing, so
    that it goes together with mixup and CutMix. Losses of arms with and without it do not compare.

    When not to use it: where the network is a distillation teacher (Müller et al. 2019), or where the logits
    are used for more than their order, such as detecting unknown classes.

    Attributes:
        smoothing: Share of the target that is spread.
    """

    stage: ClassVar[Stage] = Stage.TARGET
    provides: ClassVar[frozenset[str]] = frozenset({"soft-targets"})
    identity: ClassVar[Mapping[str, object] | None] = {"smoothing": 0.0}
    observable: ClassVar[str] = "mean entropy of the first batch's targets, nats"

    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.1

    def bind(self, ctx: Context) -> Slots:
        """Return a `batch` slot; none at 0, where targets stay class indices."""
        if not self.smoothing:
            return Slots()
        first: list[Tensor] = []

        def smooth(batch: Batch) -> Batch:
            target = (
                batch.dense_target(ctx.num_classes)
                .mul(1 - self.smoothing)
                .add_(self.smoothing / ctx.num_classes)
            )
            if not first:
                first.append(target)
            return batch.with_target(target)

        def observe() -> float:
            import torch

            return float(torch.special.entr(first[0]).sum(dim=1).mean()) if first else 0.0

        return Slots(batch=smooth, observe=observe)
