"""An exponential moving average of the weights, which is judged in their place."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from harness.contract import Closure, Context, Slots, Stage, StepResult, Trick, Update

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Ema(Trick):
    """Polyak and Juditsky 1992 in the exponential form of Szegedy et al., CVPR 2016, section 8.

    After each update, average += (1 - d) * (weights - average). With `warmup`, at step t from 0,
    d is min(decay, (1 + t) / (10 + t)) as in TensorFlow's `ExponentialMovingAverage(num_updates=t)`,
    so that short runs do not drag their first weights along. Floating buffers, which is to say batch norm's
    statistics, are averaged as EfficientNet's code and timm do; counters are copied. The raw weights train on
    untouched. 0.999 suits runs of some thousand steps; EfficientNet has 0.9999 for a hundred times as many.

    When not to use it: with a rate that falls to nought over the budget there is little left to average, and
    with a horizon 1 / (1 - decay) that is a good part of the run the average lags behind.

    Attributes:
        decay: Share of the average that an update keeps.
        warmup: Let early updates keep less.
    """

    stage: ClassVar[Stage] = Stage.AVERAGE
    provides: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    # a second average would be judged in this one's place
    conflicts: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    identity: ClassVar[Mapping[str, object] | None] = {"decay": 0.0}
    observable: ClassVar[str] = "distance of the averaged from the raw weights, relative to their norm"

    decay: Annotated[float, Ge(0), Lt(1)] = 0.999
    warmup: bool = True

    def decay_at(self, step: int) -> float:
        """Return the share that the update of a step, from 0, keeps."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    def bind(self, ctx: Context) -> Slots:
        """Return an `update` slot that keeps the average and an `eval_model` slot that puts it forward."""
        import torch

        if not self.decay:
            return Slots()
        shadow = copy.deepcopy(ctx.model).requires_grad_(False).eval()
        averages, sources, copies = _pair_tensors(shadow, ctx.model)

        def wrap_update(update: Update) -> Update:
            def update_and_average(closure: Closure) -> StepResult:
                result = update(closure)
                if result.applied:
                    with torch.no_grad():
                        torch._foreach_lerp_(averages, sources, 1 - self.decay_at(ctx.step))
                return result

            return update_and_average

        def choose_average(model: Module) -> Module:
            del model
            for average, source in copies:
                average.copy_(source)
            return shadow

        def observe() -> float:
            pairs = list(zip(shadow.parameters(), ctx.model.parameters(), strict=True))
            distance = torch.nn.utils.get_total_norm([average - raw.detach() for average, raw in pairs])
            return float(distance / torch.nn.utils.get_total_norm([raw.detach() for _, raw in pairs]))

        return Slots(
            update=wrap_update, eval_model=choose_average, state={"averages": averages}, observe=observe
        )


def _pair_tensors(
    shadow: Module, model: Module
) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Return the tensors to average, their sources, and (target, source) of those that can only be copied."""
    pairs: list[tuple[Tensor, Tensor]] = [
        *zip(shadow.parameters(), model.parameters(), strict=True),
        *zip(shadow.buffers(), model.buffers(), strict=True),
    ]
    floating = [(average, source) for average, source in pairs if average.is_floating_point()]
    others = [(average, source) for average, source in pairs if not average.is_floating_point()]
    return [average for average, _ in floating], [source for _, source in floating], others
