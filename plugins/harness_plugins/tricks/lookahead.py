"""Slow weights that follow the trained ones, which are pulled back to them now and then."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Interval

from harness.contract import Closure, Context, Slots, Stage, StepResult, Trick, Update

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Lookahead(Trick):
    """Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019, algorithm 1.

    After every `interval` steps: slow = keep * slow + (1 - keep) * fast; fast = slow, with
    keep = (1 - alpha) * (t / T)^growth after t of T steps. With `growth` 0 that is the paper's, whose defaults are
    5 and 0.5. Jordan 2024 (arXiv 2404.00498, after hlb-CIFAR10) has the slow weights follow at once in the beginning
    and slower and slower towards the end: growth 3 and 1 - alpha = 0.95^5, alpha = 0.2262. The slow weights are the
    ones that are judged. Floating buffers, which is to say batch norm's statistics, go along with the
    weights, as in Jordan's; Zhang's leaves them. The optimizer keeps its momentum. A step that was skipped counts.

    When not to use it: beside another average of weights, or where the fast weights have to be looked at.

    Attributes:
        interval: Steps between two pulls.
        alpha: Share of the way to the fast weights that the slow ones go.
        growth: Power of the share of the budget done that what is kept grows with; 0 for a constant.
    """

    stage: ClassVar[Stage] = Stage.AVERAGE
    provides: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    # a second average would be judged in this one's place
    conflicts: ClassVar[frozenset[str]] = frozenset({"judged-weights"})
    identity: ClassVar[Mapping[str, object] | None] = {"interval": 1, "alpha": 1.0}
    observable: ClassVar[str] = "times that the weights were pulled back"

    interval: Annotated[int, Ge(1)] = 5
    alpha: Annotated[float, Interval(gt=0, le=1)] = 0.5
    growth: Annotated[float, Ge(0)] = 0.0

    def keep_at(self, share: float) -> float:
        """Return what the slow weights keep of themselves when a share of the budget, up to 1, is done."""
        keep: float = (1 - self.alpha) * share**self.growth
        return keep

    def bind(self, ctx: Context) -> Slots:
        """Return an `update` slot that pulls, and an `eval_model` slot that puts the slow weights forward."""
        import torch

        if self.interval == 1 and self.alpha == 1:
            return Slots()
        shadow = copy.deepcopy(ctx.model).requires_grad_(False).eval()
        pairs, copies = _pair_tensors(shadow, ctx.model)
        pulls = torch.zeros((), dtype=torch.int64)

        @torch.no_grad()
        def copy_to_slow() -> None:
            for slow, fast in pairs:
                torch._foreach_copy_(slow, fast)

        @torch.no_grad()
        def pull(done: int) -> None:
            keep = self.keep_at(done / ctx.total_steps)
            for slow, fast in pairs:
                torch._foreach_lerp_(slow, fast, 1 - keep)
                torch._foreach_copy_(fast, slow)
            pulls.add_(1)

        def wrap_update(update: Update) -> Update:
            def update_and_pull(closure: Closure) -> StepResult:
                if ctx.step == 0:
                    copy_to_slow()  # a first layer may have been made from data since this was bound
                result = update(closure)
                if (ctx.step + 1) % self.interval == 0:
                    pull(ctx.step + 1)
                return result

            return update_and_pull

        def choose_slow(model: Module) -> Module:
            del model
            for target, source in copies:
                target.copy_(source)
            return shadow

        return Slots(
            update=wrap_update,
            eval_model=choose_slow,
            state={"slow": [tensor for slow, _ in pairs for tensor in slow], "pulls": [pulls]},
            observe=lambda: float(pulls),
        )


def _pair_tensors(
    shadow: Module, model: Module
) -> tuple[list[tuple[list[Tensor], list[Tensor]]], list[tuple[Tensor, Tensor]]]:
    """Return (slow, fast) lists, one for each type of number, and (target, source) of what can only be copied."""
    grouped: dict[object, tuple[list[Tensor], list[Tensor]]] = {}
    copies: list[tuple[Tensor, Tensor]] = []
    tensors = ((*one.parameters(), *one.buffers()) for one in (shadow, model))
    for slow, fast in zip(*tensors, strict=True):
        if slow.is_floating_point():
            # torch's joint operations take one type at a time, and fall back to single ones otherwise
            of_slow, of_fast = grouped.setdefault(slow.dtype, ([], []))
            of_slow.append(slow)
            of_fast.append(fast)
        else:
            copies.append((slow, fast))
    return list(grouped.values()), copies
