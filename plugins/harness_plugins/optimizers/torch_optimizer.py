"""Any optimizer of torch.optim by its name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from harness.contract import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

UNUSABLE = {
    "LBFGS": "calls its closure many times a step, with other weights",
    "SparseAdam": "takes sparse gradients alone",
    "Muon": 'takes matrices alone: the plugin "muon" takes filters as well',
}


@dataclass(frozen=True)
class TorchNamedOptimizer(Optimizer):
    """`torch.optim.<name>(groups, lr=..., weight_decay=..., **options)`, the name as torch writes it.

    torch's defaults hold for whatever is not given.

    When not to use it: for `sgd`, `adam`, `adamw`, whose plugins name their parameters.

    Attributes:
        model: torch's name of the class, "NAdam".
        lr: Base rate, which the schedule scales.
        weight_decay: Its weight decay; None where the optimizer has none, or to keep torch's default.
        options: More of its keyword arguments, `{momentum = 0.95}`.
    """

    model: str
    lr: Annotated[float, Gt(0)]
    weight_decay: Annotated[float, Ge(0)] | None = None
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """Return the optimizer over torch's parameter groups.

        Raises:
            ValueError: Where torch has no such optimizer, a step cannot use it, or it takes no such options.
        """
        import torch

        kinds: dict[str, Any] = {
            name: kind
            for name, kind in vars(torch.optim).items()
            if isinstance(kind, type)
            and issubclass(kind, torch.optim.Optimizer)
            and kind is not torch.optim.Optimizer
        }
        if self.model in UNUSABLE:
            raise ValueError(f'"torch:{self.model}" {UNUSABLE[self.model]}')
        if self.model not in kinds:
            close = difflib.get_close_matches(self.model, kinds, n=3, cutoff=0.4)
            nearest = f"; did you mean {', '.join(f'torch:{name}' for name in close)}?" if close else ""
            raise ValueError(f'there is no "torch:{self.model}"{nearest}')
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        try:
            optimizer: TorchOptimizer = kinds[self.model](groups, lr=self.lr, **decay, **self.options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"torch:{self.model} with {dict(self.options)}: {error}") from error
        return optimizer
