"""Any optimizer of timm by its name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

UNUSABLE = ("bnb*", "fused*", "adahessian")
"""What timm lists and a trial cannot use: it needs bitsandbytes or apex, or a graph of the gradient."""


@dataclass(frozen=True)
class TimmOptimizer(Optimizer):
    """`timm.optim.create_optimizer_v2(groups, opt=model)`: lion, lamb, adan, muon and some eighty more.

    timm's defaults hold for whatever is not given; a momentum is 0.9 where an optimizer has one. Weight decay
    acts on every parameter of the groups: unlike timm's own training script, biases and norms are not exempt,
    which the selector of the suite (`parameters = "vectors"`) can change.

    When not to use it: for `sgd`, `adam`, `adamw`, which are torch's own under those names. `kron` compiles
    its step first, which takes a minute.

    Attributes:
        model: timm's name of the optimizer, "lamb".
        lr: Base rate, which the schedule scales. Optimizers differ in its scale by a factor of hundreds.
        weight_decay: Its weight decay, coupled or not as the optimizer has it.
        options: More of its keyword arguments, `{momentum = 0.95}`.
    """

    model: str
    lr: Annotated[float, Gt(0)]
    weight_decay: Annotated[float, Ge(0)] = 0.0
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups.

        Raises:
            ValueError: Where timm has no such optimizer, or the optimizer takes no such options.
        """
        from timm.optim import create_optimizer_v2, list_optimizers

        names = list_optimizers(exclude_filters=list(UNUSABLE))
        if self.model not in names:
            close = difflib.get_close_matches(self.model, names, n=3, cutoff=0.5)
            nearest = f"; did you mean {', '.join(f'timm:{name}' for name in close)}?" if close else ""
            raise ValueError(f'there is no usable "timm:{self.model}"{nearest}')
        try:
            optimizer: TorchOptimizer = create_optimizer_v2(
                groups, opt=self.model, lr=self.lr, weight_decay=self.weight_decay, **self.options
            )
        except (TypeError, ValueError) as error:
            shapes = sorted({str(tuple(weight.shape)) for group in groups for weight in group["params"]})
            raise ValueError(
                f"timm:{self.model} with {dict(self.options)} over parameters of {', '.join(shapes)}: {error}"
            ) from error
        return optimizer
