"""Stochastic weight averaging: the mean of the weights along the last part of training is judged."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from harness.contract import Closure, Context, Slots, Stage, StepResult, Trick, Update

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class Swa(Trick):
    """Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, algorithm 1.

    From `start` of the budget on, at the end of every epoch: average = (average n + weights) / (n + 1). What is
    judged has the averaged weights, and batch norm's statistics estimated anew with them: one pass over
    `batches` training batches, without augmentation, a cumulative mean as in torch's `update_bn`. That pass is on
    the clock. Before the first average the raw weights are judged. The paper starts at 75 % of the budget and holds
    the rate there, constant or cyclical: let the schedule end high enough, or the average has little to average.

    When not to use it: with a rate that falls to nought, where `ema` or nothing does as well.

    Attributes:
        start: Share of the budget after which weights are averaged; at 1 nothing is.
        batches: Training batches for batch norm's statistics.
    """

    stage: ClassVar[Stage] = Stage.AVERAGE
    provides: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    # a second average would be judged in this one's place
    conflicts: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    identity: ClassVar[Mapping[str, object] | None] = {"start": 1.0}
    observable: ClassVar[str] = "weights averaged, number"

    start: Annotated[float, Ge(0), Le(1)] = 0.75
    batches: Annotated[int, Gt(0)] = 100

    def bind(self, ctx: Context) -> Slots:
        """Return an `update` slot that averages at epochs' ends and an `eval_model` slot that puts it forward."""
        import torch

        if self.start == 1:
            return Slots()
        shadow = copy.deepcopy(ctx.model).requires_grad_(False)
        averages = [parameter.float() for parameter in shadow.parameters()]
        taken = torch.zeros((), device=ctx.device)
        first = round(self.start * ctx.total_steps)

        def wrap_update(update: Update) -> Update:
            def update_and_average(closure: Closure) -> StepResult:
                result = update(closure)
                done = ctx.step + 1
                ends = done % ctx.steps_per_epoch == 0 or done == ctx.total_steps
                if ends and done > first:
                    with torch.no_grad():
                        taken.add_(1)
                        for average, weight in zip(averages, ctx.model.parameters(), strict=True):
                            average.add_((weight - average) / taken)
                return result

            return update_and_average

        def choose_average(model: Module) -> Module:
            if not taken:
                return model
            with torch.no_grad():
                for parameter, average in zip(shadow.parameters(), averages, strict=True):
                    parameter.copy_(average)
                for own, raw in zip(shadow.buffers(), ctx.model.buffers(), strict=True):
                    own.copy_(raw)
            _estimate_statistics(shadow, ctx, self.batches)
            return shadow

        def observe() -> float:
            return float(taken)

        state = {"averages": averages, "taken": [taken]}
        return Slots(update=wrap_update, eval_model=choose_average, state=state, observe=observe)


def _estimate_statistics(model: Module, ctx: Context, batches: int) -> None:
    """Set batch norm's running statistics to the mean over training batches, weighted alike."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    kind = next(model.parameters()).dtype
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: a cumulative mean
    model.train()
    with torch.no_grad():
        for batch in ctx.training_batches(batches):
            model(batch.image.to(kind))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
