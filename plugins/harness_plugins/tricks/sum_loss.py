"""The loss summed over the batch instead of averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.contract import Batch, Closure, Context, Slots, Stage, StepResult, Trick, Update

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.trick import Objective


@dataclass(frozen=True)
class SumLoss(Trick):
    """The gradient is that of the batch's summed loss: the mean loss times the batch's length.

    Page 2018 and Jordan 2024 (arXiv 2404.00498) train so. Where weights and gradients are half precision themselves
    (`precision = "pure-fp16"`), a gradient of the mean over 1,024 samples is often below 6e-8, the least number that
    there is, and is lost; summed it is a thousand times as large, and no loss scale is needed. Rates have to be
    as much smaller: they are rates per sample then (`decoupled-sgd` has `examples` for it), and what bounds
    gradients has to be larger. Curves and records go on holding the mean.

    When not to use it: in single precision with plain SGD it is a larger rate and nothing else; with Adam and its
    kin, which do not see a gradient's scale, it does nothing.
    """

    # the outermost: terms that other objectives add are multiplied too, and the loss is made a mean again at the end
    stage: ClassVar[Stage] = Stage.EVALUATION
    provides: ClassVar[frozenset[str]] = frozenset({"summed-loss"})
    conflicts: ClassVar[frozenset[str]] = frozenset({"summed-loss"})
    observable: ClassVar[str] = "samples that a loss was summed over"

    def bind(self, ctx: Context) -> Slots:
        """Return slots that multiply the objective, and divide what the update tells of it."""
        del ctx
        # of the whole batch, whose parts are weighted by their share of it
        length = 0

        def look_at_batch(batch: Batch) -> Batch:
            nonlocal length
            length = len(batch)
            return batch

        def wrap_objective(objective: Objective) -> Objective:
            def summed_objective(batch: Batch) -> tuple[Tensor, Tensor]:
                loss, logits = objective(batch)
                return loss * length, logits

            return summed_objective

        def wrap_update(update: Update) -> Update:
            def update_and_average(closure: Closure) -> StepResult:
                result = update(closure)
                return StepResult(result.loss / length, result.applied)

            return update_and_average

        return Slots(
            batch=look_at_batch,
            objective=wrap_objective,
            update=wrap_update,
            observe=lambda: float(length),
        )
