"""Sharpness-aware minimisation: the gradient from the worst point nearby."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from harness.contract import Closure, Context, Slots, Stage, StepResult, Trick, Update

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sam(Trick):
    """Foret et al., "Sharpness-Aware Minimization", ICLR 2021, algorithm 1 with p = 2.

    rho = 0.05 is the paper's. With g the gradient at the weights w and e = rho * g / |g|, the optimizer is
    given the gradient at w + e and steps from w itself. Both passes see the same batch and drop the same
    units; batch norm tracks statistics in the second alone. The loss of the step is the one at w. A step
    costs two passes.

    When not to use it: on a fixed budget of time, unless twice the epochs of the baseline do not help either;
    with one sample a batch the name loses its meaning.

    Attributes:
        rho: Radius, in the norm of all trainable weights taken as one vector.
    """

    stage: ClassVar[Stage] = Stage.ASCENT
    provides: ClassVar[frozenset[str]] = frozenset({"two-pass-update"})
    identity: ClassVar[Mapping[str, object] | None] = {"rho": 0.0}
    observable: ClassVar[str] = "mean rise of the loss at the perturbed weights, nats"

    rho: Annotated[float, Ge(0)] = 0.05

    def bind(self, ctx: Context) -> Slots:
        """Return an `update` slot."""
        import torch
        from torch.nn.utils import get_total_norm

        sums = torch.zeros(2, device=ctx.device)
        rise, steps = sums.unbind()

        def perturbation() -> tuple[list[Tensor], list[Tensor]]:
            """Return the weights that have a gradient, and e."""
            weights: list[Tensor] = [weight for weight in ctx.model.parameters() if weight.grad is not None]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            # equation 2; the small number only keeps a gradient of nought from becoming NaN
            return weights, list(
                torch._foreach_mul(gradients, self.rho / (get_total_norm(gradients) + 1e-12))
            )

        def wrap_update(update: Update) -> Update:
            def update_from_above(closure: Closure) -> StepResult:
                loss = closure(ascent=True).detach()
                with torch.no_grad():
                    weights, added = perturbation()

                def run_above(*, ascent: bool = False) -> Tensor:
                    # w + e - e is not w in floating point
                    kept = [weight.detach().clone() for weight in weights]
                    with torch.no_grad():
                        torch._foreach_add_(weights, added)
                    above = closure(ascent=ascent).detach()
                    with torch.no_grad():
                        torch._foreach_copy_(weights, kept)
                        rise.add_(above - loss)
                        steps.add_(1)
                    return above

                return dataclasses.replace(update(run_above), loss=loss)

            return update_from_above

        def observe() -> float:
            return float(rise / steps.clamp(min=1))

        return Slots(update=wrap_update, state={"sums": [sums]}, observe=observe)
