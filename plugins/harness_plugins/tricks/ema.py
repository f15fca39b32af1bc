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
        shadows, sources, copies = _pair_tensors(shadow, ctx.model)
        # an average of half-precision weights would round its small steps away: it is kept in single
        halved = any(tensor.itemsize < 4 for tensor in shadows)
        averages = [tensor.float() for tensor in shadows] if halved else shadows
        widened = [torch.empty_like(average) for average in averages] if halved else sources

        @torch.no_grad()
        def copy_weights() -> None:
            for average, source in zip(averages, sources, strict=True):
                average.copy_(source)

        def wrap_update(update: Update) -> Update:
            def update_and_average(closure: Closure) -> StepResult:
                if ctx.step == 0:
                    copy_weights()  # a first layer may have been made from data since this was bound
                result = update(closure)
                if result.applied is not False:
                    with torch.no_grad():
                        if halved:
                            torch._foreach_copy_(widened, sources)
                        _move(averages, widened, 1 - self.decay_at(ctx.step), result.applied)
                return result

            return update_and_average

        def choose_average(model: Module) -> Module:
            del model
            for average, source in copies:
                average.copy_(source)
            if halved:
                torch._foreach_copy_(shadows, averages)
            return shadow

        def observe() -> float:
            pairs = list(zip(shadow.parameters(), ctx.model.parameters(), strict=True))
            distance = torch.nn.utils.get_total_norm([average - raw.detach() for average, raw in pairs])
            return float(distance / torch.nn.utils.get_total_norm([raw.detach() for _, raw in pairs]))

        return Slots(
            update=wrap_update, eval_model=choose_average, state={"averages": averages}, observe=observe
        )


def _move(averages: list[Tensor], sources: list[Tensor], share: float, applied: bool | Tensor) -> None:
    """Move the averages a share of the way; nowhere where the device knows that the update was skipped."""
    import torch

    if applied is True:
        torch._foreach_lerp_(averages, sources, share)
        return
    steps = torch._foreach_sub(sources, averages)
    torch._foreach_mul_(steps, share * applied)
    torch._foreach_add_(averages, steps)


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
