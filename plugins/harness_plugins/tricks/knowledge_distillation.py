"""Knowledge distillation: a student that learns from a teacher's softened outputs beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Interval

from harness.contract import Batch, Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.trick import Objective


@dataclass(frozen=True)
class KnowledgeDistillation(Trick):
    """Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2.

    loss = alpha * T^2 * KL(softmax(teacher / T) || softmax(student / T)) + (1 - alpha) * hard loss

    with the teacher's and the student's logits (B, K), KL in nats, the mean over the batch. T^2 keeps the soft part's
    gradient at one size whatever the temperature. The hard loss is the arm's own, whatever that is: cross-entropy with
    labels or with mixed or smoothed targets, or another trick's loss. The teacher sees the batch that the student sees,
    augmented; it has no graph, is in evaluation mode, and its forward pass is on the clock and in the FLOPs.
    The defaults are those of Zagoruyko and Komodakis 2017 ("Paying More Attention to Attention") for this loss.

    The arm names the teacher: `teacher = { arm = "…" }`, or `teacher = { file = "….safetensors" }`.

    When not to use it: where the teacher is hardly better than the student, or trained with label smoothing (Müller et
    al. 2019); where training FLOPs count, for the teacher's forward pass and its own training come on top.

    Attributes:
        temperature: T, by which logits are divided.
        alpha: Weight of the soft part.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    parents: ClassVar[frozenset[str]] = frozenset({"teacher"})
    identity: ClassVar[Mapping[str, object] | None] = {"alpha": 0.0}
    observable: ClassVar[str] = "divergence from the teacher in the last step, at the temperature, nats"

    temperature: Annotated[float, Gt(0)] = 4.0
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.9

    def bind(self, ctx: Context) -> Slots:
        """Return an `objective` slot; none at 0, where no teacher is asked."""
        if not self.alpha:
            return Slots()
        import torch
        import torch.nn.functional as F

        teacher = ctx.parents["teacher"]
        last = torch.zeros((), device=ctx.device)

        def distill(inner: Objective) -> Objective:
            def objective(batch: Batch) -> tuple[Tensor, Tensor]:
                hard, logits = inner(batch)
                student = F.log_softmax(logits / self.temperature, dim=1)
                taught = F.log_softmax(teacher(batch) / self.temperature, dim=1)
                soft = F.kl_div(student, taught, reduction="batchmean", log_target=True)
                last.copy_(soft.detach())
                return self.alpha * self.temperature**2 * soft + (1 - self.alpha) * hard, logits

            return objective

        return Slots(objective=distill, state={"last": [last]}, observe=lambda: float(last))
