"""Gradient accumulation: the batch in parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from harness.contract import Batch, Context, Slots, StepPlan, Trick

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.trick import Objective


@dataclass(frozen=True)
class GradAccumulation(Trick):
    """The batch goes through the network in parts, one after another, and the optimizer steps once.

    The gradients are averaged over samples, so the update is that of the whole batch to rounding, and
    activations take up about 1 / `micro_batches` of their memory. The batch size of the suite stays what it
    is. Four parts are an example, from no paper: take as few as fit.

    When not to use it: where memory suffices, since it is slower; and with batch norm as a way to an equal
    result, since statistics are taken over each part alone (ghost batch norm, Hoffer et al. 2017).

    Attributes:
        micro_batches: Number of parts.
    """

    # what is computed over a whole batch (a contrastive loss) conflicts with it
    provides: ClassVar[frozenset[str]] = frozenset({"micro-batches"})
    identity: ClassVar[Mapping[str, object] | None] = {"micro_batches": 1}
    observable: ClassVar[str] = "parts that a batch was split into"

    micro_batches: Annotated[int, Ge(1)] = 4

    def plan(self, plan: StepPlan) -> StepPlan:
        """Return the plan with `micro_batches` times as many parts."""
        return dataclasses.replace(plan, micro_batches=plan.micro_batches * self.micro_batches)

    def bind(self, ctx: Context) -> Slots:
        """Return slots that only look: how many samples a batch has, and how many the passes over it."""
        del ctx
        if self.micro_batches == 1:
            return Slots()
        whole = seen = passes = parts = 0

        def look_at_batch(batch: Batch) -> Batch:
            nonlocal whole, seen, passes
            whole, seen, passes = len(batch), 0, 0
            return batch

        def wrap_objective(objective: Objective) -> Objective:
            def look_at_part(batch: Batch) -> tuple[Tensor, Tensor]:
                nonlocal seen, passes, parts
                seen += len(batch)
                passes += 1
                if seen >= whole:
                    parts, seen, passes = passes, 0, 0
                return objective(batch)

            return look_at_part

        def observe() -> float:
            return float(parts) if parts > 1 else 0.0

        return Slots(batch=look_at_batch, objective=wrap_objective, observe=observe)
